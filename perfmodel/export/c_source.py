"""An export as C: one header, one source of C99 that needs nothing but libm, no memory of its own and no state.

Steps of one size that follow each other share a loop; what only its own loop reads is a local variable, the rest lies in a
workspace on the stack whose places are used again. Trees are tables of nodes, their leaves added up in float32 in the order of
training as XGBoost does.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from perfmodel.errors import InputError
from perfmodel.export.c_trees import trees_function
from perfmodel.export.operators import AT_LEAST, Export
from perfmodel.export.schedule import Block, Schedule
from perfmodel.ops.base import MAX_DIMENSION
from perfmodel.recording.program import ELEMENTWISE, Step, Value

_EXPRESSIONS = {
    "add": "{0} + {1}", "subtract": "{0} - {1}", "multiply": "{0} * {1}", "divide": "{0} / {1}", "power": "pow({0}, {1})",
    "maximum": "pm_max({0}, {1})", "minimum": "pm_min({0}, {1})", "remainder": "pm_mod({0}, {1})",
    "floor_divide": "pm_floor_div({0}, {1})", "hypot": "hypot({0}, {1})", "less": "{0} < {1}", "less_equal": "{0} <= {1}",
    "greater": "{0} > {1}", "greater_equal": "{0} >= {1}", "equal": "{0} == {1}", "not_equal": "{0} != {1}",
    "logical_and": "({0} != 0.0) && ({1} != 0.0)", "logical_or": "({0} != 0.0) || ({1} != 0.0)",
    "bitwise_and": "(double)((long long){0} & (long long){1})", "bitwise_or": "(double)((long long){0} | (long long){1})",
    "ceil": "ceil({0})", "floor": "floor({0})", "sqrt": "sqrt({0})", "exp": "exp({0})", "exp2": "exp2({0})", "log": "log({0})",
    "log2": "log2({0})", "square": "{0} * {0}", "negative": "-{0}", "absolute": "fabs({0})", "logical_not": "{0} == 0.0",
    "reciprocal": "1.0 / {0}", "rint": "rint({0})", "where": "{0} != 0.0 ? {1} : {2}", "float32": "(double)(float){0}",
    "trunc": "trunc({0})",
}  # fmt: skip
assert _EXPRESSIONS.keys() == ELEMENTWISE.keys()
_KEYWORDS = frozenset(
    "auto break case char const continue default do double else enum extern float for goto if inline int long register "
    "restrict return short signed sizeof static struct switch typedef union unsigned void volatile while bool true "
    "false and or not xor class new delete this template typename operator private public protected virtual friend using "
    "namespace try catch throw export explicit mutable asm wchar_t".split()
)
"""Of C and of C++, which may include the header."""
_HELPERS = """\
static inline double pm_max(double a, double b) { return a >= b || a != a ? a : b; }
static inline double pm_min(double a, double b) { return a <= b || a != a ? a : b; }
static inline double pm_mod(double a, double b)
{
    double r = fmod(a, b);
    return r != 0.0 && (b < 0.0) != (r < 0.0) ? r + b : r;
}
static inline double pm_floor_div(double a, double b)
{
    double r = fmod(a, b), q = (a - r) / b, whole;
    if (r != 0.0 && (b < 0.0) != (r < 0.0)) q -= 1.0;
    whole = floor(q);
    return q - whole > 0.5 ? whole + 1.0 : whole;
}
/* How many of the rising edges lie below x, those at x with them where at is 1. */
static inline double pm_count(const double *edges, int n, double x, int at)
{
    int low = 0, high = n;
    while (low < high) {
        int middle = (low + high) / 2;
        if (edges[middle] < x || (at && edges[middle] == x)) low = middle + 1; else high = middle;
    }
    return (double)low;
}
static inline double pm_is_in(const double *values, int n, double x)
{
    double at = pm_count(values, n, x, 0);
    return at < n && values[(int)at] == x;
}
"""


def header(export: Export) -> str:
    """The C header: inputs and outputs with their units."""
    _refuse_names(export)
    guard = f"{export.name.upper()}_H"

    def struct(kind: str, names: Any, meanings: Any) -> str:
        lines = [f"    double {n}; /* {_commented(meanings[n])} */" for n in names]
        return "\n".join(["typedef struct {", *lines, f"}} {export.name}_{kind};"])

    told = ["Returns 0 where out was written; -1 where an input is no number, negative or above 2^48"]
    if export.refusals:
        told += [
            f"{code} where the configuration cannot run: {reason}"
            for code, reason in enumerate(export.refusals)
            if code
        ]
    answers = _commented(";\n   ".join(told))
    return "\n".join([
        f"/* {_commented(export.title)}.",
        "   Written by perfmodel; do not edit. Reentrant: no state, no allocation. */",
        f"#ifndef {guard}", f"#define {guard}", "#ifdef __cplusplus", 'extern "C" {', "#endif", "",
        struct("input", export.inputs, export.inputs), "", struct("output", export.outputs, export.outputs), "",
        f"/* {answers}. */",
        f"int {export.name}(const {export.name}_input *in, {export.name}_output *out);", "",
        "#ifdef __cplusplus", "}", "#endif", "#endif", "",
    ])  # fmt: skip


def source(export: Export) -> str:
    """The C source that belongs to :func:`header`."""
    body = _Body(export)
    run = body.function()
    notes = _commented("".join(f"\n   {note}" for note in export.notes))
    parts = [
        f"/* {_commented(export.title)}.",
        f"   Written by perfmodel; do not edit. Compile with -std=c99, so that nothing is contracted.{notes} */",
        f'#include "{export.name}.h"', "#include <math.h>", "", _HELPERS, *body.tables, run, _entry(export),
    ]  # fmt: skip
    return "\n".join(parts) + "\n"


def number(value: float) -> str:
    """A double as a C literal that reads as the same one."""
    if math.isnan(value):
        return "NAN"
    if math.isinf(value):
        return "INFINITY" if value > 0 else "(-INFINITY)"
    text = repr(float(value))
    return f"({text})" if value < 0 or text.startswith("-") else text


def _commented(text: str) -> str:
    """Text that ends no comment: titles and reasons of a space are its author's."""
    return text.replace("*/", "* /").replace("/*", "/ *")


def _refuse_names(export: Export) -> None:
    for name in (export.name, *export.inputs):
        if not (name.isascii() and name.isidentifier()) or name in _KEYWORDS:
            raise InputError(f"{name!r} cannot be a name in C: rename the parameter, or export as onnx")


class _Body:
    """The function of one row, and the tables that it reads."""

    def __init__(self, export: Export) -> None:
        self.export = export
        self.schedule = Schedule(export.program)
        self.tables: list[str] = []
        self._named: dict[Any, str] = {}

    def function(self) -> str:
        """``static int run(...)``."""
        export, schedule = self.export, self.schedule
        lines = [self._block(block) for block in schedule.blocks]
        outputs = []
        for name in export.outputs:
            outputs.append(f"    out->{name} = {self._entry_of(export.program.outputs[name], 0)};")
        refused = export.program.outputs.get("refused")
        code = (
            [] if refused is None else [f"    if ({(text := self._entry_of(refused, 0))} != 0.0) return (int){text};"]
        )
        work = [f"    double w[{schedule.workspace}];"] if schedule.workspace else []
        unused = [] if export.halving else ["    (void)least;"]
        return "\n".join([
            f"static int run(const {export.name}_input *in, double least, {export.name}_output *out)", "{",
            *work, *unused, *lines, *code, *outputs, "    return 0;", "}", "",
        ])  # fmt: skip

    def _block(self, block: Block) -> str:
        if not block.loop:
            return self._single(block.steps[0])
        size = block.steps[0].size
        lines = []
        for step in block.steps:
            text = _EXPRESSIONS[step.op].format(*(self._reference(v, "i", block) for v in step.inputs))
            stored = self.schedule.places.get(step.number)
            lines.append(f"        const double v{step.number} = {text};")
            if stored is not None:
                lines.append(f"        w[{stored} + i] = v{step.number};")
        return "\n".join([f"    for (int i = 0; i < {size}; i++) {{", *lines, "    }"])

    def _single(self, step: Step) -> str:
        name = f"v{step.number}"
        if step.op == "input":
            return f"    const double {name} = {'least' if step.data == AT_LEAST else f'in->{step.data}'};"
        if step.op in _EXPRESSIONS:
            text = _EXPRESSIONS[step.op].format(*(self._entry_of(v, 0) for v in step.inputs))
            return f"    const double {name} = {text};"
        if step.op == "trees":
            return self._trees(step)
        if step.op == "gather":
            entries = [(v, i) for v in step.inputs for i in range(len(v))]
            return "\n".join(
                f"    {self._target(step, str(j))} = {self._entry_of(v, i)};" for j, (v, i) in enumerate(entries)
            )
        texts = {
            "reduce": self._reduce,
            "pick": self._pick,
            "look_up": self._look_up,
            "count": self._count,
            "is_in": self._is_in,
        }
        declared = [] if step.size > 1 else [f"    double {name};"]
        return "\n".join([*declared, f"    for (int i = 0; i < {step.size}; i++) {{", *texts[step.op](step), "    }"])

    def _target(self, step: Step, index: str) -> str:
        return f"v{step.number}" if step.size == 1 else f"w[{self.schedule.places[step.number]} + {index}]"

    def _reduce(self, step: Step) -> list[str]:
        name, run = step.data
        entry = self._reference(step.inputs[0], f"i * {run} + j", None)
        first = self._reference(step.inputs[0], f"i * {run}", None)
        target = self._target(step, "i")
        if name in ("argmin", "argmax"):
            sign = "<" if name == "argmin" else ">"
            change = f"if (x {sign} best) {{ best = x; place = j; }}"
            return [
                f"        double best = {first};", "        int place = 0;",
                f"        for (int j = 1; j < {run}; j++) {{ const double x = {entry}; {change} }}",
                f"        {target} = place;",
            ]  # fmt: skip
        combine = {
            "minimum": "pm_min(total, x)", "maximum": "pm_max(total, x)", "add": "total + x",
            "logical_and": "(total != 0.0) && (x != 0.0)", "logical_or": "(total != 0.0) || (x != 0.0)",
        }[name]  # fmt: skip
        return [
            f"        double total = {first};",
            f"        for (int j = 1; j < {run}; j++) {{ const double x = {entry}; total = {combine}; }}",
            f"        {target} = total;",
        ]

    def _pick(self, step: Step) -> list[str]:
        value, index = step.inputs
        place = f"i * {step.data} + (int){self._reference(index, 'i', None)}"
        return [f"        {self._target(step, 'i')} = {self._reference(value, place, None)};"]

    def _look_up(self, step: Step) -> list[str]:
        table = self._table(step.data)
        return [f"        {self._target(step, 'i')} = {table}[(int){self._reference(step.inputs[0], 'i', None)}];"]

    def _count(self, step: Step) -> list[str]:
        edges, side = step.data
        value = self._reference(step.inputs[0], "i", None)
        call = f"pm_count({self._table(edges)}, {len(edges)}, {value}, {int(side == 'right')})"
        return [
            f"        {self._target(step, 'i')} = {call};"
            if len(edges)
            else f"        {self._target(step, 'i')} = 0.0;"
        ]

    def _is_in(self, step: Step) -> list[str]:
        values = step.data
        call = f"pm_is_in({self._table(values)}, {len(values)}, {self._reference(step.inputs[0], 'i', None)})"
        return [f"        {self._target(step, 'i')} = {call};"]

    def _trees(self, step: Step) -> str:
        row = step.inputs[0]
        key = ("trees", id(step.data))
        if key not in self._named:
            self._named[key] = f"trees_{len(self._named)}"
            self.tables.append(trees_function(step.data, self._named[key]))
        name = f"v{step.number}"
        return "\n".join([
            f"    float f{step.number}[{len(row) + 1}];",
            f"    f{step.number}[{len(row)}] = -INFINITY; /* what leaves read */",
            f"    for (int i = 0; i < {len(row)}; i++) f{step.number}[i] = (float){self._reference(row, 'i', None)};",
            f"    const double {name} = {self._named[key]}(f{step.number});",
        ])  # fmt: skip

    def _entry_of(self, value: Value, entry: int) -> str:
        """One number of a value."""
        step, place = value.step, int(value.places[entry])
        if step.op == "constant":
            return number(step.data[place])
        return f"v{step.number}" if step.size == 1 else f"w[{self.schedule.places[step.number] + place}]"

    def _reference(self, value: Value, index: str, block: Block | None) -> str:
        """A value's number at a C index, within the loop of a block where there is one."""
        step, places = value.step, value.places
        if step.op == "constant":
            numbers = step.data[places]
            if (numbers.view(np.int64) == numbers.view(np.int64)[0]).all():
                return number(numbers[0])
            return f"{self._table(numbers)}[{index}]"
        if block is not None and step in block.steps:
            return f"v{step.number}"
        if (places == places[0]).all():
            return self._entry_of(value, 0)
        start = self.schedule.places[step.number]
        if (np.diff(places) == 1).all():
            return f"w[{start + int(places[0])} + {index}]"
        return f"w[{start} + {self._table(places.astype(np.int64))}[{index}]]"

    def _table(self, numbers: np.ndarray) -> str:
        """The name of a table of constants; equal ones are one."""
        key = (numbers.dtype.str, numbers.tobytes())
        if key not in self._named:
            self._named[key] = name = f"t{len(self._named)}"
            kind = {"i": "unsigned short" if not len(numbers) or numbers.max() < 2**16 else "unsigned", "f": "double"}[
                numbers.dtype.kind
            ]
            if numbers.dtype == np.float32:
                kind, texts = "float", [f"{float(v)!r}f" for v in numbers]
            else:
                texts = [number(v).strip("()") if kind == "double" else str(int(v)) for v in numbers]
            self.tables.append(f"static const {kind} {name}[{max(len(texts), 1)}] = {{{_wrapped(texts or ['0'])}}};")
        return self._named[key]


def _wrapped(texts: Sequence[str]) -> str:
    lines, line = [], ""
    for text in texts:
        if len(line) + len(text) > 110:
            lines.append(line)
            line = ""
        line += text + ","
    return "\n    ".join([*lines, line[:-1]])


def _entry(export: Export) -> str:
    """The public function: it refuses what is no input, and runs a batch from its smallest half up."""
    checks = "\n".join(
        f"    if (!(in->{n} >= 0.0 && in->{n} <= {float(MAX_DIMENSION)!r})) return -1;" for n in export.inputs
    )
    head = f"int {export.name}(const {export.name}_input *in, {export.name}_output *out)"
    if export.halving is None:
        return f"{head}\n{{\n{checks}\n    return run(in, 0.0, out);\n}}"
    half = f"""\
/* A batch takes no less than half of it; above {export.halving.largest:g}, than half of half of it, and so on. */
static int from_half(const {export.name}_input *in, {export.name}_output *out)
{{
    double least = 0.0;
    if (in->batch > 1.0) {{
        {export.name}_input half = *in;
        do half.batch = ceil(half.batch / 2.0); while (half.batch > {number(export.halving.largest)});
        from_half(&half, out);
        least = out->latency_s;
    }}
    return run(in, least, out);
}}
"""
    return f"{half}\n{head}\n{{\n{checks}\n    return from_half(in, out);\n}}"
