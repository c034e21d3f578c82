"""Adapters on a model: as layers of its own, folded into its weights, or merged for good.

A learned prompt (prompt tuning) becomes tokens: ids behind the vocabulary's end, whose vectors are the prompt's. So it
can stand before a text like a start token, and everything that shares, caches and counts tokens works as it is. The
vocabulary head does not know these ids: they can be read, never said.
"""

import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor
from transformers import PreTrainedModel

from toolformer.errors import ConfigError, first_line
from toolformer.hf.adapter import WRONG, Adapter

if TYPE_CHECKING:
    from peft import PeftModel
    from peft.tuners.lora import Linear


def put_on(model: PreTrainedModel, adapter: Adapter, tokens: int) -> PreTrainedModel:
    """The model with the adapter's layers in it, and rows for so many tokens."""
    adapted = _adapted(model, adapter, tokens)
    inner = cast("PreTrainedModel", adapted.get_base_model().eval())
    config = adapted.active_peft_config
    if config.is_prompt_learning:
        _put_before(inner, adapted.get_prompt(batch_size=1)[0, : config.num_virtual_tokens])
    _put_into_tables(inner)
    return inner


def _put_into_tables(model: PreTrainedModel) -> None:
    """Write the vectors of trained tokens into the embeddings and the head. peft would make a copy of the whole table
    with them in it, for either of the two, at every pass."""
    from peft.utils.other import TrainableTokensWrapper

    wrapped = [(name, one) for name, one in model.named_modules() if isinstance(one, TrainableTokensWrapper)]
    for name, one in wrapped:
        table = one.unload_and_optionally_merge_module(merge=True, safe_merge=False, adapter_names=None)
        model.set_submodule(name, table)


def fold(model: PreTrainedModel) -> None:
    """Add what a LoRA has learnt to the weights of its layers: a pass then costs what it costs without an adapter.

    Only in float32: in fewer bits, small changes of large weights would be rounded away. Tables stay as they are, since
    the embeddings and the head may share theirs.
    """
    tables = (model.get_input_embeddings(), model.get_output_embeddings())  # type: ignore[no-untyped-call]
    shared = {id(table.weight) for table in tables if hasattr(table, "weight")}
    for layer in _lora_layers(model):
        weight = layer.get_base_layer().weight
        if weight.dtype == torch.float32 and id(weight) not in shared and not any(layer.lora_bias.values()):
            layer.merge()


def unfold(model: PreTrainedModel) -> None:
    """Take it out again, but for what rounding leaves. Each layer can then be told which adapter is on."""
    for layer in _lora_layers(model):
        if layer.merged:
            layer.unmerge()


def _lora_layers(model: PreTrainedModel) -> "Iterator[Linear]":
    """Those on plain linear layers: what packs its weights, and what has none of its own, is of another kind."""
    from peft.tuners.lora import Linear

    return (module for module in model.modules() if isinstance(module, Linear))


def merge(model: PreTrainedModel, adapter: Adapter, tokens: int) -> PreTrainedModel:
    """The model with what a LoRA has learnt in its own weights, and rows for so many tokens. No layers are added."""
    if adapter.kind != "LORA":
        raise ConfigError(
            f"{adapter.name} is a learned prompt, which has no place in a model's weights: finetune with LoRA or all "
            "weights"
        )
    adapted = _adapted(model, adapter, tokens)
    try:
        return cast("PreTrainedModel", adapted.merge_and_unload(safe_merge=True).eval())
    except ValueError as error:
        raise ConfigError(f"{adapter.name} cannot be merged ({first_line(error)}): finetune again") from error


def _adapted(model: PreTrainedModel, adapter: Adapter, tokens: int) -> "PeftModel":
    from peft import PeftModel

    if tokens > (known := model.config.get_text_config(decoder=True).vocab_size):
        _add_rows(model, known, tokens)
    try:
        with warnings.catch_warnings():
            # peft asks transformers in a way that is on its way out; nobody who loads an adapter can help it.
            warnings.filterwarnings("ignore", "`is_gradient_checkpointing`", FutureWarning)
            return PeftModel.from_pretrained(model, str(adapter.folder))
    except WRONG as error:
        raise ConfigError(f"{adapter.name} is no adapter for this model: {first_line(error)}") from error


@torch.no_grad()
def _add_rows(model: PreTrainedModel, known: int, tokens: int) -> None:
    """Rows for new tokens, in which the adapter puts what it has learnt. Else they would be random, and the same model
    another one each time it is loaded."""
    model.resize_token_embeddings(tokens, mean_resizing=False)
    for table in (model.get_input_embeddings(), model.get_output_embeddings()):  # type: ignore[no-untyped-call]
        for values in (table.weight, getattr(table, "bias", None)):
            if isinstance(values, torch.Tensor):
                values[known:] = 0


class _SoftPrompt(torch.nn.Module):
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


def _put_before(model: PreTrainedModel, prompt: Tensor) -> None:
    """Teach the model's input side the vectors of a learned prompt."""
    first = model.config.get_text_config().vocab_size
    soft = _SoftPrompt(model.get_input_embeddings(), first, prompt.detach().to(model.device))
    model.set_input_embeddings(soft)


def soft_ids(model: PreTrainedModel) -> tuple[int, ...]:
    """The ids of the model's learned prompt; mostly it has none."""
    embeddings = model.get_input_embeddings()
    return embeddings.ids if isinstance(embeddings, _SoftPrompt) else ()
