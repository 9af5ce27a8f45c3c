"""The covariance of errors that training learns from hardware families that were left out."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from perfmodel.error_kernels import FEWEST_ROWS, learn_error_kernels
from perfmodel.evaluate import judge_part
from perfmodel.hardware import load_device
from perfmodel.models.analytical import analyse
from perfmodel.models.constants import FALLBACK
from perfmodel.models.families.gemm import GEMM
from perfmodel.models.fit import gemm_group
from perfmodel.models.kernel import Kernel, Points, general_kernel
from perfmodel.models.machine import Conditions
from perfmodel.models.predictor import Predictor
from perfmodel.models.trace_rows import Part
from perfmodel.transfer import FAMILY, SIBLING, LeftOut

pandas = pytest.importorskip("pandas")
pytest.importorskip("scipy")

DEVICES = ("a100-sxm-80gb", "h100-sxm", "l40s")
ROWS = 60
QUIET = 0.02


def part(device: str, *, stacks: float, dtype: str = "bf16", rows: int = ROWS) -> Part:
    """Products that take the physics times a factor of their stack's, e to +-``stacks``, and 2 % of noise."""
    rng = np.random.default_rng([7, DEVICES.index(device)])
    table = pandas.DataFrame(
        {"device": device, "software": np.where(np.arange(rows) % 2, "vllm-0.9.0", "sglang-0.5.0"), "op": "gemm",
         "batch": 1, "m": rng.integers(1, 8192, rows), "n": 64 * rng.integers(1, 128, rows),
         "k": 64 * rng.integers(1, 128, rows), "dtype": dtype, "source": "synthetic", "cache": "warm"}
    )  # fmt: skip
    bounds = analyse(gemm_group(table, dtype), load_device(device), constants=FALLBACK, conditions=Conditions("warm"))
    side = np.where(table["software"] == "vllm-0.9.0", 1.0, -1.0) * (1 if DEVICES.index(device) % 2 else -1)
    table["latency_s"] = bounds.latency_s * np.exp(stacks * side + QUIET * rng.standard_normal(rows))
    return Part(GEMM, "gemm", device, dtype, table)


def left_out(parts: list[Part], kind: str = FAMILY) -> list[LeftOut]:
    predictor = Predictor(constants=FALLBACK)
    return [LeftOut(kind, load_device(p.device).family, rows) for p in parts for rows in judge_part(p, predictor)]


def learned(parts: list[Part], **options: Any) -> Kernel:
    return learn_error_kernels(parts, left_out(parts), FALLBACK, **options)["gemm"]


@pytest.fixture(scope="module")
def apart() -> Kernel:
    return learned([part(d, stacks=0.2) for d in DEVICES])


def by_stack(kernel: Kernel) -> float:
    """Variance that rows of one stack share with each other and not with another stack."""
    return sum(p.variances[1] + p.variances[2] for p in kernel.parts if p.form == "constant")


def test_what_stacks_share_is_learned(apart: Kernel) -> None:
    alike = learned([part(d, stacks=0.0) for d in DEVICES])
    assert by_stack(apart) > 0.01  # 0.2**2, less what the prior holds back
    assert by_stack(alike) < 0.1 * by_stack(apart)
    for kernel in (apart, alike):  # half of the 2 % at least, and far from the general 6 %
        assert 0.5 * QUIET < np.sqrt(kernel.noise) < 2 * QUIET < np.sqrt(general_kernel(GEMM).noise)


def test_the_same_rows_give_the_same_numbers_and_the_order_of_what_was_left_out_does_not_matter(apart: Kernel) -> None:
    parts = [part(d, stacks=0.2) for d in DEVICES]
    assert learn_error_kernels(parts, left_out(parts)[::-1], FALLBACK)["gemm"] == apart
    assert Kernel.from_dict(apart.to_dict()) == apart
    assert all(v == float(f"{v:.4g}") for p in apart.parts for v in (*p.scales, *p.variances))


def test_predictions_are_taken_for_the_rows_that_they_were_made_for(apart: Kernel) -> None:
    """The rows of a part come by software; its table mixes them."""
    parts = [part(d, stacks=0.2) for d in DEVICES]
    sorted_parts = [replace(p, rows=p.rows.sort_values("software", kind="stable")) for p in parts]
    assert by_stack(learned(sorted_parts)) == pytest.approx(by_stack(apart), rel=0.5)


@pytest.mark.parametrize(
    "parts",
    [
        pytest.param([part("h100-sxm", stacks=0.2)], id="one family"),
        pytest.param([part(d, stacks=0.2, rows=FEWEST_ROWS - 1) for d in DEVICES], id="too few rows"),
        pytest.param([part("h100-sxm", stacks=0.2)] * 2, id="the same family twice"),
    ],
)
def test_too_little_says_nothing(parts: list[Part]) -> None:
    assert learn_error_kernels(parts, left_out(parts), FALLBACK) == {}


def test_what_a_sibling_predicted_says_nothing_of_unmeasured_families() -> None:
    parts = [part(d, stacks=0.2) for d in DEVICES]
    assert learn_error_kernels(parts, left_out(parts, SIBLING), FALLBACK) == {}


def test_predictions_of_other_rows_are_refused() -> None:
    parts = [part(d, stacks=0.2) for d in DEVICES]
    others = [replace(p, rows=p.rows.assign(latency_s=p.rows["latency_s"] * 2)) for p in parts]
    assert learn_error_kernels(parts, left_out(others), FALLBACK) == {}


def test_a_predictor_corrects_with_what_its_training_learned(apart: Kernel) -> None:
    points = Points({name: np.zeros(2) for p in apart.parts for name in p.columns}, np.array(["a-1", "b-1"], object))
    predictor = Predictor(constants=FALLBACK, error_kernels={"gemm": apart})
    assert np.array_equal(predictor.error_kernel(GEMM).covariance(points, points), apart.covariance(points, points))
