"""``perfmodel export``."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from perfmodel.cli import options
from perfmodel.cli.output import TO_STDOUT, check_target, console, write_bytes, write_json
from perfmodel.cli.progress import Progress
from perfmodel.errors import InputError

DESCRIPTION = "Write a prediction as C source or as an ONNX model, for programs without Python."
EXAMPLE = """perfmodel export default --format c --device h100-sxm --op gemm --dtype bf16 -o generated
  perfmodel export default --format c --device h100-sxm --op norm --dtype bf16 --set kind=rmsnorm
  perfmodel export default --format c --device rtx-3090 --space clblast_sgemm --dtype fp32 \\
    --set m=4096,n=4096,k=4096"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this command."""
    parser.add_argument(
        "predictor", metavar="PREDICTOR",
        help="a predictor's folder, `default` or `analytical`; with --space a ranker's folder, `default` or `none`",
    )  # fmt: skip
    parser.add_argument(
        "--format", choices=("c", "onnx"), required=True, help="C99 source with a header, or an ONNX model"
    )
    parser.add_argument("--device", metavar="DEVICE", required=True, help="a device id or a device TOML")
    parser.add_argument("--op", metavar="FAMILY", help="the operators, as in gemm or softmax")
    parser.add_argument(
        "--space", metavar="NAME|FILE.toml", help="instead: the kernel configurations of this space (docs/ranking.md)"
    )
    parser.add_argument("--dtype", metavar="DTYPE", required=True, help="the number format, as in bf16 or fp8")
    parser.add_argument(
        "--set", metavar="FIELD=VALUE,...", action="append", default=[], dest="settings",
        help="fields of the descriptor: kind=rmsnorm; a dimension that is always the same, m=4096; an optional dimension that "
        "is to be an input, window=input",
    )  # fmt: skip
    parser.add_argument(
        "--software", metavar="STACK", help="the software stack that runs the operators, as in vllm-0.24.0"
    )
    parser.add_argument(
        "--cache", choices=("warm", "cold", "rotating"), help="state of the last-level cache; default: rotating"
    )
    parser.add_argument(
        "--name", metavar="NAME", help="of the function and the files; default: made of what is exported"
    )
    parser.add_argument("-o", "--output", metavar="DIR", default=".", help="the folder to write to; default: this one")
    parser.add_argument("--force", action="store_true", help="replace files that exist")
    options.add_json_option(parser)


def run(arguments: argparse.Namespace) -> int:
    """Record, check against the predictor, write."""
    from perfmodel.export import artefact, operator, ranker

    if (arguments.op is None) == (arguments.space is None):
        raise InputError("wanted --op FAMILY for operators, or --space SPACE for kernel configurations")
    name = arguments.name
    if name is not None and not (name.isascii() and name.isidentifier()):
        raise InputError(f"--name {name!r} is no identifier of C")
    settings = _settings(arguments.settings)
    with Progress("perfmodel export") as progress:
        progress("recording the prediction and checking it against the predictor")
        if arguments.space is None:
            export = operator(
                arguments.predictor, arguments.device, arguments.op, arguments.dtype, settings=settings,
                software=arguments.software, cache=arguments.cache or "rotating", name=name,
            )  # fmt: skip
        else:
            for option in ("software", "cache"):
                if getattr(arguments, option) is not None:
                    raise InputError(
                        f"--{option} is for operators: kernel configurations are ranked as they were measured"
                    )
            export = ranker(
                arguments.device,
                arguments.space,
                arguments.dtype,
                settings=settings,
                pretrained=arguments.predictor,
                name=name,
            )
        files = artefact(export, arguments.format)
    folder = Path(arguments.output)
    folder.mkdir(parents=True, exist_ok=True)
    targets = {str(folder / file): data for file, data in files.items()}
    for target in targets:
        check_target(target, overwrite=arguments.force)
    for target, data in targets.items():
        write_bytes(data, target, overwrite=arguments.force)
    if arguments.json is not None:
        result = {
            "title": export.title, "files": list(targets), "inputs": list(export.inputs), "outputs": list(export.outputs),
            "notes": list(export.notes),
        }  # fmt: skip
        write_json(result, arguments.json)
    if arguments.json == TO_STDOUT:
        return 0
    screen = console()
    screen.print(export.title)
    for target, data in targets.items():
        screen.print(f"{target}: {len(data) / 1024:,.0f} KiB")
    screen.print(f"inputs: {', '.join(export.inputs)}")
    screen.print(f"outputs: {', '.join(export.outputs)}")
    for note in export.notes:
        screen.print(f"note: {note}")
    return 0


def _settings(texts: list[str]) -> dict[str, Any]:
    """Fields by name: whole numbers, ``True`` for an input, truths, names.

    Raises:
        InputError: no NAME=VALUE, or a name twice.
    """
    settings: dict[str, Any] = {}
    for pair in filter(None, (part.strip() for text in texts for part in text.split(","))):
        name, equals, text = (part.strip() for part in pair.partition("="))
        if not (name and equals and text):
            raise InputError(f"--set {pair!r}: wanted FIELD=VALUE, as in kind=rmsnorm or m=4096")
        if name in settings:
            raise InputError(f"--set names {name} twice")
        truths: dict[str, Any] = {"input": True, "true": True, "false": False}
        settings[name] = int(text) if text.isascii() and text.isdigit() else truths.get(text, text)
    return settings
