"""Joins what `perfmodel collect-mlir` wrote into several folders, as the data set `iree-cpu`.

python tools/join_compiled.py datasets/iree-cpu FOLDER...
"""

from __future__ import annotations

import sys
from io import BytesIO
from pathlib import Path
from typing import Any

import pandas as pd

from perfmodel.datasets.compiled import DISPATCHES, MODULES, load_compiled
from perfmodel.files import write_whole

DISTURBED = 1.25
"""Times around which the anchor took more than this many times its median over all folders are left out: the machine was at
something else."""
_TIMES = ("latency_s", "latency_rel_std", "samples", "anchor_gemm_s", "anchor_copy_s")


def undisturbed(modules: pd.DataFrame) -> pd.DataFrame:
    """The table without the times that the anchor casts doubt on; what they were is said in ``latency_status``."""
    anchors = modules[["anchor_gemm_s", "anchor_copy_s"]]
    bad = (anchors > DISTURBED * anchors.median()).any(axis=1)
    changed = modules.copy()
    changed.loc[bad, list(_TIMES)] = None
    changed.loc[bad, "latency_status"] = "left out: the anchor beside it was slow"
    return changed


def joined(folders: list[Path]) -> dict[str, pd.DataFrame]:
    """Both tables, in the order of the names, with the columns of the card in its order."""
    found = [load_compiled(folder) for folder in folders]
    modules = pd.concat([part.modules for part in found], ignore_index=True).sort_values(["module", "target_cpu"])
    modules = undisturbed(modules)
    dispatches = pd.concat([part.dispatches for part in found], ignore_index=True)
    dispatches = dispatches.sort_values(["module", "target_cpu", "dispatch"])
    card = found[0].card
    # What no row of a folder has is no column of its tables.
    modules, dispatches = (
        modules.reindex(columns=list(card["modules"])),
        dispatches.reindex(columns=list(card["dispatches"])),
    )
    whole = [name for name in card["dispatches"] if name.startswith("executed_")]
    dispatches = dispatches.astype(dict.fromkeys(whole, "Int64"))
    whole = [
        "number",
        "dispatches",
        "instructions",
        "code_bytes",
        "executed_instructions",
        "executed_outside",
        "samples",
    ]
    return {MODULES: modules.astype(dict.fromkeys(whole, "Int64")), DISPATCHES: dispatches}


def main(target: Path, folders: list[Path]) -> None:
    """Writes both tables, compressed with zstd."""
    for name, table in joined(folders).items():
        data: Any = BytesIO()
        table.to_parquet(data, index=False, compression="zstd", compression_level=19)
        write_whole(target / name, data.getvalue())
        print(f"{target / name}: {len(table)} rows, {len(data.getvalue()) / 1e6:.2f} MB")


if __name__ == "__main__":
    main(Path(sys.argv[1]), [Path(folder) for folder in sys.argv[2:]])
