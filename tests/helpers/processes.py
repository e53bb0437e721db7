"""Whether a process is still there, as the system's own `ps` sees it."""

import subprocess


def is_running(pid: int) -> bool:
    """A process that ended and that nobody asked about yet is not running."""
    found = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return bool(found.stdout.strip()) and not found.stdout.startswith("Z")
