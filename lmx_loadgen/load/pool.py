"""The connections to a server: kept from one segment to the next, and free for whichever request comes first."""

import ssl

from lmx_loadgen.load.messages import Job
from lmx_loadgen.wire.ending import ServerHabits
from lmx_loadgen.wire.stamps import StampSource
from lmx_loadgen.wire.tls import tls_context
from lmx_loadgen.wire.transport import StampedTransport


class ConnectionPool:
    """All connections of this process to one server, and what is known of how it treats them.

    There are as many as were ever taken at once: whoever bounds the requests in flight bounds them too.
    """

    def __init__(self, stamps: StampSource, tls: ssl.SSLContext | None) -> None:
        self._stamps = stamps
        self._tls = tls
        self._habits = ServerHabits()
        self._free: list[StampedTransport] = []

    def take(self) -> StampedTransport:
        """A connection that no one else uses until it is given back: of the free ones the last used, which the server
        is least likely to have closed meanwhile; a new one, not open yet, where none is free."""
        if self._free:
            return self._free.pop()
        return StampedTransport(ssl_context=self._tls, stamps=self._stamps, habits=self._habits)

    def give_back(self, connection: StampedTransport) -> None:
        """The connection is free again, whatever became of its last request."""
        self._free.append(connection)

    def heard_ns(self) -> int:
        """When the last byte came on any of them; 0 when none has."""
        return self._habits.heard_ns


class Pools:
    """A pool for each server that this process asks."""

    def __init__(self, stamps: StampSource) -> None:
        self._stamps = stamps
        self._pools: dict[str, ConnectionPool] = {}
        self._contexts: dict[tuple[bool, str | None], ssl.SSLContext] = {}

    def of(self, job: Job) -> ConnectionPool:
        """The connections to the job's server."""
        if job.url not in self._pools:
            self._pools[job.url] = ConnectionPool(self._stamps, self._context(job))
        return self._pools[job.url]

    def _context(self, job: Job) -> ssl.SSLContext | None:
        if not job.url.startswith("https:"):
            return None
        key = (job.verify, job.ca_file)
        if key not in self._contexts:
            self._contexts[key] = tls_context(*key)
        return self._contexts[key]
