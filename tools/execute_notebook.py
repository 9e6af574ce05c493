"""Run notebooks and store their outputs, so that running again changes no byte where no result changed.

    python tools/execute_notebook.py                       # every notebook
    python tools/execute_notebook.py notebooks/x/y.ipynb   # some (a .py pair may be named as well)

Of a notebook and its .py pair, the one changed last is taken; both are then written: laid out by ruff, the
.ipynb with outputs, cell ids made from the cells' own text, no times and no versions.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import jupytext
import nbformat
from jupytext.cli import jupytext as jupytext_command
from jupytext.compare import NotebookDifference, compare_notebooks
from nbclient import NotebookClient

ROOT = Path(__file__).resolve().parents[1]
KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}
TIMEOUT_SECONDS = 1200


def read_latest(notebook: Path) -> Any:
    """The cells, from the file of the pair that was changed last, with whatever outputs are stored."""
    text = notebook.with_suffix(".py")
    if not text.exists():
        return nbformat.read(notebook, as_version=4)
    from_text = jupytext.read(text)
    if not notebook.exists():
        return from_text
    stored = nbformat.read(notebook, as_version=4)
    try:
        compare_notebooks(from_text, stored, fmt="py:percent", compare_outputs=False)
    except NotebookDifference:
        newest = max(notebook, text, key=lambda path: path.stat().st_mtime)
        print(f"  the pair differs; taking {newest.name}, which was changed last")
        return from_text if newest == text else stored
    return stored


def laid_out(nb: Any) -> Any:
    """The notebook as `ruff format` would have it."""
    ruff = subprocess.run(
        [
            sys.executable,
            "-m",
            "ruff",
            "format",
            "--quiet",
            "--stdin-filename",
            "notebooks/notebook.ipynb",
            "-",
        ],
        input=nbformat.writes(nb),
        capture_output=True,
        encoding="utf-8",
        cwd=ROOT,
    )
    if ruff.returncode:
        raise SystemExit(f"ruff could not read the code: {ruff.stderr}")
    return nbformat.reads(ruff.stdout, as_version=4)


def name_cells(nb: Any) -> None:
    """Give every cell an id made from its type and text, so that an id changes only with its cell."""
    seen: dict[str, int] = {}
    for cell in nb.cells:
        digest = hashlib.sha256(f"{cell.cell_type}\n{cell.source}".encode()).hexdigest()[:10]
        seen[digest] = seen.get(digest, 0) + 1
        cell.id = digest if seen[digest] == 1 else f"{digest}-{seen[digest]}"


def join_streams(outputs: list[Any]) -> list[Any]:
    """Neighbouring pieces of the same stream as one: where the kernel cuts them is chance."""
    joined: list[Any] = []
    for output in outputs:
        last = joined[-1] if joined else None
        if (
            last is not None
            and output.output_type == last.output_type == "stream"
            and output.name == last.name
        ):
            last.text += output.text
        else:
            joined.append(output)
    return joined


def tidy(nb: Any) -> None:
    """Drop what differs between two runs or two machines and is no result."""
    nb.metadata = nbformat.from_dict({"kernelspec": KERNEL})
    nb.nbformat, nb.nbformat_minor = 4, 5
    for cell in nb.cells:
        cell.metadata.pop("execution", None)
        if cell.cell_type == "code":
            cell.outputs = join_streams(cell.outputs)


def execute(notebook: Path) -> None:
    """Run one notebook in its own folder and write the pair."""
    nb = laid_out(read_latest(notebook))
    nb.metadata = nbformat.from_dict({"kernelspec": KERNEL})
    name_cells(nb)
    resources = {"metadata": {"path": str(notebook.parent)}}
    NotebookClient(nb, timeout=TIMEOUT_SECONDS, record_timing=False, resources=resources).execute()
    tidy(nb)
    nbformat.validate(nb)
    notebook.write_text(nbformat.writes(nb).rstrip("\n") + "\n", encoding="utf-8", newline="\n")
    jupytext_command(["--quiet", "--to", "py:percent", str(notebook)])


def main(arguments: list[str]) -> None:
    """Run the named notebooks, or all."""
    named = [Path(argument).resolve().with_suffix(".ipynb") for argument in arguments]
    os.chdir(ROOT)
    os.environ.setdefault("PYTHONHASHSEED", "0")
    found = {
        path.with_suffix(".ipynb")
        for kind in ("*.ipynb", "*.py")
        for path in (ROOT / "notebooks").rglob(kind)
    }
    for notebook in named or sorted(path for path in found if ".ipynb_checkpoints" not in path.parts):
        print(notebook.relative_to(ROOT), flush=True)
        execute(notebook)


if __name__ == "__main__":
    main(sys.argv[1:])
