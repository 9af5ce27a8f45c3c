"""Correcting a predictor with a few rows of a device: ``perfmodel train --base``.

Up to :data:`BOOSTER_ROWS` rows of a (device, dtype) make a correction (:mod:`perfmodel.models.corrections`) on top of whatever
the base says of that device; more make a booster of its own, as plain training does. The new folder holds the base's files as
well, so that it needs nothing beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from perfmodel import __version__
from perfmodel.calibrate import Measured, measured_errors
from perfmodel.card import card_text
from perfmodel.datasets.schema import only_gemm, usable, with_device
from perfmodel.errors import InputError
from perfmodel.evaluate import GroupAccuracy, JudgedRows, accuracy_report, grouped, roofline_s
from perfmodel.hardware import Device, load_device
from perfmodel.models import artefact
from perfmodel.models.analytical import analyse
from perfmodel.models.constants import FALLBACK
from perfmodel.models.corrections import Correction, Fitted, fit_correction, packed
from perfmodel.models.predictor import Predictor, load, predictor_folder

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
        traces: operator traces; the GEMMs among them are used.
        output: the new predictor's folder, another one than the base's.
        base: the predictor to correct: a folder, or the name of a shipped one.
        device: the TOML of a device that the catalogue lacks, or that was calibrated; rows that bear its id use it.
        name: stands in the card.
        seed: of draws, folds and boosters.
        report: receives a line of progress now and then.

    Returns:
        the contents of ``accuracy.json``: rows as the others predict them, never as they themselves do.

    Raises:
        TraceError: the traces break the schema.
        InputError: an unknown device or base; no usable row; the output is the base.
        PredictorError: the base is damaged.
    """
    from perfmodel.train import load_tables, pairs

    source, folder = predictor_folder(base), Path(output)
    if folder.resolve() == source.resolve():
        raise InputError(f"{output} is the base itself; give another folder with -o")
    table, hashes = load_tables(traces)
    table = only_gemm(table, report)
    table = table[usable(table)]
    if table.empty:
        raise InputError("the traces hold no usable row to correct a predictor with")
    if device is not None:
        table = with_device(table, device)
    predictor, manifest = load(source), artefact.read_manifest(source)
    boosters: dict[Any, Any] = {(e["device"], e["dtype"]): e for e in manifest["boosters"]}
    corrections: dict[Any, Any] = {(e["device"], e["dtype"]): e for e in manifest.get("corrections", [])}
    groups: list[GroupAccuracy] = []
    copied = [*boosters.values(), *corrections.values()]
    for device_id, dtype, rows in pairs(table):
        record = load_device(device_id)
        key = (record.id, dtype)
        if len(rows) >= BOOSTER_ROWS:
            boosters[key], scores = _own_booster(rows, device_id, dtype, predictor, folder, seed)
            corrections.pop(key, None)
        else:
            corrections[key], scores = _correction(rows, record, dtype, predictor, folder, seed)
        groups += scores
        before, after = (float(np.mean([getattr(g, n) for g in scores])) for n in ("analytical_mape", "mape"))
        report(f"{record.id} {dtype}: {len(rows)} rows, left-out MAPE {after:.2%} (physics alone {before:.2%})")
    for entry in copied:
        key = entry["device"], entry["dtype"]
        if boosters.get(key) is entry or corrections.get(key) is entry:
            data = artefact.read_file(source, entry["file"], entry["sha256"])
            artefact.write_file(folder, entry["file"], data)
    new = manifest | {
        "perfmodel": __version__,
        "base": {"name": source.name, "perfmodel": manifest.get("perfmodel")},
        "boosters": list(boosters.values()),
        "corrections": list(corrections.values()),
        "training_data": [*manifest.get("training_data", []), *hashes],
    }
    accuracy = accuracy_report(_PROTOCOL, seed, groups)
    artefact.write_json(folder, "accuracy.json", accuracy)
    artefact.write_file(folder, "card.md", card_text(name, new, accuracy).encode())
    # Last: a folder that was interrupted keeps its old manifest, whose hashes then refuse the new files.
    artefact.write_json(folder, artefact.MANIFEST, new)
    return accuracy


def _own_booster(
    rows: pd.DataFrame, device_id: str, dtype: str, predictor: Predictor, folder: Path, seed: int
) -> tuple[dict[str, Any], list[GroupAccuracy]]:
    from perfmodel.train import train_pair

    trained = train_pair((rows, device_id, dtype, predictor.constants or FALLBACK, seed))
    file = f"gemm/{trained.entry['device']}/{dtype}.json.gz"
    sha256 = artefact.write_file(folder, file, trained.booster)
    return {**trained.entry, "file": file, "sha256": sha256}, trained.scores


def correction_of(
    measured: Measured, device: Device, dtype: str, predictor: Predictor
) -> tuple[Correction, Fitted, bytes]:
    """A correction from measured rows of one dtype, how it was fitted, and its stored bytes."""
    fitted = fit_correction(measured.points, measured.error, predictor.error_kernel)
    names = tuple(dict.fromkeys(c for p in fitted.kernel.parts for c in p.columns))
    data = packed(measured.points, fitted.error, fitted.noise, names)
    software = tuple(sorted(set(measured.points.software.tolist())))
    correction = Correction(
        device=device.id, family="gemm", part=dtype, software=software,
        cache=tuple(str(measured.cache[measured.points.software == s][0]) for s in software),
        kernel=fitted.kernel, calibrated=device.calibrated, rows=len(measured.error), read=lambda: data, width=fitted.width,
    )  # fmt: skip
    return correction, fitted, data


def _correction(
    rows: pd.DataFrame, device: Device, dtype: str, predictor: Predictor, folder: Path, seed: int
) -> tuple[dict[str, Any], list[GroupAccuracy]]:
    if len(rows) > PROCESS_ROWS:
        rows = rows.sample(PROCESS_ROWS, random_state=seed)
    measured = measured_errors(rows, device, predictor.without_correction(device, dtype))
    correction, fitted, data = correction_of(measured, device, dtype, predictor)
    file = f"gemm/{device.id}/{dtype}.correction.json.gz"
    sha256 = artefact.write_file(folder, file, data)
    return correction.to_entry() | {"file": file, "sha256": sha256}, _scores(measured, fitted, device, dtype, predictor)


def _scores(
    measured: Measured, fitted: Fitted, device: Device, dtype: str, predictor: Predictor
) -> list[GroupAccuracy]:
    predicted = measured.predicted_s * np.exp(fitted.left_out)
    half = np.exp(fitted.half_width)
    roofline, analytical = np.empty(len(predicted)), np.empty(len(predicted))
    shapes = np.empty(len(predicted), dtype=object)
    for group, conditions in zip(measured.groups, measured.conditions, strict=True):
        roofline[group.rows] = roofline_s(group, device)
        analytical[group.rows] = analyse(group, device, constants=predictor.constants, conditions=conditions).latency_s
        m, n, k = (np.broadcast_to(getattr(group.op, d), (len(group),)) for d in "mnk")
        shapes[group.rows] = [f"{a:.0f}x{b:.0f}x{c:.0f}" for a, b, c in zip(m, n, k, strict=True)]
    judged = []
    for software in sorted(set(measured.points.software.tolist())):
        mine = measured.points.software == software
        judged.append(
            JudgedRows(
                device.id, dtype, software, measured.measured_s[mine], predicted[mine], (predicted / half)[mine],
                (predicted * half)[mine], analytical[mine], roofline[mine], shapes[mine], 1,
            )
        )  # fmt: skip
    return grouped(judged, ("op", "device", "dtype", "software"))
