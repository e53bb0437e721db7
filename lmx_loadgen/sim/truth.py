"""The truth log: when each request was there and when each chunk was written, one JSON line a response.

A line is made when its response has ended, and written in small batches between other work, so that logging never
delays a chunk by more than about a millisecond. Times are ns of `lmx_loadgen.clock.now_ns`.
"""

import json
from asyncio import AbstractEventLoop
from collections import deque
from dataclasses import dataclass
from io import BufferedWriter
from pathlib import Path
from typing import Any, NamedTuple

from lmx_loadgen.errors import ResultError, StorageError
from lmx_loadgen.system.clock import now_ns


class Write(NamedTuple):
    """One write to the socket: its time just before the send call, and the SSE events and text tokens it completed."""

    at_ns: int
    events: int
    tokens: int


@dataclass(frozen=True, slots=True)
class Truth:
    """What truly happened to one response, on the simulator's side. `None`: it never came to that."""

    response_id: str
    received_ns: int  # the last byte of the request was there
    received_how: str  # "kernel": stamped by the kernel on receipt; "loop": when Python read it
    read_ns: int  # Python read it
    admitted_ns: int | None  # it got a slot
    headers_ns: int | None  # the write with the response headers
    writes: tuple[Write, ...]
    first_text_write: int | None  # index of the first write with text tokens
    planned_first_ns: int | None  # when the timing model wanted the first text
    planned_last_ns: int | None
    deferred: int  # writes the socket did not take at once; their time is when it took them
    status: int | None  # None: no valid status was sent
    prompt_tokens: int
    cached_tokens: int
    output_tokens: int  # sent, of all choices
    finish_reason: str | None
    outcome: str  # complete | client_gone | rejected | stopped | fault:NAME
    fault: str | None
    client_gone_ns: int | None
    slot_wait_ns: int | None
    end_ns: int
    unseen_tokens: int = 0  # made and never sent: hidden thoughts, a stop sequence

    @property
    def first_text_ns(self) -> int | None:
        """When the first text was written; None if none was."""
        return None if self.first_text_write is None else self.writes[self.first_text_write].at_ns


FIELDS = frozenset(Truth.__dataclass_fields__)


def read_truth(path: Path | str) -> dict[str, Truth]:
    """All responses of a truth log by response id. A torn last line is skipped. Raises ResultError."""
    try:
        lines = Path(path).read_bytes().split(b"\n")
    except OSError as error:
        raise ResultError(f"the simulator's log {path} cannot be read: {error.strerror}") from None
    truths: dict[str, Truth] = {}
    for number, line in enumerate(lines, 1):
        if not line:
            continue
        try:
            truth = _truth(json.loads(line))
        except (ValueError, TypeError) as error:
            if number == len(lines):  # without its newline: the writer was killed in the middle of it
                break
            raise ResultError(f"line {number} of the simulator's log {path} is damaged: {error}") from None
        truths[truth.response_id] = truth
    return truths


def _truth(data: dict[str, Any]) -> Truth:
    writes = tuple(Write(*write) for write in data.pop("writes"))
    return Truth(writes=writes, **{name: data[name] for name in data if name in FIELDS})


class TruthLog:
    """Takes finished lines and writes them out a millisecond's worth at a time."""

    BUDGET_NS = 1_000_000
    PAUSE_S = 0.01

    def __init__(self, path: str | None, loop: AbstractEventLoop) -> None:
        self._loop = loop
        self._waiting: deque[dict[str, Any]] = deque()
        self._scheduled = False
        self._file: BufferedWriter | None = None
        if path is not None:
            try:
                self._file = Path(path).open("wb")  # noqa: SIM115  (`close` closes it)
            except OSError as error:
                raise StorageError(f"the simulator cannot write its log {path}: {error.strerror}") from None

    def add(self, line: dict[str, Any]) -> None:
        """Take one response's line; it reaches the file soon, or at `flush`."""
        if self._file is None:
            return
        self._waiting.append(line)
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_later(self.PAUSE_S, self._some)

    def _some(self) -> None:
        self._scheduled = False
        self._write(until=now_ns() + self.BUDGET_NS)
        if self._waiting:
            self._scheduled = True
            self._loop.call_later(self.PAUSE_S, self._some)

    def _write(self, until: int | None) -> None:
        assert self._file is not None
        while self._waiting and (until is None or now_ns() < until):
            line = json.dumps(self._waiting.popleft(), separators=(",", ":"))
            self._file.write(line.encode() + b"\n")

    def flush(self) -> None:
        """Everything taken so far is in the file when this returns."""
        if self._file is not None:
            self._write(until=None)
            self._file.flush()

    def close(self) -> None:
        """Flush and close."""
        if self._file is not None:
            self.flush()
            self._file.close()
            self._file = None
