"""The plotting library of the page: Vega, as one script.

``vl-convert-python``, which the Vega project maintains, carries Vega's source and bundles it: 0.9 MB, where Plotly's only
bundle in a Python package has more than 4.5 MB, and Bokeh's 1.3 MB without a grammar for rectangles on several scales.
"""

from __future__ import annotations

from functools import lru_cache

from perfmodel.errors import MissingExtraError

_SNIPPET = "window.vegaEmbed = vegaEmbed;"
"""What of the bundle the page uses: Vega by way of its embedding, whose interpreter of expressions needs no ``eval``."""


def check_installed() -> None:
    """Refuse early where the library is missing.

    Raises:
        MissingExtraError: it is.
    """
    from importlib.util import find_spec

    if find_spec("vl_convert") is None:
        raise MissingExtraError("vl_convert", "report", "a report page")


@lru_cache(maxsize=1)
def script() -> str:
    """JavaScript that defines ``window.vegaEmbed``; made once a process, in some seconds.

    Raises:
        MissingExtraError: the package is not installed.
    """
    check_installed()
    import vl_convert

    text: str = vl_convert.javascript_bundle(_SNIPPET)
    # Inside a <script> element nothing may look like its end, not even in a string.
    return text.replace("</script", "<\\/script").replace("<!--", "<\\!--")


@lru_cache(maxsize=1)
def version() -> str:
    """The version of Vega that is in the script."""
    import vl_convert

    number: str = vl_convert.get_vega_version()
    return number
