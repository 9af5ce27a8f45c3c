"""The loop nests of a module's entry function, in order; what is no operation of linalg or of tensors is named."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import Any

from perfmodel.errors import ModelFileError
from perfmodel.features.lowering.loops import Access, Axes, LoopNest
from perfmodel.features.lowering.operands import access_of, body_of, extents_of, operands_of, product_body, typed
from perfmodel.features.lowering.windows import by_letters, window_nest
from perfmodel.features.mlir.attribute_values import numbers_of
from perfmodel.features.mlir.attributes import AffineMap
from perfmodel.features.mlir.ir import Module, Operation, Value
from perfmodel.features.mlir.kinds import TENSOR_KINDS
from perfmodel.features.mlir.reader import entry_of
from perfmodel.features.mlir.rules_linalg import PRODUCTS
from perfmodel.features.mlir.types import TensorType

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
        elif name in _NO_CODE or not any(
            isinstance(v.type, TensorType) for v in (*operation.results, *operation.operands)
        ):
            continue
        else:
            try:
                nests = _copies(operation) if name in _COPIES else [_nest(operation)]
                for nest in nests:
                    _check(nest)
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


def _check(nest: LoopNest | None) -> None:
    """Raises ValueError where the loops of a nest and its operands contradict each other."""
    if nest is None:
        return
    if len(nest.reduces) != len(nest.extents):
        raise ValueError(f"{len(nest.reduces)} iterator types for {len(nest.extents)} loops")
    if not nest.outputs:
        raise ValueError("it has no output")


def _nest(operation: Operation) -> LoopNest | None:
    name = operation.name
    short = name.partition(".")[2]
    if name in ("linalg.generic", "linalg.contract") or (
        short in PRODUCTS and isinstance(operation.attributes.get("indexing_maps"), tuple)
    ):
        return _by_maps(operation)
    if name.startswith("linalg."):
        if short in PRODUCTS:
            return by_letters(operation, PRODUCTS[short], "contraction", product_body(operation))
        if (window := window_nest(operation, short)) is not None:
            return window
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
        return _straight(operation, "elementwise", Counter({typed(TENSOR_KINDS[name], operation): 1}))
    return None


def _straight(operation: Operation, kind: str, body: Counter[str]) -> LoopNest:
    inputs, outputs = operands_of(operation)
    rank = len(getattr(outputs[0].type, "shape", None) or ())
    target = access_of(outputs[0], tuple((i,) for i in range(rank)))
    accesses = []
    for value in inputs:
        shape = tuple(getattr(value.type, "shape", ()) or ())
        # Operands of fewer axes are aligned at the last one; what they index does not matter to a fill or a copy.
        first = rank - len(shape)
        accesses.append(access_of(value, tuple((max(first + i, 0),) for i in range(len(shape)))))
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
        read = access_of(source, tuple((i,) for i in range(rank)))
        written = replace(read, is_part=True, value=operation.results[0])
        copies.append(LoopNest(operation.name, "copy", read.shape, (False,) * rank, (read,), (written,)))
    return copies


def _by_maps(operation: Operation) -> LoopNest:
    maps = [m for m in operation.attributes["indexing_maps"] if isinstance(m, AffineMap)]
    inputs, outputs = operands_of(operation)
    groups = operation.operand_groups
    ins = groups.get("ins", len(inputs))
    # Scalars among the inputs have a map of their own.
    input_maps = [m for v, m in zip(operation.operands[:ins], maps, strict=False) if isinstance(v.type, TensorType)]
    pairs = list(zip([*inputs, *outputs], [*input_maps, *maps[ins:]], strict=False))
    accesses = [access_of(v, tuple(_loops_of(e) for e in m.results)) for v, m in pairs]
    count = maps[0].num_dims
    extents = extents_of(count, accesses)
    kinds = operation.attributes.get("iterator_types")
    if kinds is None:  # a named product with maps: what the result lacks is reduced
        reduces = tuple(i not in accesses[-1].loops for i in range(count))
    else:
        reduces = tuple("reduction" in str(getattr(k, "body", k)) for k in kinds)
    body = body_of(operation) if operation.body is not None else product_body(operation)
    kind = "elementwise"
    if any(reduces):
        is_product = operation.name != "linalg.generic" or _multiplies(accesses, reduces, body)
        kind = "contraction" if is_product else "reduction"
    return LoopNest(
        operation.name, kind, extents, reduces, tuple(accesses[: len(inputs)]), tuple(accesses[len(inputs) :]), body
    )


def _multiplies(accesses: list[Access], reduces: tuple[bool, ...], body: Counter[str]) -> bool:
    """Whether a generic operation is a sum of products of two operands, each indexed by plain loops."""
    arithmetic = {k.rpartition(".")[2]: n for k, n in body.items() if not k.endswith(("cast", "narrow"))}
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


def _reduce(operation: Operation) -> LoopNest:
    inputs, outputs = operands_of(operation)
    reduced = set(numbers_of(operation.attributes.get("dimensions")) or ())
    rank = len(getattr(inputs[0].type, "shape", None) or ())
    kept = tuple((i,) for i in range(rank) if i not in reduced)
    accesses = tuple(access_of(v, tuple((i,) for i in range(rank))) for v in inputs)
    targets = tuple(access_of(v, kept) for v in outputs)
    reduces = tuple(i in reduced for i in range(rank))
    return LoopNest(operation.name, "reduction", accesses[0].shape, reduces, accesses, targets, body_of(operation))


def _softmax(operation: Operation) -> LoopNest:
    inputs, outputs = operands_of(operation)
    dimension = int(operation.attributes.get("dimension", -1))
    rank = len(getattr(inputs[0].type, "shape", None) or ())
    straight = tuple((i,) for i in range(rank))
    body = Counter({"max": 1, "sub": 1, "exp": 1, "add": 1, "div": 1})
    reduces = tuple(i == dimension % rank for i in range(rank))
    source = access_of(inputs[0], straight)
    return LoopNest(
        operation.name,
        "softmax",
        source.shape,
        reduces,
        (source,),
        (access_of(outputs[0], straight),),
        body,
        operations=4,
    )


def _movement_or_map(operation: Operation, short: str) -> LoopNest:
    inputs, outputs = operands_of(operation)
    rank = len(getattr(outputs[0].type, "shape", None) or ())
    straight = tuple((i,) for i in range(rank))
    target = access_of(outputs[0], straight)
    if short == "transpose":
        order = numbers_of(operation.attributes.get("permutation")) or tuple(range(rank))
        axes: list[tuple[int, ...]] = [()] * rank
        for place, source in enumerate(order):
            axes[int(source)] = (place,)
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
        body = Counter({typed(TENSOR_KINDS.get(f"linalg.{word[0]}", word[0]), operation): 1})
    accesses = tuple(access_of(v, a) for v, a in zip(inputs, read, strict=True))
    return LoopNest(operation.name, "elementwise", target.shape, (False,) * rank, accesses, (target,), body)
