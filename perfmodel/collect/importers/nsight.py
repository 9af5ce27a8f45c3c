"""CSV files of NVIDIA Nsight Systems and Nsight Compute.

Nsight Systems (``nsys stats --format csv --report cuda_gpu_kern_sum`` or ``cuda_gpu_trace``; Nsight Systems Analysis Guide) has
a line a kernel with its instances and statistics, or a line a launch; times are in the unit of the column's name. Nsight
Compute (``ncu --csv``) has a line a metric (``Metric Name``, ``Metric Unit``, ``Metric Value``), or with ``--page raw`` a line
a launch and a line of units below the header; the time is ``gpu__time_duration.sum``, or ``Duration``.

Neither knows shapes. A kernel's name tells its tile (``..._128x256_32x3_...``), not its problem, so that a kernel is an
operator only where the name of an NVTX range describes it (:mod:`perfmodel.collect.importers.descriptor`):
``cuda_gpu_kern_sum:nvtx-name`` puts that before the kernel's name, ``ncu --nvtx --print-nvtx-rename kernel`` in its place.

One execution of the operator may be several kernels, such as a product whose partial sums another kernel adds up: all
kernels of a range's name are one row whose time is their sum. That they belong together is seen from a summary by their
instances, which are equally many, and from a list of launches by their order, which repeats. That one execution launched the
same kernel twice, on the same grid, cannot be seen: those are two executions.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Collection, Hashable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from perfmodel.collect.importers.descriptor import descriptor_in
from perfmodel.collect.importers.rows import Imported, Rows
from perfmodel.collect.importers.tables import csv_rows, number
from perfmodel.ops.base import Operator

SECONDS = {
    "ns": 1e-9, "nsecond": 1e-9, "us": 1e-6, "usecond": 1e-6, "ms": 1e-3, "msecond": 1e-3, "s": 1.0, "second": 1.0,
    "sec": 1.0, "nsec": 1e-9, "usec": 1e-6, "msec": 1e-3,
}  # fmt: skip
DURATIONS = ("gpu__time_duration.sum", "gpu__time_duration.avg", "Duration")
NO_OPERATOR = "kernels whose name describes no operator (a name tells the tile, not the problem)"
NO_KERNEL = "copies and fills"
NO_TIME = "kernels without a time"
NO_EXECUTION = (
    "kernels of ranges of which it is unclear which kernels are one execution (they did not run equally often)"
)
LONGEST_NAME = 200
_GRID = ("GrdX", "GrdY", "GrdZ", "BlkX", "BlkY", "BlkZ")
_COLUMN = re.compile(r"(?P<name>[\w ]+?) \((?P<unit>\w+)\)")


def read_nsight_systems(path: str | Path, device: str, software: str, source: str = "nsight-systems") -> Imported:
    """The kernels whose NVTX range describes an operator, from a summary or a trace.

    Args:
        path: the CSV file.
        device: the device's id, or the path of its TOML.
        software: the stack, as in ``torch-2.9.0``.
        source: what the rows bear.

    Raises:
        TraceError: it is no such table, or no kernel's name describes an operator.
    """
    rows = Rows({"device": device, "software": software, "source": source})
    summaries: dict[str, _Summaries] = {}
    launches: dict[tuple[str, ...], _Launches] = {}
    for row in csv_rows(path, _is_nsys_header, "CSV table of nsys stats"):
        values = {}
        for column, text in row.items():
            found = _COLUMN.fullmatch(column)
            if found is not None and found["unit"] in SECONDS and (value := number(text)) is not None:
                values[found["name"]] = value * SECONDS[found["unit"]]
        name = row["Name"]
        if name.startswith("[CUDA "):
            rows.passed_over[NO_KERNEL] += 1
            continue
        op, kernel = descriptor_in(name)
        range_name = _range_of(name, kernel)
        if op is None:
            rows.passed_over[NO_OPERATOR] += 1
        elif "Instances" not in row:
            group = launches.setdefault((range_name, row.get("Device", "")), _Launches(op))
            group.add(kernel, " ".join(row.get(axis, "") for axis in _GRID), values.get("Duration"))
        elif values.get("Med", values.get("Avg", 0)) > 0:
            average = values.get("Avg", values.get("Med", 0))
            instances = max(int(number(row.get("Instances")) or 1), 1)
            summary = _Summary(kernel, instances, values.get("Med", average), average, values.get("StdDev"))
            # The report of grids and blocks has a line for each.
            which = (kernel, row.get("GridXYZ", ""), row.get("BlockXYZ", ""))
            summaries.setdefault(range_name, _Summaries(op)).add(which, summary)
        else:
            rows.passed_over[NO_TIME] += 1
    for group in launches.values():
        group.into(rows)
    for of_range in summaries.values():
        of_range.into(rows)
    return rows.imported(str(path))


def read_nsight_compute(path: str | Path, device: str, software: str, source: str = "nsight-compute") -> Imported:
    """The kernels whose name is an NVTX range that describes an operator.

    Nsight Compute locks the clocks to base and empties the caches before each kernel, unless it is told not to
    (``--clock-control none --cache-control none``): its times are longer than those of a program.

    Args:
        path: the CSV file.
        device, software, source: as of :func:`read_nsight_systems`.

    Raises:
        TraceError: as :func:`read_nsight_systems`.
    """
    rows = Rows({"device": device, "software": software, "source": source})
    groups: dict[tuple[str, str], _Launches] = {}
    for process, name, grid, seconds in _launches(path):
        op, kernel = descriptor_in(name)
        if op is None:
            rows.passed_over[NO_OPERATOR] += 1
        else:
            groups.setdefault((process, _range_of(name, kernel)), _Launches(op)).add(kernel, grid, seconds)
    for group in groups.values():
        group.into(rows)
    return rows.imported(str(path))


def _range_of(name: str, kernel: str) -> str:
    """The range's name, before that of the kernel or in its place."""
    return name.removesuffix(kernel) or name


@dataclass
class _Launches:
    """The launches of a range's name, in their order.

    Attributes:
        op: what the range describes.
        kernels: of each launch, by name and by grid and block: the name may be the range's.
        seconds: of each launch; 0 where its time is unknown.
    """

    op: Operator
    kernels: list[tuple[str, str]] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)

    def add(self, kernel: str, grid: str, seconds: float | None) -> None:
        """The next launch."""
        self.kernels.append((kernel, grid))
        self.seconds.append(seconds if seconds is not None and seconds > 0 else 0.0)

    def into(self, rows: Rows) -> None:
        """Adds what one execution takes, once for each."""
        if (found := _executions(self.kernels)) is None:
            rows.passed_over[NO_EXECUTION] += len(self.kernels)
            return
        first, length = found
        if rest := first + (len(self.kernels) - first) % length:
            rows.passed_over[NO_EXECUTION] += rest
        longest = max(range(length), key=lambda place: sum(self.seconds[first + place :: length]))
        for begin in range(first, len(self.seconds) - length + 1, length):
            parts = self.seconds[begin : begin + length]
            if all(parts):
                rows.add(self.op, sum(parts), self.kernels[begin + longest][0][:LONGEST_NAME])
            else:
                rows.passed_over[NO_TIME] += parts.count(0.0)


def _executions(kernels: Sequence[Hashable]) -> tuple[int, int] | None:
    """Where the first execution begins, and how many launches one is; None where no number of them is.

    Each kernel runs once in an execution, in the same order (``a b a b``; the last may be cut off). Kernels that ran often
    before another ran (``a a b b``) are different ways of computing the same, each with executions of its own. Kernels that
    ran once, before all others, made something ready (``i a b a b``) where they are fewer than those of an execution, of which
    there are two: ``i a a`` and ``i a b a`` may as well be one execution that launches a kernel twice.
    """
    often = Counter(kernels)
    if _repeats(kernels):
        return 0, len(often)
    changes = sum(one != other for one, other in pairwise(kernels))
    if changes == len(often) - 1 and min(often.values()) > 1:
        return 0, 1
    first = next(place for place, kernel in enumerate(kernels) if often[kernel] > 1)
    length, rest = len(often) - first, kernels[first:]
    return (first, length) if first < length <= len(rest) // 2 and _repeats(rest) else None


def _repeats(kernels: Sequence[Hashable]) -> bool:
    """Whether all of them run in one order, again and again."""
    length = len(set(kernels))
    return all(kernel == kernels[place % length] for place, kernel in enumerate(kernels))


@dataclass(frozen=True)
class _Summary:
    """A kernel of a range's name: how often it ran, and its seconds; no deviation where it is unknown."""

    kernel: str
    instances: int
    median_s: float
    average_s: float
    std_s: float | None


@dataclass
class _Summaries:
    """The kernels of a range's name.

    Attributes:
        op: what the range describes.
        tables: its kernels in each table of the file, by what tells them apart.
    """

    op: Operator
    tables: list[dict[tuple[str, ...], _Summary]] = field(default_factory=lambda: [{}])

    def add(self, which: tuple[str, ...], summary: _Summary) -> None:
        """The next line."""
        if which in self.tables[-1]:  # a table has each once: this is the next one
            self.tables.append({})
        self.tables[-1][which] = summary

    def into(self, rows: Rows) -> None:
        """Adds a row for each table."""
        for table in self.tables:
            kernels = list(table.values())
            if len({k.instances for k in kernels}) > 1:
                rows.passed_over[NO_EXECUTION] += len(kernels)
                continue
            average = sum(k.average_s for k in kernels)
            # As if the kernels scattered independently of each other.
            known = [k.std_s for k in kernels if k.std_s is not None]
            spread = math.hypot(*known) / average if len(known) == len(kernels) and average > 0 else None
            longest = max(kernels, key=lambda k: k.average_s).kernel[:LONGEST_NAME]
            rows.add_summary(self.op, sum(k.median_s for k in kernels), longest, kernels[0].instances, spread)


def _launches(path: str | Path) -> Iterator[tuple[str, str, str, float | None]]:
    """Process, name, grid with block, and seconds of each launch."""
    units: dict[str, str] = {}
    by_metric: dict[tuple[str, str], tuple[str, str, str, float | None]] = {}
    # Lines of metrics lack the last columns of the header, which are of rules (seen with ncu 2025.3).
    for row in csv_rows(path, _is_ncu_header, "CSV table of Nsight Compute", through="Metric Value"):
        process = row.get("Process ID", "")
        launch = (process, row["Kernel Name"], f"{row.get('Grid Size', '')} {row.get('Block Size', '')}".strip())
        if "Metric Name" in row:
            key = (process, row["ID"])
            by_metric.setdefault(key, (*launch, None))
            if row["Metric Name"] in DURATIONS:
                by_metric[key] = (*launch, _seconds(row.get("Metric Value"), row.get("Metric Unit")))
            continue
        column = next((name for name in DURATIONS if name in row), None)
        if not row["ID"]:
            units = row
        else:
            yield (*launch, None if column is None else _seconds(row[column], units.get(column, "nsecond")))
    yield from by_metric.values()


def _seconds(value: str | None, unit: str | None) -> float | None:
    found, scale = number(value), SECONDS.get((unit or "").strip())
    return None if found is None or scale is None else found * scale


def _is_nsys_header(names: Collection[str]) -> bool:
    """Of the summary of kernels or of the trace: summaries of calls and copies count otherwise."""
    return "Name" in names and ("Instances" in names or any(name.startswith("Duration (") for name in names))


def _is_ncu_header(names: Collection[str]) -> bool:
    return "ID" in names and "Kernel Name" in names
