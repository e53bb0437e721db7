"""Runs whose size is decided while they are on, by what a difference takes to be found, or by the time there is."""

from collections.abc import Callable

from lmx_loadgen.analysis.comparison.compare import precision
from lmx_loadgen.analysis.comparison.power import MOST_ROUNDS, Precision
from lmx_loadgen.analysis.measured_run import MeasuredRun
from lmx_loadgen.profile.load_point import LoadPoint
from lmx_loadgen.session.budget import Costs, WithinBudget
from lmx_loadgen.session.detect import Detect
from lmx_loadgen.session.options import DEFAULT_MAX_DURATION_S
from lmx_loadgen.session.plan import assumed_answer_s
from lmx_loadgen.session.segment_run import Parts
from lmx_loadgen.session.setup import RunSetup
from lmx_loadgen.session.stop_rules import MaxDuration
from lmx_loadgen.session.strategy import Repeats

# What the noise is told by where no difference was named.
_USUAL_EFFECT = 0.05


def by_precision(
    setup: RunSetup, parts: Parts, repeats: Repeats, stored: Callable[[], MeasuredRun]
) -> Detect | WithinBudget:
    """The strategy of such a run; `stored` gives what has been stored of the rounds."""
    options, profile, names = setup.options, setup.profile, list(setup.targets)
    spent_s = parts.history.spent_s

    def precise(point: LoadPoint) -> Precision | None:
        if len(names) < 2:
            return None
        return precision(stored(), point, options.detect or _USUAL_EFFECT)

    if options.detect is not None:
        limit = MaxDuration(options.max_duration or DEFAULT_MAX_DURATION_S, spent_s)
        return Detect(profile, names, setup.plan, repeats, options.detect, precise, limit, MOST_ROUNDS, parts.view.say)
    assert options.budget is not None
    limit = MaxDuration(options.budget - setup.took_s, spent_s)
    costs = Costs(profile, len(names), assumed_answer_s(profile.request.max_tokens))
    return WithinBudget(profile, names, setup.plan, repeats, limit, costs, MOST_ROUNDS, parts.view.say, precise)
