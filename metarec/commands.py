"""`metarec run`, `metarec show` and `metarec cite`.

What trains is imported by the command that needs it: to bring in torch takes longer than most others take.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from metarec.errors import MetarecError
from metarec.records import Record, Store


def add_run(commands: Any) -> None:
    """`metarec run EXPERIMENT`: do what is missing of an experiment and record it."""
    p = commands.add_parser("run", help="train what an experiment still lacks and record it")
    p.add_argument(
        "experiment", nargs="?", help="its name, e.g. tanp.table4; without one, the names are listed"
    )
    p.add_argument(
        "--profile", choices=("quick", "full"), default="full", help="quick: planted data, seconds"
    )
    p.add_argument("--track", choices=("published", "sound", "both"), default="both")
    p.add_argument("--seeds", type=int, default=5, help="number of seeds, from 0 (default 5)")
    p.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    p.add_argument("--jobs", type=int, default=1, help="groups of replicas trained at a time")
    p.add_argument("--backend", choices=("loky", "dask", "ray"), default="loky", help="how jobs are spread")
    p.add_argument("--scheduler", help="address of a running Dask scheduler (default: a local cluster)")
    p.add_argument("--replicas", type=int, default=8, help="most seeds or settings stacked into one program")
    p.add_argument(
        "--results", type=Path, help="folder of the records (default: results/, or METAREC_RESULTS)"
    )
    p.add_argument(
        "--redo",
        action="store_true",
        help="train again what older code has recorded, and drop what is no longer asked for",
    )
    p.add_argument("--quiet", action="store_true", help="no progress line")
    p.set_defaults(run=run)


def add_show(commands: Any) -> None:
    """`metarec show EXPERIMENT`: what its records say, means over seeds."""
    p = commands.add_parser("show", help="print what the records of an experiment say")
    p.add_argument("experiment", help="its name, e.g. tanp.table4")
    p.add_argument("--track", choices=("published", "sound", "both"), default="both")
    p.add_argument("--metrics", help="comma-separated names (default: the first nine)")
    p.add_argument(
        "--results", type=Path, help="folder of the records (default: results/, or METAREC_RESULTS)"
    )
    p.set_defaults(run=show)


def add_cite(commands: Any) -> None:
    """`metarec cite NAME`: the BibTeX entry of a paper behind a method or data set."""
    p = commands.add_parser("cite", help="print the BibTeX entry of a method or data set")
    p.add_argument("name", nargs="?", help="its key, e.g. tanp; without one, the keys are listed")
    p.set_defaults(run=cite)


def run(args: argparse.Namespace) -> int:
    """Do an experiment; exit status 0, or 130 when interrupted (what is done is recorded)."""
    from metarec.experiments import execute, names, results_root, scratch_root

    if args.experiment is None:
        for name, e in names().items():
            print(f"{name:24} {e.about}")
        return 0
    quick = args.profile == "quick"
    root = args.results or (scratch_root().parent / "quick" if quick else results_root())
    store = Store(root)
    records = execute(
        args.experiment,
        profile=args.profile,
        track=args.track,
        seeds=args.seeds,
        store=store,
        device=args.device,
        jobs=args.jobs,
        backend=args.backend,
        scheduler=args.scheduler,
        max_replicas=args.replicas,
        scratch=scratch_root(args.results),
        quiet=args.quiet,
        redo=args.redo,
    )
    print(f"{args.experiment}: {len(records)} runs recorded under {root}")
    return 0


def show(args: argparse.Namespace) -> int:
    """Print mean and sample standard deviation over seeds of each method."""
    from metarec.experiments import experiment, results_root, tracks_of

    asked, tracks = experiment(args.experiment), tracks_of(args.experiment, args.track)
    store = Store(args.results or results_root())
    records = [r for r in store.read(asked.paper, asked.name) if r.track in tracks]
    if not records:
        raise MetarecError(
            f"no records of {args.experiment} under {store.root}; run `metarec run {args.experiment}` first."
        )
    known = list(dict.fromkeys(m for r in records for m in r.metrics))
    chosen = args.metrics.split(",") if args.metrics else list(records[0].metrics)[:9]
    for metric in chosen:
        if metric not in known:
            raise MetarecError(f"metric {metric!r} is not recorded here; choose from {', '.join(known)}.")
    groups: dict[tuple[str, str], dict[tuple[str, str], list[Record]]] = defaultdict(
        lambda: defaultdict(list)
    )
    for record in records:
        groups[record.track, record.dataset][record.method, record.config_hash].append(record)
    for (track, dataset), methods in sorted(groups.items()):
        print(f"\n{args.experiment}, {dataset}, {track} track")
        print(f"{'':34} {'seeds':>5} " + " ".join(f"{m:>15}" for m in chosen))
        for (method, _), group in methods.items():
            cells = " ".join(_cell([r.metrics.get(m, float("nan")) for r in group]) for m in chosen)
            print(f"{method:34} {len(group):>5} {cells}")
    return 0


def cite(args: argparse.Namespace) -> int:
    """Print one BibTeX entry, or the list of keys."""
    entries = _bibliography()
    if args.name is None:
        print("\n".join(entries))
        return 0
    found = [key for key in entries if args.name.lower() in key.lower()]
    if not found:
        raise MetarecError(f"nothing to cite under {args.name!r}; the keys are {', '.join(entries)}.")
    print("\n\n".join(entries[key] for key in found))
    return 0


def _bibliography() -> dict[str, str]:
    """The entries of the book's bibliography by key, from the checkout."""
    path = Path(str(resources.files("metarec"))).parent / "book" / "references.bib"
    if not path.exists():
        raise MetarecError(f"{path} is missing; run `metarec cite` in a checkout of the project.")
    entries = {}
    for block in path.read_text(encoding="utf-8").split("\n@")[0:]:
        text = block if block.startswith("@") else "@" + block
        if "{" in text and "," in text:
            entries[text.split("{", 1)[1].split(",", 1)[0].strip()] = text.strip()
    return entries


def _cell(values: list[float]) -> str:
    if np.isnan(values).all():
        return "-".rjust(15)
    mean = np.mean(values)
    spread = f" ± {np.std(values, ddof=1):.4f}" if len(values) > 1 else ""
    return f"{mean:.4f}{spread}".rjust(15)
