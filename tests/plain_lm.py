"""What the port answers, computed plainly: one text at a time, from its first token on, nothing shared or kept."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from tests import tiny_models
from toolformer.hf.encode import Codec
from toolformer.hf.sampling import choose, uniform
from toolformer.hf.transformers_model import CausalModel, Seq2SeqModel
from toolformer.lm import Draw, Ids, Prompted, Sample, Window

KINDS = [*tiny_models.CONFIGS, *tiny_models.SEQ2SEQ]
START = 1
"""The tiny tokenizer's `<s>`, which stands before every text of a causal model."""


def port(kind: str) -> CausalModel | Seq2SeqModel:
    """The tiny model of this kind behind the port."""
    made = Seq2SeqModel if kind in tiny_models.SEQ2SEQ else CausalModel
    return made(tiny_models.model(kind), Codec(tiny_models.tokenizer(), kind), kind, kind)


@dataclass(frozen=True)
class Plain:
    """The same model, asked through its own forward."""

    kind: str

    def after(self, prompt: Ids, said: Ids) -> Tensor:
        """The log-probabilities of what follows at each place of `said`, its front and its end included."""
        model = tiny_models.model(self.kind)
        if self.kind in tiny_models.SEQ2SEQ:
            read, written = [*prompt] or [2], [0, *said]
            inputs = {"input_ids": torch.tensor([read]), "decoder_input_ids": torch.tensor([written])}
        else:
            inputs = {"input_ids": torch.tensor([[START, *prompt, *said]])}
        with torch.no_grad():
            logits: Tensor = model(**inputs, use_cache=False).logits[0].float()
        return logits.log_softmax(-1)[-len(said) - 1 :]

    def openings(self, one: Prompted, token: int) -> list[float]:
        return self.after(one.head + one.tail, one.text)[:-1, token].tolist()

    def log_probabilities(self, text: Ids, prefix: Ids = ()) -> list[float]:
        said = self.after(prefix, text)
        return [float(said[place, token]) for place, token in enumerate(text)]

    def window_loss(self, window: Window) -> float:
        said = self.log_probabilities(window.text, window.prefix)[window.position :]
        return -sum(weight / 15 * one for weight, one in zip((5, 4, 3, 2, 1), said, strict=False))

    def continuation(self, one: Prompted, position: int, ids: Ids) -> float:
        """How likely it is to write these ids at a position of the text."""
        said = (*one.text[:position], *ids)
        known = self.after(one.head + one.tail, said)
        return sum(float(known[position + place, token]) for place, token in enumerate(ids))

    def sample(
        self,
        one: Prompted,
        draw: Draw,
        opening: Ids,
        stops: Sequence[str],
        max_tokens: int,
        temperature: float,
        top_p: float,
    ) -> Sample:
        codec = Codec(tiny_models.tokenizer(), self.kind)
        front = [*one.text[: draw.position], *opening]
        said: list[int] = []
        # A causal model's prompt shares the context with the text, and so does the start token of either kind.
        taken = 1 + (0 if self.kind in tiny_models.SEQ2SEQ else len(one.head + one.tail))
        while taken + len(front) + len(said) <= tiny_models.CONTEXT:
            logits = self.after(one.head + one.tail, [*front, *said])[-1:]
            said.append(choose(logits, [[uniform(draw.seed, len(said))]], temperature, top_p)[0][0])
            if said[-1] == 2:
                return Sample(codec.behind(opening, said[:-1]), stopped=False, tokens=len(said))
            text = codec.behind(opening, said)
            if ends := [text.index(stop) + len(stop) for stop in stops if stop in text]:
                return Sample(text[: min(ends)], stopped=True, tokens=len(said))
            if len(said) == max_tokens:
                break
        return Sample(codec.behind(opening, said), stopped=False, tokens=len(said))
