"""Every example of `reference/python.md` runs as it stands there."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lmx_loadgen.api.keywords import Keywords
from lmx_loadgen.session.runner import Runner
from tests.helpers.default_servers import servers_at_their_addresses
from tests.helpers.paths import ROOT

PAGE = (ROOT / "reference" / "python.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)


@pytest.fixture
def servers() -> Iterator[None]:
    with servers_at_their_addresses("lmx", "ollama"):
        yield


@pytest.mark.slow
def test_every_example_runs(servers: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    """One after the other, in one folder, as a reader would try them; only without the pauses between blocks."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Runner, "_pause", lambda self, seconds: None)
    names: dict[str, Any] = {}
    for number, block in enumerate(BLOCKS, start=1):
        exec(compile(block, f"python.md, example {number}", "exec"), names)
    said = capsys.readouterr().out

    assert len(BLOCKS) >= 9
    assert (tmp_path / "page.html").stat().st_size > 100_000
    assert "undecided" in said
    assert "did you mean 'concurrency'? (allowed: accept, " in said
    assert "\n10 " in said


def test_every_keyword_is_explained() -> None:
    named = set(re.findall(r"`(\w+)`", PAGE.partition("## Keywords")[2]))

    assert set(Keywords.__annotations__) <= named
