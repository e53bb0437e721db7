"""What a profile asks a model to do beside the load: tool calls, skills, and answers that should be the same."""

from typing import Annotated, Any

from pydantic import BeforeValidator, Field, StrictBool, model_validator

from lmx_loadgen.profile.fields import Duration, Name, ProfilePart
from lmx_loadgen.profile.json_schema import has_pattern


def _check_schema(tool: str, schema: Any) -> None:
    from jsonschema import SchemaError, validators

    if not isinstance(schema, dict):
        raise ValueError(f"the `parameters` of {tool} must be a JSON schema")
    if has_pattern(schema):
        raise ValueError(
            f"the `parameters` of {tool} have a `pattern`, which could take for ever; use `enum` or `type`"
        )
    try:
        validators.validator_for(schema).check_schema(schema)
    except SchemaError as error:
        raise ValueError(f"the `parameters` of {tool} are no JSON schema: {error.message}") from None


def _skill(value: Any) -> Any:
    return {"name": value} if isinstance(value, str) else value


SkillName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.@/-]{0,119}$")]


class SkillSpec(ProfilePart):
    """A skill to run; without `arguments` it gets the least that its own schema asks for."""

    name: SkillName
    arguments: dict[str, Any] | None = None


class ToolCallSpec(ProfilePart):
    """A tool call to ask for: the `tools` on offer as OpenAI's API writes them, and which of them the prompt `expect`s
    to be called."""

    prompt: Annotated[str, Field(min_length=1, max_length=100_000)]
    expect: Name
    tools: Annotated[list[dict[str, Any]], Field(min_length=1, max_length=100)]

    @model_validator(mode="after")
    def _is_on_offer(self) -> "ToolCallSpec":
        names = []
        for tool in self.tools:
            function = tool.get("function")
            if not isinstance(function, dict) or not isinstance(function.get("name"), str):
                raise ValueError("each of `tools` must have a `function` with a `name`")
            names.append(function["name"])
            _check_schema(function["name"], function.get("parameters", {}))
        if self.expect not in names:
            raise ValueError(f"`expect` must name one of the tools: {', '.join(names)}")
        return self


class Checks(ProfilePart):
    """What a model is asked to do beside the load, outside all measured windows.

    `include_tool_call` asks for `tool_calls`, or where there are none for the weather in Sydney. `stability` compares
    answers to one prompt alone and among others, where the temperature is 0 and a level has more than one slot.
    `skill_timeout` is in seconds.
    """

    include_tool_call: StrictBool = False
    tool_calls: list[ToolCallSpec] = Field(default=[], max_length=50)
    include_skills: list[Annotated[SkillSpec, BeforeValidator(_skill)]] = Field(default=[], max_length=50)
    skill_timeout: Duration = 30.0
    stability: StrictBool = True
