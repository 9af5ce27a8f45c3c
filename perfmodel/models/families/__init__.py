"""Families of learned residuals: one record each, in the order in which they are trained and listed."""

from __future__ import annotations

from perfmodel.models.families.attention import ATTENTION
from perfmodel.models.families.base import Family
from perfmodel.models.families.conv import CONV
from perfmodel.models.families.gemm import GEMM
from perfmodel.models.families.memory import COLLECTIVE, ELEMENTWISE, NORM, QUANTIZE, SOFTMAX
from perfmodel.models.families.moe import MOE
from perfmodel.ops import Operator

FAMILIES: dict[str, Family] = {
    f.name: f for f in (GEMM, *ATTENTION, MOE, CONV, ELEMENTWISE, SOFTMAX, NORM, QUANTIZE, COLLECTIVE)
}


def family_of(op: Operator) -> Family | None:
    """The family whose residuals an operator may take; None where nothing like it is learned."""
    return next((f for f in FAMILIES.values() if f.op == op.op and f.applies(op)), None)


__all__ = ["FAMILIES", "Family", "family_of"]
