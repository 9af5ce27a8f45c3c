"""Transposes that bring channels to where TOSA's convolutions and pools want them.

TOSA knows channels last only; what frameworks that keep channels first export has a transpose before and one after every
convolution. The layout in which a convolution runs is the engine's choice in every format, so that these are no kernels:
the convolution reads and writes the tensors on their other side.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfmodel.features.mlir.call import Call
from perfmodel.features.mlir.ir import Module, Operation, Value
from perfmodel.features.mlir.known import Known
from perfmodel.graph import Removed, Tensor

if TYPE_CHECKING:
    from perfmodel.features.mlir.convert import Conversion

CHOSEN = "the layout of the convolution"
_WINDOWED = frozenset(
    "tosa.conv2d tosa.conv3d tosa.depthwise_conv2d tosa.transpose_conv2d tosa.max_pool2d tosa.avg_pool2d".split()
)
_TO_LAST = ((0, 2, 3, 1), (0, 2, 3, 4, 1))
_TO_FIRST = ((0, 3, 1, 2), (0, 4, 1, 2, 3))


class Layouts:
    """The transposes of one module that are no kernels.

    Args:
        module: whose values are looked up.
    """

    def __init__(self, module: Module) -> None:
        self._module = module
        self._before: dict[str, Tensor] = {}  # with channels last → with channels first

    def takes(self, call: Call, perm: tuple[int, ...]) -> bool:
        """Whether a transpose is one of these; its result is known then, and no node is added."""
        operation = call.operation
        convert = call.convert
        source, result = operation.operands[0], operation.results[0]
        known = convert.known(source)
        turned = None if known.tensor is None else self._before.get(known.tensor.name)
        if perm in _TO_FIRST and turned is not None:
            convert.alias(result, Known(turned))
        elif perm in _TO_LAST and self._only_windowed(result):
            convert.full(known)
            if known.tensor is None or known.origin is not None:
                return False
            self._before[call.result().name] = known.tensor
        else:
            return False
        convert.removed.append(Removed(convert.name_of(operation), operation.name, CHOSEN))
        return True

    def around(self, convert: Conversion, operation: Operation, x: Tensor, out: Tensor) -> tuple[Tensor, Tensor]:
        """What a convolution reads and writes."""
        result = operation.results[0]
        uses = self._module.uses().get(result, ())
        turns = [o for o, _ in uses if o.name == "tosa.transpose" and permutation(o) in _TO_FIRST]
        if turns and all(o in turns or (o.name in _WINDOWED and index == 0) for o, index in uses):
            shape = out.shape or ()
            turned = convert.make_tensor(result.name or "v", (shape[0], shape[-1], *shape[1:-1]), out.dtype)
            self._before[out.name] = turned
            out = turned
        return self._before.get(x.name, x), out

    def _only_windowed(self, value: Value) -> bool:
        """Whether all that reads a value are convolutions and pools, as their input."""
        uses = self._module.uses().get(value, ())
        return bool(uses) and all(o.name in _WINDOWED and index == 0 for o, index in uses)


def permutation(operation: Operation) -> tuple[int, ...]:
    """The permutation of a ``tosa.transpose`` whose permutation is an attribute."""
    perms = operation.attributes.get("perms")
    return tuple(int(p) for p in perms) if isinstance(perms, tuple) else ()
