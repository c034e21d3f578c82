"""What will a corpus cost? Some of its documents are annotated, and the rest is taken to be like them.

The documents are drawn from the whole corpus, which is read once for that; nothing is kept on disk. Everything is taken
to grow with the number of characters. With thresholds that a run finds itself ("auto"), each text of the sample is
scored for them, which a run does with its first texts only: so a long run takes less time than is said here.
"""

import itertools
import random
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import sqrt
from pathlib import Path
from statistics import variance
from typing import Any

from toolformer.data_gen.annotated_folder import AnnotatedFolder
from toolformer.data_gen.annotating import annotate
from toolformer.data_gen.calibrate import Calibration
from toolformer.data_gen.records import Document
from toolformer.data_gen.run_folder import THRESHOLDS, read_json
from toolformer.errors import ConfigError, DataError
from toolformer.screen import span
from toolformer.tool import Tool

Z = 1.96
"""Of an interval of 95%."""


@dataclass(frozen=True)
class Estimate:
    """What annotating a whole corpus by one worker is expected to cost and to give."""

    documents: int
    """Of the corpus, as many as there are."""
    sampled: int
    """Those that were annotated."""
    tokens: float
    """Of the texts, as the judging model reads them."""
    forwarded: float
    """Tokens that go through the models, prompts and calls included."""
    operations: float
    """Floating-point operations of that, about; without those of servers."""
    seconds: float
    """Of this machine."""
    bytes: float
    kept: float
    """Calls."""
    kept_between: tuple[float, float]
    """An interval for them: 95% of samples of this size have the number of the whole corpus in theirs."""
    unsettled: tuple[str, ...] = ()
    """Tools with too few calls in the sample to find a threshold, which the whole corpus may have. Theirs was the
    lesson's."""

    def told(self, flops: float | None = None) -> str:
        """In words, a line for each cost; `flops` are the operations a second of an accelerator, whose time it adds."""
        low, high = self.kept_between
        lines = [
            f"{self.sampled:,} of {self.documents:,} documents were annotated. The whole corpus takes about",
            f"  tokens  {self.tokens:,.0f} of text, {self.forwarded:,.0f} forwarded",
            f"  time    {span(self.seconds)} here, by one worker",
            f"  disk    {self.bytes / 1e9:,.3f} GB",
            f"  calls   {self.kept:,.0f} kept, {low:,.0f} to {high:,.0f} with 95% confidence",
        ]
        if flops is not None:
            lines.insert(3, f"          {span(self.operations / flops)} at {flops:.3g} FLOP/s")
        if self.unsettled:
            lines.append(
                f"Too few calls of {', '.join(self.unsettled)} to find a threshold, so the lesson's own was used: the "
                "whole corpus may keep more or fewer. Take more documents"
            )
        return "\n".join(lines)


def estimate(
    corpus: Iterable[Document], tools: Sequence[Tool], *, sample: int = 200, limit: int | None = None, **settings: Any
) -> Estimate:
    """Annotate so many documents, drawn at random, and say what the whole corpus takes.

    Args:
        corpus: The documents, such as `read_corpus` gives them.
        tools: The tools.
        sample: How many documents are annotated.
        limit: Of the corpus, the first so many documents only.
        settings: What else `annotate` takes, without `out`, `part` and `workers`.
    """
    if sample < 2:
        raise ConfigError(f"an estimate from {sample} documents: take 2 at least")
    if limit is not None and limit < 1:
        raise ConfigError(f"limit={limit}: it must be 1 at least")
    documents, characters, drawn = _drawn(itertools.islice(corpus, limit), sample)
    if not drawn:
        raise DataError("the corpus holds no document")
    with tempfile.TemporaryDirectory() as place:
        out = Path(place)
        progress = annotate(drawn, tools, out, **settings)
        written = sum(file.stat().st_size for file in out.glob("*/*.json*"))
        calls, unsettled = _calls(out, drawn), _unsettled(out)
    times = characters / sum(len(one.text) for one in drawn)
    low, high = _between(calls)
    return Estimate(
        documents,
        len(drawn),
        times * progress.tokens,
        times * progress.forwarded,
        times * progress.operations,
        times * progress.seconds,
        times * written,
        times * sum(calls),
        (sum(calls) + (times - 1) * low, sum(calls) + (times - 1) * high),
        unsettled if documents > len(drawn) else (),
    )


def _drawn(corpus: Iterable[Document], sample: int) -> tuple[int, int, list[Document]]:
    """The documents and characters of a corpus, and some of its documents, each with the same chance, in its order."""
    chance = random.Random(0)
    drawn: list[tuple[int, Document]] = []
    documents = characters = 0
    for document in corpus:
        documents += 1
        characters += len(document.text)
        if len(drawn) < sample:
            drawn.append((documents, document))
        elif (at := chance.randrange(documents)) < sample:
            drawn[at] = (documents, document)
    return documents, characters, [one for _, one in sorted(drawn, key=lambda one: one[0])]


def _calls(folder: Path, documents: Sequence[Document]) -> list[int]:
    """How many calls each document kept, all its passages together."""
    found = dict.fromkeys((one.id for one in documents), 0)
    for text in AnnotatedFolder(folder).kept():
        found[text.id if text.id in found else text.id.rpartition("#")[0]] += len(text.calls)
    return [*found.values()]


def _unsettled(folder: Path) -> tuple[str, ...]:
    """The tools whose thresholds a run looked for and did not find."""
    noted = read_json(folder / "config.json").get(THRESHOLDS)
    found = Calibration.read(noted).thresholds if noted is not None else {}
    return tuple(tool for tool, one in found.items() if not one.found)


def _between(calls: Sequence[int]) -> tuple[float, float]:
    """Limits for the calls of as many other documents: Byar's for a Poisson number, wider where calls stand in few."""
    total = sum(calls)
    mean = total / len(calls)
    spread = max(1.0, variance(calls) / mean) if mean and len(calls) > 1 else 1.0
    events = total / spread
    low = events * (1 - 1 / (9 * events) - Z / (3 * sqrt(events))) ** 3 if events else 0.0
    high = (events + 1) * (1 - 1 / (9 * (events + 1)) + Z / (3 * sqrt(events + 1))) ** 3
    return max(0.0, low) * spread, high * spread
