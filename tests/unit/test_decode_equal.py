"""The decoder on real models, small and random: company, calls and undoing change no token of a row."""

import copy
import functools
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from tests import tiny_models
from tests.plain_lm import KINDS
from toolformer import CallSyntax, Toolbox, ToolError, Traits
from toolformer.calls import Part
from toolformer.decode.decoder import Decoder
from toolformer.decode.events import Answered, Ended, Event, Text, Undone
from toolformer.decode.options import Options
from toolformer.hf.encode import Codec
from toolformer.hf.transformers_model import CausalModel, Seq2SeqModel
from toolformer.lm import Ids

VOCABULARY = tiny_models.VOCABULARY + 3
ARROW = CallSyntax.TOKENS.control_tokens[1]
PROMPTS = ["There are 8 boxes", "And then", "é, in the house were none (400 / 1400", "0.29]"]


@functools.cache
def port(kind: str) -> CausalModel | Seq2SeqModel:
    """The tiny model with the three tokens of calls."""
    tokenizer = tiny_models.own_tokenizer()
    tokenizer.add_tokens([*CallSyntax.TOKENS.control_tokens], special_tokens=True)
    model = copy.deepcopy(tiny_models.model(kind))
    model.resize_token_embeddings(len(tokenizer), mean_resizing=False)
    for parameter in model.parameters():
        if parameter.shape[0] == len(tokenizer) and parameter.ndim > 1:
            parameter.data[-3:] = torch.randn(3, parameter.shape[1], generator=torch.Generator().manual_seed(1)) * 0.25
    made = Seq2SeqModel if kind in tiny_models.SEQ2SEQ else CausalModel
    return made(model, Codec(tokenizer, kind), kind, kind)


class Eager:
    """A model's rows, inclined to call, to close brackets, and to end a call there: random ones hardly ever do."""

    def __init__(self, model: CausalModel | Seq2SeqModel, prompts: Sequence[Ids]) -> None:
        self._rows = model.rows(prompts)
        self._last: list[int] = [0 for _ in prompts]
        self._bracket, self._arrow = model.encode_parts([Part(")"), Part(ARROW, control=True)])
        self._more = torch.zeros(VOCABULARY)
        scale = 3 * model.rows([(5, 6)]).logits.std()
        self._more[[self._bracket, *model.encode_parts([CallSyntax.TOKENS.opening])]] = scale

    @property
    def logits(self) -> Tensor:
        logits = self._rows.logits + self._more
        logits[[row for row, last in enumerate(self._last) if last == self._bracket], self._arrow] += 50
        return logits

    @property
    def lengths(self) -> Sequence[int]:
        return self._rows.lengths

    @property
    def room(self) -> Sequence[int]:
        return self._rows.room

    def extend(self, ids: Sequence[Ids]) -> None:
        self._rows.extend(ids)
        self._last = [new[-1] if new else last for new, last in zip(ids, self._last, strict=True)]

    def truncate(self, row: int, length: int, logits: Tensor) -> None:
        self._rows.truncate(row, length, logits - self._more)
        self._last[row] = 0

    def keep(self, rows: Sequence[int]) -> None:
        self._rows.keep(rows)
        self._last = [self._last[row] for row in rows]

    def add(self, prompts: Sequence[Ids]) -> None:
        self._rows.add(prompts)
        self._last += [0 for _ in prompts]


class Slow:
    """Answers some questions late, some not at all."""

    description = "It answers."
    traits = Traits(in_process=True)

    def __init__(self, name: str) -> None:
        self.name = name

    def __call__(self, text: str, /) -> str:
        time.sleep(0.01 * (len(text) % 3))
        if len(text) % 4 == 3:
            raise ToolError("no")
        return f"{len(text)} of them"


def told(events: Sequence[Event], row: int) -> list[object]:
    """What happened to one row, its text in one piece, and probabilities as far as fp32 goes."""
    mine = [event for event in events if event.row == row]
    seen: list[object] = ["".join(event.text for event in mine if isinstance(event, Text))]
    undone: list[tuple[int, str]] = []
    for event in mine:
        if isinstance(event, Answered):
            seen.append((event.start, event.call, event.rank, pytest.approx(event.probability, abs=1e-4)))
        elif isinstance(event, Undone):
            undone.append((event.start, event.reason))
        elif isinstance(event, Ended):
            seen.append(event.reason)
    # Branches of one call fail in no order.
    return [*seen, sorted(undone)]


def decode(kind: str, prompts: Sequence[str], **options: Any) -> list[Event]:
    model = port(kind)
    eager = copy.copy(model)
    eager.rows = functools.partial(Eager, model)  # type: ignore[method-assign, assignment]
    options = {"k": 40, "calls": 2, "max_new_tokens": 6, "input_tokens": 4, **options}
    decoder = Decoder(eager, Toolbox([Slow("Slow"), Slow("Solver"), Slow("Count")]))
    return list(decoder.run([model.encode(prompt).ids for prompt in prompts], Options().changed(**options)))


SAMPLED = {"do_sample": True, "top_k": 20, "repetition_penalty": 1.2}
VARIED = {"calls_sampled": 3, "call_temperature": 1.0, "choose": "text", "calls": 1}
CASES: list[tuple[str, dict[str, Any]]] = [(kind, {}) for kind in ("gpt2", "llama", "opt", "mistral", "bart", "t5")]
CASES += [(kind, options) for kind in ("llama", "t5") for options in (SAMPLED, {"branches": 2, "calls": 1}, VARIED)]


@pytest.mark.parametrize(("kind", "options"), CASES)
def test_a_row_does_not_depend_on_its_company(kind: str, options: dict[str, Any]) -> None:
    together = decode(kind, PROMPTS, batch=3, **options)
    seen = [type(event) for event in together]
    assert {Answered, Undone} <= {*seen}
    for row, prompt in enumerate(PROMPTS):
        assert told(together, row) == told([replace(e, row=row) for e in decode(kind, [prompt], **options)], row)


@pytest.mark.parametrize("kind", KINDS)
def test_without_calls_it_says_what_transformers_says(kind: str) -> None:
    model = port(kind)
    network: Any = model._network.model
    control = [*model.encode_parts([Part(token, control=True) for token in CallSyntax.TOKENS.control_tokens])]
    texts = []
    for prompt in PROMPTS:
        ids = list(model.encode(prompt).ids)
        given = ids if model.reads_apart else [1, *ids]
        said = network.generate(
            torch.tensor([given]), max_new_tokens=15, do_sample=False, suppress_tokens=control, pad_token_id=0
        )[0].tolist()
        said = said[1:] if model.reads_apart else said[len(given) :]
        texts.append(said[: said.index(2)] if 2 in said else said)
    prompts = [model.encode(prompt).ids for prompt in PROMPTS]
    events = list(Decoder(model, Toolbox([Slow("Slow")])).run(prompts, Options(k=0, max_new_tokens=15, batch=4)))
    said = {event.row: list(event.ids) for event in events if isinstance(event, Ended)}
    assert [said[row] for row in range(len(texts))] == texts
    for row, read in enumerate(prompts):
        before = () if model.reads_apart else read
        assert told(events, row)[0] == model.decode([*before, *said[row]])[len(model.decode(before)) :]
