"""Grams of CO2 equivalents per kWh of electricity, by region.

The numbers stand in ``grid.toml``, each with its year, source and licence. They are yearly averages; none is ever chosen for
the user, who names a region or gives a number.
"""

from __future__ import annotations

import difflib
import math
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from perfmodel.errors import InputError, checked_keywords

_TABLE = Path(__file__).with_name("grid.toml")
MOST_GRAMS = 3000.0
"""More than the oldest lignite plants emit for a kWh: a larger number was meant in another unit."""


@dataclass(frozen=True, slots=True)
class GridRegion:
    """What a kWh emits somewhere.

    Attributes:
        id: ISO code of the country or state, ``WORLD``, or ``given`` for a number of the user's.
        name: as people call it.
        grams_co2e_per_kwh: yearly average [g/kWh].
        year: of the average; None for a given number.
        source, licence: where the number is from, and under which terms.
        basis: what it counts: the life cycle of generation, or the plants' stacks alone.
    """

    id: str
    name: str
    grams_co2e_per_kwh: float
    year: int | None = None
    source: str = "given by the user"
    licence: str | None = None
    basis: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """The keys of the JSON contract."""
        return {
            "id": self.id, "name": self.name, "grams_co2e_per_kwh": self.grams_co2e_per_kwh, "year": self.year,
            "source": self.source, "licence": self.licence, "basis": self.basis,
        }  # fmt: skip


@checked_keywords()
def grid_region(region: str | float) -> GridRegion:
    """The region that a code, a name or a number means.

    Args:
        region: an ISO 3166 code (``"FR"``, ``"FRA"``, ``"US-CA"``), a name (``"France"``, ``"California"``), ``"world"``, or
            grams of CO2 equivalents per kWh, as a number or its text.

    Raises:
        InputError: no such region, with the nearest ones named; or a number that cannot be grams per kWh.
    """
    if isinstance(region, bool):
        raise InputError(f"grid is {region!r}: wanted a region or grams of CO2e per kWh")
    try:
        grams = float(region)
    except ValueError:
        return _named(str(region))
    if not (math.isfinite(grams) and 0 <= grams <= MOST_GRAMS):
        raise InputError(f"grid {region!r}: wanted 0 to {MOST_GRAMS:.0f} grams of CO2e per kWh, or a region")
    return GridRegion("given", f"{grams:g} g/kWh", grams)


def grid_regions() -> tuple[GridRegion, ...]:
    """Every region of the table."""
    return tuple(_regions()[0].values())


def _named(region: str) -> GridRegion:
    regions, ids = _regions()
    known = ids.get(_plain(region), ())
    if len(known) == 1:
        return regions[known[0]]
    if known:
        raise InputError(f"grid region {region!r} may be {_codes(known)}: give the code")
    close = difflib.get_close_matches(_plain(region), ids, n=8, cutoff=0.6)
    found = list(dict.fromkeys(i for name in close for i in ids[name]))[:3]
    hint = (
        f"did you mean {_codes(found)}?"
        if found
        else "wanted an ISO 3166 code or a name, as in FRA, Germany or US-CA, or a number of grams"
    )
    raise InputError(f"unknown grid region {region!r}: {hint}")


def _codes(ids: Iterable[str]) -> str:
    """``GEO (Georgia) or US-GA (Georgia)``."""
    regions, _ = _regions()
    return " or ".join(f"{i} ({regions[i].name})" for i in ids)


def _plain(text: str) -> str:
    """``"New York"`` and ``"new-york"`` are one name."""
    return " ".join(text.casefold().replace("-", " ").replace("_", " ").split())


@cache
def _regions() -> tuple[dict[str, GridRegion], dict[str, tuple[str, ...]]]:
    """Regions by id, and ids by everything that they are called."""
    table = tomllib.loads(_TABLE.read_text(encoding="utf-8"))
    regions = {i: _region(i, row, table["sources"][row["source"]]) for i, row in table["regions"].items()}
    ids: dict[str, tuple[str, ...]] = {}
    for i, row in table["regions"].items():
        for called in (i, row.get("code", ""), row["name"]):
            if called:
                # Georgia is a country and a state.
                named = ids.get(_plain(called), ())
                ids[_plain(called)] = named if i in named else (*named, i)
    return regions, ids


def _region(i: str, row: Mapping[str, Any], source: Mapping[str, str]) -> GridRegion:
    return GridRegion(
        i, row["name"], float(row["grams"]), row["year"], f"{source['title']}, {source['url']}", source["licence"],
        source["basis"],
    )  # fmt: skip
