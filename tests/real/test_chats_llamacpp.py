"""A chat of ten turns on llama.cpp's own server: its cache works inside a chat, and across none."""

import json
from pathlib import Path

import pytest

from tests.helpers.cli_run import run_cli
from tests.helpers.servers.server_process import RealServer

pytestmark = [pytest.mark.real_server, pytest.mark.slow]

ASKED = ["Name a color.", "Why that one?", "Another one?", "Which is older?", "And in nature?", "Where?", "Since when?"]
TEN = [*ASKED, "Who says so?", "How do they know?", "Sum it up."]


def chat(questions: list[str]) -> str:
    said = [[{"role": "user", "content": one}, {"role": "assistant", "content": f"Well, {one}"}] for one in questions]
    return json.dumps({"messages": [message for turn in said for message in turn]})


@pytest.mark.parametrize("answers", ["recorded", "live"])
def test_the_cached_share_rises_inside_a_chat_and_is_zero_across_chats(
    answers: str, llama_server: RealServer, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder: Path = tmp_path_factory.mktemp("chats")
    (folder / "c.jsonl").write_text("\n".join([chat(TEN), chat(TEN[:2]), chat(TEN[1:4])]))
    run = run_cli(
        folder / "runs",
        *("--target", f"llamacpp={llama_server.url}", "--chats", str(folder / "c.jsonl"), "--answers", answers),
        *("--max-tokens", "8", "--no-stability"),
    )
    (level,) = run.levels()
    turns = level["turns"]

    assert [turn["turn"] for turn in turns] == list(range(1, 11))
    assert turns[0]["cached_share"] == 0
    assert turns[-1]["cached_share"] > 0.8
    assert [turn["context_tokens"] for turn in turns] == sorted(turn["context_tokens"] for turn in turns)
    assert all(turn["failed"] == 0 and turn["ttft_sec"] > 0 for turn in turns)
    assert turns[0]["decode_tok_s"] > 0  # an answer of one token has no rate, and later turns have one answer each
