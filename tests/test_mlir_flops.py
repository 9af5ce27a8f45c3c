"""FLOPs of single operations of each dialect, by hand and by brute force."""

# ruff: noqa: E501 - the modules have one operation a line

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perfmodel.features.mlir import read_mlir
from perfmodel.graph import Graph
from perfmodel.ops import Conv, Copy, Elementwise, Embedding, Gemm, Norm, Pool, Reduce, Softmax, Unmodelled


def module(arguments: str, body: str, results: str, extra: str = "") -> str:
    names = ", ".join(f"%r{i}" for i in range(results.count("tensor<") + results.count("!torch")))
    return f"func.func @main({arguments}) -> ({results}) {{\n{body}\nreturn {names} : {results}\n}}\n{extra}\n"


def one(graph: Graph) -> Any:
    assert len(graph.nodes) == 1, [(n.name, n.op) for n in graph.nodes]
    return graph.nodes[0].op


def _tensor(shape: list[int], element: str = "f32") -> str:
    return f"tensor<{''.join(f'{d}x' for d in shape)}{element}>"


@st.composite
def contractions(draw: st.DrawFn) -> tuple[list[str], list[str], dict[str, int]]:
    """Letters of A and B in any order: batches, rows, columns, summed axes, of small sizes."""
    groups = [draw(st.integers(0, 2)) for _ in range(4)]
    batch, rows, columns, summed = ([f"{kind}{i}" for i in range(n)] for kind, n in zip("bmnk", groups, strict=True))
    a = draw(st.permutations(batch + rows + summed))
    b = draw(st.permutations(batch + columns + summed))
    sizes = {x: draw(st.integers(2, 4)) for x in batch + rows + columns + summed}
    return list(a), list(b), sizes


@settings(max_examples=40, deadline=None)
@given(contractions())
def test_dot_general_by_brute_force(case: tuple[list[str], list[str], dict[str, int]]) -> None:
    a, b, sizes = case
    batch = [x for x in a if x in b and x[0] == "b"]
    summed = [x for x in a if x in b and x[0] == "k"]
    out = batch + [x for x in a if x[0] == "m"] + [x for x in b if x[0] == "n"]
    numbers = {
        "lhs_batching_dimensions": [a.index(x) for x in batch], "rhs_batching_dimensions": [b.index(x) for x in batch],
        "lhs_contracting_dimensions": [a.index(x) for x in summed], "rhs_contracting_dimensions": [b.index(x) for x in summed],
    }  # fmt: skip
    types = [_tensor([sizes[x] for x in side]) for side in (a, b, out)]
    attribute = ", ".join(f"{k} = {v}" for k, v in numbers.items())
    text = module(
        f"%a: {types[0]}, %b: {types[1]}",
        f'%r0 = "stablehlo.dot_general"(%a, %b) <{{dot_dimension_numbers = #stablehlo.dot<{attribute}>}}> : '
        f"({types[0]}, {types[1]}) -> {types[2]}",
        types[2],
    )
    op = one(read_mlir(text))
    letters = list(sizes)
    steps = sum(1 for _ in itertools.product(*(range(sizes[x]) for x in letters)))
    assert isinstance(op, Gemm)
    assert op.flops == 2 * steps
    count = {x: sizes[x] for x in letters}
    assert op.batch == _size(batch, count)
    assert {op.m, op.n} == {_size([x for x in a if x[0] == "m"], count), _size([x for x in b if x[0] == "n"], count)}


def _size(letters: list[str], sizes: dict[str, int]) -> int:
    total = 1
    for x in letters:
        total *= sizes[x]
    return total


@settings(max_examples=30, deadline=None)
@given(contractions())
def test_generic_by_brute_force(case: tuple[list[str], list[str], dict[str, int]]) -> None:
    a, b, sizes = case
    if not any(x[0] == "k" for x in sizes):
        return
    letters = list(sizes)
    out = [x for x in letters if x[0] != "k"]
    dims = ", ".join(f"d{i}" for i in range(len(letters)))
    maps = [f"affine_map<({dims}) -> ({', '.join(f'd{letters.index(x)}' for x in side)})>" for side in (a, b, out)]
    kinds = ", ".join('"reduction"' if x[0] == "k" else '"parallel"' for x in letters)
    types = [_tensor([sizes[x] for x in side]) for side in (a, b, out)]
    text = module(
        f"%a: {types[0]}, %b: {types[1]}",
        f"""%zero = arith.constant 0.0 : f32
        %empty = tensor.empty() : {types[2]}
        %init = linalg.fill ins(%zero : f32) outs(%empty : {types[2]}) -> {types[2]}
        %r0 = linalg.generic {{indexing_maps = [{", ".join(maps)}], iterator_types = [{kinds}]}}
          ins(%a, %b : {types[0]}, {types[1]}) outs(%init : {types[2]}) {{
        ^bb0(%x: f32, %y: f32, %acc: f32):
          %p = arith.mulf %x, %y : f32
          %s = arith.addf %acc, %p : f32
          linalg.yield %s : f32
        }} -> {types[2]}""",
        types[2],
    )
    op = one(read_mlir(text))
    assert isinstance(op, Gemm)
    assert op.flops == 2 * sum(1 for _ in itertools.product(*(range(sizes[x]) for x in letters)))


@settings(max_examples=25, deadline=None)
@given(
    st.integers(1, 2), st.integers(1, 3), st.integers(1, 3), st.integers(1, 2), st.integers(4, 7), st.integers(1, 3),
    st.integers(1, 2), st.integers(0, 1), st.integers(1, 2), st.permutations("b01f"),
)  # fmt: skip
def test_convolution_by_brute_force(
    batch: int, c_in: int, c_out: int, groups: int, size: int, kernel: int, stride: int, pad: int, dilation: int,
    layout: list[str],
) -> None:  # fmt: skip
    reach = dilation * (kernel - 1) + 1
    if size + 2 * pad < reach:
        return
    out = (size + 2 * pad - reach) // stride + 1
    of_x = {"b": batch, "f": c_in * groups, "0": size, "1": size}
    of_y = {"b": batch, "f": c_out * groups, "0": out, "1": out}
    types = [
        _tensor([of_x[p] for p in layout]),
        _tensor([kernel, kernel, c_in, c_out * groups]),
        _tensor([of_y[p] for p in layout]),
    ]
    form = ", ".join(layout)
    text = module(
        f"%x: {types[0]}, %w: {types[1]}",
        f"%r0 = stablehlo.convolution(%x, %w) dim_numbers = [{form}]x[0, 1, i, o]->[{form}], window = {{stride = "
        f"[{stride}, {stride}], pad = [[{pad}, {pad}], [{pad}, {pad}]], rhs_dilate = [{dilation}, {dilation}]}} "
        f"{{batch_group_count = 1 : i64, feature_group_count = {groups} : i64}} : ({types[0]}, {types[1]}) -> {types[2]}",
        types[2],
    )
    op = one(read_mlir(text))
    assert isinstance(op, Conv)
    loops = (batch, groups, c_out, out, out, c_in, kernel, kernel)
    assert op.flops == 2 * sum(1 for _ in itertools.product(*map(range, loops)))
    assert (op.out_h, op.out_w, op.groups) == (out, out, groups)


GENERIC = "func.func @main({args}) -> {out} {{\n{body}\nreturn %r : {out}\n}}\n"


@pytest.mark.parametrize(
    ("args", "body", "out", "family", "flops"),
    [
        # 6 products of 4 and 5 columns
        ("%a: tensor<6x4xf32>, %b: tensor<4x5xf32>, %c: tensor<6x5xf32>", "%r = linalg.matmul ins(%a, %b : tensor<6x4xf32>, tensor<4x5xf32>) outs(%c : tensor<6x5xf32>) -> tensor<6x5xf32>", "tensor<6x5xf32>", Gemm, 240),
        ("%a: tensor<4x6xf32>, %b: tensor<4x5xf32>, %c: tensor<6x5xf32>", "%r = linalg.matmul_transpose_a ins(%a, %b : tensor<4x6xf32>, tensor<4x5xf32>) outs(%c : tensor<6x5xf32>) -> tensor<6x5xf32>", "tensor<6x5xf32>", Gemm, 240),
        ("%a: tensor<3x6x4xf32>, %b: tensor<3x5x4xf32>, %c: tensor<3x6x5xf32>", "%r = linalg.batch_matmul_transpose_b ins(%a, %b : tensor<3x6x4xf32>, tensor<3x5x4xf32>) outs(%c : tensor<3x6x5xf32>) -> tensor<3x6x5xf32>", "tensor<3x6x5xf32>", Gemm, 720),
        # [M, K, m, k] x [N, K, n, k]: 2·(2·8)·(3·8)·(4·1)
        ("%a: tensor<2x4x8x1xf32>, %b: tensor<3x4x8x1xf32>, %c: tensor<2x3x8x8xf32>", "%r = linalg.mmt4d ins(%a, %b : tensor<2x4x8x1xf32>, tensor<3x4x8x1xf32>) outs(%c : tensor<2x3x8x8xf32>) -> tensor<2x3x8x8xf32>", "tensor<2x3x8x8xf32>", Gemm, 3072),
        ("%a: tensor<6x4xf32>, %b: tensor<4xf32>, %c: tensor<6xf32>", "%r = linalg.matvec ins(%a, %b : tensor<6x4xf32>, tensor<4xf32>) outs(%c : tensor<6xf32>) -> tensor<6xf32>", "tensor<6xf32>", Gemm, 48),
        # depthwise: 3 x 3 taps for each of 6 x 6 x 2 results
        ("%a: tensor<1x8x8x2xf32>, %b: tensor<3x3x2xf32>, %c: tensor<1x6x6x2xf32>", "%r = linalg.depthwise_conv_2d_nhwc_hwc {dilations = dense<1> : tensor<2xi64>, strides = dense<1> : tensor<2xi64>} ins(%a, %b : tensor<1x8x8x2xf32>, tensor<3x3x2xf32>) outs(%c : tensor<1x6x6x2xf32>) -> tensor<1x6x6x2xf32>", "tensor<1x6x6x2xf32>", Conv, 2 * 72 * 9),
        ("%a: tensor<1x10x3xf32>, %b: tensor<3x3x4xf32>, %c: tensor<1x8x4xf32>", "%r = linalg.conv_1d_nwc_wcf {dilations = dense<1> : tensor<1xi64>, strides = dense<1> : tensor<1xi64>} ins(%a, %b : tensor<1x10x3xf32>, tensor<3x3x4xf32>) outs(%c : tensor<1x8x4xf32>) -> tensor<1x8x4xf32>", "tensor<1x8x4xf32>", Conv, 2 * 8 * 4 * 9),
        ("%a: tensor<1x2x3x8x8xf32>, %b: tensor<2x5x3x3x3xf32>, %c: tensor<1x2x5x6x6xf32>", "%r = linalg.conv_2d_ngchw_gfchw {dilations = dense<1> : tensor<2xi64>, strides = dense<1> : tensor<2xi64>} ins(%a, %b : tensor<1x2x3x8x8xf32>, tensor<2x5x3x3x3xf32>) outs(%c : tensor<1x2x5x6x6xf32>) -> tensor<1x2x5x6x6xf32>", "tensor<1x2x5x6x6xf32>", Conv, 2 * 360 * 27),
        ("%a: tensor<2x8x8x3xf32>, %k: tensor<2x2xf32>, %c: tensor<2x4x4x3xf32>", "%r = linalg.pooling_nhwc_sum {dilations = dense<1> : tensor<2xi64>, strides = dense<2> : tensor<2xi64>} ins(%a, %k : tensor<2x8x8x3xf32>, tensor<2x2xf32>) outs(%c : tensor<2x4x4x3xf32>) -> tensor<2x4x4x3xf32>", "tensor<2x4x4x3xf32>", Pool, 96 * 4),
        ("%a: tensor<4x8xf32>, %c: tensor<4xf32>", "%r = linalg.reduce {arith.addf} ins(%a : tensor<4x8xf32>) outs(%c : tensor<4xf32>) dimensions = [1]", "tensor<4xf32>", Reduce, 32),
        ("%a: tensor<4x8xf32>, %c: tensor<4x8xf32>", "%r = linalg.softmax dimension(1) ins(%a : tensor<4x8xf32>) outs(%c : tensor<4x8xf32>) -> tensor<4x8xf32>", "tensor<4x8xf32>", Softmax, 32 * 15),
        ("%a: tensor<4x8xf32>", "%r = tosa.argmax %a {axis = 1 : i32} : (tensor<4x8xf32>) -> tensor<4xi32>", "tensor<4xi32>", Reduce, 32),
        ("%a: tensor<1x5x4xf32>, %b: tensor<1x4x3xf32>, %z: tensor<1xf32>", "%r = tosa.matmul %a, %b, %z, %z : (tensor<1x5x4xf32>, tensor<1x4x3xf32>, tensor<1xf32>, tensor<1xf32>) -> tensor<1x5x3xf32>", "tensor<1x5x3xf32>", Gemm, 120),
        # every input element times 3 x 3 taps of 4 channels
        ("%a: tensor<1x5x5x2xf32>, %b: tensor<4x3x3x2xf32>, %c: tensor<4xf32>, %z: tensor<1xf32>", "%r = tosa.transpose_conv2d %a, %b, %c, %z, %z {acc_type = f32, out_pad = array<i64: 0, 0, 0, 0>, stride = array<i64: 2, 2>} : (tensor<1x5x5x2xf32>, tensor<4x3x3x2xf32>, tensor<4xf32>, tensor<1xf32>, tensor<1xf32>) -> tensor<1x11x11x4xf32>", "tensor<1x11x11x4xf32>", Conv, 2 * 25 * 2 * 9 * 4),
        ("%a: tensor<4x8xf32>", "%r = stablehlo.tanh %a : tensor<4x8xf32>", "tensor<4x8xf32>", Elementwise, 256),
        ("%a: tensor<4x8xf32>", "%r = chlo.erf %a : tensor<4x8xf32> -> tensor<4x8xf32>", "tensor<4x8xf32>", Elementwise, 256),
        ("%a: tensor<4x8xf32>", "%r = stablehlo.transpose %a, dims = [1, 0] : (tensor<4x8xf32>) -> tensor<8x4xf32>", "tensor<8x4xf32>", Copy, 0),
        # 8 points of a transform: 3 stages of 5 FLOPs
        ("%a: tensor<4x8xcomplex<f32>>", '%r = "stablehlo.fft"(%a) <{fft_type = #stablehlo<fft_type FFT>, fft_length = array<i64: 8>}> : (tensor<4x8xcomplex<f32>>) -> tensor<4x8xcomplex<f32>>', "tensor<4x8xcomplex<f32>>", Elementwise, 32 * 15),
        ("%a: tensor<4x8xf32>, %s: tensor<8xf32>", '%r = "stablehlo.batch_norm_inference"(%a, %s, %s, %s, %s) <{epsilon = 1.0e-5 : f32, feature_index = 1 : i64}> : (tensor<4x8xf32>, tensor<8xf32>, tensor<8xf32>, tensor<8xf32>, tensor<8xf32>) -> tensor<4x8xf32>', "tensor<4x8xf32>", Norm, 32 * 2 + 8 * 8),
        ("%a: tensor<4x8xf32>", "%r = stablehlo.custom_call @mystery(%a) : (tensor<4x8xf32>) -> tensor<4x8xf32>", "tensor<4x8xf32>", Unmodelled, 0),
        ("%a: tensor<8x16xf16>, %b: tensor<16x4xf16>", "%r = stablehlo.custom_call @__cublas$gemm(%a, %b) : (tensor<8x16xf16>, tensor<16x4xf16>) -> tensor<8x4xf16>", "tensor<8x4xf16>", Gemm, 1024),
        ("%a: tensor<4x8xf32>", "%r = some.operation %a : tensor<4x8xf32>", "tensor<4x8xf32>", Unmodelled, 0),
        ("%a: !torch.vtensor<[6,4],f32>, %b: !torch.vtensor<[5,4],f32>", "%n = torch.constant.none\n%r = torch.aten.linear %a, %b, %n : !torch.vtensor<[6,4],f32>, !torch.vtensor<[5,4],f32>, !torch.none -> !torch.vtensor<[6,5],f32>", "!torch.vtensor<[6,5],f32>", Gemm, 240),
        ("%a: !torch.vtensor<[2,4],f32>", "%d = torch.constant.int -1\n%n = torch.constant.none\n%r = torch.aten.softmax.int %a, %d, %n : !torch.vtensor<[2,4],f32>, !torch.int, !torch.none -> !torch.vtensor<[2,4],f32>", "!torch.vtensor<[2,4],f32>", Softmax, 8 * 15),
    ],
)  # fmt: skip
def test_by_hand(args: str, body: str, out: str, family: type[Any], flops: int) -> None:
    node = read_mlir(GENERIC.format(args=args, body=body, out=out)).nodes[-1]
    assert isinstance(node.op, family)
    assert node.op.flops == flops


def test_an_accumulator_that_is_data_is_added_and_read() -> None:
    text = GENERIC.format(
        args="%a: tensor<6x4xf32>, %b: tensor<4x5xf32>, %c: tensor<6x5xf32>", out="tensor<6x5xf32>",
        body="%r = linalg.matmul ins(%a, %b : tensor<6x4xf32>, tensor<4x5xf32>) outs(%c : tensor<6x5xf32>) -> tensor<6x5xf32>",
    )  # fmt: skip
    node = read_mlir(text).nodes[0]
    assert node.flops == 240 + 30
    assert node.extra_bytes_read == 30 * 4


def test_maps_of_a_named_product_take_precedence() -> None:
    text = """#a = affine_map<(d0, d1, d2) -> (d2, d0)>
    #b = affine_map<(d0, d1, d2) -> (d2, d1)>
    #c = affine_map<(d0, d1, d2) -> (d0, d1)>
    func.func @main(%a: tensor<4x6xf32>, %b: tensor<4x5xf32>, %c: tensor<6x5xf32>) -> tensor<6x5xf32> {
      %r = linalg.matmul indexing_maps = [#a, #b, #c] ins(%a, %b : tensor<4x6xf32>, tensor<4x5xf32>) outs(%c : tensor<6x5xf32>) -> tensor<6x5xf32>
      return %r : tensor<6x5xf32>
    }"""
    op = one(read_mlir(text))
    assert (op.batch, op.m, op.n, op.k) == (1, 6, 5, 4)


def test_unmodelled_operations_are_listed_with_their_bytes() -> None:
    graph = read_mlir(
        GENERIC.format(
            args="%a: tensor<4x8xf32>",
            out="tensor<4x8xf16>",
            body="%r = some.op %a : (tensor<4x8xf32>) -> tensor<4x8xf16>",
        )
    )
    op = one(graph)
    assert (op.read, op.written, op.kind) == (128, 64, "some.op")
    assert any("some.op: no rule covers it" in w for w in graph.warnings)


def test_embedding_of_stored_table() -> None:
    body = """%w = stablehlo.constant dense_resource<t> : tensor<100x16xf32>
    %r = "stablehlo.gather"(%w, %i) <{dimension_numbers = #stablehlo.gather<offset_dims = [1], collapsed_slice_dims = [0], start_index_map = [0], index_vector_dim = 1>, slice_sizes = array<i64: 1, 16>, indices_are_sorted = false}> : (tensor<100x16xf32>, tensor<7x1xi64>) -> tensor<7x16xf32>"""
    op = one(read_mlir(GENERIC.format(args="%i: tensor<7x1xi64>", out="tensor<7x16xf32>", body=body)))
    assert isinstance(op, Embedding)
    assert (op.rows, op.cols) == (7, 16)


def test_batches_that_share_a_weight_are_rows() -> None:
    body = """%w = stablehlo.constant dense_resource<t> : tensor<16x5xf32>
    %s = stablehlo.broadcast_in_dim %w, dims = [1, 2] : (tensor<16x5xf32>) -> tensor<3x16x5xf32>
    %r = stablehlo.dot_general %a, %s, batching_dims = [0] x [0], contracting_dims = [2] x [1] : (tensor<3x7x16xf32>, tensor<3x16x5xf32>) -> tensor<3x7x5xf32>"""
    op = one(read_mlir(GENERIC.format(args="%a: tensor<3x7x16xf32>", out="tensor<3x7x5xf32>", body=body)))
    assert (op.batch, op.m, op.n, op.k) == (1, 21, 5, 16)


def test_quantised_types_are_stored_narrow() -> None:
    text = GENERIC.format(
        args="%a: tensor<4x8x!quant.uniform<i8:f32, 0.1:3>>, %b: tensor<8x2x!quant.uniform<i8:f32, 0.1>>",
        out="tensor<4x2x!quant.uniform<i32:f32, 0.01>>",
        body="%r = stablehlo.dot %a, %b : (tensor<4x8x!quant.uniform<i8:f32, 0.1:3>>, tensor<8x2x!quant.uniform<i8:f32, 0.1>>) -> tensor<4x2x!quant.uniform<i32:f32, 0.01>>",
    )  # fmt: skip
    op = one(read_mlir(text))
    assert (op.dtype, op.out_dtype, op.flops) == ("int8", "int32", 128)


def test_collectives_have_ranks_and_bytes() -> None:
    body = """%r = "stablehlo.all_gather"(%a) <{all_gather_dim = 0 : i64, replica_groups = dense<[[0, 1, 2, 3]]> : tensor<1x4xi64>}> : (tensor<8xf32>) -> tensor<32xf32>"""
    op = one(read_mlir(GENERIC.format(args="%a: tensor<8xf32>", out="tensor<32xf32>", body=body)))
    assert (op.kind, op.ranks, op.message_bytes) == ("all_gather", 4, 128)


def _reduced(maps: list[str], operands: list[str], result: str, body: str) -> str:
    names = ["%x", "%y", "%z"][: len(operands)]
    scalars = "".join(f"%{letter}: f32, " for letter in "abc"[: len(operands)])
    listed = ", ".join(f"affine_map<{m}>" for m in maps)
    kinds = ", ".join(['"parallel"'] * (maps[0].count(",", 0, maps[0].index(")"))) + ['"reduction"'])
    return module(
        ", ".join(f"{n}: {t}" for n, t in zip(names, operands, strict=True)) + f", %o: {result}",
        f"""%r0 = linalg.generic {{indexing_maps = [{listed}], iterator_types = [{kinds}]}}
        ins({", ".join(names)} : {", ".join(operands)}) outs(%o : {result}) {{
        ^bb0({scalars}%s: f32):
        {body}
        %t = arith.addf %v, %s : f32
        linalg.yield %t : f32 }} -> {result}""",
        result,
    )


def test_distances_are_one_kernel_that_stores_the_sums_alone() -> None:
    # |x - y| summed over 32: 3 FLOPs for each of 8 x 16 x 32; 8 x 32 and 16 x 32 floats in, 8 x 16 out.
    text = _reduced(
        ["(m, n, k) -> (m, k)", "(m, n, k) -> (n, k)", "(m, n, k) -> (m, n)"],
        ["tensor<8x32xf32>", "tensor<16x32xf32>"],
        "tensor<8x16xf32>",
        "%d = arith.subf %a, %b : f32\n%v = math.absf %d : f32",
    )
    op = one(read_mlir(text))
    assert (op.flops, op.bytes_read, op.bytes_written) == (3 * 8 * 16 * 32, 4 * (8 + 16) * 32, 4 * 8 * 16)


def test_a_sum_of_scaled_rows_is_no_product_of_matrices() -> None:
    text = _reduced(
        ["(m, k) -> (m, k)", "(m, k) -> (m)", "(m, k) -> (m)"],
        ["tensor<8x32xf32>", "tensor<8xf32>"],
        "tensor<8xf32>",
        "%v = arith.mulf %a, %b : f32",
    )
    graph = read_mlir(text)
    assert not any(isinstance(n.op, Unmodelled) for n in graph.nodes)
    assert graph.total("flops") == 2 * 8 * 32


def test_what_a_whole_tensor_is_subtracted_from_is_no_factor() -> None:
    # (x - y) w summed over 32: a subtraction, a product and a sum for each of 8 x 16 x 32, and y is read, too.
    sides = ["(m, n, k) -> (m, k)", "(m, n, k) -> (m, k)", "(m, n, k) -> (k, n)", "(m, n, k) -> (m, n)"]
    body = "%d = arith.subf %a, %b : f32\n%v = arith.mulf %d, %c : f32"
    text = _reduced(sides, ["tensor<8x32xf32>", "tensor<8x32xf32>", "tensor<32x16xf32>"], "tensor<8x16xf32>", body)
    op = one(read_mlir(text))
    assert not isinstance(op, Gemm)
    # The sum adds to what it began with: 32 additions a value.
    assert (op.flops, op.bytes_read) == (3 * 8 * 16 * 32, 4 * (8 * 32 + 8 * 32 + 32 * 16))
    # One number a column is a zero point, and leaves a product.
    sides[1] = "(m, n, k) -> (k)"
    text = _reduced(sides, ["tensor<8x32xf32>", "tensor<32xf32>", "tensor<32x16xf32>"], "tensor<8x16xf32>", body)
    assert isinstance(one(read_mlir(text)), Gemm)
