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


@pytest.mark.parametrize("axis", [2**31, -(2**40), 7])
def test_an_axis_that_ends_the_process_inside_onnx(axis: int) -> None:
    # onnx's own inference, which is asked where ours objects, reads shapes up to the axis without looking.
    nodes = [helper.make_node("LayerNormalization", ["x", "w", "b"], ["y", "mean", "deviation"], axis=axis)]
    inputs = [value("x", [2, 3, 4, 5]), value("w", [5]), value("b", [5])]
    proto = model(nodes, inputs, ["y", "mean", "deviation"], opset=17)
    with pytest.raises(ModelFileError, match="LayerNormalization"):
        read_onnx(onnx.ModelProto.FromString(proto.SerializeToString()))


@pytest.mark.parametrize(("op_type", "attributes"), [("Split", {"num_outputs": 0}), ("SpaceToDepth", {"blocksize": 0})])
def test_divisions_by_zero_do_not_end_the_process(op_type: str, attributes: dict[str, int]) -> None:
    proto = model([helper.make_node(op_type, ["x"], ["y"], **attributes)], [value("x", [1, 4, 4, 4])])
    assert outcome(proto.SerializeToString(), perfmodel.load("analytical")) in ("refused", "result")
