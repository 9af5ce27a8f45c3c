"""Files that appear complete or not at all."""

from __future__ import annotations

import os
import stat
import threading
from pathlib import Path


def write_whole(path: Path, data: bytes) -> None:
    """Writes a file under another name beside its place and renames it; one that exists keeps its permissions.

    Raises:
        OSError: it cannot be written; nothing is left behind.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}.tmp")
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
