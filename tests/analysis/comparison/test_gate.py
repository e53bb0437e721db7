import pytest

from lmx_loadgen.analysis.comparison.gate import Limit, check_limit, parse_limit, worst
from lmx_loadgen.errors import InputError
from lmx_loadgen.profile.load_point import Closed
from lmx_loadgen.store.comparison import ComparedSide, Comparison, LevelComparison, MetricComparison, ReasonCode
from tests.helpers.snapshots import numbers_in

SIDE = ComparedSide(label="new", target="lmx", run_id="1", model="m", started_at="")


def comparison(*intervals: tuple[float, float] | None, code: ReasonCode | None = None) -> Comparison:
    """One whose TTFT has these intervals, a level each."""
    levels = []
    for place, interval in enumerate(intervals):
        found = MetricComparison(title="TTFT", unit="s", better="lower", verdict="undecided", reason="why")
        found.ci95, found.reason_code = interval, code
        metrics = {"ttft_p50": found}
        levels.append(LevelComparison(load_point=Closed(concurrency=place + 1), token_basis="usage", metrics=metrics))
    return Comparison(a=SIDE, b=SIDE, mode="sequential", until_conclusive=False, margin=0.03, levels=levels)


@pytest.mark.parametrize(
    ("text", "metric", "over", "ratio"),
    [
        ("ttft_p50 > +5%", "ttft_p50", True, 1.05),
        ("tok_s < -3%", "decode_tok_s_p50", False, 0.97),
        ("tok_s<−3 %", "decode_tok_s_p50", False, 0.97),
        (" e2e  >  2.5% ", "e2e_p50", True, 1.025),
        ("system_tok_s < -10%", "output_tok_s", False, 0.9),
        ("longest_stall_p50 > 50%", "longest_stall_p50", True, 1.5),
    ],
)
def test_a_limit_as_it_is_written(text: str, metric: str, over: bool, ratio: float) -> None:
    found = parse_limit(text)

    assert (found.metric, found.over, found.ratio) == (metric, over, pytest.approx(ratio))


@pytest.mark.parametrize(
    "text", ["", "ttft", "ttft > 5", "ttft >= 5%", "speed > 5%", "ttft < -100%", "> 5%", "ttft > x%"]
)
def test_what_is_no_limit(text: str) -> None:
    with pytest.raises(InputError, match="--fail-on"):
        parse_limit(text)


@pytest.mark.parametrize(
    ("interval", "outcome"),
    [
        ((1.06, 1.20), "broken"),
        ((0.90, 1.05), "kept"),  # surely not over 5 %, though it may have grown
        ((1.01, 1.04), "kept"),
        ((1.04, 1.20), "undecided"),  # the point is over the limit, the interval not wholly
        ((0.99, 1.06), "undecided"),
        (None, "invalid"),
    ],
)
def test_a_limit_is_held_against_the_interval(interval: tuple[float, float] | None, outcome: str) -> None:
    (found,) = check_limit(parse_limit("ttft > 5%"), comparison(interval))

    assert found.outcome == outcome


def test_a_limit_downwards() -> None:
    limit = Limit("ttft < -3%", "ttft_p50", False, 0.97)
    outcomes = [one.outcome for one in check_limit(limit, comparison((0.90, 0.96), (0.97, 1.1), (0.9, 1.1)))]

    assert outcomes == ["broken", "kept", "undecided"]


@pytest.mark.parametrize(
    ("interval", "code"), [((1.5, 1.6), "drift"), ((0.9, 1.01), "carry_over"), (None, "unreplicated")]
)
def test_what_chance_is_not_the_reason_for_keeps_no_limit(
    interval: tuple[float, float] | None, code: ReasonCode
) -> None:
    (found,) = check_limit(parse_limit("ttft > 5%"), comparison(interval, code=code))

    assert found.outcome == "undecided"


def test_the_worst_of_all_levels_is_what_a_build_goes_by() -> None:
    limit = parse_limit("ttft > 5%")

    def outcome(*intervals: tuple[float, float] | None) -> str:
        return worst(check_limit(limit, comparison(*intervals)))

    assert outcome((1.0, 1.01), (1.06, 1.1), None) == "broken"
    assert outcome((1.0, 1.01), None, (0.9, 1.1)) == "invalid"
    assert outcome((1.0, 1.01), (0.9, 1.1)) == "undecided"
    assert outcome((1.0, 1.01), (0.9, 1.02)) == "kept"
    assert outcome() == "invalid"


def test_the_sentence_names_figure_level_limit_and_interval() -> None:
    (found,) = check_limit(parse_limit("ttft_p50 >  +5%"), comparison((1.06, 1.20)))

    assert "ttft_p50 > +5%" in found.sentence
    assert numbers_in(found.sentence)[0] == 1  # the concurrency
    assert numbers_in(found.sentence)[-2:] == [6, 20]
