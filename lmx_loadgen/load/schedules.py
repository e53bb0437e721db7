"""Which schedule a job asks for."""

from lmx_loadgen.load.messages import Job
from lmx_loadgen.load.schedule import ClosedLoop, OpenLoop, Schedule
from lmx_loadgen.load.sessions import ChatSessions


def schedule_of(job: Job) -> Schedule:
    """Chats, due times drawn ahead, or a closed loop."""
    if job.talk is not None:
        return ChatSessions(job, job.talk)
    return ClosedLoop(job) if job.due_ns is None else OpenLoop(job, job.due_ns)
