"""What a run measures when it is told no target: every local server with a model loaded, or one of the offers made to
the user, among them the same model on two products head to head."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

from lmx_loadgen.analysis.model_names import read_name, same_weights
from lmx_loadgen.targets.found import FoundServer

# What of a machine's memory holds weights: a Mac's graphics cores get three quarters of it, unless it was changed.
_SHARE_FOR_WEIGHTS = 0.75
_BEYOND_WEIGHTS = 1.1
_GB = 1e9

# Given bytes: whether so much fits into memory; None where that is not known.
Fits = Callable[[int], bool | None]


@dataclass(frozen=True, slots=True)
class Selection:
    """Targets and models as `run` takes them on its command line."""

    targets: tuple[str, ...]
    models: tuple[str, ...] = ()
    isolate: bool = False


@dataclass(frozen=True, slots=True)
class SamePair:
    """One model on two servers, by the names that each has for it; `fits` is whether memory holds both."""

    servers: tuple[FoundServer, FoundServer]
    models: tuple[str, str]
    fits: bool | None

    @property
    def both_loaded(self) -> bool:
        return all(model in server.loaded for server, model in zip(self.servers, self.models, strict=True))

    @property
    def needs_isolation(self) -> bool:
        return self.fits is False

    @property
    def waiting(self) -> FoundServer:
        """The server that has yet to load it, where one has."""
        return next(s for s, model in zip(self.servers, self.models, strict=True) if model not in s.loaded)


@dataclass(frozen=True, slots=True)
class Offer:
    """A choice in words, and what it selects."""

    words: str
    selection: Selection


def automatic(found: Sequence[FoundServer]) -> Selection | None:
    """Every server that may be taken unasked; None where there is none. Of several models that a server has loaded, it
    is one that another server has too, else the first."""
    taken = [one for one in found if one.is_picked_automatically]
    if not taken:
        return None
    models = tuple(f"{one.name}={_shared_model(one, taken)}" for one in taken if len(one.candidates) > 1)
    return Selection(tuple(one.target for one in taken), models)


def offers(found: Sequence[FoundServer], fits: Fits) -> list[Offer]:
    """What the user may choose from: pairs of the same model first, then each server by itself, then all at once."""
    measurable = [one for one in found if one.measurable]
    made = [_pair_offer(pair) for pair in same_pairs(found, fits) if pair.both_loaded or pair.needs_isolation]
    made += [_single_offer(one) for one in measurable]
    everything = automatic(found)
    if everything is not None and len(everything.targets) > 1:
        together = ", ".join(one.name for one in found if one.target in everything.targets)
        several = Offer(f"all with a model loaded, by turns: {together}", everything)
        made += [several] if all(set(one.selection.targets) != set(everything.targets) for one in made) else []
    return [*made, Offer("the built-in simulator", Selection(("sim",)))]


def same_pairs(found: Sequence[FoundServer], fits: Fits) -> list[SamePair]:
    """Each two products that have one model under whatever names, at least one of them in memory; those first that both
    have it loaded. Proxies compute nothing, and strangers may be proxies."""
    eligible = [one for one in found if one.identity is not None and not one.is_proxy and one.problem is None]
    pairs = [pair for one, other in combinations(eligible, 2) for pair in _best_pair(one, other, fits)]
    return sorted(pairs, key=lambda pair: not pair.both_loaded)


def weight_bytes(server: FoundServer, model: str) -> int | None:
    """The size of a model's weights: as its server says, else by its name."""
    if server.inventory is not None and (told := server.inventory.sizes.get(model)) is not None:
        return told
    named = read_name(model)
    if named.size is None or named.bits is None or "x" in named.size or not named.size.endswith("b"):
        return None
    return round(float(named.size[:-1]) * _GB * named.bits / 8 * _BEYOND_WEIGHTS)


def fits_into(memory_gb: float | None) -> Fits:
    """Whether weights fit into a machine's memory."""

    def fits(size: int) -> bool | None:
        return None if memory_gb is None else size <= memory_gb * 2**30 * _SHARE_FOR_WEIGHTS

    return fits


def _shared_model(one: FoundServer, among: Sequence[FoundServer]) -> str:
    others = [model for other in among if other is not one for model in other.candidates]
    return next((mine for mine in one.candidates if any(_is_same(mine, other) for other in others)), one.candidates[0])


def _best_pair(one: FoundServer, other: FoundServer, fits: Fits) -> Iterator[SamePair]:
    """The pair of these two that needs the least, where there is any."""
    found = [
        SamePair((one, other), (mine, theirs), _both_fit((one, mine), (other, theirs), fits))
        for mine in one.installed
        for theirs in other.installed
        if (mine in one.loaded or theirs in other.loaded) and _is_same(mine, theirs)
    ]
    usable = [pair for pair in found if pair.both_loaded or pair.waiting.dialect.residency is not None]
    if usable:
        yield min(usable, key=lambda pair: not pair.both_loaded)


def _is_same(one: str, other: str) -> bool:
    return one == other or same_weights(one, other)


def _both_fit(one: tuple[FoundServer, str], other: tuple[FoundServer, str], fits: Fits) -> bool | None:
    sizes = [weight_bytes(*one), weight_bytes(*other)]
    known = [size for size in sizes if size is not None]
    # The same model: where one size is not known, the other stands for it.
    return fits(sum(known) if len(known) == 2 else 2 * known[0]) if known else None


def _pair_offer(pair: SamePair) -> Offer:
    one, other = pair.servers
    words = f"{one.name} and {other.name} head to head: {pair.models[0]}"
    words += "" if pair.models[0] == pair.models[1] else f" is {pair.models[1]} there"
    if pair.needs_isolation:
        words += "; memory does not hold both, so each unloads its model for the other (--isolate)"
    models = tuple(
        f"{server.name}={model}"
        for server, model in zip(pair.servers, pair.models, strict=True)
        if len(server.candidates) > 1 or pair.needs_isolation
    )
    return Offer(words, Selection((one.target, other.target), models, pair.needs_isolation))


def _single_offer(one: FoundServer) -> Offer:
    model = one.model or next(iter(one.candidates))
    version = f" {one.version}" if one.version else ""
    reason = f" ({one.reason})" if one.reason else ""
    chosen = (f"{one.name}={one.model}",) if one.model is not None else ()
    return Offer(f"{one.name}: {one.title}{version}, {model}{reason}", Selection((one.target,), chosen))
