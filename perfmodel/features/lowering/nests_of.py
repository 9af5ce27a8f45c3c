"""The loop nests of a module's entry function, in order; what is no operation of linalg or of tensors is named."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field, replace
from math import prod
from typing import Any

from perfmodel.errors import InputError, ModelFileError
from perfmodel.features.lowering.loops import Access, Axes, LoopNest, ordered
from perfmodel.features.mlir.attribute_values import numbers_of
from perfmodel.features.mlir.attributes import AffineMap
from perfmodel.features.mlir.ir import Module, Operation, Value
from perfmodel.features.mlir.kinds import SCALAR_KINDS, TENSOR_KINDS
from perfmodel.features.mlir.reader import entry_of
from perfmodel.features.mlir.rules_linalg import PRODUCTS
from perfmodel.features.mlir.types import ScalarType, TensorType

_CONVOLUTION = re.compile(r"(depthwise_)?conv_([123])d(?:_([a-z]+)_([a-z]+?))?(_q)?")
_POOL = re.compile(r"pooling_([a-z]+)_(max|min|sum)(_unsigned)?")
_VIEWS = frozenset(
    "tensor.expand_shape tensor.collapse_shape tensor.cast tensor.reshape tensor.extract_slice flow.tensor.reshape"
    " util.optimization_barrier hal.tensor.import hal.tensor.export".split()
)
"""Operations that only give a tensor another shape, or a part of it another name: no code of their own."""
_NO_CODE = frozenset(
    "func.return util.return arith.constant tensor.empty tensor.dim tensor.from_elements util.global.load"
    " ml_program.global_load_const".split()
)


_COPIES = frozenset(("tensor.pad", "tensor.insert_slice", "tensor.concat"))


@dataclass
class Nests:
    """What a module's function holds.

    Attributes:
        nests: its loop nests, in order.
        aliases: of each value that is a view, the value that it views.
        returned: values that the function returns, views resolved.
        unknown: names of operations that were not understood, with how often each occurs.
    """

    nests: list[LoopNest] = field(default_factory=list)
    aliases: dict[Value, Value] = field(default_factory=dict)
    returned: set[Value] = field(default_factory=set)
    unknown: Counter[str] = field(default_factory=Counter)

    def root(self, value: Value) -> Value:
        """The value behind views."""
        while value in self.aliases:
            value = self.aliases[value]
        return value


def nests_of(module: Module, entry: str | None = None) -> Nests:
    """Reads the entry function of a module.

    Args:
        module: as :func:`perfmodel.features.mlir.read` gives it.
        entry: the function; None means ``main`` or ``forward``, or the one that nothing else calls.

    Raises:
        ModelFileError: there is no such function, or an operation contradicts itself.
        InputError: a tensor has a dimension that is not known.
    """
    function = entry_of(module, entry)
    block = function.body if isinstance(function, Operation) else function
    found = Nests()
    for operation in block.operations if block is not None else ():
        name = operation.name
        if name in ("func.return", "util.return"):
            found.returned |= {found.root(v) for v in operation.operands}
        elif name in _VIEWS and operation.operands and operation.results:
            found.aliases[operation.results[0]] = operation.operands[0]
        elif name in _NO_CODE or not any(isinstance(v.type, TensorType) for v in (*operation.results, *operation.operands)):
            continue
        else:
            try:
                nests = _copies(operation) if name in _COPIES else [_nest(operation)]
            except (KeyError, IndexError, ValueError, TypeError) as error:
                raise ModelFileError(
                    f"{module.location(operation)}: {name} cannot be read as a loop nest ({type(error).__name__}: {error})"
                ) from None
            for nest in nests:
                if nest is None:
                    found.unknown[name] += 1
                else:
                    found.nests.append(nest)
    return found


def _nest(operation: Operation) -> LoopNest | None:
    name = operation.name
    short = name.partition(".")[2]
    if name in ("linalg.generic", "linalg.contract") or (
        short in PRODUCTS and isinstance(operation.attributes.get("indexing_maps"), tuple)
    ):
        return _by_maps(operation)
    if name.startswith("linalg."):
        if short in PRODUCTS:
            return _by_letters(operation, PRODUCTS[short], "contraction", _product_body(operation))
        if (match := _CONVOLUTION.fullmatch(short)) and not match[1] and (plain := _pointwise(operation, match)) is not None:
            return plain
        if match := _CONVOLUTION.fullmatch(short):
            nest = _by_letters(operation, _convolution_letters(match), "convolution", _product_body(operation))
            if short == "depthwise_conv_2d_nchw_chw":  # the compiler's operation has its loops as the other layout has them
                nest = ordered(nest, (0, 2, 3, 1, 4, 5))
            return nest
        if match := _POOL.fullmatch(short):
            function = {"sum": "add"}.get(match[2], match[2])
            return _by_letters(operation, _pool_letters(match), "pooling", Counter({_typed(function, operation): 1}))
        if short == "reduce":
            return _reduce(operation)
        if short == "softmax":
            return _softmax(operation)
        if short in ("fill", "fill_rng_2d"):
            return _straight(operation, "fill", Counter())
        if short in ("transpose", "broadcast", "copy", "map", "elementwise", "elemwise_unary", "elemwise_binary"):
            return _movement_or_map(operation, short)
        if short in ("pack", "unpack"):
            return _straight(operation, "pack", Counter())
    if name in ("tensor.pack", "tensor.unpack"):
        return _straight(operation, "pack", Counter())
    if name == "tensor.gather":
        return _straight(operation, "elementwise", Counter())
    if name in TENSOR_KINDS:  # linalg.exp, arith.addf on tensors, stablehlo.add, ...
        return _straight(operation, "elementwise", Counter({_typed(TENSOR_KINDS[name], operation): 1}))
    return None


def _operands(operation: Operation) -> tuple[list[Value], list[Value]]:
    """(inputs, what is written): of destination-passing operations the results, which are what later operations read."""
    groups = operation.operand_groups
    values = [v for v in operation.operands if isinstance(v.type, TensorType)]
    if "outs" not in groups:
        count = len(values) - len(operation.results) if operation.name.startswith("linalg.") else len(values)
        return values[:count], list(operation.results)
    ins = groups.get("ins", 0)
    return [v for v in operation.operands[:ins] if isinstance(v.type, TensorType)], list(operation.results)


def _access(value: Value, axes: Axes) -> Access:
    kind = value.type
    if not isinstance(kind, TensorType):
        raise TypeError(f"expected a tensor, found {kind}")
    if kind.shape is None or None in kind.shape:
        raise InputError(
            f"%{value.name}: {kind} has a dimension that is not known; compiled code is characterised for static shapes: write "
            "the module with numbers"
        )
    shape = tuple(int(d or 0) for d in kind.shape)
    if len(axes) != len(shape):
        raise ValueError(f"{kind} has {len(shape)} axes, its map {len(axes)}")
    bits, is_float = bits_of(kind.element)
    made_by = value.operation
    is_part = made_by is not None and made_by.name == "tensor.extract_slice"
    return Access(axes, shape, bits, is_float, is_part, value)


def bits_of(element: Any) -> tuple[int, bool]:
    """(bits as stored, whether floating-point) of an element type; 64-bit floats count 32, as IREE demotes them by default."""
    name = element.name if isinstance(element, ScalarType) else str(element)
    if name == "index":
        return 64, False
    match = re.fullmatch(r"(bf|tf|f|[su]?i)([0-9]+)\w*", name)
    if match is None:
        return 32, True
    is_float = not match[1].endswith("i")
    bits = int(match[2])
    return (32 if is_float and bits == 64 else bits), is_float


def _straight(operation: Operation, kind: str, body: Counter[str]) -> LoopNest:
    inputs, outputs = _operands(operation)
    rank = len(getattr(outputs[0].type, "shape", None) or ())
    target = _access(outputs[0], tuple((i,) for i in range(rank)))
    accesses = []
    for value in inputs:
        shape = tuple(getattr(value.type, "shape", ()) or ())
        # Operands of fewer axes are aligned at the last one; what they index does not matter to a fill or a copy.
        first = rank - len(shape)
        accesses.append(_access(value, tuple((max(first + i, 0),) for i in range(len(shape)))))
    if kind == "fill":
        accesses = []
    return LoopNest(operation.name, kind, target.shape, (False,) * rank, tuple(accesses), (target,), body)


def _copies(operation: Operation) -> list[LoopNest | None]:
    """Tensors copied into parts of a larger one, which is what a pad (behind a fill) and a concatenation become."""
    sources = operation.operands if operation.name == "tensor.concat" else operation.operands[:1]
    if operation.name == "tensor.concat":
        along = int(operation.attributes.get("dim", 0))
        whole = getattr(operation.results[0].type, "shape", None) or ()
        if all(size == 1 for size in whole[:along]):
            return []  # whole tensors behind each other: copied by the runtime, no code
    copies: list[LoopNest | None] = []
    for source in sources:
        rank = len(getattr(source.type, "shape", None) or ())
        read = _access(source, tuple((i,) for i in range(rank)))
        written = replace(read, is_part=True, value=operation.results[0])
        copies.append(LoopNest(operation.name, "copy", read.shape, (False,) * rank, (read,), (written,)))
    return copies


def _by_maps(operation: Operation) -> LoopNest:
    maps = [m for m in operation.attributes["indexing_maps"] if isinstance(m, AffineMap)]
    inputs, outputs = _operands(operation)
    groups = operation.operand_groups
    ins = groups.get("ins", len(inputs))
    # Scalars among the inputs have a map of their own.
    input_maps = [m for v, m in zip(operation.operands[:ins], maps, strict=False) if isinstance(v.type, TensorType)]
    pairs = list(zip([*inputs, *outputs], [*input_maps, *maps[ins:]], strict=False))
    accesses = [_access(v, tuple(_loops_of(e) for e in m.results)) for v, m in pairs]
    count = maps[0].num_dims
    extents = _extents(count, accesses)
    kinds = operation.attributes.get("iterator_types")
    if kinds is None:  # a named product with maps: what the result lacks is reduced
        reduces = tuple(i not in accesses[-1].loops for i in range(count))
    else:
        reduces = tuple("reduction" in str(getattr(k, "body", k)) for k in kinds)
    body = body_of(operation) if operation.body is not None else _product_body(operation)
    kind = "elementwise"
    if any(reduces):
        kind = "contraction" if operation.name != "linalg.generic" or _multiplies(accesses, reduces, body) else "reduction"
    return LoopNest(
        operation.name, kind, extents, reduces, tuple(accesses[: len(inputs)]), tuple(accesses[len(inputs) :]), body
    )


def _multiplies(accesses: list[Access], reduces: tuple[bool, ...], body: Counter[str]) -> bool:
    """Whether a generic operation is a sum of products of two operands, each indexed by plain loops that the other lacks too."""
    arithmetic = {k.removeprefix("i."): n for k, n in body.items() if k not in ("cast", "i.cast")}
    if arithmetic != {"mul": 1, "add": 1} or len(accesses) != 3:
        return False
    if any(len(axis) != 1 for access in accesses for axis in access.axes):
        return False
    a, b, c = (access.loops for access in accesses)
    return all(loop in a and loop in b for loop, r in enumerate(reduces) if r) and bool((a - b) & c or (b - a) & c)


def _loops_of(expression: Any) -> tuple[int, ...]:
    if isinstance(expression, int):
        return ()
    if expression[0] == "d":
        return (int(expression[1]),)
    if expression[0] == "s":
        return ()
    return tuple(sorted({*_loops_of(expression[1]), *_loops_of(expression[2])}))


def _extents(count: int, accesses: list[Access]) -> tuple[int, ...]:
    extents = [0] * count
    for access in accesses:
        for axis, size in zip(access.axes, access.shape, strict=True):
            if len(axis) == 1:
                extents[axis[0]] = max(extents[axis[0]], size)
    if 0 in extents:
        # A loop that only windows index: what is left of the axis once the other loop has its extent.
        for access in accesses:
            for axis, size in zip(access.axes, access.shape, strict=True):
                open_ = [i for i in axis if extents[i] == 0]
                if len(open_) == 1:
                    others = sum(extents[i] - 1 for i in axis if extents[i])
                    extents[open_[0]] = max(size - others, 1)
    return tuple(max(e, 1) for e in extents)


def _by_letters(
    operation: Operation, letters: tuple[Any, Any, Any], kind: str, body: Counter[str]
) -> LoopNest:
    """A named operation by the loops of its operands: a letter a loop, an axis of a window two letters."""
    inputs, outputs = _operands(operation)
    of_a, of_b, of_out = letters
    order = [*of_out]
    for axis in (*of_a, *of_b):
        order += [letter for letter in axis if letter not in order]
    if kind in ("convolution", "pooling") or any(len(axis) > 1 for axis in of_a):  # the window's loops stand as the filter has them
        order = [*of_out, *_window_order(of_b, of_out)]
    number = {letter: i for i, letter in enumerate(order)}
    chosen = [(inputs[0], of_a), (inputs[1], of_b), (outputs[0], of_out)]
    accesses = [_access(v, tuple(tuple(number[x] for x in axis) for axis in axes)) for v, axes in chosen]
    extents = _extents(len(order), accesses)
    reduces = tuple(letter not in of_out for letter in order)
    return LoopNest(operation.name, kind, extents, reduces, tuple(accesses[:2]), (accesses[2],), body)


def _convolution_letters(match: re.Match[str]) -> tuple[list[str], list[str], list[str]]:
    depthwise, count = bool(match[1]), int(match[2])
    spatial = "dhw"[3 - count :]
    of_x, of_w = match[3] or spatial, match[4] or spatial
    of_out = of_x.replace("c", "c" if depthwise else "f") + ("m" if depthwise and "m" in of_w else "")
    x = [letter + letter.upper() if letter in spatial else letter for letter in of_x]
    w = [letter.upper() if letter in spatial else letter for letter in of_w]
    return x, w, list(of_out)


def _pointwise(operation: Operation, match: re.Match[str]) -> LoopNest | None:
    """A convolution with windows of one element as the product that it is (of every other element where it strides); None for
    others."""
    x, w, out = _convolution_letters(match)
    filters = getattr(operation.operands[1].type, "shape", None) or ()
    if any(size != 1 for letter, size in zip(w, filters, strict=True) if letter.isupper()):
        return None
    nest = _by_letters(operation, (x, w, out), "contraction", _product_body(operation))
    letters = [*out, *_window_order(w, out)]
    kept = {loop: place for place, loop in enumerate(i for i, letter in enumerate(letters) if letter.islower())}
    extents = {loop: nest.extents[loop] for loop in kept}

    def cut(access: Access) -> Access:
        pairs = [(loop, size) for axis, size in zip(access.axes, access.shape, strict=True) for loop in axis if loop in kept]
        shape = tuple(extents[loop] for loop, _ in pairs)
        is_part = access.is_part or any(extents[loop] != size for loop, size in pairs)
        return replace(access, axes=tuple((kept[loop],) for loop, _ in pairs), shape=shape, is_part=is_part)

    return replace(
        nest, name="linalg.generic",
        extents=tuple(extents.values()), reduces=tuple(nest.reduces[loop] for loop in kept),
        inputs=tuple(map(cut, nest.inputs)), outputs=tuple(map(cut, nest.outputs)),
    )  # fmt: skip


def _window_order(of_b: list[str], of_out: list[str]) -> list[str]:
    """The loops that a window's operand has and the result lacks, in its order."""
    return [letter for axis in of_b for letter in axis if letter not in of_out]


def _pool_letters(match: re.Match[str]) -> tuple[list[str], list[str], list[str]]:
    of_x = match[1]
    x = [letter + letter.upper() if letter in "dhw" else letter for letter in of_x]
    return x, [letter.upper() for letter in of_x if letter in "dhw"], list(of_x)


def _reduce(operation: Operation) -> LoopNest:
    inputs, outputs = _operands(operation)
    reduced = set(numbers_of(operation.attributes.get("dimensions")) or ())
    rank = len(getattr(inputs[0].type, "shape", None) or ())
    kept = tuple((i,) for i in range(rank) if i not in reduced)
    accesses = tuple(_access(v, tuple((i,) for i in range(rank))) for v in inputs)
    targets = tuple(_access(v, kept) for v in outputs)
    reduces = tuple(i in reduced for i in range(rank))
    return LoopNest(operation.name, "reduction", accesses[0].shape, reduces, accesses, targets, body_of(operation))


def _softmax(operation: Operation) -> LoopNest:
    inputs, outputs = _operands(operation)
    dimension = int(operation.attributes.get("dimension", -1))
    rank = len(getattr(inputs[0].type, "shape", None) or ())
    straight = tuple((i,) for i in range(rank))
    body = Counter({"max": 1, "sub": 1, "exp": 1, "add": 1, "div": 1})
    reduces = tuple(i == dimension % rank for i in range(rank))
    source = _access(inputs[0], straight)
    return LoopNest(
        operation.name, "softmax", source.shape, reduces, (source,), (_access(outputs[0], straight),), body, operations=4
    )


def _movement_or_map(operation: Operation, short: str) -> LoopNest:
    inputs, outputs = _operands(operation)
    rank = len(getattr(outputs[0].type, "shape", None) or ())
    straight = tuple((i,) for i in range(rank))
    target = _access(outputs[0], straight)
    if short == "transpose":
        order = numbers_of(operation.attributes.get("permutation")) or tuple(range(rank))
        axes = [()] * rank
        for place, source in enumerate(order):
            axes[int(source)] = (place,)  # type: ignore[call-overload]
        read: tuple[Axes, ...] = (tuple(axes),)
    elif short == "broadcast":
        new = set(numbers_of(operation.attributes.get("dimensions")) or ())
        read = (tuple((i,) for i in range(rank) if i not in new),)
    else:
        read = (straight,) * len(inputs)
    body = body_of(operation) if short == "map" else Counter()
    if short.startswith("elem"):
        function = str(operation.attributes.get("kind", operation.attributes.get("fun", "add")))
        word = re.findall(r"[a-z_]+", function.rpartition("<")[2]) or ["add"]
        body = Counter({_typed(TENSOR_KINDS.get(f"linalg.{word[0]}", word[0]), operation): 1})
    accesses = tuple(_access(v, a) for v, a in zip(inputs, read, strict=True))
    return LoopNest(operation.name, "elementwise", target.shape, (False,) * rank, accesses, (target,), body)


def _product_body(operation: Operation) -> Counter[str]:
    """Of a product: a multiplication and an addition, and casts where the accumulator is wider."""
    values = [v for v in (*operation.operands, *operation.results) if isinstance(v.type, TensorType)]
    types = [bits_of(v.type.element) for v in values]  # type: ignore[union-attr]
    prefix = "" if types[-1][1] else "i."
    body: Counter[str] = Counter({prefix + "mul": 1, prefix + "add": 1})
    casts = sum(t != types[-1] for t in types[:2])
    if casts:
        body["cast" if types[-1][1] else "i.cast"] = casts
    return body


def _typed(function: str, operation: Operation) -> str:
    value = (*operation.results, *operation.operands)[0]
    element = value.type.element if isinstance(value.type, TensorType) else value.type
    return function if bits_of(element)[1] else f"i.{function}"


def body_of(operation: Operation) -> Counter[str]:
    """The scalar operations of a body, regions within it included."""
    counts: Counter[str] = Counter()
    for inner in operation.walk():
        if inner is operation or inner.name.endswith(".yield") or inner.name == "arith.constant":
            continue
        kind = SCALAR_KINDS.get(inner.name, inner.name)
        if inner.name == "linalg.index":
            kind = "index"
        value = (*inner.operands, *inner.results)[0] if (inner.operands or inner.results) else None
        is_float = value is None or bits_of(value.type)[1]
        counts[kind if is_float or kind == "index" else f"i.{kind}"] += 1
    return counts


def total_bytes(nests: list[LoopNest]) -> int:
    """What the operands of some nests hold."""
    return sum(prod(a.shape) * max(a.bits, 8) // 8 for nest in nests for a in nest.operands)
