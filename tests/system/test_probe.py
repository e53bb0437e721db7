"""The machine as it is asked: plain numbers, several commands at once, and no exceptions."""

import os
from pathlib import Path

from lmx_loadgen.system.probe import Probe


def test_commands_run_at_once(tmp_path: Path) -> None:
    """Each needs the other: one after the other neither would end."""
    os.mkfifo(tmp_path / "pipe")
    found = Probe().run_all(
        {
            "reads": ["sh", "-c", f"cat {tmp_path}/pipe"],
            "writes": ["sh", "-c", f"echo hello > {tmp_path}/pipe"],
            "fails": ["sh", "-c", "echo words; exit 3"],
        }
    )

    assert found == {"reads": "hello", "writes": "", "fails": None}


def test_no_language_has_decimal_commas() -> None:
    assert Probe().run(["sh", "-c", "echo $LC_ALL"]) == "C"
