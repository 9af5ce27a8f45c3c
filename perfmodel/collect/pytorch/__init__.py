"""Operators on a GPU (or a processor) by PyTorch, one by one: times by events, clocks and power by a meter.

`runtime` is the small layer over PyTorch that everything else goes through, `operators` what runs for a descriptor, `sweep`
which descriptors are worth measuring, `measuring` how one is measured, `recording` how it is kept, `collector` the collector.
"""
