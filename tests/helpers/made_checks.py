"""`check` lines made by hand: what a target answered to the questions by which a comparison is checked."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from lmx_loadgen.store.log_reader import LogContents
from tests.helpers.made_lines import MS, usage

LONG = "a quiet answer of some length that goes on for a while and then ends"


def check_line(
    target: str,
    kind: str,
    name: str,
    text: str = LONG,
    *,
    ttft: float = 200.0,
    step: float = 20.0,
    reads: Sequence[float] | None = None,
    prompt: int = 800,
    tokens: int | None = None,
    finish: str = "length",
    max_tokens: int = 32,
    temperature: float = 0.0,
    seed: int | None = 42,
    expects: str | None = None,
) -> dict[str, Any]:
    """An answer, a word a read: the first after `ttft` ms and the others `step` ms apart, or at the times `reads`."""
    words = text.split(" ")
    times = list(reads) if reads is not None else [ttft + step * place for place in range(len(words))]
    return {
        "type": "check",
        "at_ns": 0,
        "target": target,
        "check": kind,
        "asked": {
            "prompt": name,
            "nonce": "0123456789abcdef",
            "max_tokens": max_tokens,
            "temperature": temperature,
            "seed": seed,
            "expects": expects,
        },
        "answer": {
            "arrivals": [[round(time * MS), 100] for time in times],
            "events": [[place, "content", f"{word} "] for place, word in enumerate(words[: len(times)])],
            "usage": usage(prompt, len(words) if tokens is None else tokens),
            "finish_reason": finish,
            "model": "m",
        },
        "error": None,
        "latency_ns": round(times[-1] * MS),
    }


def needles(target: str, found: int, of: int = 4, **changes: Any) -> list[dict[str, Any]]:
    """Answers to as many questions for a code, the first of them right."""
    return [
        check_line(
            target, "needle", f"text-{place}", f"KX-41{place}7." if place < found else "I see none.",
            expects=f"KX-41{place}7", max_tokens=20, **changes,
        )
        for place in range(of)
    ]  # fmt: skip


def timed(target: str, kind: str, ttfts: Sequence[float], **changes: Any) -> list[dict[str, Any]]:
    """Answers to the same texts, which came after so many ms."""
    return [check_line(target, kind, f"text-{place}", ttft=ttft, **changes) for place, ttft in enumerate(ttfts)]


def settings(target: str, **texts: Sequence[str]) -> list[dict[str, Any]]:
    """Answers to the run's own prompts: `first`, `again` and so on, one for each prompt."""
    return [
        check_line(target, "settings", f"{name.replace('_', '-')}-{place}", text)
        for name, of_name in texts.items()
        for place, text in enumerate(of_name)
    ]


def with_checks(log: LogContents, *lines: Sequence[dict[str, Any]]) -> LogContents:
    """The log with these answers in it."""
    return replace(log, checks=[*log.checks, *(line for some in lines for line in some)])
