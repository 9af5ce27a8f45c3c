"""Predictions of whole models: file → graph → fusion → operators → composition."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from perfmodel.errors import InputError, nearest
from perfmodel.graph import Graph
from perfmodel.hardware import Device, load_device
from perfmodel.predict.result import Estimate, ModelPrediction, OperatorPrediction

if TYPE_CHECKING:
    from perfmodel.models.predictor import Predictor

FUSIONS = ("none", "engine")
LAUNCHES = ("graph", "eager")


def predict(
    model: str | os.PathLike[str] | Graph | Any,
    device: str | os.PathLike[str] | Device,
    *,
    dims: Mapping[str, int] | None = None,
    dtype: str | None = None,
    predictor: str | Path | Predictor = "default",
    software: str | None = None,
    fusion: str = "engine",
    launch: str = "graph",
    clock_mhz: float | None = None,
    power_limit_w: float | None = None,
    cache: str = "rotating",
) -> ModelPrediction:
    """Latency, power, energy and memory of a model on a device.

    Args:
        model: the path of an ONNX file, an ``onnx.ModelProto``, its bytes, or a :class:`~perfmodel.graph.Graph`.
        device: a device id, the path of a device TOML, or a record.
        dims: a number for each symbolic dimension of the model.
        dtype: the format of the GEMM-like operators; None means as the file has them.
        predictor: a shipped name, ``"analytical"``, a folder, or a loaded predictor.
        software: the software stack, as ``"vllm-0.24.0"`` or ``"vllm"``; None means the fastest of those measured.
        fusion: ``"engine"`` fuses as inference engines do, ``"none"`` runs one kernel an operator.
        launch: ``"graph"`` replays a captured graph, ``"eager"`` launches each kernel from the host.
        clock_mhz: a locked clock [MHz].
        power_limit_w: a power limit below the device's [W].
        cache: ``"rotating"`` (weights come from memory, activations may be resident: what a model sees), ``"warm"`` or
            ``"cold"``.

    Raises:
        InputError: the file, a dimension, the device, the dtype or an option cannot be used; the message is one line.
        PredictorError: the predictor's folder is damaged.
    """
    from perfmodel.features.fusion import fuse
    from perfmodel.models.predictor import load
    from perfmodel.predict.cast import cast
    from perfmodel.predict.compose import compose

    _check(fusion, FUSIONS, "fusion")
    _check(launch, LAUNCHES, "launch")
    # The cheap checks first: a mistyped device should not wait for a large file.
    record = load_device(device)
    if dtype is not None:
        from perfmodel.dtypes import gemm_dtype

        gemm_dtype(dtype)
    loaded = load(predictor)
    bound = dict(dims or {})
    graph = _graph(model, bound)
    graph = fuse(graph, mode=fusion)
    if dtype is not None:
        graph = cast(graph, dtype)
    return compose(
        graph, record, loaded, software=software, cache=cache, launch=launch,
        clock_hz=None if clock_mhz is None else clock_mhz * 1e6, power_limit_w=power_limit_w, dims=bound,
    )  # fmt: skip


def compare(
    model: str | os.PathLike[str] | Graph | Any, devices: Sequence[str | os.PathLike[str] | Device], **options: Any
) -> list[ModelPrediction]:
    """:func:`predict` on several devices, fastest first; the file is read once.

    Args:
        model: as for :func:`predict`.
        devices: as ``device`` there; at least one.
        options: the other arguments of :func:`predict`.
    """
    if not devices:
        raise InputError("compare needs at least one device")
    records = [load_device(d) for d in devices]
    graph = _graph(model, dict(options.get("dims") or {}))
    options["dims"] = dict(options.get("dims") or {})
    predictions = [predict(graph, record, **options) for record in records]
    return sorted(predictions, key=lambda p: p.latency_s.value)


def _graph(model: Any, dims: dict[str, int]) -> Graph:
    if isinstance(model, Graph):
        return model.bind(**dims) if model.open_dims else model
    from perfmodel.features.onnx import read_onnx

    return read_onnx(model, dims=dims)


def _check(value: str, known: Sequence[str], name: str) -> None:
    if value not in known:
        raise InputError(f"{name} is {value!r}: {nearest(str(value), known)}")


__all__ = ["Estimate", "ModelPrediction", "OperatorPrediction", "compare", "predict"]
