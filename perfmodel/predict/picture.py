"""What pictures of predictions have in common: formats, style, and bytes that are the same each time."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

from perfmodel.errors import InputError, MissingExtraError

FORMATS = ("svg", "png")
BLUE, ORANGE, GREY = "#0072b2", "#d55e00", "#999999"  # told apart by colour-blind readers (Okabe and Ito, 2008)
STYLE: dict[str, Any] = {
    "svg.fonttype": "none", "svg.hashsalt": "perfmodel", "font.family": "sans-serif", "font.size": 9.0,
    "axes.spines.top": False, "axes.spines.right": False, "axes.titlelocation": "left", "axes.titlesize": 10.0,
    "legend.frameon": False, "legend.fontsize": 8.0,
}  # fmt: skip
_TIME = ((1.0, "s"), (1e-3, "ms"), (1e-6, "us"))


def picture_format(path: str) -> str:
    """The format that a file's ending means.

    Raises:
        InputError: it is neither ``.svg`` nor ``.png``.
    """
    ending = path.rpartition(".")[2].lower()
    if ending not in FORMATS:
        raise InputError(f"a plot {path!r}: wanted a name that ends in .svg or .png")
    return ending


def check_installed(what: str) -> None:
    """Refuse early where the library is missing.

    Args:
        what: it is wanted for, for the error.

    Raises:
        MissingExtraError: it is.
    """
    from importlib.util import find_spec

    if find_spec("matplotlib") is None:
        raise MissingExtraError("matplotlib", "plot", what)


def picture(fill: Callable[[Any], None], what: str, ending: str, size: tuple[float, float]) -> bytes:
    """A picture of one pair of axes. The same bytes each time.

    Args:
        fill: draws on matplotlib's axes.
        what: it shows, for the error.
        ending: one of :data:`FORMATS`.
        size: width and height [inch].

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.backends.backend_svg import FigureCanvasSVG
        from matplotlib.figure import Figure
        from matplotlib.style import context
    except ImportError as error:
        raise MissingExtraError("matplotlib", "plot", what) from error
    # Without pyplot: nothing of a session's own figures, style or backend is touched.
    with context(["default", STYLE]):
        figure = Figure(figsize=size, dpi=150, layout="constrained")
        canvas: Any = FigureCanvasSVG(figure) if ending == "svg" else FigureCanvasAgg(figure)
        fill(figure.add_subplot())
        buffer = io.BytesIO()
        metadata = {"Date": None, "Creator": None} if ending == "svg" else {"Software": None}
        canvas.print_figure(buffer, format=ending, metadata=metadata)
    return buffer.getvalue()


def time_unit(seconds: float) -> tuple[float, str]:
    """Seconds of the largest unit that a time has at least one of, and its name."""
    return next((unit for unit in _TIME if seconds >= unit[0]), _TIME[-1])
