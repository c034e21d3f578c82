"""A finetuned model as one folder that needs no other: `export_model`.

    OUT/model.safetensors, config.json, generation_config.json    base model and adapter in one
    OUT/tokenizer.json, tokenizer_config.json, chat_template.jinja    with the call tokens
    OUT/custom_generate/generate.py    lets `generate` of transformers call tools
    OUT/calling.json    the thresholds, if the model has been calibrated
    OUT/README.md       the card

It is written beside OUT and renamed, so that OUT is there whole or not at all.
"""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from toolformer.calls import Call, CallSyntax
from toolformer.decode.trigger import Thresholds, read_thresholds, write_thresholds
from toolformer.errors import ConfigError, DataError
from toolformer.export_model.gguf_writer import check_gguf, check_model, write_gguf
from toolformer.finetune.model_card import merged_card
from toolformer.finetune.training_folder import writing
from toolformer.hf import fetch, load_merged
from toolformer.hf.gguf_file import check_room
from toolformer.hf.precision import dtype_of
from toolformer.hf.quiet import no_bar
from toolformer.hf.source import find, folder_of
from toolformer.loading import Loading
from toolformer.lock import LOCK, sole_writer
from toolformer.version import __version__
from toolformer.whole_file import make_folder, sync


@dataclass(frozen=True)
class Exported:
    """What was written."""

    folder: Path
    fingerprint: str
    """Of the new model."""
    gguf: Path | None
    """The GGUF file, if one was asked for."""


def export_model(
    model: str,
    out: Path,
    *,
    dtype: str = "float32",
    adapter: str | None = None,
    revision: str | None = None,
    offline: bool = False,
    gguf: Path | None = None,
    on_progress: Callable[[str], None] = lambda _: None,
) -> Exported:
    """Merge a model with its adapter and write it as a folder that needs neither.

    Args:
        model: By name or path, such as a folder of `train`, or `smollm2-tools`.
        out: The folder to write, which must not be there yet, or be empty.
        dtype: The precision of the weights. They are merged in float32, which alone is exactly the model that it was.
        adapter: A LoRA for the model, if it is not itself one.
        revision: A branch, a tag or a commit of a model on the hub.
        offline: Use only what is on this machine.
        gguf: A GGUF file to write besides, for llama.cpp, which has no tools; of models of the Llama architecture.
        on_progress: Called with what is done next.
    """
    kept = dtype_of(dtype, "cpu", None)
    _check_free(out)
    if gguf is not None:
        check_gguf(gguf)
    loading = Loading(device="cpu", dtype="float32", revision=revision, adapter=adapter, offline=offline)
    on_progress(f"merging {model}")
    network, tokenizer = load_merged(model, loading)
    if network.config.is_encoder_decoder:
        raise ConfigError(f"{model} is an encoder-decoder: only causal models are exported")
    if gguf is not None:
        check_model(network, tokenizer)
    network.to(kept)  # type: ignore[arg-type]
    about = _about(model, loading, str(kept).removeprefix("torch."), tokenizer)
    on_progress(f"writing {out}")
    with _whole_folder(out) as folder:
        _write(folder, network, tokenizer)
        _, fingerprint = fetch(str(folder))
        if thresholds := _thresholds(model, loading):
            write_thresholds(folder, fingerprint, thresholds)
        (folder / "README.md").write_text(merged_card(about, str(out)), "utf-8")
    if gguf is not None:
        on_progress(f"writing {gguf}")
        write_gguf(network, tokenizer, gguf, out.name)
    return Exported(out, fingerprint, gguf)


def _check_free(out: Path) -> None:
    """Refuse a place where something is."""
    if out.exists() and not out.is_dir():
        raise ConfigError(f"{out} is no folder: name one to write")
    if out.is_dir() and (there := sorted(out.iterdir())):
        raise DataError(f"{out} holds something else ({there[0].name}): choose another folder")


def _about(model: str, loading: Loading, dtype: str, tokenizer: PreTrainedTokenizerBase) -> dict[str, Any]:
    """What the card says of the model."""
    source, _ = find(model, loading)
    control = {*CallSyntax.TOKENS.control_tokens} <= tokenizer.get_added_vocab().keys()
    syntax = CallSyntax.TOKENS if control else CallSyntax.TEXT
    return {
        "toolformer": __version__,
        "model": model,
        "adapter": loading.adapter,
        "base": source.name,
        "revision": source.revision,
        "dtype": dtype,
        "call": syntax.format(Call("Calculator", "2 + 2", "4")).strip(),
    }


def _thresholds(model: str, loading: Loading) -> Thresholds | None:
    """Those that were found for the model, which are as right for its merged weights."""
    folder = folder_of(model, loading)
    return None if folder is None else read_thresholds(folder, fetch(model, loading)[1])


@contextmanager
def _whole_folder(out: Path) -> Iterator[Path]:
    """A folder to fill, which becomes `out` at the end of the block; if the block raises, nothing is left.

    What a killed run has left there is removed by the next.
    """
    out = out.absolute()
    make_folder(out.parent)
    temporary = out.with_name(f".{out.name}.tmp")
    with sole_writer(temporary), writing(out):
        try:
            for left in temporary.iterdir():
                if left.name != LOCK:
                    shutil.rmtree(left) if left.is_dir() else left.unlink()
            yield temporary
            for file in (*temporary.rglob("*"), temporary):
                sync(file)
            temporary.rename(out)
            (out / LOCK).unlink()
            sync(out.parent)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def _write(folder: Path, network: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
    """The model with its tokenizer and settings, and the way to its tools."""
    check_room(folder, network)
    with no_bar():
        network.save_pretrained(folder)
    for file in folder.glob("*.safetensors"):  # which only its owner could read
        file.chmod((folder / "config.json").stat().st_mode)
    tokenizer.save_pretrained(folder)
    code = folder / "custom_generate" / "generate.py"
    code.parent.mkdir()
    code.write_bytes((resources.files("toolformer.export_model") / "custom_generate.py").read_bytes())
