"""The learned residual: what boosted trees add to the analytical model where measurements support it.

A booster predicts ln(measured / analytical) of the GEMMs of one device and dtype, over all software stacks that were
measured there. Where a row lies outside what the booster was trained on, the residual fades out octave by octave, and
the prediction is the analytical one again.
"""

from __future__ import annotations

import gzip
import re
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from perfmodel.errors import InputError, PredictorError, nearest
from perfmodel.features.vector import QUANTISED_TILES, FeatureSchema, gemm_columns
from perfmodel.models import gemm
from perfmodel.models.analytical import Bounds
from perfmodel.models.machine import CACHES
from perfmodel.models.trees import Booster
from perfmodel.ops import Gemm

SIZE_BUCKETS_S = (1e-5, 1e-4, 1e-3)
"""Bounds of the latency buckets by which accuracy and intervals are kept: < 10 us, < 100 us, < 1 ms, above."""
UNSEEN = "*"
"""In place of a device id: the booster for devices that were not measured, over stacks instead of versions."""
SUPPORT_FEATURES = ("log2_m", "log2_n", "log2_k")
"""Features whose training range decides how far a residual is trusted."""
_LEARNED_WEIGHT = 0.99
_ANALYTICAL_WEIGHT = 0.05
_MAX_BOOSTER_BYTES = 64 * 2**20


def residual_columns(op: Gemm, bounds: Bounds, units: float) -> dict[str, np.ndarray]:
    """Every feature of ``features/gemm.toml`` for rows of one dtype on one device.

    Args:
        op: descriptor with array dimensions of shape ``[rows]``.
        bounds: what the analytical model says of them.
        units: SMs of the device.
    """
    (product,) = op.products
    columns = gemm_columns(product, units)
    m, n = (np.maximum(np.asarray(v, dtype=np.float64), 1.0) for v in (product.m, product.n))
    d, terms, latency = bounds.details, bounds.terms, bounds.latency_s
    columns |= {
        "log_analytical": np.log(latency),
        # The offset keeps a resident operand's DRAM share (0) finite.
        "share_compute": np.log(terms["compute"] / latency + 1e-3),
        "share_l2": np.log(terms["l2"] / latency + 1e-3),
        "share_dram": np.log(terms["dram"] / latency + 1e-3),
        "share_launch": terms["launch"] / latency,
        "share_split_k": d["split_k_s"] / latency,
        "miss": d["miss"],
        "log_footprint": np.log(d["footprint"]),
        "unsplit_slowdown": np.log(d["unsplit_latency_s"] / latency),
        "log2_tile_m": np.log2(d["tile_m"]),
        "log2_tile_n": np.log2(d["tile_n"]),
        "log2_split_k": np.log2(d["split_k"]),
        "log_tiles_per_unit": np.log(d["tiles_per_unit"]),
        "occupancy": d["occupancy"],
        "m_fill": m / d["tile_m"] / np.ceil(m / d["tile_m"]),
        "n_fill": n / d["tile_n"] / np.ceil(n / d["tile_n"]),
    }
    best = d["tile_latency_s"].min(axis=1)
    for tile in QUANTISED_TILES:
        index = int(np.flatnonzero(np.all(np.array(tile) == gemm.TILES, axis=1))[0])
        columns[f"tile_{tile[0]}x{tile[1]}_slowdown"] = np.log(d["tile_latency_s"][:, index] / best)
    return columns


def stack_of(software: str) -> str:
    """The stack of a software id: ``"vllm-0.24.0"`` -> ``"vllm"``."""
    return software.split("-", 1)[0]


def version_key(software: str) -> tuple[tuple[int, int | str], ...]:
    """Orders versions of one stack: numbers by value, and a release candidate before its release."""
    version = software.split("-", 1)[1] if "-" in software else ""
    parts = re.findall(r"\d+|[a-z]+", version)
    # A letter sorts below any number, and the end of a version (a release) above "rc".
    return (*((1, int(p)) if p.isdigit() else (-1, p) for p in parts), (0, 0))


def newest_of_stacks(software: Sequence[str]) -> tuple[str, ...]:
    """The newest version of each stack."""
    newest: dict[str, str] = {}
    for s in software:
        stack = stack_of(s)
        if stack not in newest or version_key(s) > version_key(newest[stack]):
            newest[stack] = s
    return tuple(newest.values())


@dataclass(frozen=True)
class Residual:
    """One booster with what it takes to use it.

    Attributes:
        device, dtype: what it was trained on.
        software: the stacks, in the order of the booster's last columns.
        cache: the state of the last-level cache in which each stack's rows were measured.
        support: lowest and highest value of each support feature in training.
        quantiles: per size bucket the 5 % and 95 % quantiles of ln(measured / predicted) on held-out (n, k) pairs; on
            left-out families for the booster of devices that were not measured.
        sibling_quantiles: the same on devices that were left out while a sibling was measured; None where none was.
        vendors: whose devices the booster for unmeasured ones was trained on.
        rows: training rows.
    """

    device: str
    dtype: str
    software: tuple[str, ...]
    cache: tuple[str, ...]
    schema: FeatureSchema
    support: Mapping[str, tuple[float, float]]
    quantiles: tuple[tuple[float, float], ...]
    rows: int
    read: Callable[[], bytes]
    sibling_quantiles: tuple[tuple[float, float], ...] | None = None
    vendors: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        spans = [self.support.get(name, (np.nan, np.nan)) for name in SUPPORT_FEATURES]
        wrong = (
            (not self.software or len(self.cache) != len(self.software), "one state of the cache for each software"),
            (not set(self.cache) <= set(CACHES), f"states of the cache among {', '.join(CACHES)}"),
            (
                any(
                    len(q) != len(SIZE_BUCKETS_S) + 1 for q in (self.quantiles, self.sibling_quantiles) if q is not None
                ),
                f"{len(SIZE_BUCKETS_S) + 1} pairs of quantiles",
            ),
            (
                not all(
                    -np.inf < a <= b < np.inf for a, b in (*self.quantiles, *(self.sibling_quantiles or ()), *spans)
                ),
                "finite ranges, low before high",
            ),
        )
        for broken, wanted in wrong:
            if broken:
                raise PredictorError(f"the entry of {self.device} {self.dtype} is damaged: wanted {wanted}")

    @cached_property
    def booster(self) -> Booster:
        """The trees, read on first use."""
        name = f"the booster for {self.device} {self.dtype}"
        try:
            # Bounded, so that a crafted archive cannot fill the memory.
            inflater = zlib.decompressobj(wbits=31)
            text = inflater.decompress(self.read(), _MAX_BOOSTER_BYTES)
            if inflater.unconsumed_tail:
                raise PredictorError(f"{name} unpacks to more than {_MAX_BOOSTER_BYTES >> 20} MiB")
        except (zlib.error, gzip.BadGzipFile, EOFError) as error:
            raise PredictorError(f"{name} cannot be unpacked: {error}") from None
        booster = Booster.from_json(text, name)
        wanted = len(self.schema.names) + len(self.software)
        if booster.features != wanted:
            raise PredictorError(f"{name} reads {booster.features} features; the manifest describes {wanted}")
        return booster

    def choices(self, software: str | None, *, exact: bool = True) -> tuple[str, ...]:
        """The stacks that a prediction is made for: the one named, or the newest of each.

        Args:
            software: an id (``"vllm-0.24.0"``), a stack (``"vllm"``), or None.
            exact: refuse a software that was not measured; otherwise (on a sibling) take its stack, or all of them.

        Raises:
            InputError: that software was never measured on this device.
        """
        if software is None or software == "any":
            return newest_of_stacks(self.software)
        if software in self.software:
            return (software,)
        same_stack = [s for s in self.software if stack_of(s) == software]
        if same_stack:
            return (max(same_stack, key=version_key),)
        if not exact:
            similar = [s for s in self.software if stack_of(s) == stack_of(software)]
            return (max(similar, key=version_key),) if similar else self.choices(None)
        raise InputError(
            f"software {software!r} was not measured on {self.device} in {self.dtype}:"
            f" {nearest(software, self.software, limit=2)}"
        )

    def predict(self, columns: Mapping[str, np.ndarray], software: str) -> np.ndarray:
        """ln(measured / analytical) under one software stack, shape ``[rows]``."""
        matrix = self.schema.matrix(columns)
        one_hot = np.zeros((len(matrix), len(self.software)), dtype=np.float32)
        one_hot[:, self.software.index(software)] = 1.0
        return self.booster.predict(np.concatenate([matrix, one_hot], axis=1))

    def weight(self, columns: Mapping[str, np.ndarray], batch: np.ndarray) -> np.ndarray:
        """How far the residual is trusted, 0..1: falls by e for each octave outside the training range.

        Batched products were not measured: each doubling of the batch counts as an octave.
        """
        distance = np.log2(np.maximum(batch, 1.0))
        for name in SUPPORT_FEATURES:
            low, high = self.support[name]
            distance = distance + np.maximum(low - columns[name], 0.0) + np.maximum(columns[name] - high, 0.0)
        weight: np.ndarray = np.exp(-distance)
        weight[weight > _LEARNED_WEIGHT] = 1.0
        weight[weight < _ANALYTICAL_WEIGHT] = 0.0
        return weight

    def log_interval(self, latency_s: np.ndarray, *, sibling: bool = False) -> tuple[np.ndarray, np.ndarray]:
        """ln offsets of the 90 % interval around a learned prediction, by size bucket.

        Args:
            latency_s: predicted.
            sibling: the prediction is for a sibling of the device that was measured.
        """
        bucket = np.searchsorted(SIZE_BUCKETS_S, latency_s, side="right")
        table = np.array(self.sibling_quantiles if sibling and self.sibling_quantiles else self.quantiles)
        return table[bucket, 0], table[bucket, 1]


def source_names(weight: np.ndarray) -> np.ndarray:
    """``learned``, ``blended`` or ``analytical`` by weight."""
    return np.where(weight >= 1.0, "learned", np.where(weight > 0.0, "blended", "analytical")).astype(object)


def size_bucket(latency_s: Sequence[float] | np.ndarray) -> np.ndarray:
    """Index of the size bucket of each measured latency."""
    return np.searchsorted(SIZE_BUCKETS_S, np.asarray(latency_s), side="right")


def software_columns(software: Sequence[str], values: np.ndarray) -> np.ndarray:
    """One-hot columns in the order of ``software``, float32 of shape ``[rows, len(software)]``."""
    return np.stack([(values == s) for s in software], axis=1).astype(np.float32)
