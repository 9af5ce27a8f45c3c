"""What is learned of the kernels of a runtime on a processor that was measured: `perfmodel collect`, then `train`.

`context` says how each kernel stands in its graph, `features` turns kernels into columns, `boosters` holds what was
learned of them, `composition` makes whole models of kernels, with an interval of its own.
"""
