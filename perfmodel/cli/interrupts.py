"""How a command ends that is stopped: Ctrl-C, SIGTERM, or a terminal that was closed. One line, in one place, for all commands.

SIGTERM and SIGHUP become exceptions, as Ctrl-C is one, so that whatever keeps results and removes temporary files does it for
all three. A command that leaves more (or less) than the files it wrote says so with :meth:`BaseException.add_note`.
"""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
from collections.abc import Iterator
from types import FrameType

SIGNALS = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name))
"""What ends a command beside Ctrl-C; Windows has no SIGHUP."""

WRITTEN: list[str] = []
"""Files that the command has written so far."""


class Stopped(KeyboardInterrupt):
    """One of :data:`SIGNALS` came.

    Attributes:
        number: the signal's.
    """

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number


@contextlib.contextmanager
def heard() -> Iterator[None]:
    """Within it, the signals raise :class:`Stopped`.

    One that is ignored (``nohup``) or that someone else handles is left alone, and so are all outside of the main thread,
    where none can be handled.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    taken = [number for number in SIGNALS if signal.getsignal(number) == signal.SIG_DFL]
    for number in taken:
        signal.signal(number, _stop)
    try:
        yield
    finally:
        for number in taken:
            signal.signal(number, signal.SIG_DFL)


def _stop(number: int, frame: FrameType | None) -> None:
    # Once is enough: a second one (a closed terminal sends SIGHUP, its shell SIGTERM) must not break what keeps the results.
    for other in SIGNALS:
        if signal.getsignal(other) is _stop:
            signal.signal(other, signal.SIG_IGN)
    raise Stopped(number)


def exit_code(stop: KeyboardInterrupt) -> int:
    """As a shell counts signals: 130 for Ctrl-C, 143 for SIGTERM, 129 for SIGHUP."""
    return 128 + (stop.number if isinstance(stop, Stopped) else signal.SIGINT)


def tell(name: str, stop: KeyboardInterrupt) -> None:
    """The line on standard error.

    Args:
        name: of the program and command, as in ``perfmodel report``.
        stop: what ended it; its notes say what was kept and how to go on, or :data:`WRITTEN` does where there are none.
    """
    by = f" ({signal.Signals(stop.number).name})" if isinstance(stop, Stopped) else ""
    left = "; ".join(getattr(stop, "__notes__", ())) or (
        f"{', '.join(WRITTEN)} had been written" if WRITTEN else "nothing was written"
    )
    line = "".join(c if c.isprintable() else " " for c in f"{name}: interrupted{by}; {left}")
    with contextlib.suppress(OSError, ValueError):  # the terminal may be what went away
        # A terminal shows ^C where the line begins.
        sys.stderr.write(f"\r{line}\n" if sys.stderr.isatty() else f"{line}\n")
        sys.stderr.flush()
