"""Measured data: the trace schema, and adapters that read public data sets into it. Needs the extra ``train``.

:func:`load` gives a data set as a table; ``perfmodel datasets`` does it on the command line.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from perfmodel.datasets.build import load as load

__all__ = ["load"]


def __getattr__(name: str) -> Any:
    # Importing a submodule (the schema, say) shall not load the adapters.
    if name == "load":
        from perfmodel.datasets.build import load

        return load
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
