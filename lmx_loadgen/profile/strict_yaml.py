"""Files in YAML that somebody else may have written: plain data only, of bounded size, and nothing said twice."""

from pathlib import Path
from typing import Any

import yaml

from lmx_loadgen.errors import ProfileError

_MAX_FILE = 1024 * 1024


def read_yaml(path: Path, what: str) -> dict[Any, Any]:
    """The mapping in a file of at most 1 MB. Keys are texts or whole numbers.

    `what` is what the file should be, like "profile", for the sentence of a ProfileError: raised for a file that
    cannot be read, aliases (they can make a small file huge), a key given twice, and whatever is no mapping.
    """
    try:
        if path.stat().st_size > _MAX_FILE:
            raise ProfileError(f"{path} is larger than 1 MB, which no {what} is")
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ProfileError(f"cannot read the {what} {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ProfileError(f"{path} is not UTF-8 text") from None
    try:
        data = yaml.load(text, Loader=_StrictLoader)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise ProfileError(f"{path} is not valid YAML: {' '.join(str(error).split())[:300]}") from None
    if not isinstance(data, dict):
        raise ProfileError(f"{path} must hold a mapping of settings, as a {what} does")
    return data


class _StrictLoader(yaml.SafeLoader):
    """SafeLoader that refuses a key given twice and aliases."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.events.AliasEvent):
            raise yaml.YAMLError("aliases are not allowed")
        return super().compose_node(parent, index)

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        seen: set[str | int] = set()
        for key in keys:
            if not isinstance(key, str | int) or isinstance(key, bool):
                raise yaml.YAMLError(f"the key {str(key)[:60]!r} is not text (line {node.start_mark.line + 1})")
            if key in seen:
                raise yaml.YAMLError(f"the key {key!r} is given twice (line {node.start_mark.line + 1})")
            seen.add(key)
        return super().construct_mapping(node, deep)
