"""What the parts of custom forms mean: official names of attributes, bodies that the text implies.

The names are those of the operations' definitions (TableGen), so that an operation reads the same whether it was
written in its custom form, in the generic form, or never written at all.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

from perfmodel.features.mlir.attributes import AffineMap, Dense, DialectAttribute
from perfmodel.features.mlir.ir import Block, Operation, Region, Value
from perfmodel.features.mlir.pending import Pending
from perfmodel.features.mlir.types import SHAPED, MemRefType, TensorType

_SYMBOL_ATTRIBUTES = {
    "func.call": "callee",
    "util.call": "callee",
    "func.constant": "value",
    "gpu.launch_func": "kernel",
    "memref.get_global": "name",
    "flow.dispatch": "entry_points",
    "util.global.load": "global",
    "util.global.store": "global",
    "ml_program.global_load": "global",
    "ml_program.global_store": "global",
    "stablehlo.custom_call": "call_target_name",
    "mhlo.custom_call": "call_target_name",
}
_DEFINES_SYMBOL = frozenset("module global executable variant export binary global_slot source subgraph".split())
_RENAMED = {
    "broadcast_in_dim": {"dims": "broadcast_dimensions"},
    "dynamic_broadcast_in_dim": {"dims": "broadcast_dimensions"},
    "transpose": {"dims": "permutation"},
    "reverse": {"dims": "dimensions"},
    "concatenate": {"dim": "dimension"},
    "iota": {"dim": "iota_dimension"},
    "dynamic_iota": {"dim": "iota_dimension"},
    "get_dimension_size": {"dim": "dimension"},
    "set_dimension_size": {"dim": "dimension"},
    "dynamic_slice": {"sizes": "slice_sizes"},
    "pad": {"low": "edge_padding_low", "high": "edge_padding_high", "interior": "interior_padding"},
    "rng": {"distribution": "rng_distribution"},
    "fft": {"type": "fft_type", "length": "fft_length"},
    "dot": {"precision": "precision_config"},
    "dot_general": {"precision": "precision_config"},
    "convolution": {"precision": "precision_config"},
}
_HLO = frozenset(("stablehlo", "mhlo", "chlo", "vhlo"))
_INTEGER_PREDICATES = "eq ne slt sle sgt sge ult ule ugt uge".split()
_FLOAT_PREDICATES = "false oeq ogt oge olt ole one ord ueq ugt uge ult ule une uno true".split()


def finish(pending: Pending) -> None:
    """Put what the custom form said under the official names."""
    operation = pending.operation
    name = operation.name
    if pending.symbols:
        _symbols(pending)
    dialect, _, short = name.partition(".")
    if dialect in _HLO:
        renamed = _RENAMED.get(short)
        if renamed is not None:
            attributes = operation.attributes
            for given, official in renamed.items():
                if given in attributes:
                    attributes[official] = attributes.pop(given)
        special = _HLO_FINISHERS.get(short)
    else:
        special = _FINISHERS.get(name)
    if special is not None:
        special(pending)
    elif dialect == "linalg":
        _linalg(pending)
    if pending.literals:
        operation.literals = tuple(pending.literals)


def _symbols(pending: Pending) -> None:
    operation, first = pending.operation, pending.symbols[0]
    official = _SYMBOL_ATTRIBUTES.get(operation.name)
    if official is not None:
        operation.attributes.setdefault(official, first.leaf if official == "call_target_name" else first)
    elif operation.name.rpartition(".")[2] in _DEFINES_SYMBOL or operation.regions:
        operation.attributes.setdefault("sym_name", first.leaf)
        for word in ("private", "public", "nested"):
            if word in pending.literals:
                operation.attributes.setdefault("sym_visibility", word)
    else:
        operation.attributes.setdefault("symbol", first)


# ------------------------------------------------------------------------------------------------------ constants
def _constant(pending: Pending) -> None:
    """The first literal is the value."""
    if pending.literals:
        value = pending.literals.pop(0)
        kinds = pending.types or pending.results
        if pending.operation.name == "torch.constant.float" and isinstance(value, int):
            value = struct.unpack(">d", (value & (2**64 - 1)).to_bytes(8, "big"))[0]
        if isinstance(value, Dense) and value.type is None and kinds:
            value = Dense(kinds[0], value.values, value.resource, value.nbytes)
        pending.operation.attributes.setdefault("value", value)


def _integer_compare(pending: Pending) -> None:
    if pending.literals and pending.literals[0] in _INTEGER_PREDICATES:
        pending.operation.attributes["predicate"] = _INTEGER_PREDICATES.index(pending.literals.pop(0))


def _float_compare(pending: Pending) -> None:
    words = [str(w).lower() if isinstance(w, bool) else w for w in pending.literals[:1]]
    if words and words[0] in _FLOAT_PREDICATES:
        pending.literals.pop(0)
        pending.operation.attributes["predicate"] = _FLOAT_PREDICATES.index(words[0])


def _first_word(official: str) -> Callable[[Pending], None]:
    def name_it(pending: Pending) -> None:
        if pending.literals:
            pending.operation.attributes.setdefault(official, pending.literals.pop(0))

    return name_it


def _dimension(pending: Pending) -> None:
    if pending.literals:
        pending.operation.attributes["dimension"] = DialectAttribute("gpu.dim", str(pending.literals.pop(0)))


def _kernel(pending: Pending) -> None:
    if "kernel" in pending.literals:
        pending.literals.remove("kernel")
        pending.operation.attributes["kernel"] = True


# ---------------------------------------------------------------------------------------------- tensors and buffers
def _slices(pending: Pending) -> None:
    arrays = [x for x in pending.literals if isinstance(x, tuple)]
    if len(arrays) >= 3:
        names = ("static_offsets", "static_sizes", "static_strides")
        pending.operation.attributes.update(zip(names, arrays[-3:], strict=True))
        pending.literals = [x for x in pending.literals if not isinstance(x, tuple)]


def _reassociation(pending: Pending) -> None:
    if pending.literals and isinstance(pending.literals[0], tuple):
        pending.operation.attributes["reassociation"] = pending.literals.pop(0)
    sizes = pending.operation.attributes.pop("output_shape", None)
    if sizes is not None:
        pending.operation.attributes["static_output_shape"] = sizes


def _tensor_pad(pending: Pending) -> None:
    attributes = pending.operation.attributes
    for given, official in (("low", "static_low"), ("high", "static_high")):
        if given in attributes:
            attributes[official] = attributes.pop(given)


def _reinterpret(pending: Pending) -> None:
    attributes = pending.operation.attributes
    for given, official in (("offset", "static_offsets"), ("sizes", "static_sizes"), ("strides", "static_strides")):
        if given in attributes:
            attributes[official] = attributes.pop(given)


def _array(official: str) -> Callable[[Pending], None]:
    """The array among the literals has a name: ``vector.transpose %v, [1, 0]``."""

    def name_it(pending: Pending) -> None:
        for literal in pending.literals:
            if isinstance(literal, tuple):
                pending.operation.attributes.setdefault(official, literal)

    return name_it


def _cases(pending: Pending) -> None:
    """``case 1 {...} case 2 {...} default {...}``; the generic form has the default's region first."""
    operation = pending.operation
    operation.attributes["cases"] = tuple(x for x in pending.literals if type(x) is int)
    operation.regions[:] = operation.regions[-1:] + operation.regions[:-1]


def _bind_symbolic(pending: Pending) -> None:
    for literal in pending.literals:
        if isinstance(literal, AffineMap):
            pending.operation.attributes["shape_expressions"] = literal


def _static_position(pending: Pending) -> None:
    if pending.literals and isinstance(pending.literals[0], tuple):
        pending.operation.attributes["static_position"] = pending.literals.pop(0)


def _kind(pending: Pending) -> None:
    """``vector.reduction <add>, %v``."""
    attributes, rest = pending.operation.attributes, []
    for literal in pending.literals:
        if isinstance(literal, DialectAttribute) and not literal.name:
            attributes["kind"] = DialectAttribute("vector.kind", literal.body)
        elif isinstance(literal, tuple):
            attributes["reduction_dims"] = literal
        else:
            rest.append(literal)
    pending.literals = rest


def _global(pending: Pending) -> None:
    if pending.types:
        pending.operation.attributes["type"] = pending.types[0]
    if "constant" in pending.literals:
        pending.operation.attributes["constant"] = True
    for value in pending.literals:
        if isinstance(value, Dense):
            kind = pending.types[0] if pending.types else None
            if isinstance(kind, MemRefType):
                kind = TensorType(kind.shape, kind.element)
            value = Dense(value.type or kind, value.values, value.resource, value.nbytes)
            pending.operation.attributes["initial_value"] = value


def _linalg(pending: Pending) -> None:
    operation = pending.operation
    if pending.literals[:1] == ["applies"]:
        outs = operation.operands[-operation.operand_groups.get("outs", 1) :]
        ins = operation.operands[: len(operation.operands) - len(outs)]
        used = len(ins) + (len(outs) if operation.name == "linalg.reduce" else 0)
        _imply_body(operation, pending.literals[1], [_element(v) for v in (*ins, *outs)], "linalg.yield", used)
        pending.literals = pending.literals[2:]


# ------------------------------------------------------------------------------------------------ stablehlo and kin
def _dot_general(pending: Pending) -> None:
    attributes = pending.operation.attributes
    _precision(pending)
    if "contracting_dims" not in attributes:
        return
    batching = attributes.pop("batching_dims", ((), ()))
    contracting = attributes.pop("contracting_dims")
    for pair in (batching, contracting):
        if not isinstance(pair, tuple) or len(pair) != 2 or not all(isinstance(side, tuple) for side in pair):
            return
    params: dict[str, Any] = {
        "lhs_batching_dimensions": batching[0],
        "rhs_batching_dimensions": batching[1],
        "lhs_contracting_dimensions": contracting[0],
        "rhs_contracting_dimensions": contracting[1],
    }
    body = ", ".join(f"{key} = [{', '.join(map(str, value))}]" for key, value in params.items() if value)
    given = {key: value for key, value in params.items() if value}
    dialect = pending.operation.dialect
    attributes["dot_dimension_numbers"] = DialectAttribute(f"{dialect}.dot", body, given)


def _precision(pending: Pending) -> None:
    words = pending.operation.attributes.get("precision_config")
    if isinstance(words, tuple):
        kind = f"{pending.operation.dialect}.precision"
        given = tuple(DialectAttribute(kind, w) if isinstance(w, str) else w for w in words)
        pending.operation.attributes["precision_config"] = given


_WINDOW = {
    "stride": "window_strides",
    "pad": "padding",
    "lhs_dilate": "lhs_dilation",
    "rhs_dilate": "rhs_dilation",
    "reverse": "window_reversal",
}


def _convolution(pending: Pending) -> None:
    attributes = pending.operation.attributes
    _precision(pending)
    numbers = attributes.pop("dim_numbers", None)
    if numbers is not None:
        attributes["dimension_numbers"] = DialectAttribute(f"{pending.operation.dialect}.conv", numbers)
    window = attributes.pop("window", None)
    if isinstance(window, dict):
        for key, value in window.items():
            attributes[_WINDOW.get(key, str(key))] = value


def _slice(pending: Pending) -> None:
    ranges = pending.literals[0] if pending.literals else None
    if isinstance(ranges, tuple) and all(isinstance(r, tuple) and len(r) == 3 for r in ranges):
        pending.literals.pop(0)
        for index, official in enumerate(("start_indices", "limit_indices", "strides")):
            pending.operation.attributes[official] = tuple(r[index] for r in ranges)


def _compare(pending: Pending) -> None:
    for official, kind in (("comparison_direction", "comparison_direction"), ("compare_type", "comparison_type")):
        if pending.literals and isinstance(pending.literals[0], str):
            value = DialectAttribute(f"{pending.operation.dialect}.{kind}", pending.literals.pop(0))
            pending.operation.attributes[official] = value


def _reduce(pending: Pending) -> None:
    """Inputs come before all initial values, as in the generic form."""
    operation = pending.operation
    half, odd = divmod(len(operation.operands), 2)
    if not odd and half > 1:
        operation.operands[:] = operation.operands[::2] + operation.operands[1::2]
    if "applies" in pending.literals:
        at = pending.literals.index("applies")
        body = pending.literals[at + 1]
        kinds = [_element(v) for v in operation.operands[half:]] * 2
        if isinstance(body, str):
            _imply_body(operation, body, kinds, f"{operation.dialect}.return")
    elif operation.regions and operation.body is not None and half > 1:
        # (%a: x, %b: x) (%c: y, %d: y) in the text: all first arguments, then all second ones
        arguments = operation.body.arguments
        arguments[:] = arguments[::2] + arguments[1::2]
        for index, value in enumerate(arguments):
            value.index = index
    pending.literals = []


def _composite(pending: Pending) -> None:
    if pending.literals and isinstance(pending.literals[0], str):
        pending.operation.attributes["name"] = pending.literals.pop(0)


def _element(value: Value) -> Any:
    """What a body sees of an operand: a tensor without dimensions in the HLO dialects, a scalar in linalg."""
    kind = value.type
    return kind.element if isinstance(kind, SHAPED) else kind


def _imply_body(operation: Operation, name: str, kinds: list[Any], ending: str, used: int | None = None) -> None:
    """The region that ``applies stablehlo.add`` stands for; the operation takes the first ``used`` arguments."""
    if ending != "linalg.yield":
        kinds = [None if k is None else TensorType((), k) for k in kinds]
    region = Region(parent=operation)
    block = Block(parent=region)
    region.blocks.append(block)
    block.arguments = [Value(kind, f"implied{i}", block, i) for i, kind in enumerate(kinds)]
    applied = Operation(name, block.arguments[:used], parent=block, line=operation.line)
    applied.results = [Value(kinds[-1] if kinds else None, "implied", applied, 0)]
    closing = Operation(ending, list(applied.results), parent=block, line=operation.line)
    block.operations = [applied, closing]
    operation.regions = [region]


_HLO_FINISHERS: dict[str, Callable[[Pending], None]] = {
    "constant": _constant,
    "dot_general": _dot_general,
    "convolution": _convolution,
    "slice": _slice,
    "compare": _compare,
    "reduce": _reduce,
    "composite": _composite,
    "get_tuple_element": _first_word("index"),
}
_FINISHERS: dict[str, Callable[[Pending], None]] = {
    "arith.constant": _constant,
    "arith.cmpi": _integer_compare,
    "arith.cmpf": _float_compare,
    **dict.fromkeys(
        (
            "torch.constant.int torch.constant.float torch.constant.bool torch.constant.str torch.constant.number "
            "torch.vtensor.literal torch.tensor.literal onnx.Constant util.unfoldable_constant "
            "flow.tensor.constant spirv.Constant emitc.constant complex.constant shape.const_shape"
        ).split(),
        _constant,
    ),
    "torch.operator": _first_word("name"),
    **dict.fromkeys(
        "tensor.extract_slice tensor.insert_slice tensor.parallel_insert_slice memref.subview".split(), _slices
    ),
    "memref.reinterpret_cast": _reinterpret,
    "vector.shuffle": _array("mask"),
    "vector.transpose": _array("permutation"),
    "scf.index_switch": _cases,
    "torch.symbolic_int": _first_word("symbol_name"),
    "torch.bind_symbolic_shape": _bind_symbolic,
    **dict.fromkeys(
        "tensor.expand_shape tensor.collapse_shape memref.expand_shape memref.collapse_shape".split(), _reassociation
    ),
    "tensor.pad": _tensor_pad,
    **dict.fromkeys("memref.global util.global ml_program.global".split(), _global),
    **dict.fromkeys("vector.extract vector.insert".split(), _static_position),
    **dict.fromkeys("vector.reduction vector.multi_reduction vector.scan".split(), _kind),
    "linalg.index": _first_word("dim"),
    **dict.fromkeys(
        "gpu.thread_id gpu.block_id gpu.block_dim gpu.grid_dim gpu.global_id gpu.cluster_id".split(), _dimension
    ),
    "gpu.func": _kernel,
    "cf.assert": _first_word("msg"),
}
