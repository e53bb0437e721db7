"""Models unloaded and loaded between blocks: who is asked what, and what is said where it cannot be done."""

import json
import threading
from dataclasses import replace
from typing import Any

import httpx
import pytest
import respx

from lmx_loadgen.errors import ModelNotLoaded
from lmx_loadgen.profile.load_point import ALONE
from lmx_loadgen.session.isolation import Isolation, obstacles
from lmx_loadgen.session.plan import Segment
from lmx_loadgen.store.segment_key import SegmentKey
from lmx_loadgen.targets import DIALECTS
from lmx_loadgen.targets.base import Target
from tests.helpers.hostile_server import Asked, Told, answering, as_json

URLS = {"lmx": "http://127.0.0.1:1", "ollama": "http://127.0.0.1:2", "lmstudio": "http://127.0.0.1:3"}


def target(name: str, **changes: Any) -> Target:
    admin = {"admin_headers": {"X-Admin-Key": "k"}} if name == "lmx" else {}
    dialect = DIALECTS[name]
    return Target(name, dialect, f"{URLS.get(name, 'http://127.0.0.1:4')}/v1", f"{name}-model", {}, **admin | changes)


def segment(name: str) -> Segment:
    return Segment(SegmentKey(name, ALONE, 0), 8, None, 1)


class Bench:
    """An isolation of two targets, with all that it notes, and a machine whose memory holds still at once."""

    def __init__(self, *targets: Target) -> None:
        self.noted: list[dict[str, Any]] = []
        self.isolation = Isolation({one.name: one for one in targets}, True, lambda: False, dict)

    def isolate(self, name: str) -> None:
        state = self.isolation(segment(name))
        self.noted += [state] if state is not None else []


def asked(router: respx.MockRouter) -> list[tuple[str, str, Any]]:
    """What was posted: port's server by its URL, path and body."""
    posts = [call.request for call in router.calls if call.request.method == "POST"]
    return [(f"{r.url.scheme}://{r.url.host}:{r.url.port}", r.url.path, json.loads(r.content)) for r in posts]


@respx.mock
def test_the_others_unload_and_the_one_that_was_away_loads() -> None:
    respx.route(method="POST").respond(200, json={})
    bench = Bench(target("lmx"), target("ollama"))
    for name in ("lmx", "lmx", "ollama"):
        bench.isolate(name)
    bench.isolation.restore()

    unload, load = {"model": "ollama-model", "messages": [], "keep_alive": 0}, {"model": "ollama-model", "messages": []}
    assert asked(respx.mock) == [
        (URLS["ollama"], "/api/chat", unload),  # before lmx's first block; for its second nothing is to do
        (URLS["lmx"], "/admin/models/unload", {"model_id": "lmx-model"}),
        (URLS["ollama"], "/api/chat", load),
        (URLS["lmx"], "/admin/models/load", {"model_id": "lmx-model"}),  # as it was found
    ]
    assert [(state["unloaded"], state["loaded"]) for state in bench.noted] == [
        (["ollama"], []),
        (["lmx"], ["ollama"]),
    ]
    assert respx.calls[1].request.headers["X-Admin-Key"] == "k"


@respx.mock
def test_lm_studio_unloads_every_instance_of_the_model() -> None:
    listed = {"models": [{"key": "lmstudio-model", "loaded_instances": [{"id": "one"}, {"id": "two"}]}, {"key": "x"}]}
    respx.get(f"{URLS['lmstudio']}/api/v1/models").respond(json=listed)
    respx.route(method="POST").respond(200, json={})
    Bench(target("lmx"), target("lmstudio")).isolate("lmx")

    assert [body for _, _, body in asked(respx.mock)] == [{"instance_id": "one"}, {"instance_id": "two"}]


@respx.mock
def test_a_model_that_was_not_loaded_is_loaded_for_its_blocks_and_unloaded_in_the_end() -> None:
    respx.route(method="POST").respond(200, json={})
    bench = Bench(target("lmx"), target("ollama", is_loaded=False))
    for name in ("lmx", "ollama"):
        bench.isolate(name)
    bench.isolation.restore()

    assert [(path, body.get("keep_alive")) for _, path, body in asked(respx.mock)] == [
        ("/admin/models/unload", None),
        ("/api/chat", None),
        ("/api/chat", 0),
        ("/admin/models/load", None),
    ]


@respx.mock
def test_a_server_that_does_not_do_it_ends_the_run_with_its_words() -> None:
    respx.route(method="POST").respond(409, json={"error": "model is busy"})

    with pytest.raises(ModelNotLoaded, match=r"Ollama at .* did not unload ollama-model: HTTP 409: model is busy"):
        Bench(target("lmx"), target("ollama")).isolate("lmx")


@respx.mock
def test_a_server_that_has_gone_is_said_to_be() -> None:
    respx.route().mock(side_effect=httpx.ConnectError("refused"))

    with pytest.raises(ModelNotLoaded, match=r"nothing answers \(refused\)"):
        Bench(target("lmx"), target("ollama")).isolate("lmx")


@respx.mock
def test_one_server_that_refuses_keeps_no_other_from_being_restored() -> None:
    respx.route(method="POST", url=f"{URLS['lmx']}/admin/models/load").respond(500, json={"error": "no memory"})
    respx.route(method="POST").respond(200, json={})
    bench = Bench(target("lmx"), target("lmstudio"), target("ollama"))
    bench.isolation._unloaded = {"lmx", "ollama"}
    with pytest.raises(ModelNotLoaded) as raised:
        bench.isolation.restore()

    assert [path for _, path, _ in asked(respx.mock)] == ["/admin/models/load", "/api/chat"]
    assert "did not load lmx-model: HTTP 500: no memory; and lmx: lmx-model stays unloaded" in str(raised.value)
    assert f"curl -X POST {URLS['lmx']}/admin/models/load" in str(raised.value)
    assert "ollama" not in str(raised.value)


@respx.mock
def test_once_it_is_to_stop_nothing_more_is_asked_until_it_restores() -> None:
    respx.route(method="POST").respond(200, json={})
    bench = Bench(target("lmx"), target("ollama", is_loaded=False))
    bench.isolation.stop = lambda: True
    bench.isolate("ollama")
    bench.isolation.restore()

    assert asked(respx.mock) == []
    assert bench.noted == []


def test_a_load_that_was_broken_off_is_undone_where_the_model_was_not_loaded_before() -> None:
    """Whether the server went on with it nobody knows; one that says the model is not loaded is right, too."""
    posted: list[dict[str, Any]] = []
    stopped = threading.Event()

    def answer(asked: Asked) -> Told:
        posted.append(json.loads(asked.body))
        if "keep_alive" in posted[-1]:
            return as_json({"error": "it is not loaded"}, 404)
        stopped.set()
        held.wait()
        return as_json({})

    held = threading.Event()
    with answering(answer) as url:
        bench = Bench(target("lmstudio"), replace(target("ollama", is_loaded=False), base_url=f"{url}/v1"))
        bench.isolation._unloaded.add("lmstudio")
        bench.isolation._at_start.add("lmstudio")
        bench.isolation.stop = stopped.is_set
        bench.isolate("ollama")
        bench.isolation.restore()
        held.set()

    assert [body.get("keep_alive") for body in posted] == [None, 0]
    assert bench.isolation.left_unloaded() == []


@respx.mock
def test_who_cannot_be_asked_is_named_before_it_starts_and_never_asked() -> None:
    others = {one.name: one for one in (target("llamacpp"), target("lmx", admin_headers={}))}

    llamacpp, lmx = obstacles(others)
    assert llamacpp.startswith("llamacpp: ")
    assert lmx.startswith("lmx: ")
    assert "LMX_ADMIN_KEY" in lmx
    bench = Bench(*others.values())
    bench.isolate("lmx")
    assert bench.noted == []


@respx.mock
@pytest.mark.parametrize("kind", ["wired", "anonymous", "file_backed"])
def test_it_waits_until_memory_holds_still(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """In bytes, 1 % of a large memory being gigabytes; and wherever a server keeps its weights."""
    respx.route(method="POST").respond(200, json={})
    monkeypatch.setattr("lmx_loadgen.session.isolation._LOOK_EVERY_S", 0)
    gb = iter([90.0, 60.0, 30.0, 29.95, 29.95])
    bench = Bench(target("lmx"), target("ollama"))
    bench.isolation.state = lambda: {"memory_bytes": {kind: int(next(gb) * 1e9), "else": 10**9}}
    bench.isolate("lmx")

    assert next(gb, None) is None  # looked until two looks agreed, and once more for the note
    assert bench.noted[0]["memory_bytes"][kind] == 29_950_000_000


def test_a_server_that_lists_instances_without_end_is_not_asked_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each answer comes in time; there are always more of them to ask for."""
    monkeypatch.setattr("lmx_loadgen.session.isolation._LOAD_S", 0.5)
    instances = [{"id": number} for number in range(100_000)]
    listed = {"models": [{"key": "lmstudio-model", "loaded_instances": instances}]}
    with answering(lambda asked: as_json(listed if asked.number < 0 else {})) as url:
        bench = Bench(target("ollama"), replace(target("lmstudio"), base_url=f"{url}/v1"))
        with pytest.raises(ModelNotLoaded, match=r"did not unload lmstudio-model: not within 0\.5 s"):
            bench.isolate("ollama")
