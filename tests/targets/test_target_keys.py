"""Which key goes where: only what its user meant for a server, and never in the clear over a network."""

from pathlib import Path

import anyio
import pytest
import respx

from lmx_loadgen.errors import InputError, KeyRefused
from lmx_loadgen.profile.models import TargetSpec
from lmx_loadgen.targets import DIALECTS
from lmx_loadgen.targets.keys import ADMIN_KEY_FILE, admin_headers, key_headers, key_variable, key_variables
from lmx_loadgen.targets.prepare import Access, prepare

HERE, LAN, OPENAI = "http://127.0.0.1:8000/v1", "http://192.168.1.5:8000/v1", "https://api.openai.com/v1"
ENV = {"OPENAI_API_KEY": "sk-openai", "BOX_API_KEY": "box-key", "MY_BOX_2_API_KEY": "two", "LMX_API_KEY": "lmx-key"}


def sent(name: str, url: str, **more: bool) -> str | None:
    headers = key_headers(TargetSpec(name=name, url=url), url, ENV, **more)
    return headers.get("Authorization", "").removeprefix("Bearer ") or None


@pytest.mark.parametrize(
    ("name", "url", "key"),
    [
        ("openai", OPENAI, "sk-openai"),
        ("gpt", OPENAI, "sk-openai"),
        ("openai", HERE, None),
        ("other", HERE, None),
        ("box", HERE, "box-key"),
        ("my-box.2", HERE, "two"),
        ("lmx", HERE, "lmx-key"),
        ("lmx2", HERE, None),
        ("box", "https://api.openai.com.evil.example/v1", "box-key"),
        ("openai", "https://evil.example/api.openai.com/v1", None),
    ],
)
def test_a_key_goes_only_to_whom_it_belongs(name: str, url: str, key: str | None) -> None:
    assert sent(name, url) == key


def test_a_key_does_not_cross_the_network_in_the_clear_unless_it_is_allowed() -> None:
    with pytest.raises(InputError) as caught:
        sent("box", LAN)
    assert "BOX_API_KEY" in str(caught.value)
    assert "--allow-plain-http" in str(caught.value)
    assert "box-key" not in str(caught.value)
    assert sent("box", LAN, allow_plain_http=True) == "box-key"
    assert sent("box", LAN.replace("http:", "https:")) == "box-key"
    assert sent("other", LAN) is None  # no key, nothing to protect


@pytest.mark.parametrize("url", ["http://localhost:1/v1", "http://[::1]:1/v1", "http://127.9.9.9/v1"])
def test_loopback_is_no_network(url: str) -> None:
    assert sent("box", url) == "box-key"


def test_the_profile_s_own_variable_wins() -> None:
    spec = TargetSpec(name="openai", url=HERE, api_key_env="OPENAI_API_KEY")  # its user says so

    assert key_variable(spec, HERE) == "OPENAI_API_KEY"


def test_the_admin_key_of_this_machine_stays_on_it(tmp_path: Path) -> None:
    (tmp_path / ADMIN_KEY_FILE).parent.mkdir()
    (tmp_path / ADMIN_KEY_FILE).write_text("from-file")
    lmx, dialect = TargetSpec(name="lmx"), DIALECTS["lmx"]

    assert admin_headers(lmx, dialect, HERE, {}, tmp_path) == {"X-Admin-Key": "from-file"}
    assert admin_headers(lmx, dialect, LAN, {}, tmp_path) == {}
    assert admin_headers(lmx, dialect, LAN, {"LMX_ADMIN_KEY": "k"}, tmp_path) == {}  # not needed, so not sent
    with pytest.raises(InputError, match="--allow-plain-http"):
        admin_headers(lmx, dialect, LAN, {"LMX_ADMIN_KEY": "k"}, tmp_path, is_needed=True)


def test_workers_get_none_of_the_variables_that_hold_keys() -> None:
    names = key_variables([TargetSpec(name="my-box.2", url=HERE, admin_key_env="OTHER")])

    assert {
        "OPENAI_API_KEY",
        "LMX_API_KEY",
        "LMX_ADMIN_KEY",
        "MY_BOX_2_API_KEY",
        "MY_BOX_2_ADMIN_KEY",
        "OTHER",
    } <= names


@pytest.mark.parametrize("status", [401, 403])
def test_a_wrong_admin_key_is_found_before_the_run(status: int) -> None:
    def prepared(*, needs_admin: bool) -> None:
        access = Access({"LMX_ADMIN_KEY": "wrong-key"}, needs_admin=needs_admin)
        anyio.run(lambda: prepare(TargetSpec(name="lmx"), access))

    with respx.mock(base_url="http://127.0.0.1:1234", assert_all_called=False, assert_all_mocked=False) as mock:
        mock.get("/.well-known/opta-lmx").respond(json={"service": "opta-lmx"})
        mock.get("/v1/models").respond(json={"data": [{"id": "m"}]})
        asked = mock.get("/admin/status").respond(status, json={"detail": "Invalid or missing admin key"})
        prepared(needs_admin=False)
        assert not asked.called
        with pytest.raises(KeyRefused, match="refuses the admin key"):
            prepared(needs_admin=True)
