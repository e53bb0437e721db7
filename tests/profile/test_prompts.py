"""What is asked: books of prompts, their order, and the nonce that no cache gets past."""

import contextlib
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmx_loadgen.errors import ProfileError
from lmx_loadgen.load.request import NONCE_LENGTH, PLACEHOLDER, BodyTemplate, nonce_for
from lmx_loadgen.profile.models import Prompts
from lmx_loadgen.profile.prompt import Prompt
from lmx_loadgen.profile.prompts import PromptBook, order_of, prompt_book, with_nonce

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


@pytest.mark.parametrize("role", ["user", "system", "developer"])
def test_the_nonce_heads_the_first_message_whatever_its_role_and_none_is_added(role: str) -> None:
    found = with_nonce([{"role": role, "content": "Hello"}], "0123456789abcdef")

    assert found == [{"role": role, "content": "0123456789abcdef Hello"}]


def test_the_nonce_heads_the_first_text_of_several_parts() -> None:
    image = {"type": "image_url", "image_url": {"url": "data:,"}}
    found = with_nonce([{"role": "user", "content": [image, {"type": "text", "text": "What?"}]}], "N")
    alone = with_nonce([{"role": "user", "content": [image]}], "N")

    assert found == [{"role": "user", "content": [image, {"type": "text", "text": "N What?"}]}]
    assert alone == [{"role": "user", "content": [{"type": "text", "text": "N"}, image]}]


def test_a_message_without_a_content_gets_no_nonce() -> None:
    call = {"role": "assistant", "content": None, "tool_calls": [{"id": "1"}]}

    assert with_nonce([call, {"role": "tool", "content": "21 °C"}], "N") == [
        call,
        {"role": "tool", "content": "N 21 °C"},
    ]


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
    order = [found.measured[place] for place in order_of(found, 42, 36)]

    assert order == [found.measured[place] for place in order_of(found, 42, 100)][:36]
    assert [prompt.kind for prompt in order[:6]] == [prompt.kind for prompt in order[3:9]]
    assert {prompt.kind for prompt in order[:3]} == {"short", "medium", "long"}
    # every short one is asked before any comes again
    short = [prompt.id for prompt in order if prompt.kind == "short"]
    assert len(short) == len(set(short)) == 12


def test_another_seed_asks_in_another_order() -> None:
    found = book(lengths=["short"])

    assert order_of(found, 1, 12) != order_of(found, 2, 12)


def test_the_order_of_many_prompts_is_made_in_one_pass() -> None:
    many = PromptBook(tuple(Prompt(str(n), ({"role": "user", "content": "?"},)) for n in range(10_000)), ())

    assert sorted(order_of(many, 1, 10_000)) == list(range(10_000))


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
        ("p.jsonl", '{"prompt": ""}', "line 1: needs a prompt"),
        ("p.jsonl", '{"messages": []}', "line 1: needs a prompt"),
        ("p.jsonl", '{"messages": [{"role": "user"}]}', "line 1: needs a prompt"),
        ("p.jsonl", "[1]", "line 1: needs a prompt"),
        ("p.json", '{"a": [1]}', "entry 1: needs a prompt"),
        ("p.json", "3", "needs an array of prompts"),
        ("p.json", '["a",\n]', "line 2: not JSON"),
        ("p.json", '[{"conversations": [{"from": "robot", "value": "x"}]}]', 'entry 1: each of "conversations"'),
        ("p.json", '[{"conversations": [{"from": "gpt", "value": "x"}]}]', "no message of a user"),
        ("p.jsonl", '{"messages": [{"role": "assistant", "content": null, "tool_calls": [1]}]}', "no message has a"),
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
