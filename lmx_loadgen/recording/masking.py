"""What of a chat is stored: its texts without secrets, or how long they are."""

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

from lmx_loadgen.system.api_keys import Keys

# Secrets that are known by how they begin.
_SECRETS = re.compile(
    r"\b(?:sk|rk|pk)-[A-Za-z0-9_-]{16,}|\bgh[pousr]_[A-Za-z0-9]{20,}|\bgithub_pat_\w{20,}|\bhf_[A-Za-z0-9]{20,}"
    r"|\bxox[abprs]-[A-Za-z0-9-]{10,}|\bAKIA[0-9A-Z]{16}\b|\bAIza[0-9A-Za-z_-]{30,}|\beyJ[\w-]{10,}\.[\w-]{10,}\.[\w-]{5,}"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?-----END [A-Z ]*PRIVATE KEY-----"
    r"|(?i:\bbearer\s+)[\w.~+/=-]{16,}"
)


class Masker:
    """Makes messages fit to be stored. Without `keep_text`, a message is its role, how many characters its text has,
    and a short mark by which equal texts of one recording are known; `salt` is kept nowhere, so that no text can be
    guessed from its mark."""

    def __init__(self, *, keep_text: bool, salt: bytes) -> None:
        self._keep_text = keep_text
        self._salt = salt

    def message(self, message: Mapping[str, Any], keys: Keys) -> dict[str, Any]:
        if self._keep_text:
            found: dict[str, Any] = _masked(keys.redact_in(message))
            return found
        text = _all_text(message)
        images = sum(isinstance(part, dict) and "image" in str(part.get("type")) for part in _parts(message))
        calls = message.get("tool_calls")
        return {
            "role": str(message.get("role"))[:40],
            "characters": len(text),
            "mark": hashlib.blake2b(text.encode("utf-8", "replace"), key=self._salt, digest_size=6).hexdigest(),
            **({"images": images} if images else {}),
            **({"tool_calls": len(calls)} if isinstance(calls, list) and calls else {}),
        }

    def tools(self, tools: Any, keys: Keys) -> Any:
        """The tools on offer, or how many they are and how long."""
        if self._keep_text:
            return _masked(keys.redact_in(tools))
        return {"number": len(tools), "characters": len(json.dumps(tools))}


def _masked(value: Any) -> Any:
    if isinstance(value, str):
        return _SECRETS.sub(lambda found: "*" * len(found[0]), value)
    if isinstance(value, list):
        return [_masked(part) for part in value]
    if isinstance(value, dict):
        return {_masked(name): _masked(part) for name, part in value.items()}
    return value


def _parts(message: Mapping[str, Any]) -> list[Any]:
    content = message.get("content")
    return content if isinstance(content, list) else []


def _all_text(message: Mapping[str, Any]) -> str:
    """Everything in a message that a model reads as text."""
    content = message.get("content")
    parts = [part for part in _parts(message) if isinstance(part, dict)]
    texts = [content] if isinstance(content, str) else [str(part.get("text", "")) for part in parts]
    if message.get("tool_calls"):
        texts.append(json.dumps(message["tool_calls"]))
    return "".join(texts)
