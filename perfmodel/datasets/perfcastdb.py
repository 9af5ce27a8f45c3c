"""The adapter of PerfCastDB (``datasets/perfcastdb/card.toml``): Xeon machines and their benchmark scores."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from perfmodel.datasets.adapter import EVERYTHING, Wanted, find, numbers, read_table
from perfmodel.datasets.cards import Card
from perfmodel.datasets.schema import require_pandas

if TYPE_CHECKING:
    import pandas as pd

_RESULT = ("RESULT.WorkloadName", "RESULT.WorkloadPreset", "RESULT.TestName", "RESULT.Value", "SVR.CPU.CPU Model")
# Upstream column, and its unit in ours.
_MACHINE = {
    "machine_sockets": ("SVR.CPU.Socket(s)", 1),
    "machine_cores_per_socket": ("SVR.CPU.Core(s) per Socket", 1),
    "machine_threads_per_core": ("SVR.CPU.Thread(s) per Core", 1),
    "machine_numa_nodes": ("SVR.CPU.NUMA Node(s)", 1),
    "machine_base_clock_hz": ("SVR.CPU.Base Frequency", 1e9),
    "machine_max_clock_hz": ("SVR.CPU.Maximum Frequency", 1e9),
    "machine_all_core_clock_hz": ("SVR.CPU.All-core Maximum Frequency", 1e9),
    "machine_tdp_w": ("SVR.Power.TDP", 1),
    "machine_memory_bytes": ("Measure.DIMM.Total", 2**30),
    "machine_dimms": ("Measure.DIMM.Num", 1),
    "machine_dimm_transfers_per_s": ("Measure.DIMM.Freq", 1e6),
}
_INSTALLED = "SVR.Memory.Installed"
_MODULES = re.compile(r"(\d+)x(\d+)GB (DDR|HBM)\w* (\d+) MT/s")
_CACHES = ("SVR.CPU.L1d Cache", "SVR.CPU.L2 Cache", "SVR.CPU.L3 Cache")
_TOTALS_BELOW_KIB = 16
"""No core has an L1 data cache this small: such machines report totals in MiB instead of KiB of one."""


def read(root: str | Path, card: Card, wanted: Wanted = EVERYTHING) -> Iterator[pd.DataFrame]:
    """One table a file, the test machines first. A row is one score of one iteration of a benchmark.

    Raises:
        TraceError: no table, or one without the columns expected.
        MissingExtraError: pandas is not installed.
    """
    pandas = require_pandas()
    layout = "table of PerfCastDB; wanted .../data/raw/SPR/train_data.csv"
    for path in find(root, ["**/raw/*/train_data.csv", "**/raw/*/test_data.csv"], layout):
        raw = read_table(path, (*_RESULT, *(column for column, _ in _MACHINE.values()), *_CACHES, "SVR.CPU.CPU(s)"))
        score, text = numbers(raw["RESULT.Value"])
        status = np.where(text, raw["RESULT.Value"].astype(str), np.where(np.isnan(score), "no score", "ok"))
        rows = pandas.DataFrame({
            "device": raw["SVR.CPU.CPU Model"].map(device_id), "software": raw["RESULT.WorkloadPreset"],
            "workload": raw["RESULT.WorkloadName"] + "/" + raw["RESULT.TestName"], "latency_s": float("nan"),
            "score": score, "score_unit": _unit(raw), "threads": raw["SVR.CPU.CPU(s)"],
            "collection": f"{path.parent.name}/{path.stem}", "status": status,
        })  # fmt: skip
        for name, (column, scale) in _MACHINE.items():
            rows[name] = numbers(raw[column])[0] * scale
        for name, values in _cache_bytes(raw).items():
            rows[name] = values
        if _INSTALLED in raw:
            for name, values in _modules(raw[_INSTALLED]).items():
                rows[name] = values
        yield rows[rows["device"].map(wanted.device)].reset_index(drop=True)


def device_id(model: str) -> str:
    """``Intel(R) Xeon(R) Platinum 8487C`` is ``xeon-platinum-8487c``."""
    name = re.sub(r"\((r|tm)\)|\bintel\b|\bcpu\b", " ", model.lower())
    return re.sub(r"[^a-z0-9]+", "-", name).strip("-")


def _unit(raw: pd.DataFrame) -> pd.Series:
    """The unit in a test's name, as in ``LLC Bandwidth (MB/s)``; SPEC's scores are ratios to its reference machine."""
    unit: pd.Series = raw["RESULT.TestName"].str.extract(r"\(([^()]*)\)\s*$")[0]
    return unit.where(~raw["RESULT.WorkloadName"].str.startswith("SPEC"), "ratio")


def _cache_bytes(raw: pd.DataFrame) -> dict[str, np.ndarray]:
    """Bytes of one core's L1 data cache and L2 and of one socket's L3."""
    l1d, l2, l3 = (numbers(raw[column])[0] for column in _CACHES)
    sockets = numbers(raw["SVR.CPU.Socket(s)"])[0]
    cores = sockets * numbers(raw["SVR.CPU.Core(s) per Socket"])[0]
    totals = l1d < _TOTALS_BELOW_KIB
    return {
        "machine_l1d_bytes_per_core": np.where(totals, l1d * 2**20 / cores, l1d * 2**10),
        "machine_l2_bytes_per_core": np.where(totals, l2 * 2**20 / cores, l2 * 2**10),
        "machine_l3_bytes_per_socket": np.where(totals, l3 * 2**20 / sockets, l3 * 2**10),
    }


def _modules(installed: pd.Series) -> dict[str, np.ndarray]:
    """Modules of DDR and stacks of HBM, told apart, from ``1024GB (16x64GB DDR5 4800 MT/s [4800 MT/s]); 128GB (8x16GB HBM2
    3200 MT/s [3200 MT/s])``. A kind that is not there has 0 modules, and NaN for the rest."""
    found = {
        (kind, what): np.full(len(installed), 0.0 if what == "count" else np.nan)
        for kind in ("DDR", "HBM")
        for what in ("count", "bytes", "transfers")
    }
    for row, text in enumerate(installed.astype(str)):
        for count, size, kind, rate in _MODULES.findall(text):
            for what, value in (
                ("count", float(count)),
                ("bytes", float(size) * 2**30),
                ("transfers", float(rate) * 1e6),
            ):
                found[kind, what][row] = value
    return {
        "machine_ddr_modules": found["DDR", "count"],
        "machine_ddr_module_bytes": found["DDR", "bytes"],
        "machine_ddr_transfers_per_s": found["DDR", "transfers"],
        "machine_hbm_stacks": found["HBM", "count"],
        "machine_hbm_transfers_per_s": found["HBM", "transfers"],
    }
