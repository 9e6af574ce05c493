"""Does a change of the code change a number? Train under both versions and compare.

    python tools/same_numbers.py COMMIT                   # the present tree against an older commit
    python tools/same_numbers.py FOLDER EXPERIMENT ...    # against older code in a folder, some experiments

The second form is for code from before a change of the quick profile itself: a checkout of it in which the
planted settings are brought in line by hand, and the experiments that it knows.

Every experiment runs in its quick profile under either version: planted data, both tracks, lone runs and
stacks, one CPU thread. A method whose runs all agree, to the last digit that a record keeps, is noted in
results/same-numbers.json, and what its older code has recorded counts as fresh. It is evidence, not proof:
what only real data or a GPU would reach is not compared, nor are times, on which no two runs agree.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from metarec.experiments import names, sameness
from metarec.records import Record
from metarec.report.provenance import module_of

ROOT = Path(__file__).resolve().parents[1]
# Three seeds in stacks of two at most: a stack, and a run alone.
QUICK = ["--profile", "quick", "--seeds", "3", "--replicas", "2", "--device", "cpu", "--quiet"]


def main(before: str, chosen: Sequence[str]) -> int:
    """Compare the present tree with a commit or a folder; exit status 1 if an experiment fails."""
    with tempfile.TemporaryDirectory(prefix="metarec-same-") as folder:
        older = Path(before).resolve() if Path(before).is_dir() else _checkout(before, Path(folder, "code"))
        roots = {Path(folder, "old"): older, Path(folder, "new"): ROOT}
        started = [_start(code, root, chosen) for root, code in roots.items()]
        if any([process.wait() for process in started]):
            print("An experiment failed; nothing was noted.", file=sys.stderr)
            return 1
        old, new = (_untimed(sameness.records(root, chosen)) for root in roots)
    links, differing = sameness.compare(old, new, {key: module_of(r) for key, r in new.items()})
    sameness.add(links)
    for link in links:
        print(f"same numbers in {link.runs} runs: {link.module} {link.before} -> {link.after}")
    for line in differing:
        print(f"other numbers: {line}")
    return 0


def _untimed(records: Mapping[str, Record]) -> dict[str, Record]:
    """The records that hold no times (`ms`)."""
    return {key: r for key, r in records.items() if "ms" not in r.extra}


def _checkout(commit: str, folder: Path) -> Path:
    """The code of a commit, in a clone of its own."""
    git = ["git", "-c", "advice.detachedHead=false"]
    subprocess.run([*git, "clone", "--quiet", str(ROOT), str(folder)], check=True)
    subprocess.run([*git, "checkout", "--quiet", commit], cwd=folder, check=True)
    return folder


def _start(code: Path, root: Path, chosen: Sequence[str]) -> subprocess.Popen[bytes]:
    """Experiments of one version, in a process of its own."""
    command = [sys.executable, "-m", "metarec", "run", *QUICK, "--results", str(root)]
    each = [shlex.join([*command, name]) for name in chosen]  # a folder's name may hold a space
    environment = {**os.environ, "PYTHONPATH": str(code), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(["bash", "-euc", "\n".join(each)], cwd=code, env=environment)


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    sys.exit(main(sys.argv[1], sys.argv[2:] or list(names())))
