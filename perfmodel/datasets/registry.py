"""Which data sets there are: one line each, and an adapter module each."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from perfmodel.datasets.adapter import Wanted
from perfmodel.datasets.cards import Card
from perfmodel.errors import InputError, nearest

if TYPE_CHECKING:
    import pandas as pd

    Reader = Callable[[Path, Card, Wanted], Iterator[pd.DataFrame]]
    Lists = Callable[[str], pd.DataFrame]

ADAPTERS = {
    "accelwattch": "perfmodel.datasets.accelwattch",
    "aiconfigurator": "perfmodel.datasets.aiconfigurator",
    "benchmark_hub": "perfmodel.datasets.benchmark_hub",
    "energaizer": "perfmodel.datasets.energaizer",
    "gpperf": "perfmodel.datasets.gpperf",
    "neusight": "perfmodel.datasets.neusight",
    "neusight_models": "perfmodel.datasets.neusight_models",
    "perfcastdb": "perfmodel.datasets.perfcastdb",
    "zeus": "perfmodel.datasets.zeus",
}
"""Module of each data set's adapter; its card is ``datasets/<name>/card.toml``."""
OWN = ("iree-cpu",)
"""Our own measurements that are no traces of operators or runs: their tables stand beside their cards, whole
(:mod:`perfmodel.datasets.compiled`)."""


def reader(name: str) -> Reader:
    """The adapter's ``read``.

    Raises:
        InputError: there is no such data set.
    """
    if name not in ADAPTERS:
        raise InputError(f"unknown data set {name!r}: {nearest(name, ADAPTERS)}")
    read: Reader = import_module(ADAPTERS[name]).read
    return read


def operator_lists(name: str, root: Path, card: Card) -> Lists | None:
    """The operator tables of a set of run traces, by the reference in their column ``operators``; None where it has none."""
    lists = getattr(import_module(ADAPTERS[name]), "operator_lists", None)
    return None if lists is None else lists(root, card)
