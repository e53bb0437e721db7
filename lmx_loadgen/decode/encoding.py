"""Bodies that a server compressed although it was asked not to: unpacked read by read, so that times stay true."""

import zlib

from lmx_loadgen.wire.timing import MAX_BODY

_WINDOW = {"gzip": 31, "x-gzip": 31, "deflate": 47}


class Undecodable(ValueError):
    """The body is not what its Content-Encoding says, or unpacks to more than any answer may have."""


def unpacked(
    encoding: str, body: bytes, arrivals: list[tuple[int, int]], *, whole: bool
) -> tuple[bytes, list[tuple[int, int]]]:
    """Body and arrivals (offset ns, bytes) as they were before compression; `whole` says that nothing is missing.

    Raises Undecodable.
    """
    if encoding not in _WINDOW:
        raise Undecodable(f"the answer is encoded as {encoding!r}, which was not asked for")
    unpacker = zlib.decompressobj(_WINDOW[encoding])
    parts: list[bytes] = []
    sizes: list[tuple[int, int]] = []
    start = total = 0
    for at_ns, size in arrivals:
        try:
            part = unpacker.decompress(body[start : start + size], MAX_BODY - total + 1)
        except zlib.error as error:
            raise Undecodable(f"the answer is not {encoding}: {error}") from None
        start += size
        total += len(part)
        if total > MAX_BODY:
            raise Undecodable(f"the answer unpacks to more than {MAX_BODY // 2**20} MB")
        parts.append(part)
        sizes.append((at_ns, len(part)))
    if whole and not unpacker.eof:
        raise Undecodable(f"the {encoding} body ends in the middle")
    return b"".join(parts), sizes
