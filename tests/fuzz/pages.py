"""Pages of hostile models: the report, the comparison, what notebooks show. No name of a file becomes markup."""

from __future__ import annotations

import json
import math
import random
import re
from collections.abc import Iterable
from html.parser import HTMLParser
from pathlib import Path
from unittest.mock import patch

import perfmodel
from fuzz import models
from fuzz.base import TESTS, analytical, refused, written
from perfmodel.errors import PerfmodelError, UnboundDimensionError

DEVICES = ["h100-sxm", "epyc-7763"]
_STUB = "/* the plotting library */"
_KNOWN = frozenset(
    "html head meta title style script body header main footer nav section article aside h1 h2 h3 h4 p div span a ul ol li "
    "dl dt dd table caption thead tbody tr th td button input label select option optgroup svg path g circle rect line text "
    "details summary figure figcaption code pre strong em small abbr b i br hr noscript output fieldset legend time progress "
    "meter template form colgroup col sup sub wbr kbd mark desc defs use polyline polygon".split()
)


class _Markup(HTMLParser):
    """The scripts of a page, and whatever of it a name could have become."""

    def __init__(self) -> None:
        super().__init__()
        self.scripts = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.scripts += tag == "script"
        assert tag in _KNOWN, f"a tag that is none of ours: {tag}"
        for name, value in attrs:
            assert not name.startswith("on"), f"an attribute that is code: {name}"
            assert not (value or "").strip().lower().startswith("javascript:"), "an address that is code"


def scripts_of(html: str) -> int:
    """How many scripts a page has; AssertionError where it has markup that is not ours."""
    found = _Markup()
    found.feed(html)
    found.close()
    return found.scripts


def seeds() -> Iterable[bytes]:
    yield from (p.read_bytes() for p in sorted((TESTS / "mlir_models").glob("*.onnx")) if p.stat().st_size < 40_000)
    yield from (m for place, m in enumerate(models.onnx_seeds()) if place % 9 == 0 and len(m) < 20_000)
    yield from (p.read_bytes() for p in sorted((TESTS / "mlir_models").glob("*.mlir")) if p.stat().st_size < 8_000)


def damaged(data: bytes, rng: random.Random) -> bytes:
    """Names that do harm, in ONNX and in MLIR; nodes that are others."""
    if _is_text(data):
        text = data.decode("utf-8", "replace")
        for _ in range(rng.choice((1, 2, 3))):
            names = [m.span() for m in re.finditer(r"[@%#][\w.]+|loc\([^)]*\)|\"[\w.]+\"", text)] or [(0, 0)]
            start, end = rng.choice(names)
            quoted = json.dumps(rng.choice(models.HOSTILE))
            text = text[:start] + rng.choice((f"@{quoted}", quoted, f"loc({quoted})")) + text[end:]
        return text.encode("utf-8", "replace")
    return (models.hostile_names if rng.random() < 0.7 else models.damaged_nodes)(data, rng)


def _is_text(data: bytes) -> bool:
    return data.lstrip()[:1] in (b"m", b"f", b"%", b"#", b'"', b"/", b"!") and b"\0" not in data


def read_for_report(data: bytes, folder: Path) -> str:
    """A model as ``perfmodel report`` and a notebook show it, and as ``compare`` orders devices."""
    from perfmodel.report import vega

    # Scoped: the tests read the corpora in the process in which other tests draw with the real library.
    with patch.object(vega, "check_installed"), patch.object(vega, "script", return_value=_STUB):
        return _reported(data, folder)


def _reported(data: bytes, folder: Path) -> str:
    from perfmodel.report import report

    path = written(folder, "model.mlir" if _is_text(data) else "model.onnx", data)
    dims: dict[str, int] = {}
    for _ in range(3):
        try:
            seen: list[perfmodel.ModelPrediction] = []
            html = report(
                path, DEVICES, dims=dims, predictor=analytical(), what_if=len(data) % 4 == 0, predicted=seen.append
            )
        except UnboundDimensionError as asked:
            refused(asked)
            dims |= dict.fromkeys(asked.names, 3)
            continue
        except PerfmodelError as error:
            return refused(error)
        assert scripts_of(html) == html.count("</script>")
        assert "NaN" not in html.split(_STUB)[0] or b"NaN" in data
        for prediction in seen:
            scripts_of(prediction._repr_html_())
            json.dumps(prediction.to_dict(), allow_nan=False)
        ranked = perfmodel.compare(path, DEVICES, dims=dims, predictor=analytical())
        assert [p.latency_s.value for p in ranked] == sorted(p.latency_s.value for p in ranked)
        assert all(math.isfinite(p.latency_s.high) for p in ranked)
        return "result"
    return "asked"
