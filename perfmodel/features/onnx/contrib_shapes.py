"""Shapes of operators of ONNX Runtime (``com.microsoft`` and its blocked layout) and of ``ai.onnx.ml``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from perfmodel.features.onnx.operator_shapes import (
    ShapeFunction,
    attribute,
    broadcast,
    dims_of,
    infer_unique,
    input_of,
    like,
    set_output,
    upsampled,
)

MS = "com.microsoft"
"""The domain of ONNX Runtime's own operators."""
_ML = "ai.onnx.ml"
NCHWC = "com.microsoft.nchwc"
"""Blocked layout of ONNX Runtime's CPU convolutions: shapes are those of NCHW."""


def window_extents(node: Any, sizes: Sequence[Any], kernel: Sequence[Any]) -> list[Any]:
    """Extents of the result of a window that slides over ``sizes`` (convolutions and pools)."""
    count = len(sizes)
    strides = list(attribute(node, "strides", [1] * count))
    dilations = list(attribute(node, "dilations", [1] * count))
    auto = attribute(node, "auto_pad", "NOTSET")
    if auto in ("SAME_UPPER", "SAME_LOWER"):
        return [(size + stride - 1) // stride for size, stride in zip(sizes, strides, strict=True)]
    pads = [0] * (2 * count) if auto == "VALID" else list(attribute(node, "pads", [0] * (2 * count)))
    up = bool(attribute(node, "ceil_mode", 0))
    extents = []
    for axis, size in enumerate(sizes):
        span = size + pads[axis] + pads[axis + count] - dilations[axis] * (kernel[axis] - 1) - 1
        extents.append((span + (strides[axis] - 1 if up else 0)) // strides[axis] + 1)
    return extents


def channels_last(dims: list[Any]) -> tuple[Any, list[Any], Any]:
    """(batch, spatial sizes, channels) of a tensor whose channels come last."""
    return dims[0], dims[1:-1], dims[-1]


def _nhwc_conv(ctx: Any, node: Any) -> None:
    """NhwcConv and NhwcFusedConv: activations [N, H, W, C]; filters [M, C / groups, kH, kW]."""
    x, w = dims_of(input_of(node, 0)), dims_of(input_of(node, 1))
    if x is None or w is None or len(x) != len(w):
        return
    batch, sizes, _ = channels_last(x)
    set_output(ctx, node, 0, [batch, *window_extents(node, sizes, w[2:]), w[0]], node.inputs[0].dtype)


def _nhwc_pool(ctx: Any, node: Any) -> None:
    _pool(ctx, node, last=True)


def _qlinear_pool(ctx: Any, node: Any) -> None:
    _pool(ctx, node, last=bool(attribute(node, "channels_last", 0)))


def _pool(ctx: Any, node: Any, *, last: bool) -> None:
    x, kernel = dims_of(input_of(node, 0)), attribute(node, "kernel_shape", None)
    if x is None or kernel is None or len(kernel) != len(x) - 2:
        return
    sizes = x[1:-1] if last else x[2:]
    extents = window_extents(node, sizes, list(kernel))
    dims = [x[0], *extents, x[-1]] if last else [*x[:2], *extents]
    set_output(ctx, node, 0, dims, node.inputs[0].dtype)


def _global_pool(ctx: Any, node: Any) -> None:
    x = dims_of(input_of(node, 0))
    if x is None or len(x) < 3:
        return
    ones = [1] * (len(x) - 2)
    last = bool(attribute(node, "channels_last", 0))
    set_output(ctx, node, 0, [x[0], *ones, x[-1]] if last else [*x[:2], *ones], node.inputs[0].dtype)


def _reduce_mean(ctx: Any, node: Any) -> None:
    """QLinearReduceMean, whose axes are an attribute."""
    x = dims_of(input_of(node, 0))
    if x is None:
        return
    axes = {a % len(x) for a in attribute(node, "axes", range(len(x)))} if x else set()
    keep = bool(attribute(node, "keepdims", 1))
    dims = [1 if axis in axes else d for axis, d in enumerate(x) if keep or axis not in axes]
    set_output(ctx, node, 0, dims, node.inputs[0].dtype)


def _product(a: list[Any] | None, b: list[Any] | None) -> list[Any] | None:
    """Shape of ``numpy.matmul``."""
    import onnx_ir as ir
    from onnx_shape_inference import broadcast_shapes

    if not a or not b:
        return None
    rows, columns = ([] if len(a) == 1 else [a[-2]]), ([] if len(b) == 1 else [b[-1]])
    batches = broadcast_shapes(ir.Shape(a[:-2]), ir.Shape(b[:-2]))
    return None if batches is None else [*batches.dims, *rows, *columns]


def matmul(second: int, dtype: Any = None, dtype_of: int | None = 0) -> ShapeFunction:
    """A product of operand 0 and operand ``second``.

    Args:
        dtype_of: the operand whose dtype the result has, where ``dtype`` does not name it.
    """

    def function(ctx: Any, node: Any) -> None:
        a, b = dims_of(input_of(node, 0)), dims_of(input_of(node, second))
        kind = dtype
        if kind is None and dtype_of is not None:
            value = input_of(node, dtype_of)
            kind = None if value is None else value.dtype
        set_output(ctx, node, 0, _product(a, b), kind)

    return function


def _fused_matmul(ctx: Any, node: Any) -> None:
    """FusedMatMul and its like: transposed matrices, and batches behind the rows."""
    operands = []
    for index, letter in ((0, "A"), (1, "B")):
        dims = dims_of(input_of(node, index))
        if dims is not None and attribute(node, f"transBatch{letter}", 0) and len(dims) > 2:
            dims = [*dims[1:-1], dims[0], dims[-1]]
        if dims is not None and attribute(node, f"trans{letter}", 0) and len(dims) > 1:
            dims[-2:] = dims[:-3:-1]
        operands.append(dims)
    set_output(ctx, node, 0, _product(*operands), node.inputs[0].dtype)


def _qgemm(ctx: Any, node: Any) -> None:
    """QGemm: 8-bit results where they have a zero point, floating ones otherwise."""
    import onnx_ir as ir

    a, b, zero = dims_of(input_of(node, 0)), dims_of(input_of(node, 3)), input_of(node, 8)
    if a is None or b is None or len(a) != 2 or len(b) != 2:
        return
    rows = a[1] if attribute(node, "transA", 0) else a[0]
    columns = b[0] if attribute(node, "transB", 0) else b[1]
    set_output(ctx, node, 0, [rows, columns], ir.DataType.FLOAT if zero is None else zero.dtype)


def _narrow_matmul(ctx: Any, node: Any) -> None:
    """MatMulBnb4 and MatMulFpQ4: the weight's shape is an attribute or a constant."""
    a = dims_of(input_of(node, 0))
    n = attribute(node, "N", None)
    if n is None and input_of(node, 2) is not None:
        shape = ctx.get_symbolic_value(node.inputs[2])
        if shape is None and node.inputs[2].const_value is not None:
            shape = node.inputs[2].const_value.numpy().reshape(-1).tolist()
        n = shape[-1] if shape else None
    if a:
        set_output(ctx, node, 0, [*a[:-1], n], node.inputs[0].dtype)


def _gather_blocks(ctx: Any, node: Any) -> None:
    """GatherBlockQuantized: a Gather whose result has the scales' dtype; uint8 data hold two values of 4 bits."""
    import onnx_ir as ir

    data, indices, scales = dims_of(input_of(node, 0)), dims_of(input_of(node, 1)), input_of(node, 2)
    if data is None or indices is None or scales is None:
        return
    axis = int(attribute(node, "gather_axis", 0)) % len(data)
    bits = int(attribute(node, "bits", 4))
    if node.inputs[0].dtype == ir.DataType.UINT8 and bits < 8:
        quantized = int(attribute(node, "quantize_axis", 1)) % len(data)
        data[quantized] = data[quantized] * (8 // bits)
    set_output(ctx, node, 0, [*data[:axis], *indices, *data[axis + 1 :]], scales.dtype)


def _recurrent(ctx: Any, node: Any) -> None:
    """DynamicQuantizeLSTM: like LSTM, with transposed weights [directions, inputs, 4 * hidden]."""
    x, r = dims_of(input_of(node, 0)), dims_of(input_of(node, 2))
    if x is None or len(x) != 3:
        return
    hidden = attribute(node, "hidden_size", r[1] if r is not None and len(r) == 3 else None)
    directions = 2 if attribute(node, "direction", "forward") == "bidirectional" else 1
    dtype = node.inputs[0].dtype
    set_output(ctx, node, 0, [x[0], directions, x[1], hidden], dtype)
    for index in (1, 2):
        set_output(ctx, node, index, [directions, x[1], hidden], dtype)


def _crops(ctx: Any, node: Any) -> None:
    x, regions, size = dims_of(input_of(node, 0)), dims_of(input_of(node, 1)), input_of(node, 3)
    if x is None or regions is None:
        return
    sides = None if size is None or size.const_value is None else size.const_value.numpy().reshape(-1).tolist()
    set_output(ctx, node, 0, [regions[0], x[1], *(sides or [None, None])], node.inputs[0].dtype)


def _expand_dims(ctx: Any, node: Any) -> None:
    x, axis = dims_of(input_of(node, 0)), input_of(node, 1)
    if x is None or axis is None or axis.const_value is None:
        return
    at = int(axis.const_value.numpy().reshape(-1)[0]) % (len(x) + 1)
    set_output(ctx, node, 0, [*x[:at], 1, *x[at:]], node.inputs[0].dtype)


def _distances(ctx: Any, node: Any) -> None:
    a, b = dims_of(input_of(node, 0)), dims_of(input_of(node, 1))
    if a and b:
        set_output(ctx, node, 0, [a[0], b[0]], node.inputs[0].dtype)


def _fft(ctx: Any, node: Any) -> None:
    """Rfft writes half of the last axis and one, as pairs; Irfft reads them."""
    x = dims_of(input_of(node, 0))
    if x is None or len(x) < 2:
        return
    one_sided = bool(attribute(node, "onesided", 1))
    if node.op_type == "Rfft":
        dims = [*x[:-1], x[-1] // 2 + 1 if one_sided else x[-1], 2]
    else:
        dims = [*x[:-2], 2 * (x[-2] - 1) if one_sided else x[-2]]
    set_output(ctx, node, 0, dims, node.inputs[0].dtype)


def _look_up_rows(ctx: Any, node: Any) -> None:
    table, indices = dims_of(input_of(node, 0)), dims_of(input_of(node, 1))
    if table is not None and indices is not None:
        set_output(ctx, node, 0, [*indices, *table[1:]], node.inputs[0].dtype)


def _relative_bias(ctx: Any, node: Any) -> None:
    table = dims_of(input_of(node, 0))
    if table is None or len(table) != 2:
        return
    lengths = [ctx.get_symbolic_value(v) if v is not None else None for v in (input_of(node, 1), input_of(node, 2))]
    set_output(ctx, node, 0, [1, table[1], *(v[0] if v else None for v in lengths)], node.inputs[0].dtype)


def _decoder_attention(ctx: Any, node: Any) -> None:
    """DecoderMaskedSelfAttention: the projected values' width; the cache keeps its shape."""
    x, w = dims_of(input_of(node, 0)), dims_of(input_of(node, 1))
    if x is None or len(x) != 3 or w is None or len(w) != 2:
        return
    set_output(ctx, node, 0, [x[0], x[1], w[1] // 3], node.inputs[0].dtype)
    past = input_of(node, 4)
    if past is not None:
        set_output(ctx, node, 1, dims_of(past), past.dtype)


def _words(ctx: Any, node: Any) -> None:
    """WordConvEmbedding: a vector of as many elements as there are filters, a word."""
    ids, w = dims_of(input_of(node, 0)), dims_of(input_of(node, 1))
    if ids is not None and w:
        set_output(ctx, node, 0, [*ids[:-1], w[0]], node.inputs[1].dtype)


def _scores(ctx: Any, node: Any) -> None:
    """Linear models, support vectors and trees: scores (and labels before them) a sample."""
    import onnx_ir as ir

    x = dims_of(input_of(node, 0))
    if not x:
        return
    rows = x[0] if len(x) > 1 else 1
    labels = attribute(node, "classlabels_ints", None) or attribute(node, "classlabels_int64s", None)
    strings = attribute(node, "classlabels_strings", None)
    if node.op_type.endswith("Classifier"):
        classes = len(labels or strings or ()) or None
        set_output(ctx, node, 0, [rows], ir.DataType.STRING if strings else ir.DataType.INT64)
        set_output(ctx, node, 1, [rows, classes], ir.DataType.FLOAT)
    else:
        targets = attribute(node, "n_targets", attribute(node, "targets", 1))
        set_output(ctx, node, 0, [rows, targets], ir.DataType.FLOAT)


def _category_mapper(ctx: Any, node: Any) -> None:
    import onnx_ir as ir

    value = input_of(node, 0)
    if value is not None:
        dtype = ir.DataType.INT64 if value.dtype == ir.DataType.STRING else ir.DataType.STRING
        set_output(ctx, node, 0, dims_of(value), dtype)


def _one_hot_encoder(ctx: Any, node: Any) -> None:
    import onnx_ir as ir

    x = dims_of(input_of(node, 0))
    categories = attribute(node, "cats_int64s", None) or attribute(node, "cats_strings", None) or ()
    if x is not None:
        set_output(ctx, node, 0, [*x, len(categories) or None], ir.DataType.FLOAT)


def _feature_vectorizer(ctx: Any, node: Any) -> None:
    import onnx_ir as ir

    x = dims_of(input_of(node, 0))
    sizes = attribute(node, "inputdimensions", None)
    if x and sizes:
        set_output(ctx, node, 0, [x[0] if len(x) > 1 else 1, sum(sizes)], ir.DataType.FLOAT)


def _reorder_output(ctx: Any, node: Any) -> None:
    """ReorderOutput of the blocked layout: drops the channels that filled the last block."""
    x = dims_of(input_of(node, 0))
    if x is None or len(x) != 4:
        return
    x[1] = attribute(node, "channels", x[1])
    last = bool(attribute(node, "channels_last", 0))
    set_output(ctx, node, 0, [x[0], *x[2:], x[1]] if last else x, node.inputs[0].dtype)


def _reorder_input(ctx: Any, node: Any) -> None:
    """ReorderInput: into the blocked layout, from channels last where it says so."""
    x = dims_of(input_of(node, 0))
    if x is None:
        return
    if attribute(node, "channels_last", 0) and len(x) > 2:
        x = [x[0], x[-1], *x[1:-1]]
    set_output(ctx, node, 0, x, node.inputs[0].dtype)


BORROWED = {
    "DequantizeLinear": "DequantizeLinear", "FusedConv": "Conv", "FusedGemm": "Gemm", "GatherND": "GatherND",
    "GridSample": "GridSample", "MaxpoolWithMask": "MaxPool", "Pad": "Pad",
    "QuantizeLinear": "QuantizeLinear", "Range": "Range", "ReduceSumInteger": "ReduceSum", "Trilu": "Trilu",
}  # fmt: skip
"""Operators of com.microsoft that are a standard one under their own domain or name."""


def functions() -> dict[tuple[str, str], ShapeFunction]:
    """(domain, operator) → its shape function."""
    import onnx_ir as ir

    flt, int32 = ir.DataType.FLOAT, ir.DataType.INT32
    microsoft: dict[str, ShapeFunction] = {
        "BiasDropout": like(0), "BiasSoftmax": like(0), "BitmaskDropout": like(0), "BitmaskBiasDropout": like(0),
        "CDist": _distances, "ComplexMul": like(0), "ComplexMulConj": like(0), "CropAndResize": _crops,
        "DecoderMaskedSelfAttention": _decoder_attention, "DequantizeWithOrder": like(0, dtype=flt),
        "DynamicQuantizeLSTM": _recurrent, "DynamicQuantizeMatMul": matmul(1), "ExpandDims": _expand_dims,
        "GatherBlockQuantized": _gather_blocks, "GemmaRotaryEmbedding": like(2, 3),
        "FusedMatMul": _fused_matmul, "FusedMatMulActivation": _fused_matmul, "QGemm": _qgemm,
        "TransposeMatMul": _fused_matmul,
        "Inverse": like(0), "Irfft": _fft, "MatMulBnb4": _narrow_matmul, "MatMulFpQ4": _narrow_matmul,
        "MatMulInteger16": matmul(1, dtype=int32), "MatMulIntegerToFloat": matmul(1, dtype_of=2),
        "MulInteger": broadcast(0, 2, dtype=int32),
        "NGramRepeatBlock": like(1), "NhwcConv": _nhwc_conv, "NhwcFusedConv": _nhwc_conv, "NhwcMaxPool": _nhwc_pool,
        "QLinearAveragePool": _qlinear_pool, "QLinearGlobalAveragePool": _global_pool,
        "QLinearReduceMean": _reduce_mean, "QuantizeWithOrder": like(0, dtype=ir.DataType.INT8),
        "RelativePositionBias": _relative_bias, "Rfft": _fft, "TorchEmbedding": _look_up_rows,
        "Unique": infer_unique, "WordConvEmbedding": _words,
    }  # fmt: skip
    learning: dict[str, ShapeFunction] = {
        "CategoryMapper": _category_mapper, "FeatureVectorizer": _feature_vectorizer, "Imputer": like(0),
        "LinearClassifier": _scores, "LinearRegressor": _scores, "Normalizer": like(0, dtype=flt),
        "OneHotEncoder": _one_hot_encoder, "SVMClassifier": _scores, "SVMRegressor": _scores,
        "Scaler": like(0, dtype=flt), "TreeEnsembleClassifier": _scores, "TreeEnsembleRegressor": _scores,
    }  # fmt: skip
    blocked: dict[str, ShapeFunction] = {
        "ReorderInput": _reorder_input, "ReorderOutput": _reorder_output, "Upsample": upsampled,
    }  # fmt: skip
    return {
        **{(MS, name): function for name, function in microsoft.items()},
        **{(_ML, name): function for name, function in learning.items()},
        **{(NCHWC, name): function for name, function in blocked.items()},
    }
