"""Where the files of a data set are on this machine: given, downloaded before, or in an installed package."""

from __future__ import annotations

import json
import os
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from perfmodel.datasets.cards import Card
from perfmodel.errors import InputError

CACHE_VARIABLE = "PERFMODEL_CACHE"
"""Environment variable that names the folder of downloads."""
MARKER = ".complete.json"
"""Written last: a folder without it holds a download that was cut short."""


def cache_folder() -> Path:
    """The folder of all downloads: ``$PERFMODEL_CACHE``, or the user's cache folder of this system."""
    value = os.environ.get(CACHE_VARIABLE)
    if value:
        return Path(value) / "datasets"
    try:
        from platformdirs import user_cache_path
    except ImportError:  # comes with the extra `datasets`; without it nothing can have been downloaded elsewhere
        base = os.environ.get("XDG_CACHE_HOME")
        return (Path(base) if base else Path.home() / ".cache") / "perfmodel" / "datasets"
    folder: Path = user_cache_path("perfmodel") / "datasets"
    return folder


def cached(card: Card) -> Path:
    """Where a download of this card's commit lies or would lie."""
    return cache_folder() / card.id / (card.commit or "unversioned")


def completed(card: Card) -> dict[str, Any] | None:
    """What was noted when the download was complete; None where there is none."""
    try:
        note: dict[str, Any] = json.loads((cached(card) / MARKER).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return note


def installed(card: Card) -> Path | None:
    """The folder in an installed package that holds the same kinds of file; None where it is not installed."""
    if card.package is None:
        return None
    spec = find_spec(card.package["name"])
    for place in (spec.submodule_search_locations or ()) if spec is not None else ():
        folder = Path(place).joinpath(*card.package["folder"].split("/"))
        if folder.is_dir():
            return folder
    return None


def where(card: Card) -> str:
    """``downloaded``, ``package`` or ``-``: what :func:`locate` would use."""
    if completed(card) is not None:
        return "downloaded"
    return "package" if installed(card) is not None else "-"


def locate(card: Card, root: str | Path | None = None) -> Path:
    """The folder to read a data set from: ``root`` if given, else the download, else the installed package.

    Raises:
        InputError: none of them is there; the message says how to get one.
    """
    if root is not None:
        return Path(root)
    if completed(card) is not None:
        return cached(card)
    package = installed(card)
    if package is not None:
        return package
    ways = ["--from PATH reads a copy of your own"]
    if card.package is not None:
        ways.insert(0, f"or `{card.package['install']}`")
    if card.download is not None:
        ways.insert(0, f"`perfmodel datasets get {card.id}` downloads it")
    raise InputError(f"{card.id} is not on this machine: {', '.join(ways)}")
