"""``python -m fuzz --hours 8 --state FOLDER``: fuzzes every target in turn, and goes on where it was.

FOLDER holds ``state.json`` (processor seconds, inputs and outcomes of each target), and of each target its corpus and its
findings; it may be kept between runs and copied to another machine. ``--jobs 2`` fuzzes two targets at a time.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from fuzz.base import TESTS
from fuzz.targets import TARGETS
from perfmodel.files import write_whole

SLICE_SECONDS = 180
STUCK_SECONDS = 900
"""By the clock, after which a slice that is over counts as one that never ends: a machine may stand still for minutes."""


def main() -> int:
    """Fuzzes until the hours are over."""
    parser = argparse.ArgumentParser(prog="python -m fuzz", description="Fuzz everything that perfmodel reads.")
    parser.add_argument("--state", type=Path, default=TESTS.parent / "build" / "fuzz", help="default: build/fuzz")
    parser.add_argument("--hours", type=float, default=8.0, help="stop after so many hours by the clock")
    parser.add_argument("--jobs", type=int, default=1, help="targets at a time, each in a process of its own")
    parser.add_argument("--target", action="append", choices=sorted(TARGETS), help="only these")
    parser.add_argument("--table", action="store_true", help="only print what was done so far")
    arguments = parser.parse_args()
    folder: Path = arguments.state
    folder.mkdir(parents=True, exist_ok=True)
    if arguments.table:
        print(table(read_state(folder)))
        return 0
    if importlib.util.find_spec("atheris") is None:
        parser.error("fuzzing needs Atheris: pip install atheris")
    names = [n for n in arguments.target or TARGETS if TARGETS[n].needs is None or _has_bindings()]
    turns = _Turns(folder, names, time.monotonic() + 3600 * arguments.hours)
    with ThreadPoolExecutor(arguments.jobs) as pool:
        for worker in [pool.submit(turns.take) for _ in range(min(arguments.jobs, len(names)))]:
            worker.result()
    return 0


class _Turns:
    """Whose turn it is: of the targets that nobody fuzzes at the moment, the one that had the least."""

    def __init__(self, folder: Path, names: list[str], end: float) -> None:
        self.folder, self.names, self.end = folder, names, end
        self.busy: set[str] = set()
        self.lock = threading.Lock()

    def take(self) -> None:
        """Fuzzes one target after another until the time is up."""
        while (left := self.end - time.monotonic()) > 0:
            with self.lock:
                state = read_state(self.folder)
                free = [n for n in self.names if n not in self.busy]
                name = min(free, key=lambda n: state.get(n, {}).get("cpu_s", 0.0))
                self.busy.add(name)
            code = _slice(name, self.folder / name, min(SLICE_SECONDS, left))
            with self.lock:
                state = read_state(self.folder)
                _add(state.setdefault(name, {}), self.folder / name, code)
                write_whole(self.folder / "state.json", json.dumps(state, indent=1, sort_keys=True).encode())
                self.busy.remove(name)
            found = len(_findings(self.folder / name))
            print(f"{time.strftime('%H:%M:%S')} {name}: exit {code}, {found} findings", flush=True)


def read_state(folder: Path) -> dict[str, Any]:
    """What was done so far, by target."""
    path = folder / "state.json"
    found: dict[str, Any] = json.loads(path.read_bytes()) if path.is_file() else {}
    return found


def table(state: dict[str, Any]) -> str:
    """What was done so far, as a Markdown table."""
    rows = [
        "| read | hours of processor | inputs | results | refused with one line |",
        "| --- | --- | --- | --- | --- |",
    ]
    hours = total = 0.0
    for name in TARGETS:
        done = state.get(name, {})
        counts = done.get("counts", {})
        inputs = sum(counts.values())
        spent = done.get("cpu_s", 0.0) / 3600
        rows.append(
            f"| {name} | {spent:.2f} | {inputs:,} | {counts.get('result', 0):,} | {counts.get('refused', 0):,} |"
        )
        hours, total = hours + spent, total + inputs
    return "\n".join([*rows, f"| **all** | **{hours:.2f}** | **{total:,.0f}** | | |"])


def _has_bindings() -> bool:
    return importlib.util.find_spec("iree") is not None and importlib.util.find_spec("iree.compiler") is not None


def _slice(name: str, folder: Path, seconds: float) -> int:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "slice.json").unlink(missing_ok=True)
    environment = {
        **os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "TMPDIR": str(folder),
        "PYTHONPATH": os.pathsep.join([str(TESTS), str(TESTS.parent), os.environ.get("PYTHONPATH", "")]),
    }  # fmt: skip
    command = [sys.executable, "-m", "fuzz.worker", name, str(folder), str(max(5, int(seconds)))]
    with (folder / "log").open("wb") as log:
        try:
            return subprocess.run(
                command, stdout=log, stderr=log, env=environment, check=False, timeout=seconds + STUCK_SECONDS
            ).returncode
        except subprocess.TimeoutExpired:  # a library's own end may wait for itself
            return -9


def _add(done: dict[str, Any], folder: Path, code: int) -> None:
    """Counts a slice; where its process died, what it was reading is a finding."""
    path = folder / "slice.json"
    told = json.loads(path.read_bytes()) if path.is_file() else {"cpu_s": 0.0, "counts": {}}
    # A target whose slices die at once must not be the one with the least time for ever.
    done["cpu_s"] = done.get("cpu_s", 0.0) + max(told["cpu_s"], 1.0)
    counts = done.setdefault("counts", {})
    for name, count in told["counts"].items():
        counts[name] = counts.get(name, 0) + count
    if code != 0 and (folder / "current").is_file():
        (folder / "findings").mkdir(exist_ok=True)
        kept = folder / "findings" / f"died-{code}-{int(time.time())}"
        shutil.copy(folder / "current", kept)
        shutil.copy(folder / "log", kept.with_name(kept.name + ".txt"))
    done["findings"] = _findings(folder)


def _findings(folder: Path) -> list[str]:
    found = folder / "findings"
    return sorted(p.name for p in found.iterdir() if p.suffix != ".txt") if found.is_dir() else []


if __name__ == "__main__":
    sys.exit(main())
