"""Several modules compiled and counted as one, and what comes of each.

Starting the compiler takes a third of a second and starting Valgrind more than one, so modules of one function are joined as
functions of one file. Functions share nothing but the file: their dispatches are those of the modules alone (a test compares
them), unless two have the same one, which the compiler keeps once; such modules are compiled again by themselves.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from perfmodel.collect.iree import executed
from perfmodel.collect.iree.assembly import KINDS, TOUCHES, Code, dispatches_of
from perfmodel.collect.iree.calling import entry_of, inputs_of
from perfmodel.collect.iree.compiler import Compiled, CompileError, compile_module
from perfmodel.collect.iree.lowering import body_of, export_names, lowering_of
from perfmodel.collect.iree.remarks import spilled_by_dispatch
from perfmodel.errors import InputError

COUNT_START_S, COUNT_EACH_S = 15.0, 5.0
"""Limit for counting a batch: so much to begin with, and so much more a module."""
EXECUTED = ("instructions", *KINDS, *TOUCHES)
"""What is counted statically and as executed (there with the prefix ``executed_``)."""
OK = "ok"
_RESULT = re.compile(r"\)\s*->\s*(\([^)]*\)|tensor<[^>]*>)\s*\{")


@dataclass(frozen=True)
class Source:
    """A module to measure.

    Attributes:
        name: of the module.
        text: of it.
        joined: whether its one function is :data:`perfmodel.collect.iree.generator.text.ENTRY` and nothing else stands in it,
            so that it may be one of many in a file.
    """

    name: str
    text: str
    joined: bool = True


@dataclass
class Measured:
    """What came of a module.

    Attributes:
        name: of the module.
        status: ``ok``, or why there is no code.
        executed_status: ``ok``, or why no instructions were counted.
        function: that is called in ``vmfb`` (None: there is none).
        dispatches: a record each.
        outside: instructions executed in the functions that dispatches call; None where nothing was counted, or where that
            cannot be told from those of other modules.
    """

    name: str
    status: str = OK
    executed_status: str = "not counted"
    function: str | None = None
    vmfb: Path | None = None
    dispatches: list[dict[str, Any]] = field(default_factory=list)
    outside: int | None = None


def measure(sources: Sequence[Source], folder: Path, *, cpu: str, count: bool = True) -> list[Measured]:
    """Compiles and counts modules.

    Args:
        sources: modules; those that may not be joined are compiled alone.
        folder: an empty one, for what is made; the compiled modules stay there.
        cpu: LLVM's name of the target.
        count: whether instructions executed are counted.

    Raises:
        InputError: no such target.
        MissingExtraError: IREE, capstone or pyelftools are not installed.
    """
    together = [source for source in sources if source.joined]
    found: dict[str, Measured] = {}
    if len(together) > 1:
        found = {m.name: m for m in _joined(together, folder / "joined", cpu, count)}
    for number, source in enumerate(sources):
        if source.name not in found:
            found[source.name] = _alone(source, _made(folder / f"alone-{number:03d}"), cpu, count)
    return [found[source.name] for source in sources]


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True)
    return folder


def _alone(source: Source, folder: Path, cpu: str, count: bool) -> Measured:
    path = folder / "module.mlir"
    path.write_text(source.text, encoding="utf-8")
    try:
        compiled = compile_module(path, folder, cpu=cpu)
    except CompileError as problem:
        return Measured(source.name, status=str(problem))
    codes = [code for executable in compiled.executables for code in dispatches_of(executable)]
    try:
        function, inputs = inputs_of(source.text, folder)
    except InputError as problem:
        function, inputs, why = next(iter(compiled.called), ""), [], str(problem)
    else:
        why = "not counted"
    called = Counter(compiled.called.get(function, ()))
    result = Measured(source.name, executed_status=why, function=function or None, vmfb=compiled.vmfb)
    result.dispatches = _records(compiled, codes, called, {})
    if count and why == "not counted":
        _count([result], [compiled.vmfb], function, inputs, compiled, codes, folder, executed.COUNT_LIMIT_S)
    return result


def _joined(sources: Sequence[Source], folder: Path, cpu: str, count: bool) -> list[Measured]:
    """Those that could be measured together; the rest are left to be measured alone.

    A module that the compiler refuses spoils its file: the halves are tried again.
    """
    if len(sources) < 2:
        return []
    _made(folder)
    path = folder / "module.mlir"
    names = {f"m{number}": source for number, source in enumerate(sources)}
    path.write_text("".join(renamed(source.text, name) for name, source in names.items()), encoding="utf-8")
    try:
        compiled = compile_module(path, folder, cpu=cpu)
    except CompileError:
        half = len(sources) // 2
        parts = ((sources[:half], "first"), (sources[half:], "second"))
        return [m for part, name in parts for m in _joined(part, folder / name, cpu, count)]
    codes = [code for executable in compiled.executables for code in dispatches_of(executable)]
    owned = {code.name: code.name.partition("_dispatch_")[0] for code in codes}
    found = []
    for name, source in names.items():
        called = Counter(compiled.called.get(name, ()))
        others = {owner for dispatch, owner in owned.items() if dispatch in called} - {name}
        lent = any(name == owned[d] for other, ds in compiled.called.items() if other != name for d in ds if d in owned)
        if others or lent or not set(called) <= set(owned):
            continue
        result = Measured(source.name, function=name, vmfb=compiled.vmfb)
        mine = [code for code in codes if owned[code.name] == name]
        result.dispatches = _records(compiled, mine, called, {f"{name}_dispatch_": "main_dispatch_"})
        found.append(result)
    if count and found:
        _count_joined(found, names, compiled, codes, folder, cpu)
    return found


def renamed(text: str, name: str) -> str:
    """The text with another name of its function."""
    return text.replace("func.func @main(", f"func.func @{name}(", 1)


def _count_joined(
    found: Sequence[Measured],
    names: Mapping[str, Source],
    compiled: Compiled,
    codes: Sequence[Code],
    folder: Path,
    cpu: str,
) -> None:
    """Counts all functions of a file in one process: a second module imports and calls each once."""
    declared: list[str] = []
    arguments: list[str] = []
    calls: list[str] = []
    inputs: list[str] = []
    for result in found:
        text = names[str(result.function)].text
        types = [f"tensor<{''.join(f'{e}x' for e in shape)}{dtype}>" for _, shape, dtype in entry_of(text)[1]]
        returned = _RESULT.search(text)
        results = returned[1] if returned else "()"
        below = folder / str(result.function)
        below.mkdir()
        inputs += inputs_of(text, below)[1]
        mine = [f"%a{len(arguments) + n}" for n in range(len(types))]
        arguments += [f"{name}: {kind}" for name, kind in zip(mine, types, strict=True)]
        declared.append(f"func.func private @module.{result.function}({', '.join(types)}) -> {results}")
        many = f":{results.count('tensor<')}" if results.count("tensor<") > 1 else ""
        calls.append(
            f"  %r{len(calls)}{many} = func.call @module.{result.function}({', '.join(mine)})"
            f" : ({', '.join(types)}) -> {results}"
        )
    text = "\n".join(
        ["module @all {", *declared, f"func.func @all({', '.join(arguments)}) {{", *calls, "  return", "}", "}", ""]
    )
    driver = _made(folder / "driver")
    path = driver / "all.mlir"
    path.write_text(text, encoding="utf-8")
    limit = COUNT_START_S + COUNT_EACH_S * len(found)
    try:
        calling = compile_module(path, driver, cpu=cpu)
    except CompileError as problem:  # what cannot be called so is counted one by one
        for result in found:
            result.executed_status = str(problem)
    else:
        _count(found, [compiled.vmfb, calling.vmfb], "all", inputs, compiled, codes, folder, limit)
    for result in found:
        if result.executed_status != OK:
            alone = folder / str(result.function)
            function, values = inputs_of(renamed(names[str(result.function)].text, str(result.function)), alone)
            _count([result], [compiled.vmfb], function, values, compiled, codes, folder, executed.COUNT_LIMIT_S)


def _count(
    found: Sequence[Measured], modules: Sequence[Path], function: str, inputs: Sequence[str], compiled: Compiled,
    codes: Sequence[Code], folder: Path, limit_s: float,
) -> None:  # fmt: skip
    try:
        counts = executed.executed_by_address(modules, function, inputs, folder, limit_s=limit_s)
    except executed.CountError as problem:
        for result in found:
            result.executed_status = str(problem)
        return
    matched = executed.executed_by_dispatch(counts, codes)
    for result in found:
        if matched is None:
            result.executed_status = "the code was not found in what was executed" if codes else OK
            continue
        by_name, outside = matched
        result.executed_status = OK
        result.outside = outside if len(found) == 1 or outside == 0 else None
        for record in result.dispatches:
            code = next(code for code in codes if code.name == record["symbol"])
            times = code.executed(by_name.get(code.name, {}))
            record.update({f"executed_{name}": times[name] for name in EXECUTED})


def _records(
    compiled: Compiled, codes: Sequence[Code], called: Mapping[str, int], rename: Mapping[str, str]
) -> list[dict[str, Any]]:
    spilled = spilled_by_dispatch(compiled.remarks)
    sources = {name: file for file, text in compiled.configurations.items() for name in export_names(text)}
    records = []
    for code in codes:
        file = sources.get(code.name)
        text = compiled.configurations[file] if file else ""
        word, slots = spilled.get(file or ""), spilled.get(code.name)
        name = code.name
        for old, new in rename.items():
            name = name.replace(old, new, 1)
            text = text.replace(old, new)
        records.append(
            {
                "dispatch": name,
                "symbol": code.name,
                "calls": called.get(code.name, 0),
                **code.static(),
                # No remark is given of a function without any spill.
                "regalloc_spills": word.spills if word else 0,
                "regalloc_reloads": word.reloads if word else 0,
                "vector_slots": slots.vector_slots if slots else None,
                "other_slots": slots.other_slots if slots else None,
                "buffer_bytes": slots.variable_bytes if slots else None,
                "lowering": json.dumps(lowering_of(text), separators=(",", ":")) if text else None,
                "ir": body_of(text) if text else None,
            }
        )
    return records
