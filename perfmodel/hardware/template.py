"""A device file to start from: every field with its unit and meaning, and what other devices have there."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from decimal import Decimal

from perfmodel.dtypes import ARITHMETICS
from perfmodel.hardware.device import Device
from perfmodel.hardware.fields import ARITHMETIC_FIELDS, COMPULSORY, NUMBER_FIELDS, NumberField, number_of

_HEAD = """\
# A device of your own. A number is {{ value = ..., source = "a key of [sources]" }}, in the unit that its name ends with.
# {task} What you do not know, leave out: it counts as unknown, never as zero.
# `perfmodel devices FILE` checks the file and shows it; docs/device-files.md has the rules.
"""


def device_template(known: Iterable[Device], like: Device | None = None) -> str:
    """The text of a device TOML with a comment for every field.

    Args:
        known: the devices whose range is shown for every number.
        like: the device whose numbers are filled in, with its sources; None leaves every number commented out.

    Returns:
        with ``like`` a file that is valid as it stands; without, one that is once the compulsory numbers are filled in.
    """
    known = list(known)
    keys: dict[str, str] = {}  # citation -> its key in [sources]
    lines = [_HEAD.format(task="Delete or correct what differs." if like else "Fill in what you know.").rstrip()]
    lines += ["schema = 1", *_identity(like), ""]
    for name, field in NUMBER_FIELDS.items():
        lines.append(f"# {_description(name, field)}. {_range(name, known)}")
        lines.append(_number(name, name, like, keys))
    for table, field in ARITHMETIC_FIELDS.items():
        lines += ["", f"# {_description(table, field)}.", f"[{table}]"]
        lines += [_number(f"{table}.{a}", a, like, keys) + f"  # {_range(f'{table}.{a}', known)}" for a in ARITHMETICS]
    lines += ["", "# Results of calibration, under names of your own.", "[measured]"]
    lines += [_number(f"measured.{name}", json.dumps(name), like, keys) for name in (like.measured if like else ())]
    lines += ["", "# Full citations: title, version, table or page, year.", "[sources]"]
    if like is None:
        lines.append('datasheet = "title, version, table or page, year"')
    lines += [f"{key} = {_text(_citation(citation, like))}" for citation, key in keys.items()]
    return "\n".join(lines) + "\n"


def _identity(like: Device | None) -> Iterator[str]:
    yield f"id = {_text(f'my-{like.id}'[:64] if like else 'my-device')}  # lower case, digits, '-' and '.'"
    yield f"name = {_text(f'My {like.name}'[:100] if like else 'My device')}"
    yield f"vendor = {_text(like.vendor if like else 'Someone')}"
    yield f'kind = "{like.kind if like else "gpu"}"  # gpu, cpu or tpu'
    yield f'family = "{like.family if like else "my-architecture"}"  # devices of one family run the same kernels'
    capability = like.compute_capability if like else None
    line = f"compute_capability = {_text(capability or '9.0')}"
    yield f"{line if capability else '# ' + line}  # CUDA's number or ROCm's gfx name; may be left out"


def _description(name: str, field: NumberField) -> str:
    unit = f" [{field.unit}]" if field.unit else ""
    needed = ", compulsory" if name in COMPULSORY else ", fp32 compulsory" if name == "peak_flops" else ""
    return f"{name}{unit}{needed}: {field.meaning}"


def _number(name: str, shown: str, like: Device | None, keys: dict[str, str]) -> str:
    value = None if like is None else like.measured.get(name.removeprefix("measured."))
    if like is not None and not name.startswith("measured."):
        value = number_of(like, name)
    if like is None or value is None:
        return f'# {shown} = {{ value = ..., source = "datasheet" }}'
    key = keys.setdefault(like.sources[name], f"{like.id.replace('.', '-')}-{len(keys) + 1}")
    return f'{shown} = {{ value = {_digits(value)}, source = "{key}" }}'


def _digits(value: float) -> str:
    """A TOML number: whole where it counts things, else with the exponent of the unit that datasheets have (864e9, 91.6e12)."""
    if isinstance(value, int):
        return f"{value:_}"
    if 0.01 <= abs(value) < 1e6 or value == 0:
        return repr(value)
    return Decimal(f"{value:.11e}").normalize().to_eng_string().replace("E+", "e").replace("E", "e")


def _range(name: str, known: list[Device]) -> str:
    """What the smallest and the largest known device have."""
    values = sorted((value, d.id) for d in known if (value := number_of(d, name)) is not None)
    if not values:
        return "No known device has it."
    (low, least), (high, most) = values[0], values[-1]
    return f"Known: {low:.6g} ({least}) to {high:.6g} ({most})." if low < high else f"Known: {low:.6g} ({least})."


def _citation(citation: str, like: Device | None) -> str:
    return f"perfmodel's record of {like.id}, not of this device: {citation}"[:1_000] if like else citation


def _text(text: str) -> str:
    """A TOML string; JSON's is one, for text that a device file may hold."""
    return json.dumps(text, ensure_ascii=False)
