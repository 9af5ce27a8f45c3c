"""What may go wrong with the file of a model, each in one line."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from perfmodel.errors import ModelFileError


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
    except FileNotFoundError:
        raise ModelFileError(f"{label}: no such file") from None
    except OSError as error:
        raise ModelFileError(f"{label}: cannot be read: {error.strerror or error}") from None
    except ValueError as error:
        if isinstance(error, ModelFileError):
            raise
        raise ModelFileError(f"{label!a}: is no path: {error}") from None  # a NUL character
