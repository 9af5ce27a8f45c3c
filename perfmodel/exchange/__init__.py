"""Predictions as other tools read them.

==============  ==================================================================================
``timeline``    the predicted run in Chrome's trace format, for Perfetto and ``chrome://tracing``
``table``       the operators as CSV or Parquet
``costs``       what each node of a file costs: kernels of a prediction, put where their parts stand
``onnx_model``  an ONNX file with those costs in the ``metadata_props`` of its nodes (Netron shows them)
``mlir_text``   an MLIR text with those costs as attributes of its operations
``mlir_places`` where in a text an operation takes further attributes
==============  ==================================================================================
"""
