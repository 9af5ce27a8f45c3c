"""One slice of one target under Atheris: ``python -m fuzz.worker TARGET FOLDER SECONDS``.

What is found is written and the fuzzing goes on; where the process itself dies, the input that it was reading lies in the
folder, and the driver keeps that.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import re
import signal
import sys
import time
import traceback
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path
from types import FrameType, TracebackType

MOST_BYTES = 6 * 2**30
"""Of address space."""
SLOW_SECONDS = 20.0
"""Of processor time, for one input."""
LONGEST_INPUT = 200_000
MOST_WHOLE = 200
"""Files that came to a result, as many as are kept at hand."""


class TooSlow(BaseException):
    """An input takes too long. No Exception, so that nothing that perfmodel catches hides it."""


def _too_slow(number: int, frame: FrameType | None) -> None:
    raise TooSlow(f"more than {SLOW_SECONDS:g} s of processor time")


def signature(error: BaseException) -> str:
    """One name for one mistake: its type and the innermost line of perfmodel that it passed."""
    place, at = "nowhere", error.__traceback__
    lines: list[TracebackType] = []
    while at is not None:
        lines.append(at)
        at = at.tb_next
    for entry in lines:
        path = Path(entry.tb_frame.f_code.co_filename)
        if "perfmodel" in path.parts and "site-packages" not in path.parts:
            place = f"{path.stem}-{entry.tb_lineno}"
    if isinstance(error, TooSlow):
        place = "input"
    if isinstance(
        error, AssertionError
    ):  # raised by the target itself: told by what it says, up to its numbers and names
        place = f"{zlib.crc32(re.sub(r'[^a-z ]+', ' ', str(error))[:60].encode()):08x}"
    if place == "nowhere" and lines:
        place = f"{Path(lines[-1].tb_frame.f_code.co_filename).stem}-{lines[-1].tb_lineno}"
    return f"{type(error).__name__}-{place}"


def judge(read: Callable[[bytes, Path], str], data: bytes, folder: Path) -> tuple[str, BaseException | None]:
    """What a file came to, and what was raised of it that is no clear line; a warning counts as one."""
    signal.signal(signal.SIGPROF, _too_slow)
    signal.setitimer(signal.ITIMER_PROF, SLOW_SECONDS)
    try:
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            came_to = read(data, folder)
        signal.setitimer(signal.ITIMER_PROF, 0)
    except (Exception, TooSlow) as error:
        return "raised", error
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
    for one in said:
        if "perfmodel" in one.filename or issubclass(one.category, RuntimeWarning):
            return came_to, _WarnedError(f"{one.category.__name__}: {one.message}", one.filename, one.lineno)
    return came_to, None


class _WarnedError(Exception):
    """A warning that a user would see."""

    def __init__(self, message: str, file: str, line: int) -> None:
        super().__init__(f"{message} ({Path(file).name}:{line})")
        self.place = f"{Path(file).stem}-{line}"


def _processor_seconds() -> float:
    """Of this process and of those that it started and saw end: bytecode is read in a process of its own."""
    return sum(os.times()[:4])


class _Slice:
    """Reads inputs, counts them, keeps what is found."""

    def __init__(self, name: str, folder: Path) -> None:
        from fuzz.targets import TARGETS

        self.target = TARGETS[name]
        self.folder = folder
        self.scratch = folder / "scratch"
        self.found = folder / "findings"
        for made in (self.scratch, self.found, folder / "corpus"):
            made.mkdir(parents=True, exist_ok=True)
        self.counts: dict[str, int] = {}
        self.whole: list[bytes] = []
        self.begin_cpu = _processor_seconds()
        self.told = time.monotonic()

    def __call__(self, data: bytes) -> None:
        (self.folder / "current").write_bytes(data)
        came_to, error = judge(self.target.read, data, self.scratch)
        self.counts[came_to] = self.counts.get(came_to, 0) + 1
        if error is not None:
            self._keep(data, error)
        elif came_to == "result":
            self._remember(data)
        if time.monotonic() - self.told > 2:
            self.tell()

    def _remember(self, data: bytes) -> None:
        """Some of the files that came to a result: damage to those reaches what lies behind the first check."""
        if len(self.whole) < MOST_WHOLE:
            self.whole.append(data)
        else:
            self.whole[random.randrange(MOST_WHOLE)] = data

    def _keep(self, data: bytes, error: BaseException) -> None:
        name = f"Warning-{error.place}" if isinstance(error, _WarnedError) else signature(error)
        path = self.found / name
        if not path.exists() or path.stat().st_size > len(data):
            path.write_bytes(data)
            text = "".join(traceback.format_exception(error))
            path.with_name(name + ".txt").write_text(text[-6000:], encoding="utf-8", errors="backslashreplace")

    def tell(self) -> None:
        """What was done so far, for the driver."""
        self.told = time.monotonic()
        done = {"cpu_s": _processor_seconds() - self.begin_cpu, "counts": self.counts}
        (self.folder / "slice.json").write_text(json.dumps(done))


def main() -> None:
    """Fuzzes until the time is up."""
    import resource

    import atheris

    name, folder, seconds = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
    resource.setrlimit(resource.RLIMIT_AS, (MOST_BYTES, MOST_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # What hangs where no signal of Python's reaches it. Not by the clock: a machine may stand still.
    resource.setrlimit(resource.RLIMIT_CPU, (seconds + 300, seconds + 330))
    with atheris.instrument_imports(include=["perfmodel"]):
        slice_ = _Slice(name, folder)
        for seed in slice_.target.seeds():
            path = folder / "corpus" / f"seed-{random.Random(seed).getrandbits(64):016x}"
            if len(seed) <= LONGEST_INPUT and not path.exists():
                path.write_bytes(seed)
        # What is imported on use is instrumented, too.
        known = sorted((folder / "corpus").iterdir(), key=lambda path: (not path.name.startswith("seed-"), path.name))
        for path in known[:30]:
            slice_(path.read_bytes())
    slice_.tell()
    mine = slice_.target.mutations

    def mutate(data: bytes, longest: int, seed: int) -> bytes:
        rng = random.Random(seed)
        # What the fuzzer chose was damaged before, most of it beyond repair; other damage begins with a whole file.
        if slice_.whole and rng.random() < 0.6:
            data = rng.choice(slice_.whole)
        if not mine or rng.random() < 0.2:
            return bytes(atheris.Mutate(data, longest))
        for _ in range(rng.choice((1, 1, 1, 2, 4))):
            with contextlib.suppress(Exception):  # damaged beyond what this damage understands
                data = rng.choice(mine)(data, rng)[:longest]
        return data

    arguments = [
        "fuzz", str(folder / "corpus"), f"-max_total_time={seconds}", f"-max_len={LONGEST_INPUT}", "-timeout=7200",
        "-rss_limit_mb=5000", f"-artifact_prefix={folder}/crash-", "-print_final_stats=0", "-verbosity=0", "-len_control=0",
    ]  # fmt: skip
    atheris.Setup(arguments, slice_, custom_mutator=mutate, internal_libfuzzer=True)
    import atexit

    atexit.register(slice_.tell)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
