"""The graph: binding of dimensions, totals."""

from __future__ import annotations

import numpy as np
import pytest
import sympy

from perfmodel.errors import UnboundDimensionError
from perfmodel.graph import Graph, Node, Removed, Tensor
from perfmodel.ops import Elementwise, Gemm, View

BATCH = sympy.Symbol("batch", positive=True, integer=True)


def node(name: str, inputs: str = "", outputs: str = "") -> Node:
    return Node(name, View(dtype="fp32"), tuple(inputs.split()), tuple(outputs.split()))


def names(nodes: tuple[Node, ...]) -> list[str]:
    return [n.name for n in nodes]


# ----------------------------------------------------------------------------------------------------------- the graph
def two_layers(batch: int | sympy.Expr) -> Graph:
    """x [batch, 4] · w [4, 8] with an absorbed relu, the same with packed weights, then a reshape."""
    tensors = {
        t.name: t
        for t in (
            Tensor("x", (batch, 4), "bf16"),
            Tensor("w", (4, 8), "bf16", is_weight=True),
            Tensor("unused", (100, 100), "bf16", is_weight=True),
            Tensor("packed", (4, 8), "w4a16", is_weight=True),
            Tensor("y", (batch, 8), "bf16"),
            Tensor("z", (batch, 8), "bf16"),
            Tensor("out", (8, batch), "bf16"),
            Tensor("mystery", None, "fp32"),
        )
    }
    gemm = Gemm(m=batch, n=8, k=4, dtype="bf16")
    relu = Elementwise(kind="relu", elements=batch * 8, dtype="bf16")
    nodes = (
        Node("first", gemm, ("x", "w"), ("y",), fused=(relu,), extra_bytes_read=16, count=3),
        Node("second", gemm.replace(dtype="w4a16"), ("x", "packed"), ("z",), extra_bytes_read=2 * batch),
        Node("reshape", View(dtype="bf16"), ("z", "mystery"), ("out",)),
    )
    removed = (Removed("bn", "BatchNormalization", "folded", flops=2 * batch * 8),)
    return Graph("two", tensors, nodes, ("x",), ("out",), removed, ("a warning",))


def test_totals_by_hand() -> None:
    graph = two_layers(5)
    # A product: 5·8 results of 4 multiply-adds = 320 FLOPs; relu: 40.
    assert graph.total("product_flops") == 3 * 320 + 320
    assert graph.total("flops") == 3 * 360 + 320
    assert graph.total("flops_executed") == 3 * 360 + 320
    # x 5·4·2 = 40, w 4·8·2 = 64, y 5·8·2 = 80 and 16 of bias; the packed weights have 4.125 bits: 16.5 bytes.
    assert graph.total("bytes") == 3 * (40 + 64 + 80 + 16) + (40 + 16.5 + 80 + 10)
    # The weight that nothing reads is not counted.
    assert graph.weights_bytes == 64 + 16.5


def test_tensors_in_bytes() -> None:
    assert (Tensor("s", (), "fp32").elements, Tensor("s", (), "fp32").bytes) == (1, 4)
    assert (Tensor("s", None, "fp32").elements, Tensor("s", None, "fp32").bytes) == (None, None)
    assert Tensor("s", (3, 0), "fp32").bytes == 0
    # As a weight 4.125 bits an element, as an activation 16.
    assert Tensor("s", (128,), "w4a16", is_weight=True).bytes == 66
    assert Tensor("s", (128,), "w4a16").bytes == 256


def test_who_makes_and_who_reads() -> None:
    graph = two_layers(5)
    assert {name: n.name for name, n in graph.producers().items()} == {"y": "first", "z": "second", "out": "reshape"}
    readers = {name: [n.name for n in nodes] for name, nodes in graph.consumers().items()}
    assert readers["x"] == ["first", "second"]
    assert readers["out"] == readers["unused"] == []


def test_binding_equals_building() -> None:
    graph = two_layers(BATCH)
    assert graph.open_dims == ("batch",)
    bound = graph.bind(batch=5, something_else=7)
    assert bound == two_layers(5)
    assert bound.open_dims == ()
    assert two_layers(5).bind() == two_layers(5)


def test_a_sweep_over_batch_sizes_is_one_call() -> None:
    swept = two_layers(BATCH).bind(batch=np.array([1, 5, 64]))
    expected = [two_layers(b) for b in (1, 5, 64)]
    for count in ("flops", "flops_executed", "product_flops", "bytes"):
        np.testing.assert_array_equal(swept.total(count), [g.total(count) for g in expected])
    assert swept.weights_bytes == 80.5
    np.testing.assert_array_equal(swept.tensors["x"].bytes, [8, 40, 512])
    np.testing.assert_array_equal(swept.removed[0].flops, [16, 80, 1024])


def test_open_dimensions_are_asked_for_by_name() -> None:
    with pytest.raises(UnboundDimensionError, match="open dimensions batch: give each a number") as error:
        two_layers(BATCH).bind(seq=3)
    assert error.value.names == ("batch",)


def test_dimensions_that_only_absorbed_parts_have_are_open_too() -> None:
    a, b, c = sympy.symbols("a b c")
    gemm = Gemm(m=1, n=1, k=1, dtype="bf16")
    nodes = (Node("n", gemm, fused=(Elementwise(kind="relu", elements=a, dtype="bf16"),), extra_bytes_read=b),)
    graph = Graph("g", {}, nodes, removed=(Removed("r", "Mul", "folded", flops=c),))
    assert graph.open_dims == ("a", "b", "c")
    with pytest.raises(UnboundDimensionError, match="a, c"):
        graph.bind(b=1)
    bound = graph.bind(a=2, b=3, c=4)
    assert (bound.total("flops"), bound.total("bytes"), bound.removed[0].flops) == (2 + 2, 6 + 3, 4)


def test_absurd_numbers_are_refused_when_bound() -> None:
    from perfmodel.errors import DescriptorError

    with pytest.raises(DescriptorError, match="not negative"):
        two_layers(BATCH).bind(batch=-1)
    with pytest.raises(DescriptorError, match=r"2\^48"):
        two_layers(BATCH).bind(batch=2**62)
