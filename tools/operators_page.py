"""Writes docs/onnx-operators.md: what perfmodel makes of every operator of ONNX and of ONNX Runtime.

python tools/operators_page.py            rewrites the page
python tools/operators_page.py --check    exits with 1 where it differs
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import CodeType
from typing import Any

import onnx

from perfmodel import ops
from perfmodel.features.onnx import control, loops
from perfmodel.features.onnx.rules import RULES, UNMODELLED
from perfmodel.ops.costs import elementwise_flops

PAGE = Path(__file__).resolve().parent.parent / "docs" / "onnx-operators.md"
FIRST_OPSET = 7
NO_RULE = "unmodelled with its bytes"

# The names of ONNX Runtime's contributed operators without a rule, as its documentation lists them; those with one are in
# the table of rules.
MICROSOFT_WITHOUT_RULE = """
    AttnLSTM BitmaskBiasDropout BitmaskDropout DecoderAttention DequantizeBFP EPContext EngramGate GatedAdd GatedDeltaNet
    GatedRMSNorm LinearAttentionGate LongformerAttention MRotaryEmbedding MatMulNBitsMlp MatMulNBitsQkv MurmurHash3
    NGramHashMapping QOrderedAttention QOrderedLongformerAttention QuantizeBFP SampleOp Snpe SparseToDenseMatMul Tokenizer
    VarlenCausalConvWithState VarlenNGramHashMapping
""".split()

_FAMILIES = {cls.__name__: cls.op for cls in ops.FAMILIES.values()}

_DOMAINS = {
    "": (
        "The standard domain",
        "Operator sets {first} to {last}, as onnx {version} defines them; all versions of an operator are read by one rule.",
    ),
    "ai.onnx.ml": ("`ai.onnx.ml`", "Classical models, as scikit-learn's converters write them."),
    "ai.onnx.preview": ("`ai.onnx.preview`", "Operators that the standard tries out."),
    "ai.onnx.preview.training": ("`ai.onnx.preview.training`", "Gradients and optimisers."),
    "com.microsoft": (
        "`com.microsoft`",
        "Operators of ONNX Runtime's optimiser, its quantiser and Olive, by their documentation "
        "(ContribOperators.md in the repository of ONNX Runtime).",
    ),
    "com.microsoft.nchwc": (
        "`com.microsoft.nchwc`",
        "The blocked layout in graphs that ONNX Runtime optimised for a CPU.",
    ),
}

_HEAD = f"""# ONNX operators

<!-- Written by tools/operators_page.py (`make docs`); a test fails where the page and the code differ. -->

What perfmodel makes of each operator. **Described as** names the families of descriptors that its rule answers with
(several where it depends on the operands, or where one kernel does several things); *folded* means that an engine computes
it once, not per inference. An operator that is **{NO_RULE}** is listed in every prediction with its share of the
bytes, and its time is estimated as memory traffic; so is every operator of a domain that is not here.

- A FLOP is one multiply or one add. Costs of scalar functions stand in one table with their source
  ([`perfmodel/ops/costs.py`](../perfmodel/ops/costs.py)): add, multiply, compare 1; divide, square root 4; exponential,
  logarithm, trigonometric 8.
- Accumulators start from the neutral element, so a sum of n costs n. Kernel positions in the padding count like all others.
- The factors `alpha` and `beta` of Gemm are part of its constants and cost nothing.
- Sequences shorter than the longest count whole, in recurrent layers and in attention; a mask that is data hides nothing.
- If counts its dearer branch where the condition depends on data, and says so. Loop, Scan and SequenceMap count their
  body as often as it runs: by a constant, by an input's dimension, or by `--dim NODE_trips=N`. Where the number depends on
  data and nobody gives it, the body counts once, and a warning names the dimension that sets it.
- Functions of the model are expanded in place, functions in functions too.
"""


def page() -> str:
    """The whole page."""
    rows: dict[str, dict[str, list[int]]] = {domain: {} for domain in _DOMAINS}
    for schema in onnx.defs.get_all_schemas_with_history():
        rows[schema.domain].setdefault(schema.name, []).append(schema.since_version)
    for domain, op_type in RULES:
        rows[domain].setdefault(op_type, [1])
    for op_type in (*MICROSOFT_WITHOUT_RULE, *loops.SEARCHES):
        rows["com.microsoft"].setdefault(op_type, [1])
    parts = [_HEAD]
    for domain, (title, text) in _DOMAINS.items():
        table = {name: described(domain, name) for name in sorted(rows[domain], key=str.lower)}
        without = sum(family == NO_RULE for family, _ in table.values())
        text = text.format(first=FIRST_OPSET, last=onnx.defs.onnx_opset_version(), version=onnx.__version__)
        many = f"{len(table)} operators" if len(table) > 1 else "One operator"
        parts.append(f"## {title}\n\n{text} {many}, {without or 'none'} without a rule.\n")
        lines = ["| operator | since | described as | remarks |", "|---|---|---|---|"]
        for name, (family, remark) in table.items():
            since = ", ".join(map(str, sorted(set(rows[domain][name]))))
            lines.append(f"| {name} | {since} | {family} | {remark} |")
        parts.append("\n".join(lines) + "\n")
    return "\n".join(parts)


def described(domain: str, op_type: str) -> tuple[str, str]:
    """(what the operator is described as, remarks)."""
    if domain == "com.microsoft" and op_type in loops.SEARCHES:
        return (
            "its bodies",
            "the decoder runs `NODE_trips` times, the other graphs once; open dimensions inside are asked for",
        )
    if domain == "" and op_type in control.CONTROL:
        return "its body", "" if op_type == "If" else "as often as it runs"
    if domain == "" and op_type == "Constant":
        return "folded", ""
    rule = RULES.get((domain, op_type))
    if rule is None:
        return NO_RULE, UNMODELLED.get((domain, op_type), "").replace("its cost", "the cost")
    return ", ".join(families(rule)), remark(rule, op_type)


def families(rule: Callable[..., Any]) -> list[str]:
    """The families of descriptors that a rule makes, found in its code and in that of the functions it uses."""
    found = {_FAMILIES[name] for name in _names(rule, set()) if name in _FAMILIES}
    return [family for family in ops.FAMILIES if family in found]


def _names(function: Any, seen: set[int]) -> Iterator[str]:
    code = getattr(function, "__code__", None)
    if (
        code is None
        or id(code) in seen
        or not str(getattr(function, "__module__", "")).startswith("perfmodel.features")
    ):
        return
    seen.add(id(code))
    names = list(_loaded(code))
    yield from names
    scope = {**function.__globals__, **inspect.getclosurevars(function).nonlocals}
    used = [scope[n] for n in names if n in scope]
    # Functions of other modules are loaded as attributes of those.
    used += [getattr(module, n) for module in used if inspect.ismodule(module) for n in names if hasattr(module, n)]
    used += [v for v in inspect.getclosurevars(function).nonlocals.values() if callable(v)]
    for value in used:
        if inspect.isfunction(value):
            yield from _names(value, seen)


def _loaded(code: CodeType) -> Iterator[str]:
    yield from (*code.co_names, *code.co_freevars)
    for constant in code.co_consts:
        if inspect.iscode(constant):
            yield from _loaded(constant)


def remark(rule: Callable[..., Any], op_type: str) -> str:
    """What the rule's text says of the operator, or what one element costs."""
    values = inspect.getclosurevars(rule).nonlocals if inspect.isfunction(rule) else {}
    factory = rule.__qualname__.split(".")[0]
    if factory in ("named", "per_element", "plain", "window"):
        kinds = values.get("kind") or "+".join(values.get("kinds") or values.get("steps") or ())
        cost = elementwise_flops(kinds)
        return f"{cost} FLOPs an element" if cost != 1 else "1 FLOP an element"
    text = inspect.getdoc(rule) or inspect.getdoc(getattr(inspect.getmodule(rule), factory, None)) or ""
    text = " ".join(text.split("\n\n")[0].split())
    # "MatMul: like numpy.matmul." speaks of this operator or of several like it.
    subject, colon, rest = text.partition(": ")
    text = rest if colon and re.search(rf"\b{op_type}\b", subject) else text
    return text.replace("``", "`").replace("|", "\\|").rstrip(".")


def main() -> int:
    """Write or check the page."""
    text = page()
    if PAGE.is_file() and PAGE.read_text(encoding="utf-8") == text:
        return 0
    if "--check" in sys.argv[1:]:
        print(f"{PAGE.name}: differs from the code: run python tools/operators_page.py")
        return 1
    PAGE.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
