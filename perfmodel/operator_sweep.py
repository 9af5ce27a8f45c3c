"""Sweeps of single operators on a device, by the collector ``pytorch``, as a table of operator traces."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from perfmodel.collect.pytorch.collector import PyTorch, read_shapes
from perfmodel.collect.pytorch.recording import Recording
from perfmodel.collect.pytorch.sweep import DTYPES, FAMILIES, sweep
from perfmodel.datasets.schema import check_traces, require_pandas
from perfmodel.errors import InputError
from perfmodel.hardware import load_device
from perfmodel.ops.base import Operator

if TYPE_CHECKING:
    import pandas as pd

MOST_OPERATORS = 100_000
ON_PROCESSORS = {"most_flops": 4e9, "most_bytes": 2.5e8}
"""Limits of an operator of a sweep on processors, which are a thousand times slower than a GPU."""


@dataclass(frozen=True)
class Wanted:
    """What to measure.

    Attributes:
        device: the id or TOML of the device.
        folder: of the recording.
        minutes: of this call; what earlier calls finished is not measured again.
        operators: at most so many, of all calls; None: as many as the time allows.
        shapes: a CSV table of shapes instead of a sweep.
        families, dtypes: of the sweep.
        seed: of the sweep and of the inputs.
    """

    device: str | Path
    folder: Path
    minutes: float = 5.0
    operators: int | None = None
    shapes: Path | None = None
    families: Sequence[str] = field(default_factory=lambda: FAMILIES)
    dtypes: Sequence[str] = field(default_factory=lambda: DTYPES)
    seed: int = 0


def collect_operators(
    wanted: Wanted,
    collector: PyTorch,
    report: Callable[[str], None] = lambda line: None,
    clock: Callable[[], float] = time.monotonic,
) -> pd.DataFrame:
    """Measures until the time is up, and gives the table of all that the folder has.

    Args:
        wanted: what to measure.
        collector: on what, and how.
        report: hears a line whenever an operator is safe.
        clock: seconds that only grow.

    Raises:
        InputError: a time or number that is none, or the folder was begun with something else.
        DeviceError: an unknown device.
        TraceError: the table of shapes is none, or nothing was measured.
        MeterError: the meter stopped; what was finished is kept.
    """
    if not (wanted.minutes > 0 and math.isfinite(wanted.minutes)):
        raise InputError(f"minutes is {wanted.minutes:g}; wanted a number above 0")
    device = load_device(wanted.device)
    if (why := collector.why_not()) is not None:
        raise InputError(why)
    end = clock() + 60 * wanted.minutes
    operators = _operators(wanted, {} if collector.runtime().threads is None else ON_PROCESSORS)

    def told(recording: Recording, op: Operator, status: str) -> None:
        left = max(end - clock(), 0)
        how = "" if status == "ok" else f": {status}"
        report(f"{len(recording)} operators, {left:.0f} s left: {op.op} {op.shape}{how}")

    collector.measure(operators, wanted.folder, seed=wanted.seed, report=told, until=lambda: clock() >= end)
    return operator_table(wanted.folder, device.id)


def _operators(wanted: Wanted, limits: Mapping[str, float]) -> list[Operator]:
    if wanted.shapes is not None:
        found = read_shapes(wanted.shapes)
        return found if wanted.operators is None else found[: wanted.operators]
    count = 2000 if wanted.operators is None else wanted.operators
    if not 1 <= count <= MOST_OPERATORS:
        raise InputError(f"wanted between 1 and {MOST_OPERATORS} operators, got {count}")
    return sweep(count, seed=wanted.seed, families=wanted.families, dtypes=wanted.dtypes, **limits)


def operator_table(folder: str | Path, device: str) -> pd.DataFrame:
    """The recording of a sweep as operator traces.

    Args:
        folder: of the recording.
        device: the device's id.

    Raises:
        TraceError: it holds none, or nothing was measured.
    """
    columns: dict[str, Any] = Recording(Path(folder)).columns(device)
    table: pd.DataFrame = require_pandas().DataFrame(columns)
    check_traces(table, str(folder))
    return table
