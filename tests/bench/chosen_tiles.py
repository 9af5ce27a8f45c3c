"""Whether the physics of a tile agrees with cuBLAS: the tiles that it chose for NeuSight's products, by its kernels' names.

    python tests/bench/chosen_tiles.py [--data FOLDER_OF_NEUSIGHT] [--rows 600]

For each product all tiles that the library uses on the device are ranked: by the physics of an SIMT kernel, none fitted, and by
trees that learned from chosen tiles (a ranking objective) on the other GPUs, and on half of the products of the GPU itself,
judged on the other half. Printed, in percent: how often the commonest tile was chosen, how often the chosen one comes first and
among three, and by how much the physics thinks it slower than its own first (median / nine tenths of products). The data has
one time a product, of the chosen tile: none says which was fastest.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

import perfmodel
from perfmodel.hardware import load_device
from perfmodel.rank import space
from perfmodel.rank.physics import Physics

LINEAR = Path("scripts/asplos/data/dataset/train/collect/linear/p2.1.0")
DEVICES = {
    "NVIDIA A100-PCIE-40GB": "a100-pcie-40gb", "Tesla P100-PCIE-16GB": "p100-pcie-16gb", "Tesla P4": "p4", "Tesla T4": "t4",
    "Tesla V100-PCIE-32GB": "v100-pcie-32gb",
}  # fmt: skip
SIMT = {
    "id": "cublas_sgemm",
    "op": "gemm",
    "columns": {"tile_m": {}, "tile_n": {}, "threads": {}},
    "roles": {
        "tile_m": "tile_m", "tile_n": "tile_n", "tile_k": "8", "threads": "threads", "vector_m": "4", "vector_n": "4",
        "shared_m": "1", "shared_n": "1", "shared_bytes": "op.element_bytes * 16 * (tile_m + tile_n)", "unroll": "8",
    },
}  # fmt: skip
COMMON = 0.01
"""Share of the products from which on a tile counts as one that the library uses."""


def products(path: Path) -> pd.DataFrame:
    """Products of one kernel each, with the tile that its name carries."""
    table = pd.read_csv(path)
    tile = table["Kernel Name"].astype(str).str.extract(r"sgemm_(\d+)x(\d+)_").astype(float)
    table = table.assign(tile_m=tile[0], tile_n=tile[1], threads=table["Block x"].astype(float))
    alone = table["Kernels"].astype(str).str.strip(";").str.count(";") == 0
    return table[alone & table["tile_m"].notna()]


@dataclass(frozen=True)
class Choices:
    """What a library chose on a device.

    Attributes:
        tiles: how many it uses.
        features: of each product, shape ``[tiles, features]``; the first is ln of the physics over its own first.
        chosen: of each product, the place of the tile that ran.
        common: share of the products that the commonest tile has.
    """

    tiles: int
    features: list[np.ndarray]
    chosen: list[int]
    common: float


def choices(table: pd.DataFrame, device: str, rows: int) -> Choices:
    """The products of a device as choices among its tiles."""
    names = ["tile_m", "tile_n", "threads"]
    counts = table.groupby(names).size()
    tiles = [key for key, count in counts.items() if count >= COMMON * len(table)]
    columns = {name: np.array([tile[place] for tile in tiles]) for place, name in enumerate(names)}
    described, record = space(SIMT), load_device(device)
    features, places = [], []
    for row in table.sample(min(rows, len(table)), random_state=0).itertuples():
        chosen = (row.tile_m, row.tile_n, row.threads)
        if chosen not in tiles:
            continue
        # NeuSight's N is the contracted dimension; to cuBLAS, column-major, the output's columns come first.
        op = perfmodel.Gemm(m=int(row.K), n=int(row.M) * int(row.B), k=int(row.N), dtype="fp32")
        costs = Physics.of(described, op, record).costs(columns)
        seconds = costs.latency_s
        values = [np.log(seconds / seconds.min()), *(np.log(t / seconds) for t in costs.terms_s.values())]
        values += [costs.tail, costs.occupancy, costs.blocks_per_unit, *(np.log2(v) for v in columns.values())]
        values += [np.log2(v) for v in (op.m, op.n, op.k)]
        features.append(np.stack([np.broadcast_to(v, seconds.shape) for v in values], axis=1))
        places.append(tiles.index(chosen))
    return Choices(len(tiles), features, places, counts.max() / len(table))


def ordered_by_trees(taught: Sequence[tuple[np.ndarray, int]], asked: Sequence[np.ndarray]) -> list[np.ndarray]:
    """What trees that learned to put the chosen tile before the others (pairwise ranking, a group a product) make of products:
    of each, numbers that are least for the likeliest tile."""
    import xgboost

    settings = {
        "objective": "rank:pairwise", "lambdarank_pair_method": "mean", "lambdarank_num_pair_per_sample": 4, "max_depth": 4,
        "eta": 0.1, "subsample": 0.8, "nthread": 1, "seed": 0,
    }  # fmt: skip
    label = np.concatenate([np.arange(len(features)) == chosen for features, chosen in taught])
    data = xgboost.DMatrix(np.concatenate([features for features, _ in taught]), label)
    data.set_group([len(features) for features, _ in taught])
    model = xgboost.train(settings, data, 100)
    return [-model.predict(xgboost.DMatrix(features)) for features in asked]


def hits(orders: Sequence[np.ndarray], chosen: Sequence[int]) -> str:
    """How often the chosen tile comes first, and among three."""
    places = np.array([np.argsort(np.argsort(o, kind="stable"))[c] for o, c in zip(orders, chosen, strict=True)])
    return f"{100 * np.mean(places < 1):.0f} / {100 * np.mean(places < 3):.0f}"


def judge(all_of: Mapping[str, Choices], device: str) -> str:
    """The line of a device."""
    mine = all_of[device]
    excess = np.exp([f[c, 0] for f, c in zip(mine.features, mine.chosen, strict=True)])
    pairs = {name: list(zip(c.features, c.chosen, strict=True)) for name, c in all_of.items()}
    elsewhere = [pair for name, those in pairs.items() if name != device for pair in those]
    half = len(mine.chosen) // 2
    cells = [
        hits([f[:, 0] for f in mine.features], mine.chosen),
        hits(ordered_by_trees(elsewhere, mine.features), mine.chosen),
        hits(ordered_by_trees(pairs[device][:half], mine.features[half:]), mine.chosen[half:]),
    ]
    slower = f"{100 * (np.median(excess) - 1):.1f} / {100 * (np.quantile(excess, 0.9) - 1):.1f}"
    return f"{device:>16}{mine.tiles:>7}{100 * mine.common:>11.0f}" + "".join(f"{c:>16}" for c in [*cells, slower])


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--data", type=Path, default=Path(os.environ.get("PERFMODEL_SHARED", ".")) / "data" / "neusight"
    )
    parser.add_argument("--rows", type=int, default=600, help="products of a device")
    arguments = parser.parse_args()
    all_of = {
        device: choices(products(arguments.data / LINEAR / f"{name}.csv"), device, arguments.rows)
        for name, device in DEVICES.items()
    }
    titles = ("physics", "other GPUs", "half of its own", "slower by")
    print(f"{'[%]':>16}{'tiles':>7}{'commonest':>11}" + "".join(f"{title:>16}" for title in titles))
    for device in all_of:
        print(judge(all_of, device), flush=True)


if __name__ == "__main__":
    main()
