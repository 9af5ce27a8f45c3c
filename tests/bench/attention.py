"""The analytical model of attention against AIConfigurator's kernels of vLLM, SGLang and TensorRT-LLM.

    PERFMODEL_SHARED=... python tests/bench/attention.py [rows per table]

Prints errors by device and phase over a seeded sample of each table. The benchmarks repeat one operator, so the cache is warm.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import pandas as pd

from perfmodel.models.predictor import Predictor, load

DEVICES = {
    "a100_sxm": "a100-sxm-80gb", "l40s": "l40s", "h100_sxm": "h100-sxm", "h200_sxm": "h200-sxm", "b200_sxm": "b200-sxm",
    "gb200": "gb200",
}  # fmt: skip
PHASES = {"context": "prefill", "encoder": "encoder", "generation": "decode"}
_DTYPES = {"bfloat16": "bf16", "float16": "fp16", "fp8": "fp8"}
ROWS = 2000


def sample(root: Path, rows: int = ROWS, seed: int = 0) -> pd.DataFrame:
    """A sample of every table, in the columns of operator traces."""
    folder = root / "data/aiconfigurator/aic-core/src/aiconfigurator_core/systems/data"
    parts = []
    for system, device in DEVICES.items():
        for path in sorted(folder.glob(f"{system}/*attention/*/*/*_attention_perf.parquet")):
            table = pd.read_parquet(path)
            phase = PHASES[path.name.split("_")[0]]
            table = table[table["latency"] > 0]
            table = table.sample(min(rows, len(table)), random_state=seed)
            kv_heads = table["num_key_value_heads"] if "num_key_value_heads" in table else table["num_heads"]
            window = table["window_size"] if "window_size" in table else pd.Series(np.nan, index=table.index)
            kv_dtype = table["kv_cache_dtype"] if "kv_cache_dtype" in table else table["attn_dtype"]
            step = table.get("step", 0)
            parts.append(
                pd.DataFrame(
                    {
                        "device": device, "stack": path.parts[-3], "software": f"{path.parts[-3]}-{path.parts[-2]}",
                        "kernel": table.get("kernel_source"), "op": "attention", "phase": phase,
                        "batch": table["batch_size"], "q_len": table["isl"], "kv_len": table["isl"] + step,
                        "heads": table["num_heads"], "kv_heads": kv_heads.clip(lower=1), "head_dim": table["head_dim"],
                        "causal": phase == "prefill", "window": window.where(window > 0),
                        "dtype": table["attn_dtype"].map(_DTYPES), "kv_dtype": kv_dtype.map(_DTYPES),
                        "latency_s": table["latency"] * 1e-3,
                    }
                )
            )  # fmt: skip
    return pd.concat(parts, ignore_index=True)


def predicted(table: pd.DataFrame, predictor: Predictor) -> pd.DataFrame:
    """The table with the predicted latency, the bound and the algorithm of every row."""
    table = table.assign(predicted_s=np.nan, bound=None, algorithm=None)
    names = "op phase batch q_len kv_len heads kv_heads head_dim causal window dtype kv_dtype".split()
    for device, rows in table.groupby("device").groups.items():
        e = predictor.predict({n: table.loc[rows, n].to_numpy() for n in names}, str(device), cache="warm")
        table.loc[rows, "predicted_s"] = e.latency_s
        table.loc[rows, "bound"] = e.bound
        table.loc[rows, "algorithm"] = getattr(e, "algorithm", None)
    return table


def _line(cells: tuple[object, ...], table: pd.DataFrame) -> None:
    ratio = table["predicted_s"] / table["latency_s"]
    error = (ratio - 1).abs()
    print(
        f"| {' | '.join(map(str, cells))} | {len(table)} | {error.mean():.1%} | {error.median():.1%} |"
        f" {ratio.median() - 1:+.1%} |"
    )


def main() -> None:
    """Prints the tables."""
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else ROWS
    table = predicted(sample(Path(os.environ["PERFMODEL_SHARED"]), rows), load("analytical"))
    large = table[table["latency_s"] > 1e-4]
    for part, title in ((table, "all rows"), (large, "rows above 0.1 ms")):
        print(f"\n{title}\n\n| device | phase | rows | MAPE | median | median bias |\n|---|---|---|---|---|---|")
        for device in DEVICES.values():
            for phase in PHASES.values():
                mine = part[(part["device"] == device) & (part["phase"] == phase)]
                if len(mine):
                    _line((device, phase), mine)
        for phase in PHASES.values():
            _line(("all", phase), part[part["phase"] == phase])
        _line(("all", "all"), part)
    print("\n| stack | phase | rows | MAPE | median | median bias |\n|---|---|---|---|---|---|")
    for (stack, phase), mine in table.groupby(["stack", "phase"]):
        _line((stack, phase), mine)


if __name__ == "__main__":
    main()
