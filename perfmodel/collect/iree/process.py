"""Programs that are ended after a time: of the processor first, since on a busy machine the clock says little."""

from __future__ import annotations

import math
import signal
import subprocess
from collections.abc import Callable, Sequence

from perfmodel.errors import PerfmodelError

CLOCK = 10.0
"""How much more may pass on the clock than what a program may take of a processor."""


class TooLongError(PerfmodelError):
    """A program took more than it may."""


def run_bounded(
    command: Sequence[str], limit_s: float, prepare: Callable[[], None] | None = None
) -> subprocess.CompletedProcess[bytes]:
    """Runs a program to its end.

    Args:
        command: the program and its arguments.
        limit_s: of processor time, of all its threads; :data:`CLOCK` times as much may pass.
        prepare: is called in the new process before the program starts.

    Raises:
        TooLongError: it took longer, and was ended.
    """

    def limited() -> None:
        import resource  # there is none on Windows

        seconds = math.ceil(limit_s)
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 1))
        if prepare is not None:
            prepare()

    try:
        done = subprocess.run(command, capture_output=True, timeout=CLOCK * limit_s, check=False, preexec_fn=limited)
    except subprocess.TimeoutExpired:
        raise TooLongError(f"more than {CLOCK * limit_s:g} s on the clock") from None
    if done.returncode in (-signal.SIGXCPU, -signal.SIGKILL):
        raise TooLongError(f"more than {limit_s:g} s of a processor")
    return done
