"""What the tool knows of a server: a `Dialect` is a value, one small file for each."""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from lmx_loadgen.decode.chat import StreamRules
from lmx_loadgen.profile.models import Request
from lmx_loadgen.system.api_keys import Keys
from lmx_loadgen.targets.client import AdminClient
from lmx_loadgen.targets.products import Recognize

Loaded = Callable[[AdminClient], Awaitable[list[str]]]
AskModel = Callable[[AdminClient, str], Awaitable[str | None]]


@dataclass(frozen=True, slots=True)
class Residency:
    """How a server is asked to take a model into memory and to let go of it: None when it did, else why not."""

    load: AskModel
    unload: AskModel
    needs_admin_key: bool = False


@dataclass(frozen=True, slots=True)
class Dialect:
    """One kind of server.

    Its `default_url` is where it is looked for on this machine. Who answers is found out by `targets.recognize`, with
    its own `recognize` where it has one. `place` is its place in lists of servers.

    `loaded` lists the chat models that are loaded now, where `GET /v1/models` does not tell; where that lists the whole
    cache on disk, it `lists_cache`. `fields` are the optional request fields it understands among `seed`, `ignore_eos`,
    `min_tokens`, `stream_options`. `default_model` is what to ask for when the server cannot tell what it has.
    `quantization` asks how the weights of a model are quantized, in the server's own word for it, where its API tells;
    `residency` is how it loads and unloads, where it can be asked to. `load_hint` is what its user does to load the
    model `{model}` on the server at `{root}`.
    """

    name: str
    title: str
    default_url: str | None
    key_env: str
    loaded: Loaded | None = None
    lists_cache: bool = False
    admin_key_env: str | None = None
    rules: StreamRules = field(default_factory=StreamRules)
    fields: frozenset[str] = frozenset({"seed", "stream_options"})
    default_model: str | None = None
    quantization: AskModel | None = None
    residency: Residency | None = None
    start_hint: str = "start the server"
    load_hint: str = "load it there first"
    recognize: Recognize | None = None
    place: int = 50

    def how_to_load(self, model: str, base_url: str) -> str:
        """What its user does to load the model, in words that end with the command."""
        return self.load_hint.format(model=model, root=base_url.removesuffix("/v1"))

    def load_command(self, model: str, base_url: str) -> str:
        """The command alone; empty where there is none."""
        return self.how_to_load(model, base_url).partition(": ")[2]

    @property
    def is_generic(self) -> bool:
        """Whether it stands for any server of the OpenAI API, of which nothing more is known."""
        return self.name == "openai"


@dataclass(frozen=True, slots=True)
class Target:
    """A server that is ready to be measured. `headers` carry its key and stay out of every text made of this.

    `is_loaded` is false where its model is to be loaded before its blocks, which only `--isolate` does. Its requests do
    without the fields in `left_out` and use other names for those in `renamed`: it refuses them as they are. Where it
    `merges_system`, its chat template has no system role. `card` is its dialect card, where one is known.
    """

    name: str
    dialect: Dialect
    base_url: str
    model: str
    server: dict[str, str | None]
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    admin_headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    notes: tuple[str, ...] = ()
    is_loaded: bool = True
    left_out: frozenset[str] = frozenset()
    renamed: Mapping[str, str] = field(default_factory=dict)
    merges_system: bool = False
    card: Mapping[str, Any] | None = None


def request_body(
    target: Target,
    endpoint: str,
    messages: Sequence[Mapping[str, Any]],
    settings: Request,
    tools: Sequence[Mapping[str, Any]] = (),
) -> dict[str, Any]:
    """The JSON body of one streaming request, with only such fields as the server understands; the user's own `extra`
    comes last. `tools` are on offer in chats.

    Temperature is always sent: servers differ in what they assume. Plain completions get the messages' texts, joined
    by empty lines.
    """
    dialect = target.dialect
    body: dict[str, Any] = {"model": target.model}
    if endpoint == "chat":
        body["messages"] = without_system(messages) if target.merges_system else list(messages)
        body |= {"tools": list(tools)} if tools else {}
    else:
        body["prompt"] = "\n\n".join(text_of(message.get("content")) for message in messages)
    body |= {"max_tokens": settings.max_tokens, "temperature": settings.temperature, "stream": True}
    if "stream_options" in dialect.fields:
        body["stream_options"] = {"include_usage": True}
    if settings.seed is not None and "seed" in dialect.fields:
        body["seed"] = settings.seed
    if settings.ignore_eos and "ignore_eos" in dialect.fields:
        body["ignore_eos"] = True
    if settings.ignore_eos and "min_tokens" in dialect.fields:
        body["min_tokens"] = settings.max_tokens
    adapted = {target.renamed.get(name, name): value for name, value in body.items() if name not in target.left_out}
    return adapted | dict(settings.extra)


def without_system(messages: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The same texts without a system role: the system's stand before the first message of the user, where the chat
    templates that have no such role put them."""
    system = [text_of(message.get("content")) for message in messages if message.get("role") == "system"]
    others = [message for message in messages if message.get("role") != "system"]
    at = next((place for place, message in enumerate(others) if message.get("role") == "user"), None)
    if not system:
        return others
    if at is None:
        return [{"role": "user", "content": "\n\n".join(system)}, *others]
    content = others[at].get("content")
    if isinstance(content, list):
        content = [{"type": "text", "text": "\n\n".join(system)}, *content]
    else:
        content = "\n\n".join([*system, text_of(content)])
    return [*others[:at], {**others[at], "content": content}, *others[at + 1 :]]


def text_of(content: Any) -> str:
    """The text of a message's content: itself, or its parts' texts, a line each."""
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else []
    return "\n".join(part["text"] for part in parts if isinstance(part, dict) and isinstance(part.get("text"), str))


def keys_of(targets: Iterable[Target]) -> Keys:
    """Every key that a request to one of the targets may carry."""
    return Keys.sent_in(*(headers for target in targets for headers in (target.headers, target.admin_headers)))
