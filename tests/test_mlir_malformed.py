"""Operations that contradict their definitions are refused, with their place, what was expected and what was found."""

# ruff: noqa: E501 - the modules have one operation a line

from __future__ import annotations

import re

import pytest

from perfmodel.errors import ModelFileError
from perfmodel.features.mlir import read_mlir

T = "tensor<8x8xf32>"
IMAGE, FILTERS = "tensor<1x8x8x3xf32>", "tensor<3x3x3x4xf32>"
CONV = "%r = stablehlo.convolution(%a, %w) dim_numbers = [{form}]x[0, 1, i, o]->[b, 0, 1, f], window = {{stride = [1, 1]}} {{batch_group_count = 1 : i64, feature_group_count = 1 : i64}} : ({x}, {w}) -> {y}"
TORCH = "!torch.vtensor<[4,5],f32>"
GENERIC = '%r = linalg.generic {{indexing_maps = [{maps}], iterator_types = ["parallel", "parallel"]}} ins(%a : tensor<8x8xf32>) outs(%c : tensor<8x8xf32>) {{\n^bb0({body}):\nlinalg.yield %x : f32 }} -> tensor<8x8xf32>'
SAME = "affine_map<(i, j) -> (i, j)>"

CASES: dict[str, tuple[str, str, str, str]] = {
    "one operand of two": (f"%a: {T}", f"%r = stablehlo.add %a : {T}", T, "stablehlo.add: expected 2 operands, found 1"),
    "three operands of two": (f"%a: {T}", f'%r = "stablehlo.add"(%a, %a, %a) : ({T}, {T}, {T}) -> {T}', T, "stablehlo.add: expected 2 operands, found 3"),
    "operands of two shapes": (f"%a: {T}, %b: tensor<9x8xf32>", f'%r = "stablehlo.add"(%a, %b) : ({T}, tensor<9x8xf32>) -> {T}', T, "stablehlo.add: expected operands and results of 8x8, found 9x8"),
    "another type than defined": (f"%a: {T}, %b: tensor<9x8xf32>", f"%r = stablehlo.dot_general %a, %b, contracting_dims = [1] x [0] : ({T}, {T}) -> {T}", T, "stablehlo.dot_general: expected %b of the type tensor<9x8xf32>, found tensor<8x8xf32>"),
    "two results of one": (f"%a: {T}", f"%r, %q = stablehlo.add %a, %a : {T}", T, "stablehlo.add: expected one result, found 2"),
    "types for less": (f"%a: {T}", f"%r = stablehlo.dot %a, %a : ({T}) -> {T}", T, "stablehlo.dot: expected a type for each of 2 operands, found 1 type"),
    "sums of 8 and 9 terms": (f"%a: {T}, %b: tensor<9x8xf32>", f"%r = stablehlo.dot_general %a, %b, contracting_dims = [1] x [0] : ({T}, tensor<9x8xf32>) -> {T}", T, "stablehlo.dot_general: expected contracting dimensions of one size, found 8 and 9"),
    "an axis that is not there": (f"%a: {T}", f"%r = stablehlo.dot_general %a, %a, contracting_dims = [2] x [0] : ({T}, {T}) -> {T}", T, "stablehlo.dot_general: expected contracting dimensions below the rank 2, found 2"),
    "an axis twice": (f"%a: {T}", f"%r = stablehlo.dot_general %a, %a, contracting_dims = [1, 1] x [0, 1] : ({T}, {T}) -> {T}", T, "stablehlo.dot_general: expected contracting dimensions once each, found [1, 1]"),
    "uneven axes": (f"%a: {T}", f"%r = stablehlo.dot_general %a, %a, contracting_dims = [1] x [0, 1] : ({T}, {T}) -> {T}", T, "stablehlo.dot_general: expected as many contracting dimensions of both operands, found [1] and [0, 1]"),
    "no dimension numbers": (f"%a: {T}", f"%r = stablehlo.dot_general %a, %a : ({T}, {T}) -> {T}", T, "stablehlo.dot_general: expected dimension numbers (contracting_dims = [1] x [0]), found none"),
    "another result": (f"%a: {T}", f"%r = stablehlo.dot_general %a, %a, contracting_dims = [1] x [0] : ({T}, {T}) -> tensor<8x9xf32>", "tensor<8x9xf32>", "stablehlo.dot_general: expected a result of 8x8, found 8x9"),
    "no permutation": (f"%a: {T}", f"%r = stablehlo.transpose %a, dims = [0, 0] : ({T}) -> {T}", T, "stablehlo.transpose: expected a permutation of 2 axes, found [0, 0]"),
    "more elements": (f"%a: {T}", f"%r = stablehlo.reshape %a : ({T}) -> tensor<65xf32>", "tensor<65xf32>", "stablehlo.reshape: expected a result of as many elements, found 8x8 and 65"),
    "channels": (f"%a: {IMAGE}, %w: tensor<3x3x5x4xf32>", CONV.format(form="b, 0, 1, f", x=IMAGE, w="tensor<3x3x5x4xf32>", y="tensor<1x6x6x4xf32>"), "tensor<1x6x6x4xf32>", "stablehlo.convolution: expected 3 input features of the filters, found 5"),
    "a window too many": (f"%a: {IMAGE}, %w: {FILTERS}", CONV.format(form="b, 0, 1, f", x=IMAGE, w=FILTERS, y="tensor<1x7x6x4xf32>"), "tensor<1x7x6x4xf32>", "stablehlo.convolution: expected a result of 6 elements along spatial axis 0, found 7"),
    "dimension numbers of another rank": (f"%a: {IMAGE}, %w: {FILTERS}", CONV.format(form="b, 0, f", x=IMAGE, w=FILTERS, y="tensor<1x6x6x4xf32>"), "tensor<1x6x6x4xf32>", f"stablehlo.convolution: expected the operands, attributes, regions and results of its definition, found ({IMAGE}, {FILTERS}) -> (tensor<1x6x6x4xf32>)"),
    "rows and columns": (f"%a: {T}, %b: tensor<9x8xf32>, %c: {T}", f"%r = linalg.matmul ins(%a, %b : {T}, tensor<9x8xf32>) outs(%c : {T}) -> {T}", T, "linalg.matmul: expected operands of one size along an axis that they share, found 8 and 9"),
    "a product of one": (f"%a: {T}, %c: {T}", f"%r = linalg.matmul ins(%a : {T}) outs(%c : {T}) -> {T}", T, "linalg.matmul: expected 2 operands of ins, found 1"),
    "another length": (f"%a: {T}, %b: tensor<9x9xf32>", f"%r = stablehlo.concatenate %a, %b, dim = 0 : ({T}, tensor<9x9xf32>) -> tensor<17x8xf32>", "tensor<17x8xf32>", "stablehlo.concatenate: expected operands of ?x8, found ?x9"),
    "beyond the end": (f"%a: {T}", f"%r = stablehlo.slice %a [0:9, 0:8] : ({T}) -> tensor<9x8xf32>", "tensor<9x8xf32>", "stablehlo.slice: expected a range within 8 elements along axis 0, found 0:9:1"),
    "a reduced axis": (f"%a: {T}, %b: tensor<f32>", f"%r = stablehlo.reduce(%a init: %b) applies stablehlo.add across dimensions = [2] : ({T}, tensor<f32>) -> tensor<8xf32>", "tensor<8xf32>", "stablehlo.reduce: expected dimensions below the rank 2, found 2"),
    "no regions": (f"%a: {T}", f'%r = "stablehlo.while"(%a) : ({T}) -> {T}', T, f"stablehlo.while: expected the operands, attributes, regions and results of its definition, found ({T}) -> ({T})"),
    "a condition of another shape": (f"%a: {T}, %p: tensor<4x8xi1>", f"%r = stablehlo.select %p, %a, %a : tensor<4x8xi1>, {T}", T, "stablehlo.select: expected a condition of 8x8, found 4x8"),
    "an equation of two": (f"%a: {TORCH}", f'%s = torch.constant.str "ij,jk->ik"\n%n = torch.constant.none\n%l = torch.prim.ListConstruct %a : ({TORCH}) -> !torch.list<vtensor>\n%r = torch.aten.einsum %s, %l, %n : !torch.str, !torch.list<vtensor>, !torch.none -> {TORCH}', TORCH, "torch.aten.einsum: expected an operand for each of 'ij,jk', found 1"),
    "an operand of ATen": (f"%a: {TORCH}", f"%r = torch.aten.mm %a : {TORCH} -> {TORCH}", TORCH, "torch.aten.mm: expected 2 operands, found 1"),
    "a product of ATen": (f"%a: {TORCH}", f"%r = torch.aten.mm %a, %a : {TORCH}, {TORCH} -> {TORCH}", TORCH, "torch.aten.mm: expected 5 rows of the second operand, found 4"),
    "TOSA's product": ("%a: tensor<1x4x5xf32>, %b: tensor<1x6x7xf32>", "%r = tosa.matmul %a, %b : (tensor<1x4x5xf32>, tensor<1x6x7xf32>) -> tensor<1x4x7xf32>", "tensor<1x4x7xf32>", "tosa.matmul: expected operands of one size along an axis that they share, found 5 and 6"),
    "TOSA's broadcast": (f"%a: {T}, %b: tensor<8x3xf32>", f"%r = tosa.add %a, %b : ({T}, tensor<8x3xf32>) -> {T}", T, "tosa.add: expected operands that broadcast to each other, found 8x8 and 8x3"),
    "one map of two": (f"%a: {T}, %c: {T}", GENERIC.format(maps=SAME, body="%x: f32, %y: f32"), T, "linalg.generic: expected an indexing map for each of 2 operands, found 1"),
    "a map of another rank": (f"%a: {T}, %c: {T}", GENERIC.format(maps=f"affine_map<(i, j) -> (i)>, {SAME}", body="%x: f32, %y: f32"), T, "linalg.generic: expected an index for each of the 2 axes, found 1"),
    "a body of one argument": (f"%a: {T}, %c: {T}", GENERIC.format(maps=f"{SAME}, {SAME}", body="%x: f32"), T, "linalg.generic: expected 2 arguments of the body, found 1"),
    "one index of two": ("%m: memref<8x8xf32>, %i: index", "%r = memref.load %m[%i] : memref<8x8xf32>", "f32", "memref.load: expected an index for each of the 2 axes, found 1"),
    "groups of axes": (f"%a: {T}", f"%r = tensor.collapse_shape %a [[0, 1, 2]] : {T} into tensor<64xf32>", "tensor<64xf32>", "tensor.collapse_shape: expected groups of the axes 0 to 1, found [[0, 1, 2]]"),
    "an axis of a softmax": (f"%a: {T}, %c: {T}", f"%r = linalg.softmax dimension(3) ins(%a : {T}) outs(%c : {T}) -> {T}", T, "linalg.softmax: expected dimension below the rank 2, found 3"),
    "vectors": ("%a: vector<4x5xf32>, %c: vector<4x7xf32>", '%r = vector.contract {indexing_maps = [affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n, k) -> (k, n)>, affine_map<(m, n, k) -> (m, n)>], iterator_types = ["parallel", "parallel", "reduction"], kind = #vector.kind<add>} %a, %a, %c : vector<4x5xf32>, vector<4x5xf32> into vector<4x7xf32>', "vector<4x7xf32>", "vector.contract: expected one extent of loop 2, found 5 and 4"),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_contradictions_have_a_place_and_say_what_was_expected(case: str) -> None:
    arguments, body, result, message = CASES[case]
    text = f"func.func @main({arguments}) -> {result} {{\n  {body}\n  return %r : {result}\n}}\n"
    with pytest.raises(ModelFileError) as refusal:
        read_mlir(text)
    assert re.match(r"<text>:[25]:\d+: ", str(refusal.value))
    assert str(refusal.value).partition(": ")[2] == message


def test_an_operand_that_is_left_out() -> None:
    with pytest.raises(
        ModelFileError, match=r"^<text>:2:24: expected an operand or an attribute after ',', found ':'$"
    ):
        read_mlir(f"func.func @main(%a: {T}) -> {T} {{\n%r = stablehlo.add %a, : {T}\nreturn %r : {T}\n}}")


def test_functions_and_their_calls_agree() -> None:
    function = f"func.func private @f(%a: {T}) -> {T} {{\nreturn %a : {T}\n}}\n"
    call = f"func.func @main(%a: {T}) -> {T} {{\n%r = func.call @f(%a, %a) : ({T}, {T}) -> {T}\nreturn %r : {T}\n}}"
    with pytest.raises(ModelFileError, match=r":5:1: func.call: expected 1 argument of @f, found 2$"):
        read_mlir(function + call)
    with pytest.raises(
        ModelFileError, match=r":2:1: func.return: expected a value for each of the function's 1 result, found 2"
    ):
        read_mlir(f"func.func @main(%a: {T}) -> {T} {{\nreturn %a, %a : {T}, {T}\n}}")


def test_open_dimensions_agree_with_any_number() -> None:
    text = """func.func @main(%a: tensor<?x8xf32>, %b: tensor<8x4xf32>) -> tensor<?x4xf32> {
    %r = stablehlo.dot_general %a, %b, contracting_dims = [1] x [0] : (tensor<?x8xf32>, tensor<8x4xf32>) -> tensor<?x4xf32>
    return %r : tensor<?x4xf32> }"""
    assert read_mlir(text, dims={"a_0": 3}).nodes[0].flops == 2 * 3 * 4 * 8
