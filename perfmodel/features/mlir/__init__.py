"""The MLIR reader: text, bytecode or a live module in, a :class:`perfmodel.features.mlir.ir.Module` out.

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
"""

from __future__ import annotations

from perfmodel.features.mlir.source import read, read_text

__all__ = ["read", "read_text"]
