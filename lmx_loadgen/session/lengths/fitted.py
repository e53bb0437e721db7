"""Makes the prompts of a run's shapes, for each target by its own count, before anything is measured."""

from collections.abc import Sequence

from lmx_loadgen.errors import InputError
from lmx_loadgen.load.request import nonce_for
from lmx_loadgen.profile.prompts import with_nonce
from lmx_loadgen.profile.shape import Shape
from lmx_loadgen.session.lengths.counters import Asker, CountMessages, Messages, RefusedLength
from lmx_loadgen.session.lengths.filler import filler_prompt
from lmx_loadgen.session.lengths.fit import Measured, expected, fit
from lmx_loadgen.session.token_counter import TokenCounter
from lmx_loadgen.store.lengths import FittedLength, is_cut
from lmx_loadgen.targets.base import text_of

_CHEAP_TRIES, _DEAR_TRIES = 24, 8
# Short texts that tell how many tokens a word has, where only an answer tells.
_SHORT, _LONGER = 16, 96


class LengthFitter:
    """Fits prompts to one target. Counts by an endpoint or a tokenizer cost nothing; by usage, each is a prompt that
    the server reads."""

    def __init__(self, asker: Asker, tokenizer: TokenCounter | None, run_key: str) -> None:
        self._asker = asker
        self._tokenizer = tokenizer
        self._key = f"{run_key}/lengths/{asker.target.name}"
        self._asked = 0
        self._endpoint = asker.endpoint()

    def fit(self, shape: Shape) -> FittedLength:
        """The prompt of a shape. Raises InputError where the server refuses it, or where it is too short."""
        try:
            found = self._fitted(shape)
        except RefusedLength as refusal:
            raise InputError(
                f"--shape {shape.text}: {self._asker.target.name} refuses a prompt of that length ({refusal}); leave "
                "it out, or give the server a larger context"
            ) from None
        short = found.read if found.read is not None else found.sent
        if found.words == 0 and short is not None and short > shape.prompt:
            raise InputError(
                f"--shape {shape.text}: the shortest prompt for {self._asker.target.name} has {short} tokens, with its "
                "chat template and the nonce; ask for more"
            )
        return found

    def _fitted(self, shape: Shape) -> FittedLength:
        if self._endpoint is not None:
            count, path = self._endpoint
            return self._checked(shape, self._by(count, shape, 0), "endpoint", path)
        if self._tokenizer is not None:
            return self._by_tokenizer(shape, self._tokenizer)
        return self._by_usage(shape)

    def _by(self, count: CountMessages, shape: Shape, template: int) -> Measured | None:
        """The text by a count that costs nothing; `template` is what it does not count."""

        def tokens(words: int, tail: int) -> int | None:
            found = count(self._messages(shape, words, tail))
            return None if found is None else found + template

        first = tokens(0, 0)
        return None if first is None else fit(tokens, shape.prompt, [Measured(0, 0, first)], _CHEAP_TRIES)

    def _by_tokenizer(self, shape: Shape, tokenizer: TokenCounter) -> FittedLength:
        def count(messages: Messages) -> int:
            return tokenizer("\n".join(text_of(message.get("content")) for message in messages))

        short = self._usage(shape, _SHORT, 0)
        template = 0 if short is None else short - count(self._messages(shape, _SHORT, 0))
        return self._checked(shape, self._by(count, shape, template), "tokenizer", self._asker.profile.tokenizer)

    def _checked(self, shape: Shape, found: Measured | None, by: str, source: str | None) -> FittedLength:
        """What another count has found, held against the server's usage, and mended by it where they differ."""
        if found is None:
            return self._by_usage(shape)
        read = self._usage(shape, found.words, found.tail)
        sent = found.tokens
        if read is not None and read != shape.prompt and not is_cut(sent, read):
            known = [Measured(found.words, found.tail, read)]
            better = fit(lambda words, tail: self._usage(shape, words, tail), shape.prompt, known, _DEAR_TRIES)
            if better is not None:
                found, read, by, sent = better, better.tokens, "usage", better.tokens
        return self._made(shape, found, by, source if by != "usage" else None, sent, read)

    def _by_usage(self, shape: Shape) -> FittedLength:
        known = []
        for words in (_SHORT, _LONGER):
            tokens = self._usage(shape, words, 0)
            if tokens is None:
                return self._made(shape, Measured(shape.prompt, 0, 0), "nobody", None, None, None)
            known.append(Measured(words, 0, tokens))
        counted: list[Measured] = []

        def count(words: int, tail: int) -> int | None:
            tokens = self._usage(shape, words, tail)
            if tokens is not None:
                counted.append(Measured(words, tail, tokens))
                sent = expected(known, words)
                if is_cut(sent, tokens):
                    raise _Cut(words, sent or 0, tokens)
            return tokens

        try:
            found = fit(count, shape.prompt, known, _DEAR_TRIES)
        except _Cut as cut:
            return self._made(shape, Measured(cut.words, 0, cut.sent), "usage", None, cut.sent, cut.read)
        if found is None:
            return self._made(shape, Measured(shape.prompt, 0, 0), "nobody", None, None, None)
        return self._made(shape, found, "usage", None, found.tokens, found.tokens)

    def _usage(self, shape: Shape, words: int, tail: int) -> int | None:
        return self._asker.by_usage(self._messages(shape, words, tail))

    def _messages(self, shape: Shape, words: int, tail: int) -> Messages:
        self._asked += 1
        nonce = nonce_for(self._key, "length", self._asked, repeat=False, digits=True)
        return with_nonce(filler_prompt(shape, words, tail).messages, nonce)

    def _made(
        self, shape: Shape, found: Measured, by: str, source: str | None, sent: int | None, read: int | None
    ) -> FittedLength:
        made = {
            "words": found.words,
            "tail": found.tail,
            "counted_by": by,
            "source": source,
            "sent": sent,
            "read": read,
        }
        return FittedLength.model_validate({"target": self._asker.target.name, "shape": shape.model_dump(), **made})


class _Cut(Exception):
    """A prompt of more tokens than the server read."""

    def __init__(self, words: int, sent: int, read: int) -> None:
        self.words, self.sent, self.read = words, sent, read


def fit_lengths(
    askers: Sequence[Asker], shapes: Sequence[Shape], tokenizer: TokenCounter | None, run_key: str
) -> list[FittedLength]:
    """The prompts of all shapes for all targets. Raises InputError."""
    found = []
    for asker in askers if shapes else ():
        if not asker.target.is_loaded:
            raise InputError(
                f"--shape asks {asker.target.name} for its counts before the run, and its model is not loaded: load "
                "it, or leave out --isolate"
            )
        fitter = LengthFitter(asker, tokenizer, run_key)
        found += [fitter.fit(shape) for shape in shapes]
    return found
