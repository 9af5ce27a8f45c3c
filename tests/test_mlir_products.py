"""Products in the bodies of ``linalg.generic``: narrow weights with scales, complex numbers; and complex products elsewhere."""

# ruff: noqa: E501 - the modules have one operation a line

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from perfmodel.features.fusion import fuse
from perfmodel.features.mlir import read_mlir
from perfmodel.graph import Graph
from perfmodel.ops import Elementwise, Gemm, Quantize, Reduce


def generic(
    maps: Sequence[str], operands: Sequence[str], result: str, body: str, scalars: str, reducing: int = 1
) -> Graph:
    """The graph of one sum of products that starts from zero."""
    loops = maps[0][: maps[0].index(")")].count(",") + 1
    kinds = ", ".join(['"parallel"'] * (loops - reducing) + ['"reduction"'] * reducing)
    element = result.rpartition("x")[2].rstrip(">")
    text = f"""func.func @main({", ".join(f"%i{i}: {t}" for i, t in enumerate(operands))}) -> {result} {{
    %zero = arith.constant 0.0 : {element}
    %empty = tensor.empty() : {result}
    %init = linalg.fill ins(%zero : {element}) outs(%empty : {result}) -> {result}
    %r = linalg.generic {{indexing_maps = [{", ".join(f"affine_map<{m}>" for m in maps)}], iterator_types = [{kinds}]}}
    ins({", ".join(f"%i{i}" for i in range(len(operands)))} : {", ".join(operands)}) outs(%init : {result}) {{
    ^bb0({scalars}):
    {body}
    linalg.yield %t : {element} }} -> {result}
    return %r : {result} }}"""
    return read_mlir(text)


def only(graph: Graph) -> Any:
    assert len(graph.nodes) == 1, [n.op for n in graph.nodes]
    return graph.nodes[0]


def test_weights_with_a_scale_a_column_are_read_as_they_are_stored() -> None:
    # 8 x 32 halves, 32 x 16 bytes and 16 scales of a half: 512 + 512 + 32 bytes
    node = only(
        generic(
            [f"(m, n, k) -> {m}" for m in ("(m, k)", "(k, n)", "(n)", "(m, n)")],
            ["tensor<8x32xf16>", "tensor<32x16xi8>", "tensor<16xf16>"],
            "tensor<8x16xf16>",
            "%f = arith.sitofp %w : i8 to f16\n%g = arith.mulf %f, %c : f16\n%p = arith.mulf %x, %g : f16\n%t = arith.addf %s, %p : f16",
            "%x: f16, %w: i8, %c: f16, %s: f16",
        )
    )
    assert isinstance(node.op, Gemm)
    assert (node.op.m, node.op.n, node.op.k, node.op.dtype) == (8, 16, 32, "w8a16")
    assert node.flops == 2 * 8 * 16 * 32
    assert node.op.bytes_read + node.extra_bytes_read == 512 + 512 + 32


@pytest.mark.parametrize("swapped", [False, True], ids=["x·w", "w·x"])
def test_groups_of_weights_with_scales_and_zero_points(swapped: bool) -> None:
    # One row of 4 groups of 64 halves; 16 columns of 4-bit weights; a scale and a zero point a group of either.
    product = "%q, %x" if swapped else "%x, %q"
    node = only(
        generic(
            [f"(m, n, g, k) -> {m}" for m in ("(m, g, k)", "(n, g, k)", "(n, g)", "(n, g)", "(m, n)")],
            ["tensor<1x4x64xf16>", "tensor<16x4x64xi4>", "tensor<16x4xf16>", "tensor<16x4xf16>"],
            "tensor<1x16xf32>",
            f"%e = arith.extui %w : i4 to i32\n%f = arith.uitofp %e : i32 to f16\n%d = arith.subf %f, %z : f16\n%q = arith.mulf %d, %c : f16\n%p = arith.mulf {product} : f16\n%l = arith.extf %p : f16 to f32\n%t = arith.addf %s, %l : f32",
            "%x: f16, %w: i4, %c: f16, %z: f16, %s: f32",
            reducing=2,
        )
    )
    assert (node.op.m, node.op.n, node.op.k, node.op.dtype, node.op.out_dtype) == (1, 16, 256, "w4a16_g64", "fp32")
    assert node.op.bytes_read + node.extra_bytes_read == 2 * 256 + 16 * 256 / 2 + 2 * (2 * 16 * 4)


def test_what_scales_full_operands_is_arithmetic_beside_the_product() -> None:
    # x w s[n]: no format is narrow, so w's 512 values are scaled in the kernel; r[m, n] scales the 128 sums.
    node = only(
        generic(
            [f"(m, n, k) -> {m}" for m in ("(m, k)", "(k, n)", "(n)", "(m, n)", "(m, n)")],
            ["tensor<8x32xf32>", "tensor<32x16xf32>", "tensor<16xf32>", "tensor<8x16xf32>"],
            "tensor<8x16xf32>",
            "%a = arith.mulf %x, %w : f32\n%b = arith.mulf %a, %c : f32\n%p = arith.mulf %b, %d : f32\n%t = arith.addf %s, %p : f32",
            "%x: f32, %w: f32, %c: f32, %d: f32, %s: f32",
        )
    )
    assert node.op.product_flops == 2 * 8 * 16 * 32
    assert node.flops == 2 * 8 * 16 * 32 + 512 + 128
    assert node.op.bytes_read + node.extra_bytes_read == 4 * (256 + 512 + 16 + 128)


def test_three_whole_operands_are_no_product_of_matrices() -> None:
    node = only(
        generic(
            [f"(m, n, k) -> {m}" for m in ("(m, k)", "(m, k)", "(k, n)", "(m, n)")],
            ["tensor<8x32xf32>", "tensor<8x32xf32>", "tensor<32x16xf32>"],
            "tensor<8x16xf32>",
            "%a = arith.mulf %x, %y : f32\n%p = arith.mulf %a, %w : f32\n%t = arith.addf %s, %p : f32",
            "%x: f32, %y: f32, %w: f32, %s: f32",
        )
    )
    assert isinstance(node.op, Elementwise)
    assert node.flops == 3 * 8 * 16 * 32


def test_dequantised_weights_are_multiplied_as_they_are_stored() -> None:
    # IREE's form: a kernel that dequantises stored weights, a reshape, a product. 16 x 256 weights of 4 bits.
    text = """#w = affine_map<(n, g, k) -> (n, g, k)>
    #s = affine_map<(n, g, k) -> (n, g)>
    func.func @main(%x: tensor<1x256xf16>) -> tensor<1x16xf16> {
      %w = util.global.load @w : tensor<16x4x64xi4>
      %s = util.global.load @s : tensor<16x4xf16>
      %e = tensor.empty() : tensor<16x4x64xf16>
      %d = linalg.generic {indexing_maps = [#w, #s, #w], iterator_types = ["parallel", "parallel", "parallel"]}
        ins(%w, %s : tensor<16x4x64xi4>, tensor<16x4xf16>) outs(%e : tensor<16x4x64xf16>) {
      ^bb0(%a: i4, %b: f16, %o: f16):
        %1 = arith.sitofp %a : i4 to f16
        %2 = arith.mulf %1, %b : f16
        linalg.yield %2 : f16 } -> tensor<16x4x64xf16>
      %f = tensor.collapse_shape %d [[0], [1, 2]] : tensor<16x4x64xf16> into tensor<16x256xf16>
      %z = arith.constant 0.0 : f16
      %o = tensor.empty() : tensor<1x16xf16>
      %i = linalg.fill ins(%z : f16) outs(%o : tensor<1x16xf16>) -> tensor<1x16xf16>
      %r = linalg.matmul_transpose_b ins(%x, %f : tensor<1x256xf16>, tensor<16x256xf16>) outs(%i : tensor<1x16xf16>) -> tensor<1x16xf16>
      return %r : tensor<1x16xf16>
    }"""
    graph = read_mlir(text)
    assert [type(n.op) for n in graph.nodes if n.op.bytes] == [Quantize, Gemm]
    node = only(fuse(graph))
    assert node.op.dtype == "w4a16_g64"
    assert node.op.bytes_read + node.extra_bytes_read == 2 * 256 + 16 * 256 / 2 + 2 * 16 * 4


COMPLEX = "complex<f32>"


def test_complex_products_are_8_flops_a_term_in_every_form() -> None:
    sides = [f"tensor<{s}x{COMPLEX}>" for s in ("8x32", "32x16", "8x16")]
    dot = f"""func.func @main(%a: {sides[0]}, %b: {sides[1]}) -> {sides[2]} {{
    %r = stablehlo.dot_general %a, %b, contracting_dims = [1] x [0] : ({sides[0]}, {sides[1]}) -> {sides[2]}
    return %r : {sides[2]} }}"""
    body = f"""#a = affine_map<(m, n, k) -> (m, k)>
    #b = affine_map<(m, n, k) -> (k, n)>
    #c = affine_map<(m, n, k) -> (m, n)>
    func.func @main(%a: {sides[0]}, %b: {sides[1]}) -> {sides[2]} {{
    %o = tensor.empty() : {sides[2]}
    %r = linalg.generic {{indexing_maps = [#a, #b, #c], iterator_types = ["parallel", "parallel", "reduction"]}} ins(%a, %b : {sides[0]}, {sides[1]}) outs(%o : {sides[2]}) {{
    ^bb0(%x: {COMPLEX}, %y: {COMPLEX}, %s: {COMPLEX}):
      %p = complex.mul %x, %y : {COMPLEX}
      %t = complex.add %s, %p : {COMPLEX}
      linalg.yield %t : {COMPLEX} }} -> {sides[2]}
    return %r : {sides[2]} }}"""
    nest = """func.func @main(%A: memref<8x32xcomplex<f32>>, %B: memref<32x16xcomplex<f32>>, %C: memref<8x16xcomplex<f32>>) {
    affine.for %i = 0 to 8 { affine.for %j = 0 to 16 { affine.for %k = 0 to 32 {
    %a = affine.load %A[%i, %k] : memref<8x32xcomplex<f32>>
    %b = affine.load %B[%k, %j] : memref<32x16xcomplex<f32>>
    %c = affine.load %C[%i, %j] : memref<8x16xcomplex<f32>>
    %p = complex.mul %a, %b : complex<f32>
    %t = complex.add %c, %p : complex<f32>
    affine.store %t, %C[%i, %j] : memref<8x16xcomplex<f32>>
    } } }
    return }"""
    for text in (dot, body, nest):
        node = only(read_mlir(text))
        assert isinstance(node.op, Gemm)
        assert node.op.product_flops == 8 * 8 * 16 * 32
        assert (node.op.bytes_read, node.op.bytes_written) == (8 * (8 * 32 + 32 * 16), 8 * 8 * 16)


def test_complex_functions_count_their_real_ones() -> None:
    kind = f"tensor<4x8x{COMPLEX}>"
    text = f"""func.func @main(%a: {kind}, %z: tensor<{COMPLEX}>) -> (tensor<4x{COMPLEX}>, tensor<4x8xf32>) {{
    %m = stablehlo.multiply %a, %a : {kind}
    %s = stablehlo.subtract %m, %a : {kind}
    %n = stablehlo.abs %s : ({kind}) -> tensor<4x8xf32>
    %r = stablehlo.reduce(%s init: %z) applies stablehlo.add across dimensions = [1] : ({kind}, tensor<{COMPLEX}>) -> tensor<4x{COMPLEX}>
    return %r, %n : tensor<4x{COMPLEX}>, tensor<4x8xf32> }}"""
    counts = {n.source_op.partition(".")[2]: n.flops for n in read_mlir(text).nodes}
    # 4 products and 2 sums; 2 differences; 2 squares, a sum and a root (4); 2 sums
    assert counts == {"multiply": 32 * 6, "subtract": 32 * 2, "abs": 32 * 7, "reduce": 32 * 2}
    assert any(isinstance(n.op, Reduce) for n in read_mlir(text).nodes)


def test_a_sum_of_squares_is_one_kernel_with_and_without_fusion() -> None:
    text = """#x = affine_map<(m, k) -> (m, k)>
    #r = affine_map<(m, k) -> (m)>
    func.func @main(%x: tensor<64x512xf16>, %o: tensor<64xf16>) -> tensor<64xf16> {
    %r = linalg.generic {indexing_maps = [#x, #r], iterator_types = ["parallel", "reduction"]} ins(%x : tensor<64x512xf16>) outs(%o : tensor<64xf16>) {
    ^bb0(%a: f16, %s: f16):
      %p = arith.mulf %a, %a : f16
      %t = arith.addf %p, %s : f16
      linalg.yield %t : f16 } -> tensor<64xf16>
    return %r : tensor<64xf16> }"""
    for graph in (fuse(read_mlir(text)), read_mlir(text, joined=True)):
        node = only(graph)
        assert node.flops == 2 * 64 * 512
        assert node.op.bytes_read + node.extra_bytes_read == 2 * 64 * 512
        assert node.op.bytes_written == 2 * 64


@pytest.mark.parametrize("yields", ["%t, %u", "%u, %t"])
def test_a_function_that_is_a_result_and_a_part_of_another_is_computed_once(yields: str) -> None:
    text = f"""#i = affine_map<(a, b) -> (a, b)>
    func.func @main(%x: tensor<16x256xf32>, %y: tensor<16x256xf32>) -> (tensor<16x256xf32>, tensor<16x256xf32>) {{
      %e = tensor.empty() : tensor<16x256xf32>
      %r:2 = linalg.generic {{indexing_maps = [#i, #i, #i, #i], iterator_types = ["parallel", "parallel"]}} ins(%x, %y : tensor<16x256xf32>, tensor<16x256xf32>) outs(%e, %e : tensor<16x256xf32>, tensor<16x256xf32>) {{
      ^bb0(%a: f32, %b: f32, %o: f32, %p: f32):
        %t = arith.mulf %a, %b : f32
        %u = math.tanh %t : f32
        linalg.yield {yields} : f32, f32
      }} -> (tensor<16x256xf32>, tensor<16x256xf32>)
      return %r#0, %r#1 : tensor<16x256xf32>, tensor<16x256xf32>
    }}"""
    graph = read_mlir(text)
    assert [(n.op.kind, n.op.flops) for n in graph.nodes] == [("mul", 16 * 256), ("tanh", 8 * 16 * 256)]  # type: ignore[union-attr]
    results = ["r#0", "r#1"] if yields.startswith("%t") else ["r#1", "r#0"]
    assert [n.outputs for n in graph.nodes] == [(name,) for name in results]
    assert graph.nodes[1].inputs == (results[0],)
