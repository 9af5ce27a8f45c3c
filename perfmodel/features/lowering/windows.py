"""Named products, convolutions and pools by the letters of their operands."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from typing import Any

from perfmodel.features.lowering.loops import Access, LoopNest, ordered
from perfmodel.features.lowering.operands import access_of, extents_of, operands_of, product_body, typed
from perfmodel.features.mlir.ir import Operation

_CONVOLUTION = re.compile(r"(depthwise_)?conv_([123])d(?:_([a-z]+)_([a-z]+?))?(_q)?")
_POOL = re.compile(r"pooling_([a-z]+)_(max|min|sum)(_unsigned)?")


def window_nest(operation: Operation, short: str) -> LoopNest | None:
    """The nest of a named convolution or pool; None for other operations.

    Args:
        operation: one of linalg.
        short: its name without the dialect.
    """
    if match := _CONVOLUTION.fullmatch(short):
        if not match[1] and (plain := _pointwise(operation, match)) is not None:
            return plain
        nest = by_letters(operation, _convolution_letters(match), "convolution", product_body(operation))
        # The compiler's operation has its loops as the layout with channels last has them.
        return ordered(nest, (0, 2, 3, 1, 4, 5)) if short == "depthwise_conv_2d_nchw_chw" else nest
    if match := _POOL.fullmatch(short):
        function = {"sum": "add"}.get(match[2], match[2])
        return by_letters(operation, _pool_letters(match), "pooling", Counter({typed(function, operation): 1}))
    return None


def by_letters(operation: Operation, letters: tuple[Any, Any, Any], kind: str, body: Counter[str]) -> LoopNest:
    """A named operation by the loops of its operands: a letter a loop, an axis of a window two letters."""
    inputs, outputs = operands_of(operation)
    of_a, of_b, of_out = letters
    order = [*of_out]
    for axis in (*of_a, *of_b):
        order += [letter for letter in axis if letter not in order]
    if kind in ("convolution", "pooling") or any(
        len(axis) > 1 for axis in of_a
    ):  # the window's loops stand as the filter has them
        order = [*of_out, *_window_order(of_b, of_out)]
    number = {letter: i for i, letter in enumerate(order)}
    chosen = [(inputs[0], of_a), (inputs[1], of_b), (outputs[0], of_out)]
    accesses = [access_of(v, tuple(tuple(number[x] for x in axis) for axis in axes)) for v, axes in chosen]
    extents = extents_of(len(order), accesses)
    reduces = tuple(letter not in of_out for letter in order)
    return LoopNest(operation.name, kind, extents, reduces, tuple(accesses[:2]), (accesses[2],), body)


def _convolution_letters(match: re.Match[str]) -> tuple[list[str], list[str], list[str]]:
    depthwise, count = bool(match[1]), int(match[2])
    spatial = "dhw"[3 - count :]
    of_x, of_w = match[3] or spatial, match[4] or spatial
    of_out = of_x.replace("c", "c" if depthwise else "f") + ("m" if depthwise and "m" in of_w else "")
    x = [letter + letter.upper() if letter in spatial else letter for letter in of_x]
    w = [letter.upper() if letter in spatial else letter for letter in of_w]
    return x, w, list(of_out)


def _pool_letters(match: re.Match[str]) -> tuple[list[str], list[str], list[str]]:
    of_x = match[1]
    x = [letter + letter.upper() if letter in "dhw" else letter for letter in of_x]
    return x, [letter.upper() for letter in of_x if letter in "dhw"], list(of_x)


def _pointwise(operation: Operation, match: re.Match[str]) -> LoopNest | None:
    """A convolution with windows of one element as the product that it is (of every other element where it strides); None for
    others."""
    x, w, out = _convolution_letters(match)
    filters = getattr(operation.operands[1].type, "shape", None) or ()
    if any(size != 1 for letter, size in zip(w, filters, strict=True) if letter.isupper()):
        return None
    nest = by_letters(operation, (x, w, out), "contraction", product_body(operation))
    letters = [*out, *_window_order(w, out)]
    kept = {loop: place for place, loop in enumerate(i for i, letter in enumerate(letters) if letter.islower())}
    extents = {loop: nest.extents[loop] for loop in kept}

    def cut(access: Access) -> Access:
        pairs = [
            (loop, size) for axis, size in zip(access.axes, access.shape, strict=True) for loop in axis if loop in kept
        ]
        shape = tuple(extents[loop] for loop, _ in pairs)
        is_part = access.is_part or any(extents[loop] != size for loop, size in pairs)
        return replace(access, axes=tuple((kept[loop],) for loop, _ in pairs), shape=shape, is_part=is_part)

    return replace(
        nest, name="linalg.generic",
        extents=tuple(extents.values()), reduces=tuple(nest.reduces[loop] for loop in kept),
        inputs=tuple(map(cut, nest.inputs)), outputs=tuple(map(cut, nest.outputs)),
    )  # fmt: skip


def _window_order(of_b: list[str], of_out: list[str]) -> list[str]:
    """The loops that a window's operand has and the result lacks, in its order."""
    return [letter for axis in of_b for letter in axis if letter not in of_out]
