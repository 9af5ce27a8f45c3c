"""What a compiler will make of a module, from its text: instructions, code size, registers, spills, time; no compiler is run.

``description`` reads a module into dispatches with features; ``targets`` lists what is predicted; ``learned`` holds the
trained model; ``call`` puts them together and ``result`` says what came of it. ``table`` reads the data set that
``training`` learns from and ``evaluation`` judges by, next to ``baselines``; ``examples`` holds it in arrays.
"""

from __future__ import annotations

from perfmodel.characterise.call import DEFAULT_TARGET, characterise
from perfmodel.characterise.learned import Learned, load, shipped_targets
from perfmodel.characterise.result import Characterisation, DispatchCharacter, Interval

__all__ = [
    "DEFAULT_TARGET", "Characterisation", "DispatchCharacter", "Interval", "Learned", "characterise", "load", "shipped_targets",
]  # fmt: skip
