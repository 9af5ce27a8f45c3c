"""Memory of a model: weights, what is alive between kernels, workspace, keys and values.

    report = plan(graph)                     # on an accelerator
    report = plan_on_cpu(graph)              # as ONNX Runtime does it on a CPU

===============  =============================================================================
``runtime``      how runtimes hand out memory: what they overwrite, keep and hand on
``buffers``      which tensors share memory, and from when to when each piece of it is needed
``scratch``      what kernels of a CPU runtime take for themselves
``layout``       copies between layouts of channels that a CPU runtime makes
``kv_cache``     which tensors are cached keys and values, and what they grow with
``placement``    offsets in one arena, and what its holes cost
``plan``         the walk: bytes in use at every node, the peak and its owners
===============  =============================================================================
"""

from __future__ import annotations

from perfmodel.graph import Graph
from perfmodel.predict.memory.kv_cache import KVCache
from perfmodel.predict.memory.layout import with_reorders
from perfmodel.predict.memory.plan import MemoryPlan, Owner, Workspace, plan
from perfmodel.predict.memory.runtime import ENGINE, ONNXRUNTIME_CPU, Runtime, runtime_of
from perfmodel.predict.memory.scratch import cpu_scratch_bytes


def plan_on_cpu(graph: Graph) -> MemoryPlan:
    """The plan of ONNX Runtime's CPU provider, with the scratch of its kernels.

    Args:
        graph: bound, and fused as that runtime fuses (:func:`perfmodel.features.fusion.fuse_for_cpu`).
    """
    graph = with_reorders(graph)
    return plan(graph, ONNXRUNTIME_CPU, workspace=[cpu_scratch_bytes(graph, node) for node in graph.nodes])


__all__ = [
    "ENGINE", "ONNXRUNTIME_CPU", "KVCache", "MemoryPlan", "Owner", "Runtime", "Workspace", "plan", "plan_on_cpu",
    "runtime_of",
]  # fmt: skip
