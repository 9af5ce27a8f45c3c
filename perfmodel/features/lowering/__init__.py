"""Linalg modules as a compiler lowers them: loop nests, dispatches, tile sizes, vector operations; and features of all that.

=================  ==========================================================================
``loops``          an operation as a loop nest
``operands``       operands and bodies of operations; ``windows`` named products and convolutions
``nests_of``       the nests of a module's function
``forming``        which of them become one dispatch
``target``         what heuristics look at in a target
``tiling``         the tile sizes that the compiler's heuristics choose
``vector_code``    how many vector operations a tiled nest becomes
``features``       named features of a dispatch
=================  ==========================================================================
"""
