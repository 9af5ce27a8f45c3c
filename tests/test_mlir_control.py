"""Functions, branches and loops of modules; dimensions; which function is meant; what a prediction takes."""

# ruff: noqa: E501 - the modules have one operation a line

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from perfmodel import predict
from perfmodel.cli import main
from perfmodel.errors import InputError, ModelFileError, UnboundDimensionError
from perfmodel.features.mlir import mlir_dims, read_mlir
from perfmodel.features.mlir.detect import is_mlir
from perfmodel.ops import Elementwise

DYNAMIC = """func.func @main(%x: tensor<?x16xf32>, %y: tensor<16x?xf32>) -> tensor<?x?xf32> {
  %0 = stablehlo.dot %x, %y : (tensor<?x16xf32>, tensor<16x?xf32>) -> tensor<?x?xf32>
  return %0 : tensor<?x?xf32>
}
"""


def _while(start: int, limit: int, step: int, way: str = "LT") -> str:
    return f"""func.func @main(%x: tensor<64xf32>) -> tensor<64xf32> {{
      %start = stablehlo.constant dense<{start}> : tensor<i32>
      %0:2 = stablehlo.while(%i = %start, %v = %x) : tensor<i32>, tensor<64xf32>
       cond {{
        %limit = stablehlo.constant dense<{limit}> : tensor<i32>
        %c = stablehlo.compare {way}, %i, %limit, SIGNED : (tensor<i32>, tensor<i32>) -> tensor<i1>
        stablehlo.return %c : tensor<i1>
      }} do {{
        %one = stablehlo.constant dense<{step}> : tensor<i32>
        %next = stablehlo.add %i, %one : tensor<i32>
        %e = stablehlo.exponential %v : tensor<64xf32>
        stablehlo.return %next, %e : tensor<i32>, tensor<64xf32>
      }}
      return %0#1 : tensor<64xf32>
    }}
    """


@pytest.mark.parametrize(
    ("start", "limit", "step", "way", "times"),
    [(0, 12, 1, "LT", 12), (3, 12, 2, "LT", 5), (0, 12, 1, "LE", 13), (12, 0, -3, "GT", 4), (5, 5, 1, "LT", 0)],
)
def test_loops_with_a_counter(start: int, limit: int, step: int, way: str, times: int) -> None:
    i, expected = start, 0
    while i < limit if way == "LT" else i <= limit if way == "LE" else i > limit:
        expected += 1
        i += step
    assert times == expected
    graph = read_mlir(_while(start, limit, step, way))
    assert graph.total("flops") == times * 64 * 8
    assert not graph.warnings or times == 0


def test_a_loop_that_data_ends_counts_once_and_says_how_to_count_it() -> None:
    text = _while(0, 12, 1).replace(
        "%limit = stablehlo.constant dense<12> : tensor<i32>",
        "%limit = stablehlo.convert %n : (tensor<i32>) -> tensor<i32>",
    )
    text = text.replace("(%x: tensor<64xf32>)", "(%x: tensor<64xf32>, %n: tensor<i32>)")
    graph = read_mlir(text)
    assert graph.total("flops") == 64 * 8
    (warning,) = graph.warnings
    name = warning.split("--dim ")[1].split("=")[0]
    assert read_mlir(text, dims={name: 7}).total("flops") == 7 * 64 * 8


def test_functions_stand_where_they_are_called() -> None:
    text = """func.func @main(%x: tensor<8xf32>) -> tensor<8xf32> {
      %0 = call @f(%x) : (tensor<8xf32>) -> tensor<8xf32>
      %1 = call @f(%0) : (tensor<8xf32>) -> tensor<8xf32>
      return %1 : tensor<8xf32>
    }
    func.func private @f(%a: tensor<8xf32>) -> tensor<8xf32> {
      %0 = stablehlo.tanh %a : tensor<8xf32>
      return %0 : tensor<8xf32>
    }"""
    graph = read_mlir(text)
    assert [n.name for n in graph.nodes] == ["f/tanh_0", "f_2/tanh_0"]
    assert graph.nodes[1].inputs == graph.nodes[0].outputs
    assert graph.outputs == graph.nodes[1].outputs


def test_composites_are_their_decomposition() -> None:
    text = """func.func @main(%x: tensor<8xf32>) -> tensor<8xf32> {
      %0 = stablehlo.composite "my.op" %x {decomposition = @f} : (tensor<8xf32>) -> tensor<8xf32>
      return %0 : tensor<8xf32>
    }
    func.func private @f(%a: tensor<8xf32>) -> tensor<8xf32> {
      %0 = stablehlo.tanh %a : tensor<8xf32>
      return %0 : tensor<8xf32>
    }"""
    assert [n.op.kind for n in read_mlir(text).nodes if isinstance(n.op, Elementwise)] == ["tanh"]


def test_recursion_is_refused() -> None:
    text = """func.func @main(%x: tensor<8xf32>) -> tensor<8xf32> {
      %0 = call @main(%x) : (tensor<8xf32>) -> tensor<8xf32>
      return %0 : tensor<8xf32>
    }"""
    with pytest.raises(ModelFileError, match="call each other"):
        read_mlir(text)


def test_the_dearest_branch_counts() -> None:
    text = """func.func @main(%p: tensor<i1>, %x: tensor<8xf32>) -> tensor<8xf32> {
      %0 = "stablehlo.if"(%p) ({
        %a = stablehlo.add %x, %x : tensor<8xf32>
        stablehlo.return %a : tensor<8xf32>
      }, {
        %b = stablehlo.exponential %x : tensor<8xf32>
        %c = stablehlo.exponential %b : tensor<8xf32>
        stablehlo.return %c : tensor<8xf32>
      }) : (tensor<i1>) -> tensor<8xf32>
      return %0 : tensor<8xf32>
    }"""
    graph = read_mlir(text)
    assert graph.total("flops") == 2 * 8 * 8
    assert any("dearest branch" in w for w in graph.warnings)


def _kinds(text: str) -> list[str]:
    return [n.op.kind for n in read_mlir(text).nodes if isinstance(n.op, Elementwise)]


def _choice(setup: str, head: str, types: str, bodies: Sequence[str]) -> str:
    """A module that takes one of several regions of one function each, in generic form."""
    dialect = head.removeprefix('"').split(".")[0]
    end = "scf.yield" if dialect == "scf" else f"{dialect}.return"
    regions = ", ".join(
        f"{{\n %v{i} = stablehlo.{function} %x : tensor<8xf32>\n {end} %v{i} : tensor<8xf32>\n}}"
        for i, function in enumerate(bodies)
    )
    return f"""func.func @main(%x: tensor<8xf32>) -> tensor<8xf32> {{
      {setup}
      %0 = {head} ({regions}) : {types} -> tensor<8xf32>
      return %0 : tensor<8xf32>
    }}"""


@pytest.mark.parametrize(
    "setup",
    [
        "%c = stablehlo.constant dense<{}> : tensor<i1>",
        "%n = stablehlo.constant dense<{}> : tensor<i32>\n %c = stablehlo.convert %n : (tensor<i32>) -> tensor<i1>",
    ],
)
@pytest.mark.parametrize(("number", "kinds"), [(1, ["neg"]), (0, ["exp"])])
def test_a_condition_that_is_stored_as_a_number_is_true_where_it_is_not_zero(
    setup: str, number: int, kinds: list[str]
) -> None:
    # The second body is the dearer one: a condition that is not understood would take it.
    text = _choice(setup.format(number), '"stablehlo.if"(%c)', "(tensor<i1>)", ("negate", "exponential"))
    assert _kinds(text) == kinds


@pytest.mark.parametrize("number", [1, -1])
def test_scalar_conditions_that_are_stored_as_numbers(number: int) -> None:
    setup = f'%c = "arith.constant"() <{{value = {number} : i1}}> : () -> i1'
    assert _kinds(_choice(setup, '"scf.if"(%c)', "(i1)", ("negate", "exponential"))) == ["neg"]


@pytest.mark.parametrize(("index", "kind"), [(-1, "neg"), (0, "exp"), (1, "tanh"), (2, "neg"), (9, "neg")])
def test_a_case_out_of_range_is_the_last_one(index: int, kind: str) -> None:
    setup = f"%c = stablehlo.constant dense<{index}> : tensor<i32>"
    text = _choice(setup, '"stablehlo.case"(%c)', "(tensor<i32>)", ("exponential", "tanh", "negate"))
    assert _kinds(text) == [kind]


def test_a_case_by_a_truth_value_is_its_number() -> None:
    setup = """%b = stablehlo.constant dense<true> : tensor<i1>
      %c = stablehlo.convert %b : (tensor<i1>) -> tensor<i32>"""
    text = _choice(setup, '"stablehlo.case"(%c)', "(tensor<i32>)", ("exponential", "tanh", "negate"))
    assert _kinds(text) == ["tanh"]


@pytest.mark.parametrize("custom", [False, True])
@pytest.mark.parametrize(("value", "kind"), [(0, "neg"), (1, "neg"), (2, "exp"), (5, "tanh"), (9, "neg")])
def test_a_switch_looks_its_value_up_among_the_cases(value: int, kind: str, custom: bool) -> None:
    # The default's region stands first in the generic form, last in the custom one.
    setup = f"%c = arith.constant {value} : index"
    text = _choice(
        setup, '"scf.index_switch"(%c) <{cases = array<i64: 2, 5>}>', "(index)", ("negate", "exponential", "tanh")
    )
    if custom:
        parts = [
            f"{label} {{\n %v{i} = stablehlo.{function} %x : tensor<8xf32>\n scf.yield %v{i} : tensor<8xf32>\n}}\n"
            for i, (label, function) in enumerate(
                (("case 2", "exponential"), ("case 5", "tanh"), ("default", "negate"))
            )
        ]
        text = f"""func.func @main(%x: tensor<8xf32>) -> tensor<8xf32> {{
          {setup}
          %0 = scf.index_switch %c -> tensor<8xf32>
          {"".join(parts)}
          return %0 : tensor<8xf32>
        }}"""
    assert _kinds(text) == [kind]


def test_the_operands_of_affine_if_are_no_condition() -> None:
    # The set asks whether 1 - 1 >= 0, which holds: only its dearest branch is certain not to be too cheap.
    text = """#set = affine_set<(d0) : (d0 - 1 >= 0)>
    func.func @main(%x: tensor<8xf32>) -> tensor<8xf32> {
      %c = arith.constant 1 : index
      %0 = affine.if #set(%c) -> tensor<8xf32> {
        %a = stablehlo.exponential %x : tensor<8xf32>
        affine.yield %a : tensor<8xf32>
      } else {
        %b = stablehlo.negate %x : tensor<8xf32>
        affine.yield %b : tensor<8xf32>
      }
      return %0 : tensor<8xf32>
    }"""
    assert _kinds(text) == ["exp"]


def test_dimensions_by_argument_and_axis() -> None:
    assert mlir_dims(DYNAMIC) == ("x_0", "y_1")
    graph = read_mlir(DYNAMIC, dims={"x_0": 4, "y_1": 5})
    assert graph.total("flops") == 2 * 4 * 5 * 16
    # Whatever the arguments are called.
    assert read_mlir(DYNAMIC, dims={"arg0_0": 4, "arg1_1": 5}).total("flops") == 2 * 4 * 5 * 16
    assert dict(graph.input_axes) == {"x": ("x_0", None), "y": (None, "y_1")}


def test_open_dimensions_are_listed() -> None:
    with pytest.raises(UnboundDimensionError, match=r"'x_0' and 'y_1', for example --dim x_0=8 --dim y_1=8") as caught:
        read_mlir(DYNAMIC)
    assert caught.value.names == ("x_0", "y_1")
    with pytest.raises(InputError, match="has no dimension 'z'"):
        read_mlir(DYNAMIC, dims={"x_0": 1, "y_1": 1, "z": 3})


def test_symbolic_dimensions_are_bound_later() -> None:
    graph = read_mlir(DYNAMIC, keep_symbolic=True)
    assert graph.open_dims == ("x_0", "y_1")
    assert graph.bind(x_0=4, y_1=5).total("flops") == 640


def test_names_of_jax_and_their_aliases(shared: Path) -> None:
    path = shared / "mlir" / "jax_dyn.mlir"
    assert mlir_dims(path) == ("b", "s")
    by_name = read_mlir(path, dims={"b": 3, "s": 5})
    by_axis = read_mlir(path, dims={"arg0_0": 3, "arg0_1": 5})
    assert by_name.total("flops") == by_axis.total("flops") > 0


TWO = """func.func @f(%x: tensor<8xf32>) -> tensor<8xf32> {
  %0 = stablehlo.tanh %x : tensor<8xf32>
  return %0 : tensor<8xf32>
}
func.func @g(%x: tensor<8xf32>) -> tensor<8xf32> {
  %0 = stablehlo.add %x, %x : tensor<8xf32>
  return %0 : tensor<8xf32>
}
"""


def test_several_functions_need_a_name() -> None:
    with pytest.raises(ModelFileError, match=r"2 functions that nothing calls \(f, g\).*--entry f"):
        read_mlir(TWO)
    assert read_mlir(TWO, entry="g").total("flops") == 8
    with pytest.raises(ModelFileError, match="no function 'h'"):
        read_mlir(TWO, entry="h")


def test_causal_masks_are_known_by_how_they_are_made() -> None:
    text = """func.func @main(%q: tensor<2x4x32x16xf32>, %k: tensor<2x4x32x16xf32>, %v: tensor<2x4x32x16xf32>) -> tensor<2x4x32x16xf32> {
      %rows = stablehlo.iota dim = 0 : tensor<32x32xi32>
      %columns = stablehlo.iota dim = 1 : tensor<32x32xi32>
      %seen = stablehlo.compare WAY, %rows, %columns, SIGNED : (tensor<32x32xi32>, tensor<32x32xi32>) -> tensor<32x32xi1>
      %mask = stablehlo.broadcast_in_dim %seen, dims = [2, 3] : (tensor<32x32xi1>) -> tensor<2x4x32x32xi1>
      %s = stablehlo.dot_general %q, %k, batching_dims = [0, 1] x [0, 1], contracting_dims = [3] x [3] : (tensor<2x4x32x16xf32>, tensor<2x4x32x16xf32>) -> tensor<2x4x32x32xf32>
      %low = stablehlo.constant dense<-1.0e9> : tensor<2x4x32x32xf32>
      %m = stablehlo.select %mask, %s, %low : tensor<2x4x32x32xi1>, tensor<2x4x32x32xf32>
      %inf = stablehlo.constant dense<0xFF800000> : tensor<f32>
      %zero = stablehlo.constant dense<0.0> : tensor<f32>
      %max = stablehlo.reduce(%m init: %inf) applies stablehlo.maximum across dimensions = [3] : (tensor<2x4x32x32xf32>, tensor<f32>) -> tensor<2x4x32xf32>
      %max4 = stablehlo.broadcast_in_dim %max, dims = [0, 1, 2] : (tensor<2x4x32xf32>) -> tensor<2x4x32x32xf32>
      %d = stablehlo.subtract %m, %max4 : tensor<2x4x32x32xf32>
      %e = stablehlo.exponential %d : tensor<2x4x32x32xf32>
      %sum = stablehlo.reduce(%e init: %zero) applies stablehlo.add across dimensions = [3] : (tensor<2x4x32x32xf32>, tensor<f32>) -> tensor<2x4x32xf32>
      %sum4 = stablehlo.broadcast_in_dim %sum, dims = [0, 1, 2] : (tensor<2x4x32xf32>) -> tensor<2x4x32x32xf32>
      %p = stablehlo.divide %e, %sum4 : tensor<2x4x32x32xf32>
      %r = stablehlo.dot_general %p, %v, batching_dims = [0, 1] x [0, 1], contracting_dims = [3] x [2] : (tensor<2x4x32x32xf32>, tensor<2x4x32x16xf32>) -> tensor<2x4x32x16xf32>
      return %r : tensor<2x4x32x16xf32>
    }"""
    from perfmodel.features.fusion import fuse

    for way, causal in (("GE", True), ("EQ", False)):
        (node,) = fuse(read_mlir(text.replace("WAY", way))).nodes
        assert node.op.op == "attention"
        assert node.op.causal is causal  # type: ignore[attr-defined]


def test_predict_takes_texts_bytes_and_paths(tmp_path: Path) -> None:
    text = TWO.split("func.func @g", maxsplit=1)[0]
    path = tmp_path / "small.txt"
    path.write_text(text)
    predictions = [predict(m, "h100-sxm") for m in (text, str(path), path, text.encode())]
    assert len({p.latency_s.value for p in predictions}) == 1
    assert predictions[1].model == "small.txt"
    assert predict(TWO, "h100-sxm", entry="g").flops == 8


def test_what_is_taken_for_mlir(tmp_path: Path) -> None:
    assert is_mlir("anything.mlir")
    assert is_mlir("// a comment\nmodule {\n}\n")
    assert is_mlir(b"ML\xefR\x01")
    assert is_mlir(b'"builtin.module"() ({}) : () -> ()')
    assert not is_mlir("model.onnx")
    assert not is_mlir(b"\x08\x07\x12\x04")
    assert not is_mlir(str(tmp_path / "missing"))


def test_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "dynamic.mlir"
    path.write_text(DYNAMIC)
    assert main(["predict", str(path), "--device", "h100-sxm", "--dim", "x_0=64", "--dim", "arg1_1=64"]) == 0
    assert "dynamic (x_0=64, arg1_1=64) on h100-sxm" in capsys.readouterr().out
    assert main(["predict", str(path), "--device", "h100-sxm"]) == 2
    assert "--dim x_0=8" in capsys.readouterr().err


def test_an_entry_of_an_onnx_file_is_refused() -> None:
    with pytest.raises(InputError, match="no MLIR module"):
        predict(b"\x08\x07", "h100-sxm", entry="main")


def test_what_an_unknown_operation_holds_counts_once() -> None:
    text = """func.func @main(%a: tensor<8x8xf32>) -> tensor<8x8xf32> {
    %r = "my.region"(%a) ({
      %d = stablehlo.dot %a, %a : (tensor<8x8xf32>, tensor<8x8xf32>) -> tensor<8x8xf32>
      "my.yield"(%d) : (tensor<8x8xf32>) -> ()
    }) : (tensor<8x8xf32>) -> tensor<8x8xf32>
    return %r : tensor<8x8xf32> }"""
    graph = read_mlir(text)
    assert graph.total("product_flops") == 2 * 8 * 8 * 8
    assert any("my.region: how often its body runs is not known" in w for w in graph.warnings)


def test_scalar_code_in_an_unknown_operation_is_named() -> None:
    text = """func.func @main(%a: tensor<8xf32>) -> tensor<f32> {
    %r = "my.fold"(%a) ({
    ^bb0(%x: f32, %y: f32):
      %s = math.powf %x, %y : f32
      "my.yield"(%s) : (f32) -> ()
    }) : (tensor<8xf32>) -> tensor<f32>
    return %r : tensor<f32> }"""
    graph = read_mlir(text)
    assert len(graph.nodes) == 1
    assert any("what its body computes is not counted: math.powf" in w for w in graph.warnings)


def test_an_argument_of_unknown_rank_is_refused_and_a_result_estimated() -> None:
    with pytest.raises(
        ModelFileError, match=r"the argument a is tensor<\*xf32>: expected a type with its number of axes"
    ):
        read_mlir("func.func @main(%a: tensor<*xf32>) -> tensor<*xf32> {\nreturn %a : tensor<*xf32> }")
    text = """func.func @main(%a: tensor<8xf32>) -> tensor<*xf32> {
    %b = "my.op"(%a) : (tensor<8xf32>) -> tensor<*xf32>
    %c = "my.op"(%b) : (tensor<*xf32>) -> tensor<*xf32>
    return %c : tensor<*xf32> }"""
    assert [(n.op.bytes_read, n.op.bytes_written) for n in read_mlir(text).nodes] == [(32, 32), (32, 32)]


def test_a_text_of_one_line_is_no_path() -> None:
    with pytest.raises(ModelFileError, match="no such file; the text of a module has several lines or a brace"):
        read_mlir("((((")
    assert read_mlir("func.func @main(%a: tensor<4xf32>) -> tensor<4xf32> { return %a : tensor<4xf32> }").nodes == ()


def test_parts_gathered_from_open_dimensions_have_a_shape() -> None:
    # As JAX exports q[:, :, 1] of a batch that is open: [b, 3, 8] to [b, 8].
    text = """func.func @main(%x: tensor<?x3x8xf32>, %i: tensor<1xi32>) -> tensor<?x8xf32> {
    %n = stablehlo.get_dimension_size %x, dim = 0 : (tensor<?x3x8xf32>) -> tensor<i32>
    %b = stablehlo.reshape %n : (tensor<i32>) -> tensor<1xi32>
    %c = stablehlo.constant dense<[1, 8]> : tensor<2xi32>
    %s = stablehlo.concatenate %b, %c, dim = 0 : (tensor<1xi32>, tensor<2xi32>) -> tensor<3xi32>
    %r = "stablehlo.dynamic_gather"(%x, %i, %s) <{dimension_numbers = #stablehlo.gather<offset_dims = [0, 1], collapsed_slice_dims = [1], start_index_map = [1]>, indices_are_sorted = true}> : (tensor<?x3x8xf32>, tensor<1xi32>, tensor<3xi32>) -> tensor<?x8xf32>
    return %r : tensor<?x8xf32> }"""
    (node,) = (n for n in read_mlir(text, dims={"x_0": 5}).nodes if n.op.bytes)
    assert node.op.bytes_written == 4 * 5 * 8
