"""`metarec`: the command line. Each part of the project registers its own commands."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from metarec import __version__
from metarec.commands import add_cite, add_run, add_show
from metarec.data.commands import add_data
from metarec.errors import MetarecError

Commands = argparse._SubParsersAction
# One function a command: it adds a parser and sets `run`, from parsed arguments to exit status.
REGISTER: tuple[Callable[[Commands[argparse.ArgumentParser]], None], ...] = (
    add_data,
    add_run,
    add_show,
    add_cite,
)


def build_parser() -> argparse.ArgumentParser:
    """The parser with every registered command."""
    parser = argparse.ArgumentParser(
        prog="metarec", description="Cold-start recommendation by meta-learning: data, runs, results."
    )
    parser.add_argument("--version", action="version", version=f"metarec {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for register in REGISTER:
        register(commands)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; return 0, 1 for a failed check, 2 for something the user can mend."""
    args = build_parser().parse_args(argv)
    try:
        with _stoppable():
            status = int(args.run(args))
        sys.stdout.flush()
        return status
    except MetarecError as error:
        print(error, file=sys.stderr)
        return 2
    except BrokenPipeError:  # the reader, `head` say, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        print("Interrupted; nothing is left half-written.", file=sys.stderr)
        return 130


@contextmanager
def _stoppable() -> Iterator[None]:
    """SIGTERM, by which schedulers and `timeout` stop a program, does as Ctrl-C does.

    Left alone it would end this process at once and leave its workers behind, still computing.
    """
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
