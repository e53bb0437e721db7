"""What a check is about: what a resumed run knows it by."""

from collections.abc import Mapping
from typing import Any


def key_of(target: str, line: Mapping[str, Any]) -> tuple[str, str, str]:
    """What a `check` line is about: the target, the kind of check, and the prompt or skill of those that have one."""
    kind, asked = line["check"], line["asked"]
    about = "" if kind == "server_benchmark" else str(asked.get("prompt") or asked.get("skill") or "")
    return target, kind, about
