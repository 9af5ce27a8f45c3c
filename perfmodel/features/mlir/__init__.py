"""The MLIR reader: text, bytecode or a live module in, a :class:`perfmodel.graph.Graph` of operator descriptors out.

From a source to a :class:`perfmodel.features.mlir.ir.Module`:

=================  =================================================================================
``types``          types of values
``attributes``     attributes, affine maps, constants without their data
``ir``             operations, values, blocks, regions, the module
``lexer``          the text as tokens, read on demand
``parse_types``    types of the text, each distinct one parsed once
``parse_attributes``  attributes of the text; blobs are skipped
``parse_operations``  the generic form, regions, blocks, scopes of names
``custom``         the general grammar of custom forms
``lists``          its parts: parentheses, brackets, keywords, arguments of regions
``signatures``     functions
``heads``          operations that begin in a way of their own (affine loops and accesses, ...)
``scopes``         which value a name means
``results``        types of results that a custom form does not spell out
``official``       official names of the attributes that a custom form gives
``normalise``      attributes that releases write differently, in one way
``dialects``       short names, terminators and bodies that the text leaves out
``affine_text``    affine maps and sets
``vhlo``           portable artefacts back to StableHLO
``bytecode``       bytecode through the bindings that are installed
``live``           Python objects of MLIR bindings
``source``         which of them a file or object needs
=================  =================================================================================

From there to a graph:

====================  ==============================================================================
``reader``            puts it together: which function, what is known of its arguments
``detect``            whether a model is MLIR at all
``dims``              names of dynamic dimensions, and the numbers given for them
``parameters``        which arguments are weights
``convert``           operations to nodes; ``values`` what is known of values (``known``)
``constants``         what is folded; ``evaluate`` values of small constants; ``positions`` causal masks
``shapes``            shapes that the module leaves open
``element_types``, ``attribute_values``, ``kinds``  types, attributes and scalar functions as perfmodel has them
``control``           calls, branches, loops; ``trips`` how often they run
``layouts``           transposes that belong to TOSA's convolutions
``call``              one operation, as a rule sees it
``recipes``           what a rule did for the first operation of a signature, followed for the others
``rules``             the table of all rules; ``rules_*`` one small function an operation
``contractions``      products by what each axis does; ``convolutions`` the same for windows
``rules_generic``     ``linalg.generic`` by maps and body; ``generic_products``, ``generic_windows``,
                      ``scalar_bodies``, ``bodies``
``custom_calls``      targets outside of the module
``scalar_code``       what is code of nests: loads, stores, functions of scalars
``nests``             loop nests over buffers; ``nest_walk`` what they do, ``indices`` what they reach, ``nest_products``
                      which are products
``kernels``           GPU kernels; ``instructions`` vector and matrix instructions
``dispatches``        IREE's dispatches
``verify``            what contradicts its definition: ``definitions`` numbers of operands, ``shape_checks`` the rest
====================  ==============================================================================
"""

from __future__ import annotations

from perfmodel.features.mlir.reader import mlir_dims, read_mlir
from perfmodel.features.mlir.source import read, read_text

__all__ = ["mlir_dims", "read", "read_mlir", "read_text"]
