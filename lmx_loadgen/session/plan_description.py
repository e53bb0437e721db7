"""The plan of a run in words, as `--dry-run` and the start of a comparison print it."""

from collections.abc import Sequence

from lmx_loadgen.profile.models import Profile
from lmx_loadgen.session.checks.budget import check_budget
from lmx_loadgen.session.options import DEFAULT_MAX_DURATION_S, Options
from lmx_loadgen.session.plan import Segment, described


def plan_description(
    profile: Profile, plan: Sequence[Segment], options: Options, estimate: str | None = None
) -> list[str]:
    """The plan, a line each; `estimate` is a better one than that of the plan itself."""
    lines = described(profile, plan, [spec.name for spec in profile.targets], estimate)
    if options.probe:
        lines.insert(-1, check_budget(profile, plan).words)
    if options.server_benchmark:
        lines.append("and Opta-LMX measures itself, one answer after the other")
    if options.until_conclusive:
        from lmx_loadgen.analysis.comparison.looks import MOST_BLOCKS

        lines.append("then, at each level, two more rounds at a time until its verdicts are conclusive:")
        max_min = (options.max_duration or DEFAULT_MAX_DURATION_S) / 60
        lines.append(f"up to {MOST_BLOCKS} blocks of each, and none begun that would end after {max_min:g} min")
    return lines
