"""`perfmodel collect`: measuring this machine's kernels for some minutes, so that nothing is lost when it is stopped.

`pieces` measures one model and makes rows of it, `journal` keeps what is finished, `choice` says what to measure next,
`session` is the loop, `machine` what is written down of the machine.
"""
