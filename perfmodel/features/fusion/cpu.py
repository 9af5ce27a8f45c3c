"""What the kernels of ONNX Runtime's CPU provider do to their result: less than those of engines on accelerators.

A convolution takes a bias, one residual and an activation that MLAS applies on the way (``ConvActivationFusion``,
``ConvAddActivationFusion``, ``NchwcTransformer``); a GEMM a bias and an activation (``MatMulAddFusion``,
``GemmActivationFusion``), and a factor on either side (``MatMulScaleFusion``). GELU, SiLU and hard swish are kernels of
their own.
"""

from __future__ import annotations

from perfmodel.features.fusion.activations import fuse_activations
from perfmodel.features.fusion.epilogues import fold_constants, fuse_epilogues
from perfmodel.features.fusion.rewrite import Rewriter, Vertex, same
from perfmodel.ops import Conv, Elementwise, Gemm

SCALED_IN_GEMM = "a factor of the GEMM"

_ACTIVATIONS = frozenset({"relu", "leaky_relu", "sigmoid", "tanh", "clip", "hard_sigmoid"})


def fuse_cpu_epilogues(ws: Rewriter) -> None:
    """Bias, activation and, for convolutions, one residual join the product before them."""

    def accepts(host: Vertex, reader: Vertex, residual: bool) -> bool:
        if _is_transposed(host):
            return False
        if residual:
            return isinstance(host.op, Conv) and reader.computes("add") and not _is_activated(host)
        if reader.kind in _ACTIVATIONS:
            return not _is_activated(host)
        if reader.computes("mul", "div"):
            return isinstance(host.op, Gemm) and not host.node.fused and any(map(ws.is_small, reader.inputs))
        return reader.computes("add") and not host.node.fused and any(map(ws.is_constant, reader.inputs))

    fuse_epilogues(ws, accepts)


def fuse_cpu_activations(ws: Rewriter) -> None:
    """Decomposed activations that the runtime knows (``GeluFusion``, ``FastGeluFusion``, ``QuickGeluFusion``)."""
    fuse_activations(ws, hard_swish=False)


def fold_cpu_constants(ws: Rewriter) -> None:
    """Batch norms go into the weights before them, except into those of transposed convolutions."""
    fold_constants(ws, lambda host: not _is_transposed(host))


def _is_transposed(host: Vertex) -> bool:
    return isinstance(host.op, Conv) and host.op.transposed


def scale_in_gemms(ws: Rewriter) -> None:
    """A multiplication by one number that only GEMMs read becomes their factor."""
    for vertex in ws.vertices(Elementwise, newest_first=True):
        if not vertex.computes("mul", "div") or vertex.node.fused or len(vertex.node.outputs) != 1:
            continue
        scaled, factor = vertex.inputs
        if ws.is_small(scaled) and vertex.computes("mul"):
            scaled, factor = factor, scaled
        readers = ws.readers(vertex.output)
        is_factor = (
            ws.is_small(factor) and not ws.is_small(scaled) and same(ws.elements(scaled), ws.elements(vertex.output))
        )
        if is_factor and readers and all(isinstance(r.op, Gemm) and vertex.output in r.inputs[:2] for r in readers):
            ws.bypass(vertex, SCALED_IN_GEMM, source=scaled)


def _is_activated(host: Vertex) -> bool:
    return any(isinstance(f, Elementwise) and f.kind in _ACTIVATIONS for f in host.node.fused)
