"""Stub."""
def is_scalar_code(operation): return False
def describe(convert, operation): pass
def statement(convert, operation): convert.convert_rule(operation)
