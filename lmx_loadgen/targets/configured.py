"""Ports that a server's own settings name: its user may have moved it."""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pydantic_core

from lmx_loadgen.system.probe import Probe

LMS_SETTINGS = Path(".lmstudio") / ".internal" / "http-server-config.json"
LMS = Path(".lmstudio") / "bin" / "lms"
OMLX_SETTINGS = Path(".omlx") / "settings.json"
_OLLAMA_PORT = re.compile(r":(\d{1,5})/?$")


def configured_ports(env: Mapping[str, str], home: Path | None, probe: Probe | None = None) -> list[int]:
    """The ports of LM Studio, oMLX and Ollama on this machine, as far as their settings tell; no server is asked."""
    probe = probe or Probe()
    found = [_ollama(env)]
    if home is not None:
        settings = _object(probe.read(str(home / OMLX_SETTINGS)))
        server = settings.get("server")
        found += [lm_studio_port(home, probe), _port(server if isinstance(server, dict) else settings)]
    return [port for port in found if port is not None]


def lm_studio_port(home: Path, probe: Probe) -> int | None:
    """By its settings file, else by its own command, where that is installed."""
    if (port := _port(_object(probe.read(str(home / LMS_SETTINGS))))) is not None:
        return port
    lms = home / LMS
    said = probe.run((str(lms), "server", "status", "--json")) if os.access(lms, os.X_OK) else None
    status = _object(said)
    return _port(status) if status.get("running") is True else None


def is_lm_studio_idle(home: Path, probe: Probe) -> bool:
    """Whether LM Studio runs without its server."""
    lms = home / LMS
    if not os.access(lms, os.X_OK):
        return False
    said = probe.run_all({what: (str(lms), what, "status", "--json") for what in ("daemon", "server")})
    is_on = _object(said["daemon"]).get("status") == "running"
    return is_on and _object(said["server"]).get("running") is False


def _ollama(env: Mapping[str, str]) -> int | None:
    """`OLLAMA_HOST` is an address without a scheme, or a whole one."""
    found = _OLLAMA_PORT.search(env.get("OLLAMA_HOST", "").strip())
    return _port({"port": int(found[1])}) if found else None


def _object(text: str | None) -> dict[str, Any]:
    try:
        data = pydantic_core.from_json(text or "null")
    except ValueError:
        return {}
    return data if isinstance(data, dict) else {}


def _port(settings: Mapping[str, Any]) -> int | None:
    port = settings.get("port")
    return port if isinstance(port, int) and not isinstance(port, bool) and 0 < port < 65_536 else None
