"""Refuses operations that contradict their definitions: a module with one has no meaning to predict.

MLIR's own verifiers say so of modules that bindings hand over; texts that perfmodel reads itself are looked at here. The
numbers of operands stand in ``definitions``, what is compared of shapes in ``shape_checks``.
"""

from __future__ import annotations

from typing import NoReturn

from perfmodel.errors import ModelFileError
from perfmodel.features.mlir.attributes import AffineMap
from perfmodel.features.mlir.call import DefinitionError
from perfmodel.features.mlir.definitions import OF_ATEN, OF_LINALG, OPERANDS, PAIRED, SEVERAL_RESULTS
from perfmodel.features.mlir.ir import Module, Operation
from perfmodel.features.mlir.shape_checks import CHECKS, loops_agree, some

MALFORMED = (TypeError, ValueError, ArithmeticError, LookupError, AttributeError, StopIteration)
"""What a rule runs into where an operation lacks what its definition asks for, beyond what is looked at here."""

DEFINITION = "expected the operands, attributes, regions and results of its definition"


def verify(module: Module) -> None:
    """Look at every operation of a text.

    Raises:
        ModelFileError: one contradicts its definition; names file:line:column, what was expected and what was found.
    """
    for operation in module.walk():
        name = operation.name
        counts = OPERANDS.get(name)
        try:
            if counts is not None:
                _count(operation, *counts)
                if len(operation.results) > 1 and name.partition(".")[2] not in SEVERAL_RESULTS:
                    raise DefinitionError(f"expected one result, found {len(operation.results)}")
                if name in PAIRED and len(operation.operands) % 2:
                    given = some(len(operation.operands), "operand")
                    raise DefinitionError(f"expected an initial value for each operand, found {given}")
            elif name.startswith("linalg."):
                _linalg(operation)
            elif name.startswith("torch.aten."):
                _count(operation, *OF_ATEN.get(name.split(".")[2], (0, None)))
            check = CHECKS.get(name)
            if check is not None:
                check(module, operation)
        except DefinitionError as problem:
            refuse(module.filename, operation, str(problem))
        except MALFORMED:
            refuse(module.filename, operation, f"{DEFINITION}, found {signature(operation)}")


def refuse(label: str, operation: Operation, problem: str) -> NoReturn:
    """Raise the error of an operation that contradicts its definition.

    Args:
        label: how errors call the module.
        problem: what was expected, and what was found.
    """
    raise ModelFileError(f"{place(label, operation)}: {operation.name}: {problem}")


def place(label: str, operation: Operation) -> str:
    """``model.mlir:12:5``; of operations without a place in a text their own location, if they have one."""
    if operation.line:
        return f"{label}:{operation.line}:{operation.column}" if operation.column else f"{label}:{operation.line}"
    return label


def signature(operation: Operation) -> str:
    """``(tensor<2x3xf32>, ...) -> (tensor<3xf32>)``: what stands there, for messages."""
    sides = [", ".join(str(v.type) for v in side) for side in (operation.operands, operation.results)]
    text = f"({sides[0]}) -> ({sides[1]})"
    return text if len(text) <= _MAX_SIGNATURE else text[: _MAX_SIGNATURE - 3] + "..."


_MAX_SIGNATURE = 200


def _count(operation: Operation, least: int, most: int | None, noun: str = "operand", found: int | None = None) -> None:
    found = len(operation.operands) if found is None else found
    if found >= least and (most is None or found <= most):
        return
    if most is None:
        wanted = f"at least {some(least, noun)}"
    elif least == most:
        wanted = some(least, noun)
    else:
        wanted = f"{least} to {some(most, noun)}"
    raise DefinitionError(f"expected {wanted}, found {found}")


# linalg


def _linalg(operation: Operation) -> None:
    ins, outs = operation.operand_groups.get("ins"), operation.operand_groups.get("outs")
    counts = OF_LINALG.get(operation.name)
    if counts is not None and ins is not None:
        _count(operation, *counts[0], "operand of ins", ins)
        _count(operation, counts[1], counts[1], "operand of outs", outs or 0)
    maps = operation.attributes.get("indexing_maps")
    if not isinstance(maps, tuple) or not maps or not all(isinstance(m, AffineMap) for m in maps):
        return
    if len(maps) != len(operation.operands):
        given = some(len(operation.operands), "operand")
        raise DefinitionError(f"expected an indexing map for each of {given}, found {len(maps)}")
    kinds = operation.attributes.get("iterator_types")
    loops = maps[0].num_dims
    if isinstance(kinds, tuple) and len(kinds) != loops:
        raise DefinitionError(f"expected an iterator type for each of {some(loops, 'loop')}, found {len(kinds)}")
    loops_agree(operation, maps)
    body = operation.body if operation.name == "linalg.generic" else None
    if operation.name == "linalg.generic":
        if body is None:
            raise DefinitionError("expected a body, found none")
        _count(operation, len(maps), len(maps), "argument of the body", len(body.arguments))
