"""What the IREE compiler makes of MLIR modules on a processor: instructions, code size, spills, instructions executed, time.

`generator` writes modules, `compiler` compiles them, `assembly` and `lowering` read what the compiler dumps, `executed` counts
instructions with Valgrind's callgrind, `running` times calls. The loop over many modules, which can be stopped, is
:mod:`perfmodel.collecting.compiled`.
"""
