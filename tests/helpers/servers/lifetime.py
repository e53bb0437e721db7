"""Makes a server that a test starts end with the test, whatever happens to the test."""

import os
import signal
import sys
import threading


def end_with_parent(max_seconds: int) -> None:
    """End this process when the parent goes (standard input closes), and after `max_seconds` at the latest.

    The alarm's default action needs no Python code to run, so it also ends a process that hangs in C++.
    """
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(max_seconds)
    threading.Thread(target=_exit_at_end_of_input, daemon=True).start()


def _exit_at_end_of_input() -> None:
    # Raw reads: a daemon thread inside sys.stdin's buffer would hold its lock and abort a regular shutdown.
    while os.read(sys.stdin.fileno(), 4096):
        pass
    os._exit(0)
