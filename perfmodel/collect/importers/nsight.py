"""CSV files of NVIDIA Nsight Systems and Nsight Compute.

Nsight Systems (``nsys stats --format csv --report cuda_gpu_kern_sum`` or ``cuda_gpu_trace``; Nsight Systems Analysis Guide) has
a line a kernel with its instances and statistics, or a line a launch; times are in the unit of the column's name. Nsight
Compute (``ncu --csv``) has a line a metric (``Metric Name``, ``Metric Unit``, ``Metric Value``), or with ``--page raw`` a line
a launch and a line of units below the header; the time is ``gpu__time_duration.sum``, or ``Duration``.

Neither knows shapes. A kernel's name tells its tile (``..._128x256_32x3_...``), not its problem, so that a kernel is an
operator only where the name of an NVTX range describes it (:mod:`perfmodel.collect.importers.descriptor`):
``cuda_gpu_kern_sum:nvtx-name`` puts that before the kernel's name, ``ncu --nvtx --print-nvtx-rename kernel`` in its place.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from pathlib import Path

from perfmodel.collect.importers.descriptor import descriptor_in
from perfmodel.collect.importers.rows import Imported, Rows
from perfmodel.collect.importers.tables import csv_rows, number

SECONDS = {
    "ns": 1e-9, "nsecond": 1e-9, "us": 1e-6, "usecond": 1e-6, "ms": 1e-3, "msecond": 1e-3, "s": 1.0, "second": 1.0,
    "sec": 1.0, "nsec": 1e-9, "usec": 1e-6, "msec": 1e-3,
}  # fmt: skip
DURATIONS = ("gpu__time_duration.sum", "gpu__time_duration.avg", "Duration")
NO_OPERATOR = "kernels whose name describes no operator (a name tells the tile, not the problem)"
NO_KERNEL = "copies and fills"
LONGEST_NAME = 200
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
        if op is None:
            rows.passed_over[NO_OPERATOR] += 1
        elif values.get("Duration", 0) > 0:
            rows.add(op, values["Duration"], kernel[:LONGEST_NAME])
        elif values.get("Med", values.get("Avg", 0)) > 0:
            average = values.get("Avg", values.get("Med", 0))
            spread = values["StdDev"] / average if "StdDev" in values and average > 0 else None
            samples = max(int(number(row.get("Instances")) or 1), 1)
            rows.add_summary(op, values.get("Med", average), kernel[:LONGEST_NAME], samples, spread)
        else:
            rows.passed_over["kernels without a time"] += 1
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
    for name, seconds in _launches(path):
        op, kernel = descriptor_in(name)
        if op is None:
            rows.passed_over[NO_OPERATOR] += 1
        elif seconds is None or not seconds > 0:
            rows.passed_over["kernels without a time"] += 1
        else:
            rows.add(op, seconds, kernel[:LONGEST_NAME])
    return rows.imported(str(path))


def _launches(path: str | Path) -> Iterator[tuple[str, float | None]]:
    """Name and seconds of each launch."""
    units: dict[str, str] = {}
    by_metric: dict[tuple[str, str], tuple[str, float | None]] = {}
    # Lines of metrics lack the last columns of the header, which are of rules (seen with ncu 2025.3).
    for row in csv_rows(path, _is_ncu_header, "CSV table of Nsight Compute", through="Metric Value"):
        if "Metric Name" in row:
            key = (row.get("Process ID", ""), row["ID"])
            by_metric.setdefault(key, (row["Kernel Name"], None))
            if row["Metric Name"] in DURATIONS:
                by_metric[key] = (row["Kernel Name"], _seconds(row.get("Metric Value"), row.get("Metric Unit")))
            continue
        column = next((name for name in DURATIONS if name in row), None)
        if not row["ID"]:
            units = row
        else:
            yield (
                row["Kernel Name"],
                None if column is None else _seconds(row[column], units.get(column, "nsecond")),
            )
    yield from by_metric.values()


def _seconds(value: str | None, unit: str | None) -> float | None:
    found, scale = number(value), SECONDS.get((unit or "").strip())
    return None if found is None or scale is None else found * scale


def _is_nsys_header(names: Collection[str]) -> bool:
    """Of the summary of kernels or of the trace: summaries of calls and copies count otherwise."""
    return "Name" in names and ("Instances" in names or any(name.startswith("Duration (") for name in names))


def _is_ncu_header(names: Collection[str]) -> bool:
    return "ID" in names and "Kernel Name" in names
