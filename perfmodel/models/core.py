"""Streams of bytes on one core of a processor whose cache levels and kernels were measured (``perfmodel calibrate``).

The working set decides from which level it streams. The time of a byte rises from each level's to the next about the size of
the level, smoothly: a working set of that size is in it but in part. Reads and writes overlap in part: the root of the sum of
their squares is within a tenth of what scaling (one read, one write) and adding (two reads, one write) were measured to take
beside reading and writing alone, in cache and from memory.
"""

from __future__ import annotations

import numpy as np

from perfmodel.hardware.device import Device
from perfmodel.hardware.measured import MemoryLevel, kernel_rate
from perfmodel.ops import Copy, Elementwise, Norm, Operator, Quantize, Reduce, Softmax
from perfmodel.ops.costs import BASIC, FLOPS_PER_ELEMENT

OVERLAP = 6.0
"""Exponent of the p-norm of a kernel's measured time in cache, which holds the traffic there, and of all of its traffic."""
KNEE_POWER = 4.0
"""Sharpness of the transition between levels: half of it lies within a quarter more or less than the level's size."""

MEASURED_DTYPES = ("fp32",)
"""What the rates are of. In other formats other loops run."""
LIKE: dict[str, dict[str, str]] = {
    "elementwise": {
        **dict.fromkeys("sub max min equal greater less greater_equal less_equal not_equal and or not xor fma".split(), "add"),
        **dict.fromkeys("neg abs clip leaky_relu thresholded_relu".split(), "relu"),
        "square": "mul", "reciprocal": "div", "prelu": "mul",
    },
    "softmax": {"log_softmax": "softmax"},
    "reduce": {"mean": "sum", "min": "max"},
    "copy": dict.fromkeys("slice split pad expand tile".split(), "concat"),
}  # fmt: skip
"""Kinds that are measured by another that runs the same loop. Kinds that are neither measured nor like one that is are
estimated from their FLOPs."""

_COMPOSED = {"silu": ("sigmoid", "mul"), "swish": ("mul", "sigmoid", "mul"), "rsqrt": ("sqrt", "div")}


def transfer_s(
    read: np.ndarray, written: np.ndarray, footprint: np.ndarray, levels: tuple[MemoryLevel, ...], cold: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Seconds in which bytes come from the caches, and from memory.

    Args:
        read, written: bytes, of shape ``[rows]``.
        footprint: bytes that pass between two uses of one: the working set.
        levels: from the smallest to memory.
        cold: whether the caches hold nothing at the start.

    Returns:
        both of shape ``[rows]``; their sum is the time.
    """
    beyond = np.ones_like(footprint)  # share of the working set that is in this level or one behind it
    caches = np.zeros_like(footprint)
    log_size = np.log(np.maximum(footprint, 1.0))
    for level in levels[:-1]:
        after = np.ones_like(footprint) if cold else 1 / (1 + np.exp(KNEE_POWER * (np.log(level.bytes) - log_size)))
        caches = caches + (beyond - after) * _mixed(read, written, level)
        beyond = after
    return caches, beyond * _mixed(read, written, levels[-1])


def _mixed(read: np.ndarray, written: np.ndarray, level: MemoryLevel) -> np.ndarray:
    seconds: np.ndarray = np.hypot(read / level.read_bytes_per_s, written / level.write_bytes_per_s)
    return seconds


def kernel_s(op: Operator, device: Device, vector_rate: float) -> np.ndarray | float | None:
    """Seconds of an operator's arithmetic by the measured rates of its kind; None where none of its parts was measured, or not
    in its format.

    Args:
        op: a descriptor, dimensions numbers or arrays.
        device: with measured rates.
        vector_rate: FLOP/s of the parts of a fused chain that were not measured.
    """
    if op.dtype not in MEASURED_DTYPES and not isinstance(op, Quantize):
        return None
    if isinstance(op, Elementwise):
        per_element = _chain(device, op.kind, vector_rate)
        if per_element is None:
            return None
        # A nest with fewer results than operations keeps the others in registers.
        results = np.multiply(op.elements, op.steps) * np.minimum(op.outputs, 1.0)
        return results * per_element
    if isinstance(op, Norm | Softmax | Reduce | Quantize):
        elements, kind = np.multiply(op.rows, op.cols), op.kind
        if isinstance(op, Norm) and op.residual:
            own = f"{kind}_residual"
            kind = own if kernel_rate(device, op.op, own) else kind
    elif isinstance(op, Copy):
        elements, kind = np.asarray(op.elements), op.kind
    else:
        return None
    rate = _rate(device, op.op, kind)
    return None if rate is None else elements / rate


def rate_name(op: Operator, device: Device) -> str | None:
    """The measured rate that an operator's arithmetic is estimated by (the first part's of a fused chain); None where there
    is none."""
    kind = getattr(op, "kind", None)
    if not isinstance(kind, str) or (op.dtype not in MEASURED_DTYPES and not isinstance(op, Quantize)):
        return None
    first = kind.partition("+")[0]
    own = f"{first}_residual" if isinstance(op, Norm) and op.residual else first
    for name in (own, first, LIKE.get(op.op, {}).get(first, first)):
        if kernel_rate(device, op.op, name) is not None:
            return f"kernel.{op.op}.{name}_per_s"
    return None


def _rate(device: Device, op: str, kind: str) -> float | None:
    return kernel_rate(device, op, kind) or kernel_rate(device, op, LIKE.get(op, {}).get(kind, kind))


def _chain(device: Device, kind: str, vector_rate: float) -> float | None:
    """Seconds of one element of a fused chain: of cheap parts the slowest alone, since they share loads and stores; parts
    that compute add up."""
    cheap, total, measured = 0.0, 0.0, False
    for part in kind.split("+"):
        whole = _rate(device, "elementwise", part)
        for piece in (part,) if whole is not None else _COMPOSED.get(part, (part,)):
            rate = _rate(device, "elementwise", piece)
            measured |= rate is not None
            seconds = 1 / rate if rate is not None else FLOPS_PER_ELEMENT[piece] / vector_rate
            if FLOPS_PER_ELEMENT[piece] <= BASIC:
                cheap = max(cheap, seconds)
            else:
                total += seconds
    return max(cheap, total) if measured else None
