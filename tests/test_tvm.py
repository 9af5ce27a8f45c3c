"""The cost model of TVM's MetaSchedule on real modules: skipped where TVM is not installed."""

from __future__ import annotations

import numpy as np
import pytest

tvm = pytest.importorskip("tvm", reason="needs TVM (pip install 'perfmodel[tvm]')")
from tvm import te  # noqa: E402
from tvm.s_tir import meta_schedule  # noqa: E402
from tvm.s_tir.meta_schedule.runner import RunnerResult  # noqa: E402

from perfmodel.integrations.tir import nests  # noqa: E402
from perfmodel.integrations.tvm import CostModel  # noqa: E402

TARGET = tvm.target.Target({"kind": "llvm", "num-cores": 1})


@pytest.fixture(scope="module")
def tuning():
    """A product of 64 x 64 x 64, and sixteen schedules of it."""
    a, b = te.placeholder((64, 64), name="A"), te.placeholder((64, 64), name="B")
    k = te.reduce_axis((0, 64), name="k")
    c = te.compute((64, 64), lambda i, j: te.sum(a[i, k] * b[k, j], axis=k), name="C")
    mod = tvm.IRModule({"main": te.create_prim_func([a, b, c]).with_attr("global_symbol", "main")})
    context = meta_schedule.TuneContext(
        mod=mod, target=TARGET, space_generator="post-order-apply", search_strategy="replay-trace", num_threads=1, rand_state=1
    )  # fmt: skip
    context.pre_tuning(max_trials=16, num_trials_per_iter=16, design_spaces=context.generate_design_space())
    return context, context.generate_measure_candidates()


def test_the_product_of_every_schedule_is_among_its_nests(tuning):
    _, candidates = tuning
    for candidate in candidates:
        found = nests(candidate.sch.mod)
        work = [n for n in found if n.flops]
        assert sum(n.flops * n.iterations for n in work) == 2 * 64**3
        assert {a.buffer for n in work for a in n.accesses} >= {"A", "B"}


def test_scores_follow_measurements(tuning):
    context, candidates = tuning
    model = CostModel("epyc-7763")
    before = model.predict(context, candidates)
    assert before.shape == (16,)
    assert before.max() == pytest.approx(1)
    assert (before > 0).all()
    times = 1e-4 * np.arange(1, 17)
    model.update(context, candidates[:8], [RunnerResult([t], None) for t in times[:8]])
    after = model.predict(context, candidates)
    assert np.argmax(after[:8]) == 0
    assert after[0] == pytest.approx(1, rel=0.2)


def test_what_failed_scores_low_and_files_are_read_again(tuning, tmp_path):
    context, candidates = tuning
    model, again = CostModel("epyc-7763"), CostModel("epyc-7763")
    model.update(
        context, candidates[:3], [RunnerResult([1e-4], None), RunnerResult(None, "failed"), RunnerResult([2e-4], None)]
    )
    scores = model.predict(context, candidates)
    assert scores[1] < scores[2] < scores[0]
    model.save(str(tmp_path / "model.json"))
    again.load(str(tmp_path / "model.json"))
    assert (again.predict(context, candidates) == scores).all()


def test_metaschedule_searches_with_it():
    context = meta_schedule.TuneContext(
        mod=_small(), target=TARGET, space_generator="post-order-apply", num_threads=1, rand_state=1,
        search_strategy=meta_schedule.search_strategy.EvolutionarySearch(
            population_size=8, init_min_unmeasured=8, genetic_num_iters=1
        ),
    )  # fmt: skip
    context.pre_tuning(
        max_trials=8, num_trials_per_iter=4, design_spaces=context.generate_design_space(),
        database=meta_schedule.database.MemoryDatabase(), cost_model=CostModel("epyc-7763"),
    )  # fmt: skip
    assert len(context.generate_measure_candidates()) == 4


def _small():
    a = te.placeholder((32, 32), name="A")
    k = te.reduce_axis((0, 32), name="k")
    c = te.compute((32, 32), lambda i, j: te.sum(a[i, k] * a[k, j], axis=k), name="C")
    return tvm.IRModule({"main": te.create_prim_func([a, c]).with_attr("global_symbol", "main")})
