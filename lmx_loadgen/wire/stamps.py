"""When did bytes arrive? The kernel's word where it gives one, else the moment Python reads them.

Linux stamps TCP segments as they come in (`SO_TIMESTAMPNS`) and hands the stamp over with `recvmsg`: then
the arrival time does not depend on when Python got round to reading. The stamp is on the wall clock; it is
carried to the monotonic clock by its age at the time of reading. macOS has no such stamp for TCP.
"""

import enum
import socket
import struct
import sys
import time

from lmx_loadgen.system.clock import NS, now_ns

_SO_TIMESTAMPNS = getattr(socket, "SO_TIMESTAMPNS", 35)
_TIMESPEC = struct.Struct("@qq")
_READ_SIZE = 256 * 1024
_MAX_AGE_NS = 10 * NS
_HELD_UP_NS = 20_000
_STEPPED_NS = 1_000_000

_buffer = bytearray(_READ_SIZE)  # one for the process: a read is copied out before the next one begins
_view = memoryview(_buffer)


class StampSource(enum.StrEnum):
    """Where arrival times come from: `kernel` (Linux, plain TCP), `loop` (when the event loop reads the
    socket), or `protocol` (`asyncio.Protocol.data_received`; what TLS connections always use)."""

    KERNEL = "kernel"
    LOOP = "loop"
    PROTOCOL = "protocol"


def kernel_stamps_available(platform: str = sys.platform) -> bool:
    """Whether this machine's kernel stamps TCP data: Linux, when a socket accepts the option."""
    if platform != "linux":
        return False
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        try:
            probe.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        except OSError:
            return False
    return True


def carried_over(stamp_ns: int, wall_ns: int, mono_ns: int) -> int | None:
    """A wall-clock stamp on the monotonic clock, given both clocks at one later moment.

    None when the stamp is not from the last ten seconds: the wall clock was stepped, and the stamp says nothing.
    """
    age = wall_ns - stamp_ns
    return mono_ns - age if 0 <= age <= _MAX_AGE_NS else None


def both_clocks() -> tuple[int, int]:
    """(monotonic, wall) ns of one moment: read again when the process was held up between the two."""
    for _ in range(5):
        mono = now_ns()
        wall = time.time_ns()
        after = now_ns()
        if after - mono < _HELD_UP_NS:
            break
    return (mono + after) // 2, wall


class StampedSocket:
    """Reads of one non-blocking TCP socket, each with its arrival time."""

    def __init__(self, sock: socket.socket, source: StampSource) -> None:
        self._sock = sock
        self._kernel = source is StampSource.KERNEL
        self._not_before_ns = 0
        if self._kernel:
            sock.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)

    def expect_nothing_before(self, at_ns: int) -> None:
        """What comes from now on cannot have come before this moment: a request is written then."""
        self._not_before_ns = at_ns

    def read(self) -> tuple[bytes, int]:
        """What is there, and when it came (ns, monotonic). Empty at end of file; raises OSError as `recv` does.

        Where one read takes in several segments, the time is the last one's.
        """
        if not self._kernel:
            size = self._sock.recv_into(_buffer)
            return bytes(_view[:size]), now_ns()
        size, ancillary, _, _ = self._sock.recvmsg_into([_buffer], 64)
        mono, wall = both_clocks()
        at_ns: int | None = None
        for level, kind, data in ancillary:
            if level == socket.SOL_SOCKET and kind == _SO_TIMESTAMPNS and len(data) >= _TIMESPEC.size:
                seconds, nanos = _TIMESPEC.unpack_from(data)
                at_ns = carried_over(seconds * NS + nanos, wall, mono)
        if at_ns is None or at_ns < self._not_before_ns:
            if at_ns is None or at_ns < self._not_before_ns - _STEPPED_NS:
                at_ns = mono  # the wall clock was stepped between the stamp and now
        else:
            self._not_before_ns = at_ns
        return bytes(_view[:size]), at_ns
