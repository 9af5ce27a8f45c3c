"""The adapter of Zeus's power traces (``datasets/zeus/card.toml``): training epochs under power limits."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from perfmodel.datasets.adapter import EVERYTHING, Wanted, find, latency_and_status, noted, read_table
from perfmodel.datasets.cards import Card
from perfmodel.datasets.schema import require_pandas
from perfmodel.errors import TraceError

if TYPE_CHECKING:
    import pandas as pd

_COLUMNS = ("dataset", "network", "batch_size", "optimizer", "power_limit", "time_per_epoch", "average_power")
_PREFIX = "summary_power_"
_ABOVE = 1.02
"""A mean power above this share of the limit says that the limit did not hold."""


def read(root: str | Path, card: Card, wanted: Wanted = EVERYTHING) -> Iterator[pd.DataFrame]:
    """One table a GPU. A row is one epoch of training.

    Raises:
        TraceError: no table, a GPU that the card does not know, or a table without the columns expected.
        MissingExtraError: pandas is not installed.
    """
    pandas = require_pandas()
    for path in find(root, [f"**/{_PREFIX}*.csv"], f"power trace of Zeus; wanted .../trace/{_PREFIX}<gpu>.csv"):
        gpu = path.stem.removeprefix(_PREFIX)
        if gpu not in card.devices:
            raise TraceError(f"{path}: the card names no device for {gpu!r}: {', '.join(card.devices)}")
        if not wanted.device(card.devices[gpu]):
            continue
        raw = read_table(path, _COLUMNS)
        latency, status = latency_and_status(raw["time_per_epoch"], 1.0)
        power = raw["average_power"]
        yield pandas.DataFrame({
            "device": card.devices[gpu], "software": card.raw["software"]["stack"],
            "workload": raw["network"] + "/" + raw["dataset"], "batch": raw["batch_size"], "phase": "train",
            "optimizer": raw["optimizer"], "latency_s": latency, "power_w": power, "energy_j": power * latency,
            "power_limit_w": raw["power_limit"], "collection": path.stem, "status": status,
            "note": noted(power > _ABOVE * raw["power_limit"], "above its limit"),
        })  # fmt: skip
