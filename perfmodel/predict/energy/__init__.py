"""What the power and energy of a prediction mean to whoever pays for them.

===============  ===================================================================================
``profile``      power over the time of a run: mean, peak, 99th percentile, what a slow meter sees
``rack``         many devices and their hosts under a budget of watts
``out_of_step``  the sum of devices that do not peak together
``grid``         grams of CO2 equivalents per kWh, by region, from a cited table (``grid.toml``)
``cost``         energy at the meter, carbon and money, by run and by million tokens or samples
``ranking``      devices in the order of time, energy, carbon or money
``plot``         the profile as a picture
===============  ===================================================================================

All of it is arithmetic on estimates: nothing here is measured, and every figure carries the estimate's interval.
"""

from __future__ import annotations

from perfmodel.predict.energy.cost import Cost, Prices
from perfmodel.predict.energy.grid import GridRegion, grid_region
from perfmodel.predict.energy.profile import PowerProfile
from perfmodel.predict.energy.rack import Hosts, Rack

__all__ = ["Cost", "GridRegion", "Hosts", "PowerProfile", "Prices", "Rack", "grid_region"]
