"""Rules of linalg's named operations, in every layout that their names spell."""

from __future__ import annotations

import re
from math import prod
from typing import Any

from perfmodel import ops
from perfmodel.features.mlir import rules_generic as generic
from perfmodel.features.mlir import rules_movement as movement
from perfmodel.features.mlir.attributes import AffineMap
from perfmodel.features.mlir.bodies import combiner
from perfmodel.features.mlir.call import Call, Modelled, Rule, RuleError, enum_of
from perfmodel.features.mlir.contractions import Operand, contract, out_dtype_of
from perfmodel.features.mlir.convolutions import Window, filtered, pool, same_size
from perfmodel.features.mlir.generic_windows import emit_accumulated, letters
from perfmodel.features.mlir.kinds import TENSOR_KINDS
from perfmodel.features.mlir.rules_elementwise import apply
from perfmodel.features.onnx.rules_memory import over
from perfmodel.graph import Tensor

PRODUCTS: dict[str, tuple[str, str, str]] = {
    "matmul": ("mk", "kn", "mn"), "matmul_unsigned": ("mk", "kn", "mn"), "quantized_matmul": ("mk", "kn", "mn"),
    "matmul_transpose_a": ("km", "kn", "mn"), "matmul_transpose_b": ("mk", "nk", "mn"),
    "batch_matmul": ("bmk", "bkn", "bmn"), "batch_matmul_transpose_a": ("bkm", "bkn", "bmn"),
    "batch_matmul_transpose_b": ("bmk", "bnk", "bmn"), "quantized_batch_matmul": ("bmk", "bkn", "bmn"),
    "batch_reduce_matmul": ("zmk", "zkn", "mn"), "matvec": ("mk", "k", "m"), "vecmat": ("k", "kn", "n"),
    "batch_matvec": ("bmk", "bk", "bm"), "batch_vecmat": ("bk", "bkn", "bn"), "dot": ("k", "k", ""),
    "mmt4d": ("MKmk", "NKnk", "MNmn"), "batch_mmt4d": ("bMKmk", "bNKnk", "bMNmn"),
}  # fmt: skip
"""Letters of A, B and the result of each product."""

_CONVOLUTION = re.compile(r"(depthwise_)?conv_([123])d(?:_([a-z]+)_([a-z]+?))?(_q)?")
_POOL = re.compile(r"pooling_([a-z]+)_(max|min|sum)(_unsigned)?")


def _split(call: Call) -> tuple[list[Tensor], Tensor, Tensor | None]:
    """(operands, result, what the accumulator starts from)."""
    ins, outs = generic.split_operands(call)
    inputs = [t for t in call.inputs[:ins] if t is not None]
    initial = generic.initial_values(call, ins, outs)
    results = generic.written(call, ins, outs)
    if not results:
        raise RuleError("it has no result")
    return inputs, results[0], initial[0] if initial else None


def product(of: tuple[str, str, str]) -> Rule:
    """The rule of a named product; maps given as an attribute (transposed or broadcast operands) take precedence."""

    def rule(call: Call) -> None:
        inputs, out, initial = _split(call)
        own: list[Any] = list(of)
        maps = call.attributes.get("indexing_maps")
        if isinstance(maps, tuple) and len(maps) == 3 and all(isinstance(m, AffineMap) for m in maps):
            own = [letters(m) for m in maps]
        if len(inputs) < 2:
            raise RuleError("it has less than two operands")
        a, b = call.ranked(0), call.ranked(1)
        answer, swapped = contract(Operand(a, own[0]), Operand(b, own[1]), own[2], out=out)
        pair = [b, a] if swapped else [a, b]
        emit_accumulated(call, answer, pair, out, initial)

    return rule


def contraction(call: Call) -> None:
    """linalg.contract: a product by its indexing maps."""
    product(("", "", ""))(call)


def convolve(call: Call) -> None:
    """conv_1d ... conv_3d_ndhwc_dhwcf, with groups (g) and depthwise (the filters' c is the input's)."""
    name = call.op_type.partition(".")[2]
    match = _CONVOLUTION.fullmatch(name)
    if match is None:
        raise RuleError("its layout is not known")
    depthwise, count = bool(match[1]), int(match[2])
    spatial = "dhw"[3 - count :]
    of_x, of_w = match[3] or spatial, match[4] or spatial
    inputs, out, initial = _split(call)
    x, w = inputs[:2]
    xs = dict(zip(of_x, x.shape or (), strict=True))
    ws = dict(zip(of_w, w.shape or (), strict=True))
    of_out = of_x.replace("c", "c" if depthwise else "f") + ("m" if depthwise and "m" in of_w else "")
    ys = dict(zip(of_out, out.shape or (), strict=True))
    axes = [a for a in of_x if a in spatial]
    kernel_axes = [a for a in of_w if a in spatial]
    window = Window(
        [xs[a] for a in axes], [ws[a] for a in kernel_axes], call.ints("strides", [1] * count, count=count),
        call.ints("dilations", [1] * count, count=count), [0] * count, [ys[a] for a in axes],
    )  # fmt: skip
    same_size("filters for %s channels", xs.get("c"), ws.get("c"))
    if depthwise:
        groups = c_in = xs["c"]
        c_out = c_in * ws.get("m", 1)
    else:
        groups = xs.get("g", 1)
        c_in, c_out = xs.get("c", 1) * groups, ws.get("f", 1) * groups
    op, form = filtered(window, x, w, out, batch=xs.get("n", 1), c_in=c_in, c_out=c_out, groups=groups)
    channel = "c" if depthwise else "f"
    attributes: dict[str, Any] = {"groups": groups, "strides": tuple(window.strides)}
    attributes["channel_axis"] = of_out.index(channel) if channel in of_out else 0
    emit_accumulated(call, Modelled(op, attributes, (), form.extra_bytes(op, w)), [x, w], out, initial)


def pooling(call: Call) -> None:
    """pooling_nhwc_max and alike; the second operand is the window's shape."""
    match = _POOL.fullmatch(call.op_type.partition(".")[2])
    if match is None:
        raise RuleError("its layout is not known")
    letters, kind = match[1], {"sum": "average"}.get(match[2], match[2])
    (x, window), out, _ = _split(call)
    spatial = [i for i, a in enumerate(letters) if a in "dhw"]
    xs, ys, kernel = x.shape or (), out.shape or (), window.shape or ()
    count = len(spatial)
    strides = call.ints("strides", [1] * count, count=count)
    op = pool(
        Window([xs[i] for i in spatial], kernel, strides, [1] * count, [0] * count, [ys[i] for i in spatial]),
        kind=kind, batch=xs[letters.index("n")], channels=xs[letters.index("c")], dtype=x.dtype,
    )  # fmt: skip
    call.emit(op, (x,), (out,), {"kernel": tuple(kernel), "strides": tuple(strides)})


def pointwise(kind: str) -> Rule:
    """linalg.add and alike."""

    def rule(call: Call) -> None:
        inputs, out, _ = _split(call)
        apply(call, kind, inputs, out=out)

    return rule


def elementwise(call: Call) -> None:
    """linalg.elementwise, linalg.elemwise_unary and elemwise_binary: the function is an attribute."""
    kind = TENSOR_KINDS.get(f"linalg.{enum_of(call.attributes.get('kind', call.attributes.get('fun', '')))}")
    if kind is None:
        raise RuleError(f"its function {enum_of(call.attributes.get('kind'))!r} is not known")
    pointwise(kind)(call)


def transpose(call: Call) -> None:
    """linalg.transpose."""
    inputs, out, _ = _split(call)
    movement.permuted(call, call.ints("permutation"), inputs[0], out)


def broadcast(call: Call) -> None:
    """linalg.broadcast: ``dimensions`` are those of the result that the operand lacks."""
    inputs, out, _ = _split(call)
    added = set(call.ints("dimensions", []))
    shape = list(inputs[0].shape or ())
    ones = tuple(1 if axis in added or not shape else shape.pop(0) for axis in range(len(out.shape or ())))
    if call.operation.results:
        call.convert.broadcast(call.operation, call.known[0], ones, out)
    else:
        op = ops.Copy(kind="expand", elements=out.elements, read_elements=inputs[0].elements, dtype=out.dtype)
        call.emit(op, (inputs[0],), (out,))


def fill(call: Call) -> None:
    """linalg.fill: with a number it is what the accumulator of the next operation starts from, and costs nothing there."""
    from perfmodel.features.mlir.known import Known

    _, out, _ = _split(call)
    known = call.known[0]
    number = known.number
    if call.operation.results:

        def make() -> None:
            call.emit(ops.Copy(kind="fill", elements=out.elements, read_elements=0, dtype=out.dtype), (), (out,))

        spread = call.constant(number, out.dtype) if isinstance(number, (int, float)) else None
        found = Known(out, scalar=number, spread=spread, make=make)
        call.convert.env[call.operation.results[0]] = found
        call.convert.later.append((call.convert.name_of(call.operation), call.op_type, found))
        return
    call.emit(ops.Copy(kind="fill", elements=out.elements, read_elements=0, dtype=out.dtype), (), (out,))


def map_(call: Call) -> None:
    """linalg.map: a scalar body over operands of one shape."""
    inputs, out, _ = _split(call)
    block = call.operation.body
    if block is None:
        kind = next((TENSOR_KINDS[w] for w in map(str, call.operation.literals) if w in TENSOR_KINDS), None)
        if kind is None:
            raise RuleError("it has no body")
        apply(call, kind, inputs, out=out)
        return
    generic.pointwise_body(call, inputs, [out])


def reduce(call: Call) -> None:
    """linalg.reduce along ``dimensions``."""
    inputs, out, _ = _split(call)
    x = inputs[0]
    axes = tuple(sorted(call.ints("dimensions")))
    cols = prod((x.shape or ())[a] for a in axes)
    results = generic.written(call, *generic.split_operands(call)) if call.operation.results else [out]
    op = ops.Reduce(
        kind=combiner(call.operation), rows=out.elements, cols=cols, out_dtype=out_dtype_of(x, out), dtype=x.dtype
    )
    call.emit(op, inputs, results, {"axis": axes, "keepdims": False})


def softmax(call: Call) -> None:
    """linalg.softmax along one axis."""
    inputs, out, _ = _split(call)
    x = inputs[0]
    axis = call.ints("dimension")[0]
    cols = (x.shape or ())[axis]
    op = ops.Softmax(rows=over(x.elements, cols), cols=cols, dtype=x.dtype)
    call.emit(op, (x,), (out,), {"axis": axis})


def copy(call: Call) -> None:
    """linalg.copy."""
    inputs, out, _ = _split(call)
    x = inputs[0]
    kind = "copy" if x.dtype == out.dtype else "cast"
    op = ops.Copy(kind=kind, elements=out.elements, dtype=x.dtype, out_dtype=out_dtype_of(x, out))
    call.emit(op, (x,), (out,))


def winograd(call: Call) -> None:
    """The transforms of Winograd's convolution: two products with constant matrices a tile.

    Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks" (2016), section 4: B^T·d·B, G·g·G^T and A^T·m·A.
    """
    inputs, out, _ = _split(call)
    text = enum_of(call.attributes.get("fmr", ""))
    numbers = [int(n) for n in re.findall(r"[0-9]+", text)]
    m, r = numbers[:2] if len(numbers) >= 2 else (call.ints("m", [4])[0], call.ints("r", [3])[0])
    tile = m + r - 1
    # (rows, terms) of the matrix on either side: rows·terms·terms, then rows·terms·rows products a tile.
    rows, terms = {"filter": (tile, r), "input": (tile, tile), "output": (m, tile)}[call.op_type.split("_")[1]]
    op = ops.Elementwise(
        kind="mul+add", elements=out.elements, steps=terms * terms / rows + terms, input_elements=inputs[0].elements,
        dtype=inputs[0].dtype,
    )  # fmt: skip
    call.emit(op, (inputs[0],), (out,))


def _by_name(name: str) -> Rule | None:
    if _CONVOLUTION.fullmatch(name):
        return convolve
    return pooling if _POOL.fullmatch(name) else None


def named_rule(operation: str) -> Rule | None:
    """The rule of a convolution or pool whose layout its name spells; None for other names."""
    return _by_name(operation.partition(".")[2]) if operation.startswith("linalg.") else None


CONVOLUTIONS = (
    "conv_1d", "conv_1d_nwc_wcf", "conv_1d_ncw_fcw", "conv_2d", "conv_2d_nhwc_hwcf", "conv_2d_nhwc_hwcf_q",
    "conv_2d_nhwc_fhwc", "conv_2d_nhwc_fhwc_q", "conv_2d_nchw_fchw", "conv_2d_nchw_fchw_q", "conv_2d_ngchw_fgchw",
    "conv_2d_ngchw_gfchw", "conv_2d_ngchw_gfchw_q", "conv_2d_nhwgc_gfhwc", "conv_2d_nhwgc_gfhwc_q", "conv_3d",
    "conv_3d_ndhwc_dhwcf", "conv_3d_ndhwc_dhwcf_q", "conv_3d_ncdhw_fcdhw", "depthwise_conv_1d_nwc_wc",
    "depthwise_conv_1d_ncw_cw", "depthwise_conv_1d_nwc_wcm", "depthwise_conv_2d_nhwc_hwc",
    "depthwise_conv_2d_nchw_chw", "depthwise_conv_2d_nhwc_hwc_q", "depthwise_conv_2d_nhwc_hwcm",
    "depthwise_conv_2d_nhwc_hwcm_q", "depthwise_conv_3d_ndhwc_dhwc", "depthwise_conv_3d_ncdhw_cdhw",
    "depthwise_conv_3d_ndhwc_dhwcm", "pooling_nhwc_sum", "pooling_nchw_sum", "pooling_nhwc_max",
    "pooling_nhwc_max_unsigned", "pooling_nchw_max", "pooling_nhwc_min", "pooling_nhwc_min_unsigned", "pooling_nwc_sum",
    "pooling_ncw_sum", "pooling_nwc_max", "pooling_nwc_max_unsigned", "pooling_ncw_max", "pooling_nwc_min",
    "pooling_nwc_min_unsigned", "pooling_ndhwc_sum", "pooling_ndhwc_max", "pooling_ndhwc_min",
)  # fmt: skip

RULES: dict[str, Rule] = {
    **{f"linalg.{name}": product(letters) for name, letters in PRODUCTS.items()},
    **{f"linalg.{name}": convolve if _CONVOLUTION.fullmatch(name) else pooling for name in CONVOLUTIONS},
    **{name: pointwise(kind) for name, kind in TENSOR_KINDS.items() if name.startswith("linalg.")},
    "linalg.contract": contraction, "linalg.elementwise": elementwise, "linalg.elemwise_unary": elementwise,
    "linalg.elemwise_binary": elementwise, "linalg.transpose": transpose, "linalg.broadcast": broadcast,
    "linalg.fill": fill, "linalg.map": map_, "linalg.reduce": reduce, "linalg.softmax": softmax, "linalg.copy": copy,
    "linalg.winograd_filter_transform": winograd, "linalg.winograd_input_transform": winograd,
    "linalg.winograd_output_transform": winograd,
}  # fmt: skip
"""Rules by the operation's name."""

FULL = frozenset(
    name for name in RULES
    if name.partition(".")[2] not in PRODUCTS and name not in ("linalg.broadcast", "linalg.elementwise", "linalg.contract")
    and name not in TENSOR_KINDS
)  # fmt: skip
