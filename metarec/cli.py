"""`metarec data | run | show | cite`: the command line.

What trains is imported by the command that needs it: to bring in torch takes longer than most others take.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from metarec import __version__
from metarec.data.commands import add_data
from metarec.errors import MetarecError

MOST_SEEDS = 20  # that `show` looks for


def build_parser() -> argparse.ArgumentParser:
    """The parser with every command."""
    parser = argparse.ArgumentParser(
        prog="metarec", description="Cold-start recommendation by meta-learning: data, runs, results."
    )
    parser.add_argument("--version", action="version", version=f"metarec {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for register in (add_data, add_run, add_show, add_cite):
        register(commands)
    return parser


def add_run(commands: Any) -> None:
    """`metarec run TABLE`: do what is missing of a table or figure and record it."""
    p = commands.add_parser("run", help="train what a table or figure still lacks and record it")
    p.add_argument("table", nargs="?", help="its name, e.g. tanp.table4; without one, the names are listed")
    p.add_argument(
        "--profile", choices=("quick", "full"), default="full", help="quick: planted data, seconds"
    )
    p.add_argument("--track", choices=("published", "sound", "both"), default="both")
    p.add_argument("--seeds", type=int, default=5, help="number of seeds, from 0 (default 5)")
    p.add_argument("--dataset", default="", help="only this data set, e.g. ml-1m")
    p.add_argument("--method", default="", help="only this method: the label of a row, or a model's name")
    p.add_argument(
        "--cell", default="", help="only this cell: a row as we or the paper call it, or 'PNMTA d=16'"
    )
    p.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    p.add_argument("--jobs", type=int, default=1, help="groups of replicas trained at a time")
    p.add_argument("--backend", choices=("loky", "dask", "ray"), default="loky", help="how jobs are spread")
    p.add_argument("--scheduler", help="address of a running Dask scheduler (default: a local cluster)")
    p.add_argument("--replicas", type=int, default=8, help="most seeds or settings stacked into one program")
    _add_results(p)
    p.add_argument(
        "--redo",
        action="store_true",
        help="do again what an older version has recorded",
    )
    p.add_argument("--quiet", action="store_true", help="no progress line")
    p.set_defaults(run=run)


def add_show(commands: Any) -> None:
    """`metarec show TABLE`: what its records say, means over seeds."""
    p = commands.add_parser("show", help="print what the records of a table or figure say")
    p.add_argument("table", help="its name, e.g. tanp.table4")
    p.add_argument(
        "--profile", choices=("quick", "full"), default="full", help="quick: what a quick run recorded"
    )
    p.add_argument("--track", choices=("published", "sound", "both"), default="both")
    p.add_argument("--metrics", help="comma-separated names (default: the first nine)")
    _add_results(p)
    p.set_defaults(run=show)


def add_cite(commands: Any) -> None:
    """`metarec cite NAME`: the BibTeX entry of a paper behind a method or data set."""
    p = commands.add_parser("cite", help="print the BibTeX entry of a method or data set")
    p.add_argument("name", nargs="?", help="its key, e.g. tanp; without one, the keys are listed")
    p.set_defaults(run=cite)


def run(args: argparse.Namespace) -> int:
    """Do a table; exit status 0, or 130 when interrupted (what is done is recorded)."""
    from metarec.papers import spec, specs
    from metarec.runs.execute import Only, execute
    from metarec.runs.store import Store

    if args.table is None:
        for name, one in specs().items():
            print(f"{name:20} {one.title}")
        return 0
    root = _root(args)
    done = execute(
        spec(args.table),
        profile=args.profile,
        track=args.track,
        seeds=args.seeds,
        store=Store(root),
        device=args.device,
        redo=args.redo,
        only=Only(args.dataset, args.method, args.cell),
        jobs=args.jobs,
        backend=args.backend,
        scheduler=args.scheduler,
        max_replicas=args.replicas,
        quiet=args.quiet,
    )
    old = f" ({done.older} by an older version; --redo does them again)" if done.older else ""
    print(f"{args.table}: {done.made} {done.verb}, {done.there} already recorded{old}, under {root}")
    return 0


def show(args: argparse.Namespace) -> int:
    """Print mean and sample standard deviation over seeds of each row."""
    from metarec.papers import spec
    from metarec.runs.execute import tracks_of
    from metarec.runs.measured import Request
    from metarec.runs.store import Store
    from metarec.show.text import means

    asked = spec(args.table)
    store = Store(_root(args))
    records = asked.records(Request(args.profile, tracks_of(asked, args.track), MOST_SEEDS, store))
    if not records:
        words = "--profile quick " * (args.profile == "quick")
        raise MetarecError(
            f"no records of {args.table} in the {args.profile} profile under {store.root}; run `metarec run "
            f"{words}{args.table}` first."
        )
    print(means(asked.title, records, args.metrics.split(",") if args.metrics else None))
    return 0


def cite(args: argparse.Namespace) -> int:
    """Print BibTeX entries, or the list of keys."""
    from metarec import bibliography

    print("\n".join(bibliography.entries()) if args.name is None else bibliography.cite(args.name))
    return 0


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


def _root(args: argparse.Namespace) -> Path:
    """The folder of the records: the one named, else that of the profile."""
    from metarec.runs.execute import results_root

    home = results_root()
    named: Path | None = args.results
    return (named or (home.parent / ".cache" / "quick" if args.profile == "quick" else home)).absolute()


def _add_results(p: argparse.ArgumentParser) -> None:
    p.add_argument(
        "--results", type=Path, help="folder of the records (default: results/, or METAREC_RESULTS)"
    )


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
