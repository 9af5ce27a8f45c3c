"""Energies of operations as documents state them, and bare circuits of any width and process that follow from these.

    E(nm) = E(7 nm) · (nm / 7)^p        p from the same operation at 45 and 7 nm
    E(bits) on the line through 8 and 32 bits, both logarithmic: adders grow with their width, multipliers with its square

``published_energy.toml`` holds the figures with their documents.
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

ADD, MULTIPLY = "add", "multiply"
SRAM = "SRAM of 1 MB"
_MEMORY = {
    "hbm2": "HBM2", "hbm2e": "HBM2", "hbm3": "HBM2", "gddr5": "GDDR5", "gddr6": "GDDR6", "gddr7": "GDDR6", "ddr4": "DDR4",
}  # fmt: skip
"""The kind of memory that documents have, by ours."""
_PICO = 1e-12
_NODES_NM = (45.0, 7.0)
_WIDTHS = (8, 32)
_LIKE = {"bf16": "fp16", "tf32": "fp16"}
"""Formats whose trend between nodes (bf16), or whose multiplier (tf32: 11 bits of significand as well), is another's."""


@dataclass(frozen=True, slots=True)
class Document:
    """Where figures come from.

    Attributes:
        id: short name.
        title: authors, title, place.
        seen: how far it was at hand.
    """

    id: str
    title: str
    seen: str


@dataclass(frozen=True, slots=True)
class Published:
    """One published figure.

    Attributes:
        operation: ``"add"``, ``"multiply"``, ``"byte"`` or ``"instruction"``.
        what: the format (``"int8"``), the memory (``"HBM2"``), the instruction.
        process_nm: of the chip; None where the document gives none.
        low_j, high_j: joules an operation, or a byte; equal where one number is given.
        document: its source.
    """

    operation: str
    what: str
    process_nm: float | None
    low_j: float
    high_j: float
    document: Document


@cache
def _file() -> dict[str, Any]:
    text = files("perfmodel.hardware").joinpath("published_energy.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)


@cache
def published() -> tuple[Published, ...]:
    """Every figure, in the order of the file."""
    documents = {name: Document(name, d["title"], d["seen"]) for name, d in _file()["documents"].items()}
    found = []
    for figure in _file()["figure"]:
        document, nm = documents[figure["document"]], figure.get("process_nm")
        for operation in (ADD, MULTIPLY):
            for what, pj in figure.get(operation, {}).items():
                found.append(Published(operation, what, nm, pj * _PICO, pj * _PICO, document))
        for what, (low, high) in figure.get("per_byte", {}).items():
            found.append(Published("byte", what, nm, low * _PICO, high * _PICO, document))
        for what, pj in figure.get("per_instruction", {}).items():
            found.append(Published("instruction", what, nm, pj * _PICO, pj * _PICO, document))
    return tuple(found)


def sram_j_per_byte(process_nm: float) -> float:
    """Energy of a byte of an SRAM of 1 MB, the nearest that documents have to a last-level cache [J]."""
    at = {p.process_nm: p.low_j for p in published() if p.what == SRAM}
    return _scaled(at[_NODES_NM[0]], at[_NODES_NM[1]], process_nm)


def dram_j_per_byte(memory: str) -> tuple[str, float, float] | None:
    """What documents say of a kind of memory (``"hbm3"``, ``"gddr6"``, …) or of the nearest kind: its name, and the lowest and
    the highest figure [J a byte]; None where they say nothing."""
    name = _MEMORY.get(memory)
    figures = [p for p in published() if p.operation == "byte" and p.what == name]
    if name is None or not figures:
        return None
    return name, min(p.low_j for p in figures), max(p.high_j for p in figures)


def circuit_j(operation: str, format_name: str, process_nm: float) -> float | None:
    """Energy of a bare adder or multiplier [J].

    Args:
        operation: ``"add"`` or ``"multiply"``.
        format_name: ``"fp16"``, ``"bf16"``, ``"tf32"``, ``"fp32"`` or ``"int<bits>"``. Narrower floats count as integers of
            their width, which their multipliers are close to.
        process_nm: the chip's process, by its marketing name.

    Returns:
        None where no document says anything: fp64.
    """
    if format_name == "tf32":
        # A multiplier takes the 11 bits that fp16 has, too; sums are in fp32.
        format_name = "fp16" if operation == MULTIPLY else "fp32"
    if format_name in ("fp8", "fp6", "fp4"):
        format_name = f"int{format_name[2:]}"
    if format_name.startswith("int") and format_name[3:].isdigit():
        return _integer(operation, int(format_name[3:]), process_nm)
    at_45, at_7 = _at_nodes()
    seven = at_7[operation].get(format_name)
    if seven is None:
        return None
    trend = _LIKE.get(format_name, format_name)
    return _scaled(at_45[operation][trend], at_7[operation][trend], process_nm) * seven / at_7[operation][trend]


def _integer(operation: str, bits: int, process_nm: float) -> float:
    at_45, at_7 = _at_nodes()
    narrow, wide = (_scaled(at_45[operation][f"int{w}"], at_7[operation][f"int{w}"], process_nm) for w in _WIDTHS)
    slope = math.log(wide / narrow) / math.log(_WIDTHS[1] / _WIDTHS[0])
    return float(narrow * (bits / _WIDTHS[0]) ** slope)


def _scaled(at_45: float, at_7: float, process_nm: float) -> float:
    exponent = math.log(at_45 / at_7) / math.log(_NODES_NM[0] / _NODES_NM[1])
    return float(at_7 * (process_nm / _NODES_NM[1]) ** exponent)


@cache
def _at_nodes() -> tuple[Mapping[str, Mapping[str, float]], ...]:
    """Joules by operation and format at 45 and at 7 nm."""
    tables: tuple[dict[str, dict[str, float]], ...] = tuple({ADD: {}, MULTIPLY: {}} for _ in _NODES_NM)
    for p in published():
        if p.operation in (ADD, MULTIPLY) and p.process_nm in _NODES_NM:
            tables[_NODES_NM.index(p.process_nm)][p.operation].setdefault(p.what, p.low_j)
    return tables
