"""The ONNX reader: a model file in, a :class:`perfmodel.graph.Graph` of operator descriptors out.

=================  =================================================================================
``load``           file → checked protobuf → ``onnx_ir`` model; limits; weights are never read
``wire``           drops weights from a large file before it is parsed
``check``          names, counts, nesting, places of external data
``functions``      model-local functions are expanded in place
``prepare``        node names, order of the nodes, weights without data
``external``       which stored tensors are small constants, and where they may be read from
``dims``           names of the symbolic dimensions, and the numbers given for them
``expressions``    dimension expressions, parsed without evaluating anything
``shapes``         shape inference, with ``fallback`` to onnx's own for single nodes
``*_shapes``       shape functions for operators that the inference library lacks or gets wrong
``sequences``      how many tensors sequences hold, and of which shapes
``loops``          the dimensions that say how often bodies run
``small``          the values of small constants
``element_types``  operands whose element types do not fit
``constants``      what an engine computes once: constants and shape arithmetic
``call``           one operator of the file, as a rule sees it
``rules_*``        one small function an operator: ``Call`` → descriptor
``rules``          the table of all of them
``control``        If, Loop, Scan, SequenceMap and search loops
``convert``        the inferred model → ``Graph``
``reader``         puts it together
=================  =================================================================================
"""

from __future__ import annotations

from perfmodel.features.onnx.reader import model_dims, read_onnx

__all__ = ["model_dims", "read_onnx"]
