"""What is scalar and vector code: the operations of loop nests over buffers."""

from __future__ import annotations

from perfmodel.features.mlir.ir import Block, Operation
from perfmodel.features.mlir.types import ScalarType, TensorType, VectorType

LOOPS = frozenset("affine.for affine.parallel scf.for scf.parallel scf.forall".split())
BRANCHES = frozenset("affine.if scf.if scf.execute_region scf.index_switch memref.alloca_scope".split())
LOADS = frozenset(
    "memref.load affine.load vector.load vector.transfer_read affine.vector_load vector.gather vector.maskedload "
    "gpu.subgroup_mma_load_matrix nvgpu.ldmatrix".split()
)
STORES = frozenset(
    "memref.store affine.store vector.store vector.transfer_write affine.vector_store vector.scatter vector.maskedstore "
    "gpu.subgroup_mma_store_matrix memref.atomic_rmw".split()
)
POINTER_LOADS = frozenset("tt.load llvm.load llvm.intr.masked.load llvm.intr.masked.gather".split())
POINTER_STORES = frozenset(
    "tt.store tt.atomic_rmw llvm.store llvm.intr.masked.store llvm.intr.masked.scatter llvm.atomicrmw".split()
)
DIALECTS = frozenset(
    "affine scf arith math index memref vector nvgpu gpu complex builtin cf ub amdgpu nvvm rocdl llvm tt".split()
)

FUNCTIONS = frozenset("arith math complex llvm tt".split())
"""Dialects whose operations all compute: one that no rule covers must not pass for registers."""


FREE = frozenset(
    "llvm.getelementptr llvm.extractvalue llvm.insertvalue llvm.extractelement llvm.insertelement llvm.shufflevector "
    "llvm.mlir.undef llvm.mlir.poison llvm.mlir.zero llvm.mlir.addressof llvm.mlir.null llvm.alloca llvm.addrspacecast "
    "llvm.ptrtoint llvm.inttoptr llvm.freeze llvm.intr.expect llvm.intr.stacksave llvm.intr.vscale "
    "llvm.intr.vector.extract llvm.intr.vector.insert llvm.intr.ptr.annotation tt.get_program_id tt.get_num_programs "
    "tt.make_range tt.splat tt.addptr tt.expand_dims tt.broadcast tt.reshape tt.trans tt.bitcast tt.int_to_ptr "
    "tt.ptr_to_int tt.make_tensor_ptr tt.advance tt.join tt.split tt.cat tt.unsplat".split()
)
"""Operations of these dialects that only name, place or rearrange values."""


def is_scalar_code(operation: Operation) -> bool:
    """Whether a loop holds scalar and vector code alone, down to its innermost body."""
    for inner in operation.walk():
        if inner.name in ("gpu.launch", "gpu.launch_func", "memref.copy"):
            return False
        if inner.dialect not in DIALECTS and not _is_function_of_scalars(inner):
            return False
        if any(isinstance(v.type, TensorType) for v in (*inner.operands, *inner.results)):
            return False
    return True


def _is_function_of_scalars(operation: Operation) -> bool:
    """Whether an operation of another dialect (a call, one that is not known) takes or makes scalars or vectors alone."""
    values = (*operation.operands, *operation.results)
    return bool(values) and not operation.regions and all(isinstance(v.type, (ScalarType, VectorType)) for v in values)


def is_kernel_body(block: Block) -> bool:
    """Whether a function is scalar and vector code that loads or stores outside of any loop: one kernel as a whole."""
    if not any(o.name in LOADS or o.name in STORES or o.name.startswith("vector.") for o in block.operations):
        return False
    return is_kernel_code(block)


def is_kernel_code(block: Block) -> bool:
    """Whether a function is scalar and vector code as a whole."""
    return all(o.name in ("func.return", "llvm.return") or is_scalar_code(o) for o in block.operations)
