"""Profiles: what is read, and how each mistake is named."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from lmx_loadgen.errors import InputError, ProfileError
from lmx_loadgen.profile.durations import seconds
from lmx_loadgen.profile.loading import load_profile, overridden, profile_names
from lmx_loadgen.profile.models import Profile


def written(folder: Path, text: str) -> str:
    path = folder / "mine.yaml"
    path.write_text(text, encoding="utf-8")
    return str(path)


def words_of(folder: Path, text: str) -> str:
    with pytest.raises(ProfileError) as caught:
        load_profile(written(folder, text))
    words = str(caught.value)
    assert "mine.yaml" in words
    assert "\n" not in words
    return words.split("mine.yaml", 1)[1]


@pytest.mark.parametrize("name", ["quick", "standard", "long-context", "plan"])
def test_the_profiles_that_come_with_the_tool_are_sound(name: str) -> None:
    assert name in profile_names()
    profile = load_profile(name)

    assert profile.name == name
    assert profile.description


def test_the_plan_profile_keeps_the_plan_s_settings() -> None:
    plan = load_profile("plan")

    assert (plan.load.requests, plan.load.warmup, plan.load.concurrency) == (5, 1, [1])
    assert (plan.request.max_tokens, plan.request.temperature) == (200, 0)
    assert plan.prompts.text is not None
    assert "transformer" in plan.prompts.text


def test_everything_has_a_default(tmp_path: Path) -> None:
    assert load_profile(written(tmp_path, "name: x")) == Profile(name="x")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("lod: {}", ": lod: unknown key; did you mean 'load'? (allowed: name, description, "),
        (
            "load: {concurency: [1]}",
            ": load.concurency: unknown key; did you mean 'concurrency'? (allowed: rate, sweep, arrivals, ",
        ),
        ("targets: [{name: lmx, adress: x}]", ": targets.0.adress: unknown key"),
        ("load: {requests: many}", ": load.requests: "),
        ("load: {requests: 0}", ": load.requests: input should be greater than or equal to 1, got 0"),
        ("load: {requests: 1.5}", ": load.requests: "),
        ("load: {concurrency: [0]}", ": load.concurrency.0: input should be greater than or equal to 1, got 0"),
        ("load: {concurrency: [1, 1]}", ": load.concurrency: must not name a level twice"),
        ("load: {concurrency: []}", ": load.concurrency: "),
        ("load: {duration: soon}", ": load.duration: must be a number of seconds or a duration like 500ms, 30s, 2m"),
        ("load: {duration: 0}", ": load.duration: "),
        ("request: {temperature: 3}", ": request.temperature: input should be less than or equal to 2, got 3"),
        ("request: {temperature: true}", ": request.temperature: must be a number, got True"),
        ("request: {temperature: .nan}", ": request.temperature: "),
        ("prompts: {lengths: [tiny]}", ": prompts.lengths.0: input should be 'short', 'medium' or 'long', got 'tiny'"),
        ("prompts: {cache: never}", ": prompts.cache: "),
        ("endpoint: responses", ": endpoint: "),
        ("load: 3", ": load: "),
        ("- a list", " must hold a mapping of settings"),
        ("", " must hold a mapping of settings"),
        ("name: [", " is not valid YAML"),
        ("name: a\nname: b", " is not valid YAML: the key 'name' is given twice (line 1)"),
        ("1: a", ": 1: keys should be strings"),
        ("[1]: a", " is not valid YAML: "),
        ("true: a", " is not valid YAML: the key 'True' is not text"),
        ("targets: [{name: lmx, api_key_env: sk-my-own-key}]", ": targets.0.api_key_env: must be the name of an env"),
        ("a: &a [x]\nb: *a", " is not valid YAML: aliases are not allowed"),
        ("name: !!python/object:os.system {}", " is not valid YAML"),
    ],
)
def test_a_mistake_is_named_by_file_and_key_and_what_is_allowed(tmp_path: Path, text: str, words: str) -> None:
    assert words_of(tmp_path, text).startswith(words)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "bytes.yaml").write_bytes(b"name: \xff")
    (tmp_path / "large.yaml").write_bytes(b"#" * 2**20 + b"\nname: x")
    for name, words in (("bytes", "not UTF-8"), ("large", "larger than 1 MB"), ("gone", "No such file")):
        with pytest.raises(ProfileError, match=words):
            load_profile(str(tmp_path / f"{name}.yaml"))
    with pytest.raises(ProfileError, match="one of long-context, plan, quick, standard"):
        load_profile("../quick")


@pytest.mark.parametrize(
    ("value", "expected"), [(3, 3.0), (0.5, 0.5), ("30", 30.0), ("500ms", 0.5), ("2m", 120.0), ("1.5h", 5400.0)]
)
def test_durations(value: Any, expected: float) -> None:
    assert seconds(value) == expected


@pytest.mark.parametrize("value", ["", "s", "-1s", "1 day", "1e3", "1s\n2", True, None, [1]])
def test_what_is_no_duration(value: Any) -> None:
    with pytest.raises(ValueError, match="must be a number of seconds"):
        seconds(value)


def test_a_flag_wins_over_the_profile_and_its_mistakes_name_the_flag() -> None:
    profile = overridden(load_profile("quick"), {"load.concurrency": [8, 2], "request.max_tokens": 5})
    assert (profile.load.concurrency, profile.request.max_tokens) == ([2, 8], 5)
    assert profile.load.requests == load_profile("quick").load.requests

    with pytest.raises(InputError, match=r"^--max-tokens: input should be .*, got 0$"):
        overridden(profile, {"request.max_tokens": 0}, {"request.max_tokens": "--max-tokens"})
    with pytest.raises(InputError, match=r"^--concurrency: input should be .*, got 0$"):
        overridden(profile, {"load.concurrency": [4, 0]}, {"load.concurrency": "--concurrency"})


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
KEYS = st.sampled_from([*Profile.model_fields, "other"])


@given(data=st.dictionaries(KEYS, VALUES | st.dictionaries(st.sampled_from(["requests", "stagger", "ttft"]), VALUES)))
def test_nothing_but_a_profile_or_one_sentence_comes_of_any_mapping(
    data: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = written(tmp_path_factory.mktemp("any"), yaml.safe_dump(data))
    said: list[Profile | str] = []
    try:
        said.append(load_profile(path))
    except ProfileError as problem:
        said.append(str(problem))

    assert "\n" not in str(said[0])
