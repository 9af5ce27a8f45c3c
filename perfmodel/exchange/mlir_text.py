"""The text of an MLIR module whose operations say what they cost, as discardable attributes ``perfmodel.*``.

Text goes in and the same text comes out: nothing is printed anew, attributes are put in where the form of each operation has
them, and locations, comments and layout stay. Every parser of MLIR accepts discardable attributes of a dialect that it does not
know; many passes keep them, those that rewrite an operation do not.

The result is read again and compared with what was read first, operation by operation: where a form was not understood, the
attributes of that operation are left out rather than put in the wrong place.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias

from perfmodel.errors import InputError, ModelFileError, checked_keywords
from perfmodel.exchange.costs import PREFIX, Value, place, totals
from perfmodel.exchange.mlir_earlier import without_costs
from perfmodel.exchange.mlir_places import Place, place_of
from perfmodel.features.mlir.convert import Conversion
from perfmodel.features.mlir.ir import Block, Module, Operation
from perfmodel.predict.result import ModelPrediction

_LINE = re.compile("\n")
_PLACE = re.compile(r":(\d+):\d+: ")
_At: TypeAlias = tuple[int, int]
"""Line and column of an operation."""


@checked_keywords()
def annotated(
    source: str | os.PathLike[str],
    prediction: ModelPrediction,
    *,
    dims: Mapping[str, int] | None = None,
    entry: str | None = None,
    joined: bool = False,
) -> tuple[str, list[str]]:
    """The text with the costs of a prediction of it.

    Args:
        source: the path of a text, or the text itself, that was predicted.
        prediction: of that module.
        dims, entry: as for the prediction.
        joined: whether it was predicted without fusion.

    Returns:
        The new text, and lines of warning.

    Raises:
        InputError: the module is bytecode.
        ModelFileError: it cannot be read.
    """
    text, label = _text(source)
    text = without_costs(text, label)
    named, function = _operations(text, label, dims, entry, joined=joined)
    placed = place(prediction, named)
    by_place = {_at(o): o for o in _written(_read(text, label))}
    wanted: dict[_At, dict[str, Value]] = {at: dict(found) for at, found in placed.nodes.items()}
    if function is not None:
        wanted[function] = {**wanted.get(function, {}), **totals(prediction, placed)}
    starts = [0, *(m.end() for m in _LINE.finditer(text))]
    chosen: dict[_At, tuple[Place, str]] = {}
    for at, found in wanted.items():
        spot = place_of(text, by_place[at], starts) if at in by_place else None
        if spot is not None:
            chosen[at] = spot, _attributes(found)
    result, left_out = _checked(text, label, by_place, chosen)
    missing = [at for at in wanted if at not in chosen or at in left_out]
    warnings = []
    if missing:
        first = by_place.get(missing[0])
        warnings.append(
            f"{len(missing)} operations take no attributes in a form that is known, and have none "
            f"({first.name if first else 'an operation'} in line {missing[0][0]}, ...)"
        )
    if placed.homeless:
        warnings.append(
            f"{len(placed.homeless)} of the predicted kernels stand nowhere in the text ({placed.homeless[0].name!r}, ...): "
            f"their time is {PREFIX}unplaced_s of the function"
        )
    return result, warnings


def _text(source: str | os.PathLike[str]) -> tuple[str, str]:
    from perfmodel.features.mlir.source import BYTECODE_MAGIC, is_text
    from perfmodel.features.opening import opening

    if is_text(source):
        return source, "<text>"
    label = os.fspath(source)
    with opening(label):
        data = Path(source).read_bytes()
    if data.startswith(BYTECODE_MAGIC):
        raise InputError(f"{label}: is bytecode; attributes are put into text: `mlir-opt FILE -o FILE.mlir` makes it")
    return data.decode("utf-8"), label


def _read(text: str, label: str) -> Module:
    """As it stands in the text: portable artefacts are not turned into StableHLO."""
    from perfmodel.features.mlir.parse_operations import parse
    from perfmodel.graph import without_collection

    with without_collection():
        return parse(text, label)


def _written(module: Module) -> list[Operation]:
    """The operations that stand in the text: not the terminators that it leaves out, nor a module around what needs none.

    Such a module has the place of the first operation, and is read before it.
    """
    return list({_at(o): o for o in module.walk() if o.line and o.column}.values())


class _Noting(Conversion):
    """A conversion that remembers which operation each name is of."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.named: dict[str, _At] = {}

    def name_of(self, operation: Operation, *, used: bool = True) -> str:
        """As the conversion has it."""
        name = super().name_of(operation, used=used)
        self.named.setdefault(name, _at(operation))
        return name


def _at(operation: Operation) -> _At:
    return operation.line, operation.column


def _operations(
    text: str, label: str, dims: Mapping[str, int] | None, entry: str | None, *, joined: bool
) -> tuple[dict[str, _At], _At | None]:
    """The place of the operation of each name that the reader gives a node; that of the entry function."""
    from perfmodel.features.mlir.dims import Dimensions
    from perfmodel.features.mlir.reader import converted, entry_of
    from perfmodel.features.mlir.source import read_text
    from perfmodel.features.onnx.dims import check_given

    module = read_text(text, label)
    noting = _Noting(module, Dimensions(label, check_given(dims)), joined=joined)
    converted(noting, entry)
    function = entry_of(module, entry)
    return noting.named, None if isinstance(function, Block) else _at(function)


# ---------------------------------------------------------------------------------------------------------- the text
def _attributes(found: Mapping[str, Value]) -> str:
    return ", ".join(f"{PREFIX}{name} = {_literal(value)}" for name, value in found.items())


def _literal(value: Value) -> str:
    """An attribute of MLIR; numbers read back as the same."""
    if isinstance(value, str):
        quoted = "".join(
            c
            if c.isprintable() and c.isascii() and c not in '"\\'
            else "".join(f"\\{b:02X}" for b in c.encode("utf-8"))
            for c in value
        )
        return f'"{quoted}"'
    if isinstance(value, int):
        return f"{value} : i64"
    mantissa, e, exponent = repr(float(value)).partition("e")
    return f"{mantissa if '.' in mantissa else mantissa + '.0'}{e}{exponent} : f64"


def _inserted(text: str, chosen: Mapping[_At, tuple[Place, str]]) -> str:
    pieces, done = [], 0
    for spot, attributes in sorted(chosen.values()):
        pieces += [text[done : spot.position], spot.before, attributes, spot.after]
        done = spot.position
    return "".join([*pieces, text[done:]])


def _checked(
    text: str, label: str, operations: Mapping[_At, Operation], chosen: Mapping[_At, tuple[Place, str]]
) -> tuple[str, list[_At]]:
    """The text with the attributes, and the places that it was left out of again."""
    kept = dict(chosen)
    while True:
        result = _inserted(text, kept)
        wrong = _misread(result, label, operations, kept)
        if wrong is None:
            return result, [at for at in chosen if at not in kept]
        # Of a form that is misread once, none is trusted.
        kept = {at: spot for at, spot in kept.items() if operations[at].name != wrong}


def _misread(
    result: str, label: str, operations: Mapping[_At, Operation], kept: Mapping[_At, tuple[Place, str]]
) -> str | None:
    """The name of an operation that stands differently in the new text; None: all is as before, with the new attributes."""
    try:
        again = _written(_read(result, label))
    except ModelFileError as error:
        # Lines are as they were; the operation is the last one that begins before the error.
        found = _PLACE.search(str(error))
        line = int(found[1]) if found else 0
        near = [at for at in kept if at[0] <= line] or list(kept)
        return operations[max(near)].name
    for (at, before), after in zip(operations.items(), again, strict=False):
        new = {k: v for k, v in after.attributes.items() if k.startswith(PREFIX)}
        old = {k: v for k, v in after.attributes.items() if not k.startswith(PREFIX)}
        same = before.name == after.name and len(before.operands) == len(after.operands)
        # Not `==`: a constant may be no number, which equals nothing.
        if (
            not same
            or bool(new) != (at in kept)
            or repr((before.literals, before.attributes)) != repr((after.literals, old))
        ):
            return before.name if at in kept else _nearest(operations, kept, at)
    return None


def _nearest(operations: Mapping[_At, Operation], kept: Mapping[_At, Any], at: _At) -> str | None:
    """The last operation with new attributes that begins before a place; None where nothing was put in."""
    return operations[max((k for k in kept if k <= at), default=max(kept))].name if kept else None
