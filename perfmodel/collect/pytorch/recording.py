"""How a sweep is kept: a folder with what it ran on, and one line for every operator that is done.

``run.json``
    software, device, threads, cache, seed, what the meter is
``operators.jsonl``
    a JSON object a line: the descriptor's columns, status, seconds of each sample, clocks, power

A line is on the disk before the operator counts as done. One that was cut off is passed over, and that operator is measured
again.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from perfmodel.collect.importers.descriptor import make_descriptor
from perfmodel.collect.importers.rows import as_columns, text_lines
from perfmodel.collect.pytorch.measuring import Measurement
from perfmodel.errors import InputError, TraceError
from perfmodel.files import write_whole
from perfmodel.ops.base import Operator
from perfmodel.ops.table import columns_of
from perfmodel.units import LONGEST_S, SHORTEST_S

FORMAT, VERSION = "perfmodel-operator-sweep", 1
RUN, OPERATORS = "run.json", "operators.jsonl"
_SAME = ("software", "device_name", "threads", "cache", "seed")
"""What two calls that write into one folder must share."""
_ANY_PROCESSOR = "cpu"
"""The ``device_name`` of processors before they were told apart."""


class Recording:
    """The finished operators of one folder; opening it again goes on.

    Args:
        folder: it is made where it is missing.
        about: what it is run on: ``software``, ``device_name``, ``threads``, ``cache``, ``seed`` and more; None: only read it.

    Raises:
        InputError: it was begun with something else.
        TraceError: it holds no recording, or a damaged one.
    """

    def __init__(self, folder: Path, about: Mapping[str, Any] | None = None) -> None:
        self.folder: Path = Path(folder)
        if about is None or (self.folder / RUN).is_file():
            self.about: dict[str, Any] = _read_about(self.folder / RUN)
        else:
            self.about = {"format": FORMAT, "version": VERSION, **about}
            self._begin()
        if about is not None:
            self._check_same(about)
        self._done: dict[Operator, Measurement] = {}
        whole = 0
        if (self.folder / OPERATORS).is_file():
            for line in text_lines(self.folder / OPERATORS):
                if not line.endswith("\n"):
                    break  # cut off while it was written
                whole += len(line.encode())
                measured = _measurement(line)
                if measured is not None:
                    self._done[measured.op] = measured
            if about is not None:
                os.truncate(self.folder / OPERATORS, whole)

    def _check_same(self, about: Mapping[str, Any]) -> None:
        for name in _SAME:
            begun, now = self.about.get(name), about[name]
            if name == "device_name" and begun == _ANY_PROCESSOR and about["threads"] is not None:
                continue
            if begun != now:
                raise InputError(
                    f"{self.folder} was begun with {name} {begun!r}, and this is {now!r}: take another folder"
                )

    def _begin(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        write_whole(self.folder / RUN, (json.dumps(self.about, indent=1) + "\n").encode())

    def __len__(self) -> int:
        return len(self._done)

    def __contains__(self, op: Operator) -> bool:
        return op in self._done

    @property
    def done(self) -> list[Measurement]:
        """What was measured, in its order."""
        return list(self._done.values())

    def add(self, measured: Measurement) -> None:
        """Keeps an operator; it is on the disk when this returns."""
        line = json.dumps(
            {
                "op": columns_of(measured.op), "status": measured.status, "seconds": list(measured.seconds),
                "columns": measured.columns,
            },
            allow_nan=False,
        )  # fmt: skip
        with (self.folder / OPERATORS).open("a", encoding="utf-8") as file:
            file.write(line + "\n")
            file.flush()
            os.fsync(file.fileno())
        self._done[measured.op] = measured

    def columns(self, device: str, source: str = "pytorch-sweep") -> dict[str, list[Any]]:
        """Columns of operator traces, one row an operator; None where a row has no such column.

        Args:
            device: the device's id, or the path of its TOML.
            source: what the rows bear.

        Raises:
            TraceError: nothing was measured.
        """
        if not self._done:
            raise TraceError(f"{self.folder} holds no operator yet")
        threads = self.about.get("threads")
        # Events time kernels of a GPU without their launches; a processor's clock times the call.
        common = {
            "device": device, "software": self.about["software"], "source": source, "collection": self.folder.name,
            "cache": self.about["cache"], "launch": "graph" if threads is None else "eager", "threads": threads,
        }  # fmt: skip
        rows = [{**common, **columns_of(m.op), **m.row, "order": order} for order, m in enumerate(self._done.values())]
        return as_columns(rows)


def _read_about(path: Path) -> dict[str, Any]:
    try:
        about = json.loads(path.read_text(encoding="utf-8"))
    except OSError:
        raise TraceError(f"{path.parent} holds no recording: there is no {RUN}") from None
    except (ValueError, RecursionError):
        raise TraceError(f"{path} is no JSON") from None
    if not isinstance(about, dict) or about.get("format") != FORMAT or about.get("version") != VERSION:
        raise TraceError(f"{path} is no recording of version {VERSION}")
    if not all(isinstance(about.get(name), str) for name in ("software", "device_name", "cache")):
        raise TraceError(f"{path}: wanted software, device_name and cache")
    return about


def _measurement(line: str) -> Measurement | None:
    """A line of the file; None where it is damaged."""
    try:
        record = json.loads(line)
        given = dict(record["op"])
        op = make_descriptor(given.pop("op"), {k: v for k, v in given.items() if v is not None}, "a recorded operator")
        seconds = tuple(float(s) for s in record["seconds"])
        if not all(SHORTEST_S <= s <= LONGEST_S for s in seconds) or (record["status"] == "ok" and len(seconds) < 2):
            return None
        hash(op)  # a list or a mapping in the place of a number
        return Measurement(op, str(record["status"]), seconds, dict(record["columns"]))
    except (AttributeError, KeyError, TypeError, ValueError, OverflowError, RecursionError):
        return None
