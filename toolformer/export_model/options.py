"""The options of our decoder that a GenerationConfig of transformers asks for; what it asks for in vain is refused."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

import torch
from transformers import GenerationConfig

from toolformer.decode.options import ONLY_SAMPLED, Options
from toolformer.errors import ConfigError

_NAMES = frozenset(field.name for field in fields(Options))
_CHANGE_NO_TEXT = frozenset(
    {
        *("bos_token_id", "pad_token_id", "decoder_start_token_id", "eos_token_id"),
        *("use_cache", "cache_implementation", "cache_config", "max_cache_len", "prefill_chunk_size", "low_memory"),
        *("compile_config", "disable_compile", "continuous_batching_config", "is_assistant"),
        *("return_dict_in_generate", "renormalize_logits", "remove_invalid_values", "early_stopping"),
        *("max_length", "stop_strings", "transformers_version", "_from_model_config"),
    }
)
"""Settings that are read elsewhere, or that only say how the same text is computed."""
_IDLE = {
    "num_beams": 1,
    "num_beam_groups": 1,
    "num_return_sequences": 1,
    "min_length": 0,
    "length_penalty": 1.0,
    "diversity_penalty": 0.0,
    "encoder_repetition_penalty": 1.0,
    "encoder_no_repeat_ngram_size": 0,
    "guidance_scale": 1.0,
    "output_attentions": False,
    "output_hidden_states": False,
    "output_scores": False,
    "output_logits": False,
}
"""Settings that we do not have, with the values at which they do nothing."""


def options_of(config: GenerationConfig, changes: Mapping[str, Any], width: int, ends: frozenset[int]) -> Options:
    """What a config says, changed by the arguments of one `generate`; the config itself gets those that are its own.

    `width` is how many tokens a prompt has, of which `max_length` counts each, and `ends` are the model's.
    """
    given = {name: value for name, value in changes.items() if value is not None and value != []}
    try:
        more = config.update(**given)  # type: ignore[no-untyped-call]
    except ValueError as error:
        raise ConfigError(f"transformers refuses this generation_config: {error}") from error
    said = {name: value for name, value in config.to_diff_dict().items() if value is not None}
    _check(said, ends)
    sampled = bool(config.do_sample)
    options = {name: value for name, value in said.items() if name in _NAMES and (value or name == "max_new_tokens")}
    if not sampled:
        options = {name: value for name, value in options.items() if name not in ONLY_SAMPLED}
    elif "seed" not in more:
        # As with transformers, torch.manual_seed decides.
        more["seed"] = int(torch.randint(1 << 31, ()))
    if config.max_new_tokens is None and config.max_length is not None:
        options["max_new_tokens"] = config.max_length - width
    if stops := config.stop_strings:
        options["stop"] = (stops,) if isinstance(stops, str) else tuple(stops)
    return Options().changed(**options | more)


def _check(said: Mapping[str, Any], ends: frozenset[int]) -> None:
    """Refuse what would change the text and is not done here."""
    for name, value in said.items():
        if name not in _NAMES | _CHANGE_NO_TEXT and _IDLE.get(name) != value:
            raise ConfigError(f"{name}={value!r} is not possible with tools: leave it out")
    own = said.get("eos_token_id")
    if own is not None and frozenset([own] if isinstance(own, int) else own) != ends:
        raise ConfigError(
            f"eos_token_id={own!r} is not possible with tools, for the model ends its texts with {sorted(ends)}: "
            "leave it out, and end texts by stop_strings"
        )
