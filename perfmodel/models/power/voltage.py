"""Supply voltage against clock, and what follows from it.

Below a share of its top clock a chip runs at its lowest voltage; above, the voltage rises to what the top clock needs. The
energy of an operation follows a power of the voltage (between CV², and CV³ where the current of a short switching path counts
too), leakage its third power.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, kw_only=True)
class VoltageCurve:
    """Supply voltage over the lowest one, against the clock over the highest one.

    Attributes:
        flat_to: share of the top clock up to which the lowest voltage suffices.
        rise: voltage at the top clock over the lowest, less 1.
        shape: exponent with which it rises between them.
    """

    flat_to: float = 0.73
    rise: float = 0.288
    shape: float = 1.25

    def relative(self, clock_ratio: np.ndarray | float) -> np.ndarray:
        """Voltage over the lowest one at clocks over the highest, of the shape given; flat beyond either end."""
        above = (np.clip(clock_ratio, self.flat_to, 1.0) - self.flat_to) / (1 - self.flat_to)
        result: np.ndarray = 1 + self.rise * above**self.shape
        return result


A100 = VoltageCurve()
"""The A100 PCIe's, 0.694 V up to 0.73 of 1410 MHz and 0.894 V there: EnergAIzer's artefact (ISPASS 2026, commit cd60749194),
config/dvfs/yz8/supply_voltage.json. Its A100 SXM (netsres117) has 0.744 V up to 0.79 and 0.919 V. Other devices take it too."""
