"""Damaged, deep and endless MLIR text gives a module or one clear line, and soon."""

from __future__ import annotations

import random
import re
import time
from collections import Counter
from pathlib import Path

import pytest
from mlir_mutations import damaged

from perfmodel.errors import ModelFileError
from perfmodel.features.mlir import read_mlir, read_text

FORMS = sorted((Path(__file__).parent / "mlir_forms").glob("*.mlir"))
MODELS = sorted((Path(__file__).parent / "mlir_models").glob("cnn.*.mlir"))
MUTATIONS = 40


def outcome(text: str, *, graph: bool = False) -> str:
    """What a text comes to; anything but a module (or its graph) or one clear line raises."""
    try:
        module = read_text(text, "model.mlir")
    except ModelFileError as refusal:
        message = str(refusal)
        if not re.match(r"model\.mlir:[1-9]\d*:[1-9]\d*: ", message) or "\n" in message or len(message) > 400:
            raise AssertionError(f"no clear line: {message!r}") from None
        return "refused"
    if graph:
        try:
            read_mlir(module, keep_symbolic=True)
        except ModelFileError as refusal:
            message = str(refusal)
            if _INTERNAL.search(message) or "\n" in message or len(message) > 600:
                raise AssertionError(f"no clear line: {message!r}") from None
            return "contradicts itself"
    return "read"


_INTERNAL = re.compile(r"out of range|NoneType|unpack|no attribute|subscriptable|KeyError|\bstrict\b|argument \d+ is")
"""What Python says of mistakes."""


@pytest.mark.parametrize("path", FORMS, ids=lambda p: p.stem)
def test_damaged_texts_give_a_module_or_one_line(path: Path) -> None:
    rng = random.Random(f"damaged {path.stem}")
    text = path.read_text()
    found = Counter(outcome(damaged(text, rng), graph=True) for _ in range(MUTATIONS))
    assert found["refused"]


@pytest.mark.parametrize("path", MODELS, ids=lambda p: p.stem)
def test_damaged_models_give_a_graph_or_one_line(path: Path) -> None:
    rng = random.Random(f"damaged {path.stem}")
    text = path.read_text()
    found = Counter(outcome(damaged(text, rng), graph=True) for _ in range(8))
    assert sum(found.values()) == 8


_DEEP = 20_000
_PLACES = (
    "",
    "foo.op ",
    "foo.op : ",
    "foo.op : tensor<4x",
    "foo.op {a = ",
    '"foo.op"() <{a = ',
    "foo.op loc(",
    "foo.op dense<",
    "foo.op k = ",
    "foo.op : !t.x<",
    "#a = affine_map<(d0) -> (",
    "func.func @f(",
    "affine.load %a[",
    "foo.op ^b(",
)


@pytest.mark.parametrize("bracket", ["()", "[]", "{}", "<>"])
def test_deep_nesting_neither_overflows_nor_hangs(bracket: str) -> None:
    for place in _PLACES:
        outcome(place + bracket[0] * _DEEP)
        outcome(place + bracket[0] * _DEEP + bracket[1] * _DEEP)


def test_a_hundred_thousand_nested_parentheses_are_refused_with_their_place() -> None:
    with pytest.raises(
        ModelFileError, match=r"^<text>:1:100008: expected '\)' to close the '\(' of 1:100007, found the end"
    ):
        read_text("foo.op " + "(" * 100_000)


def test_nested_regions_have_no_limit() -> None:
    depth = 5_000
    module = read_text("foo.op {\n" * depth + "bar.op\n" + "}\n" * depth)
    assert sum(1 for _ in module.walk()) == depth + 2


_NESTED = {
    "regions": ("scf.execute_region {\n", "scf.yield }\n"),
    "branches": ("scf.if %c {\n", "}\n"),
    "unknown": ('"my.op"(%a) ({\n', "}) : (tensor<4xf32>) -> ()\n"),
}


@pytest.mark.parametrize("kind", _NESTED)
def test_code_nested_too_deep_to_follow_is_refused_with_its_place(kind: str) -> None:
    start, end = _NESTED[kind]
    inner = '%x = "a.b"(%a) : (tensor<4xf32>) -> tensor<4xf32>\n'
    text = "func.func @main(%c: i1, %a: tensor<4xf32>) {\n" + start * 3_000 + inner + end * 3_000 + "return }"
    with pytest.raises(
        ModelFileError, match=r"^<text>:\d+:\d+: .*: expected at most some hundreds of operations around"
    ):
        read_mlir(text)


_REPEATED = {
    "operands": ("foo.op ", "%a, "),
    "operands on lines": ("foo.op ", "%a\n"),
    "operands on lines with commas": ("foo.op ", "%a,\n"),
    "result names": ("", "%a, "),
    "words": ("foo.op ", "w "),
    "operations": ("", "foo.op\n"),
    "strings": ("foo.op ", '"s"\n'),
    "backslashes": ('foo.op "', '\\"'),
    "labels": ("foo.op ", "^b(\n"),
    "angle brackets": ("foo.op : ", "!a<"),
    "attributes": ("foo.op ", "#a<"),
    "spaces": ("foo.op : !torch.vtensor<[1],", " "),
    "minus signs": ("#a = affine_map<(d0) -> (", "-"),
    "dimensions": ("foo.op : tensor<", "4x"),
    "resources": ("{-# dialect_resources: {", "a: {"),
    "constants": ("foo.op ", "dense<1 "),
    "digits": ("foo.op {a = ", "9"),
    "comments": ("", "// x\n"),
    "regions in quotes": ("", '"a.b"() ({'),
    "dictionaries": ("foo.op ", "{a} "),
    "loop variables": ("scf.for ", "%i = "),
    "aliases": ("foo.op\n", "#a\n"),
}


@pytest.mark.parametrize("name", _REPEATED)
def test_time_grows_with_the_length_of_the_text(name: str) -> None:
    # Sixteen times the text takes sixteen times as long, or 256 times where a step looks at all that came before. The
    # bound lies between, far from both: other work on the machine makes times uneven.
    start, piece = _REPEATED[name]

    def seconds(count: int) -> float:
        begin = time.process_time()
        outcome(start + piece * count)
        return time.process_time() - begin

    short = min(seconds(500) for _ in range(3))
    assert min(seconds(8_000) for _ in range(2)) < 80 * short + 0.05


def test_names_defined_further_down_cost_no_search() -> None:
    count = 3_000
    uses = "".join(f"  bar.op %f{i}\n" for i in range(count))
    definitions = "".join(f"  %f{i} = bar.op : i32\n" for i in range(count))
    module = read_text("foo.op {\n" + uses + definitions + "}")
    first = module.operations[0].body.operations[0]
    assert str(first.operands[0].type) == "i32"
