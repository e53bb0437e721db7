"""An app's handle on its measuring process."""

import os
import subprocess
import sys
import threading
from pathlib import Path

from pydantic import BaseModel, ValidationError

from lmx_loadgen.service.messages import MeasureJob, MeasureReply, StopRun

_MODULE = "lmx_loadgen.service.measure"
_PACKAGE_ROOT = Path(__file__).resolve().parents[2]
_END_WAIT_S = 10.0


class MeasuringChild:
    """Starts the process when it is first needed, and again should it have died. One run at a time."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        # A signal handler may stop a run while this thread does.
        self._writing = threading.RLock()
        self._is_measuring = False

    def measure(self, job: MeasureJob) -> MeasureReply:
        """Have a run done and wait for its reply; blocks."""
        process = self._running()
        assert process.stdout is not None
        with self._writing:
            self._is_measuring = True
            is_sent = self._write(process, job)
        line = process.stdout.readline() if is_sent else b""
        self._is_measuring = False
        try:
            return MeasureReply.model_validate_json(line)
        except ValidationError:
            process.kill()
            code = process.wait()
            return MeasureReply(trouble="other", words=f"the measuring process ended unexpectedly (exit code {code})")

    def stop(self, why: str) -> None:
        """The run at hand is to end in good order; without one nothing happens. From any thread or signal handler."""
        with self._writing:
            if self._is_measuring and self._process is not None:
                self._write(self._process, StopRun(stop=why))

    def close(self) -> None:
        """End the process; a run at hand is stopped first and stored."""
        process, self._process = self._process, None
        if process is None:
            return
        assert process.stdin is not None
        assert process.stdout is not None
        with self._writing:
            process.stdin.close()
        try:
            process.wait(_END_WAIT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None or self._process.poll() is not None:
            self.close()
            known = os.environ.get("PYTHONPATH")
            path = str(_PACKAGE_ROOT) + (os.pathsep + known if known else "")
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", _MODULE],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env={**os.environ, "PYTHONPATH": path},
                bufsize=-1,
                start_new_session=True,  # Ctrl-C is for the app, which stops the run in good order
            )
        return self._process

    def _write(self, process: subprocess.Popen[bytes], message: BaseModel) -> bool:
        """Whether the process took it."""
        assert process.stdin is not None
        try:
            process.stdin.write(message.model_dump_json().encode() + b"\n")
            process.stdin.flush()
        except (OSError, ValueError):  # gone, or closed by us
            return False
        return True
