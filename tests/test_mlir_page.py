"""docs/mlir.md says what the code does."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

from perfmodel.features.mlir.control import HANDLERS
from perfmodel.features.mlir.rules import IGNORED, RULES, TERMINATORS

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    spec = importlib.util.spec_from_file_location("mlir_page", ROOT / "tools" / "mlir_page.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_the_page_is_what_the_code_says(tool: ModuleType) -> None:
    assert tool.table() in tool.PAGE.read_text(encoding="utf-8")


def test_every_operation_says_what_becomes_of_it(tool: ModuleType) -> None:
    found = tool.operations()
    assert [n for names in found.values() for n in names if not tool.described(n)] == []
    assert sum(len(names) for names in found.values()) > 700
    assert {
        "stablehlo",
        "chlo",
        "linalg",
        "tosa",
        "torch.aten",
        "tensor",
        "affine",
        "scf",
        "gpu",
        "nvgpu",
        "vector",
    } <= set(found)


def test_no_operation_has_two_meanings() -> None:
    assert set(RULES).isdisjoint(IGNORED)
    assert set(RULES).isdisjoint(TERMINATORS)
    assert set(HANDLERS).isdisjoint(RULES)
    assert set(HANDLERS).isdisjoint(IGNORED)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("stablehlo.logistic", "elementwise, 14 FLOPs an element"),
        ("stablehlo.dot_general", "A product with any batching"),
        ("tosa.matmul", "A batched product"),
        ("torch.aten.bmm", "mm, bmm, matmul"),
        ("stablehlo.infeed", "unmodelled with its bytes"),
    ],
)
def test_rows(tool: ModuleType, name: str, text: str) -> None:
    assert tool.described(name).startswith(text)
