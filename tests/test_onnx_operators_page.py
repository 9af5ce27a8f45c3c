"""docs/onnx-operators.md says what the code does."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType

import onnx
import pytest

from perfmodel.features.onnx.rules import RULES, UNMODELLED

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    spec = importlib.util.spec_from_file_location("operators_page", ROOT / "tools" / "operators_page.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def rows(text: str) -> dict[tuple[str, str], tuple[str, ...]]:
    """(heading, operator) → the other cells, versions left out: they depend on the onnx that is installed."""
    found, heading = {}, ""
    for line in text.splitlines():
        if line.startswith("## "):
            heading = line
        elif match := re.match(r"\| (\w+) \| [\d, ]+ \| (.*) \|$", line):
            found[heading, match[1]] = tuple(match[2].split(" | "))
    return found


def test_the_page_is_what_the_code_says(tool: ModuleType) -> None:
    text, written = tool.page(), tool.PAGE.read_text(encoding="utf-8")
    if f"as onnx {onnx.__version__} defines them" in written:
        assert text == written
        return
    there = rows(written)
    differing = {key: cells for key, cells in rows(text).items() if there.get(key, cells) != cells}
    assert differing == {}


def test_every_operator_of_every_domain_of_onnx_is_on_the_page(tool: ModuleType) -> None:
    listed = {name for _, name in rows(tool.page())}
    assert {s.name for s in onnx.defs.get_all_schemas_with_history()} <= listed
    assert {name for _, name in RULES} <= listed


def test_operators_without_a_rule_are_few_and_said_why(tool: ModuleType) -> None:
    without = {key for key, (family, *_) in rows(tool.page()).items() if family == tool.NO_RULE}
    standard = {name for heading, name in without if "microsoft" not in heading}
    assert standard == {name for domain, name in UNMODELLED if domain != "com.microsoft"}


def test_an_operator_has_no_rule_and_no_reason_against_one() -> None:
    assert set(RULES).isdisjoint(UNMODELLED)


@pytest.mark.parametrize(
    ("domain", "op_type", "family", "remark"),
    [
        ("", "Conv", "conv, elementwise", "Conv with one, two or three spatial axes"),
        ("", "Sigmoid", "elementwise", "14 FLOPs an element"),
        ("", "Relu", "elementwise", "1 FLOP an element"),
        ("", "Loop", "its body", "as often as it runs"),
        ("com.microsoft", "QAttention", "gemm, attention, elementwise", "the projection multiplies 8-bit operands"),
        ("com.microsoft", "EPContext", "unmodelled with its bytes", "it holds a model"),
    ],
)
def test_rows(tool: ModuleType, domain: str, op_type: str, family: str, remark: str) -> None:
    found = tool.described(domain, op_type)
    assert found[0] == family
    assert found[1].startswith(remark)
