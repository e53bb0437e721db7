"""A recording from its start to its end."""

import asyncio
import secrets
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from lmx_loadgen import __version__
from lmx_loadgen.errors import InputError
from lmx_loadgen.recording.chat_log import ChatLog
from lmx_loadgen.recording.exchange import Delays, PassedRequest
from lmx_loadgen.recording.masking import Masker
from lmx_loadgen.recording.proxy import Proxy
from lmx_loadgen.recording.upstream import Passage, Upstream
from lmx_loadgen.system.clock import now_ns


@dataclass(frozen=True)
class RecordingNote:
    """What a recording has: chats, their turns and how many of them were answered; requests that were passed on and not
    stored, by path; and the delay of a piece in this process, from its read to its write, in ms."""

    chats: int
    turns: int
    answers: int
    not_stored: dict[str, int]
    pieces: int
    delay_p50_ms: float | None
    delay_p99_ms: float | None

    @classmethod
    def of(cls, log: ChatLog, delays: Delays) -> "RecordingNote":
        p50, p99 = delays.percentile_ms(50), delays.percentile_ms(99)
        return cls(log.chats, log.turns, log.answers, dict(log.other), delays.number, p50, p99)

    @property
    def sentences(self) -> list[str]:
        found = [f"{self.chats} chats, {self.turns} turns, {self.answers} of them answered"]
        if self.delay_p50_ms is not None and self.delay_p99_ms is not None:
            found.append(
                f"own delay: p50 {self.delay_p50_ms:.3f} ms, p99 {self.delay_p99_ms:.3f} ms over {self.pieces:,} pieces"
            )
        if self.not_stored:
            paths = ", ".join(f"{path} ({number})" for path, number in sorted(self.not_stored.items())[:10])
            found.append(f"passed on and not stored: {paths}")
        return found


async def record(
    upstream: Upstream,
    port: int,
    out: Path,
    *,
    keep_text: bool,
    until: asyncio.Event,
    listening: Callable[[int], None] = lambda port: None,
) -> RecordingNote:
    """Pass through on a port of 127.0.0.1 and store chats in `out`, until the event is set.

    Raises StorageError for a file that exists or cannot be written, and InputError for a port that is taken.
    """
    header = {
        "tool_version": __version__,
        "started_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "upstream": upstream.base_url,
        "text": keep_text,
    }
    masker = Masker(keep_text=keep_text, salt=secrets.token_bytes(16))
    loop = asyncio.get_running_loop()
    # One thread: lines are in the order of what passed, and decoding holds nothing up that is on its way.
    with ThreadPoolExecutor(1) as writer:

        def passed(what: str, exchange: PassedRequest) -> None:
            loop.run_in_executor(writer, log.note, what, exchange)

        passage = Passage(upstream, passed)
        proxy = Proxy(passage)
        try:
            taken = await proxy.start(port)
        except OSError as error:
            raise InputError(f"--listen {port}: cannot listen on 127.0.0.1:{port}: {error.strerror or error}") from None
        try:
            log = ChatLog(out, masker, now_ns(), header)
            listening(taken)
            await until.wait()
        finally:
            await proxy.stop()
    note = RecordingNote.of(log, passage.delays)
    log.end(asdict(note))
    return note
