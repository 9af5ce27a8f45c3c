"""Energy per operation and what-ifs, against figures worked out by hand; the command and its page."""

from __future__ import annotations

import importlib.util
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from model_doubles import TOY_CONSTANTS, toy_device

from perfmodel.cli import WRONG_USE, main
from perfmodel.energy_table import device_table, model_energy
from perfmodel.energy_table.device import FACTORS, FITTED, REGRESSED
from perfmodel.errors import InputError
from perfmodel.graph import Graph, Node
from perfmodel.hardware import catalogue, load_device
from perfmodel.hardware.published_energy import circuit_j, dram_j_per_byte, published, sram_j_per_byte
from perfmodel.models.circuits import WhatIf, changed_flop_j, circuits_j, parse
from perfmodel.models.power import DevicePower
from perfmodel.models.predictor import Predictor
from perfmodel.ops import Elementwise, Gemm, Operator

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "energy-per-operation.md"
RESNET = str(ROOT / "examples" / "resnet18.onnx")
PJ = 1e-12
OWN = re.compile(r"power\.").match
EIGHT, ADDERS = WhatIf(bits=8), WhatIf(multiplier="adder")


def pj(operation: str, format_name: str, nm: float) -> float:
    """A circuit's energy in pJ: pytest.approx takes everything below 1e-12 for the same."""
    joules = circuit_j(operation, format_name, nm)
    assert joules is not None
    return joules / PJ


# ---------------------------------------------------------------------------------------------------- published figures
def test_figures_are_those_of_the_documents() -> None:
    found = {(p.document.id, p.operation, p.what): (p.low_j / PJ, p.high_j / PJ) for p in published()}
    # Horowitz, figure 1.1.9: 8-bit and 32-bit integers, a cache of 8 kB 10 pJ and DRAM 1.3 to 2.6 nJ for 64 bits.
    assert found["horowitz-2014", "multiply", "int32"] == pytest.approx((3.1, 3.1))
    assert found["horowitz-2014", "byte", "SRAM of 8 kB"] == pytest.approx((10 / 8, 10 / 8))
    assert found["horowitz-2014", "byte", "DRAM"] == pytest.approx((1300 / 8, 2600 / 8))
    assert found["jouppi-2021", "byte", "HBM2"] == pytest.approx((250 / 8, 450 / 8))
    assert found["oconnor-2017", "byte", "HBM2"] == pytest.approx((3.92 * 8, 3.92 * 8))  # quoted a bit
    assert found["oconnor-2017", "byte", "GDDR5"] == pytest.approx((14 * 8, 14 * 8))
    assert all(p.document.title and p.document.seen for p in published())


def test_circuits_at_the_documents_own_nodes() -> None:
    for nm, fp16, int8 in ((45, 1.1, 0.2), (7, 0.34, 0.07)):
        assert pj("multiply", "fp16", nm) == pytest.approx(fp16)
        assert pj("multiply", "int8", nm) == pytest.approx(int8)
    assert pj("multiply", "bf16", 7) == pytest.approx(0.21)
    assert circuit_j("multiply", "fp64", 7) is None


def test_other_nodes_and_widths_by_hand() -> None:
    # ln(1.1 / 0.34) / ln(45 / 7) = 1.1742 / 1.8608 = 0.6310; (4 / 7)^0.6310 = 0.7025; 0.34 times that.
    assert pj("multiply", "fp16", 4) == pytest.approx(0.23885, rel=1e-4)
    # ln(1.48 / 0.07) / ln 4 = 3.0513 / 1.3863 = 2.2011: twice the width takes 2^2.2011 = 4.598 times as much.
    assert pj("multiply", "int16", 7) == pytest.approx(0.32187, rel=1e-4)
    # A cache of 1 MB: 100 pJ at 45 nm, 14 pJ at 7 nm, for 64 bits. At the square root of 45 · 7 the root of their product.
    assert sram_j_per_byte((45 * 7) ** 0.5) / PJ == pytest.approx((100 * 14) ** 0.5 / 8)
    name, low, high = dram_j_per_byte("hbm3") or ("", 0.0, 0.0)
    assert (name, low / PJ, high / PJ) == ("HBM2", pytest.approx(31.25), pytest.approx(56.25))
    assert dram_j_per_byte("lpddr") is None


@given(st.sampled_from(["add", "multiply"]), st.integers(1, 63), st.floats(2, 65))
def test_wider_and_older_circuits_take_more(operation: str, bits: int, nm: float) -> None:
    narrow = circuit_j(operation, f"int{bits}", nm)
    assert 0 < narrow < circuit_j(operation, f"int{bits + 1}", nm) < 1e-9  # type: ignore[operator]
    assert narrow < circuit_j(operation, f"int{bits}", nm * 1.1)  # type: ignore[operator]


# ---------------------------------------------------------------------------------------------------------- the what-if
def test_eight_bits_by_hand() -> None:
    # At 7 nm: c = (0.21 + 0.38) / 2 = 0.295, c' = (0.07 + 0.03) / 2 = 0.05. 0.705 pJ are left, half of it with half the bits.
    changed = changed_flop_j(1 * PJ, "bf16", 7, EIGHT)
    assert changed is not None
    assert (changed.value / PJ, changed.low / PJ, changed.high / PJ) == pytest.approx((0.4025, 0.05 / 0.295, 0.755))


def test_an_adder_by_hand() -> None:
    # A 16-bit integer sum at 7 nm: 0.007 · 2^(ln(0.03 / 0.007) / ln 4) = 0.014491; c' = (0.014491 + 0.38) / 2 = 0.197246.
    changed = changed_flop_j(1 * PJ, "bf16", 7, ADDERS)
    assert changed is not None
    assert changed.value / PJ == pytest.approx(0.705 + 0.197246, rel=1e-5)
    assert changed.high == changed.value
    both = changed_flop_j(1 * PJ, "bf16", 7, parse(["bits=8", "multiplier=adder"]))
    assert both is not None
    assert both.value / PJ == pytest.approx(0.705 / 2 + (0.007 + 0.03) / 2)


def test_less_than_the_bare_circuits_shrinks_as_they_do() -> None:
    changed = changed_flop_j(0.1 * PJ, "bf16", 7, EIGHT)
    assert changed is not None
    assert changed.low == changed.value == changed.high
    assert changed.value / PJ == pytest.approx(0.1 * 0.05 / 0.295)


def test_what_no_document_has() -> None:
    assert circuits_j("fp64", 7) is None
    assert changed_flop_j(10 * PJ, "fp64", 7, ADDERS) is None


@given(
    st.floats(1e-14, 1e-10),
    st.sampled_from(["fp32", "tf32", "fp16", "bf16", "fp8", "fp4", "int8", "int4"]),
    st.floats(2, 45),
    st.integers(1, 32),
    st.booleans(),
)
def test_what_always_holds(energy: float, arithmetic: str, nm: float, bits: int, adder: bool) -> None:
    changed = changed_flop_j(energy, arithmetic, nm, WhatIf(bits, "adder" if adder else None))
    assert changed is not None
    assert 0 < changed.low <= changed.value <= changed.high < 1e-9
    adders = changed_flop_j(energy, arithmetic, nm, ADDERS)
    assert adders is not None
    assert adders.value < energy
    wider = changed_flop_j(energy, arithmetic, nm, WhatIf(bits + 1, "adder" if adder else None))
    assert wider is not None
    assert changed.value < wider.value


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (["bits"], "'bits': wanted bits=N or multiplier=adder"),
        (["bits=0"], "bits=0: wanted a whole number from 1 to 64"),
        (["bits=-8"], "bits=-8: wanted a whole number"),
        (["bits=8,bits=4"], "gives bits twice: 8 and 4"),
        (["multiplier=adders"], "multiplier=adders: did you mean 'adder'"),
        (["voltage=1"], "'voltage=1': wanted bits=N"),
    ],
)
def test_changes_that_are_none(texts: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        parse(texts)
    assert not parse([])
    assert parse(["bits=8, multiplier=adder"]) == parse(["multiplier=adder", "bits=8"]) == WhatIf(8, "adder")


# ------------------------------------------------------------------------------------------------------------ the tables
@pytest.mark.parametrize("device", sorted(catalogue()))
def test_every_device_has_a_table(device: str) -> None:
    table = device_table(device, what_if=EIGHT)
    assert {"l2_byte", "dram_byte", "element", "vector_flop"} <= {row.operation for row in table.rows}
    assert [r.dtype for r in table.rows if r.operation == "flop"] == list(load_device(device).peak_flops)
    for row in table.rows:
        assert (row.energy_j is None) == (row.basis == "unknown")
        energies = [e for e in (row.energy_j, row.what_if_j) if e is not None]
        assert all(0 < e.low <= e.value <= e.high < 1e-6 for e in energies), row
        assert (row.whole_chip_j is None) == (row.operation != "flop" or table.idle_power_w is None)
        assert row.basis in (*FACTORS, "unknown")
        assert row.source
    if table.idle_power_w is not None:
        assert 0 < table.idle_power_w.low <= table.idle_power_w.value <= table.idle_power_w.high
    json.dumps(table.to_dict(), allow_nan=False)


@pytest.mark.parametrize("device", sorted(d.id for d in catalogue().values() if any(map(OWN, d.measured))))
def test_figures_that_were_fitted_lie_where_they_would_be_regressed(device: str) -> None:
    """The factor of regressed figures holds for the GPUs whose own figures were fitted."""
    record = load_device(device)
    fitted = {(r.operation, r.dtype): r for r in device_table(record).rows if r.basis == FITTED}
    assert fitted
    measured = {name: value for name, value in record.measured.items() if not OWN(name)}
    sources = {name: text for name, text in record.sources.items() if not OWN(name.removeprefix("measured."))}
    regressed = {
        (r.operation, r.dtype): r for r in device_table(replace(record, measured=measured, sources=sources)).rows
    }
    for key, row in fitted.items():
        assert regressed[key].basis == REGRESSED
        assert regressed[key].energy_j.low <= row.energy_j.value <= regressed[key].energy_j.high, key


def test_the_whole_chip_within_its_power_limit() -> None:
    """A toy whose limit binds, at the clock that it is held to; and one that is never held."""
    peak = {"bf16": 1e14, "fp32": 1e11}
    held, free = (device_table(toy_device(tdp_w=w, peak_flops=peak)).row("flop", "bf16") for w in (30.0, 1e6))
    assert held is not None
    assert held.whole_chip_j is not None
    assert free is not None
    assert free.whole_chip_j is not None
    d = DevicePower.of(toy_device(tdp_w=1e6, peak_flops=peak))
    v = 1 + d.voltage.rise  # at the top clock
    watts = float(d.idle_at(1.0)) + d.leakage_w * v**3 + v**d.voltage_exponent * d.issue_j_per_clock * 1e9
    assert 1e14 * free.whole_chip_j == pytest.approx(1e14 * free.energy_j.value + watts)
    assert free.whole_chip_j * 1e14 > 30.0
    # At 1 GHz times r and the lowest voltage: 10 W (1 + 0.08 r) + leakage + r (1e9 issue + 1e14 FLOP) is the limit.
    limit = d.ceiling * 30.0
    each = 10.0 * d.idle_linear_rise + 1e9 * d.issue_j_per_clock + 1e14 * d.arithmetic_j_per_flop["bf16"]
    r = (limit - 10.0 - d.leakage_w) / each
    assert 0.2 < r < 0.73
    assert 1e14 * held.whole_chip_j == pytest.approx(limit / r, rel=0.005)
    assert held.energy_j == free.energy_j
    # A limit of the user's is one of the device's; one above the device's own changes nothing.
    for device_w, asked_w, same in ((1e6, 30.0, held), (30.0, 40.0, held), (30.0, None, held)):
        asked = device_table(toy_device(tdp_w=device_w, peak_flops=peak), power_limit_w=asked_w).row("flop", "bf16")
        assert asked is not None
        assert asked.whole_chip_j == pytest.approx(same.whole_chip_j), (device_w, asked_w)


def test_the_sources_of_idle_power() -> None:
    assert device_table("h100-sxm").idle_basis == "device file"
    assert device_table("a10").idle_basis == REGRESSED
    assert device_table("tpu-v5e").idle_power_w is None


@pytest.mark.parametrize(
    ("device", "byte_pj"), [("graviton3", 50.0), ("graviton4", 50.0), ("tpu-v4", 38.1), ("tpu-v5e", 38.1)]
)
def test_without_a_tdp_a_cpu_and_a_tpu_have_the_energy_of_memory_alone(
    device: str, byte_pj: float, capsys: pytest.CaptureFixture[str]
) -> None:
    """The bytes are docs/power.md's of DDR5 (as of the other CPUs) and HBM3; its energies of a FLOP follow from the TDP."""
    table = device_table(device, what_if=EIGHT)
    (known,) = [row for row in table.rows if row.energy_j is not None]
    assert known.operation == "dram_byte"
    assert known.energy_j is not None
    assert known.energy_j.value / PJ == pytest.approx(byte_pj, rel=0.01)
    assert {row.basis for row in table.rows} == {REGRESSED, "unknown"}
    assert all("TDP" in row.source for row in table.rows if row is not known)
    assert (table.idle_basis, table.idle_source) == ("unknown", "unknown")
    assert {row["energy_j"] is None for row in table.to_dict()["operations"][:-1]} == {True}
    assert main(["energy-table", "--device", device]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines() if line.startswith("FLOP in")]
    assert len(lines) == len(load_device(device).peak_flops)
    assert all(cells[3] == "-" and cells[-1] == "unknown" for cells in lines)


def test_what_a_file_without_a_tdp_has_itself_is_known() -> None:
    own = {"power.bf16_j_per_flop": 2 * PJ}
    cpu = toy_device(kind="cpu", tdp_w=None, measured=own, sources={"measured.power.bf16_j_per_flop": "a meter"})
    table = device_table(cpu)
    bf16, fp32 = table.row("flop", "bf16"), table.row("flop", "fp32")
    assert bf16 is not None
    assert fp32 is not None
    assert bf16.energy_j is not None
    # At the highest clock, whose voltage takes more (docs/power.md: 1.288 to the power of 2.5).
    assert bf16.energy_j.value / PJ == pytest.approx(2 * 1.288**2.5, rel=2e-3)
    assert (bf16.basis, bf16.source, fp32.energy_j) == (FITTED, "a meter", None)
    # It idles at 10 W, but what its busy cores take beside the FLOPs is unknown.
    assert table.idle_power_w is not None
    assert bf16.whole_chip_j is None


def test_an_assumed_process_is_said() -> None:
    known, unknown = (device_table(toy_device(process_nm=nm)).row("flop", "bf16") for nm in (5.0, None))
    assert known is not None
    assert unknown is not None
    assert known.energy_j == unknown.energy_j
    assert (known.source[:20], unknown.source[:31]) == ("regressed from 5 nm ", "regressed from an assumed 5 nm ")


def test_energies_fall_with_the_voltage() -> None:
    high, low = device_table("a100-pcie-40gb"), device_table("a100-pcie-40gb", clock_mhz=900)
    for above, below in zip(high.rows, low.rows, strict=True):
        if above.operation == "dram_byte":
            assert above.energy_j == below.energy_j
        else:
            assert below.energy_j.value < above.energy_j.value
    with pytest.raises(InputError, match="a clock of 5 MHz is not one of a100-pcie-40gb"):
        device_table("a100-pcie-40gb", clock_mhz=5)


# -------------------------------------------------------------------------------------------------------------- a model
def graph(*ops: Operator) -> Graph:
    return Graph(name="toy", tensors={}, nodes=tuple(Node(f"n{i}", op) for i, op in enumerate(ops)))


def energy(what_if: WhatIf | None = None, *ops: Operator, **options: Any) -> Any:
    predictor = Predictor("toy", TOY_CONSTANTS)
    device = options.pop("device", toy_device())
    return model_energy(graph(*ops), device, what_if=what_if, predictor=predictor, **{"fusion": "none", **options})


GEMM = Gemm(m=512, n=512, k=512, dtype="bf16")


def test_causes_add_up_to_the_predicted_energy() -> None:
    silu = Elementwise(kind="silu", elements=10**6, dtype="bf16")
    tiny = Gemm(m=16, n=16, k=16, dtype="bf16")
    for launch, ops in (("graph", (GEMM, silu, GEMM)), ("eager", (tiny, tiny))):
        e = energy(None, *ops, launch=launch)
        assert (e.prediction.launch_gap_s > 0) == (launch == "eager")
        assert sum(e.by_cause_j.values()) == pytest.approx(e.prediction.energy_j.value, rel=1e-9)
        assert e.what_if_j.value == pytest.approx(e.prediction.energy_j.value, rel=1e-9)
        assert all(joules >= 0 for joules in e.by_cause_j.values())
        assert [sum(o.by_cause_j.values()) for o in e.operators] == pytest.approx(
            [o.energy_j.value for o in e.prediction.operators]
        )


def test_a_power_below_idle_is_all_idle() -> None:
    class Low(Predictor):
        def predict(self, *ops: Any, **options: Any) -> Any:
            estimates = super().predict(*ops, **options)
            low = 0.5 * np.ones_like(estimates.power_w)
            return replace(estimates, power_w=low, power_low_w=low, power_high_w=low)

    e = model_energy(graph(GEMM), toy_device(), what_if=EIGHT, predictor=Low("low", TOY_CONSTANTS), fusion="none")
    (gemm,) = e.operators
    assert gemm.by_cause_j["idle"] == pytest.approx(0.5 * gemm.operator.latency_s.value)
    assert all(joules == 0 for cause, joules in gemm.by_cause_j.items() if cause != "idle")


def test_what_changes_and_what_does_not() -> None:
    e = energy(EIGHT, GEMM, Elementwise(kind="silu", elements=10**6, dtype="bf16"), cache="cold")
    gemm, silu = e.operators
    assert silu.by_cause_j == silu.what_if_by_cause_j
    unchanged = ("idle", "leakage", "issue", "elements")
    assert [gemm.by_cause_j[c] for c in unchanged] == [gemm.what_if_by_cause_j[c] for c in unchanged]
    # Two thirds of the bytes that cross memory are operands, which are halved.
    assert gemm.what_if_by_cause_j["dram"] / gemm.by_cause_j["dram"] == pytest.approx(1 - 0.5 * 2 / 3)
    assert 0.5 < gemm.what_if_by_cause_j["l2"] / gemm.by_cause_j["l2"] < 1
    row = device_table(toy_device(), what_if=EIGHT).row("flop", "bf16")
    assert row is not None
    assert row.what_if_j is not None
    assert gemm.what_if_by_cause_j["arithmetic"] / gemm.by_cause_j["arithmetic"] == pytest.approx(
        row.what_if_j.value / row.energy_j.value
    )
    assert e.what_if_j.low < e.what_if_j.value < e.what_if_j.high
    assert e.what_if_j.value < e.prediction.energy_j.value


def test_an_adder_saves_at_most_what_multipliers_take() -> None:
    e = energy(ADDERS, GEMM)
    (gemm,) = e.operators
    assert {c for c in gemm.by_cause_j if gemm.by_cause_j[c] != gemm.what_if_by_cause_j[c]} == {"arithmetic"}
    bare = 2 * 512**3 / 2 * circuit_j("multiply", "bf16", 4)  # type: ignore[operator]
    assert 0 < e.prediction.energy_j.value - e.what_if_j.value < bare


def test_a_model_that_runs_in_the_format_already_is_left_alone() -> None:
    device = toy_device(peak_flops={"bf16": 1e12, "fp32": 1e11, "int8": 2e12})
    e = energy(EIGHT, Gemm(m=512, n=512, k=512, dtype="int8"), device=device)
    assert e.what_if_j.value == pytest.approx(e.prediction.energy_j.value)


def test_what_cannot_be_changed_is_said() -> None:
    assert energy(EIGHT, GEMM, device=toy_device(process_nm=None)).notes == (
        "the process of toy is unknown: its arithmetic is left as it is",
    )
    narrow = energy(EIGHT, Gemm(m=16, n=512, k=512, dtype="w4a16"))
    assert narrow.notes == ("operands of w4a16 keep their bytes: their weights are narrow already",)
    with pytest.raises(InputError, match="the energy of toy is unknown, since its TDP or its idle power is"):
        energy(EIGHT, GEMM, device=toy_device(tdp_w=None))


# ---------------------------------------------------------------------------------------------------------- the command
def test_json_of_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["energy-table", "--device", "h100-sxm,a10", "--what-if", "bits=8", "--json", "-"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert [d["device"] for d in result["devices"]] == ["h100-sxm", "a10"]
    assert result["what_if"] == {"bits": 8, "multiplier": None, "formula": result["what_if"]["formula"]}
    row = next(r for r in result["devices"][0]["operations"] if r["dtype"] == "bf16")
    assert set(row) == {
        "operation", "dtype", "energy_j", "whole_chip_j", "published", "basis", "source", "what_if_j",
    }  # fmt: skip
    assert set(row["energy_j"]) == set(row["what_if_j"]) == {"value", "low", "high"}
    assert {f["operation"] for f in result["published"]} == {"add", "multiply", "byte", "instruction"}


def test_json_of_a_model(capsys: pytest.CaptureFixture[str]) -> None:
    command = ["energy-table", RESNET, "--device", "h100-sxm", "--dim", "batch=8", "--dtype", "bf16", "--json", "-"]
    assert main([*command, "--what-if", "multiplier=adder"]) == 0
    (model,) = json.loads(capsys.readouterr().out)["models"]
    assert sum(model["by_cause_j"].values()) == pytest.approx(model["energy_j"]["value"])
    assert sum(model["what_if_by_cause_j"].values()) == pytest.approx(model["what_if_j"]["value"])
    assert main(command) == 0
    (model,) = json.loads(capsys.readouterr().out)["models"]
    assert model["what_if_j"] is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--what-if", "bits=8"], "--what-if needs a device"),
        ([RESNET], "MODEL needs a device"),
        (["--device", "h100"], "unknown device 'h100': did you mean"),
    ],
)
def test_wrong_use(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["energy-table", *arguments]) == WRONG_USE
    assert message in capsys.readouterr().err


def test_screens_fit_eighty_columns(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    for arguments in (
        [], ["--device", "b200-sxm"], ["--device", "b200-sxm", "--what-if", "bits=4,multiplier=adder"],
        [RESNET, "--device", "b200-sxm", "--dim", "batch=8", "--explain", "--what-if", "bits=8"],
    ):  # fmt: skip
        assert main(["energy-table", *arguments]) == 0
        output = capsys.readouterr().out
        assert max(map(len, output.splitlines())) <= 80
        assert ("A what-if" in output) == ("--what-if" in arguments)


def test_the_page_shows_what_the_command_prints() -> None:
    spec = importlib.util.spec_from_file_location("refresh_docs", ROOT / "tools" / "refresh_docs.py")
    assert spec is not None
    assert spec.loader is not None
    refresh = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(refresh)
    text = PAGE.read_text(encoding="utf-8")
    assert len(list(refresh.commands(text))) >= 4
    assert refresh.refreshed(text) == text, "python tools/refresh_docs.py puts the output in"


@pytest.mark.parametrize("option", [["--dtype", "fp8"], ["--dim", "batch=8"], ["--explain"]])
def test_options_of_a_model_need_one(option: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["energy-table", "--device", "l40s", *option]) == 2
    assert f"{option[0]} goes with a MODEL" in capsys.readouterr().err
