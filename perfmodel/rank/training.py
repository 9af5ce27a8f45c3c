"""Training of a ranker: measured configuration spaces in, tables of what the physics does not say out."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from perfmodel.errors import InputError, MissingExtraError
from perfmodel.hardware.device import Device
from perfmodel.hardware.loader import load_device
from perfmodel.models.trees import Booster
from perfmodel.ops import FAMILIES
from perfmodel.ops.base import Operator
from perfmodel.rank.lookup import compiled
from perfmodel.rank.physics import Physics
from perfmodel.rank.pretrained import Source
from perfmodel.rank.space import Space, recognised
from perfmodel.rank.table import PREFIX, parameters

if TYPE_CHECKING:
    import pandas as pd

ORDER = 3
"""Parameters that a tree reads at most."""
TREES = 400
PARAMETERS: dict[str, Any] = {
    "max_depth": 6, "eta": 0.15, "subsample": 0.8, "min_child_weight": 2, "tree_method": "hist", "nthread": 1,
}  # fmt: skip


@dataclass(frozen=True)
class Measured:
    """A measured space of one problem on one device.

    Attributes:
        space: its description.
        op: the problem.
        device: where it ran.
        columns: the parameters, shape ``[rows]``.
        latency_s: seconds, NaN where a configuration failed.
    """

    space: Space
    op: Operator
    device: Device
    columns: dict[str, np.ndarray]
    latency_s: np.ndarray


def measured_spaces(traces: pd.DataFrame) -> Iterator[Measured]:
    """The spaces of operator traces with ``cfg_`` columns: one of each device and problem.

    Args:
        traces: the schema's columns; failed configurations may be among them.

    Raises:
        InputError: there are none, no space that ships has their parameters, or the rows of a problem share none.
    """
    configuration = [c for c in traces.columns if str(c).startswith(PREFIX)]
    found = False
    for op_name in dict.fromkeys(traces["op"]):
        mine = traces[traces["op"] == op_name]
        mine = mine[mine[configuration].notna().any(axis=1)]
        family = FAMILIES[op_name]
        dims = [c for c in (*family.dimension_names(), "dtype") if c in mine.columns and mine[c].notna().all()]
        for key, rows in mine.groupby(["device", *dims], sort=False, observed=True):
            found = True
            own = [c for c in configuration if rows[c].notna().all()]
            if not own:
                raise InputError(
                    f"{len(rows)} rows of one {op_name} on {key[0]} have no cfg_ column in common: give tables of"
                    " different spaces one at a time"
                )
            space = recognised(op_name, [c.removeprefix(PREFIX) for c in own])
            fields: dict[str, Any] = {n: v if n == "dtype" else _number(v) for n, v in zip(dims, key[1:], strict=True)}
            yield Measured(
                space, family(**fields), load_device(str(key[0])), parameters(rows[own], space),
                rows["latency_s"].to_numpy(dtype=np.float64),
            )  # fmt: skip
    if not found:
        raise InputError("the traces have no rows with cfg_ columns: nothing to learn a ranking from")


def _number(value: Any) -> int | float:
    """A size: some may be half of a whole number."""
    return int(value) if float(value).is_integer() else float(value)


def train_source(measured: Measured, seed: int = 0, trees: int = TREES) -> Source:
    """The tables of one measured space.

    Args:
        measured: the space with its times.
        seed: of the rows that each tree sees.
        trees: how many.

    Raises:
        InputError: too few configurations ran, or they are all the same.
        MissingExtraError: XGBoost is not installed.
    """
    try:
        import xgboost
    except ImportError:
        raise MissingExtraError("xgboost", "train", "training a ranker") from None
    ran = np.flatnonzero(measured.latency_s > 0)
    if len(ran) < 20:
        raise InputError(
            f"only {len(ran)} configurations of {measured.space.id} on {measured.device.id} ran; wanted 20"
        )
    columns = {n: v[ran] for n, v in measured.columns.items() if np.ptp(v[ran]) > 0}
    if not columns:
        raise InputError(
            f"the {len(ran)} measured configurations of {measured.space.id} on {measured.device.id} are all the same"
        )
    all_columns = {n: v[ran] for n, v in measured.columns.items()}
    physics_s = Physics.of(measured.space, measured.op, measured.device).costs(all_columns).latency_s
    target = np.log(measured.latency_s[ran] / physics_s)
    matrix = np.stack(list(columns.values()), axis=1)
    together = [list(places) for places in itertools.combinations(range(len(columns)), min(ORDER, len(columns)))]
    settings = {
        **PARAMETERS,
        "seed": seed,
        "interaction_constraints": str(together),
        "base_score": float(target.mean()),
    }
    booster = xgboost.train(settings, xgboost.DMatrix(matrix, target), trees)
    tables = compiled(Booster.from_json(bytes(booster.save_raw("json"))), tuple(columns), ORDER)
    fields = {n: v for n in (*measured.op.dimension_names(), "dtype") if (v := getattr(measured.op, n)) is not None}
    return Source(measured.space.id, measured.device.id, fields, len(ran), tables)
