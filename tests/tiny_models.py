"""Random models of many architectures, small enough to run in milliseconds, and a byte-level tokenizer for them.

The weights are large on purpose: with the usual ones a random model hardly notices what stands where, and a wrong mask
or position would pass unseen.
"""

import functools
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    AutoModelForCausalLM,
    AutoModelForSeq2SeqLM,
    BartConfig,
    Gemma2Config,
    Gemma3TextConfig,
    GPT2Config,
    GPTJConfig,
    GPTNeoXConfig,
    LlamaConfig,
    MambaConfig,
    MistralConfig,
    OPTConfig,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    Qwen3Config,
    T5Config,
)

VOCABULARY = 300
CONTEXT = 64
_COMMON: dict[str, Any] = {"vocab_size": VOCABULARY, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}
_SIZES: dict[str, Any] = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": CONTEXT,
}
_GPT2: dict[str, Any] = {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": CONTEXT}
_LLAMA: dict[str, Any] = _COMMON | _SIZES | {"intermediate_size": 64, "num_key_value_heads": 2, "head_dim": 8}
_GEMMA: dict[str, Any] = _LLAMA | {"num_hidden_layers": 3, "sliding_window": 6}

CONFIGS: dict[str, PreTrainedConfig] = {
    "gpt2": GPT2Config(**_COMMON, **_GPT2),
    "gptj": GPTJConfig(**_COMMON, **_GPT2, rotary_dim=4),
    "llama": LlamaConfig(**_LLAMA),
    "gpt_neox": GPTNeoXConfig(**_COMMON, **_SIZES, intermediate_size=64),
    "qwen3": Qwen3Config(**_LLAMA),
    "opt": OPTConfig(**_COMMON, **_SIZES, ffn_dim=64, word_embed_proj_dim=32),
    "mistral": MistralConfig(**_LLAMA, sliding_window=6),
    "gemma2": Gemma2Config(**_GEMMA, query_pre_attn_scalar=8),
    "gemma3": Gemma3TextConfig(
        **_GEMMA, layer_types=["sliding_attention", "full_attention", "sliding_attention"], query_pre_attn_scalar=8
    ),
}
MAMBA = MambaConfig(**_COMMON, hidden_size=32, num_hidden_layers=2, state_size=8)
_PAIR: dict[str, Any] = {
    "vocab_size": VOCABULARY,
    "d_model": 32,
    "eos_token_id": 2,
    "pad_token_id": 0,
    "decoder_start_token_id": 0,
}
SEQ2SEQ: dict[str, PreTrainedConfig] = {
    "t5": T5Config(
        **_PAIR | {"n_positions": CONTEXT},
        d_kv=8,
        d_ff=64,
        num_layers=2,
        num_heads=4,
        relative_attention_num_buckets=8,
        relative_attention_max_distance=16,
    ),
    "bart": BartConfig(
        **_PAIR,
        encoder_layers=2,
        decoder_layers=2,
        encoder_attention_heads=4,
        decoder_attention_heads=4,
        encoder_ffn_dim=64,
        decoder_ffn_dim=64,
        max_position_embeddings=CONTEXT,
        bos_token_id=1,
        forced_eos_token_id=None,
    ),
}


@functools.cache
def model(kind: str) -> PreTrainedModel:
    """A model of this kind, in fp32."""
    if kind in SEQ2SEQ:
        return _random(AutoModelForSeq2SeqLM.from_config(SEQ2SEQ[kind]))  # type: ignore[no-untyped-call]
    attention = "eager" if kind == "gemma2" else None
    made = AutoModelForCausalLM.from_config(CONFIGS[kind], attn_implementation=attention)  # type: ignore[no-untyped-call]
    return _random(made)


def _random(made: PreTrainedModel) -> PreTrainedModel:
    generator = torch.Generator().manual_seed(7)
    for parameter in made.parameters():
        if parameter.ndim > 1:
            parameter.data = torch.randn(parameter.shape, generator=generator) * 0.25
    made.eval()  # type: ignore[no-untyped-call]
    return made


def own_tokenizer() -> PreTrainedTokenizerFast:
    """The tokenizer, to be changed."""
    same = Tokenizer.from_str(tokenizer().backend_tokenizer.to_str())
    return wrapped(same, bos_token="<s>", eos_token="</s>", pad_token="<pad>")


@functools.cache
def tokenizer() -> PreTrainedTokenizerFast:
    """Bytes and a few merges; `<pad>` 0, `<s>` 1, `</s>` 2."""
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    texts = ["There are 8 boxes [Calculator(400 / 1400) -> 0.29] in the house, and then there were none."] * 3
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=["<pad>", "<s>", "</s>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    bpe.train_from_iterator(texts, trainer)
    return wrapped(bpe, bos_token="<s>", eos_token="</s>", pad_token="<pad>")


def wrapped(made: Tokenizer, **special: str) -> PreTrainedTokenizerFast:
    """A tokenizer as transformers wants it."""
    return PreTrainedTokenizerFast(tokenizer_object=made, **special)  # type: ignore[no-untyped-call]
