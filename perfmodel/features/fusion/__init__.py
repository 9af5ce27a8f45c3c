"""Fusion: rewrites a graph as an inference engine would run it.

    graph = fuse(read_onnx("model.onnx", dims={"batch": 8}))

It works on descriptors and attributes alone, so that graphs from every reader get the same treatment.

================  ======================================================================================
``rewrite``       the graph under construction; merging refuses to lose a value that something needs
``noops``         identities, dropouts, neutral arithmetic
``quantized``     quantise/dequantise pairs around operators; ``formats`` what their products are called
``transposes``    transposes around what works in any layout
``padding``       padding before convolutions
``activations``   decomposed GELU, SiLU, hard swish, ...; ``approximations`` erf as compilers write it out
``softmax``       decomposed softmax, and its guard against rows without keys
``means``         sums divided by the number of their terms
``norms``         decomposed LayerNorm, RMSNorm, L2 and group norm; residual additions before them
``rope``          rotary position embeddings
``attention``     softmax(Q·K^T)·V, grouped queries, key/value caches
``masks``         whether a mask is causal
``epilogues``     what a GEMM's or convolution's kernel does to its result; batch norms into weights
``cpu``           what the kernels of a CPU runtime take in
``elementwise``   chains of elementwise operators
``layout``        copies and views that no kernel needs
================  ======================================================================================

What is kept: the FLOPs of every matrix product, exactly; every node of the file in one kernel's ``members`` or in
``removed``; topological order. ``fuse(fuse(g)) == fuse(g)``.
"""

from __future__ import annotations

from collections.abc import Callable

from perfmodel.errors import InputError, nearest
from perfmodel.features.fusion.activations import fuse_activations
from perfmodel.features.fusion.attention import append_to_caches, fuse_attention
from perfmodel.features.fusion.bodies import rejoin_bodies
from perfmodel.features.fusion.cpu import fold_cpu_constants, fuse_cpu_activations, fuse_cpu_epilogues, scale_in_gemms
from perfmodel.features.fusion.elementwise import fuse_chains, spread_in_place
from perfmodel.features.fusion.epilogues import fold_constants, fuse_epilogues, read_transposed
from perfmodel.features.fusion.layout import drop_views, read_strided
from perfmodel.features.fusion.means import fuse_means
from perfmodel.features.fusion.noops import remove_noops
from perfmodel.features.fusion.norms import fuse_norms, fuse_residual_norms
from perfmodel.features.fusion.padding import absorb_padding
from perfmodel.features.fusion.quantized import multiply_narrow, store_constants
from perfmodel.features.fusion.quantized_copies import copy_narrow, move_quantization
from perfmodel.features.fusion.rewrite import Rewriter
from perfmodel.features.fusion.rope import fuse_rope
from perfmodel.features.fusion.softmax import fuse_softmax
from perfmodel.features.fusion.transposes import cancel_across
from perfmodel.graph import Graph, without_collection

MODES = ("engine", "none")
"""Values of ``mode`` and of ``--fusion``."""

PASSES = (
    remove_noops,
    # Before all patterns: they know operators, not what stands around them.
    copy_narrow,
    move_quantization,
    multiply_narrow,
    store_constants,
    cancel_across,
    absorb_padding,
    fuse_activations,
    fuse_softmax,
    fuse_norms,
    # After the norms, which are made of means.
    fuse_means,
    fuse_rope,
    fuse_attention,
    fold_constants,
    # Before the epilogues, which would take the same additions.
    fuse_residual_norms,
    # What no pattern took apart is the one kernel that the file has.
    rejoin_bodies,
    read_transposed,
    spread_in_place,
    fuse_epilogues,
    fuse_chains,
    # Last, because patterns tell heads from positions by the shapes that views give.
    drop_views,
    read_strided,
    append_to_caches,
)
"""The rewrites in order; each takes a :class:`perfmodel.features.fusion.rewrite.Rewriter`."""

CPU_PASSES = (
    remove_noops,
    fuse_cpu_activations,
    fuse_norms,
    fold_cpu_constants,
    scale_in_gemms,
    rejoin_bodies,
    read_transposed,
    fuse_cpu_epilogues,
)
"""The rewrites of :func:`fuse_for_cpu`."""

_MAX_ROUNDS = 8


def fuse_for_cpu(graph: Graph) -> Graph:
    """The graph as ONNX Runtime runs it on CPUs: far fewer fusions than engines have on accelerators.

    Norms and activations become one operator; convolutions and GEMMs take in what their kernels do
    (:func:`perfmodel.features.fusion.cpu.fuse_cpu_epilogues`). Attention, chains of elementwise operators, residual
    additions after GEMMs and transposes stay kernels with results of their own, which is what memory is needed for.
    """
    return _rewritten(graph, CPU_PASSES)


def fuse(graph: Graph, mode: str = "engine") -> Graph:
    """The graph as an engine runs it.

    Args:
        graph: from any reader; it is not changed. Symbolic dimensions may be open: where a pattern depends on whether
            two
            of them are equal and that cannot be decided, it does not apply.
        mode: ``"engine"`` fuses; ``"none"`` returns the graph as it is.

    Returns:
        A graph with the same inputs, outputs and results. ``members`` and ``removed`` say where every node went,
        ``warnings`` what had to be assumed.

    Raises:
        InputError: the mode is unknown.
    """
    if mode not in MODES:
        raise InputError(f"unknown fusion mode {mode!r}: {nearest(str(mode), MODES)}")
    return graph if mode == "none" else _rewritten(graph, PASSES)


def _rewritten(graph: Graph, passes: tuple[Callable[[Rewriter], None], ...]) -> Graph:
    with without_collection():
        ws = Rewriter(graph)
        # One rewrite can make room for another; a round without changes is the end, mostly the second.
        for _ in range(_MAX_ROUNDS):
            before = ws.changes
            for rewrite in passes:
                rewrite(ws)
            ws.sweep()
            if ws.changes == before:
                break
        return ws.finish()


__all__ = ["CPU_PASSES", "MODES", "PASSES", "fuse", "fuse_for_cpu"]
