"""Bytecode is read in a process of its own: what that process does to itself is one line here. Bindings are a double's."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from perfmodel.errors import MissingExtraError, ModelFileError
from perfmodel.features.mlir import bytecode, read

HEADER = b"ML\xefR\x06double\x00"
BINDINGS = """
import os, sys, time

class Context:
    pass

class Module:
    def __init__(self, text):
        self.operation, self.text = self, text

    def get_asm(self, print_generic_op_form, large_elements_limit, large_resource_limit):
        return self.text

    @classmethod
    def parse(cls, data, context):
        what = data.split(b"\\0", 1)[1].decode()
        if what == "abort":
            print("LLVM ERROR: SmallVector unable to grow", file=sys.stderr, flush=True)
            os.abort()
        if what == "wait":
            time.sleep(60)
        if what == "refuse":
            raise ValueError("no\\n  bytecode")
        if what == "endless":
            return cls("x" * (65 * 2**20))
        if what == "memory":
            bytearray(5 * 2**30)
        print("a diagnostic that must not stand in the text")
        os.write(1, b"nor this one")
        return cls('"foo.op"() {a = 1 : i64} : () -> ()')
"""


@pytest.fixture
def double(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "mlir_double"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "ir.py").write_text(BINDINGS)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    monkeypatch.setattr(bytecode, "PACKAGES", {"mlir_nowhere": "nowhere", "mlir_double": "mlir-double"})


@pytest.mark.usefixtures("double")
def test_a_module_comes_through_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # A folder in which someone left a module of the standard library's name is no place to import from.
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "contextlib.py").write_text("raise SystemExit(9)")
    monkeypatch.chdir(tmp_path / "elsewhere")
    module = read(HEADER + b"module")
    assert module.source == "bytecode"
    assert [(o.name, o.attributes) for o in module.operations] == [("foo.op", {"a": 1})]


@pytest.mark.usefixtures("double")
@pytest.mark.parametrize(
    ("what", "why"),
    [
        ("abort", "ended over it: LLVM ERROR: SmallVector unable to grow"),
        ("refuse", "no bytecode"),
        ("wait", "read it for 2 seconds without an end"),
        ("endless", "its text would have no end"),
    ],
)
def test_bindings_that_fail_are_one_line(what: str, why: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bytecode, "SECONDS", 2.0 if what == "wait" else 60.0)
    with pytest.raises(ModelFileError) as error:
        read(HEADER + what.encode())
    assert f"bytecode of double that the installed bindings do not read (mlir-double: {why})" in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.usefixtures("double")
@pytest.mark.skipif(sys.platform != "linux", reason="address space is bounded on Linux alone")
def test_bindings_that_fill_the_memory_are_one_line() -> None:
    with pytest.raises(ModelFileError, match="mlir-double: MemoryError"):
        read(HEADER + b"memory")


def test_bindings_that_are_gone_when_it_comes_to_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mlir_half").mkdir()  # a package without its ir
    (tmp_path / "mlir_half" / "__init__.py").touch()
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    monkeypatch.setattr(bytecode, "PACKAGES", {"mlir_half": "half"})
    with pytest.raises(MissingExtraError, match=r"MLIR bytecode \(double\)"):
        read(HEADER)


def test_damage_that_ended_the_process_is_one_line() -> None:
    pytest.importorskip("iree.compiler", reason="the extra mlir is not installed")
    data = (Path(__file__).parent / "corpora" / "mlir-bytecode" / "a-vector-without-end").read_bytes()
    with pytest.raises(ModelFileError, match="iree-base-compiler: ended over it: LLVM ERROR"):
        read(data)
