"""What `--no-text` leaves of a run's event log: times, counts and lengths, and no word that users and models wrote.

The characters of an answer are replaced by others of their kind, since metrics count them: a letter by `x`, white space
by a blank, everything else by a sign of as many bytes. What needs the words themselves is computed before (`shape`).
"""

import re
from collections.abc import Mapping
from typing import Any

from lmx_loadgen.analysis.comparison.visible_characters import is_visible
from lmx_loadgen.analysis.digest import digest, digests, has_digest
from lmx_loadgen.analysis.text_events import answer_text
from lmx_loadgen.analysis.text_shape import NOT_KEPT, has_code, shape_of
from lmx_loadgen.analysis.tool_calls import judge
from lmx_loadgen.decode.chat import TEXT_KINDS
from lmx_loadgen.store.result import NOT_SUPPORTED

_LETTER, _UNSEEN, _OTHERS = "x", "\u200b", {1: "0", 2: "¤", 3: "□", 4: "\U0001f533"}
# Outcomes whose reasons are this tool's own sentences, and where those end that quote the server.
_OWN_OUTCOMES = frozenset(
    {"connect_error", "connect_timeout", "first_token_timeout", "gap_timeout", "request_timeout", "reset", "truncated"}
)
_QUOTING = "; the server's last message: "
# What a server said when it refused a part of a request, in a note on it.
_QUOTED = re.compile(r"(?<=^the server refuses a system role) \(.*\)", re.DOTALL)
_OWN_ERRORS = (NOT_SUPPORTED, "no answer within ", "the run was stopped", "needs an admin key")
# What of a profile servers and models read.
_WITH_TEXTS = (("prompts", "text"), ("request", "extra"), ("checks", "tool_calls"), ("checks", "include_skills"))
# Names in a server's own results; all other texts there may be prompts and answers.
_NAMES = frozenset({"model_id", "backend", "timestamp", "status", "hardware", "lmx_version", "coherence_flag", "form"})


def blanked(text: str) -> str:
    """As many characters of the same kinds."""
    return "".join(map(_stand_in, text))


def _stand_in(character: str) -> str:
    if character.isspace():
        return "\n" if character == "\n" else " "
    if not is_visible(character):
        return _UNSEEN
    if character.isascii() and character.isalpha():
        return _LETTER
    return _OTHERS[len(character.encode())]


def header_without_text(header: Mapping[str, Any]) -> dict[str, Any]:
    """The first line of a log: its profile and the preview of its prompt without their texts, and its targets' notes
    without the server's words, which may repeat the request."""
    targets = [{**one, "notes": [_QUOTED.sub("", note) for note in one["notes"]]} for one in header["targets"]]
    return {
        **header,
        "profile": profile_without_text(header["profile"]),
        "targets": targets,
        "prompt_preview": digest(header["prompt_preview"]),
        "no_text": True,
    }


def profile_without_text(profile: Mapping[str, Any]) -> dict[str, Any]:
    """A profile's dump with digests in place of what it has models read."""
    found = dict(profile)
    for section, key in _WITH_TEXTS:
        found[section] = {**found[section], key: _hidden(key, profile[section][key])}
    return found


def _hidden(key: str, value: Any) -> Any:
    if key == "tool_calls":
        return [digest(one) for one in value]
    if key == "include_skills":  # their names say which are to run
        return [{**one, "arguments": digests(one["arguments"])} for one in value]
    return digests(value)


def lacks_texts(profile: Mapping[str, Any]) -> bool:
    """Whether a run of this profile needs its texts given again."""
    return has_digest([profile[section][key] for section, key in _WITH_TEXTS])


def with_texts(profile: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any] | None:
    """A profile with digests, and the texts that they stand for out of another; None where those are others."""
    hidden, found = profile_without_text(given), dict(profile)
    for section, key in _WITH_TEXTS:
        if hidden[section][key] != profile[section][key]:
            return None
        found[section] = {**found[section], key: given[section][key]}
    return found


def line_without_text(line: Mapping[str, Any]) -> dict[str, Any]:
    """A line of the log without the texts of prompts and answers; lines without any are as they were."""
    if line["type"] == "request":
        return _request(line)
    return _check(line) if line["type"] == "check" else dict(line)


def _request(line: Mapping[str, Any]) -> dict[str, Any]:
    return {
        **_answer(line),
        "reason": _reason(line["outcome"], line["status"], line["reason"]),
        "server_timings": _numbers(line["server_timings"]),
    }


def _answer(line: Mapping[str, Any]) -> dict[str, Any]:
    """A request line, or the answer of a check with events, without its text."""
    return {
        **line,
        "events": [[index, kind, _event_text(kind, text)] for index, kind, text in line["events"]],
        "usage": _numbers(line["usage"]),
        "shape": shape_of(answer_text(line)).as_dict(),
    }


def _event_text(kind: str, text: str) -> str:
    if kind in TEXT_KINDS:
        return blanked(text)
    return text if kind == "finish" or (kind == "usage" and text.isdecimal()) else ""


def _reason(outcome: str, status: int | None, words: str | None) -> str | None:
    if words is None or outcome in _OWN_OUTCOMES or outcome == "cancelled":
        return words
    if outcome in ("incomplete", "empty"):
        return words.partition(_QUOTING)[0]
    return f"HTTP {status}: {NOT_KEPT}" if outcome == "http_error" else NOT_KEPT


def _check(line: Mapping[str, Any]) -> dict[str, Any]:
    asked, answer, error = line["asked"], line["answer"], line["error"]
    kind = line["check"]
    kept: dict[str, Any] = {**line, "error": error if error is None or error.startswith(_OWN_ERRORS) else NOT_KEPT}
    if kind == "tool_call":
        found = judge(asked, answer, kept["error"], line["latency_ns"])
        called = _called(asked, found.raw_tool_call)
        hidden: dict[str, Any] = {
            "tool_definition": {},
            "prompt_used": digest(asked["prompt"]),
            "raw_tool_call": called,
        }
        judged = None if answer is None else {"judged": found.model_copy(update=hidden).model_dump(mode="json")}
        return kept | {"asked": {"prompt": digest(asked["prompt"]), "expect": asked["expect"]}, "answer": judged}
    if kind == "skill":
        return kept | {"asked": {**asked, "arguments": digests(asked["arguments"])}, "answer": answer and {}}
    if kind == "server_benchmark":
        return kept | {"asked": {**asked, "prompt": digest(asked["prompt"])}, "answer": _names_and_numbers(answer)}
    if kind == "token_count":
        came = answer and {**answer, "text": blanked(answer["text"]), "usage": _numbers(answer["usage"])}
        return kept | {"answer": came}
    if answer is None:
        return kept
    code = asked.get("expects")
    found_code = {"has_code": has_code(answer_text(answer), code)} if code else {}
    return kept | {"answer": {**_answer(answer), **found_code}}


def _numbers(value: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """What a server counted, by name."""
    if value is None:
        return None
    return {
        key: _numbers(one) if isinstance(one, Mapping) else one
        for key, one in value.items()
        if isinstance(one, Mapping | int | float)
    }


def _called(asked: Mapping[str, Any], call: Mapping[str, Any] | None) -> dict[str, str] | None:
    """The call without its arguments; its name too is the model's own, unless it is of a tool on offer."""
    if call is None:
        return None
    offered = {tool["function"]["name"] for tool in asked["tools"]}
    return {"name": call["name"] if call["name"] in offered else "another tool", "arguments": ""}


def _names_and_numbers(value: Any, name: str = "") -> Any:
    """A server's own results with their figures and without their texts."""
    if isinstance(value, str):
        return value if name in _NAMES else ""
    if isinstance(value, Mapping):
        return {key: _names_and_numbers(one, key) for key, one in value.items()}
    return [_names_and_numbers(one, name) for one in value] if isinstance(value, list) else value
