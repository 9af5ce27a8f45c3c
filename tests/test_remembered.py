"""Answers from memory are those of the predictor, and only for the same question."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import pytest

from perfmodel import predict
from perfmodel.features.onnx import read_onnx
from perfmodel.graph import Graph, Node, Tensor
from perfmodel.hardware import load_device
from perfmodel.models.predictor import Predictor, load
from perfmodel.ops import Gemm
from perfmodel.predict.on_host import runtime_graph
from perfmodel.predict.remembered import MAX_CALLS, Remembered, remembered


def _ask(predictor: Any, m: int = 64, device: str = "h100-sxm", **conditions: Any) -> Any:
    zero = np.zeros(1)
    ops = [Gemm(m=m, n=64, k=64, dtype="bf16")]
    given = {"software": None, "cache": "rotating", "clock_hz": None, "power_limit_w": None, **conditions}
    return predictor.predict(ops, load_device(device), extra_bytes_read=zero, extra_flops=zero, **given)


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> tuple[Remembered, list[int]]:
    predictor = load("analytical")
    assert isinstance(predictor, Predictor)
    calls: list[int] = []
    whole = Predictor.predict

    def counting(self: Predictor, ops: Any, *rest: Any, **more: Any) -> Any:
        calls.append(len(ops))
        return whole(self, ops, *rest, **more)

    monkeypatch.setattr(Predictor, "predict", counting)
    return Remembered(predictor), calls


def test_the_same_question_is_asked_once(counted: tuple[Remembered, list[int]]) -> None:
    memory, calls = counted
    first, second = _ask(memory), _ask(memory)
    assert second is first
    assert calls == [1]


@pytest.mark.parametrize(
    "other", [{"m": 65}, {"device": "a100-sxm-80gb"}, {"cache": "cold"}, {"clock_hz": 1.2e9}, {"power_limit_w": 300.0}]
)
def test_another_question_is_another_answer(counted: tuple[Remembered, list[int]], other: dict[str, Any]) -> None:
    memory, calls = counted
    first = _ask(memory)
    assert _ask(memory, **other) is not first
    assert calls == [1, 1]


def test_the_memory_is_bounded(counted: tuple[Remembered, list[int]]) -> None:
    memory, _ = counted
    for m in range(1, MAX_CALLS + 10):
        _ask(memory, m=m)
    assert len(memory._known) == MAX_CALLS


def test_predictors_of_others_are_asked_each_time() -> None:
    class Other:
        name = "other"

    other: Any = Other()
    assert remembered(other) is other


def test_predictions_from_memory_are_equal() -> None:
    tensors = {name: Tensor(name, (64, 64), "bf16") for name in "abc"}
    node = Node("g", Gemm(m=64, n=64, k=64, dtype="bf16"), ("a", "b"), ("c",))
    graph = Graph("one", tensors, (node,), ("a", "b"), ("c",))
    assert predict(graph, "h100-sxm") == predict(graph, "h100-sxm")


class Counted:
    """In place of the runtime: counts what it is asked for, and changes nothing."""

    asked: ClassVar[list[Path]] = []

    def __init__(self, threads: int = 1) -> None:
        pass

    def why_not(self) -> None:
        return None

    def optimise(self, model: Path, target: Path) -> None:
        self.asked.append(model)
        target.write_bytes(model.read_bytes())


def stand_in(threads: int) -> Any:
    """All that is asked of the kernels of a processor."""
    return SimpleNamespace(threads=threads)


def test_a_runtime_is_asked_once_for_its_graph_of_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("perfmodel.collect.onnxruntime_cpu.OnnxRuntimeCpu", Counted)
    monkeypatch.setattr(Counted, "asked", [])
    examples = Path(__file__).parent.parent / "examples"
    path = tmp_path / "net.onnx"
    path.write_bytes((examples / "resnet18.onnx").read_bytes())
    one, four = stand_in(1), stand_in(4)
    for batch in (1, 8, 64):
        graph, warning = runtime_graph(str(path), one, {"batch": batch})
        assert warning == ""
        assert graph == read_onnx(path, dims={"batch": batch})
    assert Counted.asked == [path]
    runtime_graph(path, four, {"batch": 1})
    assert len(Counted.asked) == 2  # threads decide what is fused
    os.utime(path, ns=(1, 1))
    runtime_graph(path, one, {"batch": 1})
    assert len(Counted.asked) == 3  # it was written again
    path.unlink()
    assert "no such file" in runtime_graph(path, one, {"batch": 1})[1]
