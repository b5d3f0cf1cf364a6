"""The notebook of the documentation runs from top to bottom."""

import ast
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOK = Path(__file__).parent.parent / "docs" / "library.ipynb"


@pytest.mark.slow
def test_every_cell_runs_and_the_model_learns(tmp_path):
    book = nbformat.read(NOTEBOOK, as_version=4)
    NotebookClient(book, timeout=300, resources={"metadata": {"path": str(tmp_path)}}).execute()
    printed = "".join(part.get("text", "") for cell in book.cells for part in cell.get("outputs", []))
    steps = [
        ast.literal_eval(line.partition(" ")[2]) for line in printed.splitlines() if line.startswith(("0 {", "30 {"))
    ]
    assert steps[0]["psnr"] < steps[1]["psnr"]


def test_it_is_kept_without_outputs():
    book = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(book)
    assert not any(cell.get("outputs") for cell in book.cells)
