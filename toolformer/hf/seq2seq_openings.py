"""Where could a call open in what an encoder-decoder writes, and what would stand in it?"""

import math
from collections import defaultdict
from collections.abc import Sequence

from toolformer.hf.decoding import Decoding
from toolformer.hf.encode import Codec
from toolformer.hf.ends import Ends, Request
from toolformer.hf.network import Network, halving
from toolformer.hf.sampling import choose, uniform
from toolformer.hf.scoring import chosen
from toolformer.lm import Continuation, Draw, Ids, Sample


class Seq2SeqOpenings:
    """`lm.Openings` for encoder-decoders: samples at one position are one batch."""

    def __init__(self, network: Network, codec: Codec, opening: tuple[int, ...], texts: int) -> None:
        self._network = network
        self._codec = codec
        self._opening = opening
        self._passed: dict[int, tuple[Decoding, int]] = {}
        self._probabilities: list[list[float]] = [[] for _ in range(texts)]
        self.probabilities: Sequence[Sequence[float]] = self._probabilities

    def read(self, members: list[int], sources: list[list[int]], texts: list[tuple[int, ...]]) -> None:
        """The proposing pass over a batch; its cache is kept for the samples."""
        decoding = Decoding(self._network, sources)
        width = max(map(len, texts))
        wanted = [row * width + i for row, text in enumerate(texts) for i in range(len(text) - 1)]
        logits = decoding.extend(texts, wanted)
        answers = iter((logits[:, self._opening[0]] - logits.logsumexp(dim=-1)).exp().tolist())
        for row, (index, text) in enumerate(zip(members, texts, strict=True)):
            self._passed[index] = decoding, row
            self._probabilities[index][:] = [next(answers) for _ in text[1:]]

    def __enter__(self) -> "Seq2SeqOpenings":
        return self

    def __exit__(self, *exception: object) -> None:
        self._passed = {}

    def sample(
        self,
        draws: Sequence[Draw],
        *,
        stops: Sequence[str],
        max_tokens: int,
        temperature: float = 1.0,
        top_p: float = 1.0,
    ) -> list[Sample]:
        """See `lm.Openings`. A draw also ends, unstopped, where the model ends its text or the context is full."""
        ends = Ends(self._codec, Request(self._opening, tuple(stops), max_tokens, temperature, top_p))
        samples: dict[int, Sample] = {}
        together: dict[tuple[int, int], list[int]] = defaultdict(list)
        for index, draw in enumerate(draws):
            together[id(self._passed[draw.row][0]), draw.position].append(index)

        def work(members: list[int]) -> None:
            samples.update(zip(members, self._sample([draws[index] for index in members], ends), strict=True))

        for members in together.values():
            halving(members, work)
        return [samples[index] for index in range(len(draws))]

    def log_probabilities(self, continuations: Sequence[Continuation]) -> list[float]:
        """See `lm.Openings`. Continuations at one position are one batch; what does not fit is impossible."""
        together: dict[tuple[int, int], list[int]] = defaultdict(list)
        for index, one in enumerate(continuations):
            together[id(self._passed[one.row][0]), one.position].append(index)
        answers = [-math.inf] * len(continuations)

        def work(members: list[int]) -> None:
            asked = [continuations[index] for index in members]
            decoding, length = self._passed[asked[0].row][0], asked[0].position + 1
            rows = decoding.select([self._passed[one.row][1] for one in asked], length)
            width = max(len(one.ids) for one in asked)
            wanted = [row * width + place for row, one in enumerate(asked) for place in range(len(one.ids) - 1)]
            said = rows.extend([one.ids for one in asked], wanted)
            known = iter(chosen(said, [token for one in asked for token in one.ids[1:]]))
            for index, one in zip(members, asked, strict=True):
                rest = sum(next(known) for _ in one.ids[1:])
                first = self._probabilities[one.row][one.position]
                answers[index] = math.log(first) + rest if first > 0 else -math.inf

        for members in together.values():
            ends = {index: continuations[index].position + 1 + len(continuations[index].ids) for index in members}
            if fitting := [index for index in members if ends[index] <= self._network.context]:
                halving(fitting, work)
        return answers

    def _sample(self, draws: list[Draw], ends: Ends) -> list[Sample]:
        """Samples at one position of some texts of one batch."""
        samples = [Sample("", stopped=False, tokens=0)] * len(draws)
        if draws[0].position + 1 + len(self._opening) > self._network.context:
            return samples
        decoding = self._passed[draws[0].row][0].select(
            [self._passed[draw.row][1] for draw in draws], draws[0].position + 1
        )
        alive = list(range(len(draws)))
        said: list[tuple[int, ...]] = [()] * len(draws)
        new: list[Ids] = [self._opening] * len(draws)
        while alive:
            last = [len(new[0]) * (row + 1) - 1 for row in range(len(alive))]
            logits = decoding.extend(new, last)
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
