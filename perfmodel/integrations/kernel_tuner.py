"""A search strategy of Kernel Tuner: perfmodel ranks the space, measures what it suggests, and learns as it goes.

>>> from kernel_tuner import tune_kernel
>>> from perfmodel.integrations.kernel_tuner import Strategy
>>> strategy = Strategy(perfmodel.Gemm(m=512, n=512, k=512), "epyc-7763", space="cpu_blocked_gemm")  # doctest: +SKIP
>>> tune_kernel(..., strategy=strategy, strategy_options={"max_fevals": 30})  # doctest: +SKIP

What cannot run on the device (over shared memory, say) is never compiled. Kernel Tuner is imported when a search starts.
"""

from __future__ import annotations

import numbers
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from perfmodel.errors import InputError, MissingExtraError, checked_methods
from perfmodel.hardware.device import Device
from perfmodel.ops.base import Operator
from perfmodel.rank.pretrained import Pretrained
from perfmodel.rank.ranker import Ranker
from perfmodel.rank.space import Space

MILLISECOND = 1e-3
"""Kernel Tuner's unit of time, in seconds."""


@checked_methods()
class Strategy:
    """What ``tune_kernel(strategy=…)`` takes: an object with a method ``tune``.

    It stops at Kernel Tuner's own limits (``max_fevals``, ``time_limit``), or when everything that can run was measured.

    Args:
        op: the problem that the kernel computes.
        device: where it runs: an id of the catalogue, a device TOML, or its record.
        space: what the tunable parameters mean (docs/ranking.md); None: the shipped space with their names.
        pretrained: what other devices taught, as for :class:`~perfmodel.rank.Ranker`.

    Attributes:
        ranker: of the last search, with what it learned; None before one.
    """

    def __init__(
        self, op: Operator, device: Device | str, *, space: Space | Path | str | Mapping[str, Any] | None = None,
        pretrained: Pretrained | str = "default",
    ) -> None:  # fmt: skip
        self.op: Operator = op
        self.device: Device | str = device
        self.pretrained: Pretrained | str = pretrained
        self.space: str | Space | Mapping[str, Any] | None = str(space) if isinstance(space, Path) else space
        self.ranker: Ranker | None = None

    def tune(self, searchspace: Any, runner: Any, tuning_options: Any) -> list[dict[str, Any]]:
        """Kernel Tuner's entry: searches until its budget is spent.

        Args:
            searchspace: Kernel Tuner's, with its restrictions applied.
            runner: what compiles and measures.
            tuning_options: objective and budget.

        Raises:
            InputError: the objective is not the time, or the parameters do not fit the space.
            MissingExtraError: Kernel Tuner is not installed.
        """
        try:
            from kernel_tuner.strategies.common import CostFunc
            from kernel_tuner.util import StopCriterionReached
        except ImportError:
            raise MissingExtraError("kernel_tuner", "kernel-tuner", "a search inside Kernel Tuner") from None
        objective = tuning_options["objective"]
        if objective not in ("time", ["time"], ("time",)):
            raise InputError(f"perfmodel's strategy minimises Kernel Tuner's objective 'time'; got {objective!r}")
        configurations = searchspace.list
        names = list(searchspace.tune_params)
        self.ranker = Ranker(
            self.op, columns(names, configurations), self.device, space=self.space, pretrained=self.pretrained
        )
        cost = CostFunc(searchspace, tuning_options, runner, scaling=False, snap=False)
        try:
            while len(rows := self.ranker.suggest()):
                milliseconds = cost.eval(configurations[rows[0]], check_restrictions=False)
                self.ranker.observe(rows, [seconds(milliseconds)])
        except StopCriterionReached:
            pass
        results: list[dict[str, Any]] = cost.results
        return results


def columns(names: Sequence[str], configurations: Sequence[Sequence[Any]]) -> dict[str, np.ndarray]:
    """Configurations as columns, shape ``[configurations]`` each; parameters that are no numbers are left out.

    Raises:
        InputError: there is no configuration.
    """
    if not len(configurations):
        raise InputError("Kernel Tuner's restrictions leave no configuration to search")
    return {
        name: np.array([c[place] for c in configurations], dtype=np.float64)
        for place, name in enumerate(names)
        if all(isinstance(c[place], numbers.Real) for c in configurations)
    }


def seconds(milliseconds: Any) -> float:
    """A measured time of Kernel Tuner; NaN for its marks of failure, which are huge or no number."""
    if not isinstance(milliseconds, numbers.Real) or not 0 < float(milliseconds) < 1e18:
        return float("nan")
    return MILLISECOND * float(milliseconds)
