"""Rules of signal processing: Fourier transforms, windows, mel filters."""

from __future__ import annotations

from typing import Any

from perfmodel import ops
from perfmodel.features.onnx.call import Call, Modelled, Rule, RuleError, elements
from perfmodel.features.onnx.rules_elementwise import every_operand, log2
from perfmodel.ops.base import is_symbolic


def fourier(call: Call, transforms: Any, length: Any, *, is_real: bool, before: tuple[str, ...] = ()) -> Modelled:
    """``transforms`` fast Fourier transforms of ``length`` points each: 5·N·log2(N), half of it for real ones.

    Lengths other than powers of two count in proportion.

    Args:
        before: scalar functions of each point that come first (a window), by name.
    """
    points = transforms * length
    stages = log2(length)
    op = every_operand(call, "fft_stage", points, steps=stages / 2 if is_real else stages)
    first = tuple(ops.Elementwise(kind=kind, elements=points, inputs=0, dtype=op.dtype) for kind in before)
    return Modelled(op, {}, first)


def _only(values: list[Any] | None) -> Any:
    return values[0] if values and len(values) == 1 else None


def dft(call: Call) -> Modelled:
    """DFT(signal [..., length, 1 or 2], dft_length, axis); before operator set 20 the axis is an attribute."""
    x, y = call.shape(0), call.result_shape()
    rank = len(x)
    if call.opset >= 20:
        given = _only(call.values(2)) if call.has(2) else -2
    else:
        given = int(call.get("axis", 1))
    # Where the axis is computed while the model runs: the longest one, all others are alike in cost.
    axis = None if given is None else int(given) % rank
    spatial = [a for a in range(rank - 1) if axis is None or a == axis]
    if not spatial:
        raise RuleError("it has no axis to transform")
    inverse = bool(call.get("inverse", 0))
    asked = _only(call.values(1)) if call.has(1) else None
    sides = [(asked if asked is not None else x[a]) for a in spatial]
    if inverse and call.get("onesided", 0) and asked is None:
        sides = [y[a] for a in spatial]
    length = sides[0] if len(sides) == 1 or any(map(is_symbolic, sides)) else max(sides)
    others = [a for a in range(rank - 1) if a != spatial[sides.index(length)]]
    is_real = _is_one(y[-1]) if inverse else _is_one(x[-1])
    return fourier(call, elements(tuple(x[a] for a in others)), length, is_real=is_real)


def _is_one(dim: Any) -> bool:
    return not is_symbolic(dim) and bool(dim == 1)


def stft(call: Call) -> Modelled:
    """STFT(signal [batch, length, 1 or 2], frame_step, window, frame_length): a transform of each windowed frame."""
    x, y = call.shape(0), call.result_shape()
    if len(y) != 4:
        raise RuleError(f"its result has the rank {len(y)}, not 4")
    if call.has(3):
        length = _only(call.values(3))
    else:
        length = call.shape(2)[0] if call.has(2) else None
    if length is None:
        # One-sided results keep half of the points and one.
        length = 2 * (y[2] - 1) if call.get("onesided", 1) else y[2]
    before = ("mul",) if call.has(2) else ()
    return fourier(call, y[0] * y[1], length, is_real=len(x) < 3 or _is_one(x[-1]), before=before)


def real_fourier(call: Call) -> Modelled:
    """Rfft and Irfft (com.microsoft) over the last ``signal_ndim`` axes; complex numbers are a last axis of 2."""
    axes = int(call.get("signal_ndim", 1))
    inverse = call.op_type == "Irfft"
    real = call.result_shape() if inverse else call.shape(0)
    if not 1 <= axes <= len(real):
        raise RuleError(f"it transforms {axes} axes of a tensor of rank {len(real)}")
    length = elements(real[len(real) - axes :])
    return fourier(call, elements(real[: len(real) - axes]), length, is_real=True)


def window(*steps: str) -> Rule:
    """A window function: these scalar functions for each of its points."""

    def rule(call: Call) -> ops.Operator:
        out = call.result()
        return ops.Elementwise(
            kind="+".join(steps), elements=out.elements, inputs=0, input_elements=0, dtype=out.dtype, out_dtype=None
        )

    return rule


RULES: dict[str, Rule] = {
    "DFT": dft,
    "STFT": stft,
    # a0 - a1·cos(2πn/N)
    "HannWindow": window("mul", "cos", "mul", "sub"),
    "HammingWindow": window("mul", "cos", "mul", "sub"),
    # a0 - a1·cos(2πn/N) + a2·cos(4πn/N)
    "BlackmanWindow": window("mul", "cos", "mul", "sub", "mul", "cos", "mul", "add"),
    # A triangle between three frequencies: two slopes, the lower of which counts where it is positive.
    "MelWeightMatrix": window("sub", "div", "sub", "div", "min", "max"),
}

CONTRIB: dict[str, Rule] = {"Rfft": real_fourier, "Irfft": real_fourier}
"""Operators of ONNX Runtime's domain ``com.microsoft``."""
