"""Skills over a real socket, against the simulated Opta-LMX; what it cannot do, against a mocked one."""

from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest

from lmx_loadgen.analysis.checks import skills_of
from lmx_loadgen.profile.checks import Checks, SkillSpec
from lmx_loadgen.session.checks.client import CheckClient
from lmx_loadgen.session.checks.skills import least_arguments, run_skills
from lmx_loadgen.sim.process import SimProcess, start
from lmx_loadgen.sim.settings import SimSettings
from lmx_loadgen.store.result import SkillsBenchmark
from lmx_loadgen.targets import DIALECTS
from lmx_loadgen.targets.base import Target
from tests.helpers.hostile_server import Told, answering, as_json, as_text


@pytest.fixture(scope="module")
def lmx() -> Iterator[SimProcess]:
    with start(SimSettings(dialect="lmx", skills=("echo", "fail", "approve"))) as sim:
        yield sim


def ran(url: str, *specs: SkillSpec, timeout: float = 5.0) -> list[SkillsBenchmark]:
    target = Target("lmx", DIALECTS["lmx"], f"{url}/v1", "m", {})
    checks = Checks(include_skills=list(specs), skill_timeout=timeout)
    lines = run_skills(target, checks, CheckClient(None, lambda: False))
    return skills_of([{"type": "check", "target": "lmx", **line} for line in lines])


def test_a_skill_that_the_server_has_is_run_with_the_least_it_asks_for(lmx: SimProcess) -> None:
    (found,) = ran(lmx.url, SkillSpec(name="echo"))

    assert found.skill_invoked_successfully
    assert found.skill_result_preview == '{"text":"Hello from lmx-loadgen"}'
    assert found.skill_latency_sec is not None
    assert found.error is None


def test_the_preview_is_the_first_200_characters(lmx: SimProcess) -> None:
    (found,) = ran(lmx.url, SkillSpec(name="echo", arguments={"text": "x" * 1000}))

    assert found.skill_result_preview == '{"text":"' + "x" * 191


def test_each_way_to_fail_is_recorded_in_words(lmx: SimProcess) -> None:
    found = ran(
        lmx.url,
        SkillSpec(name="fail"),
        SkillSpec(name="approve"),
        SkillSpec(name="nope"),
        SkillSpec(name="echo", arguments={"text": 3}),
        SkillSpec(name="default/echo"),
    )

    assert [(one.skill_name, one.error) for one in found] == [
        ("fail", "the skill failed"),
        ("approve", "it asks for an approval, which this tool does not give"),
        ("nope", "the server has no such skill (it has: echo, fail, approve)"),
        ("echo", "HTTP 400: missing required argument: text"),
        ("default/echo", "HTTP 404: Skill not found"),
    ]


def test_a_server_without_skills_does_not_support_them() -> None:
    with start(SimSettings(dialect="ollama")) as sim:
        found = ran(sim.url, SkillSpec(name="echo"), SkillSpec(name="search"))

    assert [(one.skill_name, one.skill_invoked_successfully, one.error) for one in found] == [
        ("echo", False, "not supported"),
        ("search", False, "not supported"),
    ]
    assert [one.skill_latency_sec for one in found] == [None, None]


class _NeverDone(BaseHTTPRequestHandler):
    """Has one skill, which never comes to an end."""

    def do_GET(self) -> None:
        body = b'{"object": "list", "data": [{"name": "echo", "input_schema": {}}]}'
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        self.rfile.read()  # until the client has gone

    def log_message(self, *arguments: object) -> None:
        pass


def test_a_skill_that_says_nothing_in_time_is_given_up() -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), _NeverDone) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        (found,) = ran(f"http://127.0.0.1:{server.server_port}", SkillSpec(name="echo"), timeout=0.1)
        server.shutdown()

    assert found.error == "no answer within 0.1 s"


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (Told(b"<h1>oops</h1>", 500), "HTTP 500: oops"),
        (as_json({"ok": "yes"}), "the server's answer is not that of a skill"),
        (as_text("\x1b[31mno"), "the server's answer is not that of a skill"),
        (as_json({"ok": False, "error": "\x1b[31mred"}), "[31mred"),
        (as_json({"ok": False, "timed_out": True}), "it ran into the server's own time limit"),
    ],
)
def test_strange_answers(reply: Told, error: str) -> None:
    listed = as_json({"data": [{"name": "echo"}]})
    with answering(lambda asked: listed if asked.path == "/v1/skills" else reply) as url:
        (found,) = ran(url, SkillSpec(name="echo"))

    assert not found.skill_invoked_successfully
    assert found.error == error


@pytest.mark.parametrize(
    ("schema", "arguments"),
    [
        ({"properties": {"q": {"type": "string"}, "n": {}}, "required": ["q"]}, {"q": "Hello from lmx-loadgen"}),
        ({"properties": {"q": {"default": "d", "enum": ["e"]}}, "required": ["q"]}, {"q": "d"}),
        ({"properties": {"q": {"enum": ["e", "f"]}}, "required": ["q"]}, {"q": "e"}),
        ({"properties": {"q": {"examples": ["x"]}}, "required": ["q"]}, {"q": "x"}),
        ({"properties": {"b": {"type": "boolean"}}, "required": ["b"]}, {"b": False}),
        ({"properties": {"q": {"default": "d" * 9999, "type": "integer"}}, "required": ["q"]}, {"q": 1}),
        ({"properties": {}, "required": ["q"]}, {"q": "Hello from lmx-loadgen"}),
        ({"properties": [], "required": "q"}, {}),
        (None, {}),
    ],
)  # fmt: skip
def test_the_least_that_a_schema_asks_for(schema: Any, arguments: dict[str, Any]) -> None:
    assert least_arguments(schema) == arguments
