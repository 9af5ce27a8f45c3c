"""NVIDIA's GPUs, by a module that answers as the NVML API Reference documents it: every reading is synthesised."""

from __future__ import annotations

import dataclasses
import sys
from types import SimpleNamespace
from typing import Any

import pytest
from meter_doubles import Clock, FakeNvml, constant, ramp

from perfmodel.collect.meters import Meter, MeterDriver, Window, measure
from perfmodel.collect.meters.nvml import NvmlDriver, NvmlMeter
from perfmodel.errors import MeterError, MissingExtraError

NO_COUNTER = {"energy"}


def opened(clock: Clock, watts: float = 300.0, **settings: Any) -> NvmlMeter:
    meter = NvmlDriver(FakeNvml(clock, constant(watts), **settings), clock).open()
    # Read between pieces of work, so that the readings do not depend on a thread.
    meter.info = dataclasses.replace(meter.info, sampling="between")
    return meter


def measured(meter: NvmlMeter, clock: Clock) -> Window:
    return measure(meter, clock.work(0.021))


def test_it_is_a_driver_and_a_meter() -> None:
    clock = Clock()
    driver = NvmlDriver(FakeNvml(clock, constant(1.0)))
    assert isinstance(driver, MeterDriver)
    assert isinstance(driver.open(), Meter)


def test_the_energy_counter() -> None:
    clock = Clock()
    meter = opened(clock, reasons=0x4 | 0x1)
    found = measured(meter, clock)
    assert found.method == "energy counter"
    assert found.measured
    assert found.power_w == pytest.approx(300.0, rel=0.01)
    # Two updates, each known to 0.021 s, over some 3 s at 300 W.
    assert found.power_std_w == pytest.approx(300 * 0.021 * (2 / 12) ** 0.5 / found.duration_s, rel=0.05)
    assert meter.info.device == "Synthesised GPU"
    row = found.columns()
    assert (row["clock_mhz"], row["mem_clock_mhz"], row["power_limit_w"], row["temperature_c"]) == (1755, 2619, 700, 61)
    assert found.conditions.throttle == ("power cap",)  # idleness is no reason


@pytest.mark.parametrize(
    ("reasons", "names"), [(0, ()), (0x1, ()), (0x4, ("power cap",)), (0x88, ("hardware slowdown", "power brake"))]
)
def test_reasons_of_a_lower_clock(reasons: int, names: tuple[str, ...]) -> None:
    conditions = opened(Clock(), reasons=reasons).read(conditions=True).conditions
    assert conditions is not None
    assert conditions.throttle == names


def test_without_a_counter_the_instant_power_is_integrated() -> None:
    clock = Clock()
    library = FakeNvml(clock, ramp(100, 400, 0.3), lacks=NO_COUNTER)
    meter = NvmlDriver(library, clock).open()
    assert (meter.info.counters, meter.info.power, meter.info.averaging_s) == ((), "instant", 0.0)
    assert "25 % on A100 and H100" in meter.info.caveats[0]
    meter.info = dataclasses.replace(meter.info, sampling="between")
    found = measured(meter, clock)
    assert found.method == "integrated power"
    assert found.measured
    assert found.power_w == pytest.approx(400, rel=0.005)


@pytest.mark.parametrize(
    ("capability", "kind"), [((7, 0), "instant"), ((8, 0), "instant"), ((8, 6), "average"), ((9, 0), "average")]
)
def test_what_power_usage_is(capability: tuple[int, int], kind: str) -> None:
    clock = Clock()
    meter = opened(clock, lacks={"energy", "instant"}, capability=capability)
    assert meter.info.power == kind
    assert meter.read().power_w == pytest.approx(300.0)
    if kind == "average":  # one sample a second: ten of them, after the average has forgotten what was before
        assert (meter.info.averaging_s, meter.info.settle_s, meter.info.min_window_s) == (1.0, 4.0, 10.5)


def test_unknown_generations_are_taken_for_averages() -> None:
    assert opened(Clock(), lacks={"energy", "instant", "capability"}).info.power == "average"


def test_the_library_is_older_than_the_instant_power() -> None:
    class Older(FakeNvml):
        NVML_FI_DEV_POWER_INSTANT = None  # type: ignore[assignment]

    clock = Clock()
    meter = NvmlDriver(Older(clock, constant(250.0), lacks=NO_COUNTER, capability=(7, 5)), clock).open()
    assert meter.info.power == "instant"
    assert meter.read().power_w == pytest.approx(250.0)


def test_mig() -> None:
    [caveat] = opened(Clock(), mig=[1, 1]).info.caveats
    assert caveat.startswith("MIG is on: the energy is that of the whole GPU")


def test_conditions_that_are_not_told() -> None:
    clock = Clock()
    meter = opened(clock, lacks={"limit", "clocks", "temperature", "reasons"}, reasons=0x20)
    conditions = meter.read(conditions=True).conditions
    assert conditions is not None
    assert conditions.throttle == ("software thermal slowdown",)  # by the call's older name
    assert {v for k, v in dataclasses.asdict(conditions).items() if k != "throttle"} == {None}
    assert meter.read().conditions is None


def test_neither_energy_nor_power() -> None:
    clock = Clock()
    driver = NvmlDriver(FakeNvml(clock, constant(1.0), lacks={"energy", "usage", "instant"}), clock)
    with pytest.raises(MeterError, match="nvml:0 tells neither its energy nor its power"):
        driver.open()
    [found] = driver.find()
    assert found.info is None
    assert (found.unit, found.device, found.why_not) == (
        "0",
        "Synthesised GPU",
        "nvml:0 tells neither its energy nor its power",
    )


def test_a_gpu_that_is_lost_on_the_way() -> None:
    clock = Clock()
    library = FakeNvml(clock, constant(300.0))
    meter = NvmlDriver(library, clock).open("0")
    meter.read()
    library.fails_with = 15
    with pytest.raises(MeterError, match="nvml:0 stopped: the GPU has fallen off the bus"):
        meter.read()


@pytest.mark.parametrize(
    ("code", "line"),
    [
        (12, "there is no NVIDIA driver here (libnvidia-ml.so is not found)"),
        (9, "the NVIDIA driver is not loaded"),
        (18, "driver and library have different versions; a reboot usually ends that"),
        (4, "this user may not read it"),
        (999, "code 999"),
    ],
)
def test_drivers_that_do_not_start(code: int, line: str) -> None:
    driver = NvmlDriver(FakeNvml(Clock(), constant(1.0), fails_with=code))
    assert [f.why_not for f in driver.find()] == [line]
    with pytest.raises(MeterError) as error:
        driver.open()
    assert str(error.value) == line


def test_another_package_of_that_name() -> None:
    [found] = NvmlDriver(SimpleNamespace(nvmlInit=lambda: None)).find()
    assert found.why_not is not None
    assert "pip install --upgrade nvidia-ml-py" in found.why_not


def test_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'perfmodel\[nvml\]'"):
        NvmlDriver().open()
    [found] = NvmlDriver().find()
    assert "perfmodel[nvml]" in str(found.why_not)


@pytest.mark.parametrize("unit", ["2", "-1", "first"])
def test_gpus_that_are_not_there(unit: str) -> None:
    driver = NvmlDriver(FakeNvml(Clock(), constant(1.0), count=2))
    assert [f.unit for f in driver.find()] == ["0", "1"]
    with pytest.raises(MeterError, match=f"nvml has no GPU '{unit}'; it sees 2, counted from 0"):
        driver.open(unit)


def test_the_double_has_the_names_and_numbers_of_the_package() -> None:
    pynvml = pytest.importorskip("pynvml", reason="the package nvidia-ml-py is not installed")
    names = [n for n in dir(FakeNvml) if n.startswith(("nvml", "NVML"))]
    assert [n for n in names if not hasattr(pynvml, n)] == []
    for name in names:
        if isinstance(getattr(FakeNvml, name), int):
            assert getattr(FakeNvml, name) == getattr(pynvml, name), name
    from perfmodel.collect.meters.nvml import THROTTLE

    told = {
        pynvml.nvmlClocksEventReasonSwPowerCap: "power cap",
        pynvml.nvmlClocksEventReasonHwSlowdown: "hardware slowdown",
        pynvml.nvmlClocksEventReasonSyncBoost: "sync boost",
        pynvml.nvmlClocksEventReasonSwThermalSlowdown: "software thermal slowdown",
        pynvml.nvmlClocksEventReasonHwThermalSlowdown: "hardware thermal slowdown",
        pynvml.nvmlClocksEventReasonHwPowerBrakeSlowdown: "power brake",
        pynvml.nvmlClocksEventReasonApplicationsClocksSetting: "application clocks",
    }
    assert told == THROTTLE
    assert pynvml.NVML_ERROR_NOT_SUPPORTED == 3
    assert pynvml.NVMLError(12).value == pynvml.NVML_ERROR_LIBRARY_NOT_FOUND
