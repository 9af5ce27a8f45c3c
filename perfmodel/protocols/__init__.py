"""The protocols of ``perfmodel evaluate``: what is held out, and what is trained on to predict it.

A protocol is a module with one function,

    judge(task) -> list of JudgedRows

that predicts every row or run with a predictor that saw none of what is held out. :data:`PROTOCOLS` names them; the splits
themselves stand in :mod:`perfmodel.datasets.splits`.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING

from perfmodel.errors import InputError, nearest

if TYPE_CHECKING:
    from perfmodel.evaluate import JudgedRows
    from perfmodel.protocols.task import Task


@dataclass(frozen=True)
class Protocol:
    """One way of holding out.

    Attributes:
        name: for ``--protocol``.
        holds_out: what is held out, for ``--help`` and the documentation.
        module: has ``judge``.
        by: what results are grouped by unless ``--by`` says otherwise.
        targets: what is judged; the means over groups are those of the first.
    """

    name: str
    holds_out: str
    module: str
    by: tuple[str, ...]
    targets: tuple[str, ...] = ("latency",)

    def judge(self, task: Task) -> list[JudgedRows]:
        """What was held out, with predictions that never saw it."""
        judged: list[JudgedRows] = import_module(f"perfmodel.protocols.{self.module}").judge(task)
        return judged


_TABLES = ("device", "dtype", "software")
PROTOCOLS = {
    protocol.name: protocol
    for protocol in (
        Protocol(
            "shapes", "whole groups of shapes, a GEMM's (n, k) for one, in every table (five folds)", "shapes", _TABLES
        ),
        Protocol("device", "each device, while its siblings stay", "device", _TABLES),
        Protocol("family", "each hardware family", "device", _TABLES),
        Protocol(
            "dataset",
            "each data set, where another has its families and dtypes",
            "dataset",
            ("held_out", "op", "device"),
        ),
        Protocol("models", "whole networks: no row of their shapes (five folds)", "models", ("workload", "device")),
        Protocol(
            "neusight",
            "each of NeuSight's GPUs, or with a whole checkout what upstream tested on",
            "neusight",
            ("held_out", "op", "variant"),
        ),
        Protocol(
            "energy",
            "each network of a device, from the fit of the power constants to runs with energies",
            "energy",
            ("device", "variant", "workload"),
            ("energy", "power"),
        ),
        Protocol(
            "energy-device",
            "each device, from the fit of the power constants",
            "energy",
            ("device", "variant", "workload"),
            ("energy", "power"),
        ),
        Protocol(
            "caps",
            "each GPU of runs under power limits, given the same work without a limit",
            "caps",
            ("device",),
            ("energy", "power", "latency"),
        ),
        Protocol(
            "scores",
            "benchmark scores of each processor, from its datasheet, and what upstream tested on",
            "scores",
            ("held_out", "workload"),
            ("score", "score by mean", "score by linear", "score by plain physics"),
        ),
    )
}


SOFTWARE = "software"
"""Of power alone (:mod:`perfmodel.protocols.power`): each software of a device, by what the others on it taught."""
TARGETS = ("latency", "power", "energy")
"""What ``perfmodel evaluate`` judges."""


def protocol(name: str) -> Protocol:
    """The protocol of a name.

    Raises:
        InputError: there is none.
    """
    if name not in PROTOCOLS:
        raise InputError(f"no protocol is called {name!r}: {nearest(name, PROTOCOLS)}")
    return PROTOCOLS[name]
