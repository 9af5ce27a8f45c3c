"""Attributes as plain numbers and words, whichever way a dialect or version writes them."""

from __future__ import annotations

from typing import Any

from perfmodel.features.mlir.attributes import Dense, DialectAttribute


def numbers_of(attribute: Any) -> list[Any] | None:
    """The numbers of an attribute: an array, a dense constant, a list, one number; None for anything else."""
    if attribute is None:
        return None
    if isinstance(attribute, tuple):
        return [n for a in attribute for n in (a if isinstance(a, tuple) else (a,))]
    if isinstance(attribute, Dense):
        flat = attribute.flat()
        return None if flat is None else list(flat)
    if isinstance(attribute, (int, float)):
        return [attribute]
    return None


def enum_of(attribute: Any) -> str:
    """The keyword of an enumeration attribute: ``SUM`` of ``#torch.reduce<SUM>``, of ``"SUM"`` or of ``SUM``."""
    if isinstance(attribute, DialectAttribute):
        return attribute.body.strip().strip("<>").split()[-1] if attribute.body.strip() else attribute.name
    return str(attribute)
