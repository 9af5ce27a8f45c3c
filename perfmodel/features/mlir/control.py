"""Calls, branches and loops: their bodies become nodes that run as often as they do."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from perfmodel.features.mlir import nests, trips
from perfmodel.features.mlir.attribute_values import numbers_of
from perfmodel.features.mlir.ir import Block, Operation, Value
from perfmodel.features.mlir.known import Known, Origin
from perfmodel.features.mlir.scalar_code import LOOPS, is_scalar_code
from perfmodel.features.mlir.types import SHAPED, MemRefType, TensorType
from perfmodel.features.onnx.control import _cost
from perfmodel.graph import Removed
from perfmodel.ops import View
from perfmodel.ops.base import is_symbolic

if TYPE_CHECKING:
    from perfmodel.features.mlir.convert import Conversion

CALLEES = ("callee", "decomposition", "called_computation", "fn", "function")
"""Attributes that name the function that an operation runs."""


def call(convert: Conversion, operation: Operation) -> None:
    """func.call, composite and alike: the function's operations stand here, under its name."""
    attributes = operation.attributes
    target = next((attributes[n] for n in CALLEES if n in attributes), None)
    if isinstance(target, tuple) and target:
        target = target[0]
    function = convert.module.lookup(target, operation) if target is not None else None
    known = [convert.known(v) for v in operation.operands]
    if function is None or not function.regions or not function.regions[0].blocks:
        convert.outside_call(operation, known, f"the function {target} has no body here")
        return
    name = convert.name_of(operation)
    label = function.symbol or name
    results = convert.run_function(function, known, convert.scope(label))
    convert.removed.append(Removed(name, operation.name, "a call: the operations of the function stand in its place"))
    for value, result in zip(operation.results, results, strict=False):
        convert.env[value] = result
    for outer, inner in zip(operation.operands, function.regions[0].blocks[0].arguments, strict=False):
        if inner in convert.buffers:  # it writes to a buffer that it is given
            convert.buffers[outer] = convert.buffers.pop(inner)
            convert.env[outer] = Known(convert.buffers[outer])


def _bind(convert: Conversion, block: Block, known: Sequence[Known], *, loop: bool) -> None:
    """Let the arguments of a body be what enters it. What a loop carries is no constant, whatever it starts from."""
    handed = block.terminator.operands if loop and block.terminator is not None else ()
    for index, (value, k) in enumerate(zip(block.arguments, known, strict=False)):
        if loop and k.tensor is not None and index < len(handed) and handed[index] is value:
            convert.env[value] = k  # the same in every iteration
            continue
        if not loop or k.tensor is None:
            convert.env[value] = Known(origin=Origin.HOST) if loop and k.tensor is None and k.items is None else k
            continue
        is_counter = k.origin is not None and not k.tensor.shape and k.tensor.dtype.startswith(("int", "uint", "bool"))
        if is_counter:
            convert.env[value] = Known(convert.fresh(value).tensor, origin=Origin.HOST)
            if convert.env[value].tensor is None:
                convert.env[value] = Known(origin=Origin.HOST)
        else:
            convert.full(k)
            convert.env[value] = Known(k.tensor, source=k.source)


def _link(convert: Conversion, operation: Operation, results: Sequence[Known]) -> None:
    """Views from a body's results to those of the operation."""
    for value, known in zip(operation.results, results, strict=False):
        convert.full(known)
        if known.tensor is None or not isinstance(value.type, SHAPED):
            convert.env[value] = Known(origin=known.origin or Origin.HOST) if known.items is None else known
            continue
        if known.origin is not None and not known.tensor.shape:
            convert.env[value] = Known(known.tensor, origin=Origin.HOST)
            continue
        found = convert.typed(value.type)
        dtype = found[1] if found is not None else known.tensor.dtype
        target = convert.make_tensor(value.name or "v", known.tensor.shape, dtype)
        view = View(kind="identity", dtype=known.tensor.dtype)
        convert.add(operation, view, (known.tensor.name,), (target.name,), {})
        convert.env[value] = Known(target)


def while_(convert: Conversion, operation: Operation) -> None:
    """stablehlo.while and scf.while, counted as often as a counter in its condition allows."""
    if operation.name == "scf.while" and is_scalar_code(operation):
        nests.describe(convert, operation)
        return
    known = [convert.known(v) for v in operation.operands]
    condition, body = (r.entry for r in operation.regions[:2])
    if condition is None or body is None:
        return
    count = trips.of_while(convert, operation, condition, body)
    _repeat(convert, operation, body, known, count)


def _repeat(convert: Conversion, operation: Operation, body: Block, known: Sequence[Known], count: Any) -> None:
    count = _given(convert, operation, count)
    if not is_symbolic(count) and count == 0:
        _link(convert, operation, known)
        return
    outer = convert.count
    _bind(convert, body, known, loop=True)
    convert.count = outer * count
    try:
        results = convert.run_block(body)
    finally:
        convert.count = outer
    convert.removed.append(
        Removed(
            convert.name_of(operation),
            operation.name,
            _runs(count),
        )
    )
    _link(convert, operation, results)


def _runs(count: Any) -> str:
    return f"a loop: its body runs {'once' if not is_symbolic(count) and count == 1 else f'{count} times'}"


def _given(convert: Conversion, operation: Operation, count: Any) -> Any:
    """The number of iterations; where nothing gives it, one, and a warning that says how to give it."""
    name = convert.name_of(operation, used=False)
    dimension = convert.dims.loop(name)
    if dimension in convert.dims.given:
        return convert.dims.given[dimension]
    if count is not None:
        return count
    convert.note(
        f"{operation.name}: how often its body runs depends on data; counted once: --dim {dimension}=N counts it N times",
        name,
    )
    return 1


def for_(convert: Conversion, operation: Operation) -> None:
    """scf.for and affine.for: a nest of scalar code is one kernel; tensor code inside is repeated."""
    if is_scalar_code(operation):
        nests.describe(convert, operation)
        return
    body = operation.body
    if body is None:
        return
    carried = _carried(operation)
    known = [convert.known(v) for v in carried]
    count = trips.of_loop(convert, operation)
    variables = len(body.arguments) - len(carried)
    for value in body.arguments[: max(variables, 0)]:
        convert.env[value] = Known(origin=Origin.HOST)
    outer = convert.count
    count = _given(convert, operation, count)
    if not is_symbolic(count) and count == 0:
        _link(convert, operation, known)
        return
    for value, k in zip(body.arguments[max(variables, 0) :], known, strict=False):
        convert.full(k)
        convert.env[value] = Known(k.tensor, origin=None if k.tensor is not None else Origin.HOST, source=k.source)
    convert.count = outer * count
    try:
        results = convert.run_block(body)
    finally:
        convert.count = outer
    convert.removed.append(
        Removed(
            convert.name_of(operation),
            operation.name,
            _runs(count),
        )
    )
    if operation.results and not results:  # scf.forall: what its parts are inserted into
        results = known
    _link(convert, operation, results)


def _carried(operation: Operation) -> list[Value]:
    """The operands that enter the body of a loop."""
    count = len(operation.results)
    if operation.name in ("scf.forall",):
        return operation.operands[len(operation.operands) - count :] if count else []
    groups = operation.operand_groups
    if "iter_args" in groups or "init" in groups:
        count = groups.get("iter_args", groups.get("init", count))
    return operation.operands[len(operation.operands) - count :] if count else []


def branch(convert: Conversion, operation: Operation) -> None:
    """if, case and index_switch: the branch that a known condition takes, else the dearest."""
    known = [convert.known(v) for v in operation.operands]
    blocks = [r.entry for r in operation.regions if r.entry is not None]
    if not blocks:
        return
    chosen = _chosen(operation, known[0].number if known else None, len(blocks))
    if chosen is not None:
        results = convert.run_block(blocks[chosen]) if chosen < len(blocks) else []
    else:
        attempts = []
        for block in blocks:
            before = len(convert.nodes), len(convert.removed)
            results = convert.run_block(block)
            nodes = convert.nodes[before[0] :]
            removed = convert.removed[before[1] :]
            del convert.nodes[before[0] :], convert.removed[before[1] :]
            attempts.append((_cost(nodes), nodes, removed, results))
        best = max(range(len(attempts)), key=lambda i: attempts[i][0])
        if len({a[0] for a in attempts}) > 1:
            convert.note(
                f"{operation.name}: its condition depends on data; counted as the dearest branch (number {best})",
                convert.name_of(operation, used=False),
            )
        _, nodes, removed, results = attempts[best]
        convert.nodes += nodes
        convert.removed += removed
    convert.removed.append(
        Removed(convert.name_of(operation), operation.name, "a branch: what it runs stands in its place")
    )
    _link(convert, operation, results)


def _chosen(operation: Operation, number: Any, count: int) -> int | None:
    """Which of ``count`` regions an operation takes whose first operand is ``number``; None where that is not known."""
    if number is None or is_symbolic(number) or operation.name == "affine.if":  # an integer set decides there
        return None
    if operation.name in ("stablehlo.case", "mhlo.case"):
        return int(number) if 0 <= number < count else count - 1
    if operation.name == "scf.index_switch":
        cases = numbers_of(operation.attributes.get("cases")) or []
        return 1 + cases.index(number) if number in cases else 0  # the default stands first
    return 0 if number else 1  # an i1 may be stored as 1 or as -1


def inline(convert: Conversion, operation: Operation) -> None:
    """Regions that run once where they stand (flow.dispatch.region, memref.alloca_scope, shape.assuming)."""
    body = operation.body
    if body is None:
        convert.removed.append(Removed(convert.name_of(operation), operation.name, "it has no body"))
        return
    known = [convert.known(v) for v in operation.operands]
    _bind(convert, body, known, loop=False)
    results = convert.run_block(body)
    convert.removed.append(
        Removed(convert.name_of(operation), operation.name, "a region: what it runs stands in its place")
    )
    _link(convert, operation, results)


def inside(convert: Conversion, operation: Operation) -> None:
    """The regions of an operation that no rule covers: what works on whole tensors counts once, scalar code by its names."""
    inner = [o for region in operation.regions for block in region.blocks for o in block.operations]
    if not inner:
        return
    name = convert.name_of(operation, used=False)
    if not any(_works_on_tensors(o) for o in inner):
        names = ", ".join(
            dict.fromkeys(o.name for o in inner if o.operands and not o.name.endswith((".yield", ".return")))
        )
        if names:
            convert.note(f"{operation.name}: what its body computes is not counted: {names}", name)
        return
    convert.innermost = operation
    for region in operation.regions:
        for block in region.blocks:
            for value in block.arguments:
                convert.env[value] = convert.fresh(value)
            convert.run_block(block)
    convert.note(f"{operation.name}: how often its body runs is not known; counted once", name)


def _works_on_tensors(operation: Operation) -> bool:
    """Whether an operation, or one inside of it, makes or stores more than single numbers."""
    return any(
        isinstance(v.type, (TensorType, MemRefType)) and v.type.shape != ()
        for inner in operation.walk()
        for v in (*inner.results, *(() if inner.results else inner.operands))
    ) or bool(operation.name in LOOPS)


def launch(convert: Conversion, operation: Operation) -> None:
    """gpu.launch and gpu.launch_func: one kernel of as many threads as its grid has."""
    from perfmodel.features.mlir import kernels

    kernels.launch(convert, operation)


def dispatch(convert: Conversion, operation: Operation) -> None:
    """flow.dispatch: the operations of the executable's function stand in its place."""
    from perfmodel.features.mlir import dispatches

    dispatches.dispatch(convert, operation)


def scalar_nest(convert: Conversion, operation: Operation) -> None:
    """A memory access or vector operation outside of any loop."""
    nests.statement(convert, operation)


Handler = Callable[["Conversion", Operation], None]

HANDLERS: dict[str, Handler] = {
    **dict.fromkeys(
        ("func.call", "call", "stablehlo.composite", "mhlo.composite", "util.call", "ml_program.call", "torch.call",
         "func.call_indirect", "xla_framework.call", "sdy.named_computation", "mhlo.call", "flow.call"), call
    ),
    "stablehlo.while": while_, "mhlo.while": while_, "scf.while": while_,
    "scf.for": for_, "affine.for": for_, "scf.forall": for_, "scf.parallel": for_, "affine.parallel": for_,
    "stablehlo.if": branch, "mhlo.if": branch, "stablehlo.case": branch, "mhlo.case": branch, "scf.if": branch,
    "affine.if": branch, "scf.index_switch": branch, "torch.prim.If": branch, "tosa.cond_if": branch,
    "tosa.while_loop": while_,
    **dict.fromkeys(
        ("flow.dispatch.region", "flow.dispatch.workgroups", "scf.forall.in_parallel",
         "memref.alloca_scope", "shape.assuming", "scf.execute_region",
         "stablehlo.fusion", "mhlo.fusion", "sdy.manual_computation", "util.initializer", "tensor_ext.region",
         "torch_c.region"), inline
    ),
    "flow.dispatch": dispatch, "gpu.launch": launch, "gpu.launch_func": launch,
    **dict.fromkeys(
        ("memref.load", "memref.store", "affine.load", "affine.store", "vector.load", "vector.store",
         "vector.transfer_read", "vector.transfer_write", "vector.contract", "vector.outerproduct", "vector.reduction",
         "vector.multi_reduction", "nvgpu.mma.sync", "gpu.subgroup_mma_compute", "affine.vector_load",
         "affine.vector_store", "vector.gather", "vector.scatter", "memref.atomic_rmw"), scalar_nest
    ),
}  # fmt: skip
"""Operations that are not described by a rule but followed."""
