"""What is checked of a parsed model before anything recursive, or anything that opens files, runs over it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from perfmodel.errors import ModelFileError
from perfmodel.features.onnx.external import is_outside

if TYPE_CHECKING:
    import onnx

MAX_NODES = 2_000_000
"""Nodes of the whole file, subgraphs and expanded functions included."""

MAX_SUBGRAPH_DEPTH = 16
"""Levels of If, Loop and Scan inside each other."""


def _subgraphs(node: onnx.NodeProto) -> Iterator[onnx.GraphProto]:
    """The graphs inside a node's attributes."""
    for attribute in node.attribute:
        if attribute.HasField("g"):
            yield attribute.g
        yield from attribute.graphs


def check_graph(proto: onnx.ModelProto, label: str) -> None:
    """Names, counts and nesting, before anything recursive runs over the model."""
    count = 0
    # A stack of (graph, depth, names visible from outside) instead of recursion.
    waiting: list[tuple[Any, int, tuple[set[str], ...]]] = [(proto.graph, 0, ())]
    for function in proto.functions:
        waiting.append((function, 0, ()))
    while waiting:
        graph, depth, outer = waiting.pop()
        is_function = not hasattr(graph, "initializer")
        count += len(graph.node)
        if count > MAX_NODES:
            raise ModelFileError(f"{label}: more than {MAX_NODES:,} nodes; perfmodel reads models up to that size")
        if depth > MAX_SUBGRAPH_DEPTH:
            raise ModelFileError(
                f"{label}: If, Loop and Scan stand inside each other {depth} levels deep; "
                f"perfmodel reads up to {MAX_SUBGRAPH_DEPTH}"
            )
        names = set(graph.input) if is_function else {i.name for i in graph.input}
        if not is_function:
            if len(names) < len(graph.input):
                twice = _first_twice(i.name for i in graph.input)
                raise ModelFileError(f"{label}: the input {twice!r} is declared twice")
            initializers = [t.name for t in graph.initializer]
            if len(set(initializers)) < len(initializers):
                raise ModelFileError(f"{label}: the initializer {_first_twice(initializers)!r} is stored twice")
            if graph.sparse_initializer:
                raise ModelFileError(_sparse(label, graph.sparse_initializer[0].values.name))
            names.update(initializers)
        nested: list[Any] = []
        for node in graph.node:
            if not (type(node.op_type) is type(node.domain) is type(node.name) is str):
                raise ModelFileError(f"{label}: not a valid ONNX model: a node's name is no text in UTF-8")
            for output in node.output:
                if output and output in names:
                    raise ModelFileError(
                        f"{label}: the tensor {output!r} is made twice, the second time by {_describe(node)}; "
                        "every tensor has one producer"
                    )
                names.add(output)
            if node.attribute:
                nested.extend(_subgraphs(node))
                if any(a.HasField("sparse_tensor") or a.sparse_tensors for a in node.attribute):
                    raise ModelFileError(_sparse(label, node.output[0] if node.output else node.name))
        if not {*map(type, names), *map(type, _other_texts(graph, is_function))} <= {str}:
            raise ModelFileError(f"{label}: not a valid ONNX model: a name in it is no text in UTF-8")
        for node in graph.node:
            for name in node.input:
                if name and name not in names and not any(name in scope for scope in outer):
                    raise ModelFileError(f"{label}: {_describe(node)} reads the tensor {name!r}, which nothing makes")
        for output in graph.output:
            name = output if is_function else output.name
            if name not in names and not any(name in scope for scope in outer):
                raise ModelFileError(f"{label}: the output {name!r} is made by no node")
        waiting.extend((g, depth + 1, (names, *outer)) for g in nested)


def _other_texts(graph: Any, is_function: bool) -> Iterator[Any]:
    """Texts beside the names of nodes and tensors; protobuf gives bytes for what is not UTF-8."""
    yield graph.name
    for node in graph.node:
        for entry in node.metadata_props:
            yield from (entry.key, entry.value)
    for value in () if is_function else (*graph.input, *graph.output, *graph.value_info):
        for dim in value.type.tensor_type.shape.dim:
            yield dim.dim_param


def _first_twice(names: Iterable[str]) -> str:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            return name
        seen.add(name)
    return ""


def _sparse(label: str, name: str) -> str:
    return f"{label}: the tensor {name!r} is stored as a sparse tensor, which perfmodel does not read; store it densely"


def _describe(node: onnx.NodeProto) -> str:
    return f"the node {node.name!r} ({node.op_type})" if node.name else f"a node {node.op_type}"


def _tensors(proto: onnx.ModelProto) -> Iterator[onnx.TensorProto]:
    """Every stored tensor of the file."""
    waiting: list[Any] = [proto.graph, *proto.functions]
    while waiting:
        graph = waiting.pop()
        if hasattr(graph, "initializer"):
            yield from graph.initializer
        for node in graph.node:
            for attribute in node.attribute:
                if attribute.HasField("t"):
                    yield attribute.t
                elif attribute.tensors:
                    yield from attribute.tensors
                elif attribute.HasField("g"):
                    waiting.append(attribute.g)
                elif attribute.graphs:
                    waiting.extend(attribute.graphs)


def check_tensors(proto: onnx.ModelProto, label: str) -> None:
    """Shapes that can be, and no place outside the model's folder."""
    for tensor in _tensors(proto):
        if type(tensor.name) is not str:
            raise ModelFileError(f"{label}: not a valid ONNX model: a tensor's name is no text in UTF-8")
        for dim in tensor.dims:
            if dim < 0:
                raise ModelFileError(f"{label}: the tensor {tensor.name!r} has the dimension {dim}; wanted 0 or more")
        if tensor.data_location != 1:  # EXTERNAL
            continue
        for entry in tensor.external_data:
            if entry.key == "location" and (type(entry.value) is not str or is_outside(entry.value)):
                raise ModelFileError(
                    f"{label}: the data of {tensor.name!r} lie at {entry.value[:200]!r}, outside the model's folder; "
                    "external data must lie beside the model or below it"
                )
