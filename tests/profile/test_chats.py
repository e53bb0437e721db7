"""Chats as people have them: read whole, split into turns, and put together from a recording."""

import json
from pathlib import Path
from typing import Any

import pytest

from lmx_loadgen.errors import ProfileError
from lmx_loadgen.profile.conversation import Conversation, answer_place
from lmx_loadgen.profile.datasets.chats import built_in_chats, read_chats
from lmx_loadgen.profile.models import Prompts
from lmx_loadgen.profile.prompts import chat_book
from lmx_loadgen.profile.words import words_of

ONE, TWO = {"role": "user", "content": "One?"}, {"role": "user", "content": "Two?"}
YES, NO = {"role": "assistant", "content": "Yes."}, {"role": "assistant", "content": "No."}
CALL = {"role": "assistant", "content": None, "tool_calls": [{"id": "1", "function": {"name": "f", "arguments": "{}"}}]}
RESULT = {"role": "tool", "tool_call_id": "1", "content": "21"}
SYSTEM = {"role": "system", "content": "Be brief."}


def chats_in(folder: Path, name: str, *entries: Any) -> tuple[Conversation, ...]:
    text = "\n".join(map(json.dumps, entries)) if name.endswith("l") else json.dumps(entries[0])
    (folder / name).write_text(text, "utf-8")
    return read_chats(folder / name).chats


def contents(messages: Any) -> list[str]:
    return [message["content"] for message in messages]


def test_a_turn_is_all_that_was_said_until_the_server_has_to_answer() -> None:
    turns = Conversation(7, (SYSTEM, ONE, CALL, RESULT, YES, TWO)).turns()

    assert [turn.messages for turn in turns] == [
        (SYSTEM, ONE),
        (SYSTEM, ONE, CALL, RESULT),
        (SYSTEM, ONE, CALL, RESULT, YES, TWO),
    ]
    assert [(turn.id, turn.kind) for turn in turns] == [
        ("turn 01-chat7", "turn 01"),
        ("turn 02-chat7", "turn 02"),
        ("turn 03-chat7", "turn 03"),
    ]


def test_a_live_chat_has_places_for_answers_but_not_for_tool_calls() -> None:
    (*_, last) = Conversation(1, (ONE, YES, TWO, CALL, RESULT, NO, ONE)).turns(live=True)

    assert last.messages == (
        ONE,
        {**YES, "content": answer_place(1)},
        TWO,
        CALL,
        RESULT,
        {**NO, "content": answer_place(3)},
        ONE,
    )


@pytest.mark.parametrize(
    ("name", "entries"),
    [
        ("c.jsonl", [{"messages": [ONE, YES, TWO, NO]}, {"messages": [SYSTEM, ONE]}]),
        ("c.json", [[{"messages": [ONE, YES, TWO, NO]}, {"messages": [SYSTEM, ONE]}]]),
    ],
)
def test_chats_are_read_whole(name: str, entries: list[Any], tmp_path: Path) -> None:
    one, other = chats_in(tmp_path, name, *entries)

    assert one.messages == (ONE, YES, TWO, NO)
    assert len(one.turns()) == 2
    assert other.messages == (SYSTEM, ONE)
    assert (one.number, other.number) == (1, 2)


def test_share_gpt_is_a_chat(tmp_path: Path) -> None:
    said = [("human", "One?"), ("gpt", "Yes."), ("human", "Two?"), ("gpt", "No.")]
    (chat,) = chats_in(tmp_path, "c.json", [{"conversations": [{"from": who, "value": what} for who, what in said]}])

    assert chat.messages == (ONE, YES, TWO, NO)


RECORDING = [
    {"recording": {"text": True}},
    {"chat": "1", "turn": 1, "at_s": 0.1, "messages": [SYSTEM, ONE]},
    {"chat": "2", "turn": 1, "at_s": 0.2, "messages": [TWO]},
    {"chat": "1", "turn": 1, "messages": [YES], "ttft_ms": 3.0},
    {"chat": "1", "turn": 2, "at_s": 0.9, "messages": [TWO]},
    {"note": {"chats": 2}},
]


def test_a_recording_is_put_together_chat_by_chat(tmp_path: Path) -> None:
    one, other = chats_in(tmp_path, "c.jsonl", *RECORDING)

    assert one.messages == (SYSTEM, ONE, YES, TWO)
    assert other.messages == (TWO,)  # it was killed before the answer


def test_a_recording_without_texts_has_as_many_characters(tmp_path: Path) -> None:
    def lengths(role: str, characters: int, mark: str) -> dict[str, Any]:
        return {"role": role, "characters": characters, "mark": mark}

    one, other = chats_in(
        tmp_path,
        "c.jsonl",
        {"chat": "1", "turn": 1, "messages": [lengths("system", 500, "aa"), lengths("user", 30, "bb")]},
        {"chat": "1", "turn": 1, "messages": [lengths("assistant", 77, "cc")]},
        {"chat": "2", "turn": 1, "messages": [lengths("system", 500, "aa"), lengths("user", 30, "dd")]},
    )

    assert list(map(len, contents(one.messages))) == [500, 30, 77]
    assert one.messages[0] == other.messages[0]  # the same mark, the same text: a cache may hold it
    assert one.messages[1] != other.messages[1]
    assert len(words_of(1234, "x")) == 1234


def test_tools_of_a_recording_are_sent_or_as_many_and_as_long(tmp_path: Path) -> None:
    tool = {"type": "function", "function": {"name": "f", "description": "d" * 300}}
    for stored in ([tool], {"number": 3, "characters": 3000}):
        first = {"chat": "1", "turn": 1, "messages": [ONE], "tools": stored}
        (chat,) = chats_in(tmp_path, "c.jsonl", first, {"chat": "1", "messages": [YES]}, {**first, "messages": [TWO]})

        assert all(turn.tools == chat.tools for turn in chat.turns())
        assert chat.tools == (tool,) if isinstance(stored, list) else len(chat.tools) == 3
    assert len(json.dumps(chat.tools)) == pytest.approx(3000, abs=10)


def test_a_tool_s_result_without_its_text_comes_from_the_user(tmp_path: Path) -> None:
    called = {"role": "assistant", "characters": 40, "mark": "a", "tool_calls": 1}
    result = {"role": "tool", "characters": 9, "mark": "b"}
    (chat,) = chats_in(tmp_path, "c.jsonl", {"chat": "1", "messages": [ONE, called, result]})

    assert [message["role"] for message in chat.messages] == ["user", "assistant", "user"]


def test_chats_are_drawn_by_the_seed_and_keep_their_numbers(tmp_path: Path) -> None:
    path = tmp_path / "c.jsonl"
    path.write_text("\n".join(json.dumps({"messages": [{"role": "user", "content": str(n)}]}) for n in range(50)))
    found, again, other = (read_chats(path, sample=7, seed=seed) for seed in (3, 3, 4))

    assert (len(found.chats), found.of) == (7, 50)
    assert [str(chat.number - 1) for chat in found.chats] == [chat.messages[0]["content"] for chat in found.chats]
    assert found == again != other


def test_chats_come_from_a_column_too(tmp_path: Path) -> None:
    (tmp_path / "c.csv").write_text('id,talk\n1,"[{""role"": ""user"", ""content"": ""One?""}]"\n')
    chats_in(tmp_path, "c.jsonl", {"talk": [ONE, YES], "messages": [TWO]})

    for name in ("c.csv", "c.jsonl"):
        assert read_chats(tmp_path / name, column="talk").chats[0].messages[0] == ONE


def test_chats_that_take_too_much_memory_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lmx_loadgen.profile.datasets.chats._MOST_SENT", 1000)
    said = [ONE, {"role": "assistant", "content": "x" * 400}, TWO, NO]

    assert chats_in(tmp_path, "c.jsonl", {"messages": said})
    with pytest.raises(ProfileError, match="draw fewer chats with --sample"):
        chats_in(tmp_path, "c.jsonl", {"messages": [*said, ONE, YES]})


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        ([{"messages": []}], "line 1: needs a prompt"),
        ([{"messages": [YES]}], "no message of a user"),
        (
            [{"messages": [ONE]}, {"chat": "1", "messages": [{"role": "user", "characters": -4}]}],
            "line 2: needs a prompt",
        ),
        ([{"recording": {}}], "holds no chat"),
        ([3], "line 1: needs a prompt"),
        ([{"messages": [ONE], "tools": {"f": 1}}], 'line 1: "tools" must be an array of objects'),
    ],
)
def test_what_is_no_chat_is_named_by_its_line(entries: list[Any], words: str, tmp_path: Path) -> None:
    with pytest.raises(ProfileError, match=words):
        chats_in(tmp_path, "c.jsonl", *entries)


def test_the_built_in_chats_have_up_to_ten_turns_and_end_with_an_answer() -> None:
    chats = built_in_chats()

    assert len(chats) == 12
    assert max(len(chat.ends) for chat in chats) == 10
    assert all(len(chat.ends) >= 4 for chat in chats)
    assert all(chat.messages[-1]["role"] == "assistant" for chat in chats)


def test_a_book_of_chats_has_their_turns_and_one_system_message(tmp_path: Path) -> None:
    chats_in(tmp_path, "c.jsonl", {"messages": [SYSTEM, ONE, YES, TWO]}, {"messages": [TWO]})
    (tmp_path / "s.txt").write_text("You are an agent.\n")
    book = chat_book(Prompts(chats="c.jsonl", shared_system="s.txt"), tmp_path)

    assert book.chats == ((0, 1), (2,))
    with pytest.raises(ProfileError, match=r"--users 3: each needs a chat of its own, and .*c\.jsonl has 2"):
        chat_book(Prompts(chats="c.jsonl"), tmp_path, users=3)
    assert {turn.messages[0]["content"] for turn in book.measured} == {"You are an agent."}
    assert contents(book.measured[1].messages) == ["You are an agent.", "One?", "Yes.", "Two?"]
    for name, words in (("gone.txt", "cannot read the system message"), ("e.txt", "is empty")):
        (tmp_path / "e.txt").write_text(" \n")
        with pytest.raises(ProfileError, match=words):
            chat_book(Prompts(shared_system=name), tmp_path)
