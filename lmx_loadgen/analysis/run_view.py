"""Figures of a stored level, looked up by metric and statistic."""

from collections.abc import Sequence

from lmx_loadgen.store.result import LevelResult


def in_order(levels: Sequence[LevelResult]) -> list[LevelResult]:
    """Levels from the lightest load to the heaviest."""
    return sorted(levels, key=lambda level: level.load_point.order)


def stat(level: LevelResult, metric: str, key: str) -> float | None:
    """One statistic of a metric at a level, `None` where it is undefined or was not computed."""
    found = level.metrics.get(metric)
    value = None if found is None else getattr(found, key)
    return None if value is None else float(value)


def mean_interval(level: LevelResult, metric: str) -> tuple[float, float] | None:
    """The 95 % interval of a metric's mean, `None` where it has none."""
    found = level.metrics.get(metric)
    return None if found is None else found.ci95


def prompt_tokens(level: LevelResult) -> float | None:
    """Mean tokens of a prompt, by the count that the level's rates rest on."""
    counts = {"usage": level.tokens.usage, "events": level.tokens.events, "tokenizer": level.tokens.tokenizer}
    found, answers = counts.get(level.token_basis), stat(level, "ttft", "n")
    return found.prompt / answers if found is not None and found.prompt is not None and answers else None


def system_rate(level: LevelResult) -> float | None:
    """Output tok/s of the whole system at a level; undefined where not one token arrived."""
    return stat(level, "output_tok_s", "mean") if stat(level, "output_tok_s", "n") else None
