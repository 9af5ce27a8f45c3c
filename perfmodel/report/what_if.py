"""The same model under other batches, formats, devices and launches: predicted beforehand, so that the page has no need to."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Any

from perfmodel.dtypes import GEMM_DTYPES
from perfmodel.errors import PerfmodelError
from perfmodel.features.mlir.detect import is_mlir
from perfmodel.features.mlir.ir import Module
from perfmodel.features.mlir.source import read
from perfmodel.graph import Graph, without_collection
from perfmodel.hardware import Device, device_ids, load_device
from perfmodel.models.predictor import load as load_predictor
from perfmodel.predict import FUSIONS, LAUNCHES, _graph, _predict, _prepare, _Prepared
from perfmodel.predict.conditions import distinct_devices
from perfmodel.predict.result import ModelPrediction
from perfmodel.predict.workload import BATCH_DIMS, SEQUENCE_DIMS
from perfmodel.report.places import operator_paths

FACTORS = (0.25, 0.5, 2, 4, 8)
"""Multiples of a batch that are predicted."""
LENGTH_FACTORS = (0.5, 2, 4)
"""Multiples of a sequence's length."""
FORMATS = ("fp32", "bf16", "fp8", "int8", "w4a16", "nvfp4")
"""Formats that are predicted, where the device has their arithmetic."""
MOST_DEVICES = 6
"""Other devices, the ones nearest in memory bandwidth."""


@dataclass(frozen=True)
class Variant:
    """One alternative.

    Attributes:
        group: ``batch``, ``sequence``, ``format``, ``fusion``, ``launch`` or ``device``.
        label: what differs, as in ``batch=16``.
        device: the id.
        prediction: of it; None where it could not be made.
        reason: why not; empty where it could.
        is_base: whether it is what the page is about.
    """

    group: str
    label: str
    device: str
    prediction: ModelPrediction | None
    reason: str = ""
    is_base: bool = False


@dataclass(frozen=True)
class Study:
    """A model, devices and conditions, from which both the page's predictions and their alternatives are made."""

    model: Any
    devices: tuple[Device, ...]
    conditions: Mapping[str, Any]
    prepared: _Prepared
    predictor: Any
    source: Any
    """What graphs are made from: of MLIR the module, parsed once; else the model."""
    found: dict[str, ModelPrediction] = field(default_factory=dict)

    @classmethod
    def of(cls, model: Any, devices: Sequence[Any], conditions: Mapping[str, Any]) -> Study:
        """Reads the model once.

        Raises:
            InputError: as :func:`perfmodel.predict`; or two devices have one id.
        """
        records = distinct_devices(devices)
        predictor = load_predictor(conditions.get("predictor", "default"))
        with without_collection():
            source = parsed(model)
            prepared = replace(prepared_for(source, conditions), model=model)
        return cls(model, records, dict(conditions), prepared, predictor, source)

    @property
    def title(self) -> Mapping[str, Any]:
        """``model``, ``dims`` and what else was asked for."""
        return title_of(self.prepared.graph.name, self.conditions)

    def predictions(self, say: Callable[[str], None]) -> Iterator[tuple[ModelPrediction, Device]]:
        """One a device, in the order given."""
        for number, record in enumerate(self.devices, 1):
            say(f"{number}/{len(self.devices)} predicting on {record.id}")
            self.found[record.id] = self._predict(self.prepared, record)
            yield self.found[record.id], record

    def operator_paths(self, prediction: ModelPrediction) -> list[list[str]]:
        """For each operator of a prediction the modules that it lies in, and itself."""
        names = [o.name for o in prediction.operators]
        return operator_paths(names, self.prepared.graph, self.model)

    def variants(self, say: Callable[[str], None]) -> list[Variant]:
        """All alternatives, after :meth:`predictions`; each group starts with what the page is about."""
        result = []
        groups, others = self._changes(), self._other_devices()
        total = sum(map(len, groups.values())) + len(others)
        numbers = count(1)
        for group, changes in groups.items():
            result += [
                Variant(group, self._base_label(group), record.id, self.found[record.id], is_base=True)
                for record in self.devices
            ]
            for label, changed in changes:
                say(f"what if {next(numbers)}/{total}: {group} {label}")
                result += self._changed(group, label, changed)
        for record in others:
            say(f"what if {next(numbers)}/{total}: device {record.id}")
            result.append(self._variant("device", record.id, self.prepared, record, {}))
        return result

    def _changed(self, group: str, label: str, changed: Mapping[str, Any]) -> list[Variant]:
        try:
            with without_collection():
                prepared = self.prepared if group == "launch" else self._prepared_for(changed)
        except PerfmodelError as error:
            return [Variant(group, label, record.id, None, str(error)) for record in self.devices]
        # A format that a device has no arithmetic for would only repeat another row.
        return [
            self._variant(group, label, prepared, record, changed)
            for record in self.devices
            if group != "format" or _has(record, changed["dtype"])
        ]

    def _variant(
        self, group: str, label: str, prepared: _Prepared, record: Device, changed: Mapping[str, Any]
    ) -> Variant:
        try:
            return Variant(group, label, record.id, self._predict(prepared, record, changed))
        except PerfmodelError as error:
            return Variant(group, label, record.id, None, str(error))

    def _prepared_for(self, changed: Mapping[str, Any]) -> _Prepared:
        conditions = {**self.conditions, **changed}
        if "dims" in changed:
            prepared = prepared_for(self._open, {**conditions, "entry": None})
        elif "fusion" in changed and isinstance(self.source, Module):
            prepared = prepared_for(self.source, conditions)  # what a module's operations become depends on it
        else:
            prepared = prepared_for(self.prepared.bound, {**conditions, "dims": None, "entry": None})
        # A processor's runtime is asked for its graph of the file.
        return replace(prepared, model=self.model)

    @property
    def _open(self) -> Graph:
        """The model with its dimensions open, read when the first of them changes."""
        if "graph" not in self._read:
            self._read["graph"] = open_graph(self.source, self.conditions)
        return self._read["graph"]

    _read: dict[str, Graph] = field(default_factory=dict)

    def _predict(
        self, prepared: _Prepared, record: Device, changed: Mapping[str, Any] | None = None
    ) -> ModelPrediction:
        c = {**self.conditions, **(changed or {})}
        with without_collection():
            return _predict(
                prepared, record, c.get("dims"), self.predictor, c.get("software"), c.get("launch", "graph"),
                c.get("clock_mhz"), c.get("power_limit_w"), c.get("cache", "rotating"),
            )  # fmt: skip

    def _changes(self) -> dict[str, list[tuple[str, dict[str, Any]]]]:
        """By group what differs: a label, and the conditions that it changes."""
        dims = dict(self.conditions.get("dims") or {})
        result: dict[str, list[tuple[str, dict[str, Any]]]] = {}
        for group, names, factors in (("batch", BATCH_DIMS, FACTORS), ("sequence", SEQUENCE_DIMS, LENGTH_FACTORS)):
            name = next((n for n in dims if n.lower() in names), None)
            if name is not None:
                sizes = sorted({size for f in factors if (size := int(dims[name] * f)) >= 1} - {dims[name]})
                result[group] = [(f"{name}={size}", {"dims": {**dims, name: size}}) for size in sizes]
        asked = self.conditions.get("dtype")
        formats = [f for f in FORMATS if f != asked and any(_has(record, f) for record in self.devices)]
        result["format"] = [(name, {"dtype": name}) for name in formats]
        for group, known, usual in (("fusion", FUSIONS, "engine"), ("launch", LAUNCHES, "graph")):
            now = self.conditions.get(group, usual)
            result[group] = [(name, {group: name}) for name in known if name != now]
        return result

    def _base_label(self, group: str) -> str:
        dims = self.conditions.get("dims") or {}
        for name, names in (("batch", BATCH_DIMS), ("sequence", SEQUENCE_DIMS)):
            if group == name:
                return next(f"{n}={size}" for n, size in dims.items() if n.lower() in names)
        usual = {
            "format": self.conditions.get("dtype") or "as the file has them",
            "fusion": "engine",
            "launch": "graph",
        }
        return str(self.conditions.get(group) or usual[group])

    def _other_devices(self) -> list[Device]:
        """Those that the predictor was trained on, else of the catalogue, of the first device's kind and nearest to it."""
        first, mine = self.devices[0], {d.id for d in self.devices}
        trained = {device for _, device, _ in getattr(self.predictor, "residuals", {})}
        known = [load_device(name) for name in device_ids() if name not in mine]
        alike = [d for d in known if d.kind == first.kind]
        chosen = [d for d in alike if d.id in trained] or alike
        own = first.memory_bandwidth_bytes_per_s
        ratio = {d.id: max(d.memory_bandwidth_bytes_per_s / own, own / d.memory_bandwidth_bytes_per_s) for d in chosen}
        return sorted(chosen, key=lambda d: ratio[d.id])[:MOST_DEVICES]


def title_of(model: str, conditions: Mapping[str, Any]) -> dict[str, Any]:
    """What a page is about: ``model``, ``dims``, and ``asked``, the other conditions that were given."""
    asked = {k: v for k, v in conditions.items() if k not in ("dims", "predictor", "entry") and v}
    return {"model": model, "dims": dict(conditions.get("dims") or {}), "asked": asked}


def parsed(model: Any) -> Any:
    """An MLIR model as its module, of which each way of reading makes another graph; any other model as it is."""
    return model if isinstance(model, Graph) or not is_mlir(model) else read(model)


def open_graph(model: Any, conditions: Mapping[str, Any]) -> Graph:
    """A model with its dimensions open, read as the keyword arguments of :func:`perfmodel.predict` ask for."""
    joined = conditions.get("fusion", "engine") == "none"
    return _graph(model, {}, conditions.get("entry"), joined=joined, keep_symbolic=True)


def prepared_for(model: Any, conditions: Mapping[str, Any]) -> _Prepared:
    """A model bound, fused and in the formats that the keyword arguments of :func:`perfmodel.predict` ask for."""
    return _prepare(
        model, conditions.get("dims"), conditions.get("dtype"), conditions.get("dtype_map"), conditions.get("kv_dtype"),
        conditions.get("fusion", "engine"), conditions.get("entry"),
    )  # fmt: skip


def _has(device: Device, dtype: str) -> bool:
    """Whether a device multiplies in the format's own arithmetic, or the format is one of weights alone."""
    return GEMM_DTYPES[dtype].weight_only or device.arithmetic(dtype).note is None
