"""Work over several processes."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any

_AHEAD = 2
"""Tasks a process that wait beside those that run: each carries its rows."""


def in_parallel(function: Callable[[Any], Any], tasks: Iterable[Any], jobs: int) -> Iterator[Any]:
    """The results in the order of the tasks, computed by some processes.

    Tasks are taken from their iterable as processes become free. An interruption ends the processes at once.
    """
    if jobs <= 1:
        yield from map(function, tasks)
        return
    from concurrent.futures import ProcessPoolExecutor
    from multiprocessing import active_children, get_context

    # Not forked: a process that has used OpenMP (XGBoost, scikit-learn) forks children that wait for its threads.
    pool = ProcessPoolExecutor(jobs, mp_context=get_context("spawn"), initializer=_leave_interruptions_to_the_parent)
    try:
        waiting: deque[Any] = deque()
        for task in tasks:
            waiting.append(pool.submit(function, task))
            if len(waiting) >= _AHEAD * jobs:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    except BaseException:
        for child in active_children():
            child.terminate()
        raise
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _leave_interruptions_to_the_parent() -> None:
    import signal

    signal.signal(signal.SIGINT, signal.SIG_IGN)
