"""Which fields of a request a server honors, ignores or refuses."""

from collections.abc import Sequence

from lmx_loadgen.session.card.ask import CardReply, shown
from lmx_loadgen.session.card.streaming import is_ended_by_limit
from lmx_loadgen.store.cards import FieldFact
from lmx_loadgen.targets.base import Target

# Of the answers that show what a seed does: the first three ought to be the same.
SEEDS = (1, 1, 1, 2)
_UNKNOWN_END = "the model did not end its answer by itself"


def refused_fields(target: Target) -> dict[str, FieldFact]:
    """Those that the first requests showed to be refused: `targets.probe` has left them out or renamed them."""
    names = [*sorted(target.left_out), *sorted(target.renamed)]
    facts = {name: FieldFact(status="refused", words=_note_on(name, target)) for name in names}
    if target.merges_system:
        facts["system role"] = FieldFact(status="refused", words=_note_on("system role", target))
    return facts


def max_tokens(streamed: CardReply, whole: CardReply, limit: int) -> FieldFact:
    if not streamed.ok:
        return _failed(streamed)
    if is_ended_by_limit(streamed, whole, limit):
        return FieldFact(status="honored")
    if (whole.usage[1] or 0) > limit or len(streamed.texts) > limit:
        return FieldFact(status="ignored")
    return FieldFact(status="unknown", words="the answer was shorter")


def max_completion_tokens(reply: CardReply, limit: int) -> FieldFact:
    """Asked alone, and closed once far more had come."""
    if reply.cut:
        return FieldFact(status="ignored", words="more came than was asked for")
    if not reply.ok:
        return _refused(reply)
    honored = len(reply.texts) <= limit
    return FieldFact(status="honored") if honored else FieldFact(status="ignored", words="more came")


def forced(natural: CardReply, forced: CardReply, limit: int) -> FieldFact:
    """The same question twice, the second time with a field that keeps the answer from ending by itself."""
    if not natural.ok or not forced.ok:
        return _refused(forced) if natural.ok else _failed(natural)
    if not _is_natural(natural, limit):
        return FieldFact(status="unknown", words=_UNKNOWN_END)
    longer = len(forced.text) > len(natural.text) and not _is_natural(forced, limit)
    return FieldFact(status="honored" if longer else "ignored")


def seed_and_temperature(answers: Sequence[CardReply]) -> dict[str, FieldFact]:
    """Answers to one prompt at temperature 1, with the `SEEDS`."""
    failed = next((one for one in answers if not one.ok), None)
    if failed is not None:
        return {"seed": _refused(failed), "temperature": FieldFact(status="unknown", words=shown(failed.refusal))}
    texts = [reply.text for reply in answers]
    if len(set(texts)) == 1:
        unknown = FieldFact(status="unknown", words="the answers do not vary at temperature 1")
        return {"seed": unknown, "temperature": unknown}
    seed = FieldFact(status="honored" if len(set(texts[:-1])) == 1 else "ignored")
    return {"seed": seed, "temperature": FieldFact(status="honored")}


def stream_options(streamed: CardReply) -> FieldFact:
    if not streamed.ok:
        return _failed(streamed)
    return FieldFact(status="ignored" if streamed.answer.usage is None else "honored")


def system_role(without: CardReply, with_system: CardReply) -> FieldFact:
    """The same question, the second time with a system message before it: both as whole answers, whose counts are
    tokens. There may be fewer with it, where a chat template has a system message of its own."""
    if not with_system.ok:
        return _refused(with_system)
    before, after = without.usage[0], with_system.usage[0]
    if before is None or after is None:
        return FieldFact(status="unknown", words="it does not count the prompt's tokens")
    if after == before:
        return FieldFact(status="ignored", words="the prompt has as many tokens without it")
    return FieldFact(status="honored", words=f"{after - before:+} prompt tokens")


def _is_natural(reply: CardReply, limit: int) -> bool:
    """Whether an answer ended by itself. Some servers say `stop` whatever ended it: then only its length tells."""
    if reply.answer.finish_reason == "length":
        return False
    tokens = [count for count in (reply.usage[1], len(reply.texts)) if count]
    return bool(tokens) and max(tokens) < limit


def _refused(reply: CardReply) -> FieldFact:
    status = reply.status
    is_refusal = status is not None and 400 <= status < 500 and status not in (401, 403, 408, 429)
    return FieldFact(status="refused" if is_refusal else "unknown", words=shown(reply.refusal))


def _failed(reply: CardReply) -> FieldFact:
    return FieldFact(status="unknown", words=shown(reply.refusal))


def _note_on(name: str, target: Target) -> str | None:
    return next((shown(note) for note in target.notes if name in note), None)
