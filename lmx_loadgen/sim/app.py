"""From a request to its answer: routes, keys, models, and what a generation will say and when."""

import gc
import json
from asyncio import AbstractEventLoop
from random import Random

from lmx_loadgen.errors import InputError
from lmx_loadgen.sim.answer import Reply, ScriptedAnswer, ScriptedToolCall, State
from lmx_loadgen.sim.connection import Connection, HttpRequest
from lmx_loadgen.sim.dialects import DIALECTS
from lmx_loadgen.sim.dialects.base import Json
from lmx_loadgen.sim.engine import MS, Engine, Timeline
from lmx_loadgen.sim.exchange import Exchange, Services
from lmx_loadgen.sim.faults import FAULTS, REPLACED
from lmx_loadgen.sim.orders import Orders, check_orders
from lmx_loadgen.sim.script import Script, end_at_stop
from lmx_loadgen.sim.settings import SYSTEM_ROLE, SimSettings
from lmx_loadgen.sim.text import (
    ANSWER,
    BEGINNINGS,
    PrefixCache,
    count_prompt,
    has_system_role,
    prompt_text,
    seed_of,
    split_pieces,
)
from lmx_loadgen.sim.truth import TruthLog

ENDPOINTS = {"/v1/chat/completions": "chat", "/v1/completions": "completions"}
_PATTERNS = (
    ("/admin/models/", "{id}", "/performance"),
    ("/v1/skills/", "{name}", "/execute"),
    ("/v1/models/", "{id}", ""),
)
COLLECT_IDLE, COLLECT_BUSY = 2_000, 50_000  # answers after which garbage is collected: with nothing to do, or anyway


class Refused(Exception):  # not an error of ours, so not named one
    """The request gets a short reply instead of a generation."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(reply.status)
        self.reply = reply


class App:
    """One server's requests and state."""

    def __init__(self, settings: SimSettings, loop: AbstractEventLoop, token: str) -> None:
        self.settings = settings
        self.state = State(settings, list(settings.models), list(settings.installed))
        self.log = TruthLog(settings.log, loop)
        self.dialect = DIALECTS[settings.dialect]
        self._routes = self.dialect.routes()
        self._loop = loop
        self._token = token
        self._number = 0
        self._cache = PrefixCache() if settings.prefix_cache else None
        self._fault_random = Random(settings.seed ^ 0x5EED)
        self._sampling = Random(settings.seed ^ 0x7E41)
        self._text = None if settings.text is None else split_pieces(settings.text)
        self._live: set[Exchange] = set()
        self._collected = 0
        timeline = Timeline(loop)
        self._engine = Engine(settings, timeline)
        escaped = {piece: self.dialect.escape(piece) for piece in ANSWER + (self._text or [])}
        self._services = Services(self.dialect, self.state, timeline, self.log, escaped)

    def handle(self, conn: Connection, request: HttpRequest) -> None:
        """Answer one request, now or over time."""
        try:
            if request.path in ENDPOINTS:
                self._generate(conn, request, ENDPOINTS[request.path])
                return
            reply = self._short(request)
        except Refused as refused:
            reply = refused.reply
        conn.write(self.dialect.render(reply, not request.keep_alive))
        conn.done(close=self.dialect.http == "HTTP/1.0")

    def stop(self) -> None:
        """Log what was under way, and close the log."""
        for exchange in list(self._live):
            exchange.stopped()
        self.log.close()

    # Short endpoints

    def _short(self, request: HttpRequest) -> Reply:
        if not request.path.startswith("/admin") and request.path not in self.dialect.open_paths:
            self._check_key(request)
        route = self._routes.get((request.method, request.path))
        for start, middle, end in _PATTERNS:
            if route is None and request.path.startswith(start) and request.path.endswith(end):
                route = self._routes.get((request.method, start + middle + end))
        if route is not None:
            return route(self.state, request)
        allowed = [method for method, path in self._routes if path == request.path]
        if allowed:
            return self.dialect.wrong_method(request.method, request.path, ", ".join(allowed))
        return self.dialect.unknown_path(request.method, request.path)

    def _check_key(self, request: HttpRequest) -> None:
        key = self.settings.api_key
        if key is not None and not self.dialect.has_key(request, key):
            raise Refused(self.dialect.bad_key())

    # Generation

    def _generate(self, conn: Connection, request: HttpRequest, endpoint: str) -> None:
        body = self._body(request)
        orders = self._orders(request, body)
        self._check_fields(body, endpoint)
        model = self.dialect.resolve(self.state, body)
        if isinstance(model, Reply):
            raise Refused(model)
        text = prompt_text(body)
        answer = self._answer(body, endpoint, model, text)
        script = self._script(body, orders, answer, seed_of(text, self._sampling_seed(body)))
        exchange = Exchange(self._services, conn, request, answer, script)
        exchange.prefill_ns = self._prefill_ns(answer, orders) + self._load(model)
        exchange.burst = orders.get("burst", self.settings.burst)
        exchange.after = orders.get("after", self.settings.fault_after)
        exchange.seconds = orders.get("seconds", self.settings.fault_seconds)
        exchange.thought_tokens = orders.get("thought_tokens", self.settings.thought_tokens)
        self._live.add(exchange)
        exchange.on_settled = self._settled
        self._start(exchange, orders.get("fault") or self._drawn_fault())

    def _start(self, exchange: Exchange, fault: str | None) -> None:
        exchange.fault = fault
        if fault is not None:
            FAULTS[fault](exchange)
        if fault in REPLACED:
            return
        exchange.begin()
        if self._engine.full():
            exchange.busy()
            return
        self._engine.submit(exchange)
        wait = self.settings.queue_wait_s
        if wait is not None and not exchange.has_slot:
            due = exchange.request.read_ns + int(wait * 1e9)
            self._services.timeline.at(due, lambda due: self._give_up(exchange))

    def _give_up(self, exchange: Exchange) -> None:
        if exchange.alive and not exchange.has_slot:
            exchange.busy()

    def _body(self, request: HttpRequest) -> Json:
        if request.method != "POST":
            raise Refused(self.dialect.wrong_method(request.method, request.path, "POST"))
        if not self.dialect.json_before_key:
            self._check_key(request)
        try:
            body = json.loads(request.body)
            if not isinstance(body, dict):
                raise ValueError("not an object")
        except RecursionError:
            raise Refused(self.dialect.error(400, "the body is nested too deeply")) from None
        except ValueError as error:
            raise Refused(self.dialect.bad_json(request.body, error)) from None
        self._check_key(request)
        return body

    def _orders(self, request: HttpRequest, body: Json) -> Orders:
        """What this request wants of the simulator itself: body field "sim", or header X-Sim (JSON or a fault)."""
        wanted = body.pop("sim", None)
        header = request.headers.get("x-sim")
        try:
            if header is not None:
                wanted = json.loads(header) if header.startswith("{") else {"fault": header}
            return {} if wanted is None else check_orders(wanted)
        except (ValueError, RecursionError) as error:
            raise Refused(self.dialect.error(400, f"X-Sim is not JSON: {error}")) from None
        except InputError as error:
            raise Refused(self.dialect.error(400, str(error))) from None

    def _check_fields(self, body: Json, endpoint: str) -> None:
        if endpoint == "chat":
            if not isinstance(body.get("messages"), list):
                raise Refused(self.dialect.missing("messages", body))
        elif not isinstance(body.get("prompt"), str | list):
            raise Refused(self.dialect.missing("prompt", body))
        limit = body.get("max_tokens")
        if limit is not None and (isinstance(limit, bool) or not isinstance(limit, int) or limit < 0):
            raise Refused(self.dialect.error(400, "max_tokens must be a non-negative integer"))
        self._check_refused(body)
        self._check_choices(body)
        if not isinstance(body.get("stop"), str | list | None):
            raise Refused(self.dialect.error(400, "stop must be a text or a list of texts"))

    def _check_refused(self, body: Json) -> None:
        for what in self.settings.refuses:
            asks = what in body
            if what == SYSTEM_ROLE:
                asks = has_system_role(body) and not self.dialect.merges_system
            if asks:
                raise Refused(self.dialect.refusal(what))

    def _check_choices(self, body: Json) -> None:
        choices = body.get("n")
        if choices is None or "n" in self.dialect.ignores:
            return
        if isinstance(choices, bool) or not isinstance(choices, int) or choices < 1:
            raise Refused(self.dialect.error(400, "n must be a positive integer"))
        refusal = self.dialect.refuse_choices(self.state, body)
        if refusal is not None:
            raise Refused(refusal)

    def _answer(self, body: Json, endpoint: str, model: str, text: str) -> ScriptedAnswer:
        self._number += 1
        tokens = self._read(count_prompt(body, text))
        cached = 0 if self._cache is None else min(self._cache.cached_tokens(text), tokens - 1)
        options = body.get("stream_options")
        options = options if isinstance(options, dict) else {}
        told = options.get("include_usage") is True
        prompts = _prompts(body) if endpoint == "completions" else 1
        wanted = body.get("n") or 1
        return ScriptedAnswer(
            id=self.dialect.new_id(endpoint, f"{self._token}{self._number:08x}", self._number),
            model=model,
            created=self.state.now(),
            endpoint=endpoint,
            stream=body.get("stream") is True,
            include_usage=told,
            running_usage=told and self.dialect.counts_as_it_goes and options.get("continuous_usage_stats") is True,
            prompts=prompts,
            choices=prompts * (1 if "n" in self.dialect.ignores else wanted),
            prompt_chars=len(text),
            prompt_tokens=tokens,
            cached_tokens=cached,
        )

    def _sampling_seed(self, body: Json) -> int:
        """At a temperature over 0 each answer is another one, unless the request has a seed that is honored."""
        if not _is_sampled(body):
            return self.settings.seed
        seed = body.get("seed")
        honored = isinstance(seed, int) and "seed" not in self.dialect.ignores
        return self.settings.seed + 1 + (seed if honored and isinstance(seed, int) else self._sampling.randrange(2**31))

    def _read(self, tokens: int) -> int:
        """The tokens of a prompt that the model reads."""
        context = self.settings.context
        if context is None or tokens <= context:
            return tokens
        if not self.dialect.cuts_long_prompts:
            raise Refused(self.dialect.too_long(tokens, context))
        return context

    def _script(self, body: Json, orders: Orders, answer: ScriptedAnswer, seed: int) -> Script:
        """What is said, and how much: max_tokens, a fixed text, or a natural stop, whichever is least."""
        limit = self._limit(body)
        per_chunk = orders.get("tokens_per_chunk", self.settings.tokens_per_chunk)
        wanted = orders.get("text")
        fixed = self._text if wanted is None else split_pieces(wanted)
        # A fixed text is what every answer says, also where tools are on offer.
        wants_call = answer.endpoint == "chat" and fixed is None
        answer.call = self._tool_call(body, answer.id) if wants_call else None
        natural: int | None
        if answer.call is not None:
            pieces, start, natural = answer.call.arguments, 0, len(answer.call.arguments)
            per_chunk = natural if self.dialect.whole_tool_call else per_chunk
        elif fixed is not None:
            pieces, start, natural = fixed or [""], 0, len(fixed)
        else:
            # What is drawn by lot may begin anywhere.
            start = seed % len(ANSWER) if _is_sampled(body) else BEGINNINGS[seed % len(BEGINNINGS)]
            pieces, natural = ANSWER, self._natural_stop(body, seed)
        if "output_tokens" in orders:
            natural = orders["output_tokens"]
        total = limit if natural is None else min(limit, natural)
        answer.finish = "length" if natural is None or natural > limit else "stop"
        if answer.call is not None and answer.finish == "stop":
            answer.finish = "tool_calls"
        script = Script(list(pieces) if answer.call else pieces, start, total, per_chunk)
        self._batch(script, orders, seed)
        if answer.call is None and end_at_stop(script, _stops(body)):
            answer.finish = "stop"
        return script

    def _batch(self, script: Script, orders: Orders, seed: int) -> None:
        """How tokens share events, where that is not `tokens_per_chunk` each."""
        interval = orders.get("stream_interval", self.settings.stream_interval)
        if interval > 1:
            script.per_chunk, script.sizes = interval, {0: 1}
        script.drafted = orders.get("drafted_tokens", self.settings.drafted_tokens)
        script.random = Random(seed) if script.drafted else None

    def _limit(self, body: Json) -> int:
        limit = body.get("max_tokens")
        if limit is None and "max_completion_tokens" not in self.dialect.ignores:
            limit = body.get("max_completion_tokens")
        if isinstance(limit, int) and limit > 0:
            return limit
        if limit == 0 and self.dialect.name == "llamacpp":
            return 1  # it says one token all the same
        return self.dialect.default_max_tokens or self.settings.default_max_tokens

    def _natural_stop(self, body: Json, seed: int) -> int | None:
        stop, spread = self.settings.stop_after, self.settings.stop_spread
        honoured = body.get("ignore_eos") is True and "ignore_eos" not in self.dialect.ignores
        if stop is None or honoured:
            return None
        least = body.get("min_tokens") if "min_tokens" not in self.dialect.ignores else None
        drawn = round(stop * (1 + spread * (2 * Random(seed).random() - 1)))
        return max(1, drawn, least + 1 if isinstance(least, int) else 1)

    def _tool_call(self, body: Json, answer_id: str) -> ScriptedToolCall | None:
        """A call of the first tool with its required parameters, where tools were given."""
        tools = body.get("tools")
        if not isinstance(tools, list) or not tools or not isinstance(tools[0], dict):
            return None
        if body.get("tool_choice") == "none" and "tool_choice" not in self.dialect.ignores:
            return None
        function = tools[0].get("function")
        if not isinstance(function, dict) or not isinstance(function.get("name"), str):
            return None
        arguments = json.dumps(_example(function.get("parameters")))
        return ScriptedToolCall(f"call_{answer_id[-8:]}", function["name"], split_pieces(arguments))

    def _prefill_ns(self, answer: ScriptedAnswer, orders: Orders) -> int:
        base = orders.get("ttft_ms")
        if base is not None:
            return int(base * MS)
        rate = self.settings.prefill_tok_s
        reading = 0.0 if rate is None else (answer.prompt_tokens - answer.cached_tokens) / rate * 1000
        return int((self.settings.ttft_ms + reading) * MS)

    def _load(self, model: str) -> int:
        """Load an installed model on demand; the time it takes, in ns."""
        if model not in self.state.installed:
            return 0
        self.state.installed.remove(model)
        self.state.loaded.append(model)
        return int(self.settings.load_ms * MS)

    def _drawn_fault(self) -> str | None:
        """The settings' share of faults, drawn with the seed in order of arrival."""
        if not self.settings.faults:
            return None
        ball = self._fault_random.random()
        for name, share in self.settings.faults.items():
            ball -= share
            if ball < 0:
                return name
        return None

    # Bookkeeping

    def _settled(self, exchange: Exchange) -> None:
        self._live.discard(exchange)
        done = self.state.served - self._collected
        if done > COLLECT_BUSY or (done > COLLECT_IDLE and not self.state.in_flight):
            self._collected = self.state.served
            self._loop.call_soon(gc.collect)


def _is_sampled(body: Json) -> bool:
    """Whether a request has a temperature over 0."""
    temperature = body.get("temperature")
    return isinstance(temperature, int | float) and temperature > 0


def _stops(body: Json) -> list[str]:
    """The stop sequences of a request."""
    stop = body.get("stop")
    return [stop] if isinstance(stop, str) else [text for text in stop or [] if isinstance(text, str)]


def _prompts(body: Json) -> int:
    """How many prompts a request of plain completions holds: a list of texts is one each, a list of tokens is one."""
    prompt = body.get("prompt")
    several = isinstance(prompt, list) and bool(prompt) and all(isinstance(part, str) for part in prompt)
    return len(prompt) if several and isinstance(prompt, list) else 1


def _example(schema: object) -> object:
    """A value that fits a JSON schema, as far as its required properties go."""
    if not isinstance(schema, dict):
        return {}
    if isinstance(schema.get("enum"), list) and schema["enum"]:
        return schema["enum"][0]
    kind = schema.get("type", "object")
    if kind == "object":
        known = schema.get("properties")
        properties = known if isinstance(known, dict) else {}
        required = schema.get("required")
        names = [name for name in required if name in properties] if isinstance(required, list) else []
        return {name: _example(properties[name]) for name in names}
    plain: dict[str, object] = {"string": "Paris", "integer": 3, "number": 1.5, "boolean": True, "array": []}
    return plain.get(str(kind))
