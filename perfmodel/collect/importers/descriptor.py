"""Descriptors written as text: ``gemm m=4096 n=4096 k=1024 dtype=bf16``.

That is how an operator is told where a trace does not name it: as an option of the command, or as the name of an NVTX range
that a profiler writes beside its kernels.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from typing import Any

from perfmodel.errors import InputError, nearest
from perfmodel.ops import FAMILIES, GEMM_LIKE
from perfmodel.ops.base import Operator

FORM = "gemm m=4096 n=4096 k=1024 dtype=bf16"
_FLAGS = {"true": True, "false": False}
_WORD = re.compile(r"(?P<name>[a-z_0-9]+)=(?P<value>[A-Za-z0-9_+.\-]+)")
_START = re.compile(rf"\b(?P<op>{'|'.join(FAMILIES)})(?P<words>(?:[ ,]+[a-z_0-9]+=[A-Za-z0-9_+.\-]+)+)")
_LONGEST = 2000


def parse_descriptor(text: str) -> Operator:
    """The operator that a text describes, with the names of the columns of traces.

    Raises:
        InputError: it has another form, or lacks or knows no such field.
        DescriptorError: a value is none of that field.
        DtypeError: an unknown number format.
    """
    op, *words = re.split(r"[ ,]+", text.strip())
    values: dict[str, str] = {}
    for word in words:
        found = _WORD.fullmatch(word)
        if found is None:
            raise InputError(f"{text!r}: {word!r} is no name=value; wanted as in {FORM!r}")
        values[found["name"]] = found["value"]
    return make_descriptor(op, values, repr(text))


def make_descriptor(op: str, given: Mapping[str, object], where: str) -> Operator:
    """The operator of a family with these columns, as text or as numbers.

    Args:
        op: the family's name.
        given: columns of traces by name.
        where: stands in the messages.

    Raises:
        InputError, DescriptorError, DtypeError: as :func:`parse_descriptor`.
    """
    if op not in FAMILIES:
        raise InputError(f"{where} describes no operator: {nearest(op, FAMILIES)}; wanted as in {FORM!r}")
    family = FAMILIES[op]
    known = {f.name: f for f in dataclasses.fields(family)}
    dimensions = set(family.dimension_names())
    values: dict[str, Any] = {}
    for column, value in given.items():
        name = "message_bytes" if (op, column) == ("collective", "bytes") else column
        if name not in known:
            raise InputError(f"{where}: {op} has no {column!r}: {nearest(column, known)}")
        if name in dimensions:
            values[name] = _dimension(where, column, value)
        else:
            values[name] = _FLAGS.get(value.lower(), value) if isinstance(value, str) else value
    missing = [
        f.name
        for f in known.values()
        if f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING and f.name not in values
    ]
    if missing:
        raise InputError(f"{where} lacks {', '.join(missing)}")
    made = family(**values)
    if does_nothing(made):
        raise InputError(f"{where} computes nothing: a dimension is 0")
    return made


def _dimension(where: str, name: str, value: object) -> int | float:
    text = str(value)
    if not re.fullmatch(r"\d{1,15}(\.\d)?", text) or (text[-2:-1] == "." and text[-1] not in "05"):
        raise InputError(f"{where}: {name} is {value!r}; wanted a whole number")
    number = float(text)
    return int(number) if number.is_integer() else number


def does_nothing(op: Operator) -> bool:
    """Whether an operator has no elements, as that of an empty batch."""
    return float(op.bytes) == 0 or (op.op in GEMM_LIKE and float(op.flops) == 0)


def descriptor_in(name: str) -> tuple[Operator | None, str]:
    """The operator that a longer name (a kernel's, with an NVTX range before it) describes, None where it does not; and what
    follows it, the kernel's own name."""
    found = _START.search(name[:_LONGEST])
    if found is None:
        return None, name
    try:
        op = parse_descriptor(found[0])
    except (InputError, ValueError):
        return None, name
    return op, name[found.end() :].lstrip(" :/") or name
