"""Finds the data that ship with perfmodel: in a wheel beside the code, in a checkout beside the package.

The data folders stand at the top of the repository and hold no code; the wheel carries them as
``perfmodel/_data/<folder>``. An editable install runs from the checkout.
"""

from __future__ import annotations

from pathlib import Path

from perfmodel.errors import InputError, nearest

DATA_FOLDERS = ("datasets", "examples", "features", "models")
"""The folders that ship."""

_PACKAGE = Path(__file__).resolve().parent


def data_path(folder: str, *parts: str) -> Path:
    """The path of a shipped file or folder.

    Args:
        folder: one of :data:`DATA_FOLDERS`.
        parts: the way from there, one component each.

    Returns:
        A path that exists.

    Raises:
        InputError: there is no such folder or file; the message names those that are there.
    """
    root = _root(folder)
    for part in parts:
        # Names come from the command line (a predictor's, say): one component each, so that none leads out.
        if Path(part).name != part or part == "..":
            raise InputError(f"{part!r} is no name of something in {folder}: wanted a plain name, without a path")
    path = root.joinpath(*parts)
    if not path.exists():
        known = [p.name for p in root.iterdir() if p.name != "README.md"] if len(parts) == 1 else []
        hint = f": {nearest(parts[0], known)}" if known else ""
        raise InputError(f"perfmodel ships no {'/'.join((folder, *parts))}{hint}")
    return path


def _root(folder: str) -> Path:
    if folder not in DATA_FOLDERS:
        raise InputError(f"perfmodel has no data folder {folder!r}: {nearest(folder, DATA_FOLDERS)}")
    in_wheel = _PACKAGE / "_data" / folder
    if in_wheel.is_dir():
        return in_wheel
    checkout = _PACKAGE.parent
    # Only a checkout has its pyproject.toml there: site-packages may hold a `datasets` or `models` of someone else.
    if (checkout / "pyproject.toml").is_file() and (checkout / folder).is_dir():
        return checkout / folder
    raise InputError(f"the installation of perfmodel in {_PACKAGE} has lost its {folder} folder: install it again")
