"""One prediction as the page shows it: plain numbers and lists that JSON can hold."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from perfmodel import units
from perfmodel.errors import InputError
from perfmodel.hardware import Device
from perfmodel.predict.generation_result import GenerationPrediction
from perfmodel.predict.kinds import formula
from perfmodel.predict.memory import MemoryPlan
from perfmodel.predict.memory.plan import Owner
from perfmodel.predict.result import Estimate, ModelPrediction, OperatorPrediction
from perfmodel.predict.unpowered import NO_TIME, unpowered
from perfmodel.report.caveats import caveats, shares
from perfmodel.report.ceilings import ceilings, peak_of
from perfmodel.report.modules import module_path, module_tree
from perfmodel.report.names import short

DIGITS = 5
"""Significant digits of numbers in the page: more than anyone reads there, and half of the bytes."""
MOST_MEMORY_POINTS = 1500
"""Points of the memory's curve: more nodes are taken together, each group at its most."""
_MICRO = re.compile(r"(?<=\d )u(?=(s|J|g|Wh)\b)")
POWER_SLICES = 400
"""Stretches of time of the power's curve."""


def device_figures(
    prediction: ModelPrediction,
    device: Device,
    predictor: Any,
    prices: Any = None,
    clock_hz: float | None = None,
    paths: Sequence[Sequence[str]] | None = None,
) -> dict[str, Any]:
    """Everything that the page shows of one prediction.

    Args:
        prediction: on ``device``.
        device: the machine.
        predictor: that made it; its fitted constants give the cache's ceiling, where it has any.
        prices: what carbon and money follow from (:class:`perfmodel.Prices`); None: nothing was given.
        clock_hz: a locked clock.
        paths: for each operator the modules that it lies in and itself (:func:`perfmodel.report.places.operator_paths`);
            None: as its name spells them.
    """
    kinds, kind_of = _kinds(prediction.operators)
    dtypes = {k.dtype for k in kinds} or {"fp32"}
    lines = ceilings(device, dtypes, constants=getattr(predictor, "constants", None), clock_hz=clock_hz)
    names = [o.name for o in prediction.operators]
    tree = module_tree([module_path(name) for name in names] if paths is None else paths, prediction.model)
    labels = [short(label) for label in tree.labels]
    return {
        "id": device.id,
        "name": device.name,
        "predictor": prediction.predictor,
        "headline": headline(prediction, device, prices),
        "latency_s": rounded(prediction.latency_s.value),
        "launch_gap_s": rounded(prediction.launch_gap_s),
        "names": [short(name) for name in names],
        "kind": kind_of,
        "kinds": [_kind(k, peak_of(device, k.dtype, clock_hz)) for k in kinds],
        "ceilings": [{"kind": c.kind, "label": c.label, "value": rounded(c.value), "source": c.source} for c in lines],
        "modules": {
            "labels": labels,
            "parents": tree.parents,
            "seconds": [rounded(v) for v in tree.sums([o.latency_s.value for o in prediction.operators])],
            "leaves": tree.leaves,
        },
        "bounds": {name: rounded(share) for name, share in shares(prediction, "bound").items()},
        "memory": None if prediction.memory is None else _memory(prediction.memory, prediction.operators, device),
        "power": power_over_time(prediction),
        "caveats": caveats(prediction, prices),
    }


def typeset(text: str) -> str:
    """With the sign for a millionth in place of the u that terminals get."""
    return _MICRO.sub("µ", text)


def headline(prediction: ModelPrediction, device: Device, prices: Any = None) -> list[dict[str, Any]]:
    """The figures at the top: ``label``, ``text``, ``note``, and ``ends`` (value, low, high) where there is an interval."""
    latency, work = prediction.latency_s, prediction.workload
    runs = inverse(latency)
    unit = "tokens" if work.tokens is not None else "samples"
    rows = [figure("latency", latency, units.duration)]
    if runs is not None:
        rows.append(
            figure("throughput", runs.scaled(work.units), units.rate, f"{unit}; {_counted(work.units)} in each run")
        )
    missing = unpowered(prediction)
    rows.append(figure("power", prediction.power_w, units.power, _limit(prediction), missing))
    per_unit = None if prediction.energy_j is None else prediction.energy_j.scaled(1 / work.units)
    each = "" if per_unit is None else f"{units.energy(per_unit.value)} a {unit.removesuffix('s')}"
    rows.append(figure("energy", prediction.energy_j, units.energy, each, missing))
    rows += priced(prediction, prices)
    rows.append(memory_figure(prediction.peak_memory_bytes, device, "counted, without an interval"))
    use = None
    if latency.low > 0:
        values = [
            min(1.0, prediction.utilisation * latency.value / s) for s in (latency.value, latency.high, latency.low)
        ]
        use = Estimate(*values)
    rows.append(figure("utilisation", use, units.share, "of the peak FLOP/s of the matrix products", NO_TIME))
    return rows


def memory_figure(size: float, device: Device, note: str) -> dict[str, Any]:
    """Bytes in use, of those that the device has."""
    share = size / device.memory_bytes
    used = units.share(share) if share >= 0.001 else "under 0.1 %"
    note = f"{used} of {units.size(device.memory_bytes)}; {note}"
    if share > 1:
        note = f"MORE than the device's {units.size(device.memory_bytes)}: it would not run there"
    return {"label": "peak memory", "text": units.size(size), "note": note, "ends": None, "bad": share > 1}


def priced(
    prediction: ModelPrediction | GenerationPrediction, prices: Any, each_time: str = "a run"
) -> list[dict[str, Any]]:
    """Carbon and money, as :func:`headline`; ``each_time`` is what the prediction is of."""
    not_asked = {"label": "carbon", "text": "not asked", "note": "give --grid, as in --grid FRA", "ends": None}
    if prices is None:
        return [not_asked]
    cost = prediction.cost(prices)
    rows = [not_asked]
    if prices.grid is not None:
        each = (
            f"{units.mass(cost.per_million.carbon_g.value)} a million {cost.unit}" if cost.per_million.carbon_g else ""
        )
        where = "" if cost.grid is None else f", {cost.grid.name}"
        rows = [figure("carbon", cost.per_run.carbon_g, units.mass, each + where, unpowered(prediction))]
    if cost.per_run.money is not None and cost.per_million.money is not None:
        note = f"for a million {cost.unit}; {units.money(cost.per_run.money.value)} {each_time}"
        rows.append(figure("money", cost.per_million.money, units.money, note))
    return rows


def figure(
    label: str, estimate: Estimate | None, unit: Any, note: str = "", missing: str = "unknown"
) -> dict[str, Any]:
    """One figure of the headline; ``missing`` says why there is none."""
    if estimate is None:
        return {"label": label, "text": units.UNKNOWN, "note": missing, "ends": None}
    low, high = unit(estimate.low), unit(estimate.high)
    number, _, name = low.partition(" ")
    return {
        "label": label,
        "text": typeset(unit(estimate.value)),
        "interval": typeset(f"{number if name and high.endswith(f' {name}') else low} to {high}"),
        "note": typeset(note),
        "ends": [rounded(estimate.value), rounded(estimate.low), rounded(estimate.high)],
    }


def _limit(prediction: ModelPrediction) -> str:
    limit, idle = prediction.power_limit_w, prediction.idle_power_w
    if limit is None or idle is None:
        return ""
    return f"between {units.power(idle)} idle at its clock and a limit of {units.power(limit)}"


def inverse(seconds: Estimate) -> Estimate | None:
    """Runs a second; None where a run takes no time."""
    return None if seconds.low <= 0 else Estimate(1 / seconds.value, 1 / seconds.high, 1 / seconds.low)


def _counted(count: int) -> str:
    return f"{count:,}"


def _kinds(operators: Sequence[OperatorPrediction]) -> tuple[list[OperatorPrediction], list[int]]:
    """One operator of each kind, all alike but for their names, and for each operator its kind."""
    known: dict[Any, int] = {}
    firsts: list[OperatorPrediction] = []
    index = []
    for o in operators:
        key = (
            o.op,
            o.shape,
            o.dtype,
            o.count,
            o.flops,
            o.bytes,
            o.latency_s,
            o.power_w,
            o.bound,
            o.source,
            o.algorithm,
        )
        if key not in known:
            known[key] = len(firsts)
            firsts.append(o)
        index.append(known[key])
    return firsts, index


def _kind(o: OperatorPrediction, peak_flops: float) -> dict[str, Any]:
    executed = o.flops if o.flops_executed is None else o.flops_executed
    return {
        "op": o.op, "shape": short(o.shape), "dtype": o.dtype, "n": o.count, "flops": rounded(executed),
        "bytes": rounded(o.bytes), "peak": rounded(peak_flops),
        "t": [rounded(v) for v in (o.latency_s.value, o.latency_s.low, o.latency_s.high)],
        "w": None if o.power_w is None else rounded(o.power_w.value),
        "j": None if o.energy_j is None else rounded(o.energy_j.value),
        "bound": o.bound, "source": o.source, "wsource": o.power_source, "how": typeset(formula(o)),
    }  # fmt: skip


def _memory(plan: MemoryPlan, operators: Sequence[OperatorPrediction], device: Device) -> dict[str, Any]:
    seconds = {o.name: o.latency_s.value for o in operators}
    known = [seconds.get(name) for name in plan.nodes]
    timed = bool(known) and sum(v is not None for v in known) >= len(known) / 2
    steps = np.array([v or 0.0 for v in known]) if timed else np.ones(len(known))
    ends = np.cumsum(steps)
    profile = np.asarray(plan.profile, dtype=np.float64)
    group = max(1, -(-len(profile) // MOST_MEMORY_POINTS))
    points = []
    for start in range(0, len(profile), group):
        stop = min(start + group, len(profile))
        at = start + int(profile[start:stop].argmax())
        points.append(
            [rounded(ends[start] - steps[start]), rounded(ends[stop - 1]), rounded(profile[at]), short(plan.nodes[at])]
        )
    parts = {
        "weights": plan.weights_bytes, "inputs": plan.inputs_bytes, "activations": plan.activations_bytes,
        "outputs": plan.outputs_bytes, "cached keys and values": plan.kv_cache_bytes, "workspace": plan.workspace_bytes,
    }  # fmt: skip
    return {
        "axis": "time" if timed else "node", "points": points, "weights": rounded(plan.weights_bytes),
        "peak": rounded(plan.peak_bytes), "peak_node": short(plan.peak_node or ""), "device_bytes": device.memory_bytes,
        "parts": {name: rounded(size) for name, size in parts.items() if size},
        "owners": [_owner(o) for o in plan.owners],
    }  # fmt: skip


def _owner(owner: Owner) -> dict[str, Any]:
    names = {
        key: None if name is None else short(name) for key, name in (("made_by", owner.made_by), ("until", owner.until))
    }
    return {
        **owner.to_dict(), **names, "name": short(owner.name), "bytes": rounded(owner.bytes), "share": rounded(owner.share),
    }  # fmt: skip


def power_over_time(prediction: ModelPrediction | GenerationPrediction) -> dict[str, Any] | None:
    """Power of each stretch of a run or a request; None where it is unknown."""
    if prediction.power_w is None:
        return None
    try:
        profile = prediction.power_profile()
    except InputError:  # no operator takes time
        return None
    slices = profile.slices(POWER_SLICES)
    idle = prediction.idle_power_w
    return {
        "duration_s": rounded(profile.duration_s),
        "slices": [[rounded(r["mean_w"]), rounded(r["peak_w"]), _doing(r)] for r in slices],
        "average_w": rounded(profile.average_w.value), "p99_w": rounded(profile.percentile_w().value),
        "limit_w": prediction.power_limit_w, "idle_w": None if idle is None else rounded(idle),
    }  # fmt: skip


def _doing(record: Mapping[str, Any]) -> str:
    """What takes most of the energy of a stretch: an operator, and its phase where there are several."""
    name = short(str(record["name"]))
    return name if record["phase"] is None else f"{record['phase']}: {name}"


def rounded(value: float) -> float:
    """The number with :data:`DIGITS` significant digits; strict JSON knows no infinity."""
    number = float(value)
    if not math.isfinite(number):
        raise ValueError(f"{value!r} is no finite number")
    return float(f"{number:.{DIGITS - 1}e}") if number else 0.0


def figures_of(shown: Mapping[str, Any], label: str) -> dict[str, Any]:
    """The headline's figure of that name; empty where it has none."""
    return next((row for row in shown["headline"] if row["label"] == label), {})
