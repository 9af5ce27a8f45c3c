"""Every error that perfmodel raises on purpose.

    PerfmodelError                     one clear line: what was got, what was wanted, what to do
    ├── InputError (ValueError)        a file or a value that cannot be used
    │   ├── ModelFileError             a model file that cannot be read
    │   ├── UnboundDimensionError      symbolic dimensions that were not given
    │   ├── DeviceError                an unknown device, or a device file that breaks the schema
    │   ├── DtypeError                 an unknown dtype
    │   ├── DescriptorError            an operator descriptor with an impossible dimension
    │   ├── KeywordError (TypeError)   an argument that a function or a descriptor does not have
    │   └── TraceError                 a trace table that breaks the schema
    ├── PredictorError                 a predictor folder that is damaged, tampered with or too new
    ├── DownloadError                  a data set that could not be downloaded
    ├── MeterError                     a meter that is absent, may not be read, or stopped
    └── MissingExtraError (ImportError)  an optional dependency that is not installed

The command line prints ``str(error)`` and exits with 2; it never shows a traceback for these.
"""

from __future__ import annotations

import difflib
import functools
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from numbers import Integral, Real
from types import FunctionType
from typing import TYPE_CHECKING, NoReturn, ParamSpec, TypeGuard, TypeVar

_P = ParamSpec("_P")
_R = TypeVar("_R")

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


class KeywordError(InputError, TypeError):
    """A function or a descriptor has no argument of that name."""


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


MOST_LISTED = 30
"""Names that a message lists where none is close; of more it says where they are listed."""


def nearest(word: str, known: Iterable[str], *, limit: int = 3, listed: str = "", alike: float = 0.5) -> str:
    """A phrase that names the known words closest to ``word``, for error messages.

    Args:
        word: what was given.
        known: what could have been.
        limit: of the close ones, how many are named.
        alike: how much of both must be the same, 0 to 1, for a name to be close.
        listed: what lists all of them, as ``"`perfmodel devices`"``; where there is such a thing.

    Returns:
        ``"did you mean 'a' or 'b'?"`` when something is close, else ``"known: a, b, c"``; with what lists them all.
    """
    known = sorted(known)
    # Capitals may be meant (parameters of a kernel) or not (H100-SXM).
    plain = {name.lower(): name for name in known}
    close = [plain[c] for c in difflib.get_close_matches(word.lower(), plain, n=limit, cutoff=alike)]
    if close:
        found = "did you mean " + " or ".join(repr(c) for c in close) + "?"
        return f"{found} ({listed} lists all)" if listed else found
    if listed and len(known) > MOST_LISTED:
        return f"{listed} lists the {len(known)} that there are"
    return "known: " + ", ".join(known)


def one_of(what: str, value: object, known: Sequence[str], error: type[PerfmodelError] = InputError) -> None:
    """Refuse a value that is not one of some names.

    Args:
        what: the value's name.
        value: what was given.
        known: what it may be.
        error: what is raised.

    Raises:
        PerfmodelError: of the type ``error``; with the nearest name.
    """
    if value not in known:
        hint = nearest(value, known) if isinstance(value, str) else f"known: {', '.join(known)}"
        raise error(f"{what} is {value!r}: {hint}")


def checked_keywords(further: Iterable[str] = ()) -> Callable[[Callable[_P, _R]], Callable[_P, _R]]:
    """Makes a public function answer a misspelt keyword argument with the nearest one: Python itself does from 3.13 on.

    Args:
        further: names that a function with ``**conditions`` takes, too.
    """

    def decorate(function: Callable[_P, _R]) -> Callable[_P, _R]:
        code = function.__code__
        known = {*code.co_varnames[: code.co_argcount + code.co_kwonlyargcount], *further} - {"self", "cls"}
        what = function.__qualname__.removesuffix(".__init__")

        @functools.wraps(function)
        def call(*args: _P.args, **kwargs: _P.kwargs) -> _R:
            try:
                return function(*args, **kwargs)
            except TypeError:
                # Python has refused it before anything ran; calls that are right do not wait for a look at their names.
                if not kwargs.keys() <= known:
                    refuse_keywords(what, kwargs, known)
                raise

        @functools.wraps(function)
        def look_and_call(*args: _P.args, **kwargs: _P.kwargs) -> _R:
            if not kwargs.keys() <= known:
                refuse_keywords(what, kwargs, known)
            return function(*args, **kwargs)

        return look_and_call if code.co_flags & _TAKES_ANY_KEYWORD else call

    return decorate


def checked_methods(*, constructor: bool = True) -> Callable[[type[_R]], type[_R]]:
    """Makes the public methods of a class, and its constructor, answer as :func:`checked_keywords` makes functions do.

    Methods with ``**names`` of any kind are left: what they take is theirs to say.

    Args:
        constructor: False for records that are made by the thousand.
    """

    def decorate(cls: type[_R]) -> type[_R]:
        for name, member in tuple(vars(cls).items()):
            if name.startswith("_") and not (constructor and name == "__init__"):
                continue
            bound = type(member) if isinstance(member, (classmethod, staticmethod)) else None
            function = member.__func__ if bound else member
            if isinstance(function, FunctionType) and not function.__code__.co_flags & _TAKES_ANY_KEYWORD:
                checked = checked_keywords()(function)
                setattr(cls, name, bound(checked) if bound else checked)
        return cls

    return decorate


_TAKES_ANY_KEYWORD = 0x08
"""The flag of code with ``**names`` (``inspect.CO_VARKEYWORDS``; importing inspect takes milliseconds)."""


_ALIKE = 0.7
"""Below it a keyword argument with a whole number is rather a dimension of the model than misspelt."""


def refuse_keywords(what: str, given: Mapping[str, object], known: Iterable[str]) -> NoReturn:
    """Raises the error of the first name given that is not known.

    Args:
        what: what was called.
        given: by name; one of them is not known.
        known: what it takes.

    Raises:
        KeywordError: always; with the nearest name.
    """
    known = set(known)
    wrong = next(name for name in given if name not in known)
    hint = nearest(wrong, known) if known else "it takes none"
    if "dims" in known and is_whole_number(given[wrong]) and not difflib.get_close_matches(wrong, known, 1, _ALIKE):
        hint = f"sizes of a model's dimensions go in dims={{{wrong!r}: {given[wrong]}}}"
    raise KeywordError(f"{what} has no argument {wrong!r}: {hint}") from None


class CheckedFields:
    """Base of dataclasses of many kinds, as descriptors: a field that one does not have is answered with the nearest one."""

    __slots__ = ()

    if not TYPE_CHECKING:  # type checkers know the fields, and would take this for the constructor

        def __new__(cls, *args, **given):
            """As object's; names that are no fields are refused."""
            fields = cls.__dataclass_fields__
            if not given.keys() <= fields.keys():
                from dataclasses import fields as without_those_of_the_class

                refuse_keywords(cls.__name__, given, [f.name for f in without_those_of_the_class(cls)])
            return super().__new__(cls)


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
