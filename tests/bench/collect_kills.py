"""`perfmodel collect`, killed at random moments: every row that was reported must be in the table, and the table readable.

    python tests/bench/collect_kills.py            50 times, some ten minutes
    python tests/bench/collect_kills.py --times 3 --seed 1

Each time the same command is started again, so that it goes on where the last one died; it is killed (SIGKILL) up to 8 seconds
after its first report, at a moment drawn uniformly: while it measures, writes a piece, or writes the table, which it does every
five seconds. After each death the table is read, and every (piece, node) that an earlier report covered looked up.
"""

from __future__ import annotations

import argparse
import random
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import pandas as pd

REPORTED = re.compile(r"([\d,]+) kernels of (\d+) pieces in ")
LONGEST_S = 8.0
_PATIENCE_S = 300.0


class Run:
    """One call of the command; what it reported is read as it comes."""

    def __init__(self, output: Path, minutes: float) -> None:
        command = [
            sys.executable, "-m", "perfmodel", "collect", "--device", "local-cpu", "--minutes", str(minutes), "-o", str(output),
        ]  # fmt: skip
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        self.reported = (0, 0)
        self.reports = 0
        self._first = threading.Event()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            found = REPORTED.search(line)
            if found:
                self.reported = (int(found.group(1).replace(",", "")), int(found.group(2)))
                self.reports += 1
                self._first.set()
            else:
                print(f"     {line.rstrip()}", flush=True)

    def wait_for_a_report(self) -> None:
        """Until the first piece of this call is reported.

        Raises:
            AssertionError: none came.
        """
        assert self._first.wait(_PATIENCE_S), f"nothing was reported in {_PATIENCE_S:.0f} s"

    def kill(self) -> None:
        """Ends it at once, and reads what it had said."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self._reader.join(timeout=5)


def kill_often(times: int, seed: int, folder: Path, longest_s: float = LONGEST_S) -> dict[str, int]:
    """Kills so often; how many rows and pieces were kept, and how many reports there were.

    Raises:
        AssertionError: a row was lost, or the table cannot be read.
    """
    rng = random.Random(seed)
    output = folder / "traces.parquet"
    known: set[tuple[str, str]] = set()
    pieces_kept = reports = cut_short = 0
    for number in range(1, times + 1):
        run = Run(output, minutes=60.0)
        run.wait_for_a_report()
        time.sleep(rng.uniform(0.0, longest_s))
        assert run.process.poll() is None, f"the command ended by itself: {run.process.returncode}"
        run.kill()
        rows, pieces = run.reported
        table = pd.read_parquet(output)
        found = set(zip(table["collection"], table["node"], strict=True))
        pieces_kept = table["collection"].nunique()
        assert len(table) >= rows, f"{rows} rows were reported, {len(table)} are in the table"
        assert pieces_kept >= pieces, f"{pieces} pieces were reported, {pieces_kept} are in the table"
        assert known <= found, f"{len(known - found)} rows of earlier calls are gone"
        known = found
        reports += run.reports
        cut_short += bool(list(output.with_name(output.name + ".pieces").glob("*.started")))
        print(f"{number:3d}: {len(table):6,} rows of {pieces_kept:4d} pieces, {rows:,} reported", flush=True)
    return {"deaths": times, "rows": len(known), "pieces": pieces_kept, "reports": reports, "amid a piece": cut_short}


def main() -> int:
    """Kills, and prints what was left each time."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        print(kill_often(arguments.times, arguments.seed, Path(folder)))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
