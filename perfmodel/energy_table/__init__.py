"""Energy per FLOP, byte and value of devices, next to published figures, and what other circuits would take.

- :mod:`~perfmodel.energy_table.device`: the table of a device;
- :mod:`~perfmodel.energy_table.model`: the energy of a model by cause, as it is and with other circuits.

The page ``docs/energy-per-operation.md`` says how the figures are to be read.
"""

from __future__ import annotations

from perfmodel.energy_table.device import DeviceTable, Reference, Row, device_table
from perfmodel.energy_table.model import ModelEnergy, OperatorEnergy, model_energy

__all__ = ["DeviceTable", "ModelEnergy", "OperatorEnergy", "Reference", "Row", "device_table", "model_energy"]
