"""Who answers, with which key, and which model: every way in which that goes wrong has its own sentence and code."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
import respx
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lmx_loadgen.errors import (
    AmbiguousModel,
    InputError,
    KeyRefused,
    LoadgenError,
    ModelNotLoaded,
    Unreachable,
    WrongServer,
)
from lmx_loadgen.profile.models import Request, TargetSpec
from lmx_loadgen.targets import DIALECTS
from lmx_loadgen.targets.address import normalize_url, parse_target
from lmx_loadgen.targets.base import Dialect, Target, request_body
from lmx_loadgen.targets.keys import ADMIN_KEY_FILE
from lmx_loadgen.targets.prepare import Access, prepare

URL = "http://127.0.0.1:1234"
Mock = respx.MockRouter


def found(
    spec: TargetSpec, env: dict[str, str] | None = None, home: Path | None = None, *, may_load: bool = False
) -> Target:
    return anyio.run(lambda: prepare(spec, Access(env or {}, home or Path("/no/home")), may_load=may_load))


def refusal(error: type[LoadgenError], spec: TargetSpec, env: dict[str, str] | None = None) -> str:
    with pytest.raises(error) as caught:
        found(spec, env)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def listing(*models: str) -> httpx.Response:
    return httpx.Response(200, json={"object": "list", "data": [{"id": model, "object": "model"} for model in models]})


def opta_lmx(mock: Mock, models: httpx.Response) -> None:
    mock.get("/.well-known/opta-lmx").respond(json={"service": "opta-lmx", "version": "0.1.0"})
    mock.get("/v1/models").mock(return_value=models)


def lm_studio(mock: Mock, **states: str) -> None:
    entries = [{"id": name, "object": "model", "type": "llm", "state": state} for name, state in states.items()]
    mock.get("/api/v0/models").respond(json={"object": "list", "data": entries})
    mock.get("/v1/models").mock(return_value=listing(*states))


def ollama(mock: Mock, *running: str) -> None:
    mock.get("/").respond(text="Ollama is running")
    mock.get("/api/version").respond(json={"version": "0.9.1"})
    mock.get("/api/ps").respond(json={"models": [{"name": name, "model": name} for name in running]})
    mock.get("/v1/models").mock(return_value=listing(*running, "on-disk:latest"))


@pytest.fixture
def server() -> Any:
    """A server on the default port of Opta-LMX and LM Studio."""
    with respx.mock(base_url=URL, assert_all_called=False, assert_all_mocked=False) as mock:
        yield mock


def settle(mock: Mock) -> None:
    """Every other path is unknown to it."""
    mock.route().respond(404, json={"error": {"message": "Not found"}})


LMX = TargetSpec(name="lmx")


# Names and addresses


@pytest.mark.parametrize("name", sorted(DIALECTS))
def test_every_server_is_known_by_its_name(name: str) -> None:
    assert parse_target(name) == TargetSpec(name=name)
    assert parse_target(f"{name}=http://h:1/v1?") == TargetSpec(name=name, url="http://h:1/v1?")


@pytest.mark.parametrize("text", ["nobody", "", "=http://h", "a b=http://h", "-x=http://h", "x" * 41 + "=http://h"])
def test_what_names_no_server(text: str) -> None:
    with pytest.raises(InputError, match="--target"):
        parse_target(text)


@pytest.mark.parametrize(
    ("given_url", "expected"),
    [
        ("http://127.0.0.1:1234", "http://127.0.0.1:1234/v1"),
        ("http://127.0.0.1:1234/", "http://127.0.0.1:1234/v1"),
        ("http://127.0.0.1:1234/v1/", "http://127.0.0.1:1234/v1"),
        (" http://box.local/api/openai ", "http://box.local/api/openai"),
        ("https://[::1]:8443", "https://[::1]:8443/v1"),
    ],
)
def test_an_address_is_brought_to_one_form(given_url: str, expected: str) -> None:
    assert normalize_url(given_url, "x") == expected


@pytest.mark.parametrize(
    "url",
    ["127.0.0.1:1234", "ftp://h", "http://", "http://h:99999", "http://[::1", "http://h/?a=b", "http://h/#x", "h", ""],
)
def test_what_is_no_address(url: str) -> None:
    with pytest.raises(InputError, match=r"^target lmx: "):
        normalize_url(url, "target lmx")


def test_a_key_in_an_address_is_refused_and_not_repeated() -> None:
    with pytest.raises(InputError) as caught:
        normalize_url("http://user:hunter2@127.0.0.1:1", "x")
    assert "hunter2" not in str(caught.value)


# The four errors of a first try, and their neighbours


def test_nothing_on_the_port(server: Mock) -> None:
    server.route().mock(side_effect=httpx.ConnectError("All connection attempts failed"))
    words = refusal(Unreachable, LMX)

    assert words.startswith(f"nothing answers at {URL}/v1")
    assert "start Opta-LMX" in words
    assert "--target lmx=URL" in words


def test_lm_studio_on_opta_lmx_s_port(server: Mock) -> None:
    lm_studio(server, qwen="loaded")
    settle(server)
    words = refusal(WrongServer, LMX)

    assert f"LM Studio answers at {URL}/v1, not Opta-LMX" in words
    assert f"--target lmstudio={URL}" in words


def test_opta_lmx_on_lm_studio_s_port(server: Mock) -> None:
    opta_lmx(server, listing("m"))
    settle(server)

    assert f"Opta-LMX answers at {URL}/v1, not LM Studio" in refusal(WrongServer, TargetSpec(name="lmstudio"))


def test_something_else_on_the_port(server: Mock) -> None:
    server.route().respond(200, html="<h1>It works</h1>")
    words = refusal(WrongServer, LMX)

    assert "it is not Opta-LMX" in words
    assert f"--target openai={URL}/v1" in words


@pytest.mark.parametrize("status", [401, 403])
def test_a_wrong_key_and_a_missing_one(server: Mock, status: int) -> None:
    opta_lmx(server, httpx.Response(status, json={"error": {"message": "Invalid API key: secret"}}))

    wrong = refusal(KeyRefused, LMX, {"LMX_API_KEY": "secret"})
    assert wrong.endswith("LMX_API_KEY")
    missing = refusal(KeyRefused, LMX)
    assert missing.endswith("LMX_API_KEY")
    assert missing != wrong


def test_no_model_loaded(server: Mock) -> None:
    opta_lmx(server, listing())

    assert refusal(ModelNotLoaded, LMX).startswith("model_not_loaded: ")


def test_a_server_that_is_still_loading(server: Mock) -> None:
    opta_lmx(server, httpx.Response(503, json={"error": {"message": "Loading model"}}))

    assert "not ready: Loading model" in refusal(ModelNotLoaded, LMX)


def test_several_models_are_listed(server: Mock) -> None:
    opta_lmx(server, listing("one", "two"))
    words = refusal(AmbiguousModel, LMX)

    assert "(one, two)" in words
    assert "--model lmx=ID" in words


def test_each_error_has_an_exit_code_of_its_own() -> None:
    errors = (InputError, Unreachable, WrongServer, KeyRefused, ModelNotLoaded, AmbiguousModel)

    assert len({error.exit_code for error in errors}) == len(errors)


# Models


def test_the_only_loaded_model_is_taken(server: Mock) -> None:
    opta_lmx(server, listing("mlx/Qwen"))
    target = found(LMX)

    assert (target.model, target.base_url, target.notes) == ("mlx/Qwen", f"{URL}/v1", ())
    assert target.server == {"product": "opta-lmx", "title": "Opta-LMX", "version": "0.1.0", "quantization": None}


def test_embedding_models_are_nobody_to_talk_to(server: Mock) -> None:
    opta_lmx(server, listing("nomic-embed-text", "BAAI/bge-m3", "qwen"))

    assert found(LMX).model == "qwen"


def test_a_model_that_is_not_loaded_is_not_asked_for(server: Mock) -> None:
    lm_studio(server, small="loaded", big="not-loaded")
    words = refusal(ModelNotLoaded, TargetSpec(name="lmstudio", model="big"))

    assert words.startswith("model_not_loaded: big is not loaded by LM Studio")
    assert "(loaded: small)" in words
    assert found(TargetSpec(name="lmstudio")).model == "small"


def test_ollama_has_loaded_what_is_running_not_what_is_on_disk() -> None:
    with respx.mock(base_url="http://127.0.0.1:11434", assert_all_called=False) as mock:
        ollama(mock, "llama3:latest")
        settle(mock)

        assert found(TargetSpec(name="ollama")).model == "llama3:latest"
        assert found(TargetSpec(name="ollama", model="llama3")).model == "llama3:latest"
        assert "on-disk" in refusal(ModelNotLoaded, TargetSpec(name="ollama", model="on-disk"))


def test_any_server_by_its_address_with_the_key_that_the_profile_names(server: Mock) -> None:
    route = server.get("/v1/models").mock(return_value=listing("m"))
    spec = TargetSpec(name="mine", url=URL, dialect="openai", api_key_env="MY_KEY")
    target = found(spec, {"MY_KEY": "abc"})

    assert (target.name, target.dialect.name, target.model) == ("mine", "openai", "m")
    carried = [call.request.headers.get("Authorization") for call in route.calls]
    assert carried == [None, "Bearer abc"]  # whoever is not recognized yet gets no key
    assert "MY_KEY is empty" in refusal(InputError, spec)


# Keys


def test_a_key_goes_only_where_the_server_asks_for_it_and_shows_nowhere(server: Mock) -> None:
    opta_lmx(server, listing("m"))
    target = found(LMX, {"LMX_API_KEY": "my-secret", "LMX_ADMIN_KEY": "other-secret"})

    carried = {call.request.url.path: call.request.headers.get("Authorization") for call in server.calls}
    assert carried["/v1/models"] == "Bearer my-secret"
    assert carried["/.well-known/opta-lmx"] is None
    assert target.headers == {"Authorization": "Bearer my-secret"}
    assert target.admin_headers == {"X-Admin-Key": "other-secret"}
    assert "secret" not in repr(target)


def test_the_admin_key_may_lie_in_the_home_folder(server: Mock, tmp_path: Path) -> None:
    opta_lmx(server, listing("m"))
    assert found(LMX, home=tmp_path).admin_headers == {}

    path = tmp_path / ADMIN_KEY_FILE
    path.parent.mkdir(parents=True)
    path.write_text("from-file\n")
    assert found(LMX, home=tmp_path).admin_headers == {"X-Admin-Key": "from-file"}
    path.write_bytes(b"\xff\xfe")
    assert found(LMX, home=tmp_path).admin_headers == {}


@pytest.mark.parametrize("key", ["naïve-secret", "two\nsecret"])
def test_a_key_that_no_header_can_carry_is_refused_and_not_repeated(server: Mock, key: str) -> None:
    opta_lmx(server, listing("m"))

    assert "secret" not in refusal(InputError, LMX, {"LMX_API_KEY": key})


# Servers that answer nonsense

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=12),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["data", "id", "models", "name", "service", "state", "version"]), inner)
    ),
    max_leaves=8,
)
REPLIES: list[Callable[[], httpx.Response]] = [
    lambda: httpx.Response(200, html="<html>"),
    lambda: httpx.Response(200, content=b"[" * 5_000_000),
    lambda: httpx.Response(200, content=b'{"data": ' + b"[" * 100_000),
    lambda: httpx.Response(200, content=b"\xff\xfe"),
    lambda: httpx.Response(500, text="oh no"),
    lambda: httpx.Response(302, headers={"Location": "http://elsewhere.invalid/"}),
    lambda: httpx.Response(204),
]


@pytest.mark.parametrize("name", sorted(set(DIALECTS) - {"openai", "sim"}))
@pytest.mark.parametrize("reply", REPLIES)
def test_nonsense_gives_one_sentence(name: str, reply: Callable[[], httpx.Response]) -> None:
    with respx.mock(assert_all_called=False) as mock:
        mock.route().mock(side_effect=lambda request: reply())
        refusal(LoadgenError, TargetSpec(name=name))


@pytest.mark.parametrize(
    "fault", [httpx.ReadTimeout("slow"), httpx.RemoteProtocolError("bad"), httpx.ReadError("gone")]
)
def test_a_server_that_breaks_off_gives_one_sentence(fault: Exception) -> None:
    with respx.mock(assert_all_called=False) as mock:
        mock.route().mock(side_effect=fault)
        refusal(LoadgenError, LMX)


def test_an_address_that_swallows_everything_is_nobody_and_no_other_server() -> None:
    with respx.mock(assert_all_called=False) as mock:
        mock.route().mock(side_effect=httpx.ConnectTimeout(""))
        assert "nothing answers at http://127.0.0.1:1234/v1 (no connection within 5 s)" in refusal(Unreachable, LMX)


def test_a_named_model_is_believed_where_the_server_lists_none() -> None:
    with respx.mock(assert_all_called=False) as mock:
        mock.route().respond(404)
        target = found(TargetSpec(name="openai", url=URL, model="mine"))
        assert (target.model, target.notes) == (
            "mine",
            ("an OpenAI-compatible server does not tell whether mine is loaded",),
        )


@settings(suppress_health_check=[HealthCheck.too_slow], max_examples=60, deadline=None)
@given(name=st.sampled_from(sorted(DIALECTS)), data=JSON, status=st.sampled_from([200, 200, 404, 503]))
@pytest.mark.slow
def test_any_json_gives_a_target_or_one_sentence(name: str, data: Any, status: int) -> None:
    url = DIALECTS[name].default_url or URL
    with respx.mock(assert_all_called=False) as mock:
        mock.route().respond(status, json=data)
        try:
            said = found(TargetSpec(name=name, url=url)).model
        except LoadgenError as problem:
            said = str(problem)

    assert said
    assert "\n" not in said


# Bodies


def at(dialect: Dialect) -> Target:
    return Target("x", dialect, URL, "m", {})


@pytest.mark.parametrize("name", sorted(DIALECTS))
def test_a_body_has_only_such_fields_as_the_server_understands(name: str) -> None:
    dialect = DIALECTS[name]
    asked = Request(max_tokens=9, temperature=0.5, seed=3, ignore_eos=True)
    body = request_body(at(dialect), "chat", [{"role": "user", "content": "Hi"}], asked)

    assert {"model": "m", "max_tokens": 9, "temperature": 0.5, "stream": True}.items() <= body.items()
    assert body["messages"] == [{"role": "user", "content": "Hi"}]
    assert {"seed", "ignore_eos", "min_tokens", "stream_options"} & set(body) == dialect.fields
    assert body.get("min_tokens", 9) == 9


def test_plain_completions_get_the_texts_of_the_messages() -> None:
    messages = [{"role": "system", "content": "N Be brief."}, {"role": "user", "content": "Hi"}]
    body = request_body(at(DIALECTS["openai"]), "completions", messages, Request())

    assert body["prompt"] == "N Be brief.\n\nHi"
    assert "messages" not in body


# What the weights are


def test_ollama_tells_how_a_model_is_quantised(server: Mock) -> None:
    ollama(server, "qwen:7b")
    details = {"quantization_level": "Q4_K_M", "parameter_size": "7B"}
    server.get("/api/ps").respond(json={"models": [{"name": "qwen:7b", "model": "qwen:7b", "details": details}]})

    assert found(TargetSpec(name="ollama", url=URL)).server["quantization"] == "Q4_K_M"


def test_lm_studio_tells_how_a_model_is_quantised(server: Mock) -> None:
    entry = {"id": "qwen", "type": "llm", "state": "loaded", "quantization": "4bit"}
    server.get("/api/v0/models").respond(json={"data": [entry]})
    server.get("/v1/models").mock(return_value=listing("qwen"))

    assert found(TargetSpec(name="lmstudio", url=URL)).server["quantization"] == "4bit"


def test_llama_server_s_file_tells_by_its_name_and_not_where_it_lies(server: Mock) -> None:
    props = {"default_generation_settings": {}, "model_path": "/home/me/secret/SmolLM2-Q8_0.gguf"}
    server.get("/props").respond(json=props)
    server.get("/v1/models").mock(return_value=listing("smol"))

    assert found(TargetSpec(name="llamacpp", url=URL)).server["quantization"] == "SmolLM2-Q8_0.gguf"


def test_a_named_model_need_not_be_loaded_where_it_may_be_later(server: Mock) -> None:
    ollama(server)
    server.get("/v1/models").mock(return_value=listing("qwen:7b"))
    target = found(TargetSpec(name="ollama", url=URL, model="qwen:7b"), may_load=True)

    assert (target.model, target.is_loaded) == ("qwen:7b", False)
    (note,) = target.notes
    assert "--isolate" in note
    assert not any(call.request.method == "POST" for call in server.calls)
