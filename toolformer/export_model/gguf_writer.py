"""A model of the Llama architecture as a GGUF file, which llama.cpp runs. It has no tools there.

What llama.cpp cannot do as the model does it is refused: another architecture, or a tokenizer that cuts text otherwise.
The file holds the tokenizer twice: for llama.cpp, and as the JSON of the tokenizers library, by which `load` finds the
call tokens.
"""

import json
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from toolformer.errors import ConfigError
from toolformer.hf.gguf_file import TOKENIZER
from toolformer.whole_file import whole_file

if TYPE_CHECKING:
    from gguf import GGUFWriter

_LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
    r"|\s+(?!\S)|\s+"
)
_SPLITS = {
    "gpt-2": ["ByteLevel True"],
    "smollm": ["Digits True", "ByteLevel True"],
    "llama-bpe": [f"Split {_LLAMA3}", "ByteLevel False"],
}
"""How tokenizers cut a text before they look for tokens, by llama.cpp's name for it."""


def check_gguf(file: Path) -> None:
    """Refuse, before anything is done, a file that cannot be written."""
    if find_spec("gguf") is None:
        raise ConfigError(f"{file}: to write a GGUF file, the package gguf is needed: pip install gguf")
    if file.suffix.lower() != ".gguf":
        raise ConfigError(f"{file} should end with .gguf, by which it is known when it is loaded")
    if not file.parent.is_dir():
        raise ConfigError(f"{file} cannot be written: there is no folder {file.parent}")


def check_model(network: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
    """Refuse what llama.cpp would run as another model than it is."""
    config = network.config
    if config.model_type != "llama":
        raise ConfigError(f"a {type(network).__name__} cannot be written as GGUF: only a Llama can")
    if config.rope_parameters["rope_type"] != "default" or config.attention_bias or config.mlp_bias:
        raise ConfigError("a Llama with scaled positions or biases cannot be written as GGUF")
    _split(json.loads(tokenizer.backend_tokenizer.to_str()))


def write_gguf(network: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, file: Path, name: str) -> None:
    """Write the file, whole or not at all, in the precision of the model; `name` is what it calls itself."""
    from gguf import MODEL_ARCH, GGUFWriter, get_tensor_name_map

    with whole_file(file) as reserved:
        writer = GGUFWriter(reserved.name, "llama")
        _add_settings(writer, network, name)
        _add_tokenizer(writer, tokenizer, network.config.vocab_size)
        names = get_tensor_name_map(MODEL_ARCH.LLAMA, network.config.num_hidden_layers)
        for key, tensor in network.state_dict().items():
            if key != "lm_head.weight" or not network.config.tie_word_embeddings:
                _add_tensor(writer, str(names.get_name(key, (".weight",))), _paired(key, tensor, network.config))
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()


def _add_settings(writer: "GGUFWriter", network: PreTrainedModel, name: str) -> None:
    from gguf import LlamaFileType

    config = network.config
    kinds = {torch.float32: LlamaFileType.ALL_F32, torch.float16: LlamaFileType.MOSTLY_F16}
    writer.add_name(name)
    writer.add_file_type(kinds.get(network.dtype, LlamaFileType.MOSTLY_BF16))
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_key_length(config.head_dim)
    writer.add_value_length(config.head_dim)
    writer.add_rope_dimension_count(config.head_dim)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_vocab_size(config.vocab_size)


def _add_tokenizer(writer: "GGUFWriter", tokenizer: PreTrainedTokenizerBase, size: int) -> None:
    from gguf import TokenType

    whole = tokenizer.backend_tokenizer.to_str()
    recipe = json.loads(whole)
    # Rows of the model that no token has: llama.cpp wants a name for each.
    tokens, kinds = [f"[PAD{id_}]" for id_ in range(size)], [TokenType.UNUSED] * size
    for token, id_ in recipe["model"]["vocab"].items():
        tokens[id_], kinds[id_] = token, TokenType.NORMAL
    for added in recipe["added_tokens"]:
        kind = TokenType.CONTROL if added["special"] else TokenType.USER_DEFINED
        tokens[added["id"]], kinds[added["id"]] = added["content"], kind
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(_split(recipe))
    writer.add_token_list(tokens)
    writer.add_token_types(kinds)
    writer.add_token_merges([" ".join(pair) for pair in recipe["model"]["merges"]])
    for add, id_ in (
        (writer.add_bos_token_id, tokenizer.bos_token_id),
        (writer.add_eos_token_id, tokenizer.eos_token_id),
        (writer.add_pad_token_id, tokenizer.pad_token_id),
        (writer.add_unk_token_id, tokenizer.unk_token_id),
    ):
        if id_ is not None:
            add(id_)
    writer.add_add_bos_token(tokenizer("a").input_ids[0] == tokenizer.bos_token_id)
    if isinstance(tokenizer.chat_template, str):
        writer.add_chat_template(tokenizer.chat_template)
    writer.add_string(TOKENIZER, whole)


def _split(recipe: dict[str, Any]) -> str:
    """What llama.cpp calls the way in which this tokenizer cuts a text."""
    step = recipe["pre_tokenizer"] or {}
    steps = [_said(one) for one in step.get("pretokenizers", [step])]
    if recipe["normalizer"] is None and recipe["model"]["type"] == "BPE":
        for name, known in _SPLITS.items():
            if steps == known:
                return name
    raise ConfigError("a tokenizer that cuts text in this way cannot be written as GGUF: llama.cpp does not know it")


def _said(step: dict[str, Any]) -> str:
    """One step of the cutting, with what counts of its settings."""
    kind = step.get("type")
    if kind == "ByteLevel" and not step["add_prefix_space"]:
        return f"ByteLevel {step['use_regex']}"
    if kind == "Split" and step["behavior"] == "Isolated":
        return f"Split {step['pattern'].get('Regex')}"
    return f"{kind} {step.get('individual_digits')}"


def _paired(key: str, tensor: Tensor, config: Any) -> Tensor:
    """llama.cpp turns pairs of neighbouring values of a head, transformers the two halves of it."""
    heads = {"q_proj": config.num_attention_heads, "k_proj": config.num_key_value_heads}.get(key.split(".")[-2])
    if heads is None:
        return tensor
    return tensor.reshape(heads, 2, -1, tensor.shape[-1]).swapaxes(1, 2).reshape(tensor.shape)


def _add_tensor(writer: "GGUFWriter", name: str, tensor: Tensor) -> None:
    """Norms are float32 in all files; numpy has no bfloat16."""
    from gguf import GGMLQuantizationType

    if tensor.dim() == 1 or tensor.dtype == torch.float32:
        writer.add_tensor(name, tensor.float().numpy())
    elif tensor.dtype == torch.float16:
        writer.add_tensor(name, tensor.numpy())
    else:
        raw = tensor.contiguous().view(torch.uint8).numpy()
        writer.add_tensor(name, raw, raw_dtype=GGMLQuantizationType.BF16)
