"""Fusion of real model files: what an engine would run is left, and nothing else.

The expected lists are counted from the architectures: a transformer layer has two norms, its linear layers, and one
attention.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from fusion_checks import check_invariants, products

from perfmodel import ops
from perfmodel.features import read_onnx
from perfmodel.features.fusion import fuse
from perfmodel.graph import Graph, Node

DIMS = {
    "resnet50": {"batch": 32},
    "bert-base": {"batch": 8, "seq": 128},
    "gpt2": {"batch": 2, "seq": 256},
    "vit_b16": {"batch": 8},
    "llama3-8b-full-meta": {"seq": 512},
}
LAYERS = 12
LIGHT = (
    "bvlc_alexnet densenet121 inception_v1 inception_v2 resnet50 shufflenet squeezenet vgg19 zfnet512".split()
)  # fmt: skip


@pytest.fixture(scope="module")
def before(request: pytest.FixtureRequest, shared: Path) -> Graph:
    name = request.param
    return read_onnx(shared / "onnx" / f"{name}.graph.onnx", dims=DIMS[name])


def describe(node: Node) -> str:
    """Family, kind and what is fused into it, as one word."""
    kind = getattr(node.op, "kind", "")
    residual = "(residual)" if getattr(node.op, "residual", False) else ""
    return ":".join(filter(None, (node.op.op, kind + residual, "+".join(f.kind for f in node.fused))))


def left(graph: Graph) -> Counter[str]:
    return Counter(describe(n) for n in graph.nodes)


def model(name: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("before", [name], indirect=True)


@pytest.mark.parametrize("before", DIMS, indirect=True)
def test_invariants(before: Graph) -> None:
    after = fuse(before)
    check_invariants(before, after)
    # Composites count their own FLOPs (a GELU 12 an element, not the 30 of its parts): a part in a thousand.
    gone = sum(r.flops for r in after.removed) - sum(r.flops for r in before.removed)
    assert after.total("flops") + gone == pytest.approx(before.total("flops"), rel=2e-3)


@model("resnet50")
def test_resnet50(before: Graph) -> None:
    after = fuse(before)
    # 1 + 16 x 3 + 4 shortcuts = 53 convolutions; the third of each block adds the shortcut.
    assert left(after) == {
        "conv:relu": 33, "conv:add+relu": 16, "conv": 4, "pool:max": 1, "reduce:mean": 1, "gemm:add": 1,
    }  # fmt: skip
    assert before.total("flops") == after.total("flops")


@model("bert-base")
def test_bert(before: Graph) -> None:
    after = fuse(before)
    assert left(after) == {
        "embedding": 1, "elementwise:add+add": 1,  # words; types and positions are added
        "norm:layernorm": 2 * LAYERS + 1,
        "gemm:add": 3 * LAYERS, "attention:add": LAYERS, "gemm:add+add": 2 * LAYERS, "gemm:add+gelu": LAYERS,
        "copy:cast": 1, "copy:gather": 1, "elementwise:and+where": 1,  # the padding mask, once
    }  # fmt: skip
    attention = next(n for n in after.nodes if n.op.op == "attention")
    assert isinstance(attention.op, ops.Attention)
    assert not attention.op.causal
    assert (attention.op.batch, attention.op.heads, attention.op.q_len, attention.op.head_dim) == (8, 12, 128, 64)
    assert attention.extra_bytes_read == 8 * 128 * 128 * 4
    assert after.warnings == ()


@model("gpt2")
def test_gpt2(before: Graph) -> None:
    after = fuse(before)
    assert left(after) == {
        "embedding": 1, "elementwise:add": 1,
        "norm:layernorm": 2, "norm:layernorm(residual)": 2 * LAYERS - 1,  # the first has no residual, the last its GEMM
        "gemm": 3 * LAYERS, "gemm:gelu_tanh": LAYERS, "gemm:add": 1, "attention": LAYERS,
    }  # fmt: skip
    assert all(n.op.causal for n in after.nodes if isinstance(n.op, ops.Attention))


@model("vit_b16")
def test_vit(before: Graph) -> None:
    after = fuse(before)
    assert left(after) == {
        "conv": 1, "copy:transpose": 1, "copy:concat": 1, "elementwise:add": 1,  # patches, class token, positions
        "norm:layernorm": 2, "norm:layernorm(residual)": 2 * LAYERS - 1,
        "gemm:add": 5 * LAYERS - 1, "gemm:add+gelu": LAYERS, "gemm:add+add": 1, "attention:add": LAYERS,
        "copy:gather": 1, "gemm": 1,
    }  # fmt: skip
    assert not any(n.op.causal for n in after.nodes if isinstance(n.op, ops.Attention))


@model("llama3-8b-full-meta")
def test_llama(before: Graph) -> None:
    after = fuse(before)
    assert left(after) == {
        "embedding": 1, "norm:rmsnorm": 2, "norm:rmsnorm(residual)": 63,
        "gemm": 7 * 32, "gemm:add": 1,  # 7 a layer and the head; the last adds the residual itself
        "elementwise:rope": 64, "attention": 32, "elementwise:silu+mul": 32,
    }  # fmt: skip
    attention = next(n for n in after.nodes if isinstance(n.op, ops.Attention))
    assert attention.op == ops.Attention(
        phase="prefill", batch=1, q_len=512, kv_len=512, heads=32, kv_heads=8, head_dim=128, causal=True, dtype="bf16"
    )
    # Q and the result 512 x 4096, K and V 512 x 1024, 2 bytes each
    assert attention.bytes == 2 * 512 * (2 * 4096 + 2 * 1024)


@model("llama3-8b-full-meta")
def test_fusion_of_thousands_of_nodes_takes_a_moment(before: Graph) -> None:
    import time

    start = time.process_time()
    fuse(before)
    assert time.process_time() - start < 1.0


def light(name: str) -> Graph:
    import onnx

    path = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light" / f"light_{name}.onnx"
    if not path.is_file():
        pytest.skip("this version of the onnx package has no light models")
    return read_onnx(path)


@pytest.mark.parametrize("name", LIGHT)
def test_light_models(name: str) -> None:
    before = light(name)
    after = fuse(before)
    assert products(before) == products(after)
    assert after.total("bytes") < before.total("bytes")
    assert fuse(after) == after
    # Here everything maps one to one: what is not executed is listed.
    gone = sum(r.flops for r in after.removed) - sum(r.flops for r in before.removed)
    assert before.total("flops") == after.total("flops") + gone


def test_batch_norms_of_resnet50_are_folded() -> None:
    after = fuse(light("resnet50"))
    assert left(after) == {
        "conv:add+relu": 33, "conv:add+add+relu": 16, "conv:add": 4,
        "pool:max": 1, "pool:average": 1, "gemm:add": 1, "softmax:softmax": 1,
    }  # fmt: skip
    assert Counter(r.reason for r in after.removed if r.source_op == "BatchNormalization") == {
        "folded into the convolution": 53
    }


def test_batch_norms_before_convolutions_take_the_activation() -> None:
    """DenseNet: 58 dense layers of two convolutions, 3 transitions, a stem; scale, shift and relu after each norm."""
    after = fuse(light("densenet121"))
    found = left(after)
    assert found["norm:batchnorm:relu"] == 62
    assert found["conv"] + found["conv:add+relu"] + found["conv:add"] == 1 + 2 * 58 + 3 + 1
