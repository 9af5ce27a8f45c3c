"""``--kv-dtype``: how cached keys and values are stored; bytes by hand."""

from __future__ import annotations

import pytest
from attention_graphs import attention_of, heads, merged, plain, qkv
from fusion_graphs import Builder

from perfmodel.errors import DtypeError
from perfmodel.features.fusion import fuse
from perfmodel.graph import Graph
from perfmodel.ops import Attention
from perfmodel.predict import predict
from perfmodel.predict.cast import cast


def decoding(dtype: str = "bf16") -> Graph:
    """One new token after ten cached ones, for two sequences of four heads of eight values."""
    b = Builder(dtype)
    x = b.input(2, 1, 32)
    past_k, past_v = b.input(2, 4, 10, 8), b.input(2, 4, 10, 8)
    q, k, v = (heads(b, b.linear(x, 32)) for _ in range(3))
    k, v = b.concat(2, past_k, k), b.concat(2, past_v, v)
    return fuse(b.graph(merged(b, plain(b, q, k, v)), k, v))


def test_keys_and_values_are_read_and_kept_in_the_format() -> None:
    before, after = decoding(), cast(decoding(), None, kv_dtype="fp8")
    node = attention_of(after)
    assert isinstance(node.op, Attention)
    assert (node.op.dtype, node.op.kv_dtype) == ("bf16", "fp8")
    # 2 · 4 heads · 11 tokens · 8 values, of keys and of values, a byte each; one query in, one result out, in bf16.
    assert node.op.bytes == 2 * 2 * 4 * 11 * 8 + 2 * 2 * 4 * 8 * 2
    appends = [n for n in after.nodes if n.op.op == "copy"]
    assert [n.bytes for n in appends] == [2 * 64] * 2
    # Both caches, in and out; the activations keep their format.
    changed = {n for n, t in after.tensors.items() if t.dtype != before.tensors[n].dtype}
    assert {after.tensors[n].dtype for n in changed} == {"fp8"}
    assert changed == {*after.inputs[1:], *after.outputs[1:]}


def test_caches_that_attention_itself_takes_and_gives() -> None:
    """As GroupQueryAttention has them: the pasts behind Q, K and V, the presents behind the result."""
    b = Builder("bf16")
    q, k, v = (b.linear(b.input(2, 1, 32), 32, bias=False) for _ in range(3))
    pasts = (b.input(2, 4, 10, 8), b.input(2, 4, 10, 8), b.input(2, dtype="int32"))
    op = Attention(phase="decode", batch=2, q_len=1, kv_len=11, heads=4, kv_heads=4, head_dim=8, dtype="bf16")
    outputs = b.node(op, (q, k, v, *pasts), (2, 1, 32), (2, 4, 11, 8), (2, 4, 11, 8))
    after = cast(b.graph(*outputs), None, kv_dtype="int8")
    assert {n for n, t in after.tensors.items() if t.dtype == "int8"} == {*pasts[:2], *outputs[1:]}
    assert after.tensors[pasts[2]].dtype == "int32"


def test_a_prompt_that_starts_a_cache_is_not_concerned() -> None:
    """It returns keys and values, but attends to them as they were made."""
    b = Builder("bf16")
    q, k, v = qkv(b)
    graph = fuse(b.graph(merged(b, plain(b, q, k, v)), k, v))
    after = cast(graph, None, kv_dtype="fp8")
    assert (after.nodes, after.tensors) == (graph.nodes, graph.tensors)
    assert after.warnings == ("kv_dtype fp8: no attention of this model reads cached keys; nothing changed",)


def test_it_is_no_arithmetic_and_goes_with_others() -> None:
    after = cast(decoding("fp32"), "bf16", {"attention": "fp16"}, "int8")
    op = attention_of(after).op
    assert isinstance(op, Attention)
    assert (op.dtype, op.kv_dtype) == ("fp16", "int8")


@pytest.mark.parametrize("dtype", ["fp8", "int8", "int4", "nvfp4", "mxfp8"])
def test_a_prediction_pays_for_fewer_bytes(dtype: str) -> None:
    wide, narrow = (predict(decoding(), "h100-sxm", kv_dtype=d, predictor="analytical") for d in ("bf16", dtype))
    assert narrow.bytes < wide.bytes
    assert narrow.peak_memory_bytes < wide.peak_memory_bytes
    assert narrow.latency_s.value <= wide.latency_s.value
    assert narrow.to_dict()["kv_dtype"] == dtype


def test_a_cache_that_attention_in_parts_reads_is_stored_in_the_format() -> None:
    """As CPU runtimes have it: two concatenations, and products of which the planner reads the tensors."""
    b = Builder("bf16")
    x = b.input(2, 1, 32)
    past_k, past_v = b.input(2, 4, 10, 8), b.input(2, 4, 10, 8)
    q, k, v = (heads(b, b.linear(x, 32)) for _ in range(3))
    k, v = b.concat(2, past_k, k), b.concat(2, past_v, v)
    graph = b.graph(merged(b, plain(b, q, k, v)), k, v)
    after = cast(graph, None, kv_dtype="fp8")
    assert {n for n, t in after.tensors.items() if t.dtype == "fp8"} == {past_k, past_v, k, v}
    assert after.warnings[-1].startswith("kv_dtype fp8: attention is in parts here")
    for device, copies in (("h100-sxm", 1), ("xeon-8480-plus", 2)):
        memory = [predict(graph, device, kv_dtype=d, predictor="analytical").memory for d in (None, "fp8")]
        wide, narrow = (m.kv_cache_bytes for m in memory if m is not None)
        # Keys and values of 2 sequences, 4 heads, 11 tokens, 8 values; where they are copied, ten of them twice.
        assert narrow == 2 * 2 * 4 * 8 * (11 if copies == 1 else 21)
        assert wide == 2 * narrow


def test_attention_without_a_cache_is_not_concerned() -> None:
    b = Builder("bf16")
    graph = fuse(b.graph(merged(b, plain(b, *qkv(b)))))
    after = cast(graph, None, kv_dtype="fp8")
    assert after.nodes == graph.nodes
    assert after.warnings == ("kv_dtype fp8: no attention of this model reads cached keys; nothing changed",)


@pytest.mark.parametrize("dtype", ["w4a16", "bs2x2", "fp9", "string", "bool", "w4a8_mxfp4_mxfp8"])
def test_formats_that_values_cannot_be_stored_in(dtype: str) -> None:
    with pytest.raises(DtypeError, match=r"kv_dtype is|unknown dtype"):
        predict("absent.onnx", "h100-sxm", kv_dtype=dtype)
