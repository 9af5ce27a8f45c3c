"""perfmodel's own reader of MLIR text against the bindings that are installed, and the walk over live modules."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from mlir_compare import differences

from perfmodel.errors import InputError
from perfmodel.features.mlir import read, read_text
from perfmodel.features.mlir.apart import bindings
from perfmodel.features.mlir.bytecode import PACKAGES
from perfmodel.features.mlir.live import LiveReader

FORMS = sorted((Path(__file__).parent / "mlir_forms").glob("*.mlir"))


@pytest.fixture(scope="module", params=PACKAGES)
def mlir(request: pytest.FixtureRequest) -> tuple[Any, Any]:
    """``ir`` and a context of each package in turn."""
    try:
        return bindings(request.param)
    except ImportError:
        pytest.skip(f"{request.param} is not installed: pip install 'perfmodel[mlir]'")


def _parsed(mlir: tuple[Any, Any], text: str) -> Any:
    """The module that the bindings read; None where they refuse it (dialects and forms differ by release)."""
    ir, context = mlir
    try:
        return ir.Module.parse(text, context)
    except Exception:  # each package has its own
        return None


def _compare(mlir: tuple[Any, Any], paths: list[Path]) -> int:
    compared = 0
    for path in paths:
        text = path.read_text()
        live = _parsed(mlir, text)
        if live is None:
            continue
        compared += 1
        walked = LiveReader().module(live)
        assert list(differences(read_text(text, path.name).operation, walked.operation)) == [], path.name
        generic = live.operation.get_asm(print_generic_op_form=True)
        assert list(differences(read_text(generic, path.name).operation, walked.operation)) == [], (
            f"{path.name}, generic"
        )
    return compared


def test_forms_read_as_the_bindings_read_them(mlir: tuple[Any, Any]) -> None:
    assert _compare(mlir, FORMS) >= 6


def test_modules_of_compilers_read_as_the_bindings_read_them(mlir: tuple[Any, Any], shared: Path) -> None:
    assert _compare(mlir, sorted((shared / "mlir").glob("*.mlir"))) >= 6


def test_attributes_have_the_names_and_values_of_the_bindings(mlir: tuple[Any, Any]) -> None:
    text = """
    func.func @f(%a: memref<8x16xf32>, %b: tensor<4x8xf32>, %i: index) -> tensor<8xf32> {
      %c = arith.constant dense<[1, 2, 3]> : tensor<3xi64>
      %k = arith.constant -1.5 : f32
      %p = arith.cmpi ule, %i, %i : index
      affine.for %j = 0 to 8 step 2 {
        %v = affine.load %a[%j, 2 * %j + 1] : memref<8x16xf32>
      }
      %s = tensor.extract_slice %b[%i, 0] [2, 4] [1, 1] : tensor<4x8xf32> to tensor<2x4xf32>
      %e = tensor.collapse_shape %s [[0, 1]] : tensor<2x4xf32> into tensor<8xf32>
      return %e : tensor<8xf32>
    }"""
    live = _parsed(mlir, text)
    assert live is not None
    walked, mine = LiveReader().module(live), read_text(text)
    for one, other in zip(mine.walk(), walked.walk(), strict=True):
        for name, value in other.attributes.items():
            if name not in ("fastmath", "operandSegmentSizes", "overflowFlags"):
                assert one.attributes.get(name) == value, (one.name, name)


def test_a_module_and_a_single_operation_are_read_alive(mlir: tuple[Any, Any]) -> None:
    live = _parsed(mlir, "func.func @f(%a: f32) -> f32 {\n  %0 = arith.addf %a, %a : f32\n  return %0 : f32\n}")
    module = read(live)
    assert module.source == "live"
    assert [o.name for o in module.walk()] == ["builtin.module", "func.func", "arith.addf", "func.return"]
    function = next(iter(live.body.operations))
    addition = next(iter(function.regions[0].blocks[0].operations))
    alone = read(addition)
    assert [o.name for o in alone.walk()] == ["builtin.module", "arith.addf"]
    assert [str(v.type) for v in alone.operations[0].operands] == ["f32", "f32"]


def test_large_constants_of_live_modules_are_not_decoded(mlir: tuple[Any, Any]) -> None:
    numbers = ", ".join(map(str, range(100)))
    live = _parsed(
        mlir, f"%0 = arith.constant dense<[{numbers}]> : tensor<100xi32>\n%1 = arith.constant dense<7> : tensor<9xi8>"
    )
    first, second = read(live).operations
    assert first.attributes["value"].values is None
    assert second.attributes["value"].values == 7


def test_bytecode_is_read_by_the_bindings(mlir: tuple[Any, Any], tmp_path: Path) -> None:
    live = _parsed(mlir, FORMS[0].parent.joinpath("scalars.mlir").read_text())
    path = tmp_path / "module.mlirbc"
    with path.open("wb") as file:
        live.operation.write_bytecode(file)
    module = read(path)
    assert module.source == "bytecode"
    assert list(differences(module.operation, LiveReader().module(live).operation)) == []


def test_what_jax_lowers_is_read_alive() -> None:
    jax = pytest.importorskip("jax", reason="jax is not installed")
    lowered = jax.jit(lambda x: jax.numpy.tanh(x @ x)).lower(jax.ShapeDtypeStruct((8, 8), "float32"))
    names = [o.name for o in read(lowered).walk()]
    assert names == ["builtin.module", "func.func", "stablehlo.dot_general", "stablehlo.tanh", "func.return"]


def test_an_object_of_another_kind_is_refused() -> None:
    with pytest.raises(InputError, match=r"got builtins\.int"):
        read(3)
