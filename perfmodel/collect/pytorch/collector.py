"""The collector ``pytorch``: operators one by one, from a table of shapes or a sweep.

A recording is a folder (:mod:`perfmodel.collect.pytorch.recording`). Every operator that is finished is in it, whatever ends
the process; the same call goes on from there.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from statistics import median

from perfmodel.collect.importers.descriptor import make_descriptor
from perfmodel.collect.kernels import EventCost, Kernel, Profile
from perfmodel.collect.meters import Meter
from perfmodel.collect.pytorch.measuring import Settings, measure_operator
from perfmodel.collect.pytorch.recording import Recording
from perfmodel.collect.pytorch.runtime import Runtime, TorchRuntime, import_torch
from perfmodel.errors import InputError, PerfmodelError, TraceError
from perfmodel.ops import FAMILIES
from perfmodel.ops.base import Operator

Report = Callable[[Recording, Operator, str], None]
"""Hears of an operator that is safe: the recording, the operator, its status."""


class PyTorch:
    """Operators by PyTorch.

    Args:
        on: PyTorch's name of the device: ``cuda``, ``cuda:1``, ``cpu``; None: a GPU where it sees one, else the processor.
        settings: how each operator is measured.
        meter: tells clocks and power; None: neither is known.
        runtime: runs the operators; None: PyTorch itself.
    """

    name = "pytorch"

    def __init__(
        self,
        on: str | None = None,
        settings: Settings | None = None,
        meter: Meter | None = None,
        runtime: Runtime | None = None,
    ) -> None:
        self.on: str | None = on
        self.settings: Settings = settings or Settings()
        self.meter: Meter | None = meter
        self._runtime = runtime
        if self.settings.power and meter is None:
            raise InputError(
                "power needs a meter: --meter nvml, or amdsmi (`perfmodel meters` lists those that can be read)"
            )

    def why_not(self) -> str | None:
        """Whether PyTorch, or the device, is missing."""
        try:
            self.runtime()
        except PerfmodelError as problem:
            return str(problem)
        return None

    def runtime(self) -> Runtime:
        """What runs the operators, made once.

        Raises:
            PerfmodelError: PyTorch is missing.
            InputError: it sees no such device.
        """
        if self._runtime is None:
            torch = import_torch()
            self._runtime = TorchRuntime(self.on or ("cuda" if torch.cuda.is_available() else "cpu"), torch)
        return self._runtime

    def measure(
        self,
        operators: Iterable[Operator],
        folder: Path,
        *,
        seed: int = 0,
        report: Report = lambda recording, op, status: None,
        until: Callable[[], bool] = lambda: False,
    ) -> Recording:
        """Measures operators that the folder lacks.

        Args:
            operators: descriptors with numbers.
            folder: of the recording.
            seed: of the inputs' values.
            report: hears of every operator when it is safe.
            until: asked before each operator; true ends the sweep.

        Raises:
            InputError: the folder was begun with something else.
            MeterError: the meter stopped; what was finished is kept.
        """
        runtime = self.runtime()
        recording = Recording(folder, self._about(runtime, seed))
        for op in operators:
            if op in recording:
                continue
            if until():
                break
            measured = measure_operator(runtime, op, self.settings, seed=seed, meter=self.meter)
            recording.add(measured)
            report(recording, op, measured.status)
        return recording

    def _about(self, runtime: Runtime, seed: int) -> dict[str, object]:
        info = None if self.meter is None else self.meter.info
        return {
            "software": runtime.software, "device_name": runtime.device_name, "threads": runtime.threads,
            "cache": "cold" if self.settings.cold else "warm", "seed": seed,
            "meter": None if info is None else info.name, "meter_origin": None if info is None else info.origin,
        }  # fmt: skip

    def collect(self, model: Path, folder: Path, *, dims: Mapping[str, int], seed: int = 0) -> Profile:
        """Measures the operators of a table of shapes (.csv, as ``collect --suggest N -o`` writes it).

        Raises:
            TraceError: the file is no such table.
            InputError: numbers for dimensions were given: a table has none; the folder was begun with something else.
        """
        if dims:
            raise InputError("a table of shapes has no symbolic dimensions")
        self.measure(read_shapes(model), folder, seed=seed)
        return self.replay(folder)

    def replay(self, folder: Path) -> Profile:
        """A recording as a profile: one kernel an operator that was measured. Events add nothing, so that none is taken off."""
        recording = Recording(folder)
        good = [m for m in recording.done if m.status == "ok"]
        if not good:
            raise TraceError(f"{folder} holds no operator that was measured")
        kernels = tuple(
            Kernel(
                node=f"{m.op.op} {m.op.shape} #{i}", op_type=m.op.op, latency_s=median(m.seconds), samples=len(m.seconds),
                rel_std=m.row["latency_rel_std"],
            )
            for i, m in enumerate(good)
        )  # fmt: skip
        total = sum(k.latency_s for k in kernels)
        return Profile(
            model=Path(folder).name, software=recording.about["software"], kernels=kernels, sum_s=total, events=len(kernels),
            threads=recording.about.get("threads") or 1, cost=EventCost(0.0, 0.0),
        )  # fmt: skip


def read_shapes(path: Path) -> list[Operator]:
    """The operators of a CSV table with the columns of traces; other columns are passed over.

    Raises:
        TraceError: it is no such table.
    """
    try:
        with Path(path).open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as problem:
        raise TraceError(f"{path} is no table of shapes: {problem}") from None
    if not rows or "op" not in rows[0]:
        raise TraceError(f"{path} is no table of shapes: wanted a CSV file with the column op, and rows")
    found = []
    for number, row in enumerate(rows):
        try:
            found.append(_shape(row, f"row {number}"))
        except InputError as problem:
            raise TraceError(f"{path}: {problem}") from None
    return found


def _shape(row: Mapping[str, str | None], where: str) -> Operator:
    op = row.get("op") or ""
    family = FAMILIES.get(op)
    known: Sequence[str] = () if family is None else _columns(family)
    return make_descriptor(op, {n: v for n, v in row.items() if n in known and v not in (None, "")}, where)


def _columns(family: type[Operator]) -> list[str]:
    return ["bytes" if f.name == "message_bytes" else f.name for f in fields(family)]
