"""What the kernel of a GEMM or convolution does to its result before writing it: bias, scale, activation, residual.

Batch normalisation, and any other scale and shift per channel by constants, is not even an epilogue: it is folded
into the weights when the engine is built.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace as _replace_record
from operator import attrgetter
from typing import Any, TypeAlias

from perfmodel.features.fusion.elementwise import CHAIN, is_pointwise
from perfmodel.features.fusion.noops import permutation
from perfmodel.features.fusion.quantized import arithmetic_of, dequantizes, parameters, quantizes
from perfmodel.features.fusion.rewrite import Rewriter, Vertex, same, same_shape
from perfmodel.ops import Conv, Copy, Elementwise, Gemm, Norm, Operator, Quantize

FOLDED_INTO_CONV = "folded into the convolution"
FOLDED_INTO_LINEAR = "folded into the linear layer"
FOLDED_INTO_NORM = "folded into the batch norm"
READ_TRANSPOSED = "read transposed by the GEMM"

_ACTIVATIONS = {
    "relu", "leaky_relu", "prelu", "clip", "gelu", "gelu_tanh", "silu", "swish", "sigmoid", "tanh", "hard_sigmoid",
    "hard_swish", "elu", "celu", "selu", "softplus", "softsign", "mish", "erf", "square",
}  # fmt: skip
_RESIDUAL_KINDS = ("add", "sub")
_position = attrgetter("key")
_RESIDUAL = "residual"  # attribute of a host that takes a residual in: kernels have room for one

MAX_EPILOGUE = 16
"""Operators that one kernel applies to its result at most; what follows is a kernel of its own."""


def fold_constants(ws: Rewriter, accepts: Callable[[Vertex], bool] | None = None) -> None:
    """Batch norms, and scales and shifts per channel, directly after a convolution, a linear layer or another batch
    norm go into its weights.

    Args:
        accepts: a runtime's own limits on where they go; None means those of engines.
    """
    for host in ws.vertices(Conv, Gemm, Norm):
        # What a residual or a bias computed at run time adds is not scaled with the weights.
        if len(host.inputs) < 2 or not all(map(ws.is_constant, host.inputs[1:])) or host.node.attributes.get(_RESIDUAL):
            continue
        if len(host.node.outputs) != 1:
            continue
        if isinstance(host.op, Norm) and host.kind != "batchnorm":
            continue
        if accepts is not None and not accepts(host):
            continue
        if all(isinstance(f, Elementwise) and f.kind == "add" for f in host.node.fused):  # else it is activated already
            _fold_after(ws, host)


def _fold_after(ws: Rewriter, host: Vertex) -> None:
    is_norm = isinstance(host.op, Norm)
    reason = FOLDED_INTO_CONV if isinstance(host.op, Conv) else FOLDED_INTO_NORM if is_norm else FOLDED_INTO_LINEAR
    has_bias = is_norm or bool(host.node.fused)
    is_scaled = is_norm
    while True:
        reader, views = ws.ahead(host.output)
        if reader is None or views or reader.node.fused or len(reader.node.outputs) != 1:
            return
        if isinstance(reader.op, Norm):
            if reader.kind != "batchnorm" or not same(reader.op.rows, _channels(host.op)):
                return
            if not same_shape(ws.shape(host.output), ws.shape(reader.output)):
                return  # a view stood between: its channels are not the host's
            is_scale = is_shift = True
        else:
            if not _is_per_channel(ws, reader, host):
                return
            is_scale = reader.computes("mul", "div")
            is_shift = not is_scale
            if is_shift and not is_scaled and not _is_scaled_next(ws, reader, host):
                return  # a plain bias: an epilogue
        if ws.dtype(reader.output) != ws.dtype(host.output):
            return
        fused, extra, flops = host.node.fused, host.node.extra_bytes_read, reader.node.flops
        inputs = host.inputs
        if is_shift and not has_bias:
            # The weights take the scale; the shift remains to be added, as the layer's new bias.
            bias = Elementwise(kind="add", dtype=host.op.dtype, elements=ws.elements(host.output), inputs=1)
            fused, extra = (*fused, bias), extra + sum(ws.bytes(n) for n in _shift(reader))
            flops = flops - host.node.count * bias.flops
            has_bias = True
            inputs = (*inputs, *_shift(reader))
        gone = [(reader, reason, flops)]
        merged = ws.merge(
            [host, reader], main=host, op=host.op, inputs=inputs, outputs=(reader.output,), fused=fused,
            extra_bytes_read=extra, gone=gone,
        )  # fmt: skip
        if merged is None:
            return
        host, is_scaled = merged, is_scaled or is_scale


def _is_scaled_next(ws: Rewriter, shift: Vertex, host: Vertex) -> bool:
    """Whether a shift is followed by a scale per channel: a batch norm written out as (x - mean) * scale + shift."""
    scale = ws.sole_reader(shift.output)
    if scale is None or scale.node.fused or not scale.computes("mul", "div") or len(scale.node.outputs) != 1:
        return False
    return _is_per_channel(ws, scale, host, of=shift.output)


def _channels(op: Operator) -> Any:
    if isinstance(op, Norm):
        return op.rows
    return op.c_out if isinstance(op, Conv) else op.n if isinstance(op, Gemm) else None


def _shift(vertex: Vertex) -> tuple[str, ...]:
    """The operand that becomes the layer's bias: beta of a batch norm (scale, beta, mean, variance), or what is
    added."""
    if isinstance(vertex.op, Norm):
        return vertex.inputs[2:3]
    return vertex.inputs[-1:]


def _is_per_channel(ws: Rewriter, vertex: Vertex, host: Vertex, *, of: str | None = None) -> bool:
    """Whether a vertex scales or shifts the host's result by a constant with one value a channel.

    Args:
        of: the tensor that is scaled or shifted, of the result's shape; None means the result itself.
    """
    source = host.output if of is None else of
    other = vertex.other(source)
    if other is None or not vertex.computes("mul", "div", "add", "sub") or not ws.is_constant(other):
        return False
    if vertex.computes("div", "sub") and vertex.inputs[0] != source:
        return False
    shape = ws.shape(other)
    result = ws.shape(host.output)
    if shape is None or result is None or not same(ws.elements(other), _channels(host.op)):
        return False
    axis = len(result) - 1 if isinstance(host.op, Gemm) else host.node.attributes.get("channel_axis", 1)
    position = axis - (len(result) - len(shape))
    keeps_size = same(ws.elements(vertex.output), ws.elements(host.output))
    return keeps_size and position >= 0 and same(shape[position], _channels(host.op))


Accepts: TypeAlias = Callable[[Vertex, Vertex, bool], bool]
"""Whether a host takes a reader of its result in; the third argument says that it brings a full-size operand."""


def fuse_epilogues(ws: Rewriter, accepts: Accepts | None = None) -> None:
    """Bias, scale, cast, activation and one residual operand join the GEMM, convolution or batch norm before them.

    Where two convolutions meet in one addition, the later one takes it: the other's result is ready by then.

    Args:
        accepts: a runtime's own limits; None means those of engines.
    """
    for host in ws.vertices(Gemm, Conv, Norm, newest_first=True):
        if (
            ws.alive(host)
            and len(host.node.outputs) == 1
            and (not isinstance(host.op, Norm) or host.kind == "batchnorm")
        ):
            _absorb(ws, host, accepts)


def _absorb(ws: Rewriter, host: Vertex, accepts: Accepts | None) -> None:
    # A chain is followed to its end before the graph changes, so that it changes once. Each value on the way has one
    # reader, the next member, and nothing that is asked about what follows looks at what came before.
    members = [host]
    while len(host.node.fused) < MAX_EPILOGUE:
        reader, views = ws.ahead(host.output)
        if reader is None:
            break
        if quantizes(reader):
            _put(ws, host, members)
            _write_narrow(ws, host, views, reader)
            return
        found = _with_next(ws, host, reader, views, accepts)
        if found is None:
            break
        host, more = found
        members += more
    _put(ws, host, members)


def _put(ws: Rewriter, host: Vertex, members: list[Vertex]) -> None:
    if len(members) > 1:
        ws.put(host, members)


def _with_next(
    ws: Rewriter, host: Vertex, reader: Vertex, views: list[Vertex], accepts: Accepts | None
) -> tuple[Vertex, list[Vertex]] | None:
    """The host with the next operator of its epilogue, and the vertices that this takes in; None when it is none.

    Args:
        host: as far as it has come; the graph need not know it.
        reader: the only one of the host's result, over ``views``.
    """
    name = views[-1].output if views else host.output
    has_residual = bool(host.node.attributes.get(_RESIDUAL))
    residual = _residual(ws, host, reader, name, has_residual)
    if residual is None or _feeds_a_gate(ws, reader):
        return None
    if accepts is not None and not accepts(host, reader, residual):
        return None
    op = _with_result_dtype(ws, host, reader.output)
    if op is None:
        return None
    others = list(dict.fromkeys([n for n in reader.inputs if n != name]))
    parts = [p for n in others if (p := _prepared(ws, n, reader)) is not None]
    read = others
    if parts:
        made = {p.output for p in parts}
        read = [n for n in others if n not in made] + [n for p in parts for n in p.inputs]
    more = [*views, *parts, reader]
    if any(v.node.count != host.node.count for v in more) or any(len(p.node.outputs) != 1 for p in parts):
        return None
    attributes = host.node.attributes
    grown = ws.joined(
        sorted([host, *more], key=_position),
        host,
        op,
        reader.node.outputs,
        fused=(*host.node.fused, *[f for v in (*parts, reader) for f in _executed(v)]),
        extra_bytes_read=host.node.extra_bytes_read
        + sum([ws.bytes(n) for n in dict.fromkeys(read) if not ws.is_immediate(n)]),
        attributes={**attributes, _RESIDUAL: True} if residual else attributes,
    )
    return grown, more


def _write_narrow(ws: Rewriter, host: Vertex, views: list[Vertex], q: Vertex) -> None:
    """A Q after a product: the kernel scales its sums to narrow values as it writes them."""
    op = _with_result_dtype(ws, host, q.output)
    if op is not None:
        ws.merge(
            [host, *views, q],
            main=host,
            op=op,
            outputs=q.node.outputs,
            fused=(*host.node.fused, *_executed(q)),
            extra_bytes_read=host.node.extra_bytes_read + sum(ws.bytes(n) for n in parameters(ws, q)),
        )


def _prepared(ws: Rewriter, name: str, reader: Vertex) -> Vertex | None:
    """What makes an operand of an epilogue and is done by the kernel itself: a DQ of a residual that nothing else reads,
    and the product of two scales (dynamic quantisation multiplies those of both operands first)."""
    maker = ws.maker(name)
    if maker is None or ws.sole_reader(name) is not reader or maker.node.count != reader.node.count:
        return None
    if dequantizes(maker):
        return maker
    if not maker.computes("mul") or maker.node.fused or maker.node.attributes.get(CHAIN):
        return None
    scales = all(ws.is_small(n) or ws.is_constant(n) for n in maker.inputs)
    return maker if scales and any(ws.is_small(n) and not ws.is_constant(n) for n in maker.inputs) else None


def _executed(vertex: Vertex) -> tuple[Operator, ...]:
    if vertex.copies("cast"):
        return vertex.node.fused
    if isinstance(vertex.op, Quantize):
        return (arithmetic_of(vertex, vertex.op.rows * vertex.op.cols),)
    return (vertex.op, *vertex.node.fused)


def _residual(ws: Rewriter, host: Vertex, reader: Vertex, name: str, has_residual: bool) -> bool | None:
    """Whether a vertex adds a second full-size operand; None when it is no epilogue of the host at all."""
    if len(reader.node.outputs) != 1 or reader.node.attributes.get(CHAIN):
        return None
    size = ws.elements(host.output)
    if not same(ws.elements(reader.output), size) or ws.dtype(reader.output) == "bool":
        return None
    if reader.copies("cast"):
        return False
    if not isinstance(reader.op, Elementwise) or not is_pointwise(reader) or not same(reader.op.elements, size):
        return None
    others = [n for n in reader.inputs if n != name]
    full = [n for n in dict.fromkeys(others) if not ws.is_small(n) and not _is_broadcast(ws, n, reader.output)]
    if not full:
        return False
    constants_only = all(ws.is_constant(n) for n in full)
    if len(full) > 1 or has_residual or not (reader.kind in _RESIDUAL_KINDS or constants_only):
        return None
    return True


def _is_broadcast(ws: Rewriter, name: str, result: str) -> bool:
    """Whether an operand is certainly smaller than the result (a bias, a scale per channel)."""
    shape, size = ws.shape(name), ws.shape(result)
    if shape is None or size is None or same(ws.elements(name), ws.elements(result)):
        return False
    # Aligned at the last axis, some axis of the operand is missing or has one element where the result has more.
    padded = (1,) * (len(size) - len(shape)) + tuple(shape)
    return len(padded) == len(size) and any(same(a, 1) and not same(b, 1) for a, b in zip(padded, size, strict=True))


def _feeds_a_gate(ws: Rewriter, vertex: Vertex) -> bool:
    """Whether an activation gates another full-size tensor (SwiGLU, GEGLU): activation and product are one kernel
    after both GEMMs, as engines run it."""
    if not (vertex.kind in _ACTIVATIONS and vertex.computes(vertex.kind)):
        return False
    gate, views = ws.ahead(vertex.output)
    if gate is None or not gate.computes("mul"):
        return False
    name = views[-1].output if views else vertex.output
    other = gate.other(name)
    return other is not None and not ws.is_constant(other) and same(ws.elements(other), ws.elements(name))


def _with_result_dtype(ws: Rewriter, host: Vertex, result: str) -> Operator | None:
    """The host's descriptor when it writes its result in another dtype; None when that cannot be said."""
    wanted = ws.dtype(result)
    if wanted == ws.dtype(host.output):
        return host.op
    if isinstance(host.op, (Gemm, Conv)):
        return _replace_record(host.op, out_dtype=wanted)
    return None


def read_transposed(ws: Rewriter) -> None:
    """A transpose of the last two axes that only GEMMs read is a flag of those GEMMs."""
    for vertex in ws.vertices(Copy, newest_first=True):
        perm = permutation(vertex) if vertex.kind == "transpose" else None
        if perm is None or len(perm) < 2 or len(vertex.node.outputs) != 1 or ws.is_output(vertex.output):
            continue
        swaps_last = perm == (*range(len(perm) - 2), len(perm) - 1, len(perm) - 2)
        readers = ws.readers(vertex.output)
        if swaps_last and readers and all(_multiplies(ws, r, vertex.output) for r in readers):
            for reader in readers:
                _flip(ws, reader, vertex.output)
            ws.bypass(vertex, READ_TRANSPOSED)


def _multiplies(ws: Rewriter, reader: Vertex, name: str) -> bool:
    """Whether a vertex is a GEMM whose contraction runs along one of the last two axes of an operand as it stands.

    It does not where a view stood between (a transpose that is flattened before a linear layer).
    """
    shape = ws.shape(name)
    if not isinstance(reader.op, Gemm) or shape is None or name not in reader.inputs[:2]:
        return False
    for position, (key, axis) in enumerate((("transpose_a", -1), ("transpose_b", -2))):
        contracted = -3 - axis if reader.node.attributes.get(key) else axis
        if reader.inputs[position] == name and not same(shape[contracted], reader.op.k):
            return False
    return True


def _flip(ws: Rewriter, gemm: Vertex, name: str) -> None:
    attributes: dict[str, Any] = dict(gemm.node.attributes)
    for position, key in enumerate(("transpose_a", "transpose_b")):
        if gemm.inputs[position] == name:
            attributes[key] = not attributes.get(key, False)
    ws.update(gemm, attributes=attributes)
