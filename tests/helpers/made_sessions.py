"""Event logs of whole sessions made by hand: blocks of several targets in turn, with a little seeded noise."""

import json
import math
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lmx_loadgen.store.log_reader import LogContents
from tests.helpers.made_lines import MS, header_line, point, request_line, segment_line, usage

PROFILE: dict[str, Any] = {
    "slo": {"ttft": None, "tpot": None, "e2e": None},
    "reading_tok_s": 5.0,
    "endpoint": "chat",
    "prompts": {"lengths": ["short"], "cache": "unique"},
    "request": {"max_tokens": 10, "temperature": 0.0, "seed": 42, "ignore_eos": False},
}
TEXT = "the answer is a set of weights, one for every pair of words that it reads"

Change = Callable[[dict[str, Any], int], dict[str, Any]]


@dataclass(frozen=True)
class Made:
    """One target: its times in ms, what it says of itself, and a change to each line (given the request's number)."""

    ttft: float = 200.0
    step: float = 20.0
    tokens: int = 10
    dialect: str = "openai"
    model: str = "qwen2.5:7b"
    server: Mapping[str, Any] = field(default_factory=dict)
    finish: str = "length"
    prompt: int = 30
    text: str = TEXT
    change: Change = lambda line, number: line


def session(
    targets: Mapping[str, Made],
    *,
    blocks: int = 6,
    requests: int = 8,
    noise: float = 0.01,
    drift: float = 0.0,
    begins: float = 0.0,
    concurrency: int = 1,
    seed: int = 1,
    run_id: str = "0123abcd",
    profile: Mapping[str, Any] | None = None,
    **header: Any,
) -> LogContents:
    """A session of one level. All times grow by the share `drift` over its blocks, the first being `1 + begins`."""
    draw, now, made = random.Random(seed), 1000.0, _Log([], [], [])
    turns = [list(targets)[:: -1 if block % 2 else 1] for block in range(blocks)]
    places = [(block, name) for block, turn in enumerate(turns) for name in turn]
    for place, (block, name) in enumerate(places):
        slower = (1 + begins) * (1 + drift * place / max(1, len(places) - 1))
        now = _block(made, targets[name], name, block, requests, concurrency, slower, noise, now, draw)
    return LogContents(
        header=header_line(
            run_id=run_id,
            plan=made.plan,
            profile=dict(profile or PROFILE),
            targets=[_target(name, target) for name, target in targets.items()],
            instrument={"loop": "uvloop", "stamps": "loop", "workers": 1},
        )
        | header,
        requests=made.requests,
        segments=made.segments,
        end={"type": "end", "end_ns": round(now * MS), "complete": True, "reason": None},
    )


@dataclass
class _Log:
    requests: list[dict[str, Any]]
    segments: list[dict[str, Any]]
    plan: list[dict[str, Any]]


def _block(
    made: _Log,
    target: Made,
    name: str,
    block: int,
    requests: int,
    concurrency: int,
    slower: float,
    noise: float,
    now: float,
    draw: random.Random,
) -> float:
    """Slots that ask in step, so that the arithmetic stays easy; gives the time of the block's end."""
    place = {"target": name, "load_point": point(concurrency), "block": block}
    made.plan.append(place | {"phase": "load", "requests": requests, "duration": None, "warmup": 0})
    starts, free = [now] * concurrency, [now] * concurrency
    for number in range(requests):
        slot = number % concurrency
        line = _request(target, free[slot], slower, noise, draw)
        line |= place | {"id": len(made.requests), "slot": slot, "first_wave": number < concurrency}
        made.requests.append(target.change(line, block * requests + number))
        free[slot] = line["end_ns"] / MS
    made.segments.append(segment_line(max(starts), min(free), max(free), start_ns=round(now * MS), **place))
    return max(free) + 500


def _request(target: Made, at: float, slower: float, noise: float, draw: random.Random) -> dict[str, Any]:
    times, moment = [], target.ttft * slower * math.exp(draw.gauss(0, noise))
    step = target.step * slower * math.exp(draw.gauss(0, noise))
    for _ in range(target.tokens):
        times.append(moment)
        moment += step * math.exp(draw.gauss(0, noise))
    words = target.text.split()
    reads = [(time, [f"content:{words[place % len(words)]} "]) for place, time in enumerate(times)]
    counts = usage(target.prompt, target.tokens)
    limit = max(target.tokens, PROFILE["request"]["max_tokens"])
    return request_line(reads, at, usage=counts, finish_reason=target.finish, model=target.model, max_tokens=limit)


def _target(name: str, target: Made) -> dict[str, Any]:
    return {
        "name": name,
        "dialect": target.dialect,
        "base_url": "http://127.0.0.1:1/v1",
        "model": target.model,
        "server": {"product": target.dialect, "version": "1", **target.server},
        "notes": [],
    }


def stored(folder: Path, log: LogContents) -> Path:
    """The log written as a run's folder."""
    folder.mkdir(parents=True)
    lines = [log.header, *log.requests, *log.segments, log.end]
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (folder / "events.jsonl").write_text(text, encoding="utf-8")
    return folder
