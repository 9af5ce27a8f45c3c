"""A predictor on disk: a manifest, boosters in XGBoost's own JSON format (gzip), and their hashes. No pickle, anywhere."""

from __future__ import annotations

import gzip
import hashlib
import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from perfmodel.errors import InputError, PredictorError
from perfmodel.files import is_storable, write_whole

SCHEMA = 1
MANIFEST = "manifest.json"
_NEW, _REST = ".new", ".installing"
STAGING = (_NEW, _REST)
"""Folders within a predictor's that hold new files: being made, and being moved to their places."""
_MAX_MANIFEST_BYTES = 8 * 2**20
_MAX_FILE_BYTES = 32 * 2**20


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of a predictor folder.

    Raises:
        PredictorError: there is none, it cannot be parsed, or a newer version wrote it.
    """
    path = folder / MANIFEST
    try:
        if path.exists() and not path.is_file():
            raise PredictorError(f"{path} is no file; install the predictor again")
        if path.stat().st_size > _MAX_MANIFEST_BYTES:
            raise PredictorError(f"{path} is larger than {_MAX_MANIFEST_BYTES >> 20} MiB, which no manifest is")
        manifest = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise PredictorError(f"{folder} is no predictor: it holds no {MANIFEST}") from None
    except OSError as error:
        raise PredictorError(f"{path} cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise PredictorError(f"{path} is no JSON: {error}") from None
    if not isinstance(manifest, dict) or not isinstance(manifest.get("schema"), int):
        raise PredictorError(f"{path} is no predictor manifest: it has no number 'schema'")
    if manifest["schema"] > SCHEMA:
        raise PredictorError(
            f"{path} has schema {manifest['schema']}; this version reads up to {SCHEMA}: upgrade perfmodel"
        )
    return manifest


def read_file(folder: Path, name: str, sha256: str) -> bytes:
    """The bytes of a file of the predictor, refused when they do not match their hash.

    Raises:
        PredictorError: the name leads out of the folder, the file is absent, too large, or was changed.
    """
    path = folder / name
    try:
        path = _place(folder, name)
        inside = ".." not in Path(name).parts and path.resolve().is_relative_to(folder.resolve())
    except (OSError, RuntimeError, ValueError):  # a loop of links, a zero byte
        inside = False
    if not inside:
        raise PredictorError(f"the manifest of {folder} names {name!r}, which lies outside the predictor's folder")
    try:
        if path.exists() and not path.is_file():
            raise PredictorError(f"{path} is no file; install the predictor again")
        if path.stat().st_size > _MAX_FILE_BYTES:
            raise PredictorError(f"{path} is larger than {_MAX_FILE_BYTES >> 20} MiB, which no booster is")
        data = path.read_bytes()
    except OSError as error:
        raise PredictorError(f"{path} cannot be read: {error.strerror}; install the predictor again") from None
    if hashlib.sha256(data).hexdigest() != sha256:
        raise PredictorError(
            f"{path} does not match its hash in the manifest: it was changed or damaged; install it again"
        )
    return data


def files_of(manifest: Mapping[str, Any]) -> dict[str, str]:
    """Names and hashes of the files that a manifest names, whatever list of entries they stand in; tables that it was
    trained on are no files of a predictor."""
    entries = [
        entry for key, value in manifest.items() if isinstance(value, list) and not key.endswith("training_data")
        for entry in value if isinstance(entry, dict) and {"file", "sha256"} <= entry.keys()
    ]  # fmt: skip
    return {str(entry["file"]): str(entry["sha256"]) for entry in entries}


def compress(text: bytes) -> bytes:
    """Gzip without a time stamp, so that equal boosters give equal bytes."""
    return gzip.compress(text, compresslevel=9, mtime=0)


def write_file(folder: Path, name: str, data: bytes) -> str:
    """Writes a file of a predictor under a temporary name, renames it, and returns its sha256.

    Raises:
        InputError: the name, some of which comes from traces, leads out of the folder, or is none that every system has.
    """
    if not is_storable(name):
        raise InputError(
            f"{name!r:.200} cannot be a file of a predictor: a device, a software or a kind in the traces is part of it; "
            "wanted letters, digits, dots and dashes"
        )
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, data)
    return hashlib.sha256(data).hexdigest()


def write_json(folder: Path, name: str, value: Mapping[str, Any]) -> str:
    """Writes sorted, indented JSON like :func:`write_file`."""
    return write_file(folder, name, (json.dumps(value, indent=0, sort_keys=True) + "\n").encode())


@contextmanager
def staged(folder: Path) -> Iterator[Path]:
    """A folder for new files of a predictor, which are installed at the end of the block.

    Whatever is raised in it (a full disk, an interrupt) leaves the predictor as it was, and nothing beside it.

    Raises:
        OSError: it cannot be written to.
    """
    there = folder.exists()
    try:
        new = begin(folder)
        yield new
        install(new)
    finally:
        _settle(folder)
        if not there:
            with suppress(OSError):  # it holds the predictor, or pieces to go on from
                folder.rmdir()


def begin(folder: Path) -> Path:
    """An empty folder inside a predictor's, for new files until all of them are there; what an earlier call left is removed,
    or installed to its end.

    Raises:
        OSError: it cannot be written to.
    """
    _settle(folder)
    new = folder / _NEW
    new.mkdir(parents=True)
    return new


def install(new: Path) -> None:
    """Makes the files of a folder that :func:`begin` made the predictor's.

    Until the manifest is moved, which is one step, the predictor is the old one; from then on it is the new one, since
    :func:`read_file` also looks among the files that are still to be moved.

    Raises:
        OSError: a file cannot be moved; :func:`begin` tries again.
    """
    rest = new.with_name(_REST)
    new.replace(rest)
    _move(rest)


def _move(rest: Path) -> None:
    files = sorted((path for path in rest.rglob("*") if path.is_file()), key=lambda path: (path.name != MANIFEST, path))
    for path in files:
        target = rest.parent / path.relative_to(rest)
        target.parent.mkdir(parents=True, exist_ok=True)
        path.replace(target)
    shutil.rmtree(rest, ignore_errors=True)


def _settle(folder: Path) -> None:
    """Removes new files that are not to be installed, and installs the others."""
    shutil.rmtree(folder / _NEW, ignore_errors=True)
    rest = folder / _REST
    if _is_installed(folder):
        _move(rest)
    if rest.is_dir():
        # Half of it removed under its own name would count as installed.
        rest.replace(folder / _NEW)
        shutil.rmtree(folder / _NEW, ignore_errors=True)


def _is_installed(folder: Path) -> bool:
    """Whether there are files that the manifest already speaks of, and that are still to be moved to their places."""
    return (folder / _REST).is_dir() and not (folder / _REST / MANIFEST).exists()


def _place(folder: Path, name: str) -> Path:
    rest = folder / _REST / name
    return rest if _is_installed(folder) and rest.is_file() else folder / name
