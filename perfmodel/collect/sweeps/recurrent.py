"""Recurrent layers, their dynamically quantised form, and what stands around them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from perfmodel.collect.sweeps.builder import Builder

_GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}


def _extents(b: Builder, flops: float, gates: int, directions: int) -> tuple[int, int, int, int]:
    """Steps, batch, inputs and hidden units of about so many FLOPs."""
    hidden = b.one_of(16, 32, 64, 64, 96, 128, 128, 160, 256, 256, 400, 512)
    inputs = b.one_of(hidden, hidden, b.between(8, 640))
    per_step = 2.0 * directions * gates * hidden * (inputs + hidden)
    rows = max(1, int(flops / per_step))
    batch = b.one_of(1, 1, 1, 1, 2, 8)
    batch = min(batch, rows)
    return min(max(1, rows // batch), 600), batch, inputs, hidden


def recurrent(b: Builder, flops: float) -> None:
    """An LSTM, GRU or plain RNN, in one direction or both."""
    kind = b.one_of("LSTM", "LSTM", "GRU", "GRU", "RNN")
    gates, directions = _GATES[kind], b.one_of(1, 1, 2)
    steps, batch, inputs, hidden = _extents(b, flops, gates, directions)
    x = b.input(steps, batch, inputs)
    more: dict[str, Any] = {"linear_before_reset": 1} if kind == "GRU" else {}
    out = b.op(
        kind, x, b.weight(directions, gates * hidden, inputs, scale=0.1),
        b.weight(directions, gates * hidden, hidden, scale=0.1), b.weight(directions, 2 * gates * hidden, scale=0.1),
        hidden_size=hidden, direction="bidirectional" if directions == 2 else "forward", **more,
    )  # fmt: skip
    b.count(2.0 * steps * batch * directions * gates * hidden * (inputs + hidden))
    if b.chance(0.5):
        out = b.op("Transpose", out, perm=[0, 2, 1, 3])
    b.output(out)


def quantised(b: Builder, flops: float) -> None:
    """``DynamicQuantizeLSTM`` of ONNX Runtime: weights of 8 bits as [inputs, gates] a direction."""
    directions = b.one_of(1, 2)
    steps, batch, inputs, hidden = _extents(b, flops, 4, directions)
    x = b.input(steps, batch, inputs)
    scale, zero = b.constant(np.full(directions, 0.01, np.float32)), b.constant(np.zeros(directions, np.int8))
    out = b.op(
        "DynamicQuantizeLSTM", x, b.weight(directions, inputs, 4 * hidden, kind="int8"),
        b.weight(directions, hidden, 4 * hidden, kind="int8"), b.weight(directions, 8 * hidden, scale=0.1), "", "", "", "",
        scale, zero, scale, zero, domain="com.microsoft", hidden_size=hidden,
        direction="bidirectional" if directions == 2 else "forward",
    )  # fmt: skip
    b.count(2.0 * steps * batch * directions * 4 * hidden * (inputs + hidden))
    b.output(out)


CHAINS: dict[str, tuple[Callable[[Builder, float], Any], float]] = {
    "recurrent": (recurrent, 1.0),
    "recurrent-quantised": (quantised, 0.7),
}
