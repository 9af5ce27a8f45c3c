"""Kernel Tuner: after how many measurements perfmodel's strategy reaches 95 % of the exhaustive best.

    python tests/bench/kernel_tuner_search.py measure FOLDER          # the examples' C kernels: everything, compiled and timed
    python tests/bench/kernel_tuner_search.py replay FOLDER           # searches in Kernel Tuner's simulation mode over that
    python tests/bench/kernel_tuner_search.py recorded FOLDER [--data FOLDER_OF_BENCHMARK_HUB]   # the same, five spaces of GPUs

`replay` and `recorded` run Kernel Tuner itself with its own runner of recorded results. Random is Kernel Tuner's random
sampling, over 20 seeds. On the recorded spaces, what the shipped ranker learned of the device itself is left out. FOLDER holds
Kernel Tuner's caches. Needs the extras `kernel-tuner` and, for `recorded`, `train`.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import random
import sys
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
SHARE = 20
"""One in so many configurations may be measured."""
RANDOM_SEEDS = 20


def example() -> Any:
    spec = importlib.util.spec_from_file_location("tune_kernel_tuner", ROOT / "examples" / "tune_kernel_tuner.py")
    assert spec is not None
    assert spec.loader is not None
    loaded = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = loaded
    spec.loader.exec_module(loaded)
    return loaded


def needed(times: list[float], best: float, share: float = 0.95) -> int | None:
    """The measurement with which a search reached a share of the best's speed; None where it did not."""
    return next((place + 1 for place, t in enumerate(times) if best / t >= share), None)


def measured(results: list[dict[str, Any]]) -> list[float]:
    """Times in the order in which a search saw them, milliseconds; infinity where one failed."""
    return [float(r["time"]) if isinstance(r["time"], int | float) else float("inf") for r in results]


def report(name: str, size: int, best: float, ours: list[float], others: list[list[float]]) -> None:
    budget = size // SHARE
    mine = needed(ours, best)
    at = [needed(o, best) for o in others]
    reached = sorted(v if v is not None else size for v in at)
    print(
        f"| {name} | {size:,} | {budget} | {mine if mine is not None else '–'} | {100 * best / min(ours[:budget]):.1f} | "
        f"{reached[len(reached) // 2] if reached else '–'} | "
        f"{100 * float(np.median([best / min(o[:budget]) for o in others])) if others else float('nan'):.1f} |",
        flush=True,
    )


HEADER = (
    "| space | configurations | 1/20 | measurements to 95 % | after 1/20, % | random: to 95 %, median | after 1/20, % |"
)


def replay(folder: Path) -> None:
    from perfmodel.integrations.kernel_tuner import Strategy

    e = example()
    print(HEADER + "\n" + "|---" * 7 + "|")
    for kernel in e.PARAMETERS:
        cache = folder / f"{kernel}.json"
        if not cache.is_file():
            continue
        recorded = json.loads(_closed(cache.read_text()))["cache"]
        times = [float(r["time"]) for r in recorded.values() if isinstance(r["time"], float)]
        size, best = len(recorded), min(times)
        op, space = e.problem(kernel)
        budget = size // SHARE
        ours = e.tune(kernel, Strategy(op, "epyc-7763", space=space), budget, str(cache), simulation_mode=True)
        others = []
        for seed in range(RANDOM_SEEDS):
            random.seed(seed)
            np.random.seed(seed)  # noqa: NPY002 - what Kernel Tuner draws from
            others.append(measured(e.tune(kernel, "random_sample", size // 2, str(cache), simulation_mode=True)))
        report(kernel, size, best, measured(ours), others)


def _closed(text: str) -> str:
    """Kernel Tuner's cache with the end that it leaves out while it is still in use."""
    text = text.rstrip().rstrip(",")
    return text if text.endswith(("}}", "}\n}")) else text + "}\n}"


def _simulated(
    parameters: dict[str, list[int]], known: frozenset[str], cache: Path, strategy: Any, count: int
) -> list[float]:
    """Milliseconds that a strategy was told, over a cache of recorded times; ``known``: which configurations it has."""
    import kernel_tuner

    def listed(configuration: dict[str, int]) -> bool:
        return ",".join(str(configuration[n]) for n in parameters) in known

    results, _ = kernel_tuner.tune_kernel(
        "k", "void k() {}", 1, [], parameters, restrictions=[listed], lang="C", strategy=strategy,
        strategy_options={"max_fevals": count}, cache=str(cache), simulation_mode=True, quiet=True,
    )  # fmt: skip
    return measured(results)


def recorded(folder: Path, data: Path) -> None:
    from perfmodel.datasets import load
    from perfmodel.integrations.kernel_tuner import Strategy
    from perfmodel.rank.pretrained import Pretrained, shipped
    from perfmodel.rank.training import measured_spaces

    print(HEADER + "\n" + "|---" * 7 + "|")
    for one in measured_spaces(load("benchmark_hub", data)):
        name = f"{one.space.id}, {one.device.id}"
        columns = {n: [int(v) for v in values] for n, values in one.columns.items()}
        tune_params = {n: sorted(set(values)) for n, values in columns.items()}
        rows = {",".join(str(columns[n][row]) for n in columns): row for row in range(len(one.latency_s))}
        cache = folder / f"{one.space.id}-{one.device.id}.json"
        entries = {
            key: {
                **{n: columns[n][row] for n in columns},
                "time": 1e3 * float(one.latency_s[row]) if one.latency_s[row] > 0 else "RuntimeFailedConfig",
                "times": [], "compile_time": 0, "verification_time": 0, "benchmark_time": 0, "strategy_time": 0,
                "framework_time": 0, "timestamp": "2000-01-01 00:00:00+00:00",
            }
            for key, row in rows.items()
        }  # fmt: skip
        content = {
            "schema_version": "1.0.0", "device_name": one.device.id, "kernel_name": "k", "problem_size": 1,
            "tune_params_keys": list(tune_params), "tune_params": tune_params, "objective": "time", "cache": entries,
        }  # fmt: skip
        cache.write_text(json.dumps(content))
        known = shipped()
        others = tuple(s for s in known.sources if s.device != one.device.id)
        strategy = Strategy(
            one.op, one.device, space=one.space, pretrained=Pretrained(others, known.level_log_std, known.shape_log_std)
        )

        simulated = partial(_simulated, tune_params, frozenset(rows), cache)
        size = len(rows)
        best = 1e3 * float(np.nanmin(one.latency_s))
        others = []
        for seed in range(RANDOM_SEEDS):
            random.seed(seed)
            np.random.seed(seed)  # noqa: NPY002 - what Kernel Tuner draws from
            others.append(simulated("random_sample", size // SHARE))
        report(name, size, best, simulated(strategy, min(size // SHARE, 300)), others)


def measure(folder: Path) -> None:
    e = example()
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    for kernel in e.PARAMETERS:
        results = e.tune(kernel, "brute_force", cache=str(folder / f"{kernel}.json"))
        print(kernel, len(results), "measured, best", min(measured(results)), "ms", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("measure", "replay", "recorded"))
    parser.add_argument("folder", type=Path)
    parser.add_argument(
        "--data", type=Path, default=Path(os.environ.get("PERFMODEL_SHARED", "../shared")) / "data" / "benchmark_hub"
    )
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    if given.what == "measure":
        measure(given.folder)
    elif given.what == "replay":
        replay(given.folder)
    else:
        recorded(given.folder, given.data)


if __name__ == "__main__":
    main()
