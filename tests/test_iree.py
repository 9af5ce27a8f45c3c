"""IREE's tiles: what of a module is tuned, which tiles are offered, what the compiler is told, and the recorded searches."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import perfmodel
from perfmodel.errors import InputError, MissingExtraError
from perfmodel.integrations import iree
from perfmodel.rank import Ranker, rank

FOLDER = Path(__file__).parent / "bench"


def bench() -> Any:
    """tests/bench/iree_search.py as a module."""
    found = importlib.util.spec_from_file_location("iree_search", FOLDER / "iree_search.py")
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    sys.modules["iree_search"] = module
    found.loader.exec_module(module)
    return module


def product(m: int, n: int, k: int, name: str = "matmul") -> str:
    a, b, c = f"tensor<{m}x{k}xf32>", f"tensor<{k}x{n}xf32>", f"tensor<{m}x{n}xf32>"
    return f"""func.func @f(%a: {a}, %b: {b}) -> {c} {{
  %zero = arith.constant 0.0 : f32
  %empty = tensor.empty() : {c}
  %start = linalg.fill ins(%zero : f32) outs(%empty : {c}) -> {c}
  %r = linalg.{name} ins(%a, %b : {a}, {b}) outs(%start : {c}) -> {c}
  return %r : {c}
}}"""


def test_the_operation_of_a_module_and_its_tiles() -> None:
    target = iree.Target.of(product(24, 48, 4))
    assert target.name == "linalg.matmul"
    assert target.op == perfmodel.Gemm(m=24, n=48, k=4, dtype="fp32")
    assert target.inputs == ((24, 4), (4, 48))
    table = iree.candidates(target)
    # dist_m 24; dist_n 48; vec_m 2 4 6 8; vec_n 8 16 32; vec_k 1 4 (of 8, cut to k): 24 and three ways of the compiler's own.
    assert len(table["strategy"]) == 27
    assert np.bincount(table["strategy"]).tolist() == [24, 1, 1, 1]
    assert set(table["vec_k"].tolist()) == {1, 4}
    few = iree.candidates(target, {"vec_m": (6,), "vec_n": (16,)})
    assert len(few["strategy"]) == 2 + 3
    with pytest.raises(InputError, match="has no tile 'vec_q'"):
        iree.candidates(target, {"vec_q": (1,)})


def test_what_cannot_be_tuned_is_refused() -> None:
    with pytest.raises(InputError, match=r"has 0 operations whose tiles can be chosen \(none\)"):
        iree.Target.of("func.func @f(%a: tensor<4xf32>) -> tensor<4xf32> {\n  return %a : tensor<4xf32>\n}")
    with pytest.raises(InputError, match="fp32 alone"):
        iree.Target.of(product(8, 8, 8).replace("f32", "f16"))


def test_padding_and_spills_of_tiles_by_hand() -> None:
    """512 rows in blocks of 96 by 6: five blocks divide, the last of 32 leaves 2 rows, which count eightfold on AVX2."""
    text = product(512, 512, 512)
    target = iree.Target.of(text)
    columns = {"dist_m": [96, 96], "dist_n": [64, 64], "vec_m": [6, 8], "vec_n": [16, 32], "vec_k": [1, 1]}
    ranker = Ranker(target.op, columns, "epyc-7763", space="iree_cpu_gemm", pretrained="none")
    costs = ranker.physics.costs(
        {n: np.array(v, dtype=float) for n, v in columns.items()} | {"strategy": np.zeros(2), "threads": np.ones(2)}
    )
    assert costs.roles["extent_m"].tolist() == [512 + 7 * 2, 512]
    # 6 rows of two vectors, two of the second operand and one value: 15 registers of 16; 8 rows of four: 37.
    assert costs.registers.tolist() == [15, 37]
    assert costs.terms_s["issue"][1] > costs.terms_s["issue"][0]
    refused = rank(
        target.op, {**columns, "vec_m": [128, 8]}, "epyc-7763", space="iree_cpu_gemm", pretrained="none"
    ).refused
    assert refused == {"the vector tile exceeds the workgroup's": 1}


def test_recorded_searches_find_nearly_the_best_after_ten_measurements() -> None:
    module = bench()
    spaces = module.measured_spaces(module.RECORDED)
    assert len(spaces) == 6
    recorded = json.loads(module.RECORDED.read_text())
    for name, measured in spaces.items():
        assert len(measured.latency_s) == len(recorded["seconds"][name]) >= 60
    after_ten = [module.searched(m, module.NOTHING)[module.OBSERVED.index(10)] for m in spaces.values()]
    assert np.median(after_ten) >= 95


def test_the_compiler_takes_the_tiles_and_the_program_computes_the_product() -> None:
    pytest.importorskip("iree.compiler", reason="iree-base-compiler is not installed: pip install 'perfmodel[mlir]'")
    pytest.importorskip("iree.runtime", reason="iree-base-runtime is not installed")
    target = iree.Target.of(product(24, 48, 16))
    configuration = {"strategy": 0, "dist_m": 24, "dist_n": 48, "vec_m": 6, "vec_n": 16, "vec_k": 1}
    text = iree.annotated(target, configuration)
    assert "distribution = [24, 48, 0]" in text
    assert "vector_common_parallel = [6, 16, 0]" in text
    assert "vector_reduction = [0, 0, 1]" in text
    rng = np.random.default_rng(0)
    left, right = (rng.random(shape, dtype=np.float32) for shape in target.inputs)
    for chosen in (configuration, {"strategy": 3}):
        result = np.asarray(iree.loaded(target, iree.build(target, chosen), seed=0)())
        assert result == pytest.approx(left @ right, rel=1e-5)
    found = iree.tune(product(24, 48, 16), measurements=3)
    assert len(found.measured) == 3
    assert found.seconds == min(s for _, s in found.measured)


def test_a_configuration_that_the_compiler_refuses_is_said() -> None:
    pytest.importorskip("iree.compiler", reason="iree-base-compiler is not installed: pip install 'perfmodel[mlir]'")
    target = iree.Target.of(product(24, 48, 16))
    broken = iree.Target(target.text.replace("return %r", "return %q"), target.name, target.op, target.inputs)
    with pytest.raises(InputError, match="IREE does not compile"):
        iree.build(broken, {"strategy": 1})


@pytest.mark.parametrize("absent", ["iree.compiler", "iree.runtime"])
def test_without_iree_the_extra_is_named(absent: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("iree", absent):
        monkeypatch.setitem(sys.modules, name, None)
    target = iree.Target.of(product(24, 48, 4))
    asked = {
        "iree.compiler": lambda: iree.build(target, {"strategy": 1}),
        "iree.runtime": lambda: iree.timed(target, b""),
    }
    with pytest.raises(MissingExtraError, match=r"perfmodel\[iree\]"):
        asked[absent]()
