"""Percentiles of the tail, and what an SLO counts, compared."""

import random
from typing import Any

import pytest

from lmx_loadgen.analysis.comparison.blocks import COMPARED, Block
from lmx_loadgen.analysis.comparison.compare import comparisons_of
from lmx_loadgen.analysis.comparison.figure import LevelBlocks
from lmx_loadgen.analysis.comparison.gate import check_limit, parse_limit
from lmx_loadgen.analysis.comparison.judge import JudgeOptions, judge
from lmx_loadgen.analysis.measured_run import MeasuredRun
from lmx_loadgen.store.comparison import Comparison, MetricComparison
from tests.helpers.made_sessions import PROFILE, Made, session
from tests.helpers.snapshots import numbers_in

TAILS = {name for name, one in COMPARED.items() if one.family == "tail"}
LIMITED = PROFILE | {"slo": {"ttft": 0.3, "tpot": None, "e2e": None}}


def stalling(share: float) -> Any:
    """Every so many requests give their first token, and all that follows, 400 ms later."""
    draw = random.Random(3)

    def change(line: dict[str, Any], number: int) -> dict[str, Any]:
        late = 400_000_000 if draw.random() < share else 0
        arrivals = [[at + late, *rest] for at, *rest in line["arrivals"]]
        return line | {"arrivals": arrivals, "end_ns": line["end_ns"] + late}

    return change


def compared(a: Made, b: Made, **session_of: Any) -> Comparison:
    log = session({"lmx": a, "ollama": b}, **{"blocks": 8, "requests": 40, "profile": LIMITED} | session_of)
    (found,) = comparisons_of(MeasuredRun(log))
    return found


def figures(comparison: Comparison) -> dict[str, MetricComparison]:
    return comparison.levels[0].metrics


def test_equal_medians_and_three_times_the_p95_are_not_equivalent() -> None:
    comparison = compared(Made(), Made(change=stalling(0.12)))
    found = figures(comparison)

    assert found["ttft_p50"].verdict == "equivalent"
    assert (found["ttft_p95"].verdict, found["e2e_p95"].verdict) == ("worse", "worse")
    assert found["ttft_p95"].ratio == pytest.approx(3, rel=0.1)
    assert found["slo_share"].verdict == "worse"
    assert "in the median" in comparison.sentences[0]
    tail = "lmx's p95 of TTFT is shorter than ollama's at concurrency 1: ollama against lmx +"
    assert any(sentence.startswith(tail) for sentence in comparison.sentences)


def test_equal_servers_have_no_different_tails() -> None:
    found = figures(compared(Made(), Made(), noise=0.05))

    assert {name: found[name].verdict for name in TAILS} == dict.fromkeys(TAILS, "undecided") | {
        "slo_share": "equivalent",
        "goodput": found["goodput"].verdict,
    }
    assert found["ttft_p95"].ci95_single is not None


def test_few_requests_have_no_percentiles_of_the_tail() -> None:
    comparison = compared(Made(), Made(change=stalling(0.12)), blocks=6, requests=8)
    found = figures(comparison)["ttft_p95"]

    assert (found.verdict, found.reason_code, found.ci95, found.ratio) == ("undecided", "unsupported", None, None)
    assert numbers_in(found.reason or "") == [100, 48]
    assert found.more_blocks == 7  # 13 blocks of 8 are 104
    assert found.a == pytest.approx(0.2, rel=0.1)  # still shown
    assert figures(comparison)["slo_share"].ci95 is not None


def test_where_no_slo_is_set_nothing_is_counted_by_one() -> None:
    assert {"goodput", "slo_share"} & set(figures(compared(Made(), Made(), profile=PROFILE))) == set()


def test_the_verdict_of_a_tail_is_turned_round_with_the_sides() -> None:
    log = session({"a": Made(change=stalling(0.12)), "b": Made()}, blocks=8, requests=40, profile=LIMITED)
    (one,) = comparisons_of(MeasuredRun(log))

    assert figures(one)["ttft_p95"].verdict == "better"
    assert figures(one)["slo_share"].verdict == "better"
    assert any(words.startswith("b is within the SLO in") for words in one.sentences)


def failing(line: dict[str, Any], number: int) -> dict[str, Any]:
    lost = {"outcome": "http_error", "status": 503, "arrivals": [], "events": [], "finish_reason": None, "usage": None}
    return line | (lost if number % 8 == 0 else {})


def test_a_percentile_among_failed_requests_is_none() -> None:
    found = figures(compared(Made(), Made(change=failing), accepted="asked for"))

    assert (found["ttft_p95"].reason_code, found["ttft_p95"].b) == ("unsupported", None)
    assert "failed" in (found["ttft_p95"].reason or "")
    assert found["slo_share"].verdict == "worse"


def test_a_side_without_any_request_within_the_slo_has_no_ratio() -> None:
    found = figures(compared(Made(), Made(ttft=500)))

    assert (found["goodput"].ratio, found["goodput"].reason_code) == (None, "unsupported")
    assert (found["slo_share"].a, found["slo_share"].b, found["slo_share"].difference) == (1.0, 0.0, -1.0)
    assert found["slo_share"].verdict == "worse"


@pytest.mark.parametrize(
    ("limit", "outcome"),
    [
        ("ttft_p95 > +5%", "broken"),
        ("ttft_p95 > +1000%", "kept"),
        ("ttft_p99 > +10%", "undecided"),  # 320 requests have no p99
        ("slo_share < 95%", "broken"),
        ("slo_share < 50%", "kept"),
        ("slo_share < 88%", "undecided"),
        ("slo_share < -1%", "broken"),
        ("goodput < -1%", "broken"),
        ("goodput < -60%", "kept"),
    ],
)
def test_limits_on_tails_and_on_the_slo(limit: str, outcome: str) -> None:
    (found,) = check_limit(parse_limit(limit), compared(Made(), Made(change=stalling(0.12))))

    assert found.outcome == outcome, found.sentence


def test_a_limit_on_what_no_slo_counts_is_invalid() -> None:
    (found,) = check_limit(parse_limit("goodput < -5%"), compared(Made(), Made(), profile=PROFILE))

    assert found.outcome == "invalid"
    assert "no SLO" in found.sentence


def test_runs_of_a_side_are_held_against_each_other_by_their_own_tails() -> None:
    """Each run is one observation, of its own percentile and its own share."""

    def run(number: int, slower: float) -> Block:
        draw = random.Random(f"{number}/{slower}")
        values = [0.2 * slower * draw.lognormvariate(0, 0.02) for _ in range(120)]
        met = sum(value <= 0.25 for value in values)
        return Block(number, 0.0, {"ttft": {"": values}}, 0, {"goodput": met / 30.0}, None, (met, 120))

    sides = [run(number, 1.0) for number in range(5)], [run(number, 1.5) for number in range(5)]
    (found,) = judge([LevelBlocks(sides)], JudgeOptions(is_paired=False))

    assert (found["ttft_p95"].verdict, found["slo_share"].verdict) == ("worse", "worse")
    assert found["ttft_p95"].ratio == pytest.approx(1.5, rel=0.05)
    assert found["slo_share"].difference == pytest.approx(-1.0)
    assert found["ttft_p99"].reason_code == "unsupported"
