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
``dialects``       what single operations write differently
``live``           Python objects of MLIR bindings
``source``         which of them a file or object needs
=================  =================================================================================
"""

from __future__ import annotations

from perfmodel.features.mlir.reader import mlir_dims, read_mlir
from perfmodel.features.mlir.source import read, read_text

__all__ = ["mlir_dims", "read", "read_mlir", "read_text"]
