"""Tokens of a server whose streams do not count them: by a tokenizer, or by one answer in one piece."""

import asyncio
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI

from lmx_loadgen.service import tokenizer
from lmx_loadgen.service.tokenizer import tokenizer_beside
from tests.commands.test_cli import TOKENIZER
from tests.helpers.service import RUN, SMALL, client_of


def stats_of(app: FastAPI, **asked: Any) -> dict[str, Any]:
    async def ask() -> Any:
        async with client_of(app) as client:
            return (await client.post(RUN, json={**SMALL, "include_tool_call": False, **asked})).json()["stats"]

    found: dict[str, Any] = asyncio.run(ask())
    return found


def test_one_answer_in_one_piece_is_asked_for_where_nothing_else_counts(app: FastAPI, tmp_path: Path) -> None:
    stats = stats_of(app)

    assert stats["token_counts"] == "unstreamed"
    assert (stats["output_tokens"], stats["output_token_count"]) == (50, 50)
    (log,) = tmp_path.glob("runs/*/events.jsonl")
    (check,) = [json.loads(line) for line in log.read_text().splitlines() if '"type":"check"' in line]
    assert check["answer"]["text"].strip() == stats["output_text"].strip()


def test_a_configured_tokenizer_counts_and_nothing_is_asked_twice(app: FastAPI, tmp_path: Path) -> None:
    file = tmp_path / "tokenizers" / "tokenizer.json"
    file.parent.mkdir()
    file.write_text(json.dumps(TOKENIZER))
    app.state.benchmark_tokenizer = file
    try:
        stats = stats_of(app, prompt="one two three")
    finally:
        app.state.benchmark_tokenizer = None

    assert (stats["token_counts"], stats["prompt_tokens"]) == ("tokenizer", 4)
    (log,) = tmp_path.glob("runs/*/events.jsonl")
    assert '"type":"check"' not in log.read_text()


def test_a_tokenizer_beside_the_model_counts(app: FastAPI, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "tokenizers" / "tokenizer.json"
    file.parent.mkdir()
    file.write_text(json.dumps(TOKENIZER))
    monkeypatch.setattr("lmx_loadgen.service.bench.tokenizer_beside", lambda *asked: str(file))

    assert stats_of(app)["token_counts"] == "tokenizer"


def test_one_that_was_found_and_cannot_be_used_is_done_without(
    app: FastAPI, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "tokenizers" / "tokenizer.json"
    file.parent.mkdir()
    file.write_text("{}")
    monkeypatch.setattr("lmx_loadgen.service.bench.tokenizer_beside", lambda *asked: str(file))

    assert stats_of(app)["token_counts"] == "unstreamed"


# Where it lies


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


def put(*folders: Path) -> list[str]:
    for folder in folders:
        folder.mkdir(parents=True)
        (folder / "tokenizer.json").write_text("{}")
    return [str(folder / "tokenizer.json") for folder in folders]


def test_it_is_found_by_the_models_path(tmp_path: Path) -> None:
    (file,) = put(tmp_path / "model")
    (tmp_path / "model" / "weights.gguf").touch()

    assert tokenizer_beside(str(tmp_path / "model"), {}, None) == file
    assert tokenizer_beside(str(tmp_path / "model" / "weights.gguf"), {}, None) == file


def test_it_is_found_in_the_caches_of_others(home: Path, tmp_path: Path) -> None:
    snapshots = Path("models--org--m-4bit") / "snapshots" / "abc"
    lmstudio, default, moved, cache = put(
        home / ".lmstudio" / "models" / "org" / "m-4bit",
        home / ".cache" / "huggingface" / "hub" / snapshots,
        tmp_path / "hf" / "hub" / snapshots,
        tmp_path / "cache" / snapshots,
    )
    env = {"HF_HOME": str(tmp_path / "hf"), "HF_HUB_CACHE": str(tmp_path / "cache")}

    assert tokenizer_beside("org/m-4bit", env, home) == cache
    assert tokenizer_beside("org/m-4bit", {"HF_HOME": env["HF_HOME"]}, home) == moved
    assert tokenizer_beside("org/m-4bit", {}, home) == default
    assert tokenizer_beside(str(Path(default).parent.relative_to("/")), {}, home) == default
    shutil.rmtree(home / ".cache")
    assert tokenizer_beside("org/m-4bit", {}, home) == lmstudio


@pytest.mark.parametrize("model", ["m", "../../etc/m", "org/..", "/", "a\0b/c", "x" * 5000, "org/none", "qwen:7b"])
def test_no_name_leads_elsewhere(home: Path, model: str) -> None:
    put(home / ".cache" / "huggingface" / "hub" / "models--org--m" / "snapshots" / "abc", home / ".lmstudio" / "models")

    assert tokenizer_beside(model, {}, home) is None


def test_without_the_package_there_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path / "model")
    monkeypatch.setattr(tokenizer, "find_spec", lambda name: None)

    assert tokenizer_beside(str(tmp_path / "model"), {}, None) is None
