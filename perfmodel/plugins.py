"""What other packages add to perfmodel: the one door for predictors, meters and collectors.

A package names what it adds under an entry point group of perfmodel (``perfmodel.predictors``, ``perfmodel.meters``,
``perfmodel.collectors``). Each entry point is a name and something that is called without arguments and returns the
object. Nothing of another package is imported before its name is asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfmodel.errors import InputError, PerfmodelError

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint


def registered(group: str) -> dict[str, tuple[EntryPoint, ...]]:
    """Entry points of a group by name; more than one where packages disagree."""
    from importlib.metadata import entry_points

    found: dict[str, tuple[EntryPoint, ...]] = {}
    for entry in entry_points(group=group):
        if entry not in found.get(entry.name, ()):  # a package that stands on the path twice
            found[entry.name] = (*found.get(entry.name, ()), entry)
    return found


def make_registered(group: str, kind: str, name: str, error: type[PerfmodelError]) -> tuple[object, str] | None:
    """What an installed package registers under a name, made; None where none does.

    Args:
        group: the entry point group.
        kind: what its objects are, in the singular: stands in the messages.
        name: the entry point's name.
        error: the class of the error that says why it cannot be loaded.

    Returns:
        The object, and where it comes from (``"package 1.2: module:make"``).

    Raises:
        InputError: several packages register the name.
        PerfmodelError: of the class ``error``: it cannot be imported or made.
    """
    entries = registered(group).get(name)
    if entries is None:
        return None
    if len(entries) > 1:
        raise InputError(
            f"several packages register a {kind} {name!r}: {', '.join(map(where, entries))}; uninstall all but one"
        )
    [entry] = entries
    try:
        return entry.load()(), where(entry)
    except Exception as problem:  # whatever another package's code raises
        reason = " ".join(str(problem).split()) or "no message"
        raise error(
            f"the {kind} {name!r} of {where(entry)} cannot be loaded: {type(problem).__name__}: {reason}"
        ) from problem


def where(entry: EntryPoint) -> str:
    """The package, its version and the object that an entry point names."""
    package = "" if entry.dist is None else f"{entry.dist.name} {entry.dist.version}: "
    return f"{package}{entry.value}"
