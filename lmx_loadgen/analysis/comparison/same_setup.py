"""Were both sides asked for the same model, of the same weights, with the same settings?"""

from collections.abc import Sequence

from lmx_loadgen.analysis.asked import asked_of
from lmx_loadgen.analysis.comparison.blocks import Arm
from lmx_loadgen.analysis.comparison.finding import AuditFinding, checked
from lmx_loadgen.analysis.comparison.overlap import are_identical
from lmx_loadgen.analysis.model_names import read_name, weight_bits


def model(a: Arm, b: Arm) -> AuditFinding:
    """By what the answers say they came from, where they do; else by what was asked for."""
    asked = str(a.target["model"]), str(b.target["model"])
    answered = a.models_answered, b.models_answered
    words = tuple(_model_words(*one) for one in zip(answered, asked, strict=True))
    observed = (words[0], words[1])
    if any(len(names) > 1 for names in answered):
        return AuditFinding(
            "failed",
            observed,
            f"several models answered on one side: {observed[0]} on {a.label}, {observed[1]} on {b.label}",
        )
    names = tuple(found[0] if found else wanted for found, wanted in zip(answered, asked, strict=True))
    if names[0] == names[1]:
        return AuditFinding("passed", observed)
    one, other = (read_name(name) for name in names)
    parts = [(one.family, other.family), (one.size, other.size)]
    both_named = one.family is not None and other.family is not None
    other_kind = both_named and one.variants != other.variants
    if other_kind or any(x != y for x, y in parts if x is not None and y is not None):
        return AuditFinding(
            "failed", observed, f"the models differ: {observed[0]} on {a.label}, {observed[1]} on {b.label}"
        )
    if all(x is not None and y is not None for x, y in parts):
        return AuditFinding("passed", observed)
    return AuditFinding("unknown", observed, "the names of the models do not tell whether they are the same")


def _model_words(answered: Sequence[str], asked: str) -> str:
    if len(answered) != 1 or answered[0] == asked:
        return ", ".join(answered) or asked
    return f"{answered[0]} (asked for {asked})"


def quantization(a: Arm, b: Arm) -> AuditFinding:
    """By what the servers tell, or the model's name; else by identical answers. One name may stand for other weights on
    either side."""
    bits = [_bits(arm) for arm in (a, b)]
    words = (_weights(bits[0]), _weights(bits[1]))
    if bits[0] is None or bits[1] is None:
        same = are_identical(a, b)
        if same:
            return AuditFinding("passed", words, "both gave word for word the same answers to the same requests")
        others = "" if same is None else ", and the same requests got other answers"
        return AuditFinding("unknown", words, f"not every server tells the bits of its weights{others}")
    sentence = f"the weights differ: {words[0]} on {a.label}, {words[1]} on {b.label}"
    return checked(bits[0] == bits[1], words, sentence)


def settings(a: Arm, b: Arm) -> AuditFinding:
    """Whether two runs asked for the same; within one run they did."""
    for key, one, other in asked_of(a.header).differences(asked_of(b.header)):
        return AuditFinding(
            "failed", (f"{key}: {one}", f"{key}: {other}"),
            f"the runs did not ask for the same: {key} is {one} on {a.label} and {other} on {b.label}",
        )  # fmt: skip
    return AuditFinding("passed", ("the same", "the same"))


def _bits(arm: Arm) -> float | None:
    quantization = arm.target.get("server", {}).get("quantization")
    return weight_bits(quantization) or read_name((arm.models_answered or [str(arm.target["model"])])[0]).bits


def _weights(bits: float | None) -> str:
    return "unknown" if bits is None else f"{bits:g}-bit"
