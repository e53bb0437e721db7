"""Every form of a prompts file, whole and damaged: read, or refused with its line and what is expected."""

import csv
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest

from lmx_loadgen.analysis.asked import Asked
from lmx_loadgen.errors import ProfileError
from lmx_loadgen.profile.datasets import rows
from lmx_loadgen.profile.datasets.sample import MOST_PROMPTS
from lmx_loadgen.profile.models import Prompts
from lmx_loadgen.profile.prompts import PromptBook, prompt_book
from lmx_loadgen.session.resume import hash_inputs

ONE, TWO = {"role": "user", "content": "One?"}, {"role": "user", "content": "Two?"}
ANSWER = {"role": "assistant", "content": "Yes."}
CALL = {"role": "assistant", "content": None, "tool_calls": [{"id": "1", "function": {"name": "f", "arguments": "{}"}}]}
RESULT = {"role": "tool", "tool_call_id": "1", "content": "21"}
IMAGE = {
    "role": "user",
    "content": [
        {"type": "text", "text": "What is it?"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}},
    ],
}
BOM = b"\xef\xbb\xbf"


def book_of(folder: Path, name: str, data: bytes, seed: int = 1, **settings: Any) -> PromptBook:
    (folder / name).write_bytes(data)
    return prompt_book(Prompts(file=name, **settings), folder, seed)


def messages_of(folder: Path, name: str, data: bytes, **settings: Any) -> list[list[dict[str, Any]]]:
    return [list(prompt.messages) for prompt in book_of(folder, name, data, **settings).measured]


def parquet(folder: Path, **columns: list[Any]) -> bytes:
    path = folder / "made.parquet"
    pyarrow.parquet.write_table(pyarrow.table(columns), path)
    return path.read_bytes()


def jsonl(*entries: Any) -> bytes:
    return "\n".join(map(json.dumps, entries)).encode()


SHARE_GPT = {"conversations": [{"from": "human", "value": "One?"}, {"from": "gpt", "value": "Yes."}]}
SHARE_GPT_TOOLS = {
    "conversations": [
        {"from": "human", "value": "One?"},
        {"from": "function_call", "value": "f()"},
        {"from": "observation", "value": "21"},
    ]
}
FORMS: dict[str, tuple[str, bytes, list[list[dict[str, Any]]]]] = {
    "text": ("p.txt", b"One?\nTwo?\n", [[ONE], [TWO]]),
    "text of another name": ("prompts", b"One?\nTwo?", [[ONE], [TWO]]),
    "jsonl of prompts": ("p.jsonl", jsonl({"prompt": "One?"}, "Two?"), [[ONE], [TWO]]),
    "jsonl of messages": ("p.jsonl", jsonl({"messages": [ONE, ANSWER, TWO]}), [[ONE, ANSWER, TWO]]),
    "answers at the end are the server's to give": ("p.jsonl", jsonl({"messages": [ONE, ANSWER]}), [[ONE]]),
    "prompt as messages": ("p.jsonl", jsonl({"prompt": [ONE]}), [[ONE]]),
    "tool turns": ("p.jsonl", jsonl({"messages": [ONE, CALL, RESULT]}), [[ONE, CALL, RESULT]]),
    "image parts": ("p.jsonl", jsonl({"messages": [IMAGE]}), [[IMAGE]]),
    "share gpt by lines": ("p.jsonl", jsonl(SHARE_GPT), [[ONE]]),
    "share gpt": ("p.json", json.dumps([SHARE_GPT], indent=1).encode(), [[ONE]]),
    "share gpt with tools": (
        "p.json",
        json.dumps([SHARE_GPT_TOOLS]).encode(),
        [[ONE, {"role": "assistant", "content": "f()"}, {"role": "tool", "content": "21"}]],
    ),
    "openai's batch": ("p.jsonl", jsonl({"custom_id": "1", "body": {"model": "m", "messages": [ONE]}}), [[ONE]]),
    "alpaca": (
        "p.json",
        json.dumps([{"instruction": "Sum up:", "input": "Text.", "output": "T."}]).encode(),
        [[{"role": "user", "content": "Sum up:\n\nText."}]],
    ),
    "csv": ("p.csv", b'id,prompt\n1,One?\n2,"Two?"\n', [[ONE], [TWO]]),
    "csv with quoted line breaks": ("p.csv", b'prompt\n"a\nb"\n', [[{"role": "user", "content": "a\nb"}]]),
    "csv of messages": ("p.csv", b'messages\n"[{""role"": ""user"", ""content"": ""One?""}]"\n', [[ONE]]),
    "tsv": ("p.tsv", b"id\tprompt\n1\tOne?\n", [[ONE]]),
}


@pytest.mark.parametrize("name", FORMS)
@pytest.mark.parametrize("bom", [b"", BOM], ids=["", "bom"])
@pytest.mark.parametrize("end", [b"\n", b"\r\n"], ids=["lf", "crlf"])
def test_every_form_is_read_with_and_without_a_mark_and_whatever_its_line_ends(
    name: str, bom: bytes, end: bytes, tmp_path: Path
) -> None:
    file, data, expected = FORMS[name]
    if name == "csv with quoted line breaks" and end == b"\r\n":
        expected = [[{"role": "user", "content": "a\r\nb"}]]

    assert messages_of(tmp_path, file, bom + data.replace(b"\n", end)) == expected


@pytest.mark.parametrize("name", [name for name, form in FORMS.items() if form[0].endswith((".txt", ".jsonl"))])
def test_empty_lines_are_passed_over_and_count_as_lines(name: str, tmp_path: Path) -> None:
    file, data, expected = FORMS[name]
    found = book_of(tmp_path, file, b"\n \n" + data + b"\n\n\n")

    assert [list(prompt.messages) for prompt in found.measured] == expected
    assert found.measured[0].id == "line-3"


def test_parquet_of_texts_and_of_messages(tmp_path: Path) -> None:
    texts = parquet(tmp_path, id=[1, 2], prompt=["One?", "Two?"])
    chats = parquet(tmp_path, messages=[[ONE, ANSWER, TWO], [IMAGE_TEXT, CALL_IN_TABLE, RESULT]])
    turns = parquet(tmp_path, conversations=[SHARE_GPT["conversations"]])

    assert messages_of(tmp_path, "a.parquet", texts) == [[ONE], [TWO]]
    assert messages_of(tmp_path, "b.parquet", chats) == [[ONE, ANSWER, TWO], [IMAGE_TEXT, CALL_IN_TABLE, RESULT]]
    assert messages_of(tmp_path, "c.parquet", turns) == [[ONE]]
    assert messages_of(tmp_path, "d.parquet", texts, column="prompt") == [[ONE], [TWO]]


IMAGE_TEXT = {"role": "user", "content": "One?"}
CALL_IN_TABLE = {"role": "assistant", "tool_calls": [{"id": "1", "function": {"name": "f", "arguments": "{}"}}]}


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("p.jsonl", b'{"prompt": "a"}\n\n{"prompt": ', "p.jsonl, line 3: not JSON"),
        ("p.jsonl", b'{"prompt": "a"}\r\n{"prompt": 3}', "line 2: needs a prompt"),
        ("p.jsonl", b'{"prompt": "a"}\n\xff\xfe', "not UTF-8 text, line 2"),
        ("p.txt", "One?".encode("utf-16"), "looks like UTF-16.*save it as UTF-8"),
        ("p.jsonl", jsonl({"messages": [ANSWER]}), "line 1: no message of a user"),
        ("p.csv", b"", "has no column called messages"),
        ("p.csv", b"a,b\n1,2\n", r"name one with --column \(it has: a, b\)"),
        ("p.csv", b'prompt\n"One?" x\n', "line 2: not CSV"),
        ("p.csv", b"id,prompt\n1,One?\n2\n", "line 3: has 1 cells, and 'prompt' is cell 2"),
        ("p.csv", b"id,prompt\n1,\n", "line 2: needs a prompt"),
        ("p.parquet", b"PAR1 and nothing more", "p.parquet, after row 0: not a Parquet file"),
        ("p.json", b'[{"prompt": "a"}, 7]', "entry 2: needs a prompt"),
    ],
)
def test_what_cannot_be_read_is_named_by_its_line(name: str, data: bytes, words: str, tmp_path: Path) -> None:
    with pytest.raises(ProfileError, match=words):
        book_of(tmp_path, name, data)


def test_a_parquet_table_names_its_row_and_its_columns(tmp_path: Path) -> None:
    with pytest.raises(ProfileError, match="row 2: needs a prompt"):
        book_of(tmp_path, "p.parquet", parquet(tmp_path, prompt=["One?", None]))
    with pytest.raises(ProfileError, match=r"has no column called .* \(it has: a\)"):
        book_of(tmp_path, "q.parquet", parquet(tmp_path, a=["One?"]))


def test_a_column_is_read_where_it_is_named(tmp_path: Path) -> None:
    entries = jsonl({"ask": "One?", "prompt": "x"}, {"ask": [TWO]})

    assert messages_of(tmp_path, "p.jsonl", entries, column="ask") == [[ONE], [TWO]]
    assert messages_of(tmp_path, "p.csv", b"a,ask\nx,One?\n", column="ask") == [[ONE]]
    with pytest.raises(ProfileError, match=r"line 1: has no 'no', which --column names \(it has: ask, prompt\)"):
        book_of(tmp_path, "q.jsonl", entries, column="no")
    with pytest.raises(ProfileError, match=r"has no column 'no', which --column names"):
        book_of(tmp_path, "q.csv", b"a,ask\nx,One?\n", column="no")


def test_a_long_cell_is_read_and_the_limit_of_others_is_left_alone(tmp_path: Path) -> None:
    before = csv.field_size_limit()
    (prompt,) = messages_of(tmp_path, "p.csv", b"prompt\n" + b"a" * 300_000 + b"\n")

    assert len(prompt[0]["content"]) == 300_000
    assert csv.field_size_limit() == before


def test_a_line_without_an_end_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "_LONGEST_LINE", 1024)

    with pytest.raises(ProfileError, match="line 2: longer than"):
        book_of(tmp_path, "p.txt", b"One?\n" + b"a" * 5000)


def test_a_large_array_is_read_piece_by_piece(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "_LARGE_JSON", 10)

    for place, bom in enumerate((b"", BOM)):
        whole = bom + json.dumps([SHARE_GPT, {"prompt": "half \ud83d"}], indent=1).encode()
        one, other = messages_of(tmp_path, f"{place}.json", whole)
        assert one == [ONE]
        assert other == [{"role": "user", "content": "half ?"}]
    with pytest.raises(ProfileError, match="not a JSON array"):
        book_of(tmp_path, "q.json", b'[{"prompt": "a"}, {"prompt" 3}, 1, 2, 3]')


@pytest.mark.parametrize("name", ["p.parquet", "p.json"])
def test_an_extra_that_is_missing_is_named(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "_LARGE_JSON", 10)
    data = parquet(tmp_path, prompt=["One?"]) if name == "p.parquet" else json.dumps(["One?"] * 10).encode()
    monkeypatch.setattr("lmx_loadgen.profile.datasets.parquet.find_spec", lambda name: None)
    monkeypatch.setattr(rows, "find_spec", lambda name: None)

    with pytest.raises(ProfileError, match=r"pip install 'lmx-loadgen\[datasets\]'"):
        book_of(tmp_path, name, data)


# Samples

MANY = "\n".join(f"Question {number}?" for number in range(1000)).encode()


def test_a_sample_is_drawn_by_the_seed_and_keeps_the_order_of_the_file(tmp_path: Path) -> None:
    one, again, other = (book_of(tmp_path, "p.txt", MANY, seed=seed, sample=50) for seed in (7, 7, 8))
    places = [int(prompt.id.removeprefix("line-")) for prompt in one.measured]

    assert one.measured == again.measured
    assert one.measured != other.measured
    assert places == sorted(set(places))
    assert len(places) == 50
    assert one.drawn_from == 1000


def test_each_prompt_is_drawn_as_often_as_any_other(tmp_path: Path) -> None:
    """Of 40 prompts 10 are drawn 400 times: each is expected 100 times, with a standard deviation of 8.7."""
    few = "\n".join(f"Question {number}?" for number in range(40)).encode()
    counts = dict.fromkeys(range(1, 41), 0)
    for seed in range(400):
        for prompt in book_of(tmp_path, "p.txt", few, seed=seed, sample=10).measured:
            counts[int(prompt.id.removeprefix("line-"))] += 1

    assert min(counts.values()) > 60
    assert max(counts.values()) < 140


def test_a_file_of_no_more_prompts_is_taken_whole(tmp_path: Path) -> None:
    found = book_of(tmp_path, "p.txt", MANY, sample=1000)

    assert len(found.measured) == 1000
    assert found.drawn_from is None


def test_a_broken_line_is_found_also_where_it_would_not_be_drawn(tmp_path: Path) -> None:
    lines = jsonl(*({"prompt": f"{number}?"} for number in range(500))) + b'\n{"prompt": '

    for seed in range(5):
        with pytest.raises(ProfileError, match="line 501: not JSON"):
            book_of(tmp_path, "p.jsonl", lines, seed=seed, sample=1)


_MEASURED = """
import resource, sys
from pathlib import Path
from lmx_loadgen.profile.models import Prompts
from lmx_loadgen.profile.prompts import prompt_book
prompt_book(Prompts(text="warm"), Path())
unit = 1 if sys.platform == "darwin" else 1024
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
found = prompt_book(Prompts(file=sys.argv[1], sample=1000), Path(), 3)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit - before, len(found.measured), found.drawn_from)
"""


@pytest.mark.slow
def test_a_million_lines_take_the_memory_of_the_sample(tmp_path: Path) -> None:
    path = tmp_path / "million.jsonl"
    with path.open("w", encoding="utf-8") as file:
        for start in range(0, 1_000_000, 10_000):
            file.writelines(
                f'{{"prompt": "Question {number}, and why is it so? {"x" * 60}"}}\n'
                for number in range(start, start + 10_000)
            )
    assert path.stat().st_size > 100_000_000

    done = subprocess.run([sys.executable, "-c", _MEASURED, str(path)], capture_output=True, text=True, check=True)
    grown, kept, of = map(int, done.stdout.split())

    assert (kept, of) == (1000, 1_000_000)
    assert grown < 10_000_000


def test_runs_are_compared_by_what_was_drawn_and_not_by_how(tmp_path: Path) -> None:
    def asked_with(seed: int, **prompts: Any) -> Asked:
        found = book_of(tmp_path, "p.txt", MANY, seed=seed, **prompts)
        profile = {"prompts": prompts, "request": {}, "endpoint": "chat"}
        return Asked(profile, hash_inputs(found, None, tmp_path)["prompts"])

    whole, also_whole = asked_with(1), asked_with(2, sample=1000)
    one, other = asked_with(1, sample=50), asked_with(2, sample=50)

    assert list(whole.differences(also_whole)) == []
    assert [name for name, _, _ in one.differences(other)] == ["the prompts' content"]


def test_without_a_size_at_most_ten_thousand_are_drawn(tmp_path: Path) -> None:
    lines = b"\n".join(b"Question?" for _ in range(MOST_PROMPTS + 5))
    found = book_of(tmp_path, "p.txt", lines)

    assert (len(found.measured), found.drawn_from) == (MOST_PROMPTS, MOST_PROMPTS + 5)
