"""What causal models and encoder-decoders have in common behind the port of `lm.py`: a network, and its text."""

from collections.abc import Sequence

from transformers import PreTrainedModel

from toolformer.calls import Part
from toolformer.hf.encode import Codec
from toolformer.hf.exact import rounding
from toolformer.hf.network import Network
from toolformer.hf.precision import precision
from toolformer.hf.soft_prompt import soft_ids
from toolformer.hf.turns import frame_turns
from toolformer.lm import Counter, Encoded, Ids


class TransformersModel:
    """Of `lm.LanguageModel`, what does not depend on how the model reads; the rest is in `causal` and `seq2seq`."""

    def __init__(self, model: PreTrainedModel, codec: Codec, name: str, fingerprint: str) -> None:
        self.name = name
        self.fingerprint = fingerprint
        self.counter = Counter()
        self._codec = codec
        self._network = Network(model, name, self.counter)
        self._soft = soft_ids(model)
        self.ends = self._network.ends
        self.rounding = rounding(model)
        self.lone_space = bool(getattr(model.config, "lone_space", False))
        self.precision = precision(model)

    def encode(self, text: str) -> Encoded:
        """See `lm.LanguageModel`. Lone surrogates are encoded as U+FFFD, which is what a decoder makes of them."""
        return self._codec.encode(text)

    def encode_behind(self, text: str) -> Encoded:
        """See `lm.LanguageModel`."""
        return self._codec.encode_behind(text)

    def encode_parts(self, parts: Sequence[Part]) -> tuple[int, ...]:
        """See `lm.LanguageModel`."""
        return self._codec.encode_parts(parts)

    def frame_turns(self, roles: Sequence[str]) -> list[tuple[int, ...]] | None:
        """See `lm.LanguageModel`."""
        return frame_turns(self._codec.tokenizer, self.name, roles)

    def decode(self, ids: Ids) -> str:
        """See `lm.LanguageModel`."""
        return self._codec.decode(ids)
