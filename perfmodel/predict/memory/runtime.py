"""How runtimes hand out memory: the habits that the planner follows, as data.

Two are told apart, by the kind of the device:

``ENGINE``
    Accelerators. Memory returns to a pool as soon as its tensor is dead, and any later tensor may take it (TensorRT's and
    XLA's planned buffers, PyTorch's caching allocator). Any elementwise kernel may write over an operand that dies.
    Keys and values are appended to a cache that the engine owns (TensorRT-LLM, vLLM).
``ONNXRUNTIME_CPU``
    CPUs. ONNX Runtime plans once, by shapes: a dead buffer is handed on to a later tensor *of the same shape*, and one
    that will be handed on is kept until its last user is done, however long it lies idle in between
    (``allocation_planner.cc``: ``FindReusableTensor``, ``Reuse``, ``GenerateDeallocationPlan``). Its kernels overwrite
    an operand only where their definition says ``MayInplace``. A concatenation of past and new keys is a copy.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from perfmodel.ops import Operator

_ANY: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Runtime:
    """Habits of a runtime.

    Attributes:
        name: for messages.
        alignment: every buffer starts at a multiple of it [bytes].
        in_place: operator families whose result may overwrite an operand that dies there, and which kinds of them do;
            no kinds means all.
        adds_in_place: families whose epilogue may add to a dying residual in its own buffer.
        keeps_buffers: a dead buffer goes to the next tensor of the same shape, and waits for it; otherwise memory is free
            for anything as soon as its tensor is dead.
        owns_cache: cached keys and values lie in one buffer that new ones are appended to; otherwise past and present
            are two.
    """

    name: str
    alignment: int
    in_place: Mapping[str, Collection[str]]
    adds_in_place: Collection[str]
    keeps_buffers: bool
    owns_cache: bool

    def overwrites(self, op: Operator) -> bool:
        """Whether the kernel of an operator may write its result over an operand."""
        kinds = self.in_place.get(op.op)
        return kinds is not None and (not kinds or getattr(op, "kind", None) in kinds)


ENGINE = Runtime(
    name="engine",
    # cudaMalloc aligns to 256 bytes or more (CUDA C++ Programming Guide, "Device Memory Accesses").
    alignment=256,
    in_place={"elementwise": _ANY},
    # A GEMM's C and D may be one matrix (cuBLASLt); a fused add and norm writes the sum over its residual (vLLM).
    adds_in_place=("gemm", "conv", "norm"),
    keeps_buffers=False,
    owns_cache=True,
)

ONNXRUNTIME_CPU = Runtime(
    name="onnxruntime, CPU",
    alignment=256,  # BFCArena::kMinAllocationSize
    # Found by running each operator alone and reading the arena's peak (onnxruntime 1.32): these add nothing to their
    # operand; add, mul, exp, erf, gelu, ... need a second buffer.
    in_place={
        "elementwise": (
            "relu",
            "leaky_relu",
            "thresholded_relu",
            "elu",
            "selu",
            "sigmoid",
            "hard_sigmoid",
            "tanh",
            "softplus",
            "softsign",
            "clip",
        ),
        "softmax": _ANY,
        "copy": ("cast", "scatter"),
    },
    adds_in_place=("conv",),
    keeps_buffers=True,
    owns_cache=False,
)


def runtime_of(kind: str) -> Runtime:
    """The runtime that is assumed for devices of a kind (``"gpu"``, ``"cpu"``, ``"tpu"``)."""
    return ONNXRUNTIME_CPU if kind == "cpu" else ENGINE
