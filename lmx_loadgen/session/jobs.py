"""Each segment's work, split over the workers, with every request body ready but for its nonce."""

import json
import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from lmx_loadgen.load.arrivals import DueTimes, drawn, recorded
from lmx_loadgen.load.messages import Chat, Job, Talk
from lmx_loadgen.load.request import PLACEHOLDER, BodyTemplate, nonce_for
from lmx_loadgen.profile.load_point import shape_of
from lmx_loadgen.profile.models import Profile, Request
from lmx_loadgen.profile.prompt import Message, Prompt
from lmx_loadgen.profile.prompts import PromptBook, order_of, with_nonce
from lmx_loadgen.profile.replay import Trace
from lmx_loadgen.profile.shape import Shape
from lmx_loadgen.session.lengths.filler import filler_prompt
from lmx_loadgen.session.plan import Segment, blocks_of
from lmx_loadgen.store.lengths import FittedLength
from lmx_loadgen.store.segment_key import SegmentKey
from lmx_loadgen.system.clock import NS
from lmx_loadgen.targets.address import dialect_of
from lmx_loadgen.targets.base import Target, request_body, text_of
from lmx_loadgen.wire.timing import Limits

# After so many rounds, or so many requests, the order begins again.
_ORDER_ROUNDS, _MOST_ORDERED = 40, 20_000
PROBE_TOKENS = 16
# Enough to see whether answers given at once are the same, at a share of what whole ones take.
STABILITY_TOKENS = 64


class JobMaker:
    """Makes the jobs of a run. Prompts are chosen by number, so that paired blocks send the same ones."""

    def __init__(
        self,
        profile: Profile,
        book: PromptBook,
        run_key: str,
        *,
        insecure: bool,
        ca_file: str | None,
        lengths: Sequence[FittedLength] = (),
        trace: Trace | None = None,
    ) -> None:
        self._profile = profile
        self._shaped = {(one.target, one.shape): filler_prompt(one.shape, one.words, one.tail) for one in lengths}
        self._book = book
        self._run_key = run_key
        self._insecure = insecure
        self._ca_file = ca_file
        self._trace = trace
        self._templates: dict[tuple[str, Shape | None], tuple[list[BodyTemplate], list[BodyTemplate]]] = {}
        rounds = max(1, min(_ORDER_ROUNDS, _MOST_ORDERED // len(book.measured)))
        self._order = order_of(book, profile.request.seed or 0, len(book.measured) * rounds)

    def max_tokens(self, key: SegmentKey) -> int:
        """The most tokens of an answer, also in a phase beside the load."""
        limit = self._settings(shape_of(key.load_point)).max_tokens
        return {"probe": PROBE_TOKENS, "stability": min(STABILITY_TOKENS, limit)}.get(key.phase, limit)

    def prompt_id(self, key: SegmentKey, phase: str, template: int) -> str:
        return self._prompts(key, phase)[template].id

    def prompt_text(self, key: SegmentKey, phase: str, template: int, nonce: str) -> str:
        """All texts of the prompt's messages, as they are sent; what a chat template adds is the server's own."""
        prompt = self._prompts(key, phase)[template]
        return "\n".join(text_of(message.get("content")) for message in self._marked(prompt.messages, nonce))

    def first_prompt_text(self, run_id: str) -> str:
        """The run's first prompt under a nonce of its own."""
        return "\n".join(text_of(one.get("content")) for one in with_nonce(self._book.measured[0].messages, run_id))

    def _prompts(self, key: SegmentKey, phase: str) -> Sequence[Prompt]:
        """What a segment sends in a phase of its requests: prompts of its shape, where it has one."""
        if phase != "measured":
            return self._book.warmup
        shape = shape_of(key.load_point)
        return self._book.measured if shape is None else [self._shaped[key.target, shape]]

    def _settings(self, shape: Shape | None) -> Request:
        """What requests ask for: with a shape, an answer of its length that does not end before."""
        if shape is None:
            return self._profile.request
        return self._profile.request.model_copy(update={"max_tokens": shape.answer, "ignore_eos": True})

    def body_of(self, prompt_id: str, nonce: str, target: Target) -> dict[str, Any]:
        """The body of a measured request, made again."""
        prompt = next(one for one in self._book.measured if one.id == prompt_id)
        messages = self._marked(prompt.messages, nonce)
        return request_body(target, self._profile.endpoint, messages, self._profile.request, prompt.tools)

    def jobs(self, segment: Segment, target: Target, workers: int) -> list[Job]:
        """One job for each worker: slots and request numbers are dealt out like cards."""
        timeouts = self._profile.timeouts
        point = segment.load_point
        shape = shape_of(point)
        templates, warmup_templates = self._for_target(target, shape)
        used = min(workers, point.slots)
        due = self.due_times(segment)
        path = "/chat/completions" if self._profile.endpoint == "chat" else "/completions"
        return [
            Job(
                segment=segment.key.text,
                url=target.base_url + path,
                headers=[
                    ("Content-Type", "application/json"),
                    ("Accept", "text/event-stream"),
                    ("Accept-Encoding", "identity"),
                    ("User-Agent", "lmx-loadgen"),
                    *target.headers.items(),
                ],
                limits=Limits(timeouts.connect, timeouts.first_token, timeouts.gap, timeouts.request),
                slots=(slots := list(range(worker, point.slots, used)) if worker < used else []),
                requests=None if point.IS_OPEN else _share(segment.requests, worker, used),
                duration_ns=None if segment.duration is None else int(segment.duration * NS),
                warmup=segment.warmup,
                templates=templates,
                warmup_templates=warmup_templates,
                order=self._order_of(segment),
                first=worker,
                step=used,
                nonce_key=self._nonce_key(segment),
                repeat=self._profile.prompts.cache == "repeat",
                verify=not self._insecure,
                ca_file=self._ca_file,
                no_progress=timeouts.longest_silence,
                # Idle connections would keep a server's threads busy: an open loop opens them as it needs them.
                warmup_slots=slots[:1] if point.IS_OPEN else slots,
                due_ns=None if due is None else due.offsets_ns[worker::used] if worker < used else [],
                horizon_ns=0 if due is None else due.horizon_ns,
                talk=self._talk(segment, worker, used) if point.kind == "sessions" else None,
                digits=shape is not None,
            )
            for worker in range(workers)
        ]

    def due_times(self, segment: Segment) -> DueTimes | None:
        """When the requests of a segment are due, those of all workers; None in a closed loop. Blocks of one round have
        the same times, so that each target meets the same crowd."""
        point, seed = segment.load_point, self._profile.request.seed
        duration_ns = None if segment.duration is None else int(segment.duration * NS)
        if point.kind == "replay":
            assert self._trace is not None
            return recorded(self._trace.offsets_ns, requests=segment.requests, duration_ns=duration_ns)
        if point.kind == "open":
            key = f"{seed}/{point.label}/{segment.block}"
            return drawn(point.rate, point.arrivals, key, requests=segment.requests, duration_ns=duration_ns)
        return None

    def _talk(self, segment: Segment, worker: int, used: int) -> Talk:
        """The chats that a worker's users lead in a block, dealt out like cards. The blocks of a level share the chats
        of the book, as long as each has one for every user; later ones begin again, under other nonces."""
        load, chats = self._profile.load, self._book.chats
        shares = max(1, min(blocks_of(load, len(self._profile.targets)), len(chats) // segment.load_point.slots))
        mine = list(enumerate(chats))[segment.block % shares :: shares]
        own = tuple(Chat(number, templates) for number, templates in mine[worker::used]) if worker < used else ()
        think_s = None if isinstance(load.think, str) else load.think
        return Talk(own, think_s, self._profile.prompts.answers == "live")

    def _marked(self, messages: Sequence[Message], nonce: str) -> list[Message]:
        """The messages under a nonce. A system message that all chats share has one of its own, the same in the whole
        run: a cache may hold it."""
        if self._book.shared_system is None or messages[0]["role"] != "system":
            return with_nonce(messages, nonce)
        shared, *rest = messages
        run_nonce = nonce_for(self._run_key, "shared system", 0, repeat=False)
        return [{**shared, "content": f"{run_nonce} {shared['content']}"}, *with_nonce(rest, nonce)]

    def _order_of(self, segment: Segment) -> list[int]:
        if segment.load_point.kind == "replay" and self._trace is not None:
            return self._trace.places
        if shape_of(segment.load_point) is not None:
            return [0]
        return _rotated(self._order, segment.offset)

    def probe(self, segment: Segment, target: Target, workers: int, first: int) -> list[Job]:
        """The job of a cache probe, for the first worker alone: short answers to the longest prompt there is, from the
        request number `first` on. The same number has the same nonce in every probe of this target."""
        longest = max(range(len(self._book.measured)), key=lambda place: len(str(self._book.measured[place].messages)))
        short = self._profile.request.model_copy(update={"max_tokens": self.max_tokens(segment.key)})
        templates = self._templates_of(target, self._book.measured, short)
        one, *others = self.jobs(segment, target, workers)
        probing = replace(
            one,
            warmup=0,
            templates=templates,
            order=[longest],
            first=first,
            nonce_key=f"{self._run_key}/probe/{target.name}",
            repeat=False,
        )
        return [probing, *(replace(other, warmup=0) for other in others)]

    def stability(self, segment: Segment, target: Target, workers: int) -> list[Job]:
        """One request a slot, all of them the same: the run's first prompt with one nonce, sent at once, for the
        beginning of its answer."""
        short = self._profile.request.model_copy(update={"max_tokens": self.max_tokens(segment.key)})
        templates = self._templates_of(target, self._book.measured[:1], short)
        return [
            replace(
                job,
                warmup=0,
                templates=templates,
                order=[0],
                first=0,
                step=1,
                nonce_key=f"{self._run_key}/stability/{target.name}",
                repeat=True,
            )
            for job in self.jobs(segment, target, workers)
        ]

    def _nonce_key(self, segment: Segment) -> str:
        """Of prompts that no server has seen, also where the segment was measured before."""
        repeat = self._profile.prompts.cache == "repeat"
        again = f"/{segment.attempt}" if segment.attempt else ""
        return "repeat" if repeat else f"{self._run_key}/{segment.key.text}{again}"

    def _for_target(self, target: Target, shape: Shape | None) -> tuple[list[BodyTemplate], list[BodyTemplate]]:
        """The bodies of what is measured, and of the warm-ups."""
        if (target.name, shape) not in self._templates:
            measured = self._book.measured if shape is None else [self._shaped[target.name, shape]]
            settings = self._settings(shape)
            self._templates[target.name, shape] = (
                self._templates_of(target, measured, settings),
                self._templates_of(target, self._book.warmup, settings),
            )
        return self._templates[target.name, shape]

    def _templates_of(self, target: Target, prompts: Sequence[Prompt], settings: Request) -> list[BodyTemplate]:
        bodies = [
            request_body(
                target, self._profile.endpoint, self._marked(prompt.messages, PLACEHOLDER), settings, prompt.tools
            )
            for prompt in prompts
        ]
        return [BodyTemplate(json.dumps(body, ensure_ascii=False).encode()) for body in bodies]


def _rotated(order: list[int], offset: int) -> list[int]:
    offset %= len(order)
    return order[offset:] + order[:offset]


def _share(requests: int | None, worker: int, used: int) -> int | None:
    if requests is None:
        return None
    return len(range(worker, requests, used)) if worker < used else 0


def spread_ns(stagger: str | float) -> int | None:
    """The profile's `stagger` for the driver: nanoseconds, or None for "auto"."""
    return None if isinstance(stagger, str) else int(stagger * NS)


def most_connections(profile: Profile, workers: int) -> int:
    """The most connections that one process of a run has open at once: a worker, which keeps those to every target, or
    the simulator, which has all of its own."""
    most = profile.load.heaviest().slots
    of_worker = math.ceil(most / min(workers, most)) * len(profile.targets)
    simulated = any(spec.url is None and dialect_of(spec).name == "sim" for spec in profile.targets)
    return max(most, of_worker) if simulated else of_worker
