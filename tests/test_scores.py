"""Benchmark scores from datasheets: the physics, the baselines, the choice, the protocol."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas
import pytest

from perfmodel.datasets import load
from perfmodel.errors import InputError, TraceError
from perfmodel.evaluate import evaluate
from perfmodel.models.scores import COMPUTE, CORE_CLOCK, FIXED, LINK, MEMORY_READ, Machines, kind_of, physical, plain
from perfmodel.training.scores import BASELINES, CANDIDATES, UNCHOSEN, Scores, choose, interval_std, repeat_noise

INT, LBM = "SPECrate2017_int_base/502.gcc_r", "SPECrate2017_fp_base/519.lbm_r"
TRIAD, READS = (
    "Stream/Triad Bandwidth (NTW) (MB/s)",
    "Memory Latency Checker Bandwidth/Peak Bandwidth All Sockets 100R (MB/s)",
)
TABLE = {
    "device": "a", "software": "gcc", "workload": INT, "latency_s": np.nan, "score": 400.0, "source": "test",
    "collection": "SPR/train_data", "machine_sockets": 2, "machine_cores_per_socket": 56, "machine_numa_nodes": 2,
    "machine_base_clock_hz": 1.9e9, "machine_all_core_clock_hz": 2.8e9, "machine_max_clock_hz": 3.8e9,
    "machine_l3_bytes_per_socket": 1e8, "machine_ddr_modules": 16, "machine_ddr_module_bytes": 2.0**36,
    "machine_ddr_transfers_per_s": 4.8e9, "machine_hbm_stacks": 0, "machine_hbm_transfers_per_s": np.nan,
}  # fmt: skip


def table(**columns: Any) -> Any:
    rows = max((len(v) for v in columns.values() if isinstance(v, list)), default=1)
    return pandas.DataFrame({name: columns.get(name, value) for name, value in TABLE.items()}, index=range(rows))


def test_bandwidth_is_channels_times_rate() -> None:
    machines = Machines.of(table(machine_ddr_modules=[16, 8], machine_ddr_transfers_per_s=[4.8e9, 2.4e9]))
    # 16 channels x 8 bytes x 4.8e9 transfers; a quarter of that.
    assert plain(TRIAD, machines).tolist() == [614.4e9, 153.6e9]
    assert physical(TRIAD, machines).tolist() == [614.4e9, 153.6e9]


def test_memory_on_the_package_is_worth_what_the_cores_take_of_it() -> None:
    package = {"machine_hbm_stacks": [0, 8], "machine_hbm_transfers_per_s": [np.nan, 3.2e9]}
    machines = Machines.of(table(machine_cores_per_socket=56, **package))
    # 8 stacks of 128 bytes at 3.2e9 transfers are 3276.8 GB/s, 5.33 times the peak of DDR.
    assert np.divide(*plain(READS, machines)[::-1]) == pytest.approx(16 / 3)
    assert np.divide(*physical(READS, machines)[::-1]) == pytest.approx(2.3)
    assert np.divide(*physical(TRIAD, machines)[::-1]) == pytest.approx(3.5)
    half = Machines.of(table(machine_cores_per_socket=28, **package))
    assert np.divide(*physical(READS, half)[::-1]) == pytest.approx(1.15)


def test_the_clock_under_load_lies_between_base_and_turbo() -> None:
    # 2.1 to 3.1 GHz and 2.6 to 3.1 GHz: 2.85 / 2.6.
    machines = Machines.of(table(machine_base_clock_hz=[2.1e9, 2.6e9], machine_all_core_clock_hz=3.1e9))
    assert np.divide(*physical(INT, machines)[::-1]) == pytest.approx(1.09615, abs=1e-4)
    assert np.divide(*plain(INT, machines)[::-1]) == 1


def test_benchmarks_that_wait_for_memory_do_not_gain_from_cores() -> None:
    machines = Machines.of(table(machine_cores_per_socket=[56, 28]))
    half = {w: np.divide(*physical(f"SPECrate2017_fp_base/{w}", machines)[::-1]) for w in ("519.lbm_r", "508.namd_r")}
    assert half == pytest.approx({"519.lbm_r": 1.0, "508.namd_r": 0.5})
    # Half of the time stays, half doubles: 1 / 1.5.
    assert np.divide(*physical("SPECrate2017_fp_base/521.wrf_r", machines)[::-1]) == pytest.approx(2 / 3)
    # Of 13 benchmarks four stay, four fall to 2/3, five to a half.
    mean = np.divide(*physical("SPECrate2017_fp_base/SPECrate2017_fp_base", machines)[::-1])
    assert mean == pytest.approx(((2 / 3) ** 4 * 0.5**5) ** (1 / 13))


def test_kinds() -> None:
    latency = "Memory Latency Checker latency/Local socket local cluster {} latency (ns)"
    assert kind_of(latency.format("L1 hit")) == CORE_CLOCK
    assert kind_of(latency.format("memory")) == FIXED
    assert kind_of("Memory Latency Checker Bandwidth/Peak Bandwidth Remote (MB/s)") == LINK
    assert kind_of("HPCG/Score(GFLOPS)") == kind_of(READS) == MEMORY_READ
    assert kind_of(LBM) == COMPUTE


def test_anchors_are_means_over_processors_and_siblings_stand_in() -> None:
    # a was measured twice: 100 and 100; b once: 400. On one and the same datasheet the mean of both is 200.
    train = Scores.of(table(device=["a", "a", "b"], score=[100.0, 100.0, 400.0]))
    test = Scores.of(table(device=["c", "c"], workload=[INT, "SPECrate2017_int_base/505.mcf_r"]))
    for predict in (BASELINES["mean"], BASELINES["plain physics"], CANDIDATES[UNCHOSEN]):
        assert np.exp(predict(train, test, 0)) == pytest.approx([200, 200])


def test_one_socket_stands_for_another() -> None:
    name = "Memory Latency Checker Bandwidth/Peak Bandwidth Socket {} 100R (MB/s)"
    train = Scores.of(table(workload=[name.format(1), READS], score=[250.0, 500.0]))
    test = Scores.of(table(workload=name.format(0)))
    assert np.exp(CANDIDATES[UNCHOSEN](train, test, 0)) == pytest.approx([250])


@pytest.mark.parametrize("name", [*BASELINES, *CANDIDATES])
def test_what_physics_explains_wholly_is_predicted_by_every_learner_on_it(name: str) -> None:
    """Scores that follow the physics exactly: what starts from it adds nothing; the others stay finite."""
    base = [1.9e9, 2.1e9, 2.6e9]
    full = table(device=["a", "b", "c"], machine_base_clock_hz=base)
    full["score"] = physical(INT, Machines.of(full)) * 100
    scores = Scores.of(full)
    found = {**BASELINES, **CANDIDATES}[name](scores.taken(slice(0, 2)), scores.taken(slice(2, 3)), 0)
    assert np.isfinite(found).all()
    if name in CANDIDATES and name != "ridge":
        assert np.exp(found - scores.log_score[2:]) == pytest.approx([1.0], abs=1e-6)


def test_nothing_is_chosen_of_too_few_processors() -> None:
    scores = Scores.of(table(device=["a", "b"], score=[100.0, 200.0], machine_base_clock_hz=[1.9e9, 2.6e9]))
    assert choose(scores, COMPUTE, 0) == (UNCHOSEN, {})


def test_a_candidate_that_is_surely_better_is_chosen() -> None:
    """Scores proportional to the L3, which the physics does not know: what learns exponents finds that."""
    l3 = [0.5e8, 1e8, 1.5e8, 2e8, 2.5e8, 3e8]
    scores = Scores.of(table(device=list("abcdef"), machine_l3_bytes_per_socket=l3, score=[100 * v / 1e8 for v in l3]))
    name, errors = choose(scores, COMPUTE, 0)
    assert name in ("exponents around the physics", "ridge")
    assert errors[name] < 0.5 * errors[UNCHOSEN]


def test_intervals_widen_with_the_distance() -> None:
    train = Scores.of(table())
    test = Scores.of(table(machine_cores_per_socket=[56, 48, 28]))
    std = interval_std(train, test)
    assert std[0] == pytest.approx(0.02)
    assert std[0] < std[1] < std[2]
    # ln 2 x 0.3 of the cores, and the noise.
    assert std[2] == pytest.approx(np.hypot(0.02, 0.3 * np.log(2)))


def test_noise_is_that_of_other_measurements() -> None:
    # A copy of a row is no repeat: 100 and 110 differ by 10 % and 9.09 %.
    scores = Scores.of(table(score=[100.0, 110.0, 110.0]))
    assert repeat_noise(scores) == pytest.approx((0.1 + 1 / 11) / 2)
    assert repeat_noise(scores.taken(slice(1, 3))) is None


def test_the_protocol_holds_out_each_processor_and_the_published_split(tmp_path: Path) -> None:
    runs = table(
        device=["a", "b", "b"], score=[100.0, 120.0, 125.0], machine_base_clock_hz=[2.1e9, 2.6e9, 2.6e9],
        machine_all_core_clock_hz=[3.1e9] * 3, collection=["SPR/train_data", "SPR/test_data", "SPR/test_data"],
    )  # fmt: skip
    path = tmp_path / "runs.parquet"
    runs.to_parquet(path)
    report = evaluate(str(path), protocol="scores")
    groups = {(g["held_out"], g["target"]): g for g in report["groups"]}
    assert {held for held, _ in groups} == {"published split", "a", "b"}
    # 100 x 2.85 / 2.6 = 109.615 against 120 and 125; the mean says 100.
    assert groups["b", "score"]["mape"] == pytest.approx((1 - 109.615 / 120 + 1 - 109.615 / 125) / 2, abs=1e-5)
    assert groups["published split", "score by mean"]["mape"] == pytest.approx((20 / 120 + 25 / 125) / 2)
    assert groups["b", "score by mean"]["coverage_90"] is None
    assert groups["b", "score"]["noise_mape"] == pytest.approx((5 / 120 + 5 / 125) / 2)
    assert groups["a", "score"]["noise_mape"] is None


def test_rows_without_machines_or_of_one_processor_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "runs.parquet"
    table().to_parquet(path)
    with pytest.raises(InputError, match="at least two processors"):
        evaluate(str(path), protocol="scores")
    table(device=["a", "b"]).drop(columns="machine_hbm_stacks").to_parquet(path)
    with pytest.raises(TraceError, match="machine_hbm_stacks is missing"):
        evaluate(str(path), protocol="scores")


def test_the_published_split(shared: Path) -> None:
    """What docs/scores.md says: integers within 2 % of a machine that was never seen, below every baseline."""
    runs = load("perfcastdb", shared / "data/perfcastdb")
    scores = Scores.of(runs)
    train = runs["collection"].str.endswith("train_data").to_numpy()
    mine = (scores.suite == "SPECrate2017_int_base") & ~train
    error = {
        name: np.abs(np.exp(predict(scores.taken(train), scores.taken(mine), 0) - scores.log_score[mine]) - 1).mean()
        for name, predict in {**BASELINES, UNCHOSEN: CANDIDATES[UNCHOSEN]}.items()
    }
    assert error[UNCHOSEN] < 0.02
    assert min(error[name] for name in BASELINES) > 0.08


def test_options_that_scores_would_not_use_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from perfmodel.cli import WRONG_USE, main

    for option in ("--predictor", "--device"):
        assert main(["evaluate", str(tmp_path / "t.csv"), "--protocol", "scores", option, "default"]) == WRONG_USE
        assert f"{option} is not for the protocol scores" in capsys.readouterr().err
