"""Measuring: meters of energy and power, and the collectors that make traces of measurements.

`meters` is one interface over NVML, AMD SMI, RAPL and recordings, with windows that say how uncertain they are.
`collectors` is one over what runs models, `onnxruntime_cpu` the first of them, `kernels` what they return; `importers` reads
traces of other tools. Joining times with the descriptors of a graph is :mod:`perfmodel.profiled`, two layers up.
"""
