"""Made-up servers measured in turn on a machine that drifts: blocks as a client would have seen them, drawn at once.

The truth is known: every time of B is `ratio` times that of A. Around it there is noise of single requests and tokens,
stalls now and then, the machine's own wandering, which is correlated from block to block and has a trend, and whatever
else a world is made to have.
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from lmx_loadgen.analysis.comparison.blocks import Block
from lmx_loadgen.profile.load_point import LoadPoint
from lmx_loadgen.profile.models import Load, Profile, Request
from lmx_loadgen.session.plan import Segment, make_plan, rounds

TTFT_S, STEP_S, TOKENS = 0.2, 0.02, 12
_THREE_CLASSES = {"short": 0.1, "medium": 0.4, "long": 2.0}
_BLOCK_S = 10.0

Draw = Callable[[np.random.Generator, tuple[int, ...]], Any]


def normal(draw: np.random.Generator, shape: tuple[int, ...]) -> Any:
    return draw.standard_normal(shape)


def student_2(draw: np.random.Generator, shape: tuple[int, ...]) -> Any:
    """t with two degrees of freedom: its variance is infinite."""
    return draw.standard_t(2, shape)


def one_in_ten_far_slower(draw: np.random.Generator, shape: tuple[int, ...]) -> Any:
    """A middle like that of others, and one request in ten three times as slow or more, where noise is 3 %."""
    return draw.standard_normal(shape) + (draw.random(shape) < 0.1) * (math.log(3) / 0.03 + draw.exponential(5, shape))


def long_tails(draw: np.random.Generator, shape: tuple[int, ...]) -> Any:
    """One request in twenty is slower by an exponential share, of 50 % in the mean where noise is 3 %."""
    return draw.standard_normal(shape) + (draw.random(shape) < 0.05) * draw.exponential(16, shape)


@dataclass(frozen=True)
class World:
    """What is true and how noisy it is; standard deviations are of logarithms.

    `wander` and `kept` are of a first-order autoregressive machine state, whose value a block keeps to the next;
    `trend` is over a whole default session. `slow_share` of the requests wait three times as long for their first
    token. Blocks after a block of B take `after_b` longer, one in `outliers` takes 30 % longer, and `throttle` is how
    much slower the machine becomes in the midst of some block, for the rest of the level. `offset` is of whole runs.
    The noise of B's TTFT may have a shape of its own, and an SLO may limit TTFT, in seconds. At one in `bursts` of the
    requests begins a row of four that take up to 65 % longer.
    """

    ratio: float = 1.0
    noise: float = 0.03
    noise_b: float | None = None
    token_noise: float = 0.03
    shape: Draw = normal
    first_b: Draw | None = None
    wander: float = 0.01
    kept: float = 0.8
    trend: float = 0.03
    slow_share: float = 0.0
    mixture: bool = False
    outliers: float = 0.0
    after_b: float = 0.0
    throttle: float = 0.0
    offset: float = 0.0
    targets: tuple[str, ...] = ("a", "b")
    blocks: int = 6
    requests: int | None = None
    slo_s: float | None = None
    bursts: float = 0.0
    concurrency: tuple[int, ...] = (1, 4)

    @property
    def profile(self) -> Profile:
        load = Load(concurrency=list(self.concurrency), blocks=self.blocks, requests=self.requests)
        return Profile(load=load, request=Request(seed=7))


class Session:
    """Measures one level after the other; more rounds can be asked for."""

    def __init__(self, world: World, seed: int) -> None:
        self.world = world
        self.profile = world.profile
        self._draw = np.random.default_rng(seed)
        self._plan = make_plan(self.profile, world.targets)
        self._state = self._draw.normal(0, world.wander)
        self._slope = self._draw.normal(0, world.trend) / len(self._plan)
        self._run = 0
        self._before: Segment | None = None
        self._throttled_in = -1

    def planned(self, point: LoadPoint) -> dict[str, list[Block]]:
        """The blocks of each target at a level, as the plan has them."""
        mine = [segment for segment in self._plan if segment.load_point == point]
        self._throttled_in = int(self._draw.integers(len(mine)))
        return self._measured(mine)

    def more(self, point: LoadPoint, wanted: range) -> dict[str, list[Block]]:
        """The rounds `wanted` of a level."""
        return self._measured(rounds(self.profile, self.world.targets, point, wanted, self.world.blocks))

    def _measured(self, segments: Iterable[Segment]) -> dict[str, list[Block]]:
        found: dict[str, list[Block]] = {name: [] for name in self.world.targets}
        for place, segment in enumerate(segments):
            found[segment.target].append(self._block(segment, place))
        return found

    def _block(self, segment: Segment, place: int) -> Block:
        """A closed loop of one block; then the machine moves on."""
        world, before = self.world, self._before
        after = before.target if before is not None and before.load_point == segment.load_point else None
        slower = self._state + self._slope * self._run
        slower += math.log(world.ratio) if segment.target == "b" else 0.0
        slower += math.log1p(world.after_b) if after == "b" else 0.0
        slower += math.log(1.3) if self._draw.random() < world.outliers else 0.0
        n = segment.requests or 0
        late = np.arange(n) >= n / 2 if place == self._throttled_in else np.full(n, place > self._throttled_in)
        fresh = self._draw.normal(0, world.wander * math.sqrt(1 - world.kept**2))
        self._state = world.kept * self._state + fresh
        self._run += 1
        self._before = segment
        noise = world.noise_b if segment.target == "b" and world.noise_b is not None else world.noise
        world = world if segment.target == "b" else replace(world, first_b=None)
        return made_block(
            world, self._draw, segment.block, self._run * _BLOCK_S, segment.load_point.slots,
            slower + math.log1p(world.throttle) * late, noise, after,
        )  # fmt: skip


def made_block(
    world: World, draw: np.random.Generator, number: int, at_s: float, concurrency: int, slower: Any, noise: float,
    after: str | None,
) -> Block:  # fmt: skip
    """A block whose requests are slower by these logarithms, each of `TOKENS` tokens."""
    n = len(slower)
    classes = list(_THREE_CLASSES) if world.mixture else [""]
    kinds = (np.arange(n) + number * n) % len(classes)
    base = np.array([_THREE_CLASSES[name] if name else TTFT_S for name in classes])[kinds]
    slow = np.where(draw.random(n) < world.slow_share, 3.0, 1.0)
    if world.bursts:
        in_burst = np.convolve(draw.random(n) < world.bursts, np.ones(4), "full")[:n] > 0
        slow = slow * np.exp(0.5 * draw.random(n) * in_burst)
    ttft = base * slow * np.exp(slower + noise * (world.first_b or world.shape)(draw, (n,)))
    step = STEP_S * np.exp(slower + noise * world.shape(draw, (n,)))
    gaps = step[:, None] * np.exp(world.token_noise * draw.standard_normal((n, TOKENS - 1)))
    gaps *= np.where(draw.random(gaps.shape) < 0.01, 3.0, 1.0)
    e2e = ttft + gaps.sum(axis=1)
    first = concurrency if concurrency > 1 and n >= 2 * concurrency else 0
    values = {
        "ttft": ttft,
        "decode_tok_s": (TOKENS - 1) / gaps.sum(axis=1),
        "e2e": e2e,
        "longest_stall": gaps.max(axis=1),
    }
    samples = {
        metric: {name: of[first:][kinds[first:] == place].tolist() for place, name in enumerate(classes)}
        for metric, of in values.items()
    }
    rates = {"output_tok_s": TOKENS * n * concurrency / float(e2e.sum())}
    if world.slo_s is None:
        return Block(number, at_s, samples, 0, rates, after)
    met = int((ttft[first:] <= world.slo_s).sum())
    rates["goodput"] = float((ttft <= world.slo_s).sum()) * concurrency / float(e2e.sum())
    return Block(number, at_s, samples, 0, rates, after, (met, n - first))


def made_run(world: World, seed: int, number: int, *, is_b: bool, throttled: bool, requests: int = 48) -> Block:
    """A whole run of one target as one block; the last third of one that was `throttled` is slower."""
    draw = np.random.default_rng([seed, number, is_b])
    slower = np.full(requests, draw.normal(0, world.offset) + (math.log(world.ratio) if is_b else 0.0))
    slower += math.log1p(world.throttle) * (throttled & (np.arange(requests) >= 2 * requests // 3))
    return made_block(world if is_b else replace(world, first_b=None), draw, number, 0.0, 1, slower, world.noise, None)
