"""A model made ready to be trained: the call tokens in its vocabulary, and what is to be trained on top of it.

Weights come from `hf.load`. What an earlier run wrote, here or on the hub, goes on with the adapter in it.
"""

import warnings
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase
from transformers.integrations.deepspeed import is_deepspeed_zero3_enabled

from toolformer.calls import CallSyntax, Part
from toolformer.errors import ConfigError
from toolformer.finetune.config import TrainConfig
from toolformer.finetune.trained_rows import by_themselves
from toolformer.hf import load_network
from toolformer.hf.adapter import Adapter
from toolformer.hf.encode import Codec
from toolformer.hf.load import tokenizer_of
from toolformer.hf.quiet import no_bar
from toolformer.hf.source import base_of, find
from toolformer.loading import Loading, Quantize

if TYPE_CHECKING:
    from peft import PeftModel


_LEAK = 0.1
"""How far packed logits may be off, in standard deviations: above the noise of bf16, below what a leak does."""


@dataclass(frozen=True)
class Prepared:
    """What is trained, and how it writes calls."""

    model: "PreTrainedModel | PeftModel"
    network: PreTrainedModel
    """The model of transformers inside."""
    tokenizer: PreTrainedTokenizerBase
    codec: Codec
    syntax: CallSyntax

    @property
    def adapter(self) -> bool:
        """Whether only an adapter is trained and saved."""
        return self.model is not self.network


def prepare(name: str, config: TrainConfig, loading: Loading, *, taught: bool = False) -> Prepared:
    """Load the model and put on it what the settings ask for. An adapter, by its own name or as one of `loading`, goes
    on to be trained. With `taught`, a model that has no call tokens yet is refused."""
    torch.manual_seed(config.seed)
    source, earlier = find(name, loading)
    if earlier:
        _check_earlier(earlier, config)
        earlier.fetch(offline=source.offline)
    network, tokenizer = load_network(source.name, replace(loading, adapter=None, revision=source.revision))
    if earlier:
        tokenizer = tokenizer_of(source, earlier)
    if taught and not {*CallSyntax.TOKENS.control_tokens} <= tokenizer.get_added_vocab().keys():
        raise ConfigError(f"{name} has not learnt to call: name a folder of `toolformer train`")
    # A prompt adds nothing to the vocabulary, and a control run has no calls to write.
    tokens = config.how != "prompt" and not config.control
    new = _add_tokens(network, tokenizer, name) if tokens else []
    codec = Codec(tokenizer, name)
    syntax = CallSyntax.TOKENS if tokens else CallSyntax.TEXT
    with warnings.catch_warnings():
        # That a Conv1D is the other way round, that it looks for a config on the hub, and its ways with transformers.
        warnings.simplefilter("ignore")
        model = _adapted(network, new, str(earlier.folder) if earlier else None, config, loading.quantize)
    if config.how != "full":
        settings: Any = model.peft_config["default"]
        settings.base_model_name_or_path, settings.revision = source.name, source.revision
        if isinstance(targets := getattr(settings, "target_modules", None), set):
            # A set's order, and so the bytes written, would change from run to run.
            settings.target_modules = sorted(targets)
    if config.how == "full":
        network.requires_grad_(True)
    by_themselves(model)
    return Prepared(model, network, tokenizer, codec, syntax)


def _check_earlier(earlier: Adapter, config: TrainConfig) -> None:
    """Refuse an adapter that cannot go on."""
    if config.how != "lora":
        raise ConfigError(f"{earlier.name} is an adapter, which can only go on as one: how=lora, not {config.how}")
    if earlier.kind != "LORA":
        base = base_of(earlier)
        raise ConfigError(f"{earlier.name} is a learned prompt, which cannot go on: train its base model, {base}")


@torch.no_grad()
def check_packing(prepared: Prepared) -> None:
    """Refuse a model in which texts that share a row would see each other."""
    network = prepared.network
    if network.config.is_encoder_decoder:
        raise ConfigError(f"pack is for causal models, not for an encoder-decoder ({type(network).__name__})")
    first, second = ([7 * i % 100 + start for i in range(1, 7)] for start in (3, 4))
    ids, apart = (torch.tensor([row], device=network.device) for row in ([*first, *second], second))
    positions = torch.arange(6, device=network.device).repeat(2)[None]
    packed = network(input_ids=ids, position_ids=positions, use_cache=False).logits[0, 6:].float()
    alone = network(input_ids=apart, use_cache=False).logits[0].float()
    if not float((packed - alone).abs().max() / alone.std()) < _LEAK:
        raise ConfigError(f"in a {type(network).__name__}, texts that share a row see each other: train without pack")


def check_turns(prepared: Prepared, name: str) -> None:
    """Refuse a model that cannot learn texts as turns of a chat."""
    if prepared.network.config.is_encoder_decoder:
        raise ConfigError(f"turns is for causal models, not for an encoder-decoder ({name}): take turns=0")
    if prepared.codec.frame_turns(["user"]) is None:
        raise ConfigError(
            f"{name} has no chat template: it chats in plain text, which it learns as it is. Take turns=0"
        )


def save(prepared: Prepared, model: torch.nn.Module, folder: str, state_dict: dict[str, torch.Tensor] | None) -> None:
    """Write the model, or its adapter alone, and the tokenizer. `model` is the one inside of what trains it."""
    more = {"save_embedding_layers": False} if prepared.adapter else {}
    with warnings.catch_warnings(), no_bar():
        warnings.simplefilter("ignore")
        model.save_pretrained(folder, state_dict=state_dict, **more)  # type: ignore[operator]
    prepared.tokenizer.save_pretrained(folder)


def show_bias(head: Any) -> None:
    """Let peft's wrapper of a vocabulary head show the bias of the head inside, as TRL reads it. A head that is not
    wrapped has it."""
    if not hasattr(head, "bias"):
        # Not by setattr, with which torch would take it for a second parameter.
        object.__setattr__(head, "bias", getattr(head.original_module, "bias", None))


def _add_tokens(network: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, name: str) -> list[int]:
    """Put the call tokens into the vocabulary, each beginning as what stands for it in plain text; their ids."""
    control, text = CallSyntax.TOKENS.control_tokens, CallSyntax.TEXT
    codec = Codec(tokenizer, name)
    missing = [token for token in control if token not in tokenizer.get_added_vocab()]
    if missing:
        tokenizer.add_tokens([*control], special_tokens=True)
    # Many models have more rows than their tokenizer has tokens: those are never cut off.
    if len(tokenizer) > network.config.get_text_config(decoder=True).vocab_size:
        network.resize_token_embeddings(len(tokenizer), mean_resizing=False)
    ids = list(Codec(tokenizer, name).encode_parts([Part(token, control=True) for token in control]))
    like = [codec.encode_parts([Part(marker)]) for marker in (text.open, text.arrow, text.close)]
    for table in (network.get_input_embeddings(), network.get_output_embeddings()):  # type: ignore[no-untyped-call]
        for id_, plain in zip(ids, like, strict=True):
            if control[ids.index(id_)] in missing:
                _begin_as(table, id_, plain)
    return ids


@torch.no_grad()
def _begin_as(table: torch.nn.Module, id_: int, plain: tuple[int, ...]) -> None:
    """Set the row of a token to the mean of others'."""
    with _whole(table):
        for values in (table.weight, getattr(table, "bias", None)):
            if isinstance(values, torch.Tensor):
                values[id_] = values[list(plain)].float().mean(0).to(values.dtype)


def _whole(table: torch.nn.Module) -> AbstractContextManager[object]:
    """Within the block a table can be changed, also where DeepSpeed has split it over devices."""
    if not is_deepspeed_zero3_enabled():  # type: ignore[no-untyped-call]
        return nullcontext()
    import deepspeed

    gathered: AbstractContextManager[object] = deepspeed.zero.GatheredParameters([*table.parameters()], modifier_rank=0)
    return gathered


def _adapted(
    network: PreTrainedModel, new: list[int], earlier: str | None, config: TrainConfig, quantize: Quantize | None
) -> "PreTrainedModel | PeftModel":
    from peft import (
        LoraConfig,
        PeftModel,
        PromptTuningConfig,
        TaskType,
        get_peft_model,
        prepare_model_for_kbit_training,
    )

    if config.how == "full":
        return network
    if quantize:
        again = config.checkpoint_gradients
        network = prepare_model_for_kbit_training(network, use_gradient_checkpointing=again)  # type: ignore[no-untyped-call]
    if earlier:
        return PeftModel.from_pretrained(network, earlier, is_trainable=True)
    task = TaskType.SEQ_2_SEQ_LM if network.config.is_encoder_decoder else TaskType.CAUSAL_LM
    if config.how == "prompt":
        prompt = PromptTuningConfig(
            task_type=task, num_virtual_tokens=config.prompt_length, num_transformer_submodules=1
        )
        return get_peft_model(network, prompt)
    lora = LoraConfig(
        task_type=task,
        r=config.rank,
        lora_alpha=2 * config.rank,
        target_modules="all-linear",
        trainable_token_indices=_indices(network, new),
    )
    return get_peft_model(network, lora)


def _indices(network: PreTrainedModel, new: list[int]) -> list[int] | dict[str, list[int]] | None:
    """The new tokens as peft wants them: of the one table, or of the two by name."""
    if not new:
        return None
    inputs, outputs = network.get_input_embeddings(), network.get_output_embeddings()  # type: ignore[no-untyped-call]
    if inputs.weight is outputs.weight:
        return new
    names = {id(module): name.rpartition(".")[2] for name, module in network.named_modules()}
    return {names[id(inputs)]: new, names[id(outputs)]: new}
