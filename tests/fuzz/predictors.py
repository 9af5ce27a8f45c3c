"""Devices and predictors."""

from __future__ import annotations

import hashlib
import json
import math
import tomllib
from collections.abc import Iterable
from functools import cache
from pathlib import Path

import perfmodel
from fuzz.base import ROOT, analytical, refused, written
from perfmodel.errors import PerfmodelError
from perfmodel.hardware import Device


def read_device(data: bytes, folder: Path) -> str:
    from perfmodel.hardware import load_device

    # A name of its own: files of users are kept by path, time and size.
    path = written(folder, f"{hashlib.sha1(data).hexdigest()[:16]}.toml", data)
    try:
        device = load_device(path)
        found = analytical().predict(perfmodel.Gemm(m=100, n=200, k=300, dtype=next(iter(device.peak_flops))), device)
        assert (found.latency_s > 0).all()
        assert all(map(math.isfinite, found.latency_s))
        tomllib.loads(data.decode("utf-8-sig"))
    except PerfmodelError as error:
        return refused(error)
    finally:
        path.unlink()
    return "result"


def device_seeds() -> Iterable[bytes]:
    yield from (p.read_bytes() for p in sorted((ROOT / "perfmodel/hardware/catalogue").glob("*.toml"))[::3])


def predictor_parts() -> tuple[dict[str, object], bytes]:
    import tempfile

    from model_doubles import write_predictor

    with tempfile.TemporaryDirectory() as folder:
        manifest = write_predictor(Path(folder), ("toy", "bf16", (0.5, 0.4)))
        return manifest, (Path(folder) / "gemm/toy/bf16.json.gz").read_bytes()


@cache
def toy() -> tuple[dict[str, object], bytes]:
    return predictor_parts()


def read_manifest(data: bytes, folder: Path) -> str:
    return folder_predicts(folder, data, toy()[1])


def read_crafted_booster(data: bytes, folder: Path) -> str:
    """A booster with a hash that fits: what a hostile hand could make."""
    from perfmodel.models import artefact

    packed = artefact.compress(data)
    manifest = json.loads(json.dumps(toy()[0]))
    manifest["boosters"][0]["sha256"] = hashlib.sha256(packed).hexdigest()
    return folder_predicts(folder, json.dumps(manifest).encode(), packed)


def folder_predicts(folder: Path, manifest: bytes, booster: bytes) -> str:
    from model_doubles import toy_device

    (folder / "gemm/toy").mkdir(parents=True, exist_ok=True)
    (folder / "gemm/toy/bf16.json.gz").write_bytes(booster)
    (folder / "manifest.json").write_bytes(manifest)
    return _predicts(folder, toy_device())


def _predicts(folder: Path, device: str | Device) -> str:
    try:
        found = perfmodel.load(folder).predict(perfmodel.Gemm(m=128, n=128, k=32, dtype="bf16"), device)
    except PerfmodelError as error:
        return refused(error)
    assert (found.latency_s > 0).all()
    assert all(map(math.isfinite, found.latency_s))
    return "result"


def booster_seeds() -> Iterable[bytes]:
    import gzip

    return [gzip.decompress(toy()[1])]


def read_shipped_manifest(data: bytes, folder: Path) -> str:
    """The manifest of the shipped predictor, damaged, beside its boosters."""
    shipped = ROOT / "models" / "default"
    for item in shipped.iterdir():
        if item.is_dir() and not (folder / item.name).exists():
            # A link out of the folder is refused, as it is to be; the folders themselves are the predictor's own.
            import shutil

            shutil.copytree(item, folder / item.name)
    (folder / "manifest.json").write_bytes(data)
    return _predicts(folder, "h100-sxm")


def manifest_seeds() -> Iterable[bytes]:
    yield json.dumps(toy()[0]).encode()


def shipped_seeds() -> Iterable[bytes]:
    yield (ROOT / "models/default/manifest.json").read_bytes()


# ------------------------------------------------------------------------------------------------------- corrections
def read_correction(data: bytes, folder: Path) -> str:
    """A predictor with a correction whose hash fits: the entry and its rows in one JSON text."""
    from perfmodel.models import artefact

    try:
        both = json.loads(data)
        entry, rows = dict(both["entry"]), both["rows"]
        packed = artefact.compress(json.dumps(rows).encode())
    except (ValueError, KeyError, TypeError, RecursionError):
        return "refused"
    written(folder, "corrections/toy.json.gz", packed)
    entry |= {"file": "corrections/toy.json.gz", "sha256": hashlib.sha256(packed).hexdigest()}
    manifest = {**toy()[0], "corrections": [entry]}
    try:
        text = json.dumps(manifest).encode()
    except (ValueError, RecursionError):
        return "refused"
    return folder_predicts(folder, text, toy()[1])


def correction_seeds() -> Iterable[bytes]:
    import gzip

    import numpy as np
    from model_doubles import toy_device

    from perfmodel.models.corrections import Correction, fit_correction, packed
    from perfmodel.models.families.gemm import GEMM
    from perfmodel.models.kernel import Points, error_columns, error_kernel
    from perfmodel.models.machine import Conditions
    from perfmodel.ops.table import groups_of

    ops = [perfmodel.Gemm(m=m, n=128, k=k, dtype="bf16") for m in (64, 128, 512) for k in (32, 256)]
    (group,), _ = groups_of(ops)
    columns = error_columns(perfmodel.load("analytical").error_features(group, toy_device(), Conditions()))
    points = Points(columns, np.array(["mine-1.0"] * len(ops), dtype=object), np.arange(len(ops), dtype=np.uint64))
    made = fit_correction(points, np.linspace(-0.2, 0.3, len(ops)), error_kernel(GEMM))
    correction = Correction(
        "toy", "gemm", "bf16", ("mine-1.0",), ("rotating",), made.kernel, {}, len(ops), lambda: b"", made.width
    )
    rows = json.loads(gzip.decompress(packed(points, made.error, made.noise, tuple(columns))))
    yield json.dumps({"entry": correction.to_entry(), "rows": rows}).encode()


# ------------------------------------------------------------------------------------------ rankers and characterisers
def read_ranker(data: bytes, folder: Path) -> str:
    """A ranker's folder with one space and device: its manifest and tables in one JSON text."""
    from fuzz.tables import CONFIGS
    from perfmodel.models import artefact

    try:
        both = json.loads(data)
        packed = artefact.compress(json.dumps(both["tables"]).encode())
        manifest = dict(both["manifest"])
        for source in manifest["sources"]:
            source |= {"file": "t.json.gz", "sha256": hashlib.sha256(packed).hexdigest()}
        text = json.dumps(manifest).encode()
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return "refused"
    written(folder, "t.json.gz", packed)
    written(folder, "ranker.json", text)
    path = written(folder, "configs.csv", CONFIGS)
    try:
        problem = perfmodel.Gemm(m=512, n=512, k=512, dtype="fp32")
        found = perfmodel.rank(problem, path, "rtx-3090", pretrained=str(folder))
        json.dumps(found.to_dict("rtx-3090"), allow_nan=False)
        assert all(map(math.isfinite, found.latency_s))
    except PerfmodelError as error:
        return refused(error)
    return "result"


def ranker_seeds() -> Iterable[bytes]:
    tables = {
        "base": 0.5, "columns": ["MWG", "NWG", "KWG"], "edges": [[32.0], [48.0, 96.0], []],
        "tables": [{"members": [0, 1], "cells": [0.1, 0.2, 0.3, -0.1, -0.2, -0.3]}, {"members": [2], "cells": [0.01]}],
    }  # fmt: skip
    op = {"op": "gemm", "dtype": "fp32", "m": 1024, "n": 1024, "k": 1024}
    sources = [{"space": "clblast_sgemm", "device": d, "op": op, "rows": 100} for d in ("rtx-3080", "rtx-3090")]
    manifest = {"schema": 1, "sources": sources[:1], "level_log_std": 0.7, "shape_log_std": 0.5}
    yield json.dumps({"manifest": manifest, "tables": tables}).encode()
    yield json.dumps({"manifest": {**manifest, "sources": sources}, "tables": tables}).encode()


def read_characteriser(data: bytes, folder: Path) -> str:
    """The manifest of the shipped characteriser, damaged, beside its boosters."""
    import shutil

    from fuzz.models import LINALG
    from perfmodel.characterise import characterise

    home = folder / "characteriser"
    if not home.is_dir():
        shutil.copytree(next(p for p in sorted((ROOT / "models/characterise").iterdir()) if p.is_dir()), home)
    written(home, "manifest.json", data)
    module = written(folder, "m.mlir", LINALG.replace("M", "64").replace("N", "64").replace("K", "64").encode())
    try:
        json.dumps(characterise(module, model=home).to_dict(), allow_nan=False)
    except PerfmodelError as error:
        return refused(error)
    return "result"


def characteriser_seeds() -> Iterable[bytes]:
    yield (
        next(p for p in sorted((ROOT / "models/characterise").iterdir()) if p.is_dir())
        .joinpath("manifest.json")
        .read_bytes()
    )
