"""Who answers at an address: the product, by what it alone says of itself.

Servers imitate each other (LocalAI and llama-swap answer Ollama's `/api/version`, LM Studio answers any path with 200),
so the questions come in an order in which no answer can be mistaken, and a status alone proves nothing. What a
dialect declares itself is asked before signs that several servers give. All of them are
GETs without a key: whoever has not been recognized is told no secret.
"""

from collections.abc import Iterator

from lmx_loadgen.targets import DIALECTS
from lmx_loadgen.targets.client import AdminClient, version_in
from lmx_loadgen.targets.products import Identity, Product, Recognize, ServerQuestions

OPTA_LMX = Product("opta-lmx", "Opta-LMX", "lmx")
LM_STUDIO = Product("lm-studio", "LM Studio", "lmstudio")
OLLAMA = Product("ollama", "Ollama", "ollama")
LLAMA_CPP = Product("llama.cpp", "llama.cpp's llama-server", "llamacpp")
MLX_LM = Product("mlx-lm", "mlx_lm.server", "mlx-lm")
VLLM = Product("vllm", "vLLM", "vllm")
SIMULATOR = Product("sim", "the built-in simulator", "sim")
LOCAL_AI = Product("localai", "LocalAI")
LLAMA_SWAP = Product("llama-swap", "llama-swap", is_proxy=True)
DOCKER = Product("docker-model-runner", "Docker Model Runner", is_proxy=True)
LITELLM = Product("litellm", "LiteLLM", is_proxy=True)
VLLM_MLX = Product("vllm-mlx", "vllm-mlx")
OMLX = Product("omlx", "oMLX")
OSAURUS = Product("osaurus", "Osaurus")
KOBOLD_CPP = Product("koboldcpp", "KoboldCpp")
GPT4ALL = Product("gpt4all", "GPT4All")
MLX_OMNI = Product("mlx-omni-server", "MLX Omni Server")
TEXT_GENERATION_WEBUI = Product("text-generation-webui", "text-generation-webui")
EXO = Product("exo", "exo")

_OWNERS = {"vllm": VLLM, "omlx": OMLX, "humanity": GPT4ALL, "llamacpp": LLAMA_CPP}
_ROOT_TEXTS = {
    "Ollama is running": OLLAMA,
    "Docker Model Runner is running": DOCKER,
    "Osaurus": OSAURUS,
}


# By address: the question that recognized the server there, and as whom.
KnownServers = dict[str, tuple[Recognize, Identity]]


async def identify(client: AdminClient, known: KnownServers | None = None) -> Identity | None:
    """The product that answers at the client's address; None where it is none of those known.

    Of a server in `known` only the question that recognized it is asked: the same product in the same version is the
    same server. Raises httpx.ConnectError where nobody answers, and NotInTime.
    """
    questions = ServerQuestions(client)
    former = known.get(client.base_url) if known is not None else None
    if former is not None and former[1].version and await former[0](questions) == former[1]:
        return former[1]
    for recognized in _in_order():
        if (found := await recognized(questions)) is not None:
            if known is not None:
                known[client.base_url] = (recognized, found)
            return found
    return None


async def _lm_studio(ask: ServerQuestions) -> Identity | None:
    if (await ask.json("/lmstudio-greeting")).get("lmstudio") is True:
        return Identity(LM_STUDIO)
    entries = (await ask.json("/api/v0/models")).get("data")  # versions before the greeting
    listed = entries if isinstance(entries, list) else []
    is_it = bool(listed) and all(isinstance(entry, dict) and "state" in entry for entry in listed)
    return Identity(LM_STUDIO) if is_it else None


async def _opta_lmx(ask: ServerQuestions) -> Identity | None:
    for path in ("/.well-known/opta-lmx", "/v1/discovery"):
        data = await ask.json(path)
        if data.get("service") == "opta-lmx":
            return Identity(OPTA_LMX, version_in(data, "version"))
    return None


async def _local_ai(ask: ServerQuestions) -> Identity | None:
    data = await ask.json("/.well-known/localai.json")
    is_it = bool(data) and "object" not in data and "data" not in data  # some answer any path with a list of models
    return Identity(LOCAL_AI, version_in(data, "version")) if is_it else None


async def _by_root_text(ask: ServerQuestions) -> Identity | None:
    reply = await ask.get("/")
    text = reply.words if reply is not None and reply.status == 200 else ""
    product = next((product for words, product in _ROOT_TEXTS.items() if text.startswith(words)), None)
    if product is None:
        return None
    about = await ask.json("/api/version") if product is OLLAMA else {}
    return None if "commit" in about else Identity(product, version_in(about, "version"))


async def _by_health(ask: ServerQuestions) -> Identity | None:
    health = await ask.json("/health")
    if health.get("server") == "lmx-loadgen-sim":
        return Identity(SIMULATOR, version_in(health, "version"))
    if "model_loaded" in health and "engine_type" in health:
        return Identity(VLLM_MLX, version_in(health, "version"))
    if "engine_pool" in health:
        return Identity(OMLX)
    if health.get("status") == "ok" and (await ask.server_header()).startswith("BaseHTTP"):
        return Identity(MLX_LM)
    return None


async def _llama_swap(ask: ServerQuestions) -> Identity | None:
    if not isinstance((await ask.json("/running")).get("running"), list):
        return None
    return Identity(LLAMA_SWAP, version_in(await ask.json("/api/version"), "version"))


async def _litellm(ask: ServerQuestions) -> Identity | None:
    reply = await ask.get("/health/liveliness")
    if reply is None or reply.status != 200 or reply.data != "I'm alive!":
        return None
    return Identity(LITELLM, version_in(await ask.json("/health/readiness"), "litellm_version"))


async def _by_server_header(ask: ServerQuestions) -> Identity | None:
    header = await ask.server_header()
    if header.startswith("ConcedoLlamaForKobold"):
        return Identity(KOBOLD_CPP, version_in(await ask.json("/api/extra/version"), "version"))
    props = await ask.json("/props")
    is_it = header.startswith("llama.cpp") or "default_generation_settings" in props
    return Identity(LLAMA_CPP, version_in(props, "build_info")) if is_it else None


async def _by_owner(ask: ServerQuestions) -> Identity | None:
    """By `owned_by` in the list of models, where it is given without a key."""
    entries = (await ask.json("/v1/models")).get("data")
    owners = (
        [entry.get("owned_by") for entry in entries if isinstance(entry, dict)] if isinstance(entries, list) else []
    )
    product = next((_OWNERS[owner] for owner in owners if isinstance(owner, str) and owner in _OWNERS), None)
    if product is None:
        return None
    return Identity(product, version_in(await ask.json("/version"), "version") if product is VLLM else "")


async def _by_version(ask: ServerQuestions) -> Identity | None:
    """vLLM behind a key lists no models, but says its version (so do LocalAI and Docker's: they were asked before)."""
    data = await ask.json("/version")
    return Identity(VLLM, version_in(data, "version")) if isinstance(data.get("version"), str) else None


async def _mlx_omni(ask: ServerQuestions) -> Identity | None:
    info = (await ask.json("/openapi.json")).get("info")
    is_it = isinstance(info, dict) and info.get("title") == "MLX Omni Server"
    return Identity(MLX_OMNI, version_in(info, "version")) if is_it else None


async def _text_generation_webui(ask: ServerQuestions) -> Identity | None:
    is_it = "model_name" in await ask.json("/v1/internal/model/info")
    return Identity(TEXT_GENERATION_WEBUI) if is_it else None


async def _exo(ask: ServerQuestions) -> Identity | None:
    reply = await ask.get("/node_id")
    is_text = reply is not None and reply.status == 200 and isinstance(reply.data, str)
    return Identity(EXO) if is_text and await ask.json("/state") else None


_STRONG: tuple[Recognize, ...] = (
    _lm_studio,
    _opta_lmx,
    _local_ai,
    _by_root_text,
    _llama_swap,
    _by_health,
    _litellm,
    _by_server_header,
)
# By signs that several servers may give.
_WEAK: tuple[Recognize, ...] = (_by_owner, _by_version, _mlx_omni, _text_generation_webui, _exo)


def _in_order() -> Iterator[Recognize]:
    yield from _STRONG
    yield from (dialect.recognize for dialect in DIALECTS.values() if dialect.recognize is not None)
    yield from _WEAK
