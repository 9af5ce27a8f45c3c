"""The plan of a CPU's memory against what onnxruntime's arena says after a run of the same model."""

from __future__ import annotations

import sys
from pathlib import Path

import onnx
import pytest
from memory_models import decoder, feeds, lstm, mixer, mobilenet, runnable, unet

from perfmodel.features.fusion import fuse_for_cpu
from perfmodel.features.onnx import read_onnx
from perfmodel.predict.memory import plan_on_cpu

pytest.importorskip("onnxruntime")

from ort_arena import measure

DEMO = Path(__file__).resolve().parent.parent / "examples" / "resnet18.onnx"


@pytest.mark.skipif(sys.platform == "win32", reason="the C interface takes wide paths there")
@pytest.mark.parametrize(
    ("model", "dims"),
    [
        (lambda: runnable(DEMO), {"batch": 1}),
        (lambda: unet(width=16, size=64), {"batch": 2}),
        (lambda: mobilenet(size=64), {"batch": 2}),
        (lambda: mixer(tokens=64, width=64, layers=2), {"batch": 4}),
        (lambda: lstm(width=64, layers=2), {"batch": 2, "time": 100}),
        (lambda: decoder(width=64, layers=2, vocabulary=500), {"batch": 2, "seq": 8, "past": 56}),
    ],
    ids=["resnet18", "unet", "mobilenet", "mixer", "lstm", "decoder"],
)
def test_within_a_quarter_of_the_arena(model: object, dims: dict[str, int], tmp_path: Path) -> None:
    proto, path = model(), tmp_path / "model.onnx"  # type: ignore[operator]
    onnx.save(proto, path)
    values = feeds(proto, dims)
    found = plan_on_cpu(fuse_for_cpu(read_onnx(str(path), dims=dims)))
    # The arena holds what the run makes: neither weights nor what the caller brings (past keys and values included).
    brought = sum(a.nbytes for a in values.values())
    planned = found.peak_bytes - found.weights_bytes - brought
    measured = measure(path, values, [o.name for o in proto.graph.output], dims=dims, exact=True)
    asked = measured.first.peak_in_use - measured.loaded.in_use
    assert asked > 100_000
    assert planned == pytest.approx(asked, rel=0.25)
