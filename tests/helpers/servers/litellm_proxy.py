"""LiteLLM's proxy in front of other servers."""

import json
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path

import httpx

from tests.helpers.servers.server_process import RealServer, child_server, free_port


def run_litellm_proxy(
    folder: Path,
    models: Mapping[str, RealServer],
    start_within: float = 180,
    *,
    aliases: Mapping[str, str] | None = None,
    master_key: str | None = None,
) -> AbstractContextManager[RealServer]:
    """A proxy that serves each server of `models` under the name it has there, up while the `with` block runs.

    `aliases` are further names for these, which it does not list; it takes requests with the `master_key` alone. Its
    configuration is written to `folder`. It tries nothing twice, so that what it says is of the one attempt.
    """
    entries = [
        {
            "model_name": name,
            "litellm_params": {
                "model": f"openai/{server.model}",
                "api_base": f"{server.url}/v1",
                "api_key": "none",
                "max_retries": 0,
            },
        }
        for name, server in models.items()
    ]
    config = folder / "litellm.yaml"
    # JSON is YAML.
    router: dict[str, object] = {"num_retries": 0, "disable_cooldowns": True}
    router["model_group_alias"] = {alias: {"model": name, "hidden": True} for alias, name in (aliases or {}).items()}
    settings: dict[str, object] = {"model_list": entries, "router_settings": router}
    if master_key is not None:
        settings["general_settings"] = {"master_key": master_key}
    config.write_text(json.dumps(settings))
    port = free_port()
    arguments, url = [str(port), str(config)], f"http://127.0.0.1:{port}"
    return child_server("serve_litellm", arguments, url, _healthy, start_within, key=master_key)


def _healthy(url: str) -> bool:
    alive = httpx.get(f"{url}/health/liveliness", timeout=5).status_code == 200
    if alive:
        # A first path that it does not know has it import for a second: on a busy machine longer than a run waits.
        httpx.get(f"{url}/version", timeout=60)
    return alive
