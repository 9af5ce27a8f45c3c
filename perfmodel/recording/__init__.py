"""Computations of numpy that write themselves down, for exports (docs/export.md) and for one row at a time.

- :mod:`~perfmodel.recording.recorded`: arrays that write down what is done with them;
- :mod:`~perfmodel.recording.program`: what they write: the steps of one row;
- :mod:`~perfmodel.recording.one_row`: a program as one Python function.
"""
