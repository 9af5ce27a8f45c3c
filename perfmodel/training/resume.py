"""What an interrupted training keeps: finished pieces in a folder, each under a hash of everything that it depends on.

A piece is a JSON object with arrays beside it (``.npz``, read without pickle). A piece whose rows, constants, parameters,
seed, code or package versions differ has another name, so that nothing stale is ever taken.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import warnings
import zipfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, fields, is_dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from perfmodel.models import artefact

if TYPE_CHECKING:
    import pandas as pd

FOLDER = ".partial"
_MOST_BYTES = 4 * 2**30
_ARRAYS = re.compile(r"[0-9a-f]{32}\.npz")
_CUT_SHORT = re.compile(r"\.[0-9a-f]{32}\.(json|npz)\.\d+\.\d+\.tmp")
"""A piece that was being written when its process was killed."""
LOCKED = ("numpy", "pandas", "pyarrow", "scipy", "xgboost-cpu", "xgboost")
"""Packages whose versions decide a booster's bytes."""
_CODE = (
    "models",
    "ops",
    "features",
    "datasets/splits.py",
    "training",
    "train.py",
    "transfer.py",
    "evaluate.py",
    "plotted.py",
    "dtypes.py",
)
"""Sources that decide them, too."""


@dataclass(frozen=True)
class Pieces:
    """The folder of finished pieces; None keeps nothing."""

    folder: Path | None

    def load(self, key: str) -> tuple[dict[str, Any], dict[str, np.ndarray]] | None:
        """A piece, or None where there is no whole one under this key."""
        if self.folder is None:
            return None
        try:
            data = json.loads((self.folder / f"{key}.json").read_bytes())
            with zipfile.ZipFile(self.folder / f"{key}.npz") as members:
                if sum(member.file_size for member in members.infolist()) > _MOST_BYTES:
                    return None
            with warnings.catch_warnings(), np.load(self.folder / f"{key}.npz", allow_pickle=False) as arrays:
                warnings.simplefilter("error")  # no piece of ours has a header of Python 2
                return data, dict(arrays)
        except Exception:  # a damaged archive raises whatever its parts do, and is none: the piece is made again
            return None

    def store(self, key: str, data: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
        """Keeps a piece."""
        if self.folder is None:
            return
        buffer = io.BytesIO()
        np.savez(buffer, allow_pickle=False, **dict(arrays))
        artefact.write_file(self.folder, f"{key}.npz", buffer.getvalue())
        # Last: a piece without its JSON is none.
        artefact.write_json(self.folder, f"{key}.json", data)

    def remove(self) -> None:
        """Removes the pieces, and the folder where nothing else is in it: it may be one that somebody keeps other things in."""
        if self.folder is None:
            return
        with suppress(OSError):  # what stays is in nobody's way
            for path in list(self.folder.iterdir()):
                if _ARRAYS.fullmatch(path.name):
                    path.with_suffix(".json").unlink(missing_ok=True)
                    path.unlink()
                elif _CUT_SHORT.fullmatch(path.name):
                    path.unlink()
            self.folder.rmdir()


def fingerprint(*things: Any) -> str:
    """A hash of values (records by all of their fields), of trace tables (by their rows), and of code and package versions."""
    digest = hashlib.sha256(_environment().encode())
    for thing in things:
        if hasattr(thing, "columns"):
            digest.update(_of_rows(thing))
        else:
            digest.update(_spelled(thing).encode())
        digest.update(b"\0")
    return digest.hexdigest()[:32]


def _spelled(thing: Any) -> str:
    """A value with everything that is in it: what a record prints of itself may be a line for people."""
    if is_dataclass(thing):
        return f"{type(thing).__name__}({', '.join(f'{f.name}={_spelled(getattr(thing, f.name))}' for f in fields(thing))})"
    if isinstance(thing, (list, tuple)):
        return f"[{', '.join(map(_spelled, thing))}]"
    return repr(thing)


def _of_rows(table: pd.DataFrame) -> bytes:
    from pandas.util import hash_pandas_object

    digest = hashlib.sha256(repr(list(table.columns)).encode())
    digest.update(hash_pandas_object(table, index=False).to_numpy().tobytes())
    return digest.digest()


@cache
def _environment() -> str:
    import perfmodel

    root = Path(perfmodel.__file__).parent
    digest = hashlib.sha256(json.dumps(locked_versions(), sort_keys=True).encode())
    for name in _CODE:
        path = root / name
        for source in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
            digest.update(source.read_bytes())
    return digest.hexdigest()


def locked_versions() -> dict[str, str]:
    """Versions of the packages that decide the boosters' bytes; absent ones are left out."""
    found = {}
    for package in LOCKED:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
