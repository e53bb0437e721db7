"""Asks a target the questions by which a comparison is checked; each answer becomes a `check` line of the event log."""

import time
from collections.abc import Iterator
from typing import Any

from lmx_loadgen.decode.chat import RawAnswer, read_answer
from lmx_loadgen.profile.models import Profile
from lmx_loadgen.session.checks.budget import CheckBudget
from lmx_loadgen.session.checks.client import CheckClient, CheckReply
from lmx_loadgen.session.checks.questions import CheckQuestions, Question
from lmx_loadgen.targets.base import Target, request_body

_LEAST_REQUEST_S = 1.0


class SameWorkChecks:
    """Asks what the budget has room for.

    A group of questions only means something as a whole: after a failed request the rest of its group is left out, and
    a group that was not finished before the run was cut off is asked again. Where requests take longer than planned,
    so does the load: the limit grows with the time since the run began.

    Args:
        done: what need not be asked again, as `check_key.key_of` names it.
        planned_s: how long the load was to take.
    """

    def __init__(
        self,
        profile: Profile,
        budget: CheckBudget,
        questions: CheckQuestions,
        ask: CheckClient,
        done: frozenset[tuple[str, str, str]],
        planned_s: float,
    ) -> None:
        self._profile = profile
        self._budget = budget
        self._groups = [getattr(questions, group)() for group in budget.groups]
        self._ask = ask
        self._done = done
        self._planned_s = planned_s
        self._began = time.monotonic()

    def __call__(self, target: Target) -> Iterator[list[dict[str, Any]]]:
        """The fields of each `check` line, as it is answered."""
        began = time.monotonic()
        slower = max(1.0, (began - self._began) / self._planned_s)
        until = began + max(_LEAST_REQUEST_S, slower * self._budget.limit_s)
        for group in self._groups:
            if all((target.name, one.kind, one.name) in self._done for one in group):
                continue
            for question in group:
                if time.monotonic() > until:
                    return
                line = self._line(target, question)
                yield [line]
                if line["error"] is not None:
                    break

    def _line(self, target: Target, question: Question) -> dict[str, Any]:
        profile, settings = self._profile, question.settings
        body = request_body(target, profile.endpoint, question.messages, settings)
        path = "/chat/completions" if profile.endpoint == "chat" else "/completions"
        headers = {"Accept": "text/event-stream", **target.headers}
        bound_s = min(profile.timeouts.request, profile.timeouts.first_token + profile.timeouts.gap)
        reply = self._ask("POST", target.base_url + path, headers, body, timeout_s=bound_s)
        answer, error = _answer(reply, profile.endpoint, target)
        asked = {
            "prompt": question.name,
            "nonce": question.nonce,
            "max_tokens": settings.max_tokens,
            "temperature": settings.temperature,
            "seed": body.get("seed"),
            "expects": question.expects,
        }
        latency = reply.latency_ns if error is None else None
        return {"check": question.kind, "asked": asked, "answer": answer, "error": error, "latency_ns": latency}


def _answer(reply: CheckReply, endpoint: str, target: Target) -> tuple[dict[str, Any] | None, str | None]:
    """What came, with its times since the request was sent; or why there is no answer."""
    if reply.error is not None:
        return None, reply.error
    headers = [(name.lower(), value) for name, value in reply.headers.items() if name.lower() != "content-encoding"]
    raw = RawAnswer(status=reply.status, headers=headers, body=reply.body, arrivals=list(reply.arrivals))
    answer = read_answer(raw, endpoint, target.dialect.rules)
    if answer.outcome != "ok":
        return None, answer.reason or answer.outcome
    return {
        "arrivals": [list(arrival) for arrival in answer.arrivals],
        "events": [list(event) for event in answer.events],
        "usage": answer.usage,
        "finish_reason": answer.finish_reason,
        "model": answer.model,
    }, None
