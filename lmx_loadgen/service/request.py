"""What `POST /admin/benchmark/run` takes: the plan's fields, with the plan's bounds."""

from functools import cache
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from lmx_loadgen.profile.checks import SkillName, SkillSpec
from lmx_loadgen.profile.loading import load_profile
from lmx_loadgen.profile.models import Profile, TargetSpec

PLAN = "plan"
_MOST_SKILLS = 50


@cache
def plan_profile() -> Profile:
    """The profile that comes with the package for a run of the plan."""
    return load_profile(PLAN)


def plan_prompt() -> str:
    """The plan's default prompt, about transformer networks."""
    return plan_profile().prompts.text or ""


class BenchmarkRequest(BaseModel):
    """What is asked of a run of the plan."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, protected_namespaces=())

    model_id: Annotated[str, Field(min_length=1, max_length=200)]
    prompt: Annotated[str, Field(min_length=1, max_length=1_000_000)] = Field(default_factory=plan_prompt)
    num_output_tokens: Annotated[int, Field(ge=50, le=2000)] = 200
    runs: Annotated[int, Field(ge=1, le=20)] = 5
    temperature: Annotated[float, Field(ge=0, le=2)] = 0.0
    warmup_runs: Annotated[int, Field(ge=0, le=3)] = 1
    include_tool_call: bool = True
    include_skills: Annotated[list[SkillName], Field(max_length=_MOST_SKILLS)] = []

    def profile(self, target: TargetSpec, tokenizer: str | None) -> Profile:
        """The load profile of such a run: one request at a time, on one server."""
        plan = plan_profile()
        skills = [SkillSpec(name=name) for name in self.include_skills]
        changed = {
            "targets": [target.model_copy(update={"model": self.model_id})],
            "load": plan.load.model_copy(update={"requests": self.runs, "warmup": self.warmup_runs}),
            "prompts": plan.prompts.model_copy(update={"text": self.prompt}),
            "request": plan.request.model_copy(
                update={"max_tokens": self.num_output_tokens, "temperature": self.temperature}
            ),
            "checks": plan.checks.model_copy(
                update={"include_tool_call": self.include_tool_call, "include_skills": skills}
            ),
            "tokenizer": tokenizer,
        }
        return plan.model_copy(update=changed)
