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
from lmx_loadgen.system import host
from lmx_loadgen.targets.base import Target, keys_of
from lmx_loadgen.targets.client import AdminClient

# Loading a large model from a cold disk takes minutes.
_LOAD_S = 600.0
_MAX_WAIT_S = 30.0
_LOOK_EVERY_S = 1.0
_STEADY_SHARE = 0.005


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
    """Called before each segment; `record_state` gets what was done and the state of the machine afterwards.

    `initially_unloaded` names the targets whose models were not loaded when the run began, where it began earlier.
    Raises ModelNotLoaded when a server does not do as it is asked. `restore` loads again what was unloaded.
    """

    targets: Mapping[str, Target]
    verify: Any
    record_state: Callable[[str, dict[str, Any]], None]
    stop: Callable[[], bool]
    state: Callable[[], dict[str, Any]] = host.state
    initially_unloaded: Collection[str] | None = None
    _unloaded: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._unloaded |= {one.name for one in self.targets.values() if not one.is_loaded}
        self._at_start = set(self._unloaded if self.initially_unloaded is None else self.initially_unloaded)

    def __call__(self, segment: Segment) -> None:
        """Unload the models of all others, load that of the segment's target, and wait for memory to settle."""
        others = [one for one in self.targets.values() if one.name != segment.target and _can_unload(one)]
        unloading = [one for one in others if one.name not in self._unloaded]
        loading = [self.targets[segment.target]] if segment.target in self._unloaded else []
        if not unloading and not loading:
            return
        for one in unloading:
            self._change(one, "unload")
            self._unloaded.add(one.name)
        for one in loading:
            self._change(one, "load")
            self._unloaded.discard(one.name)
        waited = self._wait_for_memory()
        done = {"unloaded": [one.name for one in unloading], "loaded": [one.name for one in loading]}
        self.record_state("isolated", {**self.state(), **done, "waited_s": round(waited, 1)})

    def restore(self) -> None:
        """Leave every server as it was found."""
        for name in sorted(self._at_start - self._unloaded):
            self._change(self.targets[name], "unload")
        for name in sorted(self._unloaded - self._at_start):
            self._change(self.targets[name], "load")
        self._unloaded = set(self._at_start)

    def _change(self, target: Target, what: str) -> None:
        refusal = anyio.run(self._request, target, what)
        if refusal is not None:
            raise ModelNotLoaded(
                f"model_not_loaded: --isolate: {target.dialect.title} at {target.base_url} did not {what} "
                f"{plain(keys_of([target]).redact(target.model), 120)}: {refusal}"
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
        """Until the share of free memory holds still, for half a minute at most; the seconds it took."""
        began, before = time.monotonic(), self.state().get("memory_free")
        while before is not None and not self.stop() and time.monotonic() - began < _MAX_WAIT_S:
            time.sleep(_LOOK_EVERY_S)
            now = self.state().get("memory_free")
            if now is None or abs(now - before) < _STEADY_SHARE:
                break
            before = now
        return time.monotonic() - began


def _can_unload(target: Target) -> bool:
    residency = target.dialect.residency
    return residency is not None and (bool(target.admin_headers) or not residency.needs_admin_key)
