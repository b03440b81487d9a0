"""The notebook of docs/, run as a reader runs it."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pandas as pd
from nbclient import NotebookClient

NOTEBOOK = Path(__file__).parents[1] / "docs" / "three-uses.ipynb"


def test_the_notebook_runs_and_shows_its_frontier(tmp_path: Path) -> None:
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert not any(cell.outputs for cell in code), "saved with its outputs"
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}}).execute()
    shown = [output for cell in code for output in cell.outputs if "image/png" in output.get("data", {})]
    assert len(shown) == 1
    assert set(pd.read_csv(tmp_path / "runs" / "notebook" / "frontier.csv").role) == {"baseline", "reference"}
    said = "".join(output.text for cell in code for output in cell.outputs if output.output_type == "stream")
    for words in ("baseline: ", "coefficients: alpha ", "Take "):
        assert words in said
    assert "Traceback" not in said
