"""How each tool is asked to do the same work, and where it says what it measured.

A tool is a command and a reader: the command streams so many answers at a fixed concurrency from an OpenAI-compatible
server; the reader returns the times to first token that the tool reports, in seconds: one a request, or the tool's own
median and 99th percentile where it reports no more.
"""

import hashlib
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from lmx_loadgen.decode.chat import TEXT_KINDS
from lmx_loadgen.store.log_reader import read_log


@dataclass(frozen=True)
class Work:
    """What to do. `scratch` is an empty folder for this one run; it holds a tokenizer in `tok` and `prompts.jsonl`."""

    url: str
    model: str
    concurrency: int
    requests: int
    tokens: int
    scratch: Path

    @property
    def out(self) -> Path:
        return self.scratch / "out"

    @property
    def rounds(self) -> int:
        """How many times all slots have a request."""
        return -(-self.requests // self.concurrency)

    @property
    def prompts(self) -> Path:
        return self.scratch / "prompts.jsonl"


@dataclass(frozen=True)
class Quantiles:
    """All that a tool reports of its times to first token, in seconds: medians over passes of so many requests."""

    p50: float
    p99: float
    requests: int
    of_each: int


@dataclass(frozen=True)
class Tool:
    """One tool: its name, how to ask for its version, its command, and its own figures. `dialect` is the server that it
    has to recognize."""

    name: str
    program: str
    version: Callable[[Path], str]
    command: Callable[[Path, Work], list[str]]
    ttfts_s: Callable[[Work], list[float] | Quantiles]
    dialect: str = "openai"


def prepare(work: Work) -> None:
    """Prompts of a line each, as many as requests, and a tokenizer that splits at spaces: nothing is downloaded."""
    rows = [{"prompt": f"{i} How wrong are you?", "text": f"{i} How wrong are you?"} for i in range(work.requests)]
    work.prompts.write_text("".join(json.dumps(row) + "\n" for row in rows))
    folder = work.scratch / "tok"
    folder.mkdir()
    unknown = {"id": 0, "content": "[UNK]", "special": True}
    unknown |= dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
    tokenizer = {
        "version": "1.0",
        "added_tokens": [unknown],
        "pre_tokenizer": {"type": "Whitespace"},
        "model": {"type": "WordLevel", "vocab": {"[UNK]": 0, "the": 1}, "unk_token": "[UNK]"},
    }
    empty = dict.fromkeys(("truncation", "padding", "normalizer", "post_processor", "decoder"))
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer | empty))
    tokens = dict.fromkeys(("unk_token", "eos_token", "pad_token"), "[UNK]")
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "PreTrainedTokenizerFast", **tokens}))


def _installed(package: str) -> Callable[[Path], str]:
    def version(python: Path) -> str:
        code = f"import importlib.metadata as m; print(m.version({package!r}))"
        return subprocess.run([python, "-c", code], capture_output=True, text=True, check=True).stdout.strip()

    return version


def _ours(python: Path, work: Work) -> list[str]:
    flags = {"-c": work.concurrency, "-n": work.requests, "--max-tokens": work.tokens, "--out": work.out}
    flags |= {"--warmup": 0, "--prompt": "How wrong are you?"}
    flags |= {"--stagger": 0}  # the others' slots start together, so ours do here
    pairs = [str(part) for pair in flags.items() for part in pair]
    return [
        str(python),
        "-m",
        "lmx_loadgen",
        "run",
        "-t",
        f"sim={work.url}",
        "--no-calibrate",
        "--stagger",
        "0",
        *pairs,
    ]


def _ours_ttfts(work: Work) -> list[float]:
    (folder,) = work.out.iterdir()
    return [
        next(line["arrivals"][index][0] for index, kind, _ in line["events"] if kind in TEXT_KINDS) / 1e9
        for line in read_log(folder / "events.jsonl").requests
        if line["outcome"] == "ok"
    ]


def _guidellm(python: Path, work: Work) -> list[str]:
    return [
        *(str(python.with_name("guidellm")), "run", "--disable-console"),
        *("--backend", f"kind=openai_http,target={work.url},model={work.model}"),
        *("--profile", f"kind=concurrent,streams={work.concurrency}"),
        *("--constraint", f"kind=max_requests,count={work.requests}"),
        *("--data", f"kind=json_file,path={work.prompts}"),
        *("--tokenizer", f"kind=huggingface_auto,model={work.scratch / 'tok'}"),
        *("--output", f"kind=json,path={work.out}.json"),
    ]


def _guidellm_ttfts(work: Work) -> list[float]:
    (benchmark,) = json.loads(Path(f"{work.out}.json").read_text())["benchmarks"]
    return [request["time_to_first_token_ms"] / 1e3 for request in benchmark["requests"]["successful"]]


def _aiperf(python: Path, work: Work) -> list[str]:
    return [
        *(str(python.with_name("aiperf")), "profile", "-m", work.model, "--url", work.url),
        *("--endpoint-type", "chat", "--streaming", "--use-server-token-count"),
        *("--tokenizer", "tok"),  # a name, looked up in the working folder: a path is taken for a hub's
        *("--concurrency", str(work.concurrency), "--request-count", str(work.requests)),
        *("--input-file", str(work.prompts), "--custom-dataset-type", "single_turn"),
        *("--artifact-dir", str(work.out)),
    ]


def _aiperf_ttfts(work: Work) -> list[float]:
    lines = (work.out / "profile_export.jsonl").read_text().splitlines()
    return [json.loads(line)["metrics"]["time_to_first_token"]["value"] / 1e3 for line in lines]


def _vllm(python: Path, work: Work) -> list[str]:
    return [
        *(str(python.with_name("vllm")), "bench", "serve", "--backend", "openai-chat"),
        *("--base-url", work.url, "--endpoint", "/v1/chat/completions", "--model", work.model),
        *("--tokenizer", str(work.scratch / "tok"), "--dataset-name", "custom", "--dataset-path", str(work.prompts)),
        *("--num-prompts", str(work.requests), "--max-concurrency", str(work.concurrency)),
        *("--custom-output-len", str(work.tokens), "--disable-tqdm"),
        *("--save-result", "--save-detailed", "--result-dir", str(work.scratch), "--result-filename", "out.json"),
    ]


def _vllm_ttfts(work: Work) -> list[float]:
    return [float(ttft) for ttft in json.loads((work.scratch / "out.json").read_text())["ttfts"]]


# llama-benchy takes its prompts out of a book, which it keeps once it has it: it is given one that is there already.
_BOOK = "http://127.0.0.1:1/book.txt"


def _benchy(python: Path, work: Work) -> list[str]:
    kept = work.scratch / ".cache" / "llama-benchy" / f"{hashlib.md5(_BOOK.encode()).hexdigest()}.txt"
    kept.parent.mkdir(parents=True)
    kept.write_text("the sea otter holds the hand of the other " * 500)
    return [
        *(str(python.with_name("llama-benchy")), "--base-url", f"{work.url}/v1", "--model", work.model),
        *("--tokenizer", str(work.scratch / "tok"), "--book-url", _BOOK, "--pp", "32", "--tg", str(work.tokens)),
        *("--concurrency", str(work.concurrency), "--runs", str(work.rounds)),
        *("--no-warmup", "--no-adapt-prompt", "--skip-coherence"),
        *("--latency-mode", "none", "--emit-progress", str(work.out)),
    ]


def _benchy_ttfts(work: Work) -> list[float]:
    events = [json.loads(line) for line in work.out.read_text().splitlines()]
    return [event["ttft_s"] for event in events if "ttft_s" in event]


def _asiai(python: Path, work: Work) -> list[str]:
    return [
        *(str(python.with_name("asiai")), "bench", "--url", work.url, "--model", work.model),
        *("--db", str(work.scratch / "db.sqlite"), "--burst-mode", "--burst-sizes", str(work.concurrency)),
        *("--burst-runs", str(work.rounds), "--burst-no-warmup", "--burst-pause", "0"),
        *("--burst-max-tokens", str(work.tokens), "--burst-output", str(work.out)),
    ]


def _asiai_ttfts(work: Work) -> Quantiles:
    """Its percentiles are of each pass; the median over the passes is what it shows."""
    (found,) = json.loads(work.out.read_text())["results"].values()
    passes = [one["ttft_ms"] for one in found.get("passes") or [found]]
    p50, p99 = (statistics.median(one[key] for one in passes) / 1e3 for key in ("p50", "p99"))
    return Quantiles(p50, p99, work.concurrency * len(passes), work.concurrency)


TOOLS = {
    tool.name: tool
    for tool in (
        Tool("lmx-loadgen", "python", _installed("lmx-loadgen"), _ours, _ours_ttfts),
        Tool("GuideLLM", "guidellm", _installed("guidellm"), _guidellm, _guidellm_ttfts),
        Tool("AIPerf", "aiperf", _installed("aiperf"), _aiperf, _aiperf_ttfts),
        Tool("vllm bench", "vllm", _installed("vllm"), _vllm, _vllm_ttfts),
        Tool("llama-benchy", "llama-benchy", _installed("llama-benchy"), _benchy, _benchy_ttfts),
        Tool("asiai", "asiai", _installed("asiai"), _asiai, _asiai_ttfts, dialect="llamacpp"),
    )
}


def environments(named: dict[str, Path]) -> dict[str, Path]:
    """The interpreter of each tool that is there: ours always, the others where their environment has them."""
    found = {"lmx-loadgen": Path(sys.executable)}
    for name, folder in named.items():
        python = folder.expanduser() / "bin" / "python"
        if not python.with_name(TOOLS[name].program).exists():
            raise SystemExit(f"{name} is not installed in {folder}")
        found[name] = python
    return found


def run(tool: Tool, python: Path, work: Work) -> list[float] | Quantiles:
    """Let the tool do the work; the times to first token it reports. Raises RuntimeError with its last words."""
    prepare(work)
    quiet = {"HF_HUB_OFFLINE": "1"} if tool.name != "AIPerf" else {}  # it then takes no tokenizer from a folder
    done = subprocess.run(
        tool.command(python, work),
        cwd=work.scratch,
        env={**os.environ, **quiet, "HOME": str(work.scratch)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
    )
    try:
        return tool.ttfts_s(work)
    except (OSError, ValueError, KeyError) as problem:
        words = (done.stderr or done.stdout).strip()[-2000:]
        raise RuntimeError(f"{tool.name} reported nothing ({problem!r}): {words}") from None
