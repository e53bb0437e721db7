"""The profile of a run, out of what a user names: a profile, settings over it, targets and their models."""

from collections.abc import Mapping, Sequence
from typing import Any

from lmx_loadgen.errors import InputError
from lmx_loadgen.profile.loading import load_profile, overridden
from lmx_loadgen.profile.models import Profile, TargetSpec
from lmx_loadgen.targets.own import find_target, with_address


def asked_profile(
    profile: str = "quick",
    *,
    targets: Sequence[str] = (),
    models: Sequence[str] = (),
    overrides: Mapping[str, Any] | None = None,
    flags: Mapping[str, str] | None = None,
) -> Profile:
    """The profile of that name or file with everything applied. Without any target, the simulator is the one.

    `overrides` go by dotted keys; `flags` says which flag each came from, for what is said of a wrong value. A target
    is written `NAME`, `NAME=URL`, `NAME=DIALECT+URL` or as an address, a model `ID` or `TARGET=ID`. Raises ProfileError
    or InputError.
    """
    values = dict(overrides or {})
    if values.get("load.duration") is not None:  # by time alone, where no number was asked for
        values.setdefault("load.requests", None)
    if (values.get("load.rate") or values.get("load.replay")) and "load.concurrency" not in values:
        values["load.concurrency"] = []  # the levels of a profile, and its amounts, are for its own loads
        values.setdefault("load.requests", None)
        values.setdefault("load.duration", None)
    found = overridden(load_profile(profile), values, flags)
    specs = [find_target(text) for text in targets] or [with_address(spec) for spec in found.targets]
    specs = specs or [TargetSpec(name="sim")]
    names = [spec.name for spec in specs]
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"--target {name} is given twice; name one of them otherwise, like {name}2=URL")
    for text in models:
        specs = _with_model(specs, text)
    return found.model_copy(update={"targets": specs})


def _with_model(specs: list[TargetSpec], text: str) -> list[TargetSpec]:
    name, sign, model = text.partition("=")
    if sign and name in [spec.name for spec in specs]:
        return [spec.model_copy(update={"model": model}) if spec.name == name else spec for spec in specs]
    if len(specs) > 1:
        raise InputError(f"--model {text!r}: with several targets say which one, like --model {specs[0].name}=ID")
    return [specs[0].model_copy(update={"model": text})]
