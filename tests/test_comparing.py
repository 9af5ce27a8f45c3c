"""Comparisons: Pareto fronts, their page and plots, the conditions of what is compared, and the command."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from fake_predictions import prediction
from test_crossover import lines
from test_report import MODEL, Structure, data_of

from perfmodel.cli import main
from perfmodel.hardware import load_device
from perfmodel.predict import Estimate
from perfmodel.predict.energy import Hosts, Prices
from perfmodel.predict.energy.ranking import labels
from perfmodel.predict.pareto import front
from perfmodel.predict.result import ModelPrediction
from perfmodel.predict.workload import Workload
from perfmodel.report import figures, vega
from perfmodel.report.comparing import comparison_html, draw, fronts
from perfmodel.report.crossover import Curves
from perfmodel.report.sections import comparison_charts, crossing_lines

DEVICES = ("h100-sxm", "l40s", "a10")
L40S = files("perfmodel.hardware") / "catalogue" / "l40s.toml"
NO_HOST: Any = None


@pytest.fixture(autouse=True)
def without_library(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages are made without the plotting library, whose version the footer names."""
    monkeypatch.setattr(vega, "version", lambda: "6")


def test_the_front() -> None:
    points = [(1, 10), (2, 5), (2, 7), (3, 6), (4, 1), (5, math.inf)]
    assert front(points, lambda p: p[0], lambda p: p[1]) == ((1, 10), (2, 5), (4, 1))


def some_ranking() -> list[ModelPrediction]:
    def one(device: str, seconds: float, joules: float, **more: Any) -> ModelPrediction:
        e = Estimate(joules, 0.9 * joules, 1.2 * joules)
        return prediction(device=device, latency_s=Estimate(seconds, 0.8 * seconds, 1.5 * seconds), energy_j=e, **more)

    return [one("h100-sxm", 1e-3, 0.5), one("l40s", 2e-3, 0.3), one("a10", 3e-3, 0.4)]


def test_fronts_of_devices() -> None:
    ranking = some_ranking()
    assert fronts(ranking, Prices()) == {"energy": ["h100-sxm", "l40s"]}
    prices = Prices(per_hour={"h100-sxm": 9.0, "l40s": 2.0, "a10": 0.5})  # 2.5, 1.1 and 0.4 millionths
    assert fronts(ranking, prices)["money"] == ["h100-sxm", "l40s", "a10"]
    assert "money" not in fronts(ranking, Prices(per_hour={"a10": 1.0}))


def test_the_page(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vega, "check_installed", lambda: None)
    monkeypatch.setattr(vega, "script", lambda: "")
    curves = lines((1, 8, 64), l40s=(0.0, 2.0), h100_sxm=(10.0, 1.0), a10=(50.0, 3.0))
    name = "<script>alert(1)</script>"
    text = comparison_html(some_ranking(), DEVICES, {"model": name, "dims": {}, "asked": {}}, None, curves)
    found = Structure(text)
    assert {"devices", "over", "pareto", "chart-latency", "chart-energy", "chart-over", "chart-pareto"} <= set(
        found.ids
    )
    assert found.tags.count("script") == 4  # the data, the library, two of ours
    assert (
        "from batch=11 on NVIDIA H100 SXM5 80GB is faster than NVIDIA L40S 48GB (latency for each sample)"
        in found.texts
    )
    assert data_of(text)["over"]["crossings"][0]["size"] == 11


@pytest.mark.parametrize("over", [True, False])
def test_the_plot_is_the_same_each_time(over: bool) -> None:
    pytest.importorskip("matplotlib", reason="the extra plot is not installed")
    curves = lines((1, 8, 64), l40s=(0.0, 2.0), h100_sxm=(10.0, 1.0)) if over else None
    first = draw(some_ranking(), None, curves, None, "svg")
    assert first == draw(some_ranking(), None, curves, None, "svg")
    text = first.decode()
    assert ("h100-sxm from 11" in text) is over
    assert ("Pareto front" in text) is not over


def of_devices(monkeypatch: pytest.MonkeyPatch, ranking: list[ModelPrediction], prices: Prices | None) -> str:
    monkeypatch.setattr(vega, "check_installed", lambda: None)
    monkeypatch.setattr(vega, "script", lambda: "")
    devices = [p.device for p in ranking]
    return comparison_html(ranking, devices, {"model": "net", "dims": {}, "asked": {}}, prices, None)


def test_fronts_and_points_are_of_the_same_energy(monkeypatch: pytest.MonkeyPatch) -> None:
    # With a kilowatt of host beside each: 1 ms and 0.5 J are 1.5 J, 2 ms and 0.3 J 2.3 J, 3 ms and 0.4 J 3.4 J.
    text = of_devices(monkeypatch, some_ranking(), Prices(hosts=Hosts(power_w=1000.0)))
    data = data_of(text)
    assert data["fronts"] == {"energy": ["h100-sxm"]}
    rows = [{row["label"]: row for row in d["headline"]} for d in data["devices"]]
    assert [row[data["labels"]["energy"]]["ends"][0] for row in rows] == [1.5, 2.3, 3.4]
    assert [row["energy"]["ends"][0] for row in rows] == [0.5, 0.3, 0.4]
    texts = Structure(text).texts
    assert "latency and energy at the meter: no other device beats NVIDIA H100 SXM5 80GB" in texts
    assert "Energy at the meter" in texts
    assert "energy at the meter" in texts  # the button
    assert data_of(of_devices(monkeypatch, some_ranking(), None))["labels"]["energy"] == "energy"
    over = lines((1, 8, 64), l40s=(0.0, 2.0), h100_sxm=(10.0, 1.0)).to_dict()
    names = {"l40s": "L40S", "h100-sxm": "H100"}
    assert crossing_lines(over, names, data["labels"])[1].endswith("(energy at the meter for each sample)")


def test_a_figure_that_the_first_device_lacks_has_a_column(monkeypatch: pytest.MonkeyPatch) -> None:
    from perfmodel.report.sections import device_table

    shown = data_of(of_devices(monkeypatch, some_ranking(), Prices(per_hour={"l40s": 2.0})))["devices"]
    table = Structure(device_table(shown)).texts
    assert table.count("money") == 1
    assert table.index("money") < table.index(shown[0]["name"])


def unpowered_ranking() -> list[ModelPrediction]:
    first, second, third = some_ranking()
    return [first, replace(second, energy_j=None, power_w=None), third]


def test_without_a_front_the_page_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    text = of_devices(monkeypatch, unpowered_ranking(), None)
    found = Structure(text)
    assert data_of(text)["fronts"] == {}
    assert "chart-pareto" not in found.ids
    [why] = [t for t in found.texts if t.startswith("No front")]
    assert why.endswith("the energy of every device, which is unknown of NVIDIA L40S 48GB (the device quotes no TDP).")


def test_charts_over_a_dimension_say_which_curves_are_missing_and_why() -> None:
    prices = Prices(grid=400.0)
    shown = [
        {"id": p.device, "name": p.device, "headline": figures.headline(p, load_device(p.device), prices)}
        for p in unpowered_ranking()
    ]
    cost = {d: [1.0, 2.0] for d in DEVICES}
    over = {"dimension": "batch", "sizes": [1, 2], "unit": "sample", "curves": {"latency": cost}, "crossings": []}
    found = Structure(comparison_charts(shown, over, {}, labels(prices))).texts
    assert [t for t in found if t.startswith("No curves")] == [
        f"No curves of {of} are drawn: it would need the {of} of every device, which is unknown of l40s"
        " (the device quotes no TDP)."
        for of in ("energy", "carbon")
    ]
    whole = {**over, "curves": dict.fromkeys(("latency", "energy", "carbon"), cost)}
    assert not any(
        t.startswith("No curves") for t in Structure(comparison_charts(shown, whole, {}, labels(prices))).texts
    )


def test_a_page_with_a_front_says_why_another_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    # What is paid for by the hour is known without energy, carbon is not; of prices two are missing below.
    per_hour = {"h100-sxm": 9.0, "l40s": 2.0, "a10": 0.5}
    text = of_devices(monkeypatch, unpowered_ranking(), Prices(grid=400.0, per_hour=per_hour))
    found = Structure(text)
    assert list(data_of(text)["fronts"]) == ["money"]
    assert "chart-pareto" in found.ids
    lacking = "NVIDIA L40S 48GB (the device quotes no TDP)"
    without = "is drawn: it would need the {} of every device, which is unknown of"
    reasons = [t for t in found.texts if t.startswith("No front")]
    assert reasons == [f"No front against {by} {without.format(by)} {lacking}." for by in ("energy", "carbon")]
    text = of_devices(monkeypatch, some_ranking(), Prices(per_hour={"l40s": 2.0}))
    [why] = [t for t in Structure(text).texts if t.startswith("No front")]
    assert why.startswith("No front against money is drawn: ")
    assert why.endswith("unknown of NVIDIA H100 SXM5 80GB, NVIDIA A10 24GB.")
    assert not any(t.startswith("No front") for t in Structure(of_devices(monkeypatch, some_ranking(), None)).texts)


def test_curves_of_a_quantity_that_a_device_lacks_are_drawn_of_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("matplotlib", reason="the extra plot is not installed")
    curves = lines((1, 8, 64), l40s=(0.0, 2.0), h100_sxm=(10.0, 1.0))
    curves.prices = Prices(per_hour={"l40s": 2.0})

    def searched(by: str) -> None:
        raise AssertionError(by)

    monkeypatch.setattr(curves, "crossings", searched)
    text = draw(some_ranking(), None, curves, "money", "svg").decode()
    assert ">money unknown: h100-sxm<" in text
    assert ">l40s<" in text
    assert ">h100-sxm<" not in text


def test_the_plot_is_of_the_quantity_that_was_asked_for() -> None:
    pytest.importorskip("matplotlib", reason="the extra plot is not installed")
    text = draw(unpowered_ranking(), Prices(grid=400.0), None, "carbon", "svg").decode()
    assert ">carbon [g CO2e]<" in text
    assert ">carbon unknown: l40s<" in text


@pytest.mark.parametrize(
    ("text", "now", "sizes"),
    [("batch=1:8", 6, (1, 2, 4, 6, 8)), ("batch=1:4", 8, (1, 2, 4)), ("batch=1,3,9", 6, (1, 3, 9))],
)
def test_the_size_of_the_table_stands_among_those_between(text: str, now: int, sizes: tuple[int, ...]) -> None:
    from perfmodel.cli.compare import _over

    assert _over(text, {"batch": now}) == ("batch", sizes)


# -------------------------------------------------------------------------------------------------- conditions
BODY = """func.func @main(%a: tensor<?x64xf32>, %o: tensor<?x64xf32>) -> tensor<?x64xf32> {
  %0 = linalg.generic {indexing_maps = [affine_map<(d0, d1) -> (d0, d1)>, affine_map<(d0, d1) -> (d0, d1)>],
    iterator_types = ["parallel", "parallel"]} ins(%a : tensor<?x64xf32>) outs(%o : tensor<?x64xf32>) {
  ^bb0(%x: f32, %y: f32):
    %1 = math.exp %x : f32
    %2 = math.tanh %1 : f32
    linalg.yield %2 : f32
  } -> tensor<?x64xf32>
  return %0 : tensor<?x64xf32>
}
"""
"""An operation of two scalar functions: one node where nothing is fused, as the file has it; else two that fusion joins."""


class Heard:
    """In place of the prediction: what each was asked of."""

    def __init__(self) -> None:
        self.prepared: list[Any] = []

    def __call__(self, prepared: Any, record: Any, dims: Any, *others: Any) -> ModelPrediction:
        self.prepared.append(prepared)
        size = next(iter(dims.values()))
        return prediction(device=record.id, workload=Workload(size))


def test_sizes_are_predicted_of_the_file_as_the_base_is(monkeypatch: pytest.MonkeyPatch) -> None:
    from perfmodel.report import crossover

    heard = Heard()
    monkeypatch.setattr(crossover, "_predict", heard)
    Curves.of(BODY, ["h100-sxm"], "a_0", (8, 16), dims={"a_0": 8, "o_0": 8}, fusion="none")
    assert [len(prepared.graph.nodes) for prepared in heard.prepared] == [1, 1]
    # A processor's runtime makes its own graph of the file.
    assert all(prepared.model is BODY for prepared in heard.prepared)


def test_what_ifs_are_predicted_of_the_file_as_the_base_is(monkeypatch: pytest.MonkeyPatch) -> None:
    from perfmodel.features.mlir import parse_operations
    from perfmodel.report import what_if

    parsings: list[int] = []
    parse = parse_operations.parse
    monkeypatch.setattr(parse_operations, "parse", lambda *given: (parsings.append(1), parse(*given))[1])
    for model, dims in ((BODY, {"a_0": 8, "o_0": 8}), (MODEL, {"batch": 8})):
        heard = Heard()
        monkeypatch.setattr(what_if, "_predict", heard)
        study = what_if.Study.of(model, ["h100-sxm"], {"dims": dims})
        list(study.predictions(lambda line: None))
        study.variants(lambda line: None)
        assert all(prepared.model is model for prepared in heard.prepared)
        if model is BODY:
            [plain] = [prepared for prepared in heard.prepared if prepared.fusion == "none"]
            assert len(plain.graph.nodes) == 1
            assert parsings == [1]


def test_a_step_of_a_request_is_no_file_that_a_runtime_takes() -> None:
    from perfmodel.predict import kernels_of
    from perfmodel.predict.on_host import runtime_graph

    graph, warning = runtime_graph(kernels_of(MODEL, dims={"batch": 1}), NO_HOST, None)
    assert graph is None
    assert "not graphs or the steps of a request" in warning


def test_a_request_reads_a_module_as_its_fusion_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    from perfmodel.errors import InputError
    from perfmodel.predict import generation

    heard: list[int] = []

    def steps(graph: Any, *others: Any) -> Any:
        heard.append(len(graph.nodes))
        raise InputError("enough")

    monkeypatch.setattr(generation, "graphs_of", steps)
    for fusion in ("none", "engine"):
        with pytest.raises(InputError, match="enough"):
            generation.prepare_request(BODY, 8, 8, {}, (None, None, None, fusion), None)
    assert heard == [1, 2]


def test_devices_that_share_an_id_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import perfmodel
    from perfmodel.errors import InputError

    file = tmp_path / "calibrated.toml"
    file.write_text(L40S.read_text(encoding="utf-8"), encoding="utf-8")
    assert main(["compare", MODEL, "--device", f"l40s,{file}", "--dim", "batch=8"]) == 2
    assert f"two devices (l40s, {file}) have the id 'l40s'" in capsys.readouterr().err
    for prompt in ({}, {"prompt": 8, "generate": 8}):
        with pytest.raises(InputError, match="change `id` in the file"):
            perfmodel.report(MODEL, ["l40s", file], dims={"batch": 8}, **prompt)
    with pytest.raises(InputError, match="l40s is given twice: name each device once"):
        Curves.of(MODEL, ["l40s", load_device("l40s")], "batch", (8, 16), dims={"batch": 8})
    again = f"{file},{tmp_path}/./{file.name}"
    for command in (["compare"], ["report", "-o", str(tmp_path / "x.html")]):
        for devices, said in ((f"l40s,{file}", "have the id 'l40s'"), (again, "l40s is given twice")):
            # Before prices by their names, which such devices share.
            wrong = [*command, MODEL, "--device", devices, "--dim", "batch=8", "--price-per-hour", f"l40s=1,{file}=2"]
            assert main(wrong) == 2
            assert said in capsys.readouterr().err
    with pytest.raises(InputError, match="change `id` in the file"):
        comparison_html(some_ranking(), [*DEVICES, file], {"model": "net", "dims": {}, "asked": {}}, None, None)


# ---------------------------------------------------------------------------------------------------- command
def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "compared.json"
    arguments = [
        "compare",
        MODEL,
        "--device",
        "h100-sxm,l40s",
        "--dim",
        "batch=8",
        "--dtype",
        "bf16",
        "--over",
        "batch=1:4",
    ]
    assert main([*arguments, "--json", str(out)]) == 0
    shown = capsys.readouterr().out
    over = json.loads(out.read_text())["over"]
    assert over["sizes"] == [1, 2, 4]
    assert set(over["curves"]) == {"latency", "energy"}
    # What is shown for a size is what `predict` says of it, for each sample.
    assert main(["predict", MODEL, "--device", "l40s", "--dim", "batch=4", "--dtype", "bf16", "--json", str(out)]) == 0
    alone = json.loads(out.read_text())["latency_s"]["value"]
    assert over["curves"]["latency"]["l40s"][2] == pytest.approx(alone / 4)
    assert "latency: h100-sxm is the fastest from batch=1 to 4" in shown


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--over", "batch"], "wanted NAME=A:B or NAME=A,B,C"),
        (["--over", "batch=0:4"], "wanted NAME=A:B or NAME=A,B,C"),
        (["--over", "bach=1:4"], "did you mean 'batch'"),
        (["--over", "batch=4"], "needs 2 to 40 sizes; got 1"),
        (["--plot", "x.pdf"], "ends in .svg or .png"),
        (["--html", "x.pdf"], "ends in .html"),
        (["--over", "batch=1:4", "--prompt", "8", "--generate", "8"], "--over is of the operators of one run"),
    ],
)
def test_wrong_use(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", MODEL, "--device", "h100-sxm", "--dim", "batch=8", *arguments]) == 2
    assert message in capsys.readouterr().err
