"""From a file to a checked ``onnx_ir`` model whose weights have a shape and a dtype but no data.

A model file is hostile until it is parsed. The order of the checks keeps every later step safe: size before reading,
protobuf before content, counts and nesting before anything recursive, names and order of the nodes before the graph is
built, and places of external data before anything could open them (see ``external``).
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from perfmodel.errors import ModelFileError
from perfmodel.features.onnx import check, prepare, wire
from perfmodel.features.opening import opening

if TYPE_CHECKING:
    import onnx
    import onnx_ir as ir

MAX_FILE_BYTES = 2**31 - 1
"""Protobuf holds no larger message (https://protobuf.dev/programming-guides/proto-limits/)."""

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
        ModelFileError: with the path and what is wrong with the file; or it is nothing that a model can be.
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
    elif not isinstance(source, (str, os.PathLike)):
        raise ModelFileError(
            f"a model is the path of a file, its bytes, an onnx.ModelProto or a Graph; got {type(source).__name__}"
        )
    else:
        path = Path(source)
        label, name, folder = _label(path), _stem(path), path.parent
        proto = _parse(_read(path, label), label)
    check.check_graph(proto, label)
    check.check_tensors(proto, label)
    try:
        model = ir.from_proto(proto)
    except RecursionError:
        raise ModelFileError(f"{label}: the model is nested too deeply to be read") from None
    except Exception as error:
        # onnx_ir raises many types for contents that make no sense; its innermost message is the clear one.
        raise ModelFileError(f"{label}: not a valid ONNX model: {_one_line(_root(error))}") from None
    warnings = expand_functions(model, label)
    graphs = tuple(model.graphs())
    prepare.name_nodes(graphs)
    prepare.complete_loops(model, graphs)
    prepare.order(model, graphs, label)
    prepare.forget_weights(graphs, folder, label)
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


def without_weights(path: str | os.PathLike[str]) -> bytes:
    """A file's bytes without the contents of its large tensors, from which :func:`load` makes the same model.

    Raises:
        ModelFileError: with the path and what is wrong with the file.
    """
    return bytes(_read(Path(path), _label(Path(path))))


def _read(path: Path, label: str) -> Any:
    with opening(label):
        size = path.stat().st_size
        if path.is_dir():
            raise ModelFileError(f"{label}: is a folder; give the .onnx file inside it")
        if not path.is_file():
            raise ModelFileError(f"{label}: is not a regular file; give an .onnx file")
        _check_size(size, label)
        with path.open("rb") as file:
            if size <= STRIP_ABOVE_BYTES:
                return file.read()
            import mmap

            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as view:
                _check_beginning(view[:64], label)
                return _stripped(view, label)


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
    return "not an ONNX file; wanted one (or MLIR, whose name ends in .mlir)"


def _root(error: BaseException) -> BaseException:
    while error.__cause__ is not None or error.__context__ is not None:
        error = error.__cause__ or error.__context__  # type: ignore[assignment]
    return error


def _one_line(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return text[:300] or type(error).__name__
