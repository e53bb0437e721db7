"""A server whose every word is an attack, and files of the same kind: on the terminal, the page, the disk."""

import json
import os
import pty
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from lmx_loadgen.store.log_reader import read_log
from lmx_loadgen.store.plan_result import BenchmarkResultStore
from lmx_loadgen.store.result import read_result
from tests.helpers.cli import lmx_loadgen
from tests.helpers.hostile_server import Asked, Told, answering, as_json, as_text, chunk, stream
from tests.helpers.paths import ROOT, RUNS

ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT)}
# A colour and a window title that nothing of ours uses; C1 controls, which are escapes in one byte; a reversed line;
# markup of HTML, of rich and of plotly; a way out of a script element.
ESCAPES = "\x1b[5;95;103mPWN\x1b]0;PWNED\x07\x9b2J\x9d0;PWNED\x9c\u202eDNWP\r\x08\x7f"
MARKUP = "<script>alert(1)</script></script><img src=x onerror=alert(2)><b>[red]PWN[/red]</b>{{7*7}}&quot;\"'"
EVIL = ESCAPES + MARKUP
PATHS = "../../../../../../tmp/pwned\\..\\..\x00/etc/passwd"
MODEL = PATHS + EVIL
CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def deep(levels: int) -> Any:
    return {EVIL: deep(levels - 1)} if levels else EVIL


def generation(asked: Asked) -> Told:
    usage = {"prompt_tokens": EVIL, "completion_tokens": 2, "total_tokens": [EVIL] * 3, EVIL: deep(150)}
    answers = [
        stream(
            b": " + EVIL.replace("\r", "").encode() + b"\n\n",
            chunk({"role": EVIL, "content": EVIL}, id=EVIL, model=MODEL, timings={EVIL: EVIL}),
            chunk({"content": "<" + EVIL, "reasoning_content": EVIL}, model=MODEL),
            chunk({"tool_calls": [{"function": {"name": EVIL, "arguments": EVIL}}]}),
            chunk({}, EVIL),
            {"choices": [], "usage": usage},
        ),
        as_json({"error": {"message": EVIL, "type": EVIL, "code": EVIL}}, 500),
        Told(MARKUP.encode() + EVIL.encode(), 502, [("Content-Type", b"text/html"), ("Server", b"\x9b5;95;103mPWN")]),
        Told(b"", 302, [("Location", b"http://elsewhere/\x9b5;95;103mPWN<script>alert(1)</script>\x9b2J")]),
        Told(b"", 429, [("Retry-After", b"\x9b5;95;103m" + b"9" * 300)]),
        Told(b"", 503, [("X-Request-Id", b"\x1b[5;95;103mPWN")]),
        stream(b"event: error\ndata: " + json.dumps({"error": EVIL}).encode() + b"\n\n"),
        stream(b"data: " + b"[" * 100_000 + b"\n\n"),
        stream(b"data: " + ESCAPES.replace("\r", "").encode() + MARKUP.encode() + b"\n\n"),
    ]
    # The first three answers of four are such as a level needs.
    return answers[0] if asked.number % 4 else answers[(asked.number // 4) % len(answers)]


def attack(asked: Asked) -> Told:
    if asked.path == "/":
        return as_text("Ollama is running")
    if asked.path == "/api/version":
        return as_json({"version": "0.9" + EVIL * 40})
    if asked.path == "/api/ps":
        details = {"quantization_level": "Q4" + EVIL * 40}
        return as_json({"models": [{"name": MODEL, "model": MODEL, "details": details}]})
    if asked.number < 0:
        return as_json({"object": "list", "data": [{"id": MODEL, "owned_by": EVIL}], EVIL: deep(150)})
    return generation(asked)


def harmless(text: str, where: str) -> None:
    found = CONTROLS.search(text)
    assert found is None, (where, text[max(0, found.start() - 60) : found.start() + 60])


class _Page(HTMLParser):
    """What a browser would take for elements and handlers."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.handlers: list[str] = []
        self.sources: list[str] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.handlers += [name for name, _ in attributes if name.startswith("on")]
        self.sources += [value or "" for name, value in attributes if name in ("src", "href")]


def sound_page(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert "<img src=x" not in text
    assert "<script>alert" not in text
    assert "\x1b[5;95;103m" not in text
    page = _Page()
    page.feed(text)
    assert not page.handlers
    assert "img" not in page.tags
    assert not [source for source in page.sources if not source.startswith(("#", "data:"))]
    words = re.sub(r"<(script|style)\b.*?</\1>", "", text, flags=re.DOTALL)
    harmless(words, path.name)


def files_in(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def tool(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "lmx_loadgen", *arguments]
    return subprocess.run(
        command, cwd=cwd, capture_output=True, text=True, encoding="utf-8", timeout=120, env=ENVIRONMENT, check=False
    )


LOAD = ("-c", "2", "--blocks", "2", "-n", "24", "--pause", "0", "--warmup", "0", "--no-calibrate")


@pytest.mark.slow
def test_nothing_that_a_server_says_gets_out_of_the_tool(tmp_path: Path) -> None:
    inside = tmp_path / "a" / "b" / "c" / "d" / "e" / "inside"  # room for the paths to climb
    inside.mkdir(parents=True)
    with answering(attack) as url:
        done = tool("run", "-t", f"openai=openai+{url}", "-t", f"ollama={url}", *LOAD, cwd=inside)
        assert done.returncode == 0, done.stderr
        (folder,) = (inside / "reports").iterdir()
        as_data = tool("run", "-t", f"openai=openai+{url}", *LOAD, "--json", "--out", "other", cwd=inside)
    commands = {
        "plot": ["plot", "--no-open"],
        "compare": ["compare"],
        "compare markdown": ["compare", "--format", "markdown", "--accept", EVIL.replace("\x00", "")],
        "compare json": ["compare", "--format", "json"],
        "compare html": ["compare", "--format", "html"],
        "compare nobody": ["compare", f"reports/{folder.name}:nobody", "openai"],
    }
    outputs = {name: tool(*command, cwd=inside) for name, command in commands.items()} | {"run": done, "json": as_data}

    for name, output in outputs.items():
        assert "Traceback" not in output.stderr, output.stderr
        harmless(output.stdout, f"stdout of {name}")
        harmless(output.stderr, f"stderr of {name}")
    assert as_data.stdout.isascii()
    assert json.loads(as_data.stdout)["targets"][0]["model"] == MODEL
    assert json.loads(outputs["compare json"].stdout)["a"]["target"] == "openai"
    sound_page(inside / "reports" / "report.html")
    sound_page(inside / "comparison.html")
    assert {Path(name).name for name in files_in(tmp_path)} == {
        "events.jsonl",
        "result.json",
        "report.html",
        "comparison.html",
    }
    assert all(name.startswith("a/b/c/d/e/inside/") for name in files_in(tmp_path))
    # It was all there: each attack was met, and none of it cost an answer that was one.
    result, log = read_result(folder), read_log(folder / "events.jsonl")
    assert log.notes == []
    reasons = " ".join(str(error.reason) for target in result.targets for error in target.levels[0].errors)
    met = ("HTTP 500", "HTTP 502", "redirects to http://elsewhere/", "Retry-After", "Invalid header", "not a JSON")
    assert [words for words in met if words not in reasons] == []
    harmless(reasons, "reasons")
    assert result.targets[0].levels[0].requests.ok > 0
    assert all(len(str(error.reason)) <= 300 for error in result.targets[0].levels[0].errors)
    server = result.targets[1].server
    assert (len(server["version"]), len(server["quantization"])) == (60, 120)
    harmless(server["version"] + server["quantization"], "server")
    # A model's name leads nowhere as the name of a file either.
    assert result.targets[0].benchmark is not None
    saved = BenchmarkResultStore(tmp_path / "benchmarks").save(result.targets[0].benchmark)
    assert saved.parent == tmp_path / "benchmarks"
    assert re.fullmatch(r"[A-Za-z0-9_-]+\.json", saved.name)


@pytest.mark.slow
def test_a_terminal_gets_no_command_that_is_not_ours(tmp_path: Path) -> None:
    """On a terminal the tool writes escapes of its own: colours and moves of the cursor, no title, no screen."""
    with answering(attack) as url:
        leader, follower = pty.openpty()
        process = subprocess.Popen(
            [sys.executable, "-m", "lmx_loadgen", "run", "-t", f"openai={url}", *LOAD, "--out", str(tmp_path)],
            stdout=follower,
            stderr=follower,
            stdin=subprocess.DEVNULL,
            env={**ENVIRONMENT, "TERM": "xterm-256color", "COLUMNS": "100"},
        )
        os.close(follower)
        written = b""
        while True:
            try:
                piece = os.read(leader, 65536)
            except OSError:  # the other end is closed
                break
            if not piece:
                break
            written += piece
        os.close(leader)
        assert process.wait(timeout=30) == 0
    text = written.decode("utf-8")
    ours = re.compile(r"\x1b\[(?:\d{1,3}(?:;\d{1,3})*m|\?25[lh]|\d?[AKJ]|2K)|\r\n?")

    assert "\x1b[" in text
    assert "PWN" in text  # as words it may stand there
    assert "\x1b[5;95;103m" not in text
    harmless(ours.sub("", text).replace("\r", ""), "terminal")


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (lambda asked: as_json({"data": [{"id": MODEL}, {"id": "two" + MODEL}]}), 14),
        (lambda asked: as_json({"data": [{"id": "x" * 1_000_000}]}), 13),
        (lambda asked: as_json({"error": EVIL}, 503), 13),
        (lambda asked: as_json({"error": EVIL}, 401), 12),
        (lambda asked: Told(b"[" * 3_000_000), 13),
        (lambda asked: Told(b" " * 30_000_000), 10),
        (lambda asked: Told(EVIL.encode(), 200, [("Content-Encoding", b"gzip")]), 10),
        (lambda asked: Told(b"{}", 200, [("Content-Encoding", b"\x1b[5;95;103m")]), 10),
        (lambda asked: Told(b"", 302, [("Location", b"http://127.0.0.1:1/" + b"x" * 70_000)]), 10),
    ],
    ids=["models", "long-name", "words", "no-key", "deep", "large", "not-gzip", "bad-header", "long-location"],
)
def test_what_a_server_says_before_the_run_is_one_clean_sentence(answer: Any, code: int, tmp_path: Path) -> None:
    with answering(answer) as url:
        done = lmx_loadgen("run", "-t", f"openai={url}", "--no-calibrate", "--out", str(tmp_path))

    assert done.exit_code == code, done.output
    assert len(done.stderr.strip().splitlines()) == 1
    assert len(done.stderr) < 3000
    harmless(done.stderr, "stderr")
    assert list(tmp_path.iterdir()) == []


# Files


PROFILES = {
    "an escape in a key": '"\\e[5;95;103mPWN": 1',
    "an escape in a value": 'name: ["\\e[5;95;103mPWN"]',
    "an escape in a nested key": 'load: {"\\x9b2J<b>": 1}',
    "aliases that multiply": "a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]",
    "objects": "name: !!python/object/apply:os.system [touch pwned]",
    "an abyss": "name: " + "[" * 100_000,
    "an endless number": "load: {requests: " + "9" * 10_000 + "}",
    "a merge": "<<: {name: x}",
}


@pytest.mark.parametrize("text", PROFILES.values(), ids=PROFILES.keys())
def test_a_hostile_profile_is_one_clean_sentence(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("p.yaml").write_text(text, encoding="utf-8")
    done = lmx_loadgen("run", "-p", "p.yaml")

    assert done.exit_code == 3, done.output
    assert len(done.stderr.strip().splitlines()) == 1
    harmless(done.stderr, "stderr")
    assert files_in(tmp_path) == {"p.yaml"}


def abyss(depth: int) -> str:
    return '{"a":' * depth + "1" + "}" * depth


@pytest.mark.edits_runs
@pytest.mark.parametrize("depth", [190, 250, 100_000])
@pytest.mark.parametrize("name", ["result.json", "events.jsonl"])
@pytest.mark.slow
def test_a_stored_run_that_is_an_abyss_is_drawn_or_refused(name: str, depth: int, tmp_path: Path) -> None:
    """Up to where a JSON reader goes, everything behind it goes too; beyond, it is refused."""
    shutil.copytree(RUNS / "head-to-head", tmp_path / "run")
    path = tmp_path / "run" / name
    lines = path.read_text(encoding="utf-8").splitlines() if name == "events.jsonl" else [path.read_text("utf-8")]
    first = json.loads(lines[0])
    first["host"] = {"x": "@@"}
    path.write_text("\n".join([json.dumps(first).replace('"@@"', abyss(depth)), *lines[1:]]), encoding="utf-8")
    if name == "events.jsonl":
        (tmp_path / "run" / "result.json").unlink()
    for command in (["plot", str(tmp_path / "run"), "--no-open", "--output", str(tmp_path / "p.html")],):
        done = lmx_loadgen(*command)
        assert done.exit_code == (0 if depth < 200 else 4), done.output
        assert len(done.stderr.strip().splitlines()) <= 1
    compared = lmx_loadgen("compare", str(tmp_path / "run"))
    assert compared.exit_code == (4 if name == "events.jsonl" and depth > 200 else 0), compared.output


@pytest.mark.edits_runs
def test_a_stored_run_with_hostile_names_is_shown_without_them(tmp_path: Path) -> None:
    shutil.copytree(RUNS / "head-to-head", tmp_path / "run")
    path = tmp_path / "run" / "events.jsonl"
    text = path.read_text(encoding="utf-8")
    names = [target["name"] for target in json.loads(text.splitlines()[0])["targets"]]
    evil = json.dumps(EVIL)[1:-1]
    path.write_text(text.replace(f'"{names[1]}"', f'"{evil}"'), encoding="utf-8")
    for command in (
        ["compare", str(tmp_path / "run")],
        ["compare", str(tmp_path / "run"), "--format", "markdown"],
        ["compare", f"{tmp_path / 'run'}:nobody", names[0]],
        ["compare", str(tmp_path / "run"), names[0]],
    ):
        done = lmx_loadgen(*command)
        assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
        harmless(done.stdout + done.stderr, str(command))
        assert "<script>" not in done.stdout or command[-1] != "markdown"
