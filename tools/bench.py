"""What perfmodel itself costs: the start of the package, of the commands, and the space of the installation.

Each command is run in a process of its own, once to warm the file cache and then as often as asked; the median is
printed. Model files come from the folder ``onnx`` of ``$PERFMODEL_SHARED`` where it is set.

    python tools/bench.py [--repeat 11] [--predictor default]
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import sysconfig
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DEMO = str(ROOT / "examples" / "resnet18.onnx")
NOT_OURS = {"pip", "setuptools", "pkg_resources", "_distutils_hack", "wheel"}


def seconds(command: list[str], repeat: int) -> tuple[float, float]:
    """Median wall time and median processor time of a command, after one run that is not counted.

    The two differ where other work shares the core; the processor's time is then the one to quote.
    """
    wall, processor = [], []
    for _ in range(repeat + 1):
        start, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        wall.append(time.perf_counter() - start)
        processor.append(after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime)
    return statistics.median(wall[1:]), statistics.median(processor[1:])


def peak_memory_bytes(command: list[str]) -> int:
    """Largest resident set of a command's process."""
    code = (
        "import resource, subprocess, sys\n"
        "subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, check=True)\n"
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    )
    done = subprocess.run([sys.executable, "-c", code, *command], stdout=subprocess.PIPE, text=True, check=True)
    unit = 1 if sys.platform == "darwin" else 1024  # ru_maxrss is in bytes there, in KiB elsewhere
    return int(done.stdout) * unit


def installed_bytes() -> int:
    """Everything in this environment's site-packages but the installer itself, as the disk counts it."""
    total = 0
    for folder in {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}:
        for path in Path(folder).rglob("*"):
            top = path.relative_to(folder).parts[0]
            if top.split("-")[0] not in NOT_OURS and path.is_file() and not path.is_symlink():
                total += path.lstat().st_blocks * 512
    return total


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="What perfmodel itself costs.")
    parser.add_argument("--repeat", type=int, default=11, help="runs of each short command (default 11)")
    parser.add_argument("--predictor", default="default", help="what predicts the models (default: default)")
    arguments = parser.parse_args()
    repeat = arguments.repeat
    # Child processes inherit it: one core, as the figures are quoted.
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # a user's second start finds the compiled modules

    python = seconds([sys.executable, "-c", "pass"], repeat)
    imported = seconds([sys.executable, "-c", "import perfmodel"], repeat)
    perfmodel = [sys.executable, "-m", "perfmodel"]
    rows = [("import perfmodel, beyond Python", (imported[0] - python[0], imported[1] - python[1]))]
    rows.append(("perfmodel --help", seconds([*perfmodel, "--help"], repeat)))
    rows.append(("perfmodel devices", seconds([*perfmodel, "devices"], max(3, repeat // 3))))
    models = [("resnet18 (demo)", DEMO, ["--dim", "batch=8"])]
    shared = os.environ.get("PERFMODEL_SHARED")
    if shared:
        folder = Path(shared) / "onnx"
        models.append(("resnet50", str(folder / "resnet50.graph.onnx"), ["--dim", "batch=32"]))
        models.append(("llama3-8b", str(folder / "llama3-8b-full-meta.graph.onnx"), ["--dim", "seq=512"]))
    memory = []
    for name, path, dims in models:
        command = [*perfmodel, "predict", path, "--device", "h100-sxm", "--dtype", "bf16", *dims]
        command += ["--predictor", arguments.predictor]
        rows.append((f"perfmodel predict {name}", seconds(command, 3)))
        memory.append((f"perfmodel predict {name}, peak memory", peak_memory_bytes(command)))
    print(f"{'':<45}{'wall':>11}{'processor':>14}")
    for name, (wall, processor) in rows:
        print(f"{name:<45}{1000 * wall:>8.0f} ms{1000 * processor:>11.0f} ms")
    for name, n_bytes in [*memory, ("installed, without pip", installed_bytes())]:
        print(f"{name:<45}{n_bytes / 1e6:>8.0f} MB")


if __name__ == "__main__":
    main()
