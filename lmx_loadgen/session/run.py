"""One run from start to end, for whoever wants one: a terminal, a script, a notebook, a service.

It prints nothing, handles no signal, never ends the process and does not look at the current folder.
"""

from functools import partial
from pathlib import Path

from lmx_loadgen.profile.models import Profile
from lmx_loadgen.session.course import record
from lmx_loadgen.session.options import Options
from lmx_loadgen.session.outcome import RunOutcome, store_outcome
from lmx_loadgen.session.ownership import check_owned
from lmx_loadgen.session.setup import Calibrated
from lmx_loadgen.session.stop_flag import StopFlag
from lmx_loadgen.session.view import View
from lmx_loadgen.system.threads import on_thread

_AS_ASKED = Options()


async def run(
    profile: Profile,
    *,
    options: Options = _AS_ASKED,
    stop: StopFlag,
    base_dir: Path,
    view: View,
    calibrated: Calibrated | None = None,
) -> RunOutcome:
    """Measure what a profile asks for and store it, under an event loop that goes on meanwhile.

    The whole course is on a thread of its own, `view` and `calibrated` are called there. A task that waits for it and
    is cancelled sets `stop`, waits until what was measured is stored, and then the cancellation goes on.

    Args:
        options: how it is measured and stored. For a run that is resumed, `profile` is that of its `resume_state`.
        stop: ends the run in good order once it is set, from wherever.
        base_dir: where relative paths begin, in the profile and in the options.
        view: what is shown meanwhile.
        calibrated: asked once, when the targets are found and nothing is measured yet, for what is known of the
            instrument's error; None for nothing.

    Raises a LoadgenError for whatever stops the run before anything was measured (Interrupted where `stop` was set).
    Once measuring has begun, what was seen is stored whatever happens, and only then is an error raised. A run that was
    stopped after that is an outcome like others, and says so.
    """
    course = partial(
        run_blocking, profile, options=options, stop=stop, base_dir=base_dir, view=view, calibrated=calibrated
    )
    return await on_thread(course, stop.set)


def run_blocking(
    profile: Profile,
    *,
    options: Options = _AS_ASKED,
    stop: StopFlag,
    base_dir: Path,
    view: View,
    calibrated: Calibrated | None = None,
) -> RunOutcome:
    """The same as `run` on this thread, which must not have an event loop that runs."""
    options = options.below(base_dir)
    options.check(profile)
    if not options.i_own_this_server:
        check_owned(profile, goes_on=options.goes_on)
    recorded = record(profile, options, stop=stop, base_dir=base_dir, view=view, calibrated=calibrated)
    view.phase("computing the result")
    return store_outcome(recorded)
