"""Event logs of versions whose segments had running numbers, read by what their segments are."""

import json
from pathlib import Path
from typing import Any

import pytest

from lmx_loadgen.profile.load_point import Closed
from lmx_loadgen.store.log_reader import LogContents, read_log
from lmx_loadgen.store.segment_key import SegmentKey, segment_key
from tests.helpers.made_lines import PLACE, former, header_line, point, request_line, segment_line, steady

ONE, TWO = Closed(concurrency=1), Closed(concurrency=2)
END = {"type": "end", "end_ns": 9, "complete": True, "reason": None}
RESUME = {
    "type": "resume",
    "clock": {"mono_ns": 0, "unix_ns": 1_700_000_000_000_000_000},
    "resumed_at": "2023-11-14T22:13:20.000Z",
    "attempt": 1,
    "cut_bytes": 0,
}
Line = dict[str, Any]


def host(number: int, when: str, **state: Any) -> Line:
    return {"type": "host", "at_ns": 5, "segment": number, "when": when, "state": state}


def sent(number: int, level: int = 0, **changes: Any) -> Line:
    return former(request_line(steady(), **changes), number, level)


def ended(number: int, level: int = 0, **changes: Any) -> Line:
    return former(segment_line(0, 1, 2, **changes), number, level)


def planned(number: int, target: str, level: int, concurrency: int) -> Line:
    place = {"segment": number, "target": target, "level": level, "concurrency": concurrency, "block": 0}
    return place | {"requests": 5, "duration": None, "warmup": 1, "offset": 0}


def read(path: Path, *lines: Line, plan: list[Line] | None = None, version: int = 3) -> LogContents:
    header = header_line(schema=version, plan=plan or [planned(0, "box", 0, 1), planned(1, "box", 1, 2)])
    (path / "events.jsonl").write_text("".join(json.dumps(line) + "\n" for line in (header, *lines, END)))
    return read_log(path / "events.jsonl")


def keys(lines: list[Line]) -> list[SegmentKey]:
    return [segment_key(line) for line in lines]


def test_lines_name_their_segment_by_what_it_is(tmp_path: Path) -> None:
    log = read(tmp_path, sent(0, phase="warmup"), sent(0, id=1), ended(0))

    assert log.notes == []
    assert log.requests == [request_line(steady(), phase="warmup"), request_line(steady(), id=1)]
    assert log.segments == [segment_line(0, 1, 2)]
    assert keys(log.header["plan"]) == [SegmentKey("box", ONE, 0), SegmentKey("box", TWO, 0)]
    assert {"requests", "duration", "warmup", "offset", "target", "load_point", "block", "phase"} == set(
        log.header["plan"][0]
    )


def test_a_look_at_the_machine_is_of_the_segment_beside_it(tmp_path: Path) -> None:
    """A target was aborted: the other's probe has the number that its second level would have had."""
    plan = [planned(0, "box", 0, 1), planned(1, "box", 1, 2), planned(2, "other", 0, 1)]
    two = {"load_point": point(2)}
    log = read(
        tmp_path,
        *(host(0, "before"), sent(0), ended(0), host(0, "after")),
        *(host(1, "before"), sent(1, 2, target="other", phase="probe"), ended(1, 2, target="other"), host(1, "after")),
        *(host(1, "before"), sent(1, 1, **two), ended(1, 1, **two), host(1, "after")),
        *(host(2, "before"), host(9, "isolated")),
        plan=plan,
    )
    probe = SegmentKey("other", ONE, 0, "probe")

    assert keys(log.host) == [
        *[SegmentKey("box", ONE, 0)] * 2,
        *[probe] * 2,
        *[SegmentKey("box", TWO, 0)] * 2,
        SegmentKey("other", ONE, 0),  # cut off before a request ended: by the plan
        SegmentKey("box", ONE, 0, "check"),
    ]
    assert keys(log.segments) == [SegmentKey("box", ONE, 0), probe, SegmentKey("box", TWO, 0)]


def test_what_was_at_no_level_joins_none_of_the_same_concurrency(tmp_path: Path) -> None:
    """Also where its requests are lost."""
    log = read(tmp_path, sent(0), ended(0), sent(2, 2, phase="stability"), ended(2, 2), ended(3, 2))

    assert [key.phase for key in keys(log.segments)] == ["load", "stability", "probe"]


def test_both_parts_of_an_early_probe_are_told_apart(tmp_path: Path) -> None:
    probes = [sent(number, 2, phase="probe", id=number) for number in (2, 2, 3)]
    log = read(tmp_path, *probes, ended(2, 2), ended(3, 2), version=2)

    assert [key.block for key in keys(log.requests)] == [0, 0, 1]
    assert [key.block for key in keys(log.segments)] == [0, 1]


def test_a_resume_does_away_with_the_segments_that_had_its_numbers(tmp_path: Path) -> None:
    two = {"load_point": point(2)}
    cut = [host(1, "before"), sent(1, 1, id=1, **two)]
    again = [host(1, "before"), sent(1, 1, id=2, **two), ended(1, 1, **two)]
    log = read(tmp_path, sent(0), ended(0), *cut, RESUME | {"redo": [1, 7]}, *again)

    assert log.notes == []
    assert log.resumes[0]["redo"] == [{"target": "box", **two, "block": 0, "phase": "load"}]
    assert [line["id"] for line in log.requests] == [0, 2]
    assert [(line["type"], line["superseded_by"]) for line in log.superseded] == [("host", 1)]
    assert [(line["id"], line["superseded_by"]) for line in log.superseded_requests] == [(1, 1)]


def test_a_resume_after_another_names_what_counted_until_then(tmp_path: Path) -> None:
    """The number of a segment that was given up belongs to another one by then."""
    probe = sent(1, 2, phase="probe", id=5)
    log = read(
        tmp_path,
        *(sent(1, 1, load_point=point(2)), RESUME | {"redo": [1]}),
        *(probe, RESUME | {"redo": [1], "attempt": 2}),
        ended(0),
    )

    assert [[place["phase"] for place in line["redo"]] for line in log.resumes] == [["load"], ["probe"]]
    assert log.requests == []


def test_a_round_that_was_measured_again_is_known_by_its_load_and_block(tmp_path: Path) -> None:
    again = {"type": "again", "at_ns": 7, "level": 0, "block": 0, "segments": [0]}
    log = read(tmp_path, host(0, "before"), sent(0), ended(0), again, sent(0, id=1), ended(0))

    assert log.again == [{"type": "again", "at_ns": 7, "load_point": point(1), "block": 0}]
    assert [line["id"] for line in log.requests] == [1]
    assert [line["type"] for line in log.superseded] == ["host", "segment"]
    assert [line["id"] for line in log.superseded_requests] == [0]


@pytest.mark.parametrize(
    "change",
    [{"concurrency": 0}, {"concurrency": None}, {"block": -1}, {"segment": "0"}, {"level": [0]}, {"target": 3}],
)
def test_damaged_lines_are_skipped_and_spoil_no_other(tmp_path: Path, change: Line) -> None:
    log = read(
        tmp_path, host(0, "before"), sent(0) | change, sent(0, id=1), RESUME | {"redo": [0, [1], None]}, ended(0)
    )

    assert len(log.notes) == 1
    assert "line 3 is damaged" in log.notes[0]
    assert [place["load_point"] for place in log.resumes[0]["redo"]] == [PLACE["load_point"]]
    assert [line["id"] for line in log.superseded_requests] == [1]


def test_a_plan_that_is_damaged_is_no_plan(tmp_path: Path) -> None:
    with pytest.raises(Exception, match=r"damaged header line \(plan\)"):
        read(tmp_path, plan=[planned(0, "box", 0, 1) | {"concurrency": 0}])
