"""Prompt files as people have them: arrays, ShareGPT, byte order marks, cut characters."""

import json
from pathlib import Path
from typing import Any

import pytest

from lmx_loadgen.errors import ProfileError
from lmx_loadgen.profile.models import Prompts
from lmx_loadgen.profile.prompt import Prompt
from lmx_loadgen.profile.prompts import prompt_book

USER = {"role": "user", "content": "One?"}
SHARE_GPT = {
    "id": "a1",
    "conversations": [
        {"from": "system", "value": "Be brief."},
        {"from": "human", "value": "One?"},
        {"from": "gpt", "value": "Yes."},
        {"from": "human", "value": "Two?"},
        {"from": "gpt", "value": "No."},
    ],
}


def prompts_in(tmp_path: Path, name: str, content: str | bytes) -> list[Prompt]:
    data = content.encode() if isinstance(content, str) else content
    (tmp_path / name).write_bytes(data)
    return list(prompt_book(Prompts(file=name), tmp_path).measured)


@pytest.mark.parametrize(
    "data",
    [
        ["One?"],
        [{"prompt": "One?"}],
        [{"messages": [USER]}],
        [[USER]],
        [USER],
        {"messages": [USER]},
        {"prompt": "One?"},
        [{"conversations": [{"from": "human", "value": "One?"}, {"from": "gpt", "value": "Yes."}]}],
    ],
)
@pytest.mark.parametrize("indent", [None, 2])
def test_a_json_file_is_read_whole_and_never_line_by_line(data: Any, indent: int | None, tmp_path: Path) -> None:
    (prompt,) = prompts_in(tmp_path, "p.json", json.dumps(data, indent=indent))

    assert prompt.messages == (USER,)


def test_a_share_gpt_conversation_goes_up_to_what_its_user_said_last(tmp_path: Path) -> None:
    (prompt,) = prompts_in(tmp_path, "p.json", json.dumps([SHARE_GPT], indent=1))

    assert [message["role"] for message in prompt.messages] == ["system", "user", "assistant", "user"]
    assert prompt.messages[-1]["content"] == "Two?"


@pytest.mark.parametrize("name", ["p.txt", "p.jsonl", "p.json"])
def test_a_byte_order_mark_and_crlf_are_no_part_of_a_prompt(name: str, tmp_path: Path) -> None:
    text = {"p.txt": "One?\r\n", "p.jsonl": '{"prompt": "One?"}\r\n', "p.json": '["One?"]\r\n'}[name]
    (prompt,) = prompts_in(tmp_path, name, b"\xef\xbb\xbf" + text.encode())

    assert prompt.messages == (USER,)


@pytest.mark.parametrize(
    "line",
    [
        r'{"prompt": "half \ud83d"}',
        r'{"messages": [{"role": "user", "content": "half \ude00"}]}',
        r'{"messages": [{"role": "user", "content": [{"type": "text", "text": "half \ud83d"}]}]}',
    ],
)
def test_half_a_character_is_sent_as_a_replacement(line: str, tmp_path: Path) -> None:
    (prompt,) = prompts_in(tmp_path, "p.jsonl", line)

    assert "half ?" in json.dumps(prompt.messages, ensure_ascii=False)
    json.dumps(prompt.messages, ensure_ascii=False).encode()


def test_a_turn_of_tool_calls_alone_has_no_content(tmp_path: Path) -> None:
    call = {"role": "assistant", "content": None, "tool_calls": [{"id": "1", "function": {"name": "f"}}]}
    tool = {"role": "tool", "tool_call_id": "1", "content": "21"}
    (prompt,) = prompts_in(tmp_path, "p.jsonl", json.dumps({"messages": [USER, call, tool]}))

    assert list(prompt.messages) == [USER, call, tool]


def test_a_path_with_a_nul_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ProfileError, match="NUL"):
        prompt_book(Prompts(file="a\0b"), tmp_path)


def test_the_home_folder_may_be_written_short(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "p.txt").write_text("One?")

    assert prompt_book(Prompts(file="~/p.txt"), Path("/no/such/folder")).measured[0].messages == (USER,)
