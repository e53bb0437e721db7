"""Simulators in the place of the servers at their default addresses."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Any

import pytest

from lmx_loadgen.sim.process import SimProcess, start
from lmx_loadgen.sim.settings import SimSettings
from lmx_loadgen.targets import DIALECTS


@contextmanager
def servers_at_their_addresses(
    *names: str, step_ms: float = 1.0, more: Mapping[str, Mapping[str, Any]] | None = None
) -> Iterator[Mapping[str, SimProcess]]:
    """A simulator for each of these dialects, which targets of that name reach without an address; `more` are further
    settings of some."""
    with ExitStack() as stack, pytest.MonkeyPatch.context() as patch:
        sims = {}
        for name in names:
            settings = SimSettings(dialect=name, ttft_ms=5.0, step_ms=step_ms, prefill_tok_s=None, engine="independent")
            settings = replace(settings, **(more or {}).get(name, {}))
            sims[name] = stack.enter_context(start(settings))
            patch.setitem(DIALECTS, name, replace(DIALECTS[name], default_url=sims[name].url))
        yield sims
