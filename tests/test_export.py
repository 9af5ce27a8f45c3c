"""Exports as C: compiled, linked, and the same numbers as the predictor's and the ranker's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from compiled import compiled, needs_compiler

from perfmodel.export import operator
from perfmodel.models.predictor import load_trained
from perfmodel.ops import FAMILIES

TOLERANCE = 1e-12
"""Relative. Where numpy calls the C library's own functions, as on most machines, the numbers are the same bit by bit."""
SMALL = ("batch", "inputs", "outputs", "steps", "ranks")


def random_operators(names: list[str], rows: int, seed: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {n: np.floor(2.0 ** rng.uniform(0, 9 if n in SMALL else 13.5, rows)) for n in names}


@needs_compiler
@pytest.mark.parametrize(
    ("device", "op", "dtype", "settings"),
    [
        ("h100-sxm", "gemm", "bf16", {}),  # learned, three states of the cache, batches
        ("a100-pcie-40gb", "gemm", "w4a16", {}),  # a sibling's trees
        ("rtx-3090", "gemm", "fp32", {}),  # on the vector units
        ("rtx-3090", "gemm", "nf4", {}),  # three ways to widen
        ("epyc-9654", "gemm", "fp32", {}),  # a processor
        ("h100-sxm", "elementwise", "bf16", {"kind": "gelu"}),
        ("mi300x", "softmax", "fp16", {}),
        ("b200-sxm", "norm", "bf16", {"kind": "rmsnorm"}),
        ("h100-sxm", "quantize", "bf16", {"kind": "quantize", "out_dtype": "fp8"}),
        ("h100-sxm", "rnn", "fp16", {}),
    ],
)
def test_c_operators_are_the_predictors(
    device: str, op: str, dtype: str, settings: dict[str, Any], tmp_path: Path
) -> None:
    predictor = load_trained()
    export = operator(predictor, device, op, dtype, settings=settings)
    call = compiled(export, tmp_path)
    columns = random_operators(list(export.inputs), 300, seed=7)
    estimates = predictor.predict(FAMILIES[op](dtype=dtype, **settings, **columns), device)
    for row in range(300):
        code, got = call({n: v[row] for n, v in columns.items()})
        assert code == 0
        for name, value in got.items():
            assert value == pytest.approx(getattr(estimates, name)[row], rel=TOLERANCE, abs=0)
