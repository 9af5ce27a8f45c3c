"""Rules of the operators that move, select, convert or merely rename data."""

from __future__ import annotations

from typing import Any

from perfmodel import ops
from perfmodel.errors import DescriptorError
from perfmodel.features.onnx.call import Call, Modelled, Rule, RuleError, elements
from perfmodel.features.onnx.rules_elementwise import every_operand, log2


def view(kind: str) -> Rule:
    """Nothing moves."""

    def rule(call: Call) -> ops.View:
        first = next((t for t in call.inputs if t is not None), None)
        return ops.View(kind=kind, dtype=first.dtype if first is not None else "fp32")

    return rule


DROPPING = "random+less+where+mul"
"""What a dropout does in training: of a random number an element, whether it is kept; the scale of what is.
Generators of random numbers differ; none is counted."""


def trains(call: Call, ratio: int) -> bool:
    """Whether a dropout drops: its ratio, input ``ratio``, is not 0 and the one after it says that the model is trained."""
    share, mode = (call.values(i) if call.has(i) else None for i in (ratio, ratio + 1))
    return bool(mode and mode[0]) and not (share and share[0] == 0)


def dropout(call: Call) -> ops.Operator:
    """Dropout: nothing moves at inference; in training a mask is made, applied, and written where it is wanted."""
    if not trains(call, 1):
        return ops.View(kind="dropout", dtype=call.dtype)
    return every_operand(call, DROPPING, call.elements(0), dtype=call.dtype, read=call.tensor(0).bytes)


def reshape(call: Call) -> ops.View:
    """Reshape: the same elements."""
    before, after = call.elements(0), call.result().elements
    if isinstance(before, int) and isinstance(after, int) and before != after:
        raise DescriptorError(f"it reshapes {before} elements into {after}")
    return ops.View(kind="reshape", dtype=call.dtype)


def copy(kind: str, *, reads_all: bool = False, operand: int = 0, places: int | None = None) -> Rule:
    """What is written was read once; with ``reads_all`` the whole operand is read instead.

    Args:
        operand: the one that is copied.
        places: an operand that says which elements, or where to, and is read whole.
    """

    def rule(call: Call) -> Modelled:
        out, source = call.result(), call.tensor(operand)
        op = ops.Copy(
            kind=kind, elements=out.elements, read_elements=source.elements if reads_all else None, dtype=source.dtype,
            out_dtype=None if out.dtype == source.dtype else out.dtype,
        )  # fmt: skip
        read = call.tensor(places).bytes if places is not None and call.has(places) else 0
        return Modelled(op, {}, (), read + call.further_results())

    return rule


def transpose(call: Call) -> Modelled:
    """Transpose; one that only moves axes of one element is a view."""
    shape = call.shape(0)
    perm = tuple(int(p) for p in call.get("perm", None) or range(len(shape) - 1, -1, -1))
    if sorted(perm) != list(range(len(shape))):
        raise RuleError(f"its permutation {perm} does not fit a tensor of rank {len(shape)}")
    kept = [p for p in perm if not (isinstance(shape[p], int) and shape[p] == 1)]
    if kept == sorted(kept):
        return Modelled(ops.View(kind="transpose", dtype=call.dtype), {"perm": perm})
    return Modelled(ops.Copy(kind="transpose", elements=call.elements(0), dtype=call.dtype), {"perm": perm})


def concat(call: Call) -> Modelled:
    """Concat of several tensors; of one it is a view."""
    out = call.result()
    axis = call.axis(1, len(out.shape or ()))
    if sum(t is not None for t in call.inputs) == 1:
        return Modelled(ops.View(kind="identity", dtype=call.dtype), {"axis": axis})
    return Modelled(ops.Copy(kind="concat", elements=out.elements, dtype=call.dtype), {"axis": axis})


def split(call: Call) -> Modelled:
    """Split: all of it is read and written."""
    shape = call.shape(0)
    axis = call.axis(0, len(shape))
    sizes = tuple((t.shape or ())[axis] for t in call.outputs if t is not None and t.shape is not None)
    return Modelled(ops.Copy(kind="split", elements=elements(shape), dtype=call.dtype), {"axis": axis, "sizes": sizes})


def slice_(call: Call) -> Modelled:
    """Slice: what is selected is read and written; one that selects everything is a view."""
    shape, out = call.shape(0), call.result_shape()
    attributes = {
        name: _ints(call, name, index) for index, name in enumerate(("starts", "ends", "axes", "steps"), start=1)
    }
    steps = attributes["steps"]
    if shape == out and (steps is None or all(s == 1 for s in steps)):
        return Modelled(ops.View(kind="slice", dtype=call.dtype), attributes)
    if attributes["axes"] is not None:
        attributes["axes"] = tuple(int(a) % len(shape) for a in attributes["axes"])
    elif attributes["starts"] is not None:
        attributes["axes"] = tuple(range(len(attributes["starts"])))
    return Modelled(ops.Copy(kind="slice", elements=elements(out), dtype=call.dtype), attributes)


def _ints(call: Call, name: str, index: int) -> tuple[Any, ...] | None:
    given = call.attributes.get(name)
    if given is None and call.has(index):
        given = call.values(index)
    return None if given is None else tuple(given)


def gather(call: Call) -> Modelled:
    """Gather: rows of a weight table are an embedding; everything else is a selection."""
    table, indices, out = call.tensor(0), call.tensor(1), call.result()
    axis = call.axis(0, len(table.shape or ()))
    attributes = {"axis": axis}
    if table.is_weight and axis == 0 and len(table.shape or ()) == 2:
        op: ops.Operator = ops.Embedding(rows=indices.elements, cols=(table.shape or (0, 0))[1], dtype=table.dtype)
        return Modelled(op, attributes)
    return Modelled(ops.Copy(kind="gather", elements=out.elements, dtype=table.dtype), attributes, (), indices.bytes)


def gather_by(kind: str) -> Rule:
    """GatherElements and GatherND: the selection and its indices are read."""

    def rule(call: Call) -> Modelled:
        op = ops.Copy(kind=kind, elements=call.result().elements, dtype=call.dtype)
        return Modelled(op, {"axis": call.get("axis", None)}, (), call.tensor(1).bytes)

    return rule


def scatter(call: Call) -> Modelled:
    """The Scatter operators: the data are copied, the updates written over them, or added, multiplied, compared."""
    out, updates = call.result(), call.tensor(2)
    op = ops.Copy(kind="scatter", elements=out.elements, read_elements=call.elements(0), dtype=call.dtype)
    how = str(call.get("reduction", "none") or "none")
    fused: tuple[ops.Operator, ...] = ()
    if how in ("add", "mul", "max", "min"):
        fused = (ops.Elementwise(kind=how, elements=updates.elements, inputs=0, dtype=updates.dtype),)
    return Modelled(op, {"axis": call.get("axis", None)}, fused, call.tensor(1).bytes + updates.bytes)


def scatter_in_place(call: Call) -> Modelled:
    """TensorScatter: a cache is updated in place, so only the updates move."""
    update = call.tensor(1)
    extra = call.tensor(2).bytes if call.has(2) else 0
    op = ops.Copy(kind="scatter", elements=update.elements, dtype=update.dtype)
    return Modelled(op, {"axis": call.get("axis", None)}, (), extra)


def pad(call: Call) -> Modelled:
    """Pad: all of the operand is read, and what is around it written, too."""
    op = ops.Copy(kind="pad", elements=call.result().elements, read_elements=call.elements(0), dtype=call.dtype)
    value = call.get("value", 0.0)  # an attribute before operator set 11
    if call.has(2):
        given = call.values(2)
        value = float(given[0]) if given is not None and len(given) == 1 else None
    return Modelled(op, {"mode": str(call.get("mode", "constant")), "value": value})


def fill(kind: str) -> Rule:
    """Written, with nothing to speak of read."""

    def rule(call: Call) -> ops.Copy:
        out = call.result()
        return ops.Copy(kind=kind, elements=out.elements, read_elements=0, dtype=out.dtype)

    return rule


def from_sequence(call: Call) -> ops.Copy:
    """ConcatFromSequence: what is written was read."""
    out = call.result()
    return ops.Copy(kind="concat", elements=out.elements, dtype=out.dtype)


def to_sequence(call: Call) -> Modelled:
    """SplitToSequence: all of it is read and written."""
    op = ops.Copy(kind="split", elements=call.elements(0), dtype=call.dtype)
    return Modelled(op, {"axis": call.axis(0, len(call.shape(0)))})


def unique(call: Call) -> Modelled:
    """Unique: a sort, n·log2(n) comparisons, then what is left, its places and its counts."""
    count = call.elements(0)
    stages = log2(count)
    return Modelled(every_operand(call, "compare", count, steps=stages, dtype=call.dtype))


def one_hot(call: Call) -> ops.Copy:
    """OneHot: the indices are read, all rows written."""
    out = call.result()
    return ops.Copy(
        kind="onehot", elements=out.elements, read_elements=call.elements(0), out_dtype=out.dtype, dtype=call.dtype
    )


def cast(call: Call) -> ops.Operator:
    """Cast and CastLike; to the same type it is a view."""
    out = call.result()
    if call.keeps_type():
        return ops.View(kind="identity", dtype=call.dtype)
    return ops.Copy(kind="cast", elements=out.elements, out_dtype=out.dtype, dtype=call.dtype)


RULES: dict[str, Rule] = {
    "Reshape": reshape,
    "Squeeze": view("squeeze"),
    "Unsqueeze": view("unsqueeze"),
    "Flatten": view("flatten"),
    "Identity": view("identity"),
    "Dropout": dropout,
    "Shape": view("shape"),
    "Size": view("shape"),
    "Optional": view("optional"),
    "OptionalGetElement": view("optional"),
    "OptionalHasElement": view("optional"),
    "Transpose": transpose,
    "Concat": concat,
    "Split": split,
    "Slice": slice_,
    "Gather": gather,
    "GatherElements": gather_by("gather"),
    "GatherND": gather_by("gather"),
    "Scatter": scatter,
    "ScatterElements": scatter,
    "ScatterND": scatter,
    "TensorScatter": scatter_in_place,
    "Pad": pad,
    "Expand": copy("expand", reads_all=True),
    "Tile": copy("tile", reads_all=True),
    "Compress": copy("compress", reads_all=True, places=1),
    "DepthToSpace": copy("depth_to_space"),
    "SpaceToDepth": copy("space_to_depth"),
    "ReverseSequence": copy("reverse", places=1),
    "CenterCropPad": copy("pad"),
    "Trilu": copy("trilu"),
    "OneHot": one_hot,
    "Cast": cast,
    "CastLike": cast,
    "BitCast": view("identity"),
    "Range": fill("iota"),
    "ConstantOfShape": fill("fill"),
    "EyeLike": fill("fill"),
    "RandomNormal": fill("random"),
    "RandomNormalLike": fill("random"),
    "RandomUniform": fill("random"),
    "RandomUniformLike": fill("random"),
    "Bernoulli": copy("random"),
    "Multinomial": copy("random", reads_all=True),
    "NonZero": copy("nonzero", reads_all=True),
    "MaxUnpool": copy("scatter", reads_all=True, places=1),
    "SequenceConstruct": view("sequence"),
    "SequenceEmpty": view("sequence"),
    "SequenceInsert": view("sequence"),
    "SequenceErase": view("sequence"),
    "SequenceLength": view("sequence"),
    "SequenceAt": view("sequence"),
    "SplitToSequence": to_sequence,
    "Unique": unique,
    "ConcatFromSequence": from_sequence,
}
