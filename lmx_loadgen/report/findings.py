"""What was found of a model beside its speed, in sentences: its answers, what it can do, what was expected of it.

A finding is a sentence and whether it is as one would wish; words from servers in it are sanitised.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from lmx_loadgen.analysis.formats import duration, milliseconds, percent, plural, rate
from lmx_loadgen.analysis.published import LONG_CONTEXT
from lmx_loadgen.profile.load_point import ALONE
from lmx_loadgen.report.baselines import why_unreliable
from lmx_loadgen.report.power import power_words
from lmx_loadgen.report.sanitize import sanitize
from lmx_loadgen.report.view import Level, point_of, prompt_tokens, stat

Sentence = tuple[str, bool]
TargetResultDict = Mapping[str, Any]


def findings(target: TargetResultDict) -> list[Sentence]:
    """Everything there is to say of a target of a result, in the order a reader asks for it."""
    return [
        *_expected(target),
        *_answers(target),
        *(tool_call_finding(call) for call in target.get("tool_calls") or []),
        *(skill_finding(skill) for skill in target.get("skills") or []),
        *_server_figures(target),
        *_power(target),
    ]


def share_of_expected(target: Mapping[str, Any], level: Level) -> str | None:
    """`98 % of what was published (Ollama GGUF 4bit)`, of a level's mean decode rate.

    None where there is nothing to expect, or the level's figures are unsound or of other work than what was published.
    """
    hypothesis = target.get("hypothesis") or {}
    expected, measured = hypothesis.get("toks_per_sec"), stat(level, "decode_tok_s", "mean")
    if not expected or measured is None or why_unreliable(level):
        return None
    least = "" if level.get("token_basis_exact", True) else "at least "  # a chunk of text holds one token or more
    share = f"{least}{percent(measured / expected)}"
    if hypothesis.get("kind") == "bandwidth":
        beyond = ", which shows that the estimate does not hold" if measured > expected else ""
        return f"{share} of what memory allows{beyond}"
    if (prompt_tokens(level) or 0) > LONG_CONTEXT:
        return None
    of = hypothesis.get("of")
    return f"{share} of what was published{f' ({of})' if of else ''}"


def _expected(target: TargetResultDict) -> Iterator[Sentence]:
    expected = target.get("hypothesis")
    if not expected or expected["kind"] == "none":
        return
    level = next((level for level in target["levels"] if point_of(level) == ALONE), None)
    share = share_of_expected(target, level) if level else None
    measured = f"; measured: {sanitize(share, 200)}" if share else ""
    yield f"expected: {sanitize(expected['sentence'], 500)}{measured}", True


def _answers(target: TargetResultDict) -> Iterator[Sentence]:
    flags = Counter[str]()
    qualities = [level["quality"] for level in target["levels"] if level.get("quality")]
    for quality in qualities:
        flags.update(quality["flags"])
    if not flags:
        return
    natural, limited, unknown = (sum(one[end] for one in qualities) for end in ("natural", "limited", "unknown"))
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
    called = sanitize((call.get("raw_tool_call") or {}).get("name") or "nothing by name", 60)
    wrong = [
        words
        for key, words in (
            ("tool_name_correct", f"it called {called}"),
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


def skill_finding(skill: Mapping[str, Any]) -> Sentence:
    """Whether a skill did what it should."""
    name, latency = sanitize(skill["skill_name"], 60), skill.get("skill_latency_sec")
    if skill["skill_invoked_successfully"]:
        preview = sanitize(skill.get("skill_result_preview") or "", 60)
        took = f" in {duration(latency)}" if latency is not None else ""
        return f"skill {name}: done{took}{f': {preview}' if preview else ''}", True
    return f"skill {name}: {sanitize(skill.get('error') or 'failed', 200)}", False


def _server_figures(target: TargetResultDict) -> Iterator[Sentence]:
    """What the server says of its own speed, beside what the client saw."""
    for level in target["levels"]:
        word = level.get("server_word")
        if not word:
            continue
        own_rate, prompt, parts = word["toks_per_sec"], word["prompt_sec"], []
        if own_rate is not None:
            parts.append(f"server says {rate(own_rate)}, client sees {rate(word['client_toks_per_sec'])} tok/s")
        if prompt is not None:  # the prompt alone; the client's time has its queue and the way in it
            parts.append(
                f"server says {milliseconds(prompt)} ms for the prompt, "
                f"client sees {milliseconds(word['client_ttft_sec'])} ms to the first token"
            )
        if parts:
            yield f"{point_of(level).short}: {'; '.join(parts)} (medians; {sanitize(word['source'], 60)})", True
    for own in (target.get("server_benchmarks") or [])[:1]:
        stats = own.get("stats") or {}
        figures = (
            f"{rate(stats.get('toks_per_sec_mean'))} tok/s, mean TTFT {milliseconds(stats.get('ttft_mean_sec'))} ms"
        )
        yield f"its own benchmark says: mean {figures} ({plural(int(stats.get('runs_completed') or 0), 'run')})", True


def _power(target: TargetResultDict) -> Iterator[Sentence]:
    if (found := power_words(target)) is not None:
        yield f"power: {found[0]}", found[1]
