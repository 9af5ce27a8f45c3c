"""The adapter of the AIConfigurator tables (``datasets/aiconfigurator/card.toml``): its GEMM files as operator traces."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from perfmodel._resources import data_path
from perfmodel.datasets.schema import check_traces, first_line, require_pandas
from perfmodel.errors import TraceError

if TYPE_CHECKING:
    import pandas as pd

SOURCE = "aiconfigurator"
_UPSTREAM_COLUMNS = ("gemm_dtype", "m", "n", "k", "latency")


def card() -> dict[str, Any]:
    """The data set's card."""
    return tomllib.loads(data_path("datasets", SOURCE, "card.toml").read_text())


def gemm_files(root: str | Path) -> list[Path]:
    """The GEMM tables below a folder: a checkout of the repository, its ``systems/data`` or anything between.

    Raises:
        TraceError: there is none.
    """
    # Absolute, since the system's name may be that of the folder one stands in.
    files = sorted(Path(root).absolute().glob("**/gemm/*/*/gemm_perf.parquet"))
    if not files:
        raise TraceError(
            f"{root} holds no GEMM table of AIConfigurator; wanted .../<system>/gemm/<framework>/<version>/gemm_perf.parquet"
        )
    return files


def read_gemm(root: str | Path) -> pd.DataFrame:
    """All GEMM rows below a folder as operator traces.

    Rows keep the files' order; systems and dtypes that the card does not name are refused.

    Raises:
        TraceError: no table, a system or dtype that the card does not know, or a table without the columns expected.
        MissingExtraError: pandas is not installed.
    """
    pandas = require_pandas()
    names = card()
    parts = [_read_file(path, names, pandas) for path in gemm_files(root)]
    table: pd.DataFrame = pandas.concat(parts, ignore_index=True)
    for column in ("device", "software", "op", "dtype", "cache", "collection", "source", "kernel"):
        table[column] = table[column].astype("category")
    check_traces(table, str(root))
    return table


def _read_file(path: Path, names: dict[str, Any], pandas: Any) -> pd.DataFrame:
    system, _, framework, version = path.parts[-5:-1]
    device = names["devices"].get(system)
    if device is None:
        raise TraceError(f"{path}: the card names no device for the system {system!r}: {', '.join(names['devices'])}")
    if framework not in names["cache"]:
        raise TraceError(f"{path}: the card names no cache state for {framework!r}: {', '.join(names['cache'])}")
    try:
        raw = pandas.read_parquet(path)
    except (OSError, ValueError) as error:
        raise TraceError(f"{path} is no readable Parquet table: {first_line(error)}") from None
    missing = [c for c in _UPSTREAM_COLUMNS if c not in raw.columns]
    if missing:
        raise TraceError(f"{path}: column {missing[0]!r} is missing; found {', '.join(map(str, raw.columns))}")
    dtypes = raw["gemm_dtype"].map(names["dtypes"])
    if dtypes.isna().any():
        raise TraceError(f"{path}: the card names no dtype for {raw['gemm_dtype'][dtypes.isna()].iloc[0]!r}")
    rows: pd.DataFrame = pandas.DataFrame(
        {
            "device": device,
            "software": f"{framework}-{version}",
            "op": "gemm",
            "kernel": raw.get("kernel_source"),
            "batch": 1,
            "m": raw["m"],
            "n": raw["n"],
            "k": raw["k"],
            "dtype": dtypes,
            "latency_s": raw["latency"] * 1e-3,
            "power_w": raw["power"] if "power" in raw else float("nan"),
            "power_limit_w": raw["power_limit"] if "power_limit" in raw else float("nan"),
            "cache": names["cache"][framework],
            "source": SOURCE,
            "collection": f"{system}/{framework}/{version}",
        }
    )
    return rows
