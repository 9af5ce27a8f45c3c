"""The report: its numbers, its structure, and that nothing from a file is ever read as markup."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from fake_predictions import operator, prediction
from hypothesis import given, settings
from hypothesis import strategies as st
from report_pages import HOSTILE, large_page, page_of

from perfmodel.cli import main
from perfmodel.hardware import load_device
from perfmodel.predict import Estimate
from perfmodel.report import page, vega
from perfmodel.report.caveats import caveats, shares
from perfmodel.report.ceilings import ceilings
from perfmodel.report.figures import device_figures, typeset
from perfmodel.report.modules import module_path, module_tree
from perfmodel.report.names import clean

MODEL = str(Path(__file__).parent.parent / "examples" / "resnet18.onnx")


@pytest.fixture(autouse=True)
def without_library(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages are made without the plotting library, whose version the footer names."""
    monkeypatch.setattr(vega, "version", lambda: "6")


class Structure(HTMLParser):
    """Elements, their ids, texts and attributes; scripts apart."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.texts: list[str] = []
        self.scripts: list[str] = []
        self.links: list[str] = []
        self._in_script = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self._in_script = tag == "script"
        if self._in_script:
            self.scripts.append("")
        for name, value in attrs:
            self.attributes.append((name, value or ""))
            if name == "id":
                self.ids.append(value or "")
            if name in ("href", "src"):
                self.links.append(value or "")

    def handle_endtag(self, tag: str) -> None:
        self._in_script = False

    def handle_data(self, data: str) -> None:
        if self._in_script:
            self.scripts[-1] += data
        else:
            self.texts.append(data)


def data_of(text: str) -> Any:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)
    assert found is not None
    return json.loads(found.group(1))


# ---------------------------------------------------------------------------------------------------- modules
def test_names_spell_modules() -> None:
    assert module_path("/encoder/layer.0/MatMul") == ["encoder", "layer.0", "MatMul"]
    assert module_path("stage1.block2.conv1") == ["stage1", "block2", "conv1"]
    assert module_path("MatMul_12") == ["MatMul_12"]
    assert module_path("/") == ["/"]


def split(*names: str) -> list[list[str]]:
    return [module_path(name) for name in names]


def test_a_tree_is_no_deeper_than_can_be_shown() -> None:
    tree = module_tree(split("/".join("ab" * 50), "c"), "net")
    assert len(tree.labels) < 30


def test_the_tree_of_modules() -> None:
    tree = module_tree(split("m/a/x", "m/a/y", "m/b", "c"), "net")
    assert tree.labels == ("net", "m", "a", "x", "y", "b", "c")
    assert tree.parents == (-1, 0, 1, 2, 2, 1, 0)
    assert tree.leaves == (3, 4, 5, 6)
    assert tree.sums([1.0, 2.0, 4.0, 8.0]) == [15.0, 7.0, 3.0, 1.0, 2.0, 4.0, 8.0]


def test_modules_that_hold_one_thing_are_joined_with_it() -> None:
    tree = module_tree(split("m/a/x", "m/a/y"), "net")
    assert tree.labels == ("net", "x", "y")  # all lies in m/a
    assert tree.parents == (-1, 0, 0)
    tree = module_tree(split("m/a/x", "m/a/y", "c"), "net")
    assert tree.labels == ("net", "m/a", "x", "y", "c")
    assert tree.parents == (-1, 0, 1, 1, 0)
    assert module_tree(split("m/a/b/x", "n"), "net").labels == ("net", "m/a/b/x", "n")


@given(st.lists(st.text(alphabet="ab/.", max_size=9), max_size=12))
@settings(max_examples=60)
def test_the_tree_holds_every_operator_once(names: list[str]) -> None:
    tree = module_tree(split(*names), "root")
    assert len(set(tree.leaves)) == len(tree.leaves) == len(names)
    assert all(parent < node for node, parent in enumerate(tree.parents))
    assert tree.sums([1.0] * len(names))[0] == len(names)


# ---------------------------------------------------------------------------------------------------- figures
def test_ceilings_of_an_a100() -> None:
    found = {c.label: c.value for c in ceilings(load_device("a100-sxm-80gb"), {"bf16", "w4a16", "fp32"})}
    assert found.pop("last-level cache") > found["DRAM"]
    assert found == {"DRAM": 2.039e12, "bf16": 312e12, "fp32": 19.5e12}
    # A clock that is locked to half of 1410 MHz halves arithmetic, not memory.
    slow = {c.label: c.value for c in ceilings(load_device("a100-sxm-80gb"), {"bf16"}, clock_hz=705e6)}
    assert (slow["DRAM"], slow["bf16"]) == (2.039e12, pytest.approx(156e12))


def test_shares_are_of_the_time() -> None:
    p = prediction(operators=(operator("conv", "a", 3e-5), operator("gemm", "b", 1e-5, source="analytical")))
    assert shares(p, "source") == {"learned": pytest.approx(0.75), "analytical": pytest.approx(0.25)}


def test_operators_that_are_alike_share_their_figures() -> None:
    same = [operator("conv", "a", 5e-5, name=f"layer{i}/conv") for i in range(3)]
    p = prediction(operators=(*same, operator("gemm", "b", 1e-4)))
    shown = device_figures(p, load_device("h100-sxm"), None)
    assert shown["kind"] == [0, 0, 0, 1]
    assert len(shown["kinds"]) == 2
    assert shown["names"][2] == "layer2/conv"
    assert shown["kinds"][0]["t"] == [5e-5, 5e-5, 5e-5]


def test_headline() -> None:
    shown = device_figures(prediction(), load_device("h100-sxm"), None)
    rows = {row["label"]: row for row in shown["headline"]}
    assert rows["latency"]["text"] == "400 µs"
    assert rows["latency"]["ends"] == [4e-4, 3.5e-4, 4.8e-4]
    # One run in 400 us: 2500 a second; the interval the other way round.
    assert rows["throughput"]["ends"] == [2500.0, pytest.approx(2083.3), pytest.approx(2857.1)]
    assert rows["carbon"]["text"] == "not asked"
    assert rows["utilisation"]["ends"] == [0.123, pytest.approx(0.1025), pytest.approx(0.14057)]


def test_unknown_stays_unknown() -> None:
    shown = device_figures(prediction(power_w=None, energy_j=None), load_device("h100-sxm"), None)
    rows = {row["label"]: row for row in shown["headline"]}
    assert rows["power"]["text"] == rows["energy"]["text"] == "unknown"
    assert shown["power"] is None


def test_carbon_that_was_asked_for_and_is_unknown_says_why() -> None:
    from perfmodel.predict.energy import Prices

    shown = device_figures(prediction(power_w=None, energy_j=None), load_device("h100-sxm"), None, Prices(grid=400.0))
    [row] = [row for row in shown["headline"] if row["label"] == "carbon"]
    assert (row["text"], row["note"]) == ("unknown", "the device quotes no TDP")


def test_what_draws_power_has_a_short_name() -> None:
    one = operator("gemm", "a", 4e-4, name="x" * 10_000, power_w=Estimate(300.0, 200.0, 400.0),
                   energy_j=Estimate(0.12, 0.08, 0.16))  # fmt: skip
    shown = device_figures(prediction(operators=(one,)), load_device("h100-sxm"), None)
    assert {len(name) for _, _, name in shown["power"]["slices"]} == {240}


def test_scripts_and_terminal_scale_alike() -> None:
    from perfmodel import units

    base, comparison = page.asset("base.js"), page.asset("comparison.js")
    for text, name, scales in (
        (base, "TIME", units._TIME), (base, "SI", units._DECIMAL), (base, "JOULE", units._ENERGY),
        (comparison, "GRAMS", units._MASS),
    ):  # fmt: skip
        [found] = re.findall(rf"^const {name} = (.*);$", text, re.MULTILINE)
        assert json.loads(found.replace("\\u00b5", "u")) == [list(scale) for scale in scales]


def test_a_run_without_time_says_why_figures_are_missing() -> None:
    nothing = Estimate(0.0, 0.0, 0.0)
    p = prediction(operators=(), latency_s=nothing, energy_j=None, power_w=None, utilisation=0.0)
    shown = device_figures(p, load_device("h100-sxm"), None)
    notes = {row["label"]: row["note"] for row in shown["headline"]}
    assert notes["power"] == notes["energy"] == notes["utilisation"] == "no operator takes time"
    assert "No operator takes time" in page_of([p])


def test_a_locked_clock_lowers_the_peaks() -> None:
    p = prediction(operators=(operator("gemm", "a", 5e-5),))
    full = device_figures(p, load_device("a100-sxm-80gb"), None)
    half = device_figures(p, load_device("a100-sxm-80gb"), None, clock_hz=705e6)
    assert (full["kinds"][0]["peak"], half["kinds"][0]["peak"]) == (312e12, 156e12)


def test_the_clock_of_the_run_is_that_of_its_ceilings(monkeypatch: pytest.MonkeyPatch) -> None:
    from perfmodel.report import report

    monkeypatch.setattr(vega, "check_installed", lambda: None)
    monkeypatch.setattr(vega, "script", lambda: "")
    text = report(MODEL, ["a100-sxm-80gb"], what_if=False, dims={"batch": 1}, dtype="bf16", clock_mhz=705)
    [device] = data_of(text)["devices"]
    assert {c["label"]: c["value"] for c in device["ceilings"]}["bf16"] == 156e12


def test_the_honest_box_has_what_a_cost_leaves_out() -> None:
    from perfmodel.predict.energy import Prices

    text = page_of([prediction()])
    assert "PUE" not in text
    shown = device_figures(prediction(), load_device("h100-sxm"), None, Prices(per_hour={"h100-sxm": 2.0}))
    assert any("the PUE was not given" in note for note in shown["caveats"]["notes"])


@pytest.mark.parametrize(("source", "said"), [("learned", True), ("blended", True), ("analytical", False)])
def test_bounds_are_those_of_the_physical_model(source: str, said: bool) -> None:
    shown = caveats(prediction(operators=(operator("gemm", "a", 5e-5, source=source),)))
    assert any("bound is the one that wins in the physical model" in note for note in shown["notes"]) is said


def test_idle_power_is_that_of_the_clock_that_is_kept() -> None:
    p = prediction(idle_power_w=118.0, lowest_idle_power_w=72.76, power_limit_w=700.0)
    shown = device_figures(p, load_device("h100-sxm"), None)
    [row] = [row for row in shown["headline"] if row["label"] == "power"]
    assert row["note"] == "between 118 W idle at its clock and a limit of 700 W"


def test_a_model_that_does_not_fit_says_so() -> None:
    shown = device_figures(prediction(peak_memory_bytes=200e9), load_device("h100-sxm"), None)
    [row] = [row for row in shown["headline"] if row["label"] == "peak memory"]
    assert row["bad"]
    assert "would not run" in row["note"]


def test_a_model_without_operators_has_a_page() -> None:
    nothing = Estimate(0.0, 0.0, 0.0)
    text = page_of([prediction(operators=(), latency_s=nothing, energy_j=nothing, utilisation=0.0)])
    assert data_of(text)["devices"][0]["kinds"] == []


def test_typeset() -> None:
    assert typeset("dram 3.40 us, 12 uJ") == "dram 3.40 µs, 12 µJ"
    assert typeset("1 us of usage, 3 use") == "1 µs of usage, 3 use"


# -------------------------------------------------------------------------------------------------- structure
def test_structure() -> None:
    text = page_of([prediction(), prediction(device="l40s")])
    found = Structure(text)
    assert len(set(found.ids)) == len(found.ids)
    charts = {"chart-tree", "chart-roofline", "chart-gap", "chart-waterline", "chart-memory", "chart-power"}
    sections = {"devices", "time", "roofline", "efficiency", "resources", "operators", "trust"}
    assert charts | sections <= set(found.ids)
    assert all(link.startswith("#") and link[1:] in found.ids for link in found.links)
    assert found.tags.count("h1") == 1
    assert "link" not in found.tags
    assert "img" not in found.tags
    data = data_of(text)
    assert [d["id"] for d in data["devices"]] == ["h100-sxm", "l40s"]
    assert set(data["devices"][0]) == {
        "id", "name", "predictor", "headline", "latency_s", "launch_gap_s", "names", "kind", "kinds", "ceilings", "modules",
        "bounds", "memory", "power", "caveats",
    }  # fmt: skip


def test_only_the_scripts_of_the_page_may_run() -> None:
    # sha256 of "a" and of "b", in base64, by `printf a | openssl dgst -sha256 -binary | base64`.
    policy = page.policy(["a", "b"])
    assert "'sha256-ypeBEsobvcr6wjGzmiPcTaeG7/gUfE5yuYB3ha/uSLs='" in policy
    assert "unsafe-eval" not in policy
    assert "script-src 'unsafe-inline'" not in policy
    assert policy.startswith("default-src 'none'")


@pytest.mark.parametrize("name", HOSTILE)
def test_names_are_never_markup(name: str) -> None:
    hostile = operator("conv", name, 5e-5, name=f"layer/{name}", dtype="bf16", bound="dram")
    p = prediction(
        model=name, operators=(hostile,), warnings=(name,), unmodelled=({"op": name, "count": 1, "bytes_share": 0.5},)
    )
    text = page_of([p], title=name)
    found = Structure(text)
    # Nothing that the skeleton has not: no element, no attribute that runs.
    plain = Structure(
        page_of(
            [
                prediction(
                    operators=(operator("conv", "a", 5e-5),),
                    warnings=("w",),
                    unmodelled=({"op": "x", "count": 1, "bytes_share": 0.5},),
                )
            ]
        )
    )
    assert found.tags == plain.tags
    assert [n for n, _ in found.attributes] == [n for n, _ in plain.attributes]
    assert not any(n.startswith("on") for n, _ in found.attributes)
    assert len(found.scripts) == len(plain.scripts)
    assert data_of(text)["devices"][0]["names"] == [clean(f"layer/{name}")]
    assert clean(name).strip() in "".join(found.texts)


def test_the_data_hold_no_markup() -> None:
    text = page.json_for_html({name: [name] for name in HOSTILE})
    assert not set("<>&\u2028") & set(text)
    assert json.loads(text) == {name: [clean(name)] for name in HOSTILE}


def test_scripts_never_write_markup() -> None:
    for name in {*page.REPORT_SCRIPTS, *page.REQUEST_SCRIPTS, *page.COMPARISON_SCRIPTS}:
        text = page.asset(name)
        for way in (
            "innerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            "document.write",
            "eval(",
            "new Function",
            'setTimeout("',
        ):
            assert way not in text, f"{name} uses {way}"


def test_6500_operators_fit() -> None:
    text = large_page(6500)
    # The plotting library takes 0.9 MB more: five in all.
    assert len(text.encode()) < 4_000_000
    assert len(data_of(text)["devices"][0]["names"]) == 6500


# ---------------------------------------------------------------------------------------------------- command
def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("vl_convert", reason="the extra report is not installed")
    out = tmp_path / "report.html"
    arguments = ["report", MODEL, "--device", "h100-sxm", "--dim", "batch=8", "--dtype", "bf16", "--grid", "FRA"]
    assert main([*arguments, "-o", str(out)]) == 0
    assert "MB" in capsys.readouterr().out
    text = out.read_text(encoding="utf-8")
    assert len(text.encode()) < 1_500_000
    [device] = data_of(text)["devices"]
    assert device["latency_s"] == pytest.approx(140e-6, rel=0.01)  # what the README prints
    assert {"batch=64", "fp8", "eager"} <= set(re.findall(r'<th scope="row">([^<]*)</th>', text))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-o", "report.pdf"], "wanted a name that ends in .html"),
        (["-o", "r.html", "--pue", "1.2"], "change carbon and money"),
        (["-o", "r.html", "--grid", "ZZZZ"], "ZZZZ"),
    ],
)
def test_wrong_use(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", MODEL, "--device", "h100-sxm", *arguments]) == 2
    assert message in capsys.readouterr().err


def test_too_many_devices() -> None:
    from perfmodel.errors import InputError
    from perfmodel.report import report

    with pytest.raises(InputError, match="1 to 8 devices; got 9"):
        report(MODEL, ["h100-sxm"] * 9)


def test_without_the_library(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    import importlib.util

    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert main(["report", MODEL, "--device", "h100-sxm", "--dim", "batch=8", "-o", str(tmp_path / "r.html")]) == 2
    assert "pip install 'perfmodel[report]'" in capsys.readouterr().err
