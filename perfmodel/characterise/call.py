"""``characterise``: a module in, what the compiler will make of it out."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from perfmodel.characterise.description import Description, describe
from perfmodel.characterise.learned import Learned, load, shipped, shipped_targets
from perfmodel.characterise.result import Characterisation, DispatchCharacter, Interval
from perfmodel.errors import InputError, checked_keywords, nearest
from perfmodel.features.mlir.source import is_text

DEFAULT_TARGET = "iree-llvm-cpu-haswell"
_SHOWN = ("instructions", "code_bytes", "executed", "vector_registers", "spills")


@checked_keywords()
def characterise(
    source: str | os.PathLike[str] | bytes | Any,
    *,
    target: str = DEFAULT_TARGET,
    model: str | os.PathLike[str] | Learned | None = None,
    entry: str | None = None,
    vector_tiles: Sequence[int] | None = None,
) -> Characterisation:
    """What the compiler will make of a module; no compiler is run.

    Args:
        source: a path, the text, bytecode, or a live module of MLIR's Python bindings; in linalg and tensor operations.
        target: id of a target that a model ships for.
        model: a characteriser or its folder, in place of the shipped one.
        entry: the function; None means ``main`` or ``forward``, or the one that nothing else calls.
        vector_tiles: vector tile sizes of the root's loops in place of the heuristic's, for a module of one dispatch: how many
            instructions and spills would others give?

    Raises:
        ModelFileError: the module cannot be read, or holds nothing that becomes code.
        InputError: no model ships for the target; a tensor has an open dimension; the tiles do not fit.
        PredictorError: the model's folder is damaged.
    """
    learned = _model(target, model)
    description = describe(source, learned.target, entry=entry)
    if vector_tiles is not None:
        description = _with_tiles(source, description, learned, vector_tiles, entry)
    values = learned.dispatch_values(description.matrix)
    dispatches = tuple(
        DispatchCharacter(
            name, features.tiling.strategy, features.tiling.distribution, features.tiling.vector, features.iterations,
            features.flops, features.bytes, **{k: Interval(*map(float, values[k][i])) for k in _SHOWN},
            many_spills=float(values["many_spills"][i, 0]),
        )
        for i, (name, features) in enumerate(zip(description.names, description.dispatches, strict=True))
    )  # fmt: skip
    new = description.is_new
    seconds = learned.latency(description.matrix, values["executed"][:, 0])
    latency = None if seconds is None else Interval(*seconds)
    return Characterisation(
        _name(source), learned.target.id, learned.target.compiler, learned.processor, dispatches,
        _total(values["instructions"][new]), _total(values["code_bytes"][new]), _total(values["executed"]),
        _total(values["spills"][new]),
        latency, _used(learned, latency, sum(d.flops for d in dispatches)), dict(description.unknown), _notes(description),
    )  # fmt: skip


def _model(target: str, model: str | os.PathLike[str] | Learned | None) -> Learned:
    if isinstance(model, Learned):
        return model
    if model is not None:
        return load(Path(model))
    known = shipped_targets()
    if target not in known:
        raise InputError(f"no characteriser ships for the target {target!r}: {nearest(target, known)}")
    return shipped(target)


def _with_tiles(
    source: Any, description: Description, learned: Learned, vector: Sequence[int], entry: str | None
) -> Description:
    if len(description.dispatches) != 1:
        raise InputError(f"tiles are given for one dispatch, and this module has {len(description.dispatches)}")
    tiling = description.dispatches[0].tiling
    if len(vector) != len(tiling.vector) or any(size < 0 for size in vector):
        loops = ",".join(map(str, tiling.vector))
        raise InputError(
            f"tiles {','.join(map(str, vector))}: wanted {len(tiling.vector)} whole numbers of at least 0, one a loop, "
            f"as in {loops}"
        )
    return describe(source, learned.target, entry=entry, tiling=replace(tiling, vector=tuple(vector)))


def _used(learned: Learned, latency: Interval | None, flops: float) -> Interval | None:
    """Share of the processor's peak that a call's floating-point operations are."""
    if latency is None or learned.peak_flops <= 0:
        return None
    at = (latency.value, latency.high, latency.low)
    return Interval(*(min(flops / (learned.peak_flops * seconds), 1.0) for seconds in at))


def _total(values: np.ndarray) -> Interval:
    """The sum over dispatches; errors of different dispatches are taken to go the same way, so that the interval holds."""
    value, low, high = (float(x) for x in values.sum(axis=0))
    return Interval(value, low, high)


def _name(source: Any) -> str:
    if isinstance(source, (str, os.PathLike)) and not is_text(source):
        return Path(source).name
    return "module"


def _notes(description: Description) -> tuple[str, ...]:
    notes = []
    if description.unknown:
        listed = ", ".join(f"{op} ({count})" for op, count in sorted(description.unknown.items()))
        notes.append(f"not understood, and in no figure: {listed}")
    return tuple(notes)
