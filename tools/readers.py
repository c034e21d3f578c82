"""Readers for QA that ask a transformers model: one marks the answer in a passage, one writes it.

Passages and questions are data: text in them that looks like a control token is never encoded as one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from toolformer.errors import ToolNothing
from toolformer.text_file import storable
from toolformer.tools.passages import Passage
from toolformer.tools.pretrained import Pretrained, generate

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Scores = NDArray[np.float32]

MAX_WINDOWS = 24
"""Windows of text that one question is looked for in: 24 of 384 tokens are five long passages."""
MAX_ANSWER = 30
"""Tokens in an answer at most."""
MAX_PROMPT = 1_024
"""Tokens that a model is given to read at most."""
_REFUSALS = frozenset({"", "unknown", "unanswerable", "no answer", "none", "not enough information", "i don't know"})


class ExtractiveReader:
    """A model trained on SQuAD 2, say: it marks the answer in a passage, or says that no passage holds it."""

    needs_passages = True

    def __init__(self, model: str, *, revision: str | None = None, offline: bool = False) -> None:
        self._pretrained = Pretrained(model, "question-answering", revision, offline)
        self.version = f"extractive {self._pretrained.version}"

    def answer(self, question: str, passages: Sequence[Passage]) -> str:
        """The span that beats "no answer" by most, over all passages; ToolNothing if none does."""
        texts = [
            storable(f"{passage.title}. {passage.text}" if passage.title else passage.text) for passage in passages
        ]
        with self._pretrained.lock:
            windows = self._read(storable(question), texts)
        margin, answer = max(map(_best_span, windows), key=lambda found: found[0], default=(0.0, ""))
        if margin <= 0 or not answer.strip():
            raise ToolNothing(f"no answer to {question[:100]!r} in the passages found")
        return answer.strip()

    def _read(self, question: str, texts: list[str]) -> "list[_Window]":
        """What the model says of every window, in one batch."""
        import torch

        tokenizer, model = self._pretrained.loaded
        length = min(384, tokenizer.model_max_length, getattr(model.config, "max_position_embeddings", 384) - 2)
        asked = tokenizer(
            question, add_special_tokens=False, truncation=True, max_length=length // 4, return_offsets_mapping=True
        )
        shortened = question[: max((end for _, end in asked["offset_mapping"]), default=0)]
        batch = tokenizer(
            [shortened] * len(texts),
            texts,
            truncation="only_second",
            max_length=length,
            stride=length // 4,
            padding=True,
            split_special_tokens=True,
            return_overflowing_tokens=True,
            return_offsets_mapping=True,
            return_tensors="pt",
        )
        inputs = {name: batch[name][:MAX_WINDOWS] for name in tokenizer.model_input_names if name in batch}
        with torch.inference_mode():
            output = model(**{name: value.to(model.device) for name, value in inputs.items()})
        ids = inputs["input_ids"].tolist()
        return [
            _Window(
                start=output.start_logits[row].float().cpu().numpy(),
                end=output.end_logits[row].float().cpu().numpy(),
                null=ids[row].index(tokenizer.cls_token_id) if tokenizer.cls_token_id in ids[row] else 0,
                readable=[part == 1 for part in batch.sequence_ids(row)],
                offsets=batch["offset_mapping"][row].tolist(),
                text=texts[int(batch["overflow_to_sample_mapping"][row])],
            )
            for row in range(len(ids))
        ]


@dataclass(frozen=True)
class _Window:
    """One piece of a passage, as the model saw it."""

    start: "Scores"
    """How well an answer begins at each token,"""
    end: "Scores"
    """and ends there."""
    null: int
    """The token that stands for "no answer"."""
    readable: list[bool]
    """Which tokens are the passage's."""
    offsets: list[list[int]]
    """Where each token stands in the text."""
    text: str


def _best_span(window: _Window) -> tuple[float, str]:
    """The likeliest answer in a window, and by how much it beats "no answer"."""
    import numpy as np

    readable = np.array(window.readable)
    scores = np.where(readable, window.start, -np.inf)[:, None] + np.where(readable, window.end, -np.inf)[None, :]
    # An answer ends where it begins, or up to MAX_ANSWER tokens later.
    allowed = np.triu(np.ones_like(scores, dtype=bool)) & ~np.triu(np.ones_like(scores, dtype=bool), MAX_ANSWER)
    scores = np.where(allowed, scores, -np.inf)
    first, last = (int(place) for place in np.unravel_index(scores.argmax(), scores.shape))
    margin = float(scores[first, last] - window.start[window.null] - window.end[window.null])
    return margin, window.text[window.offsets[first][0] : window.offsets[last][1]]


class TextToTextReader:
    """An encoder-decoder that follows instructions, such as google/flan-t5-base: it writes the answer it reads.

    It is asked to write "unknown" where the passages do not say, and that is ToolNothing. Whether it does is the
    model's affair: an answer that it makes up cannot be told from one that it has read.
    """

    needs_passages = True

    def __init__(self, model: str, *, revision: str | None = None, offline: bool = False) -> None:
        self._pretrained = Pretrained(model, "text-to-text", revision, offline)
        self.version = f"text-to-text {self._pretrained.version}"

    def answer(self, question: str, passages: Sequence[Passage]) -> str:
        """What the model writes, in one go over all passages; those that do not fit are cut off."""
        lines = [f"{passage.title}: {passage.text}" if passage.title else passage.text for passage in passages]
        prompt = storable(
            "Answer the question in a few words from the passages below. If they do not say, write: unknown\n"
            f"Question: {question}\nPassages:\n" + "\n".join(lines) + "\n"
        )
        with self._pretrained.lock:
            tokenizer, model = self._pretrained.loaded
            length = min(MAX_PROMPT, tokenizer.model_max_length, getattr(model.config, "n_positions", MAX_PROMPT))
            ids = tokenizer(prompt, truncation=True, max_length=length, split_special_tokens=True)["input_ids"]
            written = tokenizer.decode(generate(model, ids, MAX_ANSWER), skip_special_tokens=True)
        answer: str = " ".join(written.split())
        if answer.casefold().strip(" .!") in _REFUSALS:
            raise ToolNothing(f"no answer to {question[:100]!r} in the passages found")
        return answer
