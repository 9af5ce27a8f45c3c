"""An ONNX file whose nodes say what they cost, in their ``metadata_props``.

Netron shows them beside a node's attributes. ``NodeProto.metadata_props`` came with version 10 of the intermediate
representation (onnx 1.16); the file's own version stays as it is, for a newer one would be refused by older runtimes, and since
version 4 stored weights that are inputs may be replaced by the caller. Readers that do not know the field skip it: that is how
protobuf works.

Nothing else of the file changes. Its weights stay where they are: inside, or in the files that it names beside itself.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from perfmodel.errors import InputError, checked_keywords
from perfmodel.exchange.costs import PREFIX, Placed, Value, place, totals
from perfmodel.predict.result import ModelPrediction

_MARK = "perfmodel.mark"
_SINCE_IR = 10


@checked_keywords()
def annotated(
    path: str | os.PathLike[str], prediction: ModelPrediction, target: str | os.PathLike[str] | None = None
) -> tuple[bytes, list[str]]:
    """The file with the costs of a prediction of it.

    Args:
        path: an ``.onnx`` file that was predicted.
        prediction: of that file.
        target: where it will be written; weights that lie beside ``path`` are missing elsewhere, which is warned of.

    Returns:
        The new file's bytes, and lines of warning.

    Raises:
        ModelFileError: as :func:`perfmodel.features.onnx.read_onnx`.
        InputError: with its costs the file would exceed what protobuf holds.
    """
    from perfmodel.features.onnx.load import MAX_FILE_BYTES

    model = _read(path)
    nodes, *of_functions = [list(_nodes(scope)) for scope in (model.graph, *model.functions)]
    places, *inside = _places(path, model, [nodes, *of_functions])
    placed = place(prediction, places)
    _put_all(nodes, placed)
    for body, own in zip(of_functions, inside, strict=True):
        _put_all(body, _inside(prediction, places, own))
    _put(model, totals(prediction, placed))
    if model.ByteSize() > MAX_FILE_BYTES:
        raise InputError(
            f"{os.fspath(path)}: with its costs it would exceed 2 GB, which is all that protobuf holds; keep the weights "
            "outside: onnx.save(model, path, save_as_external_data=True)"
        )
    warnings = [*_warnings(model, placed)]
    outside = _external_files(model)
    if outside and target is not None and Path(target).resolve().parent != Path(path).resolve().parent:
        warnings.append(
            f"its weights lie in {outside[0]!a}{', ...' if len(outside) > 1 else ''} beside the model: to run the annotated "
            "file, write it into the same folder; viewers and perfmodel need no weights"
        )
    return model.SerializeToString(), warnings


def _external_files(model: Any) -> list[str]:
    """Names of the files that hold weights of a model, as it has them."""
    locations = (e.value for t in _tensors(model.graph) for e in t.external_data if e.key == "location")
    return list(dict.fromkeys(locations))


def _read(path: str | os.PathLike[str]) -> Any:
    """The whole file, weights that stand in it included, those outside untouched; it was checked when it was predicted."""
    import onnx
    from google.protobuf.message import DecodeError

    from perfmodel.errors import ModelFileError
    from perfmodel.features.opening import opening

    with opening(os.fspath(path)):
        data = Path(path).read_bytes()
    model = onnx.ModelProto()
    try:
        model.ParseFromString(data)
    except (DecodeError, ValueError, RuntimeError):
        raise ModelFileError(f"{os.fspath(path)}: cannot be parsed: truncated or damaged") from None
    return model


def _places(path: str | os.PathLike[str], model: Any, scopes: list[list[Any]]) -> list[dict[str, int]]:
    """For each scope the number of its nodes by the name that the reader gives them: files leave names out, and use some twice.

    Nodes of a function also take the place of the call that they are expanded from, whose metadata the expansion hands on.

    Args:
        path: of the file.
        model: what it holds.
        scopes: nodes of the graph, and of each function.
    """
    from perfmodel.features.onnx.load import load

    marks = [f"{_MARK}.{scope}" for scope in range(len(scopes))]
    for mark, nodes in zip(marks, scopes, strict=True):
        for index, node in enumerate(nodes):
            node.metadata_props.add(key=mark, value=str(index))
    try:
        loaded = load(model)
    finally:
        for nodes in scopes:
            for node in nodes:
                del node.metadata_props[-1]
    places: dict[str, dict[str, int]] = {mark: {} for mark in marks}
    for graph in loaded.graphs:
        for node in graph:
            for key, value in node.metadata_props.items():
                if key in places:
                    places[key][str(node.name)] = int(value)
    return list(places.values())


def _inside(prediction: ModelPrediction, places: Mapping[str, int], own: Mapping[str, int]) -> Placed:
    """The costs of a function's nodes, of all its calls together.

    Args:
        prediction: of the file.
        places: of the graph's nodes.
        own: of the function's.
    """
    touched = [o for o in prediction.operators if any(name in own for name in (o.name, *o.members))]
    outside = {name: -1 for o in touched for name in (o.name, *o.members) if name in places}
    placed = place(replace(prediction, operators=tuple(touched)), {**outside, **own})
    return Placed({at: costs for at, costs in placed.nodes.items() if at != -1}, ())


def _nodes(graph: Any) -> Iterator[Any]:
    """Nodes of a graph or a function and of the bodies inside."""
    stack = [graph]
    while stack:
        for node in stack.pop().node:
            yield node
            for attribute in node.attribute:
                if attribute.HasField("g"):
                    stack.append(attribute.g)
                stack.extend(attribute.graphs)


def _with_bodies(nodes: list[Any], placed: Placed) -> dict[int, dict[str, Value]]:
    """The costs of nodes, by number; a node with bodies (If, Loop, Scan) also says what they take, which viewers fold away."""
    found: dict[int, dict[str, Value]] = {index: dict(costs) for index, costs in placed.nodes.items()}
    number = {id(node): index for index, node in enumerate(nodes)}
    for index, node in enumerate(nodes):
        bodies = [a.g for a in node.attribute if a.HasField("g")] + [g for a in node.attribute for g in a.graphs]
        inside = [number[id(inner)] for body in bodies for inner in _nodes(body)]
        seconds = [s for i in inside if isinstance(s := placed.nodes.get(i, {}).get("latency_s"), float)]
        if seconds:
            found.setdefault(index, {})["bodies_latency_s"] = sum(seconds)
    return found


def _tensors(graph: Any) -> Iterator[Any]:
    yield from graph.initializer
    for node in _nodes(graph):
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t
            yield from attribute.tensors
            for body in (*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs):
                yield from body.initializer


def _put_all(nodes: list[Any], placed: Placed) -> None:
    """Costs of the nodes of a scope; a node that has none keeps none of an earlier annotation either."""
    found = _with_bodies(nodes, placed)
    for index, node in enumerate(nodes):
        _put(node, found.get(index, {}))


def _put(holder: Any, found: Mapping[str, Value]) -> None:
    """Set properties; those of an earlier annotation are replaced."""
    kept = [(e.key, e.value) for e in holder.metadata_props if not e.key.startswith(PREFIX)]
    del holder.metadata_props[:]
    for key, value in (*kept, *((PREFIX + k, _text(v)) for k, v in found.items())):
        holder.metadata_props.add(key=key, value=value)


def _text(value: Value) -> str:
    """Numbers so that they read back as the same."""
    return value if isinstance(value, str) else repr(value)


def _warnings(model: Any, placed: Placed) -> Iterator[str]:
    if model.ir_version < _SINCE_IR:
        yield (
            f"the file is in version {model.ir_version} of ONNX's intermediate representation, metadata of nodes came with "
            f"{_SINCE_IR}: readers skip what they do not know"
        )
    if placed.homeless:
        yield (
            f"{len(placed.homeless)} of the predicted kernels stand nowhere in the file ({placed.homeless[0].name!r}, ...): "
            f"their time is the model's {PREFIX}unplaced_s"
        )
