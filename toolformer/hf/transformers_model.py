"""Models of transformers behind the port of `lm.py`: the parts in the other files here, put together."""

import copy
import inspect
from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import partial
from typing import Self

import torch
from transformers import PreTrainedModel

from toolformer.errors import ConfigError
from toolformer.hf.adapted import soft_ids
from toolformer.hf.cache import KeyValues
from toolformer.hf.causal_rows import CausalRows
from toolformer.hf.checkpoint import adapter_mark
from toolformer.hf.encode import Codec, Spells
from toolformer.hf.network import Network
from toolformer.hf.openings import Heads, pass_over
from toolformer.hf.precision import in_fp32, precision, rounding
from toolformer.hf.scoring import answers_of, log_probabilities, window_losses
from toolformer.hf.seq2seq.openings import Seq2SeqOpenings
from toolformer.hf.seq2seq.seq2seq_rows import Seq2SeqRows
from toolformer.hf.shared import OWN, Shared
from toolformer.hf.tree import TreeOpenings
from toolformer.lm import Counter, Encoded, Ids, Prompted, Window

_OFF = 0.3
"""How far logits may be off, in their own standard deviations: far above the noise of bf16, far below a wrong mask."""
_FINE = "Models like Llama, Qwen, Gemma, GPT-2, GPT-NeoX, OPT and T5 can."


class TransformersModel(Spells, ABC):
    """Of `lm.LanguageModel`, what does not depend on how the model reads."""

    context: int

    def __init__(
        self,
        model: PreTrainedModel,
        codec: Codec,
        name: str,
        fingerprint: str,
        shared: Shared | None = None,
        adapter: str = OWN,
    ) -> None:
        """Of a network that is `shared`, each pass is under this adapter."""
        self.name = name
        self.fingerprint = fingerprint
        self.counter = Counter()
        self._codec = codec
        self._shared = shared or Shared(model, None)
        self._network = Network(model, name, self.counter, partial(self._shared.turn, adapter))
        self._ask = partial(answers_of, self._network)
        self._soft = soft_ids(model) if adapter == OWN else ()
        self.ends = self._network.ends
        self.rounding = rounding(model)
        self.lone_space = bool(getattr(model.config, "lone_space", False))
        self.precision = precision(model)
        self.known: int | None = None
        self._prepare()

    @abstractmethod
    def _prepare(self) -> None:
        """Compute what the model is asked with, and refuse one that cannot be asked."""

    @abstractmethod
    def _begin(self, prefix: Ids) -> tuple[Ids, tuple[int, ...]]:
        """What an encoder reads of a prefix (nothing, where there is none), and what the row of a text begins with."""

    def encode_behind(self, text: str) -> Encoded:
        """See `lm.LanguageModel`."""
        return self._codec.encode_behind(text)

    def log_probabilities(self, texts: Sequence[tuple[int, ...]]) -> list[list[float]]:
        """See `lm.Judge`. An encoder reads an empty prompt."""
        return log_probabilities(self._ask, self._begin, texts)

    def window_losses(self, windows: Sequence[Window], *, exact: bool = False) -> list[float]:
        """See `lm.Judge`."""
        if not (exact and self.rounding):
            return window_losses(self._ask, self._begin, windows)
        with self._network.turn(), in_fp32(self._network.model):
            return window_losses(self._ask, self._begin, windows)

    def under(self, adapter: str) -> Self:
        """See `lm.LanguageModel`."""
        called, found = self._shared.put(adapter)
        mark = f"{self.fingerprint} {adapter_mark(found)}"
        return type(self)(self._network.model, self._codec, f"{self.name} as {adapter}", mark, self._shared, called)


class CausalModel(TransformersModel):
    """`lm.LanguageModel` for causal models. Not for several threads at once."""

    reads_apart = False

    def _prepare(self) -> None:
        check(self._network.model, self.name)
        check_equal(self._network)
        self._heads = Heads(self._network)
        self._start = self._soft + (() if self._codec.start is None else (self._codec.start,))
        self.context = self._network.context - len(self._start)

    def open(
        self,
        prompted: Sequence[Prompted],
        opening: tuple[int, ...],
        places: Sequence[Sequence[int]] | None = None,
    ) -> TreeOpenings:
        """See `lm.LanguageModel`. The start token stands before the head."""
        if not opening:
            raise ConfigError("an opening needs at least one token")
        started = [Prompted(self._start + one.head, one.tail, one.text) for one in prompted]
        passed = pass_over(self._network, self._heads, started, opening[0], places)
        return TreeOpenings(self._network, self._codec, passed, opening)

    def _begin(self, prefix: Ids) -> tuple[Ids, tuple[int, ...]]:
        return (), (*self._start, *prefix)

    def rows(self, prompts: Sequence[Ids]) -> CausalRows:
        """See `lm.LanguageModel`."""
        return CausalRows(self._network, self._started, prompts)

    def _started(self, prompt: Ids) -> list[int]:
        row = [*self._soft, *self._codec.started(prompt)]
        if not row:
            raise ConfigError(f"{self.name} has no start token: it cannot go on from an empty prompt")
        return row


class Seq2SeqModel(TransformersModel):
    """`lm.LanguageModel` for encoder-decoders. Not for several threads at once."""

    reads_apart = True

    def _prepare(self) -> None:
        self._before, self._behind = self._codec.frame()
        self.context = self._network.context - len(self._soft) - max(1, len(self._before + self._behind))
        start = self._network.model.config.decoder_start_token_id
        if start is None:
            raise ConfigError(f"{self.name} does not say with which token its decoder starts (decoder_start_token_id)")
        self._start: int = start

    def _begin(self, prefix: Ids) -> tuple[Ids, tuple[int, ...]]:
        return self._source(prefix), (self._start,)

    def _source(self, ids: Ids) -> list[int]:
        """What the encoder reads: the ids between the tokenizer's own marks. An encoder must read something."""
        framed = [*self._before, *ids, *self._behind]
        return [*self._soft, *(framed or [min(self.ends, default=self._start)])]

    def open(
        self,
        prompted: Sequence[Prompted],
        opening: tuple[int, ...],
        places: Sequence[Sequence[int]] | None = None,  # noqa: ARG002 - all positions of a row are asked at once
    ) -> Seq2SeqOpenings:
        """See `lm.LanguageModel`."""
        if not opening:
            raise ConfigError("an opening needs at least one token")
        sources = [self._source(one.head + one.tail) for one in prompted]
        return Seq2SeqOpenings(
            self._network, self._codec, opening, sources, [(self._start, *one.text) for one in prompted]
        )

    def rows(self, prompts: Sequence[Ids]) -> Seq2SeqRows:
        """See `lm.LanguageModel`."""
        return Seq2SeqRows(self._network, self._source, self._start, prompts)


def check(model: PreTrainedModel, name: str) -> None:
    """Refuse a model whose cache cannot have holes and branches, with the reason."""
    config = model.config.get_text_config(decoder=True)
    kinds: set[str] = set(getattr(config, "layer_types", None) or [])
    reason = None
    if getattr(model, "_is_stateful", False) or kinds - {"full_attention", "sliding_attention"}:
        reason = "it carries a state that cannot be cut back or shared between continuations"
    elif "position_ids" not in inspect.signature(model.forward).parameters:
        reason = "it cannot be told the positions of its tokens"
    if reason:
        raise ConfigError(f"{name} ({type(model).__name__}) cannot be used here: {reason}. {_FINE}")


def check_equal(network: Network) -> None:
    """Refuse a model that answers otherwise with holes in its cache than without: some read more than they are told."""
    before = copy.copy(network.counter)
    ids = [(network.filler + 7 * i) % network.vocabulary for i in range(1, 7)]
    plain = network.plain([ids], wanted=[len(ids) - 1])
    cache = KeyValues(network.device)
    network.append(cache, 0, [[*ids[:3], network.filler]], wanted=[])
    cache.aim([0], [4], 3)
    visible = torch.ones(3, 7, dtype=torch.bool, device=network.device).tril(4)
    visible[:, 3] = False
    behind, positions = network.grid([ids[3:]]), network.grid([[0, 1, 2, 3, 3, 4, 5]])
    with_hole = network.forward(cache, behind, positions[:, 4:], visible[None], positions, network.places([2]), real=3)
    off = float((with_hole - plain).abs().max() / plain.std())
    vars(network.counter).update(vars(before))
    if not off < _OFF:
        raise ConfigError(
            f"{network.name} answers otherwise when its cache has holes (off by {off:.2f} standard deviations): "
            f"{type(network.model).__name__} cannot be used here. {_FINE}"
        )
