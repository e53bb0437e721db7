"""What is asked: books of prompts, their order, and the nonce that no cache gets past."""

import contextlib
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmx_loadgen.errors import ProfileError
from lmx_loadgen.load.closed_loop import nonce_for
from lmx_loadgen.load.sender import NONCE_LENGTH, PLACEHOLDER, BodyTemplate
from lmx_loadgen.profile.models import Prompts
from lmx_loadgen.profile.prompts import PromptBook, choose, prompt_book, with_nonce

HERE = Path()


def book(**settings: Any) -> PromptBook:
    return prompt_book(Prompts(**settings), HERE)


def from_file(folder: Path, name: str, text: str) -> PromptBook:
    (folder / name).write_text(text, encoding="utf-8")
    return prompt_book(Prompts(file=name), folder)


def asked(found: PromptBook) -> list[str]:
    return [prompt.messages[-1]["content"] for prompt in found.measured]


def test_built_in_prompts_are_many_and_as_long_as_their_kind_says() -> None:
    words = {kind: [len(text.split()) for text in asked(book(lengths=[kind]))] for kind in ("short", "medium", "long")}

    assert all(5 <= count <= 40 for count in words["short"])
    assert all(60 <= count <= 300 for count in words["medium"])
    assert all(1_000 <= count <= 2_000 for count in words["long"])
    assert [len(counts) for counts in words.values()] == [12, 8, 4]
    everything = asked(book())
    assert len({text[:60] for text in everything}) == len(everything) == 24


def test_warm_ups_have_prompts_of_their_own() -> None:
    found = book()

    assert found.warmup
    assert not {prompt.id for prompt in found.warmup} & {prompt.id for prompt in found.measured}
    assert book(text="mine").warmup == found.warmup


# The nonce


def test_the_nonce_is_the_very_first_of_a_system_message() -> None:
    first, second = with_nonce([{"role": "user", "content": "Hello"}], "0123456789abcdef")

    assert first["role"] == "system"
    assert first["content"].startswith("0123456789abcdef")
    assert second == {"role": "user", "content": "Hello"}


def test_a_system_message_keeps_its_words_behind_the_nonce() -> None:
    messages = [{"role": "system", "content": "Be brief.", "name": "x"}, {"role": "user", "content": "Hello"}]
    found = with_nonce(messages, "N")

    assert found == [{"role": "system", "content": "N Be brief.", "name": "x"}, messages[1]]
    assert messages[0]["content"] == "Be brief."


def test_a_nonce_is_of_one_length_and_new_for_every_request() -> None:
    nonces = [nonce_for("run/0", phase, number, False) for phase in ("warmup", "measured") for number in range(500)]

    assert {len(nonce) for nonce in nonces} == {NONCE_LENGTH} == {len(PLACEHOLDER)}
    assert len(set(nonces)) == 1000
    assert nonce_for("run/1", "measured", 0, False) not in nonces
    assert nonce_for("repeat", "measured", 1, True) == nonce_for("repeat", "warmup", 2, True)


@given(st.text())
def test_a_body_is_what_its_messages_would_be_with_the_nonce(text: str) -> None:
    def body(nonce: str) -> bytes:
        messages = with_nonce([{"role": "user", "content": text}], nonce)
        return json.dumps({"messages": messages}, ensure_ascii=True).encode()

    nonce = nonce_for("key", "measured", 7, False)
    assert BodyTemplate(body(PLACEHOLDER)).fill(nonce) == body(nonce)


# The order


def test_the_same_number_asks_the_same_and_kinds_take_turns() -> None:
    found = book(lengths=["short", "medium", "long"])
    order = [choose(found, 42, number) for number in range(36)]

    assert order == [choose(found, 42, number) for number in range(36)]
    assert [prompt.kind for prompt in order[:6]] == [prompt.kind for prompt in order[3:9]]
    assert {prompt.kind for prompt in order[:3]} == {"short", "medium", "long"}
    # every short one is asked before any comes again
    short = [prompt.id for prompt in order if prompt.kind == "short"]
    assert len(short) == len(set(short)) == 12


def test_another_seed_asks_in_another_order() -> None:
    found = book(lengths=["short"])

    assert [choose(found, 1, n) for n in range(12)] != [choose(found, 2, n) for n in range(12)]


# Files


def test_a_text_file_holds_a_prompt_a_line(tmp_path: Path) -> None:
    found = from_file(tmp_path, "p.txt", "One?\n\n  Two: a\u2028b \n")

    assert asked(found) == ["One?", "Two: a\u2028b"]
    assert [prompt.id for prompt in found.measured] == ["line-1", "line-3"]


def test_jsonl_holds_prompts_or_messages(tmp_path: Path) -> None:
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": "?"}]},
    ]
    lines = [{"prompt": "One?"}, {"messages": messages}]
    found = from_file(tmp_path, "p.jsonl", "\n".join(map(json.dumps, lines)))

    assert found.measured[0].messages == ({"role": "user", "content": "One?"},)
    assert list(found.measured[1].messages) == messages


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("p.jsonl", '{"prompt": "a"}\n{', "line 2: not JSON"),
        ("p.jsonl", '{"prompt": ""}', 'line 1: needs "prompt"'),
        ("p.jsonl", '{"messages": []}', 'line 1: needs "prompt"'),
        ("p.jsonl", '{"messages": [{"role": "user"}]}', 'line 1: needs "prompt"'),
        ("p.jsonl", "[1]", 'line 1: needs "prompt"'),
        ("p.txt", "\n \n", "holds no prompt"),
    ],
)
def test_a_file_that_cannot_be_used_is_named_with_its_line(tmp_path: Path, name: str, text: str, words: str) -> None:
    with pytest.raises(ProfileError, match=words) as caught:
        from_file(tmp_path, name, text)
    assert name in str(caught.value)


def test_files_that_are_not_there_or_not_text(tmp_path: Path) -> None:
    (tmp_path / "p.txt").write_bytes(b"\xff\xfe")
    for name, words in (("gone.txt", "No such file"), ("p.txt", "not UTF-8")):
        with pytest.raises(ProfileError, match=words):
            prompt_book(Prompts(file=name), tmp_path)


@given(text=st.text(max_size=60) | st.recursive(st.none() | st.integers() | st.text(), st.lists).map(json.dumps))
def test_any_jsonl_gives_prompts_or_one_error(text: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("any")
    try:
        (folder / "p.jsonl").write_text(text, encoding="utf-8")
    except UnicodeEncodeError:
        return
    with contextlib.suppress(ProfileError):
        assert prompt_book(Prompts(file="p.jsonl"), folder).measured
