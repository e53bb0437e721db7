"""Settings by name and by hand: the simulator that `run` starts, and the one asked for on the command line."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from lmx_loadgen.errors import InputError
from lmx_loadgen.sim.process import SimProcess, start
from lmx_loadgen.sim.settings import SimSettings

# A small model on a Mac: 50 tok/s alone, slower the more answers run at once.
DEMO = SimSettings(ttft_ms=120.0, prefill_tok_s=2500.0, step_ms=18.0, step_ms_per_seq=2.0, jitter=0.05, slots=8)


def start_demo(environment: Mapping[str, str]) -> SimProcess:
    """A simulator of a small model on a Mac, in a process with this environment. Raises LoadgenError."""
    return start(DEMO, environment)


def from_pairs(pairs: Sequence[str], **fixed: Any) -> SimSettings:
    """Settings out of NAME=VALUE texts (values as JSON, or plain text) on top of `fixed`. Raises InputError."""
    values: dict[str, Any] = {}
    for pair in pairs:
        name, sign, text = pair.partition("=")
        if not sign or name == "help":
            from lmx_loadgen.sim.faults import (
                FAULTS,  # all of the simulator's parts, which its parent needs for nothing else
            )

            known = ", ".join(f"{key}={json.dumps(value)}" for key, value in asdict(SimSettings()).items())
            faults = ", ".join(sorted(FAULTS))
            raise InputError(
                f"--set takes NAME=VALUE; the settings and their defaults: {known}; "
                f'the faults, as in faults={{"http_500": 0.1}}: {faults}'
            )
        try:
            values[name] = json.loads(text)
        except (ValueError, RecursionError):
            values[name] = text
    return SimSettings.from_json(json.dumps({**fixed, **values}))
