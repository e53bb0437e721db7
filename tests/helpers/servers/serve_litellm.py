"""LiteLLM's proxy as a process of its own on 127.0.0.1, offline: no telemetry, no database, no price list fetched.

    python -m tests.helpers.servers.serve_litellm PORT CONFIG.yaml

Ends when standard input is closed, on SIGTERM, and after half an hour.
"""

import os
import sys

from tests.helpers.servers.lifetime import end_with_parent

end_with_parent(1800)
os.environ |= {
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "LITELLM_TELEMETRY": "False",
    "LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY": "true",  # it listens to this machine only
    "DISABLE_ADMIN_UI": "True",
    "NO_DOCS": "True",
}

from litellm import run_server  # noqa: E402  (it reads the environment while it is imported)

run_server(
    ["--host", "127.0.0.1", "--port", sys.argv[1], "--config", sys.argv[2], "--telemetry", "False"],
    standalone_mode=False,
)
