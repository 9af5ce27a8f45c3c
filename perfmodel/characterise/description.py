"""A module as the characteriser sees it: its dispatches with their features, read from the text alone."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np

from perfmodel.errors import ModelFileError
from perfmodel.features.lowering.features import DispatchFeatures, features_of, names
from perfmodel.features.lowering.forming import dispatches_of
from perfmodel.features.lowering.nests_of import nests_of
from perfmodel.features.lowering.target import CompileTarget
from perfmodel.features.lowering.tiling import Tiling
from perfmodel.features.mlir.source import read


@dataclass(frozen=True)
class Description:
    """What a compiler would make of a module, as far as its heuristics tell.

    Attributes:
        names: of its dispatches, in order: the root's operation and extents.
        dispatches: their features.
        unknown: operations that are neither loop nests nor bookkeeping, with how often each occurs; they are in no dispatch.
    """

    names: tuple[str, ...]
    dispatches: tuple[DispatchFeatures, ...]
    unknown: Counter[str]

    @property
    def distinct(self) -> np.ndarray:
        """Of each dispatch the number of the distinct one that it is, counted in order: the compiler keeps equal code once."""
        numbers: dict[tuple[Any, ...], int] = {}
        keys = [(name, d.tiling, *d.values.values()) for name, d in zip(self.names, self.dispatches, strict=True)]
        return np.array([numbers.setdefault(key, len(numbers)) for key in keys])

    @property
    def is_new(self) -> np.ndarray:
        """Of each dispatch, whether none before it is the same."""
        distinct = self.distinct
        return np.isin(np.arange(len(distinct)), np.unique(distinct, return_index=True)[1])

    @property
    def matrix(self) -> np.ndarray:
        """Features, shape ``[dispatches, features]``, in the order of :func:`perfmodel.features.lowering.features.names`."""
        rows = [list(d.values.values()) for d in self.dispatches]
        return np.array(rows, dtype=np.float64).reshape(len(rows), len(names()))


def describe(
    source: str | os.PathLike[str] | bytes | Any,
    target: CompileTarget,
    *,
    entry: str | None = None,
    tiling: Tiling | None = None,
) -> Description:
    """Reads a module and finds its dispatches.

    Args:
        source: a path, the text, bytecode, or a live module of MLIR's Python bindings.
        target: what it would be compiled for.
        entry: the function; None means ``main`` or ``forward``, or the one that nothing else calls.
        tiling: tile sizes in place of the heuristic's, for a module of one dispatch.

    Raises:
        ModelFileError: the module cannot be read, or holds nothing that becomes code.
        InputError: a tensor has an open dimension, or tiles were given that do not fit.
    """
    module = read(source)
    found = nests_of(module, entry)
    dispatches = dispatches_of(found)
    if not dispatches:
        listed = ", ".join(sorted(found.unknown)[:6])
        reason = f"its operations ({listed}) are none of linalg, tensor or arith" if listed else "it computes nothing"
        raise ModelFileError(f"{module.filename}: no operation becomes code that is characterised; {reason}")
    chosen = tiling if tiling is not None and len(dispatches) == 1 else None
    return Description(
        tuple(d.name for d in dispatches),
        tuple(features_of(d, target, chosen) for d in dispatches),
        found.unknown,
    )


def module_vector(matrix: np.ndarray, executed: np.ndarray) -> np.ndarray:
    """Features of a whole module: those of its dispatches, weighted by the instructions that each executes, and totals.

    Args:
        matrix: features of the dispatches, shape ``[dispatches, features]``.
        executed: instructions of each, shape ``[dispatches]``.
    """
    total = max(float(executed.sum()), 1.0)
    mean = (matrix * (executed / total)[:, None]).sum(axis=0)
    columns = names()
    sizes = [
        float(np.log1p(np.expm1(matrix[:, columns.index(name)]).sum()))
        for name in ("ln_bytes", "ln_iterations", "ln_flops", "ln_executed_vectors")
    ]
    return np.array([np.log1p(total), np.log1p(len(matrix)), *sizes, *mean])


def module_names() -> tuple[str, ...]:
    """Names of :func:`module_vector`'s features."""
    return (
        "ln_executed", "ln_dispatches", "ln_all_bytes", "ln_all_iterations", "ln_all_flops", "ln_all_executed_vectors",
        *names(),
    )  # fmt: skip
