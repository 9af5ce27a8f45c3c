"""Traces that people already have, as columns of operator traces.

`registry` lists the formats and tells which one a file has; :func:`perfmodel.importing.import_traces` is the door. `chrome`
reads torch.profiler's Chrome traces, `onednn` the lines of oneDNN's verbose mode, `kernel_tuner` the cache files of Kernel
Tuner, `nsight` the tables of Nsight Systems and Nsight Compute, `cutlass` those of CUTLASS' profiler, `tvm` tuning records.
Profiles of ONNX Runtime are read by :func:`perfmodel.profiled.import_profile`, which needs the graph too. Each returns
:class:`~perfmodel.collect.importers.rows.Imported`: plain columns, and what was passed over and why.
"""
