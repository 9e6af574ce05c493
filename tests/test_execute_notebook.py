"""The notebook runner: equal input gives equal bytes, and nothing of the run but its results is kept."""

from __future__ import annotations

from pathlib import Path

import execute_notebook
import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output


def test_ids_follow_from_the_text_alone() -> None:
    first = new_notebook(cells=[new_markdown_cell("a"), new_code_cell("x = 1"), new_code_cell("x = 1")])
    second = new_notebook(cells=[new_code_cell("y = 2"), new_markdown_cell("a"), new_code_cell("x = 1")])
    execute_notebook.name_cells(first)
    execute_notebook.name_cells(second)
    ids = [cell.id for cell in first.cells]
    assert len(set(ids)) == 3  # equal cells still differ
    assert [second.cells[1].id, second.cells[2].id] == ids[:2]  # a cell put in front changes no other id
    nbformat.validate(first)


def test_pieces_of_a_stream_are_joined_and_streams_kept_apart() -> None:
    def stream(name: str, text: str) -> nbformat.NotebookNode:
        return new_output("stream", name=name, text=text)

    joined = execute_notebook.join_streams(
        [stream("stdout", "a"), stream("stdout", "b"), stream("stderr", "c"), stream("stdout", "d")]
    )
    assert [(o.name, o.text) for o in joined] == [("stdout", "ab"), ("stderr", "c"), ("stdout", "d")]


def test_code_is_laid_out_as_ruff_would() -> None:
    nb = execute_notebook.laid_out(new_notebook(cells=[new_code_cell("x={'a':1}")]))
    assert nb.cells[0].source == 'x = {"a": 1}'


@pytest.mark.slow
def test_running_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    """The second run starts from the first one's files; alternative text and tags live through both."""
    text = tmp_path / "small.py"
    text.write_text(
        '# %% tags=["parameters"]\nprofile: str = "quick"\n\n'
        '# %% mystnb={"image": {"alt": "nothing"}}\nprint(profile)\nprint(1)\n',
        encoding="utf-8",
    )
    notebook = tmp_path / "small.ipynb"
    execute_notebook.execute(notebook)
    before = notebook.read_bytes(), text.read_bytes()
    execute_notebook.execute(notebook)
    assert (notebook.read_bytes(), text.read_bytes()) == before
    cells = nbformat.read(notebook, as_version=4).cells
    assert cells[0].metadata == {"tags": ["parameters"]}
    assert cells[1].metadata == {"mystnb": {"image": {"alt": "nothing"}}}
    assert cells[1].outputs[0].text == "quick\n1\n"
