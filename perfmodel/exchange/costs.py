"""What each node of a file costs: the kernels of a prediction, put where their parts stand in the file.

A kernel stands at the node that it is named after; the other nodes that were fused into it say so (``part_of``) and have no
time of their own, so that the times of all nodes add up to that of all kernels. Several kernels at one node (a function that
is called twice, an operator that runs as two kernels) are added.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from perfmodel.predict.result import Estimate, ModelPrediction, OperatorPrediction

PREFIX = "perfmodel."
"""Before the name of every key that is added to a file."""

Value: TypeAlias = float | int | str


@dataclass(frozen=True)
class Placed:
    """Costs by place.

    Attributes:
        nodes: by place what is added to it, without :data:`PREFIX`.
        homeless: operators of which no part stands in the file.
    """

    nodes: Mapping[Any, Mapping[str, Value]]
    homeless: tuple[OperatorPrediction, ...]


def place(prediction: ModelPrediction, places: Mapping[str, Hashable]) -> Placed:
    """The costs of each place.

    Args:
        prediction: of the file.
        places: of the file's nodes, by the name that the prediction's ``members`` have.
    """
    kernels: dict[Hashable, list[OperatorPrediction]] = {}
    part_of: dict[Hashable, str] = {}
    homeless = []
    for o in prediction.operators:
        home = next((places[name] for name in (o.name, *o.members) if name in places), None)
        if home is None:
            homeless.append(o)
            continue
        kernels.setdefault(home, []).append(o)
        for name in o.members:
            if name in places and places[name] != home:
                part_of.setdefault(places[name], o.name)
    nodes: dict[Any, Mapping[str, Value]] = {at: {"part_of": name} for at, name in part_of.items() if at not in kernels}
    nodes |= {at: _costs(found, prediction.latency_s.value) for at, found in kernels.items()}
    return Placed(nodes, tuple(homeless))


def _costs(kernels: list[OperatorPrediction], total_s: float) -> dict[str, Value]:
    longest = max(kernels, key=lambda o: o.latency_s.value)
    seconds = sum(o.latency_s.value for o in kernels)
    result: dict[str, Value] = {
        **_ends("latency", "s", [o.latency_s for o in kernels]),
        "share": seconds / total_s if total_s > 0 else 0.0,
        "bound": longest.bound,
        "source": longest.source,
        "op": longest.op,
        "shape": longest.shape,
        "dtype": longest.dtype,
        "count": sum(o.count for o in kernels),
        "flops": sum(o.flops for o in kernels),
        "bytes": sum(o.bytes for o in kernels),
    }
    energies = [o.energy_j for o in kernels if o.energy_j is not None]
    if len(energies) == len(kernels):
        result |= _ends("energy", "j", energies)
        joules = sum(e.value for e in energies)
        if len(kernels) == 1 and longest.power_w is not None:
            result["power_w"] = longest.power_w.value
        elif seconds > 0:
            result["power_w"] = joules / seconds
    if len(kernels) > 1:
        result["kernels"] = len(kernels)
    return result


def totals(prediction: ModelPrediction, placed: Placed) -> dict[str, Value]:
    """What is said of the file as a whole."""
    from perfmodel import __version__

    kernels_s = sum(o.latency_s.value for o in prediction.operators)
    result: dict[str, Value] = {
        "version": __version__,
        "device": prediction.device,
        "predictor": prediction.predictor,
        **_ends("latency", "s", [prediction.latency_s]),
        "peak_memory_bytes": prediction.peak_memory_bytes,
        "flops": prediction.flops,
        "bytes": prediction.bytes,
        "utilisation": prediction.utilisation,
    }
    if prediction.energy_j is not None:
        result |= _ends("energy", "j", [prediction.energy_j])
    if prediction.power_w is not None:
        result["power_w"] = prediction.power_w.value
    if prediction.dims:
        result["dims"] = ", ".join(f"{name}={size}" for name, size in prediction.dims.items())
    idle_s = prediction.latency_s.value - kernels_s
    if idle_s > 1e-9 * prediction.latency_s.value:
        result["outside_kernels_s"] = idle_s
    if placed.homeless:
        result["unplaced_s"] = sum(o.latency_s.value for o in placed.homeless)
    return result


def _ends(name: str, unit: str, estimates: list[Estimate]) -> dict[str, Value]:
    return {
        f"{name}_{unit}": sum(e.value for e in estimates),
        f"{name}_low_{unit}": sum(e.low for e in estimates),
        f"{name}_high_{unit}": sum(e.high for e in estimates),
    }
