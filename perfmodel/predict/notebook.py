"""Predictions in notebooks: a line, a small table, data frames. Every text from a file is escaped."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from perfmodel import units
from perfmodel.errors import MissingExtraError
from perfmodel.html_table import html_result, html_table
from perfmodel.predict.kinds import group_operators
from perfmodel.predict.result import Estimate, ModelPrediction, OperatorPrediction
from perfmodel.predict.unpowered import unpowered

if TYPE_CHECKING:
    from pandas import DataFrame

    from perfmodel.predict.energy.profile import PowerProfile
    from perfmodel.predict.generation_result import GenerationPrediction, PhasePrediction
    from perfmodel.predict.memory.plan import MemoryPlan
    from perfmodel.rank import Ranking

CONFIGURATIONS_SHOWN = 20
KINDS_SHOWN = 8
"""Kinds of operators in the table of a prediction."""


def prediction_line(p: ModelPrediction) -> str:
    """``<ModelPrediction resnet18 on h100-sxm: 140 us, 410 W, 57.3 mJ, 23 operators>``."""
    return (
        f"<ModelPrediction {p.model} on {p.device}: {units.duration(p.latency_s.value)}, {units.power(_value(p.power_w))},"
        f" {units.energy(_value(p.energy_j))}, {len(p.operators)} operators>"
    )


def operator_line(o: OperatorPrediction) -> str:
    """``<OperatorPrediction stem: conv b8 3>64 224x224 k7x7 s2 bf16, 9.36 us, bound by l2, blended>``."""
    times = f" ({o.count} times)" if o.count != 1 else ""
    return (
        f"<OperatorPrediction {o.name}: {o.op} {o.shape} {o.dtype}, {units.duration(o.latency_s.value)}{times}, "
        f"bound by {o.bound}, {o.source}>"
    )


def operator_html(o: OperatorPrediction) -> str:
    """Figures with intervals, and the terms of its bound."""
    missing = unpowered(o)
    figures = [
        ("latency", units.duration(o.latency_s.value), _interval(o.latency_s, units.duration)),
        ("power", units.power(_value(o.power_w)), _interval(o.power_w, units.power, missing)),
        ("energy", units.energy(_value(o.energy_j)), _interval(o.energy_j, units.energy, missing)),
        ("work", units.flops(o.flops), f"{units.size(o.bytes)} read and written"),
        ("executions", str(o.count), f"{units.duration(o.latency_each_s.value)} each"),
        ("bound", o.bound, ""),
        ("rests on", o.source, ""),
    ]
    terms = [(name, units.duration(seconds)) for name, seconds in o.terms.items()]
    return html_result(
        f"{o.name}: {o.op} {o.shape} {o.dtype}", html_table(("", "", "90 % interval"), figures, right=(1,)),
        html_table(("bound alone, one execution", "time"), terms, right=(1,)),
    )  # fmt: skip


def request_line(p: GenerationPrediction) -> str:
    """``<GenerationPrediction gpt2 on h100-sxm: 16 + 9 tokens, 2.49 ms, 250 W, 620 mJ>``."""
    return (
        f"<GenerationPrediction {p.model} on {p.device}: {p.prompt} + {p.generate} tokens, "
        f"{units.duration(p.latency_s.value)}, {units.power(_value(p.power_w))}, {units.energy(_value(p.energy_j))}>"
    )


def phase_line(p: PhasePrediction) -> str:
    """``<PhasePrediction decode: 8 runs, 8 tokens, 1.2 ms, 240 W, 290 mJ>``."""
    return (
        f"<PhasePrediction {p.name}: {p.runs} runs, {p.tokens} tokens, {units.duration(p.latency_s.value)}, "
        f"{units.power(_value(p.power_w))}, {units.energy(_value(p.energy_j))}>"
    )


def request_html(p: GenerationPrediction) -> str:
    """The request and its phases, with intervals."""
    parts: list[tuple[str, GenerationPrediction | PhasePrediction, str]] = [("the request", p, "")]
    parts += [(phase.name, phase, units.duration(phase.latency_per_run_s.value)) for phase in p.phases]
    rows = [
        (
            name, units.duration(part.latency_s.value), _interval(part.latency_s, units.duration), each,
            units.power(_value(part.power_w)), units.energy(_value(part.energy_j)),
            _interval(part.energy_j, units.energy, unpowered(part)),
        )
        for name, part, each in parts
    ]  # fmt: skip
    heads = ("", "latency", "90 % interval", "a run", "power", "energy", "90 % interval")
    title = f"{p.model} on {p.device}: {p.prompt} tokens given, {p.generate} generated"
    memory = (
        f"peak memory {units.size(p.peak_memory_bytes)}, {units.size(p.kv_cache_bytes)} of keys and values at the end"
    )
    return html_result(title, html_table(heads, rows, right=range(1, 7)), notes=[memory, *_warnings(p.warnings)])


def phase_html(p: PhasePrediction) -> str:
    """The phase, a run and a token of it, with intervals."""
    missing, each_j = unpowered(p), p.energy_per_token_j
    rows = [
        ("latency", units.duration(p.latency_s.value), _interval(p.latency_s, units.duration)),
        ("a run", units.duration(p.latency_per_run_s.value), _interval(p.latency_per_run_s, units.duration)),
        ("power", units.power(_value(p.power_w)), _interval(p.power_w, units.power, missing)),
        ("peak power", units.power(_value(p.peak_w)), _interval(p.peak_w, units.power, missing)),
        ("energy", units.energy(_value(p.energy_j)), _interval(p.energy_j, units.energy, missing)),
        ("a token", units.energy(_value(each_j)), _interval(each_j, units.energy, missing)),
    ]
    title = f"{p.name}: {p.runs:,} runs, {p.tokens:,} tokens"
    return html_result(title, html_table(("", "", "90 % interval"), rows, right=(1,)))


def profile_html(profile: PowerProfile) -> str:
    """Average, percentile and peaks with their intervals; idle power and limit."""
    from perfmodel.predict.energy.profile import figures_of

    rows = [
        (name, units.power(watts.value), _interval(watts, units.power), note)
        if isinstance(watts, Estimate)
        else (name, units.power(watts), "", note)
        for name, watts, note in figures_of(profile)
    ]
    title = f"power over {units.duration(profile.duration_s)}"
    return html_result(title, html_table(("", "power", "90 % interval", ""), rows, right=(1, 2)))


def requests_html(found: Sequence[GenerationPrediction]) -> str:
    """One row a request."""
    first = found[0].latency_s.value if found else 0.0
    rows = [
        (
            p.model, p.device, units.duration(p.latency_s.value), _interval(p.latency_s, units.duration),
            f"{p.latency_s.value / first:.2f}x" if first else units.UNKNOWN, units.power(_value(p.power_w)),
            units.energy(_value(p.energy_j)), units.size(p.peak_memory_bytes),
        )
        for p in found
    ]  # fmt: skip
    heads = ("model", "device", "latency", "90 % interval", "time", "power", "energy", "peak memory")
    return html_table(heads, rows, right=range(2, 8))


def prediction_html(p: ModelPrediction) -> str:
    """Figures with intervals, then the kinds of operators that take the most time, then what is warned of."""
    seconds, missing = p.latency_s.value, unpowered(p)
    figures = [
        ("latency", units.duration(seconds), _interval(p.latency_s, units.duration)),
        ("throughput", units.rate(p.workload.units / seconds) if seconds else units.UNKNOWN, p.workload.in_each_run),
        ("power", units.power(_value(p.power_w)), _interval(p.power_w, units.power, missing)),
        ("energy", units.energy(_value(p.energy_j)), _interval(p.energy_j, units.energy, missing)),
        ("peak memory", units.size(p.peak_memory_bytes), f"{units.size(p.weights_bytes)} of it weights"),
        ("utilisation", units.share(p.utilisation), "of the device's peak FLOP/s"),
    ]
    groups = group_operators(p.operators)
    total = p.latency_s.value or 1.0
    kinds = [
        (
            f"{g.op} {g.dtype}", g.shape, str(g.count), units.duration(g.latency_s), units.share(g.latency_s / total),
            g.bound, g.source,
        )
        for g in groups[:KINDS_SHOWN]
    ]  # fmt: skip
    more = len(groups) - len(kinds)
    if p.launch_gap_s:
        gaps = units.duration(p.launch_gap_s), units.share(p.launch_gap_s / total)
        kinds.append(("launch gaps", "", "", *gaps, "", ""))
    tables = (
        html_table(("", "", "90 % interval"), figures, right=(1,)),
        html_table(("operator", "shape", "runs", "time", "share", "bound", "rests on"), kinds, right=(2, 3, 4)),
    )
    others = [f"and {more} other kinds of operators"] if more > 0 else []
    sizes = ", ".join(f"{name}={size}" for name, size in p.dims.items())
    title = f"{p.model} ({sizes}) on {p.device}" if sizes else f"{p.model} on {p.device}"
    return html_result(title, *tables, notes=[*others, *_warnings(p.warnings)])


def ranking_html(ranking: Sequence[ModelPrediction]) -> str:
    """One row a prediction."""
    first = ranking[0].latency_s.value if ranking else 0.0
    rows = [
        (
            p.model, p.device, units.duration(p.latency_s.value), _interval(p.latency_s, units.duration),
            f"{p.latency_s.value / first:.2f}x" if first else units.UNKNOWN, units.power(_value(p.power_w)),
            units.energy(_value(p.energy_j)), units.size(p.peak_memory_bytes), units.share(p.utilisation),
        )
        for p in ranking
    ]  # fmt: skip
    heads = ("model", "device", "latency", "90 % interval", "time", "power", "energy", "peak memory", "utilisation")
    return html_table(heads, rows, right=range(2, 9))


def configurations_html(ranking: Ranking) -> str:
    """The best kernel configurations of a ranking, their parameters and figures; what is warned of below."""
    names = list(ranking.columns)
    heads = ("row", *map(str, names), "latency", "90 % interval", "energy")
    rows = []
    for place in range(min(len(ranking), CONFIGURATIONS_SHOWN)):
        low, high = (units.duration(float(v[place])) for v in (ranking.latency_low_s, ranking.latency_high_s))
        energy = None if ranking.energy_j is None else float(ranking.energy_j[place])
        rows.append((
            str(int(ranking.rows[place])), *(f"{float(ranking.columns[n][place]):g}" for n in names),
            units.duration(float(ranking.latency_s[place])), f"{low} to {high}", units.energy(energy),
        ))  # fmt: skip
    title = f"{len(ranking):,} of {ranking.configurations:,} configurations, by {ranking.objective}"
    return html_result(title, html_table(heads, rows, right=range(len(heads))), notes=_warnings(ranking.warnings))


OPERATOR_COLUMNS: dict[str, type] = {
    "name": str, "op": str, "shape": str, "dtype": str, "count": int, "flops": float, "flops_executed": float,
    "bytes": float, "latency_s": float, "latency_low_s": float, "latency_high_s": float, "latency_each_s": float,
    "power_w": float, "power_low_w": float, "power_high_w": float, "energy_j": float, "energy_low_j": float,
    "energy_high_j": float, "bound": str, "source": str, "power_source": str, "algorithm": str, "workspace_bytes": float,
}  # fmt: skip
"""Columns of a table of operators, in order, and what they hold, whatever is known of a device; docs/exchange.md says more."""


def configurations_line(ranking: Ranking) -> str:
    """``<Ranking of 10 of 1,000 configurations by latency: 6.2 ms the best, learned>``."""
    best = units.duration(float(ranking.latency_s[0])) if len(ranking) else units.UNKNOWN
    return (
        f"<Ranking of {len(ranking):,} of {ranking.configurations:,} configurations by {ranking.objective}: "
        f"{best} the first, {ranking.source}>"
    )


def operator_rows(operators: Iterable[OperatorPrediction]) -> list[dict[str, Any]]:
    """One record an operator, in their order, SI units in the names of the keys; None where unknown."""
    return [
        {
            "name": o.name, "op": o.op, "shape": o.shape, "dtype": o.dtype, "count": o.count, "flops": o.flops,
            "flops_executed": o.flops_executed, "bytes": o.bytes, **_ends("latency", "s", o.latency_s),
            "latency_each_s": o.latency_each_s.value, **_ends("power", "w", o.power_w), **_ends("energy", "j", o.energy_j),
            "bound": o.bound, "source": o.source, "power_source": o.power_source, "algorithm": o.algorithm,
            "workspace_bytes": o.workspace_bytes,
        }
        for o in operators
    ]  # fmt: skip


REQUEST_COLUMNS: dict[str, type] = {"phase": str, "runs": int, **OPERATOR_COLUMNS}
"""Those of a generation request."""


def phase_rows(phases: Iterable[PhasePrediction]) -> list[dict[str, Any]]:
    """:func:`operator_rows` of each part of each phase, with ``phase`` and ``runs``: the runs of the model that the part
    stands for; figures are of one of them."""
    return [
        {"phase": phase.name, "runs": runs, **row}
        for phase in phases
        for part, runs in phase.parts
        for row in operator_rows(part.operators)
    ]


def operators_frame(operators: Iterable[OperatorPrediction]) -> DataFrame:
    """:func:`operator_rows` as a data frame."""
    return _frame(operator_rows(operators), OPERATOR_COLUMNS)


def phases_frame(phases: Iterable[PhasePrediction]) -> DataFrame:
    """:func:`phase_rows` as a data frame."""
    return _frame(phase_rows(phases), REQUEST_COLUMNS)


PROFILE_COLUMNS: dict[str, type] = {
    "phase": str, "repeat": int, "name": str, "op": str, "duration_s": float, "power_w": float, "power_low_w": float,
    "power_high_w": float,
}  # fmt: skip


def profile_frame(profile: PowerProfile) -> DataFrame:
    """One row a step of each block; ``repeat`` is how often the block follows itself."""
    rows = [
        {
            "phase": block.phase, "repeat": block.repeat, "name": s.name, "op": s.op, "duration_s": s.duration_s,
            **_ends("power", "w", s.power_w),
        }
        for block in profile.blocks
        for s in block.steps
    ]  # fmt: skip
    return _frame(rows, PROFILE_COLUMNS)


def memory_frame(plan: MemoryPlan) -> DataFrame:
    """One row a node."""
    rows = [{"node": name, "bytes": size} for name, size in zip(plan.nodes, plan.profile.tolist(), strict=True)]
    return _frame(rows, {"node": str, "bytes": float})


def requests_frame(found: Sequence[GenerationPrediction]) -> DataFrame:
    """One row a request."""
    rows = [
        {
            "model": p.model, "device": p.device, "predictor": p.predictor, "prompt": p.prompt, "generate": p.generate,
            **_ends("latency", "s", p.latency_s), **_ends("power", "w", p.power_w), **_ends("energy", "j", p.energy_j),
            "kv_cache_bytes": p.kv_cache_bytes, "peak_memory_bytes": p.peak_memory_bytes,
            "samples": p.workload.samples, "tokens": p.workload.tokens,
            **{f"dim_{name}": size for name, size in p.dims.items()},
        }
        for p in found
    ]  # fmt: skip
    return _frame(rows)


def ranking_frame(ranking: Sequence[ModelPrediction]) -> DataFrame:
    """One row a prediction."""
    rows = [
        {
            "model": p.model, "device": p.device, "predictor": p.predictor, **_ends("latency", "s", p.latency_s),
            **_ends("power", "w", p.power_w), **_ends("energy", "j", p.energy_j), "flops": p.flops,
            "flops_executed": p.flops_executed, "bytes": p.bytes, "weights_bytes": p.weights_bytes,
            "peak_memory_bytes": p.peak_memory_bytes, "utilisation": p.utilisation, "samples": p.workload.samples,
            "tokens": p.workload.tokens, **{f"dim_{name}": size for name, size in p.dims.items()},
        }
        for p in ranking
    ]  # fmt: skip
    return _frame(rows)


def _frame(rows: Sequence[Mapping[str, Any]], columns: Mapping[str, type] | None = None) -> DataFrame:
    """Rows as a data frame. Figures that are unknown throughout are NaN of type float64: None would make objects of them."""
    frame: DataFrame = _pandas().DataFrame(list(rows), columns=None if columns is None else list(columns))
    # A dimension of the model may be called `w`: `dim_w` is a whole number.
    figures = (
        [c for c in frame.columns if re.search("^(?!dim_).*_(s|w|j)$", c)] if columns is None else _floats(columns)
    )
    return frame.astype(dict.fromkeys(figures, "float64"))


def _floats(columns: Mapping[str, type]) -> list[str]:
    return [name for name, kind in columns.items() if kind is float]


def _pandas() -> Any:
    try:
        import pandas
    except ImportError as error:
        raise MissingExtraError("pandas", "train", "a data frame") from error
    return pandas


def _ends(name: str, unit: str, estimate: Estimate | None) -> dict[str, float | None]:
    """``latency_s``, ``latency_low_s``, ``latency_high_s``; None where unknown."""
    ends = (None, None, None) if estimate is None else (estimate.value, estimate.low, estimate.high)
    return dict(zip((f"{name}_{unit}", f"{name}_low_{unit}", f"{name}_high_{unit}"), ends, strict=True))


def _warnings(warnings: Iterable[str]) -> list[str]:
    return [f"warning: {warning}" for warning in warnings]


def _value(estimate: Estimate | None) -> float | None:
    return None if estimate is None else estimate.value


def _interval(estimate: Estimate | None, unit: Any, missing: str = "") -> str:
    return missing if estimate is None else f"{unit(estimate.low)} to {unit(estimate.high)}"
