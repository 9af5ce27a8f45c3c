"""Predictions of whole models: file → graph → fusion → operators → composition."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from perfmodel.dtypes import gemm_dtype
from perfmodel.errors import InputError, checked_keywords, is_number, one_of
from perfmodel.graph import Graph, without_collection
from perfmodel.hardware import Device, load_device
from perfmodel.models.host.boosters import HostKernels
from perfmodel.models.predictor import load as load_predictor
from perfmodel.models.protocol import PredictorProtocol
from perfmodel.ops import Attention
from perfmodel.predict.conditions import device_list
from perfmodel.predict.result import Comparison, Estimate, ModelPrediction, OperatorPrediction

FUSIONS = ("none", "engine")
LAUNCHES = ("graph", "eager")


@checked_keywords()
def predict(
    model: str | os.PathLike[str] | Graph | Any,
    device: str | os.PathLike[str] | Device,
    *,
    dims: Mapping[str, int] | None = None,
    dtype: str | None = None,
    dtype_map: Mapping[str, str] | None = None,
    kv_dtype: str | None = None,
    predictor: str | Path | PredictorProtocol = "default",
    software: str | None = None,
    fusion: str = "engine",
    launch: str = "graph",
    clock_mhz: float | None = None,
    power_limit_w: float | None = None,
    cache: str = "rotating",
    entry: str | None = None,
) -> ModelPrediction:
    """Latency, power, energy and memory of a model on a device.

    Args:
        model: the path of an ONNX file, an ``onnx.ModelProto``, its bytes, or a :class:`~perfmodel.graph.Graph`; the path of
            an MLIR module, its text or bytecode, or a live module of MLIR's Python bindings (of JAX, torch-mlir, IREE).
        device: a device id, the path of a device TOML, or a record.
        dims: a number for each symbolic dimension of the model.
        dtype: the format of the GEMM-like operators; None means as the file has them.
        dtype_map: formats of some of them, by operator family (``"attention"``) or pattern of names (``"*/lm_head/*"``);
            the most specific key decides (:mod:`perfmodel.predict.dtype_map`).
        kv_dtype: the format in which cached keys and values are stored; None means as attention runs.
        predictor: a shipped name, ``"analytical"``, a folder, a name that a package registers, or a loaded predictor.
        software: the software stack, as ``"vllm-0.24.0"`` or ``"vllm"``; None means the fastest of those measured.
        fusion: ``"engine"`` fuses as inference engines do, ``"none"`` runs one kernel an operator.
        launch: ``"graph"`` replays a captured graph, ``"eager"`` launches each kernel from the host.
        clock_mhz: a locked clock [MHz].
        power_limit_w: a power limit below the device's [W].
        cache: ``"rotating"`` (weights come from memory, activations may be resident: what a model sees), ``"warm"`` or
            ``"cold"``.
        entry: the function of an MLIR module to predict; None means ``main``, ``forward``, or the only one that nothing
            calls.

    Raises:
        InputError: the file, a dimension, the device, the dtype or an option cannot be used; the message is one line.
        PredictorError: the predictor's folder is damaged.
    """
    # The cheap checks first: a mistyped device should not wait for a large file.
    record = load_device(device)
    with without_collection():
        prepared = _prepare(model, dims, dtype, dtype_map, kv_dtype, fusion, entry)
        return _predict(prepared, record, dims, predictor, software, launch, clock_mhz, power_limit_w, cache)


@checked_keywords()
def compare(
    model: str | os.PathLike[str] | Graph | Any,
    devices: str | os.PathLike[str] | Device | Sequence[str | os.PathLike[str] | Device],
    *,
    dims: Mapping[str, int] | None = None,
    dtype: str | None = None,
    dtype_map: Mapping[str, str] | None = None,
    kv_dtype: str | None = None,
    predictor: str | Path | PredictorProtocol = "default",
    software: str | None = None,
    fusion: str = "engine",
    launch: str = "graph",
    clock_mhz: float | None = None,
    power_limit_w: float | None = None,
    cache: str = "rotating",
    entry: str | None = None,
    report: Callable[[str], None] = lambda line: None,
) -> Comparison:
    """:func:`predict` on several devices, fastest first; the file is read and fused once.

    Args:
        model: as for :func:`predict`.
        devices: as ``device`` there; one or several.
        dims, dtype, dtype_map, kv_dtype, predictor, software, fusion, launch, clock_mhz, power_limit_w, cache, entry: as there.
        report: is told which device is predicted next.
    """
    records = [load_device(d) for d in device_list(devices, "compare")]
    prepared = _prepare(model, dims, dtype, dtype_map, kv_dtype, fusion, entry)
    loaded = load_predictor(predictor)
    predictions = []
    for number, record in enumerate(records, 1):
        report(f"{number}/{len(records)} {record.id}")
        predictions.append(_predict(prepared, record, dims, loaded, software, launch, clock_mhz, power_limit_w, cache))
    return Comparison(sorted(predictions, key=lambda p: p.latency_s.value))


def kernels_of(
    model: str | os.PathLike[str] | Graph | Any,
    *,
    dims: Mapping[str, int] | None = None,
    dtype: str | None = None,
    dtype_map: Mapping[str, str] | None = None,
    kv_dtype: str | None = None,
    fusion: str = "engine",
    entry: str | None = None,
) -> Graph:
    """The graph whose nodes are the kernels that :func:`predict` predicts: bound, fused, in the formats asked for.

    Args:
        model, dims, dtype, dtype_map, kv_dtype, fusion, entry: as there.
    """
    return _prepare(model, dims, dtype, dtype_map, kv_dtype, fusion, entry).graph


@dataclass(frozen=True)
class _Prepared:
    """What does not depend on the device: the bound graph as the file has it, and fused and in the formats asked for.

    ``cache_added``: the graphs are of a step whose cache the file knows nothing of.
    """

    model: Any
    bound: Graph
    graph: Graph
    fusion: str
    dtype: str | None
    dtype_map: Mapping[str, str]
    kv_dtype: str | None
    cache_added: bool = False

    @cached_property
    def on_cpu(self) -> Graph:
        """The graph whose tensors a CPU runtime holds."""
        from perfmodel.features.fusion import fuse_for_cpu
        from perfmodel.predict.cast import cast

        if self.fusion == "none":
            return self.graph
        return cast(fuse_for_cpu(self.bound), self.dtype, self.dtype_map, self.kv_dtype)


def _prepare(
    model: Any,
    dims: Mapping[str, int] | None,
    dtype: str | None,
    dtype_map: Mapping[str, str] | None,
    kv_dtype: str | None,
    fusion: str,
    entry: str | None = None,
) -> _Prepared:
    from perfmodel.features.fusion import fuse
    from perfmodel.predict.cast import cast
    from perfmodel.predict.dtype_map import checked
    from perfmodel.predict.kv_cache import cache_dtype

    one_of("fusion", fusion, FUSIONS)
    if dtype is not None:
        gemm_dtype(dtype)
    formats = dict(dtype_map or {})
    checked(formats)
    if kv_dtype is not None:
        cache_dtype(kv_dtype)
    bound = _graph(model, dims or {}, entry, joined=fusion == "none")
    graph = cast(fuse(bound, mode=fusion), dtype, formats, kv_dtype)
    return _Prepared(model, bound, graph, fusion, dtype, formats, kv_dtype)


def _predict(
    prepared: _Prepared,
    device: Device,
    dims: Mapping[str, int] | None,
    predictor: str | Path | PredictorProtocol,
    software: str | None,
    launch: str,
    clock_mhz: float | None,
    power_limit_w: float | None,
    cache: str,
) -> ModelPrediction:
    from perfmodel.models.power import idle_power_w, limit_w
    from perfmodel.predict.compose import compose, waiting_power_w
    from perfmodel.predict.remembered import remembered
    from perfmodel.predict.workload import workload_of

    one_of("launch", launch, LAUNCHES)
    for name, value in (("clock_mhz", clock_mhz), ("power_limit_w", power_limit_w)):
        if value is not None and not (is_number(value) and 0 < value < float("inf")):
            raise InputError(f"{name} is {value!r}; wanted a number above 0")
    clock_hz = None if clock_mhz is None else clock_mhz * 1e6
    loaded = remembered(load_predictor(predictor))
    graph, host, warning = _on_host(prepared, device, loaded, software, dims)
    prediction = compose(
        graph,
        device,
        loaded,
        software=None if host is not None else software,
        cache=cache,
        launch=launch,
        clock_hz=clock_hz,
        power_limit_w=power_limit_w,
        dims={name: int(value) for name, value in (dims or {}).items()},
        cpu_graph=prepared.on_cpu if device.kind == "cpu" else None,
        host=host,
    )
    return replace(
        prediction,
        warnings=(*prediction.warnings, *((warning,) if warning else ())),
        dtype_map=prepared.dtype_map,
        kv_dtype=prepared.kv_dtype,
        workload=workload_of(prepared.bound),
        idle_power_w=waiting_power_w(device, power_limit_w, clock_hz),
        power_limit_w=limit_w(device, power_limit_w),
        lowest_idle_power_w=idle_power_w(device),
    )


def _on_host(
    prepared: _Prepared, device: Device, predictor: Any, software: str | None, dims: Mapping[str, int] | None
) -> tuple[Graph, HostKernels | None, str]:
    """The graph to predict, what was learned of the processor's runtime (None: nothing), and a line of warning."""
    from perfmodel.models.host.boosters import host_kernels_of

    host = host_kernels_of(getattr(predictor, "host", ()), device, software)
    if host is None or prepared.fusion == "none":
        return prepared.graph, None, ""
    if prepared.dtype is not None or prepared.dtype_map or prepared.kv_dtype is not None:
        graph, warning = None, "formats that the file does not have: fused as perfmodel knows, which is less exact"
    else:
        from perfmodel.predict.on_host import runtime_graph

        graph, warning = runtime_graph(prepared.model, host, dims)
    if prepared.cache_added and not any(isinstance(node.op, Attention) for node in prepared.bound.nodes):
        # The runtime runs attention in parts where the file has it so, and no part says what it would read of a cache.
        warning += (
            "; the file has neither inputs for past keys and values nor attention as one operator: decode steps do not count"
            " what is read from the cache, and cost the same after any prompt"
        )
    return (prepared.on_cpu if graph is None else graph), host, warning


def _graph(
    model: Any, dims: Mapping[str, int], entry: str | None, *, joined: bool = False, keep_symbolic: bool = False
) -> Graph:
    """The graph of a model of any kind; with ``keep_symbolic`` dimensions without a number may stay open."""
    if isinstance(model, Graph):
        from perfmodel.features.onnx.dims import check_given

        return model.bind(**check_given(dims)) if model.open_dims and not keep_symbolic else model
    from perfmodel.features.mlir.detect import is_mlir

    if is_mlir(model):
        from perfmodel.features.mlir import read_mlir

        return read_mlir(model, dims=dims, entry=entry, joined=joined, keep_symbolic=keep_symbolic)
    if entry is not None:
        raise InputError(f"entry is {entry!r}, but the model is no MLIR module: ONNX files have one graph")
    from perfmodel.features.onnx import read_onnx

    return read_onnx(model, dims=dims, keep_symbolic=keep_symbolic)


__all__ = ["Comparison", "Estimate", "ModelPrediction", "OperatorPrediction", "compare", "kernels_of", "predict"]
