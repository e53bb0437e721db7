"""Who is served, and what is refused before anything of it is read."""

import asyncio
import socket
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI

from lmx_loadgen.service import body, guard
from tests.helpers.service import HERE, RESULTS, RUN, SMALL, app_of, client_of, serving

KEY = "sesame-of-an-admin"
REFUSED = (403, {"detail": "Invalid or missing admin key"})  # as Opta-LMX says it


@pytest.fixture
def app(tmp_path: Path) -> FastAPI:
    """An app that has nothing to measure: whatever gets through says so at once."""
    return app_of(tmp_path, "openai=http://127.0.0.1:1")


def status_of(
    app: FastAPI, headers: Mapping[str, str | bytes] | None = None, *, client: str = "127.0.0.1", base: str = HERE
) -> tuple[int, Any]:
    async def ask() -> tuple[int, Any]:
        async with client_of(app, client=client, base=base) as asking:
            raw = {name: value.encode() if isinstance(value, str) else value for name, value in (headers or {}).items()}
            reply = await asking.get(RESULTS, headers={name.encode(): value for name, value in raw.items()})
            return reply.status_code, reply.json()

    return asyncio.run(ask())


# The admin key


@pytest.mark.parametrize("given", [None, b"", b"nope", KEY.encode() + b"x", KEY.encode()[:-1], b"s\xe9same"])
def test_a_wrong_key_or_none_is_refused(app: FastAPI, given: bytes | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LMX_ADMIN_KEY", KEY)

    assert status_of(app, {} if given is None else {"X-Admin-Key": given}) == REFUSED


def test_the_key_is_that_of_the_variable_or_of_opta_lmxs_file(app: FastAPI, monkeypatch: pytest.MonkeyPatch) -> None:
    file = Path.home() / ".opta-lmx" / "admin.key"
    file.parent.mkdir()
    file.write_text(f"{KEY}\n")
    assert status_of(app) == REFUSED
    assert status_of(app, {"X-Admin-Key": KEY}, client="192.168.1.9") == (200, [])

    monkeypatch.setenv("LMX_ADMIN_KEY", "another-key")
    assert status_of(app, {"X-Admin-Key": KEY}) == REFUSED
    assert status_of(app, {"X-Admin-Key": "another-key"}) == (200, [])


def test_a_key_that_cannot_be_read_is_a_key_all_the_same(app: FastAPI) -> None:
    (Path.home() / ".opta-lmx" / "admin.key").mkdir(parents=True)

    assert status_of(app) == REFUSED


def test_keys_are_compared_in_constant_time(app: FastAPI, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LMX_ADMIN_KEY", KEY)
    compared = []
    real = guard.hmac.compare_digest
    monkeypatch.setattr(guard.hmac, "compare_digest", lambda a, b: compared.append((a, b)) or real(a, b))
    status_of(app, {"X-Admin-Key": "nope"})

    assert compared == [(b"nope", KEY.encode())]


@pytest.mark.parametrize("client", ["192.168.1.9", "8.8.8.8", "::ffff:192.168.1.9", "fe80::1%en0", "testclient"])
def test_without_a_key_other_addresses_are_refused(app: FastAPI, client: str) -> None:
    assert status_of(app, client=client) == REFUSED


@pytest.mark.parametrize("client", ["127.0.0.1", "127.0.0.2", "::1", "::ffff:127.0.0.1"])
def test_without_a_key_this_machine_is_served(app: FastAPI, client: str) -> None:
    assert status_of(app, client=client) == (200, [])


# The host


@pytest.mark.parametrize(
    "host",
    [
        *[
            "evil.example",
            "127.0.0.1.evil.example",
            "localhost.evil.example",
            "0.0.0.0",
            "192.168.1.5",
            "127.0.0.1@evil",
        ],
        *["[::1", "", "127.0.0.1:80:80", "localhost/"],
    ],
)
def test_a_request_that_names_another_host_is_refused(app: FastAPI, host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A browser whose DNS was turned to this machine sends the name that it was given."""
    monkeypatch.setenv("LMX_ADMIN_KEY", KEY)

    assert status_of(app, {"Host": host, "X-Admin-Key": KEY}) == (403, {"detail": "Host not allowed"})


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost:8799", "LOCALHOST", "[::1]:8799", "127.8.8.8"])
def test_a_name_of_this_machine_is_served(app: FastAPI, host: str) -> None:
    assert status_of(app, {"Host": host}) == (200, [])


def test_further_names_may_be_configured(app: FastAPI) -> None:
    app.state.benchmark_hosts = ["Studio.local", "fd00::5"]

    assert status_of(app, {"Host": "studio.local:8799"}) == (200, [])
    assert status_of(app, {"Host": "[fd00::5]:8799"}) == (200, [])


def test_a_page_of_another_site_is_refused_without_a_key(app: FastAPI, monkeypatch: pytest.MonkeyPatch) -> None:
    """It runs on this machine, and its browser asks for it."""
    foreign = {"Origin": "https://evil.example"}
    assert status_of(app, foreign) == (403, {"detail": "Origin not allowed"})
    assert status_of(app, {"Origin": "null"}) == (403, {"detail": "Origin not allowed"})
    assert status_of(app, {"Origin": "http://localhost:3000"}) == (200, [])

    monkeypatch.setenv("LMX_ADMIN_KEY", KEY)
    assert status_of(app, {**foreign, "X-Admin-Key": KEY}) == (200, [])


# The body


def posted(app: FastAPI, content: Any, kind: str | None = "application/json", **headers: str) -> tuple[int, Any]:
    async def ask() -> tuple[int, Any]:
        given = headers if kind is None else {**headers, "Content-Type": kind}
        async with client_of(app) as client:
            reply = await client.post(RUN, content=content, headers=given)
            return reply.status_code, reply.headers.get("connection")

    return asyncio.run(ask())


@pytest.mark.parametrize(
    "kind",
    [None, "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "text/plain", "application/json+x"],
)
def test_only_json_is_taken(app: FastAPI, kind: str | None) -> None:
    assert posted(app, b'{"model_id": "m"}', kind) == (415, "close")


def test_json_may_name_its_encoding(app: FastAPI) -> None:
    status, _ = posted(app, b'{"model_id": ""}', "Application/JSON; charset=utf-8")

    assert status == 422


async def _endless() -> AsyncIterator[bytes]:
    while True:
        yield b" " * 65_536


def test_a_body_of_ten_megabytes_is_refused(app: FastAPI) -> None:
    assert posted(app, b" " * 10_000_000) == (413, "close")
    assert posted(app, _endless()) == (413, "close")
    assert posted(app, b"{}", **{"Content-Length": "-1"}) == (413, "close")


def test_a_slow_body_is_given_up(app: FastAPI, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(body, "WITHIN_S", 0.05)

    async def slow() -> AsyncIterator[bytes]:
        yield b"{"
        await asyncio.Event().wait()

    assert posted(app, slow()) == (408, "close")


def test_nothing_is_read_of_a_request_that_is_refused(app: FastAPI, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LMX_ADMIN_KEY", KEY)

    async def untouched() -> AsyncIterator[bytes]:
        raise AssertionError("its body was read")
        yield b""

    assert posted(app, untouched())[0] == 403


def test_over_a_real_connection_too(tmp_path: Path) -> None:
    """One that is refused in the midst of its body is closed; and a key is asked for where one is set."""
    with serving(tmp_path, "lmx", LMX_ADMIN_KEY=KEY) as (url, _):
        host, _, port = url.removeprefix("http://").partition(":")

        def raw(*lines: str) -> bytes:
            with socket.create_connection((host, int(port)), timeout=30) as connection:
                connection.sendall("\r\n".join([*lines, "", ""]).encode())
                return b"".join(iter(lambda: connection.recv(65_536), b""))

        post = (f"POST {RUN} HTTP/1.1", f"Host: {host}", "Content-Type: application/json")
        large = raw(*post, f"X-Admin-Key: {KEY}", "Content-Length: 10000000")
        keyless = raw(*post, "Content-Length: 0", "Connection: close")
        foreign = raw(f"GET {RESULTS} HTTP/1.1", "Host: evil.example", f"X-Admin-Key: {KEY}", "Connection: close")

    assert large.startswith(b"HTTP/1.1 413 ")
    assert keyless.startswith(b"HTTP/1.1 403 ")
    assert keyless.endswith(b'{"detail":"Invalid or missing admin key"}')
    assert foreign.startswith(b"HTTP/1.1 403 ")
    assert SMALL  # nothing was measured
