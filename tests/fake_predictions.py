"""Predictions made by hand, for the tests of the command line."""

from __future__ import annotations

from typing import Any

from perfmodel.predict import Estimate, ModelPrediction, OperatorPrediction


def operator(op: str, shape: str, each_s: float, count: int = 1, **changes: Any) -> OperatorPrediction:
    fields: dict[str, Any] = {
        "name": f"{op}.{shape}",
        "op": op,
        "shape": shape,
        "dtype": "bf16",
        "count": count,
        "flops": 1.0,
        "bytes": 1.0,
        "latency_s": Estimate(each_s * count, each_s * count, each_s * count),
        "latency_each_s": Estimate(each_s, each_s, each_s),
        "power_w": None,
        "energy_j": None,
        "bound": "dram",
        "source": "learned",
        "terms": {"compute": 1.2e-6, "dram": 3.4e-6, "launch": 2e-6},
    }
    return OperatorPrediction(**{**fields, **changes})


def prediction(**changes: Any) -> ModelPrediction:
    fields: dict[str, Any] = {
        "model": "resnet18",
        "device": "h100-sxm",
        "predictor": "default",
        "latency_s": Estimate(4e-4, 3.5e-4, 4.8e-4),
        "power_w": Estimate(312.0, 250.0, 400.0),
        "energy_j": Estimate(0.125, 0.1, 0.15),
        "flops": 29e9,
        "flops_executed": 29e9,
        "bytes": 320e6,
        "weights_bytes": 23e6,
        "peak_memory_bytes": 61e6,
        "utilisation": 0.123,
        "operators": (
            operator("conv", "a", 5e-5, 1, bound="launch", source="analytical"),
            operator("conv", "a", 5e-5, 4),
            operator("gemm", "b", 1e-4, bound="compute"),
        ),
        "dims": {"batch": 8},
    }
    return ModelPrediction(**{**fields, **changes})
