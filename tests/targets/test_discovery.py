"""What is found on this machine's ports without being told: simulators of every dialect, and servers that mean harm."""

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
import respx

from lmx_loadgen.profile.models import TargetSpec
from lmx_loadgen.sim.process import SimProcess, start
from lmx_loadgen.sim.settings import SimSettings
from lmx_loadgen.targets import discovery
from lmx_loadgen.targets.discovery import BUDGET_S, discover
from lmx_loadgen.targets.found import FoundServer
from lmx_loadgen.targets.prepare import Access, prepare
from tests.helpers.raw_server import Behavior, dripping, endless_headers, raw_server, saying, silent

PRODUCTS = {
    "openai": "sim",
    "lmx": "opta-lmx",
    "ollama": "ollama",
    "lmstudio": "lm-studio",
    "llamacpp": "llama.cpp",
    "mlx-lm": "mlx-lm",
    "vllm": "vllm",
}


def found(ports: Sequence[int], own: Sequence[TargetSpec] = (), env: dict[str, str] | None = None) -> list[FoundServer]:
    access = Access(env or {}, Path("/no/home"), verify=False)
    return anyio.run(discover, access, own, tuple(ports))


def only(one: list[FoundServer]) -> dict[str, Any]:
    (server,) = one
    return server.as_row()


@pytest.fixture(scope="module")
def simulators() -> Iterator[dict[str, SimProcess]]:
    with ExitStack() as running:
        yield {
            dialect: running.enter_context(start(SimSettings(dialect=dialect, models=(f"{dialect}-8b",))))
            for dialect in PRODUCTS
        }


def test_simulators_of_every_dialect_are_named_with_product_port_and_model(simulators: dict[str, SimProcess]) -> None:
    rows = {row["url"]: row for row in (one.as_row() for one in found([sim.port for sim in simulators.values()]))}

    assert len(rows) == len(PRODUCTS)
    for dialect, sim in simulators.items():
        row = rows[f"http://127.0.0.1:{sim.port}/v1"]
        assert (row["product"], row["loaded"]) == (PRODUCTS[dialect], [f"{dialect}-8b"])
        assert row["dialect"] == ("sim" if dialect == "openai" else dialect)
        assert (row["measurable"], row["reason"]) == (True, None)
        assert row["command"].startswith(f"lmx-loadgen run --target {row['name']}=")


def test_each_command_names_a_target_that_can_be_prepared(simulators: dict[str, SimProcess]) -> None:
    for one in found([sim.port for sim in simulators.values()]):
        name, _, url = one.target.partition("=")
        target = anyio.run(prepare, TargetSpec(name=name, url=url, model=one.model), Access({}))
        assert target.model in one.loaded


def test_one_that_is_stopped_is_gone() -> None:
    with start(SimSettings(dialect="ollama")) as sim:
        assert len(found([sim.port])) == 1
    assert found([sim.port]) == []


def test_two_servers_that_share_a_port_number_are_both_found() -> None:
    with (
        start(SimSettings(dialect="lmx", models=("a",))) as one,
        start(SimSettings(dialect="lmstudio", models=("b",), host="::1", port=one.port)),
    ):
        rows = [server.as_row() for server in found([one.port])]

    assert [(row["product"], row["url"].rpartition(":")[0]) for row in rows] == [
        ("opta-lmx", "http://127.0.0.1"),
        ("lm-studio", "http://[::1]"),
    ]


def test_two_of_one_product_get_names_of_their_own() -> None:
    with start(SimSettings(dialect="vllm", models=("a",))) as one, start(SimSettings(dialect="vllm")) as two:
        servers = found([one.port, two.port])

    assert [server.name for server in servers] == ["vllm", "vllm-2"]


def test_one_server_on_both_addresses_is_one() -> None:
    with respx.mock(assert_all_called=False, assert_all_mocked=False) as mock:
        for host in discovery.HOSTS:
            mock.get(f"http://{host}:8000/version").respond(json={"version": "1"})
            mock.get(f"http://{host}:8000/v1/models").respond(json={"data": [{"id": "m", "owned_by": "vllm"}]})
            mock.route(host=host.strip("[]")).respond(404)
        assert [server.base_url for server in found([8000])] == ["http://127.0.0.1:8000/v1"]


@pytest.mark.parametrize(
    ("dialect", "command"),
    [
        ("ollama", "ollama run qwen3:8b"),
        ("lmstudio", "lms load qwen3:8b"),
        ("lmx", "curl -X POST http://127.0.0.1:{port}/admin/models/load"),
    ],
)
def test_where_nothing_is_loaded_the_command_loads_a_model(dialect: str, command: str) -> None:
    with start(SimSettings(dialect=dialect, models=(), installed=("qwen3:8b",))) as sim:
        row = only(found([sim.port], env={"LMX_ADMIN_KEY": "an-admin-key"}))

    assert (row["loaded"], row["installed"]) == ([], ["qwen3:8b"])
    assert (row["measurable"], row["reason"]) == (False, "no chat model is loaded")
    assert row["command"].startswith(command.format(port=sim.port))
    assert "qwen3:8b" in row["command"]


def test_a_name_that_a_shell_would_read_is_in_no_command_that_loads_it() -> None:
    with start(SimSettings(dialect="ollama", models=(), installed=("a; rm -rf ~",))) as sim:
        assert only(found([sim.port]))["command"] == "ollama run MODEL"
    with start(SimSettings(dialect="ollama", models=("a; rm -rf ~", "b"))) as sim:
        assert only(found([sim.port]))["command"].endswith("--model 'a; rm -rf ~'")


@pytest.mark.parametrize("dialect", ["lmx", "ollama", "lmstudio", "llamacpp", "vllm", "openai"])
def test_a_server_that_asks_for_a_key_says_where_to_put_it(dialect: str) -> None:
    with start(SimSettings(dialect=dialect, api_key="a-secret-key")) as sim:
        row = only(found([sim.port]))
        assert (row["measurable"], row["reason"]) == (False, "it asks for a key")
        variable = row["command"].removeprefix("export ").partition("=")[0]
        wrong = only(found([sim.port], env={variable: "a-wrong-key"}))
        assert wrong["reason"] == f"it refuses the key in {variable}"
        assert only(found([sim.port], env={variable: "a-secret-key"}))["measurable"]


def test_no_key_is_sent_to_whoever_is_not_recognized() -> None:
    env = dict.fromkeys(("OPENAI_API_KEY", "SERVER_API_KEY", "SERVER_8000_API_KEY"), "a-secret-key")
    with respx.mock(assert_all_called=False, assert_all_mocked=False) as mock:
        mock.get("http://127.0.0.1:8000/v1/models").respond(json={"data": [{"id": "m"}]})
        mock.route(host="127.0.0.1").respond(404)
        mock.route().mock(side_effect=httpx.ConnectError("refused"))
        row = only(found([8000], env=env))
        requests = [call.request for call in mock.calls]

    assert (row["name"], row["product"], row["measurable"]) == ("server-8000", None, True)
    assert {request.method for request in requests} == {"GET"}
    assert all("a-secret-key" not in str(request.headers.raw) for request in requests)
    assert {request.url.host for request in requests} <= {"127.0.0.1", "::1"}


def test_cloud_models_and_proxies_are_not_picked_by_themselves() -> None:
    tags = {"models": [{"name": "a", "remote_host": "https://far.example"}, {"name": "b", "size": 1}]}
    with respx.mock(base_url="http://127.0.0.1:1", assert_all_called=False, assert_all_mocked=False) as mock:
        mock.get("/").respond(text="Ollama is running")
        mock.get("/api/version").respond(json={"version": "1"})
        mock.get("/v1/models").respond(json={"data": [{"id": "a"}, {"id": "b"}]})
        mock.get("/api/tags").respond(json=tags)
        mock.get("/api/ps").respond(json={"models": [{"name": "a"}]})
        mock.route().respond(404)
        (cloud,) = found([1])
    with respx.mock(base_url="http://127.0.0.1:1", assert_all_called=False, assert_all_mocked=False) as mock:
        mock.get("/running").respond(json={"running": [{"model": "a", "state": "ready"}]})
        mock.get("/v1/models").respond(json={"data": [{"id": "a"}, {"id": "b"}]})
        mock.route().respond(404)
        (proxy,) = found([1])

    assert (cloud.loaded, cloud.measurable, cloud.is_picked_automatically) == (("a",), True, False)
    assert "cloud" in str(cloud.reason)
    assert (proxy.loaded, proxy.is_proxy, proxy.is_picked_automatically) == (("a",), True, False)


def test_own_targets_are_shown_whether_they_answer_or_not(unused_port: int) -> None:
    with start(SimSettings(dialect="vllm")) as sim:
        own = [
            TargetSpec(name="box", url=f"http://127.0.0.1:{sim.port}"),
            TargetSpec(name="far", url=f"http://127.0.0.1:{unused_port}"),
        ]
        box, far = found([sim.port], own)

    assert (box.name, box.target, box.measurable) == ("box", "box", True)
    assert not far.measurable
    assert "nothing answers" in str(far.reason)


def test_an_own_target_whose_key_is_not_set_says_so() -> None:
    with start(SimSettings(dialect="vllm", api_key="a-secret-key")) as sim:
        own = [TargetSpec(name="box", url=f"http://127.0.0.1:{sim.port}", api_key_env="BOX_KEY")]
        row = only(found([], own))
        assert only(found([], own, {"BOX_KEY": "a-secret-key"}))["measurable"]

    assert "BOX_KEY is empty" in row["reason"]
    assert row["command"] == "export BOX_KEY=KEY && lmx-loadgen run --target box"


HOSTILE: dict[str, Behavior] = {
    "silence": silent,
    "endless headers": endless_headers,
    "a dripping body": dripping,
    "HTML": saying(b"<html><script>alert(1)</script></html>", b"text/html"),
    "a list of 10 MB": saying(json.dumps({"data": [{"id": "m" * 90}] * 100_000}).encode()),
    "deep nesting": saying(b"[" * 1_000_000),
    "no HTTP": saying(b"", status=b"\x1b[2J"),
}


@pytest.mark.timing
@pytest.mark.slow
def test_hostile_servers_cost_two_seconds_together() -> None:
    with ExitStack() as running:
        ports = [running.enter_context(raw_server(behave)) for behave in HOSTILE.values()]
        began = time.monotonic()
        servers = found(ports)
        took = time.monotonic() - began

    assert took < BUDGET_S + 1.0
    assert not any(server.measurable for server in servers)


@pytest.mark.parametrize("who", ["HTML", "a list of 10 MB", "deep nesting", "no HTTP"])
def test_what_is_no_server_of_models_is_not_shown(who: str) -> None:
    with raw_server(HOSTILE[who]) as port:
        assert found([port]) == []


def test_names_with_terminal_commands_are_shown_without() -> None:
    body = {"version": "\x1b]0;x\x07", "data": [{"id": "\x1b[31mred\x07\u202e", "owned_by": "vllm"}]}
    with raw_server(saying(json.dumps(body).encode())) as port:
        row = only(found([port]))

    shown = json.dumps(row, ensure_ascii=False)
    assert "red" in shown
    assert not any(ord(letter) < 32 or letter == "\u202e" for letter in shown)


def test_a_key_that_another_server_was_sent_is_masked() -> None:
    key = "a-secret-key-of-mine"
    listed = {"version": f"1-{key}", "data": [{"id": f"m-{key}", "owned_by": "vllm"}]}
    with (
        start(SimSettings(dialect="ollama", api_key=key)) as sim,
        raw_server(saying(json.dumps(listed).encode())) as port,
    ):
        rows = [server.as_row() for server in found([sim.port, port], env={"OLLAMA_API_KEY": key})]

    assert len(rows) == 2
    assert key not in json.dumps(rows)
