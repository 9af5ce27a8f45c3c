"""Descriptors written as text: ``gemm m=4096 n=4096 k=1024 dtype=bf16``.

That is how an operator is told where a trace does not name it: as an option of the command, or as the name of an NVTX range
that a profiler writes beside its kernels.
"""

from __future__ import annotations

import dataclasses
import re

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
    if op not in FAMILIES:
        raise InputError(f"{text!r} describes no operator: {nearest(op, FAMILIES)}; wanted as in {FORM!r}")
    family = FAMILIES[op]
    known = {f.name: f for f in dataclasses.fields(family)}
    dimensions = set(family.dimension_names())
    values: dict[str, object] = {}
    for word in words:
        found = _WORD.fullmatch(word)
        if found is None:
            raise InputError(f"{text!r}: {word!r} is no name=value; wanted as in {FORM!r}")
        name, value = found["name"], found["value"]
        name = "message_bytes" if (op, name) == ("collective", "bytes") else name
        if name not in known:
            raise InputError(f"{text!r}: {op} has no {name!r}: {nearest(name, known)}")
        if name in dimensions:
            if not re.fullmatch(r"\d{1,15}(\.5)?", value):
                raise InputError(f"{text!r}: {name} is {value!r}; wanted a whole number")
            values[name] = float(value) if "." in value else int(value)
        else:
            values[name] = _FLAGS.get(value.lower(), value)
    missing = [
        f.name
        for f in known.values()
        if f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING and f.name not in values
    ]
    if missing:
        raise InputError(f"{text!r} lacks {', '.join(missing)}")
    op = family(**values)
    if does_nothing(op):
        raise InputError(f"{text!r} computes nothing: a dimension is 0")
    return op


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
