"""JSON schemas of the two stored formats, as `lmx-loadgen schema` prints them."""

from typing import Annotated, Any

from pydantic import Field, TypeAdapter

from lmx_loadgen.store import eventlog, lines, result

_DIALECT = "https://json-schema.org/draft/2020-12/schema"


def schemas() -> dict[str, Any]:
    """Both schemas by the name of the file they describe (JSON Schema 2020-12)."""
    line: TypeAdapter[Any] = TypeAdapter(
        Annotated[
            lines.HeaderLine
            | lines.RequestLine
            | lines.SegmentLine
            | lines.HostStateLine
            | lines.SampleLine
            | lines.CheckLine
            | lines.ResumeLine
            | lines.AgainLine
            | lines.EndLine,
            Field(discriminator="type"),
        ]
    )
    return {
        eventlog.NAME: {
            "$schema": _DIALECT,
            "description": "One JSON object a line, in the order things happened.",
            **line.json_schema(),
        },
        result.NAME: {
            "$schema": _DIALECT,
            **result.RunResult.model_json_schema(by_alias=True, mode="serialization"),
        },
    }
