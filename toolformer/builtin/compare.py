"""Base model against tool user, on the held-out documents of the built-in corpus.

    python -m toolformer.builtin.compare [RUN]     RUN is what `toolformer train` wrote; by default, builtin-tools

Each text is cut before its answer, and the model goes on greedily from there: right is what begins with the answer.
Plain texts, in which nothing follows from anything, are read token by token: a call is counted where its opening is the
likeliest next token anywhere in the text. The tools are those of the package, on their own knowledge.
"""

import argparse
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import cast

from toolformer.builtin import corpus
from toolformer.builtin.corpus import Entry, Kind
from toolformer.generation import Generation
from toolformer.lm import LanguageModel, Prompted
from toolformer.model import Toolformer

ASKED: Mapping[Kind, str] = {"sum": "sums", "fact": "unseen facts", "date": "dates"}
RANKS = (0, 1, 10)
ADAPTER = "adapter_model.safetensors"
TOKENS = 16
"""Tokens that a model may write behind the cut; the longest answers are names of five words."""
FLOORS: Mapping[Kind, tuple[float, float]] = {"sum": (0.15, 0.90), "fact": (0.20, 0.85), "date": (1.0, 0.97)}
"""What the base model alone should not exceed, and what the tool user should reach."""


@dataclass(frozen=True)
class Score:
    """How many of some texts were gone on with rightly, and in how many a call was made."""

    texts: int
    right: float
    called: float

    def __str__(self) -> str:
        return f"{self.right:6.1%} ({self.called:4.0%})"


def cut(entry: Entry) -> tuple[str, str]:
    """The text up to its answer, and the answer."""
    call = entry.truth[0]
    return entry.text[: call.start].rstrip(" "), call.said


def begins_with(text: str, answer: str) -> bool:
    """Whether the text says the answer first, and not a longer number or word: 45 is not 457, and not 45.7."""
    return re.match(rf"\s*{re.escape(answer)}(?!\w|[.,]\d)", text) is not None


def score(tf: Toolformer, entries: Sequence[Entry], k: int) -> tuple[Score, list[Generation]]:
    """How the model goes on from the cut texts."""
    cuts = [cut(entry) for entry in entries]
    made = tf.generate([prompt for prompt, _ in cuts], k=k, max_new_tokens=TOKENS)
    right = [begins_with(one.text, answer) for one, (_, answer) in zip(made, cuts, strict=True)]
    called = [bool(one.calls) for one in made]
    return Score(len(entries), sum(right) / len(entries), sum(called) / len(entries)), made


def nearest_in(model: LanguageModel, texts: Sequence[str], opening: int) -> list[int]:
    """For each text, how many tokens were likelier than the opening where it came closest to being the next."""
    with model.open([Prompted((), (), model.encode(text).ids) for text in texts], (opening,)) as openings:
        return [min(row) for row in openings.ranks]


def perplexity(model: LanguageModel, texts: Sequence[str], behind: int = 0) -> float:
    """Of the texts' tokens behind so many of each text, each text by itself."""
    found = [p for row in model.log_probabilities([model.encode(text).ids for text in texts]) for p in row[behind:]]
    return math.exp(-sum(found) / len(found))


def compared(base: Toolformer, user: Toolformer, most: int | None = None) -> Iterator[str]:
    """The table, line by line, with what it should show; on at most so many texts of each kind, as it came out."""
    entries = corpus.load("held")
    yield f"{'right (with a call)':<22}{'base':>14}" + "".join(f"{f'k = {k}':>14}" for k in RANKS)
    for kind, name in ASKED.items():
        some = [entry for entry in entries if entry.kind == kind][:most]
        alone, _ = score(base, some, 0)
        scores = [score(user, some, k)[0] for k in RANKS]
        line = f"{f'{len(some)} {name}':<22}" + "".join(f"{one!s:>14}" for one in (alone, *scores))
        high, least = FLOORS[kind]
        met = alone.right <= high and scores[-1].right >= least and scores[0].right >= alone.right - 0.02
        asked = f"at most {high:.0%}, k = {RANKS[-1]} at least {least:.0%}"
        yield line if most else line + _asked(asked, met)
    plain = [entry.text for entry in entries if entry.kind == "plain"][:most]
    models = [cast("LanguageModel", one.model) for one in (base, user)]  # both were loaded here
    nearest = nearest_in(models[1], plain, models[1].encode_parts([user.decoder.syntax.opening])[0])
    called = nearest.count(0) / len(nearest)
    yield f"{f'{len(plain)} plain texts: a call at k = 1':<50}{called:6.1%}" + _asked("at most 10%", called <= 0.1)
    before, after = (perplexity(model, plain) for model in models)
    more = after / before - 1
    yield f"{'their perplexity without calls, against the base':<50}{more:+6.1%}" + _asked("at most +2%", more <= 0.02)


def sameness(made: Path) -> str:
    """How far the adapter in a folder, made by the same commands, is from the one that the package ships."""
    from safetensors.torch import load_file

    ours = load_file(str(files("toolformer.builtin") / "tools_adapter" / ADAPTER))
    theirs = load_file(made / ADAPTER)
    if {name: value.shape for name, value in ours.items()} != {name: value.shape for name, value in theirs.items()}:
        return "the adapter has other weights than builtin-tools: it was made with other settings"
    apart = max(float((theirs[name].float() - value.float()).abs().max()) for name, value in ours.items())
    if apart == 0:
        return "the adapter is the one that ships as builtin-tools, in every weight"
    return f"the adapter is up to {apart:.2g} a weight from builtin-tools, which was made from another run's calls"


def examples(base: Toolformer, user: Toolformer, number: int) -> Iterator[str]:
    """Some held-out texts in which the tool user called: what both say, and what was right."""
    told = 0
    for entry in (entry for entry in corpus.load("held") if entry.kind in ASKED):
        prompt, answer = cut(entry)
        (made,) = score(user, [entry], RANKS[-1])[1]
        if made.calls:
            (alone,) = score(base, [entry], 0)[1]
            said = f"  base      {_short(alone.text)}\n  with tools{_short(made.raw)}\n  right     {answer}"
            yield f"{prompt} ...\n{said}"
            told += 1
        if told == number:
            return


def _short(text: str) -> str:
    return " " + " ".join(text.split("\n", 1)[0].split())


def _asked(what: str, met: bool) -> str:
    return f"   {what}   {'ok' if met else 'MISSED'}"


def main() -> None:
    """The command line."""
    from toolformer.catalog import TAUGHT, ToolSettings, make_tools

    parser = argparse.ArgumentParser(
        prog="python -m toolformer.builtin.compare", description="Base model against tool user on held-out texts."
    )
    parser.add_argument("run", nargs="?", default="builtin-tools", help="a finetuned model (default: %(default)s)")
    parser.add_argument("--base", default="builtin", help="what it was finetuned from (default: %(default)s)")
    parser.add_argument("--examples", type=int, default=0, help="show so many texts as well (default: %(default)s)")
    chosen = parser.parse_args()
    tools = make_tools(ToolSettings(), TAUGHT)
    with (
        Toolformer.from_pretrained(chosen.base, tools=[]) as base,
        Toolformer.from_pretrained(chosen.run, tools=tools) as user,
    ):
        for line in compared(base, user):
            print(line, flush=True)
        for example in examples(base, user, chosen.examples) if chosen.examples else ():
            print(f"\n{example}", flush=True)


if __name__ == "__main__":
    main()
