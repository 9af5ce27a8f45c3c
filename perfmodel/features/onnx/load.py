"""From a file to a checked ``onnx_ir`` model whose weights have a shape and a dtype but no data.

A model file is hostile until it is parsed. The order of the checks keeps every later step safe: size before reading,
protobuf before content, counts and nesting before anything recursive, names and order of the nodes before the graph is
built, and places of external data before anything could open them (see ``external``).
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from perfmodel.errors import ModelFileError
from perfmodel.features.onnx import wire
from perfmodel.features.onnx.external import is_outside, read_small

if TYPE_CHECKING:
    import onnx
    import onnx_ir as ir

MAX_FILE_BYTES = 2**31 - 1
"""Protobuf holds no larger message (https://protobuf.dev/programming-guides/proto-limits/)."""

MAX_NODES = 2_000_000
"""Nodes of the whole file, subgraphs and expanded functions included."""

MAX_SUBGRAPH_DEPTH = 16
"""Levels of If, Loop and Scan inside each other."""

STRIP_ABOVE_BYTES = 8 * 2**20
"""Files larger than this are rid of their weights before they are parsed."""

_TEXT_HINTS: tuple[tuple[bytes, str], ...] = (
    (b"\x89PNG", "a PNG picture"),
    (b"PK\x03\x04", "a zip archive, as PyTorch writes .pt files: export the model with torch.onnx.export"),
    (b"\x80\x02", "a Python pickle, as older PyTorch writes .pt files: export the model with torch.onnx.export"),
    (b"\x89HDF", "an HDF5 file, as Keras writes models: convert the model with tf2onnx"),
    (b"version https://git-lfs", "a Git LFS pointer, not the file itself: fetch it with 'git lfs pull'"),
    (b"ML\xefR", "MLIR bytecode"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"%PDF", "a PDF document"),
    (b"GGUF", "a GGUF file"),
    (b"<", "a text in XML or HTML"),
    (b"module", "a text that looks like MLIR"),
    (b"{", "a text in JSON"),
)


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A model that passed the checks.

    Attributes:
        model: the graph; weights have no data (``const_value`` is None), small constants have.
        label: how errors call the model: the path as it was given.
        name: the file's stem, or the graph's own name.
        graphs: the main graph and every body of If, Loop and Scan.
        warnings: one line each, for the user.
    """

    model: ir.Model
    label: str
    name: str
    graphs: tuple[ir.Graph, ...] = ()
    warnings: tuple[str, ...] = ()


def load(source: str | os.PathLike[str] | bytes | onnx.ModelProto) -> LoadedModel:
    """Read and check a model; see the module's text for what is checked.

    Raises:
        ModelFileError: with the path and what is wrong with the file.
    """
    import onnx
    import onnx_ir as ir

    from perfmodel.features.onnx.functions import expand_functions

    folder: Path | None = None
    if isinstance(source, onnx.ModelProto):
        proto, label, name = source, "the model", ""
    elif isinstance(source, (bytes, bytearray, memoryview)):
        label, name = "the model", ""
        proto = _parse(_stripped(source, label), label)
    else:
        path = Path(source)
        label, name, folder = _label(path), _stem(path), path.parent
        proto = _read(path, label)
    _check_graph(proto, label)
    _check_external(proto, label)
    try:
        model = ir.from_proto(proto)
    except RecursionError:
        raise ModelFileError(f"{label}: the model is nested too deeply to be read") from None
    except Exception as error:
        # onnx_ir raises many types for contents that make no sense; its innermost message is the clear one.
        raise ModelFileError(f"{label}: not a valid ONNX model: {_one_line(_root(error))}") from None
    warnings = expand_functions(model, label)
    graphs = tuple(model.graphs())
    _name_nodes(graphs)
    _order(model, graphs, label)
    _forget_weights(graphs, folder, label)
    return LoadedModel(model, label, name or model.graph.name or "model", graphs, tuple(warnings))


def _label(path: Path) -> str:
    """The path as errors write it: one line of readable length."""
    text = " ".join(os.fspath(path).split()) or "."
    return text if len(text) <= 300 else text[:140] + "..." + text[-140:]


def _stem(path: Path) -> str:
    name = path.name
    for ending in (".onnx", ".graph"):
        name = name.removesuffix(ending)
    return name


def _read(path: Path, label: str) -> onnx.ModelProto:
    try:
        size = path.stat().st_size
        if path.is_dir():
            raise ModelFileError(f"{label}: is a folder; give the .onnx file inside it")
        if not path.is_file():
            raise ModelFileError(f"{label}: is not a regular file; give an .onnx file")
        _check_size(size, label)
        with path.open("rb") as file:
            if size <= STRIP_ABOVE_BYTES:
                return _parse(file.read(), label)
            import mmap

            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as view:
                _check_beginning(view[:64], label)
                return _parse(_stripped(view, label), label)
    except FileNotFoundError:
        raise ModelFileError(f"{label}: no such file") from None
    except OSError as error:
        raise ModelFileError(f"{label}: cannot be read: {error.strerror or error}") from None
    except ValueError as error:
        if isinstance(error, ModelFileError):
            raise
        raise ModelFileError(f"{label!a}: is no path: {error}") from None  # a NUL character


def _check_size(size: int, label: str) -> None:
    if size == 0:
        raise ModelFileError(f"{label}: the file is empty")
    if size > MAX_FILE_BYTES:
        raise ModelFileError(
            f"{label}: {size / 1e9:.1f} GB; an ONNX file holds at most 2 GB (a limit of protobuf). Keep the weights "
            "outside: onnx.save(model, path, save_as_external_data=True); perfmodel does not need them"
        )


def _stripped(data: Any, label: str) -> Any:
    """The file's bytes without the contents of its large tensors."""
    if len(data) <= STRIP_ABOVE_BYTES:
        return data
    _check_size(len(data), label)
    try:
        return wire.without_weights(data)
    except wire.WireError as error:
        raise ModelFileError(f"{label}: {_not_onnx(bytes(data[:64]))} ({error})") from None


def _parse(data: Any, label: str) -> onnx.ModelProto:
    import onnx
    from google.protobuf.message import DecodeError

    beginning = bytes(data[:64])
    if not len(data):
        raise ModelFileError(f"{label}: the file is empty")
    _check_beginning(beginning, label)
    proto = onnx.ModelProto()
    try:
        proto.ParseFromString(bytes(data))
    except (DecodeError, ValueError, RuntimeError, UnicodeDecodeError):
        raise ModelFileError(f"{label}: {_not_onnx(beginning)}") from None
    if not proto.HasField("graph") or not (proto.graph.node or proto.graph.output):
        raise ModelFileError(f"{label}: {_not_onnx(beginning)} (it parses, but holds no graph)")
    return proto


def _check_beginning(beginning: bytes, label: str) -> None:
    for magic, meaning in _TEXT_HINTS:
        if beginning.startswith(magic):
            raise ModelFileError(f"{label}: not an ONNX file, but {meaning}")


def _not_onnx(beginning: bytes) -> str:
    # Field 1 of a ModelProto is ir_version, a varint: every writer in use puts it first.
    if beginning[:1] == b"\x08":
        return "begins like an ONNX file but cannot be parsed: truncated or damaged; copy or export it again"
    return "not an ONNX file"


def subgraphs(node: onnx.NodeProto) -> Iterator[onnx.GraphProto]:
    """The graphs inside a node's attributes."""
    for attribute in node.attribute:
        if attribute.HasField("g"):
            yield attribute.g
        yield from attribute.graphs


def _check_graph(proto: onnx.ModelProto, label: str) -> None:
    """Names, counts and nesting, before anything recursive runs over the model."""
    count = 0
    # A stack of (graph, depth, names visible from outside) instead of recursion.
    waiting: list[tuple[Any, int, frozenset[str]]] = [(proto.graph, 0, frozenset())]
    for function in proto.functions:
        waiting.append((function, 0, frozenset()))
    while waiting:
        graph, depth, outer = waiting.pop()
        is_function = not hasattr(graph, "initializer")
        count += len(graph.node)
        if count > MAX_NODES:
            raise ModelFileError(f"{label}: more than {MAX_NODES:,} nodes; perfmodel reads models up to that size")
        if depth > MAX_SUBGRAPH_DEPTH:
            raise ModelFileError(f"{label}: If, Loop and Scan stand inside each other {depth} levels deep; "
                                 f"perfmodel reads up to {MAX_SUBGRAPH_DEPTH}")  # fmt: skip
        names = set(graph.input) if is_function else {i.name for i in graph.input}
        if not is_function:
            if len(names) < len(graph.input):
                twice = _first_twice(i.name for i in graph.input)
                raise ModelFileError(f"{label}: the input {twice!r} is declared twice")
            initializers = [t.name for t in graph.initializer] + [s.values.name for s in graph.sparse_initializer]
            if len(set(initializers)) < len(initializers):
                raise ModelFileError(f"{label}: the initializer {_first_twice(initializers)!r} is stored twice")
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
                nested.extend(subgraphs(node))
        visible = outer | names if nested or outer else names
        for node in graph.node:
            for name in node.input:
                if name and name not in visible:
                    raise ModelFileError(f"{label}: {_describe(node)} reads the tensor {name!r}, which nothing makes")
        for output in graph.output:
            name = output if is_function else output.name
            if name not in visible:
                raise ModelFileError(f"{label}: the output {name!r} is made by no node")
        waiting.extend((g, depth + 1, frozenset(visible)) for g in nested)


def _first_twice(names: Iterable[str]) -> str:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            return name
        seen.add(name)
    return ""


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


def _check_external(proto: onnx.ModelProto, label: str) -> None:
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


def _name_nodes(graphs: Sequence[ir.Graph]) -> None:
    """Give every node a name of its own; many files leave them out or use one twice."""
    taken: set[str] = set()
    for graph in graphs:
        for node in graph:
            base = node.name or f"{node.op_type}_{next((v.name for v in node.outputs if v.name), '')}"
            name, number = base, 2
            while name in taken:
                name, number = f"{base}#{number}", number + 1
            taken.add(name)
            if name != node.name:
                node.name = name


def _order(model: ir.Model, graphs: Sequence[ir.Graph], label: str) -> None:
    """Put the nodes into topological order where the file has them otherwise."""
    import onnx_ir as ir

    if all(_in_order(graph) for graph in graphs):
        return
    try:
        model.graph.sort()
    except ValueError:
        stuck = _node_on_cycle(model.graph)
        name = f" through the node {stuck.name!r} ({stuck.op_type})" if isinstance(stuck, ir.Node) else ""
        raise ModelFileError(
            f"{label}: the graph has a cycle{name}; a model is a directed graph without cycles"
        ) from None


def _in_order(graph: Any) -> bool:
    done: set[Any] = set()
    for node in graph:
        for value in node.inputs:
            if value is not None:
                producer = value.producer()
                if producer is not None and producer.graph is graph and producer not in done:
                    return False
        done.add(node)
    return True


def _node_on_cycle(graph: Any) -> Any:
    """A node that lies on a cycle: walk back along unfinished producers until one repeats."""
    nodes = list(graph)
    missing = {n: len({p for p in (v.producer() for v in n.inputs if v is not None) if p is not None}) for n in nodes}
    ready = [n for n in nodes if missing[n] == 0]
    while ready:
        node = ready.pop()
        for successor in node.successors():
            if successor in missing:
                missing[successor] -= 1
                if missing[successor] == 0:
                    ready.append(successor)
    stuck = next((n for n in nodes if missing[n] > 0), None)
    seen: set[Any] = set()
    while stuck is not None and stuck not in seen:
        seen.add(stuck)
        producers = (v.producer() for v in stuck.inputs if v is not None)
        stuck = next((p for p in producers if p is not None and missing.get(p, 0) > 0), None)
    return stuck


def _forget_weights(graphs: Sequence[ir.Graph], folder: Path | None, label: str) -> None:
    """Take the data away from every tensor that is not a small constant, so that no later step can load them."""
    for graph in graphs:
        for value in graph.initializers.values():
            tensor = value.const_value
            if tensor is None:
                continue
            value.shape, value.dtype = _shape_of(tensor), tensor.dtype
            value.const_value = read_small(tensor, folder, label)
        for node in list(graph):
            tensor = _stored_tensor(node)
            if tensor is not None:
                small = read_small(tensor, folder, label)
                if small is tensor:
                    continue
                _replace_constant(graph, node, tensor, small)


def _stored_tensor(node: Any) -> Any:
    if node.op_type != "Constant" or node.domain not in ("", "ai.onnx"):
        return None
    attribute = node.attributes.get("value")
    return None if attribute is None or attribute.is_ref() or attribute.type.name != "TENSOR" else attribute.value


def _replace_constant(graph: Any, node: Any, tensor: Any, small: Any) -> None:
    """A Constant node with weights inside becomes an initializer without data."""
    import onnx_ir as ir

    old = node.outputs[0]
    new = ir.Value(name=old.name, shape=_shape_of(tensor), type=ir.TensorType(tensor.dtype), const_value=tensor)
    old.replace_all_uses_with(new, replace_graph_outputs=True)
    graph.remove(node, safe=True)
    graph.register_initializer(new)
    new.const_value = small


def _shape_of(tensor: Any) -> Any:
    import onnx_ir as ir

    return ir.Shape([int(d) for d in tensor.shape])


def _root(error: BaseException) -> BaseException:
    while error.__cause__ is not None or error.__context__ is not None:
        error = error.__cause__ or error.__context__  # type: ignore[assignment]
    return error


def _one_line(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return text[:300] or type(error).__name__
