"""``perfmodel doctor`` and ``perfmodel completion``; help of all commands."""

from __future__ import annotations

import json
import os
import select
import shutil
import signal
import subprocess
import time
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace

import pytest

from perfmodel import _resources, doctor
from perfmodel.cli import COMMANDS, main


def test_everything_is_looked_at(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--json", "-"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert list(result["sections"]) == list(doctor.SECTIONS)
    assert result["broken"] == 0
    found = {f["name"]: f for findings in result["sections"].values() for f in findings}
    assert found["default"]["state"] == "ok"
    assert found["numpy"]["state"] == "ok"
    assert found["resnet18 on h100-sxm"]["text"].endswith(" us")


def test_the_table_fits_80_columns(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    long = "lacks a-very-long-name-of-a-package-without-any-place-to-break-it, and_another_one_that_is_long_too"
    monkeypatch.setattr(
        doctor, "SECTIONS", {"one": lambda: iter([doctor.Finding("x" * 60, "broken", f"{long} {long}\x1b[31m")])}
    )
    assert main(["doctor"]) == 0
    shown = capsys.readouterr().out
    assert max(map(len, shown.splitlines())) <= 80
    assert "\x1b" not in shown
    assert "broken: 1" in shown


def test_a_broken_part_is_said_and_the_others_are_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise OSError("the disk\nis gone")

    monkeypatch.setattr("perfmodel.hardware.local_cpu.local_cpu", broken)
    monkeypatch.setattr("perfmodel.models.manifest.read", broken)
    monkeypatch.setattr(import_module("perfmodel.predict"), "predict", broken)
    monkeypatch.setattr("perfmodel.datasets.local.cache_folder", broken)
    found = doctor.examine()
    texts = {f.name: (f.state, f.text) for findings in found.values() for f in findings}
    for name in ("local-cpu", "default", "data sets", "a prediction"):
        assert texts[name] == ("broken", "OSError: the disk is gone")
    assert texts["catalogue"][0] == "ok"
    assert doctor.to_dict(found)["broken"] == 4


def test_every_file_that_ships_learned_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A booster of one device is read when it is used: a damaged one was called ok until then."""
    files = {
        "default": "default/gemm/gb200/bf16.json.gz",
        "characterise iree-llvm-cpu-haswell": "characterise/iree-llvm-cpu-haswell/spills.json.gz",
        "ranker": "ranker/clblast_sgemm/rtx-3090.json.gz",
        "loop_nests": "loop_nests/residual.json.gz",
    }
    root = _resources._root
    models = shutil.copytree(root("models"), tmp_path / "models")
    monkeypatch.setattr(_resources, "_root", lambda folder: models if folder == "models" else root(folder))

    def states() -> dict[str, str]:
        return {f.name: f.state for f in doctor._predictors() if not f.name.startswith("perfmodel.")}  # of packages

    assert states() == dict.fromkeys(files, "ok")
    for file in files.values():
        data = bytearray((models / file).read_bytes())
        data[len(data) // 2] ^= 1
        (models / file).write_bytes(data)
    assert states() == dict.fromkeys(files, "broken")
    for folder in ("ranker", "loop_nests"):
        shutil.rmtree(models / folder)
    assert states() == dict.fromkeys(files, "broken") | {"ranker": "missing", "loop_nests": "missing"}


def test_extras_say_what_they_lack(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        doctor.metadata, "requires",
        lambda name: [
            "numpy>=99", "absent-base>=1", 'pandas>=2; extra == "train"', 'absent-one>=1; extra == "collect"',
            'perfmodel[train]; extra == "collect"', 'absent-two; (sys_platform == "plan9") and extra == "train"',
        ],
    )  # fmt: skip
    monkeypatch.setattr(doctor, "_version", lambda name: None if name.startswith("absent") else "2.0")
    found = {f.name: (f.state, f.text) for f in doctor._packages()}
    assert found["absent-base"] == ("broken", "not installed; wanted >=1")
    assert found["extra train"] == ("ok", "pandas 2.0")
    assert found["extra collect"] == ("missing", "lacks absent-one: pip install 'perfmodel[collect]'")


def test_an_extra_with_a_version_outside_its_range_is_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is called ok ends in the middle of a training otherwise."""
    pytest.importorskip("packaging")
    versions = {"pandas": "1.5", "scipy": "1.14", "pooch": "1.8"}
    monkeypatch.setattr(
        doctor.metadata, "requires",
        lambda name: [
            'pandas>=2.2,<4; extra == "train"', 'scipy>=1.13; extra == "train"', 'pooch>=1.8,<2; extra == "datasets"',
            'perfmodel[train]; extra == "datasets"', 'absent>=1; extra == "docs"', 'pandas>=2; extra == "docs"',
            'scipy; extra == "plain"',
        ],
    )  # fmt: skip
    monkeypatch.setattr(doctor, "_version", versions.get)
    found = {f.name: (f.state, f.text) for f in doctor._packages()}
    assert found["extra train"] == ("broken", "pandas 1.5 (wanted >=2.2,<4): pip install 'perfmodel[train]'")
    assert found["extra datasets"] == ("broken", "pandas 1.5 (wanted >=2.2,<4): pip install 'perfmodel[datasets]'")
    wanted = "lacks absent; has pandas 1.5 (wanted >=2): pip install 'perfmodel[docs]'"
    assert found["extra docs"] == ("missing", wanted)
    assert found["extra plain"] == ("ok", "scipy 1.14")


def test_a_version_that_no_package_can_have_is_not_judged() -> None:
    pytest.importorskip("packaging")
    assert doctor._judged("torch", "built-here", ">=2").state == "ok"


def test_a_version_outside_its_range_is_broken() -> None:
    pytest.importorskip("packaging")
    assert doctor._judged("numpy", "1.0", ">=2,<3") == doctor.Finding("numpy", "broken", "1.0 (wanted >=2,<3)")
    assert doctor._judged("numpy", "2.1", ">=2,<3").state == "ok"


def test_a_checkout_that_nobody_installed_knows_its_extras(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> None:
        raise doctor.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(doctor.metadata, "requires", absent)
    names = {f.name for f in doctor._packages()}
    assert {"numpy", "rich", "extra train", "extra mlir"} <= names


# --------------------------------------------------------------------------------------------------------- completion
@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_has_a_script_with_all_commands(
    shell: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    pytest.importorskip("shtab")
    assert main(["completion", shell]) == 0
    script = capsys.readouterr().out
    assert all(command.name in script for command in COMMANDS)
    assert "h100-sxm" in script
    assert "power-limit-w" in script
    binary = shutil.which(shell)
    if binary is not None:
        path = tmp_path / f"script.{shell}"
        path.write_text(script)
        subprocess.run([binary, "-n", str(path)], check=True)  # parses


def test_bash_completes_options_and_devices(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    pytest.importorskip("shtab")
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("no bash here")
    assert main(["completion", "bash"]) == 0
    path = tmp_path / "script.bash"
    path.write_text(capsys.readouterr().out)

    def completed(*words: str) -> list[str]:
        listed = " ".join(f"'{w}'" for w in ("perfmodel", *words))
        lines = (
            f"source {path}; COMP_WORDS=({listed}); COMP_CWORD={len(words)}; _shtab_perfmodel; echo ${{COMPREPLY[@]}}"
        )
        return subprocess.run([bash, "-c", lines], check=True, capture_output=True, text=True).stdout.split()

    assert completed("pred") == ["predict"]
    assert completed("predict", "--device", "h100-s") == ["h100-sxm"]
    assert set(completed("predict", "--power-p")) == {"--power-profile", "--power-plot"}


def script_of(shell: str, capsys: pytest.CaptureFixture[str]) -> str:
    """The path of a shell, and its script in the output that was captured; skips where there is none."""
    pytest.importorskip("shtab")
    found = shutil.which(shell)
    if found is None:
        pytest.skip(f"no {shell} here")
    assert main(["completion", shell]) == 0
    return found


LINES = [("pred", "predict"), ("predict --device h100-s", "h100-sxm"), ("predict --power-pl", "--power-plot")]


def test_fish_completes_options_and_devices(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    fish = script_of("fish", capsys)
    path = tmp_path / "perfmodel.fish"
    path.write_text(capsys.readouterr().out)
    asked = "".join(f'complete -C "perfmodel {line}"\n' for line, _ in LINES)
    environment = {**os.environ, "HOME": str(tmp_path)}
    done = subprocess.run(
        [fish, "--no-config", "-c", f"source {path}\n{asked}"],
        check=True,
        capture_output=True,
        text=True,
        env=environment,
    )
    assert [line.split("\t")[0] for line in done.stdout.splitlines()] == [wanted for _, wanted in LINES]


def test_zsh_completes_options_and_devices(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """In a terminal of its own, where its line editor runs; what it makes of a line is printed by a key of ours."""
    pty = pytest.importorskip("pty")  # Windows has none
    zsh = script_of("zsh", capsys)
    (tmp_path / "_perfmodel").write_text(capsys.readouterr().out)
    pid, terminal = pty.fork()
    if pid == 0:
        os.environ.update(TERM="dumb", HOME=str(tmp_path), COLUMNS="200")
        os.execv(zsh, [zsh, "-f", "-i"])
    seen = b""

    def until(mark: bytes) -> bytes:
        nonlocal seen
        end = time.monotonic() + 60
        while mark not in seen and time.monotonic() < end:
            if select.select([terminal], [], [], 0.2)[0]:
                seen += os.read(terminal, 65536)
        said, found, seen = seen.partition(mark)
        assert found, said
        return said

    try:
        setup = (
            "PS1='' RPS1=''; unsetopt zle_bracketed_paste; fpath=({} $fpath); autoload -Uz compinit; compinit -u -D; "
            'show() {{ zle complete-word; print -r -- "<<$BUFFER>>"; BUFFER= }}; zle -N show; '
            "bindkey '^X' show; echo REA''DY\n"
        )
        os.write(terminal, setup.format(tmp_path).encode())
        until(b"READY")
        for line, wanted in LINES:
            os.write(terminal, f"perfmodel {line}".encode() + b"\x18")
            until(b"<<")
            assert until(b">>").decode().split()[-1] == wanted
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(terminal)


def test_without_its_library_it_says_which_extra(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "shtab", None)
    assert main(["completion", "bash"]) == 2
    assert "perfmodel[completion]" in capsys.readouterr().err


# --------------------------------------------------------------------------------------------------------------- help
@pytest.mark.parametrize("command", COMMANDS, ids=lambda c: c.name)
def test_help_fits_80_columns(
    command: SimpleNamespace, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert main([command.name, "--help"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if len(line) > 80] == []
    # Broken examples are still one command each.
    example = "\n".join(lines[lines.index("example:") + 1 :])
    joined = [" ".join(line.split()) for line in example.replace("\\\n", " ").splitlines()]
    given = import_module(command.module).EXAMPLE.replace("\\\n", " ").splitlines()
    assert joined == [" ".join(line.split()) for line in given]


def test_every_command_with_a_result_has_json() -> None:
    import argparse

    without = []
    for command in COMMANDS:
        parser = argparse.ArgumentParser()
        import_module(command.module).add_arguments(parser)
        if "--json" not in parser._option_string_actions:
            without.append(command.name)
    assert without == ["completion"]  # prints a script
