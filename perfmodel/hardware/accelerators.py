"""The accelerators that this machine shows without any library of theirs, and which devices of the catalogue they are."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from perfmodel.hardware.device import Device

NVIDIA_SMI_S = 5.0
"""How long ``nvidia-smi`` is waited for: where a GPU hangs it never ends."""
_AMD = "0x1002"
"""The number of AMD among makers of PCI devices."""

_LISTED = re.compile(r"^GPU \d+: (.+?)(?: \(UUID: .*)?$", re.MULTILINE)
_MODEL = re.compile(r"^Model:\s*(.+?)\s*$", re.MULTILINE)
_ANY_NAME = frozenset(
    "nvidia tesla geforce amd instinct radeon intel gpu graphics generation edition hbm2 hbm2e hbm3 hbm3e mcm ac mba".split()
)
"""Words of names that tell no model from another."""
_BOARD, _MEMORY = re.compile(r"sxm|pcie|nvl|oam"), re.compile(r"\d+gb")
_FORM = re.compile(rf"{_BOARD.pattern}|{_MEMORY.pattern}|workstation|server|max|q")
"""Words that tell forms of one model apart."""


def seen(root: Path = Path("/")) -> list[str]:
    """The names of the GPUs of NVIDIA and AMD here, each as often as it is there; empty where none is shown. Never raises.

    Args:
        root: whose ``/proc`` and ``/sys`` are read.
    """
    return [*_nvidia(root), *_amd(root)]


def devices_named(name: str, known: Iterable[Device]) -> list[str]:
    """The ids of the devices that a driver's name says, as ``["h100-sxm"]`` of ``NVIDIA H100 80GB HBM3``.

    Several where the name leaves the form open; none where no device is that model: one of a name nearly the same
    (``RTX 4070 Ti``), on another board or with another memory (``A100-SXM4-64GB``) is another device.
    """
    model, form = _words(name)
    alike = []
    for device in known:
        its_model, its_form = _words(device.name)
        if device.kind != "cpu" and its_model == model and not _contradict(form, its_form):
            # Where a name says nothing of the board it is NVIDIA's own module: "H200", beside "H200 NVL" and "H100 PCIe".
            alike.append((len(form & its_form), "sxm" in its_form, device.id))
    best = max((key[:2] for key in alike), default=None)
    return sorted(name for *key, name in alike if tuple(key) == best)


def _contradict(form: frozenset[str], other: frozenset[str]) -> bool:
    """Whether both say the board, or both the memory, and not the same: what one leaves out may be so or not."""
    for kind in (_BOARD, _MEMORY):
        one, two = (set(filter(kind.fullmatch, words)) for words in (form, other))
        if one and two and one.isdisjoint(two):
            return True
    return False


def _words(name: str) -> tuple[frozenset[str], frozenset[str]]:
    """The words of a name that say the model, and those that say its form."""
    plain = re.sub(r"\(.*?\)", " ", name.lower())
    words = {re.sub(r"^sxm\d$", "sxm", word) for word in re.findall(r"[a-z0-9]+", plain)} - _ANY_NAME
    form = frozenset(word for word in words if _FORM.fullmatch(word))
    return frozenset(words - form), form


def _nvidia(root: Path) -> list[str]:
    # The driver's own files come first: reading them neither waits for a GPU nor wakes one.
    texts = [_read(path) for path in _below(root, "proc/driver/nvidia/gpus/*/information")]
    names = [found[1] for found in map(_MODEL.search, texts) if found is not None]
    return names or _LISTED.findall(_nvidia_smi())


def _nvidia_smi() -> str:
    """What ``nvidia-smi -L`` prints; empty where there is none, or it fails or hangs."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return ""
    with suppress(OSError), tempfile.TemporaryFile() as output:
        process = subprocess.Popen([program, "-L"], stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.DEVNULL)
        try:
            code = process.wait(NVIDIA_SMI_S)
        except subprocess.TimeoutExpired:
            process.kill()
            with suppress(subprocess.TimeoutExpired):  # one that waits for a driver ends only with that
                process.wait(1.0)
            return ""
        output.seek(0)
        return output.read().decode("utf-8", "replace") if code == 0 else ""
    return ""


def _amd(root: Path) -> list[str]:
    names = []
    for folder in _below(root, "sys/class/drm/card*/device"):
        # Connectors are called card0-DP-1.
        if re.fullmatch(r"card\d+", folder.parent.name) and _read(folder / "vendor") == _AMD:
            number = _read(folder / "device")
            names.append(_read(folder / "product_name") or f"AMD GPU of the PCI device {number or 'without a number'}")
    return names


def _below(root: Path, pattern: str) -> list[Path]:
    with suppress(OSError):
        return sorted(root.glob(pattern))
    return []


def _read(path: Path) -> str:
    with suppress(OSError):
        return path.read_text(encoding="utf-8", errors="replace").strip()
    return ""
