"""Loop nests: what they touch and cost, how schedules become nests, and what measurements teach."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import numpy as np
import pytest
import tir_doubles as tir_double
from hypothesis import given, settings
from hypothesis import strategies as st

from perfmodel.errors import InputError
from perfmodel.hardware.loader import load_device
from perfmodel.integrations.loop_nests import (
    NEST_VECTOR,
    TERMS,
    Access,
    Core,
    Nest,
    feature_names,
    nest_costs,
    program,
)  # fmt: skip
from perfmodel.integrations.nest_learner import NestLearner, corrected_seconds, fit_prior
from perfmodel.integrations.tir import nests
from perfmodel.models.trees import Booster

CORE = Core.of(load_device("epyc-7763"))


def product(order: str = "ijk", size: dict[str, int] | None = None, vector: str = "", unroll: int = 0) -> Nest:
    """C[i, j] += A[i, k] B[k, j] with its loops in an order."""
    size = size or {"i": 32, "j": 32, "k": 32}
    shapes = {"C": "ij", "A": "ik", "B": "kj"}
    accesses = []
    for written, name in ((True, "C"), (False, "C"), (False, "A"), (False, "B")):
        shape = np.array([size[axis] for axis in shapes[name]], dtype=float)
        moves = np.array([[float(axis == loop) for loop in order] for axis in shapes[name]])
        reach = moves * np.array([size[loop] - 1 for loop in order])
        accesses.append(Access(name, 4.0, written, shape, reach, np.array([shape[1], 1.0]) @ moves))
    kinds = tuple("vectorized" if loop == vector else "serial" for loop in order)
    return Nest(np.array([size[loop] for loop in order]), kinds, tuple(accesses), 2.0, unroll)


def lines_touched(access: Access, extents: np.ndarray, inner: int) -> int:
    """Lines that the loops from one inward touch, by visiting every iteration."""
    touched = set()
    for at in itertools.product(*(range(int(e)) for e in extents[inner:])):
        address = 4 * int(sum(i * s for i, s in zip(at, access.stride[inner:], strict=True)))
        touched.add(address // 64)
    return len(touched)


@pytest.mark.parametrize("order", ["ijk", "kij", "jki"])
def test_footprints_are_the_lines_that_iterations_touch(order):
    nest = product(order, {"i": 4, "j": 32, "k": 16})
    for access in nest.accesses:
        for inner in range(len(order) + 1):
            assert access.footprints()[inner] == 64 * lines_touched(access, nest.extents, inner)


def test_what_fits_the_cache_comes_in_once():
    # Three matrices of 32 x 32 floats are 12 KiB: each crosses once, whatever the order.
    costs = nest_costs(product("ijk"), CORE)
    assert costs.terms_s["l1"] * CORE.clock_hz * 32 == pytest.approx(3 * 32 * 32 * 4)


def test_what_does_not_fit_comes_in_again():
    # B has 1 MiB, read once for every row of A, of which there are 64; A and C cross once.
    size = {"i": 64, "j": 512, "k": 512}
    costs = nest_costs(product("ikj", size, vector="j"), CORE)
    bytes_in = costs.terms_s["l1"] * CORE.clock_hz * 32
    assert bytes_in == pytest.approx(64 * 512 * 512 * 4, rel=0.1)


def test_a_column_walk_loads_element_by_element():
    # Along i, neighbours of A and C lie 32 elements apart.
    along, across = nest_costs(product("ikj", vector="j"), CORE), nest_costs(product("jki", vector="i"), CORE)
    assert along.described["gathered"] == 0
    assert across.described["gathered"] > 1
    assert across.seconds > 2 * along.seconds


def test_results_beyond_the_registers_spill():
    # A tile of 4 x 16 floats is 8 vectors; one of 16 x 16 is 32, twice what there are.
    small = nest_costs(product("kij", {"i": 4, "j": 16, "k": 64}, vector="j", unroll=64), CORE)
    large = nest_costs(product("kij", {"i": 16, "j": 16, "k": 64}, vector="j", unroll=64), CORE)
    assert small.described["accumulators"] == 8
    assert large.described["accumulators"] == 32
    assert small.terms_s["spills"] == 0 < large.terms_s["spills"]


@settings(max_examples=60, deadline=None)
@given(
    st.permutations("ijk"), st.tuples(*[st.sampled_from([1, 2, 3, 8, 10, 40, 64])] * 3), st.sampled_from(["", "j", "i"]),
    st.sampled_from([0, 16, 512]),
)  # fmt: skip
def test_costs_are_finite_and_no_lower_than_the_arithmetic(order, sizes, vector, unroll):
    size = dict(zip("ijk", sizes, strict=True))
    nest = product("".join(order), size, vector, unroll)
    costs = nest_costs(nest, CORE)
    assert set(costs.terms_s) == set(TERMS)
    assert all(np.isfinite(v) and v >= 0 for v in costs.terms_s.values())
    assert all(np.isfinite(v) for v in costs.described.values())
    # 16 multiply-adds a clock at 3.5 GHz: two pipelines of eight lanes.
    assert costs.seconds >= np.prod(sizes) / 16 / 3.5e9


def test_a_schedule_becomes_its_nest():
    [nest] = nests(tir_double.blocked_product(8, 64, 16, 32, unroll=64))
    assert nest.extents.tolist() == [8, 2, 16, 32]
    assert nest.kinds == ("parallel", "serial", "serial", "vectorized")
    assert nest.unroll_steps == 64
    assert nest.flops == 2
    strides = {a.buffer: a.stride.tolist() for a in nest.accesses}
    assert strides == {"C": [64, 32, 0, 1], "A": [16, 0, 1, 0], "B": [0, 32, 64, 1]}
    [b] = [a for a in nest.accesses if a.buffer == "B"]
    assert b.reach.tolist() == [[0, 0, 15, 0], [0, 32, 0, 31]]


def test_a_fused_loop_is_evaluated_not_solved():
    d = tir_double
    fused, store_to = d.Var("ij_fused"), d.Buffer("Y", [4, 16])
    body = d.BufferStore(
        store_to, d.BufferLoad(d.Buffer("X", [64]), [fused]),
        [d.FloorDiv(fused, d.IntImm(16)), d.FloorMod(fused, d.IntImm(16))],
    )  # fmt: skip
    [nest] = nests(d.IRModule({"main": d.PrimFunc(d.For(fused, 64, d.SERIAL, body))}))
    store, load = nest.accesses
    assert store.reach.tolist() == [[3], [15]]
    assert store.stride.tolist() == load.stride.tolist() == [1]


def test_padding_is_a_branch_and_an_open_extent_an_error():
    d = tir_double
    i = d.Var("i")
    guarded = d.Call(d.Op("tirx.if_then_else"), [i, d.BufferLoad(d.Buffer("X", [8]), [i]), d.IntImm(0)])
    body = d.BufferStore(d.Buffer("Y", [8]), guarded, [i])
    [nest] = nests(d.IRModule({"main": d.PrimFunc(d.For(i, 8, d.SERIAL, body))}))
    assert nest.branches
    with pytest.raises(ValueError, match="wanted a constant"):
        nests(d.IRModule({"main": d.PrimFunc(d.For(i, d.Var("n"), d.SERIAL, body))}))


def programs():
    tiles = [1, 2, 4, 8, 16, 32, 64]
    return [
        program(nests(tir_double.blocked_product(64, 64, 64, t, unroll=u)), CORE) for t in tiles for u in (0, 16, 64)
    ]


def test_a_program_has_the_features_that_it_names():
    for one in programs():
        assert one.features.shape == (len(feature_names()),)
        assert one.nest_vectors.shape == (1, len(NEST_VECTOR))
        assert np.isfinite(one.features).all()
        assert 2 ** one.features[0] == pytest.approx(one.seconds)
    with pytest.raises(ValueError, match="without loop nests"):
        program([], CORE)


def test_a_learner_starts_from_the_physics_and_follows_measurements():
    offered = programs()
    learner = NestLearner()
    mean, _ = learner.forecast("w", offered)
    assert np.exp(mean) == pytest.approx([p.seconds for p in offered])
    # A machine that is three times as slow, where the first is odd: it alone is ten times as slow.
    measured = [3 * p.seconds for p in offered]
    measured[0] *= 10
    learner.observe("w", offered[:8], measured[:8])
    mean, deviation = learner.forecast("w", offered)
    assert np.exp(mean[:8]) == pytest.approx(measured[:8], rel=0.2)
    assert np.median(np.exp(mean[8:]) / measured[8:]) == pytest.approx(1, rel=0.3)
    assert deviation[:8].max() < 0.1 < np.median(deviation[8:])
    assert learner.best("w") == pytest.approx(np.log(min(measured[:8])))
    assert learner.best("other") is None


def test_a_failed_schedule_counts_as_slow():
    offered = programs()
    learner = NestLearner()
    learner.observe("w", offered[:4], [1e-4, float("nan"), 1.1e-4, 1.2e-4])
    mean, _ = learner.forecast("w", offered[:4])
    assert mean[1] > np.log(3e-4)
    only_failed = NestLearner()
    only_failed.observe("w", offered[:1], [float("nan")])
    assert np.isfinite(only_failed.forecast("w", offered)[0]).all()


def test_a_learner_reads_what_it_wrote(tmp_path: Path):
    offered = programs()
    learner, again = NestLearner(), NestLearner()
    learner.observe("w", offered[:3], [1e-4, 2e-4, float("nan")])
    learner.save(tmp_path / "m.json")
    again.load(tmp_path / "m.json")
    for mine, its in zip(learner.forecast("w", offered), again.forecast("w", offered), strict=True):
        assert (mine == its).all()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "no measurements of schedules"),
        ('{"schema": 99, "workloads": {}}', "schema 99"),
        ('{"schema": 1}', "no measurements of schedules"),
        ('{"schema": 1, "workloads": {"w": {"features": [], "prior_log_s": [1], "log_s": []}}}', "differ in length"),
    ],
)
def test_a_damaged_file_is_refused_and_nothing_forgotten(tmp_path: Path, text, says):
    (tmp_path / "m.json").write_text(text)
    learner = NestLearner()
    learner.observe("w", programs()[:1], [1e-4])
    with pytest.raises(InputError, match=says):
        learner.load(tmp_path / "m.json")
    assert learner.best("w") is not None
    with pytest.raises(InputError, match="cannot be read"):
        learner.load(tmp_path / "absent.json")


def test_trees_on_single_nests_correct_what_the_physics_gets_wrong():
    offered = programs()
    seconds = np.array([p.seconds * (4 if p.nest_vectors[0][NEST_VECTOR.index("whole")] < 2.5 else 1) for p in offered])
    prior = Booster.from_json(fit_prior([(offered, seconds)] * 4, trees=60))
    corrected = corrected_seconds(offered, prior)
    physics = np.array([p.seconds for p in offered])
    assert np.std(np.log(corrected / seconds)) < 0.5 * np.std(np.log(physics / seconds))
    assert json.loads(fit_prior([(offered, seconds)], trees=2)) == json.loads(fit_prior([(offered, seconds)], trees=2))
