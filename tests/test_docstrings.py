"""Every field of every public record says what it means."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import re
import textwrap
from contextlib import suppress

import pytest
from documented import defined, documented_names

import perfmodel
from perfmodel.errors import MissingExtraError

_SECTION = re.compile(r"^(?:Args|Attributes):\n((?: .*\n|\n)*)", re.MULTILINE)
_ENTRY = re.compile(r"^ {4}(\w+(?:, \w+)*): \S", re.MULTILINE)


def public_records() -> dict[str, type]:
    """Dataclasses that ``perfmodel.__all__`` or the reference reaches, by their full name; those inside tuners where these are
    installed."""
    found = [getattr(perfmodel, name) for name in perfmodel.__all__]
    for name in documented_names():
        with suppress(MissingExtraError):
            found += defined(name)
    records = {c for c in found if inspect.isclass(c) and dataclasses.is_dataclass(c)}
    return {
        f"{c.__module__}.{c.__qualname__}": c for c in sorted(records, key=lambda c: (c.__module__, c.__qualname__))
    }


def described(record: type) -> set[str]:
    """Fields that the class describes: in its Args or Attributes, or in a docstring of the field's own."""
    return in_its_docstring(record) | with_own_docstring(record)


def in_its_docstring(record: type) -> set[str]:
    text = inspect.cleandoc(record.__doc__ or "") + "\n"
    entries = [e for section in _SECTION.findall(text) for e in _ENTRY.findall(section)]
    return {name for entry in entries for name in entry.split(", ")}


def with_own_docstring(record: type) -> set[str]:
    (tree,) = ast.parse(textwrap.dedent(inspect.getsource(record))).body
    assert isinstance(tree, ast.ClassDef)
    return {
        line.target.id
        for line, after in zip(tree.body, tree.body[1:], strict=False)
        if isinstance(line, ast.AnnAssign) and isinstance(line.target, ast.Name)
        and isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant) and isinstance(after.value.value, str)
    }  # fmt: skip


def fields_of(record: type) -> set[str]:
    return {f.name for f in dataclasses.fields(record) if not f.name.startswith("_")}  # type: ignore[arg-type]


@pytest.mark.parametrize("name", public_records())
def test_every_field_of_a_public_record_is_described(name: str) -> None:
    record = public_records()[name]
    assert sorted(fields_of(record) - described(record)) == []


@pytest.mark.parametrize("name", public_records())
def test_no_description_is_of_a_field_that_is_gone(name: str) -> None:
    record = public_records()[name]
    parameters = set(inspect.signature(record).parameters)
    assert sorted(in_its_docstring(record) - fields_of(record) - parameters) == []


def test_the_records_that_users_meet_are_among_them() -> None:
    names = {name.rpartition(".")[2] for name in public_records()}
    assert {"Conv", "Gemm", "View", "Device", "Estimate", "ModelPrediction", "Ranking", "Graph", "Hosts"} <= names


def test_descriptions_are_told_from_other_text() -> None:
    @dataclasses.dataclass
    class Example:
        """What it is: an example.

        Args:
            one, two: numbers,
                three: of them, it seems.

        Raises:
            four: never.
        """

        one: int
        two: int
        three: int
        four: int
        five: int
        """The last but one."""
        six: int

    assert described(Example) == {"one", "two", "five"}
