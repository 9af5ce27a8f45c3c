"""Measuring: meters of energy and power, and the collectors that make traces of measurements.

`meters` is one interface over NVML, AMD SMI, RAPL and recordings, with windows that say how uncertain they are.
"""
