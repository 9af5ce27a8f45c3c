"""The reader of device files: what it accepts, and one clear line for everything else."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import perfmodel.hardware.schema as schema
from perfmodel.errors import DeviceError
from perfmodel.hardware import Device
from perfmodel.hardware.fields import ARITHMETIC_FIELDS, NUMBER_FIELDS
from perfmodel.hardware.schema import parse_device

FOLDER = Path(schema.__file__).parent / "catalogue"

VALID = """
schema = 1
id = "my-gpu"
name = "My GPU"
vendor = "Me"
kind = "gpu"
family = "mine"
memory_bandwidth_bytes_per_s = { value = 1e12, source = "sheet" }
memory_bytes = { value = 16e9, source = "sheet" }
[peak_flops]
fp32 = { value = 10e12, source = "sheet" }
[sources]
sheet = "My datasheet, page 1, 2026"
"""


def changed(old: str, new: str) -> str:
    assert old in VALID
    return VALID.replace(old, new)


def added(*fields: str) -> str:
    """The valid file with further fields: ``"units = 3"`` with a source."""
    lines = [re.sub(r" = (.*)", r' = { value = \1, source = "sheet" }', field) for field in fields]
    return changed("[peak_flops]", "\n".join([*lines, "[peak_flops]"]))


def bandwidth(value: str) -> str:
    return changed("{ value = 1e12,", f"{{ value = {value},")


def memory(value: str) -> str:
    return changed("{ value = 16e9,", f"{{ value = {value},")


def fp32(value: str) -> str:
    return changed("{ value = 10e12,", f"{{ value = {value},")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        # not TOML, or not a device
        ("schema = = 1", "f.toml: not TOML: "),
        ("a = " + "[" * 3_000, "f.toml: not TOML: nested too deeply"),
        ("a" + ".a" * 2_000 + " = 1", "f.toml: line 1 has 4,005 characters; at most 4,000 are read"),
        ("\n'\u2028'" + ".a" * 41 + " = 1", "f.toml: line 2 has 41 dots; at most 40 are read"),
        ("", "f.toml: schema: missing; wanted schema = 1 (is this a device TOML?)"),
        (changed("schema = 1", "schema = '1'"), "f.toml: schema: got '1', wanted 1"),
        (changed("schema = 1", "schema = true"), "f.toml: schema: got true, wanted 1"),
        (changed("schema = 1", "schema = 2"), "f.toml: schema: got 2; this perfmodel reads up to 1"),
        # identity
        (changed('id = "my-gpu"', ""), "f.toml: id: missing; wanted a string"),
        (changed('"my-gpu"', '"My GPU!"'), "f.toml: id: got 'My GPU!', wanted at most 64 of a-z"),
        (changed('"my-gpu"', '"../x"'), "f.toml: id: got '../x', wanted at most 64 of a-z"),
        (changed('"My GPU"', "7"), "f.toml: name: got 7, wanted a string"),
        (changed('"My GPU"', '"a\\nb"'), "f.toml: name: got 'a\\nb', wanted one line"),
        (changed('"gpu"', '"abacus"'), "f.toml: kind: got 'abacus', wanted one of gpu, cpu, tpu"),
        # names of fields
        (changed("memory_bytes", "memory_size_bytes"), "memory_size_bytes: unknown field: did you mean 'memory_bytes'"),
        (changed("memory_bandwidth_bytes_per_s", "memory_bandwidth"), "'? (bytes per second)"),
        (changed("fp32 =", "float32 ="), "f.toml: peak_flops.float32: unknown arithmetic: "),
        (changed("fp32 =", "fp23 ="), "f.toml: peak_flops.fp23: unknown arithmetic: did you mean 'fp32'"),
        # what is compulsory
        (changed("fp32 =", "bf16 ="), "f.toml: peak_flops.fp32: missing; a device needs peak_flops.fp32, "),
        (changed("[peak_flops]", "[vector_peak_flops]"), "f.toml: peak_flops.fp32: missing"),
        (VALID.replace("memory_bytes = {", "l2_bytes = {"), "f.toml: memory_bytes: missing"),
        # sources
        (
            changed('{ value = 1e12, source = "sheet" }', "1e12"),
            "got 1000000000000.0, a number without a source; wanted { value = ..., source =",
        ),
        (changed('16e9, source = "sheet"', "16e9"), "memory_bytes: has no source; wanted { value = ..., source ="),
        (changed("value = 10e12,", ""), "f.toml: peak_flops.fp32: has no value; wanted "),
        (
            changed('10e12, source = "sheet"', '10e12, source = "sheat"'),
            "peak_flops.fp32.source: got 'sheat', which is not a key of [sources]: did you mean 'sheet'?",
        ),
        (changed('10e12, source = "sheet"', '10e12, origin = "x"'), "fp32.origin: unknown key: known: source, value"),
        (changed("sheet =", "paper ="), "which is not a key of [sources]: "),
        (VALID[: VALID.index("[sources]")], "f.toml: sources: missing; every number needs a source"),
        (changed('"My datasheet, page 1, 2026"', '" "'), "sources.sheet: got ' ', wanted one line of 1 to 1000"),
        (changed('"my-gpu"', '"nul"'), "f.toml: id: got 'nul', which cannot be the name of a file on every system"),
        (changed('"my-gpu"', '"my-gpu."'), "cannot be the name of a file on every system"),
        # numbers
        (fp32("nan"), "f.toml: peak_flops.fp32.value: got nan, wanted a finite number in FLOP/s"),
        (fp32("inf"), "got inf, wanted a finite number"),
        (fp32("-1e12"), "got -1000000000000.0; wanted FLOP/s, above 0 (leave out what is unknown)"),
        (fp32("0"), "got 0; wanted FLOP/s, above 0"),
        (fp32("true"), "f.toml: peak_flops.fp32.value: got true, wanted a number in FLOP/s"),
        (fp32("'10e12'"), "got '10e12', wanted a number"),
        (fp32("[1]"), "got an array, wanted a number"),
        (fp32("0x" + "f" * 3_000), "got an integer of 12000 bits, wanted a finite number"),
        (fp32("9" * 3_900), "got an integer of 12956 bits, wanted a finite number"),
        (memory("16000000000.5"), "got 16000000000.5, wanted a whole number of bytes"),
        (added("units = 1e9"), "got 1000000000.0; wanted SMs, compute units or cores, between 1 and 1e+06"),
        # wrong units
        (bandwidth("3350"), "got 3350, which looks like GB/s; wanted bytes per second (3.35e+12)"),
        (bandwidth("3.35"), "looks like TB/s; wanted bytes per second (3.35e+12)"),
        (memory("80"), "looks like GB; wanted bytes (8e+10)"),
        (fp32("989.4"), "looks like TFLOP/s; wanted FLOP/s (9.894e+14)"),
        (added("peak_clock_hz = 1410"), "peak_clock_hz: got 1410, which looks like MHz; wanted Hz (1.41e+09)"),
        (added("peak_clock_hz = 1.41"), "looks like GHz; wanted Hz (1.41e+09)"),
        (added("l2_bytes = 40"), "looks like MB; wanted bytes (4e+07)"),
        (added("l1_bytes_per_unit = 192"), "looks like KiB; wanted bytes (196608)"),
        (added("memory_rate_bits_per_s_per_pin = 14"), "looks like Gbit/s; wanted bits per second and pin (1.4e+10)"),
        (added("tdp_w = 700_000"), "looks like mW; wanted watts (700)"),
        (added("tdp_w = 0.35"), "looks like kW; wanted watts (350)"),
        # numbers that contradict each other
        (added("idle_power_w = 90", "tdp_w = 70"), "f.toml: idle_power_w: got 90, more than tdp_w (70)"),
        (added("base_clock_hz = 2e9", "peak_clock_hz = 1e9"), "base_clock_hz: got 2e+09, more than peak_clock_hz"),
        (
            added("memory_bus_bits = 512", "memory_rate_bits_per_s_per_pin = 1e9"),
            "got 1e+12, which is 15.6 times memory_bus_bits x memory_rate_bits_per_s_per_pin / 8 = 6.4e+10",
        ),
        # measured
        (changed("[peak_flops]", "measured = 3\n[peak_flops]"), "f.toml: measured: got 3, wanted a table"),
        (VALID + "[measured]\ngemm = 1.0", "f.toml: measured.gemm: got 1.0, a number without a source; wanted "),
        (VALID + "[measured]\ngemm = {}", "f.toml: measured.gemm: has no value; wanted "),
        (VALID + "[measured.a.b.c.d.e]\nf = 1", "measured.a.b.c.d: tables of measured numbers nest at most 4 deep"),
        (VALID + '[measured]\n"A b" = { value = 1, source = "sheet" }', "f.toml: measured.A b: wanted a name"),
    ],
)
def test_one_clear_line(text: str, message: str) -> None:
    with pytest.raises(DeviceError) as caught:
        parse_device(text, "f.toml")
    assert message in str(caught.value)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 400


def test_the_valid_file_is_valid() -> None:
    device = parse_device(VALID, "f.toml")
    assert (device.id, device.memory_bytes, device.units) == ("my-gpu", 16_000_000_000, None)
    assert device.sources == dict.fromkeys(
        ("peak_flops.fp32", "memory_bandwidth_bytes_per_s", "memory_bytes"), "My datasheet, page 1, 2026"
    )


def test_a_peak_with_sparsity_is_refused() -> None:
    text = (FOLDER / "h100-sxm.toml").read_text(encoding="utf-8")
    doubled = text.replace("bf16 = { value = 989.4e12", "bf16 = { value = 1979e12")
    assert doubled != text
    with pytest.raises(DeviceError, match=r"peak_flops\.bf16: got 1\.979e\+15, which is 2 times units x .* sparsity"):
        parse_device(doubled, "h.toml")


def test_measured_numbers_are_free_and_flat() -> None:
    text = VALID + (
        '[measured]\noverhead_s = { value = 0, source = "sheet" }\n'
        '[measured.gemm_efficiency]\nbf16 = { value = 0.8, source = "sheet" }\n'
    )
    device = parse_device(text, "f.toml")
    assert device.measured == {"overhead_s": 0.0, "gemm_efficiency.bf16": 0.8}
    assert device.sources["measured.gemm_efficiency.bf16"] == "My datasheet, page 1, 2026"


def test_the_documentation_describes_every_field() -> None:
    page = Path(__file__).parent.parent / "docs/device-files.md"
    if not page.is_file():
        pytest.skip("docs/ is not beside the tests")
    text = page.read_text(encoding="utf-8")
    for name, field in NUMBER_FIELDS.items():
        assert f"| `{name}` | {field.unit}{' ' if field.unit else ''}| {field.meaning} |\n" in text
    for name, field in ARITHMETIC_FIELDS.items():
        assert f"| `{name}.<arithmetic>` | {field.unit} | {field.meaning}" in text
    example = text.split("```toml\n")[1].split("```")[0]
    assert parse_device(example, "example").kind == "gpu"


def test_hostile_files_are_quick() -> None:
    # Dotted keys cost tomllib quadratic time; 250 lines of 2,000 parts would take it half a minute.
    line = ".a" * 40 + " = 1\n"
    text = "".join(f"a{i}{line}" for i in range(10_500))
    assert len(text) > 900_000
    begin = time.process_time()
    with pytest.raises(DeviceError, match="schema: missing"):
        parse_device(text, "f.toml")
    assert time.process_time() - begin < 20


# ------------------------------------------------------------------------------------------------ random corruption

SHIPPED = (FOLDER / "a100-pcie-40gb.toml").read_text(encoding="utf-8")


def one_line_or_a_device(text: str) -> None:
    try:
        device = parse_device(text, "f.toml")
    except DeviceError as error:
        message = str(error)
    else:
        assert isinstance(device, Device)
        message = "fine"
    assert message.isprintable()
    assert len(message) < 1_000


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_corrupted_text_raises_nothing_else(data: st.DataObject) -> None:
    text = SHIPPED
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(text)))
        length = data.draw(st.sampled_from((0, 1, 3, 40)))
        text = text[:at] + data.draw(st.text(max_size=8) | st.sampled_from(list('"[]{}=.,#\n'))) + text[at + length :]
    one_line_or_a_device(text)


TOML_VALUES = st.floats().map(repr) | st.sampled_from(
    [
        *("0", "-1", "1e400", "nan", "-inf", "true", "'x'", "[]", "[1, {a = 1}]", "1979-05-27", "07:32:00"),
        "0xffffffffffffffffffffffffffffffffffff",
        *("{}", "{ value = 1 }", "{ value = {}, source = [] }", '{ value = 1e12, source = "whitepaper" }'),
    ]
)


@settings(max_examples=150, deadline=None)
@given(st.integers(0, SHIPPED.count("\n") - 1), TOML_VALUES, st.booleans(), st.text(max_size=30))
def test_wrong_values_raise_nothing_else(number: int, value: str, inner: bool, key: str) -> None:
    lines = SHIPPED.splitlines()
    if inner:  # the number within its table
        lines[number] = re.sub(r"(?<=value = )[^,]+", lambda _: value, lines[number])
    else:
        name = lines[number].split(" = ")[0] if " = " in lines[number] else json.dumps(key)
        lines[number] = f"{name} = {value}"
    one_line_or_a_device("\n".join(lines))
