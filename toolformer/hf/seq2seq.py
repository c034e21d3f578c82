"""Encoder-decoders of transformers behind the port of `lm.py`: a prompt or prefix is read, the text is written.

Right for every architecture rather than fast for one: what is batched has one length (`hf/decoding.py`).
"""

from collections.abc import Sequence
from contextlib import nullcontext

from transformers import PreTrainedModel

from toolformer.errors import ConfigError
from toolformer.hf.decoding import Decoding
from toolformer.hf.encode import Codec
from toolformer.hf.exact import in_fp32
from toolformer.hf.model import TransformersModel
from toolformer.hf.network import batches, halving
from toolformer.hf.scoring import chosen, tokens_of
from toolformer.hf.seq2seq_openings import Seq2SeqOpenings
from toolformer.hf.seq2seq_rows import Seq2SeqRows
from toolformer.lm import WINDOW, Ids, Prompted, Window


class Seq2SeqModel(TransformersModel):
    """`lm.LanguageModel` for encoder-decoders. Not for several threads at once."""

    def __init__(self, model: PreTrainedModel, codec: Codec, name: str, fingerprint: str) -> None:
        super().__init__(model, codec, name, fingerprint)
        self._before, self._behind = codec.frame()
        self.context = self._network.context - len(self._soft) - max(1, len(self._before + self._behind))
        self.reads_apart = True
        start = model.config.decoder_start_token_id
        if start is None:
            raise ConfigError(f"{name} does not say with which token its decoder starts (decoder_start_token_id)")
        self._start: int = start

    def source(self, ids: Ids) -> list[int]:
        """What the encoder reads: the ids between the tokenizer's own marks. An encoder must read something."""
        framed = [*self._before, *ids, *self._behind]
        return [*self._soft, *(framed or [min(self.ends, default=self._start)])]

    def open(
        self,
        prompted: Sequence[Prompted],
        opening: tuple[int, ...],
        places: Sequence[Sequence[int]] | None = None,  # noqa: ARG002 - all positions of a row are asked at once
    ) -> Seq2SeqOpenings:
        """See `lm.LanguageModel`."""
        if not opening:
            raise ConfigError("an opening needs at least one token")
        sources = [self.source(one.head + one.tail) for one in prompted]
        texts = [(self._start, *one.text) for one in prompted]
        self._network.check_fits([max(len(s), len(t)) for s, t in zip(sources, texts, strict=True)])
        openings = Seq2SeqOpenings(self._network, self._codec, opening, len(prompted))

        def work(members: list[int]) -> None:
            openings.read(members, [sources[i] for i in members], [texts[i] for i in members])

        for batch in batches([len(s) + len(t) for s, t in zip(sources, texts, strict=True)], self._network.budget):
            halving(batch, work)
        return openings

    def log_probabilities(self, texts: Sequence[tuple[int, ...]]) -> list[list[float]]:
        """See `lm.LanguageModel`. The encoder reads an empty prompt."""
        return self._ask([((), text, range(len(text))) for text in texts])

    def window_losses(self, windows: Sequence[Window], *, exact: bool = False) -> list[float]:
        """See `lm.LanguageModel`."""
        asked = dict.fromkeys(windows)
        with in_fp32(self._network.model) if exact and self.rounding else nullcontext():
            answers = self._ask([(one.prefix, one.text, tokens_of(one)) for one in asked])
        for one, answer in zip(asked, answers, strict=True):
            asked[one] = -sum(w * p for w, p in zip(WINDOW, answer, strict=False))
        return [asked[one] or 0.0 for one in windows]

    def _ask(self, questions: Sequence[tuple[Ids, Ids, range]]) -> list[list[float]]:
        """The log-probabilities of some tokens of each text behind its prefix."""
        sources = [self.source(prefix) for prefix, _, _ in questions]
        rows = [(self._start, *text)[: places.stop] for _, text, places in questions]
        self._network.check_fits([max(len(s), len(r)) for s, r in zip(sources, rows, strict=True)])
        answers: list[list[float]] = [[] for _ in questions]

        def work(members: list[int]) -> None:
            width = max(len(rows[index]) for index in members)
            wanted = [row * width + place for row, index in enumerate(members) for place in questions[index][2]]
            targets = [questions[index][1][place] for index in members for place in questions[index][2]]
            decoding = Decoding(self._network, [sources[index] for index in members])
            said = iter(chosen(decoding.extend([rows[i] for i in members], wanted), targets))
            for index in members:
                answers[index] = [next(said) for _ in questions[index][2]]

        asked = [index for index, (_, _, places) in enumerate(questions) if places]
        for batch in batches([len(sources[i]) + len(rows[i]) for i in asked], self._network.budget):
            halving([asked[i] for i in batch], work)
        return answers

    def rows(self, prompts: Sequence[Ids]) -> Seq2SeqRows:
        """See `lm.LanguageModel`."""
        return Seq2SeqRows(self._network, self.source, self._start, prompts)
