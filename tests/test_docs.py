"""The worked example of docs/how-a-prediction-is-made.md is what the shipped predictor says."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

import perfmodel
from perfmodel.models.predictor import Estimates

PAGE = Path(__file__).parent.parent / "docs" / "how-a-prediction-is-made.md"


@pytest.fixture(scope="module")
def estimates() -> Estimates:
    gemm = perfmodel.Gemm(m=4096, n=4096, k=4096, dtype="bf16")
    return perfmodel.load("default").predict(gemm, "a100-sxm-80gb", cache="cold", software="vllm")


def _figure(row: str) -> float:
    """The last figure in us of a row of the page's table."""
    line = next(line for line in PAGE.read_text().splitlines() if line.startswith(f"| {row}"))
    return float(re.findall(r"([\d.]+) us", line.split("|")[3])[0])


@pytest.mark.parametrize("term", ["compute", "l2", "dram", "launch"])
def test_terms_are_those_of_the_page(estimates: Estimates, term: str) -> None:
    assert estimates.terms[term][0] * 1e6 == pytest.approx(_figure(f"**{term}**"), rel=2e-4)


def test_totals_are_those_of_the_page(estimates: Estimates) -> None:
    assert estimates.analytical_s[0] * 1e6 == pytest.approx(_figure("**analytical**"), rel=2e-4)
    assert estimates.latency_s[0] * 1e6 == pytest.approx(_figure("learned (vLLM 0.14.0)"), rel=2e-4)
    assert estimates.floor_s[0] * 1e6 == pytest.approx(_figure("floor"), rel=2e-4)
    assert estimates.bound[0] == "power"
    assert estimates.software[0] == "vllm-0.14.0"


def test_the_page_can_be_followed_with_a_calculator() -> None:
    # The page's own numbers, combined here without the model.
    busiest = 5 * 2 * 256 * 128 * 4198.08 / (2048.9 * 1.41e9 * 1.05) * 1e6
    assert pytest.approx(_figure("of the busiest SM"), rel=1e-3) == busiest
    left = (1 + 312e12 / 400 * (1.41 / 1.5) ** 2 / 1669.8e9) ** -0.47059
    assert left == pytest.approx(0.85, abs=5e-4)
    assert pytest.approx(_figure("**compute**"), rel=1e-3) == max(busiest, 137.4e9 / (312e12 * 1.05 * left) * 1e6)
    assert pytest.approx(_figure("**l2**"), rel=1e-3) == 5 * (256 + 128) * 2 * 4198.08 / 36.66e9 * 1e6
    assert pytest.approx(_figure("**dram**"), rel=1e-3) == (256.1e6 + 33.55e6) / (2.039e12 * 0.78145) * 1e6
    joined = (493.6**4.7613 + 439.7**4.7613 + 181.8**4.7613) ** (1 / 4.7613)
    assert 4.282 + joined == pytest.approx(_figure("**analytical**"), rel=1e-3)


def test_the_tile_is_the_pages(estimates: Estimates) -> None:
    # 256x128: 16 · 32 = 512 tiles on 108 SMs are 5 on the busiest; 512 / (5 · 108) of them busy on average.
    chosen = {name: float(values[0]) for name, values in estimates.details.items()}
    assert chosen == {
        "tile_m": 256, "tile_n": 128, "split_k": 1, "tiles_per_unit": 5, "occupancy": pytest.approx(512 / 540), "miss": 1,
    }  # fmt: skip


# ------------------------------------------------------------------------------------------------- number formats
FORMATS = (PAGE.parent / "number-formats.md").read_text(encoding="utf-8")


def test_the_table_of_formats_is_what_the_code_has() -> None:
    from perfmodel.dtypes import GEMM_DTYPES, MORE_GEMM_DTYPES, dtype

    rows = [[c.strip() for c in line.split("|")[1:-1]] for line in FORMATS.splitlines() if line.startswith("| `")]
    listed = {row[0].strip("`"): row[1:] for row in rows}
    assert {*GEMM_DTYPES, *MORE_GEMM_DTYPES} <= set(listed)
    for name, (weights, activations, results, arithmetics, _) in listed.items():
        record = dtype(name)
        assert record.name == name
        assert (record.weight_bits, record.activation_bits, record.output_bits) == tuple(
            map(float, (weights, activations, results))
        ), name
        assert ", ".join(record.arithmetics) == arithmetics, name


def test_the_instructions_of_widening_are_the_pages() -> None:
    from perfmodel.models.quantised import PER_REGISTER

    table = FORMATS.split("| format | instructions | why |")[1].split("\n\n")[0]
    listed: dict[str, float] = {}
    for line in table.splitlines()[2:]:
        names, counts = (c.strip().split(", ") for c in line.split("|")[1:3])
        listed |= dict(zip(names, map(float, counts if len(counts) > 1 else counts * len(names)), strict=True))
    assert listed == {name: pytest.approx(count, abs=0.01) for name, count in PER_REGISTER.items()}


# --------------------------------------------------------------------------------------------------------- extras
def test_the_table_of_extras_has_every_one() -> None:
    project = tomllib.loads((PAGE.parent.parent / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    table = (PAGE.parent / "install.md").read_text(encoding="utf-8").split("## Extras")[1].split("\n## ")[0]
    assert set(re.findall(r"^\| `([\w-]+)` \|", table, re.MULTILINE)) == set(project["optional-dependencies"])
