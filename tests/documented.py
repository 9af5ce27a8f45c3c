"""What the pages of the reference name."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

REFERENCE = Path(__file__).resolve().parent.parent / "docs" / "reference"


def documented_names() -> list[str]:
    """The names, as the pages have them: of functions, classes and modules."""
    pages = "\n".join(page.read_text(encoding="utf-8") for page in sorted(REFERENCE.glob("*.md")))
    return re.findall(r"^::: (\S+)", pages, re.MULTILINE)


def defined(name: str) -> list[object]:
    """What a name stands for; of a module, what it defines."""
    try:
        module = importlib.import_module(name)
    except ModuleNotFoundError:
        owner, _, attribute = name.rpartition(".")
        return [getattr(importlib.import_module(owner), attribute)]
    members = {n: v for n, v in vars(module).items() if not n.startswith("_")}
    return [v for v in members.values() if getattr(v, "__module__", None) == module.__name__]
