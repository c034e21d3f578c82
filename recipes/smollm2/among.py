"""Is a right call among what a finetuned model writes at the places where one is known? It has no prompt but the text.

    python -m recipes.smollm2.among CORPUS [--model smollm2-tools] [--texts 60] [--samples 5] [--without OTHER]

CORPUS has texts whose right calls are known, such as GSM8K's solutions with the calls that its authors wrote down.
Texts that are in OTHER, such as the corpus that the model learnt from, are not asked about.
"""

import argparse
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from recipes.smollm2.sources import rows
from toolformer.calls import Call
from toolformer.data_gen.known import KnownText, known_calls
from toolformer.data_gen.lessons import builtin_lessons
from toolformer.data_gen.records import Candidate, Document, EncodedText
from toolformer.data_gen.samplers.prompts import Prompts
from toolformer.data_gen.samplers.rules import place_before
from toolformer.data_gen.samplers.sample import draw_seed, read_call
from toolformer.errors import ToolError
from toolformer.hf import load
from toolformer.lm import Draw, LanguageModel
from toolformer.toolbox import Toolbox
from toolformer.tools.calculator import Calculator

SEED = 2026


@dataclass(frozen=True)
class Among:
    """What was found."""

    places: int
    found: int
    """Places with a right call among their samples."""
    samples: int
    executed: int
    right: int

    def __str__(self) -> str:
        return (
            f"{self.found} of {self.places} places ({self.found / self.places:.0%}) have a right call among their "
            f"samples; {self.executed} of {self.samples} samples could be executed, {self.right} of them are right "
            f"({self.right / max(1, self.executed):.0%})"
        )


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m recipes.smollm2.among", description="Is a right call among them?")
    parser.add_argument("corpus", type=Path, help="texts with known calls (.jsonl)")
    parser.add_argument("--model", default="smollm2-tools", help="the finetuned model (default: %(default)s)")
    parser.add_argument("--texts", type=int, default=60, help="so many texts (default: %(default)s)")
    parser.add_argument("--samples", type=int, default=5, help="at each place (default: %(default)s)")
    parser.add_argument("--without", type=Path, help="not the texts in this file (.jsonl)")
    chosen = parser.parse_args()
    learnt = {row["text"] for row in rows(chosen.without)} if chosen.without else set()
    there = [row for row in rows(chosen.corpus) if row["calls"] and row["text"] not in learnt]
    some = random.Random(SEED).sample(there, min(chosen.texts, len(there)))
    known = [KnownText(row["id"], row["text"], known_calls(row["calls"], row["id"])) for row in some]
    print(among(load(chosen.model), known, chosen.samples))


def among(model: LanguageModel, known: Sequence[KnownText], samples: int) -> Among:
    """Let the model write calls of the Calculator at every place where one is known."""
    lesson = builtin_lessons()["Calculator"]
    prompts, toolbox = Prompts(model, lesson), Toolbox([Calculator()])
    opening, *given = model.encode_parts(prompts.syntax.begun(lesson.tool))
    texts = [EncodedText(Document(one.id, one.text), model.encode(one.text), None) for one in known]
    places = [
        (row, place, call)
        for row, (one, text) in enumerate(zip(known, texts, strict=True))
        for call in one.calls
        if (place := place_before(text, lesson.tool, call.start)) is not None
    ]
    drawn = [(row, place, call, number) for row, place, call in places for number in range(samples)]
    with model.open([prompts.asking(one.text).prompted for one in known], (opening,)) as openings:
        written = openings.sample(
            [Draw(row, place.position, draw_seed(SEED, place, number)) for row, place, _, number in drawn],
            given=given,
            stops=prompts.syntax.stops,
            max_tokens=lesson.max_tokens,
            temperature=lesson.temperature,
            top_p=lesson.top_p,
        )
    found: set[int] = set()
    executed = right = 0
    for number, ((_, place, call, _), sample) in enumerate(zip(drawn, written, strict=True)):
        one = read_call(place, sample, prompts.syntax)
        result = answer(toolbox, one.call) if isinstance(one, Candidate) else None
        executed += result is not None
        if result is not None and call.allows(result):
            right += 1
            found.add(number // samples)
    return Among(len(places), len(found), len(drawn), executed, right)


def answer(toolbox: Toolbox, call: Call) -> Call | None:
    """The call with its result, if it has one."""
    try:
        return replace(call, result=toolbox.run(call.tool, call.input))
    except ToolError:
        return None


if __name__ == "__main__":
    main()
