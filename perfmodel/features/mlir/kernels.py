"""GPU kernels: one node of as many threads as the grid has; each instruction counts as often as threads execute it."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any

from perfmodel.features.mlir import nests
from perfmodel.features.mlir.attribute_values import enum_of, numbers_of
from perfmodel.features.mlir.indices import Linear, Loop
from perfmodel.features.mlir.instructions import WARP
from perfmodel.features.mlir.ir import Block, Operation, Value
from perfmodel.features.mlir.nest_walk import Walk

if TYPE_CHECKING:
    from perfmodel.features.mlir.convert import Conversion

_AXES = {"x": 0, "y": 1, "z": 2}


def launch(convert: Conversion, operation: Operation) -> None:
    """gpu.launch_func and gpu.launch."""
    if operation.name == "gpu.launch":
        body = operation.body
        if body is None:
            return
        grid, block = _extents(convert, operation.operands)
        walk = Walk(convert, threads=prod(grid) * prod(block))
        _bind_region(walk, body, grid, block)
        run(convert, operation, walk, body, grid, block)
        return
    kernel = convert.module.lookup(operation.attributes.get("kernel"), operation)
    known = [convert.known(v) for v in operation.operands]
    if kernel is None or kernel.body is None:
        convert.outside_call(operation, known, f"the kernel {operation.attributes.get('kernel')} is not in the module")
        return
    sizes = numbers_of(operation.attributes.get("operandSegmentSizes"))
    count = operation.operand_groups.get("args", len(kernel.body.arguments))
    skipped = sizes[0] if sizes else 0
    grid, block = _extents(convert, operation.operands[skipped:])
    arguments = operation.operands[len(operation.operands) - count :] if count else []
    for inner, outer in zip(kernel.body.arguments, arguments, strict=False):
        convert.env[inner] = convert.known(outer)
    walk = Walk(convert, threads=prod(grid) * prod(block))
    for inner, outer in zip(kernel.body.arguments, arguments, strict=False):
        walk.aliases_of_arguments[inner] = outer
    run(convert, operation, walk, kernel.body, grid, block)


def entry(convert: Conversion, kernel: Operation) -> None:
    """A kernel without a launch: one block of the size that it declares."""
    block = [int(n) for n in numbers_of(kernel.attributes.get("known_block_size")) or [1, 1, 1]]
    grid = [int(n) for n in numbers_of(kernel.attributes.get("known_grid_size")) or [1, 1, 1]]
    if "known_grid_size" not in kernel.attributes:
        convert.note("gpu.func: nothing launches it; counted with one block", kernel.symbol or kernel.name)
    assert kernel.body is not None
    walk = Walk(convert, threads=prod(grid) * prod(block))
    run(convert, kernel, walk, kernel.body, grid, block)


def run(convert: Conversion, operation: Operation, walk: Walk, body: Block, grid: list[Any], block: list[Any]) -> None:
    """Walk over a kernel's body, and add its node."""
    for inner in body.operations:
        for nested in inner.walk():
            _bind_ids(walk, nested, grid, block)
    for inner_block in body.parent.blocks if body.parent is not None else [body]:
        walk.block(inner_block, prod(grid) * prod(block))
    walk.work.instructions["threads"] = prod(grid) * prod(block)
    nests.emit(convert, operation, walk)


def _extents(convert: Conversion, operands: list[Value]) -> tuple[list[Any], list[Any]]:
    numbers = [convert.known(v).number for v in operands[:6]]
    names = [n if n is not None else 1 for n in numbers]
    names += [1] * (6 - len(names))
    if any(n is None for n in numbers):
        convert.note("gpu.launch: the extent of its grid is not known; counted as 1", "gpu.launch")
    return names[:3], names[3:6]


def _bind_region(walk: Walk, body: Block, grid: list[Any], block: list[Any]) -> None:
    """The arguments of a launch's region: block, thread, extents of grid and block."""
    for i, extent in enumerate((*grid, *block)):
        if i < len(body.arguments):
            walk.indices.loops[body.arguments[i]] = Loop(extent)
    for i, extent in enumerate((*grid, *block), start=6):
        if i < len(body.arguments):
            walk.indices.fixed[body.arguments[i]] = Linear({}, extent)


def _bind_ids(walk: Walk, operation: Operation, grid: list[Any], block: list[Any]) -> None:
    name = operation.name
    if not name.startswith("gpu.") or not operation.results:
        return
    dimension = enum_of(operation.attributes.get("dimension", operation.literals[0] if operation.literals else "x"))
    axis = _AXES.get(dimension.strip("<> "), 0)
    result = operation.results[0]
    threads = prod(block)
    extents: dict[str, Any] = {
        "gpu.block_id": grid[axis], "gpu.thread_id": block[axis], "gpu.global_id": grid[axis] * block[axis],
        "gpu.lane_id": WARP, "gpu.subgroup_id": -(-threads // WARP) if isinstance(threads, int) else threads,
    }  # fmt: skip
    sizes: dict[str, Any] = {"gpu.block_dim": block[axis], "gpu.grid_dim": grid[axis], "gpu.subgroup_size": WARP}
    if name in extents:
        walk.indices.loops[result] = Loop(extents[name])
    elif name in sizes:
        walk.indices.fixed[result] = Linear({}, sizes[name])
