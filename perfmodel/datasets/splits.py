"""Splits of traces into what is trained on and what is judged: whole groups are held out, never single rows.

A group is what a model's layer fixes and a request does not: a GEMM's weight (n, k), an attention's heads, a mixture's
experts. Its rows differ in batch, tokens and lengths, between which a model interpolates easily; a whole group held out
asks for shapes that were never seen.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from perfmodel.errors import InputError, checked_keywords, nearest

if TYPE_CHECKING:
    import pandas as pd

FOLDS = 5
TRAIN, TEST = "train", "test"
BANDS_PER_OCTAVE = 4

GROUP_COLUMNS: dict[str, tuple[str, ...]] = {
    "gemm": ("n", "k"),
    "conv": ("c_in", "c_out", "kernel_h", "kernel_w"),
    # Not the phase: a model's heads are the same in prefill and decode.
    "attention": ("heads", "kv_heads", "head_dim", "window"),
    "moe": ("hidden", "intermediate", "experts", "top_k"),
    "norm": ("cols",),
    "softmax": ("cols",),
    "elementwise": ("elements",),
    "reduce": ("cols",),
    "pool": ("channels", "kernel_h", "kernel_w"),
    "copy": ("elements",),
    "embedding": ("cols",),
    "rnn": ("input_size", "hidden_size"),
    "quantize": ("cols",),
    "collective": ("kind", "ranks"),
}
"""By family, the columns whose values make a group."""

BANDED = frozenset(("elements",))
"""Columns that hold one number a shape: their groups are bands of a quarter of an octave, since single numbers held out
would lie between their neighbours."""


@checked_keywords()
def group_keys(table: pd.DataFrame) -> np.ndarray:
    """The group of each row, as a text that is the same wherever and whenever the group occurs.

    Args:
        table: operator traces of any families, with their columns of :data:`GROUP_COLUMNS`.

    Returns:
        Texts of shape ``[rows]``: ``4096x1024`` for a GEMM (n, k), ``attention:32x8x128x-`` for others; ``-`` is null.

    Raises:
        InputError: a family without groups, or a column that is missing.
    """
    keys = np.empty(len(table), dtype=object)
    codes, families = table["op"].factorize()
    for code, family in enumerate(map(str, families)):
        if family not in GROUP_COLUMNS:
            raise InputError(f"there are no groups of the family {family!r}: {nearest(family, GROUP_COLUMNS)}")
        rows = np.flatnonzero(codes == code)
        prefix = "" if family == "gemm" else f"{family}:"
        # Few groups, many rows: texts are made of the distinct combinations only.
        combined = np.zeros(len(rows), dtype=np.int64)
        texts = np.array([prefix], dtype=object)
        for position, name in enumerate(GROUP_COLUMNS[family]):
            if name not in table.columns and name not in _MAY_BE_ABSENT:
                raise InputError(f"the groups of {family} need the column {name!r}, which the table lacks")
            values = table[name].iloc[rows] if name in table.columns else table["op"].iloc[rows].map(lambda _: None)
            of_row, names = _texts(values, banded=name in BANDED)
            distinct, combined = np.unique(combined * len(names) + of_row, return_inverse=True)
            joint = "x" if position else ""
            texts = texts[distinct // len(names)] + joint + names[distinct % len(names)]
        keys[rows] = texts[combined]
    return keys


_MAY_BE_ABSENT = frozenset(("window",))
"""A table that knows no windows has none."""


def _texts(values: Any, *, banded: bool) -> tuple[np.ndarray, np.ndarray]:
    """Which text each value has, and the texts: whole numbers without a point, nulls as ``-`` (the last)."""
    codes, distinct = values.factorize()
    names = []
    for value in distinct.tolist():
        if isinstance(value, str):
            names.append(value)
        elif banded:
            names.append(str(int(np.floor(BANDS_PER_OCTAVE * np.log2(float(value))))))
        else:
            names.append(str(int(value)) if float(value).is_integer() else repr(float(value)))
    texts = np.array([*names, "-"], dtype=object)
    return np.where(codes < 0, len(names), codes), texts


@checked_keywords()
def folds_of(keys: np.ndarray, *, seed: int = 0, folds: int = FOLDS) -> np.ndarray:
    """Fold of each row: a hash of its group, so that a group is in one fold in every file of every device.

    Args:
        keys: texts, shape ``[rows]`` (:func:`group_keys`). A fold is empty where the groups are few.
        seed: another seed gives another partition.
        folds: how many parts.
    """
    known = {key: _hash(f"{seed}:{key}") % folds for key in dict.fromkeys(keys.tolist())}
    return np.fromiter(map(known.__getitem__, keys.tolist()), dtype=np.int64, count=len(keys))


def _hash(text: str) -> int:
    # Python's own hash differs from run to run.
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")


# --------------------------------------------------------------------------------------------------- what is left out whole
# Tables stand apart by operator, as training takes them.
Tables = dict[str, "pd.DataFrame"]


@checked_keywords()
def rows_where(tables: Tables, chosen: Mapping[str, np.ndarray]) -> Tables:
    """The rows of some tables for which a bool of each is true; tables without any are left out."""
    return {op: table[chosen[op]] for op, table in tables.items() if chosen[op].any()}


@checked_keywords()
def without(tables: Tables, labels: Mapping[str, np.ndarray], name: str) -> tuple[Tables, Tables]:
    """The rows without a label, to train on, and those with it, to judge.

    Args:
        tables: by operator.
        labels: texts of each, shape ``[rows]``.
        name: the label that is held out.
    """
    out = {op: labels[op] == name for op in tables}
    return rows_where(tables, {op: ~rows for op, rows in out.items()}), rows_where(tables, out)


@checked_keywords()
def names_of(labels: Mapping[str, np.ndarray]) -> list[str]:
    """The distinct labels of all tables, sorted."""
    return sorted({str(name) for values in labels.values() for name in set(values.tolist())})


@checked_keywords()
def sources_of(tables: Tables) -> dict[str, np.ndarray]:
    """The data set of each row, apart by vendor where a set measured several: those had software of their own.

    Returns:
        By operator, texts of shape ``[rows]``: ``"aiconfigurator"``, ``"neusight (AMD)"``.

    Raises:
        DeviceError: a device that the catalogue lacks.
    """
    from perfmodel.hardware import load_device

    both: dict[str, np.ndarray] = {}
    vendors: dict[str, set[str]] = {}
    for op, table in tables.items():
        source, device = table["source"].astype(str), table["device"].astype(str)
        vendor = device.map({d: load_device(d).vendor for d in device.unique()})
        for s, v in set(zip(source, vendor, strict=True)):
            vendors.setdefault(s, set()).add(v)
        both[op] = (source + "|" + vendor).to_numpy(dtype=object)
    named = {
        f"{s}|{v}": f"{s} ({v})" if len(all_of_them) > 1 else s
        for s, all_of_them in vendors.items()
        for v in all_of_them
    }
    return {op: np.array([named[text] for text in texts.tolist()], dtype=object) for op, texts in both.items()}


@checked_keywords()
def overlapping(train: Tables, test: Tables) -> Tables:
    """The rows to judge whose operator and dtype are among the rows to train on."""
    known = {op: train[op]["dtype"].astype(str).unique() for op in test if op in train}
    return rows_where(
        {op: test[op] for op in known},
        {op: test[op]["dtype"].astype(str).isin(dtypes).to_numpy() for op, dtypes in known.items()},
    )


@checked_keywords()
def upstream_split(table: pd.DataFrame) -> np.ndarray:
    """``train`` or ``test`` as the data set's own folders have it (NeuSight's ``dataset/train/...``); shape ``[rows]``.

    Raises:
        InputError: a row whose ``collection`` says neither.
    """
    found = table["collection"].astype("string").str.extract(rf"(?:^|/)({TRAIN}|{TEST})/", expand=False)
    if found.isna().any():
        example = table["collection"][found.isna().to_numpy()].iloc[0]
        raise InputError(f"the collection {example!r} belongs to neither upstream's {TRAIN} nor its {TEST} files")
    return found.to_numpy(dtype=object)
