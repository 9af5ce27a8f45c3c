"""onnx's own shape inference for single nodes, where the symbolic one has no answer or objects."""

from __future__ import annotations

from typing import Any

_SKIPPED = frozenset({"If", "Loop", "Scan", "SequenceMap"})


MOST_RANK = 64
"""Dimensions of a tensor; numpy has no more. Inference makes a list of as many as the length of an operand says."""
_RANK_BY_LENGTH = {"Reshape": 1, "Expand": 1, "ConstantOfShape": 0, "Tile": 1, "Col2Im": 1, "MaxUnpool": 2}
"""By operator the operand whose length is the output's number of dimensions."""
RANK_BY_LENGTH = tuple(_RANK_BY_LENGTH)


class ContradictionError(Exception):
    """Operands that do not fit each other, as onnx sees it too; ``str()`` says which."""


OWN_DOMAIN = "perfmodel.domain"
"""Key among a node's ``meta`` of the domain that it has in the file, while it stands under another one."""


def domain_of(node: Any) -> str:
    """The domain that a node has in the file; the standard one is ``""``."""
    domain = str(node.meta.get(OWN_DOMAIN, node.domain))
    return "" if domain == "ai.onnx" else domain


def infer_node(node: Any, opset: int) -> bool:
    """Set the shapes and dtypes of a node's outputs, where all of its inputs are known.

    Returns:
        Whether anything was set.

    Raises:
        ContradictionError: onnx says that the operands do not fit.
    """
    import onnx
    import onnx_ir as ir

    domain = domain_of(node)
    if node.op_type in _SKIPPED or not onnx.defs.has(node.op_type, domain) or not _is_harmless(node):
        return False
    rank = rank_wanted(node)
    if rank is not None and rank > MOST_RANK:
        raise ContradictionError(f"its output would have {rank} dimensions; tensors of up to {MOST_RANK} exist")
    try:
        schema = onnx.defs.get_schema(node.op_type, opset, domain)
        types, data = {}, {}
        for value in node.inputs:
            if value is None:
                continue
            if not isinstance(value.type, ir.TensorType) or value.shape is None or value.dtype is None:
                return False
            types[value.name] = _type_proto(value)
            if value.const_value is not None and not isinstance(value.const_value, ir.ExternalTensor):
                data[value.name] = ir.to_proto(value.const_value)
        proto = ir.to_proto(node)
        proto.domain = domain
        if any(value is None for value in node.inputs) and not list(proto.input):
            return False
        found = onnx.shape_inference.infer_node_outputs(
            schema, proto, types, data, opset_imports=[onnx.helper.make_opsetid(domain, opset)]
        )
    except onnx.shape_inference.InferenceError as error:
        raise ContradictionError(" ".join(str(error).split())[:300]) from None
    except Exception:
        # Whatever else onnx or the serialisation objects to: there is no answer then.
        return False
    changed = False
    for value in node.outputs:
        answer = found.get(value.name)
        if answer is None or not answer.HasField("tensor_type"):
            continue
        tensor = answer.tensor_type
        if value.dtype is None and tensor.elem_type:
            value.type = ir.TensorType(ir.DataType(tensor.elem_type))
            changed = True
        if value.shape is None and tensor.HasField("shape"):
            dims = [d.dim_value if d.HasField("dim_value") else d.dim_param or None for d in tensor.shape.dim]
            value.shape = ir.Shape(dims)
            changed = True
    return changed


def rank_wanted(node: Any) -> int | None:
    """How many dimensions an operand says that the output has; None where none does, or where it is not known."""
    index = _RANK_BY_LENGTH.get(node.op_type) if domain_of(node) == "" else None
    if index is None or index >= len(node.inputs) or node.inputs[index] is None:
        return None
    shape = node.inputs[index].shape
    return shape[0] if shape is not None and len(shape) == 1 and isinstance(shape[0], int) else None


_AXES = frozenset({"axis", "axes", "scan_input_axes", "scan_output_axes", "batch_axis", "time_axis", "batch_dims"})
_POSITIVE = frozenset({"strides", "dilations", "kernel_shape", "blocksize", "num_outputs", "group", "block_size"})


def _is_harmless(node: Any) -> bool:
    """Whether onnx can be asked: its inference reads past the end of a shape for an axis that the shape does not have, and
    divides by strides, both unchecked, which would end the process."""
    ranks = [v.shape.rank() for v in node.inputs if v is not None and v.shape is not None]
    rank = max(ranks, default=0) + 1
    for name, attribute in node.attributes.items():
        if name not in _AXES and name not in _POSITIVE:
            continue
        if attribute.is_ref() or attribute.type.name not in ("INT", "INTS"):
            return False
        values = [attribute.value] if attribute.type.name == "INT" else list(attribute.value)
        if name in _AXES and any(not -rank <= v <= rank for v in values):
            return False
        if name in _POSITIVE and any(v < 1 for v in values):
            return False
    return True


def _type_proto(value: Any) -> Any:
    import onnx

    shape = [d if isinstance(d, int) else d.value for d in value.shape]
    return onnx.helper.make_tensor_type_proto(int(value.dtype), shape)
