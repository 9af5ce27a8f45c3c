"""Predictions in notebooks: what they show, as data frames, added up, side by side."""

from __future__ import annotations

from dataclasses import replace
from html.parser import HTMLParser

import pytest
from fake_predictions import operator, prediction
from hypothesis import given
from hypothesis import strategies as st

import perfmodel
from perfmodel.cli import main
from perfmodel.errors import DescriptorError, InputError
from perfmodel.predict import Comparison, Estimate
from perfmodel.predict.workload import Workload


class Cells(HTMLParser):
    """Texts of the cells, and the tags."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.texts: list[str] = []
        self.tags: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def test_a_prediction_shows_itself() -> None:
    found = Cells(prediction(workload=Workload(8), warnings=("mind this",))._repr_html_())
    assert found.texts[0] == "resnet18 (batch=8) on h100-sxm"
    assert {"20.0 k/s", "8 samples in each run"} <= set(found.texts)  # 8 / 400 us
    assert {"400 us", "350 us to 480 us", "312 W", "125 mJ", "gemm bf16", "warning: mind this"} <= set(found.texts)


def test_only_the_longest_kinds_are_shown() -> None:
    many = tuple(operator("conv", f"s{i}x1", 1e-6 * (i + 1)) for i in range(20))
    found = Cells(prediction(operators=many)._repr_html_())
    assert [t for t in found.texts if t.endswith("x1")] == [f"s{i}x1" for i in range(19, 11, -1)]
    assert "and 12 other kinds of operators" in found.texts


def test_waits_have_a_row_so_that_shares_add_up() -> None:
    # Kernels of 50, 200 and 100 us in a run of 400: the device waits for 50 us, an eighth.
    texts = Cells(prediction(launch_gap_s=5e-5)._repr_html_()).texts
    at = texts.index("launch gaps")
    assert texts[at + 1 : at + 3] == ["50.0 us", "12.5 %"]
    assert "launch gaps" not in Cells(prediction()._repr_html_()).texts


def test_names_are_escaped() -> None:
    name = "<img src=x onerror=alert(1)>"
    p = prediction(model=name, operators=(operator("conv", name, 1e-5),), warnings=(name,))
    for text in (p._repr_html_(), Comparison([p])._repr_html_()):
        assert "<img" not in text
        assert "img" not in Cells(text).tags


def test_the_line_is_short() -> None:
    assert repr(prediction()) == "<ModelPrediction resnet18 on h100-sxm: 400 us, 312 W, 125 mJ, 3 operators>"
    assert "unknown" in repr(prediction(power_w=None, energy_j=None))


def test_a_ranking_shows_itself() -> None:
    slow = replace(prediction(device="l40s"), latency_s=Estimate(1e-3, 9e-4, 2e-3), power_w=None, energy_j=None)
    found = Cells(Comparison([prediction(), slow])._repr_html_())
    assert {"l40s", "1.00x", "2.50x", "unknown"} <= set(found.texts)
    assert Cells(Comparison()._repr_html_()).tags


def test_data_frames() -> None:
    frame = prediction().to_pandas()
    assert list(frame["op"]) == ["conv", "conv", "gemm"]
    assert list(frame["latency_s"]) == pytest.approx([5e-5, 2e-4, 1e-4])
    assert frame["power_w"].isna().all()
    rows = Comparison([prediction(), prediction(device="l40s")]).to_pandas()
    assert list(rows["device"]) == ["h100-sxm", "l40s"]
    assert list(rows["latency_high_s"]) == [4.8e-4, 4.8e-4]
    assert list(rows["dim_batch"]) == [8, 8]


def test_sizes_are_whole_numbers_whatever_a_dimension_is_called() -> None:
    sizes = {"w": 224, "image_w": 8, "s": 3, "j": 2}
    rows = Comparison([prediction(dims=sizes), prediction(dims=sizes)]).to_pandas()
    assert {name: str(rows[f"dim_{name}"].dtype) for name in sizes} == dict.fromkeys(sizes, "int64")
    assert str(rows["power_low_w"].dtype) == "float64"


@pytest.mark.parametrize(("seconds", "why"), [(0.0, "no operator takes time"), (4e-4, "the device quotes no TDP")])
def test_why_there_is_no_power(seconds: float, why: str) -> None:
    time = Estimate(seconds, seconds, seconds)
    cells = Cells(prediction(latency_s=time, power_w=None, energy_j=None)._repr_html_())
    assert cells.texts.count(why) == 2  # power and energy
    cells = Cells(replace(operator("conv", "a", 1e-6), latency_s=time)._repr_html_())
    assert cells.texts.count(why) == 2


def test_estimates_add_up() -> None:
    assert Estimate(1.0, 0.5, 2.0) + Estimate(2.0, 1.0, 3.0) == Estimate(3.0, 1.5, 5.0)
    assert sum([Estimate(1.0, 0.5, 2.0)] * 3) == Estimate(3.0, 1.5, 6.0)
    with pytest.raises(TypeError):
        _ = Estimate(1.0, 1.0, 1.0) + "1"  # type: ignore[operator]


def test_predictions_add_up() -> None:
    # 0.4 ms at 300 W, and 0.1 ms at 100 W: 0.12 J + 0.01 J in 0.5 ms are 260 W.
    one = prediction(
        latency_s=Estimate(4e-4, 3e-4, 5e-4), power_w=Estimate(300.0, 200.0, 400.0), energy_j=Estimate(0.12, 0.1, 0.2),
        utilisation=0.5, weights_bytes=10.0, peak_memory_bytes=30.0, bytes=300.0, workload=Workload(8, 100),
        unmodelled=({"op": "X", "count": 1, "bytes_share": 0.5},), warnings=("a",),
    )  # fmt: skip
    other = prediction(
        model="head", latency_s=Estimate(1e-4, 1e-4, 2e-4), power_w=Estimate(100.0, 100.0, 100.0),
        energy_j=Estimate(0.01, 0.01, 0.02), utilisation=0.0, weights_bytes=5.0, peak_memory_bytes=8.0, bytes=100.0,
        workload=Workload(8, 20), warnings=("a", "b"),
    )  # fmt: skip
    both = one + other
    assert both.model == "resnet18 + head"
    assert both.latency_s.value == pytest.approx(5e-4)
    assert both.energy_j is not None
    assert both.power_w is not None
    assert both.energy_j.value == pytest.approx(0.13)
    assert both.power_w.value == pytest.approx(260.0)
    assert both.utilisation == pytest.approx(0.4)
    assert (both.weights_bytes, both.peak_memory_bytes) == (15.0, 35.0)  # 30 of one beside the 5 of the other
    assert both.unmodelled == ({"op": "X", "count": 1, "bytes_share": pytest.approx(0.375)},)  # 150 of 400 bytes
    assert both.warnings == ("a", "b")
    assert both.workload == Workload(8, 120)
    assert len(both.operators) == 6
    assert sum([one, other]).latency_s == both.latency_s


def test_a_sum_has_the_dimensions_that_hold_for_all() -> None:
    one = prediction(dims={"batch": 8, "seq": 128, "beams": 4})
    other = prediction(dims={"batch": 8, "seq": 1, "layers": 2})
    assert (one + other).dims == {"batch": 8}  # a run of seq=1 alone would be said of both, beside 8 x 128 tokens
    # What differed once does not come back with a third model.
    assert (one + other + prediction(dims={"batch": 8, "seq": 1})).dims == {"batch": 8}
    assert (one + one).dims == one.dims


def test_a_sum_keeps_the_power_below_which_no_limit_lies() -> None:
    """20 devices and 1200 W leave each 60 W, below the 70 W that one draws while nothing runs."""
    steps = (operator("conv", "a", 4e-4, power_w=Estimate(312.0, 250.0, 400.0)),)
    one = prediction(operators=steps, idle_power_w=90.0, lowest_idle_power_w=70.0, power_limit_w=700.0)
    assert (one + one).lowest_idle_power_w == 70.0
    assert (one + one).power_profile().rack(count=20, budget_w=1200.0).cap_w is None
    assert (one + replace(one, lowest_idle_power_w=72.0)).lowest_idle_power_w is None


def test_unknown_power_stays_unknown() -> None:
    both = prediction() + prediction(power_w=None, energy_j=None)
    assert both.power_w is None
    assert both.energy_j is None


def test_devices_do_not_add_up() -> None:
    with pytest.raises(InputError, match="only predictions on one device add up"):
        _ = prediction() + prediction(device="l40s")
    with pytest.raises(TypeError):
        _ = prediction() + 1


@given(st.lists(st.tuples(st.floats(1e-6, 1.0), st.floats(1.0, 700.0)), min_size=1, max_size=5))
def test_energy_is_power_times_latency_of_a_sum(parts: list[tuple[float, float]]) -> None:
    predictions = [
        prediction(latency_s=Estimate(t, t, t), power_w=Estimate(w, w, w), energy_j=Estimate(t * w, t * w, t * w))
        for t, w in parts
    ]
    both = sum(predictions)
    assert isinstance(both, perfmodel.ModelPrediction)
    assert both.power_w is not None
    assert both.energy_j is not None
    assert both.energy_j.value == pytest.approx(both.power_w.value * both.latency_s.value)


def test_compare_gives_a_ranking() -> None:
    from test_report import MODEL

    ranking = perfmodel.compare(MODEL, ["a10", "h100-sxm"], dims={"batch": 1})
    assert isinstance(ranking, perfmodel.Comparison)
    assert [p.device for p in ranking] == ["h100-sxm", "a10"]


# -------------------------------------------------------------------------------- the nearest valid choice
@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        ("predict m.onnx --devce h100-sxm", "--devce: did you mean '--device'?"),
        ("predict m.onnx --device h100-sxm --dims=batch=8", "--dims: did you mean '--dim'?"),
        ("report m.onnx --device h100-sxm -o r.html --no-whatif", "--no-whatif: did you mean '--no-what-if'?"),
    ],
)
def test_options(arguments: str, hint: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments.split()) == 2
    assert hint in capsys.readouterr().err


def test_operators_and_names() -> None:
    with pytest.raises(DescriptorError, match="did you mean 'gelu'"):
        perfmodel.Elementwise(kind="gelo", elements=1, inputs=1, dtype="fp32")
    with pytest.raises(AttributeError, match="did you mean 'Gemm'"):
        _ = perfmodel.Gem
