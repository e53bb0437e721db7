"""LiteLLM's proxy in front of other servers."""

import json
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path

import httpx

from tests.helpers.servers.server_process import RealServer, child_server, free_port


def run_litellm_proxy(
    folder: Path, models: Mapping[str, RealServer], start_within: float = 180
) -> AbstractContextManager[RealServer]:
    """A proxy that serves each server of `models` under the name it has there, up while the `with` block runs.

    Its configuration is written to `folder`. It tries nothing twice, so that what it says is of the one attempt.
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
    config.write_text(
        json.dumps({"model_list": entries, "router_settings": {"num_retries": 0, "disable_cooldowns": True}})
    )
    port = free_port()
    return child_server("serve_litellm", [str(port), str(config)], f"http://127.0.0.1:{port}", _healthy, start_within)


def _healthy(url: str) -> bool:
    return httpx.get(f"{url}/health/liveliness", timeout=5).status_code == 200
