"""What one request may order for itself, in the body field "sim" or the header X-Sim."""

from pydantic import ConfigDict, TypeAdapter, ValidationError
from typing_extensions import TypedDict  # below Python 3.12 pydantic takes no other

from lmx_loadgen.errors import InputError
from lmx_loadgen.profile.mistakes import joined, mistakes
from lmx_loadgen.sim.settings import Amount, Count, CountFromOne, FaultName


class Orders(TypedDict, total=False):
    """Each like the setting of that name (`after` and `seconds` of a fault), for this request alone."""

    __pydantic_config__ = ConfigDict(strict=True, extra="forbid")  # type: ignore[misc]

    fault: FaultName
    after: Count
    seconds: Amount
    text: str
    output_tokens: Count
    ttft_ms: Amount
    tokens_per_chunk: CountFromOne
    stream_interval: CountFromOne
    drafted_tokens: Count
    thought_tokens: Count
    burst: bool


_ORDERS = TypeAdapter(Orders)


def check_orders(data: object) -> Orders:
    """The orders one request gives, checked. Raises InputError with every mistake."""
    if not isinstance(data, dict):
        raise InputError('"sim" must be an object such as {"fault": "reset_mid"}')
    try:
        return _ORDERS.validate_python(data)
    except ValidationError as problem:
        found = mistakes(problem, data, '"sim" key {}'.format, lambda _: list(Orders.__annotations__))
        raise InputError(joined(found)) from None
