"""Predictions as artefacts that need no Python (docs/export.md): C99 source, or an ONNX model.

The models run as they are, on arrays that write down what is done with them (:mod:`perfmodel.recording`):

- :mod:`~perfmodel.export.operators`, :mod:`~perfmodel.export.rankers`: a predictor's operators, a ranker's configurations;
- :mod:`~perfmodel.export.schedule`, :mod:`~perfmodel.export.c_source`, :mod:`~perfmodel.export.c_trees`: as C;
- :mod:`~perfmodel.export.onnx_model`: as ONNX.
"""

from __future__ import annotations

from perfmodel.errors import checked_keywords, one_of
from perfmodel.export.operators import Export, operator
from perfmodel.export.rankers import ranker

FORMATS = ("c", "onnx")
"""What an export can be written as."""


@checked_keywords()
def artefact(export: Export, format: str) -> dict[str, bytes]:
    """The files of an export by their names.

    Args:
        export: from :func:`operator` or :func:`ranker`.
        format: one of :data:`FORMATS`.

    Raises:
        InputError: another format, or a step that it cannot hold.
    """
    one_of("format", format, FORMATS)
    if format == "c":
        from perfmodel.export import c_source

        texts = {f"{export.name}.h": c_source.header(export), f"{export.name}.c": c_source.source(export)}
        return {name: text.encode("ascii", "backslashreplace") for name, text in texts.items()}
    from perfmodel.export.onnx_model import model

    return {f"{export.name}.onnx": model(export).SerializeToString()}


__all__ = ["FORMATS", "Export", "artefact", "operator", "ranker"]
