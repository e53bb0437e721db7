"""Resumes a run that was cut off or stopped: what its log says of it, and whether anything has changed since.

What has been measured stays. A segment without its end is done again from its start, with the same prompts in the same
order, but under nonces that were never sent: the server may still have its first half in a cache.
"""

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import pydantic_core
from pydantic import ValidationError

from lmx_loadgen import __version__
from lmx_loadgen.analysis.no_text import lacks_texts, with_texts
from lmx_loadgen.decode.errors import plain
from lmx_loadgen.errors import NotResumable
from lmx_loadgen.profile.load_point import LoadPoint, load_point
from lmx_loadgen.profile.models import Profile
from lmx_loadgen.profile.prompts import PromptBook
from lmx_loadgen.profile.replay import Trace
from lmx_loadgen.session.checks.check_key import key_of
from lmx_loadgen.session.plan import PROBES, Segment, planned_segment, stability_points
from lmx_loadgen.store.eventlog import NAME, EventLog
from lmx_loadgen.store.lines import ran_to_its_end
from lmx_loadgen.store.log_reader import LogContents, read_log
from lmx_loadgen.store.segment_key import LOAD, SegmentKey, segment_key
from lmx_loadgen.system import folders, identity
from lmx_loadgen.system.clock import NS, Anchor
from lmx_loadgen.targets.base import Target


@dataclass(frozen=True)
class ResumeState:
    """A run to resume: its folder, and its log as far as it came. `given` is a profile with the texts that the log of
    a run with --no-text lacks."""

    folder: Path
    log: LogContents
    given: Profile | None = None

    @property
    def header(self) -> Mapping[str, Any]:
        return self.log.header

    @cached_property
    def profile(self) -> Profile:
        """The profile as it was run, each target with the model that was found. Raises NotResumable."""
        stored = self.header["profile"]
        if self.header.get("no_text") and lacks_texts(stored):
            stored = self._with_texts(stored)
        try:
            profile = Profile.model_validate(stored)
        except ValidationError:
            raise NotResumable(f"the profile in {self.folder / NAME} is damaged: the run cannot go on") from None
        models = {target["name"]: target["model"] for target in self.header["targets"]}
        specs = [spec.model_copy(update={"model": models.get(spec.name)}) for spec in profile.targets]
        return profile.model_copy(update={"targets": specs})

    def _with_texts(self, stored: Mapping[str, Any]) -> dict[str, Any]:
        again = "give --profile, --prompt and --extra-body as they were when it began"
        if self.given is None:
            raise NotResumable(f"{self.folder} was run with --no-text and does not have its prompt: {again}")
        found = with_texts(stored, self.given.model_dump(mode="json"))
        if found is None:
            raise NotResumable(f"{self.folder} was run with another prompt, extra field or tool: {again}")
        return found

    @property
    def plan(self) -> list[Segment]:
        return [planned_segment(one) for one in self.header["plan"]]

    @property
    def resume_info(self) -> Mapping[str, Any]:
        """What the header keeps for resuming alone."""
        info: Mapping[str, Any] = self.header["going_on"]
        return info

    @property
    def attempt(self) -> int:
        return len(self.log.resumes) + 1

    @property
    def nonce_key(self) -> str:
        """No attempt has the nonces of another."""
        return f"{self.header['run_id']}+{self.attempt}"

    @cached_property
    def begun(self) -> list[SegmentKey]:
        """The segments that had begun, in the order of their first lines."""
        log = self.log
        return list(dict.fromkeys([*map(segment_key, log.host), *log.request_keys, *map(segment_key, log.segments)]))

    @cached_property
    def finished(self) -> frozenset[SegmentKey]:
        """The segments that need not be done again. The parts of a cache probe only mean something together, and so do
        answers to one prompt alone and among others: such a segment is finished when all of its kind are."""
        done = {segment_key(line) for line in self.log.segments if ran_to_its_end(line)}
        of_kind = Counter((key.target, key.phase) for key in done)
        measured = {key.load_point for key in self.begun if key.phase == LOAD}
        needed = {"probe": PROBES, "stability": len(stability_points(self.profile, measured))}
        return frozenset(key for key in done if of_kind[key.target, key.phase] >= needed.get(key.phase, 1))

    @property
    def finished_checks(self) -> frozenset[tuple[str, str, str]]:
        """What targets have been asked to do already, as `checks.check_key.key_of` names it."""
        return frozenset(key_of(line["target"], line) for line in self.log.checks)

    @property
    def redo(self) -> list[SegmentKey]:
        """The segments that had begun and are done again."""
        return [key for key in self.begun if key not in self.finished]

    def blocks_begun(self, point: LoadPoint) -> int:
        """How many rounds of a level had begun, also those added until it was conclusive."""
        begun = [key.block for key in self.begun if key.load_point == point and key.phase == LOAD]
        again = [line["block"] for line in self.log.again if load_point(line["load_point"]) == point]
        return max((block + 1 for block in begun + again), default=0)

    @property
    def measured_again(self) -> list[tuple[LoadPoint, int]]:
        """The load point and block of each round that was measured again, as often as it was."""
        return [(load_point(line["load_point"]), line["block"]) for line in self.log.again]

    @property
    def next_id(self) -> int:
        return self.log.next_id

    @property
    def answered(self) -> set[str]:
        """The targets that have given an answer."""
        found: set[str] = set()
        for line in self.log.requests:
            if line["outcome"] == "ok":
                found.add(line["target"])
            if len(found) == len(self.header["targets"]):
                break
        return found

    @property
    def spent_s(self) -> float:
        """How long was measured in segments that count."""
        done = [line for line in self.log.segments if segment_key(line) in self.finished]
        return float(sum(line["end_ns"] - (line["start_ns"] or line["end_ns"]) for line in done) / NS)

    def reopen_log(self, anchor: Anchor, other_run: Mapping[str, Any] | None) -> EventLog:
        """The log, with a line that says that the run resumes. Raises StorageError."""
        log, cut_bytes = EventLog.reopen(self.folder / NAME)
        log.append(
            {
                "type": "resume",
                "clock": {"mono_ns": anchor.mono_ns, "unix_ns": anchor.unix_ns},
                "resumed_at": anchor.iso(anchor.mono_ns),
                "attempt": self.attempt,
                "redo": [key.as_dict() for key in self.redo],
                "cut_bytes": cut_bytes,
                "beside": other_run,
            }
        )
        return log

    def refuse_if_changed(
        self, targets: Sequence[Target], input_hashes: Mapping[str, str | None], machines: Sequence[str] = ()
    ) -> None:
        """Raises NotResumable, naming the first thing that has changed. `machines` are the nodes' of a cluster."""
        former_machines = sorted(node["host"]["machine_id"] for node in self.header.get("nodes", ()))
        if former_machines != sorted(machines):
            raise self.changed("what measured", *(_machines_words(one) for one in (former_machines, machines)))
        known = {target["name"]: target for target in self.header["targets"]}
        for target in targets:
            former = known[target.name]
            sim = target.dialect.name == "sim" and self._spec_url(target.name) is None  # each run starts its own
            pairs = {
                "address": (None if sim else former["base_url"], None if sim else target.base_url),
                "dialect": (former["dialect"], target.dialect.name),
                "model": (former["model"], target.model),
                **{part: (former["server"].get(part), target.server.get(part)) for part in ("version", "quantization")},
            }
            for what, (before, now) in pairs.items():
                if before is not None and now is not None and before != now:
                    raise self.changed(f"the {what} of {target.name}", before, now)
        for what, before in self.resume_info["prints"].items():
            if before != input_hashes.get(what):
                raise NotResumable(f"{self.folder} cannot go on: the {what} file has changed since; make a new run")

    def _spec_url(self, name: str) -> str | None:
        return next((spec.url for spec in self.profile.targets if spec.name == name), None)

    def changed(self, what: str, before: object, now: object) -> NotResumable:
        """The error that says what has changed."""
        return NotResumable(
            f"{self.folder} cannot go on: {what} was {plain(str(before), 120)} and is {plain(str(now), 120)} now; make "
            "a new run"
        )


def load_resume_state(folder: Path, given: Profile | None = None) -> ResumeState:
    """The run in a folder, to resume; `given` as in `ResumeState`. Raises ResultError, or NotResumable where it is over
    or another made it."""
    log = read_log(folder / NAME)
    if log.end is not None and log.end["complete"]:
        raise NotResumable(f"{folder} is complete: nothing of it is left to measure")
    resume_state = ResumeState(folder, log, given)
    if "going_on" not in log.header:
        raise NotResumable(f"{folder} does not say enough of how it was run to go on: make a new run")
    for what, before, now in (
        ("the version of lmx-loadgen", log.header["tool_version"], __version__),
        ("the machine", *_machines(log.header["host"])),
    ):
        if before != now:
            raise resume_state.changed(what, before, now)
    return resume_state


def _machines(host: Mapping[str, Any]) -> tuple[object, str]:
    """The machine of a log and this one, by the same kind of name: earlier versions went by the host's name."""
    if "machine_id" in host:
        return host["machine_id"], identity.machine_id()
    return host.get("name"), identity.former_id()


def _machines_words(machines: Sequence[str]) -> str:
    return f"a cluster of the machines {', '.join(sorted(machines))}" if machines else "this machine alone"


def hash_inputs(
    book: PromptBook, tokenizer: str | None, base_dir: Path, trace: Trace | None = None
) -> dict[str, str | None]:
    """What tells whether files that a profile names have changed: a short hash of each, None where it names none."""
    asked: list[Any] = [
        [prompt.id, list(prompt.messages), *([prompt.tools] if prompt.tools else [])]
        for prompt in (*book.measured, *book.warmup)
    ]
    if trace is not None:  # when each is due is a part of what is asked
        asked.append([trace.offsets_ns, trace.places])
    prompts = pydantic_core.to_json(asked)
    file = None if tokenizer is None else base_dir / folders.expanded(Path(tokenizer))
    return {"prompts": _hash(prompts), "tokenizer": None if file is None else _file_hash(file, file.stat().st_mtime_ns)}


@lru_cache(maxsize=2)
def _file_hash(file: Path, changed_ns: int) -> str:
    """A tokenizer may have many megabytes."""
    return _hash(file.read_bytes())


def _hash(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:16]
