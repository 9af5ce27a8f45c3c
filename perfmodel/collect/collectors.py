"""Collectors behind one interface: what runs a model and returns the times of its kernels.

Another package adds one under the entry point group :data:`GROUP`::

    [project.entry-points."perfmodel.collectors"]
    my-runtime = "their_package:make"

``make()`` is called without arguments and returns an object with the attributes of :class:`Collector`. Every collector has
a replay twin: what it ran is kept in a folder (:mod:`perfmodel.collect.onnxruntime_cpu` says which files), and reading that
folder gives the same profile without the machine.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Protocol, runtime_checkable

from perfmodel.collect.kernels import Profile
from perfmodel.errors import InputError, PerfmodelError, checked_keywords, nearest
from perfmodel.plugins import make_registered, registered

GROUP = "perfmodel.collectors"


@runtime_checkable
class Collector(Protocol):
    """Runs models, kernel by kernel."""

    @property
    def name(self) -> str:
        """What ``collector`` takes."""

    def why_not(self) -> str | None:
        """Why it cannot run here and what to do, in one line; None where it can."""

    def collect(self, model: Path, folder: Path, *, dims: Mapping[str, int], seed: int = 0) -> Profile:
        """Run a model and keep what was recorded in a folder.

        Args:
            model: the model file.
            folder: an empty folder, or one that is made; it gets the recording.
            dims: numbers for the model's symbolic dimensions.
            seed: of the inputs' values.

        Raises:
            PerfmodelError: the model cannot be run; one line says why.
        """

    def replay(self, folder: Path) -> Profile:
        """The profile of a recording.

        Raises:
            TraceError: the folder holds none, or a damaged one.
        """


_OURS = {"onnxruntime-cpu": "onnxruntime_cpu:OnnxRuntimeCpu", "pytorch": "pytorch.collector:PyTorch"}
"""Collectors of perfmodel: module and class, imported when they are asked for."""


@checked_keywords()
def collector_names() -> list[str]:
    """Collectors of perfmodel, then those of other packages."""
    return [*_OURS, *(name for name in sorted(registered(GROUP)) if name not in _OURS)]


@checked_keywords()
def collector(name: str) -> Collector:
    """A collector by name; ours come before those that packages register.

    Raises:
        InputError: there is none of that name, or several packages register it.
        PerfmodelError: that of another package cannot be made, or is no collector.
    """
    if name in _OURS:
        module, _, cls = _OURS[name].partition(":")
        ours: Collector = getattr(import_module(f"perfmodel.collect.{module}"), cls)()
        return ours
    found = make_registered(GROUP, "collector", name, PerfmodelError)
    if found is None:
        raise InputError(f"no collector is called {name!r}: {nearest(name, collector_names())}")
    made, origin = found
    if not isinstance(made, Collector):
        lacks = ", ".join(part for part in ("name", "why_not", "collect", "replay") if not hasattr(made, part))
        raise PerfmodelError(f"{origin} makes a {type(made).__name__}, which is no collector: it lacks {lacks}")
    return made
