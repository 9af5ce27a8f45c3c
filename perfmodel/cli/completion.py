"""``perfmodel completion``."""

from __future__ import annotations

import argparse
import sys
from importlib import import_module
from typing import Any

from perfmodel.errors import MissingExtraError

DESCRIPTION = "A script that completes commands, options, devices and file names in a shell."
EXAMPLE = """perfmodel completion bash > ~/.local/share/bash-completion/completions/perfmodel
  perfmodel completion zsh > ~/.zfunc/_perfmodel      # where fpath has ~/.zfunc
  perfmodel completion fish > ~/.config/fish/completions/perfmodel.fish"""

SHELLS = ("bash", "zsh", "fish")
_FOLDERS = frozenset({"DIR", "FOLDER"})
_FILES = frozenset(
    "MODEL TRACES TRACE CONFIGS FILE FILE.json FILE.html PATH PATH|- TABLE CSV ONNX FILE.svg FILE.png".split()
)
"""Names of values that are files."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this command."""
    parser.add_argument("shell", choices=SHELLS, help="whose script is printed")


def run(arguments: argparse.Namespace) -> int:
    """Print the script: it is made once, and completes without starting Python."""
    try:
        import shtab
    except ImportError as error:
        raise MissingExtraError("shtab", "completion", "a completion script") from error
    sys.stdout.write(shtab.complete(whole_parser(shtab), shell=arguments.shell) + "\n")
    return 0


def whole_parser(shtab: Any) -> argparse.ArgumentParser:
    """One parser with every command and option, as the library wants it."""
    from perfmodel import __version__
    from perfmodel.cli import COMMANDS
    from perfmodel.hardware import device_ids

    parser = argparse.ArgumentParser(prog="perfmodel")
    parser.add_argument("--version", action="version", version=__version__, help="print the version")
    commands = parser.add_subparsers()
    for command in COMMANDS:
        # "%" begins a format in the library's reading of help.
        one = commands.add_parser(command.name, help=command.help.replace("%", "%%"))
        import_module(command.module).add_arguments(one)
        for action in one._actions:
            name = action.metavar if isinstance(action.metavar, str) else ""
            if "--device" in action.option_strings:
                action.choices = device_ids()
            elif name in _FILES:
                vars(action)["complete"] = shtab.FILE
            elif name in _FOLDERS:
                vars(action)["complete"] = shtab.DIRECTORY
    return parser
