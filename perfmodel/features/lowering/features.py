"""Features of one dispatch: what the compiler is given, and what its heuristics will make of it.

The names and their order stand in ``features/lowering.v1.toml``; :func:`features_of` gives the values.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from functools import lru_cache
from math import log, prod

import numpy as np

from perfmodel.features.lowering.forming import Dispatch
from perfmodel.features.lowering.loops import LoopNest
from perfmodel.features.lowering.target import CompileTarget
from perfmodel.features.lowering.tiling import Tiling, tiling_of
from perfmodel.features.lowering.vector_code import VectorCode, tiles_of, tiling_for, vector_code

KINDS = ("contraction", "convolution", "pooling", "reduction", "softmax", "elementwise", "copy", "pack")
STRATEGIES = ("contraction", "convolution", "transpose", "elementwise", "generic", "default")
GROUPS: dict[str, tuple[str, ...]] = {
    "add": ("add", "sub"),
    "sign": ("neg", "abs", "i.abs", "i.neg"),
    "mul": ("mul", "square"),
    "fma": ("mul+add",),
    "max": ("max", "min", "clip"),
    "select": ("compare", "where", "is_nan", "is_inf", "sign", "greater", "greater_equal", "equal"),
    "div": ("div", "reciprocal"),
    "sqrt": ("sqrt",),
    "rsqrt": ("rsqrt",),
    "exp": ("exp", "expm1", "sigmoid"),
    "log": ("log", "log1p"),
    "tanh": ("tanh",),
    "erf": ("erf",),
    "pow": ("pow", "cube_root"),
    "trigonometric": ("sin", "cos", "tan", "asin", "acos", "atan", "sinh", "cosh"),
    "round": ("round", "floor", "ceil", "trunc"),
    "cast": ("cast", "i.cast"),
    "cast_half": ("f16.cast",),
    "cast_brain": ("bf16.cast",),
    "narrow_brain": ("bf16.narrow",),
    "integer_add": ("i.add", "i.sub"),
    "integer_mul": ("i.mul", "i.square"),
    "integer_max": ("i.max", "i.min", "i.clip"),
    "integer_select": ("i.compare", "i.where", "i.sign"),
    "integer": ("i.and", "i.or", "i.xor", "i.shift", "i.not", "i.bitwise", "and", "or", "xor", "not"),
    "integer_div": ("i.div", "i.mod"),
    "index": ("index",),
    "lane_sum": ("lane_sum",),
    "integer_lane_sum": ("i.lane_sum",),
    "load": ("load",),
    "load_half": ("load.f16",),
    "load_brain": ("load.bf16",),
    "load_byte": ("load.i8",),
    "store": ("store",),
    "store_half": ("store.f16",),
    "store_brain": ("store.bf16",),
    "store_byte": ("store.i8",),
    "broadcast": tuple(f"broadcast_{way}{kind}" for way in ("load", "store") for kind in ("", ".f16", ".bf16", ".i8")),
    "gather": tuple(f"gather_{way}{kind}" for way in ("load", "store") for kind in ("", ".f16", ".bf16", ".i8")),
}
"""Scalar operations that become alike code; what stands in none is ``other``."""
_GROUP_OF = {kind: group for group, kinds in GROUPS.items() for kind in kinds}
OPERATIONS = (*GROUPS, "other", "half", "brain")
"""The groups; ``half`` and ``brain`` count what is computed in f16 and bf16 beside the group that it stands in."""
_NO_ARITHMETIC = frozenset(
    "cast cast_half cast_brain narrow_brain integer integer_select select index half brain other".split()
)
_PARALLEL, _REDUCTION = 4, 3
"""Loops that have features of their own: the innermost ones of each kind."""


@dataclass(frozen=True)
class DispatchFeatures:
    """The features of a dispatch, and what a reader of them wants to see.

    Attributes:
        values: by name.
        static: vector operations in the code, by group.
        executed: vector operations executed, by group.
        tiling: of the root.
        iterations: of all nests.
        flops: floating-point operations of the bodies (a vector operation of a known kind counts once a lane).
        bytes: of all tensors read and written from memory.
    """

    values: dict[str, float]
    static: Counter[str]
    executed: Counter[str]
    tiling: Tiling
    iterations: int
    flops: float
    bytes: int


def features_of(dispatch: Dispatch, target: CompileTarget, tiling: Tiling | None = None) -> DispatchFeatures:
    """The features of a dispatch on a target.

    Args:
        dispatch: of :func:`~perfmodel.features.lowering.forming.dispatches_of`.
        target: what it is compiled for.
        tiling: tiles of the root in place of those that the heuristic chooses, to see what other tiles would give.
    """
    root = dispatch.root
    tiling = tiling or tiling_of(root, target)
    stays_scalar = _stays_scalar(root, tiling)
    codes = [
        (nest, vector_code(nest, *tiling_for(nest, root, tiling), target, scalar=stays_scalar and nest is root))
        for nest in dispatch.nests
    ]
    root_code = next(code for nest, code in codes if nest is root)
    static, executed, scalar = Counter[str](), Counter[str](), Counter[str]()
    for nest, code in codes:
        if nest.kind in ("contraction", "convolution"):
            code = replace(code, static=_with_fma(code.static), executed=_with_fma(code.executed))
        static.update(_grouped(code.static))
        executed.update(_grouped(code.executed))
        scalar.update({k: n * nest.iterations for k, n in _grouped(nest.body).items()})
    iterations = sum(nest.iterations for nest in dispatch.nests)
    made = {id(o.value) for n in dispatch.nests for o in n.outputs if o.value is not None}
    inputs = [a for n in dispatch.nests for a in n.inputs if id(a.value) not in made or a.value is None]
    outputs = dispatch.nests[-1].outputs
    size = sum(a.bytes for a in (*inputs, *outputs))
    flops = float(sum(n for k, n in scalar.items() if k not in _NO_ARITHMETIC))
    values: dict[str, float] = {}
    values.update(_root_features(root, tiling, target, root_code))
    values.update(_loop_features(root, tiling))
    values["nests"] = len(dispatch.nests)
    values["operations"] = sum(n.operations for n in dispatch.nests)
    values["reductions"] = sum(1 for n in dispatch.nests if n.reduction)
    values["inputs"] = len(inputs)
    values["ln_bytes"] = _ln(size)
    values["ln_iterations"] = _ln(iterations)
    values["ln_flops"] = _ln(flops)
    values["ln_static_vectors"] = _ln(sum(static.values()))
    values["ln_executed_vectors"] = _ln(sum(executed.values()))
    values["ln_variants_all"] = _ln(sum(code.variants for _, code in codes))
    values["ln_unrolled_all"] = _ln(sum(code.unrolled for _, code in codes))
    values["ln_tiles_all"] = _ln(sum(code.tiles for _, code in codes))
    values["ln_scalar_all"] = _ln(sum(code.scalar_iterations for _, code in codes))
    values["most_live"] = max(code.live for _, code in codes)
    for group in OPERATIONS:
        values[f"body_{group}"] = float(sum(_grouped(n.body).get(group, 0) for n in dispatch.nests))
        values[f"static_{group}"] = _ln(static[group])
        values[f"share_{group}"] = executed[group] / max(sum(executed.values()), 1)
    return DispatchFeatures(values, static, executed, tiling, iterations, flops, size)


def _stays_scalar(root: LoopNest, tiling: Tiling) -> bool:
    """Whether the compiler (IREE 3.13) fails to vectorise the root, as the code of the shipped rows shows."""
    if root.kind in ("convolution", "pooling") and tiling.strategy == "generic":
        return True  # windows that are lowered as reductions are
    if "index" in root.body or (root.reduction and {"f16.max", "f16.min"} & set(root.body)):
        return True  # the number of the iteration, and a maximum that haswell has no instruction for
    # Squares that are summed in lanes of their own.
    arithmetic = {kind.rpartition(".")[2] for kind in root.body if not kind.endswith(("cast", "narrow"))}
    in_lanes = bool(root.reduction) and tiling.vector[root.reduction[-1]] == 1
    return root.kind == "reduction" and in_lanes and arithmetic == {"mul", "add"}


STATIC_TERMS = (*(f"static_{group}" for group in OPERATIONS), "ln_variants_all", "nests")
EXECUTED_TERMS = (
    *(f"share_{group}" for group in OPERATIONS),
    "ln_tiles_all",
    "ln_scalar_all",
    "ln_workgroups",
    "nests",
)
"""Features that hold the terms of a first, linear estimate of instructions in the code and executed."""


def terms(matrix: np.ndarray, which: tuple[str, ...]) -> np.ndarray:
    """The terms of a linear estimate as plain numbers, from features; shape ``[rows, terms + 1]``, a column of ones last.

    Args:
        matrix: features, shape ``[rows, features]``.
        which: :data:`STATIC_TERMS` or :data:`EXECUTED_TERMS`.
    """
    columns = names()
    total = np.expm1(matrix[:, columns.index("ln_executed_vectors")])
    found = []
    for name in which:
        values = matrix[:, columns.index(name)]
        if name.startswith("share_"):
            values = values * total
        elif name.startswith(("static_", "ln_")):
            values = np.expm1(values)
        found.append(values)
    return np.column_stack([*found, np.ones(len(matrix))])


@lru_cache(maxsize=1)
def names() -> tuple[str, ...]:
    """Names of the features, in the order of the columns of a matrix."""
    from perfmodel.features.lowering.loops import Access

    access = Access(((0,),), (8,), 32)
    nest = LoopNest("linalg.add", "elementwise", (8,), (False,), (access,), (access,), Counter(add=1))
    return tuple(features_of(Dispatch([nest]), CompileTarget("x", "x", 32, 16)).values)


def _root_features(root: LoopNest, tiling: Tiling, target: CompileTarget, code: VectorCode) -> dict[str, float]:
    values: dict[str, float] = {f"is_{kind}": float(root.kind == kind) for kind in KINDS}
    values.update({f"strategy_{s}": float(tiling.strategy == s) for s in STRATEGIES})
    values["is_generic"] = float(root.name == "linalg.generic")
    values["is_transpose"] = float(root.is_transpose)
    values["is_batched"] = float("batch" in root.name)
    values["is_depthwise"] = float("depthwise" in root.name)
    values["is_channels_first"] = float("nchw" in root.name)
    values["parallel_loops"], values["reduction_loops"] = len(root.parallel), len(root.reduction)
    values["ln_root_iterations"] = _ln(root.iterations)
    values["ln_parallel"] = _ln(prod(root.extents[i] for i in root.parallel))
    values["ln_reduction"] = _ln(prod(root.extents[i] for i in root.reduction))
    operands = root.operands
    values["bits_first"], values["bits_last"] = operands[0].bits, operands[-1].bits
    values["bits_least"] = min(a.bits for a in operands)
    values["floats"] = sum(a.is_float for a in operands) / len(operands)
    values["half_operands"] = sum(a.bits == 16 and a.is_float and not a.is_brain for a in operands)
    values["brain_operands"] = sum(a.is_brain for a in operands)
    values["parts"] = sum(a.is_part for a in operands)
    steps = [a.step(loop, root.extents) for a in root.inputs for loop in (axis[0] for axis in a.axes if axis)]
    values["largest_step"] = max(steps, default=1)
    values["results"] = len(root.outputs)
    values["windows"] = sum(len(axis) > 1 for a in operands for axis in a.axes)
    values["broadcast_operands"] = sum(len(a.loops) < len(operands[-1].loops) for a in root.inputs)
    lane = code.lane_loop
    values["lanes"] = code.lanes
    values["lane_reduces"] = float(code.lane_reduces)
    values["lane_remainder"] = float(root.extents[lane] % code.lanes) if lane is not None else 0.0
    values["lane_extent"] = _ln(root.extents[lane]) if lane is not None else 0.0
    values["contiguous_operands"] = sum(a.innermost == lane for a in operands) if lane is not None else 0
    values["gathered_operands"] = sum(lane in a.loops and a.innermost != lane for a in operands)
    values["ln_variants"], values["ln_unrolled"] = _ln(code.variants), _ln(code.unrolled)
    values["live"] = code.live
    values["live_share"] = code.live / target.vector_registers
    values["ln_tiles"], values["ln_workgroups"] = _ln(code.tiles), _ln(code.workgroups)
    values["ln_scalar_iterations"] = _ln(code.scalar_iterations)
    return values


def _loop_features(root: LoopNest, tiling: Tiling) -> dict[str, float]:
    values: dict[str, float] = {}
    for label, loops, count in (("p", root.parallel, _PARALLEL), ("r", root.reduction, _REDUCTION)):
        padded = [*([None] * max(0, count - len(loops))), *loops[-count:]]
        for place, loop in zip(range(count - 1, -1, -1), padded, strict=True):
            name = f"{label}{place}"
            if loop is None:
                values.update({f"{name}_ln": 0.0, f"{name}_tile": 0.0, f"{name}_vector": 0.0, f"{name}_rest": 0.0,
                               f"{name}_last": 0.0, f"{name}_trips": 0.0, f"{name}_shapes": 0.0})  # fmt: skip
                continue
            extent, tile, vector = root.extents[loop], tiling.distribution[loop], tiling.vector[loop]
            tiles = tiles_of(extent, tile, vector)
            group = tile or extent
            values[f"{name}_ln"] = _ln(extent)
            values[f"{name}_tile"] = _ln(group)
            values[f"{name}_vector"] = vector
            values[f"{name}_rest"] = group % tiles.size
            values[f"{name}_last"] = extent % group
            values[f"{name}_trips"] = _ln(group // tiles.size)
            values[f"{name}_shapes"] = tiles.shapes
    return values


def _with_fma(counts: Counter[str]) -> Counter[str]:
    """Floating multiplications and additions of a product as what they are together: fused ones."""
    fused = min(counts["mul"], counts["add"])
    rest = counts - Counter({"mul": fused, "add": fused})
    return rest + Counter({"mul+add": fused})


def _grouped(counts: Counter[str]) -> Counter[str]:
    grouped: Counter[str] = Counter()
    for kind, count in counts.items():
        group = _GROUP_OF.get(kind)
        if group is None:
            prefix, _, plain = kind.partition(".")
            group = _GROUP_OF.get(plain, "other") if prefix in ("f16", "bf16") else "other"
            if prefix in ("f16", "bf16"):
                grouped["half" if prefix == "f16" else "brain"] += count
        grouped[group] += count
    return grouped


def _ln(value: float) -> float:
    return log(1.0 + value)
