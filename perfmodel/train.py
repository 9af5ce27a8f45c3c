"""Training: from operator traces to a predictor folder.

    traces → physics constants (one fit over all GEMMs) → per (family, device, part) a booster on ln(measured / analytical)
           → errors on held-out groups, interval quantiles → devices left out: boosters, intervals, covariances of errors
           → manifest, boosters, accuracy.json, card.md

Everything random takes the seed, and every booster is trained by one thread: the same traces and the same versions
(``models/lock.txt``) give the same bytes. Finished pieces are kept until all are done, so that an interrupted training goes on.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from perfmodel import __version__
from perfmodel.card import card_text
from perfmodel.datasets.schema import require_pandas
from perfmodel.errors import checked_keywords
from perfmodel.evaluate import accuracy_report, grouped
from perfmodel.features.vector import feature_schema
from perfmodel.hardware import load_device
from perfmodel.models import artefact
from perfmodel.models.blend import interval_key
from perfmodel.models.constants import FALLBACK, Constants
from perfmodel.models.families.gemm import GEMM
from perfmodel.models.fit import fit_constants
from perfmodel.models.kernel import Kernel
from perfmodel.models.manifest import UNSEEN_SCHEMA
from perfmodel.models.trace_rows import Part, check_seconds
from perfmodel.plotted import plotted, seen
from perfmodel.train_power import train_power
from perfmodel.training.host_files import KEPT as HOST_COLUMNS
from perfmodel.training.host_files import check_host, split_host, write_host
from perfmodel.training.output import check_output, check_pieces
from perfmodel.training.parallel import in_parallel
from perfmodel.training.parts import BY, PartTask, TrainedPart, train_part
from perfmodel.training.resume import FOLDER, Pieces, fingerprint, locked_versions
from perfmodel.training.tables import learned_parts, load_tables

if TYPE_CHECKING:
    import pandas as pd

Report = Callable[[str], None]


@checked_keywords()
def train(
    traces: pd.DataFrame | str | Path | Iterable[str | Path],
    output: str | Path,
    *,
    device: str | Path | None = None,
    name: str = "default",
    families: Sequence[str] | None = None,
    constants: Constants | None = None,
    resume: str | Path | None = None,
    power: bool = True,
    seed: int = 0,
    jobs: int = 1,
    report: Report = lambda line: None,
) -> dict[str, Any]:
    """Trains a predictor on operator traces of any families and writes it to a folder.

    Args:
        traces: a table of operator traces, or the paths of such tables (Parquet or CSV).
        output: the predictor's folder; it is created. A predictor that is there is replaced when all new files are written.
        device: the path of the TOML of a device that the catalogue lacks; rows that bear its id use it.
        name: stands in the card.
        families: only these, by their names (:data:`perfmodel.models.families.FAMILIES`) or those of their operators
            (``"attention"`` is all its phases); None means all.
        constants: physics constants; None fits them to the GEMMs, or takes the built-in ones where there are none.
        resume: the folder in which finished pieces are kept until all are done; None means ``.partial`` in ``output``.
            Other files in it stay.
        power: also what the traces say of power, where they have labels (:func:`perfmodel.train_power.train_power`).
        seed: of the folds, the constants' sample and the boosters.
        jobs: processes to train in; the result does not depend on it, since each booster is trained by one thread.
        report: receives a line of progress now and then.

    Returns:
        the contents of ``accuracy.json``.

    Raises:
        TraceError: the traces break the schema, or their times cannot be seconds.
        InputError: a device or a family that is unknown; no usable rows; kernels of a processor that cannot be learned together
            (:func:`perfmodel.training.host_files.check_host`); ``output`` is a file, or a folder with other things that is no
            predictor; ``resume`` is ``output`` or holds it.
        MissingExtraError: the extra ``train`` is not installed.
        OSError: the folder cannot be written to; what was in it is as it was.
    """
    pandas = require_pandas()
    folder = Path(output)
    kept = folder / FOLDER if resume is None else Path(resume)
    check_output(folder, kept)
    check_pieces(kept, folder)
    pieces = Pieces(kept)
    given: list[Any] = [traces] if isinstance(traces, (str, Path, pandas.DataFrame)) else list(traces)
    tables, hashes = load_tables(given, device, keep=HOST_COLUMNS)
    tables, on_processors = split_host(tables)
    check_host(on_processors)
    parts = learned_parts(tables, families, report) if tables or not on_processors else []
    for part in parts:
        check_seconds(part, load_device(part.device), constants)
    rows = sum(len(p.rows) for p in parts)
    gemms = tables["gemm"] if any(p.family is GEMM for p in parts) else None
    if constants is None:
        constants = _constants(gemms, rows, seed, pieces, report)
    with artefact.staged(folder) as new:
        host, judged = write_host(on_processors, new, seed, report)
        boosters, groups = [], grouped(judged, BY) if judged else []
        trained: list[TrainedPart] = []
        tasks = [PartTask.of(part, constants, seed, pieces) for part in parts]
        progress = _Progress(rows, report)
        for index, (task, done) in enumerate(zip(tasks, in_parallel(train_part, tasks, jobs), strict=True)):
            file = f"{done.entry['family']}/{done.entry['device']}/{done.entry['part']}.json.gz"
            sha256 = artefact.write_file(new, file, done.booster)
            boosters.append({**done.entry, "file": file, "sha256": sha256})
            trained.append(done)
            groups += done.scores
            mean = float(np.mean([g.mape for g in done.scores]))
            line = f"{index + 1}/{len(tasks)} {task.name}: held-out MAPE {mean:.2%} over {len(done.scores)} tables"
            progress.line(line, len(task.rows))
        transfer, accuracy_of_transfer, kernels = (
            _transfer(parts, trained, constants, seed, jobs, boosters, new, pieces, report) if parts else ([], {}, {})
        )
        schemas = {e["family"] for e in boosters} | ({UNSEEN_SCHEMA} if transfer else set())
        manifest = {
            "schema": artefact.SCHEMA,
            "perfmodel": __version__,
            "seed": seed,
            "constants": constants.to_dict(),
            "feature_schemas": {schema: feature_schema(schema).sha256 for schema in sorted(schemas)},
            "training_data": hashes,
            "analytical_log_intervals": _analytical_intervals(trained),
            "boosters": boosters + transfer,
            "error_kernels": {family: kernel.to_dict() for family, kernel in kernels.items()},
            "versions": locked_versions(),
        } | ({"host_kernels": host} if host else {})
        accuracy = accuracy_report("shapes", seed, groups) | plotted(t.seen for t in trained)
        accuracy["transfer"] = accuracy_of_transfer
        artefact.write_json(new, "accuracy.json", accuracy)
        artefact.write_file(new, "card.md", card_text(name, manifest, accuracy).encode())
        artefact.write_json(new, artefact.MANIFEST, manifest)
    pieces.remove()
    if power and parts:
        reports = train_power(
            given,
            output,
            device=device,
            name=name,
            families=families,
            seed=seed,
            jobs=jobs,
            needed=False,
            report=report,
        )
        accuracy |= {"power": reports} if reports else {}
    return accuracy


def _constants(gemms: pd.DataFrame | None, rows: int, seed: int, pieces: Pieces, report: Report) -> Constants:
    if not rows:
        return FALLBACK
    if gemms is None:
        report(f"{rows} rows, no GEMMs among them: the built-in physics constants")
        return FALLBACK
    report(f"{rows} rows; fitting the physics constants")
    # The column names a device or its file, whose numbers may have been edited since.
    devices = [load_device(name) for name in sorted(gemms["device"].astype(str).unique())]
    key = fingerprint("constants", seed, devices, gemms)
    kept = pieces.load(key)
    if kept is not None:
        return Constants.from_dict(kept[0])
    constants = fit_constants(gemms, seed=seed, report=report)
    pieces.store(key, constants.to_dict(), {})
    return constants


class _Progress:
    """Lines with the time that is left, which goes with the rows."""

    def __init__(self, rows: int, report: Report) -> None:
        self._rows, self._done, self._report, self._start = rows, 0, report, time.monotonic()

    def line(self, text: str, rows: int) -> None:
        """Reports that some more rows are done."""
        self._done += rows
        elapsed = time.monotonic() - self._start
        left = elapsed * (self._rows - self._done) / self._done
        self._report(text + (f"; about {_duration(left)} left" if self._done < self._rows else ""))


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"


def _analytical_intervals(trained: Sequence[TrainedPart]) -> dict[str, list[float]]:
    """ln offsets that cover 90 % of the rows of every device that was measured, the worst one included, by
    :func:`perfmodel.models.blend.interval_key`."""
    result: dict[str, list[float]] = {}
    for part in trained:
        low, high = part.analytical_quantiles
        key = interval_key(part.entry["family"], part.entry["part"])
        # The estimate itself always lies inside, even where a format's kernels are all slower than the physics says.
        before = result.get(key, [0.0, 0.0])
        result[key] = [min(low, before[0]), max(high, before[1])]
    return dict(sorted(result.items()))


def _transfer(
    parts: Sequence[Part],
    trained: Sequence[TrainedPart],
    constants: Constants,
    seed: int,
    jobs: int,
    boosters: list[dict[str, Any]],
    folder: Path,
    pieces: Pieces,
    report: Report,
) -> tuple[list[dict[str, Any]], dict[str, Any], dict[str, Kernel]]:
    """Boosters for devices that were not measured, written; the siblings' quantiles, put into ``boosters``.

    Returns:
        the manifest's entries of the boosters, the accuracy report of each protocol that leaves devices out, and by family
        the covariance of errors on devices that were left out.
    """
    from perfmodel.error_kernels import learn_error_kernels
    from perfmodel.transfer import (
        FAMILY,
        LEAVING_OUT,
        SIBLING,
        by_physics,
        harmful,
        leave_out,
        train_unseen,
        transfer_quantiles,
        with_intervals,
    )

    residuals = {r.key: r for r in (t.residual() for t in trained if t.entry["family"] != GEMM.name)}
    left_out = {
        p: leave_out(parts, p, constants, residuals=residuals, seed=seed, jobs=jobs, pieces=pieces, report=report)
        for p in LEAVING_OUT
    }
    withheld = harmful(left_out["family"])
    for dtype in sorted(withheld):
        report(
            f"{dtype}: devices that were not measured are left to the physics, which a left-out family is better off with"
        )
    left_out = {p: by_physics(rows, withheld) for p, rows in left_out.items()}
    everything = [rows for protocol in left_out.values() for rows in protocol]
    reports = {}
    for protocol in LEAVING_OUT:
        rows_with_intervals = with_intervals(left_out[protocol], everything, {p.device for p in parts})
        if rows_with_intervals:
            scores = grouped([p.rows for p in rows_with_intervals], BY)
            everything_seen = [seen([p.rows for p in rows_with_intervals])]
            reports[protocol] = accuracy_report(protocol, seed, scores) | plotted(everything_seen)
            report(f"{protocol} left out: MAPE {reports[protocol]['overall']['mape']:.2%} over {len(scores)} tables")
    siblings = transfer_quantiles([p for p in left_out["device"] if p.kind == SIBLING]).get(SIBLING, {})
    for entry in boosters:
        entry["sibling_quantiles"] = siblings.get((entry["family"], entry["part"]))
    quantiles = transfer_quantiles([p for p in left_out["family"] if p.kind == FAMILY]).get(FAMILY, {})
    entries = []
    for dtype in dict.fromkeys(p.part for p in parts if p.family is GEMM):
        unseen = None
        if (GEMM.name, dtype) in quantiles and dtype not in withheld:
            unseen = train_unseen([p for p in parts if p.family is GEMM and p.part == dtype], constants, seed)
        if unseen is not None:
            file = f"gemm/unseen/{dtype}.json.gz"
            sha256 = artefact.write_file(folder, file, unseen.data)
            entries.append({**unseen.entry, "quantiles": quantiles[GEMM.name, dtype], "file": file, "sha256": sha256})
    return entries, reports, learn_error_kernels(parts, left_out["family"], constants, seed=seed, report=report)
