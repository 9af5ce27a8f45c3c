"""Ranking of kernel configurations: how good the best of those that are named is, before and after measurements.

    python tests/bench/ranking.py [--data FOLDER_OF_BENCHMARK_HUB] [--seeds 10] [--json FILE] [--speed]

Five recorded spaces: CLBlast's SGEMM of 4096^3 on two GPUs, a convolution on three. One device is left out: the tables of the
others are all that is known of it but its catalogue entry. A figure is the time of the exhaustive best over that of the best
configuration named, in percent. Seeds draw the rows that boosters see and the order of random search; mean and worst.
`objective` holds a ranking objective against regression on ln(time): XGBoost on the same parameters of the same devices.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

import perfmodel
from perfmodel.datasets import load
from perfmodel.rank.pretrained import NOTHING, Pretrained
from perfmodel.rank.ranker import Ranker, rank
from perfmodel.rank.training import Measured, measured_spaces, train_source

TOPS = (1, 8, 32)
OBSERVED = (20, 50, 100)
PAIRWISE_SEEDS = 3
"""The ranking objective takes a minute a seed."""
PAIRS = 8
"""Configurations that each one is compared with for a tree."""
TREES = 200
"""Of the baselines, whatever their objective."""


def best_of(measured: Measured, rows: Sequence[int] | np.ndarray) -> float:
    """Percent of the exhaustive best that the best of some rows reaches; 0 where all of them failed."""
    times = measured.latency_s[np.asarray(rows, dtype=np.intp)]
    return 0.0 if np.isnan(times).all() else float(100 * np.nanmin(measured.latency_s) / np.nanmin(times))


def search(measured: Measured, ranker: Ranker, count: int) -> tuple[list[int], float]:
    """Rows in the order in which a search that asks the ranker measures them; the share of times inside the 90 % interval of
    their forecast, from the tenth on."""
    rows: list[int] = []
    inside: list[bool] = []
    while len(rows) < count:
        [row] = ranker.suggest(1)
        seconds = float(measured.latency_s[row])
        if len(rows) >= 10 and np.isfinite(seconds):
            low, high = ranker.interval(int(row))
            inside.append(low <= seconds <= high)
        ranker.observe([int(row)], [seconds])
        rows.append(int(row))
    return rows, float(np.mean(inside))


def looked_up(measured: Measured, others: Sequence[Measured]) -> np.ndarray:
    """Rows in the order of their mean ln(time) on other devices; what failed on one stands last."""
    logs = [np.log(o.latency_s / np.nanmin(o.latency_s)) for o in others]
    return np.argsort(np.nan_to_num(np.mean(logs, axis=0), nan=np.inf), kind="stable")


def boosted(measured: Measured, others: Sequence[Measured], seed: int, objective: str) -> np.ndarray:
    """Rows in the order of trees on the raw parameters, the mean over the other devices."""
    import xgboost

    matrix = np.stack([np.log2(1 + v) for v in measured.columns.values()], axis=1)
    scores = []
    for other in others:
        ran = np.flatnonzero(other.latency_s > 0)
        log_s = np.log(other.latency_s[ran])
        settings: dict[str, Any] = {"max_depth": 6, "eta": 0.1, "subsample": 0.8, "nthread": 1, "seed": seed}
        data, sign = xgboost.DMatrix(matrix[ran], log_s), 1.0
        if objective == "pairwise":
            # One group, whose label is the order itself: steps of it would make the fastest hundreds alike.
            data, sign = xgboost.DMatrix(matrix[ran], log_s.max() - log_s), -1.0
            data.set_group([len(ran)])
            settings |= {
                "objective": "rank:pairwise", "lambdarank_pair_method": "mean", "lambdarank_num_pair_per_sample": PAIRS,
            }  # fmt: skip
        score = sign * xgboost.train(settings, data, TREES).predict(xgboost.DMatrix(matrix))
        scores.append((score - score.mean()) / score.std())
    return np.argsort(np.mean(scores, axis=0), kind="stable")


def run(spaces: list[Measured], seeds: int) -> dict[str, Any]:
    """All methods on all spaces: by method, an array of shape ``[spaces, seeds, figures]``."""
    result: dict[str, list[list[list[float]]]] = {}
    coverage: list[float] = []

    def note(method: str, space: int, values: list[float]) -> None:
        result.setdefault(method, [[] for _ in spaces])[space].append(values)

    for seed in range(seeds):
        trained = Pretrained(tuple(train_source(m, seed) for m in spaces), 1.33, 0.49)
        for place, m in enumerate(spaces):
            others = [o for o in spaces if o.space.id == m.space.id and o is not m]
            pre = Pretrained(trained.of(m.space.id, without=(m.device.id,)), 1.33, 0.49)
            rng = np.random.default_rng(seed)
            shuffled = rng.permutation(len(m.latency_s))
            taught = Ranker(m.op, m.columns, m.device, space=m.space, pretrained=pre)
            order = taught.ranking().rows
            note("none: perfmodel", place, [best_of(m, order[:k]) for k in TOPS])
            note("none: perfmodel, a batch", place, [best_of(m, taught.suggest(k)) for k in TOPS])
            note("none: random", place, [best_of(m, shuffled[:k]) for k in TOPS])
            order = boosted(m, others, seed, "log")
            note("none: trees, raw, ln time", place, [best_of(m, order[:k]) for k in TOPS])
            if seed < PAIRWISE_SEEDS:
                order = boosted(m, others, seed, "pairwise")
                note("none: trees, raw, pairwise", place, [best_of(m, order[:k]) for k in TOPS])
            rows, inside = search(m, taught, max(OBSERVED))
            coverage.append(inside)
            note("observed: perfmodel", place, [best_of(m, rows[:k]) for k in OBSERVED])
            note("observed: random", place, [best_of(m, shuffled[:k]) for k in OBSERVED])
            if seed == 0:  # nothing of these is random
                looked = looked_up(m, others)
                note("none: looked up", place, [best_of(m, looked[:k]) for k in TOPS])
                note("observed: looked up", place, [best_of(m, looked[:k]) for k in OBSERVED])
                alone = Ranker(m.op, m.columns, m.device, space=m.space, pretrained=NOTHING)
                note("none: physics alone", place, [best_of(m, alone.ranking(32).rows[:k]) for k in TOPS])
                rows, _ = search(m, alone, max(OBSERVED))
                note("observed: physics alone", place, [best_of(m, rows[:k]) for k in OBSERVED])
        print(f"seed {seed} done", flush=True)
    return {"methods": result, "coverage": float(np.mean(coverage))}


def show(spaces: list[Measured], outcome: dict[str, Any]) -> None:
    """The tables: mean over spaces, worst seed's mean, and each space."""
    for kind, counts in (("none", TOPS), ("observed", OBSERVED)):
        title = "before any measurement, best of the top" if kind == "none" else "best found after measurements"
        print(f"\n{title} {' / '.join(map(str, counts))} [% of the exhaustive best]")
        print(f"{'':26}{'mean of spaces':>18}{'worst seed':>18}  " + "  ".join(f"{m.device.id:>16}" for m in spaces))
        for method, values in outcome["methods"].items():
            if not method.startswith(kind):
                continue
            table = np.array(values)  # [spaces, seeds, figures]
            by_seed = table.mean(axis=0)
            cells = [by_seed.mean(axis=0), by_seed.min(axis=0), *table.mean(axis=1)]
            texts = [" / ".join(f"{v:.1f}" for v in cell) for cell in cells]
            name = method.split(": ", 1)[1]
            print(f"{name:26}{texts[0]:>18}{texts[1]:>18}  " + "  ".join(f"{t:>16}" for t in texts[2:]))
    print(f"\nmeasured times inside the 90 % interval of their forecast: {100 * outcome['coverage']:.0f} %")


def speed(spaces: list[Measured]) -> None:
    """Seconds of rankings of many sizes, on one core; peak memory."""
    gemm = next(m for m in spaces if m.op.op == "gemm")
    op = perfmodel.Gemm(m=4096, n=4096, k=4096, dtype="fp32")
    device = perfmodel.load_device("rtx-3080")
    print(f"{'configurations':>16}{'seconds':>12}{'us each':>10}")
    for rows in (1, 100, 100_000, 1_000_000):
        configs = {n: np.resize(v, rows).astype(np.int32) for n, v in gemm.columns.items()}
        taken = []
        for _ in range(5 if rows <= 100_000 else 3):
            start = time.perf_counter()
            rank(op, configs, device, top_k=32)
            taken.append(time.perf_counter() - start)
        print(f"{rows:>16,}{min(taken):>12.4f}{1e6 * min(taken) / rows:>10.2f}", flush=True)
    print(
        f"peak memory: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.2f} GiB, data set and imports included"
    )
    from perfmodel.rank.single import prepare

    one = {n: float(v[5]) for n, v in gemm.columns.items()}
    predict = prepare(op, device, "clblast_sgemm")
    predict(one)
    taken = []
    for _ in range(10):
        start = time.perf_counter()
        for _ in range(200):
            predict(one)
        taken.append((time.perf_counter() - start) / 200)
    print(f"one prediction, prepared: {1e6 * min(taken):.1f} us")


def main() -> None:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    shared = os.environ.get("PERFMODEL_SHARED", ".")
    parser.add_argument("--data", type=Path, default=Path(shared) / "data" / "benchmark_hub")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--speed", action="store_true", help="how long it takes instead")
    arguments = parser.parse_args()
    spaces = list(measured_spaces(load("benchmark_hub", arguments.data)))
    if arguments.speed:
        speed(spaces)
        return
    outcome = run(spaces, arguments.seeds)
    show(spaces, outcome)
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(outcome))


if __name__ == "__main__":
    main()
