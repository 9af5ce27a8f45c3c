"""Damaged files give a result or one clear line, never another exception."""

from __future__ import annotations

import random
from collections import Counter

import onnx
import pytest
from backend_models import Case, cases, node_cases
from mutations import flipped, rewired, truncated
from onnx import helper
from onnx_models import model, value

import perfmodel
from perfmodel.errors import ModelFileError, PerfmodelError, UnboundDimensionError
from perfmodel.features import read_onnx
from perfmodel.features.onnx.rules import RULES

OPERATORS = sorted(RULES)


def victims() -> list[Case]:
    """Every tenth node test, and the small models that are stored in files."""
    small = [c for folder in ("simple", "pytorch-operator") for c in cases(folder) if len(c.model) < 20_000]
    return [*node_cases()[::10], *small]


def outcome(data: bytes, predictor: object) -> str:
    """What a damaged file comes to; anything but a result or one clear line raises."""
    dims: dict[str, int] = {}
    for _ in range(3):
        try:
            perfmodel.predict(data, "h100-sxm", dims=dims, predictor=predictor)  # type: ignore[arg-type]
        except UnboundDimensionError as asked:
            dims |= dict.fromkeys(asked.names, 3)
            message = str(asked)
        except PerfmodelError as refusal:
            message = str(refusal)
            if "\n" in message or len(message) > 1000:
                raise AssertionError(f"no clear line: {message!r}") from None
            return "refused"
        else:
            return "result"
        if "\n" in message:
            raise AssertionError(f"no clear line: {message!r}")
    return "asked"


@pytest.mark.parametrize("kind", ["truncated", "flipped", "rewired"])
def test_damaged_files_give_a_result_or_one_line(kind: str) -> None:
    predictor = perfmodel.load("analytical")
    found: Counter[str] = Counter()
    for case in victims():
        rng = random.Random(f"{kind} {case.name}")  # of its own, so that a new test in onnx changes no other
        if kind == "rewired":
            data = rewired(case.model, rng, OPERATORS)
        else:
            data = (truncated if kind == "truncated" else flipped)(case.model, rng)
        found[outcome(data, predictor)] += 1
    assert found["refused"]
    assert kind == "truncated" or found["result"]


@pytest.mark.parametrize(
    ("op_type", "opset", "shape", "attributes"),
    [
        ("LayerNormalization", 17, [2, 3, 4], {"axis": 2**31}),
        ("LayerNormalization", 17, [2, 3, 4], {"axis": -(2**40)}),
        ("Split", 18, [6], {"num_outputs": 0}),
        ("SpaceToDepth", 13, [1, 4, 4, 4], {"blocksize": 0}),
    ],
)
def test_attributes_that_end_the_process_inside_onnx(
    op_type: str, opset: int, shape: list[int], attributes: dict[str, int]
) -> None:
    # onnx's own inference, which is asked where ours objects, does not check them.
    operands = ["x", "x"] if op_type == "LayerNormalization" else ["x"]
    proto = model([helper.make_node(op_type, operands, ["y"], **attributes)], [value("x", shape)], opset=opset)
    try:
        read_onnx(onnx.ModelProto.FromString(proto.SerializeToString()))
    except ModelFileError as error:
        refusal = str(error)
    else:
        refusal = ""
    assert "\n" not in refusal
