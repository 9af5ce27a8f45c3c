"""The protocols ``device`` and ``family``: each device, or each hardware family, is left out, for GEMMs the constants of the
physics included."""

from __future__ import annotations

from perfmodel.evaluate import JudgedRows
from perfmodel.protocols.task import Task, learned
from perfmodel.transfer import by_physics, harmful, leave_out, with_intervals


def judge(task: Task) -> list[JudgedRows]:
    """Every row, predicted without its device or family; intervals from what else was left out."""
    parts = learned(task)
    left_out = leave_out(parts, task.protocol, task.constants, seed=task.seed, jobs=task.jobs, report=task.report)
    # A device without a sibling takes its interval from other families that were left out.
    families = []
    if task.protocol == "device":
        families = leave_out(parts, "family", task.constants, seed=task.seed, jobs=task.jobs, report=task.report)
    # As in training: an unseen booster that harms a family is not used.
    withheld = harmful(families or left_out)
    left_out, families = by_physics(left_out, withheld), by_physics(families, withheld)
    judged = with_intervals(left_out, [*left_out, *families], {p.device for p in parts})
    return [part.rows for part in judged]
