"""Patterns that compilers write and exporters of ONNX do not."""

# ruff: noqa: E501 - the modules have one operation a line

from __future__ import annotations

import math

import pytest

from perfmodel.features.fusion import fuse
from perfmodel.features.mlir import read_mlir
from perfmodel.graph import Graph
from perfmodel.ops import Conv, Elementwise, Norm, Pool, Reduce, Softmax

SHAPE = "tensor<4x32xf32>"


def _fused(body: str, arguments: str = f"%x: {SHAPE}", result: str = SHAPE) -> Graph:
    return fuse(read_mlir(f"func.func @main({arguments}) -> {result} {{\n{body}\nreturn %r : {result}\n}}\n"))


def _splat(name: str, value: float) -> str:
    return f"%{name} = stablehlo.constant dense<{value:e}> : {SHAPE}\n"


# x · P(x²) / Q(x²) as Eigen and XLA have it for single precision.
_P = (-2.72614225801306e-10, 2.77068142495902e-08, -2.10102402082508e-06, -5.69250639462346e-05, -7.34990630326855e-04,
      -2.95459980854025e-03, -1.60960333262415e-02)  # fmt: skip
_Q = (-1.45660718464996e-05, -2.13374055278905e-04, -1.68282697438203e-03, -7.37332916720468e-03, -1.42647390514189e-02)


def _erf(p: tuple[float, ...]) -> str:
    lines = [_splat("low", -4.0), _splat("high", 4.0), f"%c = stablehlo.clamp %low, %x, %high : {SHAPE}\n",
             f"%c2 = stablehlo.multiply %c, %c : {SHAPE}\n"]  # fmt: skip
    for side, coefficients in (("p", p), ("q", _Q)):
        previous = ""
        for i, value in enumerate(coefficients):
            lines.append(_splat(f"{side}k{i}", value))
            if not previous:
                previous = f"{side}k0"
                continue
            lines.append(f"%{side}m{i} = stablehlo.multiply %{previous}, %c2 : {SHAPE}\n")
            lines.append(f"%{side}s{i} = stablehlo.add %{side}m{i}, %{side}k{i} : {SHAPE}\n")
            previous = f"{side}s{i}"
    lines.append(f"%n = stablehlo.multiply %c, %ps{len(p) - 1} : {SHAPE}\n")
    lines.append(f"%r = stablehlo.divide %n, %qs{len(_Q) - 1} : {SHAPE}\n")
    return "".join(lines)


def test_erf_as_a_rational_function() -> None:
    (node,) = _fused(_erf(_P)).nodes
    assert isinstance(node.op, Elementwise)
    assert node.op.kind == "erf"


def test_another_rational_function_is_no_erf() -> None:
    (node,) = _fused(_erf((*_P[:-1], -0.02))).nodes
    assert isinstance(node.op, Elementwise)
    assert "erf" not in node.op.kind


def test_softmax_with_its_sum_in_fp32() -> None:
    narrow, wide = "tensor<4x32xbf16>", "tensor<4x32xf32>"
    body = f"""%low = stablehlo.constant dense<0xFF80> : tensor<bf16>
    %zero = stablehlo.constant dense<0.0> : tensor<f32>
    %m = stablehlo.reduce(%x init: %low) applies stablehlo.maximum across dimensions = [1] : ({narrow}, tensor<bf16>) -> tensor<4xbf16>
    %mb = stablehlo.broadcast_in_dim %m, dims = [0] : (tensor<4xbf16>) -> {narrow}
    %d = stablehlo.subtract %x, %mb : {narrow}
    %e = stablehlo.exponential %d : {narrow}
    %w = stablehlo.convert %e : ({narrow}) -> {wide}
    %s = stablehlo.reduce(%w init: %zero) applies stablehlo.add across dimensions = [1] : ({wide}, tensor<f32>) -> tensor<4xf32>
    %sn = stablehlo.convert %s : (tensor<4xf32>) -> tensor<4xbf16>
    %sb = stablehlo.broadcast_in_dim %sn, dims = [0] : (tensor<4xbf16>) -> {narrow}
    %r = stablehlo.divide %e, %sb : {narrow}"""
    (node,) = _fused(body, f"%x: {narrow}", narrow).nodes
    assert isinstance(node.op, Softmax)
    assert (node.op.rows, node.op.cols, node.op.dtype) == (4, 32, "bf16")


@pytest.mark.parametrize(("value", "guards"), [("0xFF800000", True), ("0.000000e+00", False)])
def test_the_guard_of_a_softmax(value: str, guards: bool) -> None:
    body = f"""%d = torch.constant.int 1
    %n = torch.constant.none
    %t = torch.constant.bool true
    %l = torch.constant.float {"0xFFF0000000000000" if guards else value}
    %z = torch.constant.float 0.0
    %p = torch.aten._softmax %x, %d, %t : !torch.vtensor<[4,32],f32>, !torch.int, !torch.bool -> !torch.vtensor<[4,32],f32>
    %e = torch.aten.eq.Scalar %x, %l : !torch.vtensor<[4,32],f32>, !torch.float -> !torch.vtensor<[4,32],i1>
    %a = torch.aten.all.dim %e, %d, %t : !torch.vtensor<[4,32],i1>, !torch.int, !torch.bool -> !torch.vtensor<[4,1],i1>
    %f = torch.aten.full_like %p, %z, %n, %n, %n, %n, %n : !torch.vtensor<[4,32],f32>, !torch.float, !torch.none, !torch.none, !torch.none, !torch.none, !torch.none -> !torch.vtensor<[4,32],f32>
    %r = torch.aten.where.self %a, %f, %p : !torch.vtensor<[4,1],i1>, !torch.vtensor<[4,32],f32>, !torch.vtensor<[4,32],f32> -> !torch.vtensor<[4,32],f32>"""
    graph = _fused(body, "%x: !torch.vtensor<[4,32],f32>", "!torch.vtensor<[4,32],f32>")
    assert (len(graph.nodes) == 1) is guards
    assert any(isinstance(n.op, Softmax) for n in graph.nodes)


@pytest.mark.parametrize(("divisor", "kind"), [(32.0, "mean"), (31.0, "sum")])
def test_a_sum_over_its_terms_is_a_mean(divisor: float, kind: str) -> None:
    body = f"""%zero = stablehlo.constant dense<0.0> : tensor<f32>
    %n = stablehlo.constant dense<{divisor}> : tensor<4xf32>
    %s = stablehlo.reduce(%x init: %zero) applies stablehlo.add across dimensions = [1] : ({SHAPE}, tensor<f32>) -> tensor<4xf32>
    %r = stablehlo.divide %s, %n : tensor<4xf32>"""
    graph = _fused(body, result="tensor<4xf32>")
    (first, *rest) = graph.nodes
    assert isinstance(first.op, Reduce)
    assert first.op.kind == kind
    assert len(rest) == (0 if kind == "mean" else 1)
    assert graph.total("flops") == 4 * 32 + 4 * 4


def test_reductions_of_reductions_are_one() -> None:
    body = """%s = tosa.reduce_sum %x {axis = 2 : i32} : (tensor<2x8x4xf32>) -> tensor<2x8x1xf32>
    %r = tosa.reduce_sum %s {axis = 1 : i32} : (tensor<2x8x1xf32>) -> tensor<2x1x1xf32>"""
    (node,) = _fused(body, "%x: tensor<2x8x4xf32>", "tensor<2x1x1xf32>").nodes
    assert isinstance(node.op, Reduce)
    assert (node.op.rows, node.op.cols) == (2, 32)


def test_a_batch_norm_that_subtracts_first_goes_into_the_weights() -> None:
    x, y, w = "tensor<1x3x8x8xf32>", "tensor<1x4x8x8xf32>", "tensor<4x3x3x3xf32>"
    lines = [
        f"%w = stablehlo.constant dense_resource<w> : {w}",
        f"%c = stablehlo.convolution(%x, %w) dim_numbers = [b, f, 0, 1]x[o, i, 0, 1]->[b, f, 0, 1], window = {{pad = [[1, 1], [1, 1]]}} "
        f"{{batch_group_count = 1 : i64, feature_group_count = 1 : i64}} : ({x}, {w}) -> {y}",
    ]
    previous = "c"
    for i, op in enumerate(("subtract", "multiply", "multiply", "add")):
        lines += [
            f"%v{i} = stablehlo.constant dense_resource<v{i}> : tensor<4xf32>",
            f"%b{i} = stablehlo.broadcast_in_dim %v{i}, dims = [1] : (tensor<4xf32>) -> {y}",
            f"%{'r' if i == 3 else f's{i}'} = stablehlo.{op} %{previous}, %b{i} : {y}",
        ]
        previous = f"s{i}"
    (node,) = _fused("\n".join(lines), f"%x: {x}", y).nodes
    assert isinstance(node.op, Conv)
    assert [getattr(f, "kind", "") for f in node.fused] == ["add"]


@pytest.mark.parametrize(("value", "kernels"), [("0xFF800000", 1), ("1.0", 2)])
def test_a_pool_pads_while_it_reads(value: str, kernels: int) -> None:
    body = f"""%v = arith.constant {value} : f32
    %p = tensor.pad %x low[0, 0, 1, 1] high[0, 0, 1, 1] {{
    ^bb0(%a: index, %b: index, %c: index, %d: index):
      tensor.yield %v : f32
    }} : tensor<1x2x6x6xf32> to tensor<1x2x8x8xf32>
    %k = tensor.empty() : tensor<2x2xf32>
    %e = tensor.empty() : tensor<1x2x4x4xf32>
    %i = linalg.fill ins(%v : f32) outs(%e : tensor<1x2x4x4xf32>) -> tensor<1x2x4x4xf32>
    %r = linalg.pooling_nchw_max {{dilations = dense<1> : vector<2xi64>, strides = dense<2> : vector<2xi64>}} ins(%p, %k : tensor<1x2x8x8xf32>, tensor<2x2xf32>) outs(%i : tensor<1x2x4x4xf32>) -> tensor<1x2x4x4xf32>"""
    graph = _fused(body, "%x: tensor<1x2x6x6xf32>", "tensor<1x2x4x4xf32>")
    assert len(graph.nodes) == kernels
    assert isinstance(graph.nodes[-1].op, Pool)


def test_layer_norm_whose_variance_has_a_mean_of_its_own() -> None:
    narrow, wide = "tensor<4x32xf32>", "tensor<4x32xf64>"
    body = f"""%zw = stablehlo.constant dense<0.0> : tensor<f64>
    %zn = stablehlo.constant dense<0.0> : tensor<f32>
    %nw = stablehlo.constant dense<32.0> : tensor<4xf64>
    %nn = stablehlo.constant dense<32.0> : tensor<4xf32>
    %eps = stablehlo.constant dense<1.0e-5> : tensor<4xf32>
    %xw = stablehlo.convert %x : ({narrow}) -> {wide}
    %s = stablehlo.reduce(%xw init: %zw) applies stablehlo.add across dimensions = [1] : ({wide}, tensor<f64>) -> tensor<4xf64>
    %m = stablehlo.divide %s, %nw : tensor<4xf64>
    %mb = stablehlo.broadcast_in_dim %m, dims = [0] : (tensor<4xf64>) -> {wide}
    %c = stablehlo.subtract %xw, %mb : {wide}
    %q = stablehlo.multiply %c, %c : {wide}
    %qs = stablehlo.reduce(%q init: %zw) applies stablehlo.add across dimensions = [1] : ({wide}, tensor<f64>) -> tensor<4xf64>
    %v = stablehlo.divide %qs, %nw : tensor<4xf64>
    %vn = stablehlo.convert %v : (tensor<4xf64>) -> tensor<4xf32>
    %ve = stablehlo.add %vn, %eps : tensor<4xf32>
    %root = stablehlo.rsqrt %ve : tensor<4xf32>
    %sn = stablehlo.reduce(%x init: %zn) applies stablehlo.add across dimensions = [1] : ({narrow}, tensor<f32>) -> tensor<4xf32>
    %mn = stablehlo.divide %sn, %nn : tensor<4xf32>
    %mnb = stablehlo.broadcast_in_dim %mn, dims = [0] : (tensor<4xf32>) -> {narrow}
    %cn = stablehlo.subtract %x, %mnb : {narrow}
    %rb = stablehlo.broadcast_in_dim %root, dims = [0] : (tensor<4xf32>) -> {narrow}
    %r = stablehlo.multiply %cn, %rb : {narrow}"""
    (node,) = _fused(body).nodes
    assert isinstance(node.op, Norm)
    assert (node.op.kind, node.op.rows, node.op.cols, node.op.dtype) == ("layernorm", 4, 32, "fp32")


def test_the_rational_function_is_erf() -> None:
    # That the coefficients of the test are what they should be.
    for x in (-3.0, -0.5, 0.1, 1.0, 2.5):
        p = q = 0.0
        for value in _P:
            p = p * x * x + value
        for value in _Q:
            q = q * x * x + value
        assert x * p / q == pytest.approx(math.erf(x), abs=1e-5)
