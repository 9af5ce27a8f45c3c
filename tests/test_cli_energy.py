"""Options of predict and compare about energy: what is printed, what is written, what is refused."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from memory_models import decoder

from perfmodel.cli import main

DEMO = str(Path(__file__).resolve().parent.parent / "examples" / "resnet18.onnx")
H100 = ["--device", "h100-sxm", "--dim", "batch=8", "--dtype", "bf16", "--predictor", "analytical"]


@pytest.fixture(autouse=True)
def _eighty_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A decoder of two layers with inputs for its cache."""
    path = tmp_path_factory.mktemp("models") / "decoder.onnx"
    path.write_bytes(decoder(width=16, heads=2, layers=2, vocabulary=50).SerializeToString())
    return str(path)


def shown(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[str]:
    assert main(list(arguments)) == 0
    lines = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
    assert max(map(len, lines)) <= 80
    return lines


def as_json(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, object]:
    assert main([*arguments, "--json", "-"]) == 0
    result: dict[str, object] = json.loads(capsys.readouterr().out)
    return result


def row(lines: Sequence[str], label: str) -> list[str]:
    """What stands behind a label, where it is first at the beginning of a line."""
    line = next(line for line in lines if line.startswith(label))
    return line.removeprefix(label).split()


def test_nothing_new_unless_it_is_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    lines = shown(capsys, "predict", DEMO, *H100)
    text = "\n".join(lines)
    assert not any(word in text for word in ("CO2e", "over time", "rack", "cost", "by kind of operator"))
    keys = as_json(capsys, "predict", DEMO, *H100).keys()
    assert not keys & {"cost", "rack", "power_profile", "phases"}


def test_power_over_time_and_energy(capsys: pytest.CaptureFixture[str]) -> None:
    lines = shown(capsys, "predict", DEMO, *H100, "--energy", "--power-profile", "--window-ms", "0.02,5")
    average, peak = (float(row(lines, name)[0]) for name in ("average", "peak "))
    assert row(lines, "over 5 ms")
    assert average <= float(row(lines, "over 0.02 ms")[0]) <= peak
    assert "energy by kind of operator:" in lines
    table = lines[lines.index("energy by kind of operator:") :]
    # Shares of the energy add up to all of it.
    shares = [float(line.split()[-2]) for line in table[3 : table.index("", 3)] if line.endswith("%")]
    assert sum(shares) == pytest.approx(100.0, abs=1.0)
    assert shares[:-1] == sorted(shares[:-1], reverse=True)
    profile = as_json(capsys, "predict", DEMO, *H100, "--power-profile")["power_profile"]
    assert isinstance(profile, dict)
    assert profile["peak_w"]["value"] == pytest.approx(peak, abs=0.5)
    assert [w["window_s"] for w in profile["windows"]] == [0.001, 0.1]


def test_the_waits_between_kernels_have_a_row_of_the_energy(capsys: pytest.CaptureFixture[str]) -> None:
    """Kernels launched one by one leave the device idle for most of the time: their shares alone are not all of the energy."""
    options = [*H100[:2], "--dim", "batch=1", "--dtype", "bf16", "--predictor", "analytical", "--launch", "eager"]
    lines = shown(capsys, "predict", DEMO, *options, "--energy", "--all")
    table = lines[lines.index("energy by kind of operator:") :]
    p = as_json(capsys, "predict", DEMO, *options)
    gap_s, idle_w, energy_j = p["launch_gap_s"], p["idle_power_w"], p["energy_j"]
    assert isinstance(gap_s, float)
    assert isinstance(idle_w, float)
    assert isinstance(energy_j, dict)
    # "155 us 118 W 18.3 mJ 42.0 %"
    time, _, watts, _, millijoules, _, share, _ = row(table, "launch gaps")
    assert float(time) == pytest.approx(1e6 * gap_s, rel=0.01)
    assert float(watts) == pytest.approx(idle_w, rel=0.01)
    assert float(millijoules) == pytest.approx(1e3 * idle_w * gap_s, rel=0.01)
    assert float(share) == pytest.approx(100 * idle_w * gap_s / energy_j["value"], abs=0.06)
    shares = [float(line.split()[-2]) for line in table if line.endswith("%")]
    assert sum(shares) == pytest.approx(100.0, abs=1.0)
    assert shares[0] < 20  # the largest convolution is 24 % of what the kernels take


@pytest.mark.parametrize("ending", ["svg", "png"])
def test_the_plot_is_the_same_each_time(ending: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("matplotlib", reason="the plot needs the extra plot")
    paths = [tmp_path / f"{name}.{ending}" for name in "ab"]
    for path in paths:
        shown(capsys, "predict", DEMO, *H100, "--power-plot", str(path))
    first, second = (path.read_bytes() for path in paths)
    assert first == second
    assert first.startswith(b"<?xml" if ending == "svg" else b"\x89PNG")
    assert len(first) < 120_000
    if ending == "svg":
        assert b"resnet18 on h100-sxm: power over time (estimated)" in first


def test_the_rack(capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--count", "4", "--budget-w", "2000", "--host-power-w", "300", "--devices-per-host", "4", "--pue", "1.5"]
    lines = shown(capsys, "predict", DEMO, *H100, *options)
    # Four at their limit of 700 W and a host of 300 W are 3100 W, of which the building makes 4650; two fit 1700 W.
    assert row(lines, "limit") == "700 W 3100 W 4650 W -1100 W 2 2 to 2".split()
    rack = as_json(capsys, "predict", DEMO, *H100, *options)["rack"]
    assert isinstance(rack, dict)
    assert [level["basis"] for level in rack["levels"]] == [
        "average", "p99 out of step", "p99", "peak over 100 ms", "peak over 1 ms", "peak", "limit"
    ]  # fmt: skip
    peak = rack["levels"][5]["device_w"]
    # 1700 W are left for four devices; a cap is needed where their peak may be higher.
    assert rack["cap_w"] == (425.0 if peak["high"] > 425 else None)
    assert any(line.startswith("power capping: --power-limit-w 425 ") for line in lines) == (peak["high"] > 425)
    # A budget alone: how many fit.
    assert row(shown(capsys, "predict", DEMO, *H100, "--budget-w", "2000"), "limit")[2:] == "2 2 to 2".split()


def test_cost(capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--grid", "400", "--price-per-hour", "3.6", "--electricity-price", "0.5", "--pue", "1.1"]
    lines = shown(capsys, "predict", DEMO, *H100, *options)
    assert "cost (400 g/kWh: 400 g CO2e/kWh; PUE 1.1; no host power):" in lines
    assert any("embodied carbon" in line for line in lines)
    prediction = as_json(capsys, "predict", DEMO, *H100, *options)
    cost = prediction["cost"]
    assert isinstance(cost, dict)
    run, latency, energy = cost["per_run"], prediction["latency_s"], prediction["energy_j"]
    assert isinstance(latency, dict)
    assert isinstance(energy, dict)
    # 3.6 an hour are 0.001 a second.
    assert run["device_money"]["value"] == pytest.approx(latency["value"] * 1e-3)
    assert run["carbon_g"]["high"] == pytest.approx(energy["high"] * 1.1 / 3.6e6 * 400)
    assert cost["per_million_samples"]["money"]["low"] == pytest.approx(run["money"]["low"] * 125_000)


def test_a_region_is_shown_with_its_source(capsys: pytest.CaptureFixture[str]) -> None:
    lines = shown(capsys, "predict", DEMO, *H100, "--grid", "germany")
    assert "cost (Germany: 380.95 g CO2e/kWh in 2023; no PUE; no host power):" in lines
    assert "Our World in Data" in " ".join(lines)
    assert "life cycle" in " ".join(lines)


# ------------------------------------------------------------------------------------------------------------ requests
REQUEST = ["--dim", "batch=2", "--prompt", "32", "--generate", "5", "--predictor", "analytical"]


def test_a_generation_request(model: str, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--device", "h100-sxm", *REQUEST, "--energy", "--power-profile", "--grid", "FRA", "--count", "2"]
    lines = shown(capsys, "predict", model, *options)
    assert lines[0] == "decoder (batch=2, prompt=32, generate=5) on h100-sxm"
    assert row(lines, "prefill  ")[0] == "1"
    assert row(lines, "decode  ")[0] == "4"
    for heading in ("energy of prefill by kind of operator", "energy of decode by kind of operator, one run of 4:"):
        assert any(line.startswith(heading) for line in lines)
    assert any(line.startswith("rack of 2 devices") for line in lines)
    result = as_json(capsys, "predict", model, *options)
    phases, cost, of_phases = result["phases"], result["cost"], result["phase_costs"]
    assert isinstance(phases, list)
    assert isinstance(cost, dict)
    assert isinstance(of_phases, dict)
    assert [p["name"] for p in phases] == list(of_phases) == ["prefill", "decode"]
    assert cost["per_run"]["carbon_g"]["value"] == pytest.approx(
        sum(c["per_run"]["carbon_g"]["value"] for c in of_phases.values())
    )
    assert (cost["units"], of_phases["decode"]["units"]) == (2 * 37, 2 * 4)


def test_compare_requests(model: str, capsys: pytest.CaptureFixture[str]) -> None:
    lines = shown(capsys, "compare", model, "--device", "a10,h100-sxm", *REQUEST)
    assert lines[0] == "decoder (batch=2, prompt=32, generate=5), ranked by latency"
    assert row(lines, "a10 ")
    assert row(lines, "h100-sxm ")


def test_requests_without_prices_say_nothing_of_the_meter(model: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The table has the device's energy alone: hosts and PUE are of what was not asked for."""
    options = ["compare", model, "--device", "a10,h100-sxm", *REQUEST]
    bare = shown(capsys, *options)
    assert bare[1].split() == ["first"]  # the heading of the table: "first token"
    assert not any("PUE" in line or "host" in line or "note:" in line for line in bare)
    priced = shown(capsys, *options, "--grid", "300")
    assert "(300 g/kWh: 300 g CO2e/kWh; no PUE; no host power)" in priced[1]
    assert "note: the host's power was not given and is not included" in priced


@pytest.mark.parametrize("options", ["--grid 300", "--rank energy", "--price-per-hour 2", "--host-power-w 500"])
def test_comparisons_by_cost_explain_too(options: str, capsys: pytest.CaptureFixture[str]) -> None:
    common = ["compare", DEMO, "--device", "h100-sxm,l40s", *H100[2:], *options.split()]
    assert main([*common, "--explain"]) == 0  # formulas are lines of any length
    explained = capsys.readouterr().out.splitlines()
    assert {"h100-sxm:", "l40s:"} <= set(explained)
    # The demo has 14 kinds of operators, of each device.
    formulas = [line for line in explained if "max-like(" in line]
    assert len(formulas) == 2 * 14
    assert not any("max-like(" in line for line in shown(capsys, *common))


# ------------------------------------------------------------------------------------------------------------- ranking
def test_compare_by_money(capsys: pytest.CaptureFixture[str]) -> None:
    common = ["compare", DEMO, "--device", "h100-sxm,l40s,a10", *H100[2:]]
    prices = ["--rank", "money", "--price-per-hour", "h100-sxm=1000,l40s=1,a10=0.001", "--grid", "FRA"]
    lines = shown(capsys, *common, *prices)
    assert lines[0] == "resnet18 (batch=8, bf16), ranked by money"
    result = as_json(capsys, *common, *prices)
    predictions = result["predictions"]
    assert isinstance(predictions, list)
    assert [p["device"] for p in predictions] == ["a10", "l40s", "h100-sxm"]
    assert result["rank"] == "money"
    assert all(p["cost"]["per_run"]["carbon_g"]["value"] > 0 for p in predictions)
    # The same price for all leaves the order of time.
    result = as_json(capsys, *common, "--rank", "money", "--price-per-hour", "2")
    assert isinstance(result["predictions"], list)
    latencies = [p["latency_s"]["value"] for p in result["predictions"]]
    assert latencies == sorted(latencies)


@pytest.mark.parametrize("rank", ["latency", "energy", "carbon"])
def test_compare_in_other_orders(rank: str, capsys: pytest.CaptureFixture[str]) -> None:
    result = as_json(
        capsys, "compare", DEMO, "--device", "h100-sxm,l40s,a10", *H100[2:], "--rank", rank, "--grid", "300"
    )
    assert isinstance(result["predictions"], list)
    key = {"latency": "time_s", "energy": "energy_j", "carbon": "carbon_g"}[rank]
    values = [p["cost"]["per_run"][key]["value"] for p in result["predictions"]]
    assert values == sorted(values)


@pytest.mark.parametrize(
    ("command", "options", "message"),
    [
        ("predict", "--prompt 5", "--generate is missing"),
        ("predict", "--generate 5", "--prompt is missing"),
        ("predict", "--prompt 0 --generate 5", "'0' is no whole number of at least 1"),
        ("predict", "--grid Frnace", "did you mean FRA (France)?"),
        ("predict", "--pue 1.2", "give --grid, --price-per-hour"),
        ("predict", "--pue 0.9 --count 2", "pue is 0.9"),
        ("predict", "--host-power-w -3 --count 2", "'-3' is no number of 0 or more"),
        ("predict", "--devices-per-host 8 --count 2", "--devices-per-host needs --host-power-w"),
        ("predict", "--power-plot a.pdf", "wanted a name that ends in .svg or .png"),
        ("predict", "--power-profile --window-ms 1,x", "--window-ms '1,x': 'x' is no number above 0"),
        ("predict", "--price-per-hour much", "--price-per-hour 'much': wanted a price of 0 or more"),
        ("predict", "--window-ms 5", "give --power-profile, --count or --budget-w"),
        ("predict", "--prompt 8 --generate 2 --explain", "--explain is of the operators of one run"),
        ("predict", "--prompt 8 --generate 2 --all", "--all is of kinds of operators"),
        ("predict", "--prompt 8 --generate 2 --memory", "--memory is of the operators of one run"),
        ("compare", "--prompt 8 --generate 2 --explain", "--explain is of the operators of one run"),
        ("sweep", "--power-limit-w 200:300:50 --explain", "unrecognized arguments: --explain"),
        ("compare", "--rank carbon", "needs the grid"),
        ("compare", "--rank money", "needs --price-per-hour"),
        ("compare", "--rank speed", "'speed' is none of its values"),
        ("compare", "--price-per-hour l40=3", "names 'l40', which is not compared"),
        ("compare", "--price-per-hour =3", "wanted DEVICE=PRICE"),
    ],
)
def test_what_is_refused(command: str, options: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([command, DEMO, *H100, *options.split()]) == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert message in output.err
    assert output.err.count("\n") == 1


def test_a_comparison_has_no_columns_of_what_was_not_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    lines = shown(capsys, "compare", DEMO, "--device", "h100-sxm,l40s", *H100[2:], "--rank", "energy")
    assert not any("CO2e" in line or "money" in line for line in lines)
    lines = shown(capsys, "compare", DEMO, "--device", "h100-sxm,l40s", *H100[2:], "--grid", "300")
    assert any(line.startswith("CO2e of a million samples") for line in lines)
    assert not any("money" in line for line in lines)


def test_costs_that_are_unknown_leave_no_empty_table(capsys: pytest.CaptureFixture[str]) -> None:
    lines = shown(capsys, "predict", DEMO, "--device", "graviton3", *H100[2:], "--grid", "300")
    at = next(i for i, line in enumerate(lines) if line.startswith("cost ("))
    assert lines[at + 1].startswith("note: the device's power is unknown")


def test_ranks_are_those_of_the_ranking() -> None:
    from perfmodel.cli.compare import RANKS
    from perfmodel.predict.energy import ranking

    assert RANKS == ranking.RANKS


def test_power_has_a_source_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    # No power of an H100 was measured, though the times of its products were; theirs leans on the H200's.
    options = ["--device", "h100-sxm", "--dim", "batch=8", "--dtype", "bf16"]
    operators = as_json(capsys, "predict", DEMO, *options)["operators"]
    assert isinstance(operators, list)
    sources = {(o["op"], o["source"], o["power_source"]) for o in operators}
    assert {("conv", "blended", "analytical"), ("gemm", "learned", "blended")} <= sources
    lines = shown(capsys, "predict", DEMO, *options, "--energy")
    assert "power: analytical: conv, pool, reduce; blended: gemm" in lines
