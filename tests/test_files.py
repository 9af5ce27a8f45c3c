"""Files that appear complete or not at all."""

from __future__ import annotations

import errno
import resource
import signal
from pathlib import Path

import pytest

from perfmodel.files import is_storable, write_whole


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


@pytest.mark.parametrize(
    "name",
    ["a", "a.csv", "gemm/h100-sxm/bf16.json.gz", "NVIDIA A100-PCIE-40GB.csv", "\u00e9.csv", "console", "com", "a" * 200],
)  # fmt: skip
def test_names_that_every_system_has(name: str) -> None:
    assert is_storable(name)


@pytest.mark.parametrize(
    "name",
    [
        "", "/", "/a", "a/", "a//b", ".", "./a", "../a", "a/../b", "..", r"a\b", r"..\a", "C:a", "a/C:b", "a:stream", "CON",
        "con", "nul.txt", "a/AUX/b", "com1", "LPT9.csv", "COM\u00b9", "a.", "a ", "sub./a", "a\0b", "a\nb", "what?", "a*",
        "<a>",         'a"b', "a|b", "a" * 201, "\u00e9" * 101,
    ],
)  # fmt: skip
def test_names_that_some_system_has_not_or_that_lead_elsewhere(name: str) -> None:
    assert not is_storable(name)


def test_a_name_as_long_as_there_can_be_is_written(tmp_path: Path) -> None:
    path = tmp_path / ("n" * 251 + ".csv")
    write_whole(path, b"x")
    assert path.read_bytes() == b"x"
    assert len(list(tmp_path.iterdir())) == 1
