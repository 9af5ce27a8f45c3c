"""Drops the weights out of a serialised model without parsing it.

A model with its weights inside is mostly ``TensorProto.raw_data``. Parsing would copy all of it twice. This module
walks the protobuf wire format (https://protobuf.dev/programming-guides/encoding/) over a memory map instead, copies
everything but the contents of large tensors, and marks those tensors as external, so that they keep shape and dtype.
Only messages larger than :data:`DESCEND_ABOVE_BYTES` are looked into, so that the cost follows the number of nodes, not
of bytes.
"""

from __future__ import annotations

from typing import Any

DESCEND_ABOVE_BYTES = 4096

# Field numbers of onnx.proto (https://github.com/onnx/onnx/blob/main/onnx/onnx.proto).
_GRAPH_OF_MODEL = 7
_FUNCTION_OF_MODEL = 25
_NODE, _INITIALIZER, _SPARSE_INITIALIZER = 1, 5, 15
_NODE_OF_FUNCTION = 7
_ATTRIBUTE_OF_NODE = 5
_ATTRIBUTE_TENSOR, _ATTRIBUTE_GRAPH, _ATTRIBUTE_TENSORS, _ATTRIBUTE_GRAPHS = 5, 6, 10, 11
_DATA_FIELDS = frozenset({4, 5, 6, 7, 9, 10, 11})  # float, int32, string, int64, raw, double, uint64
_VALUES_OF_SPARSE, _INDICES_OF_SPARSE = 1, 2

_INSIDE: dict[str, dict[int, str]] = {
    "model": {_GRAPH_OF_MODEL: "graph", _FUNCTION_OF_MODEL: "function"},
    "graph": {_NODE: "node", _INITIALIZER: "tensor", _SPARSE_INITIALIZER: "sparse"},
    "function": {_NODE_OF_FUNCTION: "node"},
    "node": {_ATTRIBUTE_OF_NODE: "attribute"},
    "attribute": {
        _ATTRIBUTE_TENSOR: "tensor", _ATTRIBUTE_TENSORS: "tensor",
        _ATTRIBUTE_GRAPH: "graph", _ATTRIBUTE_GRAPHS: "graph",
    },
    "sparse": {_VALUES_OF_SPARSE: "tensor", _INDICES_OF_SPARSE: "tensor"},
}  # fmt: skip

_MAX_DEPTH = 100  # protobuf's own limit for nested messages

# TensorProto: data_location (field 14) = EXTERNAL (1).
_EXTERNAL = bytes([14 << 3, 1])


class WireError(ValueError):
    """The bytes are no protobuf message; ``str()`` says where."""


def without_weights(data: Any) -> bytes:
    """The serialised ModelProto without the contents of its large tensors.

    Args:
        data: bytes or a memory map; it is read once, and pages that hold only weights are not touched.

    Raises:
        WireError: a length points past the end (truncated), or the bytes are no protobuf at all.
    """
    return b"".join(_message(data, 0, len(data), "model", 0))


def _message(data: Any, start: int, end: int, kind: str, depth: int) -> list[bytes]:
    if depth > _MAX_DEPTH:
        raise WireError("messages are nested too deeply")
    inside = _INSIDE.get(kind, {})
    parts: list[bytes] = []
    copied = start  # everything before it is in `parts`
    position = start
    dropped = False
    while position < end:
        field_start = position
        key, position = _varint(data, position, end)
        number, wire_type = key >> 3, key & 7
        if number == 0:
            raise WireError(f"no field at byte {field_start}")
        if wire_type == 0:
            _, position = _varint(data, position, end)
        elif wire_type == 1:
            position += 8
        elif wire_type == 5:
            position += 4
        elif wire_type == 2:
            length, position = _varint(data, position, end)
            body, position = position, position + length
            if position > end:
                raise WireError(f"the data end at byte {end}, in the middle of a field of {length} bytes")
            if length > DESCEND_ABOVE_BYTES:
                if kind == "tensor":
                    if number in _DATA_FIELDS:
                        parts.append(data[copied:field_start])
                        copied = position
                        dropped = True
                elif number in inside:
                    new = b"".join(_message(data, body, position, inside[number], depth + 1))
                    parts += [data[copied:field_start], _encoded(key), _encoded(len(new)), new]
                    copied = position
        else:
            raise WireError(f"no field at byte {field_start}")
        if position > end:
            raise WireError(f"the data end at byte {end}, in the middle of a field")
    parts.append(data[copied:end])
    if dropped:
        parts.append(_EXTERNAL)
    return parts


def _varint(data: Any, position: int, end: int) -> tuple[int, int]:
    value = shift = 0
    while position < end and shift < 70:
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7
    raise WireError(f"the data end at byte {end}, in the middle of a number")


def _encoded(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
