"""Files that appear complete or not at all, under names that every system has."""

from __future__ import annotations

import os
import re
import stat
import threading
from pathlib import Path
from typing import Any

_RESERVED = re.compile(r"(con|prn|aux|nul|com[0-9\u00b9\u00b2\u00b3]|lpt[0-9\u00b9\u00b2\u00b3])(\.|$)", re.IGNORECASE)
_FORBIDDEN = re.compile(r'[\x00-\x1f<>:"|?*\\]')
MAX_LINE_CHARACTERS = 4_000
MAX_LINE_DOTS = 40
"""Of a TOML text; no honest line comes near."""
_PIECE = 2**22
_LONGEST_NAME = 200
"""Bytes of one name: file systems have 255, of which a temporary name beside it takes some."""


def is_storable(path: str) -> bool:
    """Whether a relative path, its parts divided by ``/``, names a file below the folder that it starts from on Linux, macOS
    and Windows alike.

    Windows has no names that end in a dot or a space, none of its devices (``CON``, ``nul.txt``), and none with some signs
    (Microsoft, "Naming Files, Paths, and Namespaces"); a backslash leads elsewhere there, a colon to another drive or stream.
    """
    parts = path.split("/")
    return all(
        part not in ("", ".", "..") and part[-1] not in ". " and len(part.encode(errors="replace")) <= _LONGEST_NAME
        and not _FORBIDDEN.search(part) and not _RESERVED.match(part)
        for part in parts
    )  # fmt: skip


def read_at_most(path: Path, most: int) -> bytes | None:
    """The bytes of a file, a pipe or a device; None where there are more than ``most``: ``stat`` knows not of the last two.

    Raises:
        OSError: it cannot be read.
    """
    read, pieces = 0, []
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            read += len(piece)
            if read > most:
                return None
            pieces.append(piece)
    return b"".join(pieces)


def parse_toml(text: str) -> dict[str, Any]:
    """A TOML text of unknown origin, in a time that its length bounds: dotted keys cost the parser the square of theirs.

    Raises:
        ValueError: it is none, nests too deeply, or has a line that is none of a person's; ``str()`` says which.
    """
    import tomllib

    for number, line in enumerate(text.split("\n"), 1):
        for count, limit, noun in (
            (len(line), MAX_LINE_CHARACTERS, "characters"), (line.count("."), MAX_LINE_DOTS, "dots"),
        ):  # fmt: skip
            if count > limit:
                raise ValueError(f"line {number} has {count:,} {noun}; at most {limit:,} are read")
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise ValueError("not TOML: nested too deeply") from None
    except ValueError as error:  # tomllib.TOMLDecodeError is one, and so is what a too long integer raises
        raise ValueError(f"not TOML: {' '.join(str(error).split())[:200]}") from None


def write_whole(path: Path, data: bytes) -> None:
    """Writes a file under another name beside its place and renames it; one that exists keeps its permissions.

    Raises:
        OSError: it cannot be written; nothing is left behind.
    """
    # A name near the longest that there can be must not become too long by this.
    temporary = path.with_name(f".{path.name[:40]}.{os.getpid()}.{threading.get_ident()}.tmp")
    try:
        # "x": created with the permissions that the user's umask leaves, and never over someone's file.
        with temporary.open("xb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())  # renamed before its bytes are on the disk, a file could be empty after a crash
        if path.exists():
            temporary.chmod(stat.S_IMODE(path.stat().st_mode))
        temporary.replace(path)
    except BaseException as problem:
        temporary.unlink(missing_ok=True)
        if isinstance(problem, OSError) and problem.filename is None:
            problem.filename = str(path)  # a full disk does not say which file it is about
        raise
