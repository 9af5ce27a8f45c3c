"""Rules of TOSA's operations that are no elementwise functions."""

from __future__ import annotations

from typing import Any

from perfmodel import ops
from perfmodel.features.mlir import rules_movement as movement
from perfmodel.features.mlir.call import Call, Modelled, Rule, RuleError
from perfmodel.features.mlir.contractions import Operand, contract, out_dtype_of
from perfmodel.features.mlir.convolutions import Window, exact, filtered, pool, same_size
from perfmodel.features.onnx.rules_memory import over
from perfmodel.graph import Tensor


def matmul(call: Call) -> None:
    """A batched product [N, H, C] x [N, C, W]; zero points follow."""
    a, b, out = call.ranked(0), call.ranked(1), call.result()
    answer, _ = contract(Operand(a, "bmk"), Operand(b, "bkn"), "bmn", out=out)
    call.emit(answer.op, (a, b), (out,), answer.attributes, extra=answer.extra_bytes_read)


def fully_connected(call: Call) -> None:
    """A linear layer with weights [OC, IC] and a bias."""
    a, b, out = call.tensor(0), call.tensor(1), call.result()
    answer, _ = contract(Operand(a, "mk"), Operand(b, "nk"), "mn", out=out)
    _emit_biased(call, answer, a, b, out, 2)


def _emit_biased(call: Call, answer: Modelled, x: Tensor, w: Tensor, out: Tensor, index: int) -> None:
    """A product with its bias, where that is not zero."""
    op, attributes, extra = answer.op, answer.attributes, answer.extra_bytes_read
    bias = call.inputs[index] if index < len(call.inputs) else None
    known = call.known[index] if index < len(call.known) else None
    if bias is None or known is None or known.number == 0:
        call.emit(op, (x, w), (out,), attributes, extra=extra)
        return
    add = ops.Elementwise(
        kind="add", elements=out.elements, inputs=1, input_elements=out.elements + bias.elements, dtype=out.dtype
    )
    call.emit(op, (x, w, bias), (out,), {**attributes, "bias": bias.name}, fused=(add,), extra=extra + bias.bytes)


def _pads(call: Call, count: int) -> list[int]:
    pads = call.ints("pad", [0] * (2 * count))
    return [pads[2 * i] + pads[2 * i + 1] for i in range(count)]


def conv(depthwise: bool, transposed: bool = False) -> Rule:
    """conv2d, conv3d, depthwise_conv2d, transpose_conv2d: channels last; filters [O, H, W, I], depthwise [H, W, C, M]."""

    def rule(call: Call) -> None:
        x, w, out = call.tensor(0), call.tensor(1), call.result()
        xs, ws, ys = x.shape or (), w.shape or (), out.shape or ()
        count = len(xs) - 2
        kernel = ws[:2] if depthwise else ws[1:-1]
        c_in = xs[-1]
        c_out = ys[-1]
        strides = call.ints("stride", [1] * count, count=count)
        window = Window(
            xs[1:-1], kernel, [1] * count if transposed else strides, call.ints("dilation", [1] * count, count=count),
            [0] * count if transposed else _pads(call, count), ys[1:-1], [max(s, 1) for s in strides] if transposed else (),
        )  # fmt: skip
        if transposed and all(s == 1 for s in strides):
            # Without a stride it is a plain convolution with the padding that its result's extent asks for.
            pads = [y - s + k - 1 for y, s, k in zip(ys[1:-1], xs[1:-1], kernel, strict=True)]
            window = Window(xs[1:-1], kernel, strides, [1] * count, pads, ys[1:-1])
        same_size("filters for %s channels", c_in, ws[2] if depthwise else ws[-1])
        exact(window)
        op, form = filtered(window, x, w, out, batch=xs[0], c_in=c_in, c_out=c_out, groups=c_in if depthwise else 1)
        source, target = call.convert.channels_first(call.operation, x, out)
        attributes = {
            "groups": op.groups, "strides": tuple(strides),
            "channel_axis": 1 if target is not out else len(ys) - 1,
        }  # fmt: skip
        _emit_biased(call, Modelled(op, attributes, (), form.extra_bytes(op, w)), source, w, target, 2)

    return rule


def pooling(kind: str) -> Rule:
    """max_pool2d and avg_pool2d, channels last."""

    def rule(call: Call) -> None:
        x, out = call.tensor(0), call.result()
        xs, ys = x.shape or (), out.shape or ()
        count = len(xs) - 2
        kernel = call.ints("kernel", count=count)
        strides = call.ints("stride", [1] * count, count=count)
        op = pool(
            Window(xs[1:-1], kernel, strides, [1] * count, _pads(call, count), ys[1:-1]), kind=kind, batch=xs[0],
            channels=xs[-1], dtype=x.dtype,
        )  # fmt: skip
        source, target = call.convert.channels_first(call.operation, x, out)
        call.emit(op, (source,), (target,), {"kernel": tuple(kernel), "strides": tuple(strides)})

    return rule


def reduction(kind: str) -> Rule:
    """A reduction along one axis, which keeps it."""

    def rule(call: Call) -> Modelled:
        x, out = call.tensor(0), call.result()
        axis = call.ints("axis")[0]
        cols = (x.shape or ())[axis]
        op = ops.Reduce(
            kind=kind, rows=over(x.elements, cols), cols=cols, out_dtype=out_dtype_of(x, out), dtype=x.dtype
        )
        return Modelled(op, {"axis": (axis,), "keepdims": not kind.startswith("arg")})

    return rule


def transpose(call: Call) -> None:
    """A transpose; those that turn channels to where TOSA's convolutions want them are no kernels of their own."""
    perms = call.attributes.get("perms")
    perm = call.ints("perms") if perms is not None else call.list_of(1)
    if call.convert.layouts.takes(call, tuple(perm)):
        return
    movement.permuted(call, perm, call.tensor(0), call.result())


def reshape(call: Call) -> None:
    """A reshape; the shape is another operand."""
    movement.reshape(call)


def concat(call: Call) -> Modelled:
    """A concatenation."""
    return movement.joined(call, call.ints("axis", [0])[0], [t for t in call.inputs if t is not None])


def slice_(call: Call) -> None:
    """A slice; start and size are operands or, in older versions, attributes."""
    starts: list[Any] | None
    if "start" in call.attributes:
        starts = call.ints("start")
    else:
        starts = call.known[1].integers if len(call.known) > 1 else None
    movement.cut(call, starts, None, (call.tensor(0),))


def pad(call: Call) -> None:
    """A pad; amounts and value are operands."""
    value = call.known[2].number if len(call.known) > 2 else 0.0
    answer = movement.padded(call, call.tensor(0), value)
    call.emit(answer.op, (call.tensor(0),), (call.result(),), answer.attributes)


def tile(call: Call) -> None:
    """A repetition; along axes of one element it is a broadcast."""
    x, out = call.tensor(0), call.result()
    shape, result = x.shape or (), out.shape or ()
    if shape == result:
        call.convert.alias(call.operation.results[0], call.known[0])
        return
    if all(a == b or a == 1 for a, b in zip(shape, result, strict=True)):
        call.convert.broadcast(call.operation, call.known[0], shape, out)
        return
    op = ops.Copy(kind="tile", elements=out.elements, read_elements=x.elements, dtype=x.dtype)
    call.emit(op, (x,), (out,))


def gather(call: Call) -> None:
    """Rows of [N, K, C] at positions [N, W]."""
    table, indices, out = call.tensor(0), call.tensor(1), call.result()
    shape = table.shape or ()
    if table.is_weight and len(shape) == 3 and shape[0] == 1:
        op: ops.Operator = ops.Embedding(rows=indices.elements, cols=shape[2], dtype=table.dtype)
        call.emit(op, (table, indices), (out,))
        return
    movement.looked_up(call, table, indices, out, axis=1, rows=False)


def scatter(call: Call) -> Modelled:
    """Rows written at positions."""
    return movement.scattered(call, call.tensor(0), call.tensor(1), call.tensor(2), None)


def table(call: Call) -> ops.Operator:
    """A look-up in a table of a few hundred entries, one an element."""
    x, out = call.tensor(0), call.result()
    return ops.Elementwise(kind="copy", elements=out.elements, dtype=x.dtype, out_dtype=out_dtype_of(x, out))


def rescale(call: Call) -> None:
    """A change of scale between quantised types."""
    x, out = call.tensor(0), call.result()
    op = ops.Elementwise(kind="requantize", elements=out.elements, dtype=x.dtype, out_dtype=out_dtype_of(x, out))
    call.emit(op, (x,), (out,))


def resize(call: Call) -> None:
    """A resize of [N, H, W, C], nearest or bilinear."""
    x, out = call.tensor(0), call.result()
    mode = str(call.attributes.get("mode", "NEAREST")).upper()
    if "BILINEAR" in mode:
        op: ops.Operator = ops.Elementwise(
            kind="resize_linear", elements=out.elements, input_elements=x.elements, dtype=x.dtype,
            out_dtype=out_dtype_of(x, out),
        )  # fmt: skip
    else:
        op = ops.Copy(kind="resize", elements=out.elements, read_elements=x.elements, dtype=x.dtype)
    call.emit(op, (x,), (out,))


def fft(call: Call) -> Modelled:
    """fft2d and rfft2d over the last two axes."""
    from perfmodel.features.onnx.rules_elementwise import every_operand, log2

    x = call.tensor(0)
    lengths = (x.shape or (1, 1))[-2:]
    return Modelled(every_operand(call, "fft_stage", x.elements, steps=sum(log2(n) for n in lengths), dtype=x.dtype))


def block_matmul(call: Call) -> None:
    """matmul_t_block_scaled: A [N, H, C] with scales times B [N, W, C] with scales."""
    a, b, out = call.tensor(0), call.tensor(2), call.result()
    answer, _ = contract(Operand(a, "bmk"), Operand(b, "bnk"), "bmn", out=out)
    extra = answer.extra_bytes_read + sum(call.tensor(i).bytes for i in (1, 3))
    call.emit(answer.op, (a, b, call.tensor(1), call.tensor(3)), (out,), answer.attributes, extra=extra)


def unsupported(call: Call) -> None:
    """An operation that an attribute names: its arithmetic is not known."""
    raise RuleError(f"it is the operation {call.attributes.get('operator_name', '?')!r} of another domain")


RULES: dict[str, Rule] = {
    "tosa.matmul": matmul, "tosa.fully_connected": fully_connected, "tosa.conv2d": conv(False),
    "tosa.conv3d": conv(False), "tosa.depthwise_conv2d": conv(True), "tosa.transpose_conv2d": conv(False, True),
    "tosa.max_pool2d": pooling("max"), "tosa.avg_pool2d": pooling("average"), "tosa.argmax": reduction("argmax"),
    **{f"tosa.reduce_{name}": reduction(kind) for name, kind in (
        ("sum", "sum"), ("max", "max"), ("min", "min"), ("prod", "prod"), ("product", "prod"), ("all", "and"), ("any", "or")
    )},
    "tosa.transpose": transpose, "tosa.reshape": reshape, "tosa.concat": concat, "tosa.slice": slice_,
    "tosa.pad": pad, "tosa.tile": tile, "tosa.gather": gather, "tosa.scatter": scatter, "tosa.table": table,
    "tosa.rescale": rescale, "tosa.resize": resize, "tosa.reverse": movement.copy("reverse"),
    "tosa.identity": movement.identity, "tosa.fft2d": fft, "tosa.rfft2d": fft,
    "tosa.matmul_t_block_scaled": block_matmul, "tosa.cast_from_block_scaled": movement.copy("cast"),
    "tosa.cast_to_block_scaled": movement.copy("cast"), "tosa.custom": unsupported,
    "tosa.variable_read": movement.copy("copy"), "tosa.variable.read": movement.view("identity"),
}  # fmt: skip
"""Rules by the operation's name."""

FULL = frozenset(RULES) - {"tosa.matmul", "tosa.reshape", "tosa.tile", "tosa.identity"}
