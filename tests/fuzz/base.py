"""What a target is, and what all of them share."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import perfmodel
from fuzz.mutations import Mutation
from perfmodel.errors import PerfmodelError

TESTS = Path(__file__).parent.parent
ROOT = TESTS.parent
LONGEST_LINE = 2000


@dataclass(frozen=True)
class Target:
    """One kind of file.

    Attributes:
        name: for the command line and the report.
        seeds: whole files to begin with.
        read: reads the bytes of one file, in a folder that it may write to, and says what they came to.
        mutations: damage that fits; the fuzzer's own comes beside it.
        needs: the extra or package that it needs beside the tests', for the report.
    """

    name: str
    seeds: Callable[[], Iterable[bytes]]
    read: Callable[[bytes, Path], str]
    mutations: tuple[Mutation, ...] = ()
    needs: str | None = None


def refused(error: PerfmodelError) -> str:
    """``"refused"``, where an error is one clear line."""
    message = str(error)
    if not message or "\n" in message or len(message) > LONGEST_LINE:
        raise AssertionError(f"no clear line: {message[:300]!r}") from error
    return "refused"


def written(folder: Path, name: str, data: bytes) -> Path:
    """The path of a file with those bytes."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


@cache
def analytical() -> perfmodel.Predictor:
    """The physics alone."""
    return perfmodel.load("analytical")
