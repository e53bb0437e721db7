"""The benchmark plan's own tests of its endpoints, in spirit: what is asked is measured, answered, stored, listed."""

import asyncio
import json
import logging
from pathlib import Path
from typing import Any

import pytest
from fastapi import Depends, FastAPI, HTTPException

from lmx_loadgen.service import require_admin, router
from lmx_loadgen.service.request import BenchmarkRequest
from lmx_loadgen.store.plan_result import BenchmarkResultStore
from lmx_loadgen.store.result import BenchmarkResult, BenchmarkRunStats
from tests.helpers.plan_results import made
from tests.helpers.service import RESULTS, RUN, SMALL, client_of, measured_lines, stored, wait_until_stored

PLAN_KEYS = {"model_id", "backend", "timestamp", "status", "hardware", "lmx_version", "prompt_preview", "stats"}


def asked(app: FastAPI, body: dict[str, Any]) -> tuple[int, Any]:
    async def ask() -> tuple[int, Any]:
        async with client_of(app) as client:
            reply = await client.post(RUN, json=body)
            return reply.status_code, reply.json()

    return asyncio.run(ask())


def listed(app: FastAPI, **query: Any) -> list[dict[str, Any]]:
    async def ask() -> Any:
        async with client_of(app) as client:
            return (await client.get(RESULTS, params=query)).json()

    found: list[dict[str, Any]] = asyncio.run(ask())
    return found


def test_a_run_is_answered_with_all_of_the_plans_fields_and_stored(app: FastAPI, tmp_path: Path) -> None:
    status, answer = asked(app, {**SMALL, "include_skills": ["echo", "fail", "nope"]})
    stats = answer["stats"]

    assert status == 200, answer
    assert set(answer) >= PLAN_KEYS
    assert set(stats) >= set(BenchmarkRunStats.model_fields)
    assert BenchmarkResult.model_validate(answer).model_dump(mode="json") == answer
    assert (answer["model_id"], answer["backend"], answer["status"]) == ("sim-model", "lmx", "ok")
    assert "ransformer" in answer["prompt_preview"]
    assert (stats["runs_completed"], stats["warmup_runs_discarded"]) == (2, 1)
    assert 0.004 < stats["ttft_p50_sec"] <= stats["ttft_p95_sec"]
    assert stats["toks_per_sec_p95"] <= stats["toks_per_sec_p50"]
    assert stats["tool_call"]["call_produced"]
    assert stats["tool_call"]["params_match_schema"]
    assert [(one["skill_name"], one["error"] is None) for one in stats["skills"]] == [
        ("echo", True),
        ("fail", False),
        ("nope", False),
    ]
    assert stored(tmp_path) == [answer]
    assert listed(app) == [answer]


def test_warm_ups_are_measured_and_in_no_figure(app: FastAPI, tmp_path: Path) -> None:
    _, answer = asked(app, {**SMALL, "runs": 3, "warmup_runs": 2, "include_tool_call": False})

    assert (answer["stats"]["runs_completed"], answer["stats"]["warmup_runs_discarded"]) == (3, 2)
    assert len(measured_lines(tmp_path)) == 3
    assert answer["stats"]["tool_call"] is None


def test_fewer_than_two_runs_are_no_data_and_never_zeros(app: FastAPI) -> None:
    status, answer = asked(app, {**SMALL, "runs": 1, "include_tool_call": False})

    assert (status, answer["status"]) == (200, "insufficient_data")
    assert answer["stats"]["ttft_mean_sec"] is None
    assert answer["stats"]["toks_per_sec_mean"] is None


def test_a_model_that_is_not_loaded_is_a_409_and_nothing_is_stored(app: FastAPI, tmp_path: Path) -> None:
    assert asked(app, {**SMALL, "model_id": "no/such-model"}) == (409, {"detail": "model_not_loaded"})
    assert list(tmp_path.iterdir()) == []


def test_what_is_asked_has_the_plans_defaults() -> None:
    found = BenchmarkRequest(model_id="m")

    assert "transformer" in found.prompt
    assert found.model_dump(exclude={"prompt"}) == {
        "model_id": "m",
        "num_output_tokens": 200,
        "runs": 5,
        "temperature": 0.0,
        "warmup_runs": 1,
        "include_tool_call": True,
        "include_skills": [],
    }


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *[("num_output_tokens", 49), ("num_output_tokens", 2001), ("runs", 0), ("runs", 21), ("temperature", -0.1)],
        *[("temperature", 2.1), ("warmup_runs", -1), ("warmup_runs", 4), ("model_id", ""), ("prompt", "")],
        *[("include_skills", ["../admin"]), ("include_tool_call", "perhaps"), ("runz", 5)],
    ],
)
def test_out_of_bounds_is_a_422_in_fastapis_shape(app: FastAPI, field: str, value: Any) -> None:
    status, answer = asked(app, {**SMALL, field: value})

    assert status == 422
    (fault,) = answer["detail"]
    assert fault["loc"][:2] == ["body", field]
    assert {"type", "msg", "input"} <= set(fault)


def test_a_422_is_word_for_word_that_of_the_real_server(app: FastAPI) -> None:
    """As recorded of Opta-LMX."""
    fault = {"type": "less_than_equal", "loc": ["body", "runs"], "msg": "Input should be less than or equal to 20"}

    assert asked(app, {**SMALL, "runs": 99}) == (422, {"detail": [{**fault, "input": 99, "ctx": {"le": 20}}]})


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff", b'{"model_id": "\\ud800"}', b"[" * 100_000])
def test_what_is_no_object_of_json_is_a_422_too(app: FastAPI, body: bytes) -> None:
    async def ask() -> tuple[int, Any]:
        async with client_of(app) as client:
            reply = await client.post(RUN, content=body, headers={"Content-Type": "application/json"})
            return reply.status_code, reply.json()["detail"][0]["loc"][0]

    assert asyncio.run(ask()) == (422, "body")


def test_results_come_newest_first_by_model_and_so_many(app: FastAPI, tmp_path: Path) -> None:
    store = BenchmarkResultStore(tmp_path)
    for model, when in [("a", "2026-01-02"), ("b", "2026-01-03"), ("a", "2026-01-01")]:
        store.save(made(model, f"{when}T00:00:00Z"))

    assert [one["timestamp"][:10] for one in listed(app)] == ["2026-01-03", "2026-01-02", "2026-01-01"]
    assert [one["timestamp"][:10] for one in listed(app, model_id="a")] == ["2026-01-02", "2026-01-01"]
    assert [one["model_id"] for one in listed(app, limit=1)] == ["b"]
    assert listed(app, model_id="c") == []


def test_a_damaged_file_is_left_out_with_a_warning(
    app: FastAPI, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    BenchmarkResultStore(tmp_path).save(made())
    (tmp_path / "torn.json").write_text('{"model_id": "a", "sta')
    with caplog.at_level(logging.WARNING):
        assert len(listed(app)) == 1

    assert "torn.json" in caplog.text


def test_an_app_has_its_own_routes_and_its_own_word_on_who_may() -> None:
    """Opta-LMX puts its own dependency in the place of ours."""
    app = FastAPI()
    app.include_router(router)

    @app.get("/v1/models")
    def models() -> dict[str, str]:
        return {"object": "list"}

    def theirs() -> None:
        raise HTTPException(401, "by their own key")

    app.dependency_overrides[require_admin] = theirs

    async def ask() -> list[tuple[int, Any]]:
        async with client_of(app) as client:
            replies = [await client.get("/v1/models"), await client.get(RESULTS), await client.post(RUN, json=SMALL)]
            return [(reply.status_code, reply.json()) for reply in replies]

    refused = (401, {"detail": "by their own key"})
    assert asyncio.run(ask()) == [(200, {"object": "list"}), refused, refused]


def test_a_routers_own_prefix_and_dependencies_hold() -> None:
    app, seen = FastAPI(), []
    app.include_router(router, prefix="/lmx", dependencies=[Depends(lambda: seen.append(1))])

    async def ask() -> int:
        async with client_of(app) as client:
            return (await client.get(f"/lmx{RESULTS}")).status_code

    assert asyncio.run(ask()) == 200
    assert seen == [1]


def test_without_text_no_word_is_stored_or_answered(app: FastAPI, tmp_path: Path) -> None:
    app.state.benchmark_no_text = True
    try:
        status, answer = asked(app, {**SMALL, "prompt": "Tell me of quokkafish."})
        told = json.dumps([answer, listed(app)])
    finally:
        app.state.benchmark_no_text = False
    wait_until_stored(tmp_path)
    kept = "".join(path.read_text("utf-8") for path in tmp_path.rglob("*") if path.is_file())

    assert (status, answer["status"], answer["stats"]["output_text"]) == (200, "ok", None)
    assert answer["stats"]["tool_call"]["params_match_schema"]
    assert not [word for word in ("quokkafish", "lighthouse", "Sydney") if word in told + kept]
