"""Modules of the kinds that compilers print, with their FLOPs and bytes by hand."""

# ruff: noqa: E501 - the modules have one operation a line

from __future__ import annotations

import pytest

from perfmodel.features.mlir import read_mlir
from perfmodel.ops import Gemm, Unmodelled

IREE = """module {
  flow.executable private @d0 {
    flow.executable.export public @d0_matmul workgroups() -> (index, index, index) {
      %x, %y, %z = flow.dispatch.workgroup_count_from_slice
      flow.return %x, %y, %z : index, index, index
    }
    builtin.module {
      func.func @d0_matmul(%arg0: !flow.dispatch.tensor<readonly:tensor<64x128xf32>>, %arg1: !flow.dispatch.tensor<readonly:tensor<128x256xf32>>, %arg2: !flow.dispatch.tensor<writeonly:tensor<64x256xf32>>) {
        %cst = arith.constant 0.0 : f32
        %0 = flow.dispatch.tensor.load %arg0, offsets = [0, 0], sizes = [64, 128], strides = [1, 1] : !flow.dispatch.tensor<readonly:tensor<64x128xf32>> -> tensor<64x128xf32>
        %1 = flow.dispatch.tensor.load %arg1, offsets = [0, 0], sizes = [128, 256], strides = [1, 1] : !flow.dispatch.tensor<readonly:tensor<128x256xf32>> -> tensor<128x256xf32>
        %2 = tensor.empty() : tensor<64x256xf32>
        %3 = linalg.fill ins(%cst : f32) outs(%2 : tensor<64x256xf32>) -> tensor<64x256xf32>
        %4 = linalg.matmul ins(%0, %1 : tensor<64x128xf32>, tensor<128x256xf32>) outs(%3 : tensor<64x256xf32>) -> tensor<64x256xf32>
        flow.dispatch.tensor.store %4, %arg2, offsets = [0, 0], sizes = [64, 256], strides = [1, 1] : tensor<64x256xf32> -> !flow.dispatch.tensor<writeonly:tensor<64x256xf32>>
        return
      }
    }
  }
  util.func public @main(%arg0: !hal.buffer_view, %arg1: !hal.buffer_view) -> !hal.buffer_view {
    %0 = hal.tensor.import %arg0 "input0" : !hal.buffer_view -> tensor<64x128xf32>
    %1 = hal.tensor.import %arg1 "input1" : !hal.buffer_view -> tensor<128x256xf32>
    %2 = flow.dispatch @d0::@d0_matmul(%0, %1) : (tensor<64x128xf32>, tensor<128x256xf32>) -> tensor<64x256xf32>
    %3 = flow.dispatch @d0::@d0_matmul(%0, %1) : (tensor<64x128xf32>, tensor<128x256xf32>) -> tensor<64x256xf32>
    %4 = hal.tensor.export %2 "output0" : tensor<64x256xf32> -> !hal.buffer_view
    util.return %4 : !hal.buffer_view
  }
}"""


def test_dispatches_of_iree_are_followed() -> None:
    graph = read_mlir(IREE)
    products = [n for n in graph.nodes if isinstance(n.op, Gemm)]
    assert [(n.op.m, n.op.n, n.op.k) for n in products] == [(64, 256, 128)] * 2
    assert len(graph.inputs) == 2
    assert not graph.warnings
    assert not any(isinstance(n.op, Unmodelled) for n in graph.nodes)


def test_a_kernel_of_triton_is_one_kernel() -> None:
    # 1,024 floats of two buffers are added: one kernel, positions and masks in registers.
    text = """tt.func public @add(%a: !tt.ptr<f32>, %b: !tt.ptr<f32>, %c: !tt.ptr<f32>, %n: i32) {
    %r = tt.make_range {end = 1024 : i32, start = 0 : i32} : tensor<1024xi32>
    %s = tt.splat %n : i32 -> tensor<1024xi32>
    %m = arith.cmpi slt, %r, %s : tensor<1024xi32>
    %0 = tt.splat %a : !tt.ptr<f32> -> tensor<1024x!tt.ptr<f32>>
    %1 = tt.addptr %0, %r : tensor<1024x!tt.ptr<f32>>, tensor<1024xi32>
    %2 = tt.load %1, %m : tensor<1024x!tt.ptr<f32>>
    %3 = tt.splat %b : !tt.ptr<f32> -> tensor<1024x!tt.ptr<f32>>
    %4 = tt.addptr %3, %r : tensor<1024x!tt.ptr<f32>>, tensor<1024xi32>
    %5 = tt.load %4, %m : tensor<1024x!tt.ptr<f32>>
    %6 = arith.addf %2, %5 : tensor<1024xf32>
    %7 = tt.splat %c : !tt.ptr<f32> -> tensor<1024x!tt.ptr<f32>>
    %8 = tt.addptr %7, %r : tensor<1024x!tt.ptr<f32>>, tensor<1024xi32>
    tt.store %8, %6, %m : tensor<1024x!tt.ptr<f32>>
    tt.return }"""
    graph = read_mlir(text)
    (node,) = graph.nodes
    assert (node.flops, node.op.bytes_read, node.op.bytes_written) == (1024, 2 * 4096, 4096)


def test_products_of_triton_add_up_in_registers() -> None:
    # 8 steps of 64 x 64 x 32: 64 x 64 x 256, of halves, stored once.
    text = """tt.func public @mm(%a: !tt.ptr<f16>, %b: !tt.ptr<f16>, %c: !tt.ptr<f32>) {
    %zero = arith.constant dense<0.0> : tensor<64x64xf32>
    %c0 = arith.constant 0 : i32
    %c1 = arith.constant 1 : i32
    %c8 = arith.constant 8 : i32
    %pa = tt.splat %a : !tt.ptr<f16> -> tensor<64x32x!tt.ptr<f16>>
    %pb = tt.splat %b : !tt.ptr<f16> -> tensor<32x64x!tt.ptr<f16>>
    %acc = scf.for %i = %c0 to %c8 step %c1 iter_args(%s = %zero) -> (tensor<64x64xf32>) : i32 {
      %x = tt.load %pa : tensor<64x32x!tt.ptr<f16>>
      %y = tt.load %pb : tensor<32x64x!tt.ptr<f16>>
      %d = tt.dot %x, %y, %s : tensor<64x32xf16> * tensor<32x64xf16> -> tensor<64x64xf32>
      scf.yield %d : tensor<64x64xf32>
    }
    %pc = tt.splat %c : !tt.ptr<f32> -> tensor<64x64x!tt.ptr<f32>>
    tt.store %pc, %acc : tensor<64x64x!tt.ptr<f32>>
    tt.return }"""
    (node,) = read_mlir(text).nodes
    assert (node.op.m, node.op.n, node.op.k, node.op.dtype) == (64, 64, 256, "fp16")
    assert (node.op.bytes_read, node.op.bytes_written) == (2 * 2 * 64 * 256, 4 * 64 * 64)


def test_tiles_of_tensors_are_no_copies() -> None:
    # 4 x 2 tiles of 16 x 32 results, 64 terms each; every tile adds to what the result holds.
    text = """func.func @main(%A: tensor<64x64xf32>, %B: tensor<64x64xf32>, %C: tensor<64x64xf32>) -> tensor<64x64xf32> {
    %r = scf.forall (%i, %j) in (4, 2) shared_outs(%o = %C) -> (tensor<64x64xf32>) {
      %oi = affine.apply affine_map<(d0) -> (d0 * 16)>(%i)
      %oj = affine.apply affine_map<(d0) -> (d0 * 32)>(%j)
      %a = tensor.extract_slice %A[%oi, 0] [16, 64] [1, 1] : tensor<64x64xf32> to tensor<16x64xf32>
      %b = tensor.extract_slice %B[0, %oj] [64, 32] [1, 1] : tensor<64x64xf32> to tensor<64x32xf32>
      %c = tensor.extract_slice %o[%oi, %oj] [16, 32] [1, 1] : tensor<64x64xf32> to tensor<16x32xf32>
      %m = linalg.matmul ins(%a, %b : tensor<16x64xf32>, tensor<64x32xf32>) outs(%c : tensor<16x32xf32>) -> tensor<16x32xf32>
      scf.forall.in_parallel {
        tensor.parallel_insert_slice %m into %o[%oi, %oj] [16, 32] [1, 1] : tensor<16x32xf32> into tensor<64x64xf32>
      }
    }
    return %r : tensor<64x64xf32> }"""
    graph = read_mlir(text)
    assert not graph.warnings
    (product,) = (n for n in graph.nodes if n.op.bytes)
    assert product.count * product.op.product_flops == 2 * 64 * 64 * 64


_UNROLLED = """%a0 = affine.load %A[%i, %k] : memref<64x32xf32>
    %b0 = affine.load %B[%k, %j] : memref<32x48xf32>
    %c0 = affine.load %C[%i, %j] : memref<64x48xf32>
    %p0 = arith.mulf %a0, %b0 : f32
    %s0 = arith.addf %c0, %p0 : f32
    %a1 = affine.load %A[%i, %k + 1] : memref<64x32xf32>
    %b1 = affine.load %B[%k + 1, %j] : memref<32x48xf32>
    %p1 = arith.mulf %a1, %b1 : f32
    %s1 = arith.addf %s0, %p1 : f32
    affine.store %s1, %C[%i, %j] : memref<64x48xf32>"""
_VECTORS = """%a = affine.load %A[%i, %k] : memref<64x32xf32>
    %av = vector.broadcast %a : f32 to vector<16xf32>
    %b = vector.load %B[%k, %j] : memref<32x48xf32>, vector<16xf32>
    %c = vector.load %C[%i, %j] : memref<64x48xf32>, vector<16xf32>
    %f = vector.fma %av, %b, %c : vector<16xf32>
    vector.store %f, %C[%i, %j] : memref<64x48xf32>, vector<16xf32>"""


@pytest.mark.parametrize(
    ("inner", "columns", "terms"), [(_UNROLLED, 1, 2), (_VECTORS, 16, 1)], ids=["unrolled", "vectors"]
)
def test_products_of_unrolled_and_vector_loops(inner: str, columns: int, terms: int) -> None:
    text = f"""func.func @main(%A: memref<64x32xf32>, %B: memref<32x48xf32>, %C: memref<64x48xf32>) {{
    affine.for %i = 0 to 64 {{ affine.for %j = 0 to 48 step {columns} {{ affine.for %k = 0 to 32 step {terms} {{
    {inner}
    }} }} }}
    return }}"""
    (node,) = read_mlir(text).nodes
    assert isinstance(node.op, Gemm)
    assert (node.op.batch, node.op.m, node.op.n, node.op.k) == (1, 64, 48, 32)
    assert node.flops == 2 * 64 * 48 * 32


def test_a_stencil_of_vectors_is_no_product() -> None:
    text = """func.func @main(%A: memref<66xf32>, %W: memref<66xf32>, %C: memref<64xf32>) {
    affine.for %i = 0 to 64 {
    %a = affine.load %A[%i] : memref<66xf32>
    %b = affine.load %A[%i + 1] : memref<66xf32>
    %w = affine.load %W[%i] : memref<66xf32>
    %p = arith.mulf %a, %w : f32
    %q = arith.mulf %b, %w : f32
    %s = arith.addf %p, %q : f32
    affine.store %s, %C[%i] : memref<64xf32>
    }
    return }"""
    (node,) = read_mlir(text).nodes
    assert not isinstance(node.op, Gemm)
    assert (node.flops, node.op.bytes_read) == (3 * 64, 4 * (65 + 64))


def test_winograd_transforms_by_hand() -> None:
    # F(4x4, 3x3): G is 6 x 3, B^T 6 x 6, A^T 4 x 6. Products and sums of G·g·G^T: 6·3·3 + 6·3·6; B^T·d·B: 2·6^3; A^T·m·A: 4·6·6 + 4·6·4.
    text = """func.func @main(%x: tensor<2x10x10x5xf32>, %f: tensor<2x3x3x5xf32>, %m: tensor<6x6x2x2x2x2xf32>, %o: tensor<2x8x8x2xf32>) -> (tensor<6x6x5x2xf32>, tensor<6x6x2x2x2x5xf32>, tensor<2x8x8x2xf32>) {
    %e0 = tensor.empty() : tensor<6x6x5x2xf32>
    %a = linalg.winograd_filter_transform fmr(F_4_3) ins(%f : tensor<2x3x3x5xf32>) outs(%e0 : tensor<6x6x5x2xf32>) -> tensor<6x6x5x2xf32>
    %e1 = tensor.empty() : tensor<6x6x2x2x2x5xf32>
    %b = linalg.winograd_input_transform fmr(F_4_3) ins(%x : tensor<2x10x10x5xf32>) outs(%e1 : tensor<6x6x2x2x2x5xf32>) -> tensor<6x6x2x2x2x5xf32>
    %r = linalg.winograd_output_transform fmr(F_4_3) ins(%m : tensor<6x6x2x2x2x2xf32>) outs(%o : tensor<2x8x8x2xf32>) -> tensor<2x8x8x2xf32>
    return %a, %b, %r : tensor<6x6x5x2xf32>, tensor<6x6x2x2x2x5xf32>, tensor<2x8x8x2xf32> }"""
    tiles, channels, filters = 2 * 2 * 2, 5, 2
    assert [n.flops for n in read_mlir(text).nodes] == [
        2 * (54 + 108) * channels * filters, 2 * 432 * tiles * channels, 2 * (144 + 96) * tiles * filters,
    ]  # fmt: skip


def test_packed_products_count_their_padding() -> None:
    # 60 rows in tiles of 8: 64 rows are multiplied.
    text = """func.func @main(%A: tensor<60x128xf32>, %B: tensor<32x128x8x1xf32>) -> tensor<60x256xf32> {
    %z = arith.constant 0.0 : f32
    %e0 = tensor.empty() : tensor<8x128x8x1xf32>
    %pa = linalg.pack %A padding_value(%z : f32) outer_dims_perm = [0, 1] inner_dims_pos = [0, 1] inner_tiles = [8, 1] into %e0 : tensor<60x128xf32> -> tensor<8x128x8x1xf32>
    %e2 = tensor.empty() : tensor<8x32x8x8xf32>
    %i = linalg.fill ins(%z : f32) outs(%e2 : tensor<8x32x8x8xf32>) -> tensor<8x32x8x8xf32>
    %m = linalg.mmt4d ins(%pa, %B : tensor<8x128x8x1xf32>, tensor<32x128x8x1xf32>) outs(%i : tensor<8x32x8x8xf32>) -> tensor<8x32x8x8xf32>
    %e3 = tensor.empty() : tensor<60x256xf32>
    %u = linalg.unpack %m outer_dims_perm = [0, 1] inner_dims_pos = [0, 1] inner_tiles = [8, 8] into %e3 : tensor<8x32x8x8xf32> -> tensor<60x256xf32>
    return %u : tensor<60x256xf32> }"""
    graph = read_mlir(text)
    assert graph.total("flops") == 2 * 64 * 256 * 128
    assert [n.op.bytes_written for n in graph.nodes] == [4 * 64 * 128, 4 * 64 * 256, 4 * 60 * 256]
