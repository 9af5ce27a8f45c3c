"""Writes the table of docs/mlir.md: what perfmodel makes of every operation of MLIR that it knows.

python tools/mlir_page.py            rewrites the part between the marks
python tools/mlir_page.py --check    exits with 1 where it differs
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from perfmodel.features.mlir import constants, control
from perfmodel.features.mlir.kinds import SCALAR_KINDS, TENSOR_KINDS
from perfmodel.features.mlir.rules import ATEN, IGNORED, RULES, TERMINATORS, UNMODELLED
from perfmodel.features.mlir.rules_torch_movement import PRIMS
from perfmodel.features.mlir.scalar_code import LOADS, STORES
from perfmodel.ops.costs import elementwise_flops

PAGE = Path(__file__).resolve().parent.parent / "docs" / "mlir.md"
BEGIN, END = "<!-- operations: begin (tools/mlir_page.py) -->", "<!-- operations: end -->"
_ORDER = (
    "stablehlo",
    "chlo",
    "linalg",
    "tosa",
    "torch.aten",
    "torch.prims",
    "tensor",
    "arith",
    "math",
    "func",
    "scf",
    "affine",
)
_SAME_AS = {"mhlo": "stablehlo", "vhlo": "stablehlo"}


def described(name: str) -> str:
    """What becomes of one operation."""
    if name in control.HANDLERS:
        return _first_sentence(control.HANDLERS[name].__doc__)
    if name in constants.CONSTANTS or name in constants.WEIGHTS:
        return "a constant, of which small values are kept"
    if name in constants.EMPTY:
        return "storage without contents"
    if name in LOADS or name in STORES:
        return "part of its nest, or registers"
    if name == "torch.operator":
        return "what the operation of the name that it is given becomes; unmodelled with its bytes where no rule covers that"
    if name in UNMODELLED:
        return f"unmodelled with its bytes: {UNMODELLED[name]}"
    if name in IGNORED:
        return IGNORED[name]
    kind = TENSOR_KINDS.get(name) or SCALAR_KINDS.get(name)
    if kind is not None and elementwise_flops(kind) == 0:
        return "a conversion or a copy of each element"
    if kind is not None and elementwise_flops(kind):
        flops = elementwise_flops(kind)
        return f"elementwise, {flops} FLOP{'s' if flops != 1 else ''} an element"
    function = name.split(".")[2] if name.startswith(("torch.aten.", "torch.prims.")) else None
    rule = RULES.get(name) or (None if function is None else ATEN.get(function) or PRIMS.get(function))
    if rule is None:
        return ""
    owner = inspect.getclosurevars(rule).nonlocals if rule.__qualname__.count("<locals>") else {}
    text = rule.__doc__
    if text is None:
        outer = inspect.getmodule(rule)
        text = getattr(outer, rule.__qualname__.split(".")[0], rule).__doc__
    sentence = _first_sentence(text)
    kind = owner.get("kind")
    if isinstance(kind, str) and elementwise_flops(kind) and "function" in sentence:
        flops = elementwise_flops(kind)
        return f"elementwise, {flops} FLOP{'s' if flops != 1 else ''} an element"
    return sentence


def _first_sentence(text: str | None) -> str:
    plain = " ".join((text or "").split()).replace("``", "`")
    return re.split(r"(?<=[a-z)\]`])\.(?:\s|$)", plain)[0].rstrip(".")


def operations() -> dict[str, list[str]]:
    """Names of operations by dialect."""
    names = {*RULES, *control.HANDLERS, *constants.CONSTANTS, *constants.WEIGHTS, *constants.EMPTY, *IGNORED, *UNMODELLED,
             *LOADS, *STORES, *(f"torch.aten.{n}" for n in ATEN), *(f"torch.prims.{n}" for n in PRIMS)}  # fmt: skip
    found: dict[str, list[str]] = {}
    for name in sorted(names - TERMINATORS):
        dialect = (
            ".".join(name.split(".")[:2]) if name.startswith(("torch.aten.", "torch.prims.")) else name.split(".")[0]
        )
        if "." in name and dialect not in _SAME_AS:
            found.setdefault(dialect, []).append(name)
    return found


def table() -> str:
    """The generated part of the page."""
    return "\n".join(_lines())


def _lines() -> Iterator[str]:
    found = operations()
    total = sum(map(len, found.values()))
    yield BEGIN
    yield ""
    yield f"{total} operations of {len(found)} dialects. MHLO's and VHLO's are those of StableHLO under the same names."
    for dialect in sorted(found, key=lambda d: (_ORDER.index(d) if d in _ORDER else len(_ORDER), d)):
        yield ""
        yield f"### `{dialect}`"
        yield ""
        yield "| operation | becomes |"
        yield "|---|---|"
        rows: dict[str, list[str]] = {}
        for name in found[dialect]:
            rows.setdefault(described(name) or "see the text above", []).append(name[len(dialect) + 1 :])
        for text, names in sorted(rows.items(), key=lambda row: row[1]):
            yield f"| {', '.join(f'`{n}`' for n in names)} | {text} |"
    yield ""
    yield END


def main() -> int:
    """Rewrite or check the page."""
    text = PAGE.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    wanted = before + table() + after
    if "--check" in sys.argv[1:]:
        return 0 if wanted == text else 1
    PAGE.write_text(wanted, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
