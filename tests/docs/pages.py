"""The pages a user reads, and what stands in them: commands, YAML blocks, links."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import yaml

from lmx_loadgen.analysis.metrics import markdown_table
from tests.helpers.paths import ROOT

REFERENCE = ROOT / "reference"
PAGES = {path.name: path.read_text(encoding="utf-8") for path in (ROOT / "README.md", *sorted(REFERENCE.glob("*.md")))}

_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.DOTALL | re.MULTILINE)
_INDENTED = re.compile(r"(?:^|\n\n)((?:    .*\n)+)")
_METRICS = re.compile(r"^\| name \| unit .*?\n(?=\n|\Z)", re.DOTALL | re.MULTILINE)


def blocks(page: str, language: str) -> list[str]:
    """The fenced blocks of a language, in their order."""
    return [text for found, text in _BLOCK.findall(PAGES[page]) if found == language]


def commands(page: str) -> Iterator[str]:
    """Every command line of a page, in its order: of fenced shell blocks, of indented ones, and of workflow steps."""
    text = PAGES[page]
    without_fences = _BLOCK.sub("", text)
    shell = [*blocks(page, "sh"), *(block.replace("\n    ", "\n")[4:] for block in _INDENTED.findall(without_fences))]
    for block in shell:
        yield from block.replace("\\\n", " ").splitlines()
    for block in blocks(page, "yaml"):
        yield from workflow_commands(block)


def workflow_commands(block: str) -> Iterator[str]:
    """The commands of a GitHub Actions workflow; none of another YAML document."""
    for job in yaml.safe_load(block).get("jobs", {}).values():
        yield from (step["run"] for step in job["steps"] if "run" in step)


def words_of(command: str) -> list[list[str]]:
    """The programs that a line calls, with their arguments, as a shell splits them."""
    return [shlex.split(part, comments=True) for part in command.split(" && ")]


def with_metrics(text: str) -> str:
    """The page with the table of metrics that the declarations give."""
    return _METRICS.sub(lambda _: markdown_table() + "\n", text, count=1)


def links(page: str) -> list[Path]:
    """The files that a page links to."""
    base = ROOT if page == "README.md" else REFERENCE
    found = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", PAGES[page])
    return [base / link for link in found]
