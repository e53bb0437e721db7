"""YAML files of the user's: read safely, in bounds, with every mistake in one sentence."""

from pathlib import Path
from typing import Any

import yaml

from lmx_loadgen.errors import ProfileError

_MAX_BYTES = 1024 * 1024


def read_yaml(path: Path, what: str) -> Any:
    """The value that a file holds; `what` it is ("profile") stands in the messages.

    Raises ProfileError for a file that cannot be read, is over 1 MB, is not YAML, has an alias (a few of which make a
    small file huge) or gives a key twice.
    """
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise ProfileError(f"{path} is larger than 1 MB, which no {what} is")
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ProfileError(f"cannot read the {what} {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ProfileError(f"{path} is not UTF-8 text") from None
    try:
        return yaml.load(text, Loader=_StrictLoader)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise ProfileError(f"{path} is not valid YAML: {' '.join(str(error).split())[:300]}") from None


class _StrictLoader(yaml.SafeLoader):
    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.events.AliasEvent):
            raise yaml.YAMLError("aliases are not allowed")
        return super().compose_node(parent, index)

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        for key in keys:
            if not isinstance(key, str):
                raise yaml.YAMLError(f"the key {key!r} is not text (line {node.start_mark.line + 1})")
            if keys.count(key) > 1:
                raise yaml.YAMLError(f"the key {key!r} is given twice (line {node.start_mark.line + 1})")
        return super().construct_mapping(node, deep)
