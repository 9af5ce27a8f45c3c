"""A device with round numbers, boosters written by hand, and predictors made of them."""

from __future__ import annotations

import gzip
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from perfmodel.features.vector import feature_schema
from perfmodel.hardware import Device
from perfmodel.models import artefact
from perfmodel.models.constants import FALLBACK, Constants
from perfmodel.models.learned import Residual
from perfmodel.models.predictor import Predictor


def toy_device(**changes: Any) -> Device:
    """One unit of 1024 dense bf16 FLOPs a clock at 1 GHz, 96 GB/s, 1 MB of cache, 100 W."""
    fields: dict[str, Any] = {
        "id": "toy",
        "name": "Toy",
        "vendor": "Nobody",
        "kind": "gpu",
        "family": "toys",
        "peak_flops": {"bf16": 1.024e12, "fp32": 1e11},
        "memory_bandwidth_bytes_per_s": 96e9,
        "memory_bytes": 10**9,
        "units": 1,
        "peak_clock_hz": 1e9,
        "l2_bytes": 10**6,
        "tdp_w": 100.0,
        "idle_power_w": 10.0,
        "compute_capability": "1.0",
        "process_nm": 4.0,
    }
    return Device(**{**fields, **changes})


TOY_CONSTANTS: Constants = replace(
    FALLBACK,
    launch_cycles=1000.0, wave_cycles=100.0, split_cycles=5000.0, k_extra=32.0, mma_efficiency=1.0,
    # The sum of the terms, so that a reader can add them up.
    norm_p=1.0,
    dram_efficiency=0.5, l2_bytes_per_clock=64.0, l2_exponent=1.0, hit_bytes_per_clock=16.0, residency=0.5,
    residency_power=1.5, refetch_residency=1e9,
    refetch_power=1.5, throttle_flops_per_w=1e30, quantize_cycles=500.0, dequantize_cycles_per_element=0.125,
    stream_launch_cycles=2000.0, stream_efficiency=0.5, row_efficiency=0.5, vector_efficiency=0.1,
    simt_convolution_efficiency=1.0, winograd_efficiency=0.5, transform_efficiency=0.5,
    filter_transform_efficiency=0.25, direct_efficiency=0.5, attention_efficiency=1.0, attention_sync_efficiency=0.5,
    attention_narrow_efficiency=0.5, attention_launch_cycles=3000.0, attention_block_cycles=500.0,
)  # fmt: skip
"""Round constants. Hits of the cache would be slower than memory, and so run at its pace."""
QUICK_HITS = replace(TOY_CONSTANTS, hit_bytes_per_clock=96.0)
"""The same with hits at 96 bytes a clock and unit, twice the pace of memory."""


def tree(*nodes: tuple[Any, ...]) -> dict[str, Any]:
    """A tree in XGBoost's JSON: ``(value,)`` is a leaf, ``(feature, threshold, left, right, default_left)`` a split."""
    leaf = [len(n) == 1 for n in nodes]
    return {
        "left_children": [-1 if is_leaf else n[2] for is_leaf, n in zip(leaf, nodes, strict=True)],
        "right_children": [-1 if is_leaf else n[3] for is_leaf, n in zip(leaf, nodes, strict=True)],
        "split_indices": [0 if is_leaf else n[0] for is_leaf, n in zip(leaf, nodes, strict=True)],
        "split_conditions": [n[0] if is_leaf else n[1] for is_leaf, n in zip(leaf, nodes, strict=True)],
        "default_left": [0 if is_leaf else int(n[4]) for is_leaf, n in zip(leaf, nodes, strict=True)],
        "split_type": [0] * len(nodes),
        "categories": [],
    }


def booster_json(trees: Sequence[dict[str, Any]], features: int, base: str = "0E0") -> dict[str, Any]:
    """A model as XGBoost writes it, as far as it is read."""
    return {
        "learner": {
            "objective": {"name": "reg:absoluteerror"},
            "gradient_booster": {"name": "gbtree", "model": {"trees": list(trees)}},
            "learner_model_param": {
                "base_score": base,
                "num_class": "0",
                "num_feature": str(features),
                "num_target": "1",
            },
        }
    }


def booster_bytes(trees: Sequence[dict[str, Any]], software: int) -> bytes:
    """A packed booster over the GEMM features and ``software`` columns."""
    model = booster_json(trees, len(feature_schema("gemm").names) + software)
    return gzip.compress(json.dumps(model).encode(), mtime=0)


def by_software(values: Sequence[float]) -> list[dict[str, Any]]:
    """Trees that answer ``values[i]`` for the i-th software, whatever the shape."""
    first = len(feature_schema("gemm").names)
    return [tree((first + i, 0.5, 1, 2, False), (0.0,), (value,)) for i, value in enumerate(values)]


def residual(device: str = "toy", *, log_ratio: Sequence[float] = (0.5,), **changes: Any) -> Residual:
    """A residual of ``log_ratio[i]`` for the i-th software, trusted for m, n, k of 16 to 4096."""
    software = tuple(changes.pop("software", tuple(f"stack{i}-1.0" for i in range(len(log_ratio)))))
    packed = booster_bytes(by_software(log_ratio), len(software))
    fields: dict[str, Any] = {
        "device": device,
        "part": "bf16",
        "software": software,
        "cache": ("warm",) * len(software),
        "schema": feature_schema("gemm"),
        "support": {**dict.fromkeys(("log2_m", "log2_n", "log2_k"), (4.0, 12.0)), "log2_batch": (0.0, 0.0)},
        "quantiles": ((-0.1, 0.2),) * 4,
        "rows": 1000,
        "read": lambda: packed,
    }
    return Residual(**{**fields, **changes})


def predictor(*residuals: Residual, **changes: Any) -> Predictor:
    """A predictor of hand-made residuals with the toy's constants."""
    fields: dict[str, Any] = {
        "name": "hand-made",
        "constants": TOY_CONSTANTS,
        "residuals": {r.key: r for r in residuals},
        "analytical_log_intervals": {"bf16": (-0.4, 0.6)},
    }
    return Predictor(**{**fields, **changes})


def write_predictor(folder: Path, *boosters: tuple[str, str, Sequence[float]], **changes: Any) -> dict[str, Any]:
    """A predictor folder of ``(device, dtype, log ratio by software)``; returns its manifest."""
    entries = []
    for device, dtype, log_ratio in boosters:
        file = f"gemm/{device}/{dtype}.json.gz"
        sha256 = artefact.write_file(folder, file, booster_bytes(by_software(log_ratio), len(log_ratio)))
        made = residual(device, log_ratio=log_ratio)
        entries.append(
            {"family": "gemm", "device": device, "dtype": dtype, "software": list(made.software),
             "cache": list(made.cache), "support": {k: list(v) for k, v in made.support.items()},
             "quantiles": [list(q) for q in made.quantiles], "rows": made.rows, "file": file, "sha256": sha256}
        )  # fmt: skip
    manifest = {
        "schema": artefact.SCHEMA,
        "constants": TOY_CONSTANTS.to_dict(),
        "feature_schemas": {"gemm": feature_schema("gemm").sha256},
        "analytical_log_intervals": {"bf16": [-0.4, 0.6]},
        "boosters": entries,
    }
    manifest |= changes
    artefact.write_json(folder, artefact.MANIFEST, manifest)
    return manifest


def log_spaced(low: float, high: float, rows: int, seed: int = 0) -> np.ndarray:
    """Whole numbers between two bounds, even in their logarithm."""
    return np.floor(np.exp(np.random.default_rng(seed).uniform(np.log(low), np.log(high), rows)))


def physics_alone(folder: Path) -> Path:
    """A predictor without a booster: the physics, in a folder."""
    manifest = {
        "schema": 1, "perfmodel": "0", "seed": 0, "constants": FALLBACK.to_dict(), "feature_schemas": {}, "boosters": [],
        "training_data": [], "analytical_log_intervals": {}, "versions": {},
    }  # fmt: skip
    artefact.write_json(folder, artefact.MANIFEST, manifest)
    return folder
