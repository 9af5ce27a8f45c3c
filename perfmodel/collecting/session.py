"""The loop of `perfmodel collect`: real models first, then pieces of a sweep, until the time is up.

Whatever ends it, the table holds every piece that was reported, and the same command goes on from there.
"""

from __future__ import annotations

import hashlib
import itertools
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from perfmodel.collect.anchor import Anchor, pinned
from perfmodel.collect.kernels import LEAST_S, USUAL_EVENT_S, USUAL_RUN_S
from perfmodel.collect.onnxruntime_cpu import OnnxRuntimeCpu
from perfmodel.collect.pace import PaceMaker
from perfmodel.collect.sweeps.families import Piece, draw, usual_weights
from perfmodel.collecting.choice import chain_weights, shares_by_kind
from perfmodel.collecting.journal import MOST_STARTS, SUFFIX, Done, Journal, check_names, concatenated
from perfmodel.collecting.machine import machine
from perfmodel.collecting.pieces import Bench, Measured, dims_of_inputs
from perfmodel.errors import InputError, PerfmodelError
from perfmodel.hardware import load_device

if TYPE_CHECKING:
    import pandas as pd

    from perfmodel.hardware import Device

Report = Callable[[str], None]

SWEEP_SECONDS, MODEL_SECONDS = 0.3, 0.5
"""How long each part of a piece runs: profiled, and not."""
_CHOOSE_EVERY = 24
"""Pieces between two looks at what teaches most."""
_WRITE_EVERY_S = 5.0
_ATTEMPTS = 2
"""How often a piece is measured whose machine moved; after that it is kept with the reason as its status."""
_MARGIN_S = 2.0


@dataclass(frozen=True)
class Wanted:
    """What to collect.

    Attributes:
        device: the id or TOML of this machine.
        output: the table.
        minutes: of measuring in all, those of earlier calls included.
        models: files of real models, each with numbers for its dimensions.
        seed: of the sweep and of all inputs.
        recordings: keeps what was recorded of each piece; None: nothing.
        sweep: whether pieces of a sweep are measured.
        overwrite: whether a table that is there without its pieces is replaced; one with them is added to in any case.
    """

    device: str | Path
    output: Path
    minutes: float = 5.0
    models: Sequence[tuple[Path, Mapping[str, int]]] = ()
    seed: int = 0
    recordings: Path | None = None
    sweep: bool = True
    overwrite: bool = False


@dataclass(frozen=True)
class Collected:
    """What there is at the end.

    Attributes:
        output: the table.
        pieces, rows: in the table; ``marked`` rows among them bear another status than ``ok``.
        seconds: of measuring, earlier calls included.
        about: what the table says of the machine and of the noise.
        passed_over: models that could not be measured, and why.
    """

    output: Path
    pieces: int
    rows: int
    marked: int
    seconds: float
    about: dict[str, Any]
    passed_over: Mapping[str, str] = field(default_factory=dict)


def collect(
    wanted: Wanted,
    report: Report = lambda line: None,
    *,
    runtime: OnnxRuntimeCpu | None = None,
    anchor: Anchor | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> Collected:
    """Measures until the time is up; goes on where an earlier call stopped.

    Args:
        wanted: what to collect.
        report: hears a line whenever rows are safe in the table.
        runtime: the collector; None: ONNX Runtime on one thread.
        anchor: what tells drift; None makes one.
        clock: gives seconds that only grow.

    Raises:
        InputError: the output is no .parquet file, was begun on another device or with another seed, or is there and not to be
            replaced; a model is no file, two have one name, or one was measured as another file or with other dimensions.
        MissingExtraError: the extra ``collect`` is not installed.
        PerfmodelError: no model could be measured, or the disk is full or read-only.
    """
    if wanted.output.suffix.lower() != ".parquet":
        raise InputError(f"{wanted.output} is no .parquet file, which keeps what is measured")
    if not wanted.minutes > 0:
        raise InputError(f"minutes is {wanted.minutes:g}; wanted a number above 0")
    _check_models([path for path, _ in wanted.models])
    device = load_device(wanted.device)
    collector = runtime or OnnxRuntimeCpu(seconds=SWEEP_SECONDS, warm_up=2)
    if (why := collector.why_not()) is not None:
        raise InputError(why)
    if collector.pace is None:
        collector.pace = PaceMaker()
    journal = Journal(wanted.output)
    _check_same(journal, device, wanted.seed)
    _check_measured(journal, wanted.models)
    journal.check_output(overwrite=wanted.overwrite)
    if journal.seconds >= 60 * wanted.minutes - _MARGIN_S and len(journal):
        report(f"{journal.seconds / 60:.1f} minutes were measured already: --minutes asks for more")
        with _disk_of(wanted.output):
            return _finish(journal, device, wanted)
    with pinned(), _disk_of(wanted.output):
        bench = Bench(collector, device.id, anchor or Anchor(), wanted.recordings)
        loop = _Loop(wanted, journal, device, bench, report, clock)
        try:
            loop.run()
        finally:
            # Also when it is interrupted: what was measured since the last line is kept.
            if loop.unwritten:
                loop.write()
    if loop.passed_over and not len(journal):
        first, why = next(iter(loop.passed_over.items()))
        raise PerfmodelError(f"no model could be measured; {first}: {why}")
    with _disk_of(wanted.output):
        return replace(_finish(journal, device, wanted), passed_over=loop.passed_over)


@contextmanager
def _disk_of(output: Path) -> Iterator[None]:
    """A full or read-only disk in one line, which says what is safe.

    Raises:
        PerfmodelError: in place of an OSError.
    """
    try:
        yield
    except OSError as problem:
        kept = len(Journal(output))
        where = problem.filename2 or problem.filename or output
        pieces = "1 finished piece is" if kept == 1 else f"{kept} finished pieces are"
        safe = f"{pieces} kept in {output}{SUFFIX}" if kept else "nothing is measured yet"
        raise PerfmodelError(
            f"{where}: {problem.strerror or problem}; {safe}: the same command goes on when it can write there"
        ) from problem


class _Loop:
    def __init__(
        self, wanted: Wanted, journal: Journal, device: Device, bench: Bench, report: Report, clock: Callable[[], float]
    ) -> None:
        self._wanted, self._journal, self._device, self._bench = wanted, journal, device, bench
        self._report, self._clock = report, clock
        self._before_s, self._begin = journal.seconds, clock()
        self._tables = {done.name: done.rows() for done in journal.done}
        self._weights = usual_weights()
        self._written_at = float("-inf")  # the first piece is safe at once
        self.unwritten = 0
        self.passed_over: dict[str, str] = {}

    @property
    def _left_s(self) -> float:
        return 60 * self._wanted.minutes - self._before_s - (self._clock() - self._begin)

    def run(self) -> None:
        for path, dims in self._wanted.models:
            name = f"model-{path.stem}"
            if name in self._journal or self._left_s <= _MARGIN_S:
                continue
            if not self._journal.start(name):
                self._pass_over(name, f"it ended this command {MOST_STARTS} times", path.stem)
                continue
            # A model is worth more time than a piece: its own network is what somebody asks for.
            self._keep(name, partial(self._model, path, dims), {"model": path.stem})
        if not self._wanted.sweep:
            return
        since = _CHOOSE_EVERY
        for number in itertools.count():
            if self._left_s <= _MARGIN_S:
                return
            if since >= _CHOOSE_EVERY:
                self._choose()
                since = 0
            name = f"sweep-{number:05d}"
            if name in self._journal or not self._journal.start(name):
                continue
            piece = draw(number, self._wanted.seed, self._weights)
            about = {"chains": list(piece.chains), "size": piece.size, "number": number}
            self._keep(name, partial(self._piece, piece, name), about)
            since += 1

    def _model(self, path: Path, dims: Mapping[str, int]) -> Measured:
        plain = self._bench.runtime.seconds
        self._bench.runtime.seconds = MODEL_SECONDS
        try:
            measured = self._bench.measure(path, path.stem, dims=dims, seed=self._wanted.seed)
        finally:
            self._bench.runtime.seconds = plain
        return replace(measured, about={**measured.about, "model_sha256": _sha256(path), "dims": _dims(path, dims)})

    def _piece(self, piece: Piece, name: str) -> Measured:
        return self._bench.measure(piece.model.SerializeToString(), name, seed=self._wanted.seed)

    def _pass_over(self, name: str, why: str, model: Any) -> None:
        self._report(f"{name}: passed over: {why}")
        if model is not None:
            self.passed_over[str(model)] = why

    def _keep(self, name: str, measure: Callable[[], Measured], about: Mapping[str, Any]) -> None:
        try:
            self._measured(name, measure, about)
        except (KeyboardInterrupt, OSError):
            self._journal.unstart(name)
            raise

    def _measured(self, name: str, measure: Callable[[], Measured], about: Mapping[str, Any]) -> None:
        spent = 0.0
        for attempt in _attempts():
            try:
                measured = measure()
            except PerfmodelError as problem:
                self._pass_over(name, str(problem), about.get("model"))
                self._journal.unstart(name)  # told what it lacks, it may be measured the next time
                return
            spent += float(measured.about["seconds"])
            if measured.status == "ok" or attempt == _ATTEMPTS or self._left_s <= _MARGIN_S:
                break
        said = {"device": self._device.id, "seed": self._wanted.seed, **about, **measured.about, "seconds": spent}
        rows = measured.rows.assign(
            source="model" if "model" in about else "sweep",
            network=network_of(about["model"]) if "model" in about else None,
            run_s=said["run_s"],
            run_events=float(said["events"]),
        )
        self._tables[name] = self._journal.add(name, rows, said).rows()
        self.unwritten += len(rows)
        if self._clock() - self._written_at >= _WRITE_EVERY_S:
            self.write()

    def _choose(self) -> None:
        known = (
            (tuple(done.about["chains"]), usable_rows(self._tables[done.name]))
            for done in self._journal.done
            if done.about.get("chains")
        )
        self._weights = chain_weights(known, self._device)

    def write(self) -> None:
        """Puts every finished piece into the table, and says so."""
        table, about = table_of(self._journal.done, list(self._tables.values()), self._device, self._wanted.seed)
        self._journal.write(table, about)
        self.unwritten, self._written_at = 0, self._clock()
        line = f"{len(table):,} kernels of {len(self._journal)} pieces in {self._wanted.output.name}"
        if self._wanted.sweep:
            left = max(0.0, self._left_s)
            line += f"; about {left / 60:.1f} minutes left; most drawn: {shares_by_kind(self._weights)}"
        self._report(line)


def _attempts() -> Iterator[int]:
    return iter(range(1, _ATTEMPTS + 1))


def network_of(stem: str) -> str:
    """What forms of one network share: the file's name up to its first dot (``net.onnx``, ``net.int8.onnx``)."""
    return stem.partition(".")[0]


def usable_rows(table: pd.DataFrame) -> pd.DataFrame:
    """The rows that are measurements."""
    return table[(table["status"] == "ok").to_numpy()]


def table_of(
    done: Sequence[Done], tables: Sequence[pd.DataFrame], device: Device, seed: int
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """All pieces as operator traces without the profiler's share, and what the file says beside them."""
    cost = per_event_s([piece.about for piece in done])
    table = concatenated(tables)
    pace = paces({str(piece.about.get("model", piece.name)): piece.about for piece in done})
    table = table.assign(
        latency_s=(table["latency_s"] - cost).clip(lower=LEAST_S), pace=table["collection"].map(pace).astype(float)
    )
    anchors = [piece.about["anchor_s"] for piece in done if piece.about.get("anchor_s")]
    drifts = [abs(piece.about["drift"][0]) for piece in done if piece.about.get("drift")]
    about = {
        "device": device.id,
        "seed": seed,
        "machine": machine(),
        "pieces": len(done),
        "seconds": sum(float(piece.about.get("seconds", 0.0)) for piece in done),
        "per_event_s": cost,
        "anchor_s": [median(part) for part in zip(*anchors, strict=True)] if anchors else None,
        "median_drift": median(drifts) if drifts else None,
        "median_rel_std": float(table["latency_rel_std"].median()),
        "marked_pieces": sum(piece.about.get("status") != "ok" for piece in done),
    }
    return table, about


def paces(pieces: Mapping[str, Mapping[str, Any]]) -> dict[str, float]:
    """By piece, how much slower than usual the machine was: what the small product took between its runs, over the median of
    that over all pieces. 1 where it is unknown.

    Kernels follow the product's pace whether they compute or move bytes; the copy's added nothing to that.
    """
    taken = {name: float(about["pace_s"][0]) for name, about in pieces.items() if about.get("pace_s")}
    usual = median(taken.values()) if taken else 1.0
    return {name: taken[name] / usual if name in taken else 1.0 for name in pieces}


def per_event_s(about: Sequence[Mapping[str, Any]]) -> float:
    """What the profiler adds to an event [s], from runs with and without it: the median over pieces, each weighing what
    its events are of its time, since a piece of few long kernels says nothing."""
    said = sorted(
        ((a["sum_s"] + USUAL_RUN_S - a["run_s"]) / a["events"], a["events"] / a["run_s"])
        for a in about
        if a.get("status") == "ok" and a.get("run_s") and a.get("events")
    )
    half, passed = sum(weight for _, weight in said) / 2, 0.0
    for value, weight in said:
        passed += weight
        if passed >= half:
            return max(float(value), 0.0)
    return USUAL_EVENT_S


def _check_models(models: Sequence[Path]) -> None:
    for path in models:
        if not path.is_file():
            raise InputError(f"{path} is no file")


def _check_measured(journal: Journal, models: Sequence[tuple[Path, Mapping[str, int]]]) -> None:
    """Refuses models that are called alike, or would be passed over for another one; pieces of earlier versions do not say
    what they are of."""
    measured = {piece.name: piece for piece in journal.done}
    check_names((path for path, _ in models), {name.removeprefix("model-") for name in measured})
    for path, given in models:
        piece = measured.get(f"model-{path.stem}")
        if piece is None or "model_sha256" not in piece.about:
            continue
        remedy = f"give this one another name, or remove {piece.path} and give --force to measure it anew"
        if piece.about["model_sha256"] != _sha256(path):
            raise InputError(f"{journal.output} holds {path.stem} from another file than {path}: {remedy}")
        before, now = piece.about.get("dims"), _dims(path, given)
        if before != now:
            raise InputError(f"{journal.output} holds {path.stem} {_said(before)}, not {_said(now)}: {remedy}")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _dims(path: Path, given: Mapping[str, int]) -> dict[str, int]:
    """Those numbers that are of dimensions of this model; of the runtime's own format they are not known."""
    return {} if path.suffix.lower() == ".ort" else dims_of_inputs(path, given)


def _said(dims: Mapping[str, int] | None) -> str:
    return f"with {', '.join(f'{name}={number}' for name, number in sorted(dims.items()))}" if dims else "without --dim"


def _check_same(journal: Journal, device: Device, seed: int) -> None:
    for piece in journal.done:
        found = (piece.about.get("device"), piece.about.get("seed"))
        if found != (device.id, seed):
            raise InputError(
                f"{journal.folder} holds pieces of {found[0]} with the seed {found[1]}, not of {device.id} with {seed}:"
                " choose another output, or remove that folder and give --force"
            )


def _finish(journal: Journal, device: Device, wanted: Wanted) -> Collected:
    if not len(journal):
        raise PerfmodelError(f"nothing was measured in {wanted.minutes:g} minutes: give more")
    tables = [piece.rows() for piece in journal.done]
    table, about = table_of(journal.done, tables, device, wanted.seed)
    journal.write(table, about)
    marked = int((table["status"] != "ok").sum())
    return Collected(wanted.output, len(journal), len(table), marked, journal.seconds, about)
