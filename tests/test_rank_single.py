"""One kernel configuration at a time, in plain Python."""

from __future__ import annotations

import contextlib
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rank_spaces import GEMM, sgemm

import perfmodel
from perfmodel.errors import InputError
from perfmodel.hardware import load_device
from perfmodel.rank import prepare, rank, space, space_ids
from perfmodel.rank.expressions import NUMBERS
from perfmodel.rank.physics import Physics
from perfmodel.rank.single import shortened


def test_one_configuration_in_plain_python() -> None:
    predict = prepare(GEMM, "rtx-3080", "clblast_sgemm")
    columns = sgemm()
    ranking = rank(GEMM, columns, "rtx-3080")
    one_by_one = [predict({n: float(v[row]) for n, v in columns.items()}) for row in ranking.rows[:40]]
    assert np.corrcoef(np.log(one_by_one), np.log(ranking.latency_s[:40]))[0, 1] > 0.7
    with pytest.raises(InputError, match="no multiple of threads"):
        predict({**{n: float(v[0]) for n, v in columns.items()}, "MWG": 33.0})
    with pytest.raises(InputError, match="MWG"):
        predict({"NWG": 32.0})
    analytical = prepare(GEMM, "rtx-3080", "clblast_sgemm", "none")
    row = {n: float(v[3]) for n, v in columns.items()}
    full = {**{n: d for n, d in space("clblast_sgemm").columns.items() if d is not None}, **row}
    physics = Physics.of(space("clblast_sgemm"), GEMM, load_device("rtx-3080"))
    assert analytical(row) == physics.costs({n: np.array([v]) for n, v in full.items()}).latency_s[0]


@pytest.mark.parametrize("name", space_ids())
@given(st.data())
def test_the_shortened_physics_is_the_physics(name: str, data: st.DataObject) -> None:
    """Whatever is asked of it: the same refusal, the same seconds, the same division by 0."""
    described = space(name)
    op: Any = GEMM
    if described.op == "conv":
        op = perfmodel.Conv(c_in=1, c_out=1, h=512, w=700, kernel_h=15, kernel_w=15, dtype="fp32")
    physics = Physics.of(described, op, load_device("epyc-9654" if "cpu" in name else "rtx-3090"))
    short = _shortened(name, physics)
    numbers = st.sampled_from((0.0, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0)) | st.integers(0, 300).map(float)
    columns = {n: data.draw(numbers if d is None else st.just(d) | numbers) for n, d in described.columns.items()}
    try:
        costs = physics.costs(columns, NUMBERS)
    except (ZeroDivisionError, ValueError):
        # What divides may be no part of the refusal, which the shortened one looks at first.
        with contextlib.suppress(ZeroDivisionError, ValueError):
            assert short(list(columns.values()))[0] != 0
        return
    refused, seconds = short(list(columns.values()))
    assert refused == costs.refused
    assert refused or seconds == costs.latency_s


_SHORT: dict[str, Any] = {}


def _shortened(name: str, physics: Physics) -> Any:
    if name not in _SHORT:
        _SHORT[name] = shortened(physics)
    return _SHORT[name]


def test_a_division_by_0_is_a_reason_to_refuse_in_tables_and_one_by_one() -> None:
    described = {
        "id": "own", "op": "gemm", "columns": {"a": 64, "b": 64, "depth": {}}, "roles": {
            "tile_m": "a", "tile_n": "b", "threads": "256", "unroll": "8 / depth", "tile_k": "16",
            "shared_bytes": "a * b",
        },
    }  # fmt: skip
    configs = {"a": [64, 64, 4096], "b": [64, 64, 4096], "depth": [2, 0, 0]}
    ranking = perfmodel.rank(GEMM, configs, "rtx-3090", space=described)
    assert ranking.rows.tolist() == [0]
    assert ranking.refused == {"a formula of the space divides by 0, or leaves all bounds": 1, "over shared memory": 1}
    predict = prepare(GEMM, "rtx-3090", described)
    assert predict({"a": 64, "b": 64, "depth": 2}) > 0
    with pytest.raises(InputError, match="rtx-3090: a formula of the space divides by 0"):
        predict({"a": 64, "b": 64, "depth": 0})
    with pytest.raises(InputError, match="rtx-3090: over shared memory"):
        predict({"a": 4096, "b": 4096, "depth": 0})
    with pytest.raises(InputError, match=r"none of 1 configurations can run.*divides by 0"):
        perfmodel.rank(GEMM, {"a": [64], "b": [64], "depth": [0]}, "rtx-3090", space=described)


def test_a_formula_without_bounds_is_a_reason_to_refuse_in_tables_and_one_by_one() -> None:
    described = {
        "id": "own", "op": "gemm", "columns": {"a": {}},
        "roles": {"tile_m": "a", "tile_n": "64", "threads": "256", "stride_m": "a ** 9", "tile_k": "16"},
    }  # fmt: skip
    ranking = perfmodel.rank(GEMM, {"a": [64, 4096]}, "rtx-3090", space=described)
    assert ranking.rows.tolist() == [0]  # 64^9 is 2e16, 4096^9 is 3e32
    assert list(ranking.refused) == ["a formula of the space divides by 0, or leaves all bounds"]
    assert prepare(GEMM, "rtx-3090", described)({"a": 64}) == pytest.approx(ranking.latency_s[0], rel=1e-12)
    with pytest.raises(InputError, match="leaves all bounds"):
        prepare(GEMM, "rtx-3090", described)({"a": 1e300})
    with pytest.raises(InputError, match=r"a, row 1: 1e\+300 is beyond 2\^53"):
        perfmodel.rank(GEMM, {"a": [64, 1e300]}, "rtx-3090", space=described)
    for broken, why in (("1e16", r"holds 1e\+16; wanted numbers up to 2\^53"), ("2 ** 2000", "leaves all bounds")):
        with pytest.raises(InputError, match=why):
            perfmodel.rank(
                GEMM, {"a": [64]}, "rtx-3090", space={**described, "roles": {**described["roles"], "stride_m": broken}}
            )


def test_many_configurations_one_by_one_are_as_the_first() -> None:
    predict = prepare(GEMM, "rtx-3080", "clblast_sgemm")
    row = {n: float(v[3]) for n, v in sgemm().items()}
    assert len({predict(row) for _ in range(300)}) == 1
    with pytest.raises(InputError, match="no multiple of threads"):
        predict({**row, "MWG": 33.0})
    with pytest.raises(InputError, match="it lacks MWG"):
        predict({"NWG": 32.0})
