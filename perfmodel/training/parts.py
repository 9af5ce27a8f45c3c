"""One part (family, device, dtype) trained: its booster, and how it does on groups of shapes that it has not seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from perfmodel.evaluate import GroupAccuracy, JudgedRows, grouped
from perfmodel.hardware import Device, load_device
from perfmodel.models import artefact
from perfmodel.models.constants import Constants
from perfmodel.models.families import FAMILIES, Family
from perfmodel.models.families.gemm import GEMM
from perfmodel.models.learned import SIZE_BUCKETS_S, Residual
from perfmodel.models.manifest import residual_of
from perfmodel.models.trace_rows import Part, PreparedTable, prepare
from perfmodel.plotted import seen
from perfmodel.training.boosting import fit_booster, held_out, judged, strip
from perfmodel.training.intervals import INTERVAL, error_quantiles, variant_widths
from perfmodel.training.resume import Pieces, fingerprint

NO_INTERVAL = [[0.0, 0.0]] * (len(SIZE_BUCKETS_S) + 1)
BY = ("op", "device", "dtype", "software")
"""What ``accuracy.json`` groups rows by."""


@dataclass(frozen=True)
class PartTask:
    """A part to train. ``family`` is named, since its record holds functions that no process can send to another; ``device`` is
    the record that predictions will be made with, calibrated constants included."""

    family: str
    op: str
    device: Device
    part: str
    rows: Any
    constants: Constants
    seed: int
    pieces: Pieces

    @classmethod
    def of(cls, part: Part, constants: Constants, seed: int, pieces: Pieces, device: Device | None = None) -> PartTask:
        """The task of a part that has a family, on the device that it names unless another record of it is given."""
        assert part.family is not None
        device = load_device(part.device) if device is None else device
        return cls(part.family.name, part.op, device, part.part, part.rows, constants, seed, pieces)

    @property
    def record(self) -> Family:
        """The family."""
        return FAMILIES[self.family]

    @property
    def name(self) -> str:
        """As progress reports have it."""
        return f"{'' if self.family == GEMM.name else f'{self.family} '}{self.device.id} {self.part}"

    def prepare(self) -> PreparedTable:
        """The rows with their features."""
        part = Part(self.record, self.op, self.device.id, self.part, self.rows)
        return prepare(part, self.constants, self.seed, self.device)

    def key(self, what: str) -> str:
        """The name of a finished piece of this task."""
        family = self.record
        return fingerprint(
            what, self.family, family.schema.sha256, sorted(family.booster.items()), family.support, family.exact,
            family.kernel_classes, self.device, self.part, self.constants, self.seed, self.rows,
        )  # fmt: skip


@dataclass(frozen=True)
class TrainedPart:
    """What one part gives.

    Attributes:
        booster: its packed bytes.
        entry: of the manifest, without its file.
        scores: how it did on held-out groups of shapes.
        analytical_quantiles: the 5 % and 95 % quantiles of ln(measured / analytical).
        seen: what plots need of the held-out rows (:func:`perfmodel.plotted.seen`).
    """

    booster: bytes
    entry: dict[str, Any]
    scores: list[GroupAccuracy]
    analytical_quantiles: tuple[float, float]
    seen: dict[str, Any] = field(default_factory=dict)

    def residual(self, quantiles: Sequence[Sequence[float]] | None = None) -> Residual:
        """A residual that needs no file."""
        entry = {"quantiles": NO_INTERVAL, **self.entry} | ({} if quantiles is None else {"quantiles": quantiles})
        return residual_of(entry, FAMILIES[self.entry["family"]].schema, lambda: self.booster)


def train_part(task: PartTask) -> TrainedPart:
    """Five folds for the figures and the interval, then one booster of all rows."""
    key = task.key("part")
    kept = task.pieces.load(key)
    if kept is not None:
        return _unpacked(*kept)
    table = task.prepare()
    predicted = held_out(table, task.seed)
    final = fit_booster(table, np.arange(len(table)), task.seed)
    low, high = np.quantile(table.log_ratio, INTERVAL)
    rows = judged(table, predicted)
    quantiles = error_quantiles(table.measured_s, predicted)
    widths = variant_widths(table, predicted, np.array(quantiles), np.arange(len(table)))
    trained = TrainedPart(
        artefact.compress(strip(final)),
        table.entry | {"quantiles": quantiles} | ({"widths": widths} if widths else {}),
        grouped(rows, BY),
        (float(low), float(high)),
        seen(rows),
    )
    task.pieces.store(key, *_packed(trained))
    return trained


def train_booster(task: PartTask) -> TrainedPart:
    """The booster of all rows alone."""
    table = task.prepare()
    final = fit_booster(table, np.arange(len(table)), task.seed)
    return TrainedPart(artefact.compress(strip(final)), table.entry | {"quantiles": NO_INTERVAL}, [], (0.0, 0.0))


def cross_validate_part(task: PartTask) -> list[JudgedRows]:
    """Every row of a part, predicted by boosters that saw no row of its group."""
    table = task.prepare()
    return judged(table, held_out(table, task.seed))


def _packed(trained: TrainedPart) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    data = {
        "entry": trained.entry, "scores": [asdict(s) for s in trained.scores],
        "analytical_quantiles": list(trained.analytical_quantiles), "seen": trained.seen,
    }  # fmt: skip
    return data, {"booster": np.frombuffer(trained.booster, dtype=np.uint8)}


def _unpacked(data: dict[str, Any], arrays: dict[str, np.ndarray]) -> TrainedPart:
    low, high = data["analytical_quantiles"]
    scores = [GroupAccuracy(**s) for s in data["scores"]]
    return TrainedPart(arrays["booster"].tobytes(), data["entry"], scores, (low, high), data.get("seen", {}))
