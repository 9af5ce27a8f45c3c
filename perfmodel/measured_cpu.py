"""A device file for one core of this machine, from what micro-benchmarks measured on it.

The record of the system says what the core is; the measurement, what it sustains. Measured ceilings stand in ``[measured]``
with how they were taken and how noisy they were. The analytical model uses them in two ways: cache levels, rates of
kernels and the overhead of a run as they are (:mod:`perfmodel.hardware.measured`), and products through constants in
``[calibrated]``, each of which is set so that the model gives the time of the benchmark that it stands for.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from statistics import geometric_mean, median
from typing import TYPE_CHECKING

from perfmodel.collect.microbenchmarks import bandwidth, products
from perfmodel.collect.microbenchmarks.levels import MeasuredLevel, levels
from perfmodel.collect.microbenchmarks.timing import BOUND, LEAST_MOMENTS
from perfmodel.errors import InputError
from perfmodel.hardware import Device, load_device
from perfmodel.hardware.fields import CALIBRATED_FIELDS
from perfmodel.hardware.measured import UNCERTAINTY
from perfmodel.models.analytical import CPU_CONSTANTS, analyse
from perfmodel.models.core import KNEE_POWER
from perfmodel.models.machine import Conditions
from perfmodel.ops import Conv, Gemm, Operator
from perfmodel.ops.costs import NORM, SOFTMAX, elementwise_flops
from perfmodel.ops.table import stack

if TYPE_CHECKING:
    from perfmodel.collect.microbenchmarks.suite import Figure, Measurement, Progress

SECONDS = 90.0
"""How long measuring takes where nothing else is said."""
_FIT_STEPS = 12
MOST_RAISED = 4.0
"""Times by which a benchmark may exceed the peak that the system admits to. Clocks that it hides are no more off."""


@dataclass(frozen=True)
class MeasuredDevice:
    """A device file's record and the measurement that it was made from.

    Attributes:
        device: one core, with measured ceilings and the constants that they amount to.
        measurement: every figure, those of the bandwidth sweep included.
        levels: the cache levels that the sweep showed, memory last.
    """

    device: Device
    measurement: Measurement
    levels: tuple[MeasuredLevel, ...]


def measure(
    device: Device | str = "local-cpu",
    *,
    seconds: float = SECONDS,
    progress: Callable[[Progress], None] | None = None,
) -> MeasuredDevice:
    """Measures one core of this machine, in a process of its own.

    Args:
        device: ``"local-cpu"`` takes identity and datasheet numbers from the system; a processor's own file, from there.
        seconds: about how long; what takes longer than its share is measured once all the same (8 s in all).
        progress: told as it goes on.

    Raises:
        InputError: the device is no processor, or ``seconds`` is not positive.
        MissingExtraError, PerfmodelError: the measurement cannot be made; one line says why.
    """
    from perfmodel.collect.microbenchmarks.process import measure_in_process
    from perfmodel.collect.microbenchmarks.sessions import runtime

    if not 0 < seconds < math.inf:
        raise InputError(f"seconds is {seconds!r}; wanted a positive number")
    given = None
    if device != "local-cpu":
        given = load_device(device)
        if given.kind != "cpu":
            raise InputError(
                f"{given.id} is a {given.kind}; only the processor of this machine can be measured: for others, give rows "
                "that you measured with --traces (`perfmodel collect --suggest N` says which shapes are worth it)"
            )
    runtime()  # says what to install before anything is started
    measurement, system = measure_in_process(seconds, progress)
    return measured_device(measurement, given or system, named=given is not None)


def measured_device(measurement: Measurement, base: Device, *, named: bool = False) -> MeasuredDevice:
    """The record of one core.

    Args:
        measurement: what the micro-benchmarks found.
        base: the processor as the system or its file describes it, of any number of cores.
        named: whether the base's id and name are to be kept.

    Raises:
        InputError: a figure that the model cannot do without is missing.
    """
    needed = ("gemm.onnxruntime.fp32_flops", "gemm.onnxruntime.fp64_flops", "call.node_s", "call.product_s")
    for name in needed:
        if name not in measurement.figures:
            raise InputError(f"{name} could not be measured: {measurement.left_out.get(name, 'it was not run')}")
    found = _sweep_levels(measurement)
    core = _with_peaks(_one_core(base, named=named), measurement)
    measured, sources = _measured(measurement, found)
    memory = found[-1].bytes_per_s
    kind = max(memory, key=lambda name: memory[name])
    core = replace(
        core,
        memory_bandwidth_bytes_per_s=memory[kind],
        measured=measured,
        sources={
            **core.sources, **sources,
            "memory_bandwidth_bytes_per_s": f"the fastest of the measured streams from memory: {kind}",
        },
    )  # fmt: skip
    values = _constants(core, measurement, found)
    fitted = f"set on {measurement.started[:10]} so that the model gives what was measured"
    sources = {**core.sources, **{f"calibrated.{name}": f"{fitted} ({_STANDS_FOR[name]})" for name in values}}
    return MeasuredDevice(replace(core, calibrated=values, sources=sources), measurement, tuple(found))


def _sweep_levels(measurement: Measurement) -> list[MeasuredLevel]:
    by_kind: dict[str, dict[int, float]] = {kind: {} for kind in bandwidth.KINDS}
    for name, figure in measurement.figures.items():
        parts = name.split(".")
        if parts[0] == "sweep":
            by_kind[parts[1]][int(parts[2])] = figure.value
    sizes = sorted(set.intersection(*(set(curve) for curve in by_kind.values())))
    if len(sizes) < 2:
        raise InputError(
            "the bandwidth of this machine could not be measured: fewer than two working sets gave a value"
        )
    return levels(sizes, {kind: [curve[size] for size in sizes] for kind, curve in by_kind.items()})


# ------------------------------------------------------------------------------------------------ the datasheet's part


def _one_core(base: Device, *, named: bool) -> Device:
    """The record of one of a processor's cores; the last-level cache stays whole."""
    units = base.units or 1
    name = re.sub(r"[^a-z0-9]+", "-", base.name.lower()).strip("-")[:40] or "cpu"
    sources = dict(base.sources)

    def share(table: str) -> dict[str, float]:
        values: Mapping[str, float] = getattr(base, table)
        if units > 1:
            for arithmetic in values:
                sources[f"{table}.{arithmetic}"] += f"; divided by {units} cores"
        return {arithmetic: value / units for arithmetic, value in values.items()}

    if base.units is not None:
        sources["units"] = f"one thread was measured ({base.units} cores: {sources['units']})"[:1000]
    return replace(
        base,
        id=base.id if named else f"{name}-1-thread",
        name=base.name if named else f"{base.name}, one thread"[:100],
        units=None if base.units is None else 1,
        peak_flops=share("peak_flops"),
        vector_peak_flops=share("vector_peak_flops"),
        measured={},
        calibrated={},
        sources=sources,
    )


def _with_peaks(core: Device, measurement: Measurement) -> Device:
    """Peaks that no benchmark exceeds: the clock is raised to what products showed, where the system hides the highest."""
    figures, sources = measurement.figures, dict(core.sources)
    best = {
        a: max(_fastest(name, f) for name, f in figures.items() if _is_product(name, a))
        for a in ("fp32", "fp64", "fp16", "int8")
        if any(_is_product(name, a) for name in figures)
    }
    peaks, clock = dict(core.peak_flops), core.peak_clock_hz
    exceeded = max(((best[a] / peaks[a], a) for a in ("fp32", "fp64") if a in best and a in peaks), default=(0.0, ""))
    if exceeded[0] > MOST_RAISED:
        raise InputError(
            f"{exceeded[1]} products ran at {best[exceeded[1]] / 1e9:.0f} GFLOP/s, {exceeded[0]:.1f} times what the instruction"
            " set gives: the machine is too busy to be measured; calibrate again"
        )
    if exceeded[0] > 1:
        factor, arithmetic = exceeded
        for a in peaks:
            peaks[a] *= factor
            sources[f"peak_flops.{a}"] = f"{sources[f'peak_flops.{a}']}; raised with the clock"[:1000]
        if clock is not None:
            sources["peak_clock_hz"] = (
                f"measured here: {arithmetic} products ran at {best[arithmetic] / 1e9:.1f} GFLOP/s, more than "
                f"{clock / 1e6:.0f} MHz allow ({sources['peak_clock_hz']})"
            )[:1000]
            clock *= factor
    for a in ("fp16", "int8"):
        if a in best and best[a] > peaks.get(a, 0.0):
            peaks[a] = best[a]
            sources[f"peak_flops.{a}"] = "measured here: the fastest of the benchmarks; no rule for the instruction set"
    per_clock = {a: v for a, v in core.flops_per_clock_per_unit.items() if "measured" not in sources[f"peak_flops.{a}"]}
    return replace(core, peak_flops=peaks, peak_clock_hz=clock, flops_per_clock_per_unit=per_clock, sources=sources)


def _is_product(name: str, arithmetic: str) -> bool:
    return name.startswith(("gemm.", "gemv.", "conv.")) and name.rpartition(".")[2].startswith(f"{arithmetic}_")


def _fastest(name: str, figure: Figure) -> float:
    """What a benchmark ran at, at its best. That of a difference of two times is noise: its mean alone is taken."""
    return figure.value if name.startswith("gemm.") and "_m" in name.rpartition(".")[2] else figure.best


# ------------------------------------------------------------------------------------------------ the measured part


def _measured(measurement: Measurement, found: list[MeasuredLevel]) -> tuple[dict[str, float], dict[str, str]]:
    """The ``[measured]`` table, and the sources of its numbers."""
    values: dict[str, float] = {}
    sources: dict[str, str] = {}
    uncertain: dict[str, float] = {}
    where = f"{_software(measurement)}; {measurement.started}"
    for name, figure in measurement.figures.items():
        if not name.startswith("sweep."):
            values[name], sources[f"measured.{name}"] = figure.value, f"{_told(figure)}; {where}"
            uncertain[name] = figure.uncertainty
    below = 0.0
    for level in found:
        prefix = "memory" if level.name == "memory" else f"cache.{level.name}"
        if math.isfinite(level.bytes):
            values[f"{prefix}.bytes"] = level.bytes
            sources[f"measured.{prefix}.bytes"] = f"the knee of the bandwidth sweep; {where}"
        for kind, rate in level.bytes_per_s.items():
            name = f"{prefix}.{kind}_bytes_per_s"
            figures = _of_level(measurement, kind, below, level.bytes)
            values[name], uncertain[name] = rate, median(f.uncertainty for f in figures)
            sources[f"measured.{name}"] = (
                f"bandwidth sweep, {figures[0].how}; median of {len(figures)} sizes, {_known(uncertain[name])}; {where}"
            )
        below = level.bytes
    drift = measurement.drift
    for name, value in (("gemm_s", drift.gemm_s), ("copy_s", drift.copy_s)):
        moved = drift.gemm_range if name == "gemm_s" else drift.copy_range
        values[f"anchor.{name}"] = value
        sources[f"measured.anchor.{name}"] = (
            f"median of {drift.visits} visits of the anchor in {measurement.seconds:.0f} s, which range over {moved:.1%}; "
            f"{where}"
        )
    for name, share in uncertain.items():
        if math.isfinite(share):
            values[f"{UNCERTAINTY}{name}"] = share
            sources[f"measured.{UNCERTAINTY}{name}"] = (
                f"relative, twice the standard error over moments; {measurement.started}"
            )
    return values, sources


def _told(figure: Figure) -> str:
    return (
        f"measured here: {figure.how}; {figure.rounds} rounds in {figure.visits} visits, {_known(figure.uncertainty)}"
    )


def _known(uncertainty: float) -> str:
    if math.isinf(uncertainty):
        return f"fewer than {LEAST_MOMENTS} moments, NOT KNOWN how steady"
    return f"known to {uncertainty:.1%}" + ("" if uncertainty <= BOUND else f", NOT STEADY (wanted {BOUND:.0%})")


def _of_level(measurement: Measurement, kind: str, above: float, most: float) -> list[Figure]:
    """The sweep's figures whose working set lies in a level."""
    return [
        figure
        for name, figure in measurement.figures.items()
        if name.startswith(f"sweep.{kind}.") and above < int(name.rpartition(".")[2]) <= most
    ]


def _software(measurement: Measurement) -> str:
    software = ", ".join(f"{name} {version}" for name, version in measurement.software.items())
    pinned = "not pinned" if measurement.cpu is None else f"pinned to processor {measurement.cpu}"
    return f"{software}; one thread, {pinned}"


# ------------------------------------------------------------------------------------------------ the model's constants

_STANDS_FOR = {
    "simt_efficiency": "gemm.onnxruntime.fp32_flops", "mma_efficiency": "gemm.onnxruntime.fp64_flops",
    "int8_efficiency": "gemm.onnxruntime.int8_flops", "simt_convolution_efficiency": "conv.onnxruntime, 3x3 and 1x1",
    "direct_efficiency": "conv.onnxruntime.fp32_depthwise_flops", "launch_cycles": "call.product_s",
    "stream_launch_cycles": "call.node_s", "dram_efficiency": "gemv.onnxruntime.fp32_m1_flops",
    "hit_bytes_per_clock": "gemm.onnxruntime.fp32_m1_flops", "residency": "the largest cache of the sweep",
    "refetch_residency": "the largest cache of the sweep", "residency_power": "the knees of the sweep",
    "stream_efficiency": "memory.read_bytes_per_s", "vector_efficiency": "the median of kernel rates",
}  # fmt: skip
"""Constants, and the figure that decides each."""


def _constants(core: Device, measurement: Measurement, found: list[MeasuredLevel]) -> dict[str, float]:
    f = {name: figure.value for name, figure in measurement.figures.items()}
    clock = core.peak_clock_hz or 1.5e9
    values = {
        "launch_cycles": f["call.product_s"] * clock,
        "stream_launch_cycles": f["call.node_s"] * clock,
        "stream_efficiency": found[-1].bytes_per_s["read"] / core.memory_bandwidth_bytes_per_s,
        "residency_power": KNEE_POWER,
    }
    if len(found) > 1:
        values["hit_bytes_per_clock"] = found[-2].bytes_per_s["read"] / clock
        if core.l2_bytes is not None:
            values["residency"] = values["refetch_residency"] = found[-2].bytes / core.l2_bytes
    vector = _vector_efficiency(core, f)
    if vector is not None:
        values["vector_efficiency"] = vector
    n, small, long = products.N, products.SMALL_N, products.STREAMED_N
    steps: list[tuple[str, dict[str, Operator], str]] = [
        ("simt_efficiency", {"gemm.onnxruntime.fp32_flops": Gemm(m=n, n=n, k=n, dtype="fp32")}, "warm"),
        ("mma_efficiency", {"gemm.onnxruntime.fp64_flops": Gemm(m=n, n=n, k=n, dtype="fp64")}, "warm"),
        ("int8_efficiency", {"gemm.onnxruntime.int8_flops": Gemm(m=n, n=n, k=n, dtype="int8")}, "warm"),
        ("hit_bytes_per_clock", {"gemm.onnxruntime.fp32_m1_flops": Gemm(m=1, n=small, k=small, dtype="fp32")}, "warm"),
        ("dram_efficiency", {"gemv.onnxruntime.fp32_m1_flops": Gemm(m=1, n=long, k=long, dtype="fp32")}, "warm"),
        (
            "simt_convolution_efficiency",
            {"conv.onnxruntime.fp32_3x3_flops": _conv(products.CHANNELS, 3, 1),
             "conv.onnxruntime.fp32_1x1_flops": _conv(4 * products.CHANNELS, 1, 1)},
            "warm",
        ),
        (
            "direct_efficiency",
            {"conv.onnxruntime.fp32_depthwise_flops": _conv(products.DEPTHWISE_CHANNELS, 3, products.DEPTHWISE_CHANNELS)},
            "warm",
        ),
    ]  # fmt: skip
    for name, ops, state in steps:
        targets = {op: op.flops / f[figure] for figure, op in ops.items() if figure in f}
        if targets:
            values[name] = _solved(name, values, core, targets, state)
    return {name: _within(name, value) for name, value in values.items()}


def _conv(channels: int, kernel: int, groups: int) -> Conv:
    size, half = products.IMAGE, kernel // 2
    return Conv(
        batch=1, c_in=channels, c_out=channels, h=size, w=size, kernel_h=kernel, kernel_w=kernel,
        pad_h=half, pad_w=half, groups=groups, dtype="fp32",
    )  # fmt: skip


def _solved(
    name: str, values: Mapping[str, float], core: Device, targets: Mapping[Operator, float], state: str
) -> float:
    """The value of a constant with which the model gives the target times [s], in the geometric mean.

    All of these constants are rates, so that more of one never takes longer: a step multiplies it by how much too long
    the model takes. Where other terms bound the time, it ends at the edge of what the constant may be.
    """
    value = values.get(name, getattr(CPU_CONSTANTS, name))
    for _ in range(_FIT_STEPS):
        moved = replace(core, calibrated={k: _within(k, v) for k, v in {**values, name: value}.items()})
        ratios = [
            float(analyse(stack([op])[0], moved, conditions=Conditions(state)).latency_s[0]) / target
            for op, target in targets.items()
        ]
        value = _within(name, value * geometric_mean(ratios))
    return value


def _within(name: str, value: float) -> float:
    quantity = CALIBRATED_FIELDS[name].quantity
    return min(max(value, quantity.low), quantity.high)


def _vector_efficiency(core: Device, figures: Mapping[str, float]) -> float | None:
    """Share of the vector peak that elementwise arithmetic sustains by the count of FLOPs: the median over kernels."""
    shares = []
    for name, rate in figures.items():
        table, _, rest = name.partition(".")
        op, _, kind = rest.removesuffix("_per_s").partition(".")
        if table != "kernel":
            continue
        flops = {"elementwise": elementwise_flops(kind), "softmax": SOFTMAX, "norm": NORM.get(kind)}.get(op)
        if flops:
            shares.append(flops * rate / core.vector_flops)
    return median(shares) if shares else None
