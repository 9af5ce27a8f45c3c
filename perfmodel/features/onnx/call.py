"""One operator of the file, as a rule sees it, and what a rule answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import prod
from typing import Any, TypeAlias

from perfmodel.graph import Tensor
from perfmodel.ops import Dim, Operator

ONNX_DTYPES: dict[int, str] = {
    1: "fp32",
    2: "uint8",
    3: "int8",
    4: "uint16",
    5: "int16",
    6: "int32",
    7: "int64",
    8: "string",
    9: "bool",
    10: "fp16",
    11: "fp64",
    12: "uint32",
    13: "uint64",
    14: "complex64",
    15: "complex128",
    16: "bf16",
    17: "fp8",  # E4M3FN
    18: "fp8",  # E4M3FNUZ
    19: "fp8",  # E5M2
    20: "fp8",  # E5M2FNUZ
    21: "uint4",
    22: "int4",
    23: "mxfp4",  # E2M1; its scales are another tensor in ONNX, which mxfp4's 4.25 bits count too (6 % too much)
    24: "uint8",  # E8M0, the scales of block formats
    25: "uint2",
    26: "int2",
    27: "fp8",  # E2M3: 6 bits, stored in 8
    28: "fp8",  # E3M2: likewise
}
"""``onnx.TensorProto.DataType`` by number, in the words of :mod:`perfmodel.dtypes`."""


class RuleError(Exception):
    """A rule cannot describe this call (an unknown shape, an operand that is missing): it counts as unmodelled.

    ``str()`` completes the sentence "it is counted as memory traffic only, because ...".
    """


@dataclass(frozen=True, slots=True)
class Modelled:
    """What a rule answers.

    Attributes:
        op: the descriptor.
        attributes: goes to ``Node.attributes``.
        fused: goes to ``Node.fused`` (a bias is added by the same kernel in ONNX).
        extra_bytes_read: goes to ``Node.extra_bytes_read``; what further outputs write, too.
    """

    op: Operator
    attributes: Mapping[str, Any] = field(default_factory=dict)
    fused: tuple[Operator, ...] = ()
    extra_bytes_read: Dim = 0


@dataclass(slots=True)
class Call:
    """One operator with its operands.

    Attributes:
        op_type: the operator's name, domain left out.
        opset: version of the operator set that its domain is imported with.
        inputs, outputs: operands in the order of the operator's definition; None where an optional one is absent.
        attributes: plain Python values.
        values: the elements of input ``i`` where they are known (small constants, shape arithmetic), else None.
    """

    op_type: str
    opset: int
    inputs: tuple[Tensor | None, ...]
    outputs: tuple[Tensor | None, ...]
    attributes: Mapping[str, Any]
    values: Callable[[int], list[Any] | None]

    def has(self, index: int) -> bool:
        """Whether the optional input ``index`` is there."""
        return index < len(self.inputs) and self.inputs[index] is not None

    def tensor(self, index: int) -> Tensor:
        """Input ``index``, whose rank is known.

        Raises:
            RuleError: it is absent or its rank is unknown.
        """
        return self._known(self.inputs, index, "input")

    def result(self, index: int = 0) -> Tensor:
        """Output ``index``, whose rank is known.

        Raises:
            RuleError: it is absent or its rank is unknown.
        """
        return self._known(self.outputs, index, "output")

    def shape(self, index: int) -> tuple[Dim, ...]:
        """Shape of input ``index``."""
        return self.tensor(index).shape or ()

    def result_shape(self, index: int = 0) -> tuple[Dim, ...]:
        """Shape of output ``index``."""
        return self.result(index).shape or ()

    def elements(self, index: int) -> Any:
        """Elements of input ``index``."""
        return elements(self.shape(index))

    def further_results(self) -> Any:
        """Bytes of all outputs but the first, where the descriptor writes that alone.

        Raises:
            RuleError: the rank of one is unknown.
        """
        return sum(self.result(i).bytes for i, t in enumerate(self.outputs) if i and t is not None)

    @property
    def dtype(self) -> str:
        """Dtype of the first input."""
        return self.tensor(0).dtype

    @property
    def out_dtype(self) -> str | None:
        """Dtype of the first output where it differs from the first input's, else None."""
        out = self.result().dtype
        return None if out == self.dtype else out

    def keeps_type(self) -> bool:
        """Whether the first output has the first input's type; one dtype may stand for several types of the file."""
        return self.out_dtype is None

    def get(self, name: str, default: Any) -> Any:
        """An attribute, or ``default``."""
        value = self.attributes.get(name)
        return default if value is None else value

    def axes(self, index: int, rank: int, name: str = "axes") -> tuple[int, ...] | None:
        """Axes given as attribute (old operator sets) or as input ``index`` (new ones), normalised and sorted.

        Returns:
            None when the operator names none.

        Raises:
            RuleError: they are computed at run time, or out of range.
        """
        given = self.attributes.get(name)
        if given is None and self.has(index):
            given = self.values(index)
            if given is None and self.shape(index) == (0,):
                given = []
            if given is None:
                raise RuleError(f"its {name} are computed while the model runs")
        if given is None:
            return None
        return tuple(sorted(axis_of(int(a), rank) for a in ([given] if isinstance(given, int) else given)))

    def axis(self, default: int, rank: int) -> int:
        """The attribute ``axis``, normalised."""
        return axis_of(int(self.get("axis", default)), rank)

    @staticmethod
    def _known(operands: tuple[Tensor | None, ...], index: int, role: str) -> Tensor:
        tensor = operands[index] if index < len(operands) else None
        if tensor is None:
            raise RuleError(f"its {role} {index} is missing")
        if tensor.shape is None:
            raise RuleError(f"the shape of its {role} {index} is not known")
        return tensor


Rule: TypeAlias = Callable[[Call], "Modelled | Operator"]
"""A rule describes one call; a bare descriptor stands for one without attributes."""


def axis_of(axis: int, rank: int) -> int:
    """A non-negative axis.

    Raises:
        RuleError: out of range.
    """
    if not -rank <= axis < max(rank, 1):
        raise RuleError(f"its axis {axis} is outside a tensor of rank {rank}")
    return axis % rank if rank else 0


def elements(shape: tuple[Dim, ...]) -> Any:
    """Elements of a shape; 1 for a scalar."""
    return prod(shape)
