"""What a model writes itself where the annotator kept a call. Another result than the kept call's is a mistake, which
`prefer` can learn from: the numbers or the operation were wrong, or the question asked for something else.

The likeliest call is looked at first, then samples, as long as the model has made no mistake at a place.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from toolformer.calls import Call
from toolformer.data_gen.annotated_folder import KeptText
from toolformer.data_gen.documents import facts_of
from toolformer.decode.decoder import STRIDE, Decoder
from toolformer.decode.events import Answered, Undone
from toolformer.decode.options import AT_ONCE
from toolformer.errors import DataError
from toolformer.expert import with_model
from toolformer.finetune.training_rows import token_at
from toolformer.generation import with_calls
from toolformer.hf import load
from toolformer.lm import Ids, LanguageModel
from toolformer.loading import Loading
from toolformer.own_json import made_of, parse_own
from toolformer.tool import DocumentFacts, Tool
from toolformer.toolbox import Toolbox
from toolformer.whole_file import whole_file

FILE = "own_calls.jsonl"
"""In the folder of the run, so that one that goes on does not wait for them again."""


@dataclass(frozen=True)
class Mistake:
    """A wrong call of the model's own, and the kept call in whose place it wrote it."""

    text: int
    """The number of the annotated text."""
    call: int
    """The number of the kept call in it."""
    tool: str
    input: str


@dataclass(frozen=True)
class _Place:
    text: int
    call: int
    kept: Call
    prompt: Ids
    facts: DocumentFacts


def own_mistakes(
    folder: Path, name: str, loading: Loading, tools: Sequence[Tool], kept: Sequence[KeptText], tries: int, seed: int
) -> list[Mistake]:
    """The model's mistakes at the places of kept calls, in so many tries at each; those of an earlier run are read."""
    file = folder / FILE
    if not file.exists():
        model = load(name, **vars(loading))
        with Toolbox(with_model(tools, model)) as box:
            found = sorted(_found(model, box, kept, tries, seed), key=lambda one: (one.text, one.call))
        with whole_file(file) as out:
            for one in found:
                out.write(json.dumps(asdict(one)).encode() + b"\n")
    try:
        return [made_of(Mistake, parse_own(line)) for line in file.read_text("utf-8").splitlines()]
    except ValueError as error:
        raise DataError(f"{file} is damaged ({error}): delete it and run again") from error


def _found(model: LanguageModel, box: Toolbox, kept: Sequence[KeptText], tries: int, seed: int) -> Iterator[Mistake]:
    decoder = Decoder(model, box)
    places = [one for number, text in enumerate(kept) for one in _places(model, decoder, number, text)]
    for attempt in range(tries):
        options = AT_ONCE.changed(call_temperature=1.0 if attempt else 0.0, seed=seed + attempt)
        made: dict[int, Call] = {}
        prompts, facts = [one.prompt for one in places], [one.facts for one in places]
        for event in decoder.run(prompts, options, stride=STRIDE, facts=facts):
            if isinstance(event, Answered | Undone) and event.call is not None:
                made[event.row] = event.call
        wrong = {row for row, call in made.items() if call.result != places[row].kept.result}
        yield from (Mistake(places[row].text, places[row].call, made[row].tool, made[row].input) for row in wrong)
        places = [one for row, one in enumerate(places) if row not in wrong]


def _places(model: LanguageModel, decoder: Decoder, number: int, text: KeptText) -> Iterator[_Place]:
    """The places of a text's kept calls, each behind the calls before it; none in a text that does not fit."""
    encoded, facts = model.encode(text.text), facts_of(text.date, text.url)
    at = [token_at(encoded.starts, placed.start, text.text) for placed in text.calls]
    calls = [*zip(at, (placed.call for placed in text.calls), strict=True)]
    for index, (end, call) in enumerate(calls):
        before = with_calls(encoded.ids[:end], calls[:index], lambda one: model.encode_parts(decoder.syntax.parts(one)))
        if before and len(before) + _ROOM < model.context:
            yield _Place(number, index, call, before, facts)


_ROOM = 128
"""Tokens that a call may take."""
