"""A learned prompt (prompt tuning) as tokens: ids behind the vocabulary's end, whose vectors are the prompt's.

So it can stand before a text like a start token, and everything that shares, caches and counts tokens works as it is.
The vocabulary head does not know these ids: they can be read, never said.
"""

import torch
from torch import Tensor
from transformers import PreTrainedModel


class SoftPrompt(torch.nn.Module):
    """The model's input embeddings, with some more rows."""

    def __init__(self, embeddings: torch.nn.Module, first: int, prompt: Tensor) -> None:
        super().__init__()
        self.embeddings = embeddings
        self.prompt: Tensor
        self.register_buffer("prompt", prompt)
        self.ids = tuple(range(first, first + len(prompt)))

    def forward(self, ids: Tensor) -> Tensor:
        """The vectors of these tokens."""
        soft = ids >= self.ids[0]
        vectors: Tensor = self.embeddings(ids.masked_fill(soft, 0))
        learned = self.prompt[(ids - self.ids[0]).clamp(min=0)]
        return torch.where(soft.unsqueeze(-1), learned.to(vectors.dtype), vectors)


def put_before(model: PreTrainedModel, prompt: Tensor) -> None:
    """Teach the model's input side the vectors of a learned prompt."""
    first = model.config.get_text_config().vocab_size
    soft = SoftPrompt(model.get_input_embeddings(), first, prompt.detach().to(model.device))
    model.set_input_embeddings(soft)


def soft_ids(model: PreTrainedModel) -> tuple[int, ...]:
    """The ids of the model's learned prompt; mostly it has none."""
    embeddings = model.get_input_embeddings()
    return embeddings.ids if isinstance(embeddings, SoftPrompt) else ()
