"""The same networks, exported from PyTorch to ONNX and to four dialects of MLIR, are the same to a prediction."""

# ruff: noqa: E501 - the modules have one operation a line

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from perfmodel import predict
from perfmodel.features.fusion import fuse
from perfmodel.features.mlir import read, read_mlir
from perfmodel.features.onnx import read_onnx
from perfmodel.graph import Graph
from perfmodel.ops import Unmodelled

MODELS = Path(__file__).parent / "mlir_models"
NAMES = ("cnn", "encoder", "transformer")
DIALECTS = ("stablehlo", "linalg", "tosa", "torch", "torch_backend")

# Rows without values: constants, lists, and what ends or holds a block.
_SILENT = (
    "constant",
    "const",
    "const_shape",
    "literal",
    "ListConstruct",
    "ListUnpack",
    "none",
    "str",
    "int",
    "float",
    "bool",
)


def _products(graph: Graph) -> Counter[tuple[str, Any]]:
    return Counter((n.op.op, n.product_flops) for n in fuse(graph).nodes if n.op.products)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dialect", DIALECTS)
def test_products_are_those_of_onnx(name: str, dialect: str) -> None:
    graph = read_mlir(MODELS / f"{name}.{dialect}.mlir")
    wanted = _products(read_onnx(MODELS / f"{name}.onnx"))
    assert _products(graph) == wanted
    assert {"cnn": {"conv", "gemm"}}.get(name, {"attention", "gemm"}) == {family for family, _ in wanted}
    assert not any(isinstance(n.op, Unmodelled) for n in graph.nodes)


@pytest.mark.parametrize("device", ["h100-sxm", "rtx-4090"])
@pytest.mark.parametrize("name", NAMES)
def test_latency_is_that_of_onnx(name: str, device: str) -> None:
    wanted = predict(str(MODELS / f"{name}.onnx"), device).latency_s.value
    for dialect in DIALECTS:
        found = predict(str(MODELS / f"{name}.{dialect}.mlir"), device).latency_s.value
        assert found == pytest.approx(wanted, rel=0.1), dialect


def test_flops_of_the_encoder_by_hand() -> None:
    # Two layers of 8 x 128 tokens of 256: projections of 3, 1, 4 and 4 times 256 x 256, and attention of 4 heads of 64.
    tokens, width, length = 8 * 128, 256, 128
    linear = 2 * 2 * tokens * width * width * (3 + 1 + 4 + 4)
    attention = 2 * 2 * 2 * tokens * length * width
    graph = read_mlir(MODELS / "encoder.stablehlo.mlir")
    assert graph.total("product_flops") == linear + attention


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dialect", DIALECTS)
def test_every_operation_is_accounted_for(name: str, dialect: str) -> None:
    """Each operation is a node, part of one, or listed as removed; none is lost and none stands twice."""
    path = MODELS / f"{name}.{dialect}.mlir"
    module = read(path)
    body = module.functions()[0].body
    assert body is not None
    wanted = Counter(
        o.name
        for o in body.operations[:-1]
        if o.results and o.name.split(".")[-1] not in _SILENT and "empty" not in o.name
    )
    graph = read_mlir(path)
    found: Counter[str] = Counter()
    seen: set[str] = set()
    # Several nodes of one operation have numbers after its name.
    for label, source in [(n.name, n.source_op) for n in graph.nodes] + [(r.name, r.source_op) for r in graph.removed]:
        key = f"{source} {label}"
        if key not in seen:
            seen.add(key)
            found[source] += 1
    missing = {k: (v, found[k]) for k, v in wanted.items() if found[k] < v}
    assert not missing


def test_bodies_stay_whole_without_fusion() -> None:
    split = read_mlir(MODELS / "encoder.linalg.mlir")
    joined = read_mlir(MODELS / "encoder.linalg.mlir", joined=True)
    assert len(joined.nodes) < len(split.nodes)
    assert any("erf" in n.op.kind and "+" in n.op.kind for n in joined.nodes if n.op.op == "elementwise")
    assert joined.total("product_flops") == split.total("product_flops")


def test_shared_modules_are_predicted(shared: Path) -> None:
    dims = {"linalg_generic": {"a_0": 8, "c_0": 8}, "scf": {"n": 100, "A_0": 100}, "jax_dyn": {"b": 2, "s": 16}}
    flops = {
        "affine": 2 * 64 * 64 * 128, "stablehlo": 2 * 2 * 64 * 128 * 32 + 2 * 32 * 32 * 16 * 72,
        "linalg_generic": 2 * 8 * 256 * 128, "jax_dyn": 2 * 2 * 16 * 64 * 128, "torch": 2 * 8 * 16 * 32 + 2 * 112 * 112 * 64 * 147,
        "tosa": 2 * 8 * 16 * 32 + 2 * 32 * 32 * 16 * 72, "big_linalg_2kops": 500 * 2 * 128**3, "gpu": 0, "scf": 0,
        "linalg_named": 2 * 64 * 128 * 256 + 2 * 4 * 64 * 32 * 16 + 2 * 56 * 56 * 128 * 576,
        "jax_conv": 2 * 8 * 112 * 112 * 64 * 147, "jax_block": 7449083904, "jax_scan": 12 * 7449083904,
        "tm_cnn_tosa": 2 * 32 * 32 * 16 * 27 + 2 * 16 * 10, "tm_cnn_linalg_on_tensors": 2 * 32 * 32 * 16 * 27 + 2 * 16 * 10,
        "tm_enc_torch": 2 * 64 * 256 * (768 + 256 + 1024 + 1024) + 4 * 64 * 64 * 256,
    }  # fmt: skip
    found = {}
    for path in sorted((shared / "mlir").glob("*.mlir")):
        graph = read_mlir(path, dims=dims.get(path.stem))
        found[path.stem] = graph.total("product_flops")
        prediction = predict(graph, "h100-sxm")
        assert prediction.latency_s.value > 0
        assert prediction.unmodelled == ()
    assert found == flops
