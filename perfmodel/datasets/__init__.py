"""Measured data: the trace schema, and adapters that read public data sets into it. Needs the extra ``train``."""
