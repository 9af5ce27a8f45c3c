"""What may go wrong with the file of a model, each in one line."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice

from perfmodel.errors import ModelFileError, nearest

_FILES_LOOKED_AT = 1000


@contextmanager
def opening(label: str) -> Iterator[None]:
    """Turns what the operating system says of a file into an error that names it.

    Args:
        label: the file, as messages call it.

    Raises:
        ModelFileError: the file is absent, cannot be read, or its name is no path.
    """
    try:
        yield
    except FileNotFoundError as error:
        raise ModelFileError(f"{label}: no such file{_alike(str(error.filename or label))}") from None
    except OSError as error:
        raise ModelFileError(f"{label}: cannot be read: {error.strerror or error}") from None
    except ValueError as error:
        if isinstance(error, ModelFileError):
            raise
        raise ModelFileError(f"{label!a}: is no path: {error}") from None  # a NUL character


def _alike(path: str) -> str:
    """What in the same folder is called nearly like a file that is not there."""
    folder, name = os.path.split(path)
    try:
        with os.scandir(folder or ".") as entries:
            hint = nearest(name, (e.name for e in islice(entries, _FILES_LOOKED_AT)), limit=1)
    except (OSError, ValueError):
        return ""
    return f"; {hint}" if hint.startswith("did you mean") else ""
