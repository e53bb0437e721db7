"""How a run is measured and stored, beside what its profile asks for."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from lmx_loadgen.analysis.comparison.verdict import MARGIN
from lmx_loadgen.errors import InputError
from lmx_loadgen.load.driver import WorkerProcess
from lmx_loadgen.load.handle import StartWorker
from lmx_loadgen.profile.models import Profile
from lmx_loadgen.session.plan import FEWEST_BLOCKS, FIRST_ROUNDS, blocks_of
from lmx_loadgen.session.resume import ResumeState, load_resume_state
from lmx_loadgen.sim.presets import start_demo
from lmx_loadgen.sim.process import SimProcess
from lmx_loadgen.system.lock import Lock
from lmx_loadgen.targets.recognize import KnownServers

# Starts a simulator, given the environment of its process.
StartSim = Callable[[Mapping[str, str]], SimProcess]

DEFAULT_MAX_DURATION_S = 1200.0  # of --until-conclusive
_MIN_BLOCKS_UNTIL_CONCLUSIVE = 4
# Options that a header keeps for nothing but resuming the run.
RESUMED_OPTIONS = (
    *("insecure", "ca_file", "probe", "isolate", "max_duration", "server_benchmark", "detect", "budget"),
    *("i_own_this_server", "allow_plain_http", "capacity", "share", "within", "probe_cache", "cluster", "nodes"),
)


@dataclass(frozen=True)
class Options:
    """What is asked of a run itself.

    Attributes:
        out: the folder that the run's own folder is made in.
        loop: the event loop of the measuring processes, `stamps` the source of their times; None for the finest.
        workers: how many processes measure.
        cluster: the Ray cluster whose machines measure, one process on each; None for this machine alone.
        nodes: how many of them measure; None for all.
        insecure: whether no TLS certificate is checked; `ca_file` names further authorities.
        probe: whether the servers are asked small things beside the load: what they refuse, whether they cache.
        probe_cache: whether, with `probe`, each server's prefix cache is probed once the load is done.
        count_tokens: whether one answer is asked for unstreamed where the streamed ones have no count of tokens.
        accept: why failed checks of a comparison are overridden.
        until_conclusive: whether rounds are added until the verdicts are conclusive, within `max_duration` seconds.
        detect: the difference, as a share, that rounds are added for until it would be found, in the same time.
        no_text: whether what users and models wrote is left out of what is stored.
        budget: how many seconds the run may take in all, checks included; levels and blocks are fitted into it.
        isolate: whether each server has the machine to itself while it is measured.
        reference: a file of published figures, None for those of the package.
        server_benchmark: whether Opta-LMX is to measure itself too.
        lock: what came of asking that nobody else measures on this machine; None where nobody asked.
        resume_state: the run to resume; then `out` says nothing.
        i_own_this_server: whether a heavy load may go to a public address.
        allow_plain_http: whether keys may be sent over plain http to other machines.
        start_worker: what starts a measuring process.
        capacity: what a search for the capacity goes by; None for a run that is no search.
        share: the share of requests that must keep every limit in it, and `within` how many seconds it may take.
        start_sim: what starts the simulator, given the environment of its process.
        known_servers: who was recognized where, for whoever does one run after the other; None remembers nobody.
        workers_why: a sentence on the number of `workers`, where the tool decided it.
    """

    out: Path = Path("reports")
    loop: str | None = None
    stamps: str | None = None
    workers: int = 1
    cluster: str | None = None
    nodes: int | None = None
    insecure: bool = False
    ca_file: str | None = None
    probe: bool = True
    probe_cache: bool = True
    count_tokens: bool = False
    accept: str | None = None
    until_conclusive: bool = False
    detect: float | None = None
    no_text: bool = False
    budget: float | None = None
    isolate: bool = False
    max_duration: float | None = None
    reference: Path | None = None
    server_benchmark: bool = False
    lock: Lock | None = None
    resume_state: ResumeState | None = None
    i_own_this_server: bool = False
    allow_plain_http: bool = False
    start_worker: StartWorker = WorkerProcess
    capacity: Literal["concurrency", "rate", "users"] | None = None
    share: float = 0.95
    within: float = 900.0
    start_sim: StartSim = start_demo
    known_servers: KnownServers | None = None
    workers_why: str | None = None

    @property
    def goes_on(self) -> bool:
        """Whether more is measured than the plan has, by what has been measured."""
        adds = (self.detect, self.budget, self.capacity)
        return self.until_conclusive or any(one is not None for one in adds)

    def first_rounds(self, targets: int) -> int | None:
        """How many rounds of a level are planned before the run decides itself; None where it does not."""
        if self.capacity is not None:
            return 1
        if self.detect is not None:
            return FIRST_ROUNDS
        if self.budget is None:
            return None
        return FEWEST_BLOCKS if targets > 1 else 1

    def below(self, base_dir: Path) -> "Options":
        """The same, with paths that are relative to a folder found from there."""
        return replace(
            self,
            out=base_dir / self.out,
            ca_file=None if self.ca_file is None else str(base_dir / self.ca_file),
            reference=None if self.reference is None else base_dir / self.reference,
        )

    def check(self, profile: Profile) -> None:
        """Raises InputError where these options make no sense with a profile."""
        _check_chats(profile)
        _check_file(profile)
        chosen = {"--until-conclusive": self.until_conclusive, "--detect": self.detect, "--budget": self.budget}
        named = [name for name, value in chosen.items() if value]
        if len(named) > 1:
            raise InputError(f"{' and '.join(named)} do not go together: each decides how much is measured")
        if profile.load.sweep and named:
            raise InputError(f"{named[0]} does not go with --rate sweep, which decides itself what is measured")
        if self.until_conclusive:
            _check_until_conclusive(profile)
        elif self.max_duration is not None and self.detect is None:
            raise InputError(
                "--max-duration goes with --until-conclusive or --detect: it limits the blocks that are added"
            )
        if self.detect is not None:
            _check_detect(profile, self.detect)
        if self.accept is not None and not self.accept.strip():
            raise InputError("--accept needs a reason, which then stands in the result")
        if self.nodes is not None and self.cluster is None:
            raise InputError("--nodes needs a cluster: give --cluster")
        if self.isolate and len(profile.targets) < 2:
            raise InputError("--isolate needs two targets: alone, a server has the machine to itself")


def resume_options(folder: Path, lock: Lock | None = None, given: Profile | None = None) -> Options:
    """How to resume the run in `folder`: as it was begun. `given` has the texts that a run with --no-text did not keep.
    Raises ResultError or NotResumable."""
    resume_state = load_resume_state(folder, given)
    header, info = resume_state.header, resume_state.resume_info
    named = {name: info[name] for name in RESUMED_OPTIONS if name in info}
    if named.get("cluster") is not None:  # as many of its machines as began it
        named["nodes"] = len(header["nodes"])
    return Options(
        loop=header["instrument"]["loop"],
        stamps=header["instrument"]["stamps"],
        workers=header["instrument"]["workers"],
        accept=header.get("accepted"),
        until_conclusive=header["until_conclusive"],
        no_text=header.get("no_text", False),
        lock=lock,
        resume_state=resume_state,
        **named,
    )


def _check_chats(profile: Profile) -> None:
    prompts, load = profile.prompts, profile.load
    named = {"--chats": prompts.chats, "--shared-system": prompts.shared_system, "--think": load.think}
    if prompts.answers == "live":
        named["--answers live"] = prompts.answers
    if not load.users:
        if given := [name for name, value in named.items() if value]:
            raise InputError(f"{' and '.join(given)} need{'s' * (len(given) == 1)} users who lead chats: give --users")
        return
    if profile.endpoint != "chat":
        raise InputError("--users lead chats, which need --endpoint chat")
    if prompts.text is not None or prompts.file is not None:
        raise InputError("--users lead chats: give --chats instead of --prompt or --prompts")


def _check_file(profile: Profile) -> None:
    prompts = profile.prompts
    given = [f"--{name}" for name in ("column", "sample") if getattr(prompts, name) is not None]
    if given and prompts.file is None and prompts.chats is None:
        verb = "needs" if len(given) == 1 else "need"
        raise InputError(f"{' and '.join(given)} {verb} a file: give --prompts or --chats")


def _check_detect(profile: Profile, effect: float) -> None:
    if len(profile.targets) < 2:
        raise InputError("--detect needs two targets to compare: give --target twice")
    if not MARGIN < effect < 1:
        raise InputError(
            f"--detect is a difference over {100 * MARGIN:g} %, like 5%: smaller ones do not matter to a verdict"
        )
    if profile.load.blocks is not None:
        raise InputError("--detect decides how many blocks there are, and does not go with --blocks")


def _check_until_conclusive(profile: Profile) -> None:
    targets = len(profile.targets)
    if targets < 2:
        raise InputError("--until-conclusive needs two targets to compare: give --target twice")
    if blocks_of(profile.load, targets) < _MIN_BLOCKS_UNTIL_CONCLUSIVE:
        raise InputError(f"--until-conclusive needs --blocks of at least {_MIN_BLOCKS_UNTIL_CONCLUSIVE} to begin with")
