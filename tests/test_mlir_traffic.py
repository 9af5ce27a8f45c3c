"""What operations read and write: each tensor once, as wide as it is stored, whatever the arithmetic's format is."""

# ruff: noqa: E501 - the modules have one operation a line

from __future__ import annotations

from math import prod
from typing import Any

import pytest

from perfmodel.features.mlir import read_mlir
from perfmodel.ops import Attention, Conv, Copy, Gemm

BITS = {
    "f32": 32,
    "i64": 64,
    "bf16": 16,
    "f16": 16,
    "i32": 32,
    "i16": 16,
    "i8": 8,
    "ui8": 8,
    "i4": 4,
    "f8E4M3FN": 8,
    "i1": 8,
}


def module(args: str, body: str, out: str) -> str:
    return f"func.func @main({args}) -> {out} {{\n{body}\nreturn %r : {out}\n}}\n"


def only(text: str) -> Any:
    (node,) = [n for n in read_mlir(text).nodes if n.op.bytes]
    return node


def read(node: Any) -> float:
    return float(node.op.bytes_read + node.extra_bytes_read)


# The first and second operand's type, and the format of the product. Formats that name two narrow types are those of
# quantised ONNX (ops.formats); else the wider type decides.
FORMATS = [
    ("i8", "i4", "int8"), ("i4", "i8", "int8"), ("i8", "ui8", "int8"), ("ui8", "i8", "int8"),
    ("f8E4M3FN", "i4", "fp8_static"), ("i4", "f8E4M3FN", "fp8_static"), ("i16", "i8", "w8a16"), ("i8", "i16", "w8a16"),
    ("bf16", "f32", "fp32"), ("f32", "bf16", "fp32"), ("i64", "f32", "fp32"), ("f16", "i32", "fp16"), ("i32", "i8", "int32"), ("i8", "i32", "int32"), ("i1", "f16", "fp16"),
    ("bf16", "i8", "w8a16"), ("i8", "bf16", "w8a16"), ("f16", "bf16", "fp16"), ("i8", "i8", "int8"), ("f32", "f32", "fp32"),
]  # fmt: skip


@pytest.mark.parametrize(("first", "second", "dtype"), FORMATS)
def test_both_operands_of_a_product_are_read_as_they_are_stored(first: str, second: str, dtype: str) -> None:
    a, b, out = f"tensor<16x64x{first}>", f"tensor<64x32x{second}>", "tensor<16x32xf32>"
    text = module(
        f"%a: {a}, %b: {b}",
        f"%r = stablehlo.dot_general %a, %b, contracting_dims = [1] x [0] : ({a}, {b}) -> {out}",
        out,
    )
    node = only(text)
    assert isinstance(node.op, Gemm)
    assert node.op.dtype == dtype
    assert node.flops == 2 * 16 * 64 * 32
    assert read(node) == 16 * 64 * BITS[first] / 8 + 64 * 32 * BITS[second] / 8


@pytest.mark.parametrize(
    ("first", "second", "result"),
    [("bf16", "f32", "bf16"), ("i8", "i8", "i8"), ("i8", "i4", "i32"), ("bf16", "i8", "bf16"), ("f32", "f32", "f32")],
)
def test_results_of_products_are_written_as_they_are_stored(first: str, second: str, result: str) -> None:
    a, b, out = f"tensor<16x64x{first}>", f"tensor<64x32x{second}>", f"tensor<16x32x{result}>"
    text = module(
        f"%a: {a}, %b: {b}",
        f"%r = stablehlo.dot_general %a, %b, contracting_dims = [1] x [0] : ({a}, {b}) -> {out}",
        out,
    )
    assert only(text).op.bytes_written == 16 * 32 * BITS[result] / 8


@pytest.mark.parametrize(("first", "second", "dtype"), FORMATS)
def test_both_operands_of_a_convolution_are_read_as_they_are_stored(first: str, second: str, dtype: str) -> None:
    # Filters stay filters: a format of narrow weights alone does not fit a narrow input.
    dtype = {("i8", "i16"): "int16", ("i8", "bf16"): "bf16"}.get((first, second), dtype)
    x, w, out = f"tensor<1x8x8x4x{first}>", f"tensor<3x3x4x8x{second}>", "tensor<1x6x6x8xf32>"
    text = module(
        f"%x: {x}, %w: {w}",
        f"%r = stablehlo.convolution(%x, %w) dim_numbers = [b, 0, 1, f]x[0, 1, i, o]->[b, 0, 1, f], window = {{}} "
        f"{{batch_group_count = 1 : i64, feature_group_count = 1 : i64}} : ({x}, {w}) -> {out}",
        out,
    )
    node = only(text)
    assert isinstance(node.op, Conv)
    assert node.op.dtype == dtype
    assert node.flops == 2 * 36 * 8 * 9 * 4
    assert read(node) == 8 * 8 * 4 * BITS[first] / 8 + 9 * 4 * 8 * BITS[second] / 8


def test_narrow_weights_on_the_left_take_the_side_of_weights() -> None:
    text = module(
        "%x: tensor<64x16xi8>",
        "%w = util.global.load @w : tensor<32x64xi4>\n"
        "%r = stablehlo.dot_general %w, %x, contracting_dims = [1] x [0] : (tensor<32x64xi4>, tensor<64x16xi8>) -> tensor<32x16xi32>",
        "tensor<32x16xi32>",
    )
    node = only(text)
    assert (node.op.m, node.op.n, node.op.k, node.op.dtype) == (16, 32, 64, "int8")
    assert read(node) == 32 * 64 / 2 + 64 * 16


def test_the_conversion_of_narrow_values_is_the_format_s() -> None:
    # Integers of 4 bits less a zero point, and of 8 less another: only the latter's shift is arithmetic beside the product.
    maps = ", ".join(f"affine_map<(m, n, k) -> {r}>" for r in ("(m, k)", "(k, n)", "(m, n)"))
    text = module(
        "%x: tensor<16x64xi8>, %w: tensor<64x32xi4>",
        f"""%z = arith.constant 0 : i32
        %p = arith.constant 3 : i32
        %e = tensor.empty() : tensor<16x32xi32>
        %i = linalg.fill ins(%z : i32) outs(%e : tensor<16x32xi32>) -> tensor<16x32xi32>
        %r = linalg.generic {{indexing_maps = [{maps}], iterator_types = ["parallel", "parallel", "reduction"]}}
          ins(%x, %w : tensor<16x64xi8>, tensor<64x32xi4>) outs(%i : tensor<16x32xi32>) {{
        ^bb0(%a: i8, %b: i4, %s: i32):
          %1 = arith.extsi %a : i8 to i32
          %2 = arith.extsi %b : i4 to i32
          %3 = arith.subi %1, %p : i32
          %4 = arith.subi %2, %p : i32
          %5 = arith.muli %3, %4 : i32
          %6 = arith.addi %s, %5 : i32
          linalg.yield %6 : i32
        }} -> tensor<16x32xi32>""",
        "tensor<16x32xi32>",
    )
    node = only(text)
    assert node.op.dtype == "int8"
    assert read(node) == 16 * 64 + 64 * 32 / 2
    assert node.flops == 2 * 16 * 64 * 32 + 16 * 64


@pytest.mark.parametrize(
    ("first", "second", "dtype"),
    [("i8", "i4", "int8"), ("i4", "i8", "int8"), ("i16", "i8", "w8a16"), ("i32", "i8", "int32")],
)
def test_a_nest_of_loops_reads_each_buffer_as_it_is_stored(first: str, second: str, dtype: str) -> None:
    # C has 16 x 32 integers of 64 bits, which are read and written.
    a, b, c = f"memref<16x64x{first}>", f"memref<64x32x{second}>", "memref<16x32xi64>"
    text = f"""func.func @k(%a: {a}, %b: {b}, %c: {c}) {{
      affine.for %m = 0 to 16 {{
        affine.for %n = 0 to 32 {{
          affine.for %k = 0 to 64 {{
            %0 = affine.load %a[%m, %k] : {a}
            %1 = affine.load %b[%k, %n] : {b}
            %2 = affine.load %c[%m, %n] : {c}
            %3 = arith.extsi %0 : {first} to i64
            %4 = arith.extsi %1 : {second} to i64
            %5 = arith.muli %3, %4 : i64
            %6 = arith.addi %2, %5 : i64
            affine.store %6, %c[%m, %n] : {c}
          }}
        }}
      }}
      return
    }}"""
    node = only(text)
    assert isinstance(node.op, Gemm)
    assert node.op.dtype == dtype
    assert read(node) == 16 * 64 * BITS[first] / 8 + 64 * 32 * BITS[second] / 8 + 16 * 32 * 8
    assert node.op.bytes_written == 16 * 32 * 8


@pytest.mark.parametrize(("first", "second"), [("i8", "i4"), ("i4", "i8")])
@pytest.mark.parametrize("swapped", [False, True])
def test_a_convolution_of_loops_reads_each_buffer_as_it_is_stored(first: str, second: str, swapped: bool) -> None:
    # 10 elements, 3 taps, 8 results of 32 bits, which are read and written.
    x, w, c = f"memref<10x4x{first}>", f"memref<3x4x8x{second}>", "memref<8x8xi32>"
    factors = "%4, %3" if swapped else "%3, %4"
    text = f"""func.func @k(%a: {x}, %b: {w}, %c: {c}) {{
      affine.for %i = 0 to 8 {{
        affine.for %o = 0 to 8 {{
          affine.for %t = 0 to 3 {{
            affine.for %f = 0 to 4 {{
              %0 = affine.load %a[%i + %t, %f] : {x}
              %1 = affine.load %b[%t, %f, %o] : {w}
              %2 = affine.load %c[%i, %o] : {c}
              %3 = arith.extsi %0 : {first} to i32
              %4 = arith.extsi %1 : {second} to i32
              %5 = arith.muli {factors} : i32
              %6 = arith.addi %2, %5 : i32
              affine.store %6, %c[%i, %o] : {c}
            }}
          }}
        }}
      }}
      return
    }}"""
    node = only(text)
    assert isinstance(node.op, Conv)
    assert node.op.dtype == "int8"
    assert read(node) == 10 * 4 * BITS[first] / 8 + 3 * 4 * 8 * BITS[second] / 8 + 8 * 8 * 4


OTHER_PRODUCTS = {
    "linalg.matmul": (
        "%a: tensor<16x64xi8>, %b: tensor<64x32xi4>",
        "%z = arith.constant 0 : i32\n%e = tensor.empty() : tensor<16x32xi32>\n"
        "%i = linalg.fill ins(%z : i32) outs(%e : tensor<16x32xi32>) -> tensor<16x32xi32>\n"
        "%r = linalg.matmul ins(%a, %b : tensor<16x64xi8>, tensor<64x32xi4>) outs(%i : tensor<16x32xi32>) -> tensor<16x32xi32>",
        "tensor<16x32xi32>",
        16 * 64 + 64 * 32 / 2,
    ),
    "linalg.conv_2d_nhwc_hwcf": (
        "%a: tensor<1x8x8x4xi8>, %b: tensor<3x3x4x8xi4>",
        "%z = arith.constant 0 : i32\n%e = tensor.empty() : tensor<1x6x6x8xi32>\n"
        "%i = linalg.fill ins(%z : i32) outs(%e : tensor<1x6x6x8xi32>) -> tensor<1x6x6x8xi32>\n"
        "%r = linalg.conv_2d_nhwc_hwcf ins(%a, %b : tensor<1x8x8x4xi8>, tensor<3x3x4x8xi4>) outs(%i : tensor<1x6x6x8xi32>) -> tensor<1x6x6x8xi32>",
        "tensor<1x6x6x8xi32>",
        8 * 8 * 4 + 9 * 4 * 8 / 2,
    ),
    # TOSA's own pair of types, with a bias of 8 integers of 32 bits.
    "tosa.conv2d": (
        "%a: tensor<1x8x8x4xi8>, %b: tensor<8x3x3x4xi4>, %c: tensor<8xi32>, %z: tensor<1xi8>, %y: tensor<1xi4>",
        "%r = tosa.conv2d %a, %b, %c, %z, %y {acc_type = i32, dilation = array<i64: 1, 1>, pad = array<i64: 0, 0, 0, 0>, stride = array<i64: 1, 1>} : (tensor<1x8x8x4xi8>, tensor<8x3x3x4xi4>, tensor<8xi32>, tensor<1xi8>, tensor<1xi4>) -> tensor<1x6x6x8xi32>",
        "tensor<1x6x6x8xi32>",
        8 * 8 * 4 + 9 * 4 * 8 / 2 + 8 * 4,
    ),
    "tosa.fully_connected": (
        "%a: tensor<16x64xi8>, %b: tensor<32x64xi4>, %c: tensor<32xi32>",
        "%r = tosa.fully_connected %a, %b, %c : (tensor<16x64xi8>, tensor<32x64xi4>, tensor<32xi32>) -> tensor<16x32xi32>",
        "tensor<16x32xi32>",
        16 * 64 + 64 * 32 / 2 + 32 * 4,
    ),
    "torch.aten.conv2d": (
        "%a: !torch.vtensor<[1,4,8,8],si8>, %b: !torch.vtensor<[8,4,3,3],si4>, %c: !torch.vtensor<[8],si32>",
        "%i = torch.constant.int 1\n%o = torch.constant.int 0\n"
        "%s = torch.prim.ListConstruct %i, %i : (!torch.int, !torch.int) -> !torch.list<int>\n"
        "%p = torch.prim.ListConstruct %o, %o : (!torch.int, !torch.int) -> !torch.list<int>\n"
        "%r = torch.aten.conv2d %a, %b, %c, %s, %p, %s, %i : !torch.vtensor<[1,4,8,8],si8>, !torch.vtensor<[8,4,3,3],si4>, !torch.vtensor<[8],si32>, !torch.list<int>, !torch.list<int>, !torch.list<int>, !torch.int -> !torch.vtensor<[1,8,6,6],si32>",
        "!torch.vtensor<[1,8,6,6],si32>",
        8 * 8 * 4 + 9 * 4 * 8 / 2 + 8 * 4,
    ),
}


@pytest.mark.parametrize("name", OTHER_PRODUCTS)
def test_weights_of_four_bits_in_other_dialects(name: str) -> None:
    args, body, out, expected = OTHER_PRODUCTS[name]
    node = only(module(args, body, out))
    assert node.op.dtype == "int8"
    assert read(node) == expected


N = 1000

# A choice of f32 by a condition of a byte: N + 4 N + 4 N are read, 4 N written; a number in place of a tensor is 4 bytes.
CHOICES = {
    "stablehlo.select": (
        f"%c: tensor<{N}xi1>, %x: tensor<{N}xf32>, %y: tensor<{N}xf32>",
        f"%r = stablehlo.select %c, %x, %y : tensor<{N}xi1>, tensor<{N}xf32>",
        f"tensor<{N}xf32>",
        13 * N,
    ),
    "linalg.generic": (
        f"%c: tensor<{N}xi1>, %x: tensor<{N}xf32>, %y: tensor<{N}xf32>",
        f"""%e = tensor.empty() : tensor<{N}xf32>
        %r = linalg.generic {{indexing_maps = [affine_map<(d0) -> (d0)>, affine_map<(d0) -> (d0)>, affine_map<(d0) -> (d0)>, affine_map<(d0) -> (d0)>], iterator_types = ["parallel"]}}
          ins(%c, %x, %y : tensor<{N}xi1>, tensor<{N}xf32>, tensor<{N}xf32>) outs(%e : tensor<{N}xf32>) {{
        ^bb0(%a: i1, %b: f32, %d: f32, %o: f32):
          %s = arith.select %a, %b, %d : f32
          linalg.yield %s : f32
        }} -> tensor<{N}xf32>""",
        f"tensor<{N}xf32>",
        13 * N,
    ),
    "torch.aten.masked_fill": (
        f"%x: !torch.vtensor<[{N}],f32>, %m: !torch.vtensor<[{N}],i1>",
        f"%z = torch.constant.float 0.0\n%r = torch.aten.masked_fill.Scalar %x, %m, %z : !torch.vtensor<[{N}],f32>, !torch.vtensor<[{N}],i1>, !torch.float -> !torch.vtensor<[{N}],f32>",
        f"!torch.vtensor<[{N}],f32>",
        9 * N + 4,
    ),
    # f16 to the power of integers of 64 bits: 2 N + 8 N are read, 2 N written.
    "torch.aten.pow": (
        f"%x: !torch.vtensor<[{N}],f16>, %m: !torch.vtensor<[{N}],si64>",
        f"%r = torch.aten.pow.Tensor_Tensor %x, %m : !torch.vtensor<[{N}],f16>, !torch.vtensor<[{N}],si64> -> !torch.vtensor<[{N}],f16>",
        f"!torch.vtensor<[{N}],f16>",
        12 * N,
    ),
}


@pytest.mark.parametrize("name", CHOICES)
def test_operands_of_another_width_than_the_arithmetic(name: str) -> None:
    args, body, out, expected = CHOICES[name]
    assert only(module(args, body, out)).bytes == expected


# Keys of f16 and positions: si64 in torch (8 bytes), i32 in the others. Each is read and written once, where it is an operand.
SORTS = {
    "torch.aten.sort": (
        f"%x: !torch.vtensor<[{N}],f16>",
        f"%i = torch.constant.int 0\n%f = torch.constant.bool false\n%r, %p = torch.aten.sort %x, %i, %f : !torch.vtensor<[{N}],f16>, !torch.int, !torch.bool -> !torch.vtensor<[{N}],f16>, !torch.vtensor<[{N}],si64>",
        f"!torch.vtensor<[{N}],f16>",
        (2 + 2 + 8) * N,
    ),
    "torch.aten.argsort": (
        f"%x: !torch.vtensor<[{N}],f16>",
        f"%i = torch.constant.int 0\n%f = torch.constant.bool false\n%r = torch.aten.argsort %x, %i, %f : !torch.vtensor<[{N}],f16>, !torch.int, !torch.bool -> !torch.vtensor<[{N}],si64>",
        f"!torch.vtensor<[{N}],si64>",
        (2 + 8) * N,
    ),
    "stablehlo.sort": (
        f"%x: tensor<{N}xf16>, %k: tensor<{N}xi32>",
        f"""%r, %p = "stablehlo.sort"(%x, %k) <{{dimension = 0 : i64, is_stable = true}}> ({{
        ^bb0(%a: tensor<f16>, %b: tensor<f16>, %c: tensor<i32>, %d: tensor<i32>):
          %q = stablehlo.compare LT, %a, %b : (tensor<f16>, tensor<f16>) -> tensor<i1>
          stablehlo.return %q : tensor<i1>
        }}) : (tensor<{N}xf16>, tensor<{N}xi32>) -> (tensor<{N}xf16>, tensor<{N}xi32>)""",
        f"tensor<{N}xf16>",
        2 * (2 + 4) * N,
    ),
    "tm_tensor.sort": (
        f"%x: tensor<{N}xf16>, %k: tensor<{N}xi32>",
        f"""%r, %p = tm_tensor.sort dimension(0) outs(%x, %k : tensor<{N}xf16>, tensor<{N}xi32>) {{
        ^bb0(%a: f16, %b: f16, %c: i32, %d: i32):
          %q = arith.cmpf ogt, %a, %b : f16
          tm_tensor.yield %q : i1
        }} -> tensor<{N}xf16>, tensor<{N}xi32>""",
        f"tensor<{N}xf16>",
        2 * (2 + 4) * N,
    ),
    # 10 values and their positions of all: the keys alone are read.
    "iree_linalg_ext.topk": (
        f"%x: tensor<{N}xf16>",
        f"""%v = tensor.empty() : tensor<10xf16>
        %w = tensor.empty() : tensor<10xi32>
        %r, %p = iree_linalg_ext.topk dimension(0) ins(%x : tensor<{N}xf16>) outs(%v, %w : tensor<10xf16>, tensor<10xi32>) {{
        ^bb0(%a: f16, %b: f16):
          %q = arith.cmpf ogt, %a, %b : f16
          iree_linalg_ext.yield %q : i1
        }} -> tensor<10xf16>, tensor<10xi32>""",
        "tensor<10xf16>",
        2 * N + 10 * (2 + 4),
    ),
}


@pytest.mark.parametrize("name", SORTS)
def test_a_sort_moves_positions_as_wide_as_they_are(name: str) -> None:
    args, body, out, expected = SORTS[name]
    node = only(module(args, body, out))
    assert node.op.dtype == "fp16"
    assert node.bytes == pytest.approx(expected)
    assert node.flops == pytest.approx(N * 9.965784284662087)  # log2(1000) comparisons a key


@pytest.mark.parametrize(
    ("first", "second", "converted"),
    [("f8E4M3FN", "f8E5M2", True), ("f8E4M3FN", "f8E4M3FN", False), ("i32", "i32", False)],
)
def test_conversions_between_formats_of_one_width(first: str, second: str, converted: bool) -> None:
    text = module(
        f"%x: tensor<{N}x{first}>",
        f"%r = stablehlo.convert %x : (tensor<{N}x{first}>) -> tensor<{N}x{second}>",
        f"tensor<{N}x{second}>",
    )
    (node,) = read_mlir(text).nodes
    assert isinstance(node.op, Copy) == converted
    assert node.bytes == (2 * N if converted else 0)


def test_other_conversions_between_formats_of_one_width() -> None:
    kinds = [f"!torch.vtensor<[{N}],{element}>" for element in ("f8E4M3FN", "f8E5M2")]
    torch = module(
        f"%x: {kinds[0]}",
        f"%t = torch.constant.int 23\n%f = torch.constant.bool false\n%n = torch.constant.none\n"
        f"%r = torch.aten.to.dtype %x, %t, %f, %f, %n : {kinds[0]}, !torch.int, !torch.bool, !torch.bool, !torch.none -> {kinds[1]}",
        kinds[1],
    )
    assert [n.bytes for n in read_mlir(torch).nodes] == [2 * N]
    bits = module(
        f"%x: tensor<{N}xf8E4M3FN>",
        f"%r = stablehlo.bitcast_convert %x : (tensor<{N}xf8E4M3FN>) -> tensor<{N}xf8E5M2>",
        f"tensor<{N}xf8E5M2>",
    )
    assert [n.bytes for n in read_mlir(bits).nodes] == [0]


SEARCH = """"stablehlo.{name}"(%x, %i, %a, %b) <{{{attributes}}}> ({{
      ^bb0(%p: tensor<f32>, %q: tensor<i32>, %s: tensor<f32>, %t: tensor<i32>):
        %c = stablehlo.compare GE, %p, %s : (tensor<f32>, tensor<f32>) -> tensor<i1>
        %d = stablehlo.select %c, %p, %s : tensor<i1>, tensor<f32>
        %e = stablehlo.select %c, %q, %t : tensor<i1>, tensor<i32>
        stablehlo.return %d, %e : tensor<f32>, tensor<i32>
      }}) : (tensor<1x8x8x4xf32>, tensor<1x8x8x4xi32>, tensor<f32>, tensor<i32>) -> (tensor<{shape}xf32>, tensor<{shape}xi32>)"""


@pytest.mark.parametrize("is_counted", [False, True])
@pytest.mark.parametrize(
    ("name", "attributes", "shape", "results"),
    [
        (
            "reduce_window",
            "window_dimensions = array<i64: 1, 2, 2, 1>, window_strides = array<i64: 1, 2, 2, 1>",
            "1x4x4x4",
            64,
        ),
        ("reduce", "dimensions = array<i64: 1, 2>", "1x4", 4),
    ],
)
def test_a_search_for_positions_writes_them_beside_the_values(
    name: str, attributes: str, shape: str, results: int, is_counted: bool
) -> None:
    # 256 values of 4 bytes; their positions are read as well, but where they are counted up.
    start = """%a = stablehlo.constant dense<0.0> : tensor<f32>
      %b = stablehlo.constant dense<0> : tensor<i32>
      """
    counted = "%i = stablehlo.iota dim = 1 : tensor<1x8x8x4xi32>\n" if is_counted else ""
    node = only(
        module(
            "%x: tensor<1x8x8x4xf32>" + ("" if is_counted else ", %i: tensor<1x8x8x4xi32>"),
            start + counted + "%r, %z = " + SEARCH.format(name=name, attributes=attributes, shape=shape),
            f"tensor<{shape}xf32>",
        )
    )
    assert node.op.kind == ("max" if name == "reduce_window" else "argmax")
    assert node.bytes == 256 * 4 * (1 if is_counted else 2) + results * 4 * 2


def _attention(dialect: str, q: str, k: str, mask: str = "") -> Attention:
    """The descriptor of attention of an extension of linalg, whose bytes are those of its operands and result."""
    kinds = [f"tensor<{q}xf16>", f"tensor<{k}xf16>", f"tensor<{k}xf16>"] + ([f"tensor<{mask}xf16>"] if mask else [])
    names = ["%q", "%k", "%v"] + (["%m"] if mask else [])
    arguments = ", ".join(f"{n}: {t}" for n, t in zip(names, kinds, strict=True))
    if dialect == "iree_linalg_ext":  # the scale, a number, stands before the mask
        names.insert(3, "%s")
        kinds.insert(3, "f16")
    text = module(
        arguments,
        f"""%s = arith.constant 1.250000e-01 : f16
        %e = tensor.empty() : tensor<{q}xf16>
        %r = {dialect}.attention ins({", ".join(names)} : {", ".join(kinds)}) outs(%e : tensor<{q}xf16>) -> tensor<{q}xf16>""",
        f"tensor<{q}xf16>",
    )
    node = only(text)
    tensors = [q, q, k, k, *([mask] if mask else [])]
    assert node.bytes == sum(2 * prod(map(int, t.split("x"))) for t in tensors)
    assert isinstance(node.op, Attention)
    return node.op


@pytest.mark.parametrize("dialect", ["iree_linalg_ext", "tm_tensor"])
@pytest.mark.parametrize("mask", ["", "8x128x128"])
def test_what_attention_is_written_to_is_no_mask(dialect: str, mask: str) -> None:
    op = _attention(dialect, "8x128x64", "8x128x64", mask)
    assert (op.batch, op.heads, op.kv_heads) == (1, 8, 8)


@pytest.mark.parametrize(
    ("q", "k", "batch", "heads", "kv_heads"),
    [
        ("1x2x4x128x64", "1x2x256x64", 1, 8, 2),  # two heads of keys, each for four of queries
        ("3x8x128x64", "3x8x256x64", 3, 8, 8),
        ("3x8x128x64", "3x256x64", 3, 8, 1),  # one head of keys for all
        ("8x128x64", "256x64", 1, 8, 1),
        ("128x64", "256x64", 1, 1, 1),
    ],
)
def test_heads_of_keys_that_heads_of_queries_share(q: str, k: str, batch: int, heads: int, kv_heads: int) -> None:
    op = _attention("iree_linalg_ext", q, k)
    assert (op.batch, op.heads, op.kv_heads) == (batch, heads, kv_heads)


def test_a_batch_norm_in_training_reads_and_writes_its_parameters_once_a_feature() -> None:
    image, feature = "tensor<2x3x8x8xf32>", "tensor<3xf32>"
    text = module(
        f"%x: {image}, %s: {feature}, %o: {feature}",
        f'%r, %m, %v = "stablehlo.batch_norm_training"(%x, %s, %o) <{{epsilon = 1.0e-5 : f32, feature_index = 1 : i64}}> : '
        f"({image}, {feature}, {feature}) -> ({image}, {feature}, {feature})",
        image,
    )
    node = only(text)
    # The image is read and written; beside it a scale and a shift a feature are read, a mean and a variance written.
    assert node.bytes == 4 * (2 * (2 * 3 * 8 * 8) + 2 * 3 + 2 * 3)
