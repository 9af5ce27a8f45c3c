"""From a graph to a prediction: unique operators through the predictor once, then summed in order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np

from perfmodel.graph import Graph, Node
from perfmodel.hardware import Device
from perfmodel.hardware.measured import RUN_S
from perfmodel.models.host.boosters import HostKernels
from perfmodel.models.predictor import Estimates
from perfmodel.models.protocol import PredictorProtocol
from perfmodel.models.rests_on import doubt
from perfmodel.ops import Unmodelled, View
from perfmodel.predict import on_host
from perfmodel.predict.memory import MemoryPlan, plan, plan_on_cpu
from perfmodel.predict.result import Estimate, ModelPrediction, OperatorPrediction

EAGER_DISPATCH_S, EAGER_DISPATCH_LOW_S, EAGER_DISPATCH_HIGH_S = 11e-6, 5e-6, 30e-6
"""Host time to dispatch and launch one kernel eagerly, and its 90 % interval. Descriptions of PyTorch's path from Python to
the driver give 5-25 us, of which the first is the geometric mean; it depends on the host's CPU more than on the device."""

_T = TypeVar("_T")
_DISPATCH = (EAGER_DISPATCH_S, EAGER_DISPATCH_LOW_S, EAGER_DISPATCH_HIGH_S)


def compose(
    graph: Graph,
    device: Device,
    predictor: PredictorProtocol,
    *,
    software: str | None,
    cache: str,
    launch: str,
    clock_hz: float | None,
    power_limit_w: float | None,
    dims: dict[str, int],
    cpu_graph: Graph | None = None,
    host: HostKernels | None = None,
) -> ModelPrediction:
    """The prediction of a bound, fused and cast graph.

    Args:
        host: what was learned of the kernels of a runtime on this processor, where ``graph`` is one of that runtime.
        cpu_graph: the same model as a CPU runtime fuses it, whose tensors need memory there; None means ``graph``.
    """
    nodes = [n for n in graph.nodes if not isinstance(n.op, View)]
    stands = None if host is None else on_host.stands_of(graph)
    index = _rows(nodes, stands)
    firsts = _firsts(nodes, index)
    times = None if host is None or stands is None else on_host.times_of(host, firsts, _firsts(stands, index), device)
    given: dict[str, Any] = {} if times is None else {"times": times}
    estimates = predictor.predict(
        [n.op for n in firsts],
        device,
        software=software,
        cache=cache,
        clock_hz=clock_hz,
        power_limit_w=power_limit_w,
        extra_bytes_read=np.array([float(n.extra_bytes_read) for n in firsts]),
        extra_flops=np.array([float(sum(f.flops for f in n.fused)) for n in firsts]),
        **given,
    )
    # Large models repeat few kernels: each is written out once, and what follows from shapes is summed over the kinds.
    written: dict[tuple[int, int], OperatorPrediction] = {}
    ends_j = estimates.energy_ends_j
    for node, row in zip(nodes, index, strict=True):
        if (row, node.count) not in written:
            written[row, node.count] = _operator(node, estimates, ends_j, row)
    operators = tuple(
        replace(written[row, n.count], name=n.name, members=n.members) for n, row in zip(nodes, index, strict=True)
    )
    kinds = _kinds(firsts, nodes, index)
    launches = sum(n.count for n in nodes)
    # Errors of operators of one kind go the same way: the ends of their intervals are added, not their squares.
    device_s = Estimate(
        sum(o.latency_s.value for o in operators),
        sum(o.latency_s.low for o in operators),
        sum(o.latency_s.high for o in operators),
    )
    latency, gap_s = with_launches(device_s, launches, launch)
    if host is None:
        latency, gap_s = _with_run(latency, device.measured.get(RUN_S, 0.0), gap_s)
    else:
        free_s = device_s if times is None else on_host.total(times, nodes, index)
        latency, rest_s = on_host.run(host, device_s, free_s, sum(n.count for n in graph.nodes))
        gap_s = Estimate(rest_s, rest_s, rest_s)
    workspace = dict(zip((n.name for n in nodes), estimates.workspace_bytes[index].tolist(), strict=True))
    memory = plan_on_cpu(cpu_graph or graph) if device.kind == "cpu" else plan(graph, workspace=workspace)
    power, energy = _power(operators, device, latency, gap_s, power_limit_w, clock_hz)
    unknown = doubt(device, ((n.op, o.latency_s.value) for n, o in zip(nodes, operators, strict=True)))
    return ModelPrediction(
        model=graph.name,
        device=device.id,
        predictor=predictor.name,
        latency_s=latency,
        power_w=power,
        energy_j=energy,
        flops=float(sum(n.flops for n in kinds)),
        flops_executed=float(sum(n.flops_executed for n in kinds)),
        bytes=float(sum(n.bytes for n in kinds)),
        weights_bytes=memory.weights_bytes,
        peak_memory_bytes=memory.peak_bytes,
        utilisation=_utilisation(kinds, device, latency.value),
        operators=operators,
        unmodelled=_unmodelled(kinds),
        warnings=(
            *_warnings(graph, device, kinds, estimates, memory),
            *((on_host.NO_LAUNCHES,) if host is not None and launch == "eager" else ()),
            # What was learned on the device absorbed the errors of its figures.
            *(() if host is not None or unknown is None else (unknown,)),
        ),
        memory=memory,
        launch_gap_s=gap_s.value,
        removed_flops=float(sum(r.flops for r in graph.removed)),
        dims=dims,
    )


def with_launches(device_s: Estimate, launches: float, launch: str) -> tuple[Estimate, Estimate]:
    """Seconds of a run from those of its kernels, and for how many of them the device waits for the host.

    The interval of the wait is that of a host that is quicker or slower, beside kernels that take what they are expected to.

    Args:
        device_s: the sum over all kernels.
        launches: how many kernels are launched.
        launch: ``"graph"`` replays a captured graph, ``"eager"`` launches each kernel from the host.
    """
    # The host runs ahead of the device unless it is the slower of the two.
    host_s = [launches * each if launch == "eager" else 0.0 for each in _DISPATCH]
    gap_s = Estimate(*(max(0.0, seconds - device_s.value) for seconds in host_s))
    latency = Estimate(device_s.value + gap_s.value, max(device_s.low, host_s[1]), max(device_s.high, host_s[2]))
    return latency, gap_s


def _rows(nodes: list[Node], stands: Sequence[tuple[Any, ...]] | None) -> list[int]:
    """For each node the number of its kind: the same descriptors, the same further traffic, and the same stand on a host."""
    unique: dict[tuple[Any, ...], int] = {}
    # Readers share descriptors: the same objects need not be looked through again.
    met: dict[tuple[Any, ...], int] = {}
    rows = []
    for at, node in enumerate(nodes):
        extra = node.extra_bytes_read
        stand = () if stands is None else (node.source_op, stands[at])
        same = (id(node.op), tuple(map(id, node.fused)), extra, stand)
        row = met.get(same)
        if row is None:
            row = met[same] = unique.setdefault((node.op, node.fused, extra, stand), len(unique))
        rows.append(row)
    return rows


def _with_run(latency: Estimate, run_s: float, gap_s: Estimate) -> tuple[Estimate, Estimate]:
    """A run of a model on a processor takes some time beside its kernels, where that was measured."""
    run = Estimate(run_s, run_s, run_s)
    return latency.plus(run), gap_s.plus(run)


def _firsts(items: Sequence[_T], index: list[int]) -> list[_T]:
    """The first item of each kind."""
    found: dict[int, _T] = {}
    for item, row in zip(items, index, strict=True):
        found.setdefault(row, item)
    return [found[row] for row in range(len(found))]


def _kinds(firsts: list[Node], nodes: list[Node], index: list[int]) -> list[Node]:
    """One node for each kind of kernel, executed as often as all of its kind together."""
    counts = [0] * len(firsts)
    for node, row in zip(nodes, index, strict=True):
        counts[row] += node.count
    return [node.replace(count=count) for node, count in zip(firsts, counts, strict=True)]


def _operator(node: Node, e: Estimates, ends_j: tuple[np.ndarray, np.ndarray], row: int) -> OperatorPrediction:
    each = Estimate(float(e.latency_s[row]), float(e.latency_low_s[row]), float(e.latency_high_s[row]))
    total = Estimate(*(node.count * v for v in (each.value, each.low, each.high)))
    power = energy = None
    if not np.isnan(e.power_w[row]):
        power = Estimate(float(e.power_w[row]), float(e.power_low_w[row]), float(e.power_high_w[row]))
        low, high = (node.count * float(end[row]) for end in ends_j)
        energy = Estimate(power.value * total.value, low, high)
    return OperatorPrediction(
        name=node.name,
        op=node.op.op,
        shape=node.op.shape,
        dtype=node.op.dtype,
        count=node.count,
        flops=float(node.flops),
        bytes=float(node.bytes),
        latency_s=total,
        latency_each_s=each,
        power_w=power,
        energy_j=energy,
        bound=str(e.bound[row]),
        source=str(e.source[row]),
        terms={name: float(values[row]) for name, values in e.terms.items() if not np.isnan(values[row])},
        analytical_s=float(e.analytical_s[row]),
        tile={name: float(values[row]) for name, values in e.details.items() if not np.isnan(values[row])},
        algorithm=e.algorithm[row],
        workspace_bytes=float(e.workspace_bytes[row]),
        power_source=None if e.power_source is None or power is None else e.power_source[row],
        flops_executed=float(node.flops_executed),
    )


def waiting_power_w(device: Device, power_limit_w: float | None, clock_hz: float | None) -> float | None:
    """What a device draws between two kernels [W]: idle power at the clock that it keeps; None where it is unknown."""
    from perfmodel.models.power import limit_w, running_idle_w

    watts = running_idle_w(device, clock_hz)
    limit = limit_w(device, power_limit_w)
    return watts if watts is None or limit is None else min(watts, limit)


def _power(
    operators: tuple[OperatorPrediction, ...],
    device: Device,
    latency: Estimate,
    waits: Estimate,
    power_limit_w: float | None,
    clock_hz: float | None,
) -> tuple[Estimate | None, Estimate | None]:
    """Mean power of the run, and its energy; the device idles at its clock while it waits for the host."""
    from perfmodel.models.power import idle_power_w, limit_w

    idle, limit = idle_power_w(device), limit_w(device, power_limit_w)
    if idle is None or limit is None or latency.value <= 0:
        return None, None
    idle = min(idle, limit)
    waiting = waiting_power_w(device, power_limit_w, clock_hz) or idle

    def mean(kind: str, gap_s: float) -> float:
        # Weighted by the time each operator is expected to take: the mean power of the mix.
        joules = sum(getattr(o.power_w, kind) * o.latency_s.value for o in operators if o.power_w is not None)
        seconds = latency.value + (gap_s - waits.value)
        return float(min(max((joules + waiting * gap_s) / seconds, idle), limit))

    def joules(kind: str) -> float:
        busy = sum(getattr(o.energy_j, kind) for o in operators if o.energy_j is not None)
        return float(busy + waiting * getattr(waits, kind))

    # The longer the device waits for the host, the less it draws on average, and the more energy that takes.
    value = mean("value", waits.value)
    power = Estimate(value, min(mean("low", waits.high), value), max(mean("high", waits.low), value))
    energy = power.value * latency.value
    # Errors of operators of one kind go the same way: the ends are added, as those of the latency are.
    return power, Estimate(energy, min(joules("low"), energy), max(joules("high"), energy))


def _utilisation(nodes: list[Node], device: Device, latency_s: float) -> float:
    if latency_s <= 0:
        return 0.0
    at_peak = 0.0
    for node in nodes:
        if node.op.products:
            executed = node.op.product_flops * (node.op.flops_executed / node.op.flops if node.op.flops else 1.0)
            at_peak += node.count * float(executed) / device.arithmetic(node.op.dtype).peak_flops
    return min(at_peak / latency_s, 1.0)


def _unmodelled(nodes: list[Node]) -> tuple[dict[str, Any], ...]:
    total = float(sum(n.bytes for n in nodes)) or 1.0
    kinds: dict[str, tuple[int, float]] = {}
    for node in nodes:
        if isinstance(node.op, Unmodelled):
            count, moved = kinds.get(node.op.kind, (0, 0.0))
            kinds[node.op.kind] = (count + node.count, moved + float(node.bytes))
    return tuple({"op": k, "count": c, "bytes_share": b / total} for k, (c, b) in sorted(kinds.items()))


def too_large(peak_bytes: float, device: Device) -> tuple[str, ...]:
    """A warning where a device has less memory than is needed; else nothing."""
    if peak_bytes <= device.memory_bytes:
        return ()
    return (
        f"the model needs {peak_bytes / 1e9:.1f} GB, more than the {device.memory_bytes / 1e9:.1f} GB of"
        f" {device.id}: it would not run there",
    )


def _warnings(
    graph: Graph, device: Device, nodes: list[Node], estimates: Estimates, memory: MemoryPlan
) -> tuple[str, ...]:
    warnings = [*graph.warnings, *estimates.notes]
    if any(n.op.products and n.op.dtype == "fp32" for n in nodes) and "tf32" in device.peak_flops:
        warnings.append("matrix products run in full fp32; engines commonly use TF32 here: --dtype tf32, or bf16")
    if memory.unknown:
        warnings.append(
            f"{len(memory.unknown)} tensors have an unknown shape ({memory.unknown[0]!r}, ...): memory leaves them out"
            if len(memory.unknown) > 1
            else f"the tensor {memory.unknown[0]!r} has an unknown shape: memory leaves it out"
        )
    warnings += too_large(memory.peak_bytes, device)
    unmodelled = _unmodelled(nodes)
    if unmodelled:
        share = sum(u["bytes_share"] for u in unmodelled)
        names = ", ".join(f"{u['count']} x {u['op']}" for u in unmodelled)
        warnings.append(f"no rule covers {names}: estimated as memory traffic ({share:.1%} of the bytes)")
    return tuple(dict.fromkeys(warnings))
