"""What was found of a model beside its speed, in sentences: its answers, what it can do, what was expected of it.

A finding is a sentence and whether it is as one would wish; words from servers in it are sanitised.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from lmx_loadgen.report.expected import share_of_expected
from lmx_loadgen.report.numbers import duration, milliseconds, plural, rate
from lmx_loadgen.report.sanitize import sanitize

Sentence = tuple[str, bool]
TargetResultDict = Mapping[str, Any]


def findings(target: TargetResultDict) -> list[Sentence]:
    """Everything there is to say of a target of a result, in the order a reader asks for it."""
    return [
        *_expected(target),
        *_answers(target),
        *(tool_call_finding(call) for call in target.get("tool_calls") or []),
        *(skill_finding(skill) for skill in target.get("skills") or []),
        *_own_word(target),
    ]


def _measured_share(target: TargetResultDict) -> str:
    """The decode rate of one user as a share of what was expected, in words; empty where either is not known."""
    level = next((level for level in target["levels"] if level["concurrency"] == 1), None)
    share = share_of_expected(target, level) if level else None
    return f"; measured mean: {sanitize(share, 200)}" if share else ""


def _expected(target: TargetResultDict) -> Iterator[Sentence]:
    expected = target.get("hypothesis")
    if expected and expected["kind"] != "none":
        yield f"expected: {sanitize(expected['sentence'], 500)}{_measured_share(target)}", True


def _answers(target: TargetResultDict) -> Iterator[Sentence]:
    flags = Counter[str]()
    natural = limited = unknown = 0
    qualities = [level["quality"] for level in target["levels"] if level.get("quality")]
    for quality in qualities:
        flags.update(quality["flags"])
        natural, limited = natural + quality["natural"], limited + quality["limited"]
        unknown += quality["unknown"]
    if not flags:
        return
    ends = [f"{natural} ended by themselves" if natural else "", f"{limited} at the limit" if limited else ""]
    ends.append(f"of {unknown} the end cannot be told" if unknown else "")
    kinds = ", ".join(f"{number:,} {flag}" for flag, number in sorted(flags.items()))
    yield f"answers: {kinds} ({', '.join(part for part in ends if part)})", not flags["repetitive"] + flags["garbled"]
    for quality in qualities:
        stability = quality.get("stability")
        if stability:
            yield stability["sentence"], stability["same"] == stability["answers"]


def tool_call_finding(call: Mapping[str, Any]) -> Sentence:
    """Whether a tool was called as it should be."""
    name = sanitize(call["expected_tool_name"], 60)
    took = f" in {duration(call['latency_sec'])}" if call.get("latency_sec") is not None else ""
    if call.get("error"):
        return f"tool call {name}: no answer: {sanitize(call['error'], 200)}", False
    if not call["call_produced"]:
        return f"tool call {name}: none was made{took}", False
    wrong = [
        words
        for key, words in (
            ("tool_name_correct", f"it called {_called(call)}"),
            ("params_valid_json", "its arguments are no JSON object"),
            ("params_match_schema", "its arguments are not what the tool takes"),
        )
        if not call[key]
    ]
    form = sanitize(call.get("form") or "tool_calls", 40)
    written = "" if form == "tool_calls" else f", left in the text ({form})"
    if wrong:
        return f"tool call {name}: {wrong[0]}{written}", False
    return f"tool call {name}: right{took}{written}", True


def _called(call: Mapping[str, Any]) -> str:
    return sanitize((call.get("raw_tool_call") or {}).get("name") or "nothing by name", 60)


def skill_finding(skill: Mapping[str, Any]) -> Sentence:
    """Whether a skill did what it should."""
    name, latency = sanitize(skill["skill_name"], 60), skill.get("skill_latency_sec")
    if skill["skill_invoked_successfully"]:
        preview = sanitize(skill.get("skill_result_preview") or "", 60)
        took = f" in {duration(latency)}" if latency is not None else ""
        return f"skill {name}: done{took}{f': {preview}' if preview else ''}", True
    return f"skill {name}: {sanitize(skill.get('error') or 'failed', 200)}", False


def _own_word(target: TargetResultDict) -> Iterator[Sentence]:
    for level in target["levels"]:
        word = level.get("server_word")
        if not word:
            continue
        parts = [
            *_side_by_side("tok/s", rate, word["toks_per_sec"], word["client_toks_per_sec"]),
            *_waits(word["prompt_sec"], word["client_ttft_sec"]),
        ]
        if parts:
            yield f"C={level['concurrency']}: {'; '.join(parts)} (medians; {sanitize(word['source'], 60)})", True
    for own in (target.get("server_benchmarks") or [])[:1]:
        stats = own.get("stats") or {}
        said = f"{rate(stats.get('toks_per_sec_mean'))} tok/s, mean TTFT {milliseconds(stats.get('ttft_mean_sec'))} ms"
        yield f"its own benchmark says: mean {said} ({plural(int(stats.get('runs_completed') or 0), 'run')})", True


def _side_by_side(unit: str, shown: Any, server: float | None, client: float | None) -> Sequence[str]:
    if server is None:
        return []
    return [f"server says {shown(server)}, client sees {shown(client)} {unit}"]


def _waits(prompt: float | None, client: float | None) -> Sequence[str]:
    """The server's time is that of the prompt alone; the client's has its queue and the way in it."""
    if prompt is None:
        return []
    return [
        f"server says {milliseconds(prompt)} ms for the prompt, "
        f"client sees {milliseconds(client)} ms to the first token"
    ]
