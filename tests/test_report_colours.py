"""Colours of the pages: text can be read, bounds can be told apart, also by those who see two of the three primaries."""

from __future__ import annotations

import itertools
import re

import numpy as np
import pytest

from perfmodel.report.assets import asset

TEXT = ("ink", "muted", "faint", "accent", "bad", "good")
GROUNDS = ("bg", "surface", "soft")
BOUNDS = ("compute", "l2", "dram", "vector", "launch", "power", "link")
SIGHT = {
    "all": np.eye(3),
    # Machado, Oliveira and Fernandes, "A Physiologically-based Model for Simulation of Color Vision Deficiency" (2009),
    # severity 1.0, on linear RGB.
    "no red": np.array([[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]),
    "no green": np.array([[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]),
    "no blue": np.array([[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]]),
}  # fmt: skip
TO_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
WHITE = np.array([0.95047, 1.0, 1.08883])


def themes() -> dict[str, dict[str, str]]:
    light, dark = asset("page.css").split("}")[:2]
    return {
        name: dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", block))
        for name, block in (("light", light), ("dark", dark))
    }


THEMES = themes()


def linear(colour: str) -> np.ndarray:
    v = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.where(v <= 0.04045, v / 12.92, ((v + 0.055) / 1.055) ** 2.4)


def contrast(a: str, b: str) -> float:
    """WCAG 2.2, relative luminance."""
    light, dark = sorted((float(linear(c) @ TO_XYZ[1]) for c in (a, b)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def lab(colour: str, sight: np.ndarray) -> np.ndarray:
    """CIE L*a*b* of what is seen of a colour."""
    xyz = TO_XYZ @ np.clip(sight @ linear(colour), 0, 1) / WHITE
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def test_the_measures() -> None:
    assert contrast("#ffffff", "#000000") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)  # the grey that just fails
    assert lab("#ffffff", SIGHT["all"])[0] == pytest.approx(100, abs=0.1)


@pytest.mark.parametrize("theme", THEMES)
def test_text_can_be_read(theme: str) -> None:
    of = THEMES[theme]
    pairs = [*itertools.product(TEXT, GROUNDS), ("water", "surface"), ("accent", "accent-soft"), ("ink", "accent-soft")]
    weak = {(a, b): round(contrast(of[a], of[b]), 2) for a, b in pairs if contrast(of[a], of[b]) < 4.5}
    assert not weak


@pytest.mark.parametrize("theme", THEMES)
def test_marks_and_controls_can_be_seen(theme: str) -> None:
    of = THEMES[theme]
    assert all(contrast(of[name], of["surface"]) >= 3 for name in (*BOUNDS, "edge"))


@pytest.mark.parametrize("sight", SIGHT)
@pytest.mark.parametrize("theme", THEMES)
def test_bounds_can_be_told_apart(theme: str, sight: str) -> None:
    of = THEMES[theme]
    near = {
        (a, b): float(np.linalg.norm(lab(of[a], SIGHT[sight]) - lab(of[b], SIGHT[sight])))
        for a, b in itertools.combinations(BOUNDS, 2)
    }
    assert min(near.values()) > 20, min(near, key=lambda pair: near[pair])
