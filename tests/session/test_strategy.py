"""What is measured next, by what has been measured: plans, rounds again, rounds added."""

from collections.abc import Iterator

import pytest

from lmx_loadgen.load.stop import Stop
from lmx_loadgen.profile.load_point import ALONE, Closed, LoadPoint
from lmx_loadgen.profile.models import Load, Profile
from lmx_loadgen.session.history import History
from lmx_loadgen.session.plan import Segment, make_plan
from lmx_loadgen.session.stop_rules import MaxDuration
from lmx_loadgen.session.strategy import FixedPlan, Repeats, Strategy, UntilConclusive
from lmx_loadgen.store.segment_key import SegmentKey

NEVER = Repeats(lambda point, block: False)
ALWAYS = Repeats(lambda point, block: True)
FOUR = Closed(concurrency=4)


def plan_of(blocks: int, *levels: int) -> list[Segment]:
    return make_plan(Profile(load=Load(concurrency=list(levels), blocks=blocks)), ["a", "b"])


def followed(strategy: Strategy, history: History) -> Iterator[Segment]:
    """What a strategy asks for, each segment measured before it is asked again."""
    while (segment := strategy.next(history)) is not None:
        if segment.attempt > history.again[segment.load_point, segment.block]:
            history.measure_again(segment.load_point, segment.block)
        history.add(segment)
        yield segment


def keys(segments: Iterator[Segment] | list[Segment]) -> list[SegmentKey]:
    return [segment.key for segment in segments]


def test_a_fixed_plan_is_followed_in_its_order() -> None:
    plan = plan_of(3, 1, 4)

    assert list(followed(FixedPlan(plan, NEVER), History())) == plan


@pytest.mark.parametrize("done", range(13))
def test_what_is_left_is_what_is_planned_and_not_finished(done: int) -> None:
    plan = plan_of(3, 1, 4)
    for finished in (plan[:done], plan[done:], plan[::2]):
        history = History(finished=set(keys(finished)))
        assert set(keys(followed(FixedPlan(plan, NEVER), history))) == set(keys(plan)) - set(keys(finished))


def test_a_target_that_was_aborted_gets_no_more_and_the_other_does() -> None:
    plan, history = plan_of(3, 1, 4), History()
    going = followed(FixedPlan(plan, ALWAYS), history)
    first = next(going)
    history.aborted[first.target] = Stop("errors", "too many")

    assert [segment.target for segment in going] == [{"a": "b", "b": "a"}[first.target]] * 6


def test_a_round_is_judged_once_it_is_whole_and_measured_again_twice_at_most() -> None:
    plan, history = plan_of(3, 1, 4), History()
    went = list(followed(FixedPlan(plan, ALWAYS), history))

    assert [(one.load_point, one.block, one.attempt) for one in went] == [
        (point, block, attempt)
        for point in (ALONE, FOUR)
        for block, attempts in ((0, 3), (1, 1), (2, 1))
        for attempt in range(attempts)
        for _ in ("a", "b")
    ]
    assert {segment.key for segment in plan} == history.finished


def test_rounds_that_were_finished_before_are_not_judged() -> None:
    plan = plan_of(3, 1)
    history = History(finished=set(keys(plan)))

    assert list(followed(FixedPlan(plan, ALWAYS), history)) == []


def until(plan: list[Segment], conclusive_at: int, max_s: float, looks: list[int], history: History) -> UntilConclusive:
    """Until so many blocks at each level; `looks` gets the number of blocks of each look."""

    def conclusive(point: LoadPoint) -> bool:
        looks.append(len({segment.block for segment in history.measured if segment.load_point == point}))
        return looks[-1] >= conclusive_at

    profile = Profile(load=Load(concurrency=[1, 4], blocks=4))
    return UntilConclusive(profile, ["a", "b"], plan, NEVER, conclusive, MaxDuration(max_s), 10)


def test_it_looks_after_the_plan_and_after_each_pair_of_rounds_and_nowhere_else() -> None:
    looks, history = [], History()
    went = list(followed(until(plan_of(4, 1, 4), 8, 1000, looks, history), history))

    assert looks == [4, 6, 8] * 2
    assert [len([one for one in went if one.load_point == point]) for point in (ALONE, FOUR)] == [16, 16]
    assert len(set(keys(went))) == 32


def test_after_the_last_look_or_without_time_there_are_no_more_rounds() -> None:
    for max_s, blocks in ((1000, 10), (0, 4)):
        looks, history = [], History()
        went = list(followed(until(plan_of(4, 1, 4), 99, max_s, looks, history), history))
        assert len({one.block for one in went if one.load_point == FOUR}) == blocks


def test_rounds_that_had_begun_were_decided_before() -> None:
    looks, history = [], History(begun={ALONE: 8, FOUR: 0})
    list(followed(until(plan_of(4, 1, 4), 4, 1000, looks, history), history))

    assert looks == [8, 4]


def test_a_round_that_the_machine_slept_through_may_be_delayed() -> None:
    segment, history = plan_of(3, 1)[2], History()
    history.note_machine(segment, {"asleep_s": 5.0}, {"asleep_s": 5.0})
    history.note_machine(segment, {}, {"asleep_s": 9.0})
    assert history.delayed == set()
    history.note_machine(segment, {"asleep_s": 5.0}, {"asleep_s": 9.0})
    assert history.delayed == {(ALONE, 1)}
