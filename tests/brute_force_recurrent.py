"""Naive recurrent layers on numbers that count, see ``brute_force``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from brute_force import Number, Tally, dot


def sigmoid(x: Number) -> Number:
    one = Number(1.0, x.tally)
    return one / (one + (-x).function("exp"))


def tanh(x: Number) -> Number:
    return x.function("tanh")


def relu(x: Number) -> Number:
    return x.largest(Number(0.0, x.tally))


Activation = Callable[[Number], Number]


def _gate(
    inputs: Sequence[Number], w: np.ndarray, state: Sequence[Number], r: np.ndarray, b: tuple[Number, Number] | None,
    tally: Tally,
) -> Number:  # fmt: skip
    total = Number(0.0, tally)
    for a, c in zip(inputs, w, strict=True):
        total = total + a * c
    for a, c in zip(state, r, strict=True):
        total = total + a * c
    return total if b is None else total + b[0] + b[1]


def recurrent(
    kind: str, x: np.ndarray, w: np.ndarray, r: np.ndarray, tally: Tally, *, b: np.ndarray | None = None,
    p: np.ndarray | None = None, h0: np.ndarray | None = None, c0: np.ndarray | None = None,
    reset_after: bool = False, activations: Sequence[Activation] = (), reverse: bool = False,
) -> np.ndarray:  # fmt: skip
    """One layer, forward or in reverse, both where the weights have two directions.

    Returns:
        The states [steps, directions, batch, hidden].

    Args:
        x: [steps, batch, inputs]; w, r: [directions, gates * hidden, inputs or hidden]; b: [directions, 2 * gates * hidden].
        reset_after: the reset gate of GRU applies after the product with the state.
    """
    steps, batch, _ = x.shape
    directions, _, hidden = r.shape
    out = np.empty((steps, directions, batch, hidden), dtype=object)
    default = {"lstm": (sigmoid, tanh, tanh), "gru": (sigmoid, tanh), "rnn": (tanh,)}[kind]
    for direction in range(directions):
        acts = list(activations[direction * len(default) :][: len(default)]) or list(default)
        order = range(steps - 1, -1, -1) if reverse or direction else range(steps)
        for n in range(batch):
            h = [Number(0.0, tally) if h0 is None else h0[direction, n, u] for u in range(hidden)]
            c = [Number(0.0, tally) if c0 is None else c0[direction, n, u] for u in range(hidden)]
            for t in order:
                args = (x[t, n], w[direction], r[direction], None if b is None else b[direction], hidden, tally)
                if kind == "lstm":
                    h, c = _lstm_cell(*args, h, c, None if p is None else p[direction], acts)
                elif kind == "gru":
                    h = _gru_cell(*args, h, acts, reset_after)
                else:
                    bias = _biases(args[3], 0, hidden, 1)
                    h = [
                        acts[0](_gate(x[t, n], w[direction, u], h, r[direction, u], bias(u), tally))
                        for u in range(hidden)
                    ]
                out[t, direction, n] = h
    return out


def _biases(b: Any, gate: int, hidden: int, gates: int) -> Callable[[int], tuple[Number, Number] | None]:
    """The two biases of each unit of a gate."""
    return lambda u: None if b is None else (b[gate * hidden + u], b[(gates + gate) * hidden + u])


def _lstm_cell(
    x: Any, w: Any, r: Any, b: Any, hidden: int, tally: Tally, h: Any, c: Any, p: Any, acts: Any
) -> tuple[list[Number], list[Number]]:
    new_h, new_c = [], []
    for u in range(hidden):
        # Gates are stored in the order input, output, forget, cell; peepholes in the order input, output, forget.
        i, o, f, g = (
            _gate(x, w[k * hidden + u], h, r[k * hidden + u], _biases(b, k, hidden, 4)(u), tally) for k in range(4)
        )
        if p is not None:
            i, f = i + p[u] * c[u], f + p[2 * hidden + u] * c[u]
        cell = acts[0](f) * c[u] + acts[0](i) * acts[1](g)
        if p is not None:
            o = o + p[hidden + u] * cell
        new_c.append(cell)
        new_h.append(acts[0](o) * acts[2](cell))
    return new_h, new_c


def _gru_cell(
    x: Any, w: Any, r: Any, b: Any, hidden: int, tally: Tally, h: Any, acts: Any, reset_after: bool
) -> list[Number]:
    def gate(k: int, u: int, state: Any) -> Number:
        return _gate(x, w[k * hidden + u], state, r[k * hidden + u], _biases(b, k, hidden, 3)(u), tally)

    z = [acts[0](gate(0, u, h)) for u in range(hidden)]
    reset = [acts[0](gate(1, u, h)) for u in range(hidden)]
    if not reset_after:
        state = [a * s for a, s in zip(reset, h, strict=True)]
        g = [acts[1](gate(2, u, state)) for u in range(hidden)]
    else:
        g = []
        for u in range(hidden):
            bias = _biases(b, 2, hidden, 3)(u)
            total = dot(zip(h, r[2 * hidden + u], strict=True), tally)
            total = total if bias is None else total + bias[1]
            total = reset[u] * total
            for a, c in zip(x, w[2 * hidden + u], strict=True):
                total = total + a * c
            g.append(acts[1](total if bias is None else total + bias[0]))
    one = Number(1.0, tally)
    return [(one - a) * b_ + a * s for a, b_, s in zip(z, g, h, strict=True)]
