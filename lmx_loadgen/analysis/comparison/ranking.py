"""More than two targets in one figure: the best first, and letters for what chance does not separate.

Two targets have a letter in common unless one is better than the other by a verdict that holds for all pairs together.
Letters are put together by insertion and absorption (Piepho, J. Comput. Graph. Stat. 13, 2004).
"""

from collections.abc import Iterable, Sequence
from string import ascii_lowercase

from lmx_loadgen.store.comparison import Comparison, LevelComparison, MetricComparison, RankedTarget, Ranking

_DECIDED = ("better", "worse")


def rankings(comparisons: Sequence[Comparison]) -> list[Ranking]:
    """Those of a run's comparisons, by level and figure; none where there are no more than two targets.

    A figure has none where any pair was refused it, or there are too few requests.
    """
    names = list(dict.fromkeys(side.target for one in comparisons for side in (one.a, one.b)))
    if len(names) < 3:
        return []
    places = {level.load_point: level for one in comparisons for level in one.levels}
    return [
        ranking
        for point in sorted(places, key=lambda point: point.order)
        for figure in places[point].metrics
        if (ranking := _ranking(figure, _at(comparisons, places[point], figure), len(names))) is not None
    ]


Pairs = dict[tuple[str, str], tuple[LevelComparison, MetricComparison]]


def _at(comparisons: Sequence[Comparison], place: LevelComparison, figure: str) -> Pairs:
    """What the pairs say of a figure at a level."""
    return {
        (one.a.target, one.b.target): (level, level.metrics[figure])
        for one in comparisons
        for level in one.levels
        if level.load_point == place.load_point and figure in level.metrics
    }


def _ranking(figure: str, pairs: Pairs, targets: int) -> Ranking | None:
    values: dict[str, float] = {}
    for (a, b), (_, found) in pairs.items():
        if found.a is None or found.b is None or found.is_untested:
            return None
        values.setdefault(a, found.a)
        values.setdefault(b, found.b)
    if len(values) < targets or len(pairs) < targets * (targets - 1) // 2:
        return None
    level, found = next(iter(pairs.values()))
    order = sorted(values, key=lambda name: values[name], reverse=found.better == "higher")
    apart = {frozenset(pair) for pair, (_, one) in pairs.items() if one.verdict in _DECIDED}
    given = letters(order, apart)
    return Ranking(
        load_point=level.load_point,
        figure=figure,
        title=found.title,
        unit=found.unit,
        better=found.better,
        targets=[RankedTarget(target=name, value=values[name], letters=given[name]) for name in order],
    )


def letters(order: Sequence[str], apart: Iterable[frozenset[str]]) -> dict[str, str]:
    """The letters of each name, best first: two have one in common just where they are not `apart`."""
    groups = [frozenset(order)]
    for pair in apart:
        split: list[frozenset[str]] = []
        for group in groups:
            split += [group - {name} for name in pair] if pair <= group else [group]
        groups = [one for one in dict.fromkeys(split) if not any(one < other for other in split)]
    groups.sort(key=lambda group: sorted(order.index(name) for name in group))
    return {
        name: "".join(ascii_lowercase[place % 26] for place, group in enumerate(groups) if name in group)
        for name in order
    }
