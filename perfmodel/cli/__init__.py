"""The command line: ``perfmodel COMMAND …``.

One module a command, each with ``DESCRIPTION``, ``EXAMPLE``, ``add_arguments(parser)`` and ``run(arguments) -> int``;
:data:`COMMANDS` is the list. Only the module of the command that was asked for is imported, and numpy, onnx and rich
only once it runs, so that ``--help`` is quick.

Exit codes: 0 done, 1 a result that fails an asked-for threshold, 2 wrong use or unreadable input, 130 interrupted,
143 and 129 ended by SIGTERM or a closed terminal, 141 the reader of the output went away (all as the shell counts signals).
"""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import sys
import textwrap
from collections.abc import Sequence
from importlib import import_module
from typing import Any, NamedTuple, NoReturn

from perfmodel.cli import interrupts, targets
from perfmodel.errors import PerfmodelError, nearest

_WIDTH = 79
"""Columns of help."""
_ALIKE = 0.65
"""How much an option must look like a misspelt one; more than names do, for all begin with two dashes."""
DONE, FAILED_THRESHOLD, WRONG_USE, INTERRUPTED, NO_READER = 0, 1, 2, 130, 141


class Command(NamedTuple):
    """One command: its name, the module that runs it, and a line for ``perfmodel --help``."""

    name: str
    module: str
    help: str


COMMANDS = (
    Command("predict", "perfmodel.cli.predict", "latency, power, energy and memory of a model file on a device"),
    Command("compare", "perfmodel.cli.compare", "several devices, ranked by latency, energy, carbon or money"),
    Command("report", "perfmodel.cli.report", "the same as a page of pictures that opens offline in any browser"),
    Command("sweep", "perfmodel.cli.sweep", "its energy-latency curve under limits or clocks, and the knee"),
    Command("energy-table", "perfmodel.cli.energy_table", "energy per FLOP and byte, and with other circuits"),
    Command(
        "characterise",
        "perfmodel.cli.characterise",
        "instructions, code size and spills of an MLIR module",
    ),
    Command("rank", "perfmodel.cli.rank", "order kernel configurations by latency, energy or both"),
    Command("export", "perfmodel.cli.export", "a prediction as C or ONNX, for programs without Python"),
    Command("devices", "perfmodel.cli.devices", "the catalogue of devices, or everything known of one"),
    Command("datasets", "perfmodel.cli.datasets", "public data sets as operator traces"),
    Command("collect", "perfmodel.cli.collect", "kernels of this machine's CPU, measured; or shapes to measure"),
    Command("collect-ops", "perfmodel.cli.collect_ops", "operators one by one with PyTorch, on a GPU or CPU"),
    Command("collect-mlir", "perfmodel.cli.collect_mlir", "what the IREE compiler makes of MLIR modules for a CPU"),
    Command("import", "perfmodel.cli.import_traces", "traces of profilers, tuners and runtimes as operator traces"),
    Command("calibrate", "perfmodel.cli.calibrate", "a device file: this CPU measured, or fitted to measured rows"),
    Command("meters", "perfmodel.cli.meters", "meters of energy and power: which can be read here; read one"),
    Command("train", "perfmodel.cli.train", "a predictor of your own from operator traces"),
    Command("evaluate", "perfmodel.cli.evaluate", "judge a predictor against measured operators"),
    Command("doctor", "perfmodel.cli.doctor", "what is on this machine and what is missing, for bug reports"),
    Command("completion", "perfmodel.cli.completion", "completes commands and options in bash, zsh or fish"),
)
"""Every command, in the order of ``perfmodel --help``."""


class OneLineParser(argparse.ArgumentParser):
    """An argument parser whose errors are one line, like all errors of perfmodel."""

    _given: Sequence[str] = ()

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """As argparse's; what was given is kept for :meth:`error`."""
        self._given = list(args or ())
        return super().parse_known_args(args, namespace)

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        """As argparse's, with the nearest of the choices."""
        if action.choices is not None and value not in action.choices:
            choices = [str(choice) for choice in action.choices]
            hint = nearest(str(value), choices)
            wanted = hint if hint.startswith("known") else f"{hint} known: {', '.join(choices)}"
            raise argparse.ArgumentError(action, f"{value!r} is none of its values: {wanted}")

    def error(self, message: str) -> NoReturn:
        """Print the error, with the options that misspelt ones are likely to mean, and leave with exit code 2."""
        known = self._option_string_actions
        wrong = [
            name for text in self._given if (name := text.partition("=")[0]).startswith("--") and name not in known
        ]
        hints = [
            f"{name}: {hint}"
            for name in wrong
            if (hint := nearest(name, known, limit=1, alike=_ALIKE)).startswith("did you mean")
        ]
        told = "; ".join([message, *hints])
        self.exit(WRONG_USE, f"{self.prog}: error: {_one_line(told)} (see `{self.prog} --help`)\n")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code.

    Args:
        argv: the arguments after the program's name; None means those of this process.
    """
    given = list(sys.argv[1:] if argv is None else argv)
    # Started with a closed output (`>&-`, some schedulers), Python has none at all.
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115 (open as long as the process)
    # Names in a model file may hold characters that the terminal's encoding lacks; that is no reason to stop.
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    interrupts.WRITTEN.clear()
    try:
        with interrupts.heard():
            status = _dispatch(given)
            sys.stdout.flush()
    except PerfmodelError as error:
        return _complain(str(error))
    except BrokenPipeError:
        # `perfmodel … | head` closed the pipe. What is still buffered goes nowhere, without a second complaint.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return NO_READER
    except OSError as error:
        where = f"{error.filename}: " if error.filename is not None else ""
        return _complain(str(PerfmodelError(f"{where}{error.strerror or error}")))  # as short as every other line
    except KeyboardInterrupt as stop:
        interrupts.tell(" ".join(["perfmodel", *(c.name for c in COMMANDS if c.name in given[:1])]), stop)
        return interrupts.exit_code(stop)
    return status


def _dispatch(argv: list[str]) -> int:
    name = argv[0] if argv else ""
    command = next((c for c in COMMANDS if c.name == name), None)
    if command is None:
        return _without_command(argv)
    module = import_module(command.module)
    parser = OneLineParser(
        prog=f"perfmodel {command.name}",
        description=textwrap.fill(" ".join(module.DESCRIPTION.split()), _WIDTH),
        epilog=f"example:\n{_examples(module.EXAMPLE)}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    module.add_arguments(parser)
    try:
        arguments = parser.parse_args(argv[1:])
    except SystemExit as leaving:  # --help, or wrong use, already printed
        return int(leaving.code or 0)
    targets.check(parser, arguments)  # what could not be written in the end is refused before the work
    status: int = module.run(arguments)
    return status


def _examples(text: str) -> str:
    """Commands of at most 80 columns: longer ones go on in the next line, before an option, as a shell takes them."""
    lines = []
    for command in text.replace("\\\n", " ").splitlines():
        line = " "
        for part in re.split(r"\s+(?=-|>|#)", command.strip()):
            if len(line) + len(part) > _WIDTH - 3 and line.strip():
                lines.append(f"{line} \\")
                line = "   "
            line += f" {' '.join(part.split())}"
        lines.append(line)
    return "\n".join(lines)


def _without_command(argv: list[str]) -> int:
    if not argv:
        sys.stderr.write(_usage())
        return WRONG_USE
    if argv[0] in ("-h", "--help"):
        print(_usage(), end="")
        return DONE
    if argv[0] == "--version":
        import perfmodel

        print(f"perfmodel {perfmodel.__version__}")
        return DONE
    kind = "option" if argv[0].startswith("-") else "command"
    known = ("--help", "--version") if kind == "option" else tuple(c.name for c in COMMANDS)
    return _complain(f"unknown {kind} {argv[0]!r}: {nearest(argv[0], known, limit=1)}")


def _usage() -> str:
    width = max(len(c.name) for c in COMMANDS)
    return "\n".join(
        [
            "usage: perfmodel COMMAND ... | --version | --help",
            "",
            "What a model file costs on a named device: latency, power, energy and memory,",
            "with an interval, an explanation and the physics that bounds it.",
            "",
            "commands:",
            *(f"  {c.name:<{width}}  {c.help}" for c in COMMANDS),
            "",
            "`perfmodel COMMAND --help` lists a command's options, with an example.",
            "Exit codes: 0 done, 1 a threshold was missed, 2 wrong use or unreadable input,",
            "130 interrupted, 143 ended by SIGTERM, 129 by a terminal that was closed,",
            "141 whoever read the output went away.",
            "",
            "example:",
            "  perfmodel predict model.onnx --device h100-sxm --dim batch=8 --dtype bf16",
            "",
        ]
    )


def _complain(message: str) -> int:
    with contextlib.suppress(OSError):  # where the terminal is gone, nobody is left to be told
        sys.stderr.write(f"perfmodel: error: {_one_line(message)}\n")
        sys.stderr.flush()
    return WRONG_USE


def _one_line(message: str) -> str:
    """The message without line breaks and without what a terminal would obey: names come from files."""
    return "".join(c if c.isprintable() else " " for c in message)
