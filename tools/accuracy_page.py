"""Puts the figures of models/default/accuracy.json into docs/accuracy.md and README.md and draws docs/images/accuracy/.

python tools/accuracy_page.py                      rewrites the pages' generated parts and the plots
python tools/accuracy_page.py --check              exits with 1 where they differ
python tools/accuracy_page.py --add NAME FILE      first takes a report of `perfmodel evaluate --json FILE` into
                                                   accuracy.json, under evaluations/NAME

A generated part stands between ``<!-- accuracy: NAME -->`` and ``<!-- end -->``; the text around it is written by hand. The
plots need the extra ``docs`` (matplotlib).
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tools"))

from accuracy_families import SECTIONS  # noqa: E402 - the folder of this script is no package
from accuracy_plots import HELD_OUT, draw  # noqa: E402
from accuracy_power import power  # noqa: E402
from accuracy_power import summary as power_summary  # noqa: E402

PAGES = (ROOT / "docs" / "accuracy.md", ROOT / "README.md")
IMAGES = ROOT / "docs" / "images" / "accuracy"
ACCURACY = ROOT / "models" / "default" / "accuracy.json"
_PART = re.compile(r"(<!-- accuracy: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)
_KEYS = ("held_out", "variant", "workload", "op", "device", "dtype", "software", "size", "target")
"""What the groups of a further evaluation may be named by."""
_LONGEST = 60
"""Groups of a further evaluation that a table lists; of more, the mean alone."""

Accuracy = Mapping[str, Any]


class Target(NamedTuple):
    """A row of the table of targets: what is predicted, the best published figure, what was aimed at, what was reached."""

    what: str
    published: str
    wanted: str
    reached: Callable[[Accuracy], str | None]


# ------------------------------------------------------------------------------------------------------------ figures
def reports(accuracy: Accuracy) -> dict[str, Mapping[str, Any]]:
    """The reports that have every family, by protocol."""
    return {str(accuracy["protocol"]): accuracy, **accuracy.get("transfer", {})}


def mean_over_devices(accuracy: Accuracy, protocol: str, op: str, dtype: str | None = None) -> str | None:
    """The unweighted mean over devices of the unweighted mean over a device's tables, with the number of devices."""
    figures = _by_device(accuracy, protocol, op, dtype, "mape")
    return None if not figures else f"{_mean(list(figures.values())):.1%} ({_count(len(figures), 'device')})"


def covered(accuracy: Accuracy, protocol: str) -> str | None:
    """The mean coverage over tables, with the lowest table."""
    report = reports(accuracy).get(protocol)
    groups = [] if report is None else [g["coverage_90"] for g in report["groups"] if _known(g["coverage_90"])]
    return None if not groups else f"{_mean(groups):.1%} (lowest of {len(groups)} tables {min(groups):.1%})"


def by_files(accuracy: Accuracy, protocol: str, op: str) -> str | None:
    """The unweighted mean over devices of the unweighted mean over a device's files, one a software version, all formats in it.

    For families of which a file has few rows of some formats.
    """
    report = reports(accuracy).get(protocol)
    files: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for g in () if report is None else report["groups"]:
        if _op(g) == op and _known(g["mape"]):
            files.setdefault((g["device"], g["software"]), []).append(g)
    by_device: dict[str, list[float]] = {}
    for (device, _), groups in files.items():
        rows = sum(g["n"] for g in groups)
        by_device.setdefault(device, []).append(sum(g["n"] * g["mape"] for g in groups) / rows)
    if not by_device:
        return None
    return f"{_mean([_mean(v) for v in by_device.values()]):.1%} ({_count(len(by_device), 'device')})"


def neusight_gemms(accuracy: Accuracy) -> str | None:
    """Linear and batched products on a GPU that was left out, the mean over GPUs of single rows."""
    report = accuracy.get("evaluations", {}).get("neusight")
    if report is None:
        return None
    found = {v: [g["mape"] for g in report["groups"] if g["variant"] == v] for v in ("linear", "bmm")}
    return f"{_mean(found['linear']):.1%} linear, {_mean(found['bmm']):.1%} batched ({_count(len(found['bmm']), 'device')})"


def evaluated_devices(accuracy: Accuracy, *names: str) -> str | None:
    """The mean over devices of the mean over a device's groups, where all of some further evaluations are there."""
    found = [accuracy.get("evaluations", {}).get(name) for name in names]
    return None if None in found else " / ".join(f"{_over_devices(f['groups']):.1%}" for f in found if f is not None)


def _over_devices(groups: Sequence[Mapping[str, Any]]) -> float:
    by_device: dict[str, list[float]] = {}
    for group in groups:
        by_device.setdefault(group["device"], []).append(group["mape"])
    return _mean([_mean(figures) for figures in by_device.values()])


def _both(*figures: str | None) -> str | None:
    return None if None in figures else " / ".join(f for f in figures if f is not None)


TARGETS = (
    Target(
        "GEMM bf16, shapes held out", "5.2 % (PipeWeave)", "≤ 3.5 %",
        lambda a: mean_over_devices(a, "shapes", "gemm", "bf16"),
    ),
    Target(
        "GEMM fp8 / nvfp4, shapes held out", "1.9–4.1 % (fp8, two GPUs)", "≤ 5 %",
        lambda a: _both(mean_over_devices(a, "shapes", "gemm", "fp8"), mean_over_devices(a, "shapes", "gemm", "nvfp4")),
    ),
    Target(
        "GEMM bf16, a device left out", "12.2 % (PipeWeave, five GPUs), 12.1 % (KernelSight-LM, all kernels)", "≤ 7 %",
        lambda a: mean_over_devices(a, "device", "gemm", "bf16"),
    ),
    Target("GEMM bf16, a hardware family left out", "–", "≤ 9.5 %", lambda a: mean_over_devices(a, "family", "gemm", "bf16")),
    Target(
        "the same, after 20 / 200 measurements of the target", "3.8 % after a full sweep (KernelSight-LM)", "≤ 8 % / ≤ 6 %",
        lambda a: evaluated_devices(a, "few_20", "few_200"),
    ),
    Target(
        "attention prefill / decode, shapes held out", "3–8 % (PM2Lat, profiled device)", "≤ 6 %",
        lambda a: _both(*(mean_over_devices(a, "shapes", f"attention_{phase}") for phase in ("prefill", "decode"))),
    ),
    Target(
        "mixture of experts, shapes held out, each row weighing the same", "–", "≤ 10 %",
        lambda a: by_files(a, "shapes", "moe"),
    ),
    Target(
        "fp32 GEMM rows on a GPU of NeuSight's that was left out", "25.7 % linear, 26.0 % batched (NeuSight)", "≤ 15 %",
        neusight_gemms,
    ),
    Target("90 % interval, coverage, shapes held out", "–", "88–93 %", lambda a: covered(a, "shapes")),
    Target("90 % interval, coverage, a device left out", "–", "85–95 %", lambda a: covered(a, "device")),
)  # fmt: skip


# ------------------------------------------------------------------------------------------------------------- tables
def targets(accuracy: Accuracy) -> list[str]:
    """What was aimed at, beside the best published figures and what was reached."""
    rows = [(t.what, t.published, t.wanted, t.reached(accuracy) or "not measured") for t in TARGETS]
    return ["", *_table(("", "best published", "wanted", "reached"), rows)]


def headline(accuracy: Accuracy) -> list[str]:
    """The mean over devices of each family and dtype, by what was held out."""
    rows = []
    for protocol, report in reports(accuracy).items():
        for op, dtype in sorted({(_op(g), g["dtype"]) for g in report["groups"]}, key=_order):
            means = {
                key: _mean(list(_by_device(accuracy, protocol, op, dtype, key).values()))
                for key in ("mape", "analytical_mape", "roofline_mape")
            }
            noise = list(_by_device(accuracy, protocol, op, dtype, "noise_mape").values())
            covered = [g["coverage_90"] for g in report["groups"] if (_op(g), g["dtype"]) == (op, dtype)]
            devices = _by_device(accuracy, protocol, op, dtype, "mape")
            rows.append(
                (protocol, op, dtype, str(len(devices)), f"**{means['mape']:.1%}**", f"{means['analytical_mape']:.1%}",
                 f"{means['roofline_mape']:.1%}", f"{_mean(noise):.1%}" if noise else "", f"{_mean(covered):.1%}",
                 f"{min(covered):.1%}")
            )  # fmt: skip
    names = (
        "held out",
        "family",
        "dtype",
        "devices",
        "MAPE",
        "analytical",
        "roofline",
        "noise",
        "coverage",
        "lowest table",
    )
    return ["", *_table(names, rows)]


def families(accuracy: Accuracy) -> list[str]:
    """A section for each family: its plots, its table, and what was not measured."""
    lines = []
    for op, section in SECTIONS.items():
        mine = {name: r for name, r in reports(accuracy).items() if any(_op(g) == op for g in r["groups"])}
        lines += ["", f"### {section.title} (`{op}`)", ""]
        if not mine:
            lines += [
                "No figures: analytical in every prediction, with an interval that is assumed.",
                "",
                section.unmeasured,
            ]
            continue
        lines += [
            f"![{section.title}: predicted against measured, error by size and device, coverage](images/accuracy/{op}.svg)",
            "", f"Held out in *shapes*: {section.held_out}. {_measured(op, mine)}", "", section.unmeasured, "",
            *_family_table(op, mine),
        ]  # fmt: skip
    return lines


def summary(accuracy: Accuracy) -> list[str]:
    """The README's table: means over devices."""
    rows = []
    for what, protocol, op, dtype in SUMMARY:
        devices = _by_device(accuracy, protocol, op, dtype, "mape")
        if devices:
            keys = ("mape", "median_ape", "analytical_mape", "roofline_mape", "noise_mape")
            figures = (list(_by_device(accuracy, protocol, op, dtype, key).values()) for key in keys)
            rows.append((f"{what}, {_count(len(devices), 'GPU')}", *map(_percent, figures)))
    rows += power_summary(accuracy)
    return ["", *_table(("", "mean error", "median", "physics alone", "plain roofline", "noise of the labels"), rows)]


def evaluations(accuracy: Accuracy) -> list[str]:
    """The further evaluations: few measurements, other data sets, whole networks."""
    found = accuracy.get("evaluations", {})
    if not found:
        return ["", "None is recorded."]
    lines = []
    for name, report in sorted(found.items()):
        keys = [k for k in _KEYS if any(g.get(k) is not None for g in report["groups"])]
        if {g.get("target") for g in report["groups"]} <= {"latency", None}:
            keys = [k for k in keys if k != "target"]
        groups = report["groups"] if len(report["groups"]) <= _LONGEST else []
        rows = [(*(str(g.get(k) or "") for k in keys), *_figures(g)) for g in groups]
        mean = ("mean", *[""] * (len(keys) - 1)) if keys else ()
        rows.append((*mean, *_figures(report["overall"])))
        names = (*keys, "rows", "MAPE", "median", "p90", "bias", "analytical", "roofline", "coverage")
        lines += ["", f"### `{name}`", "", *_table(names, rows)]
    return lines


PARTS: dict[str, Callable[[Accuracy], list[str]]] = {
    "targets": targets, "headline": headline, "families": families, "evaluations": evaluations, "summary": summary,
    "power": power,
}  # fmt: skip
"""The generated parts of the pages."""
SUMMARY = (
    ("GEMM in bf16, unseen (n, k)", "shapes", "gemm", "bf16"),
    ("GEMM in fp8, unseen (n, k)", "shapes", "gemm", "fp8"),
    ("GEMM in bf16, a GPU that was not measured", "device", "gemm", "bf16"),
    ("GEMM in bf16, a GPU of an unmeasured family", "family", "gemm", "bf16"),
    ("attention of prompts, unseen shapes", "shapes", "attention_prefill", None),
    ("attention of decode steps, unseen shapes", "shapes", "attention_decode", None),
    ("mixture of experts, unseen shapes, each format weighing the same", "shapes", "moe", None),
    ("3x3 convolution in fp32, unseen shapes", "shapes", "conv", None),
)
"""Rows of the README's table: their names, what is held out, family and dtype."""


def _family_table(op: str, mine: Mapping[str, Mapping[str, Any]]) -> list[str]:
    left_out = [name for name in mine if name != "shapes"]
    names = [
        "device",
        "dtype",
        "tables",
        "rows",
        "MAPE",
        "median",
        "p90",
        "bias",
        "analytical",
        "roofline",
        "noise",
        "coverage",
    ]
    for name in left_out:
        names += [f"{name} out: MAPE", "coverage"]
    rows = []
    keys = sorted({(g["device"], g["dtype"]) for r in mine.values() for g in r["groups"] if _op(g) == op})
    for device, dtype in keys:
        groups = {
            name: [g for g in r["groups"] if (_op(g), g["device"], g["dtype"]) == (op, device, dtype)]
            for name, r in mine.items()
        }
        row = [device, dtype]
        first = groups.get("shapes", [])
        row += [str(len(first)), f"{sum(g['n'] for g in first):,}"] if first else [""] * 2
        for key in (
            "mape",
            "median_ape",
            "p90_ape",
            "bias",
            "analytical_mape",
            "roofline_mape",
            "noise_mape",
            "coverage_90",
        ):
            row.append(_percent([g[key] for g in first], signed=key == "bias"))
        for name in left_out:
            row += [_percent([g[key] for g in groups[name]]) for key in ("mape", "coverage_90")]
        rows.append(tuple(row))
    return _table(names, rows)


def _measured(op: str, mine: Mapping[str, Mapping[str, Any]]) -> str:
    """Which protocols there are figures of, and which not."""
    groups = [g for g in next(iter(mine.values()))["groups"] if _op(g) == op]
    rows = f"{sum(g['n'] for g in groups):,} rows in {len(groups)} tables."
    missing = [HELD_OUT[name] for name in HELD_OUT if name not in mine]
    return rows + (f" Not evaluated: {', '.join(missing)}." if missing else "")


def _figures(group: Mapping[str, Any]) -> tuple[str, ...]:
    keys = ("mape", "median_ape", "p90_ape", "bias", "analytical_mape", "roofline_mape", "coverage_90")
    return (f"{group['n']:,}", *(_percent([group.get(key)], signed=key == "bias") for key in keys))


def _by_device(accuracy: Accuracy, protocol: str, op: str, dtype: str | None, key: str) -> dict[str, float]:
    report = reports(accuracy).get(protocol)
    tables: dict[str, list[float]] = {}
    for g in () if report is None else report["groups"]:
        if _op(g) == op and dtype in (None, g["dtype"]) and _known(g[key]):
            tables.setdefault(g["device"], []).append(g[key])
    return {device: _mean(values) for device, values in tables.items()}


def _table(names: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    return [f"| {' | '.join(cells)} |" for cells in (names, ["---"] * len(names), *rows)]


def _op(group: Mapping[str, Any]) -> str:
    return str(group["op"] or "gemm")


def _order(key: tuple[str, str]) -> tuple[int, str, str]:
    op, dtype = key
    return (list(SECTIONS).index(op) if op in SECTIONS else len(SECTIONS), op, dtype)


def _percent(values: Sequence[float | None], *, signed: bool = False) -> str:
    known = [v for v in values if _known(v)]
    return "" if not known else f"{_mean(known):{'+' if signed else ''}.1%}"


def _known(value: float | None) -> Any:
    return value is not None and value == value


def _mean(values: Sequence[Any]) -> float:
    return float(sum(values) / len(values))


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


# --------------------------------------------------------------------------------------------------------------- page
def render(page: str, accuracy: Accuracy) -> str:
    """The page with the parts that the figures give.

    Raises:
        KeyError: the page asks for a part that there is none of.
    """
    made = {name: part(accuracy) for name, part in PARTS.items()}
    return _PART.sub(lambda m: m[1] + "\n".join(made[m[2]]) + "\n\n" + m[3], page)


def plots(accuracy: Accuracy) -> dict[str, bytes]:
    """The SVGs by file name."""
    drawn = {f"{op}.svg": draw(op, reports(accuracy)) for op in SECTIONS}
    return {name: svg for name, svg in drawn.items() if svg is not None}


def add(accuracy: dict[str, Any], name: str, report: Mapping[str, Any]) -> None:
    """Takes a report of ``perfmodel evaluate --json`` in.

    Raises:
        ValueError: it is no such report.
    """
    if not re.fullmatch(r"\w+", name) or not {"groups", "overall"} <= set(report):
        raise ValueError(f"{name!r}: wanted a name of letters, digits and _, and a report with groups and overall")
    accuracy.setdefault("evaluations", {})[name] = {
        k: report[k] for k in ("protocol", "seed", "groups", "overall") if k in report
    }


def main(arguments: Sequence[str]) -> int:
    """Rewrites or checks the pages and the plots."""
    from perfmodel.models.artefact import write_file, write_json

    accuracy = json.loads(ACCURACY.read_text(encoding="utf-8"))
    if arguments[:1] == ["--add"]:
        add(accuracy, arguments[1], json.loads(Path(arguments[2]).read_text(encoding="utf-8")))
        write_json(ACCURACY.parent, ACCURACY.name, accuracy)
    pages = {page: page.read_text(encoding="utf-8") for page in PAGES}
    made, drawn = {page: render(text, accuracy) for page, text in pages.items()}, plots(accuracy)
    there = {p.name: p.read_bytes() for p in sorted(IMAGES.glob("*.svg"))}
    if "--check" in arguments:
        return int(made != pages or there != drawn)
    for page, text in made.items():
        page.write_text(text, encoding="utf-8")
    for name, svg in drawn.items():
        write_file(IMAGES, name, svg)
    for name in there.keys() - drawn.keys():
        (IMAGES / name).unlink()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
