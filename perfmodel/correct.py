"""Correcting a predictor with a few rows of a device: ``perfmodel train --base``.

Up to :data:`BOOSTER_ROWS` rows of a (device, dtype) make a correction (:mod:`perfmodel.models.corrections`) on top of whatever
the base says of that device, together with the rows that corrected the base there before; more make a booster of its own, as
plain training does, unless the base has learned software there that they lack. Kernels of a processor that the base does not
know are learned as plain training learns them. The new folder holds the base's files as well, so that it needs nothing beside
it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from perfmodel import __version__
from perfmodel.calibrate import Measured, described, measured_errors
from perfmodel.card import accuracy_table
from perfmodel.errors import InputError
from perfmodel.evaluate import GroupAccuracy, JudgedRows, accuracy_report, grouped
from perfmodel.features.vector import feature_schema
from perfmodel.hardware import Device, load_device
from perfmodel.models import artefact
from perfmodel.models.constants import FALLBACK
from perfmodel.models.corrections import Correction, Fitted, fit_correction, packed
from perfmodel.models.kernel import Points, joined
from perfmodel.models.learned import Key, software_of, software_order
from perfmodel.models.predictor import Predictor, load_trained, predictor_folder
from perfmodel.models.trace_rows import Part, check_seconds, roofline_s
from perfmodel.training.host_files import KEPT as HOST_COLUMNS
from perfmodel.training.host_files import check_host, split_host, write_host
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
            that is no predictor; the base was corrected with other calibrated constants of the device, or the rows come
            with two sets of them; the base has learned kernels of the same processor and software.
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
    tables, hashes = load_tables(traces, device, keep=HOST_COLUMNS)
    predictor, manifest = load_trained(source), artefact.read_manifest(source)
    tables, on_processors = split_host(tables)
    check_host(on_processors)
    _check_new(on_processors, predictor, source)
    boosters: dict[Key, dict[str, Any]] = {_key(e): e for e in manifest["boosters"]}
    corrections: dict[Key, dict[str, Any]] = {_key(e): e for e in manifest.get("corrections", [])}
    notes: list[str] = []
    named = []
    for part in learned_parts(tables, None, report) if tables or not on_processors else []:
        plain = load_device(part.device)
        key = (part.name, plain.id, part.part)
        named.append((part, plain, key, _makes_booster(part, key, predictor, notes)))
    # Boosters take the place of corrections: the constants that those brought are gone with them.
    for _, _, key, makes_booster in named:
        predictor = predictor.without_correction(key) if makes_booster else predictor
    todo = [(part, predictor.as_corrected(plain), key, makes_booster) for part, plain, key, makes_booster in named]
    for part, record, _, _ in todo:
        check_seconds(part, record, predictor.constants)
    _check_constants([record for _, record, _, _ in todo], predictor)
    host, judged = write_host(on_processors, folder, seed, report)
    groups, own = grouped(judged, BY) if judged else [], []
    for part, record, key, makes_booster in todo:
        if makes_booster:
            boosters[key], scores = _own_booster(part, key, record, predictor, folder, seed)
            own.append(boosters[key])
            corrections.pop(key, None)
        else:
            corrections[key], scores = _correction(part, key, record, predictor, folder, seed)
        groups += scores
        before, after = (float(np.mean([getattr(g, n) for g in scores])) for n in ("analytical_mape", "mape"))
        held = corrections[key]["rows"] if key in corrections else len(part.rows)
        which = f"{len(part.rows)} rows" + (f", {held} with those before" if held > len(part.rows) else "")
        report(f"{' '.join(key)}: {which}, left-out MAPE {after:.2%} (physics alone {before:.2%})")
    families = {e["family"] for e in boosters.values()}
    schemas = {family: feature_schema(family).sha256 for family in sorted(families)}
    new = (
        manifest
        | {
            "perfmodel": __version__,
            "base": {"name": source.name, "perfmodel": manifest.get("perfmodel")},
            "feature_schemas": schemas | manifest["feature_schemas"],
            "boosters": list(boosters.values()),
            "corrections": list(corrections.values()),
            "training_data": [*manifest.get("training_data", []), *hashes],
        }
        | ({"host_kernels": [*manifest.get("host_kernels", []), *host]} if host else {})
    )
    given = artefact.files_of(manifest)
    for file, sha256 in artefact.files_of(new).items():
        if given.get(file) == sha256:  # else it was written just now
            artefact.write_file(folder, file, artefact.read_file(source, file, sha256))
    accuracy = accuracy_report(_PROTOCOL, seed, groups) | ({"notes": notes} if notes else {})
    artefact.write_json(folder, "accuracy.json", accuracy)
    artefact.write_file(folder, "card.md", _card(name, new, own, host, accuracy).encode())
    artefact.write_json(folder, artefact.MANIFEST, new)
    return accuracy


def _card(
    name: str,
    manifest: dict[str, Any],
    own: list[dict[str, Any]],
    host: list[dict[str, Any]],
    accuracy: dict[str, Any],
) -> str:
    named = [(f"{c['family']} {c['device']} {c['part']}", c) for c in manifest["corrections"]]
    named += [(f"{e['family']} {e['device']} {e['part']}: a booster of its own", e) for e in own]
    named += [(f"kernels of {e['device']}", e | {"software": [e["software"]]}) for e in host]
    lines = [
        f"# Predictor `{name}`",
        "",
        f"`{manifest['base']['name']}` (perfmodel {manifest['base']['perfmodel']}), corrected by rows that were",
        "measured on some devices; everything else is as it was there.",
        "",
        "| corrected | rows | software |",
        "|---|---|---|",
        *(f"| {what} | {e['rows']} | {', '.join(e['software'])} |" for what, e in named),
        "",
        *(line for note in accuracy.get("notes", ()) for line in (f"- {note}", "")),
        "Accuracy of what this training added: each measured row as the others predict it (rows, not whole groups: the shapes",
        "were chosen to lie apart). It flatters where rows are few: the same ones calibrated the device and scaled the",
        "covariance. Of a booster of its own: whole groups of shapes held out; of a processor's kernels: whole networks.",
        "",
        *accuracy_table(accuracy),
    ]
    return "\n".join(lines) + "\n"


def _key(entry: dict[str, Any]) -> Key:
    return str(entry["family"]), str(entry["device"]), str(entry.get("part", entry.get("dtype")))


def _check_new(tables: list[pd.DataFrame], predictor: Predictor, source: Path) -> None:
    """Refuses kernels of a processor and software that the base has learned: theirs would replace what it knows."""
    for rows in tables:
        device, software = load_device(str(rows["device"].iloc[0])).id, str(rows["software"].iloc[0])
        known = next((h for h in predictor.host if (h.device, h.software) == (device, software)), None)
        if known is not None:
            raise InputError(
                f"{source.name} has learned {known.rows} kernels of {device} under {software}, and a processor's kernels are "
                "learned all together: give the traces of both to `perfmodel train`, without --base"
            )


def _check_constants(devices: Sequence[Device], predictor: Predictor) -> None:
    """Refuses rows of a device whose constants are not those of all its corrections and of its other rows: a predictor takes
    one set for all that it predicts there, and errors are those of predictions with it."""
    first: dict[str, Device] = {}
    for device in devices:
        for key, correction in predictor.corrections.items():
            if correction.device == device.id and dict(correction.calibrated) != dict(device.calibrated):
                raise InputError(
                    f"the base's correction of {' '.join(key)} was made with other calibrated constants than these rows "
                    f"of {device.id} would be: correct the base before it with the traces of all rounds, or give the device "
                    "as it was then"
                )
        if dict(first.setdefault(device.id, device).calibrated) != dict(device.calibrated):
            raise InputError(
                f"the rows of {device.id} are of two device files with different calibrated constants: give one file for all"
            )


def _makes_booster(part: Part, key: Key, predictor: Predictor, notes: list[str]) -> bool:
    """Whether the rows of a part make a booster of its own: enough of them, and under all software that the base has learned
    there, whose place it takes. ``notes`` takes a line where one of the two is left behind."""
    rows, name = len(part.rows), " ".join(key)
    if rows < BOOSTER_ROWS:
        return False
    residual, correction = predictor.residuals.get(key), predictor.corrections.get(key)
    learned = [*(residual.software if residual else ()), *(correction.software if correction else ())]
    measured = set(part.rows["software"].astype(str))
    lacking = [s for s in dict.fromkeys(map(software_of, software_order(learned))) if s not in measured]
    if lacking:
        notes.append(
            f"{name}: the base has learned {', '.join(lacking)} there, of which none of the {rows} rows is: it stays, "
            f"corrected by at most {PROCESS_ROWS} of them; `perfmodel train` without --base learns from all"
        )
        return False
    if correction is not None:
        notes.append(
            f"{name}: a booster of {rows} rows takes the place of the {correction.rows} rows that corrected the base; give "
            "their traces, too, if they are not among these"
        )
    return True


def _own_booster(
    part: Part, key: Key, device: Device, predictor: Predictor, folder: Path, seed: int
) -> tuple[dict[str, Any], list[GroupAccuracy]]:
    task = PartTask.of(part, predictor.constants or FALLBACK, seed, Pieces(None), device)
    trained = train_part(task)
    # What leaving devices out said of the family and part holds for the siblings of this device, too.
    pooled = (r.sibling_quantiles for r in predictor.residuals.values() if r.key[::2] == key[::2])
    entry = {**trained.entry, "sibling_quantiles": next((q for q in pooled if q is not None), None)}
    file = f"{entry['family']}/{entry['device']}/{entry['part']}.json.gz"
    sha256 = artefact.write_file(folder, file, trained.booster)
    return {**entry, "file": file, "sha256": sha256}, trained.scores


@dataclass(frozen=True)
class Earlier:
    """What still stands of a correction beside new rows: of a shape that was measured again under the same software the newer
    row does, since an older one says what another driver or another moment did, and rows that are given twice do not count
    twice.

    Attributes:
        points, error: the rows and their errors.
        cache: the state of the cache of each software.
    """

    points: Points
    error: np.ndarray
    cache: Mapping[str, str]

    @classmethod
    def of(cls, correction: Correction, new: Points) -> Earlier:
        """What ``new``, all rows that were measured since, leave of a correction."""
        old, left = correction.points, np.arange(len(correction.points))
        if new.shapes is not None and old.shapes is not None:  # earlier versions stored none
            again = set(zip(new.shapes.tolist(), new.software.tolist(), strict=True))
            rows = zip(old.shapes.tolist(), old.software.tolist(), strict=True)
            left = np.flatnonzero([row not in again for row in rows])
        cache = dict(zip(correction.software, correction.cache, strict=True))
        return cls(old.part(left), correction.error[left], cache)

    def __len__(self) -> int:
        return len(self.error)

    def drawn(self, count: int, seed: int) -> Earlier:
        """At most ``count`` of the rows."""
        kept = np.sort(np.random.default_rng(seed).permutation(len(self))[:count])
        return replace(self, points=self.points.part(kept), error=self.error[kept])


def correction_of(
    part: Part,
    measured: Measured,
    device: Device,
    predictor: Predictor,
    earlier: Earlier | None = None,
) -> tuple[Correction, Fitted, bytes]:
    """A correction from measured rows, how it was fitted, and its stored bytes.

    Args:
        part: what was measured.
        measured: its rows, predicted without any correction of the part.
        device: where they were measured.
        predictor: whose errors they are.
        earlier: rows of an earlier correction of the same errors, which are fitted as well, after those of ``measured``.
    """
    assert part.family is not None
    points, error = measured.points, measured.error
    cache = {str(s): str(measured.cache[points.software == s][0]) for s in set(points.software.tolist())}
    if earlier is not None:
        points, error = joined(points, earlier.points), np.concatenate([error, earlier.error])
        cache = {**earlier.cache, **cache}
    fitted = fit_correction(points, error, predictor.error_kernel(part.family))
    # Sorted, so that the bytes do not depend on the order in which parts of the covariance name them.
    names = sorted({c for p in fitted.kernel.parts for c in p.columns} | {"share_launch"} & points.columns.keys())
    data = packed(points, fitted.error, fitted.noise, names)
    software = software_order(points.software.tolist())
    correction = Correction(
        device=device.id, family=part.family.name, part=part.part, software=software,
        cache=tuple(cache[s] for s in software), kernel=fitted.kernel, calibrated=device.calibrated, rows=len(points),
        read=lambda: data, width=fitted.width,
    )  # fmt: skip
    return correction, fitted, data


def _correction(
    part: Part, key: Key, device: Device, predictor: Predictor, folder: Path, seed: int
) -> tuple[dict[str, Any], list[GroupAccuracy]]:
    known, earlier, room = predictor.corrections.get(key), None, PROCESS_ROWS
    if known is not None:
        # What was measured again counts once, and as it is now, also where its new row is not drawn.
        earlier = Earlier.of(known, described(part, device, predictor.constants).points)
        # A draw from both, if there are too many: as many of each as it has of all.
        share = PROCESS_ROWS * len(part.rows) // (len(part.rows) + len(earlier))
        room = max(share, PROCESS_ROWS - len(earlier), 1)
    if len(part.rows) > room:
        part = replace(part, rows=part.rows.sample(room, random_state=seed))
    if earlier is not None:
        earlier = earlier.drawn(PROCESS_ROWS - len(part.rows), seed)
    measured = measured_errors(part, device, predictor.without_correction(key))
    correction, fitted, data = correction_of(part, measured, device, predictor, earlier)
    file = f"{correction.family}/{correction.device}/{correction.part}.correction.json.gz"
    sha256 = artefact.write_file(folder, file, data)
    return correction.to_entry() | {"file": file, "sha256": sha256}, _scores(part, measured, fitted, device)


def _scores(part: Part, measured: Measured, fitted: Fitted, device: Device) -> list[GroupAccuracy]:
    mine = slice(len(measured))  # rows of an earlier correction come after them
    predicted, factor = measured.predicted_s * np.exp(fitted.left_out[mine]), np.exp(fitted.half_width[mine])
    roofline, keys = np.empty(len(measured)), measured.points.shapes
    assert keys is not None
    for chunk in measured.chunks:
        roofline[chunk.rows] = roofline_s(chunk.group, device)
    software = np.array([software_of(v) for v in measured.points.software.tolist()], dtype=object)
    judged = []
    for name in sorted(set(software.tolist())):
        of_it = software == name
        judged.append(
            JudgedRows(
                device.id, str(part.rows["dtype"].iloc[0]), name, measured.measured_s[of_it], predicted[of_it],
                (predicted / factor)[of_it], (predicted * factor)[of_it], measured.analytical_s[of_it], roofline[of_it],
                keys[of_it], 1, part.name, part.part,
            )
        )  # fmt: skip
    return grouped(judged, BY)
