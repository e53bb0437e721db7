"""Jobs as a worker gets them, without a run around them."""

from dataclasses import replace
from typing import Any

from lmx_loadgen.load.messages import Job
from lmx_loadgen.load.request import BodyTemplate
from lmx_loadgen.wire.timing import Limits

PATIENT = Limits(connect=60, first_token=60, gap=60, request=60)


def a_job(**changes: Any) -> Job:
    """A job of one slot and as many requests as come, but for the `changes`."""
    job = Job(
        segment=0,
        url="http://127.0.0.1:1/v1/chat/completions",
        headers=[],
        limits=PATIENT,
        slots=[0],
        requests=None,
        duration_ns=None,
        warmup=0,
        templates=[BodyTemplate(b"{}")],
        warmup_templates=[BodyTemplate(b"{}")],
        order=[0],
        first=0,
        step=1,
        nonce_key="k",
        repeat=False,
        verify=True,
        ca_file=None,
        no_progress=60.0,
        warmup_slots=changes.get("slots", [0]),
    )
    return replace(job, **changes)
