"""Training for what is held out: the physics constants, and the boosters that it will lean on, no others."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from perfmodel.evaluate import JudgedRows, judge_part
from perfmodel.hardware import load_device
from perfmodel.models.constants import Constants
from perfmodel.models.families.gemm import GEMM
from perfmodel.models.fit import fit_constants
from perfmodel.models.learned import Key, Residual
from perfmodel.models.predictor import Predictor
from perfmodel.models.trace_rows import Part, parts_of
from perfmodel.protocols.runs import predicted_runs
from perfmodel.training.parallel import in_parallel
from perfmodel.training.parts import NO_INTERVAL, PartTask, train_booster
from perfmodel.training.resume import Pieces
from perfmodel.transfer import LeftOut, sibling_of, train_unseen, with_interval_of

if TYPE_CHECKING:
    import pandas as pd

    from perfmodel.datasets.runs import Runs
    from perfmodel.datasets.splits import Tables

VARIANT = "variant"
"""A column of rows to judge that tells apart what the schema does not (NeuSight's linear layers and batched products)."""
_EVALUATIONS = 8
"""Steps of a fit of the constants, which starts near its end."""


@dataclass(frozen=True)
class HeldOut:
    """One thing that is held out.

    Attributes:
        name: what is held out, for the column ``held_out`` of what is judged.
        train: operator traces to train on, by operator.
        test: operator traces to judge, by operator, perhaps with a column :data:`VARIANT`.
        runs: runs to judge.
        start: where the fit of the constants begins.
        seed: of samples and boosters.
    """

    name: str
    train: Tables
    test: Tables
    runs: tuple[Runs, ...]
    start: Constants
    seed: int


def judge_held_out(
    parts: Iterable[HeldOut], jobs: int, report: Callable[[str], None] = lambda line: None
) -> list[JudgedRows]:
    """Everything that is held out, predicted without it, with intervals from the errors of the other parts.

    A part that has no others to take an interval from claims none (NaN), unless it is predicted by the physics alone.
    """
    judged: list[JudgedRows] = []
    for done, rows in enumerate(in_parallel(_judge, parts, jobs), start=1):
        judged += rows
        report(f"parts judged: {done}")
    return with_intervals_of_others(judged)


@dataclass(frozen=True)
class Lesson:
    """What was learned without what is held out.

    Attributes:
        gemm: a predictor of matrix products, whose constants were fitted.
        others: of all other operators, whose constants are held: products say little of them.
    """

    gemm: Predictor
    others: Predictor

    def of(self, op: str) -> Predictor:
        """The predictor of an operator."""
        return self.gemm if op == GEMM.op else self.others

    @property
    def from_measurements(self) -> bool:
        """Whether anything beyond the physics was learned."""
        return bool(self.gemm.residuals or self.others.residuals)


def _judge(held: HeldOut) -> list[JudgedRows]:
    lesson = learn(held)
    judged = [
        rows for op, table in held.test.items() for part in parts_of(table) for rows in _by_variant(part, lesson.of(op))
    ]
    judged += [rows for runs in held.runs for rows in predicted_runs(runs, lesson.of)]
    if lesson.from_measurements:  # their own quantiles would need this training five times more
        judged = [replace(r, low=np.full_like(r.low, np.nan), high=np.full_like(r.high, np.nan)) for r in judged]
    return [replace(r, held_out=held.name) for r in judged]


def _by_variant(part: Part, predictor: Predictor) -> list[JudgedRows]:
    if VARIANT not in part.rows.columns:
        return judge_part(part, predictor)
    judged = []
    for variant in sorted(part.rows[VARIANT].unique()):
        mine = replace(part, rows=part.rows[(part.rows[VARIANT] == variant).to_numpy()])
        judged += [replace(rows, variant=variant) for rows in judge_part(mine, predictor)]
    return judged


def learn(held: HeldOut) -> Lesson:
    """What the training rows teach: for each device that is judged its own booster, its sibling's, or the unseen one."""
    wanted = sorted({d for table in (*held.test.values(), *(r.listed for r in held.runs)) for d in _devices(table)})
    needed = _needed(held)
    constants = held.start
    if GEMM.op in held.train and any(op == GEMM.op for op, _ in needed):
        constants = fit_constants(held.train[GEMM.op], seed=held.seed, start=held.start, max_evaluations=_EVALUATIONS)
    parts = [p for table in held.train.values() for p in parts_of(table)]
    parts = [p for p in parts if p.family is not None and (p.op, str(p.rows["dtype"].iloc[0])) in needed]
    gemms, others = ([p for p in parts if (p.family is GEMM) == gemm] for gemm in (True, False))
    return Lesson(
        Predictor(
            constants=constants,
            residuals=_boosters(gemms, wanted, constants, held.seed) | _unseen(gemms, wanted, constants, held.seed),
        ),
        Predictor(constants=held.start, residuals=_boosters(others, wanted, held.start, held.seed)),
    )


def _boosters(parts: Sequence[Part], wanted: Collection[str], constants: Constants, seed: int) -> dict[Key, Residual]:
    tasks = [PartTask.of(part, constants, seed, Pieces(None)) for part in _leant_on(parts, wanted)]
    residuals = [train_booster(task).residual() for task in tasks]
    return {residual.key: residual for residual in residuals}


def _unseen(parts: Sequence[Part], wanted: Collection[str], constants: Constants, seed: int) -> dict[Key, Residual]:
    """The boosters of products for devices without a booster to lean on, where one of their vendor's was measured."""
    residuals = {}
    for name in dict.fromkeys(p.part for p in parts):
        mine = [p for p in parts if p.part == name]
        measured = [p.device for p in mine]
        vendors = {load_device(d).vendor for d in measured}
        lacking = [d for d in wanted if d not in measured and sibling_of(load_device(d), measured) is None]
        if any(load_device(d).vendor in vendors for d in lacking):
            unseen = train_unseen(mine, constants, seed)
            if unseen is not None:
                residual = unseen.residual(NO_INTERVAL)
                residuals[residual.key] = residual
    return residuals


def _devices(table: pd.DataFrame) -> set[str]:
    return set(table["device"].astype(str))


def _needed(held: HeldOut) -> set[tuple[str, str]]:
    """Operator and dtype of everything that is judged."""
    tables = list(held.test.values())
    tables += [runs.operators(str(name)) for runs in held.runs for name in runs.listed["operators"].unique()]
    pairs = (table[["op", "dtype"]].drop_duplicates().astype(str).to_numpy() for table in tables)
    return {(op, dtype) for table in pairs for op, dtype in table.tolist()}


def _leant_on(parts: Sequence[Part], wanted: Collection[str]) -> list[Part]:
    """The parts whose booster some device leans on: its own, or its sibling's where it has none."""
    chosen: dict[tuple[str, str, str], Part] = {}
    for name, kind in dict.fromkeys((p.name, p.part) for p in parts):
        of_device = {p.device: p for p in parts if (p.name, p.part) == (name, kind)}
        for device in wanted:
            source = device if device in of_device else sibling_of(load_device(device), of_device)
            if source is not None:
                chosen[name, kind, source] = of_device[source]
    return list(chosen.values())


def with_intervals_of_others(judged: Sequence[JudgedRows]) -> list[JudgedRows]:
    """What claims no interval yet gets that of the widest of the other things held out, by family and part."""
    result = []
    for rows in judged:
        others = [
            LeftOut("", str(r.held_out), r) for r in judged if r.booster == rows.booster and r.held_out != rows.held_out
        ]
        claimed = bool(np.isfinite(rows.low).all())
        result.append(rows if claimed or not others else with_interval_of(rows, others))
    return result
