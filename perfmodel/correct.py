"""Correcting a predictor with a few rows of a device: ``perfmodel train --base``.

Up to :data:`BOOSTER_ROWS` rows of a (device, dtype) make a correction (:mod:`perfmodel.models.corrections`) on top of whatever
the base says of that device; more make a booster of its own, as plain training does. The new folder holds the base's files as
well, so that it needs nothing beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from perfmodel import __version__
from perfmodel.calibrate import Measured, measured_errors
from perfmodel.card import accuracy_table
from perfmodel.errors import InputError
from perfmodel.evaluate import GroupAccuracy, JudgedRows, accuracy_report, grouped
from perfmodel.features.vector import feature_schema
from perfmodel.hardware import Device, load_device
from perfmodel.models import artefact
from perfmodel.models.constants import FALLBACK
from perfmodel.models.corrections import Correction, Fitted, fit_correction, packed
from perfmodel.models.learned import Key, software_of, software_order
from perfmodel.models.predictor import Predictor, load_trained, predictor_folder
from perfmodel.models.trace_rows import Part, check_seconds, roofline_s, shape_keys
from perfmodel.training.output import check_output
from perfmodel.training.parts import BY, PartTask, train_part
from perfmodel.training.resume import Pieces
from perfmodel.training.tables import learned_parts, load_tables

if TYPE_CHECKING:
    import pandas as pd

BOOSTER_ROWS = 2000
"""Rows of one (device, dtype) from which on a booster of its own is trained."""
PROCESS_ROWS = 1000
"""Rows that a correction holds at most: its effort grows with their cube. More are drawn from."""
_PROTOCOL = "left-out rows"


def train_on_base(
    traces: pd.DataFrame | str | Path | Iterable[str | Path],
    output: str | Path,
    *,
    base: str | Path = "default",
    device: str | Path | None = None,
    name: str = "corrected",
    seed: int = 0,
    report: Callable[[str], None] = lambda line: None,
) -> dict[str, Any]:
    """Corrects a predictor with rows measured on some devices and writes the result to a folder.

    Args:
        traces: operator traces of any families that predictors learn.
        output: the new predictor's folder, another one than the base's. A predictor that is there is replaced at the end.
        base: the predictor to correct: a folder, or the name of a shipped one.
        device: the TOML of a device that the catalogue lacks, or that was calibrated; rows that bear its id use it.
        name: stands in the card.
        seed: of draws, folds and boosters.
        report: receives a line of progress now and then.

    Returns:
        the contents of ``accuracy.json``: rows as the others predict them, never as they themselves do.

    Raises:
        TraceError: the traces break the schema, or their times cannot be seconds.
        InputError: an unknown device or base; no usable row; the output is the base, a file, or a folder with other things
            that is no predictor.
        PredictorError: the base is damaged.
    """
    source, folder = predictor_folder(base), Path(output)
    if source is None:
        raise InputError(
            f"no predictor folder is called {str(base)!r}: give a shipped one's name or the path of a folder"
        )
    if folder.resolve() == source.resolve():
        raise InputError(f"{output} is the base itself; give another folder with -o")
    check_output(folder)
    with artefact.staged(folder) as new:
        return _corrected(traces, source, new, device, name, seed, report)


def _corrected(
    traces: pd.DataFrame | str | Path | Iterable[str | Path],
    source: Path,
    folder: Path,
    device: str | Path | None,
    name: str,
    seed: int,
    report: Callable[[str], None],
) -> dict[str, Any]:
    """Writes all files of the new predictor, the manifest last; returns the contents of ``accuracy.json``."""
    tables, hashes = load_tables(traces, device)
    predictor, manifest = load_trained(source), artefact.read_manifest(source)
    boosters: dict[Key, dict[str, Any]] = {_key(e): e for e in manifest["boosters"]}
    corrections: dict[Key, dict[str, Any]] = {_key(e): e for e in manifest.get("corrections", [])}
    groups: list[GroupAccuracy] = []
    for part in learned_parts(tables, None, report):
        assert part.family is not None
        record = load_device(part.device)
        check_seconds(part, record, predictor.constants)
        key = (part.family.name, record.id, part.part)
        if len(part.rows) >= BOOSTER_ROWS:
            boosters[key], scores = _own_booster(part, predictor, folder, seed)
            corrections.pop(key, None)
        else:
            corrections[key], scores = _correction(part, record, predictor.without_correction(key), folder, seed)
        groups += scores
        before, after = (float(np.mean([getattr(g, n) for g in scores])) for n in ("analytical_mape", "mape"))
        report(f"{' '.join(key)}: {len(part.rows)} rows, left-out MAPE {after:.2%} (physics alone {before:.2%})")
    families = {e["family"] for e in boosters.values()}
    schemas = {family: feature_schema(family).sha256 for family in sorted(families)}
    new = manifest | {
        "perfmodel": __version__,
        "base": {"name": source.name, "perfmodel": manifest.get("perfmodel")},
        "feature_schemas": schemas | manifest["feature_schemas"],
        "boosters": list(boosters.values()),
        "corrections": list(corrections.values()),
        "training_data": [*manifest.get("training_data", []), *hashes],
    }
    given = artefact.files_of(manifest)
    for file, sha256 in artefact.files_of(new).items():
        if given.get(file) == sha256:  # else it was written just now
            artefact.write_file(folder, file, artefact.read_file(source, file, sha256))
    accuracy = accuracy_report(_PROTOCOL, seed, groups)
    artefact.write_json(folder, "accuracy.json", accuracy)
    artefact.write_file(folder, "card.md", _card(name, new, accuracy).encode())
    artefact.write_json(folder, artefact.MANIFEST, new)
    return accuracy


def _card(name: str, manifest: dict[str, Any], accuracy: dict[str, Any]) -> str:
    lines = [
        f"# Predictor `{name}`",
        "",
        f"`{manifest['base']['name']}` (perfmodel {manifest['base']['perfmodel']}), corrected by rows that were",
        "measured on some devices; everything else is as it was there.",
        "",
        "| corrected | rows | software |",
        "|---|---|---|",
        *(
            f"| {c['family']} {c['device']} {c['part']} | {c['rows']} | {', '.join(c['software'])} |"
            for c in manifest["corrections"]
        ),
        "",
        "Accuracy of what this training added: each measured row as the others predict it (rows, not whole groups: the shapes",
        "were chosen to lie apart). It flatters where rows are few: the same ones calibrated the device and scaled the",
        "covariance. Of a booster of its own: whole groups of shapes held out.",
        "",
        *accuracy_table(accuracy),
    ]
    return "\n".join(lines) + "\n"


def _key(entry: dict[str, Any]) -> Key:
    return str(entry["family"]), str(entry["device"]), str(entry.get("part", entry.get("dtype")))


def _own_booster(
    part: Part, predictor: Predictor, folder: Path, seed: int
) -> tuple[dict[str, Any], list[GroupAccuracy]]:
    task = PartTask.of(part, predictor.constants or FALLBACK, seed, Pieces(None))
    trained = train_part(task)
    entry = {**trained.entry, "sibling_quantiles": None}
    file = f"{entry['family']}/{entry['device']}/{entry['part']}.json.gz"
    sha256 = artefact.write_file(folder, file, trained.booster)
    return {**entry, "file": file, "sha256": sha256}, trained.scores


def correction_of(
    part: Part, measured: Measured, device: Device, predictor: Predictor
) -> tuple[Correction, Fitted, bytes]:
    """A correction from measured rows, how it was fitted, and its stored bytes."""
    assert part.family is not None
    fitted = fit_correction(measured.points, measured.error, predictor.error_kernel(part.family))
    # Sorted, so that the bytes do not depend on the order in which parts of the covariance name them.
    names = sorted(
        {c for p in fitted.kernel.parts for c in p.columns} | {"share_launch"} & measured.points.columns.keys()
    )
    data = packed(measured.points, fitted.error, fitted.noise, names)
    software = software_order(measured.points.software.tolist())
    correction = Correction(
        device=device.id, family=part.family.name, part=part.part, software=software,
        cache=tuple(str(measured.cache[measured.points.software == s][0]) for s in software),
        kernel=fitted.kernel, calibrated=device.calibrated, rows=len(measured), read=lambda: data, width=fitted.width,
    )  # fmt: skip
    return correction, fitted, data


def _correction(
    part: Part, device: Device, predictor: Predictor, folder: Path, seed: int
) -> tuple[dict[str, Any], list[GroupAccuracy]]:
    if len(part.rows) > PROCESS_ROWS:
        part = replace(part, rows=part.rows.sample(PROCESS_ROWS, random_state=seed))
    measured = measured_errors(part, device, predictor)
    correction, fitted, data = correction_of(part, measured, device, predictor)
    file = f"{correction.family}/{correction.device}/{correction.part}.correction.json.gz"
    sha256 = artefact.write_file(folder, file, data)
    return correction.to_entry() | {"file": file, "sha256": sha256}, _scores(part, measured, fitted, device)


def _scores(part: Part, measured: Measured, fitted: Fitted, device: Device) -> list[GroupAccuracy]:
    predicted, factor = measured.predicted_s * np.exp(fitted.left_out), np.exp(fitted.half_width)
    roofline, keys = np.empty(len(measured)), np.empty(len(measured), dtype=np.uint64)
    for chunk in measured.chunks:
        roofline[chunk.rows], keys[chunk.rows] = roofline_s(chunk.group, device), shape_keys(chunk.group)
    software = np.array([software_of(v) for v in measured.points.software.tolist()], dtype=object)
    judged = []
    for name in sorted(set(software.tolist())):
        mine = software == name
        judged.append(
            JudgedRows(
                device.id, str(part.rows["dtype"].iloc[0]), name, measured.measured_s[mine], predicted[mine],
                (predicted / factor)[mine], (predicted * factor)[mine], measured.analytical_s[mine], roofline[mine],
                keys[mine], 1, part.name, part.part,
            )
        )  # fmt: skip
    return grouped(judged, BY)
