"""Counting tokens with the profile's own `tokenizer.json`, the same for every server."""

from collections.abc import Callable
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

from lmx_loadgen.errors import ProfileError
from lmx_loadgen.system import folders

TokenCounter = Callable[[str], int]


def token_counter(path: str, base_dir: Path) -> TokenCounter:
    """A function from a text to its number of tokens, special tokens not added.

    Raises ProfileError where the file is no tokenizer or the optional package is missing.
    """
    if find_spec("tokenizers") is None:
        raise ProfileError("tokenizer (--tokenizer): needs an extra package; pip install 'lmx-loadgen[tokenizer]'")
    file = base_dir / folders.expanded(Path(path))
    try:
        known = file.stat()
        return _counter(file, (known.st_mtime_ns, known.st_size))
    except OSError as error:
        raise ProfileError(f"tokenizer (--tokenizer): cannot read {file}: {error.strerror or error}") from None


@lru_cache(maxsize=2)
def _counter(file: Path, state: tuple[int, int]) -> TokenCounter:
    """Reading a large one takes most of a second: once is enough, as long as the file is as it was. Raises OSError."""
    from tokenizers import Tokenizer

    text = file.read_bytes()
    try:
        tokenizer = Tokenizer.from_str(text.decode("utf-8"))
    except Exception as error:  # the package raises bare exceptions
        words = " ".join(str(error).split())[:200]
        raise ProfileError(f"tokenizer (--tokenizer): {file} is not a tokenizer.json: {words}") from None
    # What a file may say of padding and truncation is for batches in training.
    tokenizer.no_padding()
    tokenizer.no_truncation()

    def count(text: str) -> int:
        return len(tokenizer.encode(text, add_special_tokens=False).ids)

    return count
