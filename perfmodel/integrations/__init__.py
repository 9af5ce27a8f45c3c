"""Ranking inside other people's tuners and compilers, one module each; none is imported before it is asked for."""
