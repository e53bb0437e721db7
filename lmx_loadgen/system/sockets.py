"""What both ends of a connection do with a socket."""

import errno
import os
import socket

# As many as the system lets wait (`network_limits`); what comes beyond is dropped, and then takes a second more.
BACKLOG = 65_535


def send_at_once(sock: socket.socket) -> None:
    """Switch off Nagle's algorithm. Raises ConnectionResetError, with the socket closed, where the peer has gone
    already: macOS answers with EINVAL then, which says nothing to anybody."""
    try:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    except OSError as error:
        sock.close()
        raise ConnectionResetError(errno.ECONNRESET, os.strerror(errno.ECONNRESET)) from error
