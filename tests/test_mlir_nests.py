"""Loop nests, vector code and GPU kernels: arithmetic and distinct elements, by hand and by brute force."""

# ruff: noqa: E501 - the modules have one operation a line

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perfmodel.features.mlir import read_mlir
from perfmodel.ops import Conv, Copy, Elementwise, Gemm, Unmodelled


def _for(variables: str, extents: list[int], inner: str) -> str:
    text = inner
    for name, extent in reversed(list(zip(variables, extents, strict=True))):
        text = f"affine.for %{name} = 0 to {extent} {{\n{text}\n}}"
    return text


def _kernel(arguments: str, body: str) -> str:
    return f"func.func @k({arguments}) {{\n{body}\nreturn\n}}\n"


@settings(max_examples=20, deadline=None)
@given(st.permutations("ijk"), st.integers(2, 5), st.integers(2, 5), st.integers(2, 5))
def test_matrix_product_in_any_order_of_loops(order: list[str], m: int, n: int, k: int) -> None:
    sizes = {"i": m, "j": n, "k": k}
    inner = f"""%a = affine.load %A[%i, %k] : memref<{m}x{k}xf32>
    %b = affine.load %B[%k, %j] : memref<{k}x{n}xf32>
    %c = affine.load %C[%i, %j] : memref<{m}x{n}xf32>
    %p = arith.mulf %a, %b : f32
    %s = arith.addf %c, %p : f32
    affine.store %s, %C[%i, %j] : memref<{m}x{n}xf32>"""
    text = _kernel(
        f"%A: memref<{m}x{k}xf32>, %B: memref<{k}x{n}xf32>, %C: memref<{m}x{n}xf32>",
        _for("".join(order), [sizes[x] for x in order], inner),
    )
    (node,) = read_mlir(text).nodes
    assert isinstance(node.op, Gemm)
    assert (node.op.batch, node.op.m, node.op.n, node.op.k) == (1, m, n, k)
    assert node.extra_bytes_read == 4 * m * n
    assert node.attributes["instructions"]["arith.mulf"] == m * n * k


def test_tiled_product_keeps_its_size() -> None:
    inner = """%a = affine.load %A[%i * 8 + %x, %k] : memref<32x16xf32>
    %b = affine.load %B[%k, %j * 4 + %y] : memref<16x24xf32>
    %c = affine.load %C[%i * 8 + %x, %j * 4 + %y] : memref<32x24xf32>
    %p = arith.mulf %a, %b : f32
    %s = arith.addf %c, %p : f32
    affine.store %s, %C[%i * 8 + %x, %j * 4 + %y] : memref<32x24xf32>"""
    text = _kernel(
        "%A: memref<32x16xf32>, %B: memref<16x24xf32>, %C: memref<32x24xf32>", _for("ijkxy", [4, 6, 16, 8, 4], inner)
    )
    (node,) = read_mlir(text).nodes
    assert isinstance(node.op, Gemm)
    assert (node.op.m, node.op.n, node.op.k) == (32, 24, 16)


_TILED = {
    "affine": """affine.for %i0 = 0 to 32 step 8 {
    affine.for %k0 = 0 to 16 step 4 {
    affine.for %i = affine_map<(d0) -> (d0)>(%i0) to affine_map<(d0) -> (d0 + 8)>(%i0) {
    affine.for %j = 0 to 24 {
    affine.for %k = affine_map<(d0) -> (d0)>(%k0) to min affine_map<(d0) -> (d0 + 4, 16)>(%k0) {""",
    "scf": """%c0 = arith.constant 0 : index
    %c1 = arith.constant 1 : index
    %c4 = arith.constant 4 : index
    %c8 = arith.constant 8 : index
    %c16 = arith.constant 16 : index
    %c24 = arith.constant 24 : index
    %c32 = arith.constant 32 : index
    scf.for %i0 = %c0 to %c32 step %c8 {
    scf.for %k0 = %c0 to %c16 step %c4 {
    %i1 = arith.addi %i0, %c8 : index
    %k1 = arith.addi %k0, %c4 : index
    scf.for %i = %i0 to %i1 step %c1 {
    scf.for %j = %c0 to %c24 step %c1 {
    scf.for %k = %k0 to %k1 step %c1 {""",
}
"""The two loops of a 32 x 24 x 16 product cut into tiles, whose variables count from where the tile begins."""


@pytest.mark.parametrize("form", _TILED)
def test_loops_from_where_a_tile_begins(form: str) -> None:
    text = f"""func.func @main(%A: memref<32x16xf32>, %B: memref<16x24xf32>, %C: memref<32x24xf32>) {{
    {_TILED[form]}
    %a = memref.load %A[%i, %k] : memref<32x16xf32>
    %b = memref.load %B[%k, %j] : memref<16x24xf32>
    %c = memref.load %C[%i, %j] : memref<32x24xf32>
    %p = arith.mulf %a, %b : f32
    %s = arith.addf %c, %p : f32
    memref.store %s, %C[%i, %j] : memref<32x24xf32>
    }} }} }} }} }}
    return }}"""
    (node,) = read_mlir(text).nodes
    assert isinstance(node.op, Gemm)
    assert (node.op.batch, node.op.m, node.op.n, node.op.k) == (1, 32, 24, 16)


def test_copy_by_tiles_reaches_all_of_the_buffer() -> None:
    text = """func.func @main(%A: memref<64xf32>, %B: memref<64xf32>) {
    affine.for %i0 = 0 to 64 step 8 {
    affine.for %i = affine_map<(d0) -> (d0)>(%i0) to affine_map<(d0) -> (d0 + 8)>(%i0) {
    %a = affine.load %A[%i] : memref<64xf32>
    affine.store %a, %B[%i] : memref<64xf32>
    } }
    return }"""
    (node,) = read_mlir(text).nodes
    assert (node.op.bytes_read, node.op.bytes_written) == (256, 256)


def _of_scalars(call: str, function: str = "") -> str:
    return f"""{function}
    func.func @main(%A: memref<100xf32>, %B: memref<100xf32>) {{
    affine.for %i = 0 to 100 {{
    %a = affine.load %A[%i] : memref<100xf32>
    %b = {call} : (f32) -> f32
    affine.store %b, %B[%i] : memref<100xf32>
    }}
    return }}"""


def test_a_function_of_scalars_runs_in_the_nest_that_calls_it() -> None:
    function = "func.func private @f(%x: f32) -> f32 { %y = math.exp %x : f32 return %y : f32 }"
    (node,) = read_mlir(_of_scalars("func.call @f(%a)", function), entry="main").nodes
    assert (node.flops, node.op.bytes_read, node.op.bytes_written) == (8 * 100, 400, 400)


@pytest.mark.parametrize("call", ['"foo.magic"(%a)', '"math.nosuch"(%a)', "func.call @missing(%a)"])
def test_a_function_that_no_rule_covers_makes_its_nest_unmodelled(call: str) -> None:
    graph = read_mlir(_of_scalars(call), entry="main")
    (node,) = graph.nodes
    assert isinstance(node.op, Unmodelled)
    assert (node.op.bytes_read, node.op.bytes_written) == (400, 400)
    assert any("no rule covers" in w for w in graph.warnings)


def test_convolution_nest() -> None:
    inner = """%a = affine.load %X[%h * 2 + %p, %w * 2 + %q, %c] : memref<11x11x3xf32>
    %b = affine.load %W[%p, %q, %c, %f] : memref<3x3x3x8xf32>
    %o = affine.load %Y[%h, %w, %f] : memref<5x5x8xf32>
    %m = arith.mulf %a, %b : f32
    %s = arith.addf %o, %m : f32
    affine.store %s, %Y[%h, %w, %f] : memref<5x5x8xf32>"""
    text = _kernel(
        "%X: memref<11x11x3xf32>, %W: memref<3x3x3x8xf32>, %Y: memref<5x5x8xf32>",
        _for("hwfpqc", [5, 5, 8, 3, 3, 3], inner),
    )
    (node,) = read_mlir(text).nodes
    assert isinstance(node.op, Conv)
    assert node.op.flops == 2 * 5 * 5 * 8 * 27
    assert (node.op.h, node.op.kernel_h, node.op.stride_h, node.op.c_in, node.op.c_out) == (11, 3, 2, 3, 8)


def test_stencil_reads_each_element_once() -> None:
    inner = """%a = affine.load %X[%i] : memref<100xf32>
    %b = affine.load %X[%i + 1] : memref<100xf32>
    %c = affine.load %X[%i + 2] : memref<100xf32>
    %s = arith.addf %a, %b : f32
    %t = arith.addf %s, %c : f32
    affine.store %t, %Y[%i] : memref<98xf32>"""
    (node,) = read_mlir(_kernel("%X: memref<100xf32>, %Y: memref<98xf32>", _for("i", [98], inner))).nodes
    assert isinstance(node.op, Elementwise)
    assert node.flops == 2 * 98
    assert node.op.bytes_read == 400
    assert node.op.bytes_written == 392


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 5), st.integers(1, 5), st.integers(0, 4), st.integers(0, 4), st.integers(0, 3))
def test_distinct_elements_by_brute_force(n: int, m: int, a: int, b: int, shift: int) -> None:
    size = a * (n - 1) + b * (m - 1) + shift + 1
    text = _kernel(
        f"%X: memref<{size}xf32>, %Y: memref<{n}x{m}xf32>",
        _for(
            "ij",
            [n, m],
            f"""%v = affine.load %X[%i * {a} + %j * {b} + {shift}] : memref<{size}xf32>
            affine.store %v, %Y[%i, %j] : memref<{n}x{m}xf32>""",
        ),
    )
    (node,) = read_mlir(text).nodes
    assert isinstance(node.op, Copy)
    reached = len({a * i + b * j + shift for i, j in itertools.product(range(n), range(m))})
    # An upper bound that is exact unless the strides leave holes in what they reach.
    assert reached <= node.op.bytes_read / 4 <= min(n * m, size)
    assert node.op.bytes_written == 4 * n * m


def test_triangular_loops_run_half_as_often() -> None:
    text = _kernel(
        "%X: memref<9x9xf32>",
        """affine.for %i = 0 to 9 {
          affine.for %j = 0 to affine_map<(d0) -> (d0 + 1)>(%i) {
            %v = affine.load %X[%i, %j] : memref<9x9xf32>
            %s = arith.mulf %v, %v : f32
            affine.store %s, %X[%i, %j] : memref<9x9xf32>
          }
        }""",
    )
    (node,) = read_mlir(text).nodes
    assert node.flops == sum(i + 1 for i in range(9))


def test_diagonal_is_no_square() -> None:
    text = _kernel(
        "%X: memref<16x16xf32>, %Y: memref<16xf32>",
        _for("i", [16], "%v = affine.load %X[%i, %i] : memref<16x16xf32>\naffine.store %v, %Y[%i] : memref<16xf32>"),
    )
    (node,) = read_mlir(text).nodes
    assert node.op.bytes_read == 64


def test_open_bounds_are_named_and_counted() -> None:
    text = """func.func @k(%n: index, %X: memref<?xf32>) {
      %zero = arith.constant 0 : index
      %one = arith.constant 1 : index
      scf.for %i = %zero to %n step %one {
        %v = memref.load %X[%i] : memref<?xf32>
        %s = math.exp %v : f32
        memref.store %s, %X[%i] : memref<?xf32>
      }
      return
    }"""
    (node,) = read_mlir(text, dims={"n": 50, "X_0": 64}).nodes
    assert node.flops == 50 * 8
    assert node.op.bytes_read == 200


def test_each_loop_of_a_function_is_a_kernel() -> None:
    loop = _for(
        "i",
        [4],
        "%v = affine.load %X[%i] : memref<4xf32>\n%s = arith.addf %v, %v : f32\naffine.store %s, %X[%i] : memref<4xf32>",
    )
    graph = read_mlir(_kernel("%X: memref<4xf32>", f"{loop}\n{loop}"))
    assert len(graph.nodes) == 2
    assert graph.nodes[1].inputs == graph.nodes[0].outputs


def test_gpu_kernel_counts_threads() -> None:
    text = """module attributes {gpu.container_module} {
      gpu.module @kernels {
        gpu.func @axpy(%x: memref<4096xf32>, %y: memref<4096xf32>) kernel {
          %b = gpu.block_id x
          %t = gpu.thread_id x
          %d = gpu.block_dim x
          %o = arith.muli %b, %d : index
          %i = arith.addi %o, %t : index
          %v = memref.load %x[%i] : memref<4096xf32>
          %w = memref.load %y[%i] : memref<4096xf32>
          %m = arith.mulf %v, %v : f32
          %s = arith.addf %m, %w : f32
          memref.store %s, %y[%i] : memref<4096xf32>
          gpu.return
        }
      }
      func.func @main(%x: memref<4096xf32>, %y: memref<4096xf32>) {
        %one = arith.constant 1 : index
        %grid = arith.constant 16 : index
        %block = arith.constant 256 : index
        gpu.launch_func @kernels::@axpy blocks in (%grid, %one, %one) threads in (%block, %one, %one) args(%x : memref<4096xf32>, %y : memref<4096xf32>)
        return
      }
    }"""
    graph = read_mlir(text)
    (node,) = graph.nodes
    assert node.flops == 2 * 4096
    assert node.op.bytes == 3 * 4 * 4096
    assert node.attributes["instructions"] == {
        "threads": 4096, "memref.load": 8192, "arith.mulf": 4096, "arith.addf": 4096, "memref.store": 4096,
    }  # fmt: skip
    assert graph.outputs == node.outputs


def test_matrix_instructions_of_a_kernel() -> None:
    # 4 blocks of one warp, each 2 steps of 16 x 8 x 16: C is 64 x 8, so that k is 32.
    text = """module attributes {gpu.container_module} {
      gpu.module @kernels {
        gpu.func @mma(%a: memref<64x32xf16>, %b: memref<32x8xf16>, %c: memref<64x8xf32>) kernel {
          %zero = arith.constant 0 : index
          %one = arith.constant 1 : index
          %two = arith.constant 2 : index
          %bid = gpu.block_id x
          %tid = gpu.thread_id x
          %f = arith.constant dense<0.0> : vector<2x2xf32>
          %r = scf.for %k = %zero to %two step %one iter_args(%acc = %f) -> (vector<2x2xf32>) {
            %va = vector.load %a[%bid, %tid] : memref<64x32xf16>, vector<4x2xf16>
            %vb = vector.load %b[%k, %tid] : memref<32x8xf16>, vector<2x2xf16>
            %d = nvgpu.mma.sync(%va, %vb, %acc) {mmaShape = [16, 8, 16]} : (vector<4x2xf16>, vector<2x2xf16>, vector<2x2xf32>) -> vector<2x2xf32>
            scf.yield %d : vector<2x2xf32>
          }
          vector.store %r, %c[%bid, %tid] : memref<64x8xf32>, vector<2x2xf32>
          gpu.return
        }
      }
      func.func @main(%a: memref<64x32xf16>, %b: memref<32x8xf16>, %c: memref<64x8xf32>) {
        %one = arith.constant 1 : index
        %grid = arith.constant 4 : index
        %block = arith.constant 32 : index
        gpu.launch_func @kernels::@mma blocks in (%grid, %one, %one) threads in (%block, %one, %one) args(%a : memref<64x32xf16>, %b : memref<32x8xf16>, %c : memref<64x8xf32>)
        return
      }
    }"""
    (node,) = read_mlir(text).nodes
    assert isinstance(node.op, Gemm)
    assert node.op.flops == 4 * 2 * 2 * 16 * 8 * 16
    assert (node.op.m, node.op.n, node.op.k, node.op.dtype, node.op.out_dtype) == (64, 8, 32, "fp16", "fp32")
    assert node.attributes["matrix_instructions"] == 8


def test_vector_contract() -> None:
    text = """#a = affine_map<(d0, d1, d2) -> (d0, d2)>
    #b = affine_map<(d0, d1, d2) -> (d2, d1)>
    #c = affine_map<(d0, d1, d2) -> (d0, d1)>
    func.func @k(%A: memref<8x4xf32>, %B: memref<4x16xf32>, %C: memref<8x16xf32>) {
      %i = arith.constant 0 : index
      %z = arith.constant 0.0 : f32
      %a = vector.transfer_read %A[%i, %i], %z : memref<8x4xf32>, vector<8x4xf32>
      %b = vector.transfer_read %B[%i, %i], %z : memref<4x16xf32>, vector<4x16xf32>
      %c = vector.transfer_read %C[%i, %i], %z : memref<8x16xf32>, vector<8x16xf32>
      %d = vector.contract {indexing_maps = [#a, #b, #c], iterator_types = ["parallel", "parallel", "reduction"], kind = #vector.kind<add>} %a, %b, %c : vector<8x4xf32>, vector<4x16xf32> into vector<8x16xf32>
      vector.transfer_write %d, %C[%i, %i] : vector<8x16xf32>, memref<8x16xf32>
      return
    }"""
    (node,) = read_mlir(text).nodes
    assert isinstance(node.op, Gemm)
    assert (node.op.m, node.op.n, node.op.k) == (8, 16, 4)
    assert node.extra_bytes_read == 8 * 16 * 4


@pytest.mark.parametrize("space", ["3", "#gpu.address_space<workgroup>"])
def test_shared_memory_is_no_traffic(space: str) -> None:
    text = _kernel(
        f"%X: memref<8xf32, {space}>, %Y: memref<8xf32>",
        _for("i", [8], f"%v = affine.load %X[%i] : memref<8xf32, {space}>\naffine.store %v, %Y[%i] : memref<8xf32>"),
    )
    (node,) = read_mlir(text).nodes
    assert (node.op.bytes_read, node.op.bytes_written) == (0, 32)


def test_partial_tiles_count_what_they_hold() -> None:
    # 60 rows in tiles of 8 and 19 terms in tiles of 4: the last tiles hold 4 rows and 3 terms.
    text = """func.func @main(%A: memref<60x19xf32>, %B: memref<19x24xf32>, %C: memref<60x24xf32>) {
    affine.for %i0 = 0 to 60 step 8 {
    affine.for %k0 = 0 to 19 step 4 {
    affine.for %i = affine_map<(d0) -> (d0)>(%i0) to min affine_map<(d0) -> (d0 + 8, 60)>(%i0) {
    affine.for %j = 0 to 24 {
    affine.for %k = affine_map<(d0) -> (d0)>(%k0) to min affine_map<(d0) -> (d0 + 4, 19)>(%k0) {
    %a = memref.load %A[%i, %k] : memref<60x19xf32>
    %b = memref.load %B[%k, %j] : memref<19x24xf32>
    %c = memref.load %C[%i, %j] : memref<60x24xf32>
    %p = arith.mulf %a, %b : f32
    %s = arith.addf %c, %p : f32
    memref.store %s, %C[%i, %j] : memref<60x24xf32>
    } } } } }
    return }"""
    for _ in range(100):  # sets of loops have another order each time
        (node,) = read_mlir(text).nodes
        assert isinstance(node.op, Gemm)
        assert (node.op.m, node.op.n, node.op.k, node.flops) == (60, 24, 19, 2 * 60 * 24 * 19)


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 9), st.integers(1, 4), st.integers(1, 12), st.integers(0, 3), st.integers(1, 3))
def test_bounds_that_move_by_brute_force(outer: int, step: int, limit: int, shift: int, inner: int) -> None:
    text = f"""func.func @main(%A: memref<64xf32>, %B: memref<64xf32>) {{
    affine.for %i = 0 to {outer} step {step} {{
    affine.for %j = affine_map<(d0) -> (d0)>(%i) to min affine_map<(d0) -> (2 * d0 + {shift}, {limit})>(%i) step {inner} {{
    %a = affine.load %A[%j] : memref<64xf32>
    %b = affine.load %B[%i] : memref<64xf32>
    %c = arith.addf %a, %b : f32
    affine.store %c, %B[%i] : memref<64xf32>
    }} }}
    return }}"""
    runs = [j for i in range(0, outer, step) for j in range(i, min(2 * i + shift, limit), inner)]
    nodes = read_mlir(text).nodes
    assert sum(n.flops for n in nodes) == pytest.approx(len(runs))


def test_a_triangle_reads_each_element_once() -> None:
    text = """func.func @main(%A: memref<8xf32>, %B: memref<8xf32>) {
    affine.for %i = 0 to 8 {
    affine.for %j = affine_map<(d0) -> (d0)>(%i) to 8 {
    %a = affine.load %A[%j] : memref<8xf32>
    %b = affine.load %B[%i] : memref<8xf32>
    %c = arith.addf %a, %b : f32
    affine.store %c, %B[%i] : memref<8xf32>
    } }
    return }"""
    (node,) = read_mlir(text).nodes
    assert (node.flops, node.op.bytes_read, node.op.bytes_written) == (36, 4 * 16, 4 * 8)


def test_an_operation_without_results_does_not_pass_for_registers() -> None:
    text = """func.func @main(%A: memref<100xf32>) {
    affine.for %i = 0 to 100 {
    %a = affine.load %A[%i] : memref<100xf32>
    "foo.use"(%a) : (f32) -> ()
    }
    return }"""
    graph = read_mlir(text)
    (node,) = graph.nodes
    assert isinstance(node.op, Unmodelled)
    assert node.op.bytes_read == 400
    assert any("foo.use" in w for w in graph.warnings)


def test_llvm_code_of_a_kernel_counts_threads() -> None:
    # 4 blocks of 64 threads: each loads a float, takes its exponential (8) and a product, and stores it.
    text = """gpu.module @m { gpu.func @k(%p: !llvm.ptr, %q: !llvm.ptr) kernel attributes {known_block_size = array<i32: 64, 1, 1>, known_grid_size = array<i32: 4, 1, 1>} {
      %t = gpu.thread_id x
      %i = arith.index_cast %t : index to i64
      %a = llvm.getelementptr %p[%i] : (!llvm.ptr, i64) -> !llvm.ptr, f32
      %x = llvm.load %a : !llvm.ptr -> f32
      %e = llvm.intr.exp(%x) : (f32) -> f32
      %y = llvm.fmul %e, %x : f32
      %b = llvm.getelementptr %q[%i] : (!llvm.ptr, i64) -> !llvm.ptr, f32
      llvm.store %y, %b : f32, !llvm.ptr
      gpu.return } }"""
    graph = read_mlir(text)
    (node,) = graph.nodes
    assert not isinstance(node.op, Unmodelled)
    assert (node.flops, node.op.bytes_read, node.op.bytes_written) == (256 * 9, 1024, 1024)


def test_a_function_of_llvm_is_one_kernel() -> None:
    text = """llvm.func @main(%p: !llvm.ptr, %q: !llvm.ptr) {
      %x = llvm.load %p : !llvm.ptr -> vector<8xf32>
      %y = llvm.fmul %x, %x : vector<8xf32>
      %u = "llvm.intr.nosuch"(%y) : (vector<8xf32>) -> vector<8xf32>
      llvm.store %u, %q : vector<8xf32>, !llvm.ptr
      llvm.return }"""
    (node,) = read_mlir(text).nodes
    assert isinstance(node.op, Unmodelled)
    (node,) = read_mlir(text.replace("intr.nosuch", "intr.sqrt")).nodes
    assert (node.flops, node.op.bytes_read, node.op.bytes_written) == (8 + 4 * 8, 32, 32)


@pytest.mark.parametrize(
    ("start", "test", "step"),
    [("c0", "cmpi slt, %i, %c100", "addi %i, %c2"), ("c100", "cmpi sgt, %i, %c0", "subi %i, %c2")],
)
def test_a_while_over_a_buffer_is_one_kernel(start: str, test: str, step: str) -> None:
    # 50 iterations: 50 elements of 4 bytes read and written, 50 exponentials of 8 and 50 maxima
    text = f"""func.func @main(%A: memref<101xf32>) {{
      %c0 = arith.constant 0 : index
      %c2 = arith.constant 2 : index
      %c100 = arith.constant 100 : index
      %zero = arith.constant 0.0 : f32
      %r = scf.while (%i = %{start}) : (index) -> index {{
        %p = arith.{test} : index
        scf.condition(%p) %i : index
      }} do {{
      ^bb0(%i: index):
        %v = memref.load %A[%i] : memref<101xf32>
        %w = math.exp %v : f32
        %m = arith.maximumf %w, %zero : f32
        memref.store %m, %A[%i] : memref<101xf32>
        %n = arith.{step} : index
        scf.yield %n : index
      }}
      return
    }}"""
    (node,) = read_mlir(text).nodes
    assert node.count == 1
    assert (node.flops, node.op.bytes_read, node.op.bytes_written) == (450, 200, 200)


def test_a_while_that_data_decide_runs_as_often_as_it_is_told() -> None:
    text = """func.func @main(%A: memref<100xf32>) {
      %z = arith.constant 0.0 : f32
      %c0 = arith.constant 0 : index
      %v0 = memref.load %A[%c0] : memref<100xf32>
      %r = scf.while (%i = %v0) : (f32) -> f32 {
        %p = arith.cmpf ogt, %i, %z : f32
        scf.condition(%p) %i : f32
      } do {
      ^bb0(%i: f32):
        %w = math.sqrt %i : f32
        scf.yield %w : f32
      }
      memref.store %r, %A[%c0] : memref<100xf32>
      return
    }"""
    once = read_mlir(text)
    assert "while_r_trips=N" in once.warnings[0]
    assert once.nodes[0].flops == 1 + 4
    told = read_mlir(text, dims={"while_r_trips": 50})
    assert not told.warnings
    assert told.nodes[0].flops == 50 * (1 + 4)
