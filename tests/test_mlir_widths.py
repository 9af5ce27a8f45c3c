"""Operands of different widths: each is read as wide as it is stored, whatever the arithmetic's format is."""

# ruff: noqa: E501 - the modules have one operation a line

from __future__ import annotations

from typing import Any

import pytest

from perfmodel.features.mlir import read_mlir
from perfmodel.ops import Conv, Gemm

BITS = {"f32": 32, "bf16": 16, "f16": 16, "i32": 32, "i16": 16, "i8": 8, "ui8": 8, "i4": 4, "f8E4M3FN": 8, "i1": 8}


def module(args: str, body: str, out: str) -> str:
    return f"func.func @main({args}) -> {out} {{\n{body}\nreturn %r : {out}\n}}\n"


def only(text: str) -> Any:
    (node,) = [n for n in read_mlir(text).nodes if n.op.bytes]
    return node


def read(node: Any) -> float:
    return float(node.op.bytes_read + node.extra_bytes_read)


# The first and second operand's type, and the format of the product. Formats that name two narrow types are those of
# quantised ONNX (fusion.formats); else the wider type decides.
FORMATS = [
    ("i8", "i4", "int8"), ("i4", "i8", "int8"), ("i8", "ui8", "int8"), ("ui8", "i8", "int8"),
    ("f8E4M3FN", "i4", "fp8_static"), ("i4", "f8E4M3FN", "fp8_static"), ("i16", "i8", "w8a16"), ("i8", "i16", "w8a16"),
    ("bf16", "f32", "fp32"), ("f32", "bf16", "fp32"), ("i32", "i8", "int32"), ("i8", "i32", "int32"), ("i1", "f16", "fp16"),
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
}


@pytest.mark.parametrize("name", OTHER_PRODUCTS)
def test_weights_of_four_bits_in_other_dialects(name: str) -> None:
    args, body, out, expected = OTHER_PRODUCTS[name]
    node = only(module(args, body, out))
    assert node.op.dtype == "int8"
    assert read(node) == expected
