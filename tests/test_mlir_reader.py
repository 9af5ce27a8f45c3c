"""The reader of MLIR text: types, attributes, forms of the dialects, names, errors."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from perfmodel.errors import MissingExtraError, ModelFileError
from perfmodel.features.mlir import bytecode, read, read_text
from perfmodel.features.mlir.attributes import AffineMap, Dense, DialectAttribute, IntegerSet, SymbolRef, affine_value
from perfmodel.features.mlir.ir import Module, Operation
from perfmodel.features.mlir.types import (
    ComplexType,
    DialectType,
    FunctionType,
    MemRefType,
    ScalarType,
    StridedLayout,
    TensorType,
    TupleType,
    VectorType,
    element_count,
)

FORMS = sorted((Path(__file__).parent / "mlir_forms").glob("*.mlir"))
F32 = ScalarType("f32")
OPERATIONS = {"affine": 15, "big_linalg_2kops": 2004, "gpu": 18, "jax_block": 158, "jax_conv": 15, "jax_dyn": 50,
              "jax_scan": 206, "linalg_generic": 7, "linalg_named": 6, "scf": 13, "stablehlo": 11,
              "tm_cnn_linalg_on_tensors": 70, "tm_cnn_tosa": 38, "tm_enc_torch": 179, "torch": 16, "tosa": 7}  # fmt: skip
"""What the bindings that read each module count, bodies of linalg's named operations left out."""


def one(module: Module, name: str) -> Operation:
    """The only operation of a name."""
    (found,) = [o for o in module.walk() if o.name == name]
    return found


def type_of(text: str) -> object:
    return read_text(f"%0 = foo.op : {text}").operations[0].results[0].type


def attribute(text: str) -> object:
    return read_text(f'"foo.op"() {{a = {text}}} : () -> ()').operations[0].attributes["a"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("bf16", ScalarType("bf16")),
        ("tensor<4x?xf32>", TensorType((4, None), F32)),
        ("tensor<f32>", TensorType((), F32)),
        ("tensor<*xf32>", TensorType(None, F32)),
        ("tensor<2xcomplex<f32>>", TensorType((2,), ComplexType(F32))),
        ("tensor<?xf32, #mine.bounds<4>>", TensorType((None,), F32, DialectAttribute("mine.bounds", "4"))),
        (
            "tensor<2x!quant.uniform<i8:f32, 0.5>>",
            TensorType((2,), DialectType("quant.uniform", "i8:f32, 0.5")),
        ),
        ("memref<8x16xf32, 3>", MemRefType((8, 16), F32, None, 3)),
        ("memref<8xf32, strided<[?], offset: 4>>", MemRefType((8,), F32, StridedLayout((None,), 4))),
        (
            "memref<8x8xf32, affine_map<(d0, d1) -> (d1, d0)>, 1 : i32>",
            MemRefType((8, 8), F32, AffineMap(2, 0, (("d", 1), ("d", 0))), 1),
        ),
        (
            "memref<4xf32, #gpu.address_space<workgroup>>",
            MemRefType((4,), F32, None, DialectAttribute("gpu.address_space", "workgroup")),
        ),
        ("vector<4x[8]xf32>", VectorType((4, 8), F32, (False, True))),
        ("tuple<i32, tuple<f32>>", TupleType((ScalarType("i32"), TupleType((F32,))))),
        ("!torch.vtensor<[?,16],f32>", TensorType((None, 16), F32, None, "torch.vtensor")),
        ("!torch.vtensor<*,unk>", TensorType(None, None, None, "torch.vtensor")),
        ("!torch.list<vtensor<[2],f32>>", DialectType("torch.list", "vtensor<[2],f32>")),
        (
            "!flow.dispatch.tensor<readonly:tensor<16x16xf32>>",
            TensorType((16, 16), F32, None, "flow.dispatch.tensor"),
        ),
        ("!mine.fn<(i32) -> f32>", DialectType("mine.fn", "(i32) -> f32")),
        ("!gpu.async.token", DialectType("gpu.async.token")),
    ],
)
def test_types(text: str, expected: object) -> None:
    assert type_of(text) == expected


def test_function_types_and_aliases() -> None:
    module = read_text('!t = tensor<2xf32>\n%0 = "foo.op"() : () -> ((!t) -> (i1, !t))\n')
    expected = FunctionType((TensorType((2,), F32),), (ScalarType("i1"), TensorType((2,), F32)))
    assert module.operations[0].results[0].type == expected


def test_elements_of_a_type() -> None:
    assert element_count(TensorType((3, 4), F32)) == 12
    assert element_count(TensorType((3, None), F32)) is None
    assert element_count(F32) == 1
    assert element_count(DialectType("torch.int")) is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("-3 : i32", -3),
        ("1.5e-2 : f64", 0.015),
        ("0xFF800000 : f32", -math.inf),
        ("0x3F80 : bf16", 1.0),
        ("0x1F : i8", 31),
        ("true", True),
        ("unit", True),
        (r'"a\22b\n"', 'a"b\n'),
        ('["x", [1 : i8, 2.0]]', ("x", (1, 2.0))),
        ("{b, c = 1, d.e = {f = @g}}", {"b": True, "c": 1, "d.e": {"f": SymbolRef(("g",))}}),
        ("array<i64: 1, -2>", (1, -2)),
        ("array<i64>", ()),
        ("array<i1: true, false>", (True, False)),
        ('@a::@"b c"', SymbolRef(("a", "b c"))),
        ("tensor<2xf32>", TensorType((2,), F32)),
        ("(f32) -> f32", FunctionType((F32,), (F32,))),
        ("dense<1> : tensor<2x2xi64>", Dense(TensorType((2, 2), ScalarType("i64")), 1)),
        ("dense<[[1, 2], [3, 4]]> : tensor<2x2xi64>", Dense(TensorType((2, 2), ScalarType("i64")), ((1, 2), (3, 4)))),
        ('dense<"0x0000803F"> : tensor<1xf32>', Dense(TensorType((1,), F32), 1.0, None, 4)),
        ("dense<(1.0, 2.0)> : tensor<complex<f32>>", Dense(TensorType((), ComplexType(F32)), (1.0, 2.0))),
        ("dense<> : tensor<0xf32>", Dense(TensorType((0,), F32), ())),
        ("dense_resource<blob.1> : tensor<4xf32>", Dense(TensorType((4,), F32), None, "blob.1")),
        ("#stablehlo<precision DEFAULT>", DialectAttribute("stablehlo.precision", "DEFAULT")),
        ("affine_map<(d0, d1)[s0] -> (d0 * 2 - 1, s0 mod 4)>",
         AffineMap(2, 1, (("+", ("*", ("d", 0), 2), -1), ("mod", ("s", 0), 4)))),
        ("affine_map<() -> ()>", AffineMap(0, 0, ())),
        ("affine_set<(d0)[s0] : (d0 - 1 >= 0, d0 == s0)>",
         IntegerSet(1, 1, ((("+", ("d", 0), -1), False), (("+", ("d", 0), ("*", ("s", 0), -1)), True)))),
        ("distinct[0]<unit>", DialectAttribute("builtin.distinct", "distinct[0]<unit>")),
    ],
)  # fmt: skip
def test_attributes(text: str, expected: object) -> None:
    found = attribute(text)
    assert found == expected
    assert type(found) is type(expected)


def test_parameters_of_dialect_attributes() -> None:
    found = attribute("#stablehlo.dot<lhs_batching_dimensions = [0], rhs_contracting_dimensions = [1, 2]>")
    assert isinstance(found, DialectAttribute)
    assert found.params == {"lhs_batching_dimensions": (0,), "rhs_contracting_dimensions": (1, 2)}


@pytest.mark.parametrize(
    ("text", "dims", "expected"),
    [
        ("d0 + d1 * 3", (1, 2), 7),
        ("8 - d0 - d1", (1, 2), 5),
        ("d0 floordiv 2 * 3", (5, 0), 6),
        ("(d0 + 7) floordiv 4 - d1", (9, 1), 3),
        ("d0 ceildiv 4", (9, 0), 3),
        ("-d0 mod 5", (3, 0), 2),
    ],
)
def test_affine_expressions_follow_the_precedence_of_their_operators(
    text: str, dims: tuple[int, int], expected: int
) -> None:
    found = attribute(f"affine_map<(d0, d1) -> ({text})>")
    assert isinstance(found, AffineMap)
    assert affine_value(found.results[0], dims) == expected


def test_a_constant_with_many_elements_is_not_decoded() -> None:
    found = attribute(f"dense<[{'1.0, ' * 5000}2.0]> : tensor<5001xf32>")
    assert found == Dense(TensorType((5001,), F32))


@pytest.mark.parametrize("path", FORMS, ids=lambda p: p.stem)
def test_forms_of_the_dialects_have_types_everywhere(path: Path) -> None:
    # test_mlir_bindings holds the same files against the bindings.
    module = read(path)
    assert [str(o) for o in module.walk() for v in o.results if v.type is None] == []
    assert all(v.owner is not None for o in module.walk() for v in o.operands)
    text = path.read_text()
    assert all(text.splitlines()[o.line - 1].find(o.name.rpartition(".")[2]) >= 0
               for o in module.walk() if o.line and o.parent and not o.name.endswith((".yield", ".in_parallel", "scf.reduce"))
               and not (o.operands and o.operands[0].name.startswith("implied")))  # fmt: skip


@pytest.mark.parametrize("name", OPERATIONS)
def test_modules_of_compilers_are_read_whole(name: str, shared: Path) -> None:
    module = read(shared / "mlir" / f"{name}.mlir")
    assert sum(1 for _ in module.walk()) == OPERATIONS[name]
    assert [str(o) for o in module.walk() for v in o.results if v.type is None] == []


def test_custom_forms_have_the_official_names_of_attributes() -> None:
    module = read(Path(__file__).parent / "mlir_forms" / "stablehlo.mlir")
    dot = one(module, "stablehlo.dot_general").attributes["dot_dimension_numbers"]
    assert dot.params == {"lhs_contracting_dimensions": (1,), "rhs_contracting_dimensions": (0,)}
    assert one(module, "stablehlo.transpose").attributes["permutation"] == (1, 0)
    assert one(module, "stablehlo.slice").attributes == {
        "start_indices": (0, 0),
        "limit_indices": (4, 8),
        "strides": (2, 1),
    }
    assert one(module, "stablehlo.pad").attributes["edge_padding_low"] == (1, 0)
    reduce = one(module, "stablehlo.reduce")
    assert [v.name for v in reduce.operands] == ["a", "0", "m", "s"]
    assert [str(v.type) for v in reduce.body.arguments] == ["tensor<f32>", "tensor<i32>", "tensor<f32>", "tensor<i32>"]


def test_a_body_that_a_keyword_stands_for() -> None:
    text = """
    func.func @f(%a: tensor<4x8xf32>, %z: tensor<f32>) -> tensor<4xf32> {
      %0 = stablehlo.reduce(%a init: %z) applies stablehlo.add across dimensions = [1]
        : (tensor<4x8xf32>, tensor<f32>) -> tensor<4xf32>
      return %0 : tensor<4xf32>
    }"""
    reduce = one(read_text(text), "stablehlo.reduce")
    assert reduce.attributes["dimensions"] == (1,)
    assert [o.name for o in reduce.body.operations] == ["stablehlo.add", "stablehlo.return"]
    assert [str(v.type) for v in reduce.body.arguments] == ["tensor<f32>", "tensor<f32>"]


def test_loops_name_their_arguments_and_bounds() -> None:
    module = read(Path(__file__).parent / "mlir_forms" / "control.mlir")
    outer, inner = [o for o in module.walk() if o.name == "affine.for"]
    assert outer.attributes["lowerBoundMap"] == AffineMap(0, 0, (0,))
    assert outer.operand_groups == {"lower": 0, "upper": 1, "iter_args": 1}
    assert [str(v.type) for v in outer.body.arguments] == ["index", "f32"]
    assert inner.attributes["step"] == 2
    assert inner.attributes["upperBoundMap"].results == (("+", ("d", 0), 32), ("s", 0))
    loop = one(module, "scf.while")
    assert [len(r.blocks[0].arguments) for r in loop.regions] == [2, 2]
    forall = one(module, "scf.forall")
    assert forall.attributes["staticUpperBound"] == (None, 8)
    assert [o.name for o in forall.body.operations] == ["memref.store", "scf.forall.in_parallel"]
    branch = one(module, "cf.cond_br")
    assert [b.label for b in branch.successors] == ["bb1", "bb2"]


def test_brackets_in_comments_close_nothing() -> None:
    module = read_text(
        """
        func.func @f() attributes {a = #mine.layout<(x) // :> ) " not the end
            [y]>} {
          return
        }
        """
    )
    assert one(module, "func.func").attributes["sym_name"] == "f"
    assert [o.name for o in one(module, "func.func").regions[0].blocks[0].operations] == ["func.return"]


def test_unknown_dialects_keep_their_structure() -> None:
    module = read(Path(__file__).parent / "mlir_forms" / "unknown.mlir")
    machine = one(module, "mine.machine")
    assert machine.symbol == "m"
    split, grid, keep = machine.body.operations[1:4]
    assert [v.name for v in split.results] == ["a", "b#0", "b#1"]
    assert [str(v.type) for v in split.results] == ["!mine.pair<i32, tensor<4xf32>>", "i32", "i32"]
    assert [v.name for v in grid.body.arguments] == ["x", "y"]
    assert [v.name for v in grid.operands] == ["b#0", "b#1", "b#1"]
    assert keep.attributes["text"] == "}"
    assert [len(r.blocks) for r in keep.regions] == [1, 0]
    assert keep.location == 'loc(callsite("f"("a.c":1:2) at "g"))'


def test_symbols_and_uses() -> None:
    module = read(Path(__file__).parent / "mlir_forms" / "gpu.mlir")
    launch = one(module, "gpu.launch_func")
    kernel = module.lookup(launch.attributes["kernel"], launch)
    assert kernel is not None
    assert kernel.name == "gpu.func"
    assert module.lookup("nowhere") is None
    thread = one(module, "gpu.thread_id").results[0]
    assert [(o.name, i) for o, i in module.uses()[thread]] == [("memref.load", 1), ("memref.store", 2)]
    assert [f.symbol for f in module.functions()] == ["k", "main"]


def test_resources_are_measured_not_read() -> None:
    resources = '{-# dialect_resources: { builtin: { w: "0x040000000000803F0000803F" } } #-}'
    text = f"%0 = foo.op dense_resource<w> : tensor<2xf32>\n{resources}"
    module = read_text(text)
    assert module.resources == {"w": 8}


def test_values_may_be_defined_after_their_use() -> None:
    module = read_text(
        "func.func @f() {\n  cf.br ^b\n^a:\n  foo.use %x\n  cf.br ^c\n^b:\n  %x = foo.def : i8\n  cf.br ^a\n^c:\n  return\n}"
    )
    assert one(module, "foo.use").operands[0] is one(module, "foo.def").results[0]


def test_a_use_in_a_nested_region_may_come_before_the_definition_outside() -> None:
    module = read_text("mine.graph {\n  mine.inner {\n    foo.use %x\n  }\n  %x = foo.def : i8\n}")
    assert one(module, "foo.use").operands[0] is one(module, "foo.def").results[0]


def test_several_operations_on_one_line() -> None:
    module = read_text(
        "func.func @f(%a: i32) -> i32 { %0 = arith.addi %a, %a : i32 %1 = arith.muli %0, %a : i32 return %1 : i32 }"
    )
    assert [o.name for o in module.walk()][2:] == ["arith.addi", "arith.muli", "func.return"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("func.func @f( {", "1:15: expected a type, found '{'"),
        ("func.func @f() {\n  foo.op\n", "3:1: expected '}' to close the region of 1:16, found the end of the text"),
        ("foo.op\n}", "2:1: expected an operation, found '}'"),
        ("hello world", "1:1: expected an operation (dialect.name), found 'hello'"),
        ("foo.op %x", "1:8: expected a definition of %x, found only uses"),
        ("%0 = foo.op : i32\n%0 = foo.op : i32", "2:1: expected a new name, found a second definition of %0"),
        ("%0 = foo.op : tensor<4xq32>", "1:15: expected a type, found 'q32'"),
        ("%0 = foo.op : tensor<4x", "1:24: expected '>' to close the '<' of 1:21, found the end of the text"),
        ('%0 = "foo.op"(%0) : () -> i32', "1:21: expected a type for each of the 1 operands, found 0 types"),
        ('%0, %1 = "foo.op"() : () -> i32', "1:1: expected a name for each of 1 results, found 2 names"),
        ('"foo.op"() {a = } : () -> ()', "1:17: expected an attribute, found '}'"),
        ('"foo.op"() {a = 1', "1:18: expected ',' or '}' after an attribute, found the end of the text"),
        ('foo.op "abc', "1:8: expected a string that ends on its line, found a string that is not closed on its line"),
        ("foo.op {\n  cf.br ^x\n}", "2:9: expected a block ^x in this region, found none"),
        ("%a:2 = foo.op : i32, i32\nfoo.use %a#5", "2:9: expected a result that %a has, found %a#5"),
        ("#m = affine_map<(d0) -> (d1)>", "1:6: expected a dimension or symbol of the map, found 'd1'"),
        ("%0 = foo.op dense<[1, ]]> : i32", "1:19: expected an element of the constant, found ']'"),
    ],
)
def test_errors_name_the_place_what_was_expected_and_what_was_found(text: str, message: str) -> None:
    with pytest.raises(ModelFileError) as caught:
        read_text(text, "model.mlir")
    assert str(caught.value) == f"model.mlir:{message}"


def test_files_that_are_no_mlir(tmp_path: Path) -> None:
    (tmp_path / "empty.mlir").write_bytes(b"\n")
    (tmp_path / "latin.mlir").write_bytes(b"module {\n\xff}")
    for name, problem in (
        ("empty", "the file is empty"),
        ("latin", ":2:1: expected MLIR as UTF-8"),
        ("none", "no such file"),
    ):
        with pytest.raises(ModelFileError, match=problem):
            read(tmp_path / f"{name}.mlir")
    with pytest.raises(ModelFileError, match="is a folder"):
        read(tmp_path)


def test_a_model_in_onnx_is_told_what_reads_it() -> None:
    with pytest.raises(
        ModelFileError, match=r"found the byte 0x[0-9a-f]{2}; perfmodel predict reads ONNX as it is"
    ) as caught:
        read(Path(__file__).parent.parent / "examples" / "resnet18.onnx")
    assert "\n" not in str(caught.value)


def test_text_and_paths_are_told_apart(tmp_path: Path) -> None:
    path = tmp_path / "model.mlir"
    path.write_text("foo.op {a = 1}\n")
    for source in (path, str(path), path.read_bytes(), path.read_text()):
        assert read(source).operations[0].attributes == {"a": 1}


def test_bytecode_without_bindings_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bytecode, "PACKAGES", {})
    with pytest.raises(MissingExtraError, match=r"StableHLO_v1\.9\.0.*pip install 'perfmodel\[mlir\]'"):
        read(b"ML\xefR\x0dStableHLO_v1.9.0\x00\x01")


def test_portable_artefacts_are_read_as_stablehlo() -> None:
    # In a file it is bytecode; this is the same in words.
    text = """
    vhlo.func_v1 @main(%a: !vhlo.tensor_v1<2x?x8x!vhlo.bf16_v1>, %b: !vhlo.tensor_v1<2x8x4x!vhlo.bf16_v1>)
        -> (!vhlo.tensor_v1<2x?x4x!vhlo.bf16_v1>) {
      %0 = "vhlo.dot_general_v2"(%a, %b) <{
          accumulation_type = #vhlo.type_v1<!vhlo.none_v1>,
          lhs_batching_dimensions = #vhlo.tensor_v1<dense<0> : tensor<1xi64>>,
          lhs_contracting_dimensions = #vhlo.tensor_v1<dense<2> : tensor<1xi64>>,
          precision_config = #vhlo.array_v1<[#vhlo<precision_v1 HIGH>, #vhlo<precision_v1 DEFAULT>]>,
          rhs_batching_dimensions = #vhlo.tensor_v1<dense<0> : tensor<1xi64>>,
          rhs_contracting_dimensions = #vhlo.tensor_v1<dense<1> : tensor<1xi64>>}>
        : (!vhlo.tensor_v1<2x?x8x!vhlo.bf16_v1>, !vhlo.tensor_v1<2x8x4x!vhlo.bf16_v1>) -> !vhlo.tensor_v1<2x?x4x!vhlo.bf16_v1>
      %1 = "vhlo.call_v1"(%0) <{callee = #vhlo.string_v1<"f">}>
        : (!vhlo.tensor_v1<2x?x4x!vhlo.bf16_v1>) -> !vhlo.tensor_v1<2x?x4x!vhlo.bf16_v1>
      "vhlo.return_v1"(%1) : (!vhlo.tensor_v1<2x?x4x!vhlo.bf16_v1>) -> ()
    }"""
    module = read_text(text)
    assert [o.name for o in module.walk()] == [
        "builtin.module", "func.func", "stablehlo.dot_general", "func.call", "func.return"
    ]  # fmt: skip
    dot = one(module, "stablehlo.dot_general")
    assert dot.results[0].type == TensorType((2, None, 4), ScalarType("bf16"))
    assert dot.attributes == {
        "dot_dimension_numbers": DialectAttribute(
            "stablehlo.dot",
            "lhs_batching_dimensions = [0], rhs_batching_dimensions = [0], "
            "lhs_contracting_dimensions = [2], rhs_contracting_dimensions = [1]",
        ),
        "precision_config": (
            DialectAttribute("stablehlo.precision", "HIGH"),
            DialectAttribute("stablehlo.precision", "DEFAULT"),
        ),
    }
    assert dot.attributes["dot_dimension_numbers"].params["lhs_contracting_dimensions"] == (2,)
    assert one(module, "func.call").attributes["callee"] == SymbolRef(("f",))


def test_a_portable_convolution_has_the_layout_that_its_numbers_say() -> None:
    kinds = (
        "!vhlo.tensor_v1<1x8x8x3x!vhlo.f32_v1>",
        "!vhlo.tensor_v1<5x3x3x3x!vhlo.f32_v1>",
        "!vhlo.tensor_v1<1x6x6x5x!vhlo.f32_v1>",
    )
    numbers = {"input_batch": 0, "input_feature": 3, "kernel_input_feature": 1, "kernel_output_feature": 0,
               "output_batch": 0, "output_feature": 3}  # fmt: skip
    places = {"input": "[1, 2]", "kernel": "[2, 3]", "output": "[1, 2]"}
    attributes = [f"{k}_dimension = #vhlo.integer_v1<{v} : i64>" for k, v in numbers.items()]
    attributes += [f"{k}_spatial_dimensions = #vhlo.tensor_v1<dense<{v}> : tensor<2xi64>>" for k, v in places.items()]
    attributes.append("padding = #vhlo.tensor_v1<dense<0> : tensor<2x2xi64>>")
    operation = (
        f'%0 = "vhlo.convolution_v1"(%a, %b) <{{{", ".join(attributes)}}}> : ({kinds[0]}, {kinds[1]}) -> {kinds[2]}'
    )
    module = read_text(f"vhlo.func_v1 @f(%a: {kinds[0]}, %b: {kinds[1]}) -> ({kinds[2]}) {{\n{operation}\n}}")
    found = one(module, "stablehlo.convolution").attributes
    assert found["dimension_numbers"].body == "[b, 0, 1, f]x[o, i, 0, 1]->[b, 0, 1, f]"
    assert found["padding"] == ((0, 0), (0, 0))
