"""The calibration table of a machine: how wrong this tool is on it, at which load."""

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pydantic_core
from pydantic import BaseModel, ConfigDict

from lmx_loadgen.errors import ResultError, StorageError
from lmx_loadgen.store.result import write_whole
from lmx_loadgen.store.versions import CALIBRATION, UnknownVersion

SCHEMA = CALIBRATION.newest


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class SpreadResult(_Model):
    """An error in seconds: median, 99th percentile and maximum of its size."""

    p50: float
    p99: float
    max: float


class CalibratedLevel(_Model):
    """The errors at one concurrency. `ttft` is `send` and `receive` together; `chunk` is of every text event's arrival,
    `gap` of the time between two, `stall` of an answer's longest gap, and `tpot` of answers of `tokens` tokens;
    `chunk_rate` is what the simulator sent at this level, per second."""

    concurrency: int
    requests: int
    failed: int
    tokens: int
    chunks: int
    send: SpreadResult
    receive: SpreadResult
    ttft: SpreadResult
    chunk: SpreadResult
    gap: SpreadResult
    stall: SpreadResult
    tpot: SpreadResult
    chunk_rate: float
    cpu_s_per_1000_chunks: float
    peak_rss_mb: float


class CalibratedSends(_Model):
    """How late the requests of an open loop were sent at `rate` requests a second, in seconds: send − due."""

    rate: float
    requests: int
    late: SpreadResult


class Calibration(_Model):
    """One calibration. `burst_chunks_per_s` is what one process took in from a server that sends as fast as it can,
    with no event lost; `sustained_chunks_per_s` the highest paced rate at which no more than 1 % of the arrivals were
    over 5 ms off. Errors of one made on a `busy` machine are larger than they need be; `busy_reason` says how busy."""

    tool_version: str
    host: str
    created_at: str
    quick: bool
    busy: bool = False
    busy_reason: str | None = None
    loop: str
    stamps: str
    workers: int
    machine: dict[str, Any]
    versions: dict[str, str]
    levels: list[CalibratedLevel]
    burst_chunks_per_s: float
    sustained_chunks_per_s: float | None
    sends: CalibratedSends | None = None

    def at(self, slots: int, chunk_rate: float | None) -> tuple[CalibratedLevel, bool]:
        """The level whose errors stand for a load: the lowest that had as many requests in flight and as many chunks
        a second. The flag is False when the load is beyond all of them, and the highest has to do."""
        for level in self.levels:
            if level.concurrency >= slots and level.chunk_rate >= (chunk_rate or 0.0):
                return level, True
        return self.levels[-1], False


class CalibrationFile(_Model):
    """All calibrations of one machine: at most one full and one quick for each version, loop, kind of stamps and
    number of workers, and beside one of the quiet machine a later one of the busy machine."""

    schema_version: int = SCHEMA
    calibrations: list[Calibration]


def path_for(folder: Path, host: str) -> Path:
    return folder / f"calibration-{host}.json"


def read_calibrations(folder: Path, host: str) -> list[Calibration]:
    """This machine's calibrations; none when there is no file. Raises ResultError for one that cannot be read."""
    path = path_for(folder, host)
    try:
        data = pydantic_core.from_json(path.read_bytes())
        if isinstance(data, dict):
            data = CALIBRATION.migrated(data, CALIBRATION.known(data.get(CALIBRATION.key, SCHEMA)))
        return CalibrationFile.model_validate(data).calibrations
    except FileNotFoundError:
        return []
    except OSError as error:
        raise ResultError(f"cannot read {path}: {error.strerror or error}") from None
    except UnknownVersion as problem:
        raise ResultError(f"{path} {problem}") from None
    except ValueError:  # also pydantic's
        raise ResultError(f"{path} is not a calibration of this version; delete it and calibrate again") from None


def find(calibrations: Sequence[Calibration], version: str, loop: str, stamps: str, workers: int) -> Calibration | None:
    """The newest calibration that was made as a run is going to measure. One of the quiet machine beats one of the busy
    machine, and of either kind a full one a quick one."""
    wanted = (version, loop, stamps, workers)
    fitting = [c for c in calibrations if (c.tool_version, c.loop, c.stamps, c.workers) == wanted]
    return max(fitting, key=lambda c: (not c.busy, not c.quick, c.created_at), default=None)


def store(folder: Path, new: Calibration) -> Path:
    """Put a calibration in the place of the one it renews. A quick one never replaces a full one, nor one of a busy
    machine one of the quiet machine. Raises StorageError."""
    path = path_for(folder, new.host)
    try:
        known = read_calibrations(folder, new.host)
    except ResultError:  # damaged, or of a later version: it makes room, and is not lost
        known = []
        with contextlib.suppress(OSError):
            path.replace(path.with_name(f"{path.name}.old"))
    same = (new.tool_version, new.loop, new.stamps, new.workers, new.quick)
    kept = [
        c for c in known if (c.tool_version, c.loop, c.stamps, c.workers, c.quick) != same or (new.busy and not c.busy)
    ]
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(f"cannot write {path}: {error.strerror or error}") from None
    write_whole(path, CalibrationFile(calibrations=[*kept, new]).model_dump_json(indent=1).encode() + b"\n")
    return path
