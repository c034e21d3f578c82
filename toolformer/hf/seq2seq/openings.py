"""Where could a call open in what an encoder-decoder writes, and what would stand in it?"""

import math
from collections import defaultdict
from collections.abc import Sequence

from toolformer.hf.encode import Codec
from toolformer.hf.network import Network, batches, halving
from toolformer.hf.sampling import Ends, Request, choose, uniform
from toolformer.hf.scoring import chosen
from toolformer.hf.seq2seq.decoding import Decoding
from toolformer.lm import Continuation, Draw, Ids, Sample, ranks


class Seq2SeqOpenings:
    """`lm.Openings` for encoder-decoders: what is asked at one position of the texts of a batch is one batch, too."""

    def __init__(
        self,
        network: Network,
        codec: Codec,
        opening: tuple[int, ...],
        sources: Sequence[Ids],
        texts: Sequence[tuple[int, ...]],
    ) -> None:
        """The proposing pass. `texts` begin with the decoder's start token."""
        self._network = network
        self._codec = codec
        self._opening = opening
        self._passed: dict[int, tuple[Decoding, int]] = {}
        """For each text the batch that it was in, kept for what is written into it, and its place there."""
        network.check_fits([max(len(s), len(t)) for s, t in zip(sources, texts, strict=True)])
        probabilities: list[list[float]] = [[] for _ in texts]
        near: list[list[int]] = [[] for _ in texts]

        def work(members: list[int]) -> None:
            decoding = Decoding(network, [sources[index] for index in members])
            width = max(len(texts[index]) for index in members)
            wanted = [row * width + i for row, index in enumerate(members) for i in range(len(texts[index]) - 1)]
            logits = decoding.extend([texts[index] for index in members], wanted)
            answers = iter(chosen(logits, [opening[0]] * len(wanted)))
            behind = iter(ranks(logits, opening[0]))
            for row, index in enumerate(members):
                self._passed[index] = decoding, row
                probabilities[index] = [math.exp(next(answers)) for _ in texts[index][1:]]
                near[index] = [next(behind) for _ in texts[index][1:]]

        for batch in batches([len(s) + len(t) for s, t in zip(sources, texts, strict=True)], network.budget):
            halving(batch, work)
        self.probabilities: Sequence[Sequence[float]] = probabilities
        self.ranks: Sequence[Sequence[int]] = near

    def __enter__(self) -> "Seq2SeqOpenings":
        return self

    def __exit__(self, *exception: object) -> None:
        self._passed = {}

    def sample(
        self,
        draws: Sequence[Draw],
        *,
        given: Ids = (),
        stops: Sequence[str],
        max_tokens: int,
        temperature: float = 1.0,
        top_p: float = 1.0,
    ) -> list[Sample]:
        """See `lm.Openings`. A draw also ends, unstopped, where the model ends its text or the context is full."""
        ends = Ends(self._codec, Request((*self._opening, *given), tuple(stops), max_tokens, temperature, top_p))
        samples: dict[int, Sample] = {}

        def work(members: list[int]) -> None:
            samples.update(zip(members, self._sample([draws[index] for index in members], ends), strict=True))

        for members in self._together(draws):
            halving(members, work)
        return [samples[index] for index in range(len(draws))]

    def log_probabilities(self, continuations: Sequence[Continuation]) -> list[float]:
        """See `lm.Openings`. What does not fit is impossible."""
        answers = [-math.inf] * len(continuations)

        def work(members: list[int]) -> None:
            asked = [continuations[index] for index in members]
            width = max(len(one.ids) for one in asked)
            wanted = [row * width + place for row, one in enumerate(asked) for place in range(len(one.ids) - 1)]
            logits = self._before(asked).extend([one.ids for one in asked], wanted)
            known = iter(chosen(logits, [token for one in asked for token in one.ids[1:]]))
            for index, one in zip(members, asked, strict=True):
                rest = sum(next(known) for _ in one.ids[1:])
                first = self.probabilities[one.row][one.position]
                answers[index] = math.log(first) + rest if first > 0 else -math.inf

        for members in self._together(continuations):
            ends = {index: continuations[index].position + 1 + len(continuations[index].ids) for index in members}
            if fitting := [index for index in members if ends[index] <= self._network.context]:
                halving(fitting, work)
        return answers

    def _together(self, asked: Sequence[Draw | Continuation]) -> list[list[int]]:
        """Which of them stand at one position of texts of one batch."""
        together: dict[tuple[Decoding, int], list[int]] = defaultdict(list)
        for index, one in enumerate(asked):
            together[self._passed[one.row][0], one.position].append(index)
        return list(together.values())

    def _before(self, asked: Sequence[Draw | Continuation]) -> Decoding:
        """For each of these, which stand together, a row with the text up to its position."""
        decoding, _ = self._passed[asked[0].row]
        return decoding.select([self._passed[one.row][1] for one in asked], asked[0].position + 1)

    def _sample(self, draws: Sequence[Draw], ends: Ends) -> list[Sample]:
        """A sample for each of these draws, which stand together."""
        samples = [Sample("", stopped=False, tokens=0)] * len(draws)
        if draws[0].position + 1 + len(ends.request.opening) > self._network.context:
            return samples
        decoding = self._before(draws)
        alive = list(range(len(draws)))
        said: list[tuple[int, ...]] = [()] * len(draws)
        new: list[Ids] = [ends.request.opening] * len(draws)
        while alive:
            logits = decoding.extend(new, [len(new[0]) * (row + 1) - 1 for row in range(len(alive))])
            numbers = [[uniform(draws[draw].seed, len(said[draw]))] for draw in alive]
            tokens = [one[0] for one in choose(logits, numbers, ends.request.temperature, ends.request.top_p)]
            full = decoding.length >= self._network.context
            going = []
            for row, (draw, token) in enumerate(zip(alive, tokens, strict=True)):
                said[draw] = (*said[draw], token)
                if sample := ends.sample(said[draw], full, ended=token < 0 or token in self._network.ends):
                    samples[draw] = sample
                else:
                    going.append(row)
            if len(going) < len(alive):
                decoding = decoding.select(going, decoding.length)
            alive = [alive[row] for row in going]
            new = [(said[draw][-1],) for draw in alive]
        return samples
