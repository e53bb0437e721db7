"""Makes the sample runs under tests/data/runs: seeded, so that the same files come out again.

    python -m tests.helpers.make_runs

Each run imitates servers with a known shape of timing, on a made-up clock. The event logs are made here, the
results by the package itself.
"""

import json
import random
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lmx_loadgen.analysis.measured_run import read_run
from lmx_loadgen.analysis.summary import summarize
from lmx_loadgen.profile.load_point import Closed
from lmx_loadgen.store.eventlog import SCHEMA
from lmx_loadgen.store.result import write_result
from lmx_loadgen.store.segment_key import SegmentKey
from tests.helpers import paths

NS = 1_000_000_000
TEXT = (
    "A transformer reads all the words of a sentence at once and asks of each how much it should attend to the "
    "others . The answer is a set of weights , one for every pair , and the sum of what those words say , weighted "
    "so , becomes the new meaning of the word ."
)
WORDS = TEXT.split()


@dataclass(frozen=True)
class Server:
    """How a made-up server behaves: seconds to the first token and per token, and how both grow with load."""

    name: str
    dialect: str
    model: str
    product: str
    first: float
    step: float
    first_per_request: float
    step_per_request: float
    fail_share: dict[int, float] = field(default_factory=dict)
    failure: tuple[str, int | None, str] = ("http_error", 503, "server busy, please try again")
    text: list[str] = field(default_factory=lambda: WORDS)
    prompt_id: str = "short"
    notes: tuple[str, ...] = ()


class Bench:
    """Runs made-up servers on a made-up clock and keeps the request lines."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.now = 5_000 * NS
        self.lines: list[dict[str, Any]] = []
        self.segments: list[dict[str, Any]] = []
        self.plan: list[dict[str, Any]] = []
        self.block = 0

    def level(
        self,
        server: Server,
        concurrency: int,
        requests: int,
        stop_after: float | None = None,
        block: int = 0,
    ) -> None:
        """One closed-loop segment: a warm-up request a slot, then `requests` measured ones."""
        self.block = block
        slots = [self.now + round(self.random.uniform(0, server.first) * NS) * (c > 0) for c in range(concurrency)]
        for slot in range(concurrency):
            slots[slot] = self._request(server, concurrency, slot, slots[slot], "warmup", False, None)
        begun = min(slots)
        limit = None if stop_after is None else begun + round(stop_after * NS)
        first = len(self.lines)
        for place in range(requests):
            slot = min(range(concurrency), key=slots.__getitem__)
            if limit is not None and slots[slot] >= limit:
                break
            slots[slot] = self._request(server, concurrency, slot, slots[slot], "measured", place < concurrency, limit)
        self._close_segment(server, concurrency, requests, begun, first, min(slots), limit)
        self.now = max(slots) + NS

    def _close_segment(
        self,
        server: Server,
        concurrency: int,
        requests: int,
        begun: int,
        first: int,
        drained: int,
        limit: int | None,
    ) -> None:
        place = SegmentKey(server.name, Closed(concurrency=concurrency), self.block).as_dict()
        measured = self.lines[first:]
        wave = [line["send_ns"] or line["intended_ns"] for line in measured if line["first_wave"]]
        self.plan.append(place | {"requests": requests, "duration": None, "warmup": 1})
        self.segments.append(
            {"type": "segment"}
            | place
            | {
                "start_ns": begun,
                "ramp_end_ns": max(wave),
                "drain_start_ns": drained if limit is None else None,
                "end_ns": max(line["end_ns"] for line in measured),
                "stopped": None if limit is None else "interrupted",
                "client": {"cpu_share": 0.04, "lag_max_ns": 400_000},
            }
        )

    def _request(
        self,
        server: Server,
        concurrency: int,
        slot: int,
        due: int,
        phase: str,
        first_wave: bool,
        limit: int | None,
    ) -> int:
        line = self._blank(server, concurrency, slot, due, phase, first_wave)
        if phase == "measured" and self.random.random() < server.fail_share.get(concurrency, 0.0):
            outcome, status, reason = server.failure
            line |= {"outcome": outcome, "status": status, "reason": reason, "end_ns": due + self._ns(0.003)}
            if outcome == "connect_error":
                line |= {"send_ns": None, "headers_ns": None}
        else:
            self._stream(server, line)
        if limit is not None and line["end_ns"] > limit:
            self._cut(line, limit)
        self.lines.append(line)
        return int(line["end_ns"]) + self._ns(0.0004)

    def _blank(
        self, server: Server, concurrency: int, slot: int, due: int, phase: str, first_wave: bool
    ) -> dict[str, Any]:
        return {
            "type": "request",
            "id": len(self.lines),
            "target": server.name,
            "load_point": Closed(concurrency=concurrency).model_dump(),
            "block": self.block,
            "slot": slot,
            "phase": phase,
            "first_wave": first_wave,
            "prompt_id": f"{server.prompt_id}-{len(self.lines) % 7:02d}",
            "intended_ns": due,
            "connect_ns": None,
            "send_ns": due + self._ns(0.0002),
            "end_ns": due,
            "headers_ns": self._ns(0.004),
            "arrivals": [],
            "events": [],
            "status": 200,
            "outcome": "ok",
            "reason": None,
            "response_id": f"chatcmpl-{len(self.lines):04d}",
            "model": server.model,
            "usage": None,
            "finish_reason": None,
            "server_timings": None,
            "tokenizer_tokens": None,
            "max_tokens": 32,
            "lag_ns": self._ns(0.0003),
        }

    def _stream(self, server: Server, line: dict[str, Any]) -> None:
        concurrency = line["load_point"]["concurrency"]
        mean_first = server.first + server.first_per_request * (concurrency - 1)
        at = mean_first * self.random.lognormvariate(0, 0.16)
        step = server.step + server.step_per_request * (concurrency - 1)
        tokens = self.random.randint(18, 26)
        arrivals = [[self._ns(0.005), 190]]
        events: list[list[Any]] = [[0, "role", ""]]
        for token in range(tokens):
            if token and self.random.random() < 0.08:
                pass  # two tokens in one read: the same arrival again
            else:
                arrivals.append([round(at * NS), 160])
            word = server.text[token % len(server.text)]
            events.append([len(arrivals) - 1, "content", word if token == 0 else f" {word}"])
            at += step * self.random.lognormvariate(0, 0.12) * (9 if self.random.random() < 0.01 else 1)
        arrivals.append([round(at * NS), 260])
        last = len(arrivals) - 1
        events += [[last, "finish", "stop"], [last, "usage", ""], [last, "done", ""]]
        line |= {
            "arrivals": arrivals,
            "events": events,
            "end_ns": line["send_ns"] + round(at * NS) + self._ns(0.0001),
            "usage": {"prompt_tokens": 64, "completion_tokens": tokens, "total_tokens": 64 + tokens},
            "finish_reason": "stop",
        }

    def _cut(self, line: dict[str, Any], limit: int) -> None:
        """What is left of a request when Ctrl-C closes its connection."""
        room = limit - (line["send_ns"] or limit)
        line["arrivals"] = [arrival for arrival in line["arrivals"] if arrival[0] < room]
        line["events"] = [event for event in line["events"] if event[0] < len(line["arrivals"])]
        line |= {
            "end_ns": limit,
            "outcome": "cancelled",
            "reason": "interrupted",
            "usage": None,
            "finish_reason": None,
        }

    def _ns(self, seconds: float) -> int:
        return round(seconds * NS * self.random.uniform(0.85, 1.15))


# ---- the log ----------------------------------------------------------------------------------------


def event_log(bench: Bench, servers: list[Server], run_id: str, reason: str | None = None) -> list[dict[str, Any]]:
    """The whole log of a run: header, request and segment lines, end."""
    start, end = min(line["intended_ns"] for line in bench.lines), max(line["end_ns"] for line in bench.lines)
    header = {
        "type": "header",
        "schema": SCHEMA,
        "tool_version": "0.1.0",
        "run_id": run_id,
        "clock": {"mono_ns": start, "unix_ns": 1_795_426_867_512_000_000},
        "started_at": "2026-11-23T09:41:07.512Z",
        "profile": profile(sorted({segment["load_point"]["concurrency"] for segment in bench.segments})),
        "host": {"chip": "Apple M2 Ultra", "memory_gb": 192, "os": "macOS 15.1"},
        "versions": {"lmx-loadgen": "0.1.0", "python": "3.12.4"},
        "instrument": {"loop": "uvloop", "stamps": "loop", "workers": 1, "calibration": calibration()},
        "targets": [target(server) for server in servers],
        "plan": bench.plan,
    }
    closing = {"type": "end", "end_ns": end, "complete": reason is None, "reason": reason}
    return [header, *bench.lines, *bench.segments, closing]


def calibration() -> dict[str, Any]:
    """What a Mac of this kind might find of the instrument's own error."""
    levels = [calibrated_level(concurrency, error) for concurrency, error in ((1, 1e-4), (16, 4e-4), (64, 9e-4))]
    return {
        "tool_version": "0.1.0",
        "host": "0123abcd",
        "created_at": "2026-11-23T09:40:01+00:00",
        "quick": True,
        "loop": "uvloop",
        "stamps": "loop",
        "workers": 1,
        "machine": {},
        "versions": {},
        "levels": levels,
        "burst_chunks_per_s": 1_100_000.0,
        "sustained_chunks_per_s": 43.0 * 64,
    }


def calibrated_level(concurrency: int, error: float) -> dict[str, Any]:
    """A level whose every error has its 99th percentile at `error` seconds, tokens every 20 ms."""
    spread = {"p50": error / 3, "p99": error, "max": 2 * error}
    errors = dict.fromkeys(("send", "receive", "ttft", "chunk", "gap", "stall"), spread)
    return {
        "concurrency": concurrency,
        "requests": 3 * concurrency,
        "failed": 0,
        "tokens": 16,
        "chunks": 48 * concurrency,
        **errors,
        "tpot": {"p50": error / 30, "p99": error / 10, "max": error / 5},
        "chunk_rate": 43.0 * concurrency,
        "cpu_s_per_1000_chunks": 0.02,
        "peak_rss_mb": 60.0,
    }


def profile(concurrency: list[int]) -> dict[str, Any]:
    """A resolved profile, with what the metrics need of it."""
    return {
        "name": "standard",
        "endpoint": "chat",
        "load": {"concurrency": concurrency, "requests": 24, "warmup": 1},
        "prompts": {"lengths": ["short", "medium", "long"], "cache": "unique"},
        "request": {"max_tokens": 32, "temperature": 0.0, "seed": 42, "ignore_eos": False},
        "slo": {"ttft": None, "tpot": None, "e2e": None},
        "reading_tok_s": 5.0,
    }


def target(server: Server) -> dict[str, Any]:
    return {
        "name": server.name,
        "dialect": server.dialect,
        "base_url": "http://127.0.0.1:1234/v1",
        "model": server.model,
        "server": {"product": server.product, "version": "0.1.0"},
        "notes": list(server.notes),
    }


# ---- the runs ---------------------------------------------------------------------------------------

LMX = Server(
    "lmx",
    "lmx",
    "mlx-community/Qwen2.5-7B-Instruct-4bit",
    "opta-lmx",
    0.182,
    0.0124,
    0.021,
    0.0021,
    notes=("its streamed usage counts chunks and characters, not tokens; text events are used instead",),
)
OLLAMA = Server(
    "ollama",
    "ollama",
    "qwen2.5:7b-instruct-q4_K_M",
    "ollama",
    0.236,
    0.0151,
    0.058,
    0.0034,
    fail_share={16: 0.2},
)
SIM = Server("sim", "sim", "sim-1", "lmx-loadgen sim", 0.2, 0.02, 0.004, 0.0005)

HOSTILE_WORDS = [
    "<script>window.hacked=1;alert(1)</script>",
    "</script><script>window.hacked=2;alert(2)</script>",
    "<img src=x onerror=window.hacked=3;alert(3)>",
    "<!--<script>",
    "line\u2028separator",
    "\x1b[31mred\x1b[0m",
    "%{y} $x^2$",
]
HOSTILE = Server(
    "<b>evil</b></script><script>window.hacked=4;alert(4)</script>",
    "openai",
    '<img src=x onerror="window.hacked=5;alert(5)"><a href="javascript:alert(6)">[bold red]model[/]</a>\x1b[2J\u202e',
    "</title><script>window.hacked=7</script>",
    0.2,
    0.02,
    0.02,
    0.001,
    fail_share={4: 0.3},
    failure=(
        "http_error",
        500,
        '\x1b]0;owned\x07<img src=x onerror="window.hacked=8">[red]no[/red] '
        "</script><script>alert(8)</script>%{x}\u2029",
    ),
    text=HOSTILE_WORDS,
    prompt_id="<svg onload=alert(9)>",
    notes=("<iframe src='http://example.invalid/'></iframe>\u2028--> note",),
)


def head_to_head() -> list[dict[str, Any]]:
    bench = Bench(11)
    for concurrency, requests in ((1, 5), (4, 12), (16, 32)):
        for block, turn in enumerate(((LMX, OLLAMA), (OLLAMA, LMX), (OLLAMA, LMX), (LMX, OLLAMA))):
            for server in turn:
                bench.level(server, concurrency, requests, block=block)
    return event_log(bench, [LMX, OLLAMA], "7c1d02aa")


def interrupted() -> list[dict[str, Any]]:
    bench = Bench(12)
    bench.level(SIM, 1, 8)
    bench.level(SIM, 4, 40, stop_after=1.5)
    return event_log(bench, [SIM], "0badcafe", "interrupted")


def nothing_but_failures() -> list[dict[str, Any]]:
    bench = Bench(13)
    server = Server("ollama", "ollama", "qwen2.5:7b", "ollama", 0.2, 0.02, 0, 0, fail_share={1: 1.0, 2: 1.0})
    bench.level(server, 1, 4)
    bench.level(server, 2, 6)
    return event_log(bench, [server], "dead0001")


def hostile() -> list[dict[str, Any]]:
    bench = Bench(14)
    for concurrency in (1, 4):
        bench.level(HOSTILE, concurrency, 10)
    bench.level(SIM, 1, 4)
    return event_log(bench, [HOSTILE, SIM], "66600666")


RUNS = {
    "head-to-head": head_to_head,
    "interrupted": interrupted,
    "failed": nothing_but_failures,
    "hostile": hostile,
}


def write(folder: Path) -> None:
    """Write each run's events.jsonl, and the result.json that the package makes of it."""
    for name, make in RUNS.items():
        run = folder / name
        write_log(run, make())
        write_result(run, summarize(read_run(run / "events.jsonl")))


def write_log(run: Path, log: list[dict[str, Any]]) -> None:
    run.mkdir(parents=True, exist_ok=True)
    lines = "".join(json.dumps(line, separators=(",", ":")) + "\n" for line in log)
    (run / "events.jsonl").write_text(lines, encoding="utf-8")


if __name__ == "__main__":
    write(Path(sys.argv[1]) if len(sys.argv) > 1 else paths.RUNS)
