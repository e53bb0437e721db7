"""The server's own benchmark, however its list of earlier results is ordered."""

import json
from typing import Any

import pytest

from lmx_loadgen.profile.checks import Checks
from lmx_loadgen.profile.models import Profile
from lmx_loadgen.session.checks.check_key import key_of
from lmx_loadgen.session.checks.client import CheckReply
from lmx_loadgen.session.checks.run import CheckRunner
from lmx_loadgen.session.checks.server_benchmark import run_server_benchmark
from lmx_loadgen.targets import DIALECTS
from lmx_loadgen.targets.base import Target

TARGET = Target("lmx", DIALECTS["lmx"], "http://127.0.0.1:1/v1", "m", {}, admin_headers={"X-Admin-Key": "k"})


@pytest.mark.parametrize("order", [1, -1])
def test_the_newest_of_its_earlier_results_are_kept(order: int) -> None:
    results = [{"model_id": "m", "timestamp": f"2026-01-{day:02}T00:00:00Z"} for day in range(1, 29)]

    def ask(method: str, *asked: Any, **bounds: Any) -> CheckReply:
        body = results[-1] if method == "POST" else [*results[::order], "damaged"]
        return CheckReply(200, {}, json.dumps(body).encode(), 5)

    line = run_server_benchmark(TARGET, Profile(), "Hi.", ask)  # type: ignore[arg-type]

    assert line["answer"] == {"result": results[-1], "earlier": results[7:27]}


def test_it_is_not_asked_for_again_when_a_run_is_resumed() -> None:
    asked, lines = [], list[dict[str, Any]]()

    def ask(*request: Any, **bounds: Any) -> CheckReply:
        asked.append(request[:2])
        return CheckReply(200, {}, b"{}", 5)

    def runs(done: frozenset[tuple[str, str, str]]) -> None:
        profile = Profile(checks=Checks(include_tool_call=False))
        runner = CheckRunner(profile, ask, lambda: False, lambda _, line: lines.append(line), "Hi.", done)  # type: ignore[arg-type]
        runner(TARGET)

    runs(frozenset())
    before = len(asked)
    runs(frozenset(key_of("lmx", line) for line in lines))

    assert before == len(asked) == 2
