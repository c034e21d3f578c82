"""A tiny Llama as llama.cpp would have it in a file: the one of `tiny_models`, with its tokenizer."""

import json
from pathlib import Path

import numpy as np
import torch
from gguf import GGUFWriter, TokenType

from tests import tiny_models

_NAMES = {
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
}
WHOLE = ""
"""The tokenizer once more, as the tokenizers library writes it, where a file has it."""
TEMPLATE = "{% for message in messages %}{{ message['content'] }}{% endfor %}"


def write_gguf(path: Path, architecture: str = "llama", *, without: str = "nothing") -> Path:
    """Write it, as if it were of another architecture or lacked the tensors of that name."""
    model = tiny_models.model("llama")
    config = model.config
    writer = GGUFWriter(path, architecture)
    writer.add_name("tiny")
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(10000.0)
    writer.add_vocab_size(config.vocab_size)
    _add_tokenizer(writer)
    for name, tensor in model.state_dict().items():
        if without not in name:
            writer.add_tensor(_name(name), _values(name, tensor))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _add_tokenizer(writer: GGUFWriter) -> None:
    recipe = json.loads(tiny_models.tokenizer().backend_tokenizer.to_str())
    tokens = sorted(recipe["model"]["vocab"], key=recipe["model"]["vocab"].__getitem__)
    control = {token["content"] for token in recipe["added_tokens"]}
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(tokens)
    writer.add_token_types([TokenType.CONTROL if token in control else TokenType.NORMAL for token in tokens])
    writer.add_token_merges([" ".join(pair) for pair in recipe["model"]["merges"]])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_pad_token_id(0)
    writer.add_chat_template(TEMPLATE)
    if WHOLE:
        writer.add_string("tokenizer.huggingface.json", WHOLE)


def _name(name: str) -> str:
    whole = {"model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output"}
    stem, kind = name.rsplit(".", 1)
    if stem in whole:
        return f"{whole[stem]}.{kind}"
    _, _, number, inner = stem.split(".", 3)
    return f"blk.{number}.{_NAMES[inner]}.{kind}"


def _values(name: str, tensor: torch.Tensor) -> np.ndarray:
    """llama.cpp turns pairs of neighbouring values of a head, transformers the two halves of it."""
    values: np.ndarray = tensor.float().numpy()
    heads = {"q_proj": 4, "k_proj": 2}.get(name.split(".")[-2])
    if heads is None:
        return values
    apart = values.reshape(heads, 2, values.shape[0] // heads // 2, *values.shape[1:])
    return np.ascontiguousarray(apart.swapaxes(1, 2).reshape(values.shape))
