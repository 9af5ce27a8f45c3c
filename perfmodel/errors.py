"""Every error that perfmodel raises on purpose.

    PerfmodelError                     one clear line: what was got, what was wanted, what to do
    ├── InputError (ValueError)        a file or a value that cannot be used
    │   ├── ModelFileError             a model file that cannot be read
    │   ├── UnboundDimensionError      symbolic dimensions that were not given
    │   ├── DeviceError                an unknown device, or a device file that breaks the schema
    │   ├── DtypeError                 an unknown dtype
    │   ├── DescriptorError            an operator descriptor with an impossible dimension
    │   └── TraceError                 a trace table that breaks the schema
    ├── PredictorError                 a predictor folder that is damaged, tampered with or too new
    ├── DownloadError                  a data set that could not be downloaded
    ├── MeterError                     a meter that is absent, may not be read, or stopped
    └── MissingExtraError (ImportError)  an optional dependency that is not installed

The command line prints ``str(error)`` and exits with 2; it never shows a traceback for these.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable
from numbers import Integral, Real
from typing import TypeGuard

LONGEST_MESSAGE = 2000
"""Characters of an error's line. Names, values and lists come from files, which may hold anything."""


class PerfmodelError(Exception):
    """Base of every error raised on purpose; ``str()`` is one line meant for the user, whatever a file put into it."""

    def __init__(self, message: str = "") -> None:
        super().__init__(_one_line(message))


def _one_line(message: str) -> str:
    """The message without line breaks, and without its middle where it is too long to be read."""
    line = " ".join(message.splitlines())
    if len(line) <= LONGEST_MESSAGE:
        return line
    start, end = LONGEST_MESSAGE * 6 // 10, LONGEST_MESSAGE * 3 // 10
    return f"{line[:start]} … ({len(line) - start - end:,} characters) … {line[-end:]}"


class InputError(PerfmodelError, ValueError):
    """A file or a value given by the user cannot be used."""


class ModelFileError(InputError):
    """A model file cannot be read: wrong format, truncated, too large, cyclic, ..."""


class UnboundDimensionError(InputError):
    """The model has symbolic dimensions that were not bound.

    Attributes:
        names: the symbolic dimensions that are still open, in the order of the model's inputs.
    """

    def __init__(self, message: str, names: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.names = names


class DeviceError(InputError):
    """An unknown device, or a device file that breaks the schema."""


class DtypeError(InputError):
    """An unknown dtype."""


class DescriptorError(InputError):
    """An operator descriptor with an impossible dimension."""


class TraceError(InputError):
    """A trace table breaks the schema."""


class PredictorError(PerfmodelError):
    """A predictor folder is damaged, tampered with, or written by a newer version."""


class DownloadError(PerfmodelError):
    """A data set could not be downloaded: no connection, a wrong checksum, a full disk, …"""


class MeterError(PerfmodelError):
    """A meter of energy or power is not there, may not be read, or stopped while it was read."""


class MissingExtraError(PerfmodelError, ImportError):
    """An optional dependency is not installed.

    Args:
        package: the import name that is missing.
        extra: the extra of perfmodel that brings it.
        purpose: what it is needed for, as a noun phrase.
    """

    def __init__(self, package: str, extra: str, purpose: str) -> None:
        super().__init__(
            f"{purpose} needs the package {package!r}, which is not installed: pip install 'perfmodel[{extra}]'"
        )


def nearest(word: str, known: Iterable[str], *, limit: int = 3) -> str:
    """A phrase that names the known words closest to ``word``, for error messages.

    Returns:
        ``"did you mean 'a' or 'b'?"`` when something is close, else ``"known: a, b, c"``.
    """
    known = sorted(known)
    close = difflib.get_close_matches(word.lower(), known, n=limit, cutoff=0.5)
    if close:
        return "did you mean " + " or ".join(repr(c) for c in close) + "?"
    return "known: " + ", ".join(known)


def is_number(value: object) -> TypeGuard[float]:
    """Whether it is a real number, numpy's included: not text, and not True or False, which Python counts as 1 and 0."""
    return isinstance(value, Real) and not isinstance(value, bool)


def is_finite_number(value: object) -> TypeGuard[float]:
    """Whether it is a number, as :func:`is_number`, that a float can hold: JSON and Python have whole numbers that none can."""
    try:
        return is_number(value) and math.isfinite(value)
    except OverflowError:
        return False


def is_whole_number(value: object) -> bool:
    """Whether it is a whole number, numpy's included, and not True or False."""
    return isinstance(value, Integral) and not isinstance(value, bool)
