"""The plan of a run in words, as `--dry-run` and the start of a comparison print it."""

from collections.abc import Sequence

from lmx_loadgen.analysis.formats import duration
from lmx_loadgen.profile.models import Profile
from lmx_loadgen.session.checks.budget import check_budget
from lmx_loadgen.session.options import DEFAULT_MAX_DURATION_S, Options
from lmx_loadgen.session.plan import Segment, assumed_words, described


def plan_description(
    profile: Profile, plan: Sequence[Segment], options: Options, estimate: str | None = None
) -> list[str]:
    """The plan, a line each; `estimate` is a better one than that of the plan itself."""
    goes_on = options.detect is not None or options.budget is not None
    lines = described(profile, plan, [spec.name for spec in profile.targets], goes_on=goes_on)
    if options.probe:
        lines.append(check_budget(profile, plan).words)
    if not goes_on:
        lines.append(estimate or assumed_words(profile, plan))
    if options.server_benchmark:
        lines.append("and Opta-LMX measures itself, one answer after the other")
    max_min = (options.max_duration or DEFAULT_MAX_DURATION_S) / 60
    if options.detect is not None:
        from lmx_loadgen.analysis.comparison.power import MOST_ROUNDS
        from lmx_loadgen.session.detect import detect_words

        lines += detect_words(options.detect, MOST_ROUNDS, max_min)
    if options.budget is not None:
        lines.append(f"then more rounds as long as they end within {duration(options.budget)}, checks included;")
        lines.append("levels for which there is no time are left out, heaviest first")
    if options.until_conclusive:
        from lmx_loadgen.analysis.comparison.looks import MOST_BLOCKS

        lines.append("then, at each level, two more rounds at a time until its verdicts are conclusive:")
        lines.append(f"up to {MOST_BLOCKS} blocks of each, and none begun that would end after {max_min:g} min")
    return lines
