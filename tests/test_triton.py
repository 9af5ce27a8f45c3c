"""Pruning of Triton's autotuner: feasibility against its compiler, the order against a brute-force ranking kept as a file.

``python tests/test_triton.py`` writes that file (tests/triton_golden.json) again: each configuration scored alone, then sorted.
``tests/triton_h100.json`` has times of a blocked product on an H100 (2026-11-26, driver 580.159.04, Triton 3.6.0).
``tests/triton_compiled.json`` holds what Triton's own compiler reports of a blocked product (release 3.9; no GPU is needed).
"""

from __future__ import annotations

import itertools
import json
import math
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import perfmodel
from perfmodel.errors import InputError
from perfmodel.hardware import load_device
from perfmodel.integrations.triton import Pruning, product, pruning
from perfmodel.rank import prepare, rank, space
from perfmodel.rank.physics import Physics

GOLDEN = Path(__file__).parent / "triton_golden.json"
MEASURED = Path(__file__).parent / "triton_h100.json"
COMPILED = Path(__file__).parent / "triton_compiled.json"
SPACE = list(itertools.product((64, 128, 256), (64, 128, 256), (32, 64), (4, 8), (2, 4)))
DEVICES = ("a100-sxm-80gb", "h100-sxm", "rtx-3090")


@dataclass(frozen=True)
class Config:
    """What is read of ``triton.Config``."""

    kwargs: dict[str, int]
    num_warps: int = 4
    num_stages: int = 3
    num_ctas: int = 1
    maxnreg: int | None = None

    def all_kwargs(self) -> dict[str, Any]:
        return {**self.kwargs, "num_warps": self.num_warps, "num_stages": self.num_stages, "num_ctas": self.num_ctas}


@dataclass(frozen=True)
class Tensor:
    """What is read of a tensor."""

    dtype: str = "torch.float16"
    data: list[float] = field(default_factory=list)


def configs(kind: Any = Config) -> list[Any]:
    return [
        kind({"BLOCK_M": m, "BLOCK_N": n, "BLOCK_K": k, "GROUP_M": 8}, num_warps=warps, num_stages=stages)
        for m, n, k, warps, stages in SPACE
    ]


def arguments(m: int = 4096, n: int = 4096, k: int = 4096) -> dict[str, Any]:
    return {"a_ptr": Tensor(), "b_ptr": Tensor(), "c_ptr": Tensor(), "M": m, "N": n, "K": k}


def brute_force(device: str) -> list[int]:
    """Places of the configurations that can run in order of their seconds, each asked for alone."""
    model = prepare(perfmodel.Gemm(m=4096, n=4096, k=4096, dtype="fp16"), device, "triton_gemm", "none")
    names = ("BLOCK_SIZE_M", "BLOCK_SIZE_N", "BLOCK_SIZE_K", "num_warps", "num_stages")
    seconds = []
    for values in SPACE:
        try:
            seconds.append(model(dict(zip(names, values, strict=True))))
        except InputError:
            seconds.append(math.inf)
    return sorted((p for p, s in enumerate(seconds) if s < math.inf), key=lambda place: seconds[place])


@pytest.mark.parametrize("device", DEVICES)
def test_the_pruned_are_the_first_of_the_brute_force_ranking(device: str) -> None:
    golden = json.loads(GOLDEN.read_text())[device]
    assert brute_force(device) == golden
    own = Pruning(device, pretrained="none")
    offered = configs()
    kept = own.early_config_prune(offered, arguments())
    assert [offered.index(c) for c in kept] == sorted(golden)
    ordered = sorted(kept, key=lambda c: own.perf_model(**arguments(), **c.all_kwargs()))
    assert [offered.index(c) for c in ordered] == golden


@pytest.mark.parametrize("device", DEVICES)
def test_triton_itself_keeps_them(device: str) -> None:
    triton = pytest.importorskip("triton", reason="triton is not installed (a wheel of 200 MB for Linux)")
    if not hasattr(triton, "Config"):
        pytest.skip("the package triton is another one here")

    def kernel(a_ptr, b_ptr, c_ptr, M, N, K, BLOCK_M, BLOCK_N, BLOCK_K, GROUP_M):  # type: ignore[no-untyped-def]
        """Never compiled."""

    offered = configs(triton.Config)
    decorate = triton.autotune(
        configs=offered, key=["M", "N", "K"], prune_configs_by=pruning(device, top_k=6, pretrained="none")
    )
    tuner = decorate(triton.jit(kernel))
    tuner.nargs = arguments()
    kept = [offered.index(c) for c in tuner.prune_configs({})]
    assert kept == json.loads(GOLDEN.read_text())[device][:6]


def test_a_table_ranks_as_the_pruning_does() -> None:
    golden = json.loads(GOLDEN.read_text())["a100-sxm-80gb"]
    columns = dict(
        zip(
            ("BLOCK_SIZE_M", "BLOCK_SIZE_N", "BLOCK_SIZE_K", "num_warps", "num_stages"),
            np.array(SPACE).T,
            strict=True,
        )
    )
    op = perfmodel.Gemm(m=4096, n=4096, k=4096, dtype="fp16")
    assert rank(op, columns, "a100-sxm-80gb", pretrained="none").rows.tolist() == golden


def test_shared_memory_and_registers_are_those_of_the_compiler() -> None:
    """Triton's compiler on sm_80 and sm_90: bytes of shared memory, and whether registers spill to the stack."""
    compiled = json.loads(COMPILED.read_text())
    off = []
    for capability, device in ((80, "a100-sxm-80gb"), (90, "h100-sxm")):
        rows = [c for c in compiled if c["cc"] == capability]
        names = {"bm": "BLOCK_SIZE_M", "bn": "BLOCK_SIZE_N", "bk": "BLOCK_SIZE_K", "warps": "num_warps"}
        columns = {new: np.array([float(r[old]) for r in rows]) for old, new in names.items()}
        columns |= {"num_stages": np.array([float(r["stages"]) for r in rows])}
        columns |= {"SPLIT_K": np.ones(len(rows)), "GROUP_SIZE_M": np.full(len(rows), 8.0)}
        op = perfmodel.Gemm(m=4096, n=4096, k=4096, dtype="fp16")
        costs = Physics.of(space("triton_gemm"), op, load_device(device)).costs(columns)
        shared = np.array([r["shared"] for r in rows])
        off += [r for r, s, own in zip(rows, shared, costs.roles["shared_bytes"], strict=True) if s != own]
        spills = np.array([r["stack"] > 0 for r in rows])
        assert spills.any()
        assert (spills == (costs.registers > 255)).all()
        taken = np.array([r["reg"] for r in rows])
        assert np.abs(np.log(np.minimum(costs.registers, 255) / taken)).max() < np.log(1.5)
    # On sm_80 the results of 256 x 128 blocks pass through shared memory on their way out: 64 KiB, more than two stages.
    assert [(r["cc"], r["bm"], r["bn"], r["shared"]) for r in off] == 2 * [(80, 256, 128, 65_536)]


@dataclass(frozen=True)
class Measured:
    """A product of tests/triton_h100.json: seconds of every configuration on an H100, NaN where it could not run."""

    op: perfmodel.Gemm
    columns: dict[str, np.ndarray]
    seconds: np.ndarray


def measured() -> list[Measured]:
    recorded = json.loads(MEASURED.read_text())
    names = ("BLOCK_SIZE_M", "BLOCK_SIZE_N", "BLOCK_SIZE_K", "num_warps", "num_stages")
    columns = dict(zip(names, np.array(recorded["configurations"], float).T, strict=True))
    return [
        Measured(
            perfmodel.Gemm(m=p["m"], n=p["n"], k=p["k"], dtype=recorded["dtype"]),
            columns,
            np.array(p["us"], float) * 1e-6,
        )
        for p in recorded["products"]
    ]


def share_of_best(product: Measured, top: int) -> float:
    """Speed of the best of the first ``top`` of our ranking, over that of the best of all."""
    rows = rank(product.op, product.columns, "h100-sxm", top_k=top, pretrained="none").rows
    return float(np.nanmin(product.seconds) / np.nanmin(product.seconds[rows]))


def test_a_real_h100_runs_what_the_physics_says_it_can() -> None:
    """332 of 360 run. Blocks of fewer than 64 rows keep a stage in registers, as on GPUs whose matrix units read none from
    shared memory."""
    for product_ in measured():
        refused = rank(product_.op, product_.columns, "h100-sxm", pretrained="none").rows
        assert sorted(refused) == np.flatnonzero(np.isfinite(product_.seconds)).tolist()


def test_the_first_eight_hold_nearly_the_best_that_an_h100_ran() -> None:
    """Of 14 products by 332 configurations. The constants were chosen with the first six in view, the others not."""
    shares = {str(p.op.shape): share_of_best(p, 8) for p in measured()}
    assert len(shares) == 14
    assert min(shares.values()) > 0.98, shares
    # One configuration, nothing measured.
    assert np.mean([share_of_best(p, 1) for p in measured()]) > 0.97


def test_what_cannot_run_anywhere_is_tried_with_a_warning() -> None:
    own = Pruning("rtx-3090")
    large = [Config({"BLOCK_M": 256, "BLOCK_N": 256, "BLOCK_K": 256}, num_warps=8, num_stages=4)]
    with pytest.warns(UserWarning, match="over shared memory"):
        assert own.early_config_prune(large, arguments()) == large
    assert own.perf_model(**arguments(), **large[0].all_kwargs()) == math.inf


def test_a_formula_of_an_own_space_that_divides_by_0_prunes() -> None:
    """As in tables and one by one: what has no number is not ranked, and not first."""
    described = {
        "id": "own", "op": "gemm", "columns": {"DEPTH": {}},
        "roles": {"tile_m": "64", "tile_n": "64", "tile_k": "16", "threads": "256", "unroll": "8 / DEPTH"},
    }  # fmt: skip
    own = Pruning("rtx-3090", space=described)
    good, bad = (Config({"DEPTH": depth}) for depth in (2, 0))
    assert own.early_config_prune([bad, good], arguments()) == [good]
    with pytest.warns(UserWarning, match=r"none of 1 configurations should run on rtx-3090 .*divides by 0"):
        assert own.early_config_prune([bad], arguments()) == [bad]
    assert own.perf_model(**arguments(), **bad.all_kwargs()) == math.inf


def test_a_formula_of_the_problem_alone_that_divides_by_0_is_said() -> None:
    described = {
        "id": "own", "op": "gemm", "columns": {"DEPTH": {}},
        "roles": {"tile_m": "64", "tile_n": "64", "tile_k": "16", "threads": "256", "unroll": "1 / (op.k - op.k)"},
    }  # fmt: skip
    with pytest.raises(InputError, match="the space own: a role is 0 that others are divided by"):
        Pruning("rtx-3090", space=described).early_config_prune([Config({"DEPTH": 1})], arguments())


def test_names_and_number_formats() -> None:
    config = Config({"TILE_M": 128, "TILE_N": 128, "TILE_K": 32})
    with pytest.raises(InputError, match="lacks BLOCK_SIZE_M"):
        Pruning("a100-sxm-80gb").perf_model(**arguments(), **config.all_kwargs())
    names = {"TILE_M": "BLOCK_SIZE_M", "TILE_N": "BLOCK_SIZE_N", "TILE_K": "BLOCK_SIZE_K"}
    seconds = Pruning("a100-sxm-80gb", names=names).perf_model(**arguments(), **config.all_kwargs())
    # 2 x 4096^3 FLOPs at 312 TFLOP/s are 440 us.
    assert 440e-6 < seconds < 2 * 440e-6
    assert product(
        {"x": Tensor("fp16"), "rows": 2, "cols": 3, "inner": 4}, ("rows", "cols", "inner")
    ) == perfmodel.Gemm(m=2, n=3, k=4, dtype="fp16")
    assert product({"x": Tensor("torch.float32"), "M": 2, "N": 3, "K": 4}).dtype == "tf32"
    with pytest.raises(InputError, match="no argument 'M'"):
        product({"x": Tensor()})
    with pytest.raises(InputError, match="dtype="):
        product({"x": Tensor("torch.complex64"), "M": 2, "N": 3, "K": 4})


if __name__ == "__main__":
    GOLDEN.write_text(json.dumps({device: brute_force(device) for device in DEVICES}, indent=None) + "\n")
    sys.stdout.write(f"{GOLDEN} written\n")
