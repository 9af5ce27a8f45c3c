"""Rankings that learn: times under a power limit, configurations that failed, devices that have no opinion on some, tables of
measurements that teach nothing."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from rank_spaces import GEMM, sgemm

from perfmodel.errors import InputError
from perfmodel.hardware import load_device
from perfmodel.rank import Ranker, rank, space
from perfmodel.rank.acquisition import _first_batch
from perfmodel.rank.energy import powered, without_cap
from perfmodel.rank.lookup import Tables
from perfmodel.rank.physics import Physics
from perfmodel.rank.pretrained import NOTHING, Pretrained, Source
from perfmodel.rank.training import Measured, measured_spaces, train_source

CAP_W = 130.0
NOTHING_NEW = Tables(0.0, ("A",), (np.array([64.0]),), ((0,),), (np.zeros(2, dtype=np.float32),))


def test_times_without_a_cap_are_those_that_the_cap_stretches() -> None:
    columns = sgemm()
    physics = Physics.of(space("clblast_sgemm"), GEMM, load_device("rtx-3090"))
    costs = physics.costs({n: columns.get(n, d) for n, d in space("clblast_sgemm").columns.items()})
    seconds = np.geomspace(1e-5, 1e-1, len(columns["MWG"]))
    under = powered(physics, costs, seconds, CAP_W)
    assert under is not None
    assert (under.latency_s > seconds).any()
    assert without_cap(physics, costs, under.latency_s, CAP_W) == pytest.approx(seconds, rel=0.02)


def test_what_was_measured_under_a_cap_is_shown_as_it_was_measured() -> None:
    ranker = Ranker(GEMM, sgemm(), "rtx-3090", power_limit_w=CAP_W, pretrained="none")
    ranker.observe([5], [2e-4])
    ranking = ranker.ranking()
    [place] = np.flatnonzero(ranking.rows == 5)
    assert ranking.latency_s[place] == pytest.approx(2e-4, rel=0.02)
    shown = (float(ranking.latency_low_s[place]), float(ranking.latency_high_s[place]))
    assert ranker.interval(5) == pytest.approx(shown)
    free = Ranker(GEMM, sgemm(), "rtx-3090", pretrained="none")
    assert (
        free.interval(5)[0] < Ranker(GEMM, sgemm(), "rtx-3090", power_limit_w=CAP_W, pretrained="none").interval(5)[0]
    )


def test_a_region_of_failures_alone_is_not_suggested_again() -> None:
    # Place 0 failed and is all of its region.
    chosen = _first_batch(np.array([0, 1, 1, 1]), np.array([np.inf, 1.0, 2.0, 3.0]), 3)
    assert sorted(chosen.tolist()) == [1, 2, 3]
    ranker = Ranker(GEMM, sgemm(), "rtx-3090", pretrained="none")
    failed = ranker.suggest(8)
    ranker.observe(failed, [float("nan")] * 8)
    assert not set(failed.tolist()) & set(ranker.suggest(40).tolist())


@pytest.mark.parametrize("divisor", ["(device.warp - 32 + A % 48)", "(device.warp - 32)"])
def test_a_device_on_which_a_formula_is_undefined_has_this_ones_opinion(divisor: str) -> None:
    # The warp is 64 here and 32 on the source, where the formula divides by 0: for two of the rows, or for all at once.
    mine = space({
        "id": "mine", "op": "gemm", "columns": {"A": {}},
        "roles": {"tile_m": "A", "tile_n": "A", "stages": f"2 + 0 * (1 / {divisor})"},
    })  # fmt: skip
    columns = {"A": np.array([16, 96, 64, 32])}
    teacher = Source("mine", "rtx-3090", {"dtype": "fp32"}, 30, NOTHING_NEW)
    taught = rank(GEMM, columns, "mi250x", space=mine, pretrained=Pretrained((teacher,)))
    assert np.isfinite(taught.latency_s).all()
    if divisor.endswith("32)"):  # the source knows nothing but this device's own physics
        assert taught.rows.tolist() == rank(GEMM, columns, "mi250x", space=mine, pretrained=NOTHING).rows.tolist()


def traces(**columns: list[float]) -> pd.DataFrame:
    rows = len(next(iter(columns.values())))
    problem = {"op": "gemm", "device": "rtx-3090", "dtype": "fp32", "batch": 1, "m": 512, "n": 512, "k": 512}
    return pd.DataFrame({**problem, "latency_s": np.full(rows, 1e-3), **columns})


def test_spaces_of_one_table_keep_their_own_columns() -> None:
    few = {f"cfg_{name}": values[:2].astype(float).tolist() for name, values in sgemm().items()}
    one, two = traces(**few), traces(**few, cfg_KWG=[16.0, 64.0]).assign(m=256)
    found = list(measured_spaces(pd.concat([one, two], ignore_index=True)))
    usual = space("clblast_sgemm").columns["KWG"]
    assert [(s.op.m, s.columns["KWG"].tolist()) for s in found] == [(512, [usual] * 2), (256, [16, 64])]
    with pytest.raises(InputError, match="2 rows of one gemm on rtx-3090 have no cfg_ column in common"):
        list(measured_spaces(traces(cfg_MWG=[32.0, np.nan], cfg_BLOCK_M=[np.nan, 64.0])))


def test_one_configuration_over_and_over_teaches_nothing() -> None:
    pytest.importorskip("xgboost")
    columns = {n: np.repeat(v[:1], 30) for n, v in sgemm().items()}
    full = {n: columns.get(n, np.full(30, d)) for n, d in space("clblast_sgemm").columns.items()}
    measured = Measured(space("clblast_sgemm"), GEMM, load_device("rtx-3090"), full, np.full(30, 1e-3))
    with pytest.raises(
        InputError, match="the 30 measured configurations of clblast_sgemm on rtx-3090 are all the same"
    ):
        train_source(measured)
