"""How fast is the decoder? Against `generate` of transformers: the same weights, prompts and tokens, in one process.

Both sides take turns; the ratio is the median over the turns, because a machine is now faster, now slower. So that both
say as much, nothing ends a text but its length, and where calls and ends are needed they are forced, at places fixed
beforehand: a model would not know them. Tokens are those that the model wrote, calls included; results are fed, and
what they cost counts against the decoder. On a CPU the time is the processor's, so that other work hardly shows.
"""

import random
import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel, StoppingCriteria, StoppingCriteriaList

from toolformer.calls import CallSyntax, Part
from toolformer.decode.decoder import Decoder
from toolformer.decode.events import Answered, Ended
from toolformer.decode.options import Options
from toolformer.hf.causal_rows import CausalRows
from toolformer.hf.encode import Codec
from toolformer.hf.load import load_network
from toolformer.hf.transformers_model import CausalModel
from toolformer.lm import Ids
from toolformer.loading import Loading
from toolformer.tool import Traits
from toolformer.toolbox import Toolbox

TOKENS = 100
"""Tokens of a text, and so tokens per call."""
BATCHES = (1, 8, 32)
MANY, AT_ONCE = 128, 32
"""Prompts whose texts end at very different lengths, and rows at once for them, on both sides."""


HEADER = f"{'':<34}{'tokens/s':>9}{'transformers':>14}{'ratio':>9}{'floor':>9}{'same':>9}"
"""What stands over the lines."""


@dataclass(frozen=True)
class Line:
    """One comparison."""

    what: str
    ours: float
    """Tokens of text a second."""
    theirs: float
    ratio: float
    floor: float
    """What the ratio should be at least."""
    same: float
    """The share of texts that are the same tokens on both sides; calls change what follows them."""

    def __str__(self) -> str:
        verdict = "" if self.ratio >= self.floor else "  MISSED"
        figures = f"{self.ours:9,.0f}{self.theirs:14,.0f}{self.ratio:9.2f}{self.floor:9.2f}{self.same:9.0%}"
        return f"{self.what:<34}{figures}{verdict}"


def bench_decode(name: str, prompts: Sequence[str], *, rounds: int, loading: Loading = Loading()) -> Iterator[Line]:
    """The comparisons, each as soon as it is measured."""
    network, tokenizer = load_network(name, loading)
    model = CausalModel(network, Codec(tokenizer, name), name, name)
    model.ends = frozenset()
    # Between 16 and 40 tokens: as different as prompts are.
    ids = [model.encode(text).ids for text in prompts]
    ids = [one[: 16 + number * 7 % 25] for number, one in enumerate(one for one in ids if len(one) >= 40)]
    bench = _Bench(model, network, rounds)
    for batch in BATCHES:
        yield bench.plain(ids[:batch])
    for batch in BATCHES:
        yield bench.with_calls(ids[:batch])
    yield bench.uneven((ids * (MANY // len(ids) + 1))[:MANY])


class _Bench:
    def __init__(self, model: CausalModel, network: PreTrainedModel, rounds: int) -> None:
        self._model, self._network, self._rounds = model, network, rounds
        self._clock = time.process_time if network.device.type == "cpu" else _on_the_device
        network.generation_config.eos_token_id = None

    def plain(self, prompts: Sequence[Ids]) -> Line:
        """No calls."""
        return self._compare(f"no calls, batch {len(prompts)}", prompts, [TOKENS] * len(prompts), {}, 0.95)

    def with_calls(self, prompts: Sequence[Ids]) -> Line:
        """One call that is answered at once in each text, not at the same time in all."""
        encode, syntax = self._model.encode_parts, CallSyntax.TEXT
        call = [encode([Part(piece)]) for piece in (syntax.open, syntax.front("Echo"), f"400 / 1400{syntax.stops[1]}")]
        plans = {}
        for row in range(len(prompts)):
            place = 10 + row * 37 % (TOKENS - 20)
            plans[row] = {place + step: token for step, token in enumerate(token for part in call for token in part)}
        return self._compare(f"a call each, batch {len(prompts)}", prompts, [TOKENS] * len(prompts), plans, 0.85)

    def uneven(self, prompts: Sequence[Ids]) -> Line:
        """Texts of very different lengths."""
        rng = random.Random(0)
        lengths = [min(400, max(4, round(rng.expovariate(1 / 60)))) for _ in prompts]
        return self._compare(f"{len(prompts)} texts of {min(lengths)} to {max(lengths)}", prompts, lengths, {}, 1.3)

    def _compare(
        self,
        what: str,
        prompts: Sequence[Ids],
        lengths: Sequence[int],
        plans: Mapping[int, Mapping[int, int]],
        floor: float,
    ) -> Line:
        times: list[list[float]] = [[], []]
        for turn in range(self._rounds + 1):
            said: list[list[Ids]] = []
            for side in (0, 1):
                begun = self._clock()
                said.append(self._theirs(prompts, lengths) if side else self._ours(prompts, lengths, plans))
                if turn:  # the first warms up
                    times[side].append(self._clock() - begun)
        assert said
        written = sum(lengths) + sum(map(len, plans.values())), sum(lengths)
        ours, theirs = (tokens / statistics.median(some) for tokens, some in zip(written, times, strict=True))
        same = sum(list(a) == list(b) for a, b in zip(*said, strict=True)) / len(prompts)
        ratio = statistics.median(b / a for a, b in zip(*times, strict=True)) * written[0] / written[1]
        return Line(what, ours, theirs, ratio, floor, same)

    def _ours(
        self, prompts: Sequence[Ids], lengths: Sequence[int], plans: Mapping[int, Mapping[int, int]]
    ) -> list[Ids]:
        directed = _Directed(self._model, lengths if len(set(lengths)) > 1 else (), plans)
        options = Options(k=1 if plans else 0, max_new_tokens=max(lengths), batch=min(AT_ONCE, len(prompts)))
        said: dict[int, Ids] = {}
        answered = 0
        with Toolbox([_Echo()]) as toolbox:
            for event in Decoder(directed, toolbox, CallSyntax.TEXT).run(prompts, options, stride=16):
                answered += isinstance(event, Answered)
                if isinstance(event, Ended):
                    said[event.row] = event.ids
        assert answered == len(plans)
        assert [len(said[row]) for row in range(len(prompts))] == list(lengths)
        return [said[row] for row in range(len(prompts))]

    def _theirs(self, prompts: Sequence[Ids], lengths: Sequence[int]) -> list[Ids]:
        said: list[Ids] = []
        for first in range(0, len(prompts), AT_ONCE):
            wanted = lengths[first : first + AT_ONCE]
            rows = [[*self._model._start, *prompt] for prompt in prompts[first : first + AT_ONCE]]
            width = max(map(len, rows))
            ids = torch.tensor([[0] * (width - len(row)) + row for row in rows], device=self._network.device)
            mask = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in rows], device=ids.device)
            generate: Any = self._network.generate
            made = generate(
                ids,
                attention_mask=mask,
                do_sample=False,
                max_new_tokens=max(wanted),
                suppress_tokens=[end_of(self._model)],
                pad_token_id=0,
                stopping_criteria=StoppingCriteriaList([_AllLongEnough(width, wanted)] if len(set(wanted)) > 1 else []),
            )[:, width:].tolist()
            said += [tuple(row[:length]) for row, length in zip(made, wanted, strict=True)]
            for row in said[-len(wanted) :]:
                self._model.decode(row)
        return said


class _AllLongEnough(StoppingCriteria):
    """Each text ends at its length; the batch goes on until the last one does."""

    def __init__(self, prompt: int, lengths: Sequence[int]) -> None:
        self._ends = torch.tensor(lengths) + prompt

    def __call__(self, input_ids: Tensor, *_: object, **__: object) -> Tensor:
        return self._ends.to(input_ids.device) <= input_ids.shape[1]


class _Echo:
    """A tool that answers at once."""

    name = "Echo"
    description = "It answers at once."
    traits = Traits(in_process=True)

    def __call__(self, text: str, /) -> str:  # noqa: ARG002 - whatever it is asked
        return "0.29"


def end_of(model: CausalModel) -> int:
    """A token that is taken for the end, and said where it is planned and nowhere else, on either side."""
    return int(model.rows([(5, 6)]).logits[0].argmin())


class _Directed:
    """The model, which says certain tokens at certain places of its texts."""

    def __init__(self, model: CausalModel, lengths: Sequence[int], plans: Mapping[int, Mapping[int, int]]) -> None:
        self._model = model
        self._end = end_of(model)
        self.ends = frozenset([self._end])
        self._plans = [{length: self._end} for length in lengths] or plans

    def rows(self, prompts: Sequence[Ids]) -> "_DirectedRows":
        assert not prompts
        return _DirectedRows(self._model.rows(()), self._plans, self._end)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)


class _DirectedRows:
    """`lm.Rows`, with plans."""

    def __init__(
        self, rows: CausalRows, plans: Sequence[Mapping[int, int]] | Mapping[int, Mapping[int, int]], end: int
    ) -> None:
        self._rows, self._plans, self._end = rows, plans, end
        self._added = 0
        self._known: list[tuple[int, Mapping[int, int]]] = []
        """Each row's length when it was added, and its plan."""

    @property
    def logits(self) -> Tensor:
        logits = self._rows.logits.index_fill(1, torch.tensor([self._end], device=self._rows.logits.device), -torch.inf)
        for row, (length, (front, plan)) in enumerate(zip(self._rows.lengths, self._known, strict=True)):
            if (token := plan.get(length - front)) is not None:
                logits = logits.index_put((torch.tensor(row), torch.tensor(token)), logits.new_tensor(1e6))
        return logits

    def add(self, prompts: Sequence[Ids]) -> None:
        self._rows.add(prompts)
        for length in self._rows.lengths[-len(prompts) :]:
            self._known.append((length, self._plans[self._added] if self._plans else {}))
            self._added += 1

    def keep(self, rows: Sequence[int]) -> None:
        self._rows.keep(rows)
        self._known = [self._known[row] for row in rows]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._rows, name)


def _on_the_device() -> float:
    torch.cuda.synchronize()
    return time.perf_counter()
