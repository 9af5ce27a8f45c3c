"""Memory that kernels of ONNX Runtime's CPU provider take for themselves while they run.

Only what can reach the size of a tensor: of the buffers of a few kilobytes a thread nothing is counted.
"""

from __future__ import annotations

from math import prod

from perfmodel.dtypes import element_bytes
from perfmodel.graph import Graph, Node, Tensor
from perfmodel.ops import Attention, Conv, Elementwise, Rnn

_SCORE_BYTES = 4


def cpu_scratch_bytes(graph: Graph, node: Node) -> float:
    """Bytes of scratch of one node; 0 where none is known.

    ==================  ===============================================================================================
    ``Where``           what is taken of either operand, broadcast with the condition, is written out before the two are
                        merged (``where_op.cc``)
    ``ConvTranspose``   the product of weights and one image, before it is scattered: c_out / groups · kernel ·
                        input extent (``conv_transpose.cc``)
    fused attention     the scores of all heads in fp32 (``attention_cpu_base.h``)
    recurrent layers    the gates of all steps, which one GEMM a direction makes; a second direction also reads its input, and
                        writes its result, in reverse (``uni_directional_lstm.cc``)
    ==================  ===============================================================================================
    """
    attention = [op for op in (node.op, *node.fused) if isinstance(op, Attention)]
    if attention:
        return float(sum(op.scores for op in attention)) * _SCORE_BYTES
    if isinstance(node.op, Elementwise) and node.op.kind == "where":
        return _selections(graph, node)
    if isinstance(node.op, Conv) and node.op.transposed:
        return _columns(node.op)
    if isinstance(node.op, Rnn):
        return _recurrent(node.op)
    return 0.0


def _selections(graph: Graph, node: Node) -> float:
    tensors = [graph.tensors.get(name) for name in node.inputs]
    if len(tensors) != 3 or any(t is None or t.shape is None for t in tensors):
        return 0.0
    condition, *operands = (t for t in tensors if t is not None)
    return sum(_broadcast_elements(condition, t) * element_bytes(t.dtype) for t in operands)


def _broadcast_elements(a: Tensor, b: Tensor) -> float:
    first, second = a.shape or (), b.shape or ()
    rank = max(len(first), len(second))
    axes = zip((1,) * (rank - len(first)) + first, (1,) * (rank - len(second)) + second, strict=True)
    return float(prod(max(x, y) for x, y in axes))


def _recurrent(op: Rnn) -> float:
    width = op.directions * op.gates * op.hidden_size
    if op.directions == 2:
        width = width + op.input_size + op.hidden_size
    return float(op.seq_len * op.batch * width) * element_bytes(op.dtype)


def _columns(op: Conv) -> float:
    kernel = op.kernel_h * op.kernel_w * op.kernel_d
    if kernel == 1:
        return 0.0
    return float(op.c_out / op.groups * kernel * op.h * op.w * op.depth) * element_bytes(op.dtype)
