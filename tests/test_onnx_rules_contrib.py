"""ONNX Runtime's operators, counted by hand on small shapes."""

from __future__ import annotations

from typing import Any

import onnx
import pytest
from onnx import helper
from onnx_models import FLOAT, FLOAT16, INT8, INT64, UINT8, constant, model, value, weight

from perfmodel import ops
from perfmodel.features import read_onnx
from perfmodel.graph import Graph, Node

INT32 = onnx.TensorProto.INT32
MS, NCHWC = "com.microsoft", "com.microsoft.nchwc"

Operand = tuple[str, list[Any], int]
"""A name (upper case: a weight), a shape, an element type."""


def read(
    op_type: str, operands: list[Operand | None], *, outputs: int = 1, domain: str = MS, **attributes: Any
) -> Graph:
    """A model of one operator; operands called in upper case are weights, None is left out."""
    names = ["" if o is None else o[0] for o in operands]
    given = [o for o in operands if o is not None]
    inputs = [value(n, s, t) for n, s, t in given if not n.isupper()]
    stored = [weight(n, s, t) for n, s, t in given if n.isupper()]
    results = [f"y{i}" for i in range(outputs)]
    node = helper.make_node(op_type, names, results, name="node", domain=domain, **attributes)
    return read_onnx(model([node], inputs, results, stored, opset=17, domains=[domain]))


def only(*args: Any, **kwargs: Any) -> Node:
    (node,) = read(*args, **kwargs).nodes
    return node


def f(name: str, *shape: Any) -> Operand:
    return name, list(shape), FLOAT


def h(name: str, *shape: Any) -> Operand:
    return name, list(shape), FLOAT16


def u(name: str, *shape: Any) -> Operand:
    return name, list(shape), UINT8


def i8(name: str, *shape: Any) -> Operand:
    return name, list(shape), INT8


def i32(name: str, *shape: Any) -> Operand:
    return name, list(shape), INT32


SCALE, ZERO = f("S"), u("Z")


# ---------------------------------------------------------------------------------------- products and convolutions


def test_transposed_batches_of_fused_matmul() -> None:
    # transBatchA: [m, batch, k]
    node = only("FusedMatMul", [f("a", 5, 3, 7), f("b", 3, 7, 4)], transBatchA=1)
    assert isinstance(node.op, ops.Gemm)
    assert (node.op.batch, node.op.m, node.op.n, node.op.k) == (3, 5, 4, 7)


def test_fused_convolutions_count_their_residual_and_activation() -> None:
    node = only("FusedConv", [f("x", 1, 3, 8, 8), f("W", 4, 3, 3, 3), f("B", 4), f("z", 1, 4, 6, 6)], activation="Relu")
    # 4·6·6 results of 27 products, a bias, a residual, a comparison.
    assert node.flops == 144 * (2 * 27 + 1 + 1 + 1)
    assert node.extra_bytes_read == 4 * (4 + 144)
    assert only("FusedGemm", [f("a", 3, 5), f("B", 5, 7), f("C", 7)], activation="Tanh").flops == 21 * (10 + 1 + 8)


@pytest.mark.parametrize("op_type", ["NhwcConv", "NhwcFusedConv"])
def test_convolutions_with_channels_last(op_type: str) -> None:
    graph = read(op_type, [h("x", 2, 8, 9, 3), h("W", 4, 3, 3, 3)], strides=[2, 1], pads=[1, 0, 1, 0])
    (node,) = graph.nodes
    assert graph.tensors["y0"].shape == (2, 4, 7, 4)
    assert node.flops == 2 * (2 * 4 * 7 * 4) * 27
    assert node.op.bytes == 2 * (2 * 8 * 9 * 3 + 4 * 27 + 2 * 4 * 7 * 4)


def test_blocked_layout() -> None:
    nodes = [
        helper.make_node("ReorderInput", ["x"], ["a"], domain=NCHWC),
        helper.make_node("Conv", ["a", "W"], ["b"], domain=NCHWC, activation="Relu", kernel_shape=[3, 3]),
        helper.make_node("MaxPool", ["b"], ["c"], domain=NCHWC, kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("ReorderOutput", ["c"], ["y"], domain=NCHWC, channels=10),
    ]
    graph = read_onnx(model(nodes, [value("x", [1, 8, 10, 10])], ["y"], [weight("W", [16, 8, 3, 3])], domains=[NCHWC]))
    assert graph.tensors["y"].shape == (1, 10, 4, 4)
    assert [n.op.op for n in graph.nodes] == ["copy", "conv", "pool", "copy"]
    assert graph.nodes[1].flops == 16 * 64 * (2 * 72 + 1)


# -------------------------------------------------------------------------------------------------- weights


@pytest.mark.parametrize(
    ("bits", "block", "activation", "dtype"),
    [
        (4, 32, FLOAT16, "w4a16_g32"),
        (8, 128, FLOAT16, "w8a16_g128"),
        (4, 32, FLOAT, "w4a32_g32"),
        (2, 64, FLOAT16, "w2a16_g64"),
    ],
)
def test_narrow_weights_are_read_as_the_file_stores_them(bits: int, block: int, activation: int, dtype: str) -> None:
    n, k, rows = 64, 256, 6
    stored = [("B", [n, k // block, block * bits // 8], UINT8), ("SCALES", [n * k // block], activation)]
    node = only("MatMulNBits", [("a", [2, 3, k], activation), *stored], K=k, N=n, bits=bits, block_size=block)
    assert isinstance(node.op, ops.Gemm)
    assert (node.op.m, node.op.n, node.op.k, node.op.dtype) == (rows, n, k, dtype)
    width = 2 if activation == FLOAT16 else 4
    weights = n * k * bits // 8 + n * k // block * width
    assert node.op.bytes_read + node.extra_bytes_read == rows * k * width + weights
    assert node.flops == 2 * rows * n * k


def test_weights_of_four_bits_in_other_formats() -> None:
    bnb = only(
        "MatMulBnb4",
        [h("a", 5, 64), u("B", 64 * 32 // 2), h("MAX", 64 * 32 // 64)],
        K=64,
        N=32,
        block_size=64,
        quant_type=1,
    )
    assert isinstance(bnb.op, ops.Gemm)
    assert (bnb.op.m, bnb.op.n, bnb.op.k, bnb.op.dtype) == (5, 32, 64, "w4a16")
    nodes = [helper.make_node("MatMulFpQ4", ["a", "B", "shape"], ["y"], domain=MS)]
    stored = [weight("B", [64 * 32 // 2 + 256], UINT8), constant("shape", [64, 32])]
    graph = read_onnx(model(nodes, [value("a", [5, 64])], ["y"], stored, domains=[MS]))
    assert graph.tensors["y"].shape == (5, 32)
    assert graph.nodes[0].flops == 2 * 5 * 32 * 64


def test_a_look_up_in_a_quantised_table() -> None:
    # Rows of 64 values of 4 bits, a scale of 16 bits for each 32 of them.
    graph = read("GatherBlockQuantized", [u("T", 1000, 32), ("ids", [3, 5], INT64), h("SCALES", 1000, 2)],
                 block_size=32, bits=4, gather_axis=0, quantize_axis=1)  # fmt: skip
    (node,) = graph.nodes
    assert graph.tensors["y0"].shape == (3, 5, 64)
    assert node.op.bytes_written == 2 * 15 * 64
    assert node.op.bytes_read + node.extra_bytes_read == 15 * 32 + 15 * 2 * 2 + 15 * 8
    assert node.flops == 15 * 64 * 2


@pytest.mark.parametrize(("bits", "dtype"), [(4, "w4a16"), (8, "w8a16")])
def test_quantised_experts(bits: int, dtype: str) -> None:
    tokens, hidden, width, experts = 7, 32, 48, 8
    pack = 8 // bits
    operands = [
        h("x", tokens, hidden), h("router", tokens, experts), u("FC", experts, width, hidden // pack), h("FS", experts, width),
        None, u("FD", experts, hidden, width // pack), h("FT", experts, hidden),
    ]  # fmt: skip
    op = only("QMoE", operands, k=2, expert_weight_bits=bits, activation_type="relu").op
    assert isinstance(op, ops.Moe)
    assert (op.tokens, op.hidden, op.intermediate, op.experts, op.top_k, op.matrices, op.dtype) == (
        tokens, hidden, width, experts, 2, 2, dtype,
    )  # fmt: skip


# ------------------------------------------------------------------------------------------------- attention


QUERY, HEADS = (2, 6, 64), 4  # two sequences of 6 tokens, 4 heads of 16
PRODUCTS = 2 * 2 * (2 * 4) * 6 * 6 * 16


@pytest.mark.parametrize(
    ("op_type", "operands", "attributes", "products"),
    [
        ("MultiHeadAttention", [f("q", *QUERY), f("k", *QUERY), f("v", *QUERY)], {"num_heads": 4}, PRODUCTS),
        ("MultiHeadAttention", [f("q", 2, 6, 4, 3, 16)], {"num_heads": 4}, PRODUCTS),
        ("MultiHeadAttention", [f("q", *QUERY), f("k", 2, 6, 4, 2, 16)], {"num_heads": 4}, PRODUCTS),
        ("MultiHeadAttention", [f("q", *QUERY), f("k", 2, 4, 9, 16), f("v", 2, 4, 9, 16)], {"num_heads": 4}, PRODUCTS * 9 // 6),
        ("GroupQueryAttention", [f("q", 2, 6, 96), None, None, None, None, i32("l", 2), i32("t")],
         {"num_heads": 4, "kv_num_heads": 1}, PRODUCTS),
        ("GroupQueryAttention", [f("q", *QUERY), f("k", 2, 6, 16), f("v", 2, 6, 16), f("pk", 2, 1, 12, 16),
                                 f("pv", 2, 1, 12, 16), i32("l", 2), i32("t")],
         {"num_heads": 4, "kv_num_heads": 1}, PRODUCTS * 18 // 6),
        ("DecoderMaskedMultiHeadAttention", [f("q", 2, 1, 64), f("k", 2, 1, 64), f("v", 2, 1, 64), None, None,
                                             f("pk", 2, 4, 20, 16), f("pv", 2, 4, 20, 16)],
         {"num_heads": 4}, 2 * 2 * (2 * 4) * 1 * 20 * 16),
        ("PackedMultiHeadAttention", [f("q", 9, 64), f("k", 9, 64), f("v", 9, 64), None, i32("o", 2, 6), i32("c", 3)],
         {"num_heads": 4}, PRODUCTS),
    ],
)  # fmt: skip
def test_attention_without_projection(
    op_type: str, operands: list[Operand | None], attributes: dict[str, Any], products: int
) -> None:
    graph = read(op_type, operands, **attributes)
    (node,) = graph.nodes
    assert isinstance(node.op, ops.Attention)
    assert (node.op.heads, node.op.head_dim) == (4, 16)
    assert node.product_flops == products
    assert graph.tensors["y0"].shape is not None


@pytest.mark.parametrize(
    ("op_type", "operands", "rows", "dtype"),
    [
        ("Attention", [f("x", 2, 6, 64), f("W", 64, 192), f("B", 192)], 12, "fp32"),
        ("PackedAttention", [f("x", 9, 64), f("W", 64, 192), f("B", 192), i32("o", 2, 6), i32("c", 3)], 9, "fp32"),
        ("QAttention", [u("x", 2, 6, 64), i8("W", 64, 192), f("B", 192), SCALE, f("T"), None, ZERO, i8("Y")], 12, "int8"),
    ],
)  # fmt: skip
def test_attention_with_its_projection(op_type: str, operands: list[Operand | None], rows: int, dtype: str) -> None:
    node = only(op_type, operands, num_heads=4)
    assert isinstance(node.op, ops.Gemm)
    assert (node.op.m, node.op.n, node.op.k, node.op.dtype) == (rows, 192, 64, dtype)
    bias, inner = node.fused
    assert bias.flops == rows * 192
    assert isinstance(inner, ops.Attention)
    assert inner.product_flops == PRODUCTS
    assert inner.dtype == "fp32"  # also where the projection multiplies integers


def test_a_quantised_cache_is_read_as_it_is_stored() -> None:
    cache = [i8("pk", 2, 1, 100, 16), i8("pv", 2, 1, 100, 16)]
    node = only("GroupQueryAttention", [h("q", 2, 1, 64), h("k", 2, 1, 16), h("v", 2, 1, 16), *cache, i32("l", 2), i32("t")],
                num_heads=4, kv_num_heads=1)  # fmt: skip
    assert isinstance(node.op, ops.Attention)
    assert (node.op.phase, node.op.kv_len, node.op.kv_dtype) == ("decode", 101, "int8")
    assert node.op.kv_bytes == 2 * 101 * 2 * 16


def test_pages_of_a_cache() -> None:
    operands = [
        h("q", 2, 64), h("k", 2, 16), h("v", 2, 16), h("kc", 40, 8, 1, 16), h("vc", 40, 8, 1, 16), i32("c", 3), i32("p", 2),
        i32("b", 2, 5),
    ]  # fmt: skip
    op = only("PagedAttention", operands, num_heads=4, kv_num_heads=1).op
    assert isinstance(op, ops.Attention)
    assert (op.batch, op.q_len, op.kv_len, op.kv_heads) == (2, 1, 40, 1)


# ------------------------------------------------------------------------------------------- 8-bit operators


def test_integer_products_and_their_scaling() -> None:
    node = only("QGemm", [u("a", 5, 7), SCALE, ZERO, i8("B", 7, 9), f("T"), i8("Y"), ("C", [9], INT32), f("U"), u("V")])
    assert node.op == ops.Gemm(batch=1, m=5, n=9, k=7, dtype="int8", out_dtype="uint8")
    assert node.flops == 45 * (2 * 7 + 1 + 4)  # a bias, four steps of scaling
    wide = only("MatMulIntegerToFloat", [u("a", 5, 7), i8("B", 7, 9), SCALE, f("T"), ZERO, i8("Y"), f("C", 9)])
    assert wide.op == ops.Gemm(batch=1, m=5, n=9, k=7, dtype="int8", out_dtype="fp32")
    assert wide.flops == 45 * (2 * 7 + 1 + 1)


def test_activations_that_are_quantised_on_the_way() -> None:
    node = only("DynamicQuantizeMatMul", [f("a", 5, 8), i8("B", 8, 9), SCALE, i8("Y"), f("C", 9)])
    assert node.op == ops.Gemm(batch=1, m=5, n=9, k=8, dtype="int8", out_dtype="fp32")
    # 32-bit activations are read twice, 8-bit weights once; a scale, a zero point, a bias.
    assert node.op.bytes_read + node.extra_bytes_read == 2 * 4 * 40 + 72 + 4 + 1 + 36
    assert node.flops == 45 * (16 + 1 + 1) + 40 * (1 + 4)


def test_a_quantised_lstm_reads_narrow_weights() -> None:
    operands = [
        f("x", 10, 2, 16),
        i8("W", 1, 16, 128),
        i8("R", 1, 32, 128),
        *[None] * 5,
        f("S"),
        i8("Y"),
        f("T"),
        i8("V"),
    ]
    graph = read("DynamicQuantizeLSTM", operands, hidden_size=32)
    (node,) = graph.nodes
    assert graph.tensors["y0"].shape == (10, 1, 2, 32)
    assert node.product_flops == 2 * 10 * 2 * 128 * (16 + 32)
    assert node.op.dtype == "int8"  # what is multiplied; inputs and results are 32 bits wide all the same
    moved = 4 * 10 * 2 * 16 + 128 * 48 + 4 + 1 + 4 + 1 + 4 * 10 * 2 * 32
    assert node.op.bytes + node.extra_bytes_read == moved


@pytest.mark.parametrize("last", [0, 1])
def test_quantised_pools(last: int) -> None:
    shape = (1, 9, 9, 4) if last else (1, 4, 9, 9)
    operands = [u("x", *shape), SCALE, ZERO, f("T"), u("Y")]
    graph = read("QLinearAveragePool", operands, kernel_shape=[3, 3], strides=[2, 2], channels_last=last)
    (node,) = graph.nodes
    assert graph.tensors["y0"].shape == ((1, 4, 4, 4))
    assert node.flops == 64 * (9 + 4)
    assert node.op.bytes == 324 + 64
    whole = read("QLinearGlobalAveragePool", operands, channels_last=last)
    assert whole.tensors["y0"].shape == ((1, 1, 1, 4) if last else (1, 4, 1, 1))
    assert whole.nodes[0].flops == 324 + 4 * 4


def test_quantised_functions() -> None:
    added = only("QLinearAdd", [u("a", 4, 6), SCALE, ZERO, u("b", 6), f("T"), u("Y"), f("U"), u("V")])
    assert added.flops == 24 * (2 + 1 + 4)
    concat = read("QLinearConcat", [SCALE, ZERO, u("a", 2, 3), f("T"), u("Y"), u("b", 2, 5), f("U"), u("V")], axis=1)
    assert concat.tensors["y0"].shape == (2, 8)
    assert concat.nodes[0].op.bytes_written == 16
    softmax = only("QLinearSoftmax", [u("x", 4, 6), SCALE, ZERO, f("T"), u("Y")], axis=-1, opset=13)
    assert isinstance(softmax.op, ops.Softmax)
    assert (softmax.op.rows, softmax.op.cols, softmax.op.bytes) == (4, 6, 48)
    mean = read("QLinearReduceMean", [u("x", 4, 6), SCALE, ZERO, f("T"), u("Y")], axes=[1], keepdims=0)
    assert mean.tensors["y0"].shape == (4,)
    assert mean.nodes[0].flops == 24 + 4 * 4


# --------------------------------------------------------------------------------------------- norms and the rest


def test_group_norms_with_channels_last() -> None:
    plain = only("GroupNorm", [h("x", 2, 4, 4, 8), f("G", 8), f("B", 8)], groups=2, activation=1, epsilon=1e-5)
    assert isinstance(plain.op, ops.Norm)
    assert (plain.op.kind, plain.op.rows, plain.op.cols, plain.op.residual) == ("groupnorm", 4, 64, False)
    assert plain.flops == 256 * (7 + 15) + 4 * 8
    skip = only("SkipGroupNorm", [h("x", 2, 4, 4, 8), f("G", 8), f("B", 8), h("r", 2, 4, 4, 8)], outputs=2, groups=2,
                activation=0, epsilon=1e-5)  # fmt: skip
    assert isinstance(skip.op, ops.Norm)
    assert skip.op.residual
    assert skip.op.bytes_written == 2 * 2 * 256
    assert skip.flops == 256 * (7 + 1) + 4 * 8


def test_embeddings_are_summed_and_normalised() -> None:
    operands = [
        i32("ids", 2, 5),
        i32("segments", 2, 5),
        f("W", 100, 8),
        f("P", 20, 8),
        f("T", 2, 8),
        f("G", 8),
        f("B", 8),
    ]
    node = only("EmbedLayerNormalization", operands, outputs=2)
    assert isinstance(node.op, ops.Norm)
    assert node.flops == 80 * 7 + 10 * 8 + 80 * 2
    # three rows and three indices a token, then gamma and beta
    assert node.op.bytes_read + node.extra_bytes_read == 3 * (4 * 80 + 80) + 4 * 16


@pytest.mark.parametrize(
    ("op_type", "operands", "attributes", "flops", "shape"),
    [
        ("BiasSplitGelu", [h("x", 2, 5, 16), h("B", 16)], {}, 2 * 5 * 8 * (2 + 12 + 1), (2, 5, 8)),
        ("BiasSoftmax", [f("x", 2, 3, 4), f("b", 1, 3, 4)], {"axis": 2, "is_inner_broadcast": 0}, 24 * 16, (2, 3, 4)),
        ("ComplexMul", [f("a", 5, 2), f("b", 5, 2)], {}, 5 * 6, (5, 2)),
        ("CDist", [f("a", 5, 3), f("b", 7, 3)], {"metric": "euclidean"}, 35 * (6 + 3 + 4) + 12 * 6, (5, 7)),
        ("Inverse", [f("x", 3, 4, 4)], {}, 3 * 2 * 64, (3, 4, 4)),
        ("Rfft", [f("x", 3, 16)], {"normalized": 0, "onesided": 1, "signal_ndim": 1}, 3 * 16 * 5 * 4 // 2, (3, 9, 2)),
        ("QuickGelu", [f("x", 3, 4)], {"alpha": 1.702}, 12 * 16, (3, 4)),
        ("GemmFastGelu", [f("x", 3, 4), f("W", 4, 5), f("B", 5)], {}, 15 * (8 + 1 + 16), (3, 5)),
        ("NGramRepeatBlock", [("ids", [2, 9], INT64), f("scores", 2, 50)], {"ngram_size": 3}, 0, (2, 50)),
        ("WordConvEmbedding", [i32("words", 2, 7, 10), f("W", 16, 1, 3, 8), f("B", 16), f("C", 100, 8)], {},
         2 * 7 * 8 * 16 * (2 * 24 + 1 + 8 + 1), (2, 7, 16)),
        ("RelativePositionBias", [f("T", 32, 4), ("q", [1], INT64), ("k", [1], INT64)], {"max_distance": 128}, None, None),
    ],
)  # fmt: skip
def test_other_operators(
    op_type: str,
    operands: list[Operand | None],
    attributes: dict[str, Any],
    flops: int | None,
    shape: tuple[int, ...] | None,
) -> None:
    if shape is None:
        # How long its sequences are is data: the result has dimensions that are asked for.
        node = helper.make_node(op_type, [o[0] for o in operands if o], ["y"], domain=MS, **attributes)
        stored = [weight(n, s, t) for n, s, t in filter(None, operands) if n.isupper()]
        given = [value(n, s, t) for n, s, t in filter(None, operands) if not n.isupper()]
        graph = read_onnx(model([node], given, ["y"], stored, domains=[MS]), dims={"y_2": 5, "y_3": 6})
        assert graph.tensors["y"].shape == (1, 4, 5, 6)
        return
    graph = read(op_type, operands, **attributes)
    assert graph.tensors["y0"].shape == shape
    assert graph.total("flops") == flops


def test_a_search_runs_its_decoder_for_each_token() -> None:
    decoder = helper.make_graph(
        [helper.make_node("Exp", ["state"], ["logits"])],
        "decoder",
        [value("state", ["batch", 16])],
        [value("logits", ["batch", 16])],
    )
    node = helper.make_node(
        "GreedySearch",
        ["ids", "longest"],
        ["y"],
        name="search",
        domain=MS,
        decoder=decoder,
        eos_token_id=1,
        pad_token_id=0,
    )
    proto = model([node], [value("ids", ["batch", "seq"], INT32), value("longest", [1], INT32)], ["y"], domains=[MS])
    graph = read_onnx(proto, dims={"batch": 2, "seq": 3, "search_trips": 20})
    assert graph.total("flops") == 20 * 2 * 16 * 8
    once = read_onnx(proto, dims={"batch": 2, "seq": 3})
    assert once.total("flops") == 2 * 16 * 8
    assert "--dim search_trips=N" in once.warnings[0]
