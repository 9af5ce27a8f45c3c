"""Runs of whole networks: the sum over the operators that each executed, with the gaps of its launches.

The composition is the one of :mod:`perfmodel.predict.compose`. Where the operators of a run were timed one by one, their
sums by variant are judged too, as NeuSight does: over all its linear layers, all its batched products, and so on.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from perfmodel.evaluate import JudgedRows
from perfmodel.hardware import load_device
from perfmodel.models.protocol import PredictorProtocol
from perfmodel.models.trace_rows import roofline_s
from perfmodel.ops.table import from_columns
from perfmodel.predict.compose import with_launches
from perfmodel.predict.result import Estimate

if TYPE_CHECKING:
    import pandas as pd

    from perfmodel.datasets.runs import Runs

RUN, RUN_SUM = "run", "run_sum"
"""In place of an operator family: a whole run; the sum of those of its operators that bear one variant."""
CACHE = "rotating"
"""What a network's operators find in the last-level cache: activations, but no weights."""
LAUNCH = "graph"
"""Of runs that do not say, as ``perfmodel predict`` assumes."""
_FIGURES = ("latency", "low", "high", "analytical", "roofline")
_OTHER = "other"


@dataclass(frozen=True)
class _Listed:
    """The operators of a run and what is predicted of each; arrays of shape ``[rows]``, seconds of one execution."""

    count: np.ndarray
    figures: dict[str, np.ndarray]
    measured: np.ndarray | None
    variant: np.ndarray
    timed: np.ndarray

    def part(self, rows: slice) -> _Listed:
        """Some of the rows."""
        return _Listed(
            self.count[rows], {name: values[rows] for name, values in self.figures.items()},
            None if self.measured is None else self.measured[rows], self.variant[rows], self.timed[rows],
        )  # fmt: skip

    def total(self, name: str, rows: np.ndarray | None = None) -> float:
        """Seconds of all executions, of some rows or of all."""
        values = self.count * self.figures[name]
        return float(values.sum() if rows is None else values[rows].sum())


def predicted_runs(runs: Runs, predictor_of: Callable[[str], PredictorProtocol]) -> list[JudgedRows]:
    """Every run that has a list of its operators, and the sums over variants where those were timed.

    Args:
        runs: run traces with their operators.
        predictor_of: the predictor of an operator family.

    Returns:
        One entry for each device, dtype, software and network, and for each variant of it.
    """
    records = runs.listed.to_dict("records")
    lists = _lists(runs, records, predictor_of)
    found: dict[tuple[str, ...], list[tuple[str, float, dict[str, float]]]] = {}
    for run in records:
        listed = lists[_setting(run)][str(run["operators"])]
        head = (
            load_device(str(run["device"])).id, _text(run, "dtype", "-"), str(run["software"]),
            _text(run, "network", str(run["workload"])),
        )  # fmt: skip
        # Runs of one workload differ in their clock and power limit, too.
        key = "|".join(str(v) for v in (run["workload"], run.get("clock_mhz"), run.get("power_limit_w")))
        whole = _composed(listed, _text(run, "launch", LAUNCH))
        found.setdefault((*head, RUN, ""), []).append((key, float(run["latency_s"]), whole))
        for variant, measured, sums in _sums(listed):
            found.setdefault((*head, RUN_SUM, variant), []).append((f"{key}|{variant}", measured, sums))
    return [_judged(head, parts) for head, parts in found.items()]


_Setting = tuple[str, str, float | None, float | None]


def _setting(run: dict[Any, Any]) -> _Setting:
    """Device, software, clock [Hz] and power limit [W] of a run."""
    clock_mhz = _optional(run, "clock_mhz")
    clock_hz = None if clock_mhz is None else round(clock_mhz, 1) * 1e6  # averages differ in the last digits
    return str(run["device"]), str(run["software"]), clock_hz, _optional(run, "power_limit_w")


def _lists(
    runs: Runs, records: list[dict[Any, Any]], predictor_of: Callable[[str], PredictorProtocol]
) -> dict[_Setting, dict[str, _Listed]]:
    """By setting and name of the list, predictions of all operators: those of one setting go through the predictor at once."""
    import pandas

    names: dict[_Setting, dict[str, None]] = {}
    for run in records:
        names.setdefault(_setting(run), {})[str(run["operators"])] = None
    result = {}
    for setting, wanted in names.items():
        tables = [runs.operators(name) for name in wanted]
        # Views launch nothing. Nodes of different lists may bear one name.
        tables = [table[table["op"] != "view"].assign(list=index) for index, table in enumerate(tables)]
        together = _predicted(pandas.concat(tables, ignore_index=True), setting, predictor_of)
        ends = np.cumsum([len(table) for table in tables])
        result[setting] = {
            name: together.part(slice(end - len(table), end))
            for name, table, end in zip(wanted, tables, ends.tolist(), strict=True)
        }
    return result


def _text(run: dict[Any, Any], name: str, default: str) -> str:
    value = run.get(name)
    return value if isinstance(value, str) else default


def _optional(run: dict[Any, Any], name: str) -> float | None:
    value = run.get(name)
    return None if value is None or not np.isfinite(float(value)) else float(value)


def _predicted(table: pd.DataFrame, setting: _Setting, predictor_of: Callable[[str], PredictorProtocol]) -> _Listed:
    device_id, software, clock_hz, power_limit_w = setting
    device = load_device(device_id)
    figures = {name: np.empty(len(table)) for name in _FIGURES}
    for group in from_columns({name: table[name].to_numpy() for name in table.columns}):
        predictor = predictor_of(group.op.op)
        known_software = getattr(predictor, "known_software", None)
        known = None if known_software is None else known_software(software, device, group.op)
        e = predictor.predict(
            group.op, device, software=known, cache=CACHE, clock_hz=clock_hz, power_limit_w=power_limit_w
        )
        parts = (e.latency_s, e.latency_low_s, e.latency_high_s, e.analytical_s, roofline_s(group, device))
        for name, values in zip(_FIGURES, parts, strict=True):
            figures[name][group.rows] = values
    measured = table["latency_s"].to_numpy(dtype=np.float64, na_value=np.nan) if "latency_s" in table else None
    has_time = np.zeros(len(table), dtype=bool) if measured is None else np.isfinite(measured)
    if "node" in table and measured is not None:
        nodes = table["list"].astype(str) + "/" + table["node"].astype(str)
        has_time = nodes.isin(nodes[has_time]).to_numpy()
    variant = table["variant"].astype(str).to_numpy(dtype=object) if "variant" in table else np.full(len(table), _OTHER)
    return _Listed(table["count"].to_numpy(dtype=np.float64), figures, measured, variant, has_time)


def _composed(listed: _Listed, launch: str) -> dict[str, float]:
    launches = float(listed.count.sum())
    device_s = Estimate(*(listed.total(name) for name in ("latency", "low", "high")))
    latency, _ = with_launches(device_s, launches, launch)
    result = {"latency": latency.value, "low": latency.low, "high": latency.high}
    for name in ("analytical", "roofline"):
        total = listed.total(name)
        # A roofline knows no launches.
        result[name] = total if name == "roofline" else with_launches(Estimate(total, 0, 0), launches, launch)[0].value
    return result


def _sums(listed: _Listed) -> list[tuple[str, float, dict[str, float]]]:
    """Variant, measured seconds and predictions of the operators that were timed."""
    if listed.measured is None:
        return []
    result = []
    for variant in sorted(set(listed.variant[listed.timed].tolist()) - {_OTHER}):
        rows = listed.timed & (listed.variant == variant)
        measured = float(np.nansum((listed.count * listed.measured)[rows]))
        if measured > 0:
            result.append((variant, measured, {name: listed.total(name, rows) for name in _FIGURES}))
    return result


def _judged(head: tuple[str, ...], parts: list[tuple[str, float, dict[str, float]]]) -> JudgedRows:
    device, dtype, software, network, op, variant = head
    arrays = {name: np.array([p[2][name] for p in parts]) for name in _FIGURES}
    return JudgedRows(
        device=device, dtype=dtype, software=software, family=op, workload=network, variant=variant or None,
        measured=np.array([p[1] for p in parts]), predicted=arrays["latency"], low=arrays["low"], high=arrays["high"],
        analytical=arrays["analytical"], roofline=arrays["roofline"], shape_key=np.array([p[0] for p in parts]), folds=1,
    )  # fmt: skip
