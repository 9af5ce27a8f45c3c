"""Where a training may write: never over what somebody keeps there."""

from __future__ import annotations

from pathlib import Path

from perfmodel.errors import InputError, PredictorError
from perfmodel.models import artefact
from perfmodel.training.resume import FOLDER


def check_output(output: Path, pieces: Path | None = None) -> None:
    """Refuses a predictor's folder that is somebody's for something else: before the work, not after it.

    Args:
        output: may be absent, empty, a predictor, or what an interrupted training left.
        pieces: where finished pieces are kept, which may lie within the output.

    Raises:
        InputError: it is a file, or holds other things and no predictor.
    """
    if output.exists() and not output.is_dir():
        raise InputError(f"{output} is a file; wanted a folder for the predictor")
    if not output.is_dir():
        return
    own = {FOLDER, *artefact.STAGING}
    if pieces is not None and pieces.resolve().is_relative_to(output.resolve()):
        own |= set(pieces.resolve().relative_to(output.resolve()).parts[:1])
    # What begins with a dot, no training touches but its own: notes of systems and of version control.
    others = sorted(path.name for path in output.iterdir() if path.name not in own and not path.name.startswith("."))
    if others and not _is_predictor(output):
        more = f" and {len(others) - 1} more" if len(others) > 1 else ""
        raise InputError(f"{output} holds {others[0]}{more} and is no predictor: take another folder")


def _is_predictor(folder: Path) -> bool:
    try:
        manifest = artefact.read_manifest(folder)
    except PredictorError:
        return False
    return "boosters" in manifest and "constants" in manifest  # a characteriser's has a schema and boosters, too


def check_pieces(pieces: Path, output: Path) -> None:
    """Refuses a folder for finished pieces that is none of their own.

    Raises:
        InputError: it is a file or below one, is the output's folder, or holds that.
    """
    if output.resolve().is_relative_to(pieces.resolve()):
        raise InputError(
            f"finished pieces want a folder of their own; {pieces} is the output's, or holds it ({output})"
        )
    for path in (pieces, *pieces.parents):
        if path.exists():
            if not path.is_dir():
                raise InputError(f"finished pieces want a folder, and {path} is a file")
            return
