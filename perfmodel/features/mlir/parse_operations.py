"""Operations of the text: regions, blocks, the generic form, and what every form has in common.

Nesting costs no recursion: an operation whose region begins waits on a list until the region has been read.
"""

from __future__ import annotations

import re

from perfmodel.features.mlir.custom import CustomForms
from perfmodel.features.mlir.dialects import IMPLICIT_TERMINATORS, implies_body, is_isolated, operation_name
from perfmodel.features.mlir.ir import Block, Module, Operation, Region, Value
from perfmodel.features.mlir.lexer import END, HASH, LABEL, STRING, TYPE, VALUE, WORD, unquote
from perfmodel.features.mlir.normalise import normalise
from perfmodel.features.mlir.official import finish
from perfmodel.features.mlir.parse_types import parse_type, parse_type_list
from perfmodel.features.mlir.pending import CUSTOM, REGIONS, START, TAIL, Pending
from perfmodel.features.mlir.results import result_types
from perfmodel.features.mlir.signatures import is_function, read_signature
from perfmodel.features.mlir.types import SHAPED

MAX_RESULTS = 10_000
_TYPED = frozenset(("stablehlo", "mhlo", "chlo", "tosa"))
"""Dialects whose custom forms list a type for each operand before the arrow."""

_BEGINS_OPERATION = frozenset((VALUE, WORD, STRING))
_BEGINS_ALIAS = frozenset((HASH, TYPE))

_RESOURCE = re.compile(r"""\s*(?:([}])|(#-\})|(,)|("[^"\\\n]*"|[\w.$+-]+)\s*:\s*(?:(\{)|(")|([^,}\s"]+)))""")


class _Frame:
    """A region that is being read, and the operation that waits for its end."""

    __slots__ = ("block", "labels", "pending", "position", "region", "undefined")

    def __init__(self, pending: Pending | None, region: Region, block: Block, position: int) -> None:
        self.pending = pending
        self.region = region
        self.block = block
        self.position = position
        self.labels: dict[str, Block] = {}
        self.undefined: dict[str, int] = {}


class ModuleParser(CustomForms):
    """Reads one text; see :func:`perfmodel.features.mlir.source.read_text`."""

    def __init__(self, text: str, filename: str) -> None:
        super().__init__(text, filename)
        self._line, self._counted = 1, 0
        self._resources: dict[str, int | None] = {}
        self._aliases: dict[str, str] = {}
        self._frames: list[_Frame] = []

    def module(self) -> Module:
        """The whole text as a module."""
        top = Operation("builtin.module", line=1, column=1)
        self._open(None, top)
        lexer = self.lexer
        while True:
            kind, token = lexer.kind, lexer.token
            frame = self._frames[-1]
            if token == "}" and kind != STRING:
                if len(self._frames) == 1:
                    lexer.fail("an operation")
                pending = self._close()
                self._continue(pending)
            elif kind in _BEGINS_OPERATION:
                self._begin(frame)
            elif kind == LABEL:
                self._label(frame)
            elif kind == END:
                if len(self._frames) > 1:
                    lexer.fail(f"'}}' to close the region of {lexer.place(frame.position)}")
                break
            elif len(self._frames) == 1 and kind in _BEGINS_ALIAS:
                self._alias()
            elif token == "{-#":
                self._resource_section()
            else:
                lexer.fail("an operation")
        self.scopes.close()
        self._check_labels(self._frames[0])
        body = self._frames[0].block
        if len(body.operations) == 1 and body.operations[0].name == "builtin.module":
            top = body.operations[0]
            top.parent = None
        return Module(top, lexer.filename, self._resources, self._aliases)

    # -------------------------------------------------------------------------------------------------- operations
    def _begin(self, frame: _Frame) -> None:
        lexer = self.lexer
        position = lexer.start
        names: list[tuple[str, int, int]] = []
        if lexer.kind == VALUE:
            names = self._result_names()
        self._line += lexer.text.count("\n", self._counted, lexer.start)
        self._counted = lexer.start
        column = position - lexer.text.rfind("\n", 0, position)
        if lexer.kind == STRING:
            operation = Operation(unquote(lexer.token), line=self._line, parent=frame.block, column=column)
            pending = Pending(operation, names, START, position)
            lexer.advance()
        elif lexer.kind == WORD:
            parent = frame.region.parent
            name = operation_name(lexer.token, parent.name if parent is not None else "builtin.module")
            if name is None:
                lexer.fail("an operation (dialect.name)")
            operation = Operation(name, line=self._line, parent=frame.block, column=column)
            pending = Pending(operation, names, CUSTOM, position)
            lexer.advance()
            if is_function(name):
                read_signature(self, pending)
            else:
                self.head(pending)
        else:
            lexer.fail("an operation")
        self._continue(pending)

    def _result_names(self) -> list[tuple[str, int, int]]:
        lexer = self.lexer
        names = []
        total = 0
        while True:
            if lexer.kind != VALUE:
                lexer.fail("the name of a result")
            name, position = lexer.token[1:], lexer.start
            lexer.advance()
            count = 1
            if lexer.token == ":":
                lexer.advance()
                if not lexer.token.isdigit() or len(lexer.token) > 9:
                    lexer.fail("a number of results")
                count = int(lexer.token)
                lexer.advance()
            total += count
            if total > MAX_RESULTS:
                lexer.refuse(f"expected at most {MAX_RESULTS} results, found {total}", position)
            names.append((name, count, position))
            if lexer.token != ",":
                break
            lexer.advance()
        lexer.expect("=", "after the names of results")
        return names

    def _continue(self, pending: Pending) -> None:
        """Read on until the operation ends or its next region begins."""
        ended = self.items(pending) if pending.phase == CUSTOM else self._generic(pending)
        if ended:
            self._finish(pending)
        else:
            self._open(pending, pending.operation)

    def _generic(self, pending: Pending) -> bool:
        """The generic form; False where a region begins at the cursor."""
        lexer, operation = self.lexer, pending.operation
        if pending.phase == START:
            lexer.expect("(", "before the operands of an operation in quotes")
            while lexer.token != ")":
                if lexer.kind != VALUE:
                    lexer.fail("an operand or ')'")
                operation.operands.append(self.scopes.use(lexer.token[1:], lexer.start))
                lexer.advance()
                if lexer.token != ")":
                    lexer.expect(",", "or ')' after an operand")
            lexer.advance()
            if lexer.token == "[":
                self.bracket(pending)
            if lexer.token == "<":
                lexer.advance()
                operation.attributes.update(self.attributes.dictionary(lexer))
                lexer.expect(">", "after the properties")
            if lexer.token == "(":
                lexer.advance()
                if lexer.token != "{":
                    lexer.fail("'{' to begin a region")
                pending.phase = REGIONS
                return False
        elif pending.phase == REGIONS:
            if lexer.token == ",":
                lexer.advance()
                if lexer.token != "{":
                    lexer.fail("'{' to begin a region")
                return False
            lexer.expect(")", "or ',' after a region")
        pending.phase = TAIL
        if lexer.token == "{":
            operation.attributes.update(self.attributes.dictionary(lexer))
        lexer.expect(":", "before the type of an operation in quotes")
        position = lexer.start
        if lexer.token != "(":
            lexer.fail("a function type")
        pending.types = parse_type_list(lexer, self.attributes.types)
        lexer.expect("->", "in the type of an operation in quotes")
        if lexer.token == "(":
            pending.results = parse_type_list(lexer, self.attributes.types)
        else:
            pending.results = [parse_type(lexer, self.attributes.types)]
        if len(pending.types) != len(operation.operands):
            found = f"{len(pending.types)} types"
            lexer.refuse(f"expected a type for each of the {len(operation.operands)} operands, found {found}", position)
        named = sum(count for _, count, _ in pending.names)
        if named and named != len(pending.results):
            found = f"{named} names"
            lexer.refuse(f"expected a name for each of {len(pending.results)} results, found {found}", pending.position)
        pending.arrow = "->"
        if lexer.token == "loc":
            self.location(pending)
        return True

    def _finish(self, pending: Pending) -> None:
        operation = pending.operation
        frame = self._frames[-1]
        frame.block.operations.append(operation)
        if pending.phase == CUSTOM:
            finish(pending)
            if pending.arrow == "->" and operation.dialect in _TYPED:
                self._check_types(pending)
        elif operation.regions and implies_body(operation.name):
            operation.regions = []
        normalise(operation)
        if pending.names:
            scopes = self.scopes
            total = 0
            for _, count, _ in pending.names:
                total += count
            types = result_types(pending, total)
            index = 0
            for name, count, position in pending.names:
                if count == 1:
                    operation.results.append(scopes.define(name, types[index], operation, index, position))
                    index += 1
                    continue
                for number in range(count):
                    value = scopes.define(f"{name}#{number}", types[index], operation, index, position)
                    operation.results.append(value)
                    index += 1
                if count:
                    scopes.alias(name, operation.results[index - count])
        elif pending.phase == TAIL:  # results that nobody uses need no name
            operation.results = [Value(t, "", operation, i) for i, t in enumerate(pending.results)]

    def _check_types(self, pending: Pending) -> None:
        """A type for each operand, and the one that it was defined with."""
        operands, types = pending.operation.operands, pending.types
        name = pending.operation.name
        if len(types) != len(operands):
            found = f"{len(types)} type{'' if len(types) == 1 else 's'}"
            self.lexer.refuse(
                f"{name}: expected a type for each of {len(operands)} operands, found {found}", pending.position
            )
        for value, kind in zip(operands, types, strict=True):
            known = value.type
            if kind is known or not isinstance(kind, SHAPED) or not isinstance(known, SHAPED):
                continue
            if kind.shape != known.shape or str(kind.element) != str(known.element):
                self.lexer.refuse(f"{name}: expected %{value.name} of the type {known}, found {kind}", pending.position)

    # ----------------------------------------------------------------------------------------------------- regions
    def _open(self, pending: Pending | None, operation: Operation) -> None:
        lexer, scopes = self.lexer, self.scopes
        region = Region(parent=operation)
        block = Block(parent=region)
        region.blocks.append(block)
        operation.regions.append(region)
        position = lexer.start
        if pending is not None:
            lexer.advance()
            for value in pending.fresh:
                if value.owner is None:
                    scopes.forget(value)
            scopes.enter(isolated=is_isolated(operation.name))
            if pending.arguments or pending.fresh:
                self._name_arguments(pending, block)
        self._frames.append(_Frame(pending, region, block, position))

    def _name_arguments(self, pending: Pending, block: Block) -> None:
        """Arguments that the text names ahead of the region."""
        for argument in self.region_arguments(pending):
            value = self.scopes.define(argument.name, argument.type, block, len(block.arguments), argument.position)
            block.arguments.append(value)
        pending.fresh = []
        if not pending.operation.name.endswith(".while"):  # both regions of a loop see them
            pending.arguments = []

    def _close(self) -> Pending:
        frame = self._frames.pop()
        self._check_labels(frame)
        region, operation = frame.region, frame.region.parent
        if len(region.blocks) == 1 and not region.blocks[0].operations and not region.blocks[0].arguments:
            region.blocks.clear()
        pending = frame.pending
        assert pending is not None
        assert operation is not None
        ending = IMPLICIT_TERMINATORS.get(operation.name) if pending.phase == CUSTOM else None
        if ending is not None and (not region.blocks or self._open_ended(region.blocks[-1], ending)):
            if not region.blocks:
                region.blocks.append(Block(parent=region))
            block = region.blocks[-1]
            block.operations.append(Operation(ending, parent=block, line=self._line))
        self.scopes.leave()
        self.lexer.advance()
        return pending

    @staticmethod
    def _open_ended(block: Block, ending: str) -> bool:
        last = block.terminator
        return last is None or last.name != ending

    def _label(self, frame: _Frame) -> None:
        lexer = self.lexer
        name = lexer.token[1:]
        block = frame.labels.get(name)
        if block is not None and frame.undefined.pop(name, None) is None:
            lexer.refuse(f"expected a new block, found a second definition of ^{name}")
        entry = frame.region.blocks[0]
        if block is None and len(frame.region.blocks) == 1 and not entry.operations and not entry.label:
            block = entry
            for value in block.arguments:
                self.scopes.values.pop(value.name, None)
            block.arguments = []
        else:
            block = block or Block(parent=frame.region)
            if block is not entry:
                frame.region.blocks.append(block)
        block.label = name
        frame.labels[name] = block
        frame.block = block
        lexer.advance()
        if lexer.token == "(":
            lexer.advance()
            while lexer.token != ")":
                if lexer.kind != VALUE:
                    lexer.fail("an argument of the block or ')'")
                argument, position = lexer.token[1:], lexer.start
                lexer.advance()
                lexer.expect(":", "after the name of an argument")
                kind = parse_type(lexer, self.attributes.types)
                value = self.scopes.define(argument, kind, block, len(block.arguments), position)
                block.arguments.append(value)
                self.skip_location()
                if lexer.token != ")":
                    lexer.expect(",", "or ')' after an argument")
            lexer.advance()
        lexer.expect(":", "after the label of a block")

    def successor(self, name: str, position: int) -> Block:
        """The block of a label, which may stand further down."""
        frame = self._frames[-1]
        block = frame.labels.get(name)
        if block is None:
            block = frame.labels[name] = Block(label=name, parent=frame.region)
            frame.undefined[name] = position
        return block

    def _check_labels(self, frame: _Frame) -> None:
        if frame.undefined:
            name, position = next(iter(frame.undefined.items()))
            self.lexer.refuse(f"expected a block ^{name} in this region, found none", position)

    # ------------------------------------------------------------------------------------------------ around them
    def _alias(self) -> None:
        lexer = self.lexer
        name = lexer.token
        is_type = lexer.kind == TYPE
        lexer.advance()
        lexer.expect("=", "after the name of an alias")
        start = lexer.start
        if is_type:
            kind = parse_type(lexer, self.attributes.types)
            self.attributes.types.known[name] = kind
            self.attributes.types.aliases[name] = lexer.text[start : lexer.before]
        elif lexer.token == "loc":
            lexer.advance()
            if lexer.token != "(":
                lexer.fail("'(' after loc")
            lexer.jump(lexer.closing(lexer.start))
        else:
            self.attributes.define_alias(name, self.attributes.attribute(lexer))
        end = lexer.before
        self._aliases[name] = lexer.text[start : min(end, start + 1000)]

    def _resource_section(self) -> None:
        """``{-# dialect_resources: { builtin: { name: "0x..." } } #-}``; the blobs are measured, not read."""
        lexer = self.lexer
        text, at, path = lexer.text, lexer.end, []
        while True:
            match = _RESOURCE.match(text, at)
            if match is None:
                lexer.jump(at)
                lexer.fail("a resource or '#-}'")
            at = match.end()
            closes, ends, _, name, opens, quote, _ = match.groups()
            if ends:
                break
            if opens:
                path.append(name)
            elif closes:
                if not path:
                    lexer.fail("'#-}'", match.start(1))
                path.pop()
            elif name:
                size: int | None = None
                if quote:
                    begin, at = at - 1, lexer.string_end(at - 1)
                    # 0x, then four bytes that say the alignment
                    size = max(0, (at - begin - 4) // 2 - 4) if text.startswith("0x", begin + 1) else at - begin - 2
                if path and path[0] == "dialect_resources":
                    self._resources[unquote(name) if name.startswith('"') else name] = size
        lexer.jump(at)


def parse(text: str, filename: str) -> Module:
    """The module that a text is; see :func:`perfmodel.features.mlir.source.read_text`."""
    return ModuleParser(text, filename).module()
