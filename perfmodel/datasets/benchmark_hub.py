"""The adapter of the benchmark hub of auto-tuning (``datasets/benchmark_hub/card.toml``): whole kernel-tuning spaces.

Upstream keeps one Kernel Tuner cache file (JSON, often gzipped) a kernel and GPU; copies re-encoded as Parquet, with one
column a field, are read too. A configuration that failed holds the error's name in place of its time.
"""

from __future__ import annotations

import gzip
import json
import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from perfmodel.datasets import columns as c
from perfmodel.datasets.adapter import EVERYTHING, Wanted, find, latency_and_status, read_table
from perfmodel.datasets.cards import Card
from perfmodel.datasets.schema import require_pandas
from perfmodel.errors import TraceError

if TYPE_CHECKING:
    import pandas as pd

_MILLISECOND = 1e-3
_MAX_BYTES = 2**30
# What each tuned kernel computes (upstream's kernels/convolution_milo.json and kernels/gemm.py): an image of 4096 x 4096
# outputs from one that is 14 larger on either axis; C = A · B^T of 4096 each, A and B stored by columns.
_KERNELS: dict[str, dict[str, Any]] = {
    "gemm": {
        "op": "gemm", "kernel": "Xgemm", "batch": 1, "m": 4096, "n": 4096, "k": 4096, "dtype": "fp32", "layout": "nt",
    },
    "convolution_milo": {
        "op": "conv", "kernel": "convolution_kernel", "batch": 1, "c_in": 1, "c_out": 1, "h": 4110, "w": 4110, "kernel_h": 15,
        "kernel_w": 15, "stride_h": 1, "stride_w": 1, "pad_h": 0, "pad_w": 0, "groups": 1, "dtype": "fp32",
    },
}  # fmt: skip


def read(root: str | Path, card: Card, wanted: Wanted = EVERYTHING) -> Iterator[pd.DataFrame]:
    """One table a kernel and GPU, the GEMMs first. A row is one configuration of the kernel.

    Raises:
        TraceError: no file, a GPU that the card does not know, or a file that cannot be read.
        MissingExtraError: pandas is not installed.
    """
    names = "|".join(_KERNELS)
    files = find(
        root,
        [f"**/*{kernel}*{ending}" for kernel in _KERNELS for ending in (".parquet", "/*.json", "/*.json.gz")],
        "tuning space of the benchmark hub; wanted .../<kernel>/<GPU>.json(.gz) or <kernel>_<GPU>.parquet",
    )
    found = []
    for path in files:
        # <kernel>/<GPU>.json as upstream has it, or <kernel>_<GPU>.parquet.
        text = path.name if path.suffix == ".parquet" else f"{path.parent.name}_{path.name}"
        match = re.fullmatch(rf"(?:cachefiles_)?({names})_(.+?)\.(?:parquet|json|json\.gz)", text)
        # Upstream has each space a second time in the FAIR format (`_T4`), and metadata of some.
        if match is not None and not match[2].endswith(("_T4", "-metadata", "-results")):
            found.append((list(_KERNELS).index(match[1]), match[1], match[2], path))
    for _, kernel, gpu, path in sorted(found):
        if not wanted.family(_KERNELS[kernel]["op"]):
            continue
        if gpu not in card.devices:
            raise TraceError(f"{path}: the card names no device for {gpu!r}: {', '.join(card.devices)}")
        if wanted.device(card.devices[gpu]):
            yield _table(path, kernel, gpu, card)


def _table(path: Path, kernel: str, gpu: str, card: Card) -> pd.DataFrame:
    pandas = require_pandas()
    raw = read_table(path, ("time",)) if path.suffix == ".parquet" else _read_cache(path, pandas)
    latency, status = latency_and_status(raw["time"], _MILLISECOND)
    rows = pandas.DataFrame({"device": card.devices[gpu], "software": card.raw["software"][gpu]}, index=raw.index)
    for column, value in _KERNELS[kernel].items():
        rows[column] = value
    for name in card.configuration:
        if name in raw:
            rows[f"{c.CONFIGURATION}{name}"] = raw[name]
    if "times" in raw:
        times = [np.asarray(t, dtype=float) if isinstance(t, list) and t else None for t in raw["times"]]
        rows["samples"] = [np.nan if t is None else len(t) for t in times]
        rows["latency_rel_std"] = [np.nan if t is None else t.std() / t.mean() for t in times]
    rows["latency_s"] = latency
    rows["cache"] = "warm"
    rows["collection"] = f"{kernel}/{gpu}"
    rows["status"] = status
    return rows


def _read_cache(path: Path, pandas: Any) -> pd.DataFrame:
    """The configurations of a Kernel Tuner cache file, in the file's order."""
    try:
        with path.open("rb") as file:
            data = (gzip.GzipFile(fileobj=file) if path.suffix == ".gz" else file).read(_MAX_BYTES + 1)
    except OSError as error:
        raise TraceError(f"{path} cannot be read: {error.strerror or error}") from None
    except (EOFError, zlib.error):
        raise TraceError(f"{path} is cut short or damaged") from None
    if len(data) > _MAX_BYTES:
        raise TraceError(f"{path} holds more than {_MAX_BYTES >> 20} MiB")
    text = data.decode("utf-8", errors="replace").strip()
    try:
        try:
            content = json.loads(text)
        except ValueError:
            # Kernel Tuner appends while it tunes and closes the two braces at the end: a session may have been stopped.
            content = json.loads(text.rstrip(",") + "}}")
        entries = list(content["cache"].values())
        table: pd.DataFrame = pandas.DataFrame(entries)
        table["time"] = [t.get("__error__") if isinstance(t, dict) else t for t in table["time"]]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise TraceError(f"{path} is no Kernel Tuner cache file: {error!r}") from None
    return table
