"""Our own data set ``iree-cpu``: what the IREE compiler made of generated MLIR modules, a row a module and a row a dispatch.

Its columns are described in ``datasets/iree-cpu/card.toml``; :mod:`perfmodel.collecting.compiled` makes it.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from perfmodel._resources import data_path
from perfmodel.datasets.parquet import read_parquet
from perfmodel.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

NAME = "iree-cpu"
MODULES, DISPATCHES = "modules.parquet", "dispatches.parquet"


@dataclass(frozen=True)
class CompiledModules:
    """The data set.

    Attributes:
        modules: a row a module, by ``module``.
        dispatches: a row a dispatch, by ``module`` and ``dispatch``.
        card: what its columns mean and what to mind.
    """

    modules: pd.DataFrame
    dispatches: pd.DataFrame
    card: dict[str, Any]


def load_compiled(folder: str | Path | None = None) -> CompiledModules:
    """Reads the data set, or a folder that `perfmodel collect-mlir` wrote.

    Args:
        folder: with the two tables; None: the shipped one.

    Raises:
        InputError: the folder has not both.
        MissingExtraError: pandas is not installed.
    """
    shipped = data_path("datasets", NAME)
    found = shipped if folder is None else Path(folder)
    for name in (MODULES, DISPATCHES):
        if not (found / name).is_file():
            raise InputError(f"{found / name}: no such file; wanted a folder that `perfmodel collect-mlir` wrote")
    card = tomllib.loads((shipped / "card.toml").read_text(encoding="utf-8"))
    return CompiledModules(read_parquet(found / MODULES), read_parquet(found / DISPATCHES), card)
