"""Compiling with IREE and counting with Valgrind, and the shipped data set `iree-cpu`: a few of its rows made anew.

What needs the extra `iree` is skipped where it is not installed, what counts instructions also where Valgrind is not.
"""

from __future__ import annotations

import errno
import json
import os
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from perfmodel.collect.iree import executed
from perfmodel.collect.iree.assembly import KINDS, TOUCHES
from perfmodel.collect.iree.batch import EXECUTED, Measured, Source, measure
from perfmodel.collect.iree.generator import FAMILIES, generate
from perfmodel.collecting import compiled
from perfmodel.datasets.compiled import CompiledModules, load_compiled
from perfmodel.errors import InputError

needs_iree = pytest.mark.skipif(
    any(find_spec(name) is None for name in ("iree", "capstone", "elftools")),
    reason="the extra `iree` is not installed",
)
needs_valgrind = pytest.mark.skipif(executed.why_not() is not None, reason=str(executed.why_not()))


@pytest.fixture(scope="module")
def shipped() -> CompiledModules:
    return load_compiled()


def test_the_shipped_tables(shipped: CompiledModules) -> None:
    modules, dispatches = shipped.modules, shipped.dispatches
    assert set(modules.columns) == set(shipped.card["modules"])
    assert set(dispatches.columns) == set(shipped.card["dispatches"])
    assert modules["module"].is_unique
    assert set(dispatches["module"]) <= set(modules["module"])
    for table in (modules, dispatches):
        assert table["compiler"].str.startswith("iree-base-compiler ").all()
        assert table["target_cpu"].notna().all()
    assert (dispatches[list(KINDS)].sum(axis=1) == dispatches["instructions"]).all()
    counted = dispatches[dispatches["executed_instructions"].notna()]
    assert len(counted) > 0.8 * len(dispatches)
    assert (counted[[f"executed_{kind}" for kind in KINDS]].sum(axis=1) == counted["executed_instructions"]).all()
    for prefix in ("", "executed_"):
        for touch in TOUCHES:
            assert (counted[f"{prefix}{touch}"] <= counted[f"{prefix}instructions"]).all()
    assert modules.loc[modules["real"], "text"].isna().all()
    assert dispatches.loc[dispatches["module"].isin(modules.loc[modules["real"], "module"]), "ir"].isna().all()


def test_shipped_texts_are_what_the_generator_writes(shipped: CompiledModules) -> None:
    generated = shipped.modules[~shipped.modules["real"]]
    assert set(generated["family"]) == set(FAMILIES)
    for row in generated.iloc[:: max(len(generated) // 60, 1)].itertuples():
        module = generate(row.family, row.seed, int(row.number))
        assert module.name == row.module
        assert module.text == row.text
        assert module.parameters == json.loads(row.parameters)


def test_products_execute_the_multiply_adds_that_they_have(shipped: CompiledModules) -> None:
    """A product of m, n, k in fp32 needs m n k multiply-adds, of which a vector of AVX2 holds 8."""
    seen = 0
    by_module = shipped.dispatches.set_index("module")
    for row in shipped.modules[shipped.modules["family"] == "gemm"].itertuples():
        p = json.loads(row.parameters)
        if p["dtype"] == "f32" and p["n"] % 8 == 0 and row.executed_status == "ok" and row.dispatches == 1:
            fma = by_module.loc[row.module, "executed_fma"]
            assert fma >= p["m"] * p["n"] * p["k"] / 8
            seen += 1
    assert seen >= 3


def rows_of(shipped: CompiledModules, name: str) -> list[dict[str, object]]:
    rows = shipped.dispatches[shipped.dispatches["module"] == name]
    return rows.sort_values("dispatch").to_dict("records")


def few(shipped: CompiledModules) -> list[str]:
    """Three small modules of different families, all counted."""
    modules = shipped.modules
    good = modules[(modules["status"] == "ok") & (modules["executed_status"] == "ok") & ~modules["real"]]
    small = good[(good["executed_instructions"] < 3e6) & (good["instructions"] < 800)]
    return [str(group["module"].iloc[0]) for _, group in list(small.groupby("family"))[::7]][:3]


@needs_iree
def test_static_counts_of_shipped_rows_repeat(shipped: CompiledModules, tmp_path: Path) -> None:
    from perfmodel.collect.iree.compiler import compiler_version

    modules = shipped.modules.set_index("module")
    names = few(shipped)
    if compiler_version() != modules.loc[names[0], "compiler"]:
        pytest.skip(f"made by {modules.loc[names[0], 'compiler']}, here is {compiler_version()}")
    # The shipped rows were compiled sixteen at a time: alone they are the same.
    sources = [Source(name, modules.loc[name, "text"], joined=False) for name in names]
    cpu = modules.loc[names[0], "target_cpu"]
    count = executed.why_not() is None
    columns = [
        *EXECUTED,
        "code_bytes",
        "loops",
        "vector_registers",
        "regalloc_spills",
        "vector_slots",
        "lowering",
        "ir",
    ]
    columns += [f"executed_{name}" for name in EXECUTED] if count else []
    for made in measure(sources, tmp_path / "made", cpu=cpu, count=count):
        expected = rows_of(shipped, made.name)
        found = sorted(made.dispatches, key=lambda row: row["dispatch"])
        assert [row["dispatch"] for row in found] == [row["dispatch"] for row in expected]
        for got, wanted in zip(found, expected, strict=True):
            assert {c: got[c] for c in columns} == {c: wanted[c] for c in columns}


@needs_iree
@needs_valgrind
def test_joined_modules_are_what_they_are_alone(tmp_path: Path) -> None:
    twins = [generate("gemm", 0, 1), generate("softmax", 0, 1)]
    sources = [Source(g.name, g.text) for g in twins]
    # The same product once more: the compiler keeps its code once, so both have to be compiled alone.
    sources.append(Source("twin", twins[0].text))
    found = measure(sources, tmp_path / "made", cpu="haswell")
    assert [m.name for m in found] == ["gemm-0-00001", "softmax-0-00001", "twin"]
    assert [m.function for m in found] == ["main", "m1", "main"]
    assert all(m.executed_status == "ok" for m in found)
    one, twin = found[0].dispatches[0], found[2].dispatches[0]
    assert one == twin
    assert one["executed_fma"] == 6 * 1024 * 99 // 8
    [alone] = measure([Source("alone", twins[1].text, joined=False)], tmp_path / "alone", cpu="haswell")
    assert len(alone.dispatches) == 2
    kept = [{k: v for k, v in row.items() if k != "symbol"} for row in found[1].dispatches]
    assert kept == [{k: v for k, v in row.items() if k != "symbol"} for row in alone.dispatches]


@needs_iree
def test_refused_modules_spoil_no_others(tmp_path: Path) -> None:
    good = generate("gemm", 0, 1)
    bad = good.text.replace("linalg.matmul", "linalg.no_such_operation")
    found = measure([Source("bad", bad), Source("good", good.text)], tmp_path / "made", cpu="haswell", count=False)
    assert "no_such_operation" in found[0].status
    assert found[0].dispatches == []
    assert found[1].status == "ok"
    assert found[1].dispatches[0]["fma"] == 66


@needs_iree
def test_collecting_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiled, "BATCH", 2)
    heard: list[str] = []
    now = iter(float(n) for n in range(100))
    wanted = compiled.Wanted(tmp_path / "out", modules=4, minutes=1.5 / 60, count=False)
    first = compiled.collect_modules(wanted, heard.append, clock=lambda: next(now))
    assert len(first.modules) == 2
    second = compiled.collect_modules(wanted, heard.append)
    assert len(second.modules) == 4
    assert second.modules.iloc[:2]["text_sha256"].tolist() == first.modules["text_sha256"].tolist()
    assert len(heard) == 2
    again = compiled.collect_modules(wanted, heard.append)
    assert len(heard) == 2
    assert again.dispatches.equals(second.dispatches)
    with pytest.raises(InputError, match=r"holds modules for haswell .* with the seed 0, not for haswell"):
        compiled.collect_modules(compiled.Wanted(tmp_path / "out", seed=1, count=False))


class Compiler:
    """Stands in for the compiler: a dispatch a module, or what :attr:`next` says."""

    def __init__(self) -> None:
        self.next: list[BaseException | str] = []
        """What becomes of the next batches: raised, or the status of modules without code."""

    def __call__(self, sources: list[Source], folder: Path, **options: Any) -> list[Measured]:
        coming = self.next.pop(0) if self.next else "ok"
        if isinstance(coming, BaseException):
            raise coming
        row = {"dispatch": "d0", "symbol": "s0", "instructions": 5, "code_bytes": 20}
        return [Measured(s.name, coming, dispatches=[row] if coming == "ok" else []) for s in sources]


@pytest.fixture
def compiler(monkeypatch: pytest.MonkeyPatch) -> Compiler:
    double = Compiler()
    monkeypatch.setattr(compiled, "compiler_version", lambda: "compiler 1")
    monkeypatch.setattr(compiled, "measure", double)
    monkeypatch.setattr(compiled, "BATCH", 2)
    return double


def test_interrupts_and_full_disks_cost_no_modules(compiler: Compiler, tmp_path: Path) -> None:
    wanted = compiled.Wanted(tmp_path / "out", modules=4, count=False)
    for problem in (KeyboardInterrupt(), OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), KeyboardInterrupt()):
        compiler.next = ["ok", problem] if not list(tmp_path.rglob("batch-00000.parquet")) else [problem]
        with pytest.raises(type(problem)):
            compiled.collect_modules(wanted)
        assert len(load_compiled(tmp_path / "out").modules) == 2
    assert len(compiled.collect_modules(wanted).modules) == 4


def test_an_interrupt_stays_one_where_no_module_gave_code(compiler: Compiler, tmp_path: Path) -> None:
    wanted = compiled.Wanted(tmp_path / "out", modules=4, count=False)
    compiler.next = ["no such operation", KeyboardInterrupt()]
    with pytest.raises(KeyboardInterrupt):
        compiled.collect_modules(wanted)
    compiler.next = ["no such operation"]
    with pytest.raises(InputError, match="no module gave any code: no such operation"):
        compiled.collect_modules(wanted)


def test_models_of_one_name_or_with_another_text_are_refused(compiler: Compiler, tmp_path: Path) -> None:
    one, two = tmp_path / "a" / "x.mlir", tmp_path / "b" / "X.mlir"
    for path, text in ((one, "first"), (two, "second")):
        path.parent.mkdir()
        path.write_text(text)

    def wanted(*models: Path) -> compiled.Wanted:
        return compiled.Wanted(tmp_path / "out", modules=0, real=models, count=False)

    with pytest.raises(InputError, match=r"x\.mlir and .*X\.mlir are both called 'X'"):
        compiled.collect_modules(wanted(one, two))
    assert not (tmp_path / "out").exists()
    assert len(compiled.collect_modules(wanted(one)).modules) == 1
    assert len(compiled.collect_modules(wanted(one)).modules) == 1  # goes on
    one.write_text("edited")
    for command in (compiled.collect_modules, compiled.time_modules):
        with pytest.raises(InputError, match=r"holds x compiled from another text than .*x\.mlir: rename"):
            command(wanted(one))


@needs_iree
def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from perfmodel import cli

    model = tmp_path / "mine.mlir"
    model.write_text(generate("gather", 0, 1).text)
    out = tmp_path / "out"
    arguments = ["collect-mlir", "-o", str(out), "--modules", "0", "--model", str(model), "--no-count", "--json", "-"]
    assert cli.main(arguments) == 0
    result = json.loads(capsys.readouterr().out)
    assert result == {"output": str(out), "modules": 1, "failed": 0, "dispatches": 1, "counted": 0, "timed": 0}
    table = load_compiled(out)
    assert table.modules["text"].isna().all()
    assert table.dispatches["ir"].isna().all()
    assert table.dispatches["instructions"].tolist() == [69]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--minutes", "0"], "wanted numbers above 0"),
        (["--modules", "-1"], "wanted numbers above 0"),
    ],
)
def test_wrong_use(arguments: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from perfmodel import cli

    assert cli.main(["collect-mlir", "-o", str(tmp_path / "out"), *arguments]) == 2
    assert message in capsys.readouterr().err


def test_a_folder_without_tables_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=r"modules.parquet: no such file; wanted a folder that `perfmodel collect-mlir` wrote"
    ):
        load_compiled(tmp_path)
