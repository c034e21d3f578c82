"""`toolformer export-model`: a finetuned model as one folder that needs no other."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import tyro


@dataclass(frozen=True)
class ExportModel:
    """Merge a finetuned model into one folder.

    Transformers then runs it with its tools: docs/export-model.md.
    """

    model: tyro.conf.Positional[str]
    """The model to export, by name or path: a folder of `toolformer train`, or `smollm2-tools`."""
    out: Path
    """The folder to write. It must not be there yet, or be empty."""
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    """Precision of the weights. In float32 the model stays exactly what it is; the others take half the room."""
    adapter: str | None = None
    """A LoRA for the model, by name or path, if the model is not itself one."""
    revision: str | None = None
    """A branch, a tag or a commit of a model on the hub."""
    offline: bool = False
    """Use only models and files that are on this machine."""
    gguf: Path | None = None
    """A GGUF file to write besides, for llama.cpp, which has no tools. For models of the Llama architecture."""
    push: str | None = None
    """In the end, upload the folder to this repository on the hub."""

    def run(self) -> None:
        """Merge and write it, and say where it is."""
        from toolformer.export_model import export_model
        from toolformer.finetune.hub import push_to_hub

        made = export_model(
            self.model,
            self.out,
            dtype=self.dtype,
            adapter=self.adapter,
            revision=self.revision,
            offline=self.offline,
            gguf=self.gguf,
            on_progress=lambda line: print(line, file=sys.stderr, flush=True),
        )
        print(f"{made.folder}, fingerprint {made.fingerprint}")
        if self.push:
            print(push_to_hub(made.folder, self.push))
