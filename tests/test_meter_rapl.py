"""RAPL on a made-up powercap tree: every reading is synthesised."""

from __future__ import annotations

from pathlib import Path

import pytest
from meter_doubles import Clock, Powercap

from perfmodel.collect.meters import Meter, MeterDriver, measure
from perfmodel.collect.meters.rapl import RaplDriver, RaplMeter, zones_of
from perfmodel.errors import MeterError


@pytest.fixture
def tree(tmp_path: Path) -> Powercap:
    return Powercap(tmp_path)


def opened(tree: Powercap, clock: Clock, unit: str | None = None) -> RaplMeter:
    return RaplDriver(tree.root, clock).open(unit)


def test_it_is_a_driver_and_a_meter(tree: Powercap) -> None:
    assert isinstance(RaplDriver(tree.root), MeterDriver)
    assert isinstance(RaplDriver(tree.root).open(), Meter)


def test_zones(tree: Powercap) -> None:
    counted = {zone.name: zone.counted for zone in zones_of(tree.root)}
    assert counted == {
        "package-0": True, "package-0/core": False, "package-0/dram": True,
        "package-1": True, "package-1/core": False, "package-1/dram": True, "psys": False,
    }  # fmt: skip
    assert not any("mmio" in str(zone.folder) for zone in zones_of(tree.root))  # the same package another way


def test_steps_follow_from_the_range(tree: Powercap) -> None:
    meter = opened(tree, Clock())
    # 262,143,328,850 uJ are 2^32 steps of 61.04 uJ: 2^-14 J.
    assert meter.info.counters[0].step_j == pytest.approx(2**-14, rel=1e-4)
    tree.write("intel-rapl:0", "max_energy_range_uj", 65_532_610_987)  # an EPYC: 2^-16 J
    assert opened(tree, Clock()).info.counters[0].step_j == pytest.approx(2**-16, rel=1e-4)


def test_packages_and_memory_over_the_end_of_a_counter(tree: Powercap) -> None:
    clock = Clock()
    tree.write("intel-rapl:0", "energy_uj", tree.RANGE_UJ - 40_000_000)  # 40 J before its end
    meter = opened(tree, clock)

    def work() -> None:
        clock.now += 0.05
        for zone, watts in (
            ("intel-rapl:0", 120), ("intel-rapl:0:0", 90), ("intel-rapl:0:1", 20), ("intel-rapl:1", 60),
            ("intel-rapl:1:1", 10), ("intel-rapl:2", 400),
        ):  # fmt: skip
            tree.add(zone, watts * 50_000)

    found = measure(meter, work)
    assert found.measured
    assert found.power_w == pytest.approx(120 + 20 + 60 + 10, rel=1e-4)
    assert found.parts_j["package-0/core"] / found.duration_s == pytest.approx(90, rel=1e-4)
    assert found.conditions.power_limit_w == 410  # both long-term limits
    assert found.uncertainty_j["times of the updates"] == pytest.approx(210 * 0.001 * (2 / 12) ** 0.5, rel=1e-3)
    assert int((tree.folder / "intel-rapl:0/energy_uj").read_text()) < tree.RANGE_UJ // 2  # it did start again


def test_one_package(tree: Powercap) -> None:
    meter = opened(tree, Clock(), "1")
    assert meter.info.name == "rapl:1"
    assert [c.name for c in meter.info.counters] == ["package-1", "package-1/core", "package-1/dram"]
    with pytest.raises(MeterError, match="rapl has no package '7'; known: all, 0, 1, 2"):
        opened(tree, Clock(), "7")
    with pytest.raises(MeterError, match="rapl:2 has no package or memory: psys"):
        opened(tree, Clock(), "2")


def test_without_memory(tmp_path: Path) -> None:
    tree = Powercap(tmp_path)
    for zone in ("intel-rapl:0:1", "intel-rapl:1:1"):
        tree.write(zone, "name", "uncore")
    assert "the memory modules are not in it: no counter tells" in opened(tree, Clock()).info.caveats


def test_a_range_that_is_unknown(tree: Powercap) -> None:
    (tree.folder / "intel-rapl:0/max_energy_range_uj").unlink()
    counter = opened(tree, Clock()).info.counters[0]
    assert (counter.range_j, counter.step_j) == (None, 61e-6)


def test_conditions(tree: Powercap) -> None:
    for cpu, khz in enumerate((2_400_000, 3_000_000)):
        path = tree.root / f"sys/devices/system/cpu/cpu{cpu}/cpufreq/scaling_cur_freq"
        path.parent.mkdir(parents=True)
        path.write_text(f"{khz}\n")
    sensors = tree.root / "sys/class/hwmon/hwmon3"
    sensors.mkdir(parents=True)
    for name, text in (
        ("name", "coretemp"), ("temp1_label", "Package id 0"), ("temp1_input", "64000"), ("temp2_label", "Core 0"),
        ("temp2_input", "70000"),
    ):  # fmt: skip
        (sensors / name).write_text(text + "\n")
    conditions = opened(tree, Clock()).read(conditions=True).conditions
    assert conditions is not None
    assert (conditions.clock_mhz, conditions.temperature_c) == (2700.0, 64.0)
    assert opened(tree, Clock()).read().conditions is None


def test_missing_permission(tree: Powercap, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = Path.read_text

    def refused(path: Path, *arguments: str, **more: str) -> str:
        if path.name == "energy_uj":
            raise PermissionError(13, "Permission denied", str(path))
        return plain(path, *arguments, **more)

    monkeypatch.setattr(Path, "read_text", refused)
    [found] = RaplDriver(tree.root).find()
    assert found.info is None
    assert found.why_not is not None
    assert found.why_not.startswith(f"{tree.folder}/intel-rapl:0/energy_uj may be read by root alone")
    assert "sudo chmod a+r /sys/class/powercap/intel-rapl:*/energy_uj" in found.why_not
    assert "\n" not in found.why_not


def test_a_zone_that_vanishes(tree: Powercap) -> None:
    clock = Clock()
    meter = opened(tree, clock)
    (tree.folder / "intel-rapl:1/energy_uj").unlink()
    with pytest.raises(MeterError, match="intel-rapl:1/energy_uj is gone: the driver was unloaded"):
        measure(meter, clock.work())


@pytest.mark.parametrize("text", ["", "-3", "1e9", "n/a", "\xff"])
def test_counters_that_hold_no_number(tree: Powercap, text: str) -> None:
    (tree.folder / "intel-rapl:0/energy_uj").write_bytes(text.encode("latin-1"))
    with pytest.raises(MeterError, match="wanted microjoules as a whole number"):
        opened(tree, Clock())


def test_an_unreadable_file(tree: Powercap) -> None:
    path = tree.folder / "intel-rapl:0/energy_uj"
    path.unlink()
    path.mkdir()
    with pytest.raises(MeterError, match="energy_uj cannot be read: Is a directory"):
        opened(tree, Clock())


def test_machines_without(tmp_path: Path) -> None:
    [found] = RaplDriver(tmp_path).find()
    assert f"there is no {tmp_path}/sys/class/powercap: the kernel lacks powercap" in str(found.why_not)
    (tmp_path / "sys/class/powercap/intel-rapl").mkdir(parents=True)
    [found] = RaplDriver(tmp_path).find()
    assert "sudo modprobe intel_rapl_msr" in str(found.why_not)


def test_this_machine() -> None:
    [found] = RaplDriver().find()
    if found.info is None:
        assert found.why_not
        pytest.skip(f"no RAPL here: {found.why_not}")
    reading = RaplDriver().open().read(conditions=True)
    assert all(joules >= 0 for joules in reading.energy_j.values())
