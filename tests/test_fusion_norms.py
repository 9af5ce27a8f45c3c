"""Decomposed normalisation: every way of writing becomes one operator whose counts are known by hand."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from fusion_graphs import Builder

from perfmodel import ops
from perfmodel.features.fusion import fuse
from perfmodel.graph import Graph

# All inputs here are (2, 3, 16): 6 rows of 16 columns, 96 elements.
LAYERNORM_FLOPS = 720  # 7 a element: 672; a division and a root a row: 6 * 8 = 48
RMSNORM_FLOPS = 432  # 4 a element: 384; 48 for the rows


def only(graph: Graph) -> ops.Operator:
    """The descriptor of the one node that is left."""
    assert [n.op.op for n in graph.nodes] == [graph.nodes[0].op.op]
    return graph.nodes[0].op


def variance(b: Builder, x: str, square: str) -> str:
    squares = {
        "pow": lambda: b.ew("pow", x, 2.0),
        "mul": lambda: b.ew("mul", x, x),
        "square": lambda: b.ew("square", x),
    }
    return b.reduce("mean", squares[square]())


def rooted(b: Builder, d: str, var: str, root: str) -> str:
    """d / sqrt(var + eps) in four ways."""
    shifted = b.ew("add", var, 1e-5)
    if root == "sqrt-div":
        return b.ew("div", d, b.ew("sqrt", shifted))
    if root == "sqrt-reciprocal":
        return b.ew("mul", d, b.ew("reciprocal", b.ew("sqrt", shifted)))
    if root == "rsqrt":
        return b.ew("mul", b.ew("rsqrt", shifted), d)
    return b.ew("mul", d, b.ew("pow", shifted, -0.5))


ROOTS = ("sqrt-div", "sqrt-reciprocal", "rsqrt", "pow")


@pytest.mark.parametrize("root", ROOTS)
@pytest.mark.parametrize("square", ["pow", "mul", "square"])
@pytest.mark.parametrize("affine", ["", "gamma", "beta", "gamma beta"])
def test_layernorm(root: str, square: str, affine: str) -> None:
    b = Builder()
    x = b.input(2, 3, 16)
    d = b.ew("sub", x, b.reduce("mean", x))
    y = rooted(b, d, variance(b, d, square), root)
    if "gamma" in affine:
        y = b.ew("mul", y, b.weight(16))
    if "beta" in affine:
        y = b.ew("add", b.weight(16), y)
    before = b.graph(y)
    after = fuse(before)
    op = only(after)
    assert isinstance(op, ops.Norm)
    assert (op.kind, op.rows, op.cols, op.residual) == ("layernorm", 6, 16, False)
    assert op.flops == LAYERNORM_FLOPS
    # 96 read, 96 written, and 16 for each parameter, 4 bytes each
    assert after.nodes[0].bytes == {"": 768, "gamma": 832, "beta": 832, "gamma beta": 896}[affine]
    assert sorted(after.nodes[0].members) == sorted(n.name for n in before.nodes)
    assert after.nodes[0].outputs == (y,)


@pytest.mark.parametrize("root", ROOTS)
def test_rmsnorm_as_exported_from_llama(root: str) -> None:
    b = Builder("bf16")
    x = b.input(2, 3, 16)
    wide = b.cast(x, "fp32")
    y = rooted(b, wide, variance(b, wide, "pow"), root)
    y = b.ew("mul", b.weight(16), b.cast(y, "bf16"))
    after = fuse(b.graph(y))
    op = only(after)
    assert isinstance(op, ops.Norm)
    assert (op.kind, op.rows, op.cols, op.dtype) == ("rmsnorm", 6, 16, "bf16")
    assert op.flops == RMSNORM_FLOPS
    assert after.nodes[0].bytes == 2 * (96 + 96 + 16)


def test_rmsnorm_scaled_before_the_cast_back() -> None:
    b = Builder("bf16")
    wide = b.cast(b.input(2, 3, 16), "fp32")
    y = rooted(b, wide, variance(b, wide, "square"), "rsqrt")
    y = b.cast(b.ew("mul", y, b.weight(16, dtype="fp32")), "bf16")
    assert only(fuse(b.graph(y))).flops == RMSNORM_FLOPS


def test_cast_stays_apart_when_the_result_stays_wide() -> None:
    b = Builder("bf16")
    wide = b.cast(b.input(2, 3, 16), "fp32")
    y = rooted(b, wide, variance(b, wide, "square"), "rsqrt")
    after = fuse(b.graph(y))
    assert [n.op.op for n in after.nodes] == ["copy", "norm"]
    assert after.nodes[1].op.dtype == "fp32"


def test_cast_stays_apart_when_something_else_reads_it() -> None:
    b = Builder("bf16")
    wide = b.cast(b.input(2, 3, 16), "fp32")
    y = b.cast(rooted(b, wide, variance(b, wide, "square"), "rsqrt"), "bf16")
    z = b.reduce("max", wide)
    after = fuse(b.graph(y, z))
    assert [n.op.op for n in after.nodes if n.op.op == "copy"][:1] == ["copy"]
    assert [n.op.dtype for n in after.nodes if n.op.op == "norm"] == ["fp32"]


def mean_by_sum(b: Builder, x: str) -> str:
    return b.ew("mul", b.reduce("sum", x), 1 / 16)


def two_subtractions(b: Builder, x: str) -> str:
    """Some exporters subtract the mean once for the variance and once for the result."""
    mean = b.reduce("mean", x)
    var = b.reduce("mean", b.ew("square", b.ew("sub", x, mean)))
    return b.ew("mul", b.ew("sub", x, mean), b.ew("rsqrt", b.ew("add", var, 1e-5)))


def sums_and_spreading(b: Builder, x: str) -> str:
    """As MLIR has it: sums, constant factors, and broadcasts that are operators of their own."""
    d = b.ew("sub", x, b.expand(mean_by_sum(b, x), 2, 3, 16))
    var = mean_by_sum(b, b.ew("mul", d, d))
    return b.ew("mul", d, b.expand(b.ew("rsqrt", b.ew("add", var, 1e-5)), 2, 3, 16))


def mean_of_squares_minus_square_of_mean(b: Builder, x: str) -> str:
    """As Flax writes it."""
    mean = b.reduce("mean", x)
    var = b.ew("sub", b.reduce("mean", b.ew("square", x)), b.ew("mul", mean, mean))
    var = b.ew("max", var, 0.0)
    scale = b.ew("mul", b.ew("rsqrt", b.ew("add", var, 1e-6)), b.weight(16))
    return b.ew("add", b.ew("mul", b.ew("sub", x, mean), scale), b.weight(16))


def as_tensorflow_does(b: Builder, x: str) -> str:
    """x * (rsqrt * gamma) + (beta - mean * (rsqrt * gamma))."""
    mean = b.reduce("mean", x)
    var = b.reduce("mean", b.ew("square", b.ew("sub", x, mean)))
    scale = b.ew("mul", b.ew("rsqrt", b.ew("add", var, 1e-5)), b.weight(16))
    return b.ew("add", b.ew("mul", x, scale), b.ew("sub", b.weight(16), b.ew("mul", mean, scale)))


@pytest.mark.parametrize(
    "write", [two_subtractions, sums_and_spreading, mean_of_squares_minus_square_of_mean, as_tensorflow_does]
)
def test_other_ways_to_write_a_layernorm(write: Callable[[Builder, str], str]) -> None:
    b = Builder()
    y = write(b, b.input(2, 3, 16))
    op = only(fuse(b.graph(y)))
    assert isinstance(op, ops.Norm)
    assert (op.kind, op.flops) == ("layernorm", LAYERNORM_FLOPS)


def test_l2_normalisation() -> None:
    b = Builder()
    x = b.input(2, 3, 16)
    length = b.ew("max", b.ew("sqrt", b.reduce("sum", b.ew("mul", x, x))), 1e-12)
    op = only(fuse(b.graph(b.ew("div", x, b.expand(length, 2, 3, 16)))))
    assert isinstance(op, ops.Norm)
    assert op.kind == "l2norm"
    assert op.flops == 3 * 96 + 6 * 8


def test_l2_normalisation_by_a_reduction_to_the_length() -> None:
    b = Builder()
    x = b.input(2, 3, 16)
    op = only(fuse(b.graph(b.ew("div", x, b.ew("clip", b.reduce("l2", x), 1e-12, 1e9)))))
    assert isinstance(op, ops.Norm)
    assert op.kind == "l2norm"


def test_groupnorm_as_exported_from_torch() -> None:
    b = Builder()
    x = b.input(2, 8, 4, 4)
    grouped = b.view(x, 2, 2, 64)
    op = ops.Norm(kind="instancenorm", rows=4, cols=64, dtype="fp32")
    y = b.node(op, (grouped, b.weight(2), b.weight(2)), (2, 2, 64))[0]
    y = b.ew("mul", b.view(y, 2, 8, 4, 4), b.weight(8, 1, 1))
    y = b.ew("add", y, b.weight(8, 1, 1))
    after = fuse(b.graph(y))
    op_after = only(after)
    assert isinstance(op_after, ops.Norm)
    assert (op_after.kind, op_after.rows, op_after.cols) == ("groupnorm", 4, 64)


def test_no_norm_without_the_input() -> None:
    """A standard deviation alone is no normalisation."""
    b = Builder()
    x = b.input(2, 3, 16)
    y = b.ew("mul", b.ew("sqrt", b.ew("add", b.reduce("mean", b.ew("square", x)), 1e-5)), 3.0)
    assert not any(n.op.op == "norm" for n in fuse(b.graph(y)).nodes)


def test_no_norm_when_the_mean_is_returned_too() -> None:
    b = Builder()
    x = b.input(2, 3, 16)
    mean = b.reduce("mean", x)
    d = b.ew("sub", x, mean)
    y = rooted(b, d, variance(b, d, "mul"), "rsqrt")
    after = fuse(b.graph(y, mean))
    assert mean in {name for n in after.nodes for name in n.outputs}
    # What is left normalises d, whose own mean nobody subtracts: the fusion may call that an RMSNorm, no LayerNorm.
    assert [n.op.kind for n in after.nodes if isinstance(n.op, ops.Norm)] in ([], ["rmsnorm"])


def test_activation_after_a_norm_is_not_taken_for_a_part_of_it() -> None:
    b = Builder()
    x = b.input(2, 3, 16)
    d = b.ew("sub", x, b.reduce("mean", x))
    y = b.ew("add", rooted(b, d, variance(b, d, "mul"), "rsqrt"), x)
    after = fuse(b.graph(b.ew("relu", y)))
    assert [n.op.op for n in after.nodes] == ["norm", "elementwise"]
    assert after.nodes[1].op.kind == "add+relu"


def pre_norm_block(b: Builder) -> tuple[str, str, str]:
    """x + linear(x), normalised, with the sum used again: (sum, normalised, result)."""
    x = b.input(2, 3, 16)
    total = b.ew("add", x, b.linear(x, 16, bias=False))
    normed = b.layernorm(total)
    return total, normed, b.ew("add", total, b.linear(normed, 16, bias=False))


def test_residual_before_a_norm_joins_it() -> None:
    b = Builder()
    total, normed, result = pre_norm_block(b)
    before = b.graph(result)
    after = fuse(before)
    assert [n.op.op for n in after.nodes] == ["gemm", "norm", "gemm"]
    norm = after.nodes[1]
    assert isinstance(norm.op, ops.Norm)
    assert norm.op.residual
    assert norm.outputs == (total, normed)
    assert norm.flops == LAYERNORM_FLOPS + 96  # one addition an element
    # two operands of 96, gamma and beta of 16, two results of 96
    assert norm.bytes == 4 * (96 + 96 + 32 + 96 + 96)
    assert before.total("flops") == after.total("flops")


def test_residual_that_only_the_norm_reads_is_an_epilogue_of_the_gemm() -> None:
    b = Builder()
    x = b.input(2, 3, 16)
    y = b.layernorm(b.ew("add", x, b.linear(x, 16)))
    after = fuse(b.graph(y))
    assert [n.op.op for n in after.nodes] == ["gemm", "norm"]
    assert [f.kind for f in after.nodes[0].fused] == ["add", "add"]
    assert after.nodes[0].extra_bytes_read == 4 * (16 + 96)
    assert not after.nodes[1].op.residual


def test_residual_of_another_shape_stays() -> None:
    b = Builder()
    x, position = b.input(2, 3, 16), b.input(3, 16)
    total = b.ew("add", x, position)
    after = fuse(b.graph(b.layernorm(total), total))
    assert [n.op.op for n in after.nodes] == ["elementwise", "norm"]


def scaled_by(b: Builder, x: str, factor: str) -> list[str]:
    """The kinds that are left of x times a factor made from its mean of squares."""
    after = fuse(b.graph(b.ew("mul", x, factor)))
    return [n.op.op for n in after.nodes]


def test_mean_of_cubes_is_no_variance() -> None:
    b = Builder()
    x = b.input(2, 3, 16)
    root = b.ew("rsqrt", b.ew("add", b.reduce("mean", b.ew("pow", x, 3.0)), 1e-5))
    assert "norm" not in scaled_by(b, x, root)


def test_mean_of_products_with_something_else_is_no_variance() -> None:
    b = Builder()
    x = b.input(2, 3, 16)
    root = b.ew("rsqrt", b.ew("add", b.reduce("mean", b.ew("mul", x, b.input(2, 3, 16))), 1e-5))
    assert "norm" not in scaled_by(b, x, root)


def test_largest_square_is_no_variance() -> None:
    b = Builder()
    x = b.input(2, 3, 16)
    root = b.ew("rsqrt", b.ew("add", b.reduce("max", b.ew("square", x)), 1e-5))
    assert "norm" not in scaled_by(b, x, root)


def test_function_of_the_root_is_no_norm() -> None:
    b = Builder()
    x = b.input(2, 3, 16)
    root = b.ew("exp", b.ew("rsqrt", b.ew("add", b.reduce("mean", b.ew("square", x)), 1e-5)))
    assert "norm" not in scaled_by(b, x, root)


def test_root_of_something_else_is_no_norm() -> None:
    b = Builder()
    x = b.input(2, 3, 16)
    root = b.ew("rsqrt", b.ew("add", b.reduce("mean", b.ew("square", b.input(2, 3, 16))), 1e-5))
    assert "norm" not in scaled_by(b, x, root)


def test_power_with_another_exponent_is_no_root() -> None:
    b = Builder()
    x = b.input(2, 3, 16)
    root = b.ew("pow", b.ew("add", b.reduce("mean", b.ew("square", x)), 1e-5), -0.25)
    assert "norm" not in scaled_by(b, x, root)


def test_variance_around_a_foreign_mean_is_no_layernorm() -> None:
    b = Builder()
    x, z = b.input(2, 3, 16), b.input(2, 3, 16)
    d = b.ew("sub", x, b.reduce("mean", z))
    after = fuse(b.graph(rooted(b, d, variance(b, d, "mul"), "rsqrt")))
    # d is an ordinary tensor here; dividing it by its root mean square is an RMSNorm of d.
    assert [n.op.kind for n in after.nodes if isinstance(n.op, ops.Norm)] == ["rmsnorm"]


def test_parameters_of_another_width_are_no_parameters() -> None:
    """A factor a row, or a tensor that is computed, is arithmetic after the norm."""
    for make in (lambda b: b.weight(3, 1), lambda b: b.input(16)):
        b = Builder()
        x = b.input(2, 3, 16)
        y = b.ew("mul", rooted(b, x, variance(b, x, "mul"), "rsqrt"), make(b))
        assert [n.op.op for n in fuse(b.graph(y)).nodes] == ["norm", "elementwise"]


def test_second_scale_is_arithmetic_after_the_norm() -> None:
    b = Builder()
    x = b.input(2, 3, 16)
    y = b.ew("mul", b.ew("mul", rooted(b, x, variance(b, x, "mul"), "rsqrt"), b.weight(16)), b.weight(16))
    after = fuse(b.graph(y))
    assert [n.op.op for n in after.nodes] == ["norm", "elementwise"]
    assert len(after.nodes[1].members) == 1


def test_shift_after_an_rmsnorm_is_arithmetic_after_it() -> None:
    b = Builder()
    x = b.input(2, 3, 16)
    y = b.ew("add", rooted(b, x, variance(b, x, "mul"), "rsqrt"), b.weight(16))
    assert [n.op.op for n in fuse(b.graph(y)).nodes] == ["norm", "elementwise"]


def test_shift_by_subtraction() -> None:
    b = Builder()
    x = b.input(2, 3, 16)
    d = b.ew("sub", x, b.reduce("mean", x))
    y = b.ew("sub", rooted(b, d, variance(b, d, "mul"), "rsqrt"), b.weight(16))
    assert [n.op.op for n in fuse(b.graph(y)).nodes] == ["norm"]


@pytest.mark.parametrize("count", [1, 2])
def test_residual_joins_only_a_norm_that_runs_as_often(count: int) -> None:
    b = Builder()
    x, z = b.input(2, 3, 16), b.input(2, 3, 16)
    total = b.ew("add", x, z)
    y = b.layernorm(total)
    b.nodes[-1] = b.nodes[-1].replace(count=count)
    after = fuse(b.graph(y, total))
    assert len(after.nodes) == count


@pytest.mark.parametrize("case", ["doubled", "constant", "other dtype"])
def test_additions_that_are_no_residual(case: str) -> None:
    b = Builder()
    x = b.input(2, 3, 16)
    other = {
        "doubled": lambda: x,
        "constant": lambda: b.weight(2, 3, 16),
        "other dtype": lambda: b.input(2, 3, 16, dtype="bf16"),
    }
    total = b.ew("add", x, other[case]())
    after = fuse(b.graph(b.layernorm(total), total))
    assert [n.op.op for n in after.nodes] == ["elementwise", "norm"]


def test_groupnorm_needs_the_shape_back_and_a_parameter_per_channel() -> None:
    for shape, parameter in (((2, 8, 4, 4), (8, 1, 1)), ((2, 8, 16), (8, 1)), ((2, 8, 4, 4), (4, 1))):
        b = Builder()
        op = ops.Norm(kind="instancenorm", rows=4, cols=64, dtype="fp32")
        grouped = b.view(b.input(2, 8, 4, 4), 2, 2, 64)
        y = b.view(b.node(op, (grouped, b.weight(2), b.weight(2)), (2, 2, 64))[0], *shape)
        y = b.ew("mul", y, b.weight(*parameter))
        expected = shape == (2, 8, 4, 4) and parameter[0] == 8
        kinds = [n.op.kind for n in fuse(b.graph(y)).nodes if isinstance(n.op, ops.Norm)]
        assert kinds == (["groupnorm"] if expected else ["instancenorm"])


def test_second_shift_is_arithmetic_after_the_norm() -> None:
    b = Builder()
    x = b.input(2, 3, 16)
    d = b.ew("sub", x, b.reduce("mean", x))
    y = b.ew("add", b.ew("add", rooted(b, d, variance(b, d, "mul"), "rsqrt"), b.weight(16)), b.weight(16))
    assert [len(n.members) for n in fuse(b.graph(y)).nodes][1] == 1
