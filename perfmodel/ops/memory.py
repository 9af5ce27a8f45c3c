"""Descriptors of the operators that are bound by traffic: normalisation, elementwise, reductions, copies, ..."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from perfmodel.dtypes import element_bytes
from perfmodel.errors import DescriptorError, nearest, one_of
from perfmodel.ops import costs
from perfmodel.ops.base import Dim, Operator, dim_field, storage_bytes


def _bytes(elements: Dim, dtype: str) -> Any:
    return storage_bytes(elements, 8 * element_bytes(dtype))


@dataclass(frozen=True, kw_only=True)
class Norm(Operator):
    """Normalisation of ``rows`` independent rows of ``cols`` elements.

    Args:
        dtype: of the arithmetic (``"fp16"``), and of operands and results where ``io_dtype`` is None.
        kind: a key of :data:`perfmodel.ops.costs.NORM` (``"layernorm"``, ``"rmsnorm"``, ``"batchnorm"``, ...).
        rows: groups of elements that share a mean and a variance: the tokens of a layer norm.
        cols: elements of each: the width of a layer norm.
        residual: also adds a residual of the same shape first, and writes the sum (SkipLayerNormalization).
        io_dtype: how operands and results are stored where that differs from ``dtype``; None means it does not.
        parameters: elements of scale and shift that are read; None means as many as the kind usually has.
    """

    op: ClassVar[str] = "norm"
    kind: str = "layernorm"
    rows: Dim = dim_field()
    cols: Dim = dim_field()
    residual: bool = False
    io_dtype: str | None = None
    parameters: Dim | None = dim_field(None)

    def __post_init__(self) -> None:
        super().__post_init__()
        one_of("Norm.kind", self.kind, tuple(costs.NORM), DescriptorError)

    @property
    def shape(self) -> str:
        return f"{self.kind} {self.rows}x{self.cols}"

    @property
    def flops(self) -> Any:
        per_element = costs.NORM[self.kind] + (1 if self.residual else 0)
        return self.rows * self.cols * per_element + self.rows * costs.NORM_PER_ROW

    @property
    def bytes_read(self) -> Any:
        streams = 2 if self.residual else 1
        parameters = self.parameters
        if parameters is None:
            # Batch normalisation has one pair of parameters per row (channel), the others one per column.
            width = self.rows if self.kind == "batchnorm" else self.cols
            parameters = {"rmsnorm": 1, "l2norm": 0, "lrn": 0}.get(self.kind, 2) * width
        return _bytes(streams * self.rows * self.cols + parameters, self.io_dtype or self.dtype)

    @property
    def bytes_written(self) -> Any:
        return _bytes((2 if self.residual else 1) * self.rows * self.cols, self.io_dtype or self.dtype)


@dataclass(frozen=True, kw_only=True)
class Softmax(Operator):
    """Softmax over ``cols`` elements of each of ``rows`` rows.

    Args:
        dtype: of the arithmetic (``"fp16"``), and of operands and results where ``io_dtype`` is None.
        kind: ``"softmax"`` or ``"log_softmax"``.
        rows: distributions: all axes but the one that sums to one.
        cols: elements of each.
        io_dtype: how operands and results are stored where that differs from ``dtype``; None means it does not.
    """

    op: ClassVar[str] = "softmax"
    kind: str = "softmax"
    rows: Dim = dim_field()
    cols: Dim = dim_field()
    io_dtype: str | None = None

    @property
    def flops(self) -> Any:
        if self.kind == "log_softmax":
            return self.rows * self.cols * costs.LOG_SOFTMAX + self.rows * costs.LOG_SOFTMAX_PER_ROW
        return self.rows * self.cols * costs.SOFTMAX

    @property
    def bytes_read(self) -> Any:
        return _bytes(self.rows * self.cols, self.io_dtype or self.dtype)

    @property
    def bytes_written(self) -> Any:
        return _bytes(self.rows * self.cols, self.io_dtype or self.dtype)


@dataclass(frozen=True, kw_only=True)
class Elementwise(Operator):
    """One or several fused scalar functions applied to ``elements`` outputs.

    Args:
        dtype: of the operands, and of the results where ``out_dtype`` is None.
        kind: a key of :data:`perfmodel.ops.costs.FLOPS_PER_ELEMENT`, or several joined by ``+`` in order of execution.
        elements: elements of the (largest) output.
        inputs: full-size operands; broadcast operands are far smaller and left out of the count.
        input_elements: elements read in all, where they are known exactly (broadcasting); replaces ``inputs``.
        out_dtype: dtype of the result where it differs (comparisons, casts).
        outputs: results written, each of ``elements``.
        steps: how often the function runs for one element (stages of an FFT, samples of a pooled region, levels of a tree).
    """

    op: ClassVar[str] = "elementwise"
    kind: str = "add"
    elements: Dim = dim_field()
    inputs: Dim = dim_field(1)
    input_elements: Dim | None = dim_field(None)
    out_dtype: str | None = None
    outputs: Dim = dim_field(1)
    steps: Dim = dim_field(1)

    def __post_init__(self) -> None:
        super().__post_init__()
        if costs.elementwise_flops(self.kind) is None:
            unknown = [p for p in self.kind.split("+") if p not in costs.FLOPS_PER_ELEMENT]
            raise DescriptorError(
                f"Elementwise.kind has the unknown parts {', '.join(unknown)}: {nearest(unknown[0], costs.FLOPS_PER_ELEMENT)}"
            )

    @property
    def shape(self) -> str:
        return f"{self.kind} {self.elements}"

    @property
    def flops(self) -> Any:
        per_element = costs.elementwise_flops(self.kind, of_complex=costs.is_complex(self.dtype))
        assert per_element is not None  # unknown kinds are refused when it is made
        return self.elements * self.steps * per_element

    @property
    def bytes_read(self) -> Any:
        elements = self.elements * self.inputs if self.input_elements is None else self.input_elements
        return _bytes(elements, self.dtype)

    @property
    def bytes_written(self) -> Any:
        return _bytes(self.elements * self.outputs, self.out_dtype or self.dtype)


@dataclass(frozen=True, kw_only=True)
class Reduce(Operator):
    """A reduction of ``cols`` elements to one, for each of ``rows`` outputs (sum, mean, max, argmax, top-k, cumsum).

    Args:
        dtype: of the operand, and of the results where ``out_dtype`` is None.
        kind: the reduction's name (``"sum"``, ``"mean"``, ``"max"``, ``"argmax"``, ``"topk"``, ``"cumsum"``, ...). Those that
            :data:`perfmodel.ops.costs.REDUCTION` does not name cost one FLOP an element.
        rows: outputs: all axes but those that are reduced.
        cols: elements that each output is made of.
        out_dtype: dtype of the results where it differs (indices); None means ``dtype``.
        results: elements of ``out_dtype`` written per row: 1 for a plain reduction, ``cols`` for a running sum, the values
            and their indices for a top-k.
    """

    op: ClassVar[str] = "reduce"
    kind: str = "sum"
    rows: Dim = dim_field()
    cols: Dim = dim_field()
    out_dtype: str | None = None
    results: Dim = dim_field(1)

    @property
    def shape(self) -> str:
        return f"{self.kind} {self.rows}x{self.cols}"

    @property
    def flops(self) -> Any:
        per_element, per_row = costs.reduction_flops(self.kind, of_complex=costs.is_complex(self.dtype))
        return self.rows * self.cols * per_element + self.rows * per_row

    @property
    def bytes_read(self) -> Any:
        return _bytes(self.rows * self.cols, self.dtype)

    @property
    def bytes_written(self) -> Any:
        return _bytes(self.rows * self.results, self.out_dtype or self.dtype)


@dataclass(frozen=True, kw_only=True)
class Pool(Operator):
    """Pooling with the output extent given.

    Every window counts whole, also where it reaches into the padding.

    Args:
        dtype: of input and output (``"fp16"``).
        kind: ``"max"``, ``"average"``, ``"l1"``, ``"l2"`` or ``"lp"`` (any p).
        batch: samples (N).
        channels: channels, the same of input and output.
        h, w: rows and columns of the input, padding left out.
        out_h, out_w: rows and columns of the output; strides and padding are in them.
        kernel_h, kernel_w: rows and columns of the window; those of a global pooling are ``h`` and ``w``.
    """

    op: ClassVar[str] = "pool"
    kind: str = "max"
    batch: Dim = dim_field(1)
    channels: Dim = dim_field()
    h: Dim = dim_field()
    w: Dim = dim_field()
    out_h: Dim = dim_field()
    out_w: Dim = dim_field()
    kernel_h: Dim = dim_field()
    kernel_w: Dim = dim_field()

    @property
    def shape(self) -> str:
        return f"{self.batch}x{self.channels}x{self.h}x{self.w} k{self.kernel_h}x{self.kernel_w} to {self.out_h}x{self.out_w}"

    @property
    def flops(self) -> Any:
        per_tap, per_result = costs.reduction_flops(self.kind)
        results = self.batch * self.channels * self.out_h * self.out_w
        return results * (self.kernel_h * self.kernel_w * per_tap + per_result)

    @property
    def bytes_read(self) -> Any:
        return _bytes(self.batch * self.channels * self.h * self.w, self.dtype)

    @property
    def bytes_written(self) -> Any:
        return _bytes(self.batch * self.channels * self.out_h * self.out_w, self.dtype)


@dataclass(frozen=True, kw_only=True)
class Copy(Operator):
    """Data movement without arithmetic (transpose, concat, slice, gather, pad, expand, cast, ...).

    Args:
        dtype: of what is read, and of what is written where ``out_dtype`` is None.
        kind: what moves (``"copy"``, ``"transpose"``, ``"concat"``, ``"gather"``, ...); tables show it.
        elements: elements written.
        read_elements: elements read; None means as many as are written.
        out_dtype: dtype of what is written where it differs (a cast); None means ``dtype``.
    """

    op: ClassVar[str] = "copy"
    kind: str = "copy"
    elements: Dim = dim_field()
    read_elements: Dim | None = dim_field(None)
    out_dtype: str | None = None

    @property
    def shape(self) -> str:
        return f"{self.kind} {self.elements}"

    @property
    def flops(self) -> Any:
        return 0

    @property
    def bytes_read(self) -> Any:
        return _bytes(self.elements if self.read_elements is None else self.read_elements, self.dtype)

    @property
    def bytes_written(self) -> Any:
        return _bytes(self.elements, self.out_dtype or self.dtype)


@dataclass(frozen=True, kw_only=True)
class Embedding(Operator):
    """A table look-up: ``rows`` rows of ``cols`` elements are gathered by int64 indices.

    Args:
        dtype: of the table and of the result (``"fp16"``).
        rows: look-ups (tokens); the table's own length does not matter.
        cols: elements of a row: the width of the embedding.
    """

    op: ClassVar[str] = "embedding"
    rows: Dim = dim_field()
    cols: Dim = dim_field()

    @property
    def flops(self) -> Any:
        return 0

    @property
    def bytes_read(self) -> Any:
        return _bytes(self.rows * self.cols, self.dtype) + self.rows * 8

    @property
    def bytes_written(self) -> Any:
        return _bytes(self.rows * self.cols, self.dtype)


@dataclass(frozen=True, kw_only=True)
class Quantize(Operator):
    """Conversion of ``rows`` x ``cols`` elements from ``dtype`` to ``out_dtype``.

    Args:
        dtype: of what is read: the narrow format where ``kind`` is ``"dequantize"``.
        kind: ``"quantize"``, ``"dequantize"``, ``"dynamic"`` (reads its input twice, once for the scale) or ``"scale"``
            (finds the scale alone, one absolute maximum a row, and converts nothing).
        rows: rows, each with a scale of its own where ``kind`` is ``"scale"``.
        cols: elements of a row.
        out_dtype: of what is written; the scales of ``"scale"`` are fp32 whatever it is.
    """

    op: ClassVar[str] = "quantize"
    kind: str = "quantize"
    rows: Dim = dim_field()
    cols: Dim = dim_field()
    out_dtype: str = "int8"

    @property
    def shape(self) -> str:
        return f"{self.kind} {self.rows}x{self.cols}"

    @property
    def flops(self) -> Any:
        # dynamic: one more compare for the scale
        per_element = {"dequantize": 2, "dynamic": 5, "scale": 1}.get(self.kind, 4)
        return self.rows * self.cols * per_element

    @property
    def bytes_read(self) -> Any:
        passes = 2 if self.kind == "dynamic" else 1
        return _bytes(passes * self.rows * self.cols, self.dtype)

    @property
    def bytes_written(self) -> Any:
        if self.kind == "scale":
            return _bytes(self.rows, "fp32")
        return _bytes(self.rows * self.cols, self.out_dtype)


@dataclass(frozen=True, kw_only=True)
class Collective(Operator):
    """A collective of ``ranks`` devices on a message of ``message_bytes`` bytes per rank.

    Args:
        dtype: of the message's elements (``"bf16"``): how many additions there are.
        kind: ``"all_reduce"``, ``"all_gather"``, ``"reduce_scatter"``, ``"all_to_all"``, ``"broadcast"`` or ``"p2p"``.
        message_bytes: bytes of the largest buffer of one rank: the output of an all-gather, the input of a reduce-scatter.
        ranks: devices that take part.
    """

    op: ClassVar[str] = "collective"
    kind: str = "all_reduce"
    message_bytes: Dim = dim_field()
    ranks: Dim = dim_field()

    @property
    def flops(self) -> Any:
        adds = self.message_bytes / element_bytes(self.dtype)
        return adds if self.kind in ("all_reduce", "reduce_scatter") else 0

    @property
    def bytes_read(self) -> Any:
        return self.message_bytes

    @property
    def bytes_written(self) -> Any:
        return self.message_bytes


@dataclass(frozen=True, kw_only=True)
class View(Operator):
    """A change of shape or name that moves nothing and launches nothing (reshape, squeeze, identity, shape arithmetic).

    Args:
        dtype: of the tensor (``"fp16"``).
        kind: what changes (``"reshape"``, ``"identity"``, ...); tables show it.
    """

    op: ClassVar[str] = "view"
    kind: str = "reshape"

    @property
    def flops(self) -> Any:
        return 0

    @property
    def bytes_read(self) -> Any:
        return 0

    @property
    def bytes_written(self) -> Any:
        return 0

    @property
    def shape(self) -> str:
        return self.kind


@dataclass(frozen=True, kw_only=True)
class Unmodelled(Operator):
    """An operator that no rule covers: its traffic is known, its arithmetic is not.

    ``flops`` is 0 because nothing is known to be counted; the operator is always listed as unmodelled.

    Args:
        dtype: of its first tensor (``"fp16"``); the traffic is given in bytes and does not depend on it.
        kind: the operator's name in the file.
        read, written: bytes of its operands and of its results.
    """

    op: ClassVar[str] = "unmodelled"
    kind: str = "?"
    read: Dim = dim_field(0)
    written: Dim = dim_field(0)

    @property
    def flops(self) -> Any:
        return 0

    @property
    def bytes_read(self) -> Any:
        return self.read

    @property
    def bytes_written(self) -> Any:
        return self.written

    @property
    def shape(self) -> str:
        return self.kind
