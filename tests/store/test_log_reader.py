"""A log that is read while it grows says the same as one that is read at its end."""

import json
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmx_loadgen.store.log_reader import LogLine, LogReader, read_log
from tests.helpers.made_lines import header_line, point, request_line, segment_line, steady

END = {"type": "end", "end_ns": 10, "complete": True, "reason": None}
CLOCK = {"mono_ns": 10**12, "unix_ns": 1_800_000_000 * 10**9}
PLACE = {"target": "box", "load_point": point(1), "block": 1, "phase": "load"}
RESUME = {"type": "resume", "clock": CLOCK, "resumed_at": "2026-11-26T10:00:00+00:00", "attempt": 1}
LINES = [
    header_line(),
    request_line(steady(), id=0, block=0),
    segment_line(1, 2, 3, block=0),
    request_line(steady(), id=1, block=1),
    {**END, "complete": False, "reason": "interrupted"},
    RESUME | {"redo": [PLACE], "cut_bytes": 0},
    request_line(steady(), id=2, block=1),
    {"type": "again", "at_ns": 7, "load_point": point(1), "block": 0},
    request_line(steady(), id=3, block=0),
    segment_line(1, 2, 3, block=1),
    END,
]
WHOLE = "".join(json.dumps(line) + "\n" for line in LINES).encode()


@given(st.lists(st.integers(0, len(WHOLE)), max_size=6))
def test_what_was_read_in_pieces_is_what_is_read_at_once(cuts: list[int]) -> None:
    taken: list[LogLine] = []
    with TemporaryDirectory() as folder:
        path = Path(folder) / "events.jsonl"
        reader = LogReader(path, lambda header, line: taken.append(line))
        for cut in sorted({*cuts, len(WHOLE)}):
            if cut > WHOLE.index(b"\n"):
                path.write_bytes(WHOLE[:cut])
                log, numbers = reader.read()
        once = read_log(path)

        assert log == once
        assert [line["id"] for line in taken] == [0, 1, 2, 3]
        assert [taken[number]["id"] for number in numbers] == [line["id"] for line in once.requests] == [2, 3]
        assert [line["id"] for line in once.superseded_requests] == [1, 0]


def test_a_line_that_is_torn_is_read_once_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    reader = LogReader(path)
    end = len(json.dumps(LINES[0])) + 1 + len(json.dumps(LINES[1])) + 1
    path.write_bytes(WHOLE[: end - 20])
    torn, _ = reader.read()
    path.write_bytes(WHOLE[:end])
    whole, _ = reader.read()

    assert (len(torn.requests), len(whole.requests)) == (0, 1)
    assert "torn" in torn.notes[0]
    assert whole.notes == []


@pytest.mark.parametrize("place", [0, -1, slice(1, 3)])
def test_requests_are_read_where_they_stand(tmp_path: Path, place: int | slice) -> None:
    path = tmp_path / "events.jsonl"
    lines = [request_line(steady(), id=id) for id in range(4)]
    path.write_text("".join(json.dumps(line) + "\n" for line in [header_line(), *lines]))

    assert read_log(path).requests[place] == json.loads(json.dumps(lines))[place]
