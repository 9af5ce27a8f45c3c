"""Element types: whether a node's operands have those that its operator is defined for."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Any

from perfmodel.errors import ModelFileError

_NOT_NUMBERS = frozenset({8, 9, 14, 15})  # STRING, BOOL, COMPLEX64, COMPLEX128 of TensorProto.DataType


def check(model: Any, graphs: Iterable[Any], label: str, declared: dict[Any, tuple[Any, Any]]) -> None:
    """Refuse nodes whose operands must have one common type and have several, or are no numbers where those are wanted.

    Numbers of a width that the operator set does not list yet are accepted: tools write bf16 long before the
    specification allows it.

    Args:
        declared: what the file says of inferred values; a type that inference and file disagree on is no evidence.

    Raises:
        ModelFileError: names the node and its types.
    """
    opset = model.opset_imports.get("", 1)
    for graph in graphs:
        for node in graph:
            if node.domain not in ("", "ai.onnx"):
                continue
            signature = _signature(node.op_type, opset)
            if signature is not None:
                _check_node(node, signature, label, declared)


def _check_node(
    node: Any, signature: tuple[tuple[str, bool, frozenset[int]], ...], label: str, declared: dict[Any, tuple[Any, Any]]
) -> None:
    common: dict[str, tuple[Any, Any]] = {}
    for index, value in enumerate(node.inputs):
        if value is None or value.dtype is None:
            continue
        variable, homogeneous, allowed = signature[min(index, len(signature) - 1)]
        if index >= len(signature) and not homogeneous:
            continue
        said = declared.get(value, (None, None))[1]
        if said is not None and said != value.dtype:
            continue
        dtype = value.dtype
        if allowed and int(dtype) in _NOT_NUMBERS and int(dtype) not in allowed:
            raise ModelFileError(
                f"{label}: the node {node.name!r} ({node.op_type}) is not defined for {dtype.name}, "
                f"the type of {value.name!r}"
            )
        if not homogeneous:
            continue
        first, first_value = common.setdefault(variable, (dtype, value))
        if first != dtype:
            raise ModelFileError(
                f"{label}: the node {node.name!r} ({node.op_type}) mixes the element types {first.name} "
                f"({first_value.name!r}) and {dtype.name} ({value.name!r}); they must be the same"
            )


@lru_cache(maxsize=1024)
def _signature(op_type: str, opset: int) -> tuple[tuple[str, bool, frozenset[int]], ...] | None:
    """For each input: its type variable, whether all operands of a variadic one share it, and the types it may have."""
    import onnx

    if not onnx.defs.has(op_type, opset):
        return None
    schema = onnx.defs.get_schema(op_type, opset)
    if not schema.inputs:
        return None
    names = {f"tensor({name.lower()})": number for name, number in onnx.TensorProto.DataType.items()}
    rows = []
    for parameter in schema.inputs:
        allowed = frozenset(names[t] for t in parameter.types if t in names)
        rows.append((parameter.type_str, bool(parameter.is_homogeneous), allowed))
    return tuple(rows)
