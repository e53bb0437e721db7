"""What `run` measures without `--target`: it looks which servers are there, and asks where somebody can answer."""

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from lmx_loadgen.commands.targets import names
from lmx_loadgen.errors import InputError
from lmx_loadgen.profile.loading import load_profile
from lmx_loadgen.profile.models import Profile
from lmx_loadgen.profile.replay import asked_prompts
from lmx_loadgen.report.sanitize import sanitize
from lmx_loadgen.session.choice import SamePair, Selection, automatic, fits_into, offers, same_pairs
from lmx_loadgen.session.instrument import tls
from lmx_loadgen.session.options import Options
from lmx_loadgen.system import folders, host
from lmx_loadgen.targets import own
from lmx_loadgen.targets.address import AUTO, is_loopback
from lmx_loadgen.targets.found import FoundServer
from lmx_loadgen.targets.here import look_around
from lmx_loadgen.targets.prepare import Access

_LINE = 1000
_SIMULATOR = Selection(("sim",))


def with_targets(flags: Mapping[str, Any], asked: Profile) -> Mapping[str, Any]:
    """The flags of `run` with targets: those given, else the profile's, else those that are found and chosen. `asked`
    is the profile without any.

    Raises InputError and ProfileError.
    """
    targets = flags["targets"]
    if AUTO in targets and len(targets) > 1:
        raise InputError(f"--target {AUTO} stands for every local server: give no other --target beside it")
    if (targets and AUTO not in targets) or (not targets and load_profile(flags["profile"]).targets):
        return flags
    asked_prompts(asked, Path())  # what is wrong with it is known before anybody is asked
    found = _local_servers(flags)
    if is_interactive(flags):
        selection = _asked(found)
    elif flags["yes"] or targets:
        selection = _taken(found, say=not flags["quiet"])
    else:
        selection = _simulator(found, say=not flags["quiet"])
    models = [text for text in selection.models if text.partition("=")[0] not in _named(flags["models"])]
    isolate = flags["isolate"] or selection.isolate
    return {**flags, "targets": selection.targets, "models": (*models, *flags["models"]), "isolate": isolate}


def is_interactive(flags: Mapping[str, Any]) -> bool:
    """Whether there is somebody to ask, who wants to be asked."""
    return sys.stdin.isatty() and sys.stderr.isatty() and not (flags["yes"] or flags["as_json"] or flags["quiet"])


def _local_servers(flags: Mapping[str, Any]) -> list[FoundServer]:
    """Nothing but this machine is asked: a target of one's own elsewhere is measured when it is named."""
    trusted = tls(Options(insecure=flags["insecure"], ca_file=flags["ca_file"]))
    access = Access(os.environ, folders.home(), trusted, allow_plain_http=flags["allow_plain_http"])
    return look_around(access, [spec for spec in own.read_own().values() if is_loopback(spec.url or "")])


def _asked(found: Sequence[FoundServer]) -> Selection:
    """The user's choice; without a server there is none to make."""
    if not any(one.measurable for one in found):
        return _simulator(found, say=True)
    fits = fits_into(host.facts()["memory_gb"])
    choices = offers(found, fits)
    for number, offer in enumerate(choices, start=1):
        _say(f"{number:3}  {offer.words}")
    for one in found:
        if not one.measurable:
            _say(f"not now: {one.name} ({one.reason}){f': {one.command}' if one.command else ''}")
    for pair in same_pairs(found, fits):
        if not pair.both_loaded and not pair.needs_isolation:
            _say(_load_first(pair))
    number = click.prompt("Measure which", type=click.IntRange(1, len(choices)), default=1, err=True)
    return choices[number - 1].selection


def _taken(found: Sequence[FoundServer], *, say: bool) -> Selection:
    """Every local server that has a model loaded."""
    selection = automatic(found)
    if selection is None:
        why = "no local server has a model loaded" if found else "no server answers on this machine"
        _first_line(f"Measuring the built-in simulator: {why}.", found, say)
        return _SIMULATOR
    if say:
        models = {name: model for name, _, model in (text.partition("=") for text in selection.models)}
        taken = [one for one in found if one.target in selection.targets]
        shown = [f"{one.name} ({models.get(one.name, one.candidates[0])})" for one in taken]
        _say(f"Measuring {', '.join(shown)}.")
        for pair in same_pairs(found, fits_into(host.facts()["memory_gb"])):
            if pair.both_loaded and pair.needs_isolation:
                both = " and ".join(one.name for one in pair.servers)
                _say(f"Memory may not hold the models of {both}: --isolate has each unload its model for the other.")
    return selection


def _simulator(found: Sequence[FoundServer], *, say: bool) -> Selection:
    if not found:
        _first_line("Measuring the built-in simulator: no server answers on this machine.", found, say)
        return _SIMULATOR
    there = "; ".join(f"{one.name} ({names(one.loaded) if one.loaded else one.reason})" for one in found)
    ready = [one for one in found if one.is_picked_automatically]
    how = "--yes measures those with a model loaded, --target NAME one of them" if ready else "see lmx-loadgen targets"
    _first_line(f"Measuring the built-in simulator. Servers on this machine: {there}. To measure them: {how}.", [], say)
    return _SIMULATOR


def _first_line(words: str, found: Sequence[FoundServer], say: bool) -> None:
    if not say:
        return
    _say(words)
    for one in found:
        if one.command is not None:
            _say(f"{one.name}: {one.reason or 'measured only when named'}: {one.command}")


def _load_first(pair: SamePair) -> str:
    waiting = pair.waiting
    model = pair.models[pair.servers.index(waiting)]
    command = waiting.dialect.how_to_load(model, waiting.base_url)
    return f"{waiting.name} has the same model as {pair.servers[1 - pair.servers.index(waiting)].name}: {command}"


def _named(models: Sequence[str]) -> set[str]:
    return {text.partition("=")[0] for text in models}


def _say(words: str) -> None:
    click.echo(sanitize(words, _LINE), err=True)
