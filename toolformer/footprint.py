"""How much memory a model takes to be loaded, to read and to be trained with LoRA, beyond Python and its libraries.

Measured: each is done once, in a process of its own, whose peak counts. Computed, where it would not fit or the weights
are not here: the network is built without weights (torch's meta device), and the tensors that training keeps for its
backward pass are counted. Nothing but a model's config.json is ever fetched.
"""

import re
import warnings
from array import array
from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Literal

import torch
from huggingface_hub import try_to_load_from_cache
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from transformers import AutoModelForCausalLM

from toolformer.errors import ConfigError, first_line
from toolformer.finetune.batches import collate
from toolformer.finetune.config import TrainConfig
from toolformer.finetune.prepare import prepare
from toolformer.finetune.trainer import LossAtLabels
from toolformer.finetune.training_rows import TrainingRow
from toolformer.hf import load
from toolformer.hf.load import config_of
from toolformer.hf.network import filler_of
from toolformer.hf.precision import device_of
from toolformer.hf.source import Source, find
from toolformer.loading import Loading

TOKENS = 1024
"""Tokens that are read, or trained on, at once; as many as the model's context holds, if that is less."""
PRECISIONS: Mapping[str, Loading] = {
    "fp32": Loading(dtype="float32"),
    "bf16": Loading(dtype="bfloat16"),
    "int8": Loading(dtype="bfloat16", quantize="int8"),
    "nf4": Loading(dtype="bfloat16", quantize="nf4"),
}
Use = Literal["load", "read", "train"]
USES: tuple[Use, ...] = ("load", "read", "train")
_TOGETHER: tuple[tuple[Use, ...], ...] = (("load", "read"), ("train",))
"""What one process does, one after the other: training loads the model in its own way."""
_SPARE = 1.25
"""How much more than was computed must be free for a measurement to be tried."""
_FILES = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json")
_ADAM = 16
"""Bytes for each trained number: itself, its gradient, and two moments."""
_LOSS = 16
"""Bytes for each logit: of one number in fp32, the loss and its gradient hold four besides the one that is kept."""


@dataclass(frozen=True)
class Size:
    """How much memory one use takes."""

    bytes: int
    why_computed: str
    """Empty if it was measured."""


@dataclass(frozen=True)
class Shape:
    """What can be said of a model without its weights."""

    name: str
    parameters: int
    packed: int
    """Those of them that int8 and nf4 pack: the weights of linear layers, but for the vocabulary head."""
    trained: int
    """Numbers in a LoRA of the default rank."""
    tokens: int
    layers: int
    cached: int
    """Numbers in the cache of keys and values."""
    said: int
    """Numbers in the logits of all tokens."""
    kept: Mapping[str, int]
    """Bytes that the forward pass of training keeps, in fp32 and bf16."""

    def computed(self, precision: str, use: Use) -> int:
        """The bytes that a use takes, computed."""
        rest, width = self.parameters - self.packed, 4 if precision == "fp32" else 2
        # Of nf4, 64 weights share a scale of four bytes.
        packed = round(self.packed * {"fp32": 4, "bf16": 2, "int8": 1, "nf4": 0.5 + 4 / 64}[precision])
        if use == "load":
            return packed + rest * width
        if use == "read":
            layer = self.kept["fp32" if precision == "fp32" else "bf16"] // self.layers
            return packed + rest * width + self.cached * width + layer
        quantized = precision in ("int8", "nf4")
        # peft widens what is not packed, so that training computes in fp32.
        kept = self.kept["bf16" if precision == "bf16" else "fp32"]
        return packed + rest * (4 if quantized else width) + kept + _ADAM * self.trained + _LOSS * self.said


def shape_of(name: str, loading: Loading = Loading()) -> tuple[Shape, Source]:
    """The shape of a model by name or path, of an adapter that of its base model; and where that comes from."""
    source, _ = find(name, loading)
    config = config_of(source)
    if config.is_encoder_decoder:
        raise ConfigError(f"{source.name} is an encoder-decoder: memory is told of causal models")
    text = config.get_text_config(decoder=True)
    tokens = min(TOKENS, getattr(text, "max_position_embeddings", None) or TOKENS)
    network = _without_weights(config, torch.float32)
    linear = {id(one): one.weight.numel() for one in network.modules() if isinstance(one, nn.Linear)}
    packed = sum(linear.values()) - linear.get(id(network.get_output_embeddings()), 0)
    parameters, heads = sum(one.numel() for one in network.parameters()), text.num_attention_heads
    width = getattr(text, "head_dim", None) or text.hidden_size // heads
    trained, kept = _kept(network, tokens)
    half = _kept(_without_weights(config, torch.bfloat16), tokens)[1]
    return Shape(
        source.name,
        parameters,
        packed,
        trained,
        tokens,
        text.num_hidden_layers,
        2 * text.num_hidden_layers * (getattr(text, "num_key_value_heads", None) or heads) * width * tokens,
        tokens * text.vocab_size,
        {"fp32": kept, "bf16": half},
    ), source


def _without_weights(config: Any, dtype: torch.dtype) -> Any:
    with torch.device("meta"):
        return AutoModelForCausalLM.from_config(config, dtype=dtype)  # type: ignore[no-untyped-call]


def _kept(network: Any, tokens: int) -> tuple[int, int]:
    """How many numbers a LoRA trains, and the bytes that a forward pass keeps for its backward pass."""
    from peft import LoraConfig, TaskType, get_peft_model

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        lora = LoraConfig(task_type=TaskType.CAUSAL_LM, r=TrainConfig().rank, target_modules="all-linear")
        model: Any = get_peft_model(network, lora).to("meta").train()
    own = {one.untyped_storage()._cdata for one in model.parameters()}
    kept: dict[int, Any] = {}

    def keep(tensor: Tensor) -> Tensor:
        # Fused kernels, which run where there are real tensors, keep no attention scores.
        if tensor.shape[-2:] != (tokens, tokens) and (storage := tensor.untyped_storage())._cdata not in own:
            kept[storage._cdata] = storage  # it is held, so that no other takes its address
        return tensor

    ids = torch.zeros(1, tokens, dtype=torch.long, device="meta")
    # With a mask of its own, transformers asks nothing that only real tensors can answer.
    mask = torch.ones(1, 1, tokens, tokens, dtype=torch.bool, device="meta")
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        logits = model(input_ids=ids, attention_mask=mask, use_cache=False).logits[0].float()
        loss = cross_entropy(logits, ids[0])  # noqa: F841 - what it keeps counts until it goes
    trained = sum(one.numel() for one in model.parameters() if one.requires_grad)
    return trained, sum(storage.nbytes() for storage in kept.values())


def footprints(
    shape: Shape, source: Source, free: int | None, loading: Loading = Loading()
) -> Iterator[tuple[str, dict[Use, Size]]]:
    """For each precision what each use takes. `free` bytes of memory can be taken; None where nobody knows."""
    if torch.device(device_of(loading.device)).type == "cuda":
        free = torch.cuda.mem_get_info()[0]
    for precision, how in PRECISIONS.items():
        asked = replace(loading, dtype=how.dtype, quantize=how.quantize, adapter=None, revision=source.revision)
        computed = {use: shape.computed(precision, use) for use in USES}
        sizes: dict[Use, Size] = {}
        for uses in _TOGETHER:
            why = _why_not(source, max(computed[use] for use in uses), free)
            peaks, why = ([], why) if why else _measured(source.name, asked, uses, shape.tokens)
            for place, use in enumerate(uses):
                sizes[use] = Size(computed[use], why) if why else Size(peaks[place], "")
        yield precision, sizes


def _why_not(source: Source, computed: int, free: int | None) -> str:
    """Why a use cannot be measured; nothing if it can."""
    if not Path(source.place).is_dir() and not any(
        isinstance(try_to_load_from_cache(source.place, file, revision=source.revision), str) for file in _FILES
    ):
        return "its weights are not on this machine"
    if free is None:
        return "this system does not say what a process takes"
    if computed * _SPARE > free:
        return f"it may take more than the {free / 2**30:.1f} GB that are free"
    return ""


def _measured(name: str, loading: Loading, uses: tuple[Use, ...], tokens: int) -> tuple[list[int], str]:
    """The peaks of these uses, one after the other in a process of its own; or why that did not work."""
    # Its processes come from one that has the libraries already: they are imported once, and count for none of them.
    context = get_context("forkserver")
    context.set_forkserver_preload([__name__, "bitsandbytes", "peft"])
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        done = pool.submit(_peaks, name, loading, uses, tokens)
        if (error := done.exception()) is not None:
            return [], f"measuring failed: {first_line(error)}"
        return done.result(), ""


def _peaks(name: str, loading: Loading, uses: tuple[Use, ...], tokens: int) -> list[int]:
    """What this process takes at most for each use, beyond what it took before."""
    gpu = torch.device(device_of(loading.device)).type == "cuda"
    peak = torch.cuda.max_memory_allocated if gpu else _process_peak
    if not gpu:
        Path("/proc/self/clear_refs").write_text("5", "utf-8")  # the peak so far is forgotten
    before, peaks, model = peak(), [], None
    for use in uses:
        if use == "load":
            model = load(name, **vars(loading))
        elif use == "read":
            assert model is not None  # it is loaded before
            model.rows([[0] * tokens])
        else:
            _train(name, loading, tokens)
        peaks.append(peak() - before)
    return peaks


def _process_peak() -> int:
    found = re.search(r"^VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text("utf-8"), re.MULTILINE)
    return int(found[1]) * 1024 if found else 0


def _train(name: str, loading: Loading, tokens: int) -> None:
    """One step of training a LoRA on one text."""
    prepared = prepare(name, TrainConfig(control=True), loading)
    model = prepared.model.train()
    loss = LossAtLabels(prepared.network, 0, ())
    inputs = collate([TrainingRow(array("i", [0] * (tokens + 1)))], filler_of(prepared.network))
    optimizer = torch.optim.AdamW(one for one in model.parameters() if one.requires_grad)
    there = {name: value.to(prepared.network.device) for name, value in inputs.items()}
    loss(model, there).backward()  # type: ignore[no-untyped-call]
    optimizer.step()
