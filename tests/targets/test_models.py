"""Lists of models in the shapes that servers give, and what is said where there is none."""

from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
import respx

from lmx_loadgen.errors import KeyRefused, LoadgenError, ModelNotLoaded, Unreachable
from lmx_loadgen.profile.models import TargetSpec
from lmx_loadgen.targets.base import Target
from lmx_loadgen.targets.models import hub_name
from lmx_loadgen.targets.prepare import Access, prepare

URL = "http://127.0.0.1:1234"
SNAPSHOT = "/Users/me/.cache/huggingface/hub/models--mlx-community--Qwen3-8B-4bit/snapshots/0a1b2c"


def target_of(data: Any, *, model: str | None = None, name: str = "box", status: int = 200, **paths: Any) -> Target:
    """The target where `GET /v1/models` answers with `data`: JSON, or a text."""
    reply = httpx.Response(status, html=data) if isinstance(data, str) else httpx.Response(status, json=data)
    with respx.mock(base_url=URL, assert_all_called=False) as mock:
        mock.get("/v1/models").mock(return_value=reply)
        for path, answer in paths.items():
            mock.get("/" + path.replace("__", "/")).respond(json=answer)
        mock.route().respond(404, json={"detail": "Not Found"})
        return anyio.run(lambda: prepare(TargetSpec(name=name, url=URL, model=model), Access({}, Path("/no/home"))))


def refusal(kind: type[LoadgenError], *args: Any, **more: Any) -> str:
    with pytest.raises(kind) as caught:
        target_of(*args, **more)
    assert "\n" not in str(caught.value)
    return str(caught.value)


ROUTER = [
    {"id": "a", "status": {"value": "unloaded"}},
    {"id": "b", "status": {"value": "loaded", "args": []}},
]


@pytest.mark.parametrize(
    "data",
    [
        {"data": [{"id": "b"}]},
        [{"id": "b"}],
        ["b"],
        {"models": [{"name": "b", "model": "b"}]},
        {"data": ["b", "b"]},
        {"data": [{"id": "b"}, {"id": "b"}]},
        {"data": [{"id": "a", "loaded": False}, {"id": "b", "loaded": True}]},
        {"data": [{"id": "a", "state": "not-loaded"}, {"id": "b", "state": "loaded"}]},
        {"data": ROUTER},
        {"data": [{"id": "nomic-embed-text"}, {"id": "b", "type": "llm"}]},
    ],
)
def test_the_one_model_that_is_loaded_is_found_in_any_shape(data: Any) -> None:
    assert target_of(data).model == "b"


@pytest.mark.parametrize("flags", [{"loaded": False}, {"state": "not-loaded"}, {"status": {"value": "unloaded"}}])
def test_a_model_that_is_listed_as_unloaded_is_not_asked_for(flags: Any) -> None:
    data = {"data": [{"id": "a", **flags}, {"id": "b", "loaded": True}]}
    words = refusal(ModelNotLoaded, data, model="a")

    assert words.startswith("model_not_loaded: a is not loaded")
    assert "(loaded: b)" in words


def test_an_empty_list_says_how_to_name_a_model_and_a_named_one_is_measured_with_a_note() -> None:
    empty: dict[str, Any] = {"object": "list", "data": []}

    assert "--model box=ID" in refusal(ModelNotLoaded, empty)
    target = target_of(empty, model="m")
    assert target.model == "m"
    assert any("m is loaded" in note for note in target.notes)


def test_an_alias_that_a_proxy_does_not_list_is_measured_with_a_note() -> None:
    target = target_of({"data": [{"id": "other"}]}, model="alias")

    assert target.model == "alias"
    assert any("not in the server's list" in note and "other" in note for note in target.notes)


@pytest.mark.parametrize("status", [400, 404, 500])
def test_a_list_that_fails_is_told_with_its_status_and_words(status: int) -> None:
    words = refusal(Unreachable, {"error": {"message": "No connected db."}}, status=status)

    assert str(status) in words
    assert "No connected db." in words
    assert "load a model" not in words


def test_a_page_is_no_list_of_models() -> None:
    assert "no list of models" in refusal(ModelNotLoaded, "<h1>It works</h1>")


@pytest.mark.parametrize(("status", "what"), [(500, "asks for a key"), (400, "asks for a key")])
def test_litellm_says_so_when_a_key_is_missing(status: int, what: str) -> None:
    data = {"error": {"message": "No connected db."}}
    words = refusal(KeyRefused, data, status=status, health__liveliness="I'm alive!")

    assert what in words
    assert "BOX_API_KEY" in words


@pytest.mark.parametrize(
    ("name", "paths", "command"),
    [
        ("ollama", {"": None, "api__version": {"version": "1"}, "api__ps": {"models": []}}, "ollama run big"),
        ("lmstudio", {"lmstudio-greeting": {"lmstudio": True}, "api__v0__models": {"data": []}}, "lms load big"),
        ("lmx", {".well-known__opta-lmx": {"service": "opta-lmx"}}, '"model_id": "big"'),
    ],
)
def test_a_model_that_is_not_loaded_comes_with_the_command_that_loads_it(
    name: str, paths: dict[str, Any], command: str
) -> None:
    with respx.mock(base_url=URL, assert_all_called=False) as mock:
        if name == "ollama":
            mock.get("/").respond(text="Ollama is running")
        for path, answer in paths.items():
            if path:
                mock.get("/" + path.replace("__", "/")).respond(json=answer)
        mock.get("/v1/models").respond(json={"data": []})
        mock.route().respond(404)
        with pytest.raises(ModelNotLoaded) as caught:
            anyio.run(lambda: prepare(TargetSpec(name=name, url=URL, model="big"), Access({}, Path("/no/home"))))
    assert str(caught.value).startswith("model_not_loaded: big ")
    assert command in str(caught.value)


@pytest.mark.parametrize(
    ("path", "name"),
    [
        (SNAPSHOT, "mlx-community/Qwen3-8B-4bit"),
        ("models--org--name", "org/name"),
        (r"C:\hub\models--org--na--me\snapshots\x", "org/na--me"),
        ("org/name", "org/name"),
        ("/models/name.gguf", "/models/name.gguf"),
    ],
)
def test_a_path_into_the_hub_s_cache_is_the_model_it_holds(path: str, name: str) -> None:
    assert hub_name(path) == name


def test_a_model_is_found_by_its_name_where_the_server_lists_its_path() -> None:
    target = target_of({"data": [{"id": SNAPSHOT}]}, model="mlx-community/Qwen3-8B-4bit")

    assert target.model == SNAPSHOT  # what the server calls it is what it is asked for
