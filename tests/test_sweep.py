"""The energy-latency curve: its points, its knee, the command."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perfmodel.cli import main
from perfmodel.cli.options import number_or_range
from perfmodel.errors import InputError
from perfmodel.predict.picture import time_unit
from perfmodel.predict.result import Estimate
from perfmodel.predict.sweep import Point, Sweep, sweep
from perfmodel.predict.sweep_plot import together

MODEL = str(Path(__file__).parent.parent / "examples" / "resnet18.onnx")


def point(value: float, latency: float, energy: float) -> Point:
    prediction: Any = SimpleNamespace(
        latency_s=Estimate(latency, latency, latency), energy_j=Estimate(energy, energy, energy), power_w=None
    )
    return Point(value, prediction)


def curve(*points: tuple[float, float, float]) -> Sweep:
    return Sweep("power_limit_w", tuple(point(*p) for p in points))


def test_the_knee_is_farthest_from_the_chord() -> None:
    # From (1, 10) to (3, 6): at 1.5 three quarters of the saving cost a quarter of the time.
    found = curve((400, 1.0, 10.0), (300, 1.5, 7.0), (200, 2.5, 6.4), (150, 3.0, 6.0), (100, 4.0, 7.0))
    assert found.knee.value == 300
    assert found.least_energy.value == 150
    assert [p.value for p in found.pareto] == [400, 300, 200, 150]


def test_without_a_bend_the_knee_has_the_lowest_energy_delay_product() -> None:
    # A straight line: 10, 2 x 7 and 3 x 4 J·s.
    assert curve((3, 1.0, 10.0), (2, 2.0, 7.0), (1, 3.0, 4.0)).knee.value == 3
    assert curve((1, 1.0, 5.0)).knee.value == 1
    assert curve((2, 1.0, 5.0), (1, 2.0, 2.0)).knee.value == 1


@given(st.lists(st.tuples(st.floats(1, 1e3), st.floats(1e-6, 1e3), st.floats(1e-6, 1e3)), min_size=1, max_size=12))
@settings(max_examples=60, deadline=None)
def test_no_point_beats_one_of_the_front(points: list[tuple[float, float, float]]) -> None:
    found = curve(*points)
    for best in found.pareto:
        assert not any(p.latency_s < best.latency_s and p.energy_j < best.energy_j for p in found.points)
    assert found.knee in found.pareto
    assert found.least_energy.energy_j == min(p.energy_j for p in found.points)


def test_ranges() -> None:
    assert number_or_range("200:400:50") == [200, 250, 300, 350, 400]
    assert number_or_range("200:390:50") == [200, 250, 300, 350]
    assert number_or_range("0.1:0.3:0.1") == pytest.approx([0.1, 0.2, 0.3])
    assert number_or_range("250") == 250
    for wrong in ("400:200:50", "200:400", "a:b:c", "0:10:1", "1:1e9:0.001"):
        with pytest.raises(Exception, match=r"range|number"):
            number_or_range(wrong)


def test_a_curve_of_a_model() -> None:
    found = sweep(MODEL, "a100-pcie-40gb", dims={"batch": 8}, dtype="bf16", power_limit_w=[120.0, 180.0, 250.0])
    seconds, joules = [p.latency_s for p in found.points], [p.energy_j for p in found.points]
    assert seconds == sorted(seconds, reverse=True)
    for p in found.points:
        watts, energy = p.prediction.power_w, p.prediction.energy_j
        assert watts is not None
        assert energy is not None
        assert 44.47 < watts.low <= watts.value <= watts.high <= p.value
        assert energy.value == pytest.approx(watts.value * p.latency_s)
        assert energy.low <= energy.value <= energy.high
    assert joules[1] < joules[2]  # the last watts are dear


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plot, result = tmp_path / "curve.svg", tmp_path / "curve.json"
    arguments = ["sweep", MODEL, "--device", "a100-pcie-40gb", "--dim", "batch=8", "--dtype", "bf16"]
    code = main([*arguments, "--clock-mhz", "800:1400:300", "-o", str(plot), "--json", str(result)])
    assert code == 0
    shown = capsys.readouterr().out
    assert "1100 MHz" in shown
    assert "knee:" in shown
    written = json.loads(result.read_text())
    assert [p["value"] for p in written["points"]] == [800, 1100, 1400]
    assert written["swept"] == "clock_mhz"
    assert written["knee"] in (800, 1100, 1400)
    assert set(written["points"][0]) == {"value", "latency_s", "power_w", "energy_j", "energy_delay_js", "pareto"}
    assert plot.read_text().lstrip().startswith("<?xml")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "a sweep needs one range, of --power-limit-w or --clock-mhz, as in 200:400:25; got 0"),
        ({"power_limit_w": [1.0], "clock_mhz": [2.0]}, "got 2"),
        ({"power_limit_w": []}, "the range of power_limit_w is empty"),
        ({"power_limit_w": [30.0]}, "is not above the 44.47 W"),
    ],
)
def test_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        sweep(MODEL, "a100-pcie-40gb", dims={"batch": 1}, **options)


def test_a_device_without_a_limit_has_no_curve() -> None:
    with pytest.raises(InputError, match="tpu-v5p quotes no TDP"):
        sweep(MODEL, "tpu-v5p", dims={"batch": 1}, clock_mhz=[1000.0])


def test_a_model_that_takes_no_time_has_no_curve() -> None:
    from perfmodel.energy_table import model_energy

    text = """func.func @main(%a: tensor<4x2xf32>) -> tensor<8xf32> {
  %0 = stablehlo.reshape %a : (tensor<4x2xf32>) -> tensor<8xf32>
  return %0 : tensor<8xf32>
}
"""
    with pytest.raises(InputError, match=r"\Ano operator takes time: "):
        sweep(text, "h100-sxm", predictor="analytical", power_limit_w=[300.0, 400.0])
    with pytest.raises(InputError, match=r"\Ano operator takes time in "):
        model_energy(text, "h100-sxm", predictor="analytical")


def test_a_wrong_name_of_a_plot_comes_before_the_work(capsys: pytest.CaptureFixture[str]) -> None:
    code = main(
        ["sweep", "missing.onnx", "--device", "a100-pcie-40gb", "--power-limit-w", "100:200:50", "-o", "curve.jpg"]
    )
    assert code == 2
    assert "wanted a name that ends in .svg or .png" in capsys.readouterr().err


def test_warnings_of_every_point_are_said() -> None:
    found = sweep(MODEL, "l40s", dims={"batch": 1}, predictor="analytical", power_limit_w=[200.0, 400.0])
    assert any("400 W is above the 350 W" in w for w in found.warnings)
    assert found.to_dict()["warnings"] == list(found.warnings)


def test_times_are_told_in_the_largest_unit() -> None:
    assert [time_unit(s)[1] for s in (2.0, 0.9, 2e-3, 9e-4, 1e-9)] == ["s", "ms", "ms", "us", "us"]


def test_labels_that_would_lie_upon_each_other_are_one() -> None:
    class Dots:
        """An axis of 400 dots a second and 100 a joule."""

        autoscale_view = staticmethod(lambda: None)
        transData = SimpleNamespace(transform=lambda places: [(400 * x, 100 * y) for x, y in places])  # noqa: N815

    points = [point(200, 2.0, 1.0), point(700, 1.0, 1.6), point(400, 1.05, 1.55), point(600, 1.0, 1.6)]
    assert together(Dots(), points, 1.0) == [((1.0, 1.6), "400, 600, 700"), ((2.0, 1.0), "200")]


@pytest.mark.parametrize(
    ("places", "labels"),
    [
        # Half of the picture apart in energy, 20 dots in latency.
        ([(1.0, 0.010), (1.02, 0.016), (2.0, 0.022)], ["0", "1", "2"]),
        # Half a second is a two-hundredth of the width.
        ([(1.0, 0.50), (1.5, 0.50), (100.0, 0.40)], ["0, 1", "2"]),
    ],
    ids=["small energies", "long times"],
)
def test_labels_are_grouped_by_the_axes_that_are_drawn(places: list[tuple[float, float]], labels: list[str]) -> None:
    figure = pytest.importorskip("matplotlib.figure").Figure(figsize=(6.4, 4.0), dpi=150)
    axes = figure.add_subplot()
    axes.plot([x for x, _ in places], [y for _, y in places])
    points = [point(value, *place) for value, place in enumerate(places)]
    assert [label for _, label in together(axes, points, 1.0)] == labels
