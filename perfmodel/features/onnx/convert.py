"""From an inferred ``onnx_ir`` model to a :class:`perfmodel.graph.Graph`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from perfmodel.errors import DescriptorError, DtypeError, ModelFileError, PerfmodelError
from perfmodel.features.onnx import bands, constants, control, shapes, small
from perfmodel.features.onnx.call import ONNX_DTYPES, Call, Modelled, RuleError
from perfmodel.features.onnx.constants import Origin
from perfmodel.features.onnx.dims import Dimensions
from perfmodel.features.onnx.load import LoadedModel
from perfmodel.features.onnx.rules import STRUCTURAL, UNMODELLED, rule_for
from perfmodel.graph import Graph, Node, Removed, Tensor
from perfmodel.ops import Operator, Unmodelled

if TYPE_CHECKING:
    import onnx_ir as ir

_STANDARD = ("", "ai.onnx")
_APPLY_MASKS = frozenset({"Add", "And", "Sub", "Where"})


def free_inputs(graph: Any) -> list[Any]:
    """Inputs that are no weights (old files list those as inputs too)."""
    return [value for value in graph.inputs if not value.is_initializer()]


class Conversion:
    """One model on its way to a graph.

    Args:
        loaded: the model, its shapes inferred.
        dims: the numbers of its dimensions.
        notes: warnings so far.
    """

    def __init__(self, loaded: LoadedModel, dims: Dimensions, notes: list[str]) -> None:
        self.model: ir.Model = loaded.model
        self.label: str = loaded.label
        self.name: str = loaded.name
        self.dims = dims
        self.warnings: list[str] = [*loaded.warnings, *notes]
        self._tensors: dict[Any, Tensor] = {}
        self._origins: dict[Any, Origin] = {}
        self._folded_from: dict[Any, str] = {}  # a folded value -> the weight that it goes back to
        self._removed: list[Removed] = []
        self._notes: list[tuple[str, str]] = []  # (what to warn of, the node's name)
        self._masks = bands.Masks(lambda value: value.dtype)
        # Bodies of If and Loop may use a name that the graph around them has for something else.
        self._owner: dict[str, Any] = {}

    def graph(self) -> Graph:
        """The finished graph.

        Raises:
            ModelFileError: a node contradicts its operator's definition.
        """
        main = self.model.graph
        for value in (*main.inputs, *main.initializers.values(), *(v for n in main for v in n.outputs)):
            self._owner[value.name or ""] = value
        nodes = self.nodes_of(main)
        inputs = [self.tensor(v) for v in free_inputs(main)]
        outputs = [self.tensor(v) for v in main.outputs]
        by_name = {t.name: t for t in self._tensors.values()}
        kept = {name: by_name[name] for node in nodes for name in (*node.inputs, *node.outputs)}
        kept.update((t.name, t) for t in (*inputs, *outputs))
        self._refuse_nothing(inputs, outputs)
        if not nodes:
            self.warnings.append("nothing in the model depends on its inputs: there is nothing to execute")
        return Graph(
            name=self.name,
            tensors=kept,
            nodes=tuple(nodes),
            inputs=tuple(t.name for t in inputs),
            outputs=tuple(t.name for t in outputs),
            removed=tuple(self._removed),
            warnings=(*dict.fromkeys(self.warnings), *self._joined_notes()),
            input_axes=dict(self.dims.input_axes),
        )

    def _refuse_nothing(self, inputs: list[Tensor], outputs: list[Tensor]) -> None:
        """An empty input is fine (a cache that has nothing yet), unless it leaves every result empty."""
        empty = [t.name for t in inputs if t.shape is not None and 0 in t.shape]
        if empty and outputs and all(t.shape is not None and 0 in t.shape for t in outputs):
            raise ModelFileError(
                f"{self.label}: the input {empty[0]!r} has the dimension 0, so that there is nothing to compute"
            )

    def nodes_of(self, graph: Any) -> list[Node]:
        """The nodes of one graph that a device executes, in order; what an engine folds goes to the removed ones."""
        nodes: list[Node] = []
        for value in graph.initializers.values():
            self._origins[value] = Origin.CONSTANT
        for node in graph:
            origin = constants.origin_of(node, self._origins, self._is_static)
            if origin is None:
                nodes.extend(self._executed(node))
                continue
            folded = next((self._folded_from.get(v, v.name) for v in node.inputs if v is not None), None)
            for value in node.outputs:
                self._origins[value] = origin
                if folded is not None:
                    self._folded_from[value] = folded
            if node.op_type != "Constant":
                self._removed.append(Removed(node.name, node.op_type, origin.reason))
        return nodes

    def dearest(self, graphs: Sequence[Any], cost: Callable[[list[Node]], Any]) -> tuple[int, bool, list[Node]]:
        """Convert several bodies and keep the dearest; the others leave no trace.

        Returns:
            Its number, whether all cost the same, and its nodes.
        """
        attempts = []
        for graph in graphs:
            before = len(self._removed), len(self._notes)
            nodes = self.nodes_of(graph)
            notes = (self._removed[before[0] :], self._notes[before[1] :])
            del self._removed[before[0] :], self._notes[before[1] :]
            attempts.append((cost(nodes), nodes, notes))
        chosen = max(range(len(attempts)), key=lambda i: attempts[i][0])
        _, nodes, notes = attempts[chosen]
        self._removed += notes[0]
        self._notes += notes[1]
        return chosen, len({c for c, _, _ in attempts}) == 1, nodes

    def alias(self, value: Any, tensor: Tensor) -> None:
        """Let a body's input be a tensor of the graph around it."""
        self._tensors[value] = tensor

    def _is_static(self, value: Any) -> bool:
        if value.shape is None:
            return False
        for dim in value.shape:
            size = self.dims.resolve(dim)
            if size is None:
                return False
            if not isinstance(size, int) and any(str(s) in self.dims.of_data for s in size.free_symbols):
                return False
        return True

    def tensor(self, value: Any) -> Tensor:
        """The tensor of a value, made once."""
        tensor = self._tensors.get(value)
        if tensor is None:
            tensor = self._tensors[value] = self._tensor(value)
        return tensor

    def _tensor(self, value: Any) -> Tensor:
        shape: tuple[Any, ...] | None = None
        if value.shape is not None:
            sizes = [self.dims.resolve(d) for d in value.shape]
            if all(s is not None for s in sizes):
                shape = tuple(sizes)
        for size in shape or ():
            if isinstance(size, int) and size < 0:
                raise ModelFileError(f"{self.label}: the tensor {value.name!r} would have the dimension {size}")
        dtype = ONNX_DTYPES.get(int(value.dtype) if value.dtype is not None else 0, "fp32")
        constant = value in self._origins
        scalar = small.scalar_of(value) if constant and shape is not None and all(s == 1 for s in shape) else None
        name, number = value.name, 2
        while self._owner.setdefault(name, value) is not value:
            name, number = f"{value.name}#{number}", number + 1
        source = self._folded_from.get(value) if constant else None
        return Tensor(name=name, shape=shape, dtype=dtype, is_weight=constant, scalar=scalar, source=source)

    def _executed(self, node: Any) -> list[Node]:
        """The nodes that an operator executes: itself, but for control flow."""
        name = node.name
        if control.has_body(node):
            try:
                body = control.expand(node, name, self.model.opset_imports.get("", 1), self)
            except (TypeError, ValueError, ArithmeticError, IndexError, AttributeError) as error:
                if isinstance(error, PerfmodelError):
                    raise
                raise ModelFileError(f"{self.label}: {_contradiction(node, error)}") from None
            if body is not None:
                return body
            return [self._node(node, name, "it has no body that could be counted")]
        return [self._node(node, name, None)]

    def _node(self, node: Any, name: str, unmodelled: str | None) -> Node:
        inputs = tuple(None if v is None else self.tensor(v) for v in node.inputs)
        outputs = tuple(self.tensor(v) if v.name else None for v in node.outputs)
        call = _NodeCall(
            node=node,
            op_type=node.op_type,
            opset=self.model.opset_imports.get("" if node.domain == "ai.onnx" else node.domain, 1),
            inputs=inputs,
            outputs=outputs,
            attributes={k: a.value for k, a in node.attributes.items()},
            values=lambda index: self._values(node, index),
        )
        modelled = self._modelled(name, node, call, unmodelled)
        structural = STRUCTURAL.get(node.op_type, frozenset()) if node.domain in _STANDARD else frozenset()
        return Node(
            name=name,
            op=modelled.op,
            inputs=tuple(
                t.name
                for i, t in enumerate(inputs)
                if t is not None and not (i in structural and node.inputs[i] in self._origins)
            ),
            outputs=tuple(t.name for t in outputs if t is not None),
            source_op=_source_op(node),
            attributes={**modelled.attributes, **self._mask_of(node)},
            fused=modelled.fused,
            extra_bytes_read=modelled.extra_bytes_read,
            members=(name,),
        )

    def _mask_of(self, node: Any) -> Mapping[str, Any]:
        """What a constant mask among a node's operands lets through."""
        if node.op_type in _APPLY_MASKS and node.domain in _STANDARD:
            for value in node.inputs:
                if value is not None and value in self._origins:
                    band = self._masks.band(value)
                    if band is not None:
                        return band.attributes
        return {}

    def _modelled(self, name: str, node: Any, call: Call, unmodelled: str | None) -> Modelled:
        rule = rule_for(node.domain, node.op_type)
        try:
            if unmodelled or rule is None:
                raise RuleError(unmodelled or UNMODELLED.get((node.domain, node.op_type), "no rule covers it"))
            answer = rule(call)
            return answer if isinstance(answer, Modelled) else Modelled(answer)
        except RuleError as error:
            self.note(f"{_source_op(node)}: {error}: counted as memory traffic only", name)
            return Modelled(self._traffic(_source_op(node), call))
        except (DescriptorError, DtypeError) as error:
            raise ModelFileError(f"{self.label}: the node {name!r} ({node.op_type}): {error}") from None
        except (TypeError, ValueError, ArithmeticError, IndexError, AttributeError) as error:
            raise ModelFileError(f"{self.label}: {_contradiction(node, error)}") from None

    def _traffic(self, kind: str, call: Call) -> Operator:
        read = sum(t.bytes for t in call.inputs if t is not None and t.shape is not None)
        written = sum(t.bytes for t in call.outputs if t is not None and t.shape is not None)
        dtype = next((t.dtype for t in (*call.outputs, *call.inputs) if t is not None), "fp32")
        try:
            return Unmodelled(kind=kind, read=read, written=written, dtype=dtype)
        except DescriptorError as error:
            raise ModelFileError(f"{self.label}: {kind}: {error}") from None

    def _values(self, node: Any, index: int) -> list[Any] | None:
        """The elements of an operand that is a small constant or known shape arithmetic."""
        value = node.inputs[index] if index < len(node.inputs) else None
        return None if value is None else shapes.known_elements(value, self.dims)

    def note(self, text: str, name: str) -> None:
        """Warn of a node; equal texts are joined."""
        self._notes.append((text, name))

    def _joined_notes(self) -> list[str]:
        names: dict[str, list[str]] = {}
        for text, name in self._notes:
            names.setdefault(text, []).append(name)
        return [f"{text} ({_some(which)})" for text, which in names.items()]


@dataclass(slots=True)
class _NodeCall(Call):
    """A call that knows its node of the file."""

    node: Any

    def keeps_type(self) -> bool:
        types = {self.node.inputs[0].dtype, self.node.outputs[0].dtype} - {None}
        return Call.keeps_type(self) and len(types) < 2


def _contradiction(node: Any, error: Exception) -> str:
    """What to say where a rule met attributes or operands of a kind that the operator's definition rules out."""
    return f"the node {node.name!r} ({node.op_type}) does not follow the operator's definition: {error}"


def _some(names: list[str]) -> str:
    return repr(names[0]) if len(names) == 1 else f"{names[0]!r} and {len(names) - 1} more"


def _source_op(node: Any) -> str:
    return node.op_type if node.domain in _STANDARD else f"{node.domain}::{node.op_type}"
