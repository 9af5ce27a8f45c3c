"""What is known of single dialects beyond their grammar: short names, terminators and bodies that the text leaves out."""

from __future__ import annotations

DEFAULT_DIALECT_OPERATIONS = frozenset(
    ("return", "call", "call_indirect", "func", "module", "constant", "unrealized_conversion_cast", "br", "cond_br")
)
"""Operations that may stand without a dialect in front."""

IMPLICIT_TERMINATORS = {
    "affine.for": "affine.yield",
    "affine.if": "affine.yield",
    "affine.parallel": "affine.yield",
    "scf.for": "scf.yield",
    "scf.if": "scf.yield",
    "scf.parallel": "scf.reduce",
    "scf.forall": "scf.forall.in_parallel",
}
"""Terminators without operands that the custom form leaves out."""

_LINALG_WITH_BODY = frozenset(
    "linalg.generic linalg.map linalg.reduce linalg.index linalg.yield linalg.softmax linalg.winograd_input_transform".split()
)
_BUILTIN = frozenset(("module", "unrealized_conversion_cast"))
_FUNC = frozenset(("func", "call", "call_indirect", "return", "constant"))
_FUNCTION_DIALECTS = frozenset(("builtin", "func"))
_REGION_OPERATIONS = frozenset(
    "module func if for while forall parallel launch generic map reduce executable variant generate pad case index_switch"
    " execute_region in_parallel initializer sequence global_slot nn_module class_type warp_execute_on_lane_0".split()
)


def operation_name(token: str, parent: str) -> str | None:
    """The full name of an operation; None for a word that is none."""
    if "." in token:
        return token
    if token in _BUILTIN:
        return "builtin." + token
    dialect = parent.partition(".")[0]
    if dialect not in _FUNCTION_DIALECTS and token not in _FUNC:
        return f"{dialect}.{token}"
    if token == "return" and dialect not in ("builtin", "scf", "affine"):
        return f"{dialect}.return"
    return f"func.{token}" if token in DEFAULT_DIALECT_OPERATIONS else None


def is_isolated(name: str) -> bool:
    """Whether names from outside cannot be used inside."""
    return name.endswith(("func", "module", ".executable", ".subgraph")) or name.startswith("vhlo.func_v")


def takes_region(name: str) -> bool:
    """Whether ``{}`` behind an operation is an empty region, not an empty dictionary."""
    return name.rpartition(".")[2] in _REGION_OPERATIONS


def implies_body(name: str) -> bool:
    """Whether the body follows from the name: linalg's named operations carry a region that no text shows."""
    return name.startswith("linalg.") and name not in _LINALG_WITH_BODY
