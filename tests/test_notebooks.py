"""What every notebook must be: a pair, executed, parametrised, free of machinery, and quick to try."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

import jupytext
import nbformat
import pytest
from jupytext.compare import compare_notebooks

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = sorted(
    path
    for path in (ROOT / "notebooks").rglob("*.ipynb")
    if not {".ipynb_checkpoints", "output"} & set(path.parts)
)
EXPERIMENT_PARAMETERS = {"profile", "track", "seeds", "device"}
# A notebook that trains nothing (a derivation, a count of data, a first look) needs a profile only.
MACHINERY = {
    "a class": r"^\s*class \w",
    "a backward pass": r"\.backward\(|torch\.autograd\.grad\(",
    "an optimiser": r"\boptim\.\w+\(",
    "a loop over epochs": r"for \w*epoch\w* in|while .*epoch",
    "a warning filter": r"warnings\.(filterwarnings|simplefilter)",
    "an installation": r"^\s*[!%]\s*(pip|conda)",
}

if not NOTEBOOKS:
    pytest.skip("there is no notebook yet", allow_module_level=True)

each_notebook = pytest.mark.parametrize(
    "path", NOTEBOOKS, ids=lambda p: p.relative_to(ROOT / "notebooks").as_posix()
)


def read(path: Path) -> Any:
    """The stored notebook."""
    return nbformat.read(path, as_version=4)


def code_cells(path: Path) -> list[Any]:
    """Its code cells that hold something."""
    return [cell for cell in read(path).cells if cell.cell_type == "code" and cell.source.strip()]


def parameter_cell(path: Path) -> Any:
    """The one cell tagged `parameters`."""
    tagged = [cell for cell in code_cells(path) if "parameters" in cell.metadata.get("tags", [])]
    assert len(tagged) == 1, f"{len(tagged)} cells are tagged `parameters`, there must be one"
    return tagged[0]


def is_experiment(path: Path) -> bool:
    """Whether the notebook reports trained runs: then it carries their parameters too."""
    if path.stem.endswith("framework"):  # a diagram
        return False
    return re.search(r"^(table(?!2)|fig)\d*", path.stem) is not None


@each_notebook
def test_text_pair_holds_the_same_cells(path: Path) -> None:
    text = path.with_suffix(".py")
    assert text.exists(), f"{text.name} is missing: run `make notebooks`"
    compare_notebooks(jupytext.read(text), read(path), fmt="py:percent", compare_outputs=False)


@each_notebook
def test_every_code_cell_was_run_in_order_from_a_fresh_kernel(path: Path) -> None:
    counts = [cell.execution_count for cell in code_cells(path)]
    assert counts == list(range(1, len(counts) + 1))


@each_notebook
def test_stored_outputs_hold_no_error_and_no_warning(path: Path) -> None:
    for cell in code_cells(path):
        for output in cell.outputs:
            assert output.output_type != "error", output.ename
            assert output.get("name") != "stderr", output.text


@each_notebook
def test_parameters_are_annotated_literals(path: Path) -> None:
    names = set()
    for statement in ast.parse(parameter_cell(path).source).body:
        if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
            continue
        assert isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name), ast.unparse(
            statement
        )
        assert statement.value is not None
        ast.literal_eval(statement.value)  # raises where papermill could not replace the value as it stands
        names.add(statement.target.id)
    wanted = EXPERIMENT_PARAMETERS if is_experiment(path) else {"profile"}
    assert wanted <= names, f"missing: {sorted(wanted - names)}"


@each_notebook
@pytest.mark.parametrize("what", MACHINERY)
def test_notebook_holds_calls_not_machinery(path: Path, what: str) -> None:
    for cell in code_cells(path):
        assert not re.search(MACHINERY[what], cell.source, re.M), (
            f"{what} belongs into metarec:\n{cell.source}"
        )


@each_notebook
def test_every_output_figure_has_alternative_text(path: Path) -> None:
    for cell in code_cells(path):
        images = [o for o in cell.outputs if any(kind.startswith("image/") for kind in o.get("data", {}))]
        if images:
            alt = cell.metadata.get("mystnb", {}).get("image", {}).get("alt", "")
            assert len(alt) >= 20, f"a figure without a description; its cell begins {cell.source[:60]!r}"
            assert not alt.endswith((".png", ".svg"))


def snapshot(folder: Path) -> dict[Path, tuple[int, int]]:
    """Size and time of every file below a folder."""
    return {p: (p.stat().st_size, p.stat().st_mtime_ns) for p in folder.rglob("*") if p.is_file()}


def reads_profile(path: Path) -> bool:
    """Whether a cell after the parameters uses `profile`; if none does, a quick run is the recorded one."""
    names = [
        node.id
        for cell in code_cells(path)
        if "parameters" not in cell.metadata.get("tags", [])
        for node in ast.walk(ast.parse(cell.source))
        if isinstance(node, ast.Name)
    ]
    return "profile" in names


@pytest.mark.parametrize(
    "path",
    [path for path in NOTEBOOKS if reads_profile(path)],
    ids=lambda p: p.relative_to(ROOT / "notebooks").as_posix(),
)
def test_quick_profile_runs_from_start_to_end(path: Path, tmp_path: Path) -> None:
    """Papermill only warns of a parameter the notebook does not know, hence the check of the names first."""
    import papermill

    known = papermill.inspect_notebook(str(path))
    chosen = {"profile": "quick"}
    assert set(chosen) <= set(known)
    before = snapshot(ROOT / "results")
    papermill.execute_notebook(
        str(path),
        str(tmp_path / path.name),
        parameters=chosen,
        cwd=str(path.parent),
        kernel_name="python3",
        progress_bar=False,
    )
    assert snapshot(ROOT / "results") == before, "a quick run must not write into the committed results"
