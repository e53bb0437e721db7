"""Which requests a slot waits after, and for how long: a server in trouble is not made worse by the tool."""

import re

from lmx_loadgen.wire.timing import RequestTiming

_FIRST_BACKOFF_S = 0.1
_MAX_BACKOFF_S = 2.0
_MAX_RETRY_AFTER_S = 30.0
# How a stream ends that says it failed, in the ways servers do. A slot only goes slower for it; what counts as failed
# is decided later, from decoded events.
_ERROR_SAID = re.compile(rb'(?:^|\n)(?:event: ?error|data: ?\{ ?"error")|"\\n\\n\[Error: ')
_LOOK_AT = 4096


def backoff_s(failures: int, timing: RequestTiming) -> float:
    """How long a slot waits after so many failures in a row: twice as long each time up to two seconds, and as long as
    the server asks for in `Retry-After`, up to half a minute."""
    own = min(_MAX_BACKOFF_S, _FIRST_BACKOFF_S * float(2 ** min(failures - 1, 10)))
    asked = next((value for name, value in timing.headers if name == b"retry-after"), b"").strip()
    return max(own, min(_MAX_RETRY_AFTER_S, float(asked))) if asked.isdigit() and len(asked) < 10 else own


def is_failed(timing: RequestTiming) -> bool:
    """Whether this is a request to wait after, as far as its bytes tell without decoding them."""
    if timing.failure is not None or timing.status is None or not 200 <= timing.status < 300:
        return True
    if any(name == b"content-encoding" and value.lower() != b"identity" for name, value in timing.headers):
        return False
    if timing.first_text_ns is None:
        return True
    tail = timing.body[-_LOOK_AT:]
    # The pattern alone takes 100 µs for every answer, in which no other arrival could be read.
    return b"rror" in tail and _ERROR_SAID.search(tail) is not None
