"""Whether the physics of a tile agrees with cuBLAS: the tiles that it chose for NeuSight's products, by its kernels' names.

    python tests/bench/chosen_tiles.py [--data FOLDER_OF_NEUSIGHT] [--rows 600]

For each product all tiles that the library uses on the device are ranked by the physics of an SIMT kernel, none fitted.
Printed: how often the chosen tile comes first and among three, how often the commonest one would, and how much slower than its
own best the physics thinks the chosen one. The data has one time a product, of the chosen tile: none says which was fastest.
"""

from __future__ import annotations

import argparse
import os
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


def judge(table: pd.DataFrame, device: str, rows: int) -> str:
    """The line of a device."""
    names = ["tile_m", "tile_n", "threads"]
    counts = table.groupby(names).size()
    tiles = [key for key, count in counts.items() if count >= COMMON * len(table)]
    columns = {name: np.array([tile[place] for tile in tiles]) for place, name in enumerate(names)}
    described, record = space(SIMT), load_device(device)
    places, excess = [], []
    for row in table.sample(min(rows, len(table)), random_state=0).itertuples():
        chosen = (row.tile_m, row.tile_n, row.threads)
        if chosen not in tiles:
            continue
        # NeuSight's N is the contracted dimension; to cuBLAS, column-major, the output's columns come first.
        op = perfmodel.Gemm(m=int(row.K), n=int(row.M) * int(row.B), k=int(row.N), dtype="fp32")
        seconds = Physics.of(described, op, record).costs(columns).latency_s
        mine = tiles.index(chosen)
        places.append(int(np.flatnonzero(np.argsort(seconds, kind="stable") == mine)[0]))
        excess.append(seconds[mine] / seconds.min())
    first, three = (float(np.mean(np.array(places) < k)) for k in (1, 3))
    common = counts.max() / len(table)
    return (
        f"{device:>16}{len(tiles):>7}{100 * first:>9.0f} %{100 * three:>9.0f} %{100 * common:>11.0f} %"
        f"{100 * (np.median(excess) - 1):>9.1f} %{100 * (np.quantile(excess, 0.9) - 1):>9.1f} %"
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--data", type=Path, default=Path(os.environ.get("PERFMODEL_SHARED", ".")) / "data" / "neusight"
    )
    parser.add_argument("--rows", type=int, default=600, help="products of a device")
    arguments = parser.parse_args()
    print(f"{'':>16}{'tiles':>7}{'first':>11}{'of three':>11}{'commonest':>13}{'median':>11}{'90 %':>11}")
    for name, device in DEVICES.items():
        print(judge(products(arguments.data / LINEAR / f"{name}.csv"), device, arguments.rows), flush=True)


if __name__ == "__main__":
    main()
