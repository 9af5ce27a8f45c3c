"""Exports as C: compiled, linked, and the same numbers as the predictor's and the ranker's."""

from __future__ import annotations

import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from compiled import COMPILER, compiled, needs_compiler

import perfmodel
from perfmodel._resources import data_path
from perfmodel.cli import main
from perfmodel.errors import InputError
from perfmodel.export import artefact, operator, ranker
from perfmodel.models.predictor import load_trained
from perfmodel.ops import FAMILIES
from perfmodel.rank import prepare, space
from perfmodel.recording.program import Program
from perfmodel.recording.recorded import SAMPLE_ROWS, UnrecordableError, recorded

TOLERANCE = 1e-12
"""Relative. Where numpy calls the C library's own functions, as on most machines, the numbers are the same bit by bit."""
LARGEST = {"batch": 9, "inputs": 9, "outputs": 9, "steps": 9, "ranks": 9, "heads": 6, "kv_heads": 4, "head_dim": 9}
CONVOLVED = {
    "batch": (1, 8, 32), "c_in": (4, 8, 64, 256), "c_out": (4, 16, 64, 512), "h": (14, 56, 224), "w": (14, 56, 112),
    "kernel_h": (1, 3, 5), "kernel_w": (1, 3, 5), "stride_h": (1, 1, 2), "stride_w": (1, 1, 2), "dilation_h": (1, 1, 2),
    "groups": (1, 1, 4),
}  # fmt: skip
"""What convolutions may have; what is not named is 0 where it pads, and 1."""


def random_operators(names: list[str], rows: int, seed: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    if "kernel_h" in names:
        usual = {n: CONVOLVED.get(n, (float("pad" not in n),)) for n in names}
        return {n: rng.choice(np.array(values, dtype=np.float64), rows) for n, values in usual.items()}
    return {n: np.floor(2.0 ** rng.uniform(0, LARGEST.get(n, 13.5), rows)) for n in names}


@needs_compiler
@pytest.mark.parametrize(
    ("device", "op", "dtype", "settings"),
    [
        ("h100-sxm", "gemm", "bf16", {}),  # learned, three states of the cache, batches
        ("a100-pcie-40gb", "gemm", "w4a16", {"batch": 1, "k": 4096}),  # fixed dimensions
        ("rtx-3090", "gemm", "fp32", {}),  # on the vector units
        ("rtx-3090", "gemm", "nf4", {}),  # three ways to widen
        ("epyc-9654", "gemm", "fp32", {}),  # a processor
        ("h100-sxm", "elementwise", "bf16", {"kind": "gelu"}),
        ("mi300x", "softmax", "fp16", {}),
        ("b200-sxm", "norm", "bf16", {"kind": "rmsnorm"}),
        ("h100-sxm", "quantize", "bf16", {"kind": "quantize", "out_dtype": "fp8"}),
        (
            "h100-sxm",
            "attention",
            "bf16",
            {"phase": "decode", "causal": True, "head_dim": 128},
        ),  # keys are split, or not
        ("a100-pcie-40gb", "attention", "fp16", {"causal": True, "window": True}),  # fused, or three kernels
        ("rtx-3090", "conv", "fp32", {}),  # six algorithms
        ("h100-sxm", "conv", "bf16", {"groups": 1}),  # corrected as its product
        ("rtx-3090", "moe", "fp16", {}),
        ("h100-sxm", "collective", "bf16", {"kind": "all_reduce"}),
    ],
)
def test_c_operators_are_the_predictors(
    device: str, op: str, dtype: str, settings: dict[str, Any], tmp_path: Path
) -> None:
    predictor = load_trained()
    export = operator(predictor, device, op, dtype, settings=settings)
    call = compiled(export, tmp_path)
    columns = random_operators(list(export.inputs), 300, seed=7)
    estimates = predictor.predict(FAMILIES[op](dtype=dtype, **{**settings, **columns}), device)
    for row in range(300):
        code, got = call({n: v[row] for n, v in columns.items()})
        assert code == 0
        for name, value in got.items():
            assert value == pytest.approx(getattr(estimates, name)[row], rel=TOLERANCE, abs=0)


def random_configuration(parameters: list[str], usual: dict[str, float], rng: np.random.Generator) -> dict[str, float]:
    """Powers of two and now and then any number, about values that can run."""
    drawn = {n: float(rng.choice([0, 1, 2, 4, 8, 16, 32, 64])) for n in parameters}
    return {n: usual[n] if n in usual and rng.random() < 0.8 else v for n, v in drawn.items()}


SGEMM = {"MWG": 64, "NWG": 64, "KWG": 32, "MDIMC": 8, "NDIMC": 8, "MDIMA": 8, "NDIMB": 8, "KWI": 2, "VWM": 2, "VWN": 2}
CONVOLUTION = {"batch": 1, "c_in": 1, "c_out": 1, "kernel_h": 15, "kernel_w": 15, "use_padding": 0, "use_shmem": 1}
TRITON = {"BLOCK_SIZE_M": 64, "BLOCK_SIZE_N": 64, "BLOCK_SIZE_K": 32, "num_warps": 4, "num_stages": 2, "SPLIT_K": 1}


@needs_compiler
@pytest.mark.parametrize(
    ("device", "name", "dtype", "usual"),
    [
        ("rtx-3080", "clblast_sgemm", "fp32", SGEMM),  # two devices' tables
        ("mi250x", "kernel_tuner_convolution", "fp32", CONVOLUTION),
        ("h100-sxm", "triton_gemm", "bf16", TRITON),  # physics alone
        ("epyc-9654", "cpu_blocked_gemm", "fp32", {"threads": 8, "vector": 8, "inner_m": 4, "inner_n": 16}),
    ],
)
def test_c_configurations_are_the_rankers(
    device: str, name: str, dtype: str, usual: dict[str, float], tmp_path: Path
) -> None:
    described = space(name)
    fixed = {n: int(v) for n, v in usual.items() if n not in described.columns}
    if described.op == "conv":
        conv = perfmodel.Conv(c_in=1, c_out=1, h=512, w=512, kernel_h=15, kernel_w=15, dtype=dtype)
        fixed |= {n: getattr(conv, n) for n in conv.dimension_names() if n not in ("h", "w", *fixed)}
    export = ranker(device, name, dtype, settings=fixed)
    call = compiled(export, tmp_path)
    rng = np.random.default_rng(3)
    ran = 0
    for _ in range(400):
        problem = {n: int(2.0 ** rng.uniform(5, 12)) for n in export.inputs if n not in described.columns}
        op = FAMILIES[described.op](dtype=dtype, **fixed, **problem)
        configuration = random_configuration(list(described.columns), usual, rng)
        code, got = call({**problem, **configuration})
        try:
            expected = prepare(op, device, name)(configuration)
        except InputError as error:
            why = str(error)
            expected = None
        if expected is None:
            assert code > 0
            assert export.refusals[code] in why
            continue
        assert code == 0
        assert got["latency_s"] == pytest.approx(expected, rel=TOLERANCE, abs=0)
        assert got["latency_low_s"] < got["latency_s"] < got["latency_high_s"]
        ran += 1
    assert ran > 20


def onnx_session(data: bytes) -> Any:
    onnxruntime = pytest.importorskip("onnxruntime")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(data, options)


@pytest.mark.parametrize(
    ("device", "op", "dtype", "settings", "tolerance"),
    [
        ("rtx-3090", "gemm", "fp32", {}, 1e-12),  # physics
        ("h100-sxm", "quantize", "bf16", {"kind": "quantize", "out_dtype": "fp8"}, 1e-6),  # trees
        ("h100-sxm", "attention", "bf16", {"phase": "prefill", "causal": True, "head_dim": 128}, 1e-6),
        ("rtx-3090", "conv", "fp32", {}, 1e-12),
    ],
)
def test_onnx_operators_are_the_predictors(
    device: str, op: str, dtype: str, settings: dict[str, Any], tolerance: float
) -> None:
    export = operator(load_trained(), device, op, dtype, settings=settings)
    [data] = artefact(export, "onnx").values()
    columns = random_operators(list(export.inputs), 300, seed=8)
    estimates = load_trained().predict(FAMILIES[op](dtype=dtype, **settings, **columns), device)
    got = onnx_session(data).run(list(export.outputs), columns)
    for name, values in zip(export.outputs, got, strict=True):
        np.testing.assert_allclose(values, getattr(estimates, name), rtol=tolerance, atol=0)


def test_onnx_configurations_are_the_rankers() -> None:
    export = ranker("rtx-3080", "triton_gemm", "bf16", settings={"batch": 1, "m": 512, "n": 512, "k": 512})
    [data] = artefact(export, "onnx").values()
    rng = np.random.default_rng(4)
    rows = [random_configuration(list(export.inputs), TRITON, rng) for _ in range(200)]
    columns = {n: np.array([r[n] for r in rows]) for n in export.inputs}
    refused, latency = onnx_session(data).run(["refused", "latency_s"], columns)
    predict = prepare(perfmodel.Gemm(m=512, n=512, k=512, dtype="bf16"), "rtx-3080", "triton_gemm")
    assert {0.0} < set(refused)
    for row, code, seconds in zip(rows, refused, latency, strict=True):
        if code == 0:
            assert seconds == pytest.approx(predict(row), rel=TOLERANCE, abs=0)
        else:
            with pytest.raises(InputError, match="cannot run"):
                predict(row)


@needs_compiler
def test_the_example_in_cpp(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    compiler = shutil.which("c++") or shutil.which("g++")
    if compiler is None:
        pytest.skip("no C++ compiler")
    command = [
        "export",
        "default",
        "--format",
        "c",
        "--device",
        "rtx-3090",
        "--space",
        "clblast_sgemm",
        "--dtype",
        "fp32",
    ]
    command += ["--name", "sgemm_3090", "-o", str(tmp_path)]
    assert main(command) == 0
    assert "inputs: batch, m, n, k, MWG" in capsys.readouterr().out
    assert main(command) == 2
    assert "--force replaces it" in capsys.readouterr().err
    example = data_path("examples", "exported_ranker.cpp")
    subprocess.run([COMPILER, "-std=c99", "-O1", "-c", "sgemm_3090.c"], cwd=tmp_path, check=True)
    subprocess.run(
        [compiler, "-Wall", "-Werror", "-I.", str(example), "sgemm_3090.o", "-lm", "-o", "search"],
        cwd=tmp_path,
        check=True,
    )
    shown = subprocess.run([str(tmp_path / "search")], capture_output=True, text=True, check=True).stdout.splitlines()
    predict = prepare(perfmodel.Gemm(m=4096, n=4096, k=4096, dtype="fp32"), "rtx-3090", "clblast_sgemm")
    times = {}
    for m in (32, 64, 128):
        for n in (32, 64, 128):
            for v in (1, 2, 4):
                one = {
                    "MWG": m,
                    "NWG": n,
                    "VWM": v,
                    "VWN": v,
                    "KWG": 32,
                    "KWI": 2,
                    "SA": 1,
                    "SB": 1,
                    "MDIMC": 16,
                    "MDIMA": 16,
                }
                try:
                    times[m, n, v] = predict({**one, "NDIMC": 8, "NDIMB": 8})
                except InputError:
                    continue
    m, n, v = min(times, key=times.__getitem__)
    assert shown[-1] == f"fastest: {m} x {n}, vectors of {v}: {1e3 * times[m, n, v]:.3f} ms"
    assert len(shown) == 1 + 27 - len(times)


@needs_compiler
def test_what_is_no_number_is_refused(tmp_path: Path) -> None:
    export = operator(load_trained(), "h100-sxm", "elementwise", "bf16", settings={"kind": "relu"})
    call = compiled(export, tmp_path)
    good = dict.fromkeys(export.inputs, 64.0)
    assert call(good)[0] == 0
    for bad in (float("nan"), -1.0, 2.0**48 + 1, float("inf")):
        code, got = call({**good, "elements": bad})
        assert code == -1
        assert all(np.isnan(v) for v in got.values())  # left alone


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("moe", {"distribution": "power_law_1.2"}), "moe in bf16 on h100-sxm cannot be exported"),
        (("gem",), "did you mean"),
        (("norm", {"knd": "rmsnorm"}), "norm has no field 'knd'"),
        (("gemm", {"batch": 4}), "batch is fixed at 4: fix it at 1"),
    ],
)
def test_what_cannot_be_exported_is_refused_with_the_reason(arguments: tuple[Any, ...], told: str) -> None:
    op, *settings = arguments
    with pytest.raises(InputError, match=told):
        operator(load_trained(), "h100-sxm", op, "bf16", settings=settings[0] if settings else None)


def test_names_that_c_has_for_itself_are_refused_and_comments_do_not_end_early() -> None:
    described = {
        "id": "own", "op": "gemm", "title": "mine */ int", "columns": {"int": 64, "b": 64},
        "roles": {"tile_m": "int", "tile_n": "b"},
    }  # fmt: skip
    with pytest.raises(InputError, match="'int' cannot be a name in C"):
        artefact(ranker("rtx-3090", described, "fp32"), "c")
    described |= {"columns": {"a": 64, "b": 64}, "roles": {"tile_m": "a", "tile_n": "b"}}
    for text in artefact(ranker("rtx-3090", described, "fp32"), "c").values():
        assert b"mine * / int" in text


def sample(program: Program, name: str = "x") -> Any:
    return recorded(program, np.linspace(1.0, 9.0, SAMPLE_ROWS), program.input(name))


def test_arrays_that_are_not_recorded_are_seen() -> None:
    x = sample(Program())
    with pytest.raises(UnrecordableError, match="differ between rows"):
        x + np.asarray(x)
    with pytest.raises(UnrecordableError, match="written into an array that is none"):
        np.add(np.zeros(SAMPLE_ROWS), x, out=np.zeros(SAMPLE_ROWS))
    for refused in (
        lambda: np.cumsum(x),
        lambda: np.sort(x),
        lambda: x.sum() + 1,
        lambda: np.sin(x) + 1,
        lambda: x[:, None] * x,
    ):
        with pytest.raises(UnrecordableError):
            refused()


def test_what_is_written_under_a_mask_is_a_choice_and_equal_steps_are_one() -> None:
    program = Program()
    x = sample(program)
    y = x * 2.0
    y[y > 9.0] = 0.0
    rows = np.flatnonzero(x > 2.0)
    y[rows] = y[rows] + 1.0
    program.outputs["y"] = y.value
    assert [s.op for s in program.needed() if s.op not in ("input", "constant")] == [
        "multiply", "greater", "where", "greater", "add", "where",
    ]  # fmt: skip
    before = len(program.steps)
    assert (x * 2.0).value.step is y.value.step or len(program.steps) == before
    many = x[:, None] + np.array([1.0, 2.0, 1.0, 2.0])  # two of them differ
    assert many.value.step.size == 2
    assert many.min(axis=1).value.step.data == ("minimum", 4)


@pytest.mark.parametrize("batches", [(1.0,), (1.0, 2.0, 3.0, 7.0, 100.0, 5000.0), (0.0, 1.0)])
def test_onnx_batches_are_the_predictors(batches: tuple[float, ...]) -> None:
    """A loop of no turn but the last, of many, and of rows of both kinds; nothing to do is no batch either."""
    columns = {
        "batch": np.array(batches),
        "m": np.linspace(17, 900, len(batches)).round(),
        "n": np.full(len(batches), 4096.0),
    }
    expected = load_trained().predict(perfmodel.Gemm(dtype="w4a16", k=4096, **columns), "a100-pcie-40gb")
    got = _w4a16_session().run(["latency_s", "latency_low_s"], columns)
    np.testing.assert_allclose(got[0], expected.latency_s, rtol=1e-6)
    np.testing.assert_allclose(got[1], expected.latency_low_s, rtol=1e-6)


@cache
def _w4a16_session() -> Any:
    export = operator(load_trained(), "a100-pcie-40gb", "gemm", "w4a16", settings={"k": 4096})
    assert export.halving is not None
    [data] = artefact(export, "onnx").values()
    return onnx_session(data)
