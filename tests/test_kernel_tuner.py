"""The strategy of Kernel Tuner: against doubles of its interface, and inside it where it is installed."""

from __future__ import annotations

import importlib.util
import itertools
import shutil
import sys
import types
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import perfmodel
from perfmodel.errors import InputError, MissingExtraError
from perfmodel.integrations.kernel_tuner import Strategy, columns, seconds

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
PARAMETERS = {
    "tile_m": [16, 64], "tile_n": [32, 64], "tile_k": [64, 256], "inner_m": [1, 4, 32], "inner_n": [8, 16], "vector": [4, 8],
}  # fmt: skip
PROBLEM = perfmodel.Gemm(m=256, n=256, k=256, dtype="fp32")


class StopError(Exception):
    """Kernel Tuner's StopCriterionReached."""


class Cost:
    """Kernel Tuner's CostFunc over a made-up kernel that fails where nothing is unrolled into vectors of eight."""

    budget = 12
    asked: list[tuple[int, ...]]

    def __init__(self, searchspace, tuning_options, runner, *, scaling, snap):
        assert not scaling
        assert not snap
        self.results: list[dict[str, Any]] = []
        Cost.asked = []

    def eval(self, configuration, check_restrictions=True):
        if len(self.results) == self.budget:
            raise StopError
        Cost.asked.append(configuration)
        values = dict(zip(PARAMETERS, configuration, strict=True))
        time = (
            1e300
            if values["inner_n"] == 16 and values["vector"] == 4
            else 1000 / (values["inner_m"] * values["vector"])
        )
        self.results.append({**values, "time": time})
        return time


@pytest.fixture
def tuner(monkeypatch):
    common, util = types.ModuleType("kernel_tuner.strategies.common"), types.ModuleType("kernel_tuner.util")
    common.CostFunc, util.StopCriterionReached = Cost, StopError
    for name, module in (
        ("kernel_tuner", types.ModuleType("kernel_tuner")), ("kernel_tuner.strategies", types.ModuleType("s")),
        ("kernel_tuner.strategies.common", common), ("kernel_tuner.util", util),
    ):  # fmt: skip
        monkeypatch.setitem(sys.modules, name, module)


def searchspace() -> Any:
    return SimpleNamespace(list=list(itertools.product(*PARAMETERS.values())), tune_params=PARAMETERS)


def test_a_search_stops_at_the_budget_and_finds_the_best(tuner):
    strategy = Strategy(PROBLEM, "epyc-7763", space="cpu_blocked_gemm")
    results = strategy.tune(searchspace(), None, {"objective": "time"})
    assert len(results) == len(set(Cost.asked)) == 12
    # The fastest that the kernel has: 4 rows (32 exceed a tile of 16, not one of 64), vectors of 8.
    assert min(r["time"] for r in results) == 1000 / (32 * 8)
    assert strategy.ranker is not None
    assert strategy.ranker.observed == 12


def test_what_cannot_run_is_never_compiled(tuner):
    strategy = Strategy(PROBLEM, "epyc-7763", space="cpu_blocked_gemm")
    Cost.budget = 1000
    try:
        results = strategy.tune(searchspace(), None, {"objective": "time"})
    finally:
        Cost.budget = 12
    # 32 rows in registers need a tile of 64: 16 of the 96 do not.
    assert len(results) == 96 - 16
    assert all(r["inner_m"] <= r["tile_m"] for r in results)


def test_another_objective_is_refused(tuner):
    with pytest.raises(InputError, match="minimises Kernel Tuner's objective 'time'; got 'GFLOP/s'"):
        Strategy(PROBLEM, "epyc-7763").tune(searchspace(), None, {"objective": "GFLOP/s"})


def test_without_kernel_tuner_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "kernel_tuner", None)
    monkeypatch.setitem(sys.modules, "kernel_tuner.strategies.common", None)
    with pytest.raises(MissingExtraError, match="kernel-tuner"):
        Strategy(PROBLEM, "epyc-7763").tune(searchspace(), None, {"objective": "time"})


def test_columns_are_numbers_and_texts_are_left_out():
    made = columns(["tile", "layout", "pad"], [(16, "row", True), (32, "column", False)])
    assert {name: values.tolist() for name, values in made.items()} == {"tile": [16, 32], "pad": [1, 0]}
    with pytest.raises(InputError, match="leave no configuration"):
        columns(["tile"], [])


@pytest.mark.parametrize("failed", [float("nan"), float("inf"), sys.float_info.max, -1.0, 0.0, "InvalidConfig", None])
def test_marks_of_failure_are_no_times(failed):
    assert np.isnan(seconds(failed))
    assert seconds(2.5) == 0.0025


@pytest.mark.skipif(
    importlib.util.find_spec("kernel_tuner") is None or shutil.which("gcc") is None,
    reason="needs kernel_tuner (pip install 'perfmodel[kernel-tuner]') and gcc",
)
@pytest.mark.parametrize("kernel", ["gemm", "stencil"])
def test_real_kernels_are_compiled_checked_and_timed(kernel, tmp_path):
    spec = importlib.util.spec_from_file_location("tune_kernel_tuner", EXAMPLES / "tune_kernel_tuner.py")
    assert spec is not None
    assert spec.loader is not None
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    op, space = example.problem(kernel)
    strategy = Strategy(op, "epyc-7763", space=space)
    results = example.tune(kernel, strategy, 4, str(tmp_path / "cache.json"))
    assert len(results) == 4
    # Kernel Tuner compares each result with what numpy computed, and marks those that differ.
    assert all(isinstance(r["time"], float) and r["time"] > 0 for r in results)
