"""Feature schemas, and the columns that descriptors and devices give.

A schema is a TOML in the top-level folder ``features/``: names, units and meanings in the order in which boosters read
them. Its hash stands in every predictor that was trained on it.
"""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

import numpy as np

from perfmodel._resources import data_path
from perfmodel.errors import InputError, PredictorError
from perfmodel.ops.base import Product

QUANTISED_TILES = ((256, 128), (128, 256), (128, 128), (128, 64), (64, 128), (64, 64), (16, 64))
"""Tiles whose wave quantisation is a feature: a library may well choose another than the analytical model."""


@dataclass(frozen=True)
class FeatureSchema:
    """Names of features in order.

    Attributes:
        family: the operator family.
        names: feature names in the order of the boosters' columns.
        sha256: of the TOML's bytes.
    """

    family: str
    names: tuple[str, ...]
    sha256: str

    def matrix(self, columns: Mapping[str, np.ndarray]) -> np.ndarray:
        """The features as a float32 matrix of shape ``[rows, features]``.

        Raises:
            PredictorError: a feature of the schema has no column.
        """
        missing = [n for n in self.names if n not in columns]
        if missing:
            raise PredictorError(
                f"feature schema {self.family!r} names {missing[0]!r}, which this version does not compute"
            )
        return np.stack([columns[n] for n in self.names], axis=1).astype(np.float32)


@cache
def feature_schema(family: str) -> FeatureSchema:
    """The schema of an operator family.

    Raises:
        PredictorError: there is none.
    """
    try:
        text = data_path("features", f"{family}.toml").read_bytes()
    except InputError as error:
        raise PredictorError(f"there is no feature schema for the family {family!r}: {error}") from None
    names = tuple(f["name"] for f in tomllib.loads(text.decode())["feature"])
    return FeatureSchema(family, names, hashlib.sha256(text).hexdigest())


def gemm_columns(product: Product, units: float) -> dict[str, np.ndarray]:
    """Features of products C[m,n] = A[m,k] · B[k,n] that follow from the shape and the number of units alone.

    Args:
        product: dimensions as arrays of shape ``[rows]``.
        units: SMs or cores of the device.
    """
    m, n, k = (np.maximum(np.asanyarray(v, dtype=np.float64), 1.0) for v in (product.m, product.n, product.k))
    columns = {
        "log2_m": np.log2(m),
        "log2_n": np.log2(n),
        "log2_k": np.log2(k),
        "log2_mn": np.log2(m * n),
        "log2_nk": np.log2(n * k),
        "log2_mk": np.log2(m * k),
        "log2_mnk": np.log2(m * n * k),
        "log2_total": np.log2(m * n + n * k + m * k),
        "log2_n_over_k": np.log2(n / k),
        "m_mod_64": m % 64,
        "n_mod_128": n % 128,
    }
    for tile_m, tile_n in QUANTISED_TILES:
        waves = np.ceil(m / tile_m) * np.ceil(n / tile_n) / units
        columns[f"tile_{tile_m}x{tile_n}_occupancy"] = waves / np.ceil(waves)
        columns[f"tile_{tile_m}x{tile_n}_log_waves"] = np.log(waves)
    return columns
