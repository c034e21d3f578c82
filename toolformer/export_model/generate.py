"""What `generate` of transformers is for an exported model: the decoder of this package, with its tools.

`custom_generate.py`, in the folder of the model, leads here. Tokens come in and go out as they do with transformers:
the prompt, and behind it the text. Calls and their results are not among them: with `return_dict_in_generate` they come
beside. A call token in a prompt is there because a text spelled it, and is read as plain text.
"""

import copy
from collections.abc import Iterable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor
from transformers import GenerationConfig, PreTrainedModel
from transformers.generation.streamers import BaseStreamer
from transformers.utils.generic import ModelOutput

from toolformer.calls import Part
from toolformer.catalog import default_tools
from toolformer.decode.decoder import STRIDE, Decoder
from toolformer.decode.events import Ended, Text
from toolformer.decode.options import Options
from toolformer.decode.trigger import Thresholds, read_thresholds
from toolformer.errors import ConfigError
from toolformer.expert import with_model
from toolformer.export_model.options import options_of
from toolformer.generation import Gathered, Generation, MadeCall
from toolformer.hf.load import around
from toolformer.lm import Ids, LanguageModel
from toolformer.tool import Tool
from toolformer.toolbox import Toolbox

_KEPT = "_toolformer"
"""Where a model keeps what it needs for its next text."""


@dataclass
class Written(ModelOutput):
    """What `generate` returns with `return_dict_in_generate=True`."""

    sequences: Tensor
    """The prompts with the texts behind them, filled up at the right."""
    calls: tuple[tuple[MadeCall, ...], ...] | None = None
    """The calls of each text."""


def generate(
    inputs: Tensor | None = None,
    generation_config: GenerationConfig | None = None,
    *,
    model: PreTrainedModel,
    input_ids: Tensor | None = None,
    attention_mask: Tensor | None = None,
    streamer: BaseStreamer | None = None,
    tools: Iterable[Tool] | None = None,
    tokenizer: object = None,  # noqa: ARG001 - some hand it over with stop strings; the model's own is used
    **changes: Any,
) -> Tensor | Written:
    """Go on from each row of `input_ids`, calling tools: `tools`, or those of the package that need no network.

    `changes` are fields of transformers' GenerationConfig or of `toolformer.Options`. What would change the text and is
    in neither is refused.
    """
    ids = inputs if input_ids is None else input_ids
    if ids is None or ids.dim() != 2 or ids.is_floating_point():
        raise ConfigError("generate needs input_ids, a row of tokens for each text")
    if streamer is not None and len(ids) > 1:
        raise ConfigError("a streamer is for one text: give one row of input_ids")
    kept = _kept(model)
    config = copy.deepcopy(model.generation_config if generation_config is None else generation_config)
    options = options_of(config, changes, ids.shape[1], kept.model.ends)
    prompts = [kept.read(row) for row in _without_padding(ids, attention_mask, config, kept.model.ends)]
    stream = None if streamer is None else _Stream(streamer, ids[0], kept.model.ends)
    made = kept.write(prompts, options, tools, stream)
    sequences = _sequences(ids, made, config, kept.model.ends)
    if config.return_dict_in_generate:
        return Written(sequences, tuple(one.calls for one in made))
    return sequences


class _Kept:
    """What is made of a model at its first text. A copy of the model makes its own."""

    def __init__(self, model: PreTrainedModel) -> None:
        self.device, self.dtype = model.device, model.dtype
        self.model: LanguageModel = around(model)
        self.toolbox = Toolbox(default_tools(), workers=4)
        self.thresholds: Thresholds | None = read_thresholds(Path(self.model.name), self.model.fingerprint)
        control = Decoder(self.model, self.toolbox).syntax.control_tokens
        encode = self.model.encode_parts
        self._plain = {encode([Part(one, control=True)])[0]: encode([Part(one)]) for one in control}

    def read(self, row: Sequence[int]) -> list[int]:
        """The prompt with call tokens as the plain text that they spell."""
        return [id_ for token in row for id_ in self._plain.get(token, (token,))]

    def write(
        self, prompts: Sequence[Ids], options: Options, tools: Iterable[Tool] | None, stream: "_Stream | None"
    ) -> list[Generation]:
        """Go on from these prompts, with these tools or the package's."""
        own = None if tools is None else with_model(tools, self.model)
        with nullcontext(self.toolbox) if own is None else Toolbox(own, workers=4) as toolbox:
            decoder = Decoder(self.model, toolbox, calibrated=self.thresholds)
            rows = [Gathered(decoder.syntax) for _ in prompts]
            for event in decoder.run(prompts, options, stride=1 if stream else STRIDE):
                rows[event.row].add(event)
                if stream and isinstance(event, Text | Ended):
                    stream.put(event)
        return [row.generation() for row in rows]

    def __reduce__(self) -> tuple[type[None], tuple[()]]:
        return type(None), ()


def _kept(model: PreTrainedModel) -> _Kept:
    kept: _Kept | None = vars(model).get(_KEPT)
    if kept is None or (kept.device, kept.dtype) != (model.device, model.dtype):
        kept = vars(model)[_KEPT] = _Kept(model)
    return kept


def _without_padding(
    ids: Tensor, mask: Tensor | None, config: GenerationConfig, ends: frozenset[int]
) -> list[Sequence[int]]:
    """The tokens of each row that count. Without a mask, padding tokens do not, if they are no end of a text."""
    pad = config.pad_token_id
    if mask is None:
        mask = torch.ones_like(ids) if pad is None or pad in ends else ids != pad
    return [row[there.bool()].tolist() for row, there in zip(ids, mask, strict=True)]


class _Stream:
    """Hands a text to a streamer as it grows."""

    def __init__(self, streamer: BaseStreamer, prompt: Tensor, ends: frozenset[int]) -> None:
        self._streamer, self._ends, self._put = streamer, ends, 0
        streamer.put(prompt[None].cpu())  # type: ignore[no-untyped-call]

    def put(self, event: Text | Ended) -> None:
        """Some more tokens, or the last ones."""
        new = event.ids if isinstance(event, Text) else _ids(event.ids, event.reason, self._ends)[self._put :]
        self._put += len(new)
        if new:
            self._streamer.put(torch.tensor(new))  # type: ignore[no-untyped-call]
        if isinstance(event, Ended):
            self._streamer.end()  # type: ignore[no-untyped-call]


def _ids(text: Sequence[int], reason: str, ends: frozenset[int]) -> list[int]:
    """A text's tokens, with an end as transformers has it."""
    return [*text, *([min(ends)] if reason == "end" else [])]


def _sequences(ids: Tensor, made: Sequence[Generation], config: GenerationConfig, ends: frozenset[int]) -> Tensor:
    """The prompts with what was made behind them."""
    texts = [_ids(one.ids, one.end, ends) for one in made]
    pad = config.pad_token_id if config.pad_token_id is not None else min(ends, default=0)
    width = max(map(len, texts))
    rows = [[*text, *[cast("int", pad)] * (width - len(text))] for text in texts]
    return torch.cat([ids, torch.tensor(rows, dtype=ids.dtype, device=ids.device).reshape(len(rows), width)], dim=1)
