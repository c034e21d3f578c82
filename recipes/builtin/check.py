"""What the built-in model can do on material that it has never seen, against the floors it has to reach.

    python -m recipes.builtin.check [MODEL] [--text FILE] [--number N]

Templates, facts, pairs of numbers and made-up tools are the held-out ones; only the demonstrations in the prompts are
not. This measures with plain forward passes (plain_model.py), so that it can also be trusted to check the faster ways
elsewhere.
"""

import argparse
import math
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from recipes.builtin import lookups
from recipes.builtin.date_texts import date_text
from recipes.builtin.fact_texts import fact_text
from recipes.builtin.notes import written
from recipes.builtin.plain_model import SHIPPED, Model
from recipes.builtin.plain_texts import plain_text
from recipes.builtin.stories import story
from recipes.builtin.words import ShortText
from toolformer.builtin.corpus import Split, TrueCall
from toolformer.calls import Call, CallSyntax

POSITIONS, SAMPLES, GAIN = 5, 5, 0.5
SEED = 20261129
"""Decides which held-out texts are drawn. To be changed whenever somebody has looked at single texts while changing the
recipe: then it asks for others."""
WINDOW = torch.tensor([5, 4, 3, 2, 1]) / 15
Source = Callable[[random.Random, Split], ShortText]


@dataclass(frozen=True)
class Figure:
    """One line of the table. The figure must be at least the floor, or with `most` at most; None asks for nothing."""

    what: str
    figure: float
    floor: float | None
    most: bool = False

    def __str__(self) -> str:
        if self.floor is None:
            return f"{self.what:<58}{self.figure:7.1%}"
        met = self.figure <= self.floor if self.most else self.figure >= self.floor
        sign = "at most" if self.most else "at least"
        return f"{self.what:<58}{self.figure:7.1%}   {sign} {self.floor:4.0%}   {'ok' if met else 'MISSED'}"


def lesson(name: str, does: str, what: str, demonstrations: Sequence[ShortText], own: str) -> str:
    """A prompt in the paper's manner, up to the last input."""
    task = f"Your task is to add calls to a {name} API to a piece of text. The API {does}."
    how = f'You can call the API by writing "{written(Call(name, what)).strip()}" where "{what}" is what you ask.'
    head = f"{task} {how} Here are some examples of API calls:\n"
    shown: list[str] = []
    for passage in demonstrations:
        call = next(call for call in passage.calls if call.tool == own)
        place = call.start - 1
        marked = passage.text[:place] + written(Call(name, call.input)) + passage.text[place:]
        shown.append(f"Input: {passage.text}\nOutput: {marked}\n")
    return head + "".join(shown)


def right_samples(model: Model, prompt: str, name: str, passages: Sequence[ShortText], own: str) -> tuple[float, float]:
    """How often the right position is among the likeliest, and how often the right call is sampled there as well."""
    opening = model.ids(CallSyntax.TEXT.opening.text)
    prefixes = [model.begin + model.ids(f"{prompt}Input: {p.text}\nOutput: ") for p in passages]
    texts = [model.ids(p.text) for p in passages]
    placed = hits = 0
    for passage, prefix, text, table in zip(
        passages, prefixes, texts, model.log_probabilities(prefixes, texts), strict=True
    ):
        call = next(call for call in passage.calls if call.tool == own)
        position = model.position(passage, call)
        if position not in table[:, opening[0]].topk(min(POSITIONS, len(text))).indices.tolist():
            continue
        placed += 1
        torch.manual_seed(position)
        drawn = model.sampled(prefix + text[:position] + opening, SAMPLES)
        hits += any(_is_right(sample, name, call) for sample in drawn)
    return placed / len(passages), hits / len(passages)


def _is_right(sample: str, name: str, call: TrueCall) -> bool:
    found = next(CallSyntax.TEXT.find(CallSyntax.TEXT.opening.text + sample), None)
    return found is not None and found.call.tool == name and found.call.input in (call.input, *call.also)


def gains(model: Model, passages: Sequence[ShortText], results: Sequence[str], own: str) -> list[float]:
    """How much the call with its result lowers the window loss, against no call and the call without a result."""
    calls = [next(call for call in p.calls if call.tool == own) for p in passages]

    def losses(notes: Sequence[str]) -> torch.Tensor:
        prefixes = [model.begin + model.ids(note) for note in notes]
        texts, values = [model.ids(p.text) for p in passages], []
        for passage, call, text, table in zip(
            passages, calls, texts, model.log_probabilities(prefixes, texts), strict=True
        ):
            at = model.position(passage, call)
            targets = torch.tensor(text[at : at + 5])
            values.append(-(table[at : at + 5].gather(1, targets[:, None])[:, 0] * WINDOW[: len(targets)]).sum())
        return torch.stack(values)

    with_result = losses([written(Call(c.tool, c.input, r)) for c, r in zip(calls, results, strict=True)])
    without = torch.minimum(losses([""] * len(calls)), losses([written(Call(c.tool, c.input, "")) for c in calls]))
    return (without - with_result).tolist()


def alone(model: Model, passages: Sequence[ShortText]) -> float:
    """How often the model goes on with the answer by itself, greedily."""
    hits = 0
    for passage in passages:
        call = passage.calls[0]
        before = passage.text[: call.start].removesuffix(" ")
        said = model.sampled(model.begin + model.ids(before), 1, tokens=12, greedy=True)[0].strip()
        following = said[len(call.said) : len(call.said) + 1]
        hits += said.startswith(call.said) and not following.isalnum()
    return hits / len(passages)


def bits_per_byte(model: Model, path: Path, limit: int = 300_000) -> float:
    """How many bits a byte of the file's beginning costs, in windows of 512 tokens."""
    text = path.read_bytes()[:limit].decode("utf-8", errors="ignore")
    ids = [token for line in text.splitlines(keepends=True) for token in model.ids(line)]
    chunks = [ids[i : i + 512] for i in range(0, len(ids), 512)]
    tables = model.log_probabilities([model.begin] * len(chunks), chunks)
    loss = -sum(float(t.gather(1, torch.tensor(c)[:, None]).sum()) for t, c in zip(tables, chunks, strict=True))
    return loss / math.log(2) / len(text.encode())


@dataclass(frozen=True)
class Subject:
    """A tool that is measured: its texts, how the prompt describes it, and its floors."""

    name: str
    source: Source
    does: str
    what: str
    sampled: float | None
    kept: float | None


SUBJECTS = (
    Subject("Calculator", story, "works out an expression", "expression", 0.95, 0.85),
    Subject("Dates", date_text, "works with dates", "question", 0.97, 0.95),
    Subject("QA", fact_text, "answers a question", "question", 0.90, 0.95),
    Subject("WikiSearch", fact_text, "searches an encyclopedia", "term", None, None),
)


def measured(model: Model, number: int) -> Iterator[Figure]:
    """Every figure with its floor."""
    rng = random.Random(SEED)
    for subject in SUBJECTS:
        yield from _tool_rows(model, subject, rng, number)
    yield Figure(
        "an unseen tool, four demonstrations: right call sampled", _unseen(model, rng, max(1, number // 4)), 0.60
    )
    sums = [story(rng, "held", three_digits=True) for _ in range(number)]
    yield Figure("alone right: three-digit sums", alone(model, sums), 0.15, most=True)
    told = [fact_text(rng, "held") for _ in range(number)]
    yield Figure("alone right: unseen facts", alone(model, told), 0.20, most=True)


def _tool_rows(model: Model, subject: Subject, rng: random.Random, number: int) -> Iterator[Figure]:
    name, source = subject.name, subject.source
    prompt = lesson(name, subject.does, subject.what, [source(rng, "train") for _ in range(4)], name)
    passages = [_in_company(rng, source(rng, "held")) for _ in range(number)]
    placed, right = right_samples(model, prompt, name, passages, name)
    yield Figure(f"{name}: right position among {POSITIONS}", placed, None)
    yield Figure(f"{name}: right call sampled there among {SAMPLES}", right, subject.sampled)
    results = [next(c for c in p.calls if c.tool == name).result for p in passages]
    passed = [gain >= GAIN for gain in gains(model, passages, results, name)]
    yield Figure(f"{name}: right call, right result: passes the filter", sum(passed) / len(passed), subject.kept)
    others = results[1:] + results[:1]
    pairs = zip(gains(model, passages, others, name), results, others, strict=True)
    fooled = [gain >= GAIN for gain, own, other in pairs if own != other]
    yield Figure(f"{name}: right call, wrong result: passes the filter", sum(fooled) / len(fooled), 0.05, most=True)


def _unseen(model: Model, rng: random.Random, number: int) -> float:
    """The right calls sampled for tools that no training text had, so many texts each."""
    figures: list[float] = []
    for tool in lookups.HELD:
        name = tool.names[0]
        prompt = lesson(name, tool.does, "input", [lookups.lookup_text(rng, tool, name) for _ in range(4)], name)
        passages = [_in_company(rng, lookups.lookup_text(rng, tool, name)) for _ in range(number)]
        figures.append(right_samples(model, prompt, name, passages, name)[1])
    return sum(figures) / len(figures)


def _in_company(rng: random.Random, passage: ShortText) -> ShortText:
    """The passage, half of the time behind a plain sentence."""
    return plain_text(rng, "held") + passage if rng.random() < 0.5 else passage


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m recipes.builtin.check", description="Measures the built-in model.")
    parser.add_argument("model", nargs="?", default=SHIPPED, help="a model's folder (default: the shipped one)")
    parser.add_argument("--text", type=Path, help="a text file to measure bits per byte on")
    parser.add_argument("--number", type=int, default=200, help="held-out texts a figure (default: %(default)s)")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    chosen = parser.parse_args()
    model = Model(chosen.model, chosen.device)
    print(f"{chosen.model}: {chosen.number} held-out texts a figure, seed fixed")
    for row in measured(model, chosen.number):
        print(row, flush=True)
    if chosen.text:
        print(f"{'bits per byte on ' + chosen.text.name:<58}{bits_per_byte(model, chosen.text):7.3f}")


if __name__ == "__main__":
    main()
