"""Prompts of a shape: who counts them, how exactly, and what a server that refuses or cuts them is told."""

import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from lmx_loadgen.errors import InputError
from lmx_loadgen.load.request import NONCE_LENGTH, nonce_for
from lmx_loadgen.profile.models import Profile, TargetSpec
from lmx_loadgen.profile.shape import Shape
from lmx_loadgen.session.checks.client import CheckReply
from lmx_loadgen.session.lengths.counters import Asker
from lmx_loadgen.session.lengths.fitted import fit_lengths
from lmx_loadgen.store.lengths import FittedLength, fitted_lengths
from lmx_loadgen.targets import DIALECTS
from lmx_loadgen.targets.base import Target

SHAPE = Shape(prompt=512, answer=8)
TEMPLATE = 30


def words_in(body: Mapping[str, Any]) -> int:
    """The tokens of a chat where each word is one and each digit too, with its template."""
    text = " ".join(message["content"] for message in body["messages"])
    digits = sum(character.isdigit() for character in text)
    return len(text.split()) - 1 + digits + TEMPLATE


class Server:
    """Answers counts as it is told to: `paths` are by the end of an address."""

    def __init__(self, **paths: Callable[[Mapping[str, Any]], Any]) -> None:
        self.paths = paths
        self.asked: list[str] = []

    def __call__(
        self, method: str, url: str, headers: Mapping[str, str], body: Any = None, *, timeout_s: float
    ) -> CheckReply:
        path = url.rpartition("/")[2]
        self.asked.append(path)
        if path not in self.paths:
            return CheckReply(404, {}, b'{"error": {"message": "no such path"}}', 1)
        found = self.paths[path](body)
        status = 400 if isinstance(found, dict) and "error" in found else 200
        return CheckReply(status, {}, json.dumps(found).encode(), 1)


def usage(count: Callable[[Mapping[str, Any]], int]) -> Callable[[Mapping[str, Any]], Any]:
    return lambda body: {"usage": {"prompt_tokens": count(body), "completion_tokens": 1}}


def fitted(
    server: Server, *shapes: Shape, tokenizer: Callable[[str], int] | None = None, **target: Any
) -> list[FittedLength]:
    profile = Profile(targets=[TargetSpec(name="box")], tokenizer="t.json" if tokenizer else None)
    there = Target("box", DIALECTS["openai"], "http://127.0.0.1:1/v1", "m", {}, **target)
    return fit_lengths([Asker(there, profile, server)], shapes or (SHAPE,), tokenizer, "run")  # type: ignore[arg-type]


def test_an_endpoint_of_the_server_counts_and_its_usage_confirms() -> None:
    server = Server(input_tokens=lambda body: {"input_tokens": words_in(body)}, completions=usage(words_in))
    (found,) = fitted(server)

    assert (found.counted_by, found.source) == ("endpoint", "/v1/chat/completions/input_tokens")
    assert found.sent == found.read == 512
    assert server.asked.count("completions") == 1


def test_tokenize_counts_where_it_takes_messages() -> None:
    server = Server(tokenize=lambda body: {"count": words_in(body)}, completions=usage(words_in))

    assert (fitted(server)[0].counted_by, fitted(server)[0].source) == ("endpoint", "/tokenize")


def test_an_endpoint_that_counts_otherwise_is_mended_by_usage() -> None:
    server = Server(tokenize=lambda body: {"count": words_in(body) - 5}, completions=usage(words_in))
    (found,) = fitted(server)

    assert found.counted_by == "usage"
    assert found.read == 512


def test_a_tokenizer_counts_with_the_template_that_one_answer_tells() -> None:
    def tokenizer(text: str) -> int:
        return len(text.split()) - 1 + sum(character.isdigit() for character in text)

    server = Server(completions=usage(words_in))
    (found,) = fitted(server, tokenizer=tokenizer)

    assert (found.counted_by, found.source) == ("tokenizer", "t.json")
    assert found.sent == found.read == 512
    assert server.asked.count("completions") == 2


def test_without_a_counter_the_usage_of_a_few_answers_fits_it() -> None:
    server = Server(completions=usage(words_in))
    shapes = [Shape(prompt=prompt, answer=8) for prompt in (128, 512, 2048, 16_384)]
    found = fitted(server, *shapes)

    assert [(one.counted_by, one.read) for one in found] == [("usage", one.prompt) for one in shapes]
    assert server.asked.count("completions") <= 4 * len(shapes)


def test_where_nobody_counts_it_is_a_guess_and_says_so() -> None:
    (found,) = fitted(Server(completions=lambda body: {"choices": []}))

    assert (found.counted_by, found.sent, found.read) == ("nobody", None, None)
    assert found.words == 512


@pytest.mark.parametrize("has_endpoint", [True, False])
def test_a_server_that_cuts_is_noticed_and_not_fitted_to(has_endpoint: bool) -> None:
    paths: dict[str, Any] = {"completions": usage(lambda body: min(words_in(body), 300))}
    if has_endpoint:
        paths["tokenize"] = lambda body: {"count": words_in(body)}
    (found,) = fitted(Server(**paths))

    assert found.is_cut
    assert (found.sent, found.read) == (512, 300)


def test_a_refusal_is_one_sentence_with_the_server_s_words() -> None:
    def refuse_long(body: Mapping[str, Any]) -> Any:
        tokens = words_in(body)
        return {"error": {"message": "exceeds the context"}} if tokens > 400 else usage(words_in)(body)

    with pytest.raises(InputError, match=r"--shape 512:8: box refuses .* \(.*exceeds the context\); leave it out"):
        fitted(Server(completions=refuse_long))


def test_a_shape_below_the_template_is_refused() -> None:
    with pytest.raises(InputError, match=r"--shape 20:8: the shortest prompt for box has \d\d tokens"):
        fitted(Server(tokenize=lambda body: {"count": words_in(body)}), Shape(prompt=20, answer=8))


def test_a_model_that_is_not_loaded_cannot_be_asked() -> None:
    with pytest.raises(InputError, match="leave out --isolate"):
        fitted(Server(), is_loaded=False)


def test_what_a_header_keeps_comes_back_and_damage_is_left_out() -> None:
    (found,) = fitted(Server(completions=usage(words_in)))
    header = json.loads(json.dumps({"lengths": [found.model_dump(), {"target": 3}, None]}))

    assert fitted_lengths(header) == [found]
    assert fitted_lengths({}) == fitted_lengths({"lengths": 3}) == []


def test_a_nonce_of_digits_is_as_long_and_never_the_same() -> None:
    found = {nonce_for("run", "measured", number, False, digits=True) for number in range(2000)}

    assert len(found) == 2000
    assert all(len(nonce) == NONCE_LENGTH and nonce.isdigit() for nonce in found)
