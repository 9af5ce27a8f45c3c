"""What reading MLIR costs: microseconds an operation, seconds for weights, and whether nesting or length changes it.

    python tests/bench/mlir_reading.py [FOLDER of .mlir files]

Best of several runs, CPU time. Live modules are measured where bindings (``perfmodel[mlir]``) are installed.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from perfmodel.errors import ModelFileError
from perfmodel.features.mlir import read_text


def linalg(count: int) -> str:
    """Products and elementwise operations with bodies; a quarter of ``count`` each, two more inside."""
    square = "tensor<128x128xf32>"
    lines = [
        "#id = affine_map<(d0, d1) -> (d0, d1)>",
        f"func.func @f(%x: {square}, %w: {square}, %o: {square}) -> {square} {{",
    ]
    lines.append("%z = arith.constant 0.0 : f32")
    last = "%x"
    for i in range(count // 4):
        lines += [
            f"%m{i} = linalg.matmul ins({last}, %w : {square}, {square}) outs(%o : {square}) -> {square}",
            f'%g{i} = linalg.generic {{indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]}} '
            f"ins(%m{i} : {square}) outs(%o : {square}) {{",
            "^bb0(%a: f32, %b: f32):",
            "  %r = arith.maximumf %a, %z : f32",
            "  linalg.yield %r : f32",
            f"}} -> {square}",
        ]
        last = f"%g{i}"
    return "\n".join([*lines, f"return {last} : {square}", "}"])


def stablehlo(count: int) -> str:
    """A chain of operators as an exporter writes them."""
    kind = "tensor<4x128x768xbf16>"
    lines = [f"func.func @main(%0: {kind}, %w: tensor<768x768xbf16>) -> {kind} {{"]
    for i in range(count):
        lines.append(
            (
                f"%{i + 1} = stablehlo.dot_general %{i}, %w, contracting_dims = [2] x [0], precision = [DEFAULT, DEFAULT] "
                f": ({kind}, tensor<768x768xbf16>) -> {kind}",
                f"%{i + 1} = stablehlo.add %{i}, %{i} : {kind}",
                f"%{i + 1} = stablehlo.transpose %{i}, dims = [0, 1, 2] : ({kind}) -> {kind}",
                f"%{i + 1} = stablehlo.exponential %{i} : {kind}",
            )[i % 4]
        )
    return "\n".join([*lines, f"return %{count} : {kind}", "}"])


def weights(megabytes: int, how: str) -> str:
    """A module whose weights take that much text."""
    digits = megabytes * 1_000_000
    if how == "one resource":
        return (
            'module { %0 = "tosa.const"() <{values = dense_resource<w> : tensor<8xf32>}> : () -> tensor<8xf32> }\n'
            f'{{-# dialect_resources: {{ builtin: {{ w: "0x04000000{"0" * digits}" }} }} #-}}'
        )
    if how == "many resources":
        blobs = ",\n".join(f'w{i}: "0x04000000{"A" * 10_000}"' for i in range(digits // 10_000))
        return "module { }\n{-# dialect_resources: { builtin: { " + blobs + " } } #-}"
    if how == "hexadecimal constant":
        return f'%0 = arith.constant dense<"0x{"A" * digits}"> : tensor<{digits // 8}xf32>'
    return f"%0 = arith.constant dense<[{'1.000000e+00, ' * (digits // 14)}2.0]> : tensor<{digits // 14 + 1}xf32>"


def best(work: Callable[[], Any], runs: int = 5) -> float:
    """Least CPU seconds of several runs."""
    taken = []
    for _ in range(runs):
        start = time.process_time()
        work()
        taken.append(time.process_time() - start)
    return min(taken)


def _report(name: str, text: str, runs: int = 5) -> None:
    seconds = best(lambda: read_text(text), runs)
    count = sum(1 for _ in read_text(text).walk())
    print(
        f"{name:44s} {len(text) / 1e6:8.2f} MB {count:8d} operations {seconds * 1e3:9.1f} ms "
        f"{seconds / count * 1e6:9.1f} us each"
    )


def _refused(name: str, text: str) -> None:
    start = time.process_time()
    try:
        read_text(text)
        outcome = "read"
    except ModelFileError as error:
        outcome = str(error)[:70]
    print(f"{name:44s} {len(text) / 1e6:8.2f} MB {time.process_time() - start:9.3f} s  {outcome}")


def _live() -> None:
    try:
        import iree.compiler.ir as ir
    except ImportError:
        print("live modules: iree-base-compiler is not installed")
        return
    from perfmodel.features.mlir.live import LiveReader

    with ir.Context():
        for name, text in (("linalg", linalg(2000)), ("stablehlo", stablehlo(2000)), ("one operation", stablehlo(1))):
            parsed = ir.Module.parse(text)
            first = best(lambda m=parsed: LiveReader().module(m))
            reader = LiveReader()
            again = best(lambda m=parsed, r=reader: r.module(m))
            count = sum(1 for _ in reader.module(parsed).walk())
            print(
                f"live {name:39s} {count:20d} operations {first * 1e3:9.2f} ms, with a reader kept {again * 1e3:9.2f} ms"
            )


def main() -> None:
    """Print the tables."""
    for folder in sys.argv[1:]:
        for path in sorted(Path(folder).glob("*.mlir")):
            _report(path.name, path.read_text())
    for count in (2_000, 20_000, 100_000):
        _report(f"linalg {count}", linalg(count), 3)
        _report(f"stablehlo {count}", stablehlo(count), 3)
    for how in ("one resource", "many resources", "hexadecimal constant", "numbers"):
        _report(f"weights: {how}", weights(100, how), 2)
    _live()
    for name, text in (
        ("parentheses", "foo.op " + "(" * 100_000),
        ("regions", "foo.op {\n" * 100_000 + "}\n" * 100_000),
        ("types", "foo.op : " + "!a<" * 100_000),
        ("attributes", "foo.op {a = " + "[" * 100_000),
        ("locations", "foo.op loc(" + "(" * 100_000),
        ("affine expressions", "#m = affine_map<(d0) -> (" + "(" * 100_000),
    ):
        _refused(f"100,000 nested {name}", text)


if __name__ == "__main__":
    main()
