"""One forward pass of a transformers model, over a grid of rows and columns of tokens.

This is where token ids meet the model, and the only place that calls it: what is visible to what, which positions the
vocabulary head is asked for, what it cost, and what happens when memory runs out. It knows nothing of texts, prompts
or calls.
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TypeVar

import torch
from torch import Tensor
from transformers import PreTrainedModel

from toolformer.errors import ConfigError
from toolformer.hf.cache import KeyValues
from toolformer.lm import Counter, Ids

log = logging.getLogger("toolformer")

Item = TypeVar("Item")


class Network:
    """A model in inference: ids go in, fp32 logits of the wanted positions come out. Not for several threads."""

    def __init__(
        self,
        model: PreTrainedModel,
        name: str,
        counter: Counter,
        turn: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        """Each pass is within a `turn`, where others use the same model."""
        self.model = model.requires_grad_(False)
        self.turn = turn
        self.name = name
        self.counter = counter
        self.device: torch.device = model.device
        config = model.config.get_text_config(decoder=True)
        self.vocabulary: int = config.vocab_size
        self.context = context_of(model)
        kinds = set(getattr(config, "layer_types", None) or [])
        window = getattr(config, "sliding_window", None)
        self.window: int | None = window if kinds != {"full_attention"} else None
        self._mixed = len(kinds) > 1
        # Tokens in a batch: on a CPU few enough for its caches. Of logits, half a gigabyte at most.
        self.budget = 1024 if self.device.type == "cpu" else 16384
        self.head_rows = max(64, 2**27 // self.vocabulary)
        self.ends = ends_of(model.generation_config, model.config)
        self.filler = filler_of(model)
        self._head_weights = sum(weight.numel() for weight in _head(model).parameters())
        tied = model.config.get_text_config(decoder=True).tie_word_embeddings
        self._weights = model.num_parameters(exclude_embeddings=True) - (0 if tied else self._head_weights)
        self._wanted: Tensor | None = None
        before_head(model, self._gather)

    def _gather(self, hidden: Tensor) -> Tensor:
        """Let only the wanted positions through to the vocabulary head."""
        return hidden if self._wanted is None else hidden.reshape(-1, hidden.shape[-1])[self._wanted].unsqueeze(0)

    def plain(self, rows: Sequence[Ids], wanted: Sequence[int], sources: Sequence[Ids] | None = None) -> Tensor:
        """Rows from their first token on, nothing kept. `wanted` counts places in the grid, row by row.

        With `sources`, an encoder reads those, and the rows are the decoder's.
        """
        ids, real, places = self.grid(rows), sum(map(len, rows)), self.places(wanted)
        if sources is None:
            return self.ask(ids, real, places, input_ids=ids, use_cache=False)
        read, there = self.read(sources)
        return self.ask(ids, real, places, input_ids=read, attention_mask=there, decoder_input_ids=ids, use_cache=False)

    def read(self, sources: Sequence[Ids]) -> tuple[Tensor, Tensor]:
        """What an encoder is given, which counts: the sources as a rectangle, and where in it they are."""
        ids = self.grid(sources)
        self.count(ids, sum(map(len, sources)))
        lengths = torch.tensor(list(map(len, sources)), device=self.device)
        return ids, (torch.arange(ids.shape[1], device=self.device) < lengths[:, None]).long()

    def append(self, cache: KeyValues, start: int, rows: Sequence[Ids], wanted: Sequence[int]) -> Tensor:
        """Run each row behind the cache's first columns up to `start`, whose positions must have no gaps."""
        ids = self.grid(rows)
        depth = ids.shape[1]
        cache.aim(range(len(rows)), [start] * len(rows), depth)
        visible = torch.ones(depth, start + depth, dtype=torch.bool, device=self.device).tril(start)
        visible = visible.expand(len(rows), -1, -1)
        positions = torch.arange(start + depth, device=self.device).expand(len(rows), -1)
        real = sum(map(len, rows))
        return self.forward(cache, ids, positions[:, start:], visible, positions, self.places(wanted), real)

    def forward(
        self,
        cache: KeyValues,
        ids: Tensor,
        positions: Tensor,
        visible: Tensor | None,
        key_positions: Tensor,
        wanted: Tensor,
        real: int,
    ) -> Tensor:
        """Run a block of columns, `real` of whose tokens do more than fill a place, where the cache was told to aim.

        `visible[r, d, k]`: does the block's column d of row r see column k of the cache, the block itself included?
        Without it, all sees all. `key_positions` are those of the cache's columns, the block's again included.
        """
        return self.ask(
            ids,
            real,
            wanted,
            input_ids=ids,
            attention_mask=self._masks(visible, positions, key_positions),
            position_ids=positions,
            past_key_values=cache,
            use_cache=True,
        )

    @torch.no_grad()
    def ask(self, forwarded: Tensor, real: int, wanted: Tensor, **arguments: object) -> Tensor:
        """Call the model, which counts, and return the logits of the wanted places."""
        self.count(forwarded, real)
        self.counter.head_rows += len(wanted)
        self.counter.operations += 2.0 * self._head_weights * len(wanted)
        with self.turn():
            self._wanted = wanted
            try:
                logits: Tensor = self.model(**arguments).logits
            finally:
                self._wanted = None
        return logits[0].float()

    def count(self, forwarded: Tensor, real: int) -> None:
        """Note that these tokens go through the layers, `real` of them for a purpose."""
        self.counter.tokens += forwarded.numel()
        self.counter.padding += forwarded.numel() - real
        self.counter.operations += 2.0 * self._weights * forwarded.numel()

    def places(self, wanted: Sequence[int]) -> Tensor:
        """Places in a grid as an index."""
        return torch.tensor(wanted, dtype=torch.long, device=self.device)

    def _masks(self, visible: Tensor | None, positions: Tensor, key_positions: Tensor) -> Tensor | dict[str, Tensor]:
        """The masks by kind of layer. A window counts positions, not columns: these have holes and branches."""
        shape = (*positions.shape, key_positions.shape[1])
        if visible is None:
            full = torch.zeros(1, 1, 1, 1, dtype=self.model.dtype, device=self.device).expand(shape[0], 1, *shape[1:])
        else:
            full = self._mask(visible)
        if self.window is None:
            return full
        near = positions[:, :, None] - key_positions[:, None, :] < self.window
        sliding = self._mask(near if visible is None else visible & near)
        return {"full_attention": full, "sliding_attention": sliding} if self._mixed else sliding

    def _mask(self, visible: Tensor) -> Tensor:
        # As floats to be added to the scores: every attention takes them, and none has to convert them in each layer.
        hidden = torch.finfo(self.model.dtype).min
        mask = torch.zeros(visible.shape, dtype=self.model.dtype, device=self.device)
        return mask.masked_fill_(~visible, hidden).unsqueeze(1)

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


def before_head(model: PreTrainedModel, change: Callable[[Tensor], Tensor]) -> None:
    """Between the layers and the vocabulary head, change the hidden states: such as, to those of some positions.

    The model itself does everything around the head (scales, caps, biases), for every architecture alike.
    """

    def hook(_: torch.nn.Module, arguments: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        return (change(arguments[0]), *arguments[1:])

    _head(model).register_forward_pre_hook(hook)


def _head(model: PreTrainedModel) -> torch.nn.Module:
    head: torch.nn.Module = model.get_output_embeddings()  # type: ignore[no-untyped-call]
    return head


def filler_of(model: PreTrainedModel) -> int:
    """A token that only fills a place. Not the padding token: transformers warns when it sees one without a mask."""
    return 1 if getattr(model.config.get_text_config(decoder=True), "pad_token_id", None) == 0 else 0


def context_of(model: PreTrainedModel) -> int:
    """How many tokens fit; more than anybody has, where the model does not say."""
    config = model.config.get_text_config(decoder=True)
    for name in ("max_position_embeddings", "n_positions", "n_ctx"):
        if isinstance(value := getattr(config, name, None), int):
            return value
    return 1 << 30


def ends_of(*configs: object) -> frozenset[int]:
    """The tokens that end a model's text, by the first of its settings that says."""
    for config in configs:
        ends = getattr(config, "eos_token_id", None)
        if ends is not None:
            return frozenset([ends] if isinstance(ends, int) else ends)
    return frozenset()


def batches(
    lengths: Sequence[int], budget: int, asked: Sequence[int] | None = None, most: int = 0
) -> Iterator[list[int]]:
    """Indices of rows, grouped so that like lengths stand together and rows times the longest stays in the budget.

    Where each row asks for some logits, those of a group are `most` at most.
    """
    batch: list[int] = []
    longest = logits = 0
    for index in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
        wanted = asked[index] if asked else 0
        if batch and ((len(batch) + 1) * longest > budget or logits + wanted > most > 0):
            yield batch
            batch, logits = [], 0
        if not batch:
            longest = max(1, lengths[index])
        batch.append(index)
        logits += wanted
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
