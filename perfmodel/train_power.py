"""Training of power: boosters on the physical power are added to a predictor's folder, whose latency stays as it is.

    traces with power_w → per (family, device, part) a booster on ln(measured / physical power), latency as the predictor has it
                        → held-out groups of shapes: figures and intervals; software and devices left out: figures
                        → manifest, boosters, accuracy.json and card.md with power

The same traces, predictor and versions give the same bytes.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from perfmodel.card import card_text
from perfmodel.errors import InputError, PredictorError
from perfmodel.hardware import load_device
from perfmodel.models import artefact
from perfmodel.models.power import DevicePower
from perfmodel.models.power.learned import LearnedPower, power_schema
from perfmodel.models.predictor import load_trained
from perfmodel.power_accuracy import JudgedPower
from perfmodel.power_accuracy import report as power_report
from perfmodel.training.parallel import in_parallel
from perfmodel.training.power import PowerTask, power_tasks, train_power_part
from perfmodel.training.power_left_out import LEAVING_OUT, leave_out, physical_intervals
from perfmodel.training.power_rows import KEPT
from perfmodel.training.resume import locked_versions
from perfmodel.training.tables import learned_parts, load_tables

if TYPE_CHECKING:
    import pandas as pd

    from perfmodel.train import Report

FOLDER = "power"
"""Of the boosters within a predictor's folder."""


def train_power(
    traces: pd.DataFrame | str | Path | Iterable[pd.DataFrame | str | Path],
    folder: str | Path,
    *,
    device: str | Path | None = None,
    name: str = "default",
    families: Sequence[str] | None = None,
    seed: int = 0,
    jobs: int = 1,
    needed: bool = True,
    report: Report = lambda line: None,
) -> dict[str, Any]:
    """Adds what traces say of power to a predictor; nothing of its latency changes.

    Args:
        traces: operator traces; rows without ``power_w`` are left out.
        folder: of a predictor that ``perfmodel train`` wrote. What it knew of power is replaced, when all is learned.
        device: the path of the TOML of a device that the catalogue lacks.
        name: stands in the card.
        families: only these.
        seed: of folds, samples and boosters.
        jobs: processes to train in; same result.
        needed: refuse traces without power labels; otherwise they change nothing.
        report: receives a line of progress now and then.

    Returns:
        what ``accuracy.json`` then has under ``power``: a report by protocol; empty where nothing was learned.

    Raises:
        InputError: the traces have no power labels to learn from.
        PredictorError: the folder holds no predictor.
    """
    folder = Path(folder)
    manifest = artefact.read_manifest(folder)
    predictor = replace(load_trained(folder), power=LearnedPower())
    tables, hashes = load_tables(traces, device, keep=KEPT)
    tasks = power_tasks(learned_parts(tables, families, lambda line: None), predictor, seed)
    if not tasks and not needed:
        return {}
    if not tasks:
        raise InputError(
            "the traces hold no rows with power_w to learn power from: wanted some hundreds a device and family"
        )
    with artefact.staged(folder) as new:
        entries, judged = [], []
        rows = sum(len(t.rows) for t in tasks)
        report(f"power: {rows} labelled rows in {len(tasks)} parts")
        for index, (task, done) in enumerate(zip(tasks, in_parallel(train_power_part, tasks, jobs), strict=True)):
            file = f"{FOLDER}/{done.entry['family']}/{done.entry['device']}/{done.entry['part']}.json.gz"
            entries.append({**done.entry, "file": file, "sha256": artefact.write_file(new, file, done.booster)})
            judged.append(done.rows)
            report(f"{index + 1}/{len(tasks)} power of {task.name}: {_line(done.rows)}")
        reports, left_out = _reports(tasks, judged, seed, report)
        manifest |= {
            "power_physics": {d: _numbers_of(d) for d in sorted({t.device for t in tasks})},
            "power_boosters": entries,
            "power_feature_schemas": {f: power_schema(f).sha256 for f in sorted({e["family"] for e in entries})},
            "power_log_intervals": physical_intervals(left_out),
            "power_training_data": hashes,
            "power_versions": locked_versions(),
        }
        _write(folder, new, manifest, reports, name)
    return reports


def _numbers_of(device: str) -> dict[str, Any]:
    """The constants of the physical power that the boosters were trained on the residual of."""
    numbers = asdict(DevicePower.of(load_device(device)))
    return {name: value for name, value in numbers.items() if name not in ("sources", "memory")}


def _reports(
    tasks: Sequence[PowerTask], judged: Sequence[Sequence[JudgedPower]], seed: int, say: Report
) -> tuple[dict[str, Any], list[JudgedPower]]:
    """The report of each protocol, and the rows of the devices that were left out."""
    devices: list[JudgedPower] = []
    reports = {"shapes": power_report("shapes", seed, [r for rows in judged for r in rows])}
    for protocol in LEAVING_OUT:
        rows = leave_out(tasks, protocol)
        if rows:
            reports[protocol] = power_report(protocol, seed, rows)
            say(f"power, {protocol} left out: {_line(rows)}")
        devices = rows if protocol == "device" else devices
    return reports, devices


def _line(rows: Sequence[JudgedPower]) -> str:
    figures = power_report("", 0, rows)["pooled"]["power"]
    if not figures["n"]:
        return "no row of 0.1 ms or more"
    settled = f", settled rows {figures['settled']['mape']:.1%}" if "settled" in figures else ""
    return f"held-out MAPE {figures['mape']:.1%}{settled}, physics {figures['analytical_mape']:.1%}"


def _write(folder: Path, new: Path, manifest: dict[str, Any], reports: dict[str, Any], name: str) -> None:
    """Accuracy, card and manifest, of which only power differs from what the predictor has."""
    try:
        accuracy = json.loads((folder / "accuracy.json").read_bytes())
    except (OSError, ValueError) as error:
        raise PredictorError(f"{folder} has no readable accuracy.json: {error}") from None
    accuracy["power"] = reports
    artefact.write_json(new, "accuracy.json", accuracy)
    artefact.write_file(new, "card.md", card_text(name, manifest, accuracy).encode())
    artefact.write_json(new, artefact.MANIFEST, manifest)
