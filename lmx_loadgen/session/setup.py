"""Everything that has to be there before the first request: measuring processes, servers with their models, a plan,
expectations."""

import contextlib
import functools
import os
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import httpx

from lmx_loadgen.errors import LoadgenError
from lmx_loadgen.load.handle import WorkerHandle
from lmx_loadgen.profile.models import Profile, TargetSpec
from lmx_loadgen.profile.prompts import PromptBook
from lmx_loadgen.profile.replay import asked_prompts
from lmx_loadgen.session.checks.client import CheckClient
from lmx_loadgen.session.instrument import tls
from lmx_loadgen.session.isolation import obstacles
from lmx_loadgen.session.jobs import JobMaker
from lmx_loadgen.session.lengths.counters import Asker
from lmx_loadgen.session.lengths.fitted import fit_lengths
from lmx_loadgen.session.options import Options
from lmx_loadgen.session.plan import Segment, make_plan
from lmx_loadgen.session.plan_description import plan_description
from lmx_loadgen.session.resume import hash_inputs
from lmx_loadgen.session.stop_flag import StopFlag, unless_stopped
from lmx_loadgen.session.token_counter import TokenCounter, token_counter
from lmx_loadgen.session.workers import Workers, check_reachable, child_environment, node_lines, start_workers
from lmx_loadgen.store.cards import DialectCard, card_in, find_card
from lmx_loadgen.store.lengths import FittedLength, fitted_lengths
from lmx_loadgen.store.result import Hypothesis
from lmx_loadgen.system import folders, host, package_data
from lmx_loadgen.targets.address import dialect_of
from lmx_loadgen.targets.base import Target, keys_of
from lmx_loadgen.targets.carded import with_card
from lmx_loadgen.targets.prepare import Access, prepare
from lmx_loadgen.targets.probe import adapted

if TYPE_CHECKING:
    from lmx_loadgen.store.reference import Reference

# Given the loop and the stamps that a run measures with: what is known of its error, for the header; or None.
Calibrated = Callable[[str, str], Mapping[str, Any] | None]


@dataclass(frozen=True)
class RunSetup:
    """All that is decided and ready before anything is measured. `targets` and `hypotheses` are by target's name;
    `nodes` is what the header says of a cluster's;
    `took_s` is how long it took to make it ready, but for a calibration, and `began` when that began (monotonic, s)."""

    options: Options
    profile: Profile
    plan: Sequence[Segment]
    run_id: str
    book: PromptBook
    lengths: Sequence[FittedLength]
    jobs: JobMaker
    count: TokenCounter | None
    input_hashes: Mapping[str, str | None]
    workers: Sequence[WorkerHandle]
    nodes: Sequence[Mapping[str, Any]]
    targets: Mapping[str, Target]
    hypotheses: Mapping[str, Hypothesis]
    calibration: Mapping[str, Any] | None
    took_s: float = 0.0
    began: float = 0.0

    @property
    def nonce_key(self) -> str:
        """What the nonces of this run are made of; no attempt of a resumed run has those of another."""
        resume_state = self.options.resume_state
        return self.run_id if resume_state is None else resume_state.nonce_key

    def announcement(self) -> list[str]:
        """What a user should know before the run begins, a sentence each."""
        resume_state = self.options.resume_state
        lines = [f"{name}: {hypothesis.sentence}" for name, hypothesis in self.hypotheses.items()]
        if resume_state is not None:
            lines.insert(0, f"resuming {resume_state.folder}: {len(resume_state.finished)} blocks are done")
        elif len(self.targets) > 1 and self.options.capacity is None:
            lines += plan_description(self.profile, self.plan, self.options)
        if len(self.targets) > 1 and self.options.isolate:
            lines += obstacles(self.targets)
        return lines


def set_up(
    profile: Profile,
    options: Options,
    calibrated: Calibrated | None,
    stack: contextlib.ExitStack,
    *,
    stop: StopFlag,
    base_dir: Path,
    say: Callable[[str], None] = lambda words: None,
) -> RunSetup:
    """Make a run ready. Processes that are started for it end with `stack`; `say` hears what takes long. Raises
    LoadgenError, and Interrupted where the run is to stop meanwhile."""
    began = time.monotonic()
    resume_state = options.resume_state
    book, trace = asked_prompts(profile, base_dir)
    count = token_counter(profile.tokenizer, base_dir) if profile.tokenizer is not None else None
    input_hashes = hash_inputs(book, profile.tokenizer, base_dir, trace)
    workers = start_workers(profile, options, stack, stop)
    options = replace(options, workers=len(workers.handles))
    targets = _prepare_targets(profile, options, stack, stop, has_system=book.has_system)
    check_reachable(targets, workers.nodes)
    names = [target.name for target in targets]
    if resume_state is not None:
        resume_state.refuse_if_changed(targets, input_hashes, [node.facts.machine_id for node in workers.nodes])
        hypotheses, plan, run_id = {}, resume_state.plan, str(resume_state.header["run_id"])
    else:
        hypotheses = _hypotheses(targets, options.reference)
        plan, run_id = make_plan(profile, names, options.first_rounds(len(names))), secrets.token_hex(4)
    nonce_key = run_id if resume_state is None else resume_state.nonce_key
    lengths = _lengths(profile, options, targets, stop, count, nonce_key)
    took_s = time.monotonic() - began
    calibration, nodes = _calibration(workers, calibrated, stop, say)
    stop.check()
    return RunSetup(
        options=options,
        profile=profile,
        plan=plan,
        run_id=run_id,
        book=book,
        lengths=lengths,
        jobs=JobMaker(
            profile,
            book,
            nonce_key,
            insecure=options.insecure,
            ca_file=options.ca_file,
            lengths=lengths,
            trace=trace,
        ),
        count=count,
        input_hashes=input_hashes,
        workers=workers.handles,
        nodes=nodes,
        targets=dict(zip(names, targets, strict=True)),
        hypotheses=hypotheses,
        calibration=calibration,
        took_s=took_s,
        began=began,
    )


def _calibration(
    workers: Workers, calibrated: Calibrated | None, stop: StopFlag, say: Callable[[str], None]
) -> tuple[Mapping[str, Any] | None, list[dict[str, Any]]]:
    """The run's calibration, and the lines of a cluster's nodes with those of each. Raises LoadgenError."""
    for words in workers.warnings:
        say(words)
    if not workers.nodes:
        return calibrated(workers.loop, workers.stamps.value) if calibrated is not None else None, []
    if calibrated is None:
        return None, node_lines(workers, [None] * len(workers.nodes))
    from lmx_loadgen.session.node_calibration import calibrations_of, of_cluster

    found = calibrations_of(workers, stop, say)
    return of_cluster(workers.nodes, found), node_lines(workers, found)


def _lengths(
    profile: Profile,
    options: Options,
    targets: Sequence[Target],
    stop: StopFlag,
    count: TokenCounter | None,
    nonce_key: str,
) -> list[FittedLength]:
    """The prompts of the profile's shapes: a resumed run goes on with its own. Raises InputError and Interrupted."""
    if options.resume_state is not None:
        return fitted_lengths(options.resume_state.header)
    client = CheckClient(tls(options), stop)
    askers = [Asker(target, profile, client) for target in targets]
    found = fit_lengths(askers, profile.load.shapes, count, nonce_key)
    stop.check()
    return found


def _prepare_targets(
    profile: Profile, options: Options, stack: contextlib.ExitStack, stop: StopFlag, *, has_system: bool
) -> list[Target]:
    """Find every target and its model; a simulator that has no address is started. Raises the TargetError or InputError
    of the one that is wrong; of several, the first's kind, with the words of all. Raises Interrupted."""
    access = Access(
        env=os.environ,
        home=folders.home(),
        verify=tls(options),
        needs_admin=options.isolate,
        allow_plain_http=options.allow_plain_http,
        known=options.known_servers,
    )

    async def all_of_them() -> tuple[list[Target], list[LoadgenError]]:
        targets: list[Target] = []
        faults: list[LoadgenError] = []
        for spec in profile.targets:
            try:
                url = _sim_url(profile, spec, options, stack)
                target = await prepare(spec, access, url=url, may_load=options.isolate)
                targets.append(await _adapted(target, profile, options, access, has_system=has_system))
            except LoadgenError as fault:
                faults.append(fault)
        return targets, faults

    found = anyio.run(unless_stopped, all_of_them, stop)
    stop.check()
    ((targets, faults),) = found
    if len(faults) > 1:
        raise type(faults[0])("; and ".join(str(fault) for fault in faults))
    if faults:
        raise faults[0]
    return targets


async def _adapted(target: Target, profile: Profile, options: Options, access: Access, *, has_system: bool) -> Target:
    """The target as its server takes requests; it is asked, unless it is ours or its model is not loaded yet."""
    if not options.probe or not target.is_loaded or target.dialect.name == "sim":
        return target
    card = _card_of(target, options)
    if card is not None and profile.endpoint == "chat":
        return with_card(target, card)
    async with httpx.AsyncClient(timeout=profile.timeouts.connect, verify=access.verify, trust_env=False) as client:
        return await adapted(
            target, profile.endpoint, secrets.token_hex(8), profile.request, client, has_system=has_system
        )


def _card_of(target: Target, options: Options) -> DialectCard | None:
    """The dialect card of this server, where it has been probed; a resumed run goes on with the one it began with."""
    if options.resume_state is None:
        server, model = target.server, keys_of([target]).redact(target.model)
        return find_card(target.base_url, server.get("product"), server.get("version"), model)
    begun = [one for one in options.resume_state.header["targets"] if one["name"] == target.name]
    return card_in(begun[0].get("card")) if begun else None


def _sim_url(profile: Profile, spec: TargetSpec, options: Options, stack: contextlib.ExitStack) -> str | None:
    if spec.url is not None or dialect_of(spec).name != "sim":
        return None
    return stack.enter_context(options.start_sim(child_environment(profile))).base_url


def _hypotheses(targets: Sequence[Target], path: Path | None) -> dict[str, Hypothesis]:
    """What is expected of each target, by its name. Raises ProfileError for a reference file that cannot be used."""
    from lmx_loadgen.analysis.hypothesis import hypothesis
    from lmx_loadgen.store import reference

    chip = host.chip()
    known = _packaged_figures() if path is None else reference.read_reference(path)
    bandwidths = _bandwidths()
    return {
        target.name: hypothesis(
            known,
            bandwidths,
            model=target.model,
            quantization=target.server.get("quantization"),
            server=reference.SERVER_OF.get(target.dialect.name),
            chip=chip,
        )
        for target in targets
        if target.dialect.name != "sim"
    }


@functools.cache
def _packaged_figures() -> "Reference":
    """Reading them takes a tenth of a second: once a process is enough."""
    from lmx_loadgen.store import reference

    return reference.read_reference(package_data.folder("reference") / reference.NAME)


@functools.cache
def _bandwidths() -> dict[str, float]:
    from lmx_loadgen.store import reference

    return reference.read_bandwidths(package_data.folder("reference") / reference.CHIPS)
