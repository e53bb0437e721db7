"""Gives each server the machine to itself for the length of a block: the others unload their models meanwhile."""

import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

import anyio
import httpx

from lmx_loadgen.decode.errors import plain
from lmx_loadgen.errors import ModelNotLoaded
from lmx_loadgen.session.plan import Segment
from lmx_loadgen.session.stop_flag import unless_stopped
from lmx_loadgen.system import host
from lmx_loadgen.targets.base import Target, keys_of
from lmx_loadgen.targets.client import AdminClient

# Loading a large model from a cold disk takes minutes.
_LOAD_S = 600.0
_MAX_WAIT_S = 30.0
_LOOK_EVERY_S = 1.0
# Memory holds still when nothing in it has changed by more than this from one look to the next: less than any model.
_STILL_BYTES = 128 * 2**20


def obstacles(targets: Mapping[str, Target]) -> list[str]:
    """A sentence for each target that cannot be asked to unload its model."""
    lines = []
    for target in targets.values():
        if target.dialect.residency is None:
            lines.append(f"{target.name}: {target.dialect.title} cannot be asked to unload; its model stays in memory")
        elif not _can_unload(target):
            lines.append(
                f"{target.name}: without {target.dialect.admin_key_env} its model cannot be unloaded and stays"
            )
    return lines


@dataclass
class Isolation:
    """Called before each segment; it gives what was done, with the state of the machine afterwards.

    `initially_unloaded` names the targets whose models were not loaded when the run began, where it began earlier.
    Raises ModelNotLoaded when a server does not do as it is asked. Once `stop` says so it waits for nothing more.
    `restore` loads again what was unloaded, whatever `stop` says; `say` is told of each model that this waits for.
    """

    targets: Mapping[str, Target]
    verify: Any
    stop: Callable[[], bool]
    state: Callable[[], dict[str, Any]] = host.state
    initially_unloaded: Collection[str] | None = None
    say: Callable[[str], None] = lambda words: None
    _unloaded: set[str] = field(default_factory=set)
    _unsure: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._unloaded |= {one.name for one in self.targets.values() if not one.is_loaded}
        self._at_start = set(self._unloaded if self.initially_unloaded is None else self.initially_unloaded)

    def __call__(self, segment: Segment) -> dict[str, Any] | None:
        """Unload the models of all others, load that of the segment's target, and wait for memory to settle; None where
        nothing was to do, or the run is to stop."""
        others = [one for one in self.targets.values() if one.name != segment.target and _can_unload(one)]
        unloading = [one for one in others if one.name not in self._unloaded]
        loading = [self.targets[segment.target]] if segment.target in self._unloaded else []
        if not unloading and not loading:
            return None
        changes = [*((one, "unload") for one in unloading), *((one, "load") for one in loading)]
        for one, what in changes:
            if not self.stop():
                self._change(one, what, self.stop)
        if self.stop():
            return None
        waited = self._wait_for_memory()
        done = {"unloaded": [one.name for one in unloading], "loaded": [one.name for one in loading]}
        return {**self.state(), **done, "waited_s": round(waited, 1)}

    def restore(self) -> None:
        """Leave every server as it was found. Raises ModelNotLoaded for those that do not let it, after all others."""
        unload = self._at_start - (self._unloaded - self._unsure)
        load = self._unloaded - self._at_start
        faults: list[str] = []
        for name in [*sorted(unload), *sorted(load)]:
            target, what = self.targets[name], "load" if name in load else "unload"
            if self.stop():
                self.say(f"restoring {name}: {what}ing {_shown_model(target)}; Ctrl-C again leaves it as it is")
            try:
                self._change(target, what, lambda: False)
            except ModelNotLoaded as fault:
                if not (what == "unload" and name in self._unsure):  # it may never have been loaded
                    faults.append(str(fault))
        if faults:
            raise ModelNotLoaded("; and ".join([*faults, *self.left_unloaded()]))

    def left_unloaded(self) -> list[str]:
        """A sentence for each model that was loaded when the run began and is not now, with the command to load it."""
        return [
            f"{name}: {_shown_model(target)} stays unloaded by {target.dialect.title} at {target.base_url}; "
            f"{target.dialect.how_to_load(_shown_model(target), target.base_url)}"
            for name in sorted(self._unloaded - self._at_start)
            for target in [self.targets[name]]
        ]

    def _change(self, target: Target, what: str, stop: Callable[[], bool]) -> None:
        """Ask for it, and wait until it is done; where `stop` ended the waiting, nobody knows, and a model counts as
        unloaded."""
        self._unloaded.add(target.name)
        said = anyio.run(unless_stopped, lambda: self._request(target, what), stop)
        if not said:
            self._unsure.add(target.name)
        if said and (said[0] is None) == (what == "load"):
            self._unloaded.discard(target.name)
        if said and said[0] is not None:
            raise ModelNotLoaded(
                f"model_not_loaded: --isolate: {target.dialect.title} at {target.base_url} did not {what} "
                f"{_shown_model(target)}: {said[0]}"
            )

    async def _request(self, target: Target, what: str) -> str | None:
        residency = target.dialect.residency
        assert residency is not None
        timeout = httpx.Timeout(_LOAD_S, connect=10.0)
        try:
            async with httpx.AsyncClient(timeout=timeout, verify=self.verify, trust_env=False) as client:
                cold = AdminClient(
                    client, target.base_url, {**target.headers, **target.admin_headers}, within_s=_LOAD_S
                )
                act = residency.load if what == "load" else residency.unload
                with anyio.fail_after(_LOAD_S):  # however many instances it lists
                    return await act(cold, target.model)
        except TimeoutError:
            return f"not within {_LOAD_S:g} s"
        except httpx.ConnectError as error:
            return f"nothing answers ({error})"

    def _wait_for_memory(self) -> float:
        """Until all that memory holds is still, for half a minute at most; the seconds it took. Each kind is looked at:
        weights may be wired, a program's own, or a mapped file."""
        began, before = time.monotonic(), self.state().get("memory_bytes")
        while before is not None and not self.stop() and time.monotonic() - began < _MAX_WAIT_S:
            time.sleep(_LOOK_EVERY_S)
            now = self.state().get("memory_bytes")
            if now is None or all(abs(now.get(kind, held) - held) < _STILL_BYTES for kind, held in before.items()):
                break
            before = now
        return time.monotonic() - began


def _shown_model(target: Target) -> str:
    return plain(keys_of([target]).redact(target.model), 120)


def _can_unload(target: Target) -> bool:
    residency = target.dialect.residency
    return residency is not None and (bool(target.admin_headers) or not residency.needs_admin_key)
