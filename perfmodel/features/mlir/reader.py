"""MLIR module in, :class:`perfmodel.graph.Graph` out."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from perfmodel.errors import ModelFileError, PerfmodelError, checked_keywords, nearest
from perfmodel.features.mlir.convert import Conversion
from perfmodel.features.mlir.dims import Dimensions
from perfmodel.features.mlir.ir import Block, Module, Operation
from perfmodel.features.mlir.known import Known, Origin
from perfmodel.features.mlir.parameters import parameters_of
from perfmodel.features.mlir.source import read
from perfmodel.features.mlir.types import SHAPED
from perfmodel.features.mlir.verify import DEFINITION, MALFORMED, refuse, signature, verify
from perfmodel.features.onnx.dims import check_given
from perfmodel.graph import Graph, without_collection


@checked_keywords()
def read_mlir(
    source: str | os.PathLike[str] | bytes | Any,
    *,
    dims: Mapping[str, int] | None = None,
    entry: str | None = None,
    keep_symbolic: bool = False,
    joined: bool = False,
) -> Graph:
    """Read a module into a graph of operator descriptors; weights are never decoded.

    Args:
        source: a path, the text itself, bytecode, a live module of MLIR's Python bindings, or a
            :class:`~perfmodel.features.mlir.ir.Module`.
        dims: a number for each dynamic dimension of the entry function's arguments, ``<argument>_<axis>``
            (:mod:`perfmodel.features.mlir.dims`); ``<loop>_trips`` says how often the body of a loop runs where that
            depends on data (it counts once otherwise, with a warning).
        entry: the function to read; None means ``main`` or ``forward``, or the one that nothing else calls.
        keep_symbolic: dimensions without a number stay sympy expressions.
        joined: whether the body of a ``linalg.generic`` is one node rather than one a scalar function.

    Raises:
        ModelFileError: the module cannot be read, or contradicts itself; or it has several functions that nothing calls.
        UnboundDimensionError: dynamic dimensions have no number, and ``keep_symbolic`` is False.
        InputError: ``dims`` names dimensions that the module does not have, or gives impossible numbers.
    """
    given = check_given(dims)
    with without_collection():
        module = _verified(source)
        dimensions = Dimensions(module.filename, given, keep_symbolic=keep_symbolic)
        return converted(Conversion(module, dimensions, joined=joined), entry)


def converted(conversion: Conversion, entry: str | None = None) -> Graph:
    """The graph of a module that was read and verified.

    Args:
        conversion: of the module, which nothing has used yet.
        entry: as for :func:`read_mlir`.

    Raises:
        ModelFileError, UnboundDimensionError, InputError: as :func:`read_mlir`.
    """
    module, dimensions = conversion.module, conversion.dims
    function = entry_of(module, entry)
    arguments, notes = _arguments(conversion, module, function)
    if not dimensions.keep_symbolic:
        dimensions.refuse_open()
    graph = _graph(conversion, function, _name(module), arguments, notes)
    dimensions.refuse_unknown()
    if not dimensions.keep_symbolic:
        dimensions.refuse_open()
    return graph


def mlir_dims(source: str | os.PathLike[str] | bytes | Any, *, entry: str | None = None) -> tuple[str, ...]:
    """Names of a module's dynamic dimensions, in the order of the entry function's arguments.

    Raises:
        ModelFileError: the module cannot be read, or contradicts itself.
    """
    module = _verified(source)
    dimensions = Dimensions(module.filename, {}, keep_symbolic=True)
    function = entry_of(module, entry)
    conversion = Conversion(module, dimensions)
    arguments, _ = _arguments(conversion, module, function)
    _graph(conversion, function, _name(module), arguments, ())
    return dimensions.known


def _graph(
    conversion: Conversion, function: Operation | Block, name: str, arguments: list[Known], notes: Sequence[str]
) -> Graph:
    try:
        return conversion.graph(function, name, arguments, notes)
    except PerfmodelError:
        raise
    except RecursionError:
        operation = conversion.innermost or conversion.module.operation
        refuse(
            conversion.label, operation, "expected at most some hundreds of operations around one another, found more"
        )
    except MALFORMED:  # of a function that is one kernel as a whole
        operation = function if isinstance(function, Operation) else conversion.module.operation
        refuse(conversion.label, operation, f"{DEFINITION}, found {signature(operation)}")


def _verified(source: Any) -> Module:
    module = source if isinstance(source, Module) else read(source)
    if module.source == "text":
        verify(module)
    return module


def _name(module: Module) -> str:
    symbol = module.operation.symbol
    if module.filename and not module.filename.startswith("<"):
        name = os.path.basename(module.filename)
        for ending in (".mlir", ".mlirbc", ".bc"):
            name = name.removesuffix(ending)
        return name or symbol or "module"
    return symbol or "module"


def entry_of(module: Module, entry: str | None) -> Operation | Block:
    """The function that is predicted; the module's own block where it holds operations outside of any function.

    Raises:
        ModelFileError: there is none of that name, or several could be meant.
    """
    label = module.filename
    functions = [f for f in module.functions() if f.regions and f.regions[0].blocks and f.name not in _NO_ENTRY]
    if entry is not None:
        found = next((f for f in functions if f.symbol == entry.removeprefix("@")), None)
        if found is None:
            names = [f.symbol or "" for f in functions]
            hint = nearest(entry, names) if names else "it has no functions"
            raise ModelFileError(f"{label}: has no function {entry!r}; {hint}")
        return found
    hosts = [f for f in functions if f.name != "gpu.func"] or functions
    for name in ("main", "forward"):
        named = [f for f in hosts if f.symbol == name]
        if len(named) == 1:
            return named[0]
    roots = _roots(module, hosts)
    if len(roots) == 1:
        return roots[0]
    if not hosts:
        body = module.operation.body
        if body is None or not body.operations:
            raise ModelFileError(f"{label}: the module is empty")
        return body
    public = [f for f in roots if f.attributes.get("sym_visibility") != "private"]
    if len(public) == 1:
        return public[0]
    candidates = public or roots or hosts
    listed = ", ".join(str(f.symbol) for f in candidates[:12])
    raise ModelFileError(
        f"{label}: has {len(candidates)} functions that nothing calls ({listed}); say which one to predict: "
        f"--entry {candidates[0].symbol}"
    )


_NO_ENTRY = frozenset({"torch.method"})


def _roots(module: Module, functions: list[Operation]) -> list[Operation]:
    """Functions that no operation of another one names."""
    if len(functions) < 2:
        return functions
    called = set()
    for operation in module.walk():
        for value in operation.attributes.values():
            path = getattr(value, "path", None)
            if path is not None and operation.name not in ("func.func", "gpu.func"):
                called.add(path[-1])
    return [f for f in functions if f.symbol not in called]


def _arguments(conversion: Conversion, module: Module, function: Operation | Block) -> tuple[list[Known], list[str]]:
    """What is known of the entry's arguments: tensors with their dimensions bound, numbers, weights."""
    block = function.body if isinstance(function, Operation) else function
    dims = conversion.dims
    known: list[Known] = []
    weights = parameters_of(module, function) if isinstance(function, Operation) else frozenset()
    names = dims.names_in(module, function)
    notes: list[str] = []
    for number, value in enumerate(block.arguments if block is not None else ()):
        found = conversion.typed(value.type)
        if found is None:
            known.append(Known())
            continue
        shape, dtype = found
        name = value.name or f"arg{number}"
        if shape is None and isinstance(value.type, SHAPED):
            raise ModelFileError(
                f"{conversion.label}: the argument {name} is {value.type}: expected a type with its number of axes "
                "(tensor<?x?xf32>, with --dim for each)"
            )
        if not isinstance(value.type, SHAPED):
            bound = dims.declare_scalar(name, number) if dtype == "int64" and dims.wants_scalar(module, value) else None
            known.append(Known(origin=Origin.HOST, scalar=bound))
            continue
        if shape is not None and None in shape:
            axes = [
                dims.declare(name, number, axis, names.get((number, axis))) if d is None else d
                for axis, d in enumerate(shape)
            ]
            dims.input_axes[name] = tuple(
                dims.axis_name(number, axis) if d is None else None for axis, d in enumerate(shape)
            )
            shape = tuple(axes)
        is_weight = number in weights
        tensor = conversion.make_tensor(name, shape, dtype, is_weight=is_weight)
        known.append(
            Known(tensor, source=tensor.name if is_weight else None, origin=Origin.CONSTANT if is_weight else None)
        )
    if weights and any(k.tensor is not None and k.tensor.is_weight for k in known):
        listed = [k.tensor.name for k in known if k.tensor is not None and k.tensor.is_weight]
        notes.append(
            f"{len(listed)} arguments of the entry function count as weights, by what they are used for ({listed[0]!r}, ...)"
            if len(listed) > 1
            else f"1 argument of the entry function counts as a weight, by what it is used for ({listed[0]!r})"
        )
    return known, notes


__all__ = ["converted", "entry_of", "mlir_dims", "read_mlir"]
