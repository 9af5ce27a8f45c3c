"""Generated MLIR modules, and what is read from the compiler's, LLVM's and Valgrind's outputs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from perfmodel.collect.iree.calling import entry_of, inputs_of
from perfmodel.collect.iree.executed import executed_by_dispatch, parse
from perfmodel.collect.iree.generator import FAMILIES, draw_family, generate
from perfmodel.collect.iree.generator.drawing import Draw
from perfmodel.collect.iree.lowering import body_of, export_names, lowering_of
from perfmodel.collect.iree.remarks import spilled_by_dispatch
from perfmodel.errors import InputError
from perfmodel.features.mlir import read_mlir


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_generated_modules_are_modules(family: str, tmp_path: Path) -> None:
    for number in range(6):
        module = generate(family, 3, number)
        assert module == generate(family, 3, number)
        path = tmp_path / f"{number}.mlir"
        path.write_text(module.text)
        # The reader checks syntax, types and shapes.
        graph = read_mlir(path)
        assert graph.nodes
    assert len({generate(family, 3, number).text for number in range(6)}) == 6
    assert generate(family, 4, 0).text != generate(family, 3, 0).text


def test_a_generated_module_is_the_same_everywhere() -> None:
    module = generate("gemm", 0, 1)
    assert module.name == "gemm-0-00001"
    assert module.parameters == {"m": 6, "n": 1024, "k": 99, "dtype": "f32", "accumulator": "f32"}
    assert module.text == (
        "func.func @main(%arg0: tensor<6x99xf32>, %arg1: tensor<99x1024xf32>) -> tensor<6x1024xf32> {\n"
        "  %c0 = arith.constant 0.00000000e+00 : f32\n"
        "  %0 = tensor.empty() : tensor<6x1024xf32>\n"
        "  %1 = linalg.fill ins(%c0 : f32) outs(%0 : tensor<6x1024xf32>) -> tensor<6x1024xf32>\n"
        "  %2 = linalg.matmul ins(%arg0, %arg1 : tensor<6x99xf32>, tensor<99x1024xf32>)"
        " outs(%1 : tensor<6x1024xf32>) -> tensor<6x1024xf32>\n"
        "  return %2 : tensor<6x1024xf32>\n"
        "}\n"
    )


def test_an_unknown_family_is_refused() -> None:
    with pytest.raises(InputError, match="no family 'gemmm'; known: attention, broadcast"):
        generate("gemmm", 0, 0)


def test_families_and_work_spread() -> None:
    drawn = [draw_family(0, number) for number in range(600)]
    assert set(drawn) == set(FAMILIES)
    assert len(FAMILIES) >= 18
    below = [
        known.work(generate(name, 0, number).parameters) < known.small
        for name, known in FAMILIES.items()
        for number in range(8)
    ]
    # A fifth is meant to be small; 192 draws scatter by 3 percent.
    assert 0.1 < np.mean(below) < 0.35


def test_extents_keep_their_limits_and_kinds() -> None:
    draw = Draw("extents")
    drawn = [draw.extent(5, 700) for _ in range(2000)]
    assert min(drawn) >= 5
    assert max(drawn) <= 700
    assert 0.65 < np.mean([extent % 8 == 0 for extent in drawn]) < 0.85
    assert len(set(drawn)) > 150


def test_arguments_and_inputs(tmp_path: Path) -> None:
    text = (
        "// %arg1 is below 10\n"
        "func.func @main(%arg0: tensor<10x4xf16>, %arg1: tensor<3xi32>, %s: f32, %m: tensor<2xf64>) -> tensor<3x4xf16> {\n"
    )
    assert entry_of(text) == (
        "main",
        [("%arg0", (10, 4), "f16"), ("%arg1", (3,), "i32"), ("%s", (), "f32"), ("%m", (2,), "f64")],
    )
    name, values = inputs_of(text, tmp_path)
    assert name == "main"
    assert values == ["10x4xf16=0.5", f"@{tmp_path / 'arg1.npy'}", "f32=0.5", "2xf32=0.5"]
    assert np.load(tmp_path / "arg1.npy").tolist() == [0, 9, 8]  # 0, 7919 and 15838, modulo 10


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("module {}", "no func.func in the module"),
        ("func.func @f(%a: tensor<?x4xf32>) {", "@f has an argument whose shape is not known"),
    ],
)
def test_functions_that_cannot_be_called(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        entry_of(text)


CALLGRIND = b"""\
version: 1
positions: instr line
events: Ir

ob=/usr/bin/iree-run-module
fl=???
fn=main
0x1000 0 7
ob=???
fl=???
fn=0x0000000004a01460
0x4a01460 0 1
0x4a01464 0 100
cob=/usr/lib/libm.so.6
cfn=expf
calls=100 0x77 0
0x4a01468 0 4200
0x4a01468 0 100
0x4a02000 0 5
ob=/usr/lib/libm.so.6
fn=expf
0x77 0 4100
"""


def test_callgrind_counts_of_unnamed_code() -> None:
    # What a call cost in all is no cost of the calling instruction; named objects are left out.
    assert parse(CALLGRIND) == {0x4A01460: 1, 0x4A01464: 100, 0x4A01468: 100, 0x4A02000: 5}


LOWERED = """\
hal.executable public @main_dispatch_0 {
  hal.executable.variant public @embedded_elf_x86_64 target(<"llvm-cpu", "embedded-elf-x86_64", {cpu = "haswell"}>) {
    hal.executable.export public @main_dispatch_0_matmul_6x1024x99_f32 ordinal(0) layout(\
#hal.pipeline.layout<bindings = []>)
    builtin.module {
      func.func @main_dispatch_0_matmul_6x1024x99_f32() attributes {translation_info = \
#iree_codegen.translation_info<pipeline = #iree_cpu.pipeline<DoubleTilingExpert>, {enable_loop_peeling}>} {
        %8 = linalg.fill {lowering_config = #iree_cpu.lowering_config<cache_parallel = [32, 64], \
vector_common_parallel = [8, 8]>} \
ins(%cst : f32) outs(%7 : tensor<6x1024xf32>) -> tensor<6x1024xf32>
        %9 = linalg.matmul {lowering_config = #iree_cpu.lowering_config<distribution = [6, 64, 0], \
vector_common_parallel = [6, [8], 0], vector_reduction = [0, 0, 1]>} \
ins(%4, %5 : tensor<6x99xf32>, tensor<99x1024xf32>) \
outs(%8 : tensor<6x1024xf32>) -> tensor<6x1024xf32>
        return
      }
      iree_codegen.dispatch_config @x {
      }
    }
  }
}
"""


def test_pipeline_and_tiles() -> None:
    assert export_names(LOWERED) == ["main_dispatch_0_matmul_6x1024x99_f32"]
    assert lowering_of(LOWERED) == {
        "pipeline": "DoubleTilingExpert",
        "options": "enable_loop_peeling",
        "operations": [
            {"op": "linalg.fill", "tiles": {"cache_parallel": [32, 64], "vector_common_parallel": [8, 8]}},
            {
                "op": "linalg.matmul",
                "tiles": {
                    "distribution": [6, 64, 0],
                    "vector_common_parallel": [6, 8, 0],
                    "vector_reduction": [0, 0, 1],
                },
            },
        ],
    }
    body = body_of(LOWERED)
    assert body.startswith("func.func @main_dispatch_0_matmul_6x1024x99_f32() attributes")
    assert body.endswith("  return\n}\n")
    assert lowering_of("module {}") == {"pipeline": None, "options": "", "operations": []}


REMARKS = """\
remark: configured_module_main_dispatch_0.mlir:1:1: 2 reloads 2.0e+03 total reloads cost generated in loop
remark: configured_module_main_dispatch_0.mlir:1:1: 283 spills 9.2e+06 total spills cost 9 folded spills 2.9e+05 total folded \
spills cost 226 reloads 7.4e+06 total reloads cost 66 folded reloads 2.1e+06 total folded reloads cost 4 virtual registers \
copies 6.6e+04 total copies cost generated in function
remark: configured_module_main_dispatch_0.mlir:1:1:\x20
Function: main_dispatch_0_matmul
Offset: [SP-8], Type: Spill, Align: 16, Size: 8
Offset: [SP-64], Type: Spill, Align: 32, Size: 32
Offset: [SP-96], Type: Spill, Align: 32, Size: 32
Offset: [SP-600], Type: Variable, Align: 32, Size: 512
remark: <unknown>:0:0: 3 virtual registers copies 3.0e+00 total copies cost generated in function
"""


def test_remarks_of_spills() -> None:
    found = spilled_by_dispatch(REMARKS)
    assert set(found) == {"configured_module_main_dispatch_0.mlir", "main_dispatch_0_matmul"}
    word, frame = found["configured_module_main_dispatch_0.mlir"], found["main_dispatch_0_matmul"]
    assert (word.spills, word.reloads) == (283 + 9, 226 + 66)
    assert (frame.vector_slots, frame.other_slots, frame.variable_bytes) == (2, 1, 512)


def test_counts_are_laid_over_the_file() -> None:
    from perfmodel.collect.iree.assembly import Code, Instruction

    def code(name: str, *addresses: int) -> Code:
        read = tuple(Instruction(at, 4, "scalar", ("loads",), frozenset(), frozenset(), None) for at in addresses)
        return Code(name, addresses[0], addresses[-1] + 4, read)

    first, second = code("a", 0x1460, 0x1464, 0x1468), code("b", 0x1500)
    matched = executed_by_dispatch(parse(CALLGRIND), [first, second])
    assert matched is not None
    by_name, outside = matched
    assert by_name == {"a": {0x1460: 1, 0x1464: 100, 0x1468: 100}, "b": {}}
    assert outside == 5
    executed = first.executed(by_name["a"])
    assert (executed["instructions"], executed["loads"], executed["stores"]) == (201, 201, 0)
    assert first.static()["instructions"] == 3
    assert first.static()["code_bytes"] == 12
    assert executed_by_dispatch({0x10: 3}, [first]) is None


@pytest.mark.parametrize("name", ["modules.parquet", "dispatches.parquet"])
def test_tables_that_it_did_not_begin_are_kept_unless_they_may_be_replaced(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("pyarrow", reason="tables need the extra train")
    from perfmodel.collecting import compiled

    monkeypatch.setattr(compiled, "compiler_version", lambda: "a compiler")
    monkeypatch.setattr(compiled, "_pieces", lambda wanted: [])
    (tmp_path / name).write_bytes(b"somebody's modules")
    wanted = compiled.Wanted(tmp_path, count=False)
    with pytest.raises(InputError, match=rf"{name} exists, and no pieces .* --force"):
        compiled.collect_modules(wanted)
    with pytest.raises(InputError, match="nothing was compiled"):  # it may be replaced, but there is nothing to compile
        compiled.collect_modules(replace(wanted, overwrite=True))
    assert (tmp_path / name).read_bytes() == b"somebody's modules"
