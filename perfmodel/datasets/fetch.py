"""Downloads data sets at a pinned commit into the cache, checked against the card's checksums.

Every file is written under a temporary name and renamed once its checksum fits (pooch does it), so that what is there is
whole, and a download that was cut short goes on with the files that are missing. A set counts as downloaded once
:data:`perfmodel.datasets.local.MARKER` is written.
"""

from __future__ import annotations

import errno
import hashlib
import json
import logging
import lzma
import shutil
import tempfile
import time
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import quote

from perfmodel.datasets.cards import Card
from perfmodel.datasets.local import MARKER, cached, completed
from perfmodel.errors import DownloadError, InputError, MissingExtraError
from perfmodel.files import is_storable, write_whole

_TIMEOUT_S = 60
_REPORT_EVERY_S = 1.0
_TRIES = 3
_MAX_ARCHIVE_MEMBER_BYTES = 2**30
_MAX_ARCHIVE_BYTES, _MAX_ARCHIVE_MEMBERS = 8 * 2**30, 100_000

Report = Callable[[str], None]


@dataclass(frozen=True)
class Fetched:
    """What a download left.

    Attributes:
        folder: where the files are.
        files: how many.
        bytes: their size together.
        downloaded: how many of them came now rather than earlier.
        verified: whether every file was held against a checksum of the card.
        sha256: of the archive, where there was one.
    """

    folder: Path
    files: int
    bytes: int
    downloaded: int
    verified: bool
    sha256: str | None = None


def get(card: Card, *, report: Report = lambda line: None) -> Fetched:
    """Downloads what of a data set is not in the cache yet.

    Args:
        card: its card.
        report: receives a line of progress, with the rate, now and then.

    Raises:
        InputError: the set has no download.
        DownloadError: no connection, a file that is not there, a wrong checksum, a full disk. Files that were complete
            stay for the next attempt; nothing is left half-written.
        MissingExtraError: pooch is not installed.
    """
    if card.download is None:
        note = card.raw.get("traps", {}).get("licence", "read a copy of your own with --from PATH")
        raise InputError(f"{card.id} cannot be downloaded: {note}")
    folder = cached(card)
    progress = _Progress(card.id, report)
    with _one_line(card, folder):
        folder.mkdir(parents=True, exist_ok=True)
        fetch = _get_archive if card.download.kind == "archive" else _get_files
        fetched = fetch(card, folder, progress)
        if card.download.kind != "archive":
            _note(card, fetched, folder)
    return fetched


def _note(card: Card, fetched: Fetched, folder: Path) -> None:
    """Notes in a folder that it is whole."""
    note = {
        "id": card.id, "source": card.source, "commit": card.commit, "files": fetched.files,
        "verified": fetched.verified, "archive_sha256": fetched.sha256,
    }  # fmt: skip
    write_whole(folder / MARKER, json.dumps(note, indent=2).encode() + b"\n")


def _get_files(card: Card, folder: Path, progress: _Progress) -> Fetched:
    assert card.download is not None
    if not card.checksums:
        raise InputError(f"{card.id}: datasets/{card.id}/checksums.txt names no file to download")
    missing = [path for path, sha256 in card.checksums.items() if not _is(folder / path, sha256)]
    progress.begin(len(missing))
    for path in missing:
        url = card.download.url.format(commit=card.commit, path=quote(path))
        _retrieve(url, folder / path, card.checksums[path], progress)
    size = sum((folder / path).stat().st_size for path in card.checksums)
    return Fetched(folder, len(card.checksums), size, len(missing), verified=True)


def _get_archive(card: Card, folder: Path, progress: _Progress) -> Fetched:
    download = card.download
    assert download is not None
    there = _there(card, folder)
    if there is not None:
        return there
    progress.begin(1)
    # Beside the folder, so that the finished one can be put in place by renaming.
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as scratch:
        archive = Path(scratch) / "archive.zip"
        _retrieve(download.url.format(commit=card.commit), archive, download.sha256, progress)
        sha256 = _sha256(archive)
        files = Path(scratch) / "files"
        count, size = unpacked(archive, files, download.members, card)
        if not count:
            raise DownloadError(f"{card.id}: the archive {download.url} holds none of {', '.join(download.members)}")
        fetched = Fetched(folder, count, size, count, download.sha256 is not None, sha256)
        _note(card, fetched, files)
        return fetched if _put(files, folder) else _there(card, folder) or fetched


def _there(card: Card, folder: Path) -> Fetched | None:
    """What an earlier call or another process unpacked; None where there is nothing whole."""
    note = completed(card)
    if not isinstance(note, dict) or not {"verified", "archive_sha256"} <= note.keys():
        return None
    files = [p for p in folder.rglob("*") if p.is_file() and p.name != MARKER]
    size = sum(p.stat().st_size for p in files)
    return Fetched(folder, len(files), size, 0, bool(note["verified"]), note["archive_sha256"])


def _put(files: Path, folder: Path) -> bool:
    """Renames a whole folder into its place; False where another process was first, whose folder stays as it is."""
    for _ in range(_TRIES):
        if (folder / MARKER).is_file():
            return False
        shutil.rmtree(folder, ignore_errors=True)  # what a download left that was cut short
        try:
            files.replace(folder)
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
        else:
            return True
    raise DownloadError(f"{folder} cannot be put in place: another process writes there")


def unpacked(archive: Path, folder: Path, patterns: tuple[str, ...], card: Card) -> tuple[int, int]:
    """Unpacks the members of an archive that are wanted, their paths below its top folder; how many, and their bytes together.

    Args:
        archive: a ZIP file.
        folder: where; it is made.
        patterns: of the paths wanted.
        card: whose archive it is, for messages.

    Raises:
        DownloadError: it is damaged, unpacks without end, or holds a path that leads elsewhere or that no system can have.
    """
    count = size = 0
    try:
        for member, path in _members(archive, patterns, card):
            target = folder / path
            if target.exists():
                raise DownloadError(f"{card.id}: the archive holds {path!r:.200} twice")
            target.parent.mkdir(parents=True, exist_ok=True)
            with member as source, target.open("wb") as file:
                shutil.copyfileobj(source, file)
            size += target.stat().st_size
            count += 1
            if size > _MAX_ARCHIVE_BYTES or count > _MAX_ARCHIVE_MEMBERS:
                raise DownloadError(
                    f"{card.id}: the archive unpacks to more than {_MAX_ARCHIVE_BYTES >> 30} GiB or too many files"
                )
    # Encrypted members, methods that Python lacks, data that are no such stream, names that are files and folders at once.
    except (RuntimeError, NotImplementedError, zlib.error, EOFError, ValueError, lzma.LZMAError) as error:
        raise DownloadError(
            f"{card.id}: the archive cannot be unpacked: {' '.join(str(error).split())[:200]}"
        ) from None
    return count, size


def _members(archive: Path, patterns: tuple[str, ...], card: Card) -> Iterator[tuple[Any, str]]:
    """The members to keep, opened, with their paths below the archive's top folder."""
    with zipfile.ZipFile(archive) as file:
        for info in file.infolist():
            path = "/".join(PurePosixPath(info.filename).parts[1:])
            # `**/` also stands for no folder at all, as in glob.
            if (
                not path
                or info.is_dir()
                or not any(fnmatchcase(path, p) or fnmatchcase(path, p.removeprefix("**/")) for p in patterns)
            ):
                continue
            if not is_storable(path) or info.file_size > _MAX_ARCHIVE_MEMBER_BYTES:
                raise DownloadError(
                    f"{card.id}: the archive holds {info.filename[:200]!r}, which is not safe to unpack"
                )
            yield file.open(info), path


def _retrieve(url: str, target: Path, sha256: str | None, progress: _Progress) -> None:
    """One file, by way of a temporary name beside it."""
    try:
        import pooch
    except ImportError:
        raise MissingExtraError("pooch", "datasets", "downloading data sets") from None
    pooch.get_logger().setLevel(logging.ERROR)
    progress.file(target.name)
    downloader = pooch.HTTPDownloader(progressbar=progress, timeout=_TIMEOUT_S)
    known = None if sha256 is None else f"sha256:{sha256}"
    try:
        pooch.retrieve(url, known_hash=known, fname=target.name, path=target.parent, downloader=downloader)
    except ValueError as error:
        if "hash" not in str(error):
            raise
        raise DownloadError(
            f"{url}: what came does not have the checksum of the card (SHA-256 {sha256}); it was not kept. "
            "The file upstream has changed, or something on the way replaced it"
        ) from None


class _Progress:
    """What pooch tells of a download, as a line now and then: files, bytes and rate.

    It has the methods of a progress bar that pooch expects; ``total`` is set by it.
    """

    def __init__(self, name: str, report: Report) -> None:
        self.name, self.report = name, report
        self.total = 0
        self._files = self._done = 0
        self._bytes = self._of_file = 0
        self._started = self._reported = time.monotonic()

    def begin(self, files: int) -> None:
        """So many files will come."""
        self._files = files

    def file(self, name: str) -> None:
        """The next one begins."""
        self._of_file = 0

    def update(self, n: int) -> None:
        """So many more bytes of the file came, at most."""
        self._of_file += n
        now = time.monotonic()
        if now - self._reported >= _REPORT_EVERY_S:
            self._reported = now
            self._say(now)

    def reset(self) -> None:
        """The file is whole; ``update`` with its size follows."""
        self._of_file = 0

    def close(self) -> None:
        """The file is whole."""
        self._bytes += self._of_file
        self._of_file = 0
        self._done += 1
        if self._done == self._files:
            self._say(time.monotonic())

    def _say(self, now: float) -> None:
        came = self._bytes + (min(self._of_file, self.total) if self.total else self._of_file)
        rate = came / max(now - self._started, 1e-3)
        self.report(f"{self.name}: {self._done} of {self._files} files, {came / 1e6:.1f} MB, {rate / 1e6:.1f} MB/s")


@contextmanager
def _one_line(card: Card, folder: Path) -> Iterator[None]:
    """Errors of the network and of the disk as one line that says what to do."""
    try:
        yield
    except zipfile.BadZipFile as error:
        raise DownloadError(f"{card.id}: what came is no ZIP archive: {error}") from None
    except OSError as error:  # also requests' errors
        raise DownloadError(f"{card.id}: {_reason(error, folder)}") from None


def _reason(error: OSError, folder: Path) -> str:
    again = "what was complete stays; run the command again to go on"
    if error.errno == errno.ENOSPC:
        return f"no space left on the disk of {folder} ({again} once there is, or set PERFMODEL_CACHE to another disk)"
    response = getattr(error, "response", None)
    if response is not None:
        return f"{response.url} answered {response.status_code} {response.reason}: the file is not there, or not now"
    request = getattr(error, "request", None)
    if request is not None or type(error).__module__.startswith("requests"):
        where = getattr(request, "url", None) or "the server"
        return f"the connection to {where} failed or was cut ({type(error).__name__}): {again}"
    return f"cannot write to {error.filename or folder}: {error.strerror or error}"


def _is(path: Path, sha256: str) -> bool:
    return path.is_file() and _sha256(path) == sha256


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
