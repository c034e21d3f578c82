"""The decoder's side of an encoder-decoder: rows of one length that attend to what the encoder read.

Where a decoder's positions come from differs from model to model (a relative bias between columns, counted columns), so
here columns have no holes and nothing stands in front of a row: rows of different lengths are different batches.
"""

import copy
from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor
from torch.nn.functional import pad
from transformers import DynamicCache, EncoderDecoderCache
from transformers.cache_utils import DynamicLayer
from transformers.modeling_outputs import BaseModelOutput

from toolformer.hf.cache import KeyValues
from toolformer.hf.network import Network
from toolformer.lm import Ids


class Decoding:
    """A batch of decoder rows, all as long as each other, each with its encoder's output."""

    def __init__(self, network: Network, sources: Sequence[Ids]) -> None:
        self._network = network
        ids, self._read = network.read(sources)
        with torch.no_grad():
            encoder = network.model.get_encoder()
            self._hidden: Tensor = encoder(input_ids=ids, attention_mask=self._read).last_hidden_state
        self._own = KeyValues(network.device)
        self._cross = DynamicCache()
        self.length = 0
        """How many tokens each row has."""

    @property
    def rows(self) -> int:
        """How many rows there are."""
        return len(self._read)

    def extend(self, rows: Sequence[Ids], wanted: Sequence[int]) -> Tensor:
        """Append to each row its ids, filled up at the right to one length; the logits of the wanted places."""
        ids = self._network.grid(rows)
        self._own.aim(range(len(rows)), [self.length] * len(rows), ids.shape[1])
        logits = self._network.ask(
            ids,
            sum(map(len, rows)),
            self._network.places(wanted),
            encoder_outputs=BaseModelOutput(last_hidden_state=self._hidden),
            attention_mask=self._read,
            decoder_input_ids=ids,
            past_key_values=EncoderDecoderCache(self._own, self._cross),
            use_cache=True,
        )
        self.length += ids.shape[1]
        return logits

    def select(self, rows: Sequence[int], length: int) -> "Decoding":
        """These rows as a batch of their own, cut to a length; a row named twice is forked."""
        index = self._network.places(rows)
        part = copy.copy(self)
        part.length = length
        part._read, part._hidden = self._read[index], self._hidden[index]
        part._own = KeyValues(self._network.device)
        part._own.put(self._own.read(index, slice(length)), slice(0, len(rows)), 0)
        part._cross = DynamicCache([(keys[index], values[index]) for keys, values in self._crossed()])
        return part

    def join(self, other: "Decoding") -> None:
        """Put the rows of another batch of the same length below these."""
        own = other._own.read(slice(other.rows), slice(self.length))
        self._own.put(own, slice(self.rows, self.rows + other.rows), 0)
        # What the encoder read may be longer here than there: it is filled up with zeros, which the mask hides.
        width = max(self._read.shape[1], other._read.shape[1])
        spare = [width - held._read.shape[1] for held in (self, other)]

        def both(mine: Tensor, its: Tensor) -> Tensor:
            return torch.cat([pad(held, (0, 0, 0, more)) for held, more in zip((mine, its), spare, strict=True)])

        self._hidden = both(self._hidden, other._hidden)
        self._read = both(self._read[..., None], other._read[..., None])[..., 0]
        self._cross = DynamicCache(
            [
                (both(keys, its_keys), both(values, its_values))
                for (keys, values), (its_keys, its_values) in zip(self._crossed(), other._crossed(), strict=True)
            ]
        )

    def _crossed(self) -> list[tuple[Tensor, Tensor]]:
        """The keys and values of what the encoder read; there are some once a token was forwarded."""
        layers = cast("list[DynamicLayer]", self._cross.layers)
        return [(cast("Tensor", layer.keys), cast("Tensor", layer.values)) for layer in layers]
