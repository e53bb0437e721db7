"""Servers that are started for each run and ended after it, in random turns: a restart is one observation.

For comparing settings and versions on one machine. What a server has of its own while it runs, where its memory lies
and what it compiled, is then in the scatter between runs, and not taken for a difference.
"""

import os
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from lmx_loadgen.errors import InputError
from lmx_loadgen.profile.models import Profile
from lmx_loadgen.session.options import Options
from lmx_loadgen.session.outcome import RunOutcome
from lmx_loadgen.session.run import run_blocking
from lmx_loadgen.session.setup import Calibrated
from lmx_loadgen.session.started_server import ServerCommand, StartedServer
from lmx_loadgen.session.stop_flag import StopFlag
from lmx_loadgen.session.view import View
from lmx_loadgen.system.disk import make_folder

_LOGS = "server-logs"

Start = Callable[[ServerCommand, Path], StartedServer]


@dataclass
class Restarts:
    """All runs of all servers. `folder` gets a folder of runs for each, by its name, and what the servers said.

    `profile` has a target for each command, of the same name.
    """

    profile: Profile
    commands: Sequence[ServerCommand]
    restarts: int
    options: Options
    folder: Path
    start: Start = StartedServer
    outcomes: dict[str, list[RunOutcome]] = field(default_factory=dict)

    def turns(self) -> list[list[ServerCommand]]:
        """Who is measured after whom: each restart has every server once, in an order drawn by the profile's seed."""
        found = []
        for place in range(self.restarts):
            turn = list(self.commands)
            random.Random(f"{self.profile.request.seed}/restart/{place}").shuffle(turn)
            found.append(turn)
        return found

    def run(
        self, stop: StopFlag, base_dir: Path, view: View, calibrated: Callable[[], Calibrated | None] = lambda: None
    ) -> Iterator[RunOutcome]:
        """Each run as it ends; the last one is incomplete where `stop` was set. Raises what a run raises, and
        ServerNotStarted; every server has ended by then."""
        for place, turn in enumerate(self.turns()):
            for command in turn:
                if stop():
                    return
                view.say(f"restart {place + 1} of {self.restarts}: {command.name}")
                with self.start(command, self._log(base_dir, command, place)) as server:
                    server.wait_until_ready(stop)
                    outcome = run_blocking(
                        self._profile_of(command, server),
                        options=replace(self.options, out=self.folder / command.name),
                        stop=stop,
                        base_dir=base_dir,
                        view=view,
                        calibrated=calibrated(),
                    )
                    server.raise_if_ended()
                self.outcomes.setdefault(command.name, []).append(outcome)
                yield outcome

    def _log(self, base_dir: Path, command: ServerCommand, place: int) -> Path:
        if self.options.no_text:
            return Path(os.devnull)  # servers write prompts into their logs
        folder = base_dir / self.folder / _LOGS
        make_folder(folder)
        return folder / f"{command.name}-{place + 1}.log"

    def _profile_of(self, command: ServerCommand, server: StartedServer) -> Profile:
        spec = next(one for one in self.profile.targets if one.name == command.name)
        return self.profile.model_copy(update={"targets": [spec.model_copy(update={"url": server.url})]})


def check_restarts(commands: Sequence[ServerCommand], options: Options) -> None:
    """Raises InputError where these make no sense."""
    names = [command.name for command in commands]
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"--server-cmd {name} is given twice: give each its own name, like {name}2")
    for name, flag in (("until_conclusive", "--until-conclusive"), ("isolate", "--isolate"), ("detect", "--detect")):
        if getattr(options, name):
            raise InputError(f"--server-cmd measures one server at a time, and does not go with {flag}")
    if options.resume_state is not None:
        raise InputError("--server-cmd does not work with --resume: a server that has ended cannot be resumed")
