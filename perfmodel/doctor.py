"""What there is on this machine that perfmodel uses, and what is missing, for bug reports.

Every part is looked at by itself: one that is broken says why, and the others are still looked at.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

OK, MISSING, BROKEN = "ok", "missing", "broken"
"""States of a finding: there; not there, which is no fault; there, or needed, and does not work."""

GROUPS = ("perfmodel.predictors", "perfmodel.meters", "perfmodel.collectors", "perfmodel.importers")
"""Entry point groups under which other packages add to perfmodel."""

OTHERS = ("torch", "jaxlib", "torch-mlir", "tensorflow", "jupyterlab")
"""Packages that no extra brings and that perfmodel works with where they are."""

VARIABLES = (
    "PERFMODEL_CACHE", "PERFMODEL_SHARED", "PYTHONPATH", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "CUDA_VISIBLE_DEVICES",
    "NO_COLOR", "COLUMNS",
)  # fmt: skip
"""Environment variables that change what perfmodel does or shows."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        name: what.
        state: :data:`OK`, :data:`MISSING` or :data:`BROKEN`.
        text: what was found, or why not; one line.
    """

    name: str
    state: str
    text: str

    def to_dict(self) -> dict[str, str]:
        """Plain values."""
        return {"name": self.name, "state": self.state, "text": self.text}


def examine() -> dict[str, list[Finding]]:
    """Everything, by section. Never raises."""
    return {name: _examined(name, look) for name, look in SECTIONS.items()}


def _examined(name: str, look: Callable[[], Iterator[Finding]]) -> list[Finding]:
    found: list[Finding] = []
    try:
        found.extend(look())
    except Exception as problem:  # whatever is broken is what is asked for
        found.append(Finding(name, BROKEN, _reason(problem)))
    return found


def _reason(problem: BaseException) -> str:
    from perfmodel.errors import PerfmodelError

    text = " ".join(str(problem).split())[:300]
    return text if isinstance(problem, PerfmodelError) else f"{type(problem).__name__}: {text or 'no message'}"


# ---------------------------------------------------------------------------------------------------------- versions
def _system() -> Iterator[Finding]:
    import perfmodel

    yield Finding("perfmodel", OK, f"{perfmodel.__version__} in {Path(perfmodel.__file__).resolve().parent}")
    yield Finding("python", OK, f"{platform.python_version()} ({platform.python_implementation()}) at {sys.executable}")
    yield Finding("system", OK, platform.platform())
    size = shutil.get_terminal_size()
    kind = f"a terminal of {size.columns} columns" if sys.stdout.isatty() else "no terminal"
    yield Finding("output", OK, f"{kind}, encoded as {getattr(sys.stdout, 'encoding', None) or 'unknown'}")
    for variable in VARIABLES:
        if variable in os.environ:
            yield Finding(variable, OK, os.environ[variable][:200])


_REQUIREMENT = re.compile(r"([A-Za-z0-9._-]+)(?:\[([^\]]*)\])?\s*([^;]*)(?:;(.*))?")
_EXTRA = re.compile(r"extra\s*==\s*['\"]([\w-]+)['\"]")
_PLATFORM = re.compile(r"sys_platform\s*(==|!=)\s*['\"](\w+)['\"]")


def _packages() -> Iterator[Finding]:
    """What perfmodel needs, then each extra with what it lacks."""
    extras: dict[str, dict[str, str]] = {"": {}}
    inside: dict[str, list[str]] = {}
    for text in _requirements():
        found = _REQUIREMENT.match(text)
        if found is None:
            continue
        name, nested, wanted, marker = found[1], found[2], found[3], found[4] or ""
        on = _PLATFORM.search(marker)
        if on is not None and (sys.platform == on[2]) != (on[1] == "=="):
            continue
        of_extra = _EXTRA.search(marker)
        key = "" if of_extra is None else of_extra[1]
        extras.setdefault(key, {})
        if name.lower() == "perfmodel":
            inside.setdefault(key, []).extend(part.strip() for part in (nested or "").split(","))
        else:
            extras[key][name] = wanted.strip(" ()")
    for name, wanted in extras.pop("").items():
        version = _version(name)
        if version is None:
            yield Finding(name, BROKEN, f"not installed; wanted {wanted}")
        else:
            yield _judged(name, version, wanted)
    for extra in sorted(extras):
        needed = _with_nested(extra, extras, inside)
        lacking = [name for name in needed if _version(name) is None]
        have = ", ".join(f"{name} {_version(name)}" for name in needed if name not in lacking)
        install = f"pip install 'perfmodel[{extra}]'"
        judged = [_judged(name, _version(name) or "", wanted) for name, wanted in needed.items() if name not in lacking]
        wrong = [f"{found.name} {found.text}" for found in judged if found.state == BROKEN]
        if lacking:
            text = "; ".join([f"lacks {', '.join(lacking)}", *(f"has {name}" for name in wrong)])
            yield Finding(f"extra {extra}", MISSING, f"{text}: {install}")
        elif wrong:
            yield Finding(f"extra {extra}", BROKEN, f"{', '.join(wrong)}: {install}")
        else:
            yield Finding(f"extra {extra}", OK, have)
    for name in OTHERS:
        version = _version(name)
        if version is not None:
            yield Finding(name, OK, version)


def _requirements() -> list[str]:
    """As the installed package says them; from a checkout that is not installed, as its pyproject.toml does."""
    try:
        return metadata.requires("perfmodel") or []
    except metadata.PackageNotFoundError:
        import tomllib

        import perfmodel

        path = Path(perfmodel.__file__).resolve().parent.parent / "pyproject.toml"
        project = tomllib.loads(path.read_text(encoding="utf-8"))["project"]
        extras = project["optional-dependencies"].items()
        return [
            *project["dependencies"],
            *(f"{text}{' and' if ';' in text else ';'} extra == '{name}'" for name, found in extras for text in found),
        ]


def _with_nested(extra: str, extras: dict[str, dict[str, str]], inside: dict[str, list[str]]) -> dict[str, str]:
    needed, seen, waiting = dict[str, str](), set[str](), [extra]
    while waiting:
        name = waiting.pop()
        if name not in seen:
            seen.add(name)
            needed |= extras.get(name, {})
            waiting += inside.get(name, [])
    return needed


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _judged(name: str, version: str, wanted: str) -> Finding:
    try:
        from packaging.specifiers import SpecifierSet
        from packaging.version import InvalidVersion, Version
    except ImportError:  # comes with many packages, and is no dependency
        return Finding(name, OK, version)
    try:
        fits = SpecifierSet(wanted).contains(Version(version), prereleases=True)
    except InvalidVersion:  # of a build of one's own: nothing says what it is like
        fits = True
    return Finding(name, OK, version) if fits else Finding(name, BROKEN, f"{version} (wanted {wanted})")


# ----------------------------------------------------------------------------------------------------------- machine
def _devices() -> Iterator[Finding]:
    """The catalogue, this processor, and the accelerators that the system shows, with what the catalogue calls them."""
    from perfmodel.hardware import accelerators, catalogue, device_ids
    from perfmodel.hardware.local_cpu import local_cpu

    yield Finding("catalogue", OK, f"{len(device_ids())} devices")
    try:
        cpu = local_cpu()
        yield Finding("local-cpu", OK, f"{cpu.name}: {cpu.units} cores, {cpu.memory_bytes / 1e9:.1f} GB of memory")
    except Exception as problem:
        yield Finding("local-cpu", BROKEN, _reason(problem))
    names = accelerators.seen()
    for name, number in Counter(names).items():
        ids = accelerators.devices_named(name, catalogue().values())
        text = "not in the catalogue by this name; `perfmodel devices --template` begins a file"
        if ids:
            text = f"{' or '.join(ids)} in the catalogue"
        yield Finding(name, OK, text if number == 1 else f"{number} of them; {text}")
    if not names:
        yield Finding("accelerators", MISSING, "the system shows no GPU of NVIDIA or AMD")


def _meters() -> Iterator[Finding]:
    from perfmodel.collect.meters import find_meters

    for found in find_meters():
        name = found.meter if found.unit is None else f"{found.meter}:{found.unit}"
        if found.info is None:
            yield Finding(name, MISSING, found.why_not or "cannot be read")
        else:
            yield Finding(name, OK, found.info.device)


def _predictors() -> Iterator[Finding]:
    """Everything that ships learned, read as commands read it and held against its hashes, and what packages register."""
    from perfmodel._resources import data_path
    from perfmodel.models import artefact
    from perfmodel.plugins import registered

    shipped = data_path("models")
    predictors = sorted(p for p in shipped.iterdir() if (p / artefact.MANIFEST).is_file())
    characterisers = sorted(p.parent for p in shipped.glob(f"characterise/*/{artefact.MANIFEST}"))
    looks: list[tuple[str, Callable[[Path], str], Path]] = [
        *((folder.name, _predictor, folder) for folder in predictors),
        *((f"characterise {folder.name}", _characteriser, folder) for folder in characterisers),
        ("ranker", _ranker, shipped / "ranker"),
        ("loop_nests", _loop_nests, shipped / "loop_nests" / "residual.json.gz"),
    ]
    for name, look, path in looks:
        if not path.exists():
            yield Finding(name, MISSING, f"this installation has no {path}")
            continue
        try:
            yield Finding(name, OK, f"{look(path)}, in {path}")
        except Exception as problem:
            yield Finding(name, BROKEN, _reason(problem))
    for group in GROUPS:
        for name, entries in registered(group).items():
            state = OK if len(entries) == 1 else BROKEN
            yield Finding(f"{group} {name}", state, ", ".join(entry.value for entry in entries))


def _predictor(folder: Path) -> str:
    from perfmodel.models import artefact, manifest

    boosters = len(manifest.read(folder).residuals)
    # The boosters themselves are read when they are used.
    files = artefact.files_of(artefact.read_manifest(folder))
    for name, sha256 in files.items():
        artefact.read_file(folder, name, sha256)
    return f"each of {len(files)} files has its hash; {boosters} boosters of latency"


def _characteriser(folder: Path) -> str:
    from perfmodel.characterise.learned import load

    return f"each of {len(load(folder).parts)} files has its hash"


def _ranker(folder: Path) -> str:
    from perfmodel.rank.pretrained import load

    return f"each of {len(load(folder).sources)} files has its hash"


def _loop_nests(path: Path) -> str:
    from perfmodel.models.trees import read_booster

    read_booster(path.read_bytes(), str(path))
    return "the trees, which have no hash beside them, can be read"


def _data() -> Iterator[Finding]:
    from perfmodel.datasets.cards import load_card
    from perfmodel.datasets.local import cache_folder, where
    from perfmodel.datasets.registry import ADAPTERS

    folder = cache_folder()
    existing = next((p for p in (folder, *folder.parents) if p.exists()), None)
    if existing is not None and os.access(existing, os.W_OK):
        yield Finding("cache", OK, f"{folder}{'' if folder.exists() else ' (nothing there yet)'}")
    else:
        yield Finding("cache", BROKEN, f"{folder} cannot be written to: PERFMODEL_CACHE names another folder")
    for name in ADAPTERS:
        try:
            place = where(load_card(name))
            yield Finding(name, MISSING if place == "-" else OK, "not on this machine" if place == "-" else place)
        except Exception as problem:
            yield Finding(name, BROKEN, _reason(problem))


def _prediction() -> Iterator[Finding]:
    """The demo, from the file to the figures."""
    from perfmodel._resources import data_path
    from perfmodel.predict import predict

    p = predict(data_path("examples", "resnet18.onnx"), "h100-sxm", dims={"batch": 8}, dtype="bf16")
    yield Finding("resnet18 on h100-sxm", OK, f"{p.latency_s.value * 1e6:.1f} us")


SECTIONS: dict[str, Callable[[], Iterator[Finding]]] = {
    "system": _system,
    "packages": _packages,
    "devices": _devices,
    "meters": _meters,
    "predictors": _predictors,
    "data sets": _data,
    "a prediction": _prediction,
}
"""What is looked at, in order."""


def to_dict(found: dict[str, list[Finding]]) -> dict[str, Any]:
    """Plain values, with the number of broken things."""
    broken = sum(f.state == BROKEN for findings in found.values() for f in findings)
    return {"broken": broken, "sections": {name: [f.to_dict() for f in findings] for name, findings in found.items()}}
