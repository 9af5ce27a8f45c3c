"""AMD's GPUs, by a module that answers as AMD SMI documents it: every reading is synthesised."""

from __future__ import annotations

import dataclasses
import sys
from typing import Any

import pytest
from meter_doubles import Clock, FakeAmdSmi, constant, ramp

from perfmodel.collect.meters import Meter, MeterDriver, measure
from perfmodel.collect.meters.amd_smi import AmdSmiDriver, AmdSmiMeter
from perfmodel.errors import MeterError


def opened(clock: Clock, library: FakeAmdSmi) -> AmdSmiMeter:
    meter = AmdSmiDriver(library, clock).open()
    meter.info = dataclasses.replace(meter.info, sampling="between")
    return meter


def test_it_is_a_driver_and_a_meter() -> None:
    driver = AmdSmiDriver(FakeAmdSmi(Clock(), constant(1.0)))
    assert isinstance(driver, MeterDriver)
    assert isinstance(driver.open("0"), Meter)


def test_the_energy_counter() -> None:
    clock = Clock()
    meter = opened(clock, FakeAmdSmi(clock, constant(550.0)))
    assert meter.info.counters[0].step_j == pytest.approx(15.3e-6)
    found = measure(meter, clock.work())
    assert (found.method, found.measured) == ("energy counter", True)
    assert found.power_w == pytest.approx(550.0, rel=0.01)
    assert found.columns() | {"power_w": 0, "energy_j": 0, "power_rel_std": 0} == {
        "power_w": 0, "energy_j": 0, "power_rel_std": 0, "clock_mhz": 2100, "mem_clock_mhz": 1300, "power_limit_w": 750,
        "temperature_c": 58, "note": None,
    }  # fmt: skip
    assert found.conditions.throttle is None  # unknown is not none


def test_the_accumulator_under_its_earlier_name() -> None:
    # As of ROCm 6.0: the keys power, counter_resolution, timestamp; the cap in watts.
    clock = Clock()
    library = FakeAmdSmi(
        clock, constant(1.0), energy={"power": 8152136, "counter_resolution": 15.3, "timestamp": 1}, cap=290
    )
    reading = opened(clock, library).read(conditions=True)
    assert reading.energy_j["gpu"] == pytest.approx(124.7276808)  # 8152136 steps of 15.3 uJ
    assert reading.conditions is not None
    assert reading.conditions.power_limit_w == 290


def test_a_counter_that_stands_still_is_passed_over() -> None:
    clock = Clock()
    library = FakeAmdSmi(
        clock, ramp(100, 401, 0.4), energy={"energy_accumulator": 8152136, "counter_resolution": 15.3, "timestamp": 1}
    )
    found = measure(opened(clock, library), clock.work())
    assert (found.method, found.measured) == ("integrated power", True)
    assert found.power_w == pytest.approx(401, abs=1)
    # Whole watts: 1 W over the square root of 12, and the scatter.
    assert found.power_std_w > 0.28


def test_a_counter_that_falls() -> None:
    clock = Clock()

    def energy(elapsed: float) -> dict[str, Any]:
        steps = int(elapsed * 2e7) - (200_000_000 if elapsed > 3 else 0)
        return {"energy_accumulator": 10**9 + steps, "counter_resolution": 15.3, "timestamp": 1}

    found = measure(opened(clock, FakeAmdSmi(clock, constant(300.0), energy=energy)), clock.work())
    assert any(d.startswith("the counter gpu fell by") for d in found.defects)
    assert found.columns()["power_w"] is None


def test_an_averaged_power_takes_longer() -> None:
    clock = Clock()
    meter = opened(clock, FakeAmdSmi(clock, constant(240.0), power_key="average_socket_power", energy=None))
    assert (meter.info.power, meter.info.settle_s, meter.info.min_window_s) == ("average", 4.0, 10.5)
    assert meter.read().power_w == 240.0


def test_neither_energy_nor_power() -> None:
    driver = AmdSmiDriver(FakeAmdSmi(Clock(), constant(1.0), energy=None, power_key=None))
    [found] = driver.find()
    assert found.device == "Synthesised Instinct"
    assert found.why_not == "amdsmi:0 tells neither its energy nor its power (virtual machines are not told the energy)"


def test_a_gpu_that_stops() -> None:
    clock = Clock()
    library = FakeAmdSmi(clock, constant(300.0))
    meter = opened(clock, library)
    library.gone = True
    with pytest.raises(MeterError, match="amdsmi:0 stopped: it no longer tells what it told"):
        meter.read()


def test_drivers_that_do_not_start(monkeypatch: pytest.MonkeyPatch) -> None:
    [found] = AmdSmiDriver(FakeAmdSmi(Clock(), constant(1.0), starts=False)).find()
    assert found.why_not == "AMD SMI does not start: Error code: 34 | AMDSMI_STATUS_NO_DRV - No driver"
    monkeypatch.setitem(sys.modules, "amdsmi", None)
    with pytest.raises(MeterError, match="the module amdsmi is not installed: it comes with ROCm"):
        AmdSmiDriver().open()


def test_its_library_is_missing(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "amdsmi.py").write_text("print('Unable to find libamd_smi.so')\n{}['libamd_smi.so']\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "amdsmi", raising=False)
    [found] = AmdSmiDriver().find()
    assert found.why_not == "libamd_smi.so is not found: AMD's driver and ROCm are not installed here"
    assert capsys.readouterr().out == ""


def test_gpus_that_are_not_there() -> None:
    with pytest.raises(MeterError, match="amdsmi has no GPU '1'; it sees 1, counted from 0"):
        AmdSmiDriver(FakeAmdSmi(Clock(), constant(1.0))).open("1")
