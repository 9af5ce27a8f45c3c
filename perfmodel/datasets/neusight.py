"""The adapter of NeuSight's measurements (``datasets/neusight/card.toml``): single PyTorch operators in fp32.

In upstream's files ``N`` is the contraction: their (M, N, K) is (m, k, n) here.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from perfmodel.datasets.adapter import EVERYTHING, Wanted, find, latency_and_status, read_table, translate
from perfmodel.datasets.cards import Card
from perfmodel.datasets.schema import require_pandas

if TYPE_CHECKING:
    import pandas as pd

_MILLISECOND = 1e-3
_FOLDERS = ("dataset", "dataset_amd")
_FAMILY = {"linear": "gemm", "bmm": "gemm", "conv": "conv", "ln": "norm", "softmax": "softmax", "elem": "elementwise"}
_COLUMNS = {
    "gemm": ("B", "M", "N", "K"),
    "conv": ("B", "Input_Channel", "Output_Channel", "Kernel_Szie", "Input_Size", "Stride", "Padding"),  # sic
    "norm": ("B", "H"),
    "softmax": ("B", "H"),
    "elementwise": ("B", "H"),
}


def read(root: str | Path, card: Card, wanted: Wanted = EVERYTHING) -> Iterator[pd.DataFrame]:
    """One table a file: family by family, within each by path.

    Raises:
        TraceError: no table, a name that the card does not know, or a table without the columns expected.
        MissingExtraError: pandas is not installed.
    """
    layout = "table of NeuSight; wanted .../dataset/train/elem.csv, .../dataset/train/collect/bmm/p2.1.0/<GPU>.csv, ..."
    files = _once(find(root, [f"**/{folder}/**/*.csv" for folder in _FOLDERS], layout))
    for family in dict.fromkeys(_FAMILY.values()):
        if wanted.family(family):
            for path in files:
                if _FAMILY.get(_operator(path)) == family:
                    yield _read_file(path, family, card)


def _once(files: list[Path]) -> list[Path]:
    """The files without those that hold rows of others once more: a checkout has operators both by GPU and pooled.

    Products and convolutions are read by GPU where they lie so, the other operators pooled.
    """
    pooled = {(p.parent, p.stem) for p in files if p.parent.name in ("train", "test")}
    by_gpu = {(p.parents[3], _operator(p)) for p in files if p.parts[-4] == "collect"}
    kept = []
    for path in files:
        operator = _operator(path)
        if path.parts[-4] == "collect":
            other = (path.parents[3], operator) in pooled and _FAMILY.get(operator) not in ("gemm", "conv")
        elif path.parent.name == "collect":
            other = True
        else:
            other = (path.parent, operator) in by_gpu and _FAMILY.get(operator) in ("gemm", "conv")
        if not other:
            kept.append(path)
    return kept


def _operator(path: Path) -> str:
    """``bmm`` of .../collect/bmm/p2.1.0/<GPU>.csv, ``elem`` of .../train/elem.csv."""
    return path.parts[-3] if path.parts[-4] == "collect" else path.stem


def _read_file(path: Path, family: str, card: Card) -> pd.DataFrame:
    pandas = require_pandas()
    raw = read_table(path, ("OPName", "Device", "Latency", "Kernel Name", *_COLUMNS[family]))
    start = max(i for i, part in enumerate(path.parts) if part in _FOLDERS)
    collection = "/".join(path.parts[start:]).removesuffix(".csv")
    device = translate(raw["Device"].str.strip(), card.devices, "device", path)
    latency, status = latency_and_status(raw["Latency"], _MILLISECOND)
    head = {"device": device, "software": card.raw["software"][path.parts[start]], "op": family}
    rows = pandas.DataFrame(head, index=raw.index)
    rows["kernel"] = raw["Kernel Name"]
    kernels = raw["Kernels"].astype("string").str.count(";") if "Kernels" in raw else pandas.Series(0, raw.index)
    rows["kernels"] = kernels.astype("Float64").to_numpy(dtype=float, na_value=np.nan)
    rows.loc[rows["kernels"] == 0, "kernels"] = np.nan
    for column, values in _descriptor(raw, family, card, path).items():
        rows[column] = values
    rows["dtype"] = "fp32"
    rows["latency_s"] = latency
    rows["cache"] = "warm"
    rows["launch"] = "eager"
    rows["collection"] = collection
    rows["status"] = status
    return rows


def _descriptor(raw: pd.DataFrame, family: str, card: Card, path: Path) -> dict[str, Any]:
    if family == "gemm":
        return {"batch": raw["B"], "m": raw["M"], "n": raw["K"], "k": raw["N"]}
    if family == "conv":
        size, kernel, stride, padding = (raw[c] for c in ("Input_Size", "Kernel_Szie", "Stride", "Padding"))
        return {
            "batch": raw["B"], "c_in": raw["Input_Channel"], "c_out": raw["Output_Channel"], "h": size, "w": size,
            "kernel_h": kernel, "kernel_w": kernel, "stride_h": stride, "stride_w": stride, "pad_h": padding,
            "pad_w": padding, "groups": 1,
        }  # fmt: skip
    if family == "elementwise":
        names = raw["OPName"]
        kind = translate(names, card.raw["kinds"], "elementwise function", path)
        # Two tensors of the output's size, or one (with a number, where the name ends in u).
        inputs = np.where(names.isin(["add", "mul", "pow", "div"]), 2, 1)
        return {"kind": kind, "elements": raw["B"] * raw["H"], "inputs": inputs}
    return {"kind": "layernorm" if family == "norm" else "softmax", "rows": raw["B"], "cols": raw["H"]}
