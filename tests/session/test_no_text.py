"""`--no-text`: no word of a prompt or an answer is stored or shown, and every figure stays as it is."""

import html
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lmx_loadgen.analysis.measured_run import read_run
from lmx_loadgen.analysis.no_text import blanked, header_without_text, line_without_text
from lmx_loadgen.analysis.summary import summarize
from lmx_loadgen.profile.models import Profile
from lmx_loadgen.store.eventlog import NAME
from lmx_loadgen.store.lines import LINES
from lmx_loadgen.store.log_reader import read_log
from lmx_loadgen.store.result import RunResult
from tests.helpers.cli import lmx_loadgen, sentence_of
from tests.helpers.echo_server import echo_server
from tests.helpers.made_lines import header_line
from tests.helpers.paths import RUNS

ASKED, SAID, FIELD = "quokkafish", "wörterbaum", "zanzibarfield"
NO_TEXT = "texts were not kept (--no-text)"
LOAD = ("-c", "1", "-n", "6", "--blocks", "3", "--pause", "0", "--no-calibrate", "--tool-call")
_ESCAPE = re.compile(r"\\u([0-9a-f]{4})", re.IGNORECASE)
# The more tokens, the more time is planned, and the more is asked beside the load.
LONG = ("--max-tokens", "8000")
# Lines of the audit that compare words.
OF_WORDS = {"overlap", "ignored_settings"}


def check_no_word(text: str) -> None:
    """No secret, whether as it is, in JSON or in HTML."""
    decoded = html.unescape(text) + _ESCAPE.sub(lambda found: chr(int(found[1], 16)), text)
    for word in (ASKED, SAID, FIELD):
        assert word not in (text + decoded).lower(), text[max(0, (text + decoded).lower().find(word) - 200) :][:400]


def check_folder(folder: Path) -> None:
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert files
    for path in files:
        check_no_word(path.read_bytes().decode("utf-8", "replace"))


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with echo_server(SAID) as url:
        yield url


def run_of(server: str, out: Path, *flags: str) -> tuple[Path, str]:
    """A head-to-head run without text, and what it said."""
    asked = ("--prompt", f"Tell me of {ASKED}.", "--extra-body", json.dumps({"user": FIELD}), "--no-text", "--out", out)
    done = lmx_loadgen("run", "-t", f"a={server}", "-t", f"b={server}", *LOAD, *LONG, *asked, *flags)
    assert done.exit_code == 0, done.output
    (folder,) = out.iterdir()
    return folder, done.output


@pytest.fixture(scope="module")
def stored(server: str, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    return run_of(server, tmp_path_factory.mktemp("no-text"), "--verbose")


def test_no_word_is_in_the_run_s_folder_or_on_any_screen(stored: tuple[Path, str]) -> None:
    folder, said = stored
    log = read_log(folder / NAME)
    kinds = {kind for line in log.requests for _, kind, text in line["events"] if text}

    assert {"content", "reasoning"} <= kinds
    assert any(line["outcome"] == "http_error" and line["reason"] == f"HTTP 400: {NO_TEXT}" for line in log.requests)
    assert {line["check"] for line in log.checks} >= {"tool_call", "needle", "settings"}
    check_folder(folder)
    check_no_word(said)
    assert NO_TEXT in said


COMMANDS = (
    ("plot", "{run}", "--output", "{out}/page.html", "--no-open"),
    ("compare", "{run}", "--format", "markdown"),
    ("compare", "{run}", "--format", "junit"),
    ("compare", "{run}", "--format", "json"),
    ("compare", "{run}", "--format", "html", "--output", "{out}/comparison.html"),
    ("results", "show", "{run}:a", "--results-dir", "{runs}"),
    ("results", "show", "{run}:a", "--results-dir", "{runs}", "--json"),
    ("recompute", "{run}"),
)


def test_no_word_is_in_what_is_made_of_it(stored: tuple[Path, str], tmp_path: Path) -> None:
    places = {"run": stored[0], "runs": stored[0].parent, "out": tmp_path}
    for command in COMMANDS:
        made = lmx_loadgen(*(word.format(**places) for word in command))
        assert made.exit_code in (0, 32), made.output
        check_no_word(made.output)
    check_folder(tmp_path)


def test_what_needs_the_words_is_unknown_and_the_rest_is_known(stored: tuple[Path, str]) -> None:
    result = json.loads((stored[0] / "result.json").read_text("utf-8"))
    audit = {line["key"]: line for line in result["comparisons"][0]["audit"]}
    (call,) = result["targets"][0]["tool_calls"]
    stats = result["targets"][0]["benchmark"]["stats"]

    assert (audit["overlap"]["status"], audit["overlap"]["sentence"]) == ("unknown", NO_TEXT)
    assert NO_TEXT in audit["ignored_settings"]["sentence"]
    assert {audit[key]["status"] for key in ("coherence", "reasoning", "visible_text", "needle")} == {"passed"}
    assert NO_TEXT in result["notes"]
    assert (call["call_produced"], call["params_match_schema"]) == (True, True)
    assert call["raw_tool_call"] == {"name": "get_weather", "arguments": ""}
    assert stats["output_text"] is None
    assert stats["repetition_ratio"] is not None


def test_it_is_resumed_with_the_same_prompt_given_again(server: str, stored: tuple[Path, str], tmp_path: Path) -> None:
    cut = tmp_path / "cut"
    cut.mkdir()
    lines = (stored[0] / NAME).read_bytes().splitlines(keepends=True)
    (cut / NAME).write_bytes(b"".join(lines[: len(lines) // 2]))
    resume = ("run", "--resume", cut)
    again = ("--extra-body", json.dumps({"user": FIELD}), "--prompt")

    assert "was run with --no-text and does not have its prompt" in sentence_of(lmx_loadgen(*resume))
    assert "another prompt" in sentence_of(lmx_loadgen(*resume, *again, "Tell me more."))
    done = lmx_loadgen(*resume, *again, f"Tell me of {ASKED}.")
    assert done.exit_code == 0, done.output
    assert read_log(cut / NAME).header["no_text"]
    check_folder(cut)
    check_no_word(done.output)


def test_a_run_with_its_texts_takes_no_prompt_beside_resume(tmp_path: Path) -> None:
    said = lmx_loadgen("run", "--resume", RUNS / "interrupted", "--prompt", "Hi").output
    assert "--prompt cannot be combined with --resume" in said


def test_a_card_has_no_answer(server: str, tmp_path: Path) -> None:
    made = lmx_loadgen("probe", server, "--json", env={"LMX_LOADGEN_CALIBRATION": str(tmp_path)})
    answers = json.loads(made.stdout)
    answers["errors"] = {}  # the server's own words on wrong requests of ours

    assert made.exit_code == 0, made.output
    check_no_word(json.dumps({**answers, "fields": {}}, ensure_ascii=False))


@pytest.mark.parametrize("name", ["failed", "head-to-head", "hostile", "interrupted"])
def test_every_figure_is_the_same(name: str, tmp_path: Path) -> None:
    whole = RUNS / name / NAME
    lines = [json.loads(line) for line in whole.read_bytes().splitlines()]
    left = [{**lines[0], "no_text": True}, *map(line_without_text, lines[1:])]
    (tmp_path / NAME).write_text("".join(f"{json.dumps(line)}\n" for line in left), "utf-8")

    assert figures(tmp_path / NAME) == figures(whole)


def figures(path: Path) -> dict[str, Any]:
    """A result without what only words can tell, and without the words of errors."""
    result: RunResult = summarize(read_run(path))
    found = result.as_dict()
    for key in ("profile", "notes"):
        del found[key]
    for target in found["targets"]:
        for level in target["levels"]:
            errors = level.pop("errors")
            level["failed"] = sum(one["count"] for one in errors)
            if level["quality"]:
                level["quality"]["stability"] = None
        if target["benchmark"]:
            target["benchmark"]["prompt_preview"] = ""
            (target["benchmark"]["stats"] or {})["output_text"] = None
    for comparison in found["comparisons"]:
        comparison["audit"] = [line for line in comparison["audit"] if line["key"] not in OF_WORDS]
    return found


def test_a_note_on_what_a_server_refuses_does_not_quote_it() -> None:
    note = "the server refuses a system role (HTTP 400: {user}): its text stands at the head of the user's message"
    (target, *_) = header_line()["targets"]
    header = header_line() | {
        "profile": Profile().model_dump(mode="json"),
        "prompt_preview": ASKED,
        "targets": [target | {"notes": [note.format(user=FIELD), "the server refuses seed, so requests leave it out"]}],
    }

    left = header_without_text(header)
    check_no_word(json.dumps(left, ensure_ascii=False))
    assert left["targets"][0]["notes"][0].startswith("the server refuses a system role: its text stands")
    assert left["targets"][0]["notes"][1:] == header["targets"][0]["notes"][1:]


@pytest.mark.parametrize("text", ["Hello, 42 wörld…\n", " 中文 🎈\u200b", "", "\ud800"])
def test_a_character_is_replaced_by_one_of_its_kind(text: str) -> None:
    left = blanked(text)

    assert (len(left), [one.isspace() for one in left]) == (len(text), [one.isspace() for one in text])
    assert not set(left) & set("Helowrd中文🎈,42…")


def test_what_a_started_server_writes_is_not_kept(tmp_path: Path) -> None:
    fails = f"{sys.executable} -c 'import sys; sys.exit(\"{SAID} {{port}}\")'"
    done = lmx_loadgen("run", "--server-cmd", f"a={fails}", "--no-text", "--no-calibrate", "--out", tmp_path)

    assert done.exit_code == 10, done.output
    assert "its output was not kept (--no-text)" in done.stderr
    check_no_word(done.stderr)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


# Every place of the log that holds text, so that a new one is decided on: what is hidden, in whole or in part, and what
# is kept, being a name, a setting or this tool's own.
PROFILE_HIDDEN = {
    *("prompts.text", "request.extra", "checks.include_skills.arguments"),
    *("checks.tool_calls.prompt", "checks.tool_calls.expect", "checks.tool_calls.tools"),
}
PROFILE_KEPT = {
    *("name", "description", "tokenizer", "checks.include_skills.name", "load.replay"),
    *(f"prompts.{key}" for key in ("file", "chats", "shared_system", "column")),  # names, and no texts of theirs
    *(f"targets.{key}" for key in ("name", "url", "model", "dialect", "api_key_env", "admin_key_env")),
}
LINES_HIDDEN = {
    "header": {"prompt_preview", "targets.notes"},
    "request": {"reason", "server_timings", "usage"},
    "check": {"asked", "answer", "error"},
}
LINES_KEPT = {
    "header": {
        *("accepted", "beside.started_at", "going_on", "host.chip", "host.machine_id", "instrument", "plan.target"),
        *("run_id", "started_at", "tool_version", "versions", "lengths"),
        *(f"targets.{key}" for key in ("base_url", "card", "dialect", "hypothesis", "model", "name", "server")),
        *(f"nodes.{key}" for key in ("name", "tool_version", "versions", "calibration", "beside.started_at")),
        *("nodes.host.chip", "nodes.host.machine_id"),
    },
    "request": {"finish_reason", "model", "node", "nonce", "notes", "prompt_id", "response_id", "target"},
    "check": {"target"},
}


def texts_in(schema: dict[str, Any], known: dict[str, Any], path: str = "") -> Iterator[str]:
    """The places in a JSON schema that hold any text."""
    schema = known[schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema
    for one in schema.get("anyOf", []):
        yield from texts_in(one, known, path)
    for name, one in schema.get("properties", {}).items():
        yield from texts_in(one, known, f"{path}.{name}".lstrip("."))
    if "items" in schema:
        yield from texts_in(schema["items"], known, path)
    is_name = "enum" in schema or "const" in schema
    is_open = schema.get("type") == "object" and "properties" not in schema
    if is_open or (schema.get("type") == "string" and not is_name):
        yield path


def test_each_text_of_a_profile_is_decided_on() -> None:
    schema = Profile.model_json_schema()

    assert set(texts_in(schema, schema["$defs"])) == PROFILE_HIDDEN | PROFILE_KEPT


@pytest.mark.parametrize("kind", LINES_HIDDEN)
def test_each_text_of_a_line_is_decided_on(kind: str) -> None:
    schema = LINES[kind].json_schema()

    assert set(texts_in(schema, schema.get("$defs", {}))) == LINES_HIDDEN[kind] | LINES_KEPT[kind]
