"""``perfmodel``, and ``python -m perfmodel``: the command line.

Nothing is imported here but what Python has loaded already: an interrupt while the rest is imported ends in one line, too.
"""

import sys


def main() -> int:
    """Run the command that this process was started for, and return its exit code."""
    try:
        from perfmodel.cli import main as run

        code = run()
    except KeyboardInterrupt:
        sys.stderr.write("perfmodel: interrupted; nothing was written\n")
        code = 130
    _end_at_once()
    return code


def _end_at_once() -> None:
    """From here on an interrupt ends the process without a word: all is done, and Python itself is being taken down."""
    import signal

    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    # CPython marks an interrupt of code that is run from text, as imports of other packages do, as one that nobody handled, and
    # `python -m` would then end by the signal, whatever the exit code. Running some to its end takes the mark away.
    eval("0")  # noqa: S307 (a constant)


if __name__ == "__main__":
    sys.exit(main())
