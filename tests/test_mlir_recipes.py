"""Operations that follow a recipe become what their rules would have made of them."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from perfmodel.errors import PerfmodelError
from perfmodel.features.mlir import mlir_dims, read, read_mlir
from perfmodel.features.mlir.recipes import Recipes

HERE = Path(__file__).parent
MODULES = sorted((HERE / "mlir_models").glob("*.mlir")) + sorted((HERE / "mlir_forms").glob("*.mlir"))


@pytest.fixture
def followed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of operations that follow a recipe."""
    names: list[str] = []
    follow = Recipes.follow

    def counted(self: Recipes, recipe: Any, operation: Any, operands: list[str]) -> None:
        names.append(operation.name)
        follow(self, recipe, operation, operands)

    monkeypatch.setattr(Recipes, "follow", counted)
    return names


def _graph(source: Any, **options: Any) -> str:
    try:
        dims = dict.fromkeys(mlir_dims(source), 16)
        graph = read_mlir(source, dims=dims, **options)
        return repr(
            [getattr(graph, f.name) for f in dataclasses.fields(graph)]
        )  # all of it: its own line is for people
    except (PerfmodelError, TypeError) as error:
        return str(error)


@pytest.mark.parametrize("path", MODULES, ids=lambda p: p.name)
def test_every_module_becomes_the_same_graph(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = read(path)
    graphs = [_graph(module, joined=joined) for joined in (False, True)]
    monkeypatch.setattr(Recipes, "find", lambda *_: None)
    assert graphs == [_graph(module, joined=joined) for joined in (False, True)]


def test_layers_follow_the_first_one(followed: list[str]) -> None:
    read_mlir(HERE / "mlir_models" / "encoder.linalg.mlir")
    assert followed.count("linalg.generic") > 20


SQUARE = "tensor<8x8xf32>"


def _function(*lines: str, arguments: str = f"%x: {SQUARE}, %y: {SQUARE}") -> str:
    return "\n".join([f"func.func @main({arguments}) -> {SQUARE} {{", *lines, f"return %last : {SQUARE}", "}"])


def _nodes(text: str) -> list[tuple[str, tuple[str, ...], Any]]:
    return [(n.source_op, n.inputs, n.op) for n in read_mlir(text).nodes]


def test_one_operand_twice_is_another_signature(followed: list[str]) -> None:
    nodes = _nodes(
        _function(
            f"%a = stablehlo.add %x, %y : {SQUARE}",
            f"%b = stablehlo.add %a, %a : {SQUARE}",
            f"%last = stablehlo.add %b, %x : {SQUARE}",
        )
    )
    assert [n[1] for n in nodes] == [("x", "y"), ("a", "a"), ("b", "x")]
    assert followed == ["stablehlo.add"]


def test_other_types_and_attributes_are_other_signatures(followed: list[str]) -> None:
    dot = "stablehlo.dot_general %{}, %y, contracting_dims = [{}] x [0] : ({square}, {square}) -> {square}"
    nodes = _nodes(
        _function(
            "%a = " + dot.format("x", 1, square=SQUARE),
            "%b = " + dot.format("a", 0, square=SQUARE),
            "%last = " + dot.format("b", 1, square=SQUARE),
        )
    )
    flags = [n.attributes["transpose_a"] for n in read_mlir(_function(
        "%a = " + dot.format("x", 1, square=SQUARE), "%b = " + dot.format("a", 0, square=SQUARE),
        "%last = " + dot.format("b", 1, square=SQUARE),
    )).nodes]  # fmt: skip
    assert flags == [False, True, False]
    assert [n[1] for n in nodes] == [("x", "y"), ("a", "y"), ("b", "y")]


def test_a_maximum_with_another_constant_is_no_relu() -> None:
    def constant(name: str, value: str) -> str:
        return f"%{name} = stablehlo.constant dense<{value}> : {SQUARE}"

    nodes = _nodes(
        _function(
            constant("zero", "0.0"), constant("one", "1.0"),
            f"%a = stablehlo.maximum %x, %zero : {SQUARE}", f"%b = stablehlo.maximum %a, %one : {SQUARE}",
            f"%last = stablehlo.maximum %b, %zero : {SQUARE}",
        )
    )  # fmt: skip
    assert [n[2].kind for n in nodes] == ["relu", "max", "relu"]


def test_a_body_that_reads_another_value_of_outside_is_another_signature(followed: list[str]) -> None:
    def generic(name: str, source: str, limit: str) -> str:
        return (
            f'%{name} = linalg.generic {{indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]}} '
            f"ins(%{source} : {SQUARE}) outs(%y : {SQUARE}) {{\n^bb0(%i: f32, %o: f32):\n"
            f"%r = arith.maximumf %i, %{limit} : f32\nlinalg.yield %r : f32\n}} -> {SQUARE}"
        )

    text = "#id = affine_map<(d0, d1) -> (d0, d1)>\n" + _function(
        "%zero = arith.constant 0.0 : f32", "%six = arith.constant 6.0 : f32",
        generic("a", "x", "zero"), generic("b", "a", "six"), generic("last", "b", "zero"),
    )  # fmt: skip
    assert [n[2].kind for n in _nodes(text)] == ["relu", "max", "relu"]
    assert followed == ["linalg.generic"]


def test_a_buffer_written_again_is_no_recipe() -> None:
    """What is written to a buffer replaces what it held: each writer makes another state, followed or not."""
    kind = "memref<8x8xf32>"
    lines = [
        f"linalg.{name} ins(%a, %{second} : {kind}, {kind}) outs(%c : {kind})"
        for name, second in (("add", "b"), ("mul", "c"), ("mul", "c"), ("sub", "b"), ("sub", "b"))
    ]
    graph = read_mlir("\n".join([f"func.func @main(%a: {kind}, %b: {kind}, %c: {kind}) {{", *lines, "return", "}"]))
    assert [n.op.kind for n in graph.nodes] == ["add", "mul", "mul", "sub", "sub"]  # type: ignore[union-attr]
    states = [n.outputs[0] for n in graph.nodes]
    assert len(set(states)) == 5
    assert [n.inputs for n in graph.nodes[1:3]] == [("a", states[0]), ("a", states[1])]
    assert graph.outputs == (states[-1],)


def test_a_broadcast_that_several_products_read_is_made_once() -> None:
    spread = "= stablehlo.broadcast_in_dim %{}, dims = [] : (tensor<f32>) -> " + SQUARE
    dot = f"= stablehlo.dot_general %{{}}, %y, contracting_dims = [{{}}] x [0] : ({SQUARE}, {SQUARE}) -> {SQUARE}"
    nodes = _nodes(
        _function(
            "%a " + spread.format("s"), "%b " + spread.format("t"),
            "%c " + dot.format("a", 1), "%d " + dot.format("b", 1), "%e " + dot.format("b", 0),
            f"%f = stablehlo.add %c, %d : {SQUARE}", f"%last = stablehlo.add %f, %e : {SQUARE}",
            arguments=f"%s: tensor<f32>, %t: tensor<f32>, %y: {SQUARE}",
        )
    )  # fmt: skip
    assert [n[:2] for n in nodes if n[0].endswith("broadcast_in_dim")] == [
        ("stablehlo.broadcast_in_dim", ("s",)), ("stablehlo.broadcast_in_dim", ("t",)),
    ]  # fmt: skip
    assert len(nodes) == 7
