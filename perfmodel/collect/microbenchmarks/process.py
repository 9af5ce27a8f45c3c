"""The suite in a process of its own: one thread, pinned before any library makes a pool of threads.

Libraries read how many threads they may use when they are loaded, so that a process which has numpy already cannot be
measured. The child writes one JSON object a line: ``{"progress": ...}`` as it goes on, and ``{"measurement": ...,
"device": <TOML of the machine as the system describes it>}`` at last.

    python -m perfmodel.collect.microbenchmarks.process SECONDS
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict

from perfmodel.collect.anchor import Anchor, pinned
from perfmodel.collect.microbenchmarks.suite import Measurement, Progress
from perfmodel.errors import PerfmodelError
from perfmodel.hardware import Device

_ONE_THREAD = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)


def measure_in_process(
    seconds: float, progress: Callable[[Progress], None] | None = None
) -> tuple[Measurement, Device]:
    """Runs the suite in a child process and waits for it.

    Args:
        seconds: about how long it measures.
        progress: told before every visit of a benchmark.

    Returns:
        what was measured; and the machine as the system describes it, restricted to one processor.

    Raises:
        PerfmodelError: the child failed (an extra is missing, no memory, ...); its last line says why.
        KeyboardInterrupt: passed on, once the child is gone.
    """
    from perfmodel.hardware.schema import parse_device

    environment = {
        **os.environ, **dict.fromkeys(_ONE_THREAD, "1"), "PYTHONPATH": os.pathsep.join(p or os.getcwd() for p in sys.path),
    }  # fmt: skip
    command = [sys.executable, "-m", __spec__.name if __spec__ else __name__, repr(float(seconds))]
    found = None
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as complaints:
        child = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=complaints, encoding="utf-8")
        try:
            assert child.stdout is not None
            for line in child.stdout:
                message = json.loads(line)
                if "progress" in message and progress is not None:
                    progress(Progress(**message["progress"]))
                found = message if "measurement" in message else found
            status = child.wait()
        finally:
            if child.poll() is None:
                child.kill()
                child.wait()
        complaints.seek(0)
        said = complaints.read()
    if status or found is None:
        last = (said.strip().splitlines() or [f"it ended with status {status}"])[-1]
        raise PerfmodelError(f"measuring failed: {last}")
    return Measurement.from_json(found["measurement"]), parse_device(found["device"], "local-cpu")


def main(arguments: list[str]) -> int:
    """The child: measure for so many seconds and write the result to standard output."""
    seconds = float(arguments[0])

    def say(**message: object) -> None:
        sys.stdout.write(json.dumps(message) + "\n")
        sys.stdout.flush()

    try:
        with pinned() as cpu:
            measurement, device = measure_here(
                seconds, progress=lambda p: say(progress=asdict(p)), cpu=cpu, anchor=Anchor()
            )
    except PerfmodelError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    except KeyboardInterrupt:  # the parent says so
        return 1
    from perfmodel.hardware.writer import device_toml

    say(measurement=measurement.to_json(), device=device_toml(device))
    return 0


def measure_here(
    seconds: float, *, anchor: Anchor, progress: Callable[[Progress], None] | None = None, cpu: int | None = None
) -> tuple[Measurement, Device]:
    """Runs the suite in this process: fair only where nothing else runs in it, pinned and on one thread.

    Args:
        seconds: about how long it measures.
        anchor: what is timed through the run.
        progress: told before every visit of a benchmark.
        cpu: the processor that this thread is pinned to.
    """
    from pathlib import Path

    import numpy as np

    from perfmodel.collect.microbenchmarks import bandwidth, kernels, products
    from perfmodel.collect.microbenchmarks.sessions import runtime
    from perfmodel.collect.microbenchmarks.suite import run
    from perfmodel.hardware.local_cpu import describe

    software = {"onnxruntime": runtime().__version__, "numpy": np.__version__}
    device = describe(Path("/"))
    benchmarks = [
        *products.benchmarks(sorted(device.flops_per_clock_per_unit)),
        *bandwidth.benchmarks(device.l2_bytes or 0),
        *kernels.benchmarks(),
    ]
    return run(benchmarks, seconds, anchor, progress=progress, software=software, cpu=cpu), device


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
