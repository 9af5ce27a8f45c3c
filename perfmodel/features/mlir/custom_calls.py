"""Custom calls: the targets that XLA and its libraries use; every other one is listed as unmodelled by its name."""

from __future__ import annotations

import re
from typing import Any

from perfmodel import ops
from perfmodel.features.mlir.call import Call, Rule, RuleError
from perfmodel.features.mlir.contractions import Operand, contract, out_dtype_of
from perfmodel.features.mlir.rules_hlo_movement import top_k
from perfmodel.features.onnx.rules_memory import over
from perfmodel.graph import Removed

_NOTHING = frozenset(
    "shape_assertion Sharding SPMDFullToShardShape SPMDShardToFullShape annotate_device_placement "
    "xla.sdy.FuncResultSharding xla.sdy.GlobalToLocalShape xla.sdy.LocalToGlobalShape LayoutConstraint "
    "MoveToHost MoveToDevice xla_python_cpu_callback PadToStatic SliceToDynamic X64Combine X64SplitLow "
    "X64SplitHigh AllocateBuffer AssumeGatherIndicesInBound Eigen_identity check.expect_eq check.eq mark_tensor "
    "stablehlo.identity tf.identity".split()
)
"""Targets that mark or check something and run no kernel."""

_GEMM = re.compile(
    r"__(cublas\$(gemm|lt\$matmul(\$f8)?)|onednn\$matmul)|.*[_.$](gemm|matmul)|gemm|matmul", re.IGNORECASE
)
_ATTENTION = re.compile(r"__cudnn\$fmha\w*|.*(flash_attention|fmha|mha_fwd|dot_product_attention).*", re.IGNORECASE)
_ELEMENTWISE = {
    "mhlo.erf": "erf", "mhlo.asin": "asin", "mhlo.acos": "acos", "mhlo.acosh": "acosh", "mhlo.asinh": "asinh",
    "mhlo.atanh": "atanh", "mhlo.sinh": "sinh", "mhlo.cosh": "cosh", "mhlo.tan": "tan", "chlo.erf": "erf",
    "ErfInv": "erf", "stablehlo.gelu": "gelu", "gelu": "gelu", "mhlo.softmax": "",
}  # fmt: skip


def custom_call(call: Call) -> None:
    """A call of something outside of the module."""
    target = str(call.attributes.get("call_target_name", ""))
    if target in _NOTHING:
        _nothing(call)
    elif _ATTENTION.fullmatch(target):
        _attention(call)
    elif _GEMM.fullmatch(target):
        _gemm(call)
    elif target.lower() in ("topk", "mhlo.topk", "__gpu$topk", "chlo.top_k", "stablehlo.dynamic_top_k"):
        answer = top_k(call)
        call.emit(answer.op, (call.tensor(0),), [t for t in call.outputs if t is not None], answer.attributes)
    elif _ELEMENTWISE.get(target):
        x, out = call.tensor(0), call.result()
        call.emit(ops.Elementwise(kind=_ELEMENTWISE[target], elements=out.elements, dtype=x.dtype), (x,), (out,))
    elif target in ("__onednn$softmax", "softmax"):
        x, out = call.tensor(0), call.result()
        cols = (x.shape or (1,))[-1]
        call.emit(ops.Softmax(rows=over(x.elements, cols), cols=cols, dtype=x.dtype), (x,), (out,), {"axis": -1})
    elif target in ("__onednn$layernorm", "layer_norm", "__cudnn$norm"):
        x, out = call.tensor(0), call.result()
        cols = (x.shape or (1,))[-1]
        inputs = [t for t in call.inputs if t is not None]
        call.emit(ops.Norm(kind="layernorm", rows=over(x.elements, cols), cols=cols, dtype=x.dtype), inputs, (out,))
    else:
        raise RuleError(f"nothing is known of the target @{target}")


def _nothing(call: Call) -> None:
    for value, known in zip(call.operation.results, call.known, strict=False):
        call.convert.alias(value, known)
    convert = call.convert
    convert.removed.append(Removed(convert.name_of(call.operation), call.operation.name, "marks or checks something"))


def _gemm(call: Call) -> None:
    """cuBLAS and oneDNN: A and B with or without batches, of which the contracted axes follow from the shapes."""
    a, b, out = call.tensor(0), call.tensor(1), call.result()
    rank = len(out.shape or ())
    sizes = out.shape or ()
    if len(a.shape or ()) != rank or len(b.shape or ()) not in (2, rank) or rank < 2:
        raise RuleError("the ranks of its operands are no product's")
    batch: list[Any] = [f"b{i}" for i in range(rank - 2)]
    # Which of the last two axes of A are rows: the one that is as long as the result's; B likewise.
    plain_a = (a.shape or ())[-2] == sizes[-2]
    plain_b = (b.shape or ())[-1] == sizes[-1]
    of_a = [*batch, *("mk" if plain_a else "km")]
    of_b = [*(batch if len(b.shape or ()) == rank else ()), *("kn" if plain_b else "nk")]
    answer, swapped = contract(Operand(a, of_a), Operand(b, of_b), [*batch, "m", "n"], out_dtype=out_dtype_of(a, out))
    others = [t for t in call.inputs[2:] if t is not None]
    pair = (b, a) if swapped else (a, b)
    call.emit(
        answer.op,
        (*pair, *others),
        [t for t in call.outputs if t is not None],
        answer.attributes,
        extra=answer.extra_bytes_read + sum(t.bytes for t in others),
    )


def _attention(call: Call) -> None:
    """cuDNN's fused attention: Q, K and V of four axes, [batch, heads, length, width] or [batch, length, heads, width]."""
    q, k, v, out = call.tensor(0), call.tensor(1), call.tensor(2), call.result()
    if not all(t.shape is not None and len(t.shape) == 4 for t in (q, k, v)):
        raise RuleError("its operands do not have four axes")
    (batch, x, y, width), kv = q.shape or (), k.shape or ()
    config = str(call.attributes.get("backend_config", ""))
    is_length_first = "bshd" in config.lower() or (kv[2] == y and kv[1] != x)
    q_len, heads = (x, y) if is_length_first else (y, x)
    kv_len, kv_heads = (kv[1], kv[2]) if is_length_first else (kv[2], kv[1])
    causal = "CAUSAL" in config.upper() and "NO_MASK" not in config.upper()
    op = ops.Attention(
        phase="decode" if q_len == 1 else "prefill" if causal else "encoder", batch=batch, heads=heads,
        kv_heads=kv_heads, q_len=q_len, kv_len=kv_len, head_dim=width, causal=causal and q_len != 1, dtype=q.dtype,
    )  # fmt: skip
    others = [t for t in call.inputs[3:] if t is not None]
    call.emit(op, (q, k, v, *others), [t for t in call.outputs if t is not None], extra=sum(t.bytes for t in others))
    _ = out


RULES: dict[str, Rule] = {"stablehlo.custom_call": custom_call, "mhlo.custom_call": custom_call}
