"""perfmodel inside the tuners that people have: each module here needs its tuner, and is imported by name alone.

- :mod:`perfmodel.integrations.kernel_tuner`: a search strategy of Kernel Tuner (docs/kernel-tuner.md);
- :mod:`perfmodel.integrations.triton`, :mod:`perfmodel.integrations.iree`: pruning for Triton's autotuner, tiles of linalg
  operations under IREE's compiler;
- :mod:`perfmodel.integrations.tvm`: a cost model of TVM's MetaSchedule (docs/tvm.md), on top of
  :mod:`~perfmodel.integrations.tir` (TVM's schedules as loop nests), :mod:`~perfmodel.integrations.loop_nests` (what loop nests
  cost on a processor's core) and :mod:`~perfmodel.integrations.nest_learner` (what measurements teach beyond that).
"""
