"""The plan of a run in words, as `--dry-run` and the start of a comparison print it."""

from collections.abc import Sequence

from lmx_loadgen.analysis.formats import duration
from lmx_loadgen.profile.models import Profile
from lmx_loadgen.session.options import DEFAULT_MAX_DURATION_S, Options
from lmx_loadgen.session.plan import Segment, described, make_plan


def dry_run_lines(profile: Profile, options: Options) -> list[str]:
    """The plan of a run, a line each. No server is asked anything; a reference file is read, so that what is wrong
    with it is known before the run. Raises InputError and ProfileError."""
    if options.reference is not None:
        from lmx_loadgen.store.reference import read_reference

        read_reference(options.reference)
    options.check(profile)
    names = [spec.name for spec in profile.targets]
    return plan_description(profile, make_plan(profile, names, options.first_rounds(len(names))), options)


def plan_description(profile: Profile, plan: Sequence[Segment], options: Options) -> list[str]:
    goes_on = options.detect is not None or options.budget is not None
    lines = described(profile, plan, [spec.name for spec in profile.targets], goes_on=goes_on)
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
