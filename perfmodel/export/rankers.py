"""The seconds of one kernel configuration on one device, recorded from the ranker's physics and tables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from perfmodel.errors import InputError, PerfmodelError, checked_keywords
from perfmodel.export.operators import Export, family_of_name, identifier, recorded_fields
from perfmodel.hardware.device import Device
from perfmodel.hardware.loader import load_device
from perfmodel.rank.opinions import Opinions
from perfmodel.rank.physics import Physics, problem_values
from perfmodel.rank.pretrained import Pretrained
from perfmodel.rank.ranker import INTERVAL, pretrained_of
from perfmodel.rank.single import beyond_physics, recorded_columns
from perfmodel.rank.space import Space
from perfmodel.rank.space import space as space_of
from perfmodel.recording.program import Program
from perfmodel.recording.recorded import SAMPLE_ROWS, UnrecordableError

OUTPUTS = {
    "latency_s": "seconds of the kernel",
    "latency_low_s": "lower end of the 90 % interval, seconds",
    "latency_high_s": "upper end of the 90 % interval, seconds",
    "analytical_s": "seconds by the physics alone",
}
"""What an exported ranker gives, with units."""
_TOLERANCE = 1e-12


@checked_keywords()
def ranker(
    device: Device | str, space: Space | str | Mapping[str, Any], dtype: str, *, settings: Mapping[str, Any] | None = None,
    pretrained: Pretrained | str = "default", name: str | None = None,
) -> Export:  # fmt: skip
    """Records what :func:`perfmodel.rank.prepare` answers, of any problem unless ``settings`` fixes some of its dimensions.

    Args:
        device: its id, its TOML, or its record.
        space: the configuration space.
        dtype: the problem's number format.
        settings: dimensions that are fixed, and other fields of the descriptor.
        pretrained: as for a ranker.
        name: of the C function; None means one made of space, format and device.

    Raises:
        InputError: what cannot be exported, with the reason.
    """
    record = device if isinstance(device, Device) else load_device(device)
    described = space_of(space)
    family = family_of_name(described.op)
    program = Program()
    fields, sample = recorded_fields(family, settings or {}, program)
    taught = pretrained_of(pretrained)
    one = family(dtype=dtype, **{**fields, **{n: float(v[0]) for n, v in sample.items()}})
    physics = Physics.of(described, one, record)
    tables = [s.tables for s in Opinions(physics, taught).sources]
    columns = recorded_columns(described, program)
    op = family(dtype=dtype, **fields)
    try:
        costs = replace(physics, fixed={**physics.fixed, **problem_values(op)}).costs(columns)
        seconds = costs.latency_s
        if tables:
            seconds = seconds * np.exp(beyond_physics([t.predict(columns) for t in tables]))
    except (UnrecordableError, TypeError) as error:
        raise InputError(f"the space {described.id} in {dtype} on {record.id} cannot be exported: {error}") from None
    wide = INTERVAL * float(np.hypot(taught.level_log_std, taught.shape_log_std))
    outputs = {
        "latency_s": seconds, "latency_low_s": seconds * np.exp(-wide), "latency_high_s": seconds * np.exp(wide),
        "analytical_s": costs.latency_s, "refused": physics.refusal(costs),
    }  # fmt: skip
    _verify(described.id, physics, family, dtype, fields, sample, columns, costs)
    program.outputs = {n: program.value_of(v) for n, v in outputs.items()}
    inputs = {n: f"whole number: {n} of the problem" for n in sample}
    inputs |= {
        n: f"parameter of {described.id}" + ("" if default is None else f", usually {default:g}")
        for n, default in described.columns.items()
    }
    name = name or identifier("perfmodel_rank", described.id, dtype, record.id)
    by = f"learned on {', '.join(s.device for s in Opinions(physics, taught).sources)}" if tables else "physics alone"
    return Export(
        name, f"Latency of {described.title} in {dtype} on {record.id} ({by})", program, inputs, OUTPUTS,
        refusals=physics.reasons,
    )  # fmt: skip


def _verify(
    space: str, physics: Physics, family: Any, dtype: str, fields: Mapping[str, Any], sample: Mapping[str, np.ndarray],
    columns: Mapping[str, np.ndarray], costs: Any,
) -> None:  # fmt: skip
    """Some of the recorded rows against the physics of their problems, one by one."""
    for row in range(0, SAMPLE_ROWS, 10):
        op = family(dtype=dtype, **{**fields, **{n: float(v[row]) for n, v in sample.items()}})
        own = Physics.of(physics.space, op, physics.device)
        with np.errstate(all="ignore"):
            alone = own.costs({n: np.array([v.view(np.ndarray)[row]]) for n, v in columns.items()})
        mine, theirs = (
            float(np.asarray(v).reshape(-1)[0]) for v in (np.asarray(costs.latency_s)[row], alone.latency_s)
        )
        refused = int(np.asarray(costs.refused)[row]), int(np.asarray(alone.refused).reshape(-1)[0])
        if refused[0] != refused[1] or not (refused[0] or abs(mine - theirs) <= _TOLERANCE * theirs):
            raise PerfmodelError(f"the space {space} as recorded differs from the ranker's own: please report it")
