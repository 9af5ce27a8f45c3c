"""Generated sweeps: ONNX models of random pieces of networks, for measuring the kernels of a runtime.

A runtime fuses operators and changes layouts before it runs anything, so a sweep of single operators measures kernels that
no network runs. A sweep model is made of short chains as networks have them (a convolution with its batch norm and
activation, an encoder layer, gates of an LSTM), each with dimensions of its own; what the runtime makes of them are
blocked convolutions, products with a bias and an activation, normalisations with a residual, products of integers. Many
chains in one model share the cost of a session, read activations that the operator before has just written, and weights
that the others have driven out of the caches, as in a network.

`builder` writes the graphs, `convolutions`, `transformers`, `recurrent` and `small` know the chains, `families` how
often each of them is drawn.
"""
