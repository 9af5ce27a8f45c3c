"""What commands say while they work: one line, rewritten on a terminal, nearly nothing elsewhere."""

from __future__ import annotations

import io
import re
from typing import Any

import pytest

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
