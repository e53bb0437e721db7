"""Each segment's work, split over the workers, with every request body ready but for its nonce."""

import json
import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from lmx_loadgen.load.arrivals import DueTimes, drawn, recorded
from lmx_loadgen.load.messages import Job
from lmx_loadgen.load.request import PLACEHOLDER, BodyTemplate
from lmx_loadgen.profile.models import Profile, Request
from lmx_loadgen.profile.prompts import Prompt, PromptBook, order_of, with_nonce
from lmx_loadgen.profile.replay import Trace
from lmx_loadgen.session.plan import Segment
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
        trace: Trace | None = None,
    ) -> None:
        self._profile = profile
        self._book = book
        self._run_key = run_key
        self._insecure = insecure
        self._ca_file = ca_file
        self._trace = trace
        self._templates: dict[str, tuple[list[BodyTemplate], list[BodyTemplate]]] = {}
        rounds = max(1, min(_ORDER_ROUNDS, _MOST_ORDERED // len(book.measured)))
        self._order = order_of(book, profile.request.seed or 0, len(book.measured) * rounds)

    def max_tokens(self, phase: str) -> int:
        """The most tokens of an answer, also in a phase beside the load."""
        limit = self._profile.request.max_tokens
        return {"probe": PROBE_TOKENS, "stability": min(STABILITY_TOKENS, limit)}.get(phase, limit)

    def prompt_id(self, phase: str, template: int) -> str:
        return (self._book.measured if phase == "measured" else self._book.warmup)[template].id

    def prompt_text(self, phase: str, template: int, nonce: str) -> str:
        """All texts of the prompt's messages, as they are sent; what a chat template adds is the server's own."""
        prompt = (self._book.measured if phase == "measured" else self._book.warmup)[template]
        return "\n".join(text_of(message.get("content")) for message in with_nonce(prompt.messages, nonce))

    def body_of(self, prompt_id: str, nonce: str, target: Target) -> dict[str, Any]:
        """The body of a measured request, made again."""
        prompt = next(one for one in self._book.measured if one.id == prompt_id)
        messages = with_nonce(prompt.messages, nonce)
        return request_body(target, self._profile.endpoint, messages, self._profile.request)

    def jobs(self, segment: Segment, target: Target, workers: int) -> list[Job]:
        """One job for each worker: slots and request numbers are dealt out like cards."""
        timeouts = self._profile.timeouts
        templates, warmup_templates = self._for_target(target)
        point = segment.load_point
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

    def _order_of(self, segment: Segment) -> list[int]:
        if segment.load_point.kind == "replay" and self._trace is not None:
            return self._trace.places
        return _rotated(self._order, segment.offset)

    def probe(self, segment: Segment, target: Target, workers: int, first: int) -> list[Job]:
        """The job of a cache probe, for the first worker alone: short answers to the longest prompt there is, from the
        request number `first` on. The same number has the same nonce in every probe of this target."""
        longest = max(range(len(self._book.measured)), key=lambda place: len(str(self._book.measured[place].messages)))
        short = self._profile.request.model_copy(update={"max_tokens": self.max_tokens("probe")})
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
        short = self._profile.request.model_copy(update={"max_tokens": self.max_tokens("stability")})
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

    def _for_target(self, target: Target) -> tuple[list[BodyTemplate], list[BodyTemplate]]:
        if target.name not in self._templates:
            self._templates[target.name] = (
                self._templates_of(target, self._book.measured, self._profile.request),
                self._templates_of(target, self._book.warmup, self._profile.request),
            )
        return self._templates[target.name]

    def _templates_of(self, target: Target, prompts: Sequence[Prompt], settings: Request) -> list[BodyTemplate]:
        bodies = [
            request_body(target, self._profile.endpoint, with_nonce(prompt.messages, PLACEHOLDER), settings)
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
