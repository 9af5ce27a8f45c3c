"""Traces that people already have, as columns of operator traces.

`chrome` reads torch.profiler's Chrome traces, `onednn` the lines of oneDNN's verbose mode, `kernel_tuner` the cache files
of Kernel Tuner. Profiles of ONNX Runtime are read by :func:`perfmodel.profiled.import_profile`, which needs the graph too.
Each returns :class:`~perfmodel.collect.importers.rows.Imported`: plain columns, and what was passed over and why.
"""
