import contextlib
import errno
import json
import os
import resource
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lmx_loadgen.errors import ResultError, StorageError
from lmx_loadgen.store import eventlog
from lmx_loadgen.store.eventlog import EventLog
from lmx_loadgen.store.log_reader import LogContents, read_log
from lmx_loadgen.store.schema import schemas
from tests.helpers.made_lines import (
    MS,
    PLACE,
    failed_line,
    former,
    header_line,
    request_line,
    resume_line,
    segment_line,
    steady,
    usage,
)
from tests.helpers.paths import RUNS

END: dict[str, Any] = {"type": "end", "end_ns": 9, "complete": True, "reason": None}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "events.jsonl"


def write(path: Path, *lines: dict[str, Any]) -> Path:
    log = EventLog.create(path)
    for line in lines:
        log.append(line)
    log.close()
    return path


def damaged(path: Path, number: int, words: bytes) -> LogContents:
    """The log with its line of that number (from one) replaced."""
    lines = path.read_bytes().split(b"\n")
    lines[number - 1] = words
    path.write_bytes(b"\n".join(lines))
    return read_log(path)


def test_what_was_appended_is_read_back(path: Path) -> None:
    request, segment = request_line(steady(), usage=usage(1, 2)), segment_line(1, 2, 3)
    log = read_log(write(path, header_line(), request, segment, END))

    assert log == LogContents(header_line(), [request], [segment], END, [])


def test_each_line_is_on_disk_before_the_next_is_made(path: Path) -> None:
    log = EventLog.create(path)
    log.append(header_line())
    log.append(request_line(steady()))

    assert len(read_log(path).requests) == 1
    log.close()


def test_an_existing_log_is_never_written_over(path: Path) -> None:
    path.write_text("precious")

    with pytest.raises(StorageError, match=r"cannot start the event log .*events\.jsonl: File exists"):
        EventLog.create(path)
    assert path.read_text() == "precious"


@pytest.mark.parametrize("kept", range(1, 40, 7))
def test_a_torn_last_line_is_dropped_with_a_note(path: Path, kept: int) -> None:
    write(path, header_line(), request_line(steady()), request_line(steady(), id=1))
    whole = path.read_bytes()
    last = whole[: whole.rindex(b"\n", 0, -1) + 1 + kept]
    path.write_bytes(last)
    log = read_log(path)

    assert [line["id"] for line in log.requests] == [0]
    assert log.notes == ["the last line is torn and was dropped: the run was cut off while writing it"]
    assert log.end is None


def test_a_whole_last_line_needs_no_newline(path: Path) -> None:
    write(path, header_line(), request_line(steady()), END)
    path.write_bytes(path.read_bytes().rstrip(b"\n"))

    assert read_log(path).end == END
    assert read_log(path).notes == []


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_cut_anywhere_a_log_keeps_every_whole_line(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    path = write(
        tmp_path_factory.mktemp("log") / "events.jsonl",
        header_line(),
        request_line(steady(2), model="modèle"),
        segment_line(1, 2, 3),
        END,
    )
    whole = path.read_bytes()
    cut = data.draw(st.integers(whole.index(b"\n"), len(whole)))
    path.write_bytes(whole[:cut])
    log = read_log(path)

    found = len(log.requests) + len(log.segments) + (log.end is not None)
    newlines = whole[:cut].count(b"\n") - 1
    assert found in (newlines, newlines + 1)  # one more where only the newline is missing
    assert found + len(log.notes) >= newlines


@pytest.mark.parametrize(
    "words", [b"\x00\x00\x00", b'{"type":"request"', b"[1,2]", b"null", b'{"no":"type"}', b'{"type":[]}']
)
def test_a_damaged_line_is_skipped_with_its_number(path: Path, words: bytes) -> None:
    write(path, header_line(), request_line(steady()), request_line(steady(), id=1), END)
    log = damaged(path, 2, words)

    assert [line["id"] for line in log.requests] == [1]
    assert log.notes == ["line 2 is damaged and was skipped"]
    assert log.end == END


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("send_ns", "soon"),
        ("send_ns", 1e300),
        ("end_ns", 10**400),
        ("end_ns", None),
        ("outcome", "splendid"),
        ("phase", None),
        ("arrivals", [[1]]),
        ("events", [[-1, "content", "x"]]),
        ("events", [[0, "content", None]]),
        ("events", None),
        ("usage", [1]),
        ("load_point", {"kind": "closed", "concurrency": True}),
        ("load_point", {"kind": "closed"}),
        ("load_point", 4),
        ("block", True),
        ("max_tokens", -1),
    ],
)
def test_a_line_that_is_json_and_yet_none_of_ours_is_skipped(path: Path, field: str, value: Any) -> None:
    write(path, header_line(), request_line(steady()), request_line(steady(), id=1))
    log = damaged(path, 2, json.dumps(request_line(steady()) | {field: value}).encode())

    assert [line["id"] for line in log.requests] == [1]
    assert log.notes == [f"line 2 is damaged ({field}) and was skipped"]


def test_a_field_that_is_missing_is_named(path: Path) -> None:
    line = request_line(steady())
    del line["lag_ns"]

    assert read_log(write(path, header_line(), line)).notes == ["line 2 is damaged (lag_ns) and was skipped"]


def test_fields_of_a_later_version_are_kept(path: Path) -> None:
    line = request_line(steady()) | {"mood": "good"}

    assert read_log(write(path, header_line(), line)).requests == [line]


def test_a_thousand_damaged_lines_are_told_in_a_few_words(path: Path) -> None:
    write(path, header_line())
    with path.open("ab") as file:
        file.write(b"junk\n" * 1000)
    notes = read_log(path).notes

    assert len(notes) == 21
    assert notes[-1].startswith("980 ")


@pytest.mark.parametrize("content", [b"", b"\n", b"junk\n", b'{"type":"request"}\n', b'{"type":"header"'])
def test_without_a_header_it_is_no_log(path: Path, content: bytes) -> None:
    path.write_bytes(content)

    with pytest.raises(ResultError, match="has no header line"):
        read_log(path)


@pytest.mark.parametrize("schema", [0, "1", None, {"a": 1}, True, 1.0])
def test_what_is_no_schema_is_refused(path: Path, schema: Any) -> None:
    path.write_text(json.dumps(header_line() | {"schema": schema}) + "\n")

    with pytest.raises(ResultError, match="has no event log schema version of lmx-loadgen"):
        read_log(path)


def test_a_later_schema_is_refused_and_says_what_to_do(path: Path) -> None:
    path.write_text(json.dumps(header_line() | {"schema": 5}) + "\n")

    with pytest.raises(
        ResultError, match=r"events\.jsonl has event log schema 5, .* reads up to 4: update lmx-loadgen"
    ):
        read_log(path)


def test_a_log_of_version_1_is_read(path: Path) -> None:
    """It has no line that says the run was taken up again, and its segments have numbers."""
    log = read_log(write(path, former(header_line(schema=1)), former(request_line(steady())), END))

    assert (log.header, log.notes) == (header_line(), [])
    assert (log.requests, log.end) == ([request_line(steady())], END)


@pytest.mark.parametrize("field", ["clock", "targets", "plan", "profile", "host"])
def test_a_header_that_cannot_be_used_is_refused_with_its_field(path: Path, field: str) -> None:
    path.write_text(json.dumps(header_line() | {field: 5}) + "\n")

    with pytest.raises(ResultError, match=rf"has a damaged header line \({field}\)"):
        read_log(path)


def test_no_file_is_a_clear_error(path: Path) -> None:
    with pytest.raises(ResultError, match=r"cannot read .*events\.jsonl: No such file"):
        read_log(path)


def test_half_an_emoji_in_a_servers_words_does_not_lose_the_line(path: Path) -> None:
    hostile = request_line([(1, ["content:x"])], reason="\ud83d", usage={"\udc00": ["\ud800", {"a": "\udfff"}]})
    hostile["events"] = [[0, "content", "ok \ud83d"]]
    log = read_log(write(path, header_line(), hostile, END))

    assert log.notes == []
    assert log.requests[0]["events"] == [[0, "content", "ok ?"]]
    assert log.requests[0]["usage"] == {"?": ["?", {"a": "?"}]}


def test_an_abyss_of_nesting_does_not_lose_the_line(path: Path) -> None:
    deep: dict[str, Any] = {}
    for _ in range(900):
        deep = {"a": deep}
    log = read_log(write(path, header_line(), request_line(steady(), usage=deep), END))

    assert log.notes == []
    assert len(log.requests) == 1


def test_no_number_that_json_does_not_know_is_written(path: Path) -> None:
    line = request_line(steady(), server_timings={"a": float("nan"), "b": float("inf"), "c": "\ud800"})
    log = read_log(write(path, header_line(), line))

    assert log.requests[0]["server_timings"] == {"a": None, "b": None, "c": "?"}


def test_any_words_stay_one_line(path: Path) -> None:
    words = "a\nb\r\u2028\u2029\x85\x00\x1b[31m"
    log = read_log(write(path, header_line(), request_line(steady(), reason=words)))

    assert log.requests[0]["reason"] == words


# A run that was taken up again


def test_what_a_resume_does_again_counts_no_more_and_is_not_lost(path: Path) -> None:
    before = [
        request_line(steady(), id=0, block=0),
        segment_line(1, 2, 3, block=0),
        request_line(steady(), id=1, block=1),
        segment_line(None, None, 3, block=1, stopped="interrupted"),
        {**END, "complete": False, "reason": "interrupted"},
    ]
    after = [request_line(steady(), id=2, block=1), segment_line(1, 2, 3, block=1), END]
    log = read_log(write(path, header_line(), *before, resume_line(redo=[1]), *after))

    assert [line["id"] for line in log.requests] == [0, 2]
    assert [(line["block"], line["stopped"]) for line in log.segments] == [(0, None), (1, None)]
    assert log.end is not None
    assert log.end["complete"] is True
    assert log.superseded == [line | {"superseded_by": 1} for line in before[3:]]
    assert log.superseded_requests == [before[2] | {"superseded_by": 1}]
    assert log.next_id == 3
    assert log.notes == []


def test_a_run_that_was_taken_up_and_cut_off_again_has_no_end(path: Path) -> None:
    log = read_log(write(path, header_line(), END, resume_line()))

    assert log.end is None


def test_times_after_a_resume_are_brought_to_the_headers_clock(path: Path) -> None:
    """A machine that was started anew, an hour later: its monotonic clock began at zero again."""
    hour = 3_600_000_000_000
    first = {"mono_ns": 5_000 * MS, "unix_ns": 1_700_000_000_000_000_000}
    second = {"mono_ns": 7 * MS, "unix_ns": first["unix_ns"] + hour}
    request = request_line(steady(), send=10, connect_ns=[8 * MS, 9 * MS], lag_ns=3)
    host = {"type": "host", "at_ns": 11 * MS, **PLACE, "phase": "load", "when": "after", "state": {}}
    host |= {"seen_ns": 12 * MS}
    log = read_log(
        write(path, header_line(clock=first), resume_line(clock=second), request, segment_line(11, 12, 13), host, END)
    )

    moved = 5_000 * MS + hour - 7 * MS
    (line,) = log.requests
    assert (line["send_ns"], line["intended_ns"]) == (10 * MS + moved, 10 * MS + moved)
    assert line["connect_ns"] == [8 * MS + moved, 9 * MS + moved]
    assert (line["lag_ns"], line["headers_ns"], line["arrivals"]) == (3, 0, request["arrivals"])
    assert [log.segments[0][name] for name in ("ramp_end_ns", "drain_start_ns", "end_ns")] == [
        at * MS + moved for at in (11, 12, 13)
    ]
    assert (log.host[0]["at_ns"], log.host[0]["seen_ns"]) == (11 * MS + moved, 12 * MS + moved)
    assert log.end is not None
    assert log.end["end_ns"] == END["end_ns"] + moved


def test_later_stays_later_where_the_wall_clock_was_set_back(path: Path) -> None:
    clock = {"mono_ns": 2_000 * MS, "unix_ns": 1_600_000_000_000_000_000}
    log = read_log(
        write(
            path,
            header_line(),
            request_line(steady(), send=1000),
            resume_line(clock=clock),
            request_line(steady(), id=1, send=2001),
        )
    )

    assert log.requests[1]["send_ns"] == log.requests[0]["end_ns"] + MS


@pytest.mark.parametrize(
    ("tail", "cut", "requests"),
    [
        (b"", 0, 2),
        (b'{"type":"requ', 13, 2),
        (b"\x00" * 40, 40, 2),
        (json.dumps(request_line(steady())).encode(), 0, 3),
    ],
    ids=["whole", "torn", "zeros", "no newline"],
)
def test_a_log_is_carried_on_behind_its_last_whole_line(path: Path, tail: bytes, cut: int, requests: int) -> None:
    write(path, header_line(), request_line(steady()))
    path.write_bytes(path.read_bytes() + tail)
    log, found = EventLog.reopen(path)
    log.append(request_line(steady(), id=9))
    log.close()

    assert found == cut
    assert read_log(path).notes == []
    assert len(read_log(path).requests) == requests


def test_two_do_not_write_one_log(path: Path) -> None:
    log = EventLog.create(path)
    with pytest.raises(StorageError, match="is still being written by another lmx-loadgen"):
        EventLog.reopen(path)
    log.close()
    EventLog.reopen(path)[0].close()


# Disks that will not


@contextlib.contextmanager
def small_files(most: int) -> Iterator[None]:
    """No file may grow beyond `most` bytes. Within a test only: what pytest itself writes to is a file too."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


def test_a_line_the_disk_refuses_leaves_no_piece_behind(path: Path) -> None:
    log = EventLog.create(path)
    with contextlib.closing(log), small_files(4000):
        log.append(header_line())
        log.append(request_line(steady()))
        whole = path.read_bytes()
        with pytest.raises(StorageError, match=r"cannot write to .*; what was written so far is safe"):
            log.append(request_line(steady(500)))  # a part of it fits

        assert path.read_bytes() == whole
        log.append(END)  # a short one still fits, and does not run into a torn one
    assert (read_log(path).end, read_log(path).notes) == (END, [])


def test_a_full_disk_is_said_to_be_full(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = EventLog.create(path)
    log.append(header_line())

    def full(fd: int, data: bytes) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        with pytest.raises(StorageError, match="the disk is full; what was written so far is safe"):
            log.append(request_line(steady()))
    log.close()
    assert read_log(path).header == header_line()


def test_a_write_cut_short_by_the_system_is_carried_on(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = EventLog.create(path)
    real = os.write
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", lambda fd, data: real(fd, data[:7]))
        log.append(header_line())
    log.close()

    assert read_log(path).header == header_line()


def test_a_deleted_log_stops_the_run(path: Path) -> None:
    log = EventLog.create(path)
    log.append(header_line())
    path.unlink()

    with pytest.raises(StorageError, match="was deleted while the run was on"):
        log.append(failed_line())
    with pytest.raises(StorageError, match="was deleted while the run was on"):
        log.sync()
    with pytest.raises(StorageError):
        log.close()


def test_a_flush_goes_on_beside_the_lines_and_is_waited_for(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    may_end, flushed = threading.Event(), list[bool]()
    monkeypatch.setattr(eventlog, "flush_to_disk", lambda fd: flushed.append(may_end.wait(30)))
    log = EventLog.create(path)
    log.append(header_line())
    log.begin_sync()
    log.append(failed_line())
    assert flushed == []
    may_end.set()
    log.close()

    assert flushed == [True, True]
    assert len(read_log(path).requests) == 1


def test_what_the_disk_says_to_a_flush_is_not_lost(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(fd: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    log = EventLog.create(path)
    log.append(header_line())
    with monkeypatch.context() as patch:
        patch.setattr(eventlog, "flush_to_disk", refused)
        log.begin_sync()
    with pytest.raises(StorageError, match=r"cannot write to .*: Input/output error"):
        log.begin_sync()
    log.close()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_folder_is_a_clear_error(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(StorageError, match=r"cannot start the event log .*: Permission denied"):
        EventLog.create(tmp_path / "events.jsonl")
    tmp_path.chmod(0o700)


def test_a_missing_folder_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"cannot start the event log .*: No such file or directory"):
        EventLog.create(tmp_path / "gone" / "events.jsonl")


# The printed schema


@pytest.mark.parametrize(
    "line",
    [
        header_line(),
        request_line(steady(), usage=usage(1, 2), connect_ns=[1, 2], number=3, nonce="0f", reconnected=False),
        failed_line("connect_error", None, send_ns=None, tokenizer_tokens={"prompt": 1, "output": None}),
        segment_line(None, None, 3, stopped="interrupted"),
        resume_line(),
        END,
    ],
    ids=["header", "request", "failed", "segment", "resume", "end"],
)
def test_the_schema_takes_our_lines_and_no_others(line: dict[str, Any]) -> None:
    validator = jsonschema.Draft202012Validator(schemas()["events.jsonl"])
    validator.check_schema(validator.schema)

    validator.validate(line)
    assert not validator.is_valid(line | {"type": "other"})
    for name in line:
        if name not in ("beside", "number", "nonce", "reconnected", "tokenizer_tokens", "prompt_preview", "type"):
            less = {other: value for other, value in line.items() if other != name}
            assert not validator.is_valid(less), name


def test_the_schema_takes_the_sample_runs() -> None:
    known = schemas()
    line_validator = jsonschema.Draft202012Validator(known["events.jsonl"])
    result_validator = jsonschema.Draft202012Validator(known["result.json"])
    logs = sorted(RUNS.glob("*/events.jsonl"))
    assert logs
    for log in logs:
        assert read_log(log).notes == []
        for line in log.read_text(encoding="utf-8").split("\n")[:40]:
            if line:
                line_validator.validate(json.loads(line))
        result_validator.validate(json.loads((log.parent / "result.json").read_text(encoding="utf-8")))
