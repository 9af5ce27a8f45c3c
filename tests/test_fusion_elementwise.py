"""Chains of elementwise operators, no-ops, and copies that no kernel needs."""

from __future__ import annotations

import pytest
from fusion_graphs import Builder

from perfmodel import ops
from perfmodel.errors import InputError
from perfmodel.features.fusion import fuse
from perfmodel.graph import Graph


def chain(graph: Graph) -> ops.Elementwise:
    (node,) = graph.nodes
    assert isinstance(node.op, ops.Elementwise)
    return node.op


def test_none_returns_the_same_graph() -> None:
    b = Builder()
    before = b.graph(b.ew("relu", b.ew("neg", b.input(4))))
    assert fuse(before, mode="none") is before


def test_unknown_mode() -> None:
    b = Builder()
    with pytest.raises(InputError, match="unknown fusion mode 'engin': did you mean 'engine'"):
        fuse(b.graph(b.input(4)), mode="engin")


def test_chain_reads_and_writes_once() -> None:
    b = Builder()
    x, z = b.input(10, 100), b.input(100)
    y = b.ew("exp", b.ew("mul", b.ew("add", x, z), 3.0))
    before = b.graph(y)
    after = fuse(before)
    op = chain(after)
    assert op.kind == "add+mul+exp"
    assert op.flops == 1000 * (1 + 1 + 8)
    assert op.bytes_read == 4 * (1000 + 100)  # the factor is part of the code
    assert op.bytes_written == 4 * 1000
    assert after.nodes[0].members == tuple(n.name for n in before.nodes)
    assert after.nodes[0].name == before.nodes[0].name
    assert after.nodes[0].inputs == (x, z)


def test_branches_that_meet_are_one_kernel() -> None:
    b = Builder()
    x = b.input(1000)
    y = b.ew("add", b.ew("exp", x), b.ew("mul", b.ew("tanh", x), b.ew("neg", x)))
    op = chain(fuse(b.graph(y)))
    assert op.flops == 1000 * (8 + 8 + 1 + 1 + 1)
    assert op.bytes == 4 * 2000


def test_casts_and_views_inside_a_chain() -> None:
    b = Builder("bf16")
    x = b.input(10, 100)
    y = b.cast(b.ew("exp", b.view(b.cast(x, "fp32"), 1000)), "bf16")
    after = fuse(b.graph(y))
    op = chain(after)
    assert op.kind == "cast+exp+cast"
    assert op.bytes == 2 * 2000
    assert len(after.nodes[0].members) == 4


def test_operands_of_several_dtypes_are_counted_exactly() -> None:
    b = Builder()
    x, keep = b.input(1000), b.input(1000, dtype="bool")
    after = fuse(b.graph(b.ew("exp", b.ew("where", keep, x, 0.0))))
    assert after.nodes[0].bytes == 1000 + 4 * 1000 + 4 * 1000


def test_result_with_two_readers_is_written() -> None:
    b = Builder()
    x = b.ew("exp", b.input(1000))
    after = fuse(b.graph(b.ew("relu", x), b.reduce("sum", x)))
    assert sorted(n.op.op for n in after.nodes) == ["elementwise", "elementwise", "reduce"]


def test_smaller_result_is_not_computed_again_for_each_row() -> None:
    b = Builder()
    row = b.ew("exp", b.input(1, 100))
    after = fuse(b.graph(b.ew("mul", b.input(10, 100), row)))
    assert [n.op.flops for n in after.nodes] == [800, 1000]


def test_expansion_that_only_arithmetic_reads_does_not_happen() -> None:
    b = Builder()
    x, z = b.input(10, 100), b.input(100)
    before = b.graph(b.ew("add", x, b.expand(z, 10, 100)))
    after = fuse(before)
    assert chain(after).bytes_read == 4 * (1000 + 100)
    assert [(r.reason, r.flops) for r in after.removed] == [("broadcast by the kernel that reads it", 0)]


def test_expansion_that_gives_the_result_its_shape_stays() -> None:
    b = Builder()
    before = b.graph(b.ew("add", b.input(1, 100), b.expand(b.input(100), 10, 100)))
    assert [n.op.op for n in fuse(before).nodes] == ["copy", "elementwise"]


def test_slices_are_read_where_they_lie() -> None:
    b = Builder()
    x = b.input(10, 200)
    left, right = b.split(x, 1, 2)
    before = b.graph(b.ew("mul", left, b.ew("sigmoid", right)))
    after = fuse(before)
    assert chain(after).bytes == 4 * (1000 + 1000 + 1000)
    assert after.nodes[0].inputs == (x,)
    assert [r.reason for r in after.removed] == ["read strided by the elementwise kernel"]


def test_slice_for_a_gemm_stays() -> None:
    b = Builder()
    before = b.graph(b.linear(b.slice(b.input(10, 200), 1, 0, 100), 16))
    assert [n.op.op for n in fuse(before).nodes] == ["copy", "gemm"]


def test_resizing_takes_nothing_in_before_it() -> None:
    """It reads four neighbours: what comes before would be computed four times."""
    b = Builder()
    y = b.ew("relu", b.ew("resize_linear", b.ew("exp", b.input(1000))))
    assert [n.op.kind for n in fuse(b.graph(y)).nodes] == ["exp", "resize_linear+relu"]


def test_executed_unequally_often_stays_apart() -> None:
    b = Builder()
    y = b.ew("exp", b.ew("neg", b.input(1000), count=3))
    assert [n.count for n in fuse(b.graph(y)).nodes] == [3, 1]


def test_kernels_have_a_limited_number_of_parts() -> None:
    b = Builder()
    y = b.input(10)
    for _ in range(130):
        y = b.ew("neg", y)
    after = fuse(b.graph(y))
    assert [n.op.kind.count("neg") for n in after.nodes] == [2, 64, 64]
    assert fuse(after) == after


# --- no-ops


def noop(b: Builder, case: str, x: str) -> str:
    if case == "identity":
        return b.view(x, 2, 3, 4, kind="identity")
    if case == "dropout":
        return b.view(x, 2, 3, 4, kind="dropout")
    if case == "cast":
        return b.cast(x, "fp32")
    if case == "transpose":
        return b.transpose(x, 0, 1, 2)
    if case == "expand":
        return b.expand(x, 2, 3, 4)
    if case == "slice":
        return b.slice(x, 1, 0, 3)
    if case == "concat":
        return b.concat(0, x)
    kind, value, first = {
        "mul": ("mul", 1.0, False), "1·x": ("mul", 1.0, True), "div": ("div", 1.0, False), "add": ("add", 0.0, False),
        "0+x": ("add", 0.0, True), "sub": ("sub", 0.0, False), "pow": ("pow", 1.0, False),
    }[case]  # fmt: skip
    return b.ew(kind, value, x) if first else b.ew(kind, x, value)


FREE = ("identity", "dropout", "cast", "transpose", "expand", "slice", "concat")
ARITHMETIC = {"mul": 24, "1·x": 24, "div": 96, "add": 24, "0+x": 24, "sub": 24, "pow": 192}


@pytest.mark.parametrize("case", [*FREE, *ARITHMETIC])
def test_noop(case: str) -> None:
    b = Builder()
    x = b.input(2, 3, 4)
    before = b.graph(b.reduce("max", noop(b, case, x)))
    after = fuse(before)
    assert [n.op.op for n in after.nodes] == ["reduce"]
    assert after.nodes[0].inputs == (x,)
    (gone,) = after.removed
    assert (gone.name, gone.reason, gone.flops) == (before.nodes[0].name, "no-op", ARITHMETIC.get(case, 0))


def something(b: Builder, case: str, x: str) -> str:
    """Looks like a no-op, but is none."""
    if case == "1/x":
        return b.ew("div", 1.0, x)
    if case == "0-x":
        return b.ew("sub", 0.0, x)
    if case == "broadcast":
        return b.ew("mul", b.view(x, 2, 3, 4), b.input(5, 2, 3, 4))
    if case == "mul by 2":
        return b.ew("mul", x, 2.0)
    if case == "cast":
        return b.cast(x, "bf16")
    if case == "transpose":
        return b.transpose(x, 0, 2, 1)
    if case == "slice":
        return b.slice(x, 1, 0, 2)
    return b.expand(x, 5, 2, 3, 4)


@pytest.mark.parametrize("case", ["1/x", "0-x", "broadcast", "mul by 2", "cast", "transpose", "slice", "expand"])
def test_not_a_noop(case: str) -> None:
    b = Builder()
    after = fuse(b.graph(b.reduce("max", something(b, case, b.input(2, 3, 4)))))
    assert len(after.nodes) == 2


def test_transpose_of_axes_of_length_one_moves_nothing() -> None:
    b = Builder()
    x = b.input(2, 1, 4, 8)
    after = fuse(b.graph(b.reduce("max", b.transpose(x, 0, 2, 1, 3))))
    assert [r.reason for r in after.removed] == ["no-op"]


def test_transposes_that_cancel() -> None:
    b = Builder()
    x = b.input(2, 3, 4)
    after = fuse(b.graph(b.reduce("max", b.transpose(b.transpose(x, 1, 2, 0), 2, 0, 1))))
    assert [n.inputs for n in after.nodes] == [(x,)]
    assert [r.reason for r in after.removed] == ["no-op", "no-op"]


def test_transposes_with_a_reshape_between_do_not_cancel() -> None:
    b = Builder()
    x = b.input(2, 3)
    y = b.transpose(b.view(b.transpose(x, 1, 0), 2, 3), 1, 0)
    assert [n.op.op for n in fuse(b.graph(b.reduce("max", y))).nodes] == ["copy", "copy", "reduce"]


def test_transpose_after_a_reshape_is_judged_by_the_shape_it_reads() -> None:
    """(2, 6, 1, 4) is read as (2, 3, 2, 4): axes 1 and 2 are not of length one there."""
    b = Builder()
    y = b.transpose(b.view(b.input(2, 6, 1, 4), 2, 3, 2, 4), 0, 2, 1, 3)
    after = fuse(b.graph(b.reduce("max", y)))
    assert [n.op.op for n in after.nodes] == ["copy", "reduce"]
    assert fuse(after) == after


def test_first_of_two_transposes_stays_when_something_else_reads_it() -> None:
    b = Builder()
    x = b.input(2, 3, 4)
    turned = b.transpose(x, 1, 2, 0)
    after = fuse(b.graph(b.reduce("max", b.transpose(turned, 2, 0, 1)), b.reduce("min", turned)))
    assert sorted(n.op.op for n in after.nodes) == ["copy", "reduce", "reduce"]


def test_noop_that_makes_an_output_stays() -> None:
    b = Builder()
    x = b.input(2, 3, 4)
    y = b.view(b.ew("exp", x), 2, 3, 4, kind="identity")
    after = fuse(b.graph(y))
    assert after.outputs == (y,)
    assert y in {name for n in after.nodes for name in n.outputs}


def test_result_that_nothing_reads_is_left_alone() -> None:
    """Dead code of the file is not ours to judge; what a rewrite leaves unread is."""
    b = Builder()
    x = b.input(10)
    b.reduce("max", x)
    after = fuse(b.graph(b.reduce("min", x)))
    assert len(after.nodes) == 2


def test_readers_in_two_kernels_share_the_written_result() -> None:
    b = Builder()
    x = b.ew("exp", b.input(1000))
    after = fuse(b.graph(b.ew("relu", x), b.ew("neg", x)))
    assert [n.op.kind for n in after.nodes] == ["exp", "relu", "neg"]


def test_chain_that_ends_in_another_dtype() -> None:
    b = Builder()
    after = fuse(b.graph(b.cast(b.ew("exp", b.input(1000)), "bf16")))
    assert after.nodes[0].bytes == 4 * 1000 + 2 * 1000


def test_cast_before_a_rotation_joins_it_but_arithmetic_does_not() -> None:
    b = Builder("bf16")
    x, cos, sin = b.input(10, 8), b.input(10, 8, dtype="fp32"), b.input(10, 8, dtype="fp32")
    after = fuse(b.graph(b.cast(b.ew("rope", b.cast(x, "fp32"), cos, sin), "bf16")))
    assert [n.op.kind for n in after.nodes] == ["cast+rope+cast"]
    b = Builder()
    y = b.ew("rope", b.ew("exp", b.input(10, 8)), b.input(10, 8), b.input(10, 8))
    assert [n.op.kind for n in fuse(b.graph(y)).nodes] == ["exp", "rope"]


def test_a_part_of_a_product_that_is_added_to_the_whole_is_no_epilogue() -> None:
    """Row 0 is added to every row: the product must be there before, so that it cannot be done as it is written."""
    b = Builder()
    y = b.linear(b.input(8, 8), 8, bias=False)
    first = b.node(ops.Copy(kind="slice", elements=8, dtype="fp32"), (y,), (1, 8))[0]
    after = fuse(b.graph(b.ew("add", y, first)))
    assert [n.op.op for n in after.nodes] == ["gemm", "copy", "elementwise"]
