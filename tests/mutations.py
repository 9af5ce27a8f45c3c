"""Damaged models: what copying, editing and hostile hands make of a file. All seeded."""

from __future__ import annotations

import random

import onnx

NUMBERS = (-(2**63), -5, -1, 0, 1, 2, 3, 7, 100, 2**31, 2**40, 2**62)
TEXTS = (b"", b"bicubic", b"SAME_UPPER", b"\xff\xfe", b"ij,jk->ik")
DIMENSIONS = ("n", "a+b", "n*9**9**9", "", "1x", "n//0", "floor(n/2)")


def truncated(data: bytes, rng: random.Random) -> bytes:
    return data[: rng.randrange(1, len(data))]


def flipped(data: bytes, rng: random.Random) -> bytes:
    """Some bits are the other way round."""
    damaged = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 4))):
        damaged[rng.randrange(len(damaged))] ^= 1 << rng.randrange(8)
    return bytes(damaged)


def rewired(data: bytes, rng: random.Random, operators: list[tuple[str, str]]) -> bytes:
    """A file that parses, but whose nodes, attributes or shapes make no sense.

    Args:
        operators: (domain, operator) to put in place of others.
    """
    proto = onnx.ModelProto.FromString(data)
    nodes = _all_nodes(proto.graph)
    changes = [_operands, _attributes, _attributes, _shapes]
    for _ in range(rng.choice((1, 1, 2, 3))):
        node = rng.choice(nodes)
        change = rng.randrange(len(changes) + 1)
        if change == len(changes):
            node.domain, node.op_type = rng.choice(operators)
            if node.domain and all(o.domain != node.domain for o in proto.opset_import):
                proto.opset_import.add(domain=node.domain, version=1)
        else:
            changes[change](proto, node, rng)
    return bytes(proto.SerializeToString())


def _all_nodes(graph: onnx.GraphProto) -> list[onnx.NodeProto]:
    nodes = list(graph.node)
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("g"):
                nodes += _all_nodes(attribute.g)
    return nodes


def _operands(proto: onnx.ModelProto, node: onnx.NodeProto, rng: random.Random) -> None:
    names = list(node.input)
    if not names:
        return
    index = rng.randrange(len(names))
    how = rng.randrange(4)
    if how == 0:
        names[index] = ""
    elif how == 1:
        del names[index]
    elif how == 2:
        names.append(names[index])
    else:
        rng.shuffle(names)
    del node.input[:]
    node.input.extend(names)


def _attributes(proto: onnx.ModelProto, node: onnx.NodeProto, rng: random.Random) -> None:
    if not node.attribute:
        return
    attribute = rng.choice(list(node.attribute))
    how = rng.randrange(4)
    if how == 0:
        node.attribute.remove(attribute)
        return
    if attribute.type == onnx.AttributeProto.INT:
        attribute.i = rng.choice(NUMBERS)
    elif attribute.type == onnx.AttributeProto.INTS:
        if attribute.ints and rng.random() < 0.6:
            attribute.ints[rng.randrange(len(attribute.ints))] = rng.choice(NUMBERS)
        elif attribute.ints and rng.random() < 0.5:
            del attribute.ints[rng.randrange(len(attribute.ints))]
        else:
            attribute.ints.append(rng.choice(NUMBERS))
    elif attribute.type == onnx.AttributeProto.STRING:
        attribute.s = rng.choice(TEXTS)
    elif attribute.type == onnx.AttributeProto.FLOAT:
        attribute.f = rng.choice((0.0, -1.0, float("nan"), float("inf"), 1e30))
    if how == 1:
        attribute.type = rng.choice((1, 2, 3, 6, 7, 8))


def _shapes(proto: onnx.ModelProto, node: onnx.NodeProto, rng: random.Random) -> None:
    tensors = list(proto.graph.initializer)
    if tensors and rng.random() < 0.2:
        tensor = rng.choice(tensors)
        if tensor.dims:
            tensor.dims[rng.randrange(len(tensor.dims))] = rng.choice(NUMBERS)
        return
    if not proto.graph.input:
        return
    kind = rng.choice(list(proto.graph.input)).type.tensor_type
    how = rng.randrange(5)
    if how == 0:
        kind.elem_type = rng.randrange(30)
    elif how == 1:
        kind.shape.dim.add(dim_value=rng.choice(NUMBERS))
    elif kind.shape.dim:
        dim = kind.shape.dim[rng.randrange(len(kind.shape.dim))]
        if how == 2:
            dim.dim_value = rng.choice(NUMBERS)
        elif how == 3:
            dim.dim_param = rng.choice(DIMENSIONS)
        else:
            kind.shape.dim.remove(dim)
