"""Did two servers do the same work? Asked before any verdict; where they did not, there is none.

Each check looks at both sides, at one level or at the whole, and finds it passed, failed, or not to be known. What
failed refuses the figures it bears on, with a sentence that names the reason and both values.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from lmx_loadgen.analysis.comparison import same_setup, same_work
from lmx_loadgen.analysis.comparison.blocks import Arm
from lmx_loadgen.analysis.comparison.finding import At, AuditFinding, alpha_of
from lmx_loadgen.profile.load_point import LoadPoint
from lmx_loadgen.store.comparison import AuditLine

# Each is given how much of the chance of a false alarm it may spend.
AT_LEVEL: dict[str, tuple[str, Callable[[At, float], AuditFinding]]] = {
    "prompt_tokens": ("Prompt tokens", same_work.prompt_tokens),
    "output_length": ("Output length", same_work.output_length),
    "finish_reasons": ("Finish reasons", same_work.finish_reasons),
    "coherence": ("Coherence", same_work.coherence),
    "reasoning": ("Reasoning", same_work.reasoning),
    "token_basis": ("Token basis", same_work.token_basis),
    "tainted": ("Instrument", same_work.tainted),
    "error_rate": ("Error rate", same_work.error_rate),
    "cache_new_nonce": ("Prompt cache", same_work.cache_new_nonce),
}
OF_WHOLE: dict[str, tuple[str, Callable[[Arm, Arm], AuditFinding]]] = {
    "model": ("Model", same_setup.model),
    "quantization": ("Quantization", same_setup.quantization),
    "settings": ("Settings", same_setup.settings),
}


def audit(a: Arm, b: Arm, levels: Sequence[At]) -> list[AuditLine]:
    """Every check's lines: one for all levels it found the same at, so that a table of them stays short."""
    lines = [_line(key, title, [], check(a, b)) for key, (title, check) in OF_WHOLE.items()]
    for key, (title, check) in AT_LEVEL.items():
        found: dict[tuple[Any, ...], list[tuple[LoadPoint, AuditFinding]]] = {}
        for at in levels:
            finding = check(at, alpha_of(levels))
            separate = at.load_point if finding.status == "failed" else None
            found.setdefault((finding.status, separate, finding.metrics), []).append((at.load_point, finding))
        for group in found.values():
            points = [point for point, _ in group]
            every = len(points) == len(levels)
            lines.append(_line(key, title, [] if every else points, _summed_up([one for _, one in group])))
    return lines


def _line(key: str, title: str, points: list[LoadPoint], found: AuditFinding) -> AuditLine:
    return AuditLine(
        key=key,
        title=title,
        status=found.status,
        load_points=points,
        metrics=list(found.metrics),
        a=found.observed[0],
        b=found.observed[1],
        sentence=found.sentence,
    )


def refuses(line: AuditLine, metric: str, point: LoadPoint) -> bool:
    """Whether a check takes away the verdict on a figure at a level."""
    of_metric = not line.metrics or metric in line.metrics
    return line.status == "failed" and of_metric and (not line.load_points or point in line.load_points)


def _summed_up(findings: Sequence[AuditFinding]) -> AuditFinding:
    a, b = (" / ".join(dict.fromkeys(one.observed[place] for one in findings)) for place in (0, 1))
    return replace(findings[0], observed=(a, b))
