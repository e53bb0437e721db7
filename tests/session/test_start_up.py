"""Starting takes time in proportion to the prompts: `python -m tests.benchmarks.startup` measures how much."""

import sys
from pathlib import Path
from typing import Any

from tests.benchmarks.startup import start_up, write_prompts


def calls_of(path: Path) -> int:
    """How many functions are called to start with these prompts: what a busy machine does not change."""
    count = 0

    def note(frame: Any, event: str, argument: Any) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        start_up(path)
    finally:
        sys.setprofile(before)
    return count


def test_twice_the_prompts_take_twice_the_work(tmp_path: Path) -> None:
    start_up(write_prompts(tmp_path, 10))  # whatever is made once
    few, many = (calls_of(write_prompts(tmp_path, count)) for count in (400, 800))

    assert many < 2.1 * few
