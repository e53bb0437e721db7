"""Asks for one answer in one piece, of a target whose streamed ones do not say how many tokens they have."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from lmx_loadgen.profile.models import Profile
from lmx_loadgen.session.checks.client import CheckClient
from lmx_loadgen.session.checks.token_count import ask_unstreamed
from lmx_loadgen.session.jobs import JobMaker
from lmx_loadgen.store.eventlog import read_log
from lmx_loadgen.targets.base import Target

# Given a target: the fields of its `check` line, None where no count is missing.
CountTokens = Callable[[Target], dict[str, Any] | None]


def token_count(profile: Profile, jobs: JobMaker, log_path: Path, ask: CheckClient) -> CountTokens:
    """What asks a target whose chat was measured, judged by what has been stored of it."""

    def count(target: Target) -> dict[str, Any] | None:
        from lmx_loadgen.analysis.level import basis_of
        from lmx_loadgen.analysis.records import records

        lines = [line for line in read_log(log_path).requests if line["target"] == target.name]
        answers = [line for line in lines if line["phase"] == "measured" and line["outcome"] == "ok"]
        is_counted = not answers or basis_of({"dialect": target.dialect.name}, records(answers)).exact
        if is_counted or profile.endpoint != "chat":
            return None
        body = jobs.body_of(answers[0]["prompt_id"], answers[0]["nonce"], target)
        return ask_unstreamed(target, answers[0], body, ask, profile.timeouts.request)

    return count
