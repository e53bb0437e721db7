"""Two sides and what both have: the levels, what can be counted at them, and what the audit refuses there."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lmx_loadgen.analysis.comparison import verdict
from lmx_loadgen.analysis.comparison.audit import refuses
from lmx_loadgen.analysis.comparison.blocks import COMPARED, Arm
from lmx_loadgen.analysis.comparison.finding import At
from lmx_loadgen.analysis.level import basis_of
from lmx_loadgen.analysis.record_store import where
from lmx_loadgen.analysis.tokens import Basis
from lmx_loadgen.errors import ResultError
from lmx_loadgen.profile.load_point import LoadPoint, labels
from lmx_loadgen.store.comparison import AuditLine, ReasonCode


@dataclass(frozen=True)
class Rules:
    """What a comparison goes by. `accepted` is the reason for which failed checks are overridden; `comparisons` counts
    the levels of all targets of a run that is not over, or has several comparisons."""

    margin: float = verdict.MARGIN
    accepted: str | None = None
    comparisons: int | None = None


@dataclass(frozen=True)
class Side:
    """One side of separate runs: its runs, each one observation, and `earlier` ones of the same work, which only tell
    how far such runs lie apart."""

    runs: Sequence[Arm]
    earlier: Sequence[Arm] = ()


def places_of(a: Arm, b: Arm) -> list[At]:
    shared = sorted(set(a.load_points) & set(b.load_points), key=lambda point: point.order)
    places = [level_of(a, b, point) for point in shared if a.at(point) and b.at(point)]
    if not places:
        raise ResultError(
            f"{a.label} and {b.label} were measured at no load in common "
            f"({labels(a.load_points) or 'none'} against {labels(b.load_points) or 'none'}): nothing can be compared"
        )
    return places


def level_of(a: Arm, b: Arm, point: LoadPoint) -> At:
    return At(a, b, point, common_basis(a, b, point))


def common_basis(a: Arm, b: Arm, point: LoadPoint) -> Basis | None:
    """What can be counted in the answers of both: tokens, else characters, else nothing."""
    answers = [where(arm.at(point), lambda one: one.ok) for arm in (a, b)]
    bases = [basis_of(arm.target, of_arm) for arm, of_arm in zip((a, b), answers, strict=True)]
    prompt_exact = all(one.prompt_exact for one in bases)
    if all(one.kind == bases[0].kind and one.exact for one in bases):
        return Basis(bases[0].kind, True, prompt_exact)
    usage = [basis_of(arm.target, of_arm, tokenizer=False) for arm, of_arm in zip((a, b), answers, strict=True)]
    if all(one.kind == "usage" and one.exact for one in usage):
        return Basis("usage", True, all(one.prompt_exact for one in usage))
    if all(answer.characters for of_arm in answers for answer in of_arm):
        return Basis("characters", False, False)
    return None


def basis_at(at: At) -> Basis:
    return at.basis or Basis("events", False, False)


def refusals_at(at: At, lines: Sequence[AuditLine], rules: Rules) -> dict[str, tuple[ReasonCode, str]]:
    if rules.accepted is not None:
        return {}
    found: dict[str, tuple[ReasonCode, str]] = {}
    for name in COMPARED:
        mine = [line for line in lines if line.key != "carry_over" and refuses(line, name, at.load_point)]
        if mine:
            code: ReasonCode = "tainted" if all(line.key == "tainted" for line in mine) else "audit"
            found[name] = code, "; ".join(line.sentence for line in mine)
    return found


def starts_of(a: Arm, b: Arm) -> tuple[float, float]:
    starts = [arm.unix_s(arm.header["clock"]["mono_ns"]) for arm in (a, b)]
    return starts[0], starts[1]


def machine_of(header: Mapping[str, Any]) -> tuple[str, str] | None:
    """What a run's machine is known by, as a kind of name and the name; None where its header does not say. Earlier
    versions had another kind."""
    host = header["host"]
    kind = "machine_id" if "machine_id" in host else "name"
    return (kind, str(host[kind])) if host.get(kind) else None


def are_several_machines(headers: Iterable[Mapping[str, Any]]) -> bool:
    """Whether runs surely come from more than one machine: of two kinds of names nobody knows."""
    machines = {machine for header in headers if (machine := machine_of(header)) is not None}
    return len(machines) > len({kind for kind, _ in machines})
