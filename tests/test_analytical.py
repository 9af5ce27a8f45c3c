"""Named bounds of every family: small cases by hand, the physical floor, and what physics demands."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from model_doubles import QUICK_HITS, TOY_CONSTANTS, toy_device

from perfmodel.errors import InputError
from perfmodel.hardware import Device, load_device
from perfmodel.models.analytical import CPU_CONSTANTS, TERMS, Bounds, Extras, analyse, constants_for
from perfmodel.models.constants import FALLBACK, Constants
from perfmodel.models.machine import Conditions, Machine
from perfmodel.ops import (
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
from perfmodel.ops.table import stack

CYCLE = 1e-9  # at the toy's 1 GHz
H100 = load_device("h100-sxm")


def bounds(
    *ops: Operator, device: Device | None = None, constants: Constants = TOY_CONSTANTS, cache: str = "cold",
    clock_hz: float | None = None, extras: Extras | None = None,
) -> Bounds:  # fmt: skip
    (group,) = stack(ops)
    conditions = Conditions(cache, clock_hz)
    return analyse(group, device or toy_device(), constants=constants, conditions=conditions, extras=extras)


def cycles(b: Bounds) -> dict[str, float]:
    return {name: float(values[0] / CYCLE) for name, values in b.terms.items()}


# -------------------------------------------------------------------------------------------------------------- by hand
def test_a_stream_by_hand() -> None:
    # Two operands and a result of 4,800 fp32 values: 57,600 bytes; 48 a clock from DRAM, 96 through L2; 4,800 adds at a
    # tenth of 100 a clock.
    add = Elementwise(kind="add", elements=4800, inputs=2, dtype="fp32")
    b = bounds(add, constants=QUICK_HITS)
    assert cycles(b) == pytest.approx({"l2": 600, "dram": 1200, "vector": 480, "launch": 2000})
    assert b.latency_s / CYCLE == pytest.approx([2000 + 600 + 1200 + 480])
    assert (b.bound[0], b.dram_bytes[0]) == ("launch", 57600)
    # A cache whose hits would be slower than memory keeps its pace.
    assert cycles(bounds(add))["l2"] == pytest.approx(1200)


def test_rows_by_hand() -> None:
    # 3 rows on 2 units: the second pass is half empty, so that L2 takes 4/3. 300 values in and out, 2,400 bytes, at
    # half the streaming rate; 15 FLOPs a value.
    b = bounds(Softmax(rows=3, cols=100, dtype="fp32"), device=toy_device(units=2), constants=QUICK_HITS)
    assert cycles(b) == pytest.approx({"l2": 2400 / 96 * 4 / 3, "dram": 100, "vector": 450, "launch": 2000})


def test_a_collective_by_hand() -> None:
    # A ring of 8 passes 7/8 of 1,600 bytes twice, at half of 32 bytes a clock; 14 steps of a quarter launch each.
    op = Collective(message_bytes=1600, ranks=8, dtype="fp32")
    b = bounds(op)
    assert cycles(b) == pytest.approx({"link": 175, "launch": 2000 + 14 * 500})
    assert b.latency_s / CYCLE == pytest.approx([9175])
    half = bounds(op.replace(kind="all_gather"), device=toy_device(interconnect_bytes_per_s=64e9))
    assert cycles(half) == pytest.approx({"link": 7 / 8 * 1600 / 32, "launch": 2000 + 7 * 500})


def test_a_depthwise_convolution_runs_on_the_vector_units() -> None:
    # 100 channels of 100 positions of 9 multiply-adds: 180,000 FLOPs, in packed 16 bits, at half of 200 a clock. Tensors of
    # 41,800 bytes at 48 a clock; tiles of 10x10 outputs read 12x12 inputs: 8,800 bytes more, at 96 a clock.
    op = Conv(c_in=100, c_out=100, h=10, w=10, kernel_h=3, kernel_w=3, pad_h=1, pad_w=1, groups=100, dtype="bf16")
    b = bounds(op, constants=QUICK_HITS)
    expected = {"vector": 1800, "dram": 41800 / 48, "l2": 50600 / 96, "launch": 2000, "compute": 0}
    assert cycles(b) == pytest.approx(expected)
    assert b.latency_s / CYCLE == pytest.approx([sum(expected.values())])
    assert b.algorithm is not None
    assert b.algorithm[0] == "direct"
    # A fused epilogue: 480,000 bytes more, and 10,000 FLOPs at 10 a clock.
    more = bounds(op, extras=Extras(np.array([480000.0]), np.array([10000.0])))
    assert cycles(more)["dram"] == pytest.approx(521800 / 48)
    assert cycles(more)["vector"] == pytest.approx(1800 + 1000)
    # A dense convolution stays on the matrix units, and reads its input once: (16·64 + 64·9 + 16·64)·16·2 bytes.
    dense = bounds(Conv(c_in=16, c_out=16, h=32, w=32, kernel_h=3, kernel_w=3, pad_h=1, pad_w=1, dtype="bf16"))
    assert dense.terms["compute"] > 0
    assert dense.dram_bytes == pytest.approx([(16 * 1024 + 16 * 16 * 9 + 16 * 1024) * 2])


def test_a_view_is_free() -> None:
    b = bounds(View(dtype="bf16"))
    assert (b.latency_s[0], b.floor_s[0], b.dram_bytes[0]) == (0, 0, 0)


def test_what_no_rule_covers_is_estimated_as_traffic() -> None:
    b = bounds(Unmodelled(read=2400, written=2400, dtype="fp32"), constants=QUICK_HITS)
    assert cycles(b) == pytest.approx({"l2": 50, "dram": 100, "vector": 0, "launch": 2000})


def test_attention_by_hand() -> None:
    # 128 queries see 128 keys of 64 values: one block, on 1 unit, whose 80 KiB hold the queries and two times 128 keys and
    # values. 2·16,384 scores ·128 FLOPs at 1024·0.5 a clock, an exponential a score at 16 a clock. Q, K, V and the result
    # are 128·64 values each, 65,536 bytes; the copy into the cache reads and writes K and V once more, as many again; at 48
    # a clock. K and V go to the unit at 32 bytes a clock.
    op = Attention(q_len=128, kv_len=128, heads=1, kv_heads=1, head_dim=64, dtype="bf16")
    device = toy_device(shared_bytes_per_unit=81920)
    expected = {"compute": 8192, "vector": 1024, "dram": 2 * 65536 / 48, "l2": 1024, "launch": 3500}
    b = bounds(op, device=device)
    assert cycles(b) == pytest.approx(expected)
    assert b.latency_s / CYCLE == pytest.approx([sum(expected.values())])
    # In 64 KiB there is room for 96 keys at a time: two passes, the second mostly empty.
    assert cycles(bounds(op, device=toy_device(shared_bytes_per_unit=65536)))["compute"] == pytest.approx(8192 * 1.5)
    # Matrix units of 4,096 FLOPs a clock run beside the warps: all of their rate instead of half.
    wide = bounds(op, device=toy_device(shared_bytes_per_unit=81920, peak_flops={"bf16": 4.096e12, "fp32": 1e11}))
    assert cycles(wide)["compute"] == pytest.approx(8192 / 8)
    # Twice the special-function units, half of the time for exponentials.
    fast = bounds(op, device=toy_device(shared_bytes_per_unit=81920, exponentials_per_clock_per_unit=32.0))
    assert cycles(fast)["vector"] == pytest.approx(512)


def test_decoding_by_hand() -> None:
    # 8 heads share 2 of keys: their 4 queries take 64 rows of a block, and 2 blocks, each split in two over the 512 keys,
    # run on 4 of 8 units: 64·256 scores each, of which each unit does 1024·0.5 FLOPs a clock.
    op = Attention(phase="decode", q_len=1, kv_len=512, heads=8, kv_heads=2, head_dim=64, dtype="bf16")
    device = toy_device(units=8, peak_flops={"bf16": 8 * 1.024e12, "fp32": 1e11}, shared_bytes_per_unit=81920)
    expected = {
        "compute": 2 * 16384 * 128 / 512,
        "vector": 16384 / 16,
        # keys and values: 2·512·(64 + 64) of 2 bytes; queries and results: 8·64 each
        "dram": (262144 + 2048) / 48,
        # Two partial results of 8 heads (64 values, a maximum and a sum, in fp32) are written and read by all 8 units.
        "l2": 256 * 128 * 2 / 32 + 2 * (2 * 8 * 66 * 4) / (8 * 16),
        "launch": 3500 + 5000,
    }
    b = bounds(op, device=device)
    assert cycles(b) == pytest.approx(expected)
    assert b.algorithm is not None
    assert b.algorithm[0] == "fused_split_kv"
    assert b.workspace_bytes == pytest.approx([2 * 8 * 66 * 4])
    # A window of 128 keys lies across two blocks of 128, which are too few to split; its bytes are a quarter.
    windowed = {**expected, "dram": (65536 + 2048) / 48, "l2": 256 * 128 * 2 / 32, "launch": 3500}
    narrow = bounds(op.replace(window=128), device=device)
    assert cycles(narrow) == pytest.approx(windowed)
    assert narrow.workspace_bytes == pytest.approx([0])
    # 256 queries of 4 heads are 8 blocks for each of 2 heads of keys: two blocks a unit, each of which reads its keys.
    long = bounds(op.replace(phase="prefill", q_len=256, kv_len=256), device=device)
    assert cycles(long)["l2"] == pytest.approx(2 * 256 * 128 * 2 / 32)
    assert cycles(long)["launch"] == pytest.approx(3000 + 2 * 500)


def test_what_stays_in_the_cache_by_hand() -> None:
    # 57,600 bytes: half of 115,200, of which half is kept. Half of the bytes cross DRAM.
    b = bounds(
        Elementwise(kind="add", elements=4800, inputs=2, dtype="fp32"), cache="warm", device=toy_device(l2_bytes=115200)
    )
    assert (cycles(b)["dram"], b.dram_bytes[0]) == pytest.approx((600, 28800))


def test_an_lstm_is_one_product_and_one_small_one_a_step() -> None:
    op = Rnn(batch=128, seq_len=3, input_size=32, hidden_size=32, dtype="bf16")
    b = bounds(op)
    # Steps: 128x128 outputs of k = 32, as in the test of the tile model: 2048 clocks; inputs: 3·128 rows, thrice.
    assert cycles(b)["compute"] == pytest.approx(3 * 2048 + 3 * 2048)
    longer = bounds(op.replace(seq_len=6))
    assert longer.latency_s > 1.9 * b.latency_s


def test_the_floor_by_hand() -> None:
    square = Gemm(m=128, n=128, k=128, dtype="bf16")
    # 2·128³ FLOPs at 1.024e12 a second; 98,304 bytes fit the cache, and would take 1.024 us at 96 GB/s.
    assert bounds(square, cache="warm").floor_s == pytest.approx([4.096e-6])
    assert bounds(square).floor_s == pytest.approx([4.096e-6])
    thin = Gemm(m=1, n=2048, k=2048, dtype="bf16")
    # 2,048·2,048 weights and twice 2,048 values: 8,396,800 bytes, of which a cache of 1 MB may hold the last million.
    assert bounds(thin).floor_s == pytest.approx([8396800 / 96e9])
    assert bounds(thin, cache="warm").floor_s == pytest.approx([7396800 / 96e9])
    # Causality leaves 10 of 16 scores of 2·64 + 2·64 FLOPs; the softmax may run beside them.
    causal = Attention(q_len=4, kv_len=4, heads=1, kv_heads=1, head_dim=64, causal=True, dtype="bf16")
    assert bounds(causal, cache="warm").floor_s == pytest.approx([2560 / 1.024e12])


def test_fused_epilogues() -> None:
    op = Gemm(m=128, n=128, k=32, dtype="bf16")
    plain = bounds(op)
    # 480,000 bytes of bias and residual at 48 a clock; the matrices' own 49,152 besides.
    read = bounds(op, extras=Extras(np.array([480000.0]), np.zeros(1)))
    assert cycles(read)["dram"] == pytest.approx((480000 + 49152) / 48)
    assert read.dram_bytes == pytest.approx([480000 + 49152])
    # 100,000 FLOPs at 10 a clock hide behind nothing: launch and them.
    computed = bounds(op, extras=Extras(np.zeros(1), np.array([100000.0])))
    assert computed.latency_s / CYCLE == pytest.approx([1100 + 10000])
    assert computed.bound[0] == "vector"
    few = bounds(op, extras=Extras(np.zeros(1), np.array([100.0])))
    assert few.latency_s == plain.latency_s


def test_results_as_they_are_stored() -> None:
    # C[128,128] in 4 bytes instead of 2: 32,768 bytes more.
    wide = bounds(Gemm(m=128, n=128, k=32, dtype="bf16", out_dtype="fp32"))
    assert cycles(wide)["dram"] == pytest.approx((49152 + 32768) / 48)


def test_names_of_the_bounds() -> None:
    c = replace(FALLBACK, throttle_flops_per_w=1e12)
    square = Gemm(m=8192, n=8192, k=8192, dtype="bf16")
    thin, small = square.replace(m=1), square.replace(m=16, n=64, k=64)
    assert list(bounds(square, thin, small, device=H100, constants=c).bound) == ["power", "dram", "launch"]
    # A pinned clock is not throttled.
    assert bounds(square, device=H100, constants=c, clock_hz=1e9).bound[0] == "compute"


def test_what_ran_instead_is_said() -> None:
    assert bounds(Gemm(m=1, n=1, k=1, dtype="bf16")).notes == ()
    (note,) = bounds(Gemm(m=1, n=1, k=1, dtype="fp8")).notes
    assert note == "fp8: toy has no fp8 arithmetic; bf16 ran instead"
    bare = toy_device(units=None, l2_bytes=None, peak_clock_hz=None, tdp_w=None)
    # fp32: 1e11 FLOP/s of 256 a clock and unit at 1.5 GHz are 0.26 units, at least one.
    clock, units, l2 = bounds(Gemm(m=1, n=1, k=1, dtype="bf16"), device=bare).notes
    assert "no clock; assumed 1.5 GHz" in clock
    assert "no number of units; assumed 1" in units
    assert "no last-level cache; assumed 0.25 MiB" in l2


def test_a_pinned_clock_scales_the_rates() -> None:
    device = toy_device(peak_flops={"bf16": 1.024e12, "fp32": 2e11}, arithmetic_clock_hz={"fp32": 2e9})
    machine = Machine.of(device, "bf16", Conditions(clock_hz=5e8))
    assert (machine.peak_flops, machine.flops_per_clock, machine.throttle_ratio) == (5.12e11, 1024, None)
    # The vector units are quoted at 2 GHz: a quarter of it is left.
    assert machine.vector_flops == pytest.approx(5e10)
    assert Machine.of(device, "bf16").throttle_ratio == pytest.approx(1.024e10)
    # A cap is the business of perfmodel.models.cap: here the device's own limit counts.
    assert Machine.of(device, "bf16", Conditions(power_limit_w=50.0)).throttle_ratio == pytest.approx(1.024e10)


@pytest.mark.parametrize("clock_hz", [2.1e9, 1e12, 3e7])
def test_a_clock_that_the_device_does_not_have(clock_hz: float) -> None:
    device = toy_device(peak_flops={"bf16": 1.024e12, "fp32": 2e11}, arithmetic_clock_hz={"fp32": 2e9})
    with pytest.raises(InputError, match="MHz is not one of toy, which runs up to 2000 MHz"):
        Machine.of(device, "bf16", Conditions(clock_hz=clock_hz))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"cache": "tepid"}, "cache is 'tepid': known: cold,"),
        ({"clock_hz": 0.0}, "wanted"),
        ({"clock_hz": float("nan")}, "wanted"),
        ({"power_limit_w": -1.0}, "wanted"),
    ],
)
def test_impossible_conditions(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Conditions(**changes)


def test_cpus_have_constants_of_their_own() -> None:
    assert constants_for(toy_device(kind="cpu"), FALLBACK) is CPU_CONSTANTS
    assert constants_for(toy_device(), None) is FALLBACK
    assert constants_for(toy_device(), TOY_CONSTANTS) is TOY_CONSTANTS


# ----------------------------------------------------------------------------------------------------------- properties
size = st.integers(0, 12).flatmap(lambda e: st.integers(2**e, 2 ** (e + 1)))
few = st.integers(1, 64)
dtype = st.sampled_from(["bf16", "fp16", "fp32", "fp8", "fp8_block", "nvfp4", "int8", "w4a16", "tf32"])


def op_of(cls: type[Operator], **dims: Any) -> st.SearchStrategy[Operator]:
    return st.builds(cls, **{"dtype": dtype, **dims})


operators = st.one_of(
    op_of(Gemm, batch=few, m=size, n=size, k=size),
    op_of(Conv, batch=few, c_in=st.just(32), c_out=st.just(64), h=few, w=few, kernel_h=st.just(3), kernel_w=st.just(1),
          pad_h=st.just(1), groups=st.sampled_from([1, 4, 32])),
    op_of(Attention, batch=few, q_len=size, kv_len=size, heads=few, kv_heads=few, head_dim=few, causal=st.booleans(),
          window=st.none() | size),
    op_of(Moe, tokens=size, hidden=size, intermediate=size, experts=few, top_k=few, tp=few, ep=few),
    op_of(Rnn, batch=few, seq_len=few, input_size=size, hidden_size=size, directions=st.integers(1, 2)),
    op_of(Norm, rows=size, cols=size), op_of(Softmax, rows=size, cols=size),
    op_of(Elementwise, kind=st.sampled_from(["add", "gelu"]), elements=size, inputs=few),
    op_of(Reduce, rows=size, cols=size), op_of(Copy, elements=size), op_of(Embedding, rows=size, cols=size),
    op_of(Pool, batch=few, channels=size, h=few, w=few, out_h=few, out_w=few, kernel_h=few, kernel_w=few),
    op_of(Quantize, rows=size, cols=size), op_of(Collective, message_bytes=size, ranks=few),
    op_of(Unmodelled, read=size, written=size),
)  # fmt: skip
devices = st.sampled_from(["h100-sxm", "a100-pcie-40gb", "b200-sxm", "l40s", "mi210", "p4"]).map(load_device)
caches = st.sampled_from(["warm", "cold", "rotating"])


@given(op=operators, device=devices, cache=caches)
@settings(max_examples=150, deadline=None, derandomize=True)
def test_finite_positive_and_never_below_the_floor(op: Operator, device: Device, cache: str) -> None:
    b = bounds(op, device=device, constants=FALLBACK, cache=cache)
    assert np.isfinite(b.latency_s).all()
    assert b.latency_s > 0
    assert b.latency_s >= b.floor_s
    assert (b.floor_s >= 0).all()
    for name, values in b.terms.items():
        assert name in TERMS
        assert np.isfinite(values).all()
        assert (values >= 0).all()
    assert b.bound[0] in (*TERMS, "power")
    # At the datasheet's bandwidth and peak alone it is no faster.
    machine = Machine.of(device, op.dtype)
    if not isinstance(op, Collective):
        crossing = op.bytes if cache == "cold" else op.bytes - machine.l2_bytes
        assert b.latency_s * machine.dram_bytes_per_s * (1 + 1e-12) >= crossing
    share = op.flops_executed / op.flops if op.flops else 0
    executed = op.product_flops * share
    if isinstance(op, Conv):  # Winograd multiplies up to four times less often, at most
        executed = float(b.product_flops[0]) if b.product_flops is not None else executed
        assert executed >= op.product_flops / 4 * (1 - 1e-12)
    assert b.latency_s * machine.peak_flops * (1 + 1e-12) >= executed


@given(op=operators, cache=caches)
@settings(max_examples=120, deadline=None, derandomize=True)
def test_a_better_machine_is_never_slower(op: Operator, cache: str) -> None:
    """At a fixed clock."""

    def latency(device: Device = H100, clock_hz: float = 1.8e9, cache: str = cache) -> float:
        return float(bounds(op, device=device, constants=FALLBACK, cache=cache, clock_hz=clock_hz).latency_s[0])

    base = latency()
    bandwidth = replace(H100, memory_bandwidth_bytes_per_s=1.7 * H100.memory_bandwidth_bytes_per_s)
    assert latency(bandwidth) <= base * (1 + 1e-9)
    peaks = replace(H100, peak_flops={k: 1.7 * v for k, v in H100.peak_flops.items()})
    assert latency(peaks) <= base * (1 + 1e-9)
    for faster, slower in pairwise([1.9e9, 1.8e9, 1.0e9, 3e8]):
        assert latency(clock_hz=faster) <= latency(clock_hz=slower) * (1 + 1e-9)
    # What lies in the cache need not be fetched.
    assert latency(cache="cold") >= latency(cache="rotating") * (1 - 1e-9)
    assert latency(cache="rotating") >= latency(cache="warm") * (1 - 1e-9)


@given(ops=st.lists(op_of(Gemm, batch=few, m=size, n=size, k=size, dtype=st.just("fp8")), min_size=2, max_size=6))
@settings(max_examples=25, deadline=None, derandomize=True)
def test_rows_do_not_touch_each_other(ops: list[Operator]) -> None:
    together = bounds(*ops, device=H100, constants=FALLBACK, cache="rotating")
    for index, op in enumerate(ops):
        alone = bounds(op, device=H100, constants=FALLBACK, cache="rotating")
        assert together.latency_s[index] == pytest.approx(alone.latency_s[0], rel=1e-12)
        assert together.floor_s[index] == pytest.approx(alone.floor_s[0], rel=1e-12)


@pytest.mark.parametrize(
    "op",
    [
        Gemm(m=0, n=5, k=5, dtype="bf16"), Gemm(m=5, n=5, k=0, dtype="bf16"), Gemm(batch=0, m=5, n=5, k=5, dtype="fp8"),
        Gemm(m=2**48, n=2**48, k=2**48, dtype="bf16"), Norm(rows=0, cols=5, dtype="fp32"),
        Attention(q_len=0, kv_len=0, heads=0, kv_heads=0, head_dim=0, dtype="bf16"),
        Attention(q_len=5, kv_len=2, heads=2, kv_heads=4, head_dim=8, causal=True, window=0, dtype="bf16"),
        Moe(tokens=0, hidden=4, intermediate=4, experts=0, top_k=1, ep=8, dtype="bf16"),
        Rnn(seq_len=0, input_size=4, hidden_size=4, dtype="fp32"), Elementwise(kind="add", elements=0, dtype="fp32"),
        Conv(batch=0, c_in=4, c_out=4, h=4, w=4, kernel_h=3, kernel_w=3, dtype="bf16"),
        Collective(message_bytes=0, ranks=0, dtype="fp32"), Copy(elements=2**48, dtype="fp32"),
    ],
    ids=str,
)  # fmt: skip
def test_empty_and_absurd_operators_stay_finite(op: Operator) -> None:
    for cache in ("warm", "cold", "rotating"):
        b = bounds(op, device=H100, constants=FALLBACK, cache=cache)
        assert np.isfinite(b.latency_s).all()
        assert b.latency_s >= b.floor_s
        assert all(np.isfinite(values).all() for values in b.terms.values())


def _latency(op: Operator, device: str = "h100-sxm") -> float:
    return float(analyse(stack([op])[0], load_device(device)).latency_s[0])


def test_attention_pays_for_what_it_sees() -> None:
    full = Attention(q_len=16384, kv_len=16384, heads=32, kv_heads=8, head_dim=128, causal=False, dtype="bf16")
    # Half of the pairs are visible: half the products and half the blocks of keys, but for launch and rounding.
    assert _latency(full.replace(causal=True)) / _latency(full) == pytest.approx(0.5, rel=0.05)
    # With a window the visible pairs grow linearly with the sequence.
    narrow = full.replace(causal=True, window=1024)
    longer = narrow.replace(q_len=65536, kv_len=65536)
    assert _latency(longer) / _latency(narrow) == pytest.approx(4.0, rel=0.1)


@pytest.mark.parametrize("dtype", ["fp8", "fp8_block", "nvfp4"])
def test_narrow_convolutions_are_not_slower(dtype: str) -> None:
    conv = Conv(batch=32, c_in=256, c_out=256, h=14, w=14, kernel_h=3, kernel_w=3, pad_h=1, pad_w=1, dtype="bf16")
    assert _latency(conv.replace(dtype=dtype), "b200-sxm") <= _latency(conv, "b200-sxm")
