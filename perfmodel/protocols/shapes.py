"""The protocol ``shapes``: whole groups of shapes are out of every table; the constants of the physics are held."""

from __future__ import annotations

from perfmodel.evaluate import JudgedRows
from perfmodel.protocols.task import Task, learned
from perfmodel.training.parallel import in_parallel
from perfmodel.training.parts import PartTask, cross_validate_part
from perfmodel.training.resume import Pieces


def judge(task: Task) -> list[JudgedRows]:
    """Every row that something is learned of, predicted by boosters that saw no row of its group in any table."""
    tasks = [PartTask.of(part, task.constants, task.seed, Pieces(None)) for part in learned(task)]
    judged: list[JudgedRows] = []
    for done, rows in enumerate(in_parallel(cross_validate_part, tasks, task.jobs), start=1):
        judged += rows
        task.report(f"{done}/{len(tasks)} tables judged")
    return judged
