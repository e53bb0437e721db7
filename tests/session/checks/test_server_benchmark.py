"""The server's own benchmark, however its list of earlier results is ordered."""

import json
from typing import Any

import pytest

from lmx_loadgen.profile.models import Profile
from lmx_loadgen.session.checks.client import CheckReply
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
