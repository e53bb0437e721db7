"""Asks for one answer in one piece, of a target whose streamed ones do not say how many tokens they have."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from lmx_loadgen.profile.models import Profile
from lmx_loadgen.session.checks.client import CheckClient
from lmx_loadgen.session.checks.token_count import ask_unstreamed
from lmx_loadgen.session.jobs import JobMaker
from lmx_loadgen.targets.base import Target

# Given a target: the fields of its `check` line, None where no count is missing.
CountTokens = Callable[[Target], dict[str, Any] | None]


def token_count(profile: Profile, jobs: JobMaker, log_path: Path, ask: CheckClient) -> CountTokens:
    """What asks a target whose chat was measured, judged by what has been stored of it."""

    def count(target: Target) -> dict[str, Any] | None:
        from lmx_loadgen.analysis.level import basis_of
        from lmx_loadgen.analysis.measured_run import read_run
        from lmx_loadgen.analysis.record_store import where

        of_run = read_run(log_path).records
        answers = where(of_run, lambda one: one.target == target.name and one.measured and one.ok)
        is_counted = not answers or basis_of({"dialect": target.dialect.name}, answers).exact
        if is_counted or profile.endpoint != "chat":
            return None
        first = answers[0].line
        body = jobs.body_of(first["prompt_id"], first["nonce"], target)
        return ask_unstreamed(target, first, body, ask, profile.timeouts.request)

    return count
