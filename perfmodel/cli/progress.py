"""What a command is doing, how fast, and until when: one line on standard error for all commands.

On a terminal the line is rewritten, and wiped in the end; work of less than a second shows nothing. Elsewhere (a pipe, a log, a
terminal that can rewrite nothing) nothing is said in the first minute, and a line a minute after that: the log of a training
overnight tells how far it is.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import sys
import threading
import time
from collections.abc import Callable
from datetime import datetime, timedelta

SHOWN_AFTER_S = 1.0
REWRITTEN_EVERY_S = 0.5
LOGGED_EVERY_S = 60.0
_COUNTED = re.compile(r"(\d+)(?:/| of )(\d+)\b")


class Progress:
    """Use as a context manager; call it with a line about what is done next.

    A line that counts (``3/41 power of gemm``, ``3 of 41 files``) gets a rate and an end time, by the pace since the first one.

    Args:
        name: stands before each line, as in ``perfmodel train``.
        ticks: whether the seconds run on between two calls. They need a thread: not while this machine is measured.
        logged_every_s: where standard error is no terminal, a line so often; 0: each, where a line says that something is safe.
        clock: seconds since some moment; for tests.
    """

    def __init__(
        self,
        name: str,
        *,
        ticks: bool = True,
        logged_every_s: float = LOGGED_EVERY_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._name = name
        self._ticks = ticks
        self._clock = clock
        self._logged_every_s = logged_every_s
        self._start = self._written = clock()
        self._line = ""
        self._first: tuple[int, int, float] | None = None
        self._pace = ""
        self._shown = False
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Progress:
        if self._ticks and _rewrites():
            self._thread = threading.Thread(target=self._run, daemon=True)
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        if self._thread is not None:
            self._thread.join()
        with self._lock:
            self._wipe()

    def __call__(self, line: str, *, remaining_s: float | None = None) -> None:
        """What is done next.

        Args:
            line: about it.
            remaining_s: how long all of it takes from now, where that is known better than by counting.
        """
        with self._lock:
            self._line = line
            self._pace = self._pace_of(line, remaining_s)
            self._show()

    def note(self, line: str) -> None:
        """A line that stays, wherever standard error goes: what became of the work, and what to do next."""
        with self._lock:
            self._wipe()
            _say(f"{_printable(line)}\n")

    def _run(self) -> None:
        while not self._ended.wait(REWRITTEN_EVERY_S):
            with self._lock:
                self._show()

    def _pace_of(self, line: str, remaining_s: float | None) -> str:
        now, rate = self._clock(), None
        found = _COUNTED.search(line)
        if found is not None:
            done, total = int(found[1]), int(found[2])
            # Another total is of something else, as of alternatives once all devices are predicted.
            if self._first is None or done < self._first[0] or total != self._first[1]:
                self._first = done, total, now
            first, _, since = self._first
            if done > first and now > since:
                rate = (done - first) / (now - since)
                remaining_s = (total - done) / rate if remaining_s is None else remaining_s
        told = [] if rate is None else [f"{rate:.1f}/s" if rate >= 1 else f"{60 * rate:.1f}/min"]
        if remaining_s is not None and remaining_s > 0:
            told.append(f"{_span(remaining_s)} left, until {datetime.now() + timedelta(seconds=remaining_s):%H:%M}")
        return ", ".join(told)

    def _show(self) -> None:
        now = self._clock()
        seconds = now - self._start
        if not _rewrites():
            if now - self._written >= self._logged_every_s:
                self._written = now
                _say(f"{self._text(seconds)}\n")
            return
        if seconds < SHOWN_AFTER_S:
            return
        self._shown = True
        # The whole line must fit: one that wraps could not be rewritten.
        width = shutil.get_terminal_size().columns - 1
        _say(f"\r\x1b[2K{self._text(seconds, width)}")

    def _text(self, seconds: float, width: int | None = None) -> str:
        end = f" ({', '.join(part for part in (_span(seconds), self._pace) if part)})"
        begin = _printable(f"{self._name}: {self._line}" if self._line else self._name)
        if width is not None and len(begin) + len(end) > width:
            begin = f"{begin[: max(width - len(end) - 3, 0)]}..."
        return f"{begin}{end}"[:width]

    def _wipe(self) -> None:
        if self._shown:
            self._shown = False
            _say("\r\x1b[2K")


def _rewrites() -> bool:
    """Whether standard error is a terminal that obeys the sequences for it."""
    return sys.stderr.isatty() and os.environ.get("TERM") not in ("dumb", "unknown")


def _say(text: str) -> None:
    """To standard error. A terminal that was closed, or a reader that went away, ends no work of an hour."""
    with contextlib.suppress(OSError):
        sys.stderr.write(text)
        sys.stderr.flush()


def _span(seconds: float) -> str:
    """``12 s``, ``3 min``, ``2 h 5 min``."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60} min"


def _printable(line: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in line)
