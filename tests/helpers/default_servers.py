"""Simulators in the place of the servers at their default addresses."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace

import pytest

from lmx_loadgen.sim.process import SimProcess, start
from lmx_loadgen.sim.settings import SimSettings
from lmx_loadgen.targets import DIALECTS


@contextmanager
def servers_at_their_addresses(*names: str) -> Iterator[Mapping[str, SimProcess]]:
    """A simulator for each of these dialects, which targets of that name reach without an address."""
    with ExitStack() as stack, pytest.MonkeyPatch.context() as patch:
        sims = {}
        for name in names:
            settings = SimSettings(dialect=name, ttft_ms=5.0, step_ms=1.0, prefill_tok_s=None, engine="independent")
            sims[name] = stack.enter_context(start(settings))
            patch.setitem(DIALECTS, name, replace(DIALECTS[name], default_url=sims[name].url))
        yield sims
