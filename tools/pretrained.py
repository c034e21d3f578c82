"""A transformers model that a tool uses, by name: loaded at its first use, kept, and used by one thread at a time.

Not for the language models that call tools: `toolformer.hf` loads those.
"""

import hashlib
import threading
import warnings
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from toolformer.errors import ConfigError, first_line

MAX_SECONDS = 60.0
"""How long one answer may be generated; what is there by then is the answer."""

_CLASSES = {"question-answering": "AutoModelForQuestionAnswering", "text-to-text": "AutoModelForSeq2SeqLM"}


@dataclass
class Pretrained:
    """A model and its tokenizer, from the hub or a folder. No code from a model's repository is run."""

    name: str
    kind: Literal["question-answering", "text-to-text"]
    revision: str | None = None
    """A commit, branch or tag of the hub; pin it where answers must not change."""
    offline: bool = False
    """Take it from the local cache or a folder only."""
    lock: threading.Lock = field(default_factory=threading.Lock)
    """Hold it while you use `loaded`: tokenizers keep state between calls."""

    @property
    def version(self) -> str:
        """What tells this model's answers from another's: for a folder, its files' sizes and times, too."""
        if not Path(self.name).is_dir():
            return f"{self.name}@{self.revision or 'main'}"
        files = sorted(path for path in Path(self.name).iterdir() if path.is_file())
        states = [(path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in files]
        return f"{self.name} {hashlib.sha256(repr(states).encode()).hexdigest()[:16]}"

    @cached_property
    def loaded(self) -> tuple[Any, Any]:
        """The tokenizer and the model, on the GPU if there is one. Untyped, as transformers' classes are."""
        import torch
        import transformers

        from toolformer.reach import out_of_reach

        cached = self.offline or out_of_reach(self.name)
        where = {"revision": self.revision or "main", "local_files_only": cached, "trust_remote_code": False}
        try:
            with warnings.catch_warnings():
                # Marian's tokenizer reads without it, too: it only makes quotation marks alike.
                warnings.filterwarnings("ignore", "Recommended: pip install sacremoses")
                tokenizer = transformers.AutoTokenizer.from_pretrained(self.name, **where)
            model = getattr(transformers, _CLASSES[self.kind]).from_pretrained(self.name, dtype=torch.float32, **where)
        # What transformers and the hub raise for a name, a file, a network, a class or a missing tokenizer library.
        except (OSError, ValueError, KeyError, ImportError) as error:
            raise ConfigError(
                f"the {self.kind} model {self.name!r} cannot be loaded: {first_line(error)}. Give the name of one on "
                "the hub, or a folder that holds it and its tokenizer"
            ) from error
        return tokenizer, model.eval().to("cuda" if torch.cuda.is_available() else "cpu")


def generate(model: Any, input_ids: list[int], max_new_tokens: int, **options: object) -> list[int]:
    """The likeliest continuation, token by token, bounded in length and time: the same input, the same output."""
    import torch

    ids = torch.tensor([input_ids], device=model.device)
    with torch.inference_mode():
        output = model.generate(
            input_ids=ids,
            attention_mask=torch.ones_like(ids),
            max_new_tokens=max_new_tokens,
            max_time=MAX_SECONDS,
            do_sample=False,
            num_beams=1,
            **options,
        )
    tokens: list[int] = output[0].tolist()
    return tokens
