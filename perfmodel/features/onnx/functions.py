"""Model-local functions, expanded in place of their calls."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from perfmodel.errors import ModelFileError

if TYPE_CHECKING:
    import onnx_ir as ir


def expand_functions(model: ir.Model, label: str) -> list[str]:
    """Expand every call of a function of the model, in place; the calls in a function's body too.

    Returns:
        Warnings, one line each.

    Raises:
        ModelFileError: functions call each other in a circle, or the expansion would be too large.
    """
    if not model.functions:
        return []
    from onnx_ir.passes.common import InlinePass

    from perfmodel.features.onnx.check import MAX_NODES

    size = _expanded_size(model, label)
    if size > MAX_NODES:
        raise ModelFileError(f"{label}: its functions expand to {size:,} nodes; perfmodel reads up to {MAX_NODES:,}")
    warnings = []
    for function in model.functions.values():
        for domain, version in list(function.opset_imports.items()):
            own = model.opset_imports.get(domain)
            if own is not None and own != version:
                # The rules read both the old and the new form of an operator, so the version matters little.
                function.opset_imports[domain] = own
                warnings.append(
                    f"the function {function.name!r} is written for operator set {version}, "
                    f"the model for {own}: read as {own}"
                )
    try:
        InlinePass()(model)
    except Exception as error:
        text = " ".join(str(error.__cause__ or error).split())[:300]
        raise ModelFileError(f"{label}: its functions cannot be expanded: {text}") from None
    return warnings


def _expanded_size(model: Any, label: str) -> int:
    """Nodes after the expansion, without expanding (calls that double at each level grow exponentially)."""
    sizes: dict[Any, int] = {}
    calls: dict[Any, list[Any]] = {}
    own: dict[Any, int] = {}

    def survey(key: Any, graph: Any) -> None:
        found, count = [], 0
        for node in _all_nodes(graph):
            identifier = node.op_identifier()
            if identifier in model.functions:
                found.append(identifier)
            else:
                count += 1
        calls[key], own[key] = found, count

    for identifier, function in model.functions.items():
        survey(identifier, function.graph)
    survey(None, model.graph)
    # Depth first without recursion; a function met again while it is open calls itself.
    stack: list[Any] = [None]
    is_open: set[Any] = set()
    while stack:
        key = stack[-1]
        if key in sizes:
            stack.pop()
            continue
        is_open.add(key)
        missing = [c for c in set(calls[key]) if c not in sizes]
        circular = [c for c in missing if c in is_open]
        if circular:
            raise ModelFileError(
                f"{label}: the function {circular[0][1]!r} calls itself; functions must not be recursive"
            )
        if missing:
            stack.extend(missing)
            continue
        sizes[key] = own[key] + sum(sizes[c] for c in calls[key])
        is_open.discard(key)
        stack.pop()
    return sizes[None]


def _all_nodes(graph: Any) -> Any:
    import onnx_ir as ir

    return ir.traversal.RecursiveGraphIterator(graph)
