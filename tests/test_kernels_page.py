"""The examples of docs/kernels.md: computed here without the model, found on the page, and what the model says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import perfmodel
from perfmodel.models.predictor import Estimates
from perfmodel.ops import Attention, Conv, Operator

PAGE = " ".join((Path(__file__).parent.parent / "docs" / "kernels.md").read_text().split())


def predicted(op: Operator, device: str) -> Estimates:
    return perfmodel.load("analytical").predict(op, device, cache="cold")


def conv(c_in: int = 256, c_out: int = 256, size: int = 28, kernel: int = 3, **changes: Any) -> Conv:
    return Conv(
        batch=32, c_in=c_in, c_out=c_out, h=size, w=size, kernel_h=kernel, kernel_w=kernel, pad_h=kernel // 2,
        pad_w=kernel // 2, **changes,
    )  # fmt: skip


def test_implicit_gemm() -> None:
    assert 32 * 28 * 28 == 25088
    assert 256 * 9 == 2304
    assert "25,088 x 256 outputs over 2,304; 196 · 2 tiles of 128 x 128 are 3 on the busiest of 132 SMs" in PAGE
    e = predicted(conv(dtype="bf16"), "h100-sxm")
    assert e.algorithm[0] == "implicit_gemm"
    assert (e.details["tile_m"][0], e.details["tile_n"][0], e.details["tiles_per_unit"][0]) == (128, 128, 3)
    assert e.workspace_bytes[0] == 0


def test_im2col() -> None:
    assert pytest.approx(231.2, abs=0.05) == 25088 * 2304 * 4 / 1e6
    assert "231.2 MB, nine times the input" in PAGE


def test_winograd() -> None:
    flops = 2 * 36 * 1568 * 256**2
    assert flops / 1e9 == pytest.approx(7.40, abs=0.005)
    assert pytest.approx(125.0, abs=0.05) == 4 * 36 * (2 * 1568 * 256 + 256**2) / 1e6
    for text in ("= 1,568 tiles", "7.40 GFLOP instead of 29.6", "125.0 MB of workspace", "= 528.5 us", "1295 us"):
        assert text in PAGE
    e = predicted(conv(dtype="fp32"), "v100-pcie-32gb")
    assert e.algorithm[0] == "winograd_nonfused"
    assert e.workspace_bytes[0] == 4 * 36 * (2 * 1568 * 256 + 256**2)
    assert e.floor_s[0] == pytest.approx(528.5e-6, rel=1e-3)
    assert e.latency_s[0] == pytest.approx(1295e-6, rel=2e-3)
    assert conv(dtype="fp32").flops / 1e9 == pytest.approx(29.6, abs=0.05)


def test_fused_winograd() -> None:
    seconds = 40 * 2 * 16 * 32 * 32 * 80 / (175e9 * 0.95 * 0.76 * 0.996)
    assert seconds == pytest.approx(833.0e-6, rel=1e-3)
    assert "= 3,136 blocks are 40 on the busiest of 80 SMs" in PAGE
    assert "are 833.0 us" in PAGE
    e = predicted(conv(64, 32, 112, dtype="fp32"), "v100-pcie-32gb")
    assert e.algorithm[0] == "winograd_fused"
    assert e.terms["compute"][0] == pytest.approx(833.0e-6, rel=1e-3)


def test_fft() -> None:
    op = conv(128, 128, 44, 11, dtype="fp32")
    assert pytest.approx(9.13, abs=0.005) == 8 * 544 * 128 * 128**2 / 1e9
    assert op.flops / 1e9 == pytest.approx(246, abs=0.5)
    assert "22 x 22 outputs a tile, 128 tiles; 8 · 544 · 128 · 128² = 9.13 GFLOP instead of 246" in PAGE
    e = predicted(op, "v100-pcie-32gb")
    assert e.algorithm[0] == "fft"
    assert e.floor_s[0] == pytest.approx(9.13e9 / 14e12, rel=1e-3)


def test_depthwise() -> None:
    op = conv(groups=256, dtype="bf16")
    assert pytest.approx(25.7, abs=0.05) == (2 * 32 * 784 * 256 * 2 + 256 * 9 * 2) / 1e6
    assert "25.7 MB / (3.352 TB/s · 0.8) = 9.58 us" in PAGE
    e = predicted(op, "h100-sxm")
    assert (e.algorithm[0], e.bound[0]) == ("direct", "dram")
    assert e.terms["dram"][0] == pytest.approx(9.58e-6, rel=1e-3)


def heads(**changes: Any) -> Attention:
    fields: dict[str, Any] = {"batch": 4, "heads": 32, "kv_heads": 8, "head_dim": 128, "dtype": "bf16"}
    return Attention(**{**fields, **changes})


def test_prefill() -> None:
    pairs = 32 * 128 * 2112.5
    assert pairs / 1e6 == pytest.approx(8.653, abs=0.0005)
    assert pairs / (16 * 1.83e9) == pytest.approx(295.5e-6, rel=1e-3)
    assert 2 * pairs * 256 / (4096 * 1.83e9 * 0.95) == pytest.approx(622.2e-6, rel=1e-3)
    assert "32 · 128 · 2,112.5 = 8.653 M pairs: 295.5 us of exponentials (*vector*) and 622.2 us of products" in PAGE
    e = predicted(heads(q_len=4096, kv_len=4096, causal=True), "h100-sxm")
    assert e.algorithm[0] == "fused"
    assert e.terms["vector"][0] == pytest.approx(295.5e-6, rel=1e-3)
    assert e.terms["compute"][0] == pytest.approx(622.2e-6, rel=1e-3)


def test_decoding() -> None:
    workspace = 32 * (128 + 2) * 4 * 16
    assert workspace / 1e3 == pytest.approx(266.2, abs=0.05)
    assert pytest.approx(33.6, abs=0.05) == 8 * 8192 * 2 * 128 * 2 / 1e6
    assert "8 blocks, split 16 times, on 128 of 132 SMs; 266.2 kB of workspace" in PAGE
    assert "are 12.8 us (*dram*), and the two kernels 11.9 us (*launch*)" in PAGE
    e = predicted(heads(phase="decode", batch=1, q_len=1, kv_len=8192), "h100-sxm")
    assert (e.algorithm[0], e.workspace_bytes[0]) == ("fused_split_kv", workspace)
    assert e.terms["dram"][0] == pytest.approx(12.8e-6, rel=2e-3)
    assert e.terms["launch"][0] == pytest.approx(11.9e-6, rel=5e-3)


def test_unfused() -> None:
    scores = 4 * 16 * 2048**2 * 2
    assert scores / 1e6 == pytest.approx(536.9, abs=0.05)
    assert "= 536.9 MB of scores" in PAGE
    e = predicted(heads(heads=16, kv_heads=16, head_dim=512, q_len=2048, kv_len=2048), "h100-sxm")
    assert (e.algorithm[0], e.workspace_bytes[0]) == ("unfused", scores)
