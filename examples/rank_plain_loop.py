"""A search of thirty lines that asks perfmodel what to measure: your own `measure` goes where a made-up one stands."""

import itertools

import numpy as np

import perfmodel

# The candidates, as columns: CLBlast's SGEMM (docs/ranking.md says how to describe a kernel of your own).
values = {
    "MWG": (32, 64, 128), "NWG": (32, 64, 128), "MDIMC": (8, 16, 32), "NDIMC": (8, 16, 32), "MDIMA": (8, 16, 32),
    "NDIMB": (8, 16, 32), "VWM": (1, 2, 4), "VWN": (1, 2, 4), "SA": (0, 1), "SB": (0, 1),
}  # fmt: skip
rows = np.array(list(itertools.product(*values.values())))
configs = {name: rows[:, place] for place, name in enumerate(values)}


def measure(config):
    """Seconds of one configuration, NaN where it fails. Compile and run yours here."""
    return (
        1e-3
        * (1 + 64 / config["MWG"])
        * (1 + 64 / config["NWG"])
        * (2 - config["SB"])
        * (1 + abs(config["VWM"] - 4) / 9)
    )


problem = perfmodel.Gemm(m=1024, n=1024, k=1024, dtype="fp32")
ranker = perfmodel.Ranker(problem, configs, "rtx-3080")
best, best_s = None, float("inf")
for _ in range(30):
    [row] = ranker.suggest()
    config = {name: int(column[row]) for name, column in configs.items()}
    seconds = measure(config)
    ranker.observe([row], [seconds])
    if seconds < best_s:
        best, best_s = config, seconds

print(f"{len(rows):,} candidates, 30 measured; the best: {1e3 * best_s:.3f} ms, {best}")
print("cannot run:", ranker.refused)
