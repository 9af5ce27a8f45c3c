"""Trains the shipped ranker again, from measured configuration spaces, and writes its folder.

    python tools/train_ranker.py FOLDER_WITH_BENCHMARK_HUB [-o models/ranker] [--seed 0]

Every device of the data set is in it; how far it is from devices that it has not seen is measured with each of them left out
(tests/bench/ranking.py), and stands in the card.
"""

from __future__ import annotations

import argparse
import platform
from importlib.metadata import version
from pathlib import Path

import numpy as np

from perfmodel.datasets import load
from perfmodel.datasets.cards import load_card
from perfmodel.rank.opinions import Opinions
from perfmodel.rank.physics import Physics
from perfmodel.rank.pretrained import Pretrained, save
from perfmodel.rank.training import ORDER, PARAMETERS, TREES, Measured, measured_spaces, train_source

DATA = "benchmark_hub"


def main() -> None:
    """Train, judge with devices left out, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("-o", "--output", type=Path, default=Path("models/ranker"))
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    spaces = list(measured_spaces(load(DATA, arguments.data)))
    trained = Pretrained(tuple(train_source(m, arguments.seed) for m in spaces))
    level, shape = left_out_errors(spaces, trained)
    card = load_card(DATA)
    about = {
        "seed": arguments.seed,
        "training": {"order": ORDER, "trees": TREES, "parameters": PARAMETERS},
        "data": {"id": card.id, "commit": card.commit, "licence": card.licence, "source": card.source},
        "versions": {"python": platform.python_version(), **{p: version(p) for p in ("numpy", "xgboost-cpu")}},
    }
    save(Pretrained(trained.sources, level, shape), arguments.output, about)
    for source in trained.sources:
        print(f"{source.space} {source.device}: {source.rows} configurations, {len(source.tables.values)} tables")
    print(f"left out: ln level {level:.2f}, ln shape {shape:.2f}")


def left_out_errors(spaces: list[Measured], trained: Pretrained) -> tuple[float, float]:
    """Root mean squares of ln(measured / predicted) with a device left out: of its level, and of configurations beside it."""
    levels, shapes = [], []
    for m in spaces:
        others = Pretrained(trained.of(m.space.id, without=(m.device.id,)))
        ran = np.flatnonzero(m.latency_s > 0)
        columns = {n: v[ran] for n, v in m.columns.items()}
        _, mean = Opinions(Physics.of(m.space, m.op, m.device), others).of(columns)
        error = np.log(m.latency_s[ran]) - mean
        levels.append(float(np.median(error)))
        shapes.append(float(np.mean((error - np.median(error)) ** 2)))
    return round(float(np.sqrt(np.mean(np.square(levels)))), 3), round(float(np.sqrt(np.mean(shapes))), 3)


if __name__ == "__main__":
    main()
