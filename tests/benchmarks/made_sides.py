"""Two made-up servers measured in turn on a machine that drifts: records of what a client would have seen.

The truth is known: every time of B is `ratio` times that of A. Around it there is noise of single requests, of single
tokens, stalls now and then, and the machine's own wandering, which is correlated from block to block and has a trend.
"""

import math
import random
from collections.abc import Iterator
from dataclasses import dataclass

from lmx_loadgen.analysis.comparison.blocks import Block, block_of
from lmx_loadgen.analysis.records import Record
from lmx_loadgen.analysis.tokens import Basis
from lmx_loadgen.analysis.window import Window
from lmx_loadgen.profile.models import Load, Profile, Request
from lmx_loadgen.session.plan import Segment, make_plan, rounds
from lmx_loadgen.system.clock import NS

PROFILE = Profile(load=Load(concurrency=[1, 4]), request=Request(seed=7))
SETTINGS = PROFILE.model_dump()
TARGETS = ("a", "b")
BASIS = Basis("events", True, False)
TTFT_S, STEP_S, TOKENS = 0.2, 0.02, 12
PAUSE_S = 2.0


@dataclass(frozen=True)
class World:
    """What is true and how noisy it is: standard deviations of logarithms. `wander` and `kept` are of a first-order
    autoregressive machine state, whose value a block keeps to the next; `trend` is over a whole default session."""

    ratio: float = 1.0
    noise: float = 0.03
    token_noise: float = 0.03
    wander: float = 0.01
    kept: float = 0.8
    trend: float = 0.03


class Session:
    """Measures one level after the other; more rounds can be asked for."""

    def __init__(self, world: World, seed: int) -> None:
        self._world = world
        self._random = random.Random(seed)
        self._now_s = 0.0
        self._state = self._random.gauss(0, world.wander)
        self._slope = self._random.gauss(0, world.trend) / len(make_plan(PROFILE, TARGETS))
        self._run = 0

    def planned(self, level: int) -> tuple[list[Block], list[Block]]:
        """The blocks of both targets at a level, as the default plan has them."""
        return self._measured(segment for segment in make_plan(PROFILE, TARGETS) if segment.level == level)

    def more(self, level: int, wanted: range) -> tuple[list[Block], list[Block]]:
        """The rounds `wanted` of a level."""
        return self._measured(rounds(PROFILE, TARGETS, level, wanted, 6, 1000))

    def _measured(self, segments: Iterator[Segment] | list[Segment]) -> tuple[list[Block], list[Block]]:
        found: dict[str, list[Block]] = {name: [] for name in TARGETS}
        for segment in segments:
            found[segment.target].append(self._block(segment))
        return found["a"], found["b"]

    def _block(self, segment: Segment) -> Block:
        """A closed loop of one block; then the machine moves on."""
        world, start = self._world, self._now_s
        factor = math.exp(self._state + self._slope * self._run)
        factor *= world.ratio if segment.target == "b" else 1.0
        free = [self._now_s] * segment.concurrency
        sent: list[Record] = []
        for number in range(segment.requests or 0):
            slot = min(range(segment.concurrency), key=free.__getitem__)
            sent.append(self._request(segment, number, free[slot], factor, number < segment.concurrency))
            free[slot] = sent[-1].end_ns / NS
        window = Window({segment.segment: (round(start * NS), round(min(free) * NS))})
        self._now_s = max(free) + PAUSE_S
        self._run += 1
        fresh = self._random.gauss(0, world.wander * math.sqrt(1 - world.kept**2))
        self._state = world.kept * self._state + fresh
        middle = (start + self._now_s) / 2
        return block_of(sent, segment.block, middle, segment.concurrency, BASIS, SETTINGS, window)

    def _request(self, segment: Segment, number: int, at_s: float, factor: float, first_wave: bool) -> Record:
        world, draw = self._world, self._random
        at = at_s + TTFT_S * factor * draw.lognormvariate(0, world.noise)
        step = STEP_S * factor * draw.lognormvariate(0, world.noise)
        reads = []
        for _ in range(TOKENS):
            reads.append((round(at * NS), 1))
            at += step * draw.lognormvariate(0, world.token_noise) * (3 if draw.random() < 0.01 else 1)
        end = reads[-1][0]
        return Record(
            id=number, target=segment.target, level=segment.level, segment=segment.segment, phase="measured",
            first_wave=first_wave, outcome="ok", reason=None, status=200, intended_ns=round(at_s * NS),
            send_ns=round(at_s * NS), end_ns=end, text_reads=tuple(reads), characters=5 * TOKENS,
            first_visible_ns=reads[0][0], finish_reason="stop", model="m", usage_prompt=None, usage_output=None,
            usage_cached=None, tokenizer_prompt=None, tokenizer_output=None, lag_ns=0,
        )  # fmt: skip
