"""Fits the physics constants of the analytical GEMM model to measured GEMMs, over all devices and dtypes together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from perfmodel.errors import MissingExtraError
from perfmodel.hardware import Device, load_device
from perfmodel.models.analytical import analyse
from perfmodel.models.constants import FALLBACK, Constants
from perfmodel.models.machine import Conditions
from perfmodel.models.trace_rows import cache_states
from perfmodel.ops import Gemm
from perfmodel.ops.table import Group

if TYPE_CHECKING:
    import pandas as pd

KERNEL_CONSTANTS = (
    "launch_cycles", "wave_cycles", "split_cycles", "k_extra", "mma_efficiency", "norm_p", "dram_efficiency",
    "l2_bytes_per_clock", "hit_bytes_per_clock", "residency", "residency_power", "refetch_residency", "refetch_power",
    "block_scale", "throttle_flops_per_w", "throttle_power",
)  # fmt: skip
"""Constants of any GEMM kernel, fitted first, on 16-bit GEMMs: the one format that every device runs natively.
``l2_exponent`` is not among them: with one family left out the others hardly say what it is (0.7 to 1.2), so that it stays
at 1, operand bandwidth in proportion to the matrix unit's width."""

FORMAT_CONSTANTS = (
    "quantize_cycles", "dequantize_cycles_per_element", "fp8_efficiency", "fp4_efficiency", "int8_efficiency",
)  # fmt: skip
"""Constants of narrow formats, fitted after them with the kernel constants held: their tables mix kernels that differ up
to tenfold between stacks, and would pull the rest along."""

SIMT_CONSTANTS = (
    "simt_gemm_efficiency", "simt_tile_cost", "simt_l2_bytes_per_clock", "simt_dram_efficiency", "simt_residency",
    "simt_block_scale", "simt_norm_p", "simt_split_cycles", "simt_throttle_power", "eager_launch_s",
)  # fmt: skip
"""Constants of fp32 products on vector units: of other kernels, fitted apart."""

_KERNEL_DTYPE = "bf16"
SIMT_DTYPE = "fp32"
BOUNDS = {
    "launch_cycles": (1000.0, 20000.0), "wave_cycles": (10.0, 5000.0), "split_cycles": (500.0, 30000.0),
    "k_extra": (5.0, 500.0), "mma_efficiency": (0.8, 1.05), "norm_p": (1.5, 8.0), "dram_efficiency": (0.6, 0.95),
    "l2_bytes_per_clock": (10.0, 100.0), "hit_bytes_per_clock": (5.0, 40.0), "residency": (0.5, 1.2),
    "residency_power": (1.0, 12.0), "refetch_residency": (0.15, 1.5), "refetch_power": (1.0, 10.0),
    "block_scale": (0.05, 1.0), "throttle_flops_per_w": (1e12, 6e12), "throttle_power": (0.05, 1.0),
    "quantize_cycles": (100.0, 30000.0), "dequantize_cycles_per_element": (1e-4, 1 / 50), "fp8_efficiency": (0.3, 1.05),
    "fp4_efficiency": (0.3, 1.05), "int8_efficiency": (0.3, 1.05),
    "simt_gemm_efficiency": (0.8, 1.5), "simt_tile_cost": (0.01, 1.5), "simt_l2_bytes_per_clock": (8.0, 40.0),
    "simt_dram_efficiency": (0.5, 0.95), "simt_residency": (0.1, 2.0), "simt_block_scale": (0.05, 1.0),
    "simt_norm_p": (1.5, 8.0), "simt_split_cycles": (2e3, 5e4), "simt_throttle_power": (0.2, 1.0),
    "eager_launch_s": (1e-6, 1e-4),
}  # fmt: skip
"""What each constant can physically be. A fit to few devices leaves some undetermined, and would carry them anywhere."""
_SOFT_L1_SCALE = 0.1
"""Log-ratio beyond which a row counts linearly instead of squared: tables hold spikes and mislabelled kernels."""


@dataclass(frozen=True)
class _Sample:
    group: Group
    device: Device
    conditions: Conditions
    log_measured: np.ndarray
    eager: bool = False
    """Whether an eager call was timed, so that ``eager_launch_s`` comes on top of the estimate."""


def gemm_group(table: pd.DataFrame, dtype: str) -> Group:
    """The rows of a trace table, all of one dtype, as a group of GEMM descriptors."""
    batch, m, n, k = (table[c].to_numpy(dtype=np.float64) for c in ("batch", "m", "n", "k"))
    return Group(Gemm(batch=batch, m=m, n=n, k=k, dtype=dtype), np.arange(len(table)))


def fit_constants(
    traces: pd.DataFrame,
    *,
    rows_per_table: int = 200,
    seed: int = 0,
    start: Constants = FALLBACK,
    max_evaluations: int = 15,
    report: Callable[[str], None] = lambda line: None,
) -> Constants:
    """Constants that minimise a robust sum of squared ln(predicted / measured).

    Every (device, software, dtype) table weighs the same: an equal random sample of each is fitted, each row in its own state
    of the cache and with its own kind of launch.

    Args:
        traces: operator traces of GEMMs.
        rows_per_table: rows drawn from each table.
        seed: of the draw.
        start: where the search begins.
        max_evaluations: steps of the search.
        report: receives a line of progress now and then.

    Raises:
        MissingExtraError: SciPy is not installed.
    """
    constants = start
    simt = (traces["dtype"] == SIMT_DTYPE).to_numpy()
    native = (traces["dtype"] == _KERNEL_DTYPE).to_numpy()
    # cauchy forgives whole tables that run another kernel (a block-scaled fallback at a tenth of the speed).
    stages = (
        (KERNEL_CONSTANTS, native if native.any() else ~(native | simt), "soft_l1"),
        (FORMAT_CONSTANTS, ~(native | simt), "cauchy"),
        (SIMT_CONSTANTS, simt, "soft_l1"),
    )
    for names, rows, loss in stages:
        if rows.any():
            samples = _samples(traces[rows], rows_per_table, seed)
            constants = _fit_stage(samples, names, constants, loss, max_evaluations, report)
    return constants


def _fit_stage(
    samples: list[_Sample],
    names: tuple[str, ...],
    start: Constants,
    loss: str,
    max_evaluations: int,
    report: Callable[[str], None],
) -> Constants:
    try:
        from scipy.optimize import least_squares
    except ImportError:
        raise MissingExtraError("scipy", "train", "fitting physics constants") from None
    evaluations = 0

    def residuals(x: np.ndarray) -> np.ndarray:
        nonlocal evaluations
        evaluations += 1
        # The search tries absurd constants too; those whose latency is not finite it takes back by itself.
        with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
            constants = _constants(x, names, start)
            parts = [
                np.log(
                    analyse(s.group, s.device, constants=constants, conditions=s.conditions).latency_s
                    + s.eager * constants.eager_launch_s
                )
                - s.log_measured
                for s in samples
            ]
        result = np.concatenate(parts)
        if evaluations % (len(names) + 1) == 1:
            report(
                f"fit of {len(names)} constants: evaluation {evaluations}, mean |ln ratio| {np.abs(result).mean():.4f}"
            )
        return result

    lower, upper = np.log([BOUNDS[name] for name in names]).T
    x0 = np.clip(np.log([getattr(start, name) for name in names]), lower + 1e-3, upper - 1e-3)
    # A step of 2 %: the model has kinks (ceilings, argmin), so that a tiny step sees noise instead of slope.
    solution = least_squares(
        residuals, x0, bounds=(lower, upper), loss=loss, f_scale=_SOFT_L1_SCALE,
        diff_step=0.02 / np.maximum(np.abs(x0), 0.5), max_nfev=max_evaluations, x_scale="jac",
    )  # fmt: skip
    return _constants(solution.x, names, start)


def _constants(x: np.ndarray, names: tuple[str, ...], start: Constants) -> Constants:
    return replace(start, **{name: float(value) for name, value in zip(names, np.exp(x), strict=True)})


def _samples(traces: pd.DataFrame, rows_per_table: int, seed: int) -> list[_Sample]:
    samples = []
    for (device, _software, dtype), table in traces.groupby(["device", "software", "dtype"], observed=True, sort=True):
        drawn = table.sample(min(rows_per_table, len(table)), random_state=seed)
        states = cache_states(drawn).astype(str)
        eager = np.zeros(len(drawn), dtype=bool)
        if "launch" in drawn:
            eager = (drawn["launch"].astype(object) == "eager").to_numpy(dtype=bool)
        # Told apart after the draw: a table weighs the same in however many states it was measured.
        for cache, called in sorted(set(zip(states.tolist(), eager.tolist(), strict=True))):
            part = drawn[(states == cache) & (eager == called)]
            samples.append(
                _Sample(
                    gemm_group(part, str(dtype)),
                    load_device(str(device)),
                    Conditions(cache),
                    np.log(part["latency_s"].to_numpy()),
                    eager=called,
                )
            )
    return samples
