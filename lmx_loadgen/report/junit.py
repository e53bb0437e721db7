"""Comparisons as JUnit XML, which build servers show as test results."""

import xml.etree.ElementTree as ET
from collections.abc import Iterator, Sequence

from lmx_loadgen.analysis.comparison.gate import LimitResult
from lmx_loadgen.analysis.comparison.sentences import changes
from lmx_loadgen.report.sanitize import REPLACEMENT, sanitize
from lmx_loadgen.store.comparison import Comparison, MetricComparison

_MOST = 600
# How a limit that is not kept is shown: JUnit's `error` is a test that could not be judged.
_LIMITS = {"broken": "failure", "undecided": "error", "invalid": "error"}


def junit(comparisons: Sequence[Comparison], limits: Sequence[LimitResult] = ()) -> str:
    """A suite for each comparison with a case for each figure, and one for the limits of `--fail-on`.

    A figure that is worse fails; one that is inconclusive or refused is skipped, with the reason. A broken limit fails;
    one that is inconclusive, or not compared, is an error.
    """
    root = ET.Element("testsuites", name="lmx-loadgen compare")
    for comparison in comparisons:
        title = f"{_words(comparison.b.label, 60)} against {_words(comparison.a.label, 60)}"
        _add_suite(root, title, list(_figure_cases(comparison, title)))
    if limits:
        _add_suite(root, "limits", [_limit_case(one) for one in limits])
    ET.indent(root)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{ET.tostring(root, encoding="unicode")}\n'


def _add_suite(root: ET.Element, name: str, cases: Sequence[ET.Element]) -> None:
    counts = {f"{kind}s": sum(case.find(kind) is not None for case in cases) for kind in ("failure", "error")}
    counts["skipped"] = sum(case.find("skipped") is not None for case in cases)
    numbers = {key: str(number) for key, number in counts.items()}
    ET.SubElement(root, "testsuite", {"name": name, "tests": str(len(cases)), **numbers}).extend(cases)


def _figure_cases(comparison: Comparison, title: str) -> Iterator[ET.Element]:
    for level in comparison.levels:
        for found in level.metrics.values():
            case = ET.Element("testcase", classname=title, name=f"{found.title} at {level.load_point.label}")
            if found.verdict == "worse":
                _add(case, "failure", f"worse: {_values(found)}")
            elif found.verdict in ("undecided", "refused"):
                shown = "inconclusive" if found.verdict == "undecided" else found.verdict
                _add(case, "skipped", f"{shown}: {found.reason}" if found.reason else shown)
            else:
                ET.SubElement(case, "system-out").text = f"{found.verdict}: {_values(found)}"
            yield case


def _limit_case(limit: LimitResult) -> ET.Element:
    words = _words(limit.sentence)
    case = ET.Element("testcase", classname="limits", name=words)
    if (kind := _LIMITS.get(limit.outcome)) is not None:
        _add(case, kind, words)
    return case


def _values(found: MetricComparison) -> str:
    """What was compared, in base units, with the change and its interval."""
    return f"{found.a:.4g} {found.unit} → {found.b:.4g} {found.unit}, {changes(found)}"


def _add(case: ET.Element, kind: str, words: str) -> None:
    ET.SubElement(case, kind, message=_words(words))


def _words(text: str, limit: int = _MOST) -> str:
    """The text as XML may hold it: two characters that Unicode assigns to nothing are not allowed there."""
    return sanitize(text, limit).replace("\ufffe", REPLACEMENT).replace("\uffff", REPLACEMENT)
