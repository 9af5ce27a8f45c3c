"""The table of all rules: operation → description; and the operations that need none."""

from __future__ import annotations

from functools import lru_cache

from perfmodel.features.mlir import (
    custom_calls,
    rules_elementwise,
    rules_generic,
    rules_hlo,
    rules_linalg,
    rules_tensor,
    rules_torch,
    rules_torch_movement,
    rules_torch_reductions,
    rules_tosa,
)
from perfmodel.features.mlir.call import Rule
from perfmodel.features.mlir.ir import Operation

RULES: dict[str, Rule] = {
    **rules_elementwise.RULES, **rules_hlo.RULES, **rules_linalg.RULES, **rules_generic.RULES, **rules_tosa.RULES,
    **rules_tensor.RULES, **custom_calls.RULES,
}  # fmt: skip
"""Rules by the operation's name; the torch dialect's by function (:func:`rule_for`)."""

ATEN: dict[str, Rule] = {**rules_torch_movement.ATEN, **rules_torch_reductions.ATEN, **rules_torch.ATEN}
"""Rules of ``torch.aten`` by function, overload left out."""

_FULL = (
    rules_hlo.FULL | rules_linalg.FULL | rules_tosa.FULL | rules_tensor.FULL | frozenset(custom_calls.RULES)
    | {"linalg.generic"}
) - {"linalg.generic"}  # fmt: skip

TERMINATORS = frozenset(
    "func.return return stablehlo.return mhlo.return chlo.return scf.yield affine.yield linalg.yield tosa.yield "
    "tensor.yield gpu.return torch.prim.Loop.condition torch.prim.If.yield util.return flow.return cf.br cf.cond_br "
    "cf.switch scf.reduce.return gpu.terminator scf.in_parallel scf.condition torch.global_slot.module_initializer "
    "shape.assuming_yield vector.yield memref.alloca_scope.return spirv.Return spirv.ReturnValue llvm.return sdy.return "
    "torch.initialize.global_slots gpu.yield scf.reduce tt.return tt.reduce.return llvm.unreachable".split()
)
"""Operations that end a block and hand values on."""

_CHECKS = "a check, an assumption or a mark: it runs no kernel"
_STORAGE = "storage alone"
_SYMBOLS = "a symbol or a type: nothing of it runs"

IGNORED: dict[str, str] = {
    **dict.fromkeys(
        "cf.assert torch.runtime.assert stablehlo.after_all mhlo.after_all stablehlo.create_token mhlo.create_token "
        "torch.bind_symbolic_shape shape.cstr_broadcastable shape.cstr_eq shape.cstr_require gpu.barrier "
        "gpu.wait nvgpu.device_async_wait sdy.mesh mesh.mesh mesh.shard memref.prefetch affine.prefetch util.optimization "
        "stablehlo.partition_id stablehlo.replica_id mhlo.partition_id mhlo.replica_id transform.named_sequence "
        "torch.prim.RaiseException torch.prim.device torch.prim.dtype ub.poison gpu.printf vector.print llvm.intr.assume "
        "tt.print tt.assert llvm.intr.lifetime.start llvm.intr.lifetime.end llvm.intr.dbg.declare "
        "llvm.intr.dbg.value llvm.unreachable llvm.fence "
        "llvm.intr.stackrestore llvm.intr.prefetch llvm.br llvm.cond_br llvm.switch".split(), _CHECKS
    ),
    **dict.fromkeys(
        "memref.dealloc bufferization.dealloc_tensor bufferization.dealloc gpu.dealloc memref.global "
        "gpu.host_register gpu.host_unregister memref.extract_aligned_pointer_as_index "
        "memref.extract_strided_metadata util.global ml_program.global".split(), _STORAGE
    ),
    **dict.fromkeys(
        "func.func gpu.module gpu.func builtin.module module torch.global_slot torch.class_type torch.nn_module "
        "torch.attr torch.method ml_program.func util.func transform.sequence llvm.func spirv.module gpu.binary "
        "llvm.mlir.global flow.executable hal.executable".split(), _SYMBOLS
    ),
}  # fmt: skip
"""Operations that launch nothing, and why they are left out."""

UNMODELLED: dict[str, str] = {
    "torch.operator": "no rule covers the operator that it names",
    "stablehlo.infeed": "what the host sends is not in the module",
    "stablehlo.outfeed": "it waits for the host",
    "tosa.custom": "it is an operation of another domain",
    "torch.aten.nonzero": "how much it finds depends on data",
}
"""Operations that have no rule on purpose: completes "counted as memory traffic only, because ..."."""


@lru_cache(maxsize=4096)
def rule_for(name: str) -> Rule | None:
    """The rule of an operation, or None."""
    rule = RULES.get(name)
    if rule is not None:
        return rule
    function = _function(name)
    if function is not None:
        table = rules_torch_movement.PRIMS if name.startswith("torch.prims.") else ATEN
        return table.get(function) or table.get(function.rstrip("_"))
    return rules_linalg.named_rule(name)


def named_by(operation: Operation) -> str:
    """The name whose rule an operation has: of ``torch.operator "torch.aten.relu"`` the operator's, where a rule covers it."""
    if operation.name == "torch.operator":
        given = operation.attributes.get("name")
        if isinstance(given, str) and given.startswith("torch.") and rule_for(given) is not None:
            return given
    return operation.name


@lru_cache(maxsize=4096)
def reads_full(name: str) -> bool:
    """Whether an operation reads broadcast operands in full, rather than the smaller ones that those repeat."""
    function = _function(name)
    if function is None:
        return name in _FULL or (name not in RULES and rule_for(name) is None)
    function = function if function in ATEN else function.rstrip("_")
    return function not in rules_torch.SPREADING and function not in rules_torch_movement.SPREADING


def _function(name: str) -> str | None:
    """``add`` of ``torch.aten.add.Tensor``; None for other dialects."""
    for prefix in ("torch.aten.", "torch.prims.", "torch.torchvision."):
        if name.startswith(prefix):
            return name[len(prefix) :].split(".", maxsplit=1)[0]
    return None
