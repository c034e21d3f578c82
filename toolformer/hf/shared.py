"""One network under several adapters: the one it was loaded with, and those of experts. Each pass is under one of them.

The base weights are in memory once. An expert's adapter is put on only if its base model is this one, and if it is
nothing but LoRA: it may not change the vocabulary or a whole layer, which the others share.

peft's own way to go from one adapter to another walks through the whole model and takes as long as a pass does; here
the layers are known, and each is told. Rows under different adapters in one pass (peft's mixed batches) are no faster:
docs/experts.md has the figures.
"""

import itertools
import threading
import warnings
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from safetensors.torch import load_file
from torch import Tensor
from transformers import PreTrainedModel

from toolformer.errors import ConfigError, first_line
from toolformer.hf.adapted import unfold
from toolformer.hf.adapter import SETTINGS, WEIGHTS, WRONG, Adapter, find_adapter
from toolformer.hf.checkpoint import weights_mark
from toolformer.hf.source import Source, find, placed
from toolformer.loading import Loading

OWN = ""
"""The adapter that the model was loaded with; or none, if it was loaded without."""


class Shared:
    """The network, and whose turn it is. For several threads: a pass waits until the one before it is over."""

    def __init__(self, model: PreTrainedModel, base: Source | None) -> None:
        """`base` is where the model came from; None, if nobody knows, and then it has no experts."""
        self.model, self._base = model, base
        self._loaded: dict[str, str] = {}
        """By the folder of each adapter, what it is called on the layers."""
        self._numbers = itertools.count()
        self._layers: list[tuple[Any, list[str]]] = []
        """The layers with adapters, and which of these are on for the model itself."""
        self._on = OWN
        self._changed = threading.Condition()
        self._queue: deque[int] = deque()
        """The threads that wait for their turn. The first one has it."""

    @contextmanager
    def turn(self, adapter: str = OWN) -> Iterator[None]:
        """Within the block, this adapter is on, and no other thread has a turn. Who comes first is served first."""
        me = threading.get_ident()
        with self._changed:
            inner = bool(self._queue) and self._queue[0] == me
            if not inner:
                self._queue.append(me)
        try:
            with self._changed:
                self._changed.wait_for(lambda: self._queue[0] == me)
            self._switch(adapter)
            yield
        finally:
            if not inner:
                with self._changed:
                    self._queue.remove(me)
                    self._changed.notify_all()

    def _switch(self, adapter: str) -> None:
        if adapter == self._on:
            return
        from peft.tuners.lora import LoraLayer

        for layer, own in self._layers:
            # What is no LoRA, such as a layer that was trained whole, belongs to the model's own adapter alone.
            there = [adapter] if isinstance(layer, LoraLayer) else []
            layer._active_adapter = own if adapter == OWN else there
        self._on = adapter

    def put(self, name: str) -> tuple[str, Adapter]:
        """Put an expert's adapter beside the others; what it is called from now on."""
        with self.turn():
            found = self._found(name)
            place = str(found.folder)
            if place not in self._loaded:
                # A name is never used again: what could not be loaded leaves layers of its name behind.
                self._put(found, called := f"expert{next(self._numbers)}")
                self._loaded[place] = called
        return self._loaded[place], found

    def _found(self, name: str) -> Adapter:
        """An adapter that can be an expert of this model."""
        if self._base is None:
            raise ConfigError("this model was not loaded by name or path, so nobody knows which experts are its own")
        offline = self._base.offline
        found = find_adapter(placed(name, offline=offline)[1], offline=offline)
        if found is None:
            raise ConfigError(f"{name} is no expert: no {SETTINGS} is there, or can be had")
        if found.kind != "LORA" or found.tokens:
            what = "trains tokens of its own" if found.tokens else "is a learned prompt"
            raise ConfigError(f"{name} {what}, which an expert cannot: train one with `toolformer expert train`")
        of, _ = find(name, Loading(offline=offline))
        if not same_weights(of, self._base):
            raise ConfigError(
                f"{name} is an expert of {of.name}, and this model is {self._base.name}: train it on that one, or load "
                f"{of.name}"
            )
        found.fetch(offline=offline)
        return found

    def _put(self, found: Adapter, called: str) -> None:
        from peft import PeftConfig
        from peft.functional import inject_adapter_in_model

        unfold(self.model)
        own = {id(layer): active for layer, active in self._layers} or {
            id(layer): layer._active_adapter for layer in _layers(self.model)
        }
        try:
            # Those that ship are rounded to bf16: as peft does, they are computed with in full.
            stored = load_file(found.folder / WEIGHTS, device=str(self.model.device))
            weights = {key: held.float() for key, held in stored.items()}
            _check_weights(weights, self.model)
            settings = PeftConfig.from_pretrained(str(found.folder))
            settings.inference_mode = True
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # that there are several adapters is what is wanted
                # On the meta device first: settings that lie about sizes take no memory.
                inject_adapter_in_model(settings, self.model, called, low_cpu_mem_usage=True)
            # Not by peft, which here asks an expert for the tokens that the model's own adapter has trained.
            named = {_named(key, called): held for key, held in weights.items()}
            told = self.model.load_state_dict(named, strict=False, assign=True)
            if odd := [*told.unexpected_keys, *(key for key in told.missing_keys if f".{called}." in key)]:
                raise ValueError(f"settings and weights do not agree on {odd[0]}")
        except WRONG as error:
            raise ConfigError(f"{found.name} is no expert of this model: {first_line(error)}") from error
        finally:
            # Layers that had no adapter before have none for the model itself.
            self._layers = [(layer, own.get(id(layer), [])) for layer in _layers(self.model)]
            self._on = called
            self._switch(OWN)
        self.model.train(False).requires_grad_(False)


def _layers(model: PreTrainedModel) -> Iterator[Any]:
    """What peft has put into a model. Untyped, since which adapter is on is nothing that peft lets others set."""
    from peft.tuners.tuners_utils import BaseTunerLayer
    from peft.utils.other import AuxiliaryTrainingWrapper

    return (module for module in model.modules() if isinstance(module, BaseTunerLayer | AuxiliaryTrainingWrapper))


def _check_weights(weights: Mapping[str, Tensor], model: PreTrainedModel) -> None:
    """Refuse what changes more than an expert may."""
    tables = (model.get_input_embeddings(), model.get_output_embeddings())  # type: ignore[no-untyped-call]
    names = [name for name, module in model.named_modules() if any(module is table for table in tables)]
    for key in weights:
        if ".lora_" not in key or any(f".{name}." in key for name in names):
            raise ValueError(f"{key} is no LoRA of a layer")


def _named(key: str, called: str) -> str:
    """What the weights of an adapter's file are called within the model."""
    stem, _, last = key.removeprefix("base_model.model.").rpartition(".")
    return f"{stem}.{called}.{last}"


def same_weights(one: Source, other: Source) -> bool:
    """Whether both are the same weights, wherever they lie."""
    if (one.place, one.revision) == (other.place, other.revision):
        return True
    try:
        return weights_mark(one) == weights_mark(other)
    except (ConfigError, OSError):
        return False
