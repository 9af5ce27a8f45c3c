"""FLOPs of five real models against counts by hand from the architectures' published hyper-parameters.

One multiply or one add is one FLOP. The counts of products (convolutions, GEMMs, attention) must agree exactly, the
totals within 0.1 %. Costs of scalar functions in the totals: exp, erf and tanh 8, division and square root 4, all
else 1.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from perfmodel.features import read_onnx
from perfmodel.ops import Unmodelled


def check(graph, products: int, total: int) -> None:
    assert graph.total("product_flops") == products
    assert graph.total("flops") == pytest.approx(total, rel=0.001)
    assert not [n.name for n in graph.nodes if isinstance(n.op, Unmodelled)]
    assert graph.open_dims == ()


# ResNet-50 (He et al., "Deep Residual Learning for Image Recognition", 2015, table 1), with the stride in the 3x3
# convolution as torchvision and Hugging Face have it. One row a convolution shape: input channels, output channels,
# kernel side, side of the output, how many. The classifier of this file has 2 classes.
RESNET50_CONVOLUTIONS = [
    (3, 64, 7, 112, 1),  # stem
    # stage 1: 56 x 56, three blocks 64-64-256
    (64, 64, 1, 56, 1), (64, 64, 3, 56, 3), (64, 256, 1, 56, 3), (256, 64, 1, 56, 2), (64, 256, 1, 56, 1),
    # stage 2: 28 x 28, four blocks 128-128-512; the first 1x1 still works at 56 x 56
    (256, 128, 1, 56, 1), (128, 128, 3, 28, 4), (128, 512, 1, 28, 4), (512, 128, 1, 28, 3), (256, 512, 1, 28, 1),
    # stage 3: 14 x 14, six blocks 256-256-1024
    (512, 256, 1, 28, 1), (256, 256, 3, 14, 6), (256, 1024, 1, 14, 6), (1024, 256, 1, 14, 5), (512, 1024, 1, 14, 1),
    # stage 4: 7 x 7, three blocks 512-512-2048
    (1024, 512, 1, 14, 1), (512, 512, 3, 7, 3), (512, 2048, 1, 7, 3), (2048, 512, 1, 7, 2), (1024, 2048, 1, 7, 1),
]  # fmt: skip


def test_resnet50(shared: Path) -> None:
    batch = 32
    graph = read_onnx(shared / "onnx" / "resnet50.graph.onnx", dims={"batch": batch})
    assert sum(count for *_, count in RESNET50_CONVOLUTIONS) == 53
    convolutions = sum(2 * c_in * c_out * k * k * side * side * n for c_in, c_out, k, side, n in RESNET50_CONVOLUTIONS)
    head = 2 * 2048 * 2
    # The batch norms of this file are folded into the filters and have left no bias. A ReLU follows every convolution
    # but the last of a block and the shortcuts, and every block's sum.
    outputs = sum(c_out * side * side * n for _, c_out, _, side, n in RESNET50_CONVOLUTIONS)
    blocks = 3 * 256 * 56**2 + 4 * 512 * 28**2 + 6 * 1024 * 14**2 + 3 * 2048 * 7**2
    shortcuts = 256 * 56**2 + 512 * 28**2 + 1024 * 14**2 + 2048 * 7**2
    relu = (outputs - blocks - shortcuts) + blocks
    pools = 64 * 56 * 56 * 3 * 3 + 2048 * 7 * 7
    check(
        graph,
        products=batch * (convolutions + head),
        total=batch * (convolutions + head + 2 + relu + blocks + pools),
    )
    # 25.6 million parameters less the 998 classes that this head does not have, four bytes each.
    assert graph.weights_bytes == pytest.approx(4 * (25.557e6 - 998 * 2049), rel=0.01)


def encoder_layer(tokens: int, seq: int, hidden: int, ffn: int, heads: int) -> tuple[int, int]:
    """(products, other FLOPs) of one Transformer layer with GELU over ``tokens`` tokens in sequences of ``seq``.

    Vaswani et al., "Attention Is All You Need", 2017, section 3.
    """
    projections = 4 * 2 * tokens * hidden * hidden
    feed_forward = 2 * 2 * tokens * hidden * ffn
    attention = 2 * 2 * tokens * seq * hidden  # QK^T and the product with V, all heads together
    biases = tokens * (4 * hidden + ffn + hidden)
    residuals = 2 * tokens * hidden
    norms = 2 * tokens * (7 * hidden + 8)
    gelu = tokens * ffn * 12
    # max, subtract, exp, sum, divide = 15; the exporter adds a mask, and replaces NaN by 0 with a test and a selection
    softmax = heads * tokens * seq * (15 + 3)
    scale = 2 * tokens * hidden  # of Q and of K
    return projections + feed_forward + attention, biases + residuals + norms + gelu + softmax + scale


def test_bert_base(shared: Path) -> None:
    # Devlin et al., 2018, section 3: L = 12, H = 768, A = 12; feed-forward 4H. This file ends with the last layer.
    batch, seq = 8, 128
    graph = read_onnx(shared / "onnx" / "bert-base.graph.onnx", dims={"batch": batch, "seq": seq})
    tokens = batch * seq
    products, others = encoder_layer(tokens, seq, 768, 3072, 12)
    embeddings = tokens * (2 * 768 + 7 * 768 + 8)  # three tables are added, then normalised
    check(graph, products=12 * products, total=12 * (products + others) + embeddings)
    assert 12 * products == 178_778_013_696  # 174.6 MFLOP a token and 128 x 36,864 of attention


def test_gpt2(shared: Path) -> None:
    # Radford et al., 2019, table 2: 12 layers, width 768; vocabulary 50,257, shared with the output.
    batch, seq = 8, 128
    graph = read_onnx(shared / "onnx" / "gpt2.graph.onnx", dims={"batch": batch, "seq": seq})
    tokens = batch * seq
    products, others = encoder_layer(tokens, seq, 768, 3072, 12)
    # GELU with tanh, spelt out: x³ is one power (8) where the fused function has two multiplications.
    gelu_tanh = 12 * tokens * 3072 * (8 + 8 + 6 - 12)
    head = 2 * tokens * 768 * 50257
    final = tokens * (768 + 7 * 768 + 8)
    check(graph, products=12 * products + head, total=12 * (products + others) + gelu_tanh + head + final)


def test_vit_b16(shared: Path) -> None:
    # Dosovitskiy et al., 2020, table 1: 12 layers, D = 768, MLP 3072, 12 heads; patches of 16 x 16 x 3, a class token.
    batch = 8
    graph = read_onnx(shared / "onnx" / "vit_b16.graph.onnx", dims={"batch": batch})
    patches = (224 // 16) ** 2
    tokens = patches + 1
    embedding = 2 * patches * (16 * 16 * 3) * 768
    products, others = encoder_layer(tokens, tokens, 768, 3072, 12)
    head = 2 * 768 * 2
    around = patches * 768 + tokens * 768 + tokens * (7 * 768 + 8)  # bias, positions, last norm
    check(
        graph,
        products=batch * (embedding + 12 * products + head),
        total=batch * (embedding + 12 * (products + others) + head + around),
    )


def test_llama3_8b(shared: Path) -> None:
    # Grattafiori et al., "The Llama 3 Herd of Models", 2024, table 3: 32 layers, width 4096, feed-forward 14,336,
    # 32 heads, 8 key/value heads, vocabulary 128,256.
    seq = 512
    hidden, ffn, heads, kv_heads, layers, vocabulary = 4096, 14336, 32, 8, 32, 128256
    graph = read_onnx(shared / "onnx" / "llama3-8b-full-meta.graph.onnx", dims={"seq": seq})
    kv_width = kv_heads * (hidden // heads)
    projections = 2 * seq * (2 * hidden * hidden + 2 * hidden * kv_width)
    feed_forward = 3 * 2 * seq * hidden * ffn
    attention = 2 * 2 * seq * seq * hidden
    head = 2 * seq * hidden * vocabulary
    products = layers * (projections + feed_forward + attention) + head
    silu = seq * ffn * (14 + 1 + 1)  # sigmoid, times x, times the other branch
    norms = 2 * seq * (hidden * (8 + 1 + 2) + 8)  # a power, a mean, two multiplications; a root and a reciprocal a row
    rope = seq * (hidden + kv_width) * (2 + 1 + 0.5)  # two products, their sum, the sign of one half
    softmax = heads * seq * seq * (15 + 3)
    scale = 2 * seq * hidden
    residuals = 2 * seq * hidden
    others = layers * (silu + norms + rope + softmax + scale + residuals) + norms // 2
    check(graph, products=products, total=products + others)
    assert products == 7_822_209_187_840
    # 8.03 billion parameters in bf16 (ibid.).
    assert graph.weights_bytes == pytest.approx(2 * 8.03e9, rel=0.005)
