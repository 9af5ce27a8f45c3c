"""Operator descriptors: every count by hand, symbolic dimensions, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import sympy
from hypothesis import given, settings
from hypothesis import strategies as st

from perfmodel.errors import DescriptorError, DtypeError, UnboundDimensionError
from perfmodel.ops import (
    FAMILIES,
    Attention,
    Collective,
    Conv,
    Copy,
    Elementwise,
    Embedding,
    Gemm,
    Moe,
    Norm,
    Operator,
    Pool,
    Quantize,
    Reduce,
    Rnn,
    Softmax,
    Unmodelled,
    View,
)
from perfmodel.ops import costs as cost_table
from perfmodel.ops.base import evaluate

small = st.integers(1, 9)


# operator, FLOPs, bytes read, bytes written
COUNTED: dict[str, tuple[Operator, float, float, float]] = {
    # 2·3 results of 4 multiplies and 4 adds; A 2·4, B 4·3, C 2·3 values of 2 bytes
    "gemm": (Gemm(m=2, n=3, k=4, dtype="bf16"), 48, 16 + 24, 12),
    "gemm batch": (Gemm(batch=5, m=2, n=3, k=4, dtype="bf16"), 240, 5 * (16 + 24), 60),
    # operands of 1 byte, results of 2
    "gemm fp8": (Gemm(m=2, n=3, k=4, dtype="fp8"), 48, 8 + 12, 12),
    # 12 weights of 4 bits and 1/128 of a 16-bit scale: 4.125 bits each
    "gemm w4a16": (Gemm(m=2, n=3, k=4, dtype="w4a16"), 48, 16 + 6.1875, 12),
    # 4 bits and 1/16 of an 8-bit scale: 4.5 bits
    "gemm nvfp4": (Gemm(m=2, n=3, k=4, dtype="nvfp4"), 48, 4.5 + 6.75, 12),
    "gemm out": (Gemm(m=2, n=3, k=4, dtype="bf16", out_dtype="fp32"), 48, 40, 24),
    # 4x4 padded to 6x6, a 3x3 kernel at stride 2 fits at 0 and 2: 2x2 positions, 3 channels, each 2·9 multiply-adds
    "conv": (
        Conv(c_in=2, c_out=3, h=4, w=4, kernel_h=3, kernel_w=3, stride_h=2, stride_w=2, pad_h=1, pad_w=1, dtype="fp32"),
        12 * 18 * 2, (2 * 16 + 3 * 2 * 9) * 4, 12 * 4,
    ),
    # two groups of 2 in and 3 out: 24 results of 2 multiply-adds; 6·2 weights
    "conv groups": (
        Conv(c_in=4, c_out=6, h=2, w=2, kernel_h=1, kernel_w=1, groups=2, dtype="fp32"), 96, (16 + 12) * 4, 24 * 4
    ),
    # depthwise: 5 channels, 3x3 on 3x3 leaves one position of 9 multiply-adds each
    "conv depthwise": (
        Conv(c_in=5, c_out=5, h=3, w=3, kernel_h=3, kernel_w=3, groups=5, dtype="fp16"), 90, (45 + 45) * 2, 10
    ),
    # every one of 2·4 inputs is multiplied with 3·9 weights; the output is (2 - 1)·2 + 3 - 2·1 = 3 high and wide
    "conv transposed": (
        Conv(
            c_in=2, c_out=3, h=2, w=2, kernel_h=3, kernel_w=3, stride_h=2, stride_w=2, pad_h=1, pad_w=1, dtype="fp32",
            transposed=True,
        ),
        8 * 27 * 2, (8 + 54) * 4, 27 * 4,
    ),
    # 3x3x3 on 4x3x3 leaves two planes of one position: 2 results of 27 multiply-adds
    "conv 3d": (
        Conv(c_in=1, c_out=1, h=3, w=3, depth=4, kernel_h=3, kernel_w=3, kernel_d=3, dtype="fp32"),
        108, (36 + 27) * 4, 8,
    ),
    # 2 heads of 2x3 scores: 6·4 multiply-adds for Q·K^T, as many for P·V; a score: 1 for the scale, 15 for softmax
    "attention": (
        Attention(q_len=2, kv_len=3, heads=2, kv_heads=1, head_dim=4, dtype="bf16"),
        2 * (48 + 48) + 12 * 16, (16 + 12 + 12) * 2, 16 * 2,
    ),
    # a latent of 8 values a token, 6 of them the value: 5 tokens are read once for all 2 heads
    "attention mla": (
        Attention(
            phase="mla_decode", q_len=1, kv_len=5, heads=2, kv_heads=1, head_dim=8, v_head_dim=6, dtype="bf16"
        ),
        10 * (16 + 12 + 16), (16 + 40) * 2, 12 * 2,
    ),
    # a window of 2 for one query: 2 of the 100 cached keys and values are seen, and read in 1 byte
    "attention window": (
        Attention(
            phase="decode", q_len=1, kv_len=100, heads=1, kv_heads=1, head_dim=4, window=2, causal=True, dtype="bf16",
            kv_dtype="fp8",
        ),
        800 + 800 + 1600, 8 + 2 * 8, 8,
    ),
    # 4 tokens visit 2 experts each: 8 rows. gate, up: 8·2·(3 + 3) multiply-adds, down: 8·3·2; silu 15 and a product for
    # each of 8·3. All 8 experts may get a token: 8 · three matrices of 2·3
    "moe": (
        Moe(tokens=4, hidden=2, intermediate=3, experts=8, top_k=2, dtype="bf16"),
        192 + 96 + 24 * 16, (8 + 144) * 2, 8 * 2,
    ),
    # a quarter of the experts and of the rows (2), half the width rounded up (2)
    "moe parallel": (
        Moe(tokens=4, hidden=2, intermediate=3, experts=8, top_k=2, tp=2, ep=4, dtype="fp8"),
        (2 * 4 * 2 + 2 * 2 * 2) * 2 + 4 * 16, 8 * 2 + 24, 8 * 2,
    ),
    "moe fp32": (
        Moe(tokens=4, hidden=2, intermediate=3, experts=1, top_k=1, matrices=2, dtype="fp32"),
        (4 * 3 * 2 + 4 * 2 * 3) * 2 + 12 * 15, (8 + 12) * 4, 8 * 4,
    ),
    # 2 steps, 4 gates of 4 units: 2·16·3 and 2·16·4 multiply-adds; a unit: 3 sigmoid of 14, 2 tanh of 8, 12 more
    "lstm": (
        Rnn(seq_len=2, input_size=3, hidden_size=4, dtype="fp32"), 192 + 256 + 8 * 70, (6 + 112) * 4, 8 * 4
    ),
    "gru both ways": (
        Rnn(kind="gru", seq_len=2, input_size=3, hidden_size=4, directions=2, dtype="fp32"),
        2 * (144 + 192 + 8 * 47), (6 + 168) * 4, 16 * 4,
    ),
    "rnn": (Rnn(kind="rnn", seq_len=1, input_size=1, hidden_size=1, dtype="fp16"), 2 + 2 + 10, (1 + 2) * 2, 2),
    # 7 an element, a square root and a division (8) a row; gamma and beta of 3
    "layernorm": (Norm(rows=2, cols=3, dtype="fp32"), 42 + 16, (6 + 6) * 4, 6 * 4),
    "rmsnorm": (Norm(kind="rmsnorm", rows=2, cols=3, dtype="fp32"), 24 + 16, (6 + 3) * 4, 6 * 4),
    "batchnorm": (Norm(kind="batchnorm", rows=2, cols=3, dtype="fp32"), 12 + 16, (6 + 4) * 4, 6 * 4),
    "norm residual": (Norm(rows=2, cols=3, residual=True, dtype="fp32"), 48 + 16, (12 + 6) * 4, 12 * 4),
    "norm io": (Norm(rows=2, cols=3, io_dtype="bf16", dtype="fp32"), 42 + 16, 12 * 2, 6 * 2),
    "norm parameters": (Norm(rows=2, cols=3, parameters=0, dtype="fp32"), 42 + 16, 6 * 4, 6 * 4),
    # max, subtract, exp (8), sum, divide (4): 15 an element
    "softmax": (Softmax(rows=2, cols=3, dtype="fp32"), 90, 24, 24),
    "add": (Elementwise(kind="add", elements=10, inputs=2, dtype="fp16"), 10, 40, 20),
    "chain": (Elementwise(kind="mul+add+relu", elements=10, inputs=3, dtype="fp16"), 30, 60, 20),
    "compare": (Elementwise(kind="less", elements=10, inputs=2, out_dtype="bool", dtype="fp32"), 10, 80, 10),
    "broadcast": (Elementwise(kind="silu", elements=10, input_elements=11, dtype="fp16"), 150, 22, 20),
    "two results": (Elementwise(kind="copy", elements=10, outputs=2, dtype="fp16"), 0, 20, 40),
    "sum": (Reduce(rows=3, cols=4, dtype="fp32"), 12, 48, 12),
    "top-k": (Reduce(kind="topk", rows=3, cols=4, results=2, out_dtype="int64", dtype="fp32"), 12, 48, 48),
    # 2 channels of 2x2 windows of 2x2
    "pool": (Pool(channels=2, h=4, w=4, out_h=2, out_w=2, kernel_h=2, kernel_w=2, dtype="fp32"), 32, 128, 32),
    "slice": (Copy(elements=10, read_elements=20, dtype="bf16"), 0, 40, 20),
    "cast": (Copy(kind="cast", elements=10, out_dtype="fp32", dtype="bf16"), 0, 20, 40),
    # 3 rows of 4 values and 3 indices of 8 bytes
    "embedding": (Embedding(rows=3, cols=4, dtype="fp16"), 0, 24 + 24, 24),
    "quantize": (Quantize(rows=2, cols=3, dtype="fp16"), 24, 12, 6),
    "dequantize": (Quantize(kind="dequantize", rows=2, cols=3, dtype="int8", out_dtype="fp16"), 12, 6, 12),
    "dynamic": (Quantize(kind="dynamic", rows=2, cols=3, dtype="fp16"), 30, 24, 6),
    "all_reduce": (Collective(message_bytes=1024, ranks=8, dtype="bf16"), 512, 1024, 1024),
    "all_gather": (Collective(kind="all_gather", message_bytes=1024, ranks=8, dtype="bf16"), 0, 1024, 1024),
    "view": (View(dtype="fp32"), 0, 0, 0),
    "unmodelled": (Unmodelled(kind="Magic", read=5, written=7, dtype="fp32"), 0, 5, 7),
}  # fmt: skip


def counts(op: Operator) -> dict[str, Any]:
    names = ("flops", "flops_executed", "product_flops", "bytes_read", "bytes_written", "bytes", "weight_bytes")
    return {name: getattr(op, name) for name in names if hasattr(op, name)}


@pytest.mark.parametrize("name", COUNTED)
def test_counted_by_hand(name: str) -> None:
    op, flops, read, written = COUNTED[name]
    assert (op.flops, op.bytes_read, op.bytes_written, op.bytes) == (flops, read, written, read + written)
    # Only a mask leaves less to execute: of 100 scores the window leaves 2, of 8 + 8 + 16 FLOPs.
    assert op.flops_executed == (64 if name == "attention window" else flops)


def test_every_family_is_counted() -> None:
    assert {type(op) for op, *_ in COUNTED.values()} == set(FAMILIES.values())
    assert all(cls.op == name for name, cls in FAMILIES.items())


def test_counts_of_whole_numbers_are_exact() -> None:
    assert Gemm(m=2**40, n=2**40 + 1, k=3, dtype="bf16").flops == 6 * (2**80 + 2**40)


@pytest.mark.parametrize(
    ("kind", "flops"),
    [
        ("sigmoid", 1 + 8 + 1 + 4),  # negate, exp, add, divide
        ("silu", 15), ("swish", 16), ("gelu", 8 + 4), ("gelu_tanh", 8 + 8), ("rsqrt", 8), ("pow", 8), ("rope", 3),
        ("softplus", 17), ("cast", 0), ("mul+add", 2), ("add+sigmoid+mul", 16),
    ],
)  # fmt: skip
def test_costs_of_scalar_functions(kind: str, flops: int) -> None:
    assert cost_table.elementwise_flops(kind) == flops


def test_a_function_without_a_cost_is_unknown_and_not_free() -> None:
    assert cost_table.elementwise_flops("add+magic") is None
    with pytest.raises(DescriptorError, match="unknown parts magic"):
        Elementwise(kind="add+magic", elements=1, dtype="fp32")


# ------------------------------------------------------------------------------------------------- causality, windows
lengths = st.integers(0, 12)


def visible(q: int, kv: int, causal: bool, window: int | None) -> list[set[int]]:
    """The keys that each query sees, from the mask."""
    reach = kv if window is None else window
    rows = []
    for i in range(q):
        newest = kv - q + i  # the query's own position
        if causal:
            rows.append({j for j in range(kv) if j <= newest and j > newest - reach})
        else:
            rows.append(set(range(min(kv, reach))))
    return rows


@given(q=lengths, kv=lengths, causal=st.booleans(), window=st.none() | st.integers(0, 14))
@settings(max_examples=300, deadline=None, derandomize=True)
def test_scores_executed_are_those_of_the_mask(q: int, kv: int, causal: bool, window: int | None) -> None:
    op = Attention(
        batch=2, q_len=q, kv_len=kv, heads=3, kv_heads=1, head_dim=5, causal=causal, window=window, dtype="bf16"
    )
    pairs = sum(map(len, visible(q, kv, causal, window)))
    assert op.scores_executed == 6 * pairs
    # per pair 5 multiply-adds for the score and 5 for the value, 16 for scale and softmax
    assert op.flops_executed == 6 * pairs * 36
    assert op.flops == 6 * q * kv * 36
    assert op.flops_executed <= op.flops


@given(q=st.integers(1, 12), extra=lengths, window=st.integers(1, 14))
@settings(max_examples=150, deadline=None, derandomize=True)
def test_keys_outside_every_window_are_not_read(q: int, extra: int, window: int) -> None:
    kv = q + extra
    op = Attention(q_len=q, kv_len=kv, heads=1, kv_heads=1, head_dim=4, causal=True, window=window, dtype="fp8")
    seen = set().union(*visible(q, kv, True, window))
    assert op.kv_bytes == len(seen) * (4 + 4)


def test_three_queries_of_five_keys() -> None:
    # Queries see 3, 4 and 5 keys; with a window of 4, 3, 4 and 4.
    causal = Attention(q_len=3, kv_len=5, heads=1, kv_heads=1, head_dim=1, causal=True, dtype="bf16")
    assert causal.scores_executed == 12
    assert causal.replace(window=4).scores_executed == 11
    assert causal.replace(causal=False).scores_executed == 15


# -------------------------------------------------------------------------------------------------------- convolution
@given(size=st.integers(1, 14), kernel=st.integers(1, 5), stride=st.integers(1, 4), pad=st.integers(0, 3),
       dilation=st.integers(1, 3))  # fmt: skip
@settings(max_examples=300, deadline=None, derandomize=True)
def test_output_extent_is_the_number_of_positions(size: int, kernel: int, stride: int, pad: int, dilation: int) -> None:
    last = dilation * (kernel - 1)
    positions = [p for p in range(0, size + 2 * pad, stride) if p + last < size + 2 * pad]
    sizes = {"kernel_h": kernel, "stride_h": stride, "pad_h": pad, "dilation_h": dilation}
    if not positions:
        with pytest.raises(DescriptorError, match="kernel larger than its padded input"):
            Conv(c_in=1, c_out=1, h=size, w=1, kernel_w=1, dtype="fp32", **sizes)
        return
    conv = Conv(c_in=2, c_out=3, h=size, w=1, kernel_w=1, dtype="fp32", **sizes)
    assert conv.out_h == len(positions)
    assert conv.flops == len(positions) * 3 * 2 * kernel * 2


@pytest.mark.parametrize(("kernel", "pad"), [(1, 0), (3, 1)])
def test_input_without_rows_has_an_output_without_rows(kernel: int, pad: int) -> None:
    sizes = {"kernel_h": kernel, "kernel_w": kernel, "pad_h": pad, "pad_w": pad}
    conv = Conv(c_in=2, c_out=3, h=0, w=8, dtype="fp32", **sizes)
    assert (conv.out_h, conv.out_w, conv.flops, conv.bytes_written) == (0, 8, 0, 0)
    assert Conv(c_in=2, c_out=3, h=np.array([0, 8]), w=8, dtype="fp32", **sizes).out_h.tolist() == [0, 8]
    with pytest.raises(DescriptorError, match="out_h would be -1"):  # 0 - 2 rows, and 1
        Conv(c_in=2, c_out=3, h=0, w=8, kernel_h=3, kernel_w=1, pad_h=0.5, dtype="fp32")


@given(size=st.integers(1, 8), kernel=st.integers(1, 5), stride=st.integers(1, 4), dilation=st.integers(1, 3),
       extra=st.integers(0, 2))  # fmt: skip
@settings(max_examples=150, deadline=None, derandomize=True)
def test_transposed_output_reaches_the_last_contribution(
    size: int, kernel: int, stride: int, dilation: int, extra: int
) -> None:
    written = {i * stride + j * dilation for i in range(size) for j in range(kernel)}
    conv = Conv(
        c_in=1, c_out=1, h=size, w=1, kernel_h=kernel, kernel_w=1, stride_h=stride, dilation_h=dilation,
        out_pad_h=extra, transposed=True, dtype="fp32",
    )  # fmt: skip
    assert conv.out_h == max(written) + 1 + extra


def test_half_paddings() -> None:
    # One row of padding on one side only: 5 rows, a kernel of 3 at stride 2 fits at 0 and 2.
    conv = Conv(c_in=1, c_out=1, h=4, w=1, kernel_h=3, kernel_w=1, stride_h=2, pad_h=0.5, dtype="fp32")
    assert (conv.out_h, type(conv.out_h)) == (2, int)


# -------------------------------------------------------------------------------------------------- symbolic and arrays
SYMBOLIC: tuple[Operator, ...] = (
    Gemm(batch=2, m=3, n=4, k=5, dtype="w4a16"),
    Conv(
        batch=2, c_in=4, c_out=8, h=9, w=7, kernel_h=3, kernel_w=2, stride_h=2, stride_w=1, pad_h=2, pad_w=1,
        dilation_h=1, dilation_w=1, groups=2, depth=5, kernel_d=2, stride_d=1, pad_d=1, dilation_d=1, dtype="fp8",
    ),
    Conv(c_in=2, c_out=2, h=4, w=4, kernel_h=3, kernel_w=3, stride_h=2, out_pad_h=1, transposed=True, dtype="fp32"),
    Attention(batch=2, q_len=3, kv_len=7, heads=4, kv_heads=2, head_dim=6, v_head_dim=5, causal=True, dtype="bf16"),
    Attention(q_len=6, kv_len=7, heads=4, kv_heads=2, head_dim=6, window=3, causal=True, dtype="bf16"),
    Moe(tokens=6, hidden=4, intermediate=5, experts=8, top_k=2, tp=2, ep=3, dtype="nvfp4"),
    Rnn(batch=2, seq_len=3, input_size=4, hidden_size=5, directions=2, dtype="fp16"),
    Norm(rows=3, cols=4, parameters=5, dtype="fp32"),
    Softmax(rows=3, cols=4, dtype="fp32"),
    Elementwise(kind="add", elements=6, inputs=2, dtype="fp32"),
    Elementwise(kind="add", elements=6, input_elements=7, outputs=2, dtype="fp32"),
    Reduce(rows=3, cols=4, results=2, dtype="fp32"),
    Pool(batch=2, channels=3, h=4, w=5, out_h=2, out_w=3, kernel_h=2, kernel_w=2, dtype="fp32"),
    Copy(elements=5, read_elements=6, dtype="fp32"),
    Embedding(rows=3, cols=4, dtype="fp32"),
    Quantize(rows=3, cols=4, dtype="fp32"),
    Collective(message_bytes=64, ranks=2, dtype="fp32"),
    Unmodelled(read=3, written=4, dtype="fp32"),
)  # fmt: skip


@pytest.mark.parametrize("op", SYMBOLIC, ids=lambda op: op.op)
def test_binding_equals_building(op: Operator) -> None:
    """Each dimension in turn is 2·N + 1 - 1 - N: bound to a number or to an array, the counts are those of N."""
    n = sympy.Symbol("N", positive=True, integer=True)
    for name in op.dimension_names():
        value = getattr(op, name)
        if value is None:
            continue
        direct = [op.replace(**{name: v}) for v in (value, 2 * value)]
        symbolic = op.replace(**{name: 2 * n - n})
        assert symbolic.free_dims == ("N",)
        assert symbolic.bind(N=value) == direct[0]
        assert counts(symbolic.bind(N=value)) == counts(direct[0])
        swept = counts(symbolic.bind(N=np.array([value, 2 * value])))
        for count, values in swept.items():
            expected = [counts(d)[count] for d in direct]
            np.testing.assert_allclose(np.broadcast_to(values, 2), expected, rtol=1e-12, err_msg=f"{name}: {count}")
        # Counts stay symbolic until then, and bind to the same numbers.
        for count, expression in counts(symbolic).items():
            assert evaluate(expression, {"N": value}) == pytest.approx(counts(direct[0])[count]), f"{name}: {count}"


def test_two_symbols_and_a_sweep() -> None:
    b, s = sympy.symbols("batch seq", positive=True, integer=True)
    op = Gemm(m=b * s, n=3, k=4, dtype="bf16")
    assert op.free_dims == ("batch", "seq")
    assert op.bind(batch=2, seq=5).m == 10
    np.testing.assert_array_equal(op.bind(batch=np.array([1, 2, 3]), seq=5).flops, [120, 240, 360])
    with pytest.raises(UnboundDimensionError, match="seq") as error:
        op.bind(batch=2)
    assert error.value.names == ("seq",)


def test_binding_that_gives_no_whole_number() -> None:
    n = sympy.Symbol("N")
    # A number and an array agree: half a padding is meant.
    assert evaluate(n / 2, {"N": 3}) == 1.5
    np.testing.assert_array_equal(evaluate(n / 2, {"N": np.array([3, 4])}), [1.5, 2])
    assert isinstance(evaluate(n / 2, {"N": 4}), int)
    with pytest.raises(DescriptorError, match="no number at N = 0"):
        evaluate(6 / n, {"N": 0})
    with pytest.raises(UnboundDimensionError, match="N"):
        evaluate(n + 1, {"M": 3})
    with pytest.raises(DescriptorError, match="not negative"):
        Softmax(rows=n - 5, cols=1, dtype="fp32").bind(N=3)


@pytest.mark.parametrize("name", ["floor", "maximum", "lambda", "os"])
def test_a_dimension_may_have_any_name(name: str) -> None:
    n = sympy.Symbol(name)
    np.testing.assert_array_equal(evaluate(sympy.floor(n / 2), {name: np.array([3, 8])}), [1, 4])


def test_narrow_integers_do_not_overflow() -> None:
    side = np.array([65536], dtype=np.int32)
    assert Gemm(m=side, n=side, k=side, dtype="bf16").flops.tolist() == [2**49]
    assert Gemm(m=np.int32(65536), n=65536, k=65536, dtype="bf16").flops == 2**49
    assert Attention(
        q_len=np.array([3], dtype=np.uint8), kv_len=np.array([200], dtype=np.uint8), heads=1, kv_heads=1, head_dim=1,
        causal=True, dtype="bf16",
    ).scores_executed.tolist() == [198 + 199 + 200]  # fmt: skip


# -------------------------------------------------------------------------------------------------------------- refused
@pytest.mark.parametrize(
    ("value", "message"),
    [
        (-1, "not negative"), (-0.5, "not negative"), (float("nan"), "finite"), (float("inf"), "finite"),
        (2**48 + 1, "2\\^48"), (10**400, "2\\^48"), (True, "whole number, got bool"), ("4", "got str"),
        (None, "is None"), ([1, 2], "got list"), (np.array([1.0, -1.0]), "not negative"),
        (np.array([1.0, np.nan]), "not finite"), (np.array([2.0**48, 2.0**49]), "2\\^48"),
        (np.array(["4"]), "array of <U1"), (np.array([True]), "array of bool"), (np.array([None]), "array of object"),
        (np.float64("nan"), "finite"), (np.int64(-3), "not negative"),
    ],
)  # fmt: skip
def test_impossible_dimensions(value: Any, message: str) -> None:
    with pytest.raises(DescriptorError, match=message):
        Gemm(m=value, n=1, k=1, dtype="bf16")


def test_largest_and_empty_dimensions() -> None:
    assert Gemm(m=2**48, n=1, k=1, dtype="bf16").flops == 2**49
    assert Gemm(m=0, n=5, k=5, dtype="bf16").flops == 0
    assert Gemm(m=np.array([]), n=5, k=5, dtype="bf16").flops.tolist() == []


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Gemm(m=1, n=1, k=1, dtype="bf17"), "did you mean 'bf16'"),
        (lambda: Conv(c_in=3, c_out=4, h=4, w=4, kernel_h=1, kernel_w=1, groups=2, dtype="fp32"), "do not divide"),
        (lambda: Conv(c_in=np.array([4, 3]), c_out=4, h=4, w=4, kernel_h=1, kernel_w=1, groups=2.0, dtype="fp32"),
         "do not divide"),
        (lambda: Conv(c_in=1, c_out=1, h=4, w=4, kernel_h=5, kernel_w=1, dtype="fp32"), "out_h would be 0"),
        (lambda: Conv(c_in=1, c_out=1, h=np.array([9, 3]), w=4, kernel_h=5, kernel_w=1, dtype="fp32"), "larger than"),
        (lambda: Conv(c_in=1, c_out=1, h=4, w=4, kernel_h=1, kernel_w=1, stride_h=0, dtype="fp32"), "stride_h is 0"),
        (lambda: Conv(c_in=1, c_out=1, h=4, w=4, kernel_h=1, kernel_w=1, stride_w=np.array([1, 0]), dtype="fp32"),
         "stride_w is 0"),
        (lambda: Moe(tokens=1, hidden=1, intermediate=1, experts=1, top_k=1, ep=0, dtype="bf16"), "ep is 0"),
        (lambda: Attention(phase="dream", q_len=1, kv_len=1, heads=1, kv_heads=1, head_dim=1, dtype="bf16"), "dream"),
        (lambda: Rnn(kind="qrnn", seq_len=1, input_size=1, hidden_size=1, dtype="fp32"), "did you mean 'rnn'"),
        (lambda: Norm(kind="weightnorm", rows=1, cols=1, dtype="fp32"), "did you mean .*'layernorm'"),
    ],
)  # fmt: skip
def test_impossible_descriptors(build: Any, message: str) -> None:
    with pytest.raises((DescriptorError, DtypeError), match=message):
        build()


# ----------------------------------------------------------------------------------------------------------- properties
@given(batch=small, m=small, n=small, k=small, extra=small)
@settings(max_examples=100, deadline=None, derandomize=True)
def test_gemm_flops_add_up(batch: int, m: int, n: int, k: int, extra: int) -> None:
    def flops(m: int) -> int:
        return int(Gemm(batch=batch, m=m, n=n, k=k, dtype="fp32").flops)

    assert flops(m + extra) == flops(m) + flops(extra)


@given(tokens=small, experts=small, top_k=small, ep=small, tp=small)
@settings(max_examples=100, deadline=None, derandomize=True)
def test_ranks_together_do_all_rows(tokens: int, experts: int, top_k: int, ep: int, tp: int) -> None:
    op = Moe(tokens=tokens, hidden=2, intermediate=7, experts=experts, top_k=top_k, ep=ep, tp=tp, dtype="bf16")
    assert tokens * top_k <= op.local_rows * ep < tokens * top_k + ep
    assert 1 <= op.active_experts <= max(experts, 1)
    assert op.active_experts <= op.local_rows


def test_descriptors_are_values() -> None:
    op = Gemm(m=1, n=2, k=3, dtype="bf16")
    assert op == op.replace()
    assert hash(op) == hash(op.replace())
    assert op != op.replace(k=4)
    with pytest.raises(AttributeError):
        op.m = 5
    assert op.shape == "1x2x3"
    assert op.replace(batch=4).shape == "4x1x2x3"
