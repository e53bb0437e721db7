"""Whole sessions, from the event log to verdicts."""

from dataclasses import replace

import pytest

from lmx_loadgen.analysis.comparison.blocks import COMPARED, arm_of
from lmx_loadgen.analysis.comparison.compare import compare, comparisons_of, conclusive
from lmx_loadgen.analysis.comparison.gate import check_limit, parse_limit
from lmx_loadgen.analysis.comparison.runs import compare_runs
from lmx_loadgen.analysis.comparison.sides import Rules, Side
from lmx_loadgen.analysis.measured_run import MeasuredRun
from lmx_loadgen.analysis.summary import summarize
from lmx_loadgen.errors import ResultError
from lmx_loadgen.profile.load_point import ALONE
from lmx_loadgen.store.comparison import Comparison, MetricComparison
from lmx_loadgen.store.log_reader import LogContents
from tests.helpers.made_sessions import Made, session
from tests.helpers.snapshots import check_snapshot, numbers_in

SLOWER = Made(ttft=220, step=22)


def interleaved(a: Made, b: Made, **changes: object) -> Comparison:
    (found,) = comparisons_of(MeasuredRun(session({"lmx": a, "ollama": b}, **changes)))  # type: ignore[arg-type]
    return found


MIDDLES = [name for name, one in COMPARED.items() if one.family != "tail"]


def sequential(first: LogContents, second: LogContents, rules: Rules | None = None) -> Comparison:
    sides = [
        arm_of(MeasuredRun(log), log.header["targets"][0]["name"], label)
        for log, label in ((first, "old"), (second, "new"))
    ]
    return compare(sides[0], sides[1], rules)


def figure(comparison: Comparison, name: str = "ttft_p50") -> MetricComparison:
    return comparison.levels[0].metrics[name]


# One session


def width(interval: tuple[float, float] | None) -> float:
    assert interval is not None
    return interval[1] - interval[0]


def test_a_slower_server_is_worse_in_everything() -> None:
    comparison = interleaved(Made(), SLOWER)

    assert {name: figure(comparison, name).verdict for name in MIDDLES} == dict.fromkeys(MIDDLES, "worse")
    for name in ("ttft_p50", "e2e_p50"):
        assert figure(comparison, name).ratio == pytest.approx(1.1, abs=0.02)
    for name in ("decode_tok_s_p50", "output_tok_s"):
        assert figure(comparison, name).ratio == pytest.approx(1 / 1.1, abs=0.02)
    assert figure(comparison).n == 6
    assert figure(comparison).a == pytest.approx(0.2, abs=0.003)


def test_the_winner_is_the_subject_of_the_sentence() -> None:
    first, second, third = interleaved(Made(), SLOWER, noise=0.001).sentences

    assert [words.split()[0] for words in (first, second, third)] == ["lmx"] * 3
    concurrency, difference, confidence, low, high, blocks = numbers_in(first)
    assert (difference, concurrency, confidence, blocks) == (10, 1, 95, 6)
    assert low <= difference <= high
    assert "ollama against lmx −9.1 %" in second  # the one difference that there is, whoever is first
    assert [words.split()[0] for words in interleaved(SLOWER, Made()).sentences] == ["ollama"] * 3


def test_snapshot_of_the_sentences_of_each_verdict() -> None:
    runs = session({"lmx": Made()}, noise=0.001), session({"lmx": SLOWER}, noise=0.001, run_id="4567cdef", seed=2)
    shown = {
        "worse": interleaved(Made(), SLOWER, noise=0.001),
        "equivalent": interleaved(Made(), Made()),
        "undecided": interleaved(Made(), SLOWER, noise=0.2, blocks=4),
        "too few blocks": interleaved(Made(), SLOWER, blocks=2),
        "characters": interleaved(Made(dialect="lmx", finish="stop"), Made(ttft=250)),
        "separate runs": sequential(*runs),
    }
    lines = [f"{name}: {words}" for name, found in shown.items() for words in (*found.sentences, *found.notes)]

    check_snapshot("comparison-sentences.txt", "\n".join(lines))


def test_equal_servers_are_equivalent() -> None:
    comparison = interleaved(Made(), Made())

    assert figure(comparison).verdict == "equivalent"
    assert numbers_in(comparison.sentences[0])[:3] == [1, 3, 95]  # the level, the margin, the interval
    for name in ("lmx", "ollama"):
        assert name in comparison.sentences[0]


def test_noise_leaves_it_undecided_and_says_how_many_blocks_would_make_it_conclusive() -> None:
    comparison = interleaved(Made(), SLOWER, noise=0.2, blocks=4)
    found = figure(comparison)

    assert found.verdict == "undecided"
    assert found.more_blocks is not None
    assert numbers_in(found.reason or "")[0] == found.more_blocks > 0
    assert numbers_in(comparison.sentences[0])[:2] == [1, found.more_blocks]


def test_the_margin_is_the_reader_s() -> None:
    log = session({"lmx": Made(), "ollama": Made(ttft=208)}, noise=0.002)
    sides = arm_of(MeasuredRun(log), "lmx"), arm_of(MeasuredRun(log), "ollama")

    assert figure(compare(*sides)).verdict == "worse"
    assert figure(compare(*sides, Rules(margin=0.10))).verdict == "equivalent"


def test_both_intervals_cover_the_truth_and_the_simultaneous_one_is_the_wider() -> None:
    found = figure(interleaved(Made(), SLOWER, noise=0.01))

    assert found.ci95 is not None
    assert found.ci95_single is not None
    assert found.ci95[0] <= found.ci95_single[0] < 1.1 < found.ci95_single[1] <= found.ci95[1]
    assert width(found.ci95_single) < width(found.ci95)


def test_a_heat_that_slows_both_cancels_out_in_one_session() -> None:
    comparison = interleaved(Made(), Made(), drift=0.10)
    found = figure(comparison)

    assert found.verdict == "equivalent"
    assert found.drift_a is not None
    assert found.drift_b is not None
    assert found.drift_a.p < 0.05
    assert found.drift_b.p < 0.05
    assert found.drift_a.change == pytest.approx(1.09, abs=0.03)


def test_a_ratio_that_drifts_further_than_the_difference_is_undecided() -> None:
    def warming(line: dict[str, object], number: int) -> dict[str, object]:
        block = number // 8
        first = round(200_000_000 * (1.02 + 0.03 * block))
        return line | {"arrivals": [[first + place, 100] for place in range(10)]}

    found = figure(interleaved(Made(), Made(change=warming), noise=0.002))

    assert (found.verdict, found.reason_code) == ("undecided", "drift")
    assert numbers_in(found.reason or "")


def test_a_drift_is_the_reason_also_where_chance_leaves_it_undecided() -> None:
    """More blocks would not help, and no limit of a build is kept by it."""

    def warming(line: dict[str, object], number: int) -> dict[str, object]:
        first = round(200_000_000 * (0.93 + 0.03 * (number // 8)))
        return line | {"arrivals": [[first + place, 100] for place in range(10)]}

    comparison = interleaved(Made(), Made(change=warming), noise=0.002)
    found = figure(comparison)

    assert found.p_holm is not None
    assert found.p_holm > 0.05
    assert (found.verdict, found.reason_code, found.more_blocks) == ("undecided", "drift", None)
    assert numbers_in(found.reason or "")
    assert [one.outcome for one in check_limit(parse_limit("ttft > +20%"), comparison)] == ["undecided"]


def test_every_target_is_compared_with_each_before_it() -> None:
    found = comparisons_of(MeasuredRun(session({"a": Made(), "b": Made(), "c": SLOWER})))

    assert [(one.a.label, one.b.label) for one in found] == [("a", "b"), ("a", "c"), ("b", "c")]
    assert figure(found[1]).verdict == "worse"
    # corrected for all three pairs: two primary figures each, which share four fifths of the 5 %
    primary = [one.levels[0].metrics[name] for one in found for name in ("ttft_p50", "decode_tok_s_p50")]
    least = min(primary, key=lambda one: one.p or 0)
    assert least.p_holm == pytest.approx(6 * (least.p or 0) / 0.8)


def test_a_run_of_one_target_has_no_comparison() -> None:
    assert comparisons_of(MeasuredRun(session({"a": Made()}))) == []


def test_a_pair_that_misses_one_block_is_left_out() -> None:
    log = session({"lmx": Made(), "ollama": SLOWER})
    lost = next(line for line in log.segments if line["target"] == "ollama" and line["block"] == 2)
    log.segments.remove(lost)
    (comparison,) = comparisons_of(MeasuredRun(log))

    assert figure(comparison).n == 5
    assert [value.block for value in figure(comparison).blocks_a] == [0, 1, 3, 4, 5]


def test_two_rounds_are_too_few_for_any_verdict() -> None:
    comparison = interleaved(Made(), SLOWER, blocks=2)

    assert {one.verdict for one in comparison.levels[0].metrics.values()} == {"refused"}
    (sentence,) = comparison.sentences
    assert "three blocks" in sentence


def test_the_result_of_a_run_carries_its_comparisons_and_what_was_accepted() -> None:
    log = session({"lmx": Made(), "ollama": Made(prompt=99)}, accepted="I know")
    result = summarize(MeasuredRun(log))

    assert result.comparisons[0].accepted == "I know"
    assert figure(result.comparisons[0]).verdict == "equivalent"
    assert (
        figure(summarize(MeasuredRun(session({"lmx": Made(), "ollama": Made(prompt=99)}))).comparisons[0]).verdict
        == "refused"
    )


# Until conclusive


def test_a_run_that_may_go_on_has_the_wider_interval() -> None:
    """One that is over has no later look that could be wrong."""
    targets = {"lmx": Made(), "ollama": SLOWER}
    ended = session(targets, noise=0.03, until_conclusive=True)
    open_run = replace(ended, end=None)
    plain, looked, over = (
        figure(comparisons_of(MeasuredRun(log))[0]) for log in (session(targets, noise=0.03), open_run, ended)
    )

    assert plain.ci95_single is not None
    assert looked.ci95_single is not None
    assert width(looked.ci95_single) > width(plain.ci95_single)
    assert over.ci95_single == pytest.approx(plain.ci95_single, rel=1e-3)


@pytest.mark.parametrize(
    ("other", "noise", "expected"), [(SLOWER, 0.005, True), (Made(), 0.005, True), (SLOWER, 0.4, False)]
)
def test_it_is_conclusive_when_ttft_and_decode_are(other: Made, noise: float, expected: bool) -> None:
    log = session({"lmx": Made(), "ollama": other}, noise=noise, until_conclusive=True)

    assert conclusive(MeasuredRun(log), ALONE) is expected


def test_more_blocks_would_not_mend_different_work() -> None:
    assert conclusive(MeasuredRun(session({"lmx": Made(), "ollama": Made(prompt=99)}, until_conclusive=True)), ALONE)


# Separate runs


def test_two_runs_are_one_observation_each() -> None:
    old, new = session({"lmx": Made()}), session({"lmx": SLOWER}, run_id="4567cdef", seed=2)
    comparison = sequential(old, new)
    found = figure(comparison)

    assert comparison.mode == "sequential"
    assert (found.verdict, found.reason_code, found.ci95, found.p) == ("undecided", "unreplicated", None, None)
    assert found.ratio == pytest.approx(1.1, abs=0.02)
    assert numbers_in(comparison.sentences[0])[:2] == [1, 9.6]
    assert "scatter between runs is unknown" in comparison.sentences[0]
    assert len(comparison.notes) == 1


def runs_of(made: Made, count: int, first: int, offset: float = 0.01) -> Side:
    """Whole runs of one target, each as a whole faster or slower by the offset."""
    begins = [offset * (-1, 1, 0)[number % 3] for number in range(count)]
    logs = [
        session({"lmx": made}, run_id=f"{first + number:08x}", seed=first + number, begins=begin)
        for number, begin in enumerate(begins)
    ]
    return Side([arm_of(MeasuredRun(log), "lmx", f"run{first + number}") for number, log in enumerate(logs)])


def test_several_runs_of_each_have_a_verdict_by_their_scatter() -> None:
    comparison = compare_runs(runs_of(Made(), 3, 1), runs_of(SLOWER, 3, 11))
    found = figure(comparison)

    assert (found.verdict, found.n) == ("worse", 3)
    assert found.ci95 is not None
    assert found.ci95[0] < 1.1 < found.ci95[1]
    assert (len(comparison.runs_a), len(comparison.runs_b)) == (3, 3)
    assert figure(compare_runs(runs_of(Made(), 3, 1), runs_of(Made(), 3, 11))).verdict != "worse"
    assert comparison.notes == []  # several runs of each are what separate runs need


def test_runs_that_lie_far_apart_leave_it_undecided() -> None:
    found = figure(compare_runs(runs_of(Made(), 3, 1, offset=0.2), runs_of(SLOWER, 3, 11, offset=0.2)))

    assert (found.verdict, found.reason_code) == ("undecided", "chance")


def test_earlier_runs_of_the_same_work_tell_how_far_two_single_ones_lie_apart() -> None:
    earlier, (a,), (b,) = runs_of(Made(), 4, 1).runs, runs_of(Made(), 1, 11).runs, runs_of(Made(ttft=400), 1, 21).runs
    comparison = compare_runs(Side([a], earlier), Side([b]))
    found = figure(comparison)

    assert (found.verdict, found.n) == ("worse", 1)
    assert len(comparison.scatter_runs) == 4
    assert any("4 runs" in note for note in comparison.notes)


def test_one_of_several_runs_that_did_other_work_refuses_the_verdict() -> None:
    others = runs_of(SLOWER, 2, 11).runs
    odd = arm_of(MeasuredRun(session({"lmx": Made(prompt=99)}, run_id="99999999")), "lmx", "odd")

    assert figure(compare_runs(runs_of(Made(), 3, 1), Side([*others, odd]))).verdict == "refused"


def test_runs_at_different_concurrencies_have_nothing_to_compare() -> None:
    old, new = session({"lmx": Made()}), session({"lmx": Made()}, concurrency=4, run_id="4567cdef")

    with pytest.raises(ResultError, match=r"concurrency 1 against concurrency 4"):
        sequential(old, new)


def test_runs_on_two_machines_say_so() -> None:
    old = session({"lmx": Made()}, host={"name": "one"})
    new = session({"lmx": Made()}, host={"name": "two"}, run_id="4567cdef")

    assert any("different machines" in note for note in sequential(old, new).notes)
