"""SI numbers as people read them, three significant digits: for the screen only. None and NaN are ``unknown``. And what a
measured time may be."""

from __future__ import annotations

import math

UNKNOWN = "unknown"
SHORTEST_S, LONGEST_S = 1e-12, 1e9
"""What a measured time may be: no kernel runs within a picosecond, and none was waited for over thirty years."""

_TIME = ((1e-9, "ns"), (1e-6, "us"), (1e-3, "ms"), (1.0, "s"))
_DECIMAL = ((1.0, ""), (1e3, "k"), (1e6, "M"), (1e9, "G"), (1e12, "T"), (1e15, "P"), (1e18, "E"))
_WATT_HOURS = ((1e-9, "nWh"), (1e-6, "uWh"), (1e-3, "mWh"), (1.0, "Wh"), (1e3, "kWh"), (1e6, "MWh"))
_MASS = ((1e-9, "ng"), (1e-6, "ug"), (1e-3, "mg"), (1.0, "g"), (1e3, "kg"), (1e6, "t"))
_ENERGY = ((1e-12, "pJ"), (1e-9, "nJ"), (1e-6, "uJ"), (1e-3, "mJ"), (1.0, "J"), (1e3, "kJ"), (1e6, "MJ"))


def duration(seconds: float | None) -> str:
    """``1.23 us``, ``4.56 ms``."""
    return _scaled(seconds, _TIME)


def size(n_bytes: float | None) -> str:
    """``80.0 GB``; decimal: 1 GB is 10^9 bytes."""
    return _scaled(n_bytes, _DECIMAL, "B")


def binary_size(n_bytes: float | None) -> str:
    """``50.0 MiB``: for caches and registers, which come in powers of two."""
    return _scaled(n_bytes, ((1.0, "B"), (2.0**10, "KiB"), (2.0**20, "MiB"), (2.0**30, "GiB")))


def clock(hertz: float | None) -> str:
    """``1980 MHz``."""
    return UNKNOWN if hertz is None else f"{hertz / 1e6:.0f} MHz"


def flops(count: float | None) -> str:
    """``3.64 GFLOP``."""
    return _scaled(count, _DECIMAL, "FLOP")


def flop_rate(flops_per_s: float | None) -> str:
    """``989 TFLOP/s``."""
    return _scaled(flops_per_s, _DECIMAL, "FLOP/s")


def bandwidth(bytes_per_s: float | None) -> str:
    """``3.35 TB/s``."""
    return _scaled(bytes_per_s, _DECIMAL, "B/s")


def power(watts: float | None) -> str:
    """``312 W``."""
    return _scaled(watts, ((1.0, "W"),))


def energy(joules: float | None) -> str:
    """``128 mJ``."""
    return _scaled(joules, _ENERGY)


def watt_hours(joules: float | None) -> str:
    """``1.09 Wh``, ``2.31 kWh``: as electricity is paid for."""
    return _scaled(None if joules is None else joules / 3600.0, _WATT_HOURS)


def mass(grams: float | None) -> str:
    """``61.1 mg``."""
    return _scaled(grams, _MASS)


def money(amount: float | None) -> str:
    """``0.0123``, ``0.000572``, ``9.88e-08``: in whatever currency the prices were given."""
    if amount is None or math.isnan(amount):
        return UNKNOWN
    if 0 < amount < 0.0001:
        return f"{amount:.2e}"
    return f"{amount:#.3g}" if 0 < amount < 0.1 else digits(amount)


def rate(per_second: float | None) -> str:
    """``19.4 k/s``."""
    return _scaled(per_second, _DECIMAL, "/s")


def share(fraction: float | None) -> str:
    """``12.3 %``."""
    return UNKNOWN if fraction is None else f"{100 * fraction:.1f} %"


def digits(value: float) -> str:
    """Three significant digits, without an exponent: ``0.0123``, ``1.23``, ``45.6``, ``789``, ``12345``."""
    magnitude = abs(value)
    if 0 < magnitude < 0.001:
        return "<0.001" if value > 0 else ">-0.001"
    for limit, text in (
        (99.95, f"{value:.0f}"),
        (9.995, f"{value:.1f}"),
        (0.9995, f"{value:.2f}"),
        (0.1, f"{value:.3f}"),
    ):
        if magnitude >= limit:
            return text
    return f"{value:.3g}"


def _scaled(value: float | None, scales: tuple[tuple[float, str], ...], unit: str = "") -> str:
    if value is None or math.isnan(value):
        return UNKNOWN
    factor, prefix = scales[0]
    for candidate, name in scales:
        # 999.6 would be printed as 1000: it belongs to the next unit.
        if abs(value) / candidate >= 0.9995:
            factor, prefix = candidate, name
    if not value:
        factor, prefix = next((s for s in scales if s[0] == 1.0), scales[0])
    return f"{digits(value / factor)} {prefix}{unit}".rstrip()
