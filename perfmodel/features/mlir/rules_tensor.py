"""Rules of the tensor, memref, bufferization and sparse dialects, of extensions of linalg, and of collectives."""

from __future__ import annotations

from math import prod
from typing import Any

from perfmodel import ops
from perfmodel.features.mlir import dispatches
from perfmodel.features.mlir import rules_movement as movement
from perfmodel.features.mlir.call import Call, Modelled, Rule, RuleError, numbers_of
from perfmodel.features.mlir.rules_generic import split_operands
from perfmodel.features.mlir.scalar_code import LOOPS
from perfmodel.features.onnx.rules_memory import over
from perfmodel.graph import Removed


def _reshape(call: Call) -> None:
    """tensor.expand_shape and collapse_shape."""
    movement.reshape(call)


def extract_slice(call: Call) -> None:
    """tensor.extract_slice: offsets, sizes and strides are static or operands."""
    if _in_loop(call):  # a tile: what reads it is given its place
        call.emit(ops.View(kind="slice", dtype=call.tensor(0).dtype), (call.tensor(0),), (call.result(),))
        return
    offsets = _static(call, "static_offsets", 0)
    strides = numbers_of(call.attributes.get("static_strides"))
    movement.cut(call, offsets, strides, (call.tensor(0),))


def _static(call: Call, name: str, position: int) -> list[Any] | None:
    """Static numbers of an attribute; None where some are operands."""
    found = numbers_of(call.attributes.get(name))
    return None if found is None or any(n is None or n < -(2**31) for n in found) else found


def _in_loop(call: Call) -> bool:
    parent = call.operation.parent_op
    return parent is not None and (parent.name in LOOPS or parent.name == "scf.forall.in_parallel")


def insert_slice(call: Call) -> None:
    """tensor.insert_slice: the part is written in place where the destination is written anyway."""
    part, whole = call.tensor(0), call.tensor(1)
    if not call.operation.results or _in_loop(call):  # a tile of what the loop carries: written where it was computed
        for value in call.operation.results:
            call.convert.alias(value, call.known[1])
        if not call.operation.results:
            name = call.convert.name_of(call.operation)
            call.convert.removed.append(Removed(name, call.op_type, "a tile, written where it was computed"))
        return
    out = call.result()
    known = call.known[1]
    if known.empty or known.number is not None:
        op = ops.Copy(kind="concat", elements=part.elements, dtype=part.dtype)
    else:
        op = ops.Copy(kind="scatter", elements=part.elements, dtype=part.dtype)
    call.emit(op, (part, whole), (out,))


def pad(call: Call) -> None:
    """tensor.pad: the value is what its body yields."""
    value = None
    body = call.operation.body
    if body is not None and body.terminator is not None and body.terminator.operands:
        made = body.terminator.operands[0]
        if made.operation is not None and made.operation.parent is body:
            call.convert.convert(made.operation)
        value = call.convert.known(made).number
    elif call.operation.operands:
        value = call.known[-1].number
    answer = movement.padded(call, call.tensor(0), value)
    call.emit(answer.op, (call.tensor(0),), (call.result(),), answer.attributes)


def concat(call: Call) -> Modelled:
    """tensor.concat."""
    return movement.joined(call, call.ints("dim", [0])[0], [t for t in call.inputs if t is not None])


def pack(call: Call) -> None:
    """tensor.pack, unpack: another layout of the same elements; padding is written, too."""
    x, out = call.tensor(0), call.result()
    call.emit(ops.Copy(kind="pack", elements=out.elements, read_elements=x.elements, dtype=x.dtype), (x,), (out,))


def gather(call: Call) -> None:
    """tensor.gather."""
    movement.looked_up(call, call.tensor(0), call.tensor(1), call.result(), axis=None, rows=False)


def scatter(call: Call) -> Modelled:
    """tensor.scatter: the source is the first operand."""
    updates, whole, indices = call.tensor(0), call.tensor(1), call.tensor(2)
    return movement.scattered(call, whole, indices, updates, None)


def generate(call: Call) -> None:
    """tensor.generate: every element by a body of scalar code."""
    out = call.result()
    call.emit(ops.Copy(kind="iota", elements=out.elements, read_elements=0, dtype=out.dtype), (), (out,))


def copy_buffer(call: Call) -> None:
    """memref.copy and alike: the second buffer becomes the first's contents."""
    x = call.tensor(0)
    target = call.convert.overwrite(call.operation.operands[1], call.tensor(1))
    op = ops.Copy(
        kind="copy" if x.dtype == target.dtype else "cast", elements=x.elements, dtype=x.dtype, out_dtype=target.dtype
    )
    call.emit(op, (x,), (target,))


def materialize(call: Call) -> None:
    """bufferization.materialize_in_destination."""
    x = call.tensor(0)
    if call.operation.results:
        call.emit(ops.View(kind="identity", dtype=x.dtype), (x,), (call.result(),))
    else:
        copy_buffer(call)


def attention(call: Call) -> None:
    """Attention of extensions of linalg: Q [..., m, k], K [..., n, k], V [..., n, v]."""
    q, k, v, out = call.tensor(0), call.tensor(1), call.tensor(2), call.result()
    q_shape, k_shape, v_shape = q.shape or (), k.shape or (), v.shape or ()
    if len(q_shape) < 2 or len(k_shape) < 2 or len(v_shape) < 2:
        raise RuleError("its operands are no matrices")
    heads: Any = 1
    for size in q_shape[1:-2] or (1,):
        heads = heads * size
    batch = q_shape[0] if len(q_shape) > 2 else 1
    kv_heads = prod(k_shape[1:-2])
    if len(q_shape) == 3:
        batch, heads, kv_heads = 1, q_shape[0], prod(k_shape[:-2])
    value_dim = v_shape[-1]
    op = ops.Attention(
        phase="encoder", batch=batch, heads=heads, kv_heads=kv_heads, q_len=q_shape[-2], kv_len=k_shape[-2],
        head_dim=q_shape[-1], v_head_dim=None if value_dim == q_shape[-1] else value_dim, dtype=q.dtype,
    )  # fmt: skip
    ins, _ = split_operands(call)  # what is written is no mask
    masks = [t for t in call.inputs[3:ins] if t is not None and len(t.shape or ()) >= 2]
    call.emit(op, (q, k, v, *masks), (out,), extra=sum(t.bytes for t in masks))


def running(call: Call) -> None:
    """tm_tensor.scan: a running reduction."""
    x = call.tensor(0)
    axis = call.ints("dimension", [-1])[0]
    cols = (x.shape or (1,))[axis]
    outputs = [t for t in call.outputs if t is not None]
    op = ops.Reduce(kind="cumsum", rows=over(x.elements, cols), cols=cols, results=cols, dtype=x.dtype)
    call.emit(op, (x,), outputs, {"axis": (axis,)})


def sort(call: Call) -> None:
    """A sort along one axis, in place; or the largest values of one, which are written elsewhere."""
    from perfmodel.features.onnx.rules_elementwise import every_operand, log2

    outputs = [t for t in call.outputs if t is not None]
    x = call.tensor(0)
    axis = call.ints("dimension", [-1])[0]
    ins, outs = split_operands(call)
    read = [t for t in call.inputs[: ins or outs] if t is not None]
    op = every_operand(
        call, "compare", x.elements, steps=log2((x.shape or (1,))[axis]), dtype=x.dtype, read=sum(t.bytes for t in read)
    )
    call.emit(op, read, outputs, {"axis": (axis,)})


# Collectives

_COLLECTIVES = {
    "all_reduce": "all_reduce",
    "all_gather": "all_gather",
    "reduce_scatter": "reduce_scatter",
    "all_to_all": "all_to_all",
    "collective_permute": "p2p",
    "collective_broadcast": "broadcast",
    "send": "p2p",
    "recv": "p2p",
    "cross-replica-sum": "all_reduce",
}
_OF_MESHES = {
    "all_reduce": "all_reduce", "all_gather": "all_gather", "reduce_scatter": "reduce_scatter",
    "all_to_all": "all_to_all", "broadcast": "broadcast", "send": "p2p", "recv": "p2p", "gather": "all_gather",
    "scatter": "broadcast", "reduce": "all_reduce", "shift": "p2p",
}  # fmt: skip


def collective(kind: str) -> Rule:
    """A collective over the devices that its groups name; ``mhlo.num_partitions`` times replicas without any."""

    def rule(call: Call) -> None:
        ranks = _ranks(call)
        inputs = [t for t in call.inputs if t is not None]
        outputs = [t for t in call.outputs if t is not None]
        for index, x in enumerate(inputs[: max(len(outputs), 1)]):
            # The message of a rank: what it holds of the larger side.
            bytes_ = x.bytes
            if kind == "all_gather" and outputs:
                bytes_ = outputs[min(index, len(outputs) - 1)].bytes
            op = ops.Collective(kind=kind, message_bytes=bytes_, ranks=ranks, dtype=x.dtype)
            call.emit(op, (x,), outputs[index : index + 1])

    return rule


def _ranks(call: Call) -> int:
    groups = call.attributes.get("replica_groups")
    shape = getattr(getattr(groups, "type", None), "shape", None)
    if shape is not None and len(shape) == 2 and shape[1]:
        return int(shape[1])
    if isinstance(groups, tuple) and groups and isinstance(groups[0], tuple):
        return max(len(groups[0]), 1)
    outer = call.convert.module.operation.attributes
    devices = int(outer.get("mhlo.num_partitions", 1)) * int(outer.get("mhlo.num_replicas", 1))
    return max(devices, 1)


_VIEWS = (
    "tensor.cast", "memref.cast", "memref.reinterpret_cast", "memref.view", "memref.memory_space_cast",
    "memref.assume_alignment", "bufferization.to_memref", "bufferization.to_buffer", "bufferization.to_tensor",
    "bufferization.clone", "unrealized_conversion_cast", "builtin.unrealized_conversion_cast", "tensor.bitcast",
    "sparse_tensor.convert", "flow.tensor.reshape", "flow.tensor.barrier", "hal.tensor.export",
    "util.optimization_barrier", "sdy.sharding_constraint", "sdy.reshard", "shape.with_shape", "torch.tensor_static_info_cast",
    "torch.copy.to_tensor", "torch.copy.to_vtensor", "hal.tensor.barrier", "iree_encoding.set_encoding",
    "iree_encoding.unset_encoding", "linalg_ext.identity", "flow.dispatch.tie_shape", "quant.qcast_identity", "quant.scast",
    "flow.tensor.tie_shape", "flow.tensor.transfer", "tensor_ext.identity",
)  # fmt: skip

RULES: dict[str, Rule] = {
    **dict.fromkeys(_VIEWS, movement.view("identity")),
    **dict.fromkeys(
        ("tensor.expand_shape", "tensor.collapse_shape", "tensor.reshape", "memref.expand_shape", "memref.collapse_shape",
         "memref.reshape"), _reshape
    ),
    "memref.subview": movement.view("slice"), "memref.transpose": movement.view("transpose"),
    "tensor.extract_slice": extract_slice, "tensor.insert_slice": insert_slice,
    "tensor.parallel_insert_slice": insert_slice, "tensor.pad": pad, "tensor.concat": concat, "tensor.pack": pack,
    "tensor.unpack": pack, "linalg.pack": pack, "linalg.unpack": pack, "tensor.gather": gather,
    "tensor.scatter": scatter, "tensor.generate": generate, "tensor.splat": movement.fill("fill"),
    "tensor.insert": movement.view("identity"), "memref.copy": copy_buffer,
    "bufferization.materialize_in_destination": materialize, "gpu.memcpy": copy_buffer,
    "iree_linalg_ext.attention": attention, "tm_tensor.attention": attention, "tm_tensor.scan": running,
    "iree_linalg_ext.scan": running, "tm_tensor.sort": sort, "iree_linalg_ext.sort": sort,
    "tm_tensor.topk": sort, "iree_linalg_ext.topk": sort,
    **{f"{dialect}.{name}": collective(kind) for dialect in ("stablehlo", "mhlo") for name, kind in _COLLECTIVES.items()},
    **{f"{dialect}.{name}": collective(kind) for dialect in ("mesh", "shard") for name, kind in _OF_MESHES.items()},
    "hal.tensor.import": dispatches.imported, "flow.dispatch.tensor.load": dispatches.load,
    "flow.dispatch.tensor.store": dispatches.store,
    **dict.fromkeys(("sparse_tensor.values", "sparse_tensor.positions", "sparse_tensor.coordinates",
                     "sparse_tensor.number_of_entries", "sparse_tensor.load"), movement.view("identity")),
    "linalg.index": movement.fill("iota"), "linalg.fill_rng_2d": movement.fill("random"),
}  # fmt: skip
"""Rules by the operation's name."""

FULL = frozenset(RULES) - {"tensor.expand_shape", "tensor.collapse_shape"}
