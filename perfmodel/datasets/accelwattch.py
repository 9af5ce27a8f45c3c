"""The adapter of AccelWattch's validation kernels (``datasets/accelwattch/card.toml``): mean power, no times."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from perfmodel.datasets.adapter import EVERYTHING, Wanted, find, read_table
from perfmodel.datasets.cards import Card
from perfmodel.datasets.schema import require_pandas

if TYPE_CHECKING:
    import pandas as pd


def read(root: str | Path, card: Card, wanted: Wanted = EVERYTHING) -> Iterator[pd.DataFrame]:
    """One table; a row is one kernel that ran in a loop while its power was sampled.

    Raises:
        TraceError: no table, or one without the columns expected.
        MissingExtraError: pandas is not installed.
    """
    pandas = require_pandas()
    device = card.devices["volta"]
    # Copies that flatten the folders keep the path in the name.
    for path in find(root, ["**/*hw_power_validation_volta.csv"], "hw_power_validation_volta.csv of AccelWattch"):
        if not wanted.device(device):
            continue
        raw = read_table(path, ("mean HW_power", "st_dev", "#samples"))
        power = raw["mean HW_power"]
        yield pandas.DataFrame({
            "device": device, "software": card.raw["software"]["stack"], "workload": raw.iloc[:, 0],
            "latency_s": float("nan"), "power_w": power, "power_rel_std": raw["st_dev"] / power, "samples": raw["#samples"],
            "collection": "hw_power_validation_volta",
        })  # fmt: skip
