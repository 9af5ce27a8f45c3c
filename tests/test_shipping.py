"""What ships beside the code: predictors that are whole, small enough, and can be made again."""

from __future__ import annotations

import gzip
import hashlib
import json
import re
from dataclasses import asdict
from pathlib import Path

import pytest

from perfmodel._resources import data_path
from perfmodel.hardware import load_device
from perfmodel.integrations.loop_nests import NEST_VECTOR
from perfmodel.models.artefact import MANIFEST
from perfmodel.models.power import DevicePower

ROOT = Path(__file__).parent.parent
MODELS = data_path("models")
PREDICTORS = sorted(p for p in MODELS.iterdir() if (p / MANIFEST).is_file())
MOST_BYTES = 25_000_000
"""Of everything in ``models``, in the wheel."""


def test_the_models_are_small_enough_for_the_wheel() -> None:
    # Boosters are packed already, and the rest is little: the wheel holds no more than the files do.
    sizes = {str(p.relative_to(MODELS)): p.stat().st_size for p in MODELS.rglob("*") if p.is_file()}
    assert sum(sizes.values()) < MOST_BYTES, sorted(sizes.items(), key=lambda item: -item[1])[:5]


@pytest.mark.parametrize("folder", PREDICTORS, ids=lambda p: p.name)
def test_a_predictor_is_whole(folder: Path) -> None:
    manifest = json.loads((folder / MANIFEST).read_bytes())
    files = {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()}
    entries = [*manifest["boosters"], *manifest.get("power_boosters", [])]
    boosters = {entry["file"]: entry["sha256"] for entry in entries}
    # Nothing is missing, and nothing of an earlier training was left behind.
    assert files == {MANIFEST, "card.md", "accuracy.json", *boosters}
    for name, sha256 in boosters.items():
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == sha256, name
    accuracy = json.loads((folder / "accuracy.json").read_bytes())
    assert {"protocol", "groups", "overall", "pooled"} <= set(accuracy)
    judged = {(g["device"], g["dtype"]) for g in accuracy["groups"]}
    assert {(e["device"], e["dtype"]) for e in manifest["boosters"] if e["device"] != "*"} <= judged
    assert (folder / "card.md").read_text(encoding="utf-8").startswith(f"# Predictor `{folder.name}`\n")


MOST_POWER_BYTES = 2_500_000
"""Of boosters of power."""


def test_what_ships_of_power() -> None:
    folder = MODELS / "default"
    manifest = json.loads((folder / MANIFEST).read_bytes())
    files = [folder / entry["file"] for entry in manifest["power_boosters"]]
    assert sum(path.stat().st_size for path in files) < MOST_POWER_BYTES
    devices = {entry["device"] for entry in manifest["power_boosters"]}
    assert devices == {"h200-sxm", "b200-sxm", "gb200"} == set(manifest["power_physics"])
    # The boosters are the residual of these constants: others need `make power`.
    for device in devices:
        now = asdict(DevicePower.of(load_device(device)))
        for name, value in manifest["power_physics"][device].items():
            assert now[name] == pytest.approx(value, rel=0.01), f"{device}: {name} changed, run `make power`"
    accuracy = json.loads((folder / "accuracy.json").read_bytes())["power"]
    assert {"shapes", "software", "device"} == set(accuracy)
    assert manifest["power_versions"] == manifest["versions"]
    trained = [t for t in manifest["training_data"] if t in manifest["power_training_data"]]
    assert trained == manifest["power_training_data"]


MOST_RANKER_BYTES = 100_000
"""Of the ranker of kernel configurations."""


def test_what_ships_of_ranking() -> None:
    folder = MODELS / "ranker"
    manifest = json.loads((folder / "ranker.json").read_bytes())
    hashes = {entry["file"]: entry["sha256"] for entry in manifest["sources"]}
    files = {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()}
    assert files == {"ranker.json", "card.md", *hashes}
    for name, sha256 in hashes.items():
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == sha256, name
    assert sum((folder / name).stat().st_size for name in files) < MOST_RANKER_BYTES
    assert {p.name for p in MODELS.iterdir() if p.is_dir()} == {
        "ranker",
        "loop_nests",
        "characterise",
        *(p.name for p in PREDICTORS),
    }


def test_what_ships_of_loop_nests() -> None:
    folder = MODELS / "loop_nests"
    assert {p.name for p in folder.iterdir()} == {"residual.json.gz", "card.md"}
    assert (folder / "residual.json.gz").stat().st_size < MOST_RANKER_BYTES
    # The trees are of this version's description of a nest.
    trees = json.loads(gzip.decompress((folder / "residual.json.gz").read_bytes()))
    assert tuple(trees["learner"]["feature_names"]) == NEST_VECTOR


def test_the_versions_are_locked_and_those_of_the_predictor() -> None:
    lines = (MODELS / "lock.txt").read_text(encoding="utf-8").splitlines()
    locked = dict(line.split("==") for line in lines if line and not line.startswith("#"))
    assert {"numpy", "pandas", "pyarrow", "scipy", "xgboost-cpu"} <= set(locked)
    manifest = json.loads((MODELS / "default" / MANIFEST).read_bytes())
    assert manifest["versions"] == locked


def test_how_to_make_them_again_is_documented() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    page = (ROOT / "docs" / "accuracy.md").read_text(encoding="utf-8")
    for target in ("predictors", "power", "check-reproducible", "accuracy-page", "accuracy-gate"):
        assert re.search(rf"^{target}:.* ## ", makefile, re.MULTILINE), target
        assert f"make {target}" in page.replace("`make\n", "`make "), target
    assert "models/lock.txt" in page
