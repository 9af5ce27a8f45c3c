"""The adapter of GPPerf's CUTLASS profiling (``datasets/gpperf/card.toml``): GEMM kernels with time and power."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from perfmodel.datasets import columns as c
from perfmodel.datasets.adapter import EVERYTHING, Wanted, find, latency_and_status, numbers, read_table, translate
from perfmodel.datasets.cards import Card
from perfmodel.datasets.schema import require_pandas
from perfmodel.errors import TraceError

if TYPE_CHECKING:
    import pandas as pd

_MILLISECOND = 1e-3
_COLUMNS = (
    "M", "N", "K", "Kernel Name", "Layout", "Blocksize1", "Blocksize2", "Blocksize3", "Stage", "Alpha", "Beta", "Runtime",
    "Power", "GPU Name",
)  # fmt: skip
_CONDITIONS = {"Clock SM": "clock_mhz", "Clocks Mem": "mem_clock_mhz", "Temp": "temperature_c"}


def read(root: str | Path, card: Card, wanted: Wanted = EVERYTHING) -> Iterator[pd.DataFrame]:
    """One table a CSV file; ``root`` may be the file itself.

    Raises:
        TraceError: no file, a GPU or kernel that the card does not know, or a table without the columns expected.
        MissingExtraError: pandas is not installed.
    """
    files = [Path(root)] if Path(root).is_file() else find(root, ["**/*.csv"], "CSV file of GPPerf")
    for path in files:
        table = _table(path, card)
        yield table[table["device"].map(wanted.device)].reset_index(drop=True)


def _table(path: Path, card: Card) -> pd.DataFrame:
    pandas = require_pandas()
    raw = read_table(path, _COLUMNS)
    latency, status = latency_and_status(raw["Runtime"], _MILLISECOND)
    power, _ = numbers(raw["Power"])
    power = np.where(power > 0, power, np.nan)
    kernel = raw["Kernel Name"].astype(str).str.strip()
    precision = kernel.str.extract(r"_([hsd]gemm)_")[0]
    if precision.isna().any():
        raise TraceError(f"{path}: the card names no dtype for the kernel {kernel[precision.isna()].iloc[0]!r}")
    rows = pandas.DataFrame({
        "device": translate(raw["GPU Name"].str.strip(), card.devices, "device", path),
        "software": card.raw["software"]["stack"], "op": "gemm", "kernel": kernel, "batch": 1, "m": raw["M"], "n": raw["N"],
        "k": raw["K"], "dtype": translate(precision, card.dtypes, "dtype", path),
        "layout": raw["Layout"].str.strip().str.lower(), "latency_s": latency, "power_w": power, "energy_j": power * latency,
        "cache": "warm", "collection": path.stem, "status": status,
    })  # fmt: skip
    for column, name in _CONDITIONS.items():
        if column in raw:
            rows[name] = numbers(raw[column])[0]
    for parameter in card.configuration:
        if parameter in raw:
            rows[f"{c.CONFIGURATION}{parameter}"] = raw[parameter]
    return rows
