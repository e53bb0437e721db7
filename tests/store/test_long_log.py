"""Logs of over 2 GiB, which no single read brings: sparse files, of which next to nothing is on the disk."""

import os
from pathlib import Path

import pytest

from lmx_loadgen.store import eventlog
from lmx_loadgen.store.eventlog import EventLog

LONG = 3 * 2**30


@pytest.mark.parametrize(
    ("tail", "cut"),
    [(b"", 0), (b'{"type": "seg', 13), (b'{"type": "end"}', 0), (b"{" + b" " * 3_000_000, 3_000_001)],
    ids=["whole", "torn", "no newline", "a long torn line"],
)
def test_only_what_is_torn_is_cut_off_its_end(tail: bytes, cut: int, tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.touch()
    os.truncate(path, LONG)
    with path.open("ab") as file:
        file.write(b"\n" + tail)
    log, found = EventLog.reopen(path)
    log.close()

    assert found == cut
    ended = tail == b'{"type": "end"}'
    assert path.stat().st_size == LONG + 1 + len(tail) - cut + ended


def test_a_line_is_found_whole_wherever_reads_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(eventlog, "_PIECE", 4)
    for text in (b"", b"\n", b"abc", b"a\nbcdefghij", b"abcdefg\n", b"abc\ndefg", b"\nabcdefghijk"):
        path = tmp_path / "file"
        path.write_bytes(text)
        with path.open("rb") as file:
            assert eventlog._behind_last_newline(file.fileno(), len(text)) == text.rpartition(b"\n")[2]
