"""Recordings to send again: which are read, and what is said of those that cannot be."""

import json
from pathlib import Path
from typing import Any

import pytest

from lmx_loadgen.errors import ProfileError
from lmx_loadgen.profile.models import Load, Profile, Prompts
from lmx_loadgen.profile.prompts import PromptBook
from lmx_loadgen.profile.replay import Trace, asked_prompts
from lmx_loadgen.system.clock import NS

PROMPT = {"prompt": "Hello"}


def replayed(folder: Path, *lines: Any, **prompts: Any) -> tuple[PromptBook, Trace]:
    text = "\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines)
    (folder / "trace.jsonl").write_text(text, encoding="utf-8")
    book, trace = asked_prompts(Profile(load=Load(replay="trace.jsonl"), prompts=Prompts(**prompts)), folder)
    assert trace is not None
    return book, trace


def test_requests_are_due_in_the_order_of_their_times_since_the_first(tmp_path: Path) -> None:
    book, trace = replayed(tmp_path, {"at_s": 1e9 + 2.5, "prompt": "late"}, "", {"at_s": 1e9, "prompt": "early"})

    assert trace == Trace([0, 5 * NS // 2], [0, 1])
    assert [prompt.messages[0]["content"] for prompt in book.measured] == ["early", "late"]
    assert book.warmup


def test_a_prompt_is_named_by_its_id_or_given_in_any_form_of_prompts(tmp_path: Path) -> None:
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}]
    book, trace = replayed(
        tmp_path,
        {"at_s": 0, "prompt_id": "short-01"},
        {"at_s": 1, "messages": messages},
        {"at_s": 2, "prompt_id": "short-01"},
    )

    assert trace.places == [0, 1, 0]
    assert [prompt.id for prompt in book.measured] == ["short-01", "line-2"]
    assert list(book.measured[1].messages) == messages


def test_without_a_replay_there_is_no_recording() -> None:
    assert asked_prompts(Profile(), Path())[1] is None


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("{", r"trace\.jsonl, line 2: not JSON$"),
        ("[1]", 'line 2: needs an object with "at_s" and a prompt'),
        (PROMPT, 'line 2: "at_s" must be a number of seconds, zero or more'),
        ({"at_s": -1, **PROMPT}, '"at_s" must be'),
        ({"at_s": True, **PROMPT}, '"at_s" must be'),
        ('{"at_s": NaN, "prompt": "a"}', '"at_s" must be'),
        ({"at_s": "5", **PROMPT}, '"at_s" must be'),
        ({"at_s": 1, "prompt_id": "nobody"}, "line 2: there is no prompt 'nobody' \\(there are short-01, "),
        ({"at_s": 1}, "line 2: needs a prompt"),
        ({"at_s": 1e7, **PROMPT}, "spans over seven days"),
    ],
)
def test_what_cannot_be_replayed_is_named_by_file_and_line(tmp_path: Path, line: Any, words: str) -> None:
    with pytest.raises(ProfileError, match=words):
        replayed(tmp_path, {"at_s": 0, **PROMPT}, line)


def test_a_file_that_is_not_there_or_empty_is_said_to_be_so(tmp_path: Path) -> None:
    with pytest.raises(ProfileError, match="holds no request"):
        replayed(tmp_path, "")
    with pytest.raises(ProfileError, match=r"cannot read the replay file .*none\.jsonl: No such file"):
        asked_prompts(Profile(load=Load(replay="none.jsonl")), tmp_path)
