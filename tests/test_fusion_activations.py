"""Decomposed activations and softmax, in every order of writing."""

from __future__ import annotations

from math import pi, sqrt

import pytest
from fusion_graphs import Builder

from perfmodel import ops
from perfmodel.features.fusion import fuse

C = sqrt(2 / pi)


def halves(b: Builder, x: str, e: str, form: str) -> str:
    """0.5 x (1 + e) in six ways."""
    if form == "x(1+e) 0.5":
        return b.ew("mul", b.ew("mul", x, b.ew("add", e, 1.0)), 0.5)
    if form == "(0.5x)(1+e)":
        return b.ew("mul", b.ew("mul", x, 0.5), b.ew("add", e, 1.0))
    if form == "(1+e)(x/2)":
        return b.ew("mul", b.ew("add", 1.0, e), b.ew("div", x, 2.0))
    if form == "0.5((1+e)x)":
        return b.ew("mul", 0.5, b.ew("mul", b.ew("add", e, 1.0), x))
    if form == "x(0.5(1+e))":
        return b.ew("mul", x, b.ew("mul", b.ew("add", e, 1.0), 0.5))
    return b.ew("mul", b.ew("add", x, b.ew("mul", x, e)), 0.5)


FORMS = ("x(1+e) 0.5", "(0.5x)(1+e)", "(1+e)(x/2)", "0.5((1+e)x)", "x(0.5(1+e))", "0.5(x+xe)")


def check(b: Builder, y: str, kind: str, flops: int) -> None:
    """One node is left, of this kind, reading and writing 48 elements of 4 bytes."""
    before = b.graph(y)
    after = fuse(before)
    (node,) = after.nodes
    assert isinstance(node.op, ops.Elementwise)
    assert node.op.kind == kind
    assert node.flops == flops
    assert node.bytes == 2 * 48 * 4
    assert set(node.members) == {n.name for n in before.nodes}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("divide", [False, True])
def test_gelu_erf(form: str, divide: bool) -> None:
    b = Builder()
    x = b.input(3, 16)
    inner = b.ew("div", x, sqrt(2)) if divide else b.ew("mul", x, sqrt(0.5))
    check(b, halves(b, x, b.ew("erf", inner), form), "gelu", 48 * 12)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("cube", ["pow", "xxx", "square", "distributed"])
def test_gelu_tanh(form: str, cube: str) -> None:
    b = Builder()
    x = b.input(3, 16)
    if cube == "distributed":  # c x (1 + 0.044715 x^2)
        inner = b.ew("mul", b.ew("mul", x, C), b.ew("add", 1.0, b.ew("mul", b.ew("mul", x, x), 0.044715)))
    else:
        power = {
            "pow": lambda: b.ew("pow", x, 3.0),
            "xxx": lambda: b.ew("mul", b.ew("mul", x, x), x),
            "square": lambda: b.ew("mul", x, b.ew("square", x)),
        }[cube]()
        inner = b.ew("mul", C, b.ew("add", x, b.ew("mul", power, 0.044715)))
    check(b, halves(b, x, b.ew("tanh", inner), form), "gelu_tanh", 48 * 16)


def test_gelu_with_constants_of_half_precision() -> None:
    b = Builder("bf16")
    x = b.input(3, 16)
    inner = b.ew("mul", x, 0.70703125)  # the nearest bf16 to 1/sqrt(2)
    y = halves(b, x, b.ew("erf", inner), FORMS[0])
    assert [n.op.kind for n in fuse(b.graph(y)).nodes] == ["gelu"]


def test_erf_with_other_constants_is_no_gelu() -> None:
    b = Builder()
    x = b.input(3, 16)
    y = halves(b, x, b.ew("erf", b.ew("mul", x, 0.9)), FORMS[0])
    (node,) = fuse(b.graph(y)).nodes
    assert node.op.kind == "mul+erf+add+mul+mul"
    assert node.flops == 48 * (1 + 8 + 1 + 1 + 1)


def test_gelu_after_a_bias_is_found_behind_it() -> None:
    """The addition of the bias is arithmetic too, but belongs to the GEMM."""
    b = Builder()
    x = b.linear(b.input(3, 8), 16)
    y = halves(b, x, b.ew("erf", b.ew("mul", x, sqrt(0.5))), FORMS[1])
    (node,) = fuse(b.graph(y)).nodes
    assert [f.kind for f in node.fused] == ["add", "gelu"]


def test_silu() -> None:
    b = Builder()
    x = b.input(3, 16)
    check(b, b.ew("mul", b.ew("sigmoid", x), x), "silu", 48 * 15)


def test_quick_gelu_is_a_swish() -> None:
    b = Builder()
    x = b.input(3, 16)
    check(b, b.ew("mul", x, b.ew("sigmoid", b.ew("mul", x, 1.702))), "swish", 48 * 16)


def test_sigmoid_and_silu_from_exp() -> None:
    b = Builder()
    x = b.input(3, 16)
    check(b, b.ew("div", 1.0, b.ew("add", b.ew("exp", b.ew("neg", x)), 1.0)), "sigmoid", 48 * 14)
    b = Builder()
    x = b.input(3, 16)
    check(b, b.ew("div", x, b.ew("add", 1.0, b.ew("exp", b.ew("mul", x, -1.0)))), "silu", 48 * 15)
    b = Builder()
    x = b.input(3, 16)
    gate = b.ew("reciprocal", b.ew("add", b.ew("exp", b.ew("neg", x)), 1.0))
    check(b, b.ew("mul", x, gate), "silu", 48 * 15)


def test_hard_swish() -> None:
    b = Builder()
    x = b.input(3, 16)
    check(b, b.ew("mul", x, b.ew("hard_sigmoid", x)), "hard_swish", 48 * 5)
    b = Builder()
    x = b.input(3, 16)
    clipped = b.ew("clip", b.ew("add", x, 3.0), 0.0, 6.0)
    check(b, b.ew("mul", x, b.ew("div", clipped, 6.0)), "hard_swish", 48 * 5)
    b = Builder()
    x = b.input(3, 16)
    clipped = b.ew("min", b.ew("relu", b.ew("add", 3.0, x)), 6.0)
    check(b, b.ew("div", b.ew("mul", clipped, x), 6.0), "hard_swish", 48 * 5)


def test_mish() -> None:
    b = Builder()
    x = b.input(3, 16)
    check(b, b.ew("mul", x, b.ew("tanh", b.ew("softplus", x))), "mish", 48 * 26)


def test_swiglu_is_one_kernel_after_both_gemms() -> None:
    b = Builder()
    x = b.input(3, 8)
    gate, up = b.linear(x, 16, bias=False), b.linear(x, 16, bias=False)
    y = b.ew("mul", b.ew("mul", gate, b.ew("sigmoid", gate)), up)
    after = fuse(b.graph(b.linear(y, 8, bias=False)))
    assert [n.op.op for n in after.nodes] == ["gemm", "gemm", "elementwise", "gemm"]
    chain = after.nodes[2]
    assert chain.op.kind == "silu+mul"
    assert chain.bytes == 3 * 48 * 4
    assert chain.flops == 48 * 16
    assert all(not n.fused for n in after.nodes)


def test_activation_whose_input_part_is_returned_stays_apart() -> None:
    b = Builder()
    x = b.input(3, 16)
    e = b.ew("erf", b.ew("mul", x, sqrt(0.5)))
    after = fuse(b.graph(halves(b, x, e, FORMS[0]), e))
    assert e in {name for n in after.nodes for name in n.outputs}
    assert not any("gelu" in n.op.kind for n in after.nodes)


@pytest.mark.parametrize("shift", [False, True])
@pytest.mark.parametrize("spread", [False, True])
@pytest.mark.parametrize("reciprocal", [False, True])
def test_softmax(shift: bool, spread: bool, reciprocal: bool) -> None:
    b = Builder()
    x = b.input(3, 16)

    def whole(row: str) -> str:
        return b.expand(row, 3, 16) if spread else row

    inner = b.ew("sub", x, whole(b.reduce("max", x))) if shift else x
    e = b.ew("exp", inner)
    total = b.reduce("sum", e)
    y = b.ew("mul", e, whole(b.ew("reciprocal", total))) if reciprocal else b.ew("div", e, whole(total))
    after = fuse(b.graph(y))
    (node,) = after.nodes
    assert isinstance(node.op, ops.Softmax)
    assert (node.op.kind, node.op.rows, node.op.cols) == ("softmax", 3, 16)
    assert node.bytes == 2 * 48 * 4


def test_softmax_as_jax_writes_it() -> None:
    b = Builder()
    x = b.input(3, 16)
    top = b.ew("max", -3.4e38, b.reduce("max", x))
    e = b.ew("exp", b.ew("sub", x, b.expand(top, 3, 16)))
    (node,) = fuse(b.graph(b.ew("div", e, b.expand(b.reduce("sum", e), 3, 16)))).nodes
    assert isinstance(node.op, ops.Softmax)


def test_log_softmax() -> None:
    b = Builder()
    x = b.input(3, 16)
    shifted = b.ew("sub", x, b.reduce("max", x))
    y = b.ew("sub", shifted, b.ew("log", b.reduce("sum", b.ew("exp", shifted))))
    (node,) = fuse(b.graph(y)).nodes
    assert isinstance(node.op, ops.Softmax)
    assert node.op.kind == "log_softmax"
