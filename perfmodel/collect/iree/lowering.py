"""What the compiler chose for a dispatch: the pipeline of passes and the tile sizes, from what it dumps after the choice."""

from __future__ import annotations

import re
from typing import Any

_EXPORT = re.compile(r"hal\.executable\.export public @([\w$.]+)")
_PIPELINE = re.compile(r"#iree_codegen\.translation_info<\s*pipeline = (?:#\w+\.pipeline<)?(\w+)>?(.*?)>[\s,}]")
_CONFIG = re.compile(r"lowering_config = #iree_cpu\.lowering_config<([^>]*)>")
_TILES = re.compile(r"(\w+) = (\[(?:[^\[\]]|\[\d+\])*\]|\w+)")
_OPERATION = re.compile(r"(?:%[\w#:, %]+ = )?\"?((?:linalg|iree_linalg_ext|tensor|iree_codegen)\.[\w.]+)\"?")
_FUNCTION = re.compile(r"^(\s*)func\.func @", re.MULTILINE)


def export_names(text: str) -> list[str]:
    """Names of the functions that a configuration is of."""
    return _EXPORT.findall(text)


def lowering_of(text: str) -> dict[str, Any]:
    """The choice as it goes into the table.

    Args:
        text: of a ``hal.executable`` after the choice.

    Returns:
        ``pipeline`` (None: the compiler took the default one), ``options`` (what else stands in the choice, as text), and
        ``operations``: of each one that has a configuration ``op`` and ``tiles`` (by level, a number an axis of the loop nest;
        scalable sizes in brackets are read as their number).
    """
    found = _PIPELINE.search(text)
    operations = []
    for line in text.splitlines():
        config = _CONFIG.search(line)
        if config is None:
            continue
        named = _OPERATION.search(line)
        tiles = {
            level: [int(number) for number in re.findall(r"-?\d+", sizes)]
            for level, sizes in _TILES.findall(config[1])
            if sizes.startswith("[")
        }
        operations.append({"op": named[1] if named else None, "tiles": tiles})
    return {
        "pipeline": found[1] if found else None,
        "options": found[2].strip(" ,{}") if found else "",
        "operations": operations,
    }


def body_of(text: str) -> str:
    """The dispatch's function alone, without what a binding of buffers needs, as the features of the dispatch read it."""
    begin = _FUNCTION.search(text)
    if begin is None:
        return ""
    indent = begin[1]
    lines = []
    for line in text[begin.start() :].splitlines():
        lines.append(line[len(indent) :] if line.startswith(indent) else line)
        if line == f"{indent}}}":
            break
    return re.sub(r", #hal\.descriptor_type<\w+>", "", "\n".join(lines)) + "\n"
