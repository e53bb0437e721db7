"""What a level is, and how it is called."""

import json
from typing import Any

import pytest
from pydantic import ValidationError

from lmx_loadgen.profile.load_point import ALONE, Closed, concurrency_of, labels, load_point, short_labels
from lmx_loadgen.profile.models import Load
from lmx_loadgen.store.segment_key import SegmentKey, segment_key

FOUR = Closed(concurrency=4)


def test_a_profile_s_levels_are_load_points_from_light_to_heavy() -> None:
    assert Load.model_validate({"concurrency": [16, 1, 4]}).points() == [ALONE, FOUR, Closed(concurrency=16)]
    assert sorted([FOUR, ALONE], key=lambda point: point.order) == [ALONE, FOUR]


def test_it_is_its_kind_and_its_numbers_and_can_be_a_key() -> None:
    stored = json.loads(FOUR.model_dump_json())

    assert stored == {"kind": "closed", "concurrency": 4}
    assert load_point(stored) == FOUR
    assert len({FOUR, load_point(stored), ALONE}) == 2
    with pytest.raises(ValidationError):
        FOUR.concurrency = 5  # type: ignore[misc]


@pytest.mark.parametrize(
    "stored",
    [{"kind": "open", "concurrency": 4}, {"kind": "closed"}, {"concurrency": 0}, {"concurrency": True}, 4, None],
)
def test_what_is_no_load_point_of_this_version_is_refused(stored: Any) -> None:
    with pytest.raises(ValidationError):
        load_point(stored)


def test_it_is_called_in_sentences_in_short_and_in_columns() -> None:
    many = Closed(concurrency=1000)

    assert (FOUR.label, FOUR.short, FOUR.cell, FOUR.slots) == ("concurrency 4", "C=4", "4", 4)
    assert (many.label, many.cell) == ("concurrency 1000", "1,000")
    assert (labels([ALONE, FOUR]), short_labels([ALONE, FOUR])) == ("concurrency 1, 4", "C=1, 4")
    assert (labels([]), short_labels([])) == ("", "")
    assert concurrency_of(FOUR) == 4


def test_a_segment_s_key_is_the_same_in_a_plan_and_in_its_requests() -> None:
    key = SegmentKey("box", FOUR, 2)

    assert key.as_dict() == {"target": "box", "load_point": FOUR.model_dump(), "block": 2, "phase": "load"}
    assert segment_key(key.as_dict()) == key
    for phase in ("warmup", "measured"):
        assert segment_key(key.as_dict() | {"phase": phase}) == key
    assert segment_key(key.as_dict() | {"phase": "probe"}) == key._replace(phase="probe")
    assert key.text == "box/concurrency 4/2/load"
