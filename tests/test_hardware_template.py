"""A device file of one's own: the template, the relative whose numbers help, and the list of devices to choose from."""

from __future__ import annotations

import json
import re
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from perfmodel.cli import main
from perfmodel.errors import DeviceError
from perfmodel.hardware import Device, catalogue, device_ids, load_device, loader
from perfmodel.hardware.fields import ARITHMETIC_FIELDS, NUMBER_FIELDS, number_of
from perfmodel.hardware.schema import parse_device
from perfmodel.hardware.siblings import nearest_sibling
from perfmodel.hardware.template import device_template

# ------------------------------------------------------------------------------------------------ the template


@pytest.mark.parametrize("name", ["h100-sxm", "mi300x", "tpu-v5e", "xeon-6980p", "a100-pcie-40gb"])
def test_a_template_like_a_device_is_that_device(name: str) -> None:
    like = load_device(name)
    copied = parse_device(device_template(catalogue().values(), like), "my.toml")
    assert copied.id == f"my-{name}"
    assert replace(copied, id=like.id, name=like.name, sources=like.sources) == like
    # The numbers are the other device's, and say so.
    assert set(copied.sources) == set(like.sources)
    for field, citation in copied.sources.items():
        assert citation.startswith(f"perfmodel's record of {name}, not of this device: {like.sources[field][:100]}")


def test_the_template_explains_every_field() -> None:
    text = device_template(catalogue().values())
    for name, field in NUMBER_FIELDS.items():
        assert re.search(rf"^# {name}[ \[\],\w/]*: {re.escape(field.meaning)}", text, re.MULTILINE), name
        assert f"\n# {name} = {{ value = ..., source = " in text
        assert f"\n# {name} [{field.unit}]" in text or not field.unit
    for table in ARITHMETIC_FIELDS:
        assert f"\n[{table}]\n" in text
    # From the files, by eye: numbers stand as datasheets have them (864 GB/s, 91.6 TFLOP/s, 18 Gbit/s), not as 8.64e11.
    copied = device_template(catalogue().values(), catalogue()["l40s"])
    for line in (
        "memory_bandwidth_bytes_per_s = { value = 864e9,",
        "fp32 = { value = 91.6e12,",
        "_per_pin = { value = 18e9,",
    ):
        assert line in copied
    # The smallest and the largest power limit.
    assert "Known: 17 (core-ultra-7-258v) to 1400 (" in text


def test_the_empty_template_says_what_it_lacks_and_is_valid_once_that_is_filled_in() -> None:
    text = device_template(catalogue().values())
    with pytest.raises(DeviceError, match=r"peak_flops\.fp32: missing; a device needs "):
        parse_device(text, "my.toml")
    for name, value in (("fp32", "1e13"), ("memory_bandwidth_bytes_per_s", "5e11"), ("memory_bytes", "16e9")):
        text = re.sub(rf"^# ({name} = {{ value = )\.\.\.", rf"\g<1>{value}", text, count=1, flags=re.MULTILINE)
    device = parse_device(text, "my.toml")
    assert (device.id, device.peak_flops, device.memory_bytes) == ("my-device", {"fp32": 1e13}, 16_000_000_000)
    assert device.tdp_w is None


def test_the_template_is_written_whole_and_never_over_a_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "mine.toml"
    command = ["devices", "--template", "--like", "l4", "-o", str(path)]
    assert main(command) == 0
    assert load_device(path).memory_bandwidth_bytes_per_s == 300e9
    assert [p.name for p in tmp_path.iterdir()] == ["mine.toml"]
    path.write_text("mine", encoding="utf-8")
    path.chmod(0o640)
    assert main(command) == 2
    assert path.read_text(encoding="utf-8") == "mine"
    assert f"{path} exists; --force replaces it" in capsys.readouterr().err
    assert main([*command, "--force"]) == 0
    assert load_device(path).id == "my-l4"
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert main(["devices", str(path)]) == 0
    assert "my-l4: My NVIDIA L4 24GB" in capsys.readouterr().out


def test_the_template_goes_to_the_screen_without_a_file(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["devices", "--template"]) == 0
    assert capsys.readouterr().out == device_template(catalogue().values())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--like", "l4"], "--like goes with --template"),
        (["--force"], "--force goes with --template"),
        (["--template", "l4"], "--template takes --like, --output and --force"),
        (["--template", "--json", "-"], "--template takes --like, --output and --force"),
        (["l4", "--kind", "gpu"], "--kind chooses among all devices; leave 'l4' out"),
        (["--template", "--like", "l5"], "unknown device 'l5': did you mean"),
        (
            ["--vendor", "Acme"],
            "no device is like that (--vendor 'Acme': known: AMD, AWS, Ampere, Google, Intel, NVIDIA)",
        ),
        (["--match", "abacus"], "no device is like that; `perfmodel devices` lists all of them"),
        (["--template", "-o", "/no/such/folder/x.toml"], "cannot write '/no/such/folder/x.toml'"),
    ],
)
def test_what_does_not_go_together(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["devices", *arguments]) == 2
    captured = capsys.readouterr()
    assert message in captured.err
    assert captured.err.count("\n") == 1
    assert captured.out == ""


# ------------------------------------------------------------------------------------------------ the nearest sibling


def file(
    *,
    vendor: str = "NVIDIA",
    kind: str = "gpu",
    family: str = "hopper",
    bandwidth: str = "3e12",
    memory: str = "80e9",
    **more: str,
) -> str:
    lines = [f"{name} = {{ value = {value}, source = 's' }}" for name, value in more.items() if name != "fp32"]
    return f"""
schema = 1
id = "mine"
name = "Mine"
vendor = "{vendor}"
kind = "{kind}"
family = "{family}"
memory_bandwidth_bytes_per_s = {{ value = {bandwidth}, source = "s" }}
memory_bytes = {{ value = {memory}, source = "s" }}
{chr(10).join(lines)}
peak_flops.fp32 = {{ value = {more.get("fp32", "60e12")}, source = "s" }}
sources.s = "My datasheet, 2026"
"""


@pytest.mark.parametrize(
    ("text", "message"),
    [
        # The same family; among Hoppers the one with as many SMs and as much power.
        (
            file(bandwidth="3352", units="132", tdp_w="700"),
            "memory_bandwidth_bytes_per_s: got 3352, which looks like GB/s; wanted bytes per second (3.352e+12); "
            "h100-sxm has 3.352e+12",
        ),
        (file(bandwidth="2000", units="114", tdp_w="350"), "wanted bytes per second (2e+12); h100-pcie has 2.039e+12"),
        # An unknown family of a known vendor; an unknown vendor.
        (
            file(
                vendor="AMD",
                family="cdna9",
                tdp_w="1_400_000",
                fp32="150e12",
                memory="309e9",
                bandwidth="8e12",
                peak_clock_hz="2.4e9",
            ),
            "wanted watts (1400); mi355x has 1400",
        ),
        (
            file(vendor="Acme", family="x", bandwidth="512", tdp_w="450", fp32="80e12", memory="24e9", units="128"),
            "rtx-4090 has 1.008e+12",
        ),
        # CPUs are compared with CPUs.
        (
            file(vendor="Acme", kind="cpu", family="x", bandwidth="300", fp32="5e12", units="64"),
            "graviton3 has 3.072e+11",
        ),
        # What else may be wrong with a number.
        (file(units="132.5"), "units: got 132.5, wanted a whole number of SMs, compute units or cores; h"),
        (file(tdp_w="0"), "tdp_w: got 0; wanted watts, above 0 (leave out what is unknown); h"),
        (file().replace("memory_bytes", "l2_bytes"), "memory_bytes: missing; a device needs "),
        (file(tdp_w="'700'"), "tdp_w.value: got '700', wanted a number in watts; h"),
        (file(tdp_w="nan"), "tdp_w.value: got nan, wanted a finite number in watts; h"),
        (file(base_clock_hz="1e9", peak_clock_hz="9e8"), "base_clock_hz: got 1e+09, more than peak_clock_hz (9e+08)"),
    ],
)
def test_messages_name_the_nearest_siblings_value(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "my.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(DeviceError) as caught:
        load_device(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert message in str(caught.value)
    assert str(caught.value).isprintable()


def test_peaks_are_compared_within_their_arithmetic(tmp_path: Path) -> None:
    path = tmp_path / "my.toml"
    path.write_text(
        file(tdp_w="700").replace("sources.s", "peak_flops.bf16 = { value = 989, source = 's' }\nsources.s")
    )
    with pytest.raises(
        DeviceError, match=r"989, which looks like TFLOP/s; wanted FLOP/s \(9\.89e\+14\); h\S+ has 9\.89"
    ):
        load_device(path)


def made_up(name: str, *, vendor: str = "v", family: str = "f", **numbers: float) -> Device:
    given = {"memory_bandwidth_bytes_per_s": 1e12, "memory_bytes": 10**10, "tdp_w": 100.0, "units": 10} | numbers
    return Device(id=name, name=name, vendor=vendor, kind="gpu", family=family, peak_flops={"fp32": 1e13}, **given)


@pytest.mark.parametrize(
    ("identity", "numbers", "wanted"),
    [
        # The family counts before the vendor, and both before the numbers.
        ({"family": "f1", "vendor": "v2"}, {"units": 10}, "family"),
        ({"family": "f9", "vendor": "v2"}, {"units": 40}, "vendor"),
        ({"family": "f9", "vendor": "v9"}, {"units": 39}, "similar"),
        # The number that is asked for is the doubtful one: it does not count.
        ({}, {"tdp_w": 100, "units": 39}, "similar"),
        # Nor does another that is in the wrong unit (GB/s) outweigh two that fit.
        ({}, {"memory_bandwidth_bytes_per_s": 1000, "units": 40, "memory_bytes": 4 * 10**10}, "similar"),
    ],
)
def test_what_makes_a_sibling(identity: dict[str, object], numbers: dict[str, float], wanted: str) -> None:
    known = [
        made_up("family", family="f1", vendor="v1", units=20),
        made_up("vendor", family="f2", vendor="v2", units=20, memory_bandwidth_bytes_per_s=1e9),
        made_up("similar", family="f3", vendor="v3", units=40, tdp_w=400.0, memory_bytes=4 * 10**10),
    ]
    found = nearest_sibling("tdp_w", identity, numbers, known)
    assert found is not None
    assert found.id == wanted


def test_a_sibling_has_the_field() -> None:
    # No CPU and no GPU but two has a measured idle power: the answer comes from those, not from the nearest by the rest.
    t4 = load_device("t4")
    numbers = {name: value for name in NUMBER_FIELDS if (value := number_of(t4, name)) is not None}
    found = nearest_sibling("idle_power_w", {"kind": "gpu", "family": "turing"}, numbers, catalogue().values())
    assert found is not None
    assert found.idle_power_w is not None
    assert nearest_sibling("tdp_w", {}, {}, []) is None


@pytest.mark.parametrize("name", [name for name in device_ids() if name != "local-cpu"])
def test_a_known_device_is_its_own_nearest_or_equal(name: str) -> None:
    device: Device = load_device(name)
    numbers = {field: value for field in NUMBER_FIELDS if (value := number_of(device, field)) is not None}
    identity = {"kind": device.kind, "family": device.family, "vendor": device.vendor}
    found = nearest_sibling("memory_bytes", identity, numbers, catalogue().values())
    assert found is not None
    theirs = {field: number_of(found, field) for field in numbers if field != "memory_bytes"}
    assert theirs == {field: value for field, value in numbers.items() if field != "memory_bytes"}


def test_a_good_file_asks_no_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "my.toml"
    path.write_text(file(), encoding="utf-8")
    monkeypatch.setattr("perfmodel.hardware.loader.catalogue", lambda: pytest.fail("the catalogue was read"))
    assert load_device(path).id == "mine"


# ------------------------------------------------------------------------------------------------ the list


def listed(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[str]:
    assert main(["devices", *arguments, "--json", "-"]) == 0
    return [record["id"] for record in json.loads(capsys.readouterr().out)["devices"]]


def test_the_list_can_be_shortened(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    assert set(listed(capsys)) == set(device_ids())
    assert listed(capsys, "--match", "mi3") == ["mi300a", "mi300x", "mi325x", "mi350x", "mi355x"]
    assert listed(capsys, "--match", "trillium") == ["tpu-v6e"]
    assert listed(capsys, "--vendor", "intel", "--kind", "gpu") == ["arc-pro-b60"]
    assert listed(capsys, "--match", "Hopper") == [
        "h100-nvl",
        "h100-pcie",
        "h100-sxm",
        "h20",
        "h200-nvl",
        "h200-sxm",
        "h800",
    ]
    # This machine is measured only where it may be in the list.
    monkeypatch.setattr("perfmodel.hardware.local_cpu.local_cpu", lambda: pytest.fail("this machine was measured"))
    loader._from_catalogue.cache_clear()
    assert listed(capsys, "--kind", "tpu") == ["tpu-v4", "tpu-v5e", "tpu-v5p", "tpu-v6e"]


def test_the_list_is_grouped_and_fits(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert main(["devices", "--match", "5"]) == 0
    lines = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
    assert max(map(len, lines)) <= 80
    groups = [line for line in lines if re.fullmatch(r"\w+ (GPU|TPU|CPU)s", line)]
    assert groups == ["NVIDIA GPUs", "AMD GPUs", "Google TPUs", "AMD CPUs", "Intel CPUs"]
    assert lines.index("AMD GPUs") < next(i for i, line in enumerate(lines) if line.startswith("mi250 "))
    # A device is one line.
    assert sum(line.startswith("rtx-5090 ") for line in lines) == 1


def test_a_wide_terminal_shows_names(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "140")
    assert main(["devices", "--match", "rtx-4090"]) == 0
    assert re.search(r"rtx-4090 .* GeForce RTX 4090$", capsys.readouterr().out, re.MULTILINE)
