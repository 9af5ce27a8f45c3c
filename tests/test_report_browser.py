"""The report in a real browser: it draws, sorts, searches, is hovered, driven by keys, read aloud, dark, narrow, not fooled."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from chromium import Chromium, executable
from fake_predictions import operator, prediction
from report_pages import large_page, page_of, page_of_hostile_names, page_of_names, write

pytest.importorskip("vl_convert", reason="the extra report is not installed")
if executable() is None:
    pytest.skip("no Chromium on this machine (Debian: apt-get install chromium)", allow_module_level=True)

CHARTS = ("tree", "roofline", "gap", "waterline", "memory", "power")
WIDTH = "document.documentElement.scrollWidth"


@pytest.fixture(scope="module")
def browser() -> Iterator[Chromium]:
    with Chromium() as chromium:
        yield chromium


@pytest.fixture(scope="module")
def library() -> str:
    from perfmodel.report import vega

    return vega.script()


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory, library: str) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("pages")
    return {
        "small": write(folder / "small.html", large_page(40, library)),
        "large": write(folder / "large.html", large_page(6500, library)),
        "hostile": write(folder / "hostile.html", page_of_hostile_names(library)),
    }


def print_nothing(browser: Chromium) -> None:
    """What a page does before and after it is printed: all charts are drawn."""
    browser.run("for (const kind of ['beforeprint', 'afterprint']) window.dispatchEvent(new Event(kind))")


def draw_all(browser: Chromium) -> None:
    """All charts, also those that are far from the window, as before printing."""
    print_nothing(browser)
    for name in CHARTS:
        browser.wait(f"document.querySelector('#chart-{name} canvas')")
    # A scrollbar that came with the charts makes the page narrower: they are drawn again.
    browser.run("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    browser.wait("!document.querySelector('.chart[aria-busy=true]')")


def column(browser: Chromium, index: int) -> list[str]:
    cells: list[str] = browser.run(
        f"[...document.querySelectorAll('#operators-body tr:not(.how)')].map((r) => r.cells[{index}].textContent)"
    )
    return cells


def ink(browser: Chromium, name: str) -> int:
    """Pixels of a chart that are not empty."""
    count: int = browser.run(
        f"(() => {{ const c = document.querySelector('#chart-{name} canvas'); const d = c.getContext('2d')"
        ".getImageData(0, 0, c.width, c.height).data; let n = 0; for (let i = 3; i < d.length; i += 4) if (d[i]) n++;"
        " return n; })()"
    )
    return count


def tip(browser: Chromium) -> str:
    text: str = browser.run("document.getElementById('tip').hidden ? '' : document.getElementById('tip').innerText")
    return text


def said(browser: Chromium) -> str:
    text: str = browser.run("document.getElementById('said').textContent")
    return text


# ----------------------------------------------------------------------------------------------------- loading
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390], ids=["wide", "narrow"])
def test_it_loads_and_draws(browser: Chromium, pages: dict[str, Path], width: int, dark: bool) -> None:
    browser.open(pages["small"], width=width, dark=dark)
    draw_all(browser)
    assert browser.problems == []
    assert browser.run(WIDTH) <= width  # nothing sticks out: wide tables scroll inside their card
    assert all(ink(browser, name) > 2000 for name in CHARTS)
    background = browser.run("getComputedStyle(document.body).backgroundColor")
    brightness = sum(int(v) for v in background.removeprefix("rgb(").removesuffix(")").split(",")) / 3
    assert (brightness < 60) is dark


def test_the_theme_can_be_changed(browser: Chromium, pages: dict[str, Path]) -> None:
    browser.open(pages["small"])
    draw_all(browser)
    before = browser.run("document.querySelector('#chart-roofline').dataset.drawn")
    browser.click("#theme")
    assert browser.run("document.documentElement.dataset.theme") == "dark"
    browser.wait(f"document.querySelector('#chart-roofline').dataset.drawn > {before}")
    browser.click("#theme")
    assert browser.run("document.documentElement.dataset.theme") == "light"


def test_6500_operators(browser: Chromium, pages: dict[str, Path]) -> None:
    assert pages["large"].stat().st_size < 5_000_000
    browser.open(pages["large"])
    draw_all(browser)
    assert browser.problems == []
    assert "6,500 operators" in browser.run("document.getElementById('operators-count').textContent")
    assert browser.run("document.querySelectorAll('*').length") < 3000  # rows are made page by page


def test_operators_above_the_line_of_their_arithmetic_are_explained(
    browser: Chromium, tmp_path: Path, library: str
) -> None:
    # In 5 us at 989 TFLOP/s there are 4.9 GFLOP.
    shown = prediction(operators=tuple(operator("conv", s, 5e-6, flops=f) for s, f in (("a", 6e9), ("b", 4e9))))
    browser.open(write(tmp_path / "page.html", page_of([shown], library=library)))
    print_nothing(browser)
    browser.wait("document.querySelector('#chart-roofline canvas')")
    note = browser.run("document.getElementById('roofline-note').textContent")
    assert note.startswith("1 operator above the line of the arithmetic used")
    assert "cannot be shown" not in note


# ------------------------------------------------------------------------------------------------------- table
def test_the_table_sorts(browser: Chromium, pages: dict[str, Path]) -> None:
    browser.open(pages["small"])
    assert column(browser, 1) == [str(i) for i in range(1, 41)]
    browser.click('#operators-head th[data-key="t"] button')
    assert browser.run("document.querySelector('#operators-head th[data-key=t]').ariaSort") == "descending"
    seconds = browser.run("PM.device().operators.map((o) => o.k.t[0])")
    slowest = sorted(range(40), key=lambda i: -seconds[i])
    assert [int(v) - 1 for v in column(browser, 1)] == slowest
    browser.click('#operators-head th[data-key="t"] button')
    assert seconds[int(column(browser, 1)[0]) - 1] == min(seconds)
    assert "smallest first" in said(browser)


def test_the_table_is_searched(browser: Chromium, pages: dict[str, Path]) -> None:
    browser.open(pages["small"])
    browser.run("document.getElementById('operators-search').focus()")
    browser.type("layers.2 mlp")
    browser.wait("document.getElementById('operators-count').textContent.startsWith('4 operators')")
    assert all("layers.2/mlp" in name for name in column(browser, 2))
    assert browser.problems == []


def test_like_operators_are_taken_together(browser: Chromium, pages: dict[str, Path]) -> None:
    browser.open(pages["small"])
    browser.click("#operators-grouped")
    assert len(column(browser, 1)) == 20
    assert "and 1 more" in column(browser, 2)[0]


def test_a_row_says_how_it_was_estimated(browser: Chromium, pages: dict[str, Path]) -> None:
    browser.open(pages["small"])
    browser.click("#operators-body .expand")
    assert browser.run("document.activeElement.getAttribute('aria-expanded')") == "true"
    text = browser.run("document.querySelector('tr.how').textContent")
    assert "max-like(" in text
    assert "tile 128x256" in text
    assert "90 % interval" in text


def test_bounds_are_hidden(browser: Chromium, pages: dict[str, Path]) -> None:
    browser.open(pages["small"])
    draw_all(browser)
    browser.click("#bounds-key button")
    assert browser.run("PM.hiddenBounds.size") == 1
    hidden = browser.run("[...PM.hiddenBounds][0]")
    shown = set(column(browser, 14))
    assert shown
    assert shown == {"compute", "l2", "dram", "launch"} - {hidden}
    assert browser.run("document.activeElement.getAttribute('aria-pressed')") == "false"


def test_an_operator_of_a_hidden_bound_is_pale_in_the_tree_and_shown_when_it_is_chosen(
    browser: Chromium, pages: dict[str, Path]
) -> None:
    browser.open(pages["small"])
    draw_all(browser)
    assert "2 operators without arithmetic" in browser.run("document.getElementById('roofline-note').textContent")
    pale = "PM.icicle(1200).spec.data[0].values.filter((v) => v.o < 0.1).length"
    assert browser.run(pale) == 0
    browser.run(
        "[...document.querySelectorAll('#bounds-key button')].find((b) => b.textContent.startsWith('compute')).click()"
    )
    assert browser.run(pale) > 0
    browser.wait("!document.getElementById('roofline-note').textContent.includes('2 operators')")
    name = browser.run("PM.operatorsOf(PM.device()).find((o) => o.k.bound === 'compute').name")
    assert name not in column(browser, 2)
    # What a click on an operator's block in the tree does.
    browser.run(
        "PM.icicle(5000).items.find((i) => i.enter && i.rows().some(([k, v]) => k === 'bound' && v === 'compute')).enter()"
    )
    assert browser.run("PM.hiddenBounds.size") == 0
    assert "compute" in browser.run("document.querySelector('tr.marked').cells[14].textContent")
    assert browser.run("document.activeElement.getAttribute('aria-expanded')") == "true"


def test_bars_are_of_the_longest_of_all_operators(browser: Chromium, pages: dict[str, Path]) -> None:
    browser.open(pages["large"])
    browser.run("for (const _ of [1, 2]) document.querySelector('#operators-head th[data-key=t] button').click()")
    browser.run("PM.find([...PM.operatorsOf(PM.device())].sort((a, b) => b.k.t[0] - a.k.t[0])[0])")
    widths = browser.run("[...document.querySelectorAll('#operators-body .bar')].map((b) => parseFloat(b.style.width))")
    assert max(widths) == 64


# ------------------------------------------------------------------------------------------- pointer and keys
def test_hover_names_an_operator(browser: Chromium, pages: dict[str, Path]) -> None:
    browser.open(pages["small"])
    draw_all(browser)
    # The first block of the second row of the tree.
    x, y = browser.middle("#chart-tree canvas")
    left = browser.run("document.querySelector('#chart-tree canvas').getBoundingClientRect().left")
    top = browser.run("document.querySelector('#chart-tree canvas').getBoundingClientRect().top")
    browser.hover(x, y)
    browser.hover(left + 30, top + 45)
    browser.wait("!document.getElementById('tip').hidden")
    assert "layers.0" in tip(browser)
    assert "of the run" in tip(browser)
    browser.hover(2, 2)
    browser.wait("document.getElementById('tip').hidden")


def test_charts_are_driven_by_keys(browser: Chromium, pages: dict[str, Path]) -> None:
    browser.open(pages["small"])
    draw_all(browser)
    for name in CHARTS:
        browser.run(f"document.getElementById('chart-{name}').focus()")
        browser.key("ArrowRight")
        first = said(browser)
        assert first, name
        browser.wait("!document.getElementById('tip').hidden")
        assert tip(browser).split("\n")[0] in first
        browser.key("ArrowDown" if name == "tree" else "ArrowRight")
        assert said(browser) != first, name
        browser.key("Escape")
        browser.wait("document.getElementById('tip').hidden")
    assert browser.problems == []


def test_another_width_keeps_the_place_of_the_keys(browser: Chromium, pages: dict[str, Path]) -> None:
    browser.open(pages["small"])
    draw_all(browser)
    browser.run("document.getElementById('chart-roofline').focus()")
    for _ in range(3):
        browser.key("ArrowRight")
    third, drawn = said(browser), browser.run("Number(document.getElementById('chart-roofline').dataset.drawn)")
    browser.screen(1000, 900)
    browser.wait(f"document.getElementById('chart-roofline').dataset.drawn > {drawn}")
    browser.wait("!document.querySelector('.chart[aria-busy=true]')")
    browser.key("ArrowLeft")
    browser.key("ArrowRight")
    assert said(browser) == third


def test_enter_in_the_roofline_opens_the_operator(browser: Chromium, pages: dict[str, Path]) -> None:
    browser.open(pages["small"])
    draw_all(browser)
    browser.run("document.getElementById('chart-roofline').focus()")
    browser.key("Home")
    browser.key("Enter")
    assert browser.run("document.activeElement.getAttribute('aria-expanded')") == "true"
    marked = browser.run("document.querySelector('tr.marked').cells[2].textContent")
    assert browser.run("document.querySelector('tr.marked').nextSibling.className") == "how"
    slowest = browser.run(
        "[...PM.device().operators].filter((o) => o.k.flops > 0).sort((a, b) => b.k.t[0] - a.k.t[0])[0].name"
    )
    assert marked == slowest


def test_the_tree_is_walked_into_and_out_of(browser: Chromium, pages: dict[str, Path]) -> None:
    browser.open(pages["small"])
    draw_all(browser)
    browser.run("document.getElementById('chart-tree').focus()")
    for key in ("ArrowRight", "ArrowDown", "Enter"):
        browser.key(key)
    assert "layers.0" in browser.run("document.getElementById('crumbs').textContent")
    browser.key("Escape")
    assert "layers" not in browser.run("document.getElementById('crumbs').textContent")
    for key in ("ArrowRight", "ArrowDown", "Enter"):
        browser.key(key)
    browser.click("#crumbs button")
    assert "layers" not in browser.run("document.getElementById('crumbs').textContent")
    assert browser.run("document.activeElement.id") == "chart-tree"
    browser.click('[data-tree="family"]')
    browser.wait("document.getElementById('chart-tree').getAttribute('aria-label').includes('operator family')")


def test_everything_is_reached_with_the_tabulator(browser: Chromium, pages: dict[str, Path]) -> None:
    browser.open(pages["small"])
    reached = []
    for _ in range(60):
        browser.key("Tab")
        where = browser.run(
            "document.activeElement.id || document.activeElement.className || document.activeElement.tagName"
        )
        reached.append(where)
        if where == "operators-search":
            break
    assert {"skip", "theme", "chart-tree", "chart-roofline", "chart-memory", "operators-search"} <= set(reached)


def test_a_screen_reader_finds_names(browser: Chromium, pages: dict[str, Path]) -> None:
    browser.open(pages["small"])
    draw_all(browser)
    browser.wait("[...document.querySelectorAll('.chart')].every((c) => c.getAttribute('aria-label'))")
    named: dict[str, list[str]] = {}
    for role, name in browser.names():
        named.setdefault(role, []).append(name)
    for role in ("button", "searchbox", "checkbox", "link", "application", "columnheader", "region", "image"):
        assert named[role], role
        assert all(n.strip() for n in named[role]), (role, named[role])
    assert any(n.startswith("Roofline of") for n in named["application"])
    assert [n for n in named["heading"] if n][:2] == ["net", "Where the time goes"]


# ---------------------------------------------------------------------------------------------------- hostility
def test_hostile_names_do_nothing(browser: Chromium, pages: dict[str, Path]) -> None:
    browser.open(pages["hostile"])
    draw_all(browser)
    browser.click("#operators-body .expand")
    for name in CHARTS:
        browser.run(f"document.getElementById('chart-{name}').focus()")
        browser.key("ArrowRight")
        browser.key("ArrowRight")
    assert browser.run("window.hacked") is None
    assert browser.run("document.querySelectorAll('script:not([type])').length") == 5
    assert browser.problems == []


def test_the_policy_stops_what_slips_through(browser: Chromium, pages: dict[str, Path], tmp_path: Path) -> None:
    text = pages["small"].read_text(encoding="utf-8")
    broken = text.replace(
        'id="main">', 'id="main"><script>window.hacked = 1</script><img src="https://example.com/x.png">'
    )
    browser.open(write(tmp_path / "broken.html", broken))
    assert browser.run("window.hacked") is None
    stopped: Any = [p for p in browser.problems if "Content Security Policy" in p]
    assert len(stopped) == 2


# --------------------------------------------------------------------------------------------------- comparison
@pytest.mark.parametrize("width", [1280, 390])
def test_the_comparison_draws(browser: Chromium, tmp_path: Path, library: str, width: int) -> None:
    from test_comparing import some_ranking
    from test_crossover import DEVICES, lines

    from perfmodel.report.comparing import comparison_html

    curves = lines((1, 8, 64), l40s=(0.0, 2.0), h100_sxm=(10.0, 1.0), a10=(50.0, 3.0))
    title = {"model": "net", "dims": {"batch": 8}, "asked": {}}
    page = write(tmp_path / "devices.html", comparison_html(some_ranking(), DEVICES, title, None, curves))
    browser.open(page, width=width, dark=True)
    print_nothing(browser)
    for name in ("latency", "energy", "over", "pareto"):
        browser.wait(f"document.querySelector('#chart-{name} canvas')")
        assert ink(browser, name) > 500
    assert browser.run(WIDTH) <= width
    browser.click('[data-quantity="energy"]')
    browser.wait("document.getElementById('chart-over').getAttribute('aria-label').startsWith('energy')")
    browser.run("document.getElementById('chart-over').focus()")
    browser.key("ArrowRight")
    assert "batch 1" in said(browser)
    assert browser.problems == []


BOXES = """((id, name) => {
  const found = [];
  const walk = (mark) => { for (const item of mark.items) {
    if (mark.marktype === 'group') { item.items.forEach(walk); continue; }
    if (mark.name === name && item.opacity !== 0) found.push([item.bounds.x1, item.bounds.y1, item.bounds.x2, item.bounds.y2]);
  } };
  walk(document.getElementById(id).chartView.scenegraph().root);
  return found; })"""
"""The boxes [pixel of the plot] of a chart's marks of some name."""


def overlapping(boxes: list[list[float]], others: list[list[float]]) -> list[tuple[list[float], list[float]]]:
    return [
        (a, b)
        for a in boxes
        for b in others
        if a is not b and a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]
    ]


def test_names_in_the_comparison_lie_over_nothing(browser: Chromium, tmp_path: Path, library: str) -> None:
    from test_comparing import some_ranking
    from test_crossover import lines

    from perfmodel.report.comparing import comparison_html

    # Three curves that end within a percent, and three dots close to each other.
    devices = ("h100-sxm", "l40s", "a10")
    curves = lines((1, 8, 64), l40s=(0.0, 2.0), h100_sxm=(10.0, 1.85), a10=(9.0, 1.86))
    title = {"model": "net", "dims": {"batch": 8}, "asked": {}}
    page = write(tmp_path / "names.html", comparison_html(some_ranking(), devices, title, None, curves))
    browser.open(page)
    print_nothing(browser)
    for name in ("over", "pareto"):
        browser.wait(f"document.querySelector('#chart-{name} canvas')")
    browser.wait("!document.querySelector('.chart[aria-busy=true]')")
    names = browser.run(f"{BOXES}('chart-over', 'names')")
    assert len(names) == 3
    assert not overlapping(names, names)
    # Beside the curves: to the right of all that is drawn of them.
    assert min(box[0] for box in names) > max(box[2] for box in browser.run(f"{BOXES}('chart-over', 'points')"))
    names = browser.run(f"{BOXES}('chart-pareto', 'names')")
    assert names
    assert not overlapping(names, names)
    assert not overlapping(names, browser.run(f"{BOXES}('chart-pareto', 'points')"))
    # On a narrow screen the key has the names instead.
    browser.open(page, width=390)
    print_nothing(browser)
    browser.wait("document.querySelector('#chart-pareto canvas')")
    assert browser.run(f"{BOXES}('chart-pareto', 'names')") == []
    key = browser.run("document.querySelector('#pareto .devices-key').textContent")
    assert all(name in key for name in ("H100", "L40S", "A10"))


def test_paper_is_light_and_the_screen_stays_dark(browser: Chromium, pages: dict[str, Path]) -> None:
    browser.open(pages["small"], dark=True)
    browser.run("window.dispatchEvent(new Event('beforeprint'))")
    assert browser.run("document.documentElement.dataset.theme") == "light"
    browser.run("window.dispatchEvent(new Event('afterprint'))")
    assert browser.run("document.documentElement.dataset.theme") == "dark"


def test_long_names_keep_rows_short(browser: Chromium, tmp_path: Path, library: str) -> None:
    names = [letter * 10_000 for letter in ("a", "\u202e", "\U0001f600", " ")]
    page = write(tmp_path / "long.html", page_of_names(names, library))
    for width in (1280, 390):
        browser.open(page, width=width)
        draw_all(browser)
        assert browser.run(WIDTH) <= width
        heights = browser.run("[...document.querySelectorAll('#operators-body tr')].map((r) => r.offsetHeight)")
        assert max(heights) < 240
    assert browser.problems == []


def test_controls_are_large_enough_to_touch(browser: Chromium, pages: dict[str, Path]) -> None:
    browser.open(pages["small"], width=390)
    draw_all(browser)
    small = browser.run(
        "[...document.querySelectorAll('button, input[type=search], label')].filter((e) => e.offsetParent)"
        ".map((e) => [e.textContent || e.id, e.getBoundingClientRect()])"
        ".filter(([, r]) => r.width < 24 || r.height < 24).map(([text]) => text)"
    )
    assert small == []  # WCAG 2.2, 2.5.8


def test_a_narrow_screen_needs_no_scrolling_in_the_table(browser: Chromium, pages: dict[str, Path]) -> None:
    browser.open(pages["small"], width=390)
    assert browser.run("(e => e.scrollWidth - e.clientWidth)(document.querySelector('#operators .scroll'))") <= 0
    browser.click("#operators-body .expand")
    more = browser.run("document.querySelector('tr.how dl').innerText")
    assert all(title in more for title in ("shape", "FLOPs", "bytes", "power", "energy", "rests on"))
    browser.screen(1280, 900)
    assert browser.run("document.querySelector('tr.how dl').offsetHeight") == 0  # the columns say it there


def test_escape_sends_the_tip_away(browser: Chromium, pages: dict[str, Path]) -> None:
    browser.open(pages["small"])
    draw_all(browser)
    browser.middle("#chart-tree canvas")
    left = browser.run("document.querySelector('#chart-tree canvas').getBoundingClientRect().left")
    top = browser.run("document.querySelector('#chart-tree canvas').getBoundingClientRect().top")
    browser.hover(left + 20, top + 40)
    browser.hover(left + 30, top + 45)
    browser.wait("!document.getElementById('tip').hidden")
    browser.key("Escape")
    assert browser.run("document.getElementById('tip').hidden")


# ------------------------------------------------------------------------------------------------------ request
@pytest.mark.parametrize("width", [1280, 390], ids=["wide", "narrow"])
def test_a_request(browser: Chromium, tmp_path: Path, width: int) -> None:
    from test_generation import DECODER

    from perfmodel.report import report

    text = report(DECODER, ["h100-sxm", "l40s"], prompt=10, generate=9, dims={"batch": 3}, predictor="analytical")
    browser.open(write(tmp_path / "request.html", text), width=width, dark=width < 1000)
    draw_all(browser)
    tokens = ("token-time", "token-energy", "token-memory", "request-power")
    assert all(ink(browser, name) > 1000 for name in (*tokens, *CHARTS))
    assert browser.run(WIDTH) <= width
    shown = "[...document.querySelectorAll('[data-run]')].filter((e) => e.offsetParent).map((e) => e.dataset.run)"
    assert set(browser.run(shown)) == {"0"}
    shape = "document.querySelector('#operators-body td.shape').textContent"
    prefill = browser.run(shape)
    browser.click("[data-choose-run='1']")
    assert set(browser.run(shown)) == {"1"}
    # Three sequences: 30 tokens of prompts, 3 of a step.
    assert browser.run(shape) != prefill
    assert said(browser) == "Decode step is shown"
    browser.click("[data-tab='1']")  # the other device keeps the run
    assert set(browser.run(shown)) == {"1"}
    browser.wait("!document.querySelector('.chart[aria-busy=true]')")
    browser.run("document.getElementById('chart-token-time').focus()")
    browser.key("ArrowRight")
    # Six steps for eight tokens: the first stands for tokens 2 and 3.
    assert said(browser).startswith("token 2: time per token")
    assert "stands for tokens 2 to 3" in said(browser)
    assert browser.problems == []
