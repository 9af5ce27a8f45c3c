"""Finding and opening meters, those of other packages among them, and the command."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from meter_doubles import Clock, FakeNvml, Powercap, Simulated, constant, counter_info

from perfmodel.cli import main
from perfmodel.collect.meters import driver, driver_names, find_meters, measure, open_meter
from perfmodel.collect.meters.replay import Recorder, save_readings
from perfmodel.errors import InputError, MeterError

Install = Callable[..., None]

WALL_PLUG = """
from perfmodel.collect.meters import Found, MeterInfo, Reading

class Plug:
    name = "wall-plug"
    info = MeterInfo("wall-plug", "0", "a plug", power="instant")
    now = 0.0
    def find(self): return [Found("wall-plug", "0", "a plug", info=self.info)]
    def open(self, unit=None): return self
    def clock(self): return self.now
    def read(self, *, conditions=False):
        self.now += 0.1
        return Reading(self.now, {}, 60.0 + round(self.now * 10) % 2)
    def close(self): pass

def make(): return Plug()
"""


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Puts a made-up package on the path: a module, and a dist-info with entry points."""
    monkeypatch.syspath_prepend(tmp_path)

    def package(module: str, code: str, *lines: str) -> None:
        (tmp_path / f"{module}.py").write_text(code)
        folder = tmp_path / f"{module}-1.2.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 1.2\n")
        (folder / "entry_points.txt").write_text("\n".join(["[perfmodel.meters]", *lines]) + "\n")
        monkeypatch.delitem(sys.modules, module, raising=False)

    return package


def test_names() -> None:
    assert driver_names()[:4] == ["nvml", "amdsmi", "rapl", "replay"]
    assert [driver(name).name for name in driver_names()[:4]] == driver_names()[:4]
    with pytest.raises(InputError, match="no meter is called 'rapls': did you mean 'rapl'"):
        open_meter("rapls")


def test_finding_never_fails() -> None:
    found = list(find_meters())
    assert {f.meter for f in found} >= {"nvml", "amdsmi", "rapl", "replay"}
    assert all((f.info is None) != (f.why_not is None) for f in found)
    assert all("\n" not in (f.why_not or "") for f in found)


def test_a_meter_of_another_package(install: Install) -> None:
    install("plugs", WALL_PLUG, "wall-plug = plugs:make")
    assert driver_names()[-1] == "wall-plug"
    assert [f.device for f in find_meters() if f.meter == "wall-plug"] == ["a plug"]
    window = measure(open_meter("wall-plug"), lambda: None, settle_s=0.0, window_s=1.0)
    assert window.power_w == pytest.approx(60.5, abs=0.1)


@pytest.mark.parametrize(
    ("code", "line"),
    [
        ("def make(): raise OSError('no\\nplug')", "of broken 1.2: broken:make cannot be loaded: OSError: no plug"),
        (
            "class make: name = 'x'",
            "broken 1.2: broken:make makes a make, which is no driver of meters: it lacks find, open",
        ),
        (
            "class make:\n name = 'x'\n def find(self): raise KeyError('a')\n def open(self, unit=None): pass",
            "KeyError: 'a'",
        ),
    ],
)
def test_one_of_another_package_that_is_broken(install: Install, code: str, line: str) -> None:
    install("broken", code, "theirs = broken:make")
    [found] = [f for f in find_meters() if f.meter == "theirs"]
    assert line in str(found.why_not)


def test_ours_come_first(install: Install) -> None:
    install("pretender", "def make(): raise AssertionError", "rapl = pretender:make")
    assert driver("rapl").name == "rapl"
    assert driver_names().count("rapl") == 1


# ------------------------------------------------------------------------------------------------ the command
@pytest.fixture
def recording(tmp_path: Path) -> str:
    clock = Clock()
    recorder = Recorder(Simulated(counter_info(), constant(300.0), clock))
    measure(recorder, clock.work(0.021))
    save_readings(tmp_path / "r.jsonl", recorder.info, recorder.readings)
    return f"replay:{tmp_path / 'r.jsonl'}"


def test_listing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import perfmodel.collect.meters.nvml as nvml
    from perfmodel.collect.meters import rapl

    fake = FakeNvml(Clock(), constant(300.0))
    monkeypatch.setattr(nvml, "import_module", lambda name: fake)
    root = Powercap(tmp_path).root
    monkeypatch.setattr(rapl.RaplDriver.__init__, "__defaults__", (root, Clock()))
    assert main(["meters"]) == 0
    out = capsys.readouterr().out
    assert "nvml:0    Synthesised GPU   energy counter" in out
    assert "4 energy counters" in out
    assert "replay: plays a recording" in out
    assert main(["meters", "--json", "-"]) == 0
    entries = {e["name"]: e for e in json.loads(capsys.readouterr().out)["meters"]}
    assert entries["nvml:0"]["usable"] is True
    assert entries["nvml:0"]["info"]["counters"] == [
        {"name": "gpu", "step_j": 0.001, "range_j": None, "in_total": True}
    ]
    assert entries["replay"]["usable"] is False
    assert len(entries["rapl:all"]["info"]["counters"]) == 7


def test_reading_a_recording(recording: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["meters", "--meter", recording, "--settle", "1", "--json", "-"]) == 0
    assert json.loads(capsys.readouterr().out)["measured"] is False  # the meter needs two seconds
    assert main(["meters", "--meter", recording, "--json", "-"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["measured"] is True
    assert result["power_w"]["value"] == pytest.approx(300, rel=0.01)
    assert result["power_w"]["low"] < result["power_w"]["value"] < result["power_w"]["high"]
    assert result["energy_j"]["value"] == pytest.approx(result["power_w"]["value"] * result["duration_s"])
    assert main(["meters", "--meter", recording, "--seconds", "1"]) == 0
    out = capsys.readouterr().out
    assert "not a measurement: the window of" in out
    assert "power   " in out


def test_reading_one_and_keeping_it(install: Install, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    install("plugs", WALL_PLUG, "wall-plug = plugs:make")
    target = str(tmp_path / "kept.jsonl")
    assert main(["meters", "--meter", "wall-plug", "--seconds", "3", "-o", target, "--json", "-"]) == 0
    live = json.loads(capsys.readouterr().out)
    assert live["method"] == "integrated power"
    assert main(["meters", "--meter", "wall-plug", "--seconds", "3", "-o", target]) == 2
    assert f"{target} exists; --force replaces it" in capsys.readouterr().err
    assert main(["meters", "--meter", f"replay:{target}", "--json", "-"]) == 0
    assert json.loads(capsys.readouterr().out)["power_w"]["value"] == pytest.approx(live["power_w"]["value"], rel=0.01)


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--seconds", "3"], "--seconds goes with --meter NAME"),
        (["-o", "x"], "--output goes with --meter NAME"),
        (["--meter", "replay:nowhere"], "nowhere: No such file or directory"),
        (["--meter", "x"], "no meter is called 'x'"),
        (["--meter", "rapl:99"], "perfmodel: error: "),
    ],
)
def test_wrong_use(arguments: list[str], line: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["meters", *arguments]) == 2
    captured = capsys.readouterr()
    assert line in captured.err
    assert captured.err.count("\n") == 1


def test_keeping_a_recording_twice(recording: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["meters", "--meter", recording, "-o", str(tmp_path / "x")]) == 2
    assert "those of a recording are kept already" in capsys.readouterr().err


def test_errors_are_perfmodels() -> None:
    import perfmodel

    assert issubclass(MeterError, perfmodel.PerfmodelError)
    assert perfmodel.MeterError is MeterError
