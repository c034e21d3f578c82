"""One forward pass of a transformers model, over a grid of rows and columns of tokens.

This is where token ids meet the model, and the only place that calls it: what is visible to what, which positions the
vocabulary head is asked for, what it cost, and what happens when memory runs out. It knows nothing of texts, prompts
or calls.
"""

import inspect
import logging
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar, cast

import torch
from torch import Tensor
from transformers import PreTrainedModel

from toolformer.errors import ConfigError
from toolformer.hf_cache import KeyValues
from toolformer.lm import Counter, Ids

log = logging.getLogger("toolformer")

Item = TypeVar("Item")

_LAYER_KINDS = {"full_attention", "sliding_attention"}


class Network:
    """A causal model in inference: ids go in, fp32 logits of the wanted positions come out. Not for several threads."""

    def __init__(self, model: PreTrainedModel, name: str, counter: Counter) -> None:
        self.model = model.requires_grad_(False)
        self.name = name
        self.counter = counter
        self.device: torch.device = model.device
        config = model.config.get_text_config(decoder=True)
        self.vocabulary: int = config.vocab_size
        self.context: int = _context(config)
        # A fused attention takes a mask of booleans; the plain ones add a mask of floats to the scores.
        self._booleans = model.config._attn_implementation == "sdpa"
        kinds = set(getattr(config, "layer_types", None) or [])
        window = getattr(config, "sliding_window", None)
        self.window: int | None = window if kinds != {"full_attention"} else None
        self._mixed = len(kinds) > 1
        # A batch's tokens, so that neither its activations nor its logits grow beyond some hundred megabytes.
        self.budget = max(64, min(4096, 2**27 // self.vocabulary) if self.device.type == "cpu" else 16384)
        self._wanted: Tensor | None = None
        # A token that only fills a place. Not the padding token: transformers warns when it sees one without a mask.
        self.ends = _ends(model)
        self.filler = 1 if getattr(config, "pad_token_id", None) == 0 else 0
        head: torch.nn.Module = model.get_output_embeddings()  # type: ignore[no-untyped-call]
        head.register_forward_pre_hook(self._gather)

    def _gather(self, _: torch.nn.Module, arguments: tuple[Tensor, ...]) -> tuple[Tensor, ...] | None:
        """Between the layers and the vocabulary head: let only the wanted positions through.

        The model itself does everything around the head (scales, caps, biases), for every architecture alike.
        """
        if self._wanted is None:
            return None
        hidden = arguments[0]
        return (hidden.reshape(-1, hidden.shape[-1])[self._wanted].unsqueeze(0), *arguments[1:])

    @torch.no_grad()
    def plain(self, rows: Sequence[Ids], wanted: Sequence[int]) -> Tensor:
        """Rows from their first token on, nothing kept. `wanted` counts places in the grid, row by row."""
        places = torch.tensor(wanted, dtype=torch.long, device=self.device)
        return self._forward(self.grid(rows), sum(map(len, rows)), places, attention_mask=None)

    def append(self, cache: KeyValues, rows: Sequence[Ids], wanted: Sequence[int]) -> Tensor:
        """Run each row behind everything that the cache holds of it, whose positions must have no gaps."""
        ids = self.grid(rows)
        start, width = cache.width, ids.shape[1]
        visible = torch.ones(width, start + width, dtype=torch.bool, device=self.device).tril(start)
        positions = torch.arange(start, start + width, device=self.device).expand(len(rows), -1)
        places = torch.tensor(wanted, dtype=torch.long, device=self.device)
        return self.run(cache, ids, positions, visible.expand(len(rows), -1, -1), places, sum(map(len, rows)))

    @torch.no_grad()
    def run(
        self, cache: KeyValues, ids: Tensor, positions: Tensor, visible: Tensor, wanted: Tensor, real: int
    ) -> Tensor:
        """Append a block of columns to the cache; `real` of its tokens do more than fill a place.

        `visible[r, d, k]`: does the block's column d of row r see column k of the cache, the block itself included?
        """
        cache.positions = torch.cat([cache.positions, positions], dim=1)
        return self._forward(
            ids,
            real,
            wanted,
            attention_mask=self._masks(visible, positions, cache.positions),
            position_ids=positions,
            past_key_values=cache,
            use_cache=True,
        )

    def _forward(self, ids: Tensor, real: int, wanted: Tensor, **arguments: object) -> Tensor:
        self.counter.tokens += ids.numel()
        self.counter.padding += ids.numel() - real
        self.counter.head_rows += len(wanted)
        self._wanted = wanted
        arguments.setdefault("use_cache", False)
        try:
            logits: Tensor = self.model(input_ids=ids, **arguments).logits
        finally:
            self._wanted = None
        return logits[0].float()

    def _masks(self, visible: Tensor, positions: Tensor, key_positions: Tensor) -> Tensor | dict[str, Tensor]:
        """The masks by kind of layer. A window counts positions, not columns: these have holes and branches."""
        full = self._mask(visible)
        if self.window is None:
            return full
        near = positions[:, :, None] - key_positions[:, None, :] < self.window
        sliding = self._mask(visible & near)
        return {"full_attention": full, "sliding_attention": sliding} if self._mixed else sliding

    def _mask(self, visible: Tensor) -> Tensor:
        if self._booleans:
            return visible.unsqueeze(1)
        hidden = torch.finfo(self.model.dtype).min
        return torch.zeros(visible.shape, dtype=self.model.dtype, device=self.device).masked_fill_(~visible, hidden)[
            :, None
        ]

    def grid(self, rows: Sequence[Ids]) -> Tensor:
        """The rows as one rectangle, filled up at the right."""
        width = max(map(len, rows))
        return torch.tensor([[*row, *[self.filler] * (width - len(row))] for row in rows], device=self.device)

    def check_fits(self, lengths: Sequence[int]) -> None:
        """Refuse rows longer than the context before anything is forwarded."""
        if (longest := max(lengths, default=0)) > self.context:
            raise ConfigError(
                f"{longest} tokens do not fit into the context of {self.name} ({self.context}): "
                "cut the text, or shorten the prompt"
            )


def _context(config: object) -> int:
    for name in ("max_position_embeddings", "n_positions", "n_ctx"):
        if isinstance(value := getattr(config, name, None), int):
            return value
    return 1 << 30


def _ends(model: PreTrainedModel) -> frozenset[int]:
    """The tokens that end the model's text."""
    for config in (model.generation_config, model.config):
        ends = getattr(config, "eos_token_id", None)
        if ends is not None:
            return frozenset([ends] if isinstance(ends, int) else ends)
    return frozenset()


def batches(lengths: Sequence[int], budget: int) -> Iterator[list[int]]:
    """Indices of rows, grouped so that like lengths stand together and rows times the longest stays in the budget."""
    batch: list[int] = []
    longest = 0
    for index in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
        if batch and (len(batch) + 1) * longest > budget:
            yield batch
            batch = []
        if not batch:
            longest = max(1, lengths[index])
        batch.append(index)
    if batch:
        yield batch


def halving(items: list[Item], work: Callable[[list[Item]], None]) -> None:
    """Do the work for all items at once, or, where memory does not suffice, for half of them at a time."""
    try:
        work(items)
        return
    except RuntimeError as error:
        if not _out_of_memory(error):
            raise
    # Outside of the except block: until it is left, the traceback holds the tensors that filled the memory.
    if len(items) == 1:
        raise ConfigError(
            "not enough memory for a single row: use a smaller dtype, quantize='int8' or 'nf4', or shorter texts"
        )
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    half = len(items) // 2
    log.warning("out of memory on a batch of %d rows: going on with %d at a time", len(items), half)
    halving(items[:half], work)
    halving(items[half:], work)


def _out_of_memory(error: RuntimeError) -> bool:
    return isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error)


def unsupported(model: PreTrainedModel) -> str | None:
    """Why this model cannot be run over a grid, or None."""
    config = model.config.get_text_config(decoder=True)
    kinds = set(cast("list[str]", getattr(config, "layer_types", None) or []))
    if getattr(model, "_is_stateful", False) or kinds - _LAYER_KINDS:
        return "it carries a recurrent state, which cannot be cut back or shared between continuations"
    if "position_ids" not in inspect.signature(model.forward).parameters:
        return "it cannot be told the positions of its tokens"
    return None
