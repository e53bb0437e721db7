"""Keys go to the server and nowhere else, also when the server sends them back in every way it can think of."""

import gzip
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmx_loadgen.errors import ModelNotLoaded
from lmx_loadgen.profile.load_point import ALONE
from lmx_loadgen.session.isolation import Isolation
from lmx_loadgen.session.plan import Segment
from lmx_loadgen.store.log_reader import read_log
from lmx_loadgen.store.result import read_result
from lmx_loadgen.store.segment_key import SegmentKey
from lmx_loadgen.system.api_keys import Keys, without_keys
from lmx_loadgen.targets import DIALECTS
from lmx_loadgen.targets.base import Target
from tests.helpers.cli import lmx_loadgen
from tests.helpers.hostile_server import Asked, Told, answering, as_json, as_text, chunk, stream
from tests.helpers.paths import ROOT

KEY, OTHER, ADMIN = "sk-My/Little+Secret_42", "sk-My/Other+Secret_43", "admin-Secret-44"


def bearer_of(asked: Asked) -> str:
    return asked.headers.get("authorization", "")


def escaped(text: str) -> str:
    """As JSON may spell it: no byte of it stands there as it is."""
    return "".join(f"\\u{ord(letter):04x}" for letter in text)


def echoes(bearer: str) -> list[Told]:
    """An answer for each place that a key can be sent back in."""
    key = bearer.removeprefix("Bearer ")
    finish = chunk({}, "stop", usage={"prompt_tokens": 3, "completion_tokens": 2, "your_key": bearer, bearer: 1})
    whole = stream(chunk({"role": "assistant", "content": f"Your key is {bearer}."}, model=key, id=key), finish)
    in_pieces = stream(*(chunk({"content": letter}) for letter in f"It is {bearer}!"), finish)
    mixed = stream(chunk({"reasoning_content": key[:7]}), chunk({"content": key[7:]}), finish)
    spelt = stream(b'data: {"choices":[{"delta":{"content":"' + escaped(key).encode() + b'"}}]}\n\n', finish)
    call = chunk({"tool_calls": [{"function": {"name": key, "arguments": json.dumps({"key": key})}}]})
    packed = stream(chunk({"content": bearer}), finish)
    return [
        whole,
        in_pieces,
        mixed,
        spelt,
        stream(call, chunk({}, key[:40])),
        stream(chunk({"content": "a"}, timings={"k": bearer}, stats={"k": [{"k": bearer}]}), finish),
        Told(gzip.compress(packed.body), headers=[*packed.headers, ("Content-Encoding", b"gzip")]),
        as_json({"error": {"message": f"bad key {bearer}"}}, 401),
        as_json({"error": "x" * 270 + key}, 500),  # what is said of an error is cut in the middle of it
        Told(f"<html><body>{bearer}</body></html>".encode(), 502),
        Told(b"", 302, [("Location", f"http://elsewhere/?key={key}".encode())]),
        Told(b"", 429, [("Retry-After", key.encode())]),
        Told(b"{}", 200, [("Content-Encoding", key.encode())]),
        Told(b"{}", 200, [(f"X-{key}".replace("/", ""), key.encode())]),
        stream(b"event: error\ndata: " + key.encode() + b"\n\n"),
        stream(chunk({"content": key[:9]}), b"data: " + key.encode() + b"\n\n"),
        Told(key.encode()),
    ]


class Echo:
    """A server that echoes; it also looks at the tool's processes while they run."""

    def __init__(self) -> None:
        self.heard: set[str] = set()
        self.processes: dict[int, str] = {}

    def __call__(self, asked: Asked) -> Told:
        bearer = bearer_of(asked)
        self.heard.add(bearer)
        key = bearer.removeprefix("Bearer ")
        if asked.path == "/":
            return as_text("Ollama is running")
        if asked.path == "/api/version":
            return as_json({"version": f"0.9-{OTHER}" + "x" * 60})
        if asked.path == "/api/ps":
            details = {"quantization_level": "x" * 110 + key}
            return as_json({"models": [{"name": f"echo-{key}", "model": f"echo-{key}", "details": details}]})
        if asked.number < 0:
            return as_json({"data": [{"id": f"echo-{key}"}]})
        if asked.number == 3:
            self.processes = titles_and_environments()
        answers = echoes(bearer)
        return answers[asked.number // 2 % len(answers)] if asked.number % 2 else answers[asked.number % 4]


def titles_and_environments() -> dict[int, str]:
    """By process, command line and environment of everything that runs here, where the system tells."""
    found = {}
    for process in psutil.process_iter():
        try:
            title, environment = " ".join(process.cmdline()), process.environ()
        except (psutil.Error, OSError):
            continue
        if "lmx_loadgen" in title:
            found[process.pid] = "\n".join([title, *(f"{name}={value}" for name, value in environment.items())])
    return found


def leaks(text: str) -> list[str]:
    """Parts of a key that stand in the text; eight characters are enough to tell."""
    return [key for key in (KEY, OTHER, ADMIN) for at in range(len(key) - 11) if key[at : at + 12] in text]


@pytest.fixture(scope="module")
def echoed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Echo, dict[str, str], int]:
    """A run with two keys against the echo, and all that can be made of it: folder, server, outputs, the run's pid."""
    folder = tmp_path_factory.mktemp("keys")
    home = folder / "home"
    (home / ".opta-lmx").mkdir(parents=True)
    (home / ".opta-lmx" / "admin.key").write_text(ADMIN)
    keys = {"BOX_API_KEY": KEY, "OLLAMA_API_KEY": OTHER, "LMX_ADMIN_KEY": ADMIN, "ANOTHER_COPY": KEY}
    environment = {**os.environ, **keys, "PYTHONPATH": str(ROOT), "HOME": str(home)}
    echo, outputs, pid = Echo(), {}, 0
    with answering(echo) as url:
        targets = ["-t", f"box=openai+{url}", "-t", f"ollama={url}"]
        load = ["-c", "2", "-n", "80", "--blocks", "2", "--pause", "0", "--warmup", "1", "--no-calibrate"]
        for name, arguments in {
            "dry": ["run", *targets, *load, "--dry-run"],
            "run": ["run", *targets, *load, "-v"],
            "json": ["run", *targets, *load[:2], "-n", "8", "--no-calibrate", "--pause", "0", "--json"],
            "plot": ["plot", "--no-open"],
            "compare": ["compare"],
            "markdown": ["compare", "--format", "markdown"],
            "compared": ["compare", "--format", "json"],
            "html": ["compare", "--format", "html"],
        }.items():
            command = [sys.executable, "-m", "lmx_loadgen", *arguments]
            process = subprocess.Popen(
                command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
            )
            outputs[name], _ = process.communicate(timeout=120)
            if name == "run":
                pid, processes = process.pid, echo.processes
        echo.processes = processes
    return folder, echo, outputs, pid


@pytest.mark.slow
def test_the_keys_reached_the_server(echoed: Any) -> None:
    _, echo, outputs, _ = echoed
    assert {f"Bearer {KEY}", f"Bearer {OTHER}"} <= echo.heard
    assert "Traceback" not in "".join(outputs.values())


def test_no_output_has_a_key(echoed: Any) -> None:
    _, _, outputs, _ = echoed
    assert {name: leaks(text) for name, text in outputs.items() if leaks(text)} == {}
    assert "echo-***" in outputs["run"]


def test_no_file_has_a_key(echoed: Any) -> None:
    folder, *_ = echoed
    files = [path for path in folder.rglob("*") if path.is_file() and path.name != "admin.key"]
    assert {path.name for path in files} == {"events.jsonl", "result.json", "report.html", "comparison.html"}
    for path in files:
        assert leaks(path.read_text(encoding="utf-8")) == [], path


def test_no_answer_has_a_key_when_it_is_put_together(echoed: Any) -> None:
    folder, *_ = echoed
    run = min(path for path in (folder / "reports").iterdir() if path.is_dir())
    log, result = read_log(run / "events.jsonl"), read_result(run)
    told = 0
    for line in log.requests:
        texts = [[text for _, kind, text in line["events"] if kind in kinds] for kinds in (["content"], ["tool"])]
        texts.append([text for _, kind, text in line["events"]])
        assert [leaks("".join(parts)) for parts in texts] == [[]] * 3
        told += any("*" * 12 in "".join(parts) for parts in texts)
    assert told > 10
    answers = [target.benchmark.stats.output_text for target in result.targets if target.benchmark]
    assert any(answers)
    assert [leaks(answer or "") for answer in answers] == [[]] * len(answers)
    # What is hidden is as long as it was: no text lost an event or a character.
    whole = ["".join(event[2] for event in line["events"]) for line in log.requests]
    pieces = [line for line, said in zip(log.requests, whole, strict=True) if said.startswith("It is Bearer *")]
    assert pieces
    lengths = {len(f"It is Bearer {key}!") for key in (KEY, OTHER)}
    for line in pieces:
        assert sum(event[1] == "content" for event in line["events"]) in lengths


def test_no_process_of_the_tool_has_a_key_but_the_one_that_was_given_it(echoed: Any) -> None:
    _, echo, _, pid = echoed
    assert pid in echo.processes
    assert sum("lmx_loadgen.load.worker" in words for words in echo.processes.values()) >= 1
    for process, words in echo.processes.items():
        title, _, environment = words.partition("\n")
        assert leaks(title) == []
        assert process == pid or leaks(environment) == []


def test_a_key_in_a_refusal_before_the_run_is_hidden(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BOX_API_KEY", KEY)
    for answer in (
        lambda asked: as_json({"data": [{"id": "x" * 105 + bearer_of(asked)}, {"id": "b"}]}),
        lambda asked: as_json({"error": "x" * 270 + bearer_of(asked)}, 503),
    ):
        with answering(answer) as url:
            done = lmx_loadgen("run", "-t", f"box={url}", "--no-calibrate", "--out", str(tmp_path))
        assert done.exit_code in (13, 14)
        assert "***" in done.stderr
        assert leaks(done.stderr) == []


def test_an_admin_key_in_a_refusal_is_hidden() -> None:
    def refuse(asked: Asked) -> Told:
        return as_json({"detail": f"not with {asked.headers['x-admin-key']}"}, 403)

    with answering(refuse) as url:
        targets = {
            name: Target(name, DIALECTS["lmx"], f"{url}/v1", f"m-{ADMIN}", {}, admin_headers={"X-Admin-Key": ADMIN})
            for name in ("a", "b")
        }
        isolation = Isolation(targets, True, lambda: False, dict)
        with pytest.raises(ModelNotLoaded) as caught:
            isolation(Segment(SegmentKey("a", ALONE, 0), 8, None, 1))
    assert f"not with {'*' * len(ADMIN)}" in str(caught.value)
    assert leaks(str(caught.value)) == []


def test_a_key_put_where_its_variable_belongs_is_not_printed(tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text(f"targets: [{{name: lmx, api_key_env: {KEY}}}]")
    done = lmx_loadgen("run", "-p", str(tmp_path / "p.yaml"))

    assert done.exit_code == 3
    assert "the name of an environment variable" in done.stderr
    assert leaks(done.stderr) == []


# Keys, alone


def test_what_hides_and_what_does_not() -> None:
    keys = Keys.sent_in(
        {"Authorization": "Bearer first-key", "X-Other": "no-key-of-ours"}, {"X-Admin-Key": "second-key"}, {}
    )
    assert keys.redact("first-key second-key no-key-of-ours") == "********* ********** no-key-of-ours"
    assert keys.redact_bytes(b"<first-key>") == b"<*********>"
    assert keys.redact_in({"first-key": ["a second-key", 1, None, ("first-key",)]}) == {
        "*********": ["a **********", 1, None, ["*********"]]
    }


def test_a_key_within_another_leaves_nothing_of_either() -> None:
    assert Keys(["secret", "secret-and-more"]).redact("secret-and-more, secret") == "***************, ******"


@pytest.mark.parametrize("key", ["ollama", "lm-studio", "EMPTY", "x", "", "OLLAMA"])
def test_what_is_customary_where_no_key_is_needed_hides_nothing(key: str) -> None:
    keys = Keys.sent_in({"Authorization": f"Bearer {key}"})
    assert not keys
    assert keys.redact("ollama/lm-studio EMPTY x") == "ollama/lm-studio EMPTY x"


@given(
    st.lists(st.tuples(st.sampled_from(["content", "reasoning", "tool", "role"]), st.text("secrt-", max_size=4))),
    st.lists(st.integers(1, 9), max_size=6),
)
def test_no_way_to_cut_a_key_in_pieces_shows_it(before: list[tuple[str, str]], cuts: list[int]) -> None:
    key, pieces, rest = "secret-key", [], "secret-key"
    for cut in cuts:
        pieces.append(rest[:cut])
        rest = rest[cut:]
    events = [[0, kind, text] for kind, text in before] + [[0, "content", piece] for piece in [*pieces, rest]]
    told = Keys([key]).redact_events(events)

    assert [len(event[2]) for event in told] == [len(event[2]) for event in events]
    for kinds in (["content"], ["content", "reasoning"], ["tool"], ["content", "reasoning", "tool"]):
        assert key not in "".join(text for _, kind, text in told if kind in kinds)


def test_children_get_no_key() -> None:
    environment = {"A_KEY": " k1 ", "COPY": "k1", "PATH": "/bin", "EMPTY_KEY": "", "OTHER": "x"}
    assert without_keys(environment, {"A_KEY", "EMPTY_KEY", "NO_SUCH"}) == {"PATH": "/bin", "OTHER": "x"}
