"""Types of results where a custom form does not spell them out."""

from __future__ import annotations

from collections.abc import Callable

from perfmodel.features.mlir.parse_types import TypeTable
from perfmodel.features.mlir.pending import CUSTOM, Pending
from perfmodel.features.mlir.types import (
    SHAPED,
    ComplexType,
    DialectType,
    FunctionType,
    MemRefType,
    ScalarType,
    TensorType,
    Type,
    VectorType,
)

_INDEX = ScalarType("index")
_I1 = ScalarType("i1")


def result_types(pending: Pending, count: int) -> list[Type | None]:
    """A type for each of ``count`` results; None where nothing says it."""
    operation = pending.operation
    if pending.phase != CUSTOM:
        return list(pending.results)
    rule = RULES.get(operation.name)
    if rule is not None:
        inferred = rule(pending)
        if len(inferred) == count:
            return inferred
    given: list[Type] = pending.results
    if pending.arrow == "from":
        given = pending.types
    elif not given:
        given = pending.types
        if not given and operation.dialect == "linalg":
            return _outputs(pending, count)
    if len(given) == count:
        return list(given)
    if len(given) == 1:
        return [given[0]] * count
    if given and count == 1 and not pending.results:  # operands first, the result last
        return [given[-1]]
    if not given and (fixed := _FIXED.get(operation.name)) is not None:
        return [fixed] * count
    return [None] * count


def _outputs(pending: Pending, count: int) -> list[Type | None]:
    """The results of linalg's operations on tensors are their outputs."""
    operands = pending.operation.operands
    tensors = [v.type for v in operands[len(operands) - pending.operation.operand_groups.get("outs", count) :]]
    return tensors if len(tensors) == count else [None] * count


def _element(pending: Pending) -> list[Type | None]:
    kind = pending.types[0] if pending.types else None
    if isinstance(kind, SHAPED):
        return [kind.element]
    return [kind.element] if isinstance(kind, ComplexType) else [kind]


def _first(pending: Pending) -> list[Type | None]:
    return [pending.types[0]] if pending.types else []


def _index(pending: Pending) -> list[Type | None]:
    return [_INDEX]


def _condition(pending: Pending) -> list[Type | None]:
    """One bit for each element of what is compared."""
    if not pending.types:
        return []
    kind = pending.types[0]
    if isinstance(kind, VectorType):
        return [VectorType(kind.shape, _I1, kind.scalable)]
    if isinstance(kind, TensorType):
        return [TensorType(kind.shape, _I1, kind.encoding)]
    return [_I1]


def _overflowing(pending: Pending) -> list[Type | None]:
    if not pending.types:
        return []
    return [pending.types[0], *(_condition(pending) if len(pending.types) == 1 else pending.types[1:])]


def _constant(pending: Pending) -> list[Type | None]:
    """``arith.constant true`` has no type behind it."""
    if not pending.types and isinstance(pending.operation.attributes.get("value"), bool):
        return [_I1]
    return list(pending.types)


def _function(pending: Pending) -> list[Type | None]:
    """``func.constant @f : (i32) -> i32``: the type behind the colon is that of one value."""
    return [FunctionType(tuple(pending.types), tuple(pending.results))]


def _to_tensor(pending: Pending) -> list[Type | None]:
    if pending.results:
        return list(pending.results)
    kind = pending.types[0] if pending.types else None
    return [TensorType(kind.shape, kind.element)] if isinstance(kind, MemRefType) else [kind]


def _to_memref(pending: Pending) -> list[Type | None]:
    return list(pending.results or pending.types)


def _shuffle(pending: Pending) -> list[Type | None]:
    mask = next((x for x in pending.literals if isinstance(x, tuple)), None)
    kind = pending.types[0] if pending.types else None
    if mask is None or not isinstance(kind, VectorType):
        return []
    return [VectorType((len(mask), *kind.shape[1:]), kind.element)]


def _outer_product(pending: Pending) -> list[Type | None]:
    if len(pending.types) < 2:
        return []
    left, right = pending.types[:2]
    if not isinstance(left, VectorType):
        return []
    return [VectorType((*left.shape, *right.shape), left.element) if isinstance(right, VectorType) else left]


def _gpu_shuffle(pending: Pending) -> list[Type | None]:
    return [pending.types[0], _I1] if pending.types else []


def _async_copy(pending: Pending) -> list[Type | None]:
    return [DialectType("nvgpu.device.async.token")]


def _carried(pending: Pending) -> list[Type | None]:
    """Loops yield what they carry."""
    return list(pending.results or pending.types)


def _loaded(pending: Pending) -> list[Type | None]:
    """Triton writes the type of the pointers, not that of what they point to."""
    kind = pending.types[0] if pending.types else None
    element = kind.element if isinstance(kind, TensorType) else kind
    if not isinstance(element, DialectType) or element.name != "tt.ptr":
        return [kind]
    inner = TypeTable(lambda text: None).named(element.body.partition(", ")[0])
    return [TensorType(kind.shape, inner) if isinstance(kind, TensorType) else inner]


_Rule = Callable[[Pending], list[Type | None]]
RULES: dict[str, _Rule] = {
    "arith.constant": _constant,
    "tt.load": _loaded,
    "func.constant": _function,
    **dict.fromkeys("arith.cmpi arith.cmpf".split(), _condition),
    **dict.fromkeys("math.isnan math.isinf math.isfinite math.isnormal complex.eq complex.neq".split(), _condition),
    "arith.addui_extended": _overflowing,
    **dict.fromkeys(
        (
            "memref.load affine.load tensor.extract memref.atomic_rmw memref.generic_atomic_rmw complex.abs "
            "complex.re complex.im complex.angle vector.extractelement"
        ).split(),
        _element,
    ),
    **dict.fromkeys(
        (
            "tensor.dim memref.dim tensor.rank memref.rank affine.apply affine.min affine.max linalg.index "
            "memref.extract_aligned_pointer_as_index vector.vscale"
        ).split(),
        _index,
    ),
    **dict.fromkeys("math.fpowi vector.insertelement".split(), _first),
    "bufferization.to_tensor": _to_tensor,
    "bufferization.to_memref": _to_memref,
    "vector.shuffle": _shuffle,
    "vector.outerproduct": _outer_product,
    "gpu.shuffle": _gpu_shuffle,
    **dict.fromkeys("nvgpu.device_async_copy nvgpu.device_async_create_group".split(), _async_copy),
    **dict.fromkeys("scf.for affine.for scf.while stablehlo.while".split(), _carried),
}
"""Rules that go before what the types behind the colon say."""

_FIXED: dict[str, Type] = {
    **dict.fromkeys(
        (
            "gpu.thread_id gpu.block_id gpu.block_dim gpu.grid_dim gpu.global_id gpu.lane_id gpu.subgroup_id "
            "gpu.num_subgroups gpu.subgroup_size gpu.cluster_id gpu.cluster_dim hal.interface.workgroup.id "
            "hal.interface.workgroup.size hal.interface.workgroup.count flow.dispatch.workgroup.id "
            "flow.dispatch.workgroup.size flow.dispatch.workgroup.count index.constant"
        ).split(),
        _INDEX,
    ),
    "torch.constant.int": DialectType("torch.int"),
    "torch.constant.float": DialectType("torch.float"),
    "torch.constant.bool": DialectType("torch.bool"),
    "torch.constant.str": DialectType("torch.str"),
    "torch.constant.none": DialectType("torch.none"),
    "torch.constant.device": DialectType("torch.Device"),
    "gpu.wait": DialectType("gpu.async.token"),
    "gpu.launch_func": DialectType("gpu.async.token"),
    "gpu.dealloc": DialectType("gpu.async.token"),
    "gpu.memcpy": DialectType("gpu.async.token"),
    "vector.create_mask": _I1,
}
"""Types of results that the custom form never writes."""
