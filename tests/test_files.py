"""Files that appear complete or not at all."""

from __future__ import annotations

import errno
import resource
import signal
from pathlib import Path

import pytest

from perfmodel.files import write_whole


def test_a_disk_that_is_full_names_the_file_and_leaves_nothing(tmp_path: Path) -> None:
    """The largest file that this process may write stands in for the disk."""
    path = tmp_path / "large"
    path.write_bytes(b"before")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))
    try:
        with pytest.raises(OSError, match="File too large") as caught:
            write_whole(path, b"x" * 100_000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, before)
    assert caught.value.errno == errno.EFBIG
    assert caught.value.filename == str(path)
    assert [p.name for p in tmp_path.iterdir()] == ["large"]
    assert path.read_bytes() == b"before"
