"""Has Opta-LMX measure itself (`POST /admin/benchmark/run`) and takes down what it says, and has said before."""

from typing import Any
from urllib.parse import quote

from lmx_loadgen.profile.models import Profile
from lmx_loadgen.session.checks.client import CheckClient, CheckReply
from lmx_loadgen.targets.base import Target

_LIST_S = 30.0
_DEFAULT_RUNS = 5
_MOST_RESULTS = 20
_KEPT_TEXT = 20_000


def run_server_benchmark(target: Target, profile: Profile, prompt: str, ask: CheckClient) -> dict[str, Any]:
    """The fields of a `check` line: the result of the server's benchmark of the same model, and its earlier ones.

    `prompt` is one of the run's own, which the server sends to itself again and again.
    """
    asked = _settings(target, profile, prompt)
    if target.dialect.name != "lmx":
        return _line(asked, None, None, f"{target.dialect.title} has no benchmark of its own to ask for")
    if not target.admin_headers:
        return _line(asked, None, None, f"needs an admin key: put it in {target.dialect.admin_key_env}")
    root = target.base_url.removesuffix("/v1")
    headers = {**target.headers, **target.admin_headers}
    # It answers once all of its runs are done, one after the other.
    bound = profile.timeouts.request * (asked["runs"] + asked["warmup_runs"])
    ran = ask("POST", f"{root}/admin/benchmark/run", headers, asked, timeout_s=bound)
    result, error = _result(ran)
    if error is not None:
        return _line(asked, None, None, error)
    address = f"{root}/admin/benchmark/results?model_id={quote(target.model, safe='')}"
    before = ask("GET", address, headers, timeout_s=_LIST_S).json()
    listed = [one for one in before if isinstance(one, dict)] if isinstance(before, list) else []
    # The plan's service lists the newest first, Opta-LMX the oldest.
    listed.sort(key=lambda one: str(one.get("timestamp")))
    earlier = [one for one in listed if one != result][-_MOST_RESULTS:]
    return _line(asked, {"result": _bounded(result), "earlier": _bounded(earlier)}, ran.latency_ns, None)


def _settings(target: Target, profile: Profile, prompt: str) -> dict[str, Any]:
    """The run's own settings within the bounds that the server takes."""
    return {
        "model_id": target.model,
        "prompt": prompt,
        "num_output_tokens": min(2000, max(50, profile.request.max_tokens)),
        "runs": min(20, max(1, profile.load.requests or _DEFAULT_RUNS)),
        "warmup_runs": min(3, profile.load.warmup),
        "temperature": profile.request.temperature,
    }


def _result(reply: CheckReply) -> tuple[dict[str, Any] | None, str | None]:
    if reply.error is not None:
        return None, reply.error
    data = reply.json()
    if reply.status != 200 or not isinstance(data, dict):
        return None, reply.refusal()
    return data, None


def _line(
    asked: dict[str, Any], answer: dict[str, Any] | None, latency_ns: int | None, error: str | None
) -> dict[str, Any]:
    return {"check": "server_benchmark", "asked": asked, "answer": answer, "error": error, "latency_ns": latency_ns}


def _bounded(value: Any, depth: int = 0) -> Any:
    """The same with endless texts cut and nothing nested deeper than a result is."""
    if isinstance(value, str):
        return value[:_KEPT_TEXT]
    if isinstance(value, dict | list) and depth > 12:
        return None
    if isinstance(value, dict):
        return {key: _bounded(part, depth + 1) for key, part in value.items()}
    return [_bounded(part, depth + 1) for part in value] if isinstance(value, list) else value
