"""What results show of themselves in Jupyter: plain tables without colours of their own, every text escaped."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

_RIGHT = ' style="text-align:right"'
_LEFT = ' style="text-align:left"'


def html_table(heads: Iterable[str], rows: Iterable[Sequence[str]], right: Iterable[int] = ()) -> str:
    """A table.

    Args:
        heads: of the columns.
        rows: texts.
        right: the columns that stand to the right, as numbers do.
    """
    numbers = set(right)
    titles = tuple(heads)
    style = [_RIGHT if i in numbers else _LEFT for i in range(len(titles))]
    head = "".join(f"<th{style[i]}>{escape(text)}</th>" for i, text in enumerate(titles))
    body = "".join(
        f"<tr>{''.join(f'<td{style[i]}>{escape(text)}</td>' for i, text in enumerate(row))}</tr>" for row in rows
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def html_result(title: str, *tables: str, notes: Iterable[str] = ()) -> str:
    """A title, tables, and lines below them.

    Args:
        title: text.
        tables: as :func:`html_table` makes them.
        notes: texts, a line each.
    """
    lines = "".join(f"<div>{escape(note)}</div>" for note in notes)
    return f"<div><strong>{escape(title)}</strong>{''.join(tables)}{lines}</div>"
