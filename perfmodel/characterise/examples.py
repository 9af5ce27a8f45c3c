"""What a characteriser is trained and judged on: compiled modules with their features, in arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from perfmodel.characterise.description import module_vector
from perfmodel.features.lowering.features import names


@dataclass(frozen=True)
class Examples:
    """Modules, and those of their dispatches whose code was found.

    Attributes:
        families: of each module.
        texts: of each module.
        matrix: features of the dispatches that the features predict, shape ``[dispatches, features]``.
        module_of: of each of them, the number of its module.
        is_new: of each dispatch, whether none of its module before it is the same; equal code stands in a file once.
        counts: measured by dispatch, by the target's name; NaN where the dispatch was not found in the compiled module.
        totals: measured by module, by the target's name; NaN where unknown.
        unread: names of modules that are left out, with the reason.
        same_count: of each module, whether the compiler made as many dispatches as the features predict.
    """

    families: np.ndarray
    texts: tuple[str, ...]
    matrix: np.ndarray
    module_of: np.ndarray
    is_new: np.ndarray
    counts: dict[str, np.ndarray]
    totals: dict[str, np.ndarray]
    same_count: np.ndarray
    unread: dict[str, str] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.texts)

    def dispatches(self, modules: np.ndarray) -> np.ndarray:
        """Numbers of the dispatches of some modules."""
        chosen = np.zeros(len(self), dtype=bool)
        chosen[modules] = True
        return np.flatnonzero(chosen[self.module_of])

    def sums(self, values: np.ndarray, *, once: bool = False) -> np.ndarray:
        """Values of dispatches added up by module, shape ``[modules]``; ``once``: equal dispatches count once."""
        if once:
            values = np.where(self.is_new, values, 0.0)
        return np.bincount(self.module_of, weights=values, minlength=len(self))

    def module_matrix(self, executed: np.ndarray) -> np.ndarray:
        """Features of the modules, given the instructions that each dispatch executes; shape ``[modules, features]``."""
        width = 6 + len(names())
        result = np.zeros((len(self), width))
        order = np.argsort(self.module_of, kind="stable")
        bounds = np.searchsorted(self.module_of[order], np.arange(len(self) + 1))
        for module in range(len(self)):
            mine = order[bounds[module] : bounds[module + 1]]
            if len(mine):
                result[module] = module_vector(self.matrix[mine], executed[mine])
        return result


def folds_of_shapes(examples: Examples, count: int, seed: int) -> np.ndarray:
    """A fold for each module, at random; modules of the same text are never apart."""
    texts = {text: i for i, text in enumerate(dict.fromkeys(examples.texts))}
    order = np.random.default_rng(seed).permutation(len(texts)) % count
    return np.array([order[texts[text]] for text in examples.texts])


def folds_of_families(examples: Examples, count: int | None = None) -> np.ndarray:
    """A fold for each module: whole families, each alone (``count`` None) or so many folds of them."""
    known: Sequence[str] = sorted(set(examples.families.tolist()))
    number = {family: (i if count is None else i % count) for i, family in enumerate(known)}
    return np.array([number[family] for family in examples.families.tolist()])
