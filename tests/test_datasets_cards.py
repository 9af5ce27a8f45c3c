"""The cards of data sets: their schema, what they name, and the page that is made of them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from perfmodel._resources import data_path
from perfmodel.datasets import columns as c
from perfmodel.datasets.cards import Card, columns_of, is_inside, load_card, parse_card, parse_checksums
from perfmodel.datasets.registry import ADAPTERS, OWN, reader
from perfmodel.dtypes import dtype
from perfmodel.errors import InputError
from perfmodel.hardware import device_ids
from perfmodel.ops import FAMILIES

PAGE = Path(__file__).parent.parent / "docs" / "datasets.md"
MINIMAL: dict[str, Any] = {
    "schema": 1, "id": "x", "title": "X", "source": "https://example.org", "licence": "MIT", "table": "runs", "layout": "x.csv",
    "provides": ["power_w"], "units": {}, "columns": {}, "traps": {},
}  # fmt: skip


@pytest.fixture(params=ADAPTERS)
def card(request: pytest.FixtureRequest) -> Card:
    return load_card(request.param)


def test_every_folder_has_an_adapter_and_the_other_way_round() -> None:
    folders = {p.name for p in data_path("datasets").iterdir() if p.is_dir()}
    assert folders == {*ADAPTERS, *OWN}
    assert list(ADAPTERS) == sorted(ADAPTERS)
    for name in ADAPTERS:
        assert callable(reader(name))
    with pytest.raises(InputError, match="unknown data set 'zeuss': did you mean 'zeus'"):
        reader("zeuss")


def test_cards_name_what_exists(card: Card) -> None:
    measured = {device for _, device, _, _ in card.counts}
    # Machines of PerfCastDB are described by the table itself.
    if card.id != "perfcastdb":
        assert measured <= set(device_ids())
        assert measured <= set(card.devices.values())
    for name in card.dtypes.values():
        assert name == "unsupported" or dtype(name).name == name
    assert {family for family, _, _, _ in card.counts} <= {*card.families, "runs"}
    for trap in card.raw["traps"].values():
        assert len(trap) > 20


def test_tables_of_cards_have_the_schemas_columns(card: Card) -> None:
    columns = columns_of([card])
    required = set(c.REQUIRED_OF_RUNS if card.table == "runs" else c.REQUIRED)
    for family in card.families:
        required |= set(c.REQUIRED_OF_FAMILY[family])
    assert required <= set(columns)
    assert set(columns.values()) <= {c.TEXT, c.INTEGER, c.NUMBER, c.FLAG}
    assert all(f"cfg_{name}" in columns for name in card.configuration)


def test_downloads_are_pinned(card: Card) -> None:
    if card.download is None:
        # One gives no licence; of the other no file was at hand, so that no checksum is known.
        assert card.id in ("gpperf", "neusight_models")
        return
    assert "{commit}" in card.download.url
    assert card.commit is not None
    if card.download.kind == "files":
        assert card.checksums
        assert all(re.fullmatch("[0-9a-f]{64}", sha256) for sha256 in card.checksums.values())
    elif card.download.sha256 is None:
        assert "checksum" in card.raw["traps"], "an archive without a checksum is said to be one"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"title": None}, "the key 'title' is missing"),
        ({"rows": 5}, "unknown key 'rows'"),
        ({"schema": 2}, "schema is 2; wanted 1"),
        ({"table": "both"}, "table is 'both'; wanted operators or runs"),
        ({"families": ["gemm"]}, "families is"),
        ({"table": "operators"}, "families is None"),
        ({"table": "operators", "families": ["conv", "gemm"]}, "families is .* in this order"),
        ({"provides": ["power"]}, "provides names 'power', which is no column"),
        ({"commit": "main"}, "commit is 'main'; wanted a commit's hash"),
        ({"configuration": {"MWG": {"means": "tile_m"}}}, "configuration.MWG is"),
        ({"configuration": {"MWG": {"means": "tile_m", "kind": "int"}}}, "configuration.MWG is"),
        ({"marks": [{"where": {}, "note": "n"}]}, "wanted where, why"),
        ({"marks": [{"where": {}, "why": "w", "note": "n", "status": "s"}]}, "either note or status"),
        ({"marks": [{"where": {"latency_s": 1}, "why": "w", "note": "n"}]}, "a mark's where names 'latency_s'"),
        ({"download": {"kind": "ftp", "url": "https://x/{path}"}}, "download is"),
        ({"download": {"kind": "files", "url": "file:///x/{path}"}}, "download is"),
        ({"download": {"kind": "files", "url": "https://x"}}, r"files have {path} in their url"),
        ({"download": {"kind": "archive", "url": "https://x"}}, "an archive has members"),
    ],
)
def test_cards_that_are_refused(changes: dict[str, Any], message: str) -> None:
    parse_card(MINIMAL, "card")
    raw = {key: value for key, value in {**MINIMAL, **changes}.items() if value is not None}
    with pytest.raises(InputError, match=f"card: .*{message}"):
        parse_card(raw, "card")


def test_checksums() -> None:
    assert parse_checksums(f"{'a' * 64}  b c/d.csv\n\n{'b' * 64} *e\n") == {"b c/d.csv": "a" * 64, "e": "b" * 64}
    for line in ("a b", f"{'a' * 63}  x", f"{'a' * 64}  ../x", f"{'a' * 64}  /x"):
        with pytest.raises(InputError, match=r"checksums\.txt, line 1"):
            parse_checksums(line)


@pytest.mark.parametrize(
    ("path", "inside"),
    [
        ("a/b.csv", True),
        ("a", True),
        ("", False),
        ("..", False),
        ("a/../b", False),
        ("/a", False),
        ("a\\b", False),
        ("c:/a", False),
    ],
)
def test_paths_that_stay_inside(path: str, inside: bool) -> None:
    assert is_inside(path) is inside


def test_families_have_their_descriptors_fields() -> None:
    for family, required in c.REQUIRED_OF_FAMILY.items():
        assert set(required) <= set(c.family_columns(family))
    assert set(c.REQUIRED_OF_FAMILY) == set(FAMILIES) - {"view", "unmodelled"}
    # Spelt out once: the column of a collective's message has another name than its descriptor's field.
    assert c.family_columns("collective") == {"kind": "text", "bytes": "integer", "ranks": "integer", "dtype": "text"}
    assert c.family_columns("attention")["causal"] == "flag"
    assert c.family_columns("moe")["matrices"] == "integer"
    assert c.kind_of("window") == "integer"
    assert c.kind_of("nothing") is None


def test_the_page_has_every_sets_figures_and_traps(card: Card) -> None:
    page = PAGE.read_text(encoding="utf-8")
    rows = "–" if card.rows is None else f"{card.rows:,}"
    holds = ", ".join(card.families) or "runs"
    assert f"| `{card.id}` | {holds} | {len(card.measured_devices)} | {rows} | {card.licence} |" in page
    section = page[page.index(f"### {card.id}\n") :].split("\n### ")[0]
    flat = " ".join(section.split())
    for trap in card.raw["traps"].values():
        assert " ".join(trap.split()) in flat
    for mark in card.marks:
        assert f"`{mark.note or mark.status}`: {mark.why}" in flat
