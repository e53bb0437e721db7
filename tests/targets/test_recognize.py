"""Who answers, whatever the target is called: products by what they alone say, imitations told apart."""

from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
import respx

from lmx_loadgen.errors import InputError, WrongServer
from lmx_loadgen.profile.models import Profile, TargetSpec
from lmx_loadgen.targets import DIALECTS
from lmx_loadgen.targets.address import parse_target
from lmx_loadgen.targets.base import Dialect, Target
from lmx_loadgen.targets.client import AdminClient
from lmx_loadgen.targets.prepare import Access, prepare
from lmx_loadgen.targets.products import Identity, Product, ServerQuestions
from lmx_loadgen.targets.recognize import OPTA_LMX, KnownServers, identify

URL = "http://127.0.0.1:1234"
MODELS = {"object": "list", "data": [{"id": "m", "object": "model"}]}
BASE_HTTP = {"Server": "BaseHTTP/0.6 Python/3.12"}

Paths = dict[str, httpx.Response]


def js(data: Any, status: int = 200, headers: dict[str, str] | None = None) -> httpx.Response:
    return httpx.Response(status, json=data, headers=headers)


# What each product answers; every other path is 404 (but for LM Studio's).
PRODUCTS: dict[str, tuple[Paths, str]] = {
    "Opta-LMX": ({"/.well-known/opta-lmx": js({"service": "opta-lmx", "version": "0.1.0"})}, "lmx"),
    "Opta-LMX, older": ({"/v1/discovery": js({"service": "opta-lmx"})}, "lmx"),
    "LM Studio": (
        {
            "/lmstudio-greeting": js({"lmstudio": True}),
            "/api/v0/models": js({"data": [{"id": "m", "type": "llm", "state": "loaded"}]}),
        },
        "lmstudio",
    ),
    "LM Studio, older": ({"/api/v0/models": js({"data": [{"id": "m", "type": "llm", "state": "loaded"}]})}, "lmstudio"),
    "Ollama": (
        {"/": httpx.Response(200, text="Ollama is running"), "/api/version": js({"version": "0.9.3"})},
        "ollama",
    ),
    "llama.cpp": ({"/health": js({"status": "ok"}, headers={"Server": "llama.cpp"})}, "llamacpp"),
    "llama.cpp, by its properties": ({"/props": js({"default_generation_settings": {}})}, "llamacpp"),
    "mlx_lm": ({"/health": js({"status": "ok"}, headers=BASE_HTTP)}, "mlx-lm"),
    "vLLM": ({"/version": js({"version": "0.11.0"})}, "vllm"),
    "LocalAI": (
        {
            "/.well-known/localai.json": js({"version": "3.1"}),
            "/": httpx.Response(200, text="Ollama is running"),
            "/api/version": js({"version": "0.9.0"}),
            "/version": js({"version": "3.1"}),
        },
        "openai",
    ),
    "llama-swap": (
        {"/running": js({"running": []}), "/api/version": js({"version": "1", "commit": "abc", "build_date": "x"})},
        "openai",
    ),
    "Docker Model Runner": (
        {
            "/": httpx.Response(200, text="Docker Model Runner is running"),
            "/api/version": js({"version": "0.1.0"}),
            "/version": js({"version": "1"}),
        },
        "openai",
    ),
    "LiteLLM": ({"/health/liveliness": js("I'm alive!")}, "openai"),
    "vllm-mlx": ({"/health": js({"status": "healthy", "model_loaded": True, "engine_type": "simple"})}, "openai"),
    "oMLX": ({"/health": js({"status": "ok", "engine_pool": {}})}, "openai"),
    "KoboldCpp": (
        {"/health": js({}, 404, headers={"Server": "ConcedoLlamaForKoboldServer"}), "/api/tags": js({"models": []})},
        "openai",
    ),
    "Osaurus": ({"/": httpx.Response(200, text="Osaurus Server is running!"), "/api/tags": js({})}, "openai"),
    "GPT4All": ({"/v1/models": js({"data": [{"id": "m", "owned_by": "humanity"}]})}, "openai"),
    "somebody with a version": ({"/api/version": js({"version": "0.1.0"})}, "openai"),
}


def target_of(spec: TargetSpec, paths: Paths, anything_is_200: bool = False) -> tuple[Target, list[httpx.Request]]:
    unknown = js({"error": "Unexpected endpoint or method. (GET)"}, 200 if anything_is_200 else 404)
    models = {} if "/v1/models" in paths else {"/v1/models": js(MODELS)}
    with respx.mock(base_url=URL, assert_all_called=False) as mock:
        for path, reply in {"/api/ps": js({"models": [{"name": "m"}]}), **models, **paths}.items():
            mock.get(path).mock(return_value=reply)
        mock.route().mock(return_value=unknown)
        target = anyio.run(lambda: prepare(spec, Access({"BOX_API_KEY": "a-secret-key"}, Path("/no/home"))))
        return target, [call.request for call in mock.calls]


@pytest.mark.parametrize("who", PRODUCTS)
def test_whoever_answers_gets_its_own_rules_whatever_it_is_called(who: str) -> None:
    paths, dialect = PRODUCTS[who]
    target, requests = target_of(TargetSpec(name="box", url=URL), paths, anything_is_200=who.startswith("LM Studio"))

    assert target.dialect.name == dialect
    asked_without_key = [request for request in requests if "Authorization" not in request.headers]
    assert {request.method for request in asked_without_key} == {"GET"}
    assert "a-secret-key" not in str([request.url for request in requests])


def test_a_known_server_is_asked_one_question_while_it_is_the_same() -> None:
    known: KnownServers = {}

    def asked(version: str, path: str = "/v1/discovery") -> tuple[Identity | None, list[str]]:
        with respx.mock(base_url=URL) as mock:
            mock.get(path).mock(return_value=js({"service": "opta-lmx", "version": version}))
            mock.route().mock(return_value=js({}, 404))
            found = anyio.run(identified, known)
            return found, [call.request.url.path for call in mock.calls]

    first, questions = asked("1")
    assert asked("1") == (first, ["/.well-known/opta-lmx", "/v1/discovery"])
    assert len(questions) == 4
    again, questions = asked("2")
    assert (again, len(questions)) == (Identity(OPTA_LMX, "2"), 4)
    assert asked("2")[0] == again


async def identified(known: KnownServers) -> Identity | None:
    async with httpx.AsyncClient() as connection:
        return await identify(AdminClient(connection, URL, {}), known)


def test_a_dialect_may_recognize_its_server_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before signs that several servers give, like a version where vLLM has it."""

    async def recognize(ask: ServerQuestions) -> Identity | None:
        version = (await ask.json("/foo/version")).get("foo")
        return Identity(Product("foo-serve", "Foo", "foo-serve"), version) if isinstance(version, str) else None

    foo = Dialect("foo-serve", "Foo", "http://127.0.0.1:7777/v1", "FOO_API_KEY", recognize=recognize)
    monkeypatch.setitem(DIALECTS, "foo-serve", foo)
    paths = {"/foo/version": js({"foo": "1.2"}), "/version": js({"version": "1.2"})}
    target, _ = target_of(TargetSpec(name="box", url=URL), paths)

    assert (target.dialect, target.server["version"]) == (foo, "1.2")
    assert target_of(TargetSpec(name="box", url=URL), PRODUCTS["vLLM"][0])[0].dialect.name == "vllm"


@pytest.mark.parametrize("who", ["LocalAI", "llama-swap", "Docker Model Runner", "somebody with a version"])
@pytest.mark.parametrize("name", ["ollama", "vllm"])
def test_an_imitation_is_not_the_server_that_was_named(who: str, name: str) -> None:
    with pytest.raises(WrongServer) as caught:
        target_of(TargetSpec(name=name, url=URL), PRODUCTS[who][0])
    assert f"--target {name}=URL" in str(caught.value)


def test_a_proxy_is_named_as_one() -> None:
    target, _ = target_of(TargetSpec(name="box", url=URL), PRODUCTS["llama-swap"][0])

    assert target.server["product"] == "llama-swap"
    assert any("proxy" in note for note in target.notes)


def test_a_status_of_200_proves_nothing() -> None:
    target, _ = target_of(TargetSpec(name="box", url=URL), {}, anything_is_200=True)

    assert (target.dialect.name, target.server["product"]) == ("openai", None)


def test_openai_and_other_names_at_an_opta_lmx_are_not_believed() -> None:
    for name in ("openai", "lmx2", "box"):
        target, _ = target_of(TargetSpec(name=name, url=URL), PRODUCTS["Opta-LMX"][0])
        assert not target.dialect.rules.usage_output_exact
        assert target.dialect.rules.error_text_prefix is not None


def test_a_dialect_can_be_forced() -> None:
    forced, _ = target_of(parse_target(f"box=lmx+{URL}"), PRODUCTS["vLLM"][0])

    assert (forced.name, forced.dialect.name) == ("box", "lmx")
    assert any("vLLM answers" in note for note in forced.notes)


@pytest.mark.parametrize(
    ("text", "name", "url", "dialect"),
    [
        (f"box=lmx+{URL}", "box", URL, "lmx"),
        ("http://box.local:8000/v1", "box.local-8000", "http://box.local:8000/v1", None),
        ("HTTPS://[::1]:8443", "1-8443", "HTTPS://[::1]:8443", None),
        ("box=http://h/a+b", "box", "http://h/a+b", None),
    ],
)
def test_the_forms_of_a_target(text: str, name: str, url: str, dialect: str | None) -> None:
    for spec in (parse_target(text), Profile.model_validate({"targets": [text]}).targets[0]):
        assert (spec.name, spec.url, spec.dialect) == (name, url, dialect)


def test_an_unknown_dialect_is_named() -> None:
    with pytest.raises(InputError, match="no such dialect 'none'"):
        parse_target(f"box=none+{URL}")


def test_two_servers_behind_localhost_are_not_taken_for_one() -> None:
    with respx.mock(assert_all_called=False, assert_all_mocked=False) as mock:
        mock.get("http://127.0.0.1:8000/lmstudio-greeting").respond(json={"lmstudio": True})
        mock.get("http://[::1]:8000/version").respond(json={"version": "1"})
        with pytest.raises(WrongServer) as caught:
            anyio.run(lambda: prepare(TargetSpec(name="box", url="http://localhost:8000"), Access({})))
    assert "LM Studio at http://127.0.0.1:8000/v1 and vLLM at http://[::1]:8000/v1" in str(caught.value)
