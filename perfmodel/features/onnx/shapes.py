"""Shape inference: every tensor's shape and dtype from those of the inputs.

``onnx_shape_inference`` does the work (it keeps symbolic expressions and follows shape arithmetic); onnx's own
inference helps where it has no rule; what the file declares itself is the last resort, since exporters often leave it
stale.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from perfmodel.errors import ModelFileError
from perfmodel.features.onnx import (
    branches,
    element_types,
    expressions,
    fallback,
    loops,
    operator_shapes,
    sequences,
    small,
)
from perfmodel.features.onnx.dims import Dimensions
from perfmodel.features.onnx.load import LoadedModel

if TYPE_CHECKING:
    import onnx_ir as ir

_ROUNDS = 4
"""Each round lets shapes found by one helper flow on through the other; models need one, rarely two."""


def infer(loaded: LoadedModel, dims: Dimensions) -> list[str]:
    """Infer every shape of a model whose inputs are bound; the model is changed in place.

    Returns:
        Warnings, one line each.

    Raises:
        ModelFileError: operands that do not fit each other.
    """
    model, graphs = loaded.model, loaded.graphs
    declared = _forget_declared(loaded, dims)

    def dtype_of(value: Any) -> Any:
        return _dtype(value, declared)

    with _Inference(loaded) as inference:
        inference.evaluate(dtype_of)
        inference.run()
        for _ in range(_ROUNDS):
            evaluated = inference.evaluate(dtype_of)
            graphs = inference.graphs
            followed = sequences.follow(model.graph, dims)
            loose = [n for graph in graphs for n in graph if any(_is_loose(o, dims) for o in n.outputs)]
            if not loose and not followed:
                break
            completed = _complete(loose, declared, dims, model) | followed
            if not evaluated and not completed:
                break
            # What follows from a dimension that is known by now must be inferred anew.
            for node in loose:
                for value in node.outputs:
                    if value not in completed and value.shape is not None and _is_loose(value, dims):
                        value.shape = None
            inference.run()
    element_types.check(model, inference.graphs, dims.label, declared)
    return [*inference.notes, *_disagreements(model.graph.outputs, declared)]


def _disagreements(outputs: Iterable[Any], declared: dict[Any, tuple[Any, Any]]) -> list[str]:
    """Outputs for which the file declares fixed dimensions that inference does not find."""
    found = []
    for value in outputs:
        shape = declared.get(value, (None, None))[0]
        if shape is None or value.shape is None:
            continue
        fits = len(shape) == len(value.shape) and all(
            a == b for a, b in zip(shape, value.shape, strict=True) if isinstance(a, int) and isinstance(b, int)
        )
        if not fits:
            found.append(
                f"the file declares the shape {shape} for the output {value.name!r}; inferred and used: {value.shape}"
            )
    return found


_KEEPS_DTYPE = frozenset("Identity Squeeze Unsqueeze Reshape Gather Slice Transpose Flatten Concat Add Sub Mul".split())


def _dtype(value: Any, declared: dict[Any, tuple[Any, Any]]) -> Any:
    """The dtype of a value before inference has run: declared, or followed back through a few simple operators."""
    import onnx_ir as ir

    for _ in range(8):
        known = value.dtype if value.dtype is not None else declared.get(value, (None, None))[1]
        if known is not None:
            return known
        tensor = small.tensor_of(value)
        if tensor is not None:
            return tensor.dtype
        node = value.producer()
        if node is None or not node.inputs or node.inputs[0] is None:
            return None
        if node.op_type in ("Shape", "Size"):
            return ir.DataType.INT64
        if node.op_type not in _KEEPS_DTYPE:
            return None
        value = node.inputs[0]
    return None


def _is_loose(value: Any, dims: Dimensions) -> bool:
    """Whether a tensor's shape or dtype is unknown, or has a dimension that no input determines."""
    import onnx_ir as ir

    if value.type is not None and not isinstance(value.type, ir.TensorType):
        return False
    if not value.name:
        return False
    return value.shape is None or value.dtype is None or any(dims.resolve(d) is None for d in value.shape)


def _forget_declared(loaded: LoadedModel, dims: Dimensions) -> dict[Any, tuple[Any, Any]]:
    """Take away what the file says about tensors that inference covers; keep it, bound, for those it may miss."""
    import onnx_ir as ir

    inputs = set(loaded.model.graph.inputs)
    declared: dict[Any, tuple[Any, Any]] = {}
    for graph in loaded.graphs:
        for value in graph.inputs:
            if value not in inputs and value.shape is not None:
                value.shape = ir.Shape([dims.as_ir(d) for d in value.shape])
        for node in graph:
            for value in node.outputs:
                if value.type is not None and not isinstance(value.type, ir.TensorType):
                    continue
                if value.shape is not None or value.dtype is not None:
                    shape = None if value.shape is None else ir.Shape([dims.as_ir(d) for d in value.shape])
                    declared[value] = (shape, value.dtype)
                    value.shape = None
                    value.type = None
    return declared


_ASIDE = "perfmodel.aside"
"""A domain that shape inference has no rules for."""

_MAX_FAILED = 50
"""Each failure costs another pass over the model."""

_MAX_FAILED_ALIKE = 3
"""Failures on one operator after which all its nodes are kept out together."""


class _Inference:
    """The symbolic inference, with a way to keep single nodes out of it (under a domain without rules) until the end.

    Kept out are nodes whose value is known better, and nodes on which a rule fails although onnx knows their shapes;
    where onnx agrees with the failure, the model contradicts itself.
    """

    def __init__(self, loaded: LoadedModel) -> None:
        self.model = loaded.model
        self.graphs = loaded.graphs
        self.label = loaded.label
        self.notes: list[str] = []
        self._aside: list[tuple[Any, str]] = []
        self._failed: Counter[tuple[str, str]] = Counter()

    def __enter__(self) -> _Inference:
        return self

    def __exit__(self, *_: object) -> None:
        for node, domain in self._aside:
            node.domain = domain
            del node.meta[fallback.OWN_DOMAIN]

    def evaluate(self, dtype_of: Callable[[Any], Any]) -> bool:
        """Evaluate what follows from small constants and known shapes, and decide the Ifs that this decides.

        Returns:
            Whether anything new is known.
        """
        evaluated = small.evaluate_all(self.graphs, dtype_of, branches.repeated(self.graphs))
        self.keep(evaluated)
        inlined = branches.inline_decided(self.graphs)
        if inlined:
            self.graphs = tuple(self.model.graphs())
        return bool(evaluated) or inlined

    def keep(self, nodes: Iterable[Any]) -> None:
        """Keep what is known of the outputs of these nodes."""
        for node in nodes:
            if node.domain == _ASIDE:
                continue
            self._aside.append((node, node.domain))
            node.meta[fallback.OWN_DOMAIN] = node.domain
            node.domain = _ASIDE

    def run(self) -> None:
        """Infer all shapes.

        Raises:
            ModelFileError: operands that do not fit each other.
        """
        import onnx_shape_inference

        operator_shapes.register()
        while True:
            try:
                onnx_shape_inference.infer_symbolic_shapes(
                    self.model, warn_on_missing=False, adopt_declared_symbols=False
                )
                return
            except RecursionError:
                raise ModelFileError(f"{self.label}: the model is nested too deeply for shape inference") from None
            except Exception as error:
                # The library reports contradictions and its own failures alike.
                name = getattr(error, "node_name", None) or getattr(getattr(error, "node", None), "name", None)
                node = _named(self.graphs, name)
                if node is None or self._failed.total() >= _MAX_FAILED:
                    raise self._contradiction(error) from None
                self._failed[node.domain, node.op_type] += 1
                knows = _onnx_knows(self.model, node)
                undecided = node.graph in branches.undecided(self.model)
                if knows is False and undecided:
                    self._leave_out(node)
                elif knows or undecided:
                    self._keep_like(node)
                else:
                    raise self._contradiction(error) from None

    def _keep_like(self, node: Any) -> None:
        """Keep a node out; after a few failures on its operator, all nodes of that operator."""
        kind = (node.domain, node.op_type)
        alike = self._failed[kind] >= _MAX_FAILED_ALIKE
        self.keep(n for g in self.graphs for n in g if n is node or (alike and (n.domain, n.op_type) == kind))

    def _contradiction(self, error: Exception) -> ModelFileError:
        return ModelFileError(f"{self.label}: its shapes do not fit: {_one_line(error)}")

    def _leave_out(self, node: Any) -> None:
        """A node of a branch does not fit: for these dimensions the other one runs."""
        chosen = branches.rule_out(self.model, node.graph)
        if chosen is None:
            self.keep([node])
            return
        name, which = chosen
        self.notes.append(
            f"If: its {which} branch does not fit the dimensions given; counted as the other one ({name!r})"
        )
        self.graphs = tuple(self.model.graphs())


def _named(graphs: Iterable[Any], name: str | None) -> Any:
    return next((n for graph in graphs for n in graph if n.name == name), None) if name else None


def _onnx_knows(model: Any, node: Any) -> bool | None:
    """Whether onnx knows the shapes of a node that the symbolic inference failed on.

    Returns:
        False where onnx, too, says that its operands do not fit; None where it says nothing.
    """
    try:
        return fallback.infer_node(node, _opset(model, node)) or None
    except fallback.ContradictionError:
        return False


def _opset(model: Any, node: Any) -> int:
    return int(model.opset_imports.get(fallback.domain_of(node), 1))


def _one_line(error: Exception) -> str:
    cause = error.__cause__
    text = f"{error}: {cause}" if cause is not None else str(error)
    return " ".join(text.split())[:300]


def _complete(loose: list[Any], declared: dict[Any, tuple[Any, Any]], dims: Dimensions, model: Any) -> set[Any]:
    """Give tensors that inference cannot follow what onnx infers, or what the file declares for them.

    Returns:
        The tensors for which that brought something.

    Raises:
        ModelFileError: onnx says that a node's operands do not fit.
    """
    import onnx_ir as ir

    found: set[Any] = set()
    for node in loose:
        unknown = [v for v in node.outputs if v.name and (v.shape is None or v.dtype is None)]
        try:
            if unknown and fallback.infer_node(node, _opset(model, node)):
                found.update(unknown)
        except fallback.ContradictionError as error:
            raise ModelFileError(
                f"{dims.label}: its shapes do not fit: the node {node.name!r} ({node.op_type}): {error}"
            ) from None
        follow = _FOLLOWED.get(node.op_type)
        sizes = follow(node, dims) if follow is not None and node.domain in ("", "ai.onnx") else None
        if sizes is not None and not any(isinstance(s, float) for s in sizes):  # a size that is no whole number is none
            node.outputs[0].shape = ir.Shape([s if isinstance(s, int) else ir.SymbolicDim(s) for s in sizes])
            found.add(node.outputs[0])
            continue
        for value in node.outputs:
            shape, dtype = declared.get(value, (None, None))
            if value.dtype is None and dtype is not None:
                value.type = ir.TensorType(dtype)
                found.add(value)
            if shape is None:
                continue
            if value.shape is None:
                merged = list(shape)
            elif value.shape.rank() == shape.rank():
                merged = [
                    b if dims.resolve(a) is None and dims.resolve(b) is not None else a
                    for a, b in zip(value.shape, shape, strict=True)
                ]
            else:
                continue
            if value.shape is None or merged != list(value.shape):
                value.shape = ir.Shape(merged)
                found.add(value)
    return found


def _fill_shape(node: Any, dims: Dimensions) -> list[Any] | None:
    """ConstantOfShape: the operand's elements."""
    return known_elements(node.inputs[0], dims) if node.inputs and node.inputs[0] is not None else None


def _pad_shape(node: Any, dims: Dimensions) -> list[Any] | None:
    """Pad: each size and what is added on either side."""
    if len(node.inputs) < 2 or node.inputs[0] is None or node.inputs[1] is None or node.inputs[0].shape is None:
        return None
    sizes = [dims.resolve(d) for d in node.inputs[0].shape]
    added = known_elements(node.inputs[1], dims)
    axes: list[Any] | None = list(range(len(sizes)))
    if len(node.inputs) > 3 and node.inputs[3] is not None:
        axes = known_elements(node.inputs[3], dims)
    if added is None or axes is None or len(added) != 2 * len(axes) or any(s is None for s in sizes):
        return None
    for number, axis in enumerate(axes):
        if not -len(sizes) <= axis < len(sizes):
            return None
        sizes[axis] = sizes[axis] + added[number] + added[number + len(axes)]
    return sizes


_FOLLOWED: dict[str, Callable[[Any, Dimensions], list[Any] | None]] = {
    "ConstantOfShape": _fill_shape,
    "Pad": _pad_shape,
}
"""Operators whose result the symbolic inference does not follow where its size is arithmetic on open dimensions."""


def name_data_dimensions(model: ir.Model, dims: Dimensions) -> None:
    """Name the dimensions that no input determines after the first tensor that has them.

    Bodies of If, Loop and Scan are left out: what is unknown inside them stays unknown.
    """
    for node in model.graph:
        for number, value in enumerate(node.outputs):
            if value.shape is None:
                continue
            for axis, dim in enumerate(value.shape):
                if isinstance(dim, int) or dim.value is None or dims.resolve(dim) is not None:
                    continue
                expression = expressions.parse(dim.value)
                where = f"{node.op_type} ({node.name})" if node.name else node.op_type
                # What a Loop collects has an element an iteration.
                is_count = node.op_type == "Loop" and axis == 0 and number >= len(node.inputs) - 2
                name = loops.trips_name(node) if is_count else f"{value.name or node.op_type}_{axis}"
                for symbol in sorted(expression.free_symbols, key=str) if expression is not None else ():
                    dims.name_of_data(str(symbol), name, where)


def known_elements(value: Any, dims: Dimensions) -> list[Any] | None:
    """The elements of a small constant, or of shape arithmetic that inference followed (ints or expressions)."""
    import json

    from onnx_shape_inference import SYM_DATA_KEY

    followed = value.metadata_props.get(SYM_DATA_KEY) if value.metadata_props else None
    if followed is not None:
        elements = [e if isinstance(e, int) else dims.resolve(str(e)) for e in json.loads(followed)]
        return None if any(e is None for e in elements) else elements
    array = small.array_of(value)
    return None if array is None else list(array.reshape(-1).tolist())
