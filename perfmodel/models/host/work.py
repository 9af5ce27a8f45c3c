"""What a runtime's kernel does, as amounts that its time goes with: vectors filled or not, patches written, runs of elements.

A descriptor counts the arithmetic that is asked for. Libraries for processors do more, each in its own way:

- **Products** are made in tiles: 16 columns in vector registers, some six rows at a time (MLAS and others). What a product
  lacks of a tile is computed all the same. A second operand that no weight is cannot have been packed beforehand.
- **Convolutions that are not blocked by channels** (along one axis; with weights that are computed; in 8 bits) are such
  products, one for every image and group: the filters are its rows, and the *places of one image* its columns. Four places
  in an image fill a quarter of a vector, whatever the batch. Their patches are written out before, row by row: rows of one
  place are as many jumps as there are numbers. ``ConvInteger`` also packs its filters anew for each image, and has a tile of
  eight columns.
- **Convolutions blocked by channels** (``nchwc``) take up to four blocks of filters at a time, with the places as rows: one
  block alone leaves multipliers waiting for each other.
- **Convolutions of 8-bit numbers with channels last** (``QLinearConv``) have the places as rows and filters as columns;
  where each channel is for itself, vectors lie along the channels. Each tap of each place is looked up.
- **Element by element**, runtimes run a loop for each stretch in which no operand repeats or jumps; the loop has a price.

Each row becomes a number a term (:data:`TERMS`), of the size of seconds on one core of a server. What a kernel really
takes is a sum of these with factors of its own, learned where it was measured (:class:`Costs`): unlike trees, such a sum
holds beyond the sizes that were measured.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

LANES = 16
"""Columns of a tile of a product."""
ROWS = 6
"""Rows of a tile."""
FILTERS = 32
"""Filters that a blocked convolution takes at a time: four blocks of eight (of sixteen with AVX-512, where factors make up)."""
DEPTHWISE_LANES = 8
FEW_COLUMNS = 8
"""Columns of the narrower tile of an 8-bit product."""
ONE_COLUMN = 4
"""A product with one column is a matrix times a vector, with vectors along the depth: it takes as long as so many columns."""

TERMS = (
    "call", "physics", "lanes", "tiles", "packed", "taps", "results", "bytes", "stretches", "weights", "calls", "steps",
)  # fmt: skip
"""Columns of :func:`terms`:

``call``
    1 us
``physics``
    the first estimate of the analytical model
``lanes``, ``tiles``
    FLOPs at 100 GFLOP/s with the last columns of a product filled up; with its last rows, too
``packed``, ``taps``
    numbers of a matrix of patches (of a product: of a second operand that is packed in each call), and places times taps,
    at 1 ns each; 0 where a convolution has one tap
``results``
    numbers of the result, at 1 ns
``bytes``, ``weights``
    bytes read and written, and bytes of weights for every step of a recurrence and every image of ``ConvInteger``, at 10 GB/s
``stretches``
    stretches in which no operand repeats or jumps, rows of patches among them, at 10 ns
``calls``, ``steps``
    products that a kernel is made of one by one, and steps of a recurrence, at 1 us
"""
_PLAIN_STRETCHES = ("conv", "gemm", "rnn")
BLOCKED = "com.microsoft.nchwc::"
CHANNELS_LAST = "com.microsoft::QLinearConv"
INTEGERS = "ConvInteger"


def _up(value: np.ndarray, step: int) -> np.ndarray:
    raised: np.ndarray = np.ceil(value / step) * step
    return raised


def terms(
    table: Mapping[str, np.ndarray], columns: Mapping[str, np.ndarray], base_s: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The amounts of each row, shape ``[rows, len(TERMS)]``, and the places of one image of a convolution (0: none).

    Args:
        table: the columns of traces.
        columns, base_s: of :func:`perfmodel.models.host.features.numbers`.
    """
    count = len(base_s)

    def plain(name: str) -> np.ndarray:
        value: np.ndarray = 2.0 ** columns[f"log2_{name}"] - 1.0
        return value

    def given(name: str) -> np.ndarray:
        if name not in table:
            return np.ones(count)
        return np.maximum(np.nan_to_num(np.asarray(table[name], dtype=np.float64), nan=1.0), 1.0)

    ops = np.asarray(table["op"]).astype(str)
    kernel = np.asarray(table["kernel"], dtype=object).astype(str)
    m, n, k = plain("m"), plain("n"), plain("k")
    conv, products = ops == "conv", (ops == "conv") | (ops == "gemm")
    blocked = conv & np.char.startswith(kernel, BLOCKED)
    last = conv & (kernel == CHANNELS_LAST)
    by_image = conv & ~blocked & ~last
    groups = np.where(conv, given("groups"), np.maximum(plain("batch"), 1.0))
    images = np.where(conv, given("batch"), 1.0)
    taps = given("kernel_h") * given("kernel_w") * given("kernel_d")
    alone = conv & (columns["depthwise"] > 0)
    places = np.where(conv, m / images, 0.0)

    rows, cols = np.where(by_image, n, m), np.where(by_image, places, n)
    repeated = np.where(by_image, images * groups, groups)
    filled = np.where(cols > 1, _up(cols, LANES), np.where(cols > 0, ONE_COLUMN, 0.0))
    lanes, tiles = rows * filled * k * repeated, _up(rows, ROWS) * filled * k * repeated
    lanes = np.where(blocked, m * n * k * groups, lanes)
    tiles = np.where(blocked, m * _up(n, FILTERS) * k * groups, tiles)
    channels = n * groups
    own = (blocked | last) & alone
    lanes = np.where(own, m * _up(channels, DEPTHWISE_LANES) * k, lanes)
    tiles = np.where(own, m * _up(channels, 2 * DEPTHWISE_LANES) * k, tiles)

    results = plain("output_bytes") / np.maximum(columns["out_element_bytes"], 0.5)
    stretches = np.maximum(results, plain("input_bytes") / 4.0) / np.maximum(plain("contiguous_elements"), 1.0)
    stretches = np.where(np.isin(ops, _PLAIN_STRETCHES) | (stretches < 2.0), 0.0, stretches)
    steps = plain("steps")
    windows = conv & (taps > 1)
    integers = kernel == INTEGERS
    few = integers & (cols > 0) & (cols <= FEW_COLUMNS)
    lanes = np.where(few, rows * FEW_COLUMNS * k * repeated, lanes)
    tiles = np.where(few, _up(rows, ROWS) * FEW_COLUMNS * k * repeated, tiles)
    # Along one axis ConvInteger goes by numbers, not by rows: the patches say as much.
    jumping = by_image & windows & ~(integers & (columns["one_axis"] > 0))
    written = np.where(jumping, m * k * groups / np.maximum(plain("out_w"), 1.0), 0.0)
    packed = (ops == "gemm") & (plain("weight_bytes") < 0.5 * n * k * columns["element_bytes"])
    uses = np.maximum(np.where(integers, images, steps), 1.0)
    amounts = {
        "call": np.full(count, 1e-6),
        "physics": base_s,
        "lanes": 2e-11 * lanes,
        "tiles": 2e-11 * tiles,
        "packed": 1e-9 * np.where(windows, m * k * np.where(alone, groups, 1.0), np.where(packed, n * k * groups, 0.0)),
        "taps": np.where(windows, 1e-9 * m * taps, 0.0),
        "results": 1e-9 * results,
        "bytes": 1e-10 * (plain("bytes_read") + plain("bytes_written")),
        "stretches": 1e-8 * (stretches + written),
        "weights": 1e-10 * plain("weight_bytes") * uses,
        "calls": np.where(products, 1e-6 * np.where(by_image, images * groups, np.where(conv, 1.0, groups)), 0.0),
        "steps": 1e-6 * steps,
    }
    return np.stack([np.nan_to_num(amounts[name]) for name in TERMS], axis=1), places


def keys(table: Mapping[str, np.ndarray]) -> list[np.ndarray]:
    """Whose factors a row may take, from the coarsest to the finest: family and format, kernel, kernel and format; grouped
    convolutions for themselves. Arrays of names of shape ``[rows]``."""
    count = len(table["op"])

    def words(name: str) -> np.ndarray:
        found: np.ndarray = np.asarray(table[name], dtype=object).astype(str)
        return found

    op, kernel, dtype = words("op"), words("kernel"), words("dtype")
    groups = np.nan_to_num(np.asarray(table["groups"], dtype=np.float64)) if "groups" in table else np.zeros(count)
    own = np.where(groups > 1, "grouped", "")
    return [
        np.array(["|".join(parts) for parts in zip(*columns, strict=True)], dtype=object)
        for columns in ((op, dtype, own), (kernel, own), (kernel, dtype, own))
    ]


@dataclass(frozen=True)
class Costs:
    """Factors of :data:`TERMS` by a name of :func:`keys`; none is negative."""

    factors: Mapping[str, tuple[float, ...]] = field(default_factory=dict)

    def seconds(self, table: Mapping[str, np.ndarray], amounts: np.ndarray, base_s: np.ndarray) -> np.ndarray:
        """What each row takes by the finest factors that there are; the first estimate where there are none.

        Args:
            table: the columns of traces.
            amounts: of :func:`terms`.
            base_s: first estimates.
        """
        found = np.array(base_s, dtype=np.float64)
        for level in keys(table):
            names = level.astype(str)
            for name in np.unique(names).tolist():
                if name in self.factors:
                    mine = names == name
                    found[mine] = amounts[mine] @ np.asarray(self.factors[name])
        return found
