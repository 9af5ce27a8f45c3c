"""What the documentation site does to pages on their way (mkdocs.yml names it): links out, roles of docstrings, help.

Pages are read in the repository, too, where a link to a source file is useful. The site has no source files: there such a link
becomes the file's name, once it is certain that the file exists.
"""

from __future__ import annotations

import contextlib
import html
import io
import os
import posixpath
import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
COMMANDS = "<!-- commands -->"
_LINK = re.compile(r"\[([^\]]+)\]\(((?:\.\./)+[^)#\s]+)(#[^)\s]*)?\)")
_ROLE = re.compile(r":(?:py:)?(?:func|class|mod|data|attr|meth|exc):<code>~?([^<]+)</code>")


class LostLinkError(Exception):
    """A link out of the pages to a file that is not there."""


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Links that lead out of the pages, and the help of all commands where a page asks for it."""
    folder = posixpath.dirname(page.file.src_uri)

    def replaced(match: re.Match[str]) -> str:
        inside = posixpath.normpath(posixpath.join(folder, match[2]))
        if not inside.startswith(".."):
            return match[0]  # another page: mkdocs checks it
        path = (ROOT / "docs" / folder / match[2]).resolve()
        if not path.exists():
            raise LostLinkError(f"{page.file.src_uri}: there is no {match[2]}")
        name = path.relative_to(ROOT).as_posix()
        text = match[1] if match[1].strip("`").endswith(path.name) else f"{match[1]} (`{name}`)"
        return text

    markdown = _LINK.sub(replaced, markdown)
    return markdown.replace(COMMANDS, _help()) if COMMANDS in markdown else markdown


def on_page_content(content: str, **_: Any) -> str:
    """Docstrings name functions and classes as Sphinx does; readers see the name alone."""
    return _ROLE.sub(lambda m: f"<code>{m[1].rpartition('.')[2]}</code>", content)


def _help() -> str:
    from perfmodel.cli import COMMANDS as ALL
    from perfmodel.cli import main

    os.environ["COLUMNS"] = "80"
    parts = []
    for command in ALL:
        shown = io.StringIO()
        with contextlib.redirect_stdout(shown):
            main([command.name, "--help"])
        text = html.escape(shown.getvalue(), quote=False)
        parts.append(
            f"## perfmodel {command.name}\n\n{command.help[0].upper()}{command.help[1:]}.\n\n<pre><code>{text}</code></pre>\n"
        )
    return "\n".join(parts)
