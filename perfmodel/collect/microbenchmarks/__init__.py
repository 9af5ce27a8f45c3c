"""Micro-benchmarks of this machine's processor: what one pinned thread sustains with the software that people run.

`timing` repeats a benchmark until its median is known well enough; `products`, `bandwidth`, `kernels` say what is run;
`levels` reads the cache levels off the curves of bandwidth; `suite` runs all of it within a given time, and `process` does
so in a process of its own, which holds nothing but the measurement. What comes out is a :class:`~.suite.Measurement`;
:mod:`perfmodel.measured_cpu`, two layers up, makes a device file of it.
"""
