"""Physics constants that may be stored: all that a fit finds, and none that make a time infinite."""

from __future__ import annotations

import numpy as np
import pytest

from perfmodel.models.constants import FALLBACK, Constants, sane_bounds
from perfmodel.models.fit import BOUNDS as FITTED
from perfmodel.models.predictor import Predictor
from perfmodel.ops import Attention, Conv, Gemm

BOUNDS = {name: sane_bounds(name) for name in FALLBACK.to_dict()}


def test_whatever_is_fitted_may_be_stored() -> None:
    for name, (least, most) in FITTED.items():
        low, high = BOUNDS[name]
        assert low < least < most < high, name


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("size", [1, 100, 2**20])
@pytest.mark.parametrize("device", ["h100-sxm", "v100-sxm2-16gb", "b300-sxm", "jetson-orin-nano"])
def test_constants_at_their_worst_leave_times_finite(device: str, size: int) -> None:
    slow = {name: max(ends) if max(ends) < 1e30 else min(ends) for name, ends in BOUNDS.items()}
    usual = FALLBACK.to_dict()
    chance = np.random.default_rng(7)
    mixtures = [
        {name: chance.choice([slow[name], *ends, usual[name]]).item() for name, ends in BOUNDS.items()}
        for _ in range(8)
    ]
    operators = (
        Gemm(m=size, n=size, k=size, dtype="fp16"),
        Gemm(m=size, n=1, k=size, dtype="fp32"),
        Gemm(m=1, n=size, k=size, dtype="w4a16"),
        Conv(batch=8, c_in=64, h=56, w=56, c_out=64, kernel_h=3, kernel_w=3, pad_h=1, pad_w=1, dtype="fp32"),
        Attention(batch=8, heads=16, kv_heads=16, q_len=size, kv_len=size, head_dim=64, dtype="fp16"),
    )
    for values in (slow, *mixtures):
        predictor = Predictor("p", Constants.from_dict(values))
        for operator in operators:
            found = predictor.predict(operator, device)
            assert np.isfinite(found.latency_s).all()
            assert (found.latency_s > 0).all()
