"""What commands say while they work: one line, rewritten on a terminal, nearly nothing elsewhere."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any

import pytest

from perfmodel.cli import main
from perfmodel.cli import progress as module
from perfmodel.cli.progress import Progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Clock:
    """Seconds that pass when they are told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def told(monkeypatch: pytest.MonkeyPatch, stream: io.StringIO) -> Any:
    monkeypatch.setattr("sys.stderr", stream)
    monkeypatch.setenv("COLUMNS", "80")
    return stream


def test_work_of_less_than_a_second_says_nothing(monkeypatch: pytest.MonkeyPatch, clock: Clock) -> None:
    screen = told(monkeypatch, Terminal())
    with Progress("perfmodel x", ticks=False, clock=clock) as progress:
        clock.now += 0.9
        progress("reading")
    assert screen.getvalue() == ""


def test_a_line_that_counts_has_a_rate_and_an_end(monkeypatch: pytest.MonkeyPatch, clock: Clock) -> None:
    screen = told(monkeypatch, Terminal())
    with Progress("perfmodel x", ticks=False, clock=clock) as progress:
        progress("10/50 first")  # those before it were done in an earlier session: they do not count
        clock.now += 4
        progress("20/50 next")  # 10 in 4 s: 30 more take 12 s
    last = screen.getvalue().split("\r\x1b[2K")[-2]
    assert re.fullmatch(r"perfmodel x: 20/50 next \(4 s, 2\.5/s, 12 s left, until \d\d:\d\d\)", last)
    assert screen.getvalue().endswith("\r\x1b[2K")  # wiped


def test_what_is_counted_next_has_a_pace_of_its_own(monkeypatch: pytest.MonkeyPatch, clock: Clock) -> None:
    """A report predicts its devices, then their alternatives: the time of the first is none of the others'."""
    screen = told(monkeypatch, Terminal())
    with Progress("perfmodel x", ticks=False, clock=clock) as progress:
        progress("1/2 a device")
        clock.now += 60
        progress("what if 1/5")
        clock.now += 2
        progress("what if 2/5")  # 1 in 2 s: 3 more take 6 s
    last = screen.getvalue().split("\r\x1b[2K")[-2]
    assert re.fullmatch(r"perfmodel x: what if 2/5 \(62 s, 30\.0/min, 6 s left, until \d\d:\d\d\)", last)


def test_slow_work_is_counted_by_the_minute_and_told_ends_win(monkeypatch: pytest.MonkeyPatch, clock: Clock) -> None:
    screen = told(monkeypatch, Terminal())
    with Progress("perfmodel x", ticks=False, clock=clock) as progress:
        progress("1 of 3 files")
        clock.now += 120
        progress("2 of 3 files", remaining_s=8000)
    assert "(2 min, 0.5/min, 2 h 13 min left, until " in screen.getvalue()


def test_the_line_fits_the_terminal_and_obeys_no_name(monkeypatch: pytest.MonkeyPatch, clock: Clock) -> None:
    screen = told(monkeypatch, Terminal())
    with Progress("perfmodel x", ticks=False, clock=clock) as progress:
        clock.now += 2
        progress("\x1b[31m" + "long " * 40)
    line = screen.getvalue().split("\r\x1b[2K")[1]
    assert len(line) == 79
    assert line.endswith("... (2 s)")
    assert "\x1b" not in line


def test_a_pipe_hears_nothing_for_a_minute_then_a_line_a_minute(monkeypatch: pytest.MonkeyPatch, clock: Clock) -> None:
    log = told(monkeypatch, io.StringIO())
    with Progress("perfmodel x", clock=clock) as progress:
        for second in range(150):
            clock.now = 100.0 + second
            progress(f"{second}/1000 pieces")
    lines = log.getvalue().splitlines()
    assert len(lines) == 2
    assert lines[0].startswith("perfmodel x: 60/1000 pieces (60 s, 1.0/s, 16 min left, until ")
    assert "\x1b" not in log.getvalue()


def test_notes_stay_wherever_they_go(monkeypatch: pytest.MonkeyPatch, clock: Clock) -> None:
    for stream in (io.StringIO(), Terminal()):
        screen = told(monkeypatch, stream)
        with Progress("perfmodel x", ticks=False, clock=clock) as progress:
            clock.now += 2
            progress("working")
            progress.note("interrupted; go on with the same command")
        assert "interrupted; go on with the same command\n" in screen.getvalue()


def test_seconds_run_on_by_themselves(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = told(monkeypatch, Terminal())
    monkeypatch.setattr(module, "SHOWN_AFTER_S", 0.0)
    monkeypatch.setattr(module, "REWRITTEN_EVERY_S", 0.005)
    with Progress("perfmodel x") as progress:
        for _ in range(1000):
            if screen.getvalue().count("perfmodel x") > 2:  # no call between them
                break
            progress._ended.wait(0.005)
    assert screen.getvalue().count("perfmodel x") > 2
    assert progress._thread is not None
    assert not progress._thread.is_alive()


DEMO = str(Path(__file__).resolve().parent.parent / "examples" / "resnet18.onnx")
_TWO = "--device h100-sxm,l40s --dim batch=1 --predictor analytical --json -"


@pytest.mark.parametrize(
    ("command", "counted"),
    [
        (
            "sweep DEMO --device h100-sxm --dim batch=1 --predictor analytical --power-limit-w 200:300:50 --json -",
            ["1/3 power limit 200 W", "2/3 power limit 250 W", "3/3 power limit 300 W"],
        ),
        (f"compare DEMO {_TWO}", ["1/2 h100-sxm", "2/2 l40s"]),
        (
            f"energy-table DEMO {_TWO}",
            ["1/2 predicting DEMO on h100-sxm", "2/2 predicting DEMO on l40s"],
        ),
        (
            f"report DEMO {_TWO} --no-what-if -o PAGE",
            ["1/2 predicting on h100-sxm", "2/2 predicting on l40s"],
        ),
    ],
)
def test_commands_count_what_they_predict(
    command: str, counted: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Without a count a line has neither a rate nor an end."""
    lines = list[str]()
    monkeypatch.setattr(Progress, "__call__", lambda self, line, **_: lines.append(line))
    words = {"DEMO": DEMO, "PAGE": str(tmp_path / "page.html")}
    assert main([words.get(word, word) for word in command.split()]) == 0
    assert [line for line in lines if re.match(r"\d+/\d+ ", line)] == [line.replace("DEMO", DEMO) for line in counted]


def test_requests_count_their_devices() -> None:
    from memory_models import decoder

    from perfmodel import compare_generation
    from perfmodel.report import report

    model = decoder(width=16, heads=2, layers=1, vocabulary=50)
    lines = list[str]()
    conditions: Any = {"prompt": 4, "generate": 2, "dims": {"batch": 1}, "predictor": "analytical"}
    compare_generation(model, ["h100-sxm", "l40s"], report=lines.append, **conditions)
    assert lines == ["1/2 h100-sxm", "2/2 l40s"]
    lines.clear()
    report(model, ["h100-sxm", "l40s"], progress=lines.append, **conditions)
    assert lines[1:3] == ["1/2 predicting on h100-sxm", "2/2 predicting on l40s"]
