"""More than two targets: every two are compared, as one family, and letters sum it up."""

import re
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmx_loadgen.analysis.comparison.blocks import arm_of
from lmx_loadgen.analysis.comparison.compare import compare, comparisons_of
from lmx_loadgen.analysis.comparison.ranking import letters, rankings
from lmx_loadgen.analysis.measured_run import MeasuredRun
from lmx_loadgen.analysis.summary import summarize
from lmx_loadgen.report import ranking as shown
from tests.helpers.made_sessions import Made, session

SLOWER, SLOWEST = Made(ttft=220, step=22), Made(ttft=260, step=26)


def run_of(**targets: Made) -> MeasuredRun:
    return MeasuredRun(session(targets))


def test_every_two_targets_are_compared() -> None:
    found = comparisons_of(run_of(a=Made(), b=Made(), c=SLOWER, d=SLOWEST))

    assert [(one.a.target, one.b.target) for one in found] == list(combinations("abcd", 2))
    assert {one.levels[0].metrics["ttft_p50"].verdict for one in found} == {"equivalent", "worse"}


def test_all_pairs_are_one_family() -> None:
    """Of three pairs each has less to spend than one alone."""
    run = run_of(a=Made(), b=Made(), c=SLOWER)
    alone = compare(arm_of(run, "a"), arm_of(run, "b")).levels[0].metrics["ttft_p50"]
    of_three = comparisons_of(run)[0].levels[0].metrics["ttft_p50"]

    assert alone.ci95 is not None
    assert of_three.ci95 is not None
    assert of_three.ci95[1] - of_three.ci95[0] > alone.ci95[1] - alone.ci95[0]
    assert of_three.p == alone.p


def test_the_best_is_first_and_equals_share_a_letter() -> None:
    result = summarize(run_of(a=SLOWER, b=Made(), c=Made(), d=SLOWEST))
    ttft = next(one for one in result.rankings if one.figure == "ttft_p50")
    decode = next(one for one in result.rankings if one.figure == "decode_tok_s_p50")

    assert [(one.target, one.letters) for one in ttft.targets][2:] == [("a", "b"), ("d", "c")]
    assert {one.target: one.letters for one in ttft.targets}["b"] == "a"
    assert {one.target: one.letters for one in ttft.targets}["c"] == "a"
    assert decode.targets[-1].target == "d"
    assert shown.lines([ttft])[0].startswith("TTFT at concurrency 1: ")
    assert re.search(r", a \d+ ms b, d \d+ ms c$", shown.lines([ttft])[0])


def test_two_targets_have_no_ranking() -> None:
    assert summarize(run_of(a=Made(), b=Made())).rankings == []


def test_a_figure_that_a_pair_was_refused_has_none() -> None:
    found = rankings(comparisons_of(run_of(a=Made(), b=Made(), c=Made(prompt=99))))

    assert found == []


NAMES = "abcdefg"
PAIRS = st.sets(st.sampled_from([frozenset(pair) for pair in combinations(NAMES, 2)]))


@given(PAIRS)
def test_two_have_a_letter_in_common_just_where_they_are_not_apart(apart: set[frozenset[str]]) -> None:
    found = letters(NAMES, apart)

    assert all(found.values())
    for one, other in combinations(NAMES, 2):
        assert bool(set(found[one]) & set(found[other])) == (frozenset((one, other)) not in apart)


def test_letters_go_from_the_best_to_the_worst() -> None:
    apart = {frozenset(pair) for pair in ("ac", "ad", "bd")}

    assert letters("abcd", apart) == {"a": "a", "b": "ab", "c": "bc", "d": "c"}


@pytest.mark.slow
def test_equal_targets_are_separated_in_5_percent_of_sessions_at_most() -> None:
    """Three targets whose truth is equal; any letter that is not common to all is a false one."""
    from tests.benchmarks.verdicts import bounds

    draw, false = np.random.default_rng(5), 0
    for seed in draw.integers(1, 10_000, size=25):
        log = session({"a": Made(), "b": Made(), "c": Made()}, noise=0.05, seed=int(seed), requests=4)
        found = summarize(MeasuredRun(log)).rankings
        false += any(len({target.letters for target in one.targets}) > 1 for one in found)
    assert bounds(false, 25)[0] <= 0.05
