"""A notebook measures and shows a run, in a kernel whose event loop runs."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

from lmx_loadgen.sim.process import SimProcess, start
from lmx_loadgen.sim.settings import SimSettings


@pytest.fixture
def sim() -> Iterator[SimProcess]:
    with start(SimSettings(ttft_ms=2.0, step_ms=1.0, prefill_tok_s=None)) as running:
        yield running


def shown(cell: Any) -> dict[str, Any]:
    """What a cell shows as its value, by media type."""
    (output,) = [output for output in cell.outputs if output.output_type == "execute_result"]
    data: dict[str, Any] = output.data
    return data


@pytest.mark.slow
def test_a_notebook_measures_and_shows_a_run(sim: SimProcess, tmp_path: Path) -> None:
    asked = f"'box={sim.url}', concurrency=[1, 2], requests=2, max_tokens=4, calibrate=False, pause=0"
    cells = [
        f"import lmx_loadgen\nrun = lmx_loadgen.run({asked})\nrun",
        f"awaited = await lmx_loadgen.arun({asked})\nlen(awaited.requests())",
        "run.to_pandas()",
        "run.save_page('page.html')",
    ]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(tmp_path)}}).execute()

    assert "<table" in shown(notebook.cells[0])["text/html"]
    assert int(shown(notebook.cells[1])["text/plain"]) >= 4
    assert "ttft_s" in shown(notebook.cells[2])["text/html"]
    assert (tmp_path / "page.html").is_file()
    assert all(output.output_type != "stream" for cell in notebook.cells for output in cell.outputs)
