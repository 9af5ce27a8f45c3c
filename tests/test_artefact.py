"""Predictors on disk: what is saved is loaded, and what was changed, damaged or made to harm is refused."""

from __future__ import annotations

import copy
import dataclasses
import gzip
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from model_doubles import TOY_CONSTANTS, predictor, residual, toy_device, write_predictor

import perfmodel
from perfmodel.errors import InputError, PredictorError
from perfmodel.models import artefact
from perfmodel.models.constants import FALLBACK, LATER, Constants
from perfmodel.models.fit import FORMAT_CONSTANTS, KERNEL_CONSTANTS
from perfmodel.models.learned import Residual
from perfmodel.models.predictor import Predictor, load
from perfmodel.ops import Gemm

TOY = toy_device()
GEMM = Gemm(m=128, n=128, k=32, dtype="bf16")
FILE = "gemm/toy/bf16.json.gz"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_predictor(tmp_path / "mine", ("toy", "bf16", (0.5, 0.4)), ("h100-sxm", "fp8", (0.1,)))
    return tmp_path / "mine"


def change(folder: Path, *path: Any, value: Any) -> None:
    """Sets one value of the manifest."""
    manifest = json.loads((folder / "manifest.json").read_bytes())
    at = manifest
    for key in path[:-1]:
        at = at[key]
    at[path[-1]] = value
    (folder / "manifest.json").write_text(json.dumps(manifest))


def rehashed(folder: Path, data: bytes) -> None:
    """Replaces the toy's booster, with a hash that fits."""
    change(folder, "boosters", 0, "sha256", value=artefact.write_file(folder, FILE, data))


# ------------------------------------------------------------------------------------------------------------ save, load
def test_a_folder_predicts_as_what_was_saved(folder: Path) -> None:
    loaded = load(folder)
    direct = predictor(residual(log_ratio=(0.5, 0.4)))
    assert (loaded.name, loaded.constants) == ("mine", TOY_CONSTANTS)
    assert loaded.analytical_log_intervals == {"bf16": (-0.4, 0.6)}
    assert sorted(loaded.residuals) == [("gemm", "h100-sxm", "fp8"), ("gemm", "toy", "bf16")]
    op = Gemm(m=np.arange(8, 5000, 37), n=77, k=640, dtype="bf16")
    expected, found = direct.predict(op, TOY), loaded.predict(op, TOY)
    np.testing.assert_array_equal(found.latency_s, expected.latency_s)
    np.testing.assert_array_equal(found.latency_low_s, expected.latency_low_s)
    assert found.software.tolist() == expected.software.tolist()
    assert set(found.source) == {"learned", "blended"}


def test_equal_predictors_are_equal_files(tmp_path: Path) -> None:
    for name in ("one", "two"):
        write_predictor(tmp_path / name, ("toy", "bf16", (0.5, 0.4)))
    for file in ("manifest.json", FILE):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()
    assert artefact.compress(b"text") == artefact.compress(b"text")
    # No temporary file stays behind.
    assert sorted(p.name for p in (tmp_path / "one").rglob("*") if p.is_file()) == ["bf16.json.gz", "manifest.json"]


def test_boosters_are_read_on_first_use(folder: Path) -> None:
    (folder / FILE).unlink()
    loaded = load(folder)
    assert loaded.predict(GEMM.replace(dtype="fp16"), TOY).source[0] == "analytical"
    with pytest.raises(
        PredictorError, match=r"bf16\.json\.gz cannot be read: No such file.*install the predictor again"
    ):
        loaded.predict(GEMM, TOY)


def test_names(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = Predictor()
    assert load(mine) is mine
    assert load("analytical").residuals == {}
    assert load(str(folder)).name == load(folder).name == "mine"
    monkeypatch.chdir(folder.parent)
    assert load("mine").name == "mine"  # a folder of that name wins over what ships
    for name in ("defualt", "../mine", "no/such/folder", "\0"):
        with pytest.raises(InputError):
            load(name)
    with pytest.raises(InputError, match="no predictor folder"):
        load(folder / "nothing")


def test_the_physics_alone_takes_the_constants_that_were_fitted() -> None:
    try:
        shipped = load("default")
    except InputError as error:
        pytest.skip(f"no shipped predictor: {error}")
    analytical = perfmodel.load("analytical")
    assert analytical.constants == shipped.constants
    assert analytical.predict(GEMM, "h100-sxm").source.tolist() == ["analytical"]
    assert shipped.predict(GEMM, "h100-sxm").source.tolist() == ["learned"]


# ------------------------------------------------------------------------------------------------------------- tampering
def test_a_changed_booster_is_refused(folder: Path) -> None:
    data = (folder / FILE).read_bytes()
    for wrong in (data[:-1], data + b" ", bytes([*data[:-1], data[-1] ^ 1]), b""):
        (folder / FILE).write_bytes(wrong)
        with pytest.raises(PredictorError, match="does not match its hash in the manifest"):
            load(folder).predict(GEMM, TOY)


@pytest.mark.parametrize("name", ["../outside", "gemm/../../outside", "/etc/hostname", "a\0b", "loop/x", "link"])
def test_no_file_outside_the_folder_is_read(folder: Path, name: str) -> None:
    outside = folder.parent / "outside"
    data = (folder / FILE).read_bytes()
    outside.write_bytes(data)
    (folder / "link").symlink_to(outside)
    (folder / "loop").symlink_to(folder / "loop")
    change(folder, "boosters", 0, "file", value=name)
    with pytest.raises(PredictorError, match=r"outside the predictor's folder|cannot be read"):
        load(folder).predict(GEMM, TOY)


def test_a_link_within_the_folder_is_followed(folder: Path) -> None:
    (folder / "link").symlink_to(folder / FILE)
    change(folder, "boosters", 0, "file", value="link")
    assert load(folder).predict(GEMM, TOY).source[0] == "learned"


def test_what_is_no_file_is_not_waited_for(folder: Path) -> None:
    os.mkfifo(folder / "pipe")
    for name in ("pipe", "gemm", "."):
        change(folder, "boosters", 0, "file", value=name)
        with pytest.raises(PredictorError, match="is no file"):
            load(folder).predict(GEMM, TOY)


def test_boosters_that_are_not_what_the_manifest_says(folder: Path) -> None:
    rehashed(folder, (folder / "gemm/h100-sxm/fp8.json.gz").read_bytes())  # of one software, where there are two
    with pytest.raises(
        PredictorError, match=r"the booster for gemm on toy in bf16 reads \d+ features; the manifest describes \d+"
    ):
        load(folder).predict(GEMM, TOY)
    rehashed(folder, b"not gzip")
    with pytest.raises(PredictorError, match="the booster for gemm on toy in bf16 cannot be unpacked"):
        load(folder).predict(GEMM, TOY)
    rehashed(folder, gzip.compress(b"{}")[:-4])
    with pytest.raises(PredictorError, match="no XGBoost JSON model"):
        load(folder).predict(GEMM, TOY)


@pytest.mark.parametrize(
    "software", ["../../../evil", "/tmp/evil", r"..\\..\\evil", "C:evil", "mine/../../evil", "a\0b"]
)
def test_what_traces_call_their_software_leads_nowhere(tmp_path: Path, software: str) -> None:
    """Names in traces become names of files; this one would have been written beside the predictor, or anywhere."""
    with pytest.raises(InputError, match="cannot be a file of a predictor"):
        artefact.write_file(tmp_path / "mine", f"host/cpu/{software}.json.gz", b"x")
    assert list(tmp_path.rglob("*")) == []


def test_an_archive_that_unpacks_without_end_is_refused(folder: Path) -> None:
    rehashed(folder, gzip.compress(b" " * (65 * 2**20)))
    with pytest.raises(PredictorError, match="unpacks to more than 64 MiB"):
        load(folder).predict(GEMM, TOY)


def test_trees_whose_exponential_is_no_number_are_refused(tmp_path: Path) -> None:
    write_predictor(tmp_path, ("toy", "bf16", (-150.0, 150.0)))
    assert load(tmp_path).predict(GEMM, TOY).latency_s[0] > 0
    write_predictor(tmp_path, ("toy", "bf16", (-150.0, 151.0)))
    with pytest.raises(PredictorError, match=r"the booster .* could predict e\^301, which is no ratio of two times"):
        load(tmp_path).predict(GEMM, TOY)


def test_files_that_are_too_large(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with (folder / FILE).open("r+b") as file:
        file.truncate(33 * 2**20)
    with pytest.raises(PredictorError, match="larger than 32 MiB"):
        load(folder).predict(GEMM, TOY)
    with (folder / "manifest.json").open("r+b") as file:
        file.truncate(9 * 2**20)
    with pytest.raises(PredictorError, match="larger than 8 MiB"):
        load(folder)


# ------------------------------------------------------------------------------------------------------------ installing
class Killed(BaseException):
    """As ``kill -9``: nothing is cleaned up after it."""


@pytest.mark.parametrize("moves", range(6))
def test_a_predictor_is_the_old_or_the_new_one_whenever_its_installation_dies(
    moves: int, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def latencies(at: Path) -> list[float]:
        loaded = load(at)
        return [
            float(loaded.predict(GEMM.replace(dtype=d), v).latency_s[0])
            for v, d in ((TOY, "bf16"), ("h100-sxm", "fp8"))
        ]

    boosters = ("toy", "bf16", (0.9, 0.8)), ("h100-sxm", "fp8", (0.7,)), ("toy", "fp16", (0.2,))
    write_predictor(tmp_path / "other", *boosters)
    old, new = latencies(folder), latencies(tmp_path / "other")
    write_predictor(artefact.begin(folder), *boosters)
    replace, moved = Path.replace, []

    def dies(path: Path, target: Path) -> Path:
        if len(moved) == moves:
            raise Killed
        moved.append(path)
        return replace(path, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", dies)
        try:
            artefact.install(folder / ".new")
        except Killed:
            assert len(moved) < 5  # of all files together, the manifest, three boosters
        else:
            assert len(moved) == 5
    found = latencies(folder)
    assert found == (new if moves >= 2 else old)
    artefact.begin(folder)  # the next training finishes it, or forgets it
    assert latencies(folder) == found
    assert sorted(p.name for p in folder.iterdir()) == [".new", "gemm", "manifest.json"]


def test_new_files_that_are_half_removed_are_not_the_predictors(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = load(folder).predict(GEMM, TOY).latency_s
    write_predictor(artefact.begin(folder), ("toy", "bf16", (0.9, 0.8)))
    (folder / ".new").rename(folder / ".installing")  # its process was killed before the manifest was moved

    def dies(path: Path, **options: Any) -> None:
        if Path(path).is_dir():
            (Path(path) / "manifest.json").unlink()
            raise Killed

    with monkeypatch.context() as patch:
        patch.setattr("shutil.rmtree", dies)
        with pytest.raises(Killed):
            artefact.begin(folder)
    assert load(folder).predict(GEMM, TOY).latency_s == before
    artefact.begin(folder)
    assert load(folder).predict(GEMM, TOY).latency_s == before


def test_what_is_raised_amid_an_installation_is_settled_at_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    replace, moved = Path.replace, []

    def stops(path: Path, target: Path) -> Path:
        moved.append(path)
        if len(moved) == 4:  # a booster
            raise KeyboardInterrupt
        return replace(path, target)

    def rewrite(patch: pytest.MonkeyPatch) -> None:
        with artefact.staged(folder) as new:
            write_predictor(new, ("toy", "bf16", (0.9, 0.8)), ("h100-sxm", "fp8", (0.7,)))
            patch.setattr(Path, "replace", stops)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        rewrite(patch)
    assert sorted(p.name for p in folder.iterdir()) == ["gemm", "manifest.json"]
    loaded = load(folder)
    assert loaded.predict(GEMM, TOY).latency_s > predictor(residual(log_ratio=(0.5, 0.4))).predict(GEMM, TOY).latency_s


def test_no_link_among_files_that_are_installed_leads_outside(folder: Path) -> None:
    data = (folder / FILE).read_bytes()
    (folder / FILE).unlink()
    (folder.parent / "outside").write_bytes(data)
    (folder / ".installing" / FILE).parent.mkdir(parents=True)
    (folder / ".installing" / FILE).symlink_to(folder.parent / "outside")
    with pytest.raises(PredictorError, match="outside the predictor's folder"):
        load(folder).predict(GEMM, TOY)


# -------------------------------------------------------------------------------------------------------------- manifest
def test_folders_that_are_no_predictor(tmp_path: Path) -> None:
    with pytest.raises(PredictorError, match=r"is no predictor: it holds no manifest\.json"):
        load(tmp_path)
    for text in ("", "{", "[1]", '{"schema": "1"}', "[" * 100_000, "\x00", "null"):
        (tmp_path / "manifest.json").write_text(text)
        with pytest.raises(PredictorError, match=r"is no JSON|no number 'schema'"):
            load(tmp_path)
    (tmp_path / "manifest.json").write_bytes(b"\xff\xfe\xff")
    with pytest.raises(PredictorError, match="is no JSON"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("schema",), 2, "has schema 2; this version reads up to 1: upgrade perfmodel"),
        (("feature_schemas", "gemm"), "0" * 64, "trained on other features than this version computes"),
        (("feature_schemas",), {}, "KeyError 'gemm'"),
        (("boosters", 0, "device"), "*", "KeyError 'gemm_unseen'"),
        (("constants", "norm_p"), 0, "physics constant norm_p is 0; wanted a positive number"),
        (("constants", "norm_p"), True, "norm_p is True"),
        (("constants", "norm_p"), float("inf"), "norm_p is inf"),
        (("constants", "phlogiston"), 1.0, "do not match this version: phlogiston"),
        (("analytical_log_intervals", "bf16"), [0.4, -0.4], "around 0"),
        (("analytical_log_intervals", "bf16"), [float("nan"), 1], "around 0"),
        (("analytical_log_intervals", "bf16"), [1], "ValueError"),
        (("boosters", 0, "quantiles"), [[-1, 1]], "toy bf16 is damaged: wanted 4 pairs of quantiles"),
        (("boosters", 0, "quantiles"), [], "wanted 4 pairs of quantiles"),
        (("boosters", 0, "sibling_quantiles"), [[-1, 1]], "wanted 4 pairs of quantiles"),
        (("boosters", 0, "sibling_quantiles"), [[-1, 1], [0, 1], [1, 0], [0, 0]], "low before high"),
        (("boosters", 0, "quantiles", 2), [0.5, float("nan")], "quantiles of logarithms, -50 to 50"),
        (("boosters", 0, "quantiles", 2), [0.5, 51], "quantiles of logarithms, -50 to 50"),
        (("boosters", 0, "widths"), {"alpha-1.0": 1e10}, r"widths of 0 to 1e\+09"),
        (("analytical_log_intervals", "bf16"), [-0.4, 51.0], "around 0, -50 to 50"),
        (("constants", "norm_p"), 17, "wanted a positive number, 1 to 10"),
        (("constants", "dram_efficiency"), 1e-320, r"wanted a positive number, 7.8e-05 to 1e\+30"),
        (("constants", "k_extra"), 2e6, r"wanted a positive number, 1e-09 to 1.12e\+06"),
        (("boosters", 0, "quantiles", 2), [0.5, 0.4], "low before high"),
        (("boosters", 0, "quantiles", 2), [10**400, 1], "OverflowError"),
        (("boosters", 0, "support"), {"log2_m": [1, 2]}, "finite ranges"),
        (("boosters", 0, "support", "log2_k"), [9, 3], "low before high"),
        (("boosters", 0, "cache"), ["warm"], "one state of the cache for each software"),
        (("boosters", 0, "cache"), ["warm", "hot"], "states of the cache among warm, cold, rotating"),
        (("boosters", 0, "software"), [], "for each software"),
        (("boosters", 0, "rows"), "many", "ValueError"),
        (("boosters", 0, "family"), "gem", "holds the family 'gem', which this version does not know: did you mean 'gemm'"),
        (("boosters", 0, "family"), "conv", "KeyError 'conv'"),
        (("boosters",), None, "TypeError"),
        (("boosters", 0), "booster", "TypeError"),
    ],
)  # fmt: skip
def test_manifests_that_are_refused(folder: Path, path: tuple[Any, ...], value: Any, message: str) -> None:
    change(folder, *path, value=value)
    with pytest.raises(PredictorError, match=message) as error:
        load(folder)
    assert "\n" not in str(error.value)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("template")
    return folder, write_predictor(folder, ("toy", "bf16", (0.5, 0.4)))


def paths(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [*([at] if at else []), *(p for k, v in items for p in paths(v, (*at, k)))]


junk = st.one_of(
    st.none(), st.booleans(), st.integers(-3, 9), st.just(10**400), st.floats(), st.text(max_size=3), st.just([]),
    st.just({}), st.lists(st.floats(-2, 2), max_size=3), st.just({"bf16": [0, 0]}),
)  # fmt: skip


@given(data=st.data(), value=junk, drop=st.booleans())
@settings(
    max_examples=150, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_a_damaged_manifest_is_refused_or_still_predicts(
    template: tuple[Path, dict[str, Any]], data: st.DataObject, value: Any, drop: bool
) -> None:
    folder, good = template
    manifest = copy.deepcopy(good)
    path = data.draw(st.sampled_from(paths(manifest)))
    at: Any = manifest
    for key in path[:-1]:
        at = at[key]
    if drop:
        del at[path[-1]]
    else:
        at[path[-1]] = value
    (folder / "manifest.json").write_text(json.dumps(manifest))
    message, latency = "", np.ones(1)
    try:
        latency = load(folder).predict(GEMM, TOY).latency_s
    except PredictorError as error:
        message = str(error)
    assert "\n" not in message
    assert (latency > 0).all()
    assert np.isfinite(latency).all()


def test_constants_on_disk_and_back() -> None:
    assert Constants.from_dict(FALLBACK.to_dict()) == FALLBACK
    values = {**FALLBACK.to_dict(), "norm_p": 3}
    assert Constants.from_dict(values).norm_p == 3.0
    del values["residency"]
    with pytest.raises(PredictorError, match="residency; rebuild the predictor"):
        Constants.from_dict(values)


def test_constants_that_came_later_may_be_missing() -> None:
    """Those of what had no residuals then; a manifest from before them holds no figure that depends on them."""
    values = FALLBACK.to_dict()
    older = {name: value for name, value in values.items() if name not in LATER}
    assert len(older) == len(values) - len(LATER)
    assert Constants.from_dict(older) == FALLBACK
    # Nothing that a residual's features or estimates are made of is among them.
    assert not set(LATER) & {*KERNEL_CONSTANTS, *FORMAT_CONSTANTS}
    gemm = Gemm(m=512, n=512, k=512, dtype="bf16")
    changed = dataclasses.replace(FALLBACK, **dict.fromkeys(LATER, 0.123))
    a, b = (Predictor("p", c).predict(gemm, "h100-sxm") for c in (FALLBACK, changed))
    assert a.latency_s == b.latency_s


@pytest.mark.parametrize(("dtype", "lacking"), [("fp32", {"simt_tile_cost"}), ("bf16", LATER)])
def test_what_was_learned_of_fp32_products_needs_the_constants_of_vector_units(
    tmp_path: Path, dtype: str, lacking: frozenset[str]
) -> None:
    write_predictor(tmp_path / "old", ("toy", dtype, (0.5, 0.4)))
    values = TOY_CONSTANTS.to_dict()
    change(
        tmp_path / "old", "constants", value={name: v for name, v in values.items() if not name.startswith("attention")}
    )
    assert load(tmp_path / "old").residuals  # products know nothing of attention
    change(tmp_path / "old", "constants", value={name: v for name, v in values.items() if name not in lacking})
    if dtype == "bf16":
        assert load(tmp_path / "old").residuals
    else:
        with pytest.raises(PredictorError, match="lacks physics constants: simt_tile_cost; train it again"):
            load(tmp_path / "old")


def test_a_residual_checks_itself() -> None:
    with pytest.raises(PredictorError, match="toy bf16 is damaged"):
        residual(cache=())
    assert isinstance(residual(), Residual)
