"""A causal model and its tokenizer, asked the plain way: whole forward passes, no cache, nothing shared."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from recipes.builtin import PACKAGE
from recipes.builtin.words import ShortText
from toolformer.builtin.corpus import TrueCall

SHIPPED = PACKAGE / "model"


class Model:
    """Loaded from a folder, in fp32."""

    def __init__(self, path: str | Path, device: str = "cpu") -> None:
        from transformers import AutoModelForCausalLM, AutoTokenizer

        self.tokenizer: Any = AutoTokenizer.from_pretrained(path)
        net: Any = AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32)
        self.net = net.to(device).eval()
        self.device = device
        self.begin: list[int] = [self.tokenizer.bos_token_id]

    def ids(self, text: str) -> list[int]:
        """The text as plain ids."""
        return list(self.tokenizer(text, add_special_tokens=False)["input_ids"]) if text else []

    def position(self, passage: ShortText, call: TrueCall) -> int:
        """The token of the passage with which the answer of the call begins."""
        before = passage.text[: call.start].removesuffix(" ")
        return len(self.ids(before))

    @torch.no_grad()
    def log_probabilities(self, prefixes: Sequence[list[int]], texts: Sequence[list[int]]) -> list[torch.Tensor]:
        """For each text behind its prefix: the log-probabilities of all tokens at each of its positions."""
        found: list[torch.Tensor] = []
        for start in range(0, len(texts), 16):
            rows = [[*p, *t] for p, t in zip(prefixes[start : start + 16], texts[start : start + 16], strict=True)]
            width = max(map(len, rows))
            ids = torch.tensor([row + [0] * (width - len(row)) for row in rows], device=self.device)
            logits = self.net(ids, use_cache=False).logits.float()
            for number, row in enumerate(rows):
                first = len(prefixes[start + number])
                found.append(logits[number, first - 1 : len(row) - 1].log_softmax(-1).cpu())
        return found

    @torch.no_grad()
    def sampled(self, prefix: list[int], number: int, tokens: int = 48, greedy: bool = False) -> list[str]:
        """So many continuations of the ids, as text."""
        ids = torch.tensor([prefix] * number, device=self.device)
        ends = [self.tokenizer.eos_token_id, *self.ids("]"), *self.ids("\n")]
        how = {} if greedy else {"top_k": 0}
        out = self.net.generate(
            input_ids=ids, attention_mask=torch.ones_like(ids), do_sample=not greedy, max_new_tokens=tokens,
            eos_token_id=ends, pad_token_id=self.tokenizer.pad_token_id, **how,
        )  # fmt: skip
        return [self.tokenizer.decode(row[len(prefix) :], skip_special_tokens=True) for row in out]
