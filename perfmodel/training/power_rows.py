"""Measured power as training takes it: which rows are settled, how much each says, and what the physical model says of it.

The public labels are means of NVML samples, 0.1 s apart, over a loop of 0.3 s (kernels below 0.1 ms) or 1 s, without time to
settle: a label partly shows what ran before.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from perfmodel.features.vector import feature_schema
from perfmodel.hardware import Device, load_device
from perfmodel.models.bounds import Extras
from perfmodel.models.constants import Constants
from perfmodel.models.machine import Conditions, Machine
from perfmodel.models.power import of_group, running_idle_w
from perfmodel.models.power.learned import LONG_S, SCHEMA, power_columns
from perfmodel.models.trace_rows import Part, analysed, cache_states

if TYPE_CHECKING:
    import pandas as pd

KEPT = ("power_w", "power_limit_w", "collection", "order")
"""Columns of a trace table that the latency does without."""
SETTLED_WITHIN, SETTLED_ROWS = 0.05, 11
SHORT_WEIGHT = 0.3
"""Of a label that was sampled for 0.3 s, beside 1 for one that was for a second."""
MOST_LONG, MOST_SHORT = 8_000, 2_500
"""Rows of a software that a booster is trained on and judged by: tables hold up to 63,000, most of them short."""
_NEAR = 0.05


def labelled(table: pd.DataFrame) -> np.ndarray:
    """Which rows have a measured power; bool of shape ``[rows]``."""
    if "power_w" not in table.columns:
        return np.zeros(len(table), dtype=bool)
    power = table["power_w"].to_numpy(dtype=np.float64)
    good: np.ndarray = np.isfinite(power) & (power > 0)
    return good


def file_order(table: pd.DataFrame) -> list[np.ndarray]:
    """The rows of each file and dtype in the order in which they were measured; lists of row indices.

    A file is what shares collection, software, operator and phase; rows without an ``order`` stand as they are.
    """
    names = [
        c
        for c in ("device", "collection", "software", "op", "phase", "kind", "dtype", "out_dtype")
        if c in table.columns
    ]
    code = np.zeros(len(table), dtype=np.int64)
    for name in names:
        mine, distinct = table[name].astype(object).factorize()
        code = np.unique(code * (len(distinct) + 1) + mine + 1, return_inverse=True)[1].reshape(-1)
    place = (
        table["order"].to_numpy(dtype=np.float64)
        if "order" in table.columns
        else np.arange(len(table), dtype=np.float64)
    )
    order = np.lexsort((place, code))
    starts = np.flatnonzero(np.diff(code[order], prepend=-1))
    return np.split(order, starts[1:])


def settled(table: pd.DataFrame) -> np.ndarray:
    """Rows whose label can be taken at its word: 0.1 ms or longer, and within 5 % of the median of the eleven rows of the same
    dtype around it in file order (fewer at the ends); bool of shape ``[rows]``."""
    import pandas

    power = table["power_w"].to_numpy(dtype=np.float64)
    result = np.zeros(len(table), dtype=bool)
    for rows in file_order(table):
        around = pandas.Series(power[rows]).rolling(SETTLED_ROWS, center=True, min_periods=1).median().to_numpy()
        result[rows] = np.abs(power[rows] / around - 1) <= SETTLED_WITHIN
    return result & (table["latency_s"].to_numpy(dtype=np.float64) >= LONG_S)


def neighbour_noise(table: pd.DataFrame) -> np.ndarray:
    """How far the label of the row measured next is off where that row took the same time (within 5 %): |next / own - 1|; NaN
    where it did not. Shape ``[rows]``."""
    power, seconds = (table[c].to_numpy(dtype=np.float64) for c in ("power_w", "latency_s"))
    result = np.full(len(table), np.nan)
    for rows in file_order(table):
        first, second = rows[:-1], rows[1:]
        near = np.abs(seconds[second] / seconds[first] - 1) <= _NEAR
        result[first[near]] = np.abs(power[second[near]] / power[first[near]] - 1)
    return result


def chosen(table: pd.DataFrame, seed: int) -> pd.DataFrame:
    """The labelled rows of a part that are trained on, with the columns ``settled`` and ``neighbour``; of each software at most
    :data:`MOST_LONG` rows of 0.1 ms or more and :data:`MOST_SHORT` shorter ones."""
    table = table[labelled(table)]
    table = table.assign(settled=settled(table), neighbour=neighbour_noise(table)).reset_index(drop=True)
    long = table["latency_s"].to_numpy(dtype=np.float64) >= LONG_S
    software = table["software"].astype(str).to_numpy(dtype=object)
    # A random order of all rows, of which each kind keeps its first.
    order = np.random.default_rng(seed).permutation(len(table))
    kept = [
        order[(software[order] == name) & (long[order] == kind)][:most]
        for name in sorted(set(software.tolist()))
        for kind, most in ((True, MOST_LONG), (False, MOST_SHORT))
    ]
    return table.iloc[np.sort(np.concatenate(kept))].reset_index(drop=True)


def weights(latency_s: np.ndarray) -> np.ndarray:
    """How much each label counts, by how long it was measured; shape ``[rows]``."""
    weight: np.ndarray = np.where(latency_s >= LONG_S, 1.0, SHORT_WEIGHT)
    return weight


@dataclass(frozen=True)
class Physical:
    """What the physical model says of some rows; shape ``[rows]``.

    Attributes:
        power_w: within the limit.
        idle_w, limit_w: of the device.
        features: the columns of ``features/power.toml``, float32 of shape ``[rows, features]``.
    """

    power_w: np.ndarray
    idle_w: float
    limit_w: float
    features: np.ndarray

    def bounded(self, log_ratio: np.ndarray) -> np.ndarray:
        """Power with a correction, within idle and limit."""
        result: np.ndarray = np.clip(self.power_w * np.exp(log_ratio), self.idle_w, self.limit_w)
        return result


def physical(
    part: Part, constants: Constants | None, latencies: Mapping[str, np.ndarray], record: Device | None = None
) -> dict[str, Physical]:
    """The physical model's power of a part's rows, for some latencies of theirs.

    Args:
        part: rows of one device.
        constants: of the latency's physics.
        latencies: seconds of shape ``[rows]``, by name.
        record: the device with other power constants than its file's; None means that. It has a power limit.
    """
    device = load_device(part.device)
    powered = record or device
    idle = running_idle_w(powered)
    assert device.tdp_w is not None
    assert idle is not None
    schema = feature_schema(SCHEMA)
    watts = {name: np.empty(len(part.rows)) for name in latencies}
    features = {name: np.empty((len(part.rows), len(schema.names)), dtype=np.float32) for name in latencies}
    for chunk in analysed(part.rows, part.op, device, constants, cache_states(part.rows)):
        extras = Extras(np.zeros(len(chunk.rows)), np.zeros(len(chunk.rows)))
        machine = Machine.of(device, chunk.group.op.dtype)
        for name, seconds in latencies.items():
            mine = seconds[chunk.rows]
            found = of_group(chunk.group, powered, chunk.bounds, mine, extras, Conditions(chunk.cache))
            watts[name][chunk.rows] = found["power_w"]
            columns = power_columns(chunk.group, device, chunk.bounds, extras, machine, mine, found["demand_w"])
            features[name][chunk.rows] = schema.matrix(columns)
    return {name: Physical(watts[name], idle, device.tdp_w, features[name]) for name in latencies}
