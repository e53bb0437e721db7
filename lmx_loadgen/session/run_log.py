"""Where a run is stored: its folder, and its event log with the line that it begins with."""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from lmx_loadgen import __version__
from lmx_loadgen.analysis.no_text import header_without_text
from lmx_loadgen.errors import StorageError
from lmx_loadgen.load.messages import Ready
from lmx_loadgen.profile.models import Profile
from lmx_loadgen.session.options import RESUMED_OPTIONS
from lmx_loadgen.session.plan import Segment
from lmx_loadgen.session.setup import RunSetup
from lmx_loadgen.store.eventlog import NAME, SCHEMA, EventLog
from lmx_loadgen.system import host
from lmx_loadgen.system.clock import NS, Anchor
from lmx_loadgen.targets.base import Target, keys_of


def open_log(setup: RunSetup, ready: Ready, anchor: Anchor) -> tuple[Path, EventLog]:
    """The run's folder, and its log with the line that says how it begins, or that it resumes. Raises StorageError."""
    lock, resume_state = setup.options.lock, setup.options.resume_state
    other_run = lock.held_by if lock is not None else None
    if resume_state is not None:
        return resume_state.folder, resume_state.reopen_log(anchor, other_run)
    folder = make_folder(setup.options.out, list(setup.targets), setup.run_id, anchor)
    return folder, start_log(folder, _header(setup, ready, anchor, other_run))


def _header(setup: RunSetup, ready: Ready, anchor: Anchor, other_run: Mapping[str, Any] | None) -> dict[str, Any]:
    options, targets = setup.options, list(setup.targets.values())
    instrument = {
        "loop": ready.loop,
        "stamps": ready.stamps,
        "workers": options.workers,
        "calibration": setup.calibration,
    }
    hypotheses = {
        name: hypothesis.model_dump(mode="json", exclude_none=True) for name, hypothesis in setup.hypotheses.items()
    }
    found = {
        **header(setup.profile, targets, setup.plan, instrument, setup.run_id, anchor, hypotheses),
        "accepted": options.accept,
        "until_conclusive": options.until_conclusive,
        "beside": other_run,
        "going_on": {name: getattr(options, name) for name in RESUMED_OPTIONS}
        | {
            "found_away": [target.name for target in targets if not target.is_loaded],
            "prints": dict(setup.input_hashes),
        },
        **({"nodes": list(setup.nodes)} if setup.nodes else {}),
        **({"lengths": [one.model_dump() for one in setup.lengths]} if setup.lengths else {}),
        **({"prompts_in_file": setup.book.drawn_from} if setup.book.drawn_from is not None else {}),
        "prompt_preview": str(setup.book.measured[0].messages[-1]["content"])[:100],
    }
    return header_without_text(found) if options.no_text else found


def header(
    profile: Profile,
    targets: Sequence[Target],
    plan: Sequence[Segment],
    instrument: dict[str, Any],
    run_id: str,
    anchor: Anchor,
    hypotheses: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The first line of an event log: all that is known before the first request."""
    keys = keys_of(targets)
    return {
        "type": "header",
        "schema": SCHEMA,
        "tool_version": __version__,
        "run_id": run_id,
        "clock": {"mono_ns": anchor.mono_ns, "unix_ns": anchor.unix_ns},
        "started_at": anchor.iso(anchor.mono_ns),
        "profile": profile.model_dump(mode="json"),
        "host": host.facts(),
        "versions": host.versions(),
        "instrument": instrument,
        "targets": [
            {
                "name": target.name,
                "dialect": target.dialect.name,
                "base_url": target.base_url,
                "model": keys.redact(target.model),
                "server": keys.redact_in(target.server),
                "notes": keys.redact_in(list(target.notes)),
                "hypothesis": keys.redact_in((hypotheses or {}).get(target.name)),
                **({"card": keys.redact_in(target.card)} if target.card is not None else {}),
            }
            for target in targets
        ],
        "plan": [segment.as_dict() for segment in plan],
    }


def start_log(folder: Path, header: dict[str, Any]) -> EventLog:
    """A run's event log with its first line. Raises StorageError."""
    log = EventLog.create(folder / NAME)
    log.append(header)
    return log


def make_folder(out: Path, targets: Sequence[str], run_id: str, anchor: Anchor) -> Path:
    """`<UTC time>-<targets>-<short id>` in `out`, which only its owner can open: what users and models wrote is in it.
    Raises StorageError when it cannot be made."""
    moment = datetime.fromtimestamp(anchor.unix_ns / NS, UTC).strftime("%Y%m%dT%H%M%SZ")
    names = re.sub(r"[^A-Za-z0-9+_-]", "_", "+".join(targets))[:60]
    folder = out / f"{moment}-{names}-{run_id}"
    try:
        folder.mkdir(parents=True, mode=0o700)
    except OSError as error:
        raise StorageError(
            f"cannot make the results folder {folder}: {error.strerror or error}; choose another with --out DIR"
        ) from None
    return folder
