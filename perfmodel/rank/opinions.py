"""What the physics and other devices' measurements say of configurations, before any is measured here."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from perfmodel.errors import DescriptorError, InputError
from perfmodel.hardware.loader import load_device
from perfmodel.rank.physics import Physics
from perfmodel.rank.pretrained import Pretrained, Source


class Opinions:
    """Opinions on ln(seconds) of one problem's configurations on one device.

    Each device that was measured has two: what that device would take for this problem (its physics and what it taught
    beyond it), and what this device would (this one's physics and the same). Orders of configurations carry over best as the
    first, the level as the second. A device that was measured itself is its own and only source. What was measured in another
    number format says nothing: it needs other instructions and other widths of loads.

    Raises:
        InputError: a source reads a parameter that the space has not.

    Attributes:
        source: ``learned`` where a device was measured in this number format, else ``analytical``.
        sources: what is used of the pretrained.
        taught_by: ids of their devices.
    """

    def __init__(self, physics: Physics, pretrained: Pretrained) -> None:
        self.physics = physics
        sources = [s for s in pretrained.of(physics.space.id) if s.op.get("dtype") == physics.op.dtype]
        known = physics.space.columns
        for source in sources:
            if lacks := [c for c in source.tables.columns if c not in known]:
                raise InputError(
                    f"what was learned of the space {physics.space.id} reads {', '.join(lacks[:8])}, which the description "
                    "given has not: give it another id, or rank by the physics alone"
                )
        own = [s for s in sources if s.device == physics.device.id]
        self._sources = [(s, self._abroad(s.device)) for s in own or sources]
        self.taught_by: tuple[str, ...] = tuple(s.device for s, _ in self._sources)
        self.sources: tuple[Source, ...] = tuple(s for s, _ in self._sources)
        self.source = "learned" if self._sources else "analytical"

    def _abroad(self, device: str) -> Physics | None:
        """The physics of a source's device; None where it is this one's."""
        if device == self.physics.device.id:
            return None
        try:
            return Physics.of(self.physics.space, self.physics.op, load_device(device))
        except DescriptorError:  # pragma: no cover - the same problem was accepted here
            return None

    def of(self, columns: Mapping[str, np.ndarray], home: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        """All opinions, shape ``[rows, opinions]``, and their joint mean, shape ``[rows]``; ln(seconds).

        Args:
            columns: the parameters, shape ``[rows]``.
            home: ln of this device's physics where it is known already.
        """
        if home is None:
            home = np.log(self.physics.costs(columns).latency_s)
        if not self._sources:
            return home[:, None], home
        taken, carried = [], []
        for source, abroad in self._sources:
            beyond = source.tables.predict(columns)
            carried.append(home + beyond)
            if abroad is not None:
                taken.append(_log_s(abroad, columns, home) + beyond)
        opinions = np.stack([*taken, *carried], axis=1)
        level = float(np.mean([np.median(c) for c in carried]))
        orders = taken or carried
        mean = level + np.mean([o - np.median(o) for o in orders], axis=0)
        return opinions, mean


def _log_s(physics: Physics, columns: Mapping[str, np.ndarray], elsewhere: np.ndarray) -> np.ndarray:
    """ln(seconds) on a device, shape ``[rows]``; what another makes of it where a formula is undefined there alone: one row
    without a number would leave none to all others."""
    try:
        with np.errstate(all="ignore"):
            log_s = np.log(physics.costs(columns).latency_s)
    except ArithmeticError:  # of numbers that no column stands in
        return elsewhere
    known: np.ndarray = np.where(np.isfinite(log_s), log_s, elsewhere)
    return known
