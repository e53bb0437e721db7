"""What was found of a model beside its speed, in sentences: its answers, what it can do, what was expected of it.

A finding is a sentence and whether it is as one would wish; words from servers in it are sanitized.
"""

from collections import Counter
from collections.abc import Iterator

from lmx_loadgen.analysis.baselines import why_unreliable
from lmx_loadgen.analysis.formats import duration, milliseconds, percent, plural, rate
from lmx_loadgen.analysis.published import LONG_CONTEXT
from lmx_loadgen.analysis.run_view import prompt_tokens, stat
from lmx_loadgen.profile.load_point import ALONE
from lmx_loadgen.report.power import power_words
from lmx_loadgen.report.sanitize import sanitize
from lmx_loadgen.store.result import LevelResult, SkillsBenchmark, TargetResult, ToolCallBenchmark

Sentence = tuple[str, bool]


def findings(target: TargetResult) -> list[Sentence]:
    """Everything there is to say of a target of a result, in the order a reader asks for it."""
    return [
        *_expected(target),
        *_answers(target),
        *map(tool_call_finding, target.tool_calls),
        *map(skill_finding, target.skills),
        *_server_figures(target),
        *_power(target),
    ]


def share_of_expected(target: TargetResult, level: LevelResult) -> str | None:
    """`98 % of what was published (Ollama GGUF 4bit)`, of a level's median decode rate.

    None where there is nothing to expect, or the level's figures are unsound or of other work than what was published.
    """
    hypothesis, measured = target.hypothesis, stat(level, "decode_tok_s", "p50")
    if hypothesis is None or not hypothesis.toks_per_sec or measured is None or why_unreliable(level):
        return None
    least = "" if level.token_basis_exact else "at least "  # a chunk of text holds one token or more
    share = f"{least}{percent(measured / hypothesis.toks_per_sec)}"
    if hypothesis.kind == "bandwidth":
        beyond = ", which shows that the estimate does not hold" if measured > hypothesis.toks_per_sec else ""
        return f"{share} of what memory allows{beyond}"
    if (prompt_tokens(level) or 0) > LONG_CONTEXT:
        return None
    return f"{share} of what was published{f' ({hypothesis.of})' if hypothesis.of else ''}"


def _expected(target: TargetResult) -> Iterator[Sentence]:
    expected = target.hypothesis
    if expected is None or expected.kind == "none":
        return
    level = next((level for level in target.levels if level.load_point == ALONE), None)
    share = share_of_expected(target, level) if level else None
    measured = f"; measured: {sanitize(share, 200)}" if share else ""
    yield f"expected: {sanitize(expected.sentence, 500)}{measured}", True


def _answers(target: TargetResult) -> Iterator[Sentence]:
    qualities = [level.quality for level in target.levels if level.quality is not None]
    flags = Counter[str]()
    for quality in qualities:
        flags.update(quality.flags)
    if not flags:
        return
    natural, limited, unknown = (
        sum(getattr(one, end) for one in qualities) for end in ("natural", "limited", "unknown")
    )
    ends = [f"{natural} ended by themselves" if natural else "", f"{limited} reached max_tokens" if limited else ""]
    ends.append(f"of {unknown} the end cannot be told" if unknown else "")
    kinds = ", ".join(f"{number:,} {flag}" for flag, number in sorted(flags.items()))
    yield f"answers: {kinds} ({', '.join(part for part in ends if part)})", not flags["repetitive"] + flags["garbled"]
    for quality in qualities:
        if (stability := quality.stability) is not None:
            yield sanitize(stability.sentence, 300), stability.same == stability.answers


def tool_call_finding(call: ToolCallBenchmark) -> Sentence:
    """Whether a tool was called as it should be."""
    name = sanitize(call.expected_tool_name, 60)
    took = f" in {duration(call.latency_sec)}" if call.latency_sec is not None else ""
    if call.error:
        return f"tool call {name}: no answer: {sanitize(call.error, 200)}", False
    if not call.call_produced:
        return f"tool call {name}: none was made{took}", False
    called = sanitize((call.raw_tool_call or {}).get("name") or "nothing by name", 60)
    wrong = [
        words
        for is_right, words in (
            (call.tool_name_correct, f"it called {called}"),
            (call.params_valid_json, "its arguments are no JSON object"),
            (call.params_match_schema, "its arguments do not fit the tool"),
        )
        if not is_right
    ]
    form = sanitize(call.form or "tool_calls", 40)
    written = "" if form == "tool_calls" else f", left in the text ({form})"
    if wrong:
        return f"tool call {name}: {wrong[0]}{written}", False
    return f"tool call {name}: right{took}{written}", True


def skill_finding(skill: SkillsBenchmark) -> Sentence:
    """Whether a skill did what it should."""
    name, latency = sanitize(skill.skill_name, 60), skill.skill_latency_sec
    if skill.skill_invoked_successfully:
        preview = sanitize(skill.skill_result_preview or "", 60)
        took = f" in {duration(latency)}" if latency is not None else ""
        return f"skill {name}: done{took}{f': {preview}' if preview else ''}", True
    return f"skill {name}: {sanitize(skill.error or 'failed', 200)}", False


def _server_figures(target: TargetResult) -> Iterator[Sentence]:
    """What the server says of its own speed, beside what the client saw."""
    for level in target.levels:
        word = level.server_word
        if word is None:
            continue
        parts = []
        if word.toks_per_sec is not None:
            parts.append(f"server says {rate(word.toks_per_sec)}, client sees {rate(word.client_toks_per_sec)} tok/s")
        if word.prompt_sec is not None:  # the prompt alone; the client's time has its queue and the way in it
            parts.append(
                f"server says {milliseconds(word.prompt_sec)} ms for the prompt, "
                f"client sees {milliseconds(word.client_ttft_sec)} ms to the first token"
            )
        if parts:
            yield f"{level.load_point.short}: {'; '.join(parts)} (medians; {sanitize(word.source, 60)})", True
    for own in target.server_benchmarks[:1]:
        if (stats := own.stats) is not None:
            figures = f"{rate(stats.toks_per_sec_p50)} tok/s, TTFT {milliseconds(stats.ttft_p50_sec)} ms"
            yield f"its own benchmark says: {figures} (medians of {plural(stats.runs_completed or 0, 'run')})", True


def _power(target: TargetResult) -> Iterator[Sentence]:
    if (found := power_words(target)) is not None:
        yield f"power: {found[0]}", found[1]
