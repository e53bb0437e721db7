"""A level of a stored run, changed as a test needs it."""

import json
from functools import cache
from typing import Any

from lmx_loadgen.store.result import LevelResult
from tests.helpers.paths import RUNS


def a_level(load_point: dict[str, Any], **changes: Any) -> LevelResult:
    """The first level of the head-to-head run at another load point, as if its server counted tokens, with `changes` to
    it."""
    return LevelResult.model_validate(_stored() | {"token_basis_exact": True, "load_point": load_point} | changes)


@cache
def _stored() -> dict[str, Any]:
    result = json.loads((RUNS / "head-to-head" / "result.json").read_text("utf-8"))
    found: dict[str, Any] = result["targets"][0]["levels"][0]
    return found
