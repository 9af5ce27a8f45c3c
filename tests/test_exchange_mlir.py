"""MLIR texts that say what their operations cost: the same text with attributes, which every parser takes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import perfmodel
from perfmodel.cli import main
from perfmodel.errors import InputError
from perfmodel.exchange import mlir_text
from perfmodel.exchange.mlir_earlier import without_costs
from perfmodel.exchange.mlir_places import place_of
from perfmodel.features.mlir import read_text
from perfmodel.features.mlir.apart import bindings
from perfmodel.features.mlir.bytecode import PACKAGES

MODELS = sorted((Path(__file__).parent / "mlir_models").glob("*.mlir"))
FORMS = sorted((Path(__file__).parent / "mlir_forms").glob("*.mlir"))
_ADDED = re.compile(r'perfmodel\.\w+ = (?:"(?:[^"\\]|\\.)*"|[-\w.+]+ : [if]64)(?:, )?')


def stripped(text: str) -> str:
    """Without what was added, by a pattern of its own: attributes, then the dictionaries that they leave empty."""
    text = _ADDED.sub("", text)
    return re.sub(r" (?:attributes |attrs = )?\{\}", "", text)


def annotated(path: Path | str, **conditions: Any) -> tuple[str, perfmodel.ModelPrediction, list[str]]:
    p = perfmodel.predict(path, "h100-sxm", **conditions)
    text, warnings = mlir_text.annotated(
        path, p, joined=conditions.get("fusion") == "none", dims=conditions.get("dims"), entry=conditions.get("entry")
    )
    return text, p, warnings


def numbers(text: str, name: str) -> list[float]:
    return [float(n) for n in re.findall(rf"perfmodel\.{name} = ([-\d.e+]+) : f64", text)]


@pytest.mark.parametrize("path", MODELS, ids=lambda p: p.name)
def test_only_attributes_are_added_and_times_add_up(path: Path) -> None:
    before = path.read_text()
    text, p, warnings = annotated(path)
    assert warnings == []
    assert stripped(text) == stripped(before)
    assert text.count("\n") == before.count("\n")
    function, *operations = numbers(text, "latency_s")
    assert function == p.latency_s.value
    assert sum(operations) == pytest.approx(sum(o.latency_s.value for o in p.operators), rel=1e-12)
    assert perfmodel.predict(text, "h100-sxm").latency_s == p.latency_s


def test_locations_comments_and_old_attributes_stay() -> None:
    text = """
// a comment with { and %0 =
func.func @main(%a: tensor<8x8xf32>, %b: tensor<8x8xf32>) -> tensor<8x8xf32> attributes {mine = "{"} {
  %0 = stablehlo.dot_general %a, %b, contracting_dims = [1] x [0] {old = 1 : i64}
    : (tensor<8x8xf32>, tensor<8x8xf32>) -> tensor<8x8xf32> loc("here":1:2)
  return %0 : tensor<8x8xf32>
}
"""
    result, p, warnings = annotated(text)
    assert warnings == []
    assert stripped(result) == text
    dot = next(o for o in read_text(result).walk() if o.name == "stablehlo.dot_general")
    assert dot.attributes["old"] == 1
    assert dot.attributes["perfmodel.bound"] == p.operators[0].bound
    assert 'loc("here":1:2)' in result


BARE = """func.func @f(%a: tensor<64x64xf32>) -> tensor<64x64xf32> {
  %0 = stablehlo.dot %a, %a : (tensor<64x64xf32>, tensor<64x64xf32>) -> tensor<64x64xf32>
  return %0 : tensor<64x64xf32>
}
"""


@pytest.mark.parametrize("before", ["", "\n", "module {\n"], ids=["in the first place", "later", "in a module"])
def test_a_function_without_a_module_is_annotated_as_one_within(before: str) -> None:
    """The module that a reader puts around it has the function's own place, where that is the first of the text."""
    text = before + BARE + ("}\n" if "module" in before else "")
    result, p, warnings = annotated(text)
    assert warnings == []
    assert stripped(result) == text
    assert numbers(result, "latency_s") == [p.latency_s.value, p.operators[0].latency_s.value]


def test_two_functions_without_a_module_are_told_apart() -> None:
    result, p, warnings = annotated(BARE + BARE.replace("@f", "@g"), entry="g")
    assert warnings == []
    first, second = result.split("@g")
    assert "perfmodel." not in first
    assert numbers(second, "latency_s") == [p.latency_s.value, p.operators[0].latency_s.value]


def test_lines_end_as_they_did() -> None:
    result, _, warnings = annotated(BARE.replace("\n", "\r\n"))
    assert warnings == []
    assert stripped(result) == BARE.replace("\n", "\r\n")


def test_a_function_that_is_called_twice_has_the_time_of_both() -> None:
    text = """
module {
  func.func @main(%a: tensor<64x64xf32>) -> tensor<64x64xf32> {
    %0 = call @f(%a) : (tensor<64x64xf32>) -> tensor<64x64xf32>
    %1 = call @f(%0) : (tensor<64x64xf32>) -> tensor<64x64xf32>
    return %1 : tensor<64x64xf32>
  }
  func.func private @f(%a: tensor<64x64xf32>) -> tensor<64x64xf32> {
    %0 = stablehlo.dot %a, %a : (tensor<64x64xf32>, tensor<64x64xf32>) -> tensor<64x64xf32>
    return %0 : tensor<64x64xf32>
  }
}
"""
    result, p, _ = annotated(text)
    assert len(p.operators) == 2
    assert "perfmodel.kernels = 2 : i64" in result
    assert numbers(result, "latency_s")[1:] == [pytest.approx(sum(o.latency_s.value for o in p.operators))]


def test_an_operation_without_a_known_place_is_told_and_left(monkeypatch: pytest.MonkeyPatch) -> None:
    path = next(p for p in MODELS if p.name == "cnn.stablehlo.mlir")
    real = mlir_text.place_of

    def wrong(text: str, operation: Any, starts: list[int]) -> Any:
        spot = real(text, operation, starts)
        if spot is None or operation.name != "stablehlo.convolution":
            return spot
        return spot._replace(position=spot.position - 3)  # in the middle of what stands before

    monkeypatch.setattr(mlir_text, "place_of", wrong)
    text, _, warnings = annotated(path)
    assert stripped(text) == stripped(path.read_text())
    assert len(warnings) == 1
    assert re.search(r"\d+ operations take no attributes .*\(stablehlo\.convolution in line \d+", warnings[0])
    lines = [line for line in text.splitlines() if "stablehlo.convolution" in line]
    assert lines
    assert not any("perfmodel." in line for line in lines)
    assert "perfmodel.latency_s" in text


def test_names_from_the_file_are_quoted() -> None:
    assert mlir_text._literal('a"b\\c\né') == r'"a\22b\5Cc\0A\C3\A9"'
    assert [mlir_text._literal(v) for v in (3, 1e-5, 2.0, 1.25e-7)] == [
        "3 : i64", "1.0e-05 : f64", "2.0 : f64", "1.25e-07 : f64",
    ]  # fmt: skip


def test_bytecode_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "m.mlirbc"
    path.write_bytes(b"ML\xefR" + bytes(20))
    with pytest.raises(InputError, match="is bytecode; attributes are put into text"):
        mlir_text.annotated(path, perfmodel.predict(str(MODELS[0]), "h100-sxm"))


# ----------------------------------------------------------------------------------------------------------- bindings
@pytest.fixture(params=PACKAGES)
def mlir(request: pytest.FixtureRequest) -> Any:
    try:
        return bindings(request.param)
    except ImportError:
        pytest.skip(f"{request.param} is not installed: pip install 'perfmodel[mlir]'")


def parsed(mlir: Any, text: str) -> Any:
    try:
        return mlir[0].Module.parse(text, mlir[1])
    except Exception:  # each package has its own
        return None


def with_costs(ir: Any, module: Any) -> list[str]:
    found: list[str] = []

    def visit(operation: Any) -> Any:
        # Releases differ in what iterating over attributes gives: names, or pairs.
        if any((a if isinstance(a, str) else a.name).startswith("perfmodel.") for a in operation.attributes):
            found.append(operation.name)
        return ir.WalkResult.ADVANCE

    module.operation.walk(visit, ir.WalkOrder.PRE_ORDER)
    return found


def test_the_bindings_read_annotated_modules(mlir: Any) -> None:
    compared = 0
    for path in MODELS:
        if parsed(mlir, path.read_text()) is None:
            continue
        text, _, _ = annotated(path)
        module = parsed(mlir, text)
        assert module is not None, path.name
        assert len(with_costs(mlir[0], module)) == len(re.findall(r"perfmodel\.(?:latency_s|part_of) =", text)), (
            path.name
        )
        compared += 1
    assert compared >= 3


NO_KERNEL = re.compile(
    r".*(yield|return|constant|condition|terminator|barrier|thread_id|block_id|block_dim|dim|global|get_global|global_load|"
    r"assert|br|cond_br|int|symbolic_int|bool|str|none|float|module|func|reinterpret_cast|apply|multi_reduction|index_switch|"
    r"unrealized_conversion_cast|generate|Loop|If|while|reduce)$"
)
"""Operations of the forms that are no kernels, or whose parts are."""


def forms(mlir: Any) -> Iterator[tuple[str, str]]:
    for path in FORMS:
        text = path.read_text()
        if parsed(mlir, text) is not None:
            yield path.name, text


def test_every_form_of_a_kernel_has_its_place_where_the_bindings_have_it(mlir: Any) -> None:
    names = set()
    for file, text in forms(mlir):
        starts = [0, *(m.end() for m in re.finditer("\n", text))]
        for operation in read_text(text, file).walk():
            if not operation.column or operation.name in names or NO_KERNEL.match(operation.name):
                continue
            spot = place_of(text, operation, starts)
            assert spot is not None, (file, operation)
            new = f"{text[: spot.position]}{spot.before}perfmodel.x = 1 : i64{spot.after}{text[spot.position :]}"
            module = parsed(mlir, new)
            assert module is not None, (file, operation, new[spot.position - 60 : spot.position + 60])
            assert with_costs(mlir[0], module) == [operation.name], file
            names.add(operation.name)
    assert len(names) >= 20


def test_the_command_refuses_a_name_of_another_format(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("m.onnx", "m.mlirbc"):
        assert main(["predict", str(MODELS[0]), "--device", "h100-sxm", "--annotate", str(tmp_path / name)]) == 2
        assert "is written as text: wanted .mlir" in capsys.readouterr().err


EVERYWHERE = """// "perfmodel.latency_s = 1.0 : f64" in a comment, as in {perfmodel.bound = "dram"}
module @m attributes {mine.note = "perfmodel.bound, {", perfmodel.device = "old"} {
  func.func @main(%a: tensor<8x8xf32>) -> tensor<8x8xf32> attributes {perfmodel.device = "old",
    perfmodel.gone = [1, {perfmodel.x = 2}]} {
    %0 = "stablehlo.dot"(%a, %a) {perfmodel.bound = "}, \\22"} : (tensor<8x8xf32>, tensor<8x8xf32>) -> tensor<8x8xf32>
    %1 = "stablehlo.dot"(%0, %a) {perfmodel.unit, // why
      mine = 1 : i64, perfmodel.shape = "x"} : (tensor<8x8xf32>, tensor<8x8xf32>) -> tensor<8x8xf32>
    %2 = stablehlo.add %1, %a {mine.a = {perfmodel.part_of = "b"}, perfmodel.x = 1.0e-05 : f64, mine.c} : tensor<8x8xf32>
    %3 = stablehlo.tanh %2 {mine.first,
      perfmodel.x = 1 : i64, mine.last} : tensor<8x8xf32>
    return %3 : tensor<8x8xf32>
  }
}
"""
CLEAN = """// "perfmodel.latency_s = 1.0 : f64" in a comment, as in {perfmodel.bound = "dram"}
module @m attributes {mine.note = "perfmodel.bound, {"} {
  func.func @main(%a: tensor<8x8xf32>) -> tensor<8x8xf32>
 {
    %0 = "stablehlo.dot"(%a, %a) : (tensor<8x8xf32>, tensor<8x8xf32>) -> tensor<8x8xf32>
    %1 = "stablehlo.dot"(%0, %a) {// why
      mine = 1 : i64} : (tensor<8x8xf32>, tensor<8x8xf32>) -> tensor<8x8xf32>
    %2 = stablehlo.add %1, %a {mine.a = {}, mine.c} : tensor<8x8xf32>
    %3 = stablehlo.tanh %2 {mine.first,
      mine.last} : tensor<8x8xf32>
    return %3 : tensor<8x8xf32>
  }
}
"""


def test_costs_of_an_earlier_annotation_are_found_wherever_they_stand() -> None:
    """On modules, functions and operations, first, last or between others; not in strings and comments."""
    assert without_costs(EVERYWHERE) == CLEAN
    assert without_costs(CLEAN) == CLEAN


_PLACES = """func.func @f(%a: tensor<8x8xf32>) -> tensor<8x8xf32>FUNCTION {
  %attributes = "stablehlo.dot"(%a, %a)DOT : (tensor<8x8xf32>, tensor<8x8xf32>) -> tensor<8x8xf32>
  %1 = stablehlo.tanh %attributesTANH : tensor<8x8xf32>
  return %1 : tensor<8x8xf32>
}
"""


@pytest.mark.parametrize(
    ("at", "costs", "left"),
    [
        ("DOT", " {mine = 1 : i64, // why\n perfmodel.x = 2}", " {mine = 1 : i64 // why\n}"),
        ("DOT", " { // mine\n perfmodel.x = 2}", " // mine\n"),
        ("DOT", " {perfmodel.x = 2, // a\n perfmodel.y, // b\r\n mine}", " { // a\n// b\r\n mine}"),
        ("DOT", ' {perfmodel.x = "// no", // yes\n perfmodel.y = [1, // in\n 2]\n}', " // yes\n // in\n\n"),
        ("DOT", " {perfmodel.x,   mine}", " {  mine}"),
        ("DOT", " {mine.a =\n {perfmodel.x = 2}}", " {mine.a =\n {}}"),
        ("DOT", " {mine.a = // of\n {perfmodel.x = 2 // mine\n}}", " {mine.a = // of\n { // mine\n}}"),
        ("DOT", "\n  {perfmodel.x = 2}", "\n"),
        ("TANH", " {perfmodel.x = 2}", ""),
        ("FUNCTION", " attributes\n {perfmodel.x = 2}", "\n"),
        ("FUNCTION", " attributes // costs {\n {perfmodel.x = 2}", " // costs {\n"),
        ("FUNCTION", " attributes { // costs\n perfmodel.x = 2}", " // costs\n"),
    ],
)
def test_comments_and_lines_among_earlier_costs_stay(at: str, costs: str, left: str) -> None:
    def text(put: str) -> str:
        return re.sub("FUNCTION|DOT|TANH", "", _PLACES.replace(at, put))

    def operations(of: str) -> list[str]:
        return [
            repr((o.name, {k: v for k, v in o.attributes.items() if not k.startswith("perfmodel.")}))
            for o in read_text(of).walk()
        ]

    before = text(costs)
    after = without_costs(before)
    assert after == text(left)
    assert "perfmodel" not in after
    assert len(operations(after)) > 3
    result, warnings = costs_for(before, "h100-sxm")
    assert warnings == []
    assert without_costs(result) == after


def costs_for(text: str, device: str) -> tuple[str, list[str]]:
    return mlir_text.annotated(text, perfmodel.predict(text, device, predictor="analytical"))


@pytest.mark.parametrize(
    "text",
    [
        EVERYWHERE, BARE, BARE.replace("{", "attributes {mine} {", 1),
        *(p.read_text() for p in MODELS if p.name in ("cnn.linalg.mlir", "cnn.tosa.mlir", "cnn.torch_backend.mlir")),
    ],
    ids=["everywhere", "bare", "beside others", "linalg", "torch", "tosa"],
)  # fmt: skip
def test_a_second_annotation_is_that_of_its_device_alone(text: str) -> None:
    first, _ = costs_for(text, "h100-sxm")
    again, warnings = costs_for(first, "l40s")
    assert warnings == []
    assert again == costs_for(text, "l40s")[0]
    assert again.count('perfmodel.device = "') == 1
    assert 'perfmodel.device = "l40s"' in again


def test_an_entry_that_is_annotated_no_longer_has_no_costs() -> None:
    both = BARE + BARE.replace("@f", "@g")
    first, _, _ = annotated(both, entry="f", predictor="analytical")
    second, _, _ = annotated(first, entry="g", predictor="analytical")
    assert second == annotated(both, entry="g", predictor="analytical")[0]
