"""Predictions in notebooks: a line, a small table, data frames. Every text from a file is escaped."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

from perfmodel import units
from perfmodel.errors import MissingExtraError
from perfmodel.predict.kinds import group_operators
from perfmodel.predict.result import Estimate, ModelPrediction

if TYPE_CHECKING:
    from pandas import DataFrame

    from perfmodel.rank import Ranking

CONFIGURATIONS_SHOWN = 20
KINDS_SHOWN = 8
"""Kinds of operators in the table of a prediction."""
_RIGHT = ' style="text-align:right"'
_LEFT = ' style="text-align:left"'


def prediction_line(p: ModelPrediction) -> str:
    """``<ModelPrediction resnet18 on h100-sxm: 140 us, 410 W, 57.3 mJ, 23 operators>``."""
    return (
        f"<ModelPrediction {p.model} on {p.device}: {units.duration(p.latency_s.value)}, {units.power(_value(p.power_w))},"
        f" {units.energy(_value(p.energy_j))}, {len(p.operators)} operators>"
    )


def prediction_html(p: ModelPrediction) -> str:
    """Figures with intervals, then the kinds of operators that take the most time, then what is warned of."""
    figures = [
        ("latency", units.duration(p.latency_s.value), _interval(p.latency_s, units.duration)),
        ("power", units.power(_value(p.power_w)), _interval(p.power_w, units.power)),
        ("energy", units.energy(_value(p.energy_j)), _interval(p.energy_j, units.energy)),
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
    parts = [
        f"<strong>{escape(p.model)} on {escape(p.device)}</strong>",
        _table(("", "", "90 % interval"), figures, right=(1,)),
        _table(("operator", "shape", "runs", "time", "share", "bound", "rests on"), kinds, right=(2, 3, 4)),
    ]
    if more > 0:
        parts.append(f"<div>and {more} other kinds of operators</div>")
    parts += [f"<div>warning: {escape(warning)}</div>" for warning in p.warnings]
    return f"<div>{''.join(parts)}</div>"


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
    return _table(heads, rows, right=range(2, 9))


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
    parts = [
        f"<strong>{len(ranking):,} of {ranking.configurations:,} configurations, by {escape(ranking.objective)}</strong>",
        _table(heads, rows, right=range(len(heads))),
        *(f"<div>warning: {escape(warning)}</div>" for warning in ranking.warnings),
    ]
    return f"<div>{''.join(parts)}</div>"


OPERATOR_COLUMNS: dict[str, type] = {
    "name": str, "op": str, "shape": str, "dtype": str, "count": int, "flops": float, "flops_executed": float,
    "bytes": float, "latency_s": float, "latency_low_s": float, "latency_high_s": float, "latency_each_s": float,
    "power_w": float, "power_low_w": float, "power_high_w": float, "energy_j": float, "energy_low_j": float,
    "energy_high_j": float, "bound": str, "source": str, "power_source": str, "algorithm": str, "workspace_bytes": float,
}  # fmt: skip
"""Columns of a table of operators, in order, and what they hold, whatever is known of a device; docs/exchange.md says more."""


def operator_rows(p: ModelPrediction) -> list[dict[str, Any]]:
    """One record an operator, in the order of the model, SI units in the names of the keys; None where unknown."""
    return [
        {
            "name": o.name, "op": o.op, "shape": o.shape, "dtype": o.dtype, "count": o.count, "flops": o.flops,
            "flops_executed": o.flops_executed, "bytes": o.bytes, **_ends("latency", "s", o.latency_s),
            "latency_each_s": o.latency_each_s.value, **_ends("power", "w", o.power_w), **_ends("energy", "j", o.energy_j),
            "bound": o.bound, "source": o.source, "power_source": o.power_source, "algorithm": o.algorithm,
            "workspace_bytes": o.workspace_bytes,
        }
        for o in p.operators
    ]  # fmt: skip


def operators_frame(p: ModelPrediction) -> DataFrame:
    """:func:`operator_rows` as a data frame."""
    return _frame(operator_rows(p), OPERATOR_COLUMNS)


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
    figures = [c for c in frame.columns if re.search("_(s|w|j)$", c)] if columns is None else _floats(columns)
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


def _value(estimate: Estimate | None) -> float | None:
    return None if estimate is None else estimate.value


def _interval(estimate: Estimate | None, unit: Any) -> str:
    return "the device's TDP is unknown" if estimate is None else f"{unit(estimate.low)} to {unit(estimate.high)}"


def _table(heads: Iterable[str], rows: Iterable[Sequence[str]], right: Iterable[int] = ()) -> str:
    numbers = set(right)
    titles = tuple(heads)
    style = [_RIGHT if i in numbers else _LEFT for i in range(len(titles))]
    head = "".join(f"<th{style[i]}>{escape(text)}</th>" for i, text in enumerate(titles))
    body = "".join(
        f"<tr>{''.join(f'<td{style[i]}>{escape(text)}</td>' for i, text in enumerate(row))}</tr>" for row in rows
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
