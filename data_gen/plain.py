"""The method without any of the ways to be fast, to measure and to check the pipeline against.

Each position's prompt is forwarded anew for each of its samples, each call costs three full passes, the vocabulary is
asked at every token, and batches are 16 rows of whatever comes. Random numbers are those of the pipeline, so that both
must keep the same calls. Nobody should annotate a corpus with this.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeVar

from toolformer.calls import Call
from toolformer.data_gen.lessons import Lesson
from toolformer.data_gen.match import match
from toolformer.data_gen.pipeline import Annotator
from toolformer.data_gen.records import Candidate, Document, EncodedText, Place
from toolformer.data_gen.samplers.prompts import Live, Prompts
from toolformer.data_gen.samplers.propose import is_place
from toolformer.data_gen.samplers.sample import draw_seed, read_call
from toolformer.errors import CallFormatError, ToolError
from toolformer.lm import Sample, window_loss

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

    from toolformer.hf.encode import Codec

Row = TypeVar("Row")

ROWS = 16
"""Rows in a batch."""


@dataclass
class Kept:
    """A call that was kept, and its gain."""

    document: str
    start: int
    call: Call
    gain: float


class PlainMethod:
    """The method over the annotator's lessons and tools, asked of the model's own forward pass."""

    def __init__(self, annotator: Annotator, model: "PreTrainedModel", codec: "Codec") -> None:
        """A causal model of transformers and its tokenizer, the annotator's own once more."""
        self.tokens = 0
        """Tokens forwarded, padding included."""
        self._annotator = annotator
        self._model = model
        self._codec = codec
        self._start = () if codec.start is None else (codec.start,)

    def annotate(self, documents: Sequence[Document]) -> list[Kept]:
        """The calls that pass the filter, before any of them gives way to another."""
        import torch

        with torch.no_grad():
            return self._annotate(documents)

    def _annotate(self, documents: Sequence[Document]) -> list[Kept]:
        found: list[Kept] = []
        for lesson in self._annotator.lessons.values():
            texts = [
                EncodedText(document, self._codec.encode(document.text), None)
                for document in documents
                if lesson.wants(document)
            ]
            if self._annotator.sampler.ranked:
                calls = self._ranked(lesson, self._proposed(lesson, texts))
            else:
                calls = self._sampled(lesson, texts)
            found += self._scored(lesson, list(self._executed(calls)))
        return sorted(found, key=lambda one: (one.document, one.start, one.call.tool, one.call.input))

    def _proposed(self, lesson: Lesson, texts: Sequence[EncodedText]) -> list[Candidate]:
        """What the rules propose, where the result is what the text says next and could help."""
        proposed = list(self._executed(list(self._annotator.sampler.calls([lesson], texts, []))))
        matching = match(proposed, self._annotator.lessons, [], ranked=True)
        rows = [(self._start, one.place.text.encoded.ids, one.place.position) for one in matching]
        plain = [loss for batch in _batches(rows) for loss in self._losses(batch)]
        return [one for one, loss in zip(matching, plain, strict=True) if loss >= lesson.needed]

    def _ranked(self, lesson: Lesson, proposed: Sequence[Candidate]) -> list[Candidate]:
        """At each place the call that the model would write there first, each asked for by a pass of its own."""
        prompts, syntax = Prompts(self._annotator.model, lesson), self._annotator.syntax
        least = self._annotator.ranker.least
        rows: list[tuple[tuple[int, ...], tuple[int, ...]]] = []
        for one in proposed:
            live = prompts.showing(one.place.text.document.text)
            position = max(0, live.encoded.token_at(one.place.start))
            before = self._start + live.prompted.head + live.prompted.tail + live.prompted.text[:position]
            rows.append((before, self._codec.encode_parts(syntax.parts(replace(one.call, result=None)))))
        likely = [value for batch in _batches(rows) for value in self._likelihoods(batch)]
        best: dict[tuple[str, int], tuple[float, Candidate]] = {}
        for value, one in zip(likely, proposed, strict=True):
            key = (one.place.text.document.id, one.place.position)
            if value >= least(one.call) and (key not in best or value > best[key][0]):
                best[key] = value, one
        counts: dict[str, int] = {}
        chosen = []
        for _, one in sorted(best.values(), key=lambda pair: (-pair[0], pair[1].place.position)):
            counts[one.place.text.document.id] = counts.get(one.place.text.document.id, 0) + 1
            if counts[one.place.text.document.id] <= lesson.positions:
                chosen.append(one)
        return chosen

    def _likelihoods(self, rows: Sequence[tuple[tuple[int, ...], tuple[int, ...]]]) -> Iterator[float]:
        import torch

        logits = self._logits([before + call for before, call in rows])
        for (before, call), all_logits in zip(rows, logits, strict=True):
            said = torch.log_softmax(all_logits[len(before) - 1 : len(before) + len(call) - 1], -1)
            yield float(said.gather(1, torch.tensor(call, device=said.device)[:, None]).sum())

    def _sampled(self, lesson: Lesson, texts: Sequence[EncodedText]) -> list[Candidate]:
        import torch

        syntax = self._annotator.syntax
        prompter = Prompts(self._annotator.model, lesson)
        opening = self._codec.encode_parts(syntax.begun(lesson.tool))
        lives = [prompter.asking(text.document.text) for text in texts]
        drawn: list[tuple[Place, int, tuple[int, ...]]] = []
        for batch in _batches(list(zip(texts, lives, strict=True))):
            prompts = [self._start + live.prompted.head + live.prompted.tail for _, live in batch]
            rows = [prompt + live.prompted.text for prompt, (_, live) in zip(prompts, batch, strict=True)]
            for prompt, row, (text, live), logits in zip(prompts, rows, batch, self._logits(rows), strict=True):
                asked = torch.softmax(logits[len(prompt) - 1 : len(row) - 1], -1)[:, opening[0]].tolist()
                for index in self._likeliest(lesson, text, live, asked):
                    position = text.encoded.token_at(live.encoded.starts[index])
                    place = Place(text, lesson.tool, position, asked[index])
                    prefix = prompt + live.prompted.text[:index] + opening
                    drawn += [(place, n, prefix) for n in range(lesson.samples)]
        found: dict[tuple[str, int, str], Candidate] = {}
        for draws in _batches(drawn):
            for (place, _, _), sample in zip(draws, self._continued(lesson, draws, len(opening)), strict=True):
                candidate = read_call(place, sample, syntax)
                if isinstance(candidate, Candidate):
                    found.setdefault((place.text.document.id, place.position, candidate.call.input), candidate)
        return list(found.values())

    def _likeliest(self, lesson: Lesson, text: EncodedText, live: Live, probabilities: Sequence[float]) -> list[int]:
        likely = [
            i
            for i, p in enumerate(probabilities)
            if p > lesson.sampling_threshold
            and is_place(
                lesson, text.document.text, live.encoded.starts, i, everywhere=self._annotator.method.everywhere
            )
        ]
        return sorted(likely, key=lambda i: (-probabilities[i], i))[: lesson.positions]

    def _continued(
        self, lesson: Lesson, draws: Sequence[tuple[Place, int, tuple[int, ...]]], opened: int
    ) -> list[Sample]:
        """One sample a row: the prompts are forwarded from their first token, then token by token."""
        import torch

        from toolformer.hf.sampling import choose, uniform

        seeds = [draw_seed(self._annotator.method.seed, place, n) for place, n, _ in draws]
        said: list[list[int]] = [[] for _ in draws]
        samples: dict[int, Sample] = {}
        ids, mask = self._padded([prefix for _, _, prefix in draws], left=True)
        cache = None
        while len(samples) < len(draws):
            self.tokens += ids.numel()
            positions = (mask.cumsum(1) - 1).clamp(min=0)[:, -ids.shape[1] :]
            output = self._model(
                input_ids=ids, attention_mask=mask, position_ids=positions, past_key_values=cache, use_cache=True
            )
            cache, logits = output.past_key_values, output.logits[:, -1].float()
            numbers = [[uniform(seed, len(words))] for seed, words in zip(seeds, said, strict=True)]
            tokens = [row[0] for row in choose(logits, numbers, lesson.temperature, lesson.top_p)]
            for row, token in enumerate(tokens):
                if row not in samples:
                    said[row].append(token)
                    if sample := self._ended(lesson, said[row], draws[row][2][-opened:]):
                        samples[row] = sample
            ids = torch.tensor(tokens, device=ids.device)[:, None]
            mask = torch.cat([mask, torch.ones_like(mask[:, :1])], 1)
        return [samples[row] for row in range(len(draws))]

    def _ended(self, lesson: Lesson, said: list[int], opening: tuple[int, ...]) -> Sample | None:
        if said[-1] in self._annotator.model.ends:
            return Sample(self._codec.behind(opening, said[:-1]), stopped=False, tokens=len(said))
        text = self._codec.behind(opening, said)
        cuts = [text.find(stop) + len(stop) for stop in self._annotator.syntax.stops if stop in text]
        if cuts:
            return Sample(text[: min(cuts)], stopped=True, tokens=len(said))
        return Sample(text, stopped=False, tokens=len(said)) if len(said) >= lesson.max_tokens else None

    def _executed(self, candidates: Sequence[Candidate]) -> Iterator[Candidate]:
        for candidate in candidates:
            toolbox = self._annotator.toolbox.bind(candidate.place.text.document.facts)
            try:
                call = replace(candidate.call, result=toolbox.run(candidate.call.tool, candidate.call.input))
                self._annotator.syntax.format(call)
            except (ToolError, CallFormatError):
                continue
            yield Candidate(candidate.place, call)

    def _scored(self, lesson: Lesson, calls: Sequence[Candidate]) -> Iterator[Kept]:
        rows: list[tuple[tuple[int, ...], tuple[int, ...], int]] = []
        for one in calls:
            ids, position = one.place.text.encoded.ids, one.place.position
            for call in (one.call, replace(one.call, result=""), None):
                prefix = () if call is None else self._codec.encode_parts(self._annotator.syntax.parts(call))
                rows.append((self._start + prefix, ids, position))
        losses = [loss for batch in _batches(rows) for loss in self._losses(batch)]
        for one, with_result, without, plain in zip(calls, losses[::3], losses[1::3], losses[2::3], strict=True):
            gain = min(plain, without) - with_result
            if gain >= lesson.needed:
                yield Kept(one.place.text.document.id, one.place.start, one.call, gain)

    def _losses(self, rows: Sequence[tuple[tuple[int, ...], tuple[int, ...], int]]) -> Iterator[float]:
        import torch

        logits = self._logits([prefix + ids for prefix, ids, _ in rows])
        for (prefix, ids, position), all_logits in zip(rows, logits, strict=True):
            first = max(0, 1 - len(prefix))
            said = torch.tensor(ids[first:], device=all_logits.device)
            there = torch.log_softmax(all_logits[len(prefix) + first - 1 : len(prefix) + len(ids) - 1], -1)
            yield window_loss([0.0] * first + there.gather(1, said[:, None])[:, 0].tolist(), position)

    def _logits(self, rows: Sequence[tuple[int, ...]]) -> Iterator["torch.Tensor"]:
        ids, mask = self._padded(rows, left=False)
        self.tokens += ids.numel()
        logits = self._model(input_ids=ids, attention_mask=mask, use_cache=False).logits
        for row, one in zip(rows, logits, strict=True):
            yield one[: len(row)].float()

    def _padded(self, rows: Sequence[tuple[int, ...]], *, left: bool) -> tuple["torch.Tensor", "torch.Tensor"]:
        import torch

        width = max(map(len, rows))
        fill = [[0] * (width - len(row)) for row in rows]
        ids = [[*gap, *row] if left else [*row, *gap] for row, gap in zip(rows, fill, strict=True)]
        real = [
            [*gap, *[1] * len(row)] if left else [*[1] * len(row), *gap] for row, gap in zip(rows, fill, strict=True)
        ]
        device = self._model.device
        return torch.tensor(ids, device=device), torch.tensor(real, device=device)


def _batches(rows: Sequence[Row]) -> Iterator[Sequence[Row]]:
    for start in range(0, len(rows), ROWS):
        yield rows[start : start + ROWS]
