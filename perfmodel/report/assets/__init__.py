"""Style, scripts and skeletons of the pages, all written for them; the plotting library comes from its own package."""

from __future__ import annotations

from functools import lru_cache
from importlib import resources


@lru_cache(maxsize=32)
def asset(name: str) -> str:
    """The text of a file in this folder."""
    return resources.files(__name__).joinpath(name).read_text(encoding="utf-8")
