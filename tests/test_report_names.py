"""Names on report pages: shown on one line, never longer than is read, never turning what stands beside them."""

from __future__ import annotations

import unicodedata

import onnx
import pytest
from fake_predictions import operator, prediction
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper
from report_pages import page_of

from perfmodel.features.onnx import read_onnx
from perfmodel.report.names import MOST, clean, clean_data, short
from perfmodel.report.places import operator_paths

TURNING = ("\u202e", "\u202d", "\u202a", "\u202b", "\u202c", "\u2066", "\u2067", "\u2068", "\u2069", "\u200f", "\u061c")


def test_clean() -> None:
    assert clean("a\u202eb") == "a\ufffdb"
    assert clean("a\x00b\x1b[31m") == "a\ufffdb\ufffd[31m"
    assert clean("a\r\nb\tc\u2028d") == "a b c d"
    assert clean("\ud83d") == "\ufffd"  # half of a character
    kept = "\u0645\u0631\u062d\u0628\u0627 \U0001f468\u200d\U0001f469 \u00e9"  # Arabic, a joined emoji, an accent
    assert clean(kept) == kept


def test_short() -> None:
    assert short("a" * MOST) == "a" * MOST
    assert short("begin" + "x" * 10_000 + "end", 9) == "begi\u2026xend"
    assert short("ab", 2) == "ab"


@given(st.text(max_size=400), st.integers(3, 50))
def test_names_stay_on_one_line_and_in_their_length(text: str, most: int) -> None:
    found = short(text, most)
    assert len(found) <= most
    assert not {"Cc", "Cs", "Zl", "Zp"} & {unicodedata.category(c) for c in found}
    assert not set(TURNING) & set(found)
    assert short(found, most) == found


def test_data_are_cleaned_at_every_depth() -> None:
    assert clean_data({"a": [("\u202e", 1.5, None)], "b": True}) == {"a": [["\ufffd", 1.5, None]], "b": True}


@pytest.mark.parametrize("name", ["x\u202ey", "x" * 10_000, "x\ny\x00"])
def test_no_name_stretches_or_turns_a_page(name: str) -> None:
    p = prediction(model=name, operators=(operator("conv", name, 5e-5, name=name),), warnings=(name,))
    text = page_of([p], title=name)
    assert not set(TURNING) & set(text)
    assert "\\u202e" not in text
    assert "x" * 1001 not in text
    assert "\x00" not in text


# ------------------------------------------------------------------------------------------------------ places
def numbered(notes: bool, weights: tuple[str, str] = ("m.h.0.mlp.up.weight", "m.h.1.mlp.up.weight")) -> onnx.ModelProto:
    """Three operators that an exporter numbered: a product of module 0, an activation after it, a product of module 1."""
    scopes = ("h.0.mlp.up", "h.0.mlp", "h.1.mlp.up")
    first, second = weights
    nodes = [
        helper.make_node("MatMul", ["x", first], ["a"], name="node_MatMul_1"),
        helper.make_node("Softmax", ["a"], ["b"], name="node_Softmax_2"),
        helper.make_node("MatMul", ["b", second], ["y"], name="node_MatMul_3"),
    ]
    if notes:
        for node, scope in zip(nodes, scopes, strict=True):
            levels = ["", *(".".join(scope.split(".")[: i + 1]) for i in range(scope.count(".") + 1)), node.name]
            node.metadata_props.add(key="pkg.torch.onnx.name_scopes", value=repr(levels))
    values = [helper.make_tensor(name, TensorProto.FLOAT, [8, 8], bytes(256), raw=True) for name in weights]
    of = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes, "g", [of("x", TensorProto.FLOAT, [4, 8])], [of("y", TensorProto.FLOAT, [4, 8])], values
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


NAMES = ["node_MatMul_1", "node_Softmax_2", "node_MatMul_3"]


def test_modules_that_the_exporter_noted() -> None:
    model = numbered(notes=True)
    assert operator_paths(NAMES, read_onnx(model), model) == [
        ["h", "0", "mlp", "up", "node_MatMul_1"],
        ["h", "0", "mlp", "node_Softmax_2"],
        ["h", "1", "mlp", "up", "node_MatMul_3"],
    ]


def test_modules_that_own_the_weights() -> None:
    model = numbered(notes=False)
    assert operator_paths(NAMES, read_onnx(model), model) == [
        ["m", "h", "0", "mlp", "up", "node_MatMul_1"],
        ["m", "h", "node_Softmax_2"],  # what its neighbours have in common
        ["m", "h", "1", "mlp", "up", "node_MatMul_3"],
    ]


def test_a_weight_that_several_read_says_nothing() -> None:
    model = numbered(notes=False, weights=("m.h.0.up.weight", "m.h.1.up.weight"))
    model.graph.node[2].input[1] = "m.h.0.up.weight"
    del model.graph.initializer[1]
    assert operator_paths(NAMES, read_onnx(model), model) == [[name] for name in NAMES]


def test_names_that_hold_modules_are_believed() -> None:
    model = numbered(notes=True)
    assert operator_paths(["/a/b", "/a/c"], read_onnx(model), model) == [["a", "b"], ["a", "c"]]


def test_nothing_is_known_of_numbered_operators_with_numbered_weights() -> None:
    model = numbered(notes=False, weights=("val_1", "val_2"))
    assert operator_paths(NAMES, read_onnx(model), model) == [[name] for name in NAMES]


@pytest.mark.parametrize("note", ["[", "{}", "[1]", "__import__('os')", "[" * 9000, "[]"])
def test_a_note_that_is_none_is_passed_over(note: str) -> None:
    model = numbered(notes=True)
    for node in model.graph.node:
        node.metadata_props[0].value = note
    assert operator_paths(NAMES, read_onnx(model), model)[0][0] == "m"
