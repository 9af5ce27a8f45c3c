"""Attention fused and unfused: when each may run, blocks on chip, workspace, and what must hold for any shape."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from model_doubles import TOY_CONSTANTS, toy_device

from perfmodel.hardware import Device, load_device
from perfmodel.models.analytical import analyse
from perfmodel.models.attention import ALGORITHMS, padded_head
from perfmodel.models.bounds import Bounds, Extras
from perfmodel.models.constants import FALLBACK
from perfmodel.models.machine import Conditions, Machine
from perfmodel.ops import Attention, Moe, Norm, Rnn, Softmax
from perfmodel.ops.base import Operator
from perfmodel.ops.table import stack

H100, A100, P100 = map(load_device, ("h100-sxm", "a100-sxm-80gb", "p100-pcie-16gb"))


def heads(**changes: Any) -> Attention:
    fields: dict[str, Any] = {
        "batch": 4, "q_len": 2048, "kv_len": 2048, "heads": 32, "kv_heads": 32, "head_dim": 128, "dtype": "bf16",
    }  # fmt: skip
    return Attention(**{**fields, **changes})


def bounds(*ops: Operator, device: Device = H100, cache: str = "cold", extras: Extras | None = None) -> Bounds:
    (group,) = stack(ops)
    return analyse(group, device, constants=FALLBACK, conditions=Conditions(cache), extras=extras)


def latency(op: Operator, device: Device = H100) -> float:
    return float(bounds(op, device=device).latency_s[0])


def algorithm(op: Attention, device: Device = H100) -> str:
    chosen = bounds(op, device=device).algorithm
    assert chosen is not None
    return str(chosen[0])


def test_what_engines_run() -> None:
    assert algorithm(heads()) == "fused"
    assert algorithm(heads(head_dim=256)) == "fused"
    assert algorithm(heads(head_dim=512)) == "unfused"
    assert algorithm(heads(phase="decode", q_len=1, batch=1, kv_heads=8)) == "fused_split_kv"
    assert algorithm(heads(phase="decode", q_len=1, batch=256)) == "fused"
    # The latent of MLA is 576 wide, and has kernels of its own.
    latent = heads(phase="mla_decode", q_len=1, heads=16, kv_heads=1, head_dim=576, v_head_dim=512)
    assert algorithm(latent).startswith("fused")
    # 64 queries of 256 fp32 values are all that the P100's 64 KiB hold: no room for keys.
    assert algorithm(heads(head_dim=256, dtype="fp32"), P100) == "unfused"
    assert algorithm(heads(head_dim=64, dtype="fp32"), P100) == "fused"


def test_the_power_limit_holds_the_whole_kernel_down() -> None:
    # One block of 128 queries and keys, 128 wide: 2 · 128 · 128 · 256 FLOPs at 1,024 a clock are 8,192 clocks, and at the half
    # that the limit leaves 16,384. At 2,048 exponentials a clock those hardly count; at one they take 16,384 clocks more, in
    # which the matrix units rest.
    constants = replace(
        TOY_CONSTANTS, attention_sync_efficiency=1.0, throttle_flops_per_w=6.43634e9 / 3, throttle_power=0.5
    )
    (group,) = stack([heads(batch=1, heads=1, kv_heads=1, q_len=128, kv_len=128)])

    def held(exponentials: float, clock_hz: float | None = None) -> tuple[float, str]:
        device = toy_device(exponentials_per_clock_per_unit=exponentials)
        b = analyse(group, device, constants=constants, conditions=Conditions("cold", clock_hz))
        return float(b.terms["compute"][0]) * 1e9, str(b.bound[0])

    assert held(2048.0) == (pytest.approx(16384, rel=1e-5), "power")
    assert held(1.0) == (pytest.approx(8192), "vector")
    assert held(2048.0, clock_hz=1e9) == (pytest.approx(8192), "compute")


def test_a_short_prompt_on_a_long_cache_splits_the_keys() -> None:
    # 8 heads of keys, 4 queries each: 32 positions fill a block of 128 rows. One block more a head must not end the splitting.
    prompts = [heads(phase="prefill", batch=1, q_len=q, kv_len=8192, kv_heads=8, causal=True) for q in (16, 32, 33, 64)]
    assert [algorithm(p) for p in prompts] == ["fused_split_kv"] * 4
    times = [latency(p) for p in prompts]
    assert times == sorted(times)
    assert times[3] < 1.5 * times[0]
    # 64 blocks for 132 units: two splits, whose sums of 64 positions, 32 heads, 130 values take 4 bytes each.
    prompt = heads(phase="prefill", batch=1, q_len=256, kv_len=8192, kv_heads=8, causal=True)
    assert bounds(prompt).workspace_bytes[0] in (0, 2 * 256 * 32 * 130 * 4)
    # A prompt as long as its keys is not split, however few its blocks.
    assert (
        algorithm(heads(phase="prefill", batch=1, q_len=1024, kv_len=1024, heads=1, kv_heads=1, causal=True)) == "fused"
    )


def test_what_holds_a_block_on_other_machines() -> None:
    # A core's share of the caches, 112.5 MB over 56 cores, holds heads of 160 fp32 values; 64 KiB would not.
    assert algorithm(heads(head_dim=160, dtype="fp32"), load_device("xeon-8480-plus")) == "fused"
    assert algorithm(heads(head_dim=256, dtype="fp32"), load_device("tpu-v5e")) == "fused"
    unknown = replace(H100, id="unknown", shared_bytes_per_unit=None)
    assert bounds(heads(), device=unknown).notes == ("unknown quotes no shared memory; assumed 64 KiB a unit",)


def test_unfused_attention_stores_its_scores() -> None:
    op = heads(head_dim=512, batch=2, heads=4, kv_heads=4)
    b = bounds(op)
    scores = 2 * 4 * 2048 * 2048 * 2
    assert b.workspace_bytes is not None
    assert b.workspace_bytes == pytest.approx([scores])
    # Written and read by either product's side of a softmax that reads and writes them: four times.
    assert b.dram_bytes >= 4 * scores
    # A mask does not spare the products anything.
    assert b.product_flops is not None
    masked = bounds(op.replace(causal=True))
    assert masked.product_flops is not None
    assert masked.product_flops == pytest.approx(b.product_flops)
    fused = bounds(heads(head_dim=256, batch=2, heads=8, kv_heads=8))
    assert fused.workspace_bytes == pytest.approx([0])
    assert op.product_flops == fused.product_flops
    assert b.latency_s > 1.3 * fused.latency_s


def test_a_softmax_that_does_not_fit_on_chip_passes_twice() -> None:
    # FuseMax's passes: 228 KiB hold a row of 116,736 scores. One key more, one pass more over all scores.
    op = heads(head_dim=512, batch=1, heads=1, kv_heads=1, q_len=1024, kv_len=116_736)
    short, long = (bounds(o).dram_bytes[0] for o in (op, op.replace(kv_len=116_737)))
    assert long - short == pytest.approx(1024 * 116_737 * 2, rel=0.01)


def test_eight_bits_are_not_twice_as_fast() -> None:
    # Measured fp8 kernels hardly beat those of 16 bits: scores are converted, values transposed.
    wide, narrow = bounds(heads(batch=16)), bounds(heads(batch=16, dtype="fp8"))
    assert narrow.terms["compute"] == pytest.approx(wide.terms["compute"], rel=1e-3)


def test_a_window_reaches_over_blocks() -> None:
    # Each block of 128 queries passes its own 128 keys and the 127 before its first: two blocks, but for the first one's one.
    op = heads(window=128, causal=True, batch=16)
    per_block = float(bounds(op).terms["vector"][0] * 16 * 1.83e9 / 128 / np.ceil(16 * 32 * 16 / 132))
    assert per_block == pytest.approx(256, rel=0.02)
    # Causality alone: 1 to 16 blocks of keys.
    half = bounds(heads(causal=True, batch=16))
    seen = float(half.terms["vector"][0] * 16 * 1.83e9 / 128 / np.ceil(16 * 32 * 16 / 132))
    assert seen == pytest.approx(8.5 * 128, rel=1e-3)
    # A single block of 128 queries a unit: the last one sets the pace.
    few = heads(causal=True, batch=1, heads=8, kv_heads=8)
    assert bounds(few).terms["vector"] == pytest.approx([128 * 2048 / (16 * 1.83e9)])


def test_fusion_pays_most_for_narrow_heads() -> None:
    # FlashAttention's argument: three kernels move the scores four times, whatever the heads' width.
    def unfused(op: Attention) -> float:
        tiny = replace(H100, shared_bytes_per_unit=1024)
        return latency(op, tiny)

    ratios = [unfused(heads(head_dim=d)) / latency(heads(head_dim=d)) for d in (64, 128, 256)]
    assert ratios == sorted(ratios, reverse=True)
    assert ratios[0] > 2


def test_heads_are_padded_to_the_kernels() -> None:
    widths = np.array([1, 32, 64, 72, 80, 96, 100, 128, 129, 192, 200, 256])
    assert padded_head(widths).tolist() == [32, 32, 64, 96, 96, 96, 128, 128, 192, 192, 256, 256]
    # Measured encoders of 72 and 80 take the same time a score, more than those of 64.
    assert latency(heads(head_dim=72)) == pytest.approx(latency(heads(head_dim=80)), rel=0.02)
    assert latency(heads(head_dim=72)) > 1.1 * latency(heads(head_dim=64))


def test_exponentials_bound_narrow_heads_on_wide_matrix_units() -> None:
    # A pair of 64-wide heads takes 256 FLOPs: 1/16 of a clock of the H100's matrix units, as its exponential does.
    b = bounds(heads(head_dim=64, batch=16))
    assert b.terms["vector"] == pytest.approx(b.terms["compute"], rel=0.1)
    doubled = replace(H100, exponentials_per_clock_per_unit=32.0)
    assert latency(heads(head_dim=64, batch=16), doubled) < 0.85 * latency(heads(head_dim=64, batch=16))
    assert latency(heads(head_dim=256), doubled) > 0.85 * latency(heads(head_dim=256))


def test_ordinary_units_compute_no_padding() -> None:
    # Decoding without matrix units: each key and value is multiplied with the 4 queries that share it, not with 64 of which
    # 60 are padding, and waits for memory: 4 FLOPs a byte, where the P100 has 13 and a socket of the Xeon 35.
    op = heads(phase="decode", q_len=1, kv_len=8192, batch=64, kv_heads=8, dtype="fp32")
    for device in (P100, load_device("xeon-8480-plus")):
        b = bounds(op, device=device)
        assert b.bound[0] == "dram"
        assert b.latency_s < 1.5 * op.bytes / device.memory_bandwidth_bytes_per_s
    # 64 rows or 4 are the same to matrix units.
    narrow, wide = (bounds(op.replace(dtype="bf16", heads=n), device=A100).terms["compute"] for n in (32, 8 * 64))
    assert narrow == pytest.approx(wide)
    # And a block of 64 queries is no padding to anyone.
    few, many = (bounds(op.replace(heads=n), device=P100).terms["compute"] for n in (32, 8 * 64))
    assert many == pytest.approx(16 * few)


def test_blackwell_ultra_doubles_the_exponentials() -> None:
    b200, b300 = (bounds(heads(head_dim=64), device=load_device(d)) for d in ("b200-sxm", "b300-sxm"))
    # 16 a clock at 1.965 GHz, 32 at 2.032; each has 148 SMs.
    assert b200.terms["vector"] / b300.terms["vector"] == pytest.approx(2 * 2.032 / 1.965, rel=1e-3)


def test_grouped_queries_share_their_keys() -> None:
    decode = heads(phase="decode", q_len=1, kv_len=16384, batch=64)
    shared = decode.replace(kv_heads=8)
    assert latency(decode) / latency(shared) == pytest.approx(4, rel=0.15)
    # A key is read once, however many queries use it.
    assert latency(shared.replace(heads=64)) == pytest.approx(latency(shared), rel=0.05)


def test_a_cache_that_is_read_again_is_faster() -> None:
    decode = heads(phase="decode", q_len=1, kv_len=1024, batch=4, kv_heads=8)
    warm = float(bounds(decode, cache="warm").latency_s[0])
    assert warm < latency(decode)
    narrow = decode.replace(kv_len=131072, kv_dtype="fp8")
    assert latency(narrow) < 0.6 * latency(narrow.replace(kv_dtype=None))


@pytest.mark.parametrize(
    "op",
    [
        Moe(tokens=512, hidden=1024, intermediate=2048, experts=8, top_k=2, dtype="bf16"),
        Rnn(batch=64, seq_len=16, input_size=256, hidden_size=256, dtype="bf16"),
        Norm(rows=4096, cols=4096, dtype="bf16"), Softmax(rows=4096, cols=4096, dtype="bf16"),
        heads(), heads(head_dim=512),
    ],
    ids=["moe", "rnn", "norm", "softmax", "attention", "unfused attention"],
)  # fmt: skip
def test_a_fused_epilogue_costs_bytes_and_flops(op: Operator) -> None:
    plain = bounds(op)
    read = bounds(op, extras=Extras(np.array([1e9]), np.zeros(1)))
    computed = bounds(op, extras=Extras(np.zeros(1), np.array([1e12])))
    # 1 GB is at least 0.3 ms of the H100's bandwidth, 1 TFLOP at least 15 ms of its vector units.
    assert read.latency_s >= np.maximum(plain.latency_s, 1e9 / 3.352e12)
    assert read.dram_bytes >= plain.dram_bytes + 0.99e9
    assert computed.latency_s >= 1e12 / 66.9e12
    assert computed.terms["vector"] > plain.terms["vector"]
    if isinstance(op, (Moe, Rnn)):  # several kernels, of which the epilogue's comes last
        assert read.latency_s - plain.latency_s == pytest.approx([1e9 / (3.352e12 * FALLBACK.dram_efficiency)])


def test_rows_that_do_not_fit_on_chip_are_read_twice() -> None:
    # 228 KiB hold 116,736 values of 16 bits.
    for op in (Softmax(rows=1000, cols=116_736, dtype="bf16"), Norm(rows=1000, cols=116_736, dtype="bf16")):
        longer = op.replace(cols=116_737)
        assert bounds(op).dram_bytes == pytest.approx([op.bytes])
        assert bounds(longer).dram_bytes == pytest.approx([longer.bytes + 1000 * 116_737 * 2])
    # A batch normalisation has its statistics beforehand.
    constant = Norm(kind="batchnorm", rows=1000, cols=116_737, dtype="bf16")
    assert bounds(constant).dram_bytes == pytest.approx([constant.bytes])


def test_workspace_of_experts_and_recurrent_layers() -> None:
    # 512 tokens visit 2 experts each: 1,024 rows of gathered tokens, gate and up, and results, of 2 bytes a value.
    moe = Moe(tokens=512, hidden=1024, intermediate=2048, experts=8, top_k=2, dtype="bf16")
    found = bounds(moe).workspace_bytes
    assert found is not None
    assert found >= 1024 * (1024 + 2 * 2048 + 1024) * 2
    rnn = Rnn(batch=64, seq_len=16, input_size=256, hidden_size=256, dtype="bf16")
    assert bounds(rnn).workspace_bytes == pytest.approx([64 * 16 * 4 * 256 * 2])


# ---------------------------------------------------------------------------------------------------------- properties
size = st.integers(0, 13).flatmap(lambda e: st.integers(2**e, 2 ** (e + 1)))
attentions = st.builds(
    lambda kv_heads, group, **more: Attention(heads=kv_heads * group, kv_heads=kv_heads, **more),
    kv_heads=st.integers(1, 16), group=st.sampled_from([1, 2, 8, 24]), batch=st.integers(1, 128), q_len=st.just(1) | size,
    kv_len=size, head_dim=st.sampled_from([16, 64, 72, 128, 192, 256, 320, 512]), causal=st.booleans(),
    window=st.none() | size, kv_dtype=st.sampled_from([None, "fp8"]),
    dtype=st.sampled_from(["bf16", "fp16", "fp32", "fp8"]),
)  # fmt: skip
devices = st.sampled_from(["h100-sxm", "a100-sxm-80gb", "b200-sxm", "l40s", "p100-pcie-16gb", "mi210"]).map(load_device)


@given(op=attentions, device=devices, cache=st.sampled_from(["warm", "cold", "rotating"]))
@settings(max_examples=150, deadline=None, derandomize=True)
def test_no_faster_than_physics(op: Attention, device: Device, cache: str) -> None:
    b = bounds(op, device=device, cache=cache)
    assert np.isfinite(b.latency_s).all()
    assert b.latency_s >= b.floor_s
    assert b.algorithm is not None
    assert b.algorithm[0] in ALGORITHMS
    assert b.workspace_bytes is not None
    assert b.workspace_bytes >= 0
    machine = Machine.of(device, op.dtype, Conditions(cache))
    pairs = op.scores_executed
    assert b.latency_s * machine.peak_flops >= 2 * pairs * 2 * op.head_dim * (1 - 1e-12)
    assert b.latency_s * 32 * machine.units * machine.clock_hz >= pairs  # no unit has more than 32 exponentials a clock


@given(op=attentions, device=devices)
@settings(max_examples=80, deadline=None, derandomize=True)
def test_more_sequences_take_no_less_time(op: Attention, device: Device) -> None:
    batches = [op.replace(batch=n) for n in (1, 2, 3, 16, 17, 64, 65, 131, 132, 133)]
    result = bounds(*batches, device=device).latency_s
    assert (result[1:] >= result[:-1] * (0.97 if op.head_dim > 256 else 1 - 1e-9)).all()


@given(op=attentions, device=devices)
@settings(max_examples=60, deadline=None, derandomize=True)
def test_seeing_fewer_keys_is_never_slower(op: Attention, device: Device) -> None:
    everything = latency(op.replace(causal=False, window=None), device)
    assert latency(op.replace(causal=True, window=None), device) <= everything * (1 + 1e-9)


@given(ops=st.lists(attentions.map(lambda op: op.replace(causal=True, window=None)), min_size=2, max_size=6))
@settings(max_examples=25, deadline=None, derandomize=True)
def test_rows_do_not_touch_each_other(ops: list[Attention]) -> None:
    ops = [op.replace(dtype="bf16", kv_dtype=None) for op in ops]
    together = bounds(*ops)
    assert together.algorithm is not None
    assert together.workspace_bytes is not None
    for index, op in enumerate(ops):
        alone = bounds(op)
        assert alone.algorithm is not None
        assert alone.workspace_bytes is not None
        assert together.latency_s[index] == pytest.approx(alone.latency_s[0], rel=1e-12)
        assert together.algorithm[index] == alone.algorithm[0]
        assert together.workspace_bytes[index] == pytest.approx(alone.workspace_bytes[0])


@pytest.mark.parametrize("head_dim", [0, 1, 64, 512, 2**20])
@pytest.mark.parametrize("length", [0, 1, 2**30])
def test_empty_and_absurd_attention_stays_finite(length: int, head_dim: int) -> None:
    op = heads(q_len=length, kv_len=length, head_dim=head_dim, causal=True)
    for device in (H100, A100, P100, replace(H100, kind="cpu", shared_bytes_per_unit=None)):
        b = bounds(op, device=device)
        assert np.isfinite(b.latency_s).all()
        assert b.latency_s >= b.floor_s
        assert all(np.isfinite(v).all() for v in b.terms.values())
