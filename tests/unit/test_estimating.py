"""What a corpus will cost, from some of its documents: held against runs of the whole of it."""

import random
from pathlib import Path
from typing import Any

import pytest

from tests.unit.test_calibrate import LESSON, Adds, sums
from tests.unit.test_cli import status
from toolformer import ConfigError, DataError
from toolformer.data_gen import Document, annotate, estimate
from toolformer.data_gen.estimating import Estimate, _between
from toolformer.data_gen.method import PAPER as AS_PAPER
from toolformer.tools.calculator import Calculator

SETTINGS: dict[str, Any] = {"lessons": [LESSON], "method": AS_PAPER, "shard_size": 10}


def mixed(count: int) -> list[Document]:
    """Of three texts one has a sum, which gains enough in about half of them."""
    return [one if n % 3 else Document(one.id, "Nothing to add. " * 8) for n, one in enumerate(sums(count))]


def test_the_costs_of_the_whole_corpus_are_told_from_a_third(tmp_path: Path) -> None:
    corpus = mixed(300)
    said = estimate(corpus, [Calculator()], sample=100, model=Adds(), **SETTINGS)
    done = annotate(corpus, [Calculator()], tmp_path, model=Adds(), **SETTINGS)
    assert (said.documents, said.sampled) == (300, 100)
    assert said.tokens == pytest.approx(done.tokens, rel=0.02)
    assert said.forwarded == pytest.approx(done.forwarded, rel=0.15)
    written = sum(file.stat().st_size for file in tmp_path.glob("*/*.json*"))
    assert said.bytes == pytest.approx(written, rel=0.15)
    kept = done.funnel["Calculator"]["kept"]
    low, high = said.kept_between
    assert low < kept < high
    assert high - low < kept
    assert said.seconds > 0


def test_a_sample_that_is_all_of_the_corpus_is_no_guess(tmp_path: Path) -> None:
    said = estimate(mixed(40), [Calculator()], sample=50, model=Adds(), **SETTINGS)
    done = annotate(mixed(40), [Calculator()], tmp_path, model=Adds(), **SETTINGS)
    kept = done.funnel["Calculator"]["kept"]
    assert (said.documents, said.sampled, said.tokens, said.kept) == (40, 40, done.tokens, kept)
    assert said.kept_between == (kept, kept)


def test_a_corpus_of_one_document_is_known_too() -> None:
    said = estimate(sums(108)[-1:], [Calculator()], model=Adds(), **SETTINGS)
    assert (said.documents, said.kept, said.kept_between) == (1, 1, (1, 1))


def test_the_sample_is_drawn_from_everywhere_and_not_from_beyond_the_limit() -> None:
    early = [Document(f"e{n}", "x" * 50) for n in range(100)]
    late = [Document(f"l{n}", "x" * 150) for n in range(100)]
    whole = estimate(early + late, [Calculator()], sample=60, model=Adds(), **SETTINGS)
    assert whole.tokens == pytest.approx(20_000, rel=0.001)  # a token a character
    begun = estimate(early + late, [Calculator()], sample=60, limit=100, model=Adds(), **SETTINGS)
    assert (begun.documents, begun.tokens) == (100, 5000)


def test_calls_in_the_passages_of_a_document_are_counted(tmp_path: Path) -> None:
    long = [Document(f"d#{n}", " ".join(one.text for one in sums(12))) for n in range(4)]
    said = estimate(long, [Calculator()], sample=4, model=Adds(), passage_tokens=400, **SETTINGS)
    done = annotate(long, [Calculator()], tmp_path, model=Adds(), passage_tokens=400, **SETTINGS)
    assert said.kept == done.funnel["Calculator"]["kept"] > 0


@pytest.mark.parametrize(("rate", "most"), [(0.02, 1), (0.5, 1), (3.0, 1), (0.5, 10), (3.0, 10)])
def test_the_interval_holds_the_truth_in_about_95_of_100_samples(rate: float, most: int) -> None:
    """Where calls stand in few documents, `most` in each, it is wider."""
    chance = random.Random(0)

    def drawn() -> int:
        return sum(most for _ in range(20) if chance.random() < rate / 20 / most)

    held = 0
    for _ in range(300):
        low, high = _between([drawn() for _ in range(200)])
        held += low <= 200 * rate <= high
    assert held >= 0.9 * 300


def test_a_sample_with_too_few_calls_for_a_threshold_says_so() -> None:
    """60 are needed: 40 texts have one call each, and 80 have enough."""
    settings: dict[str, Any] = {"model": Adds(), "lessons": [LESSON], "shard_size": 10}
    few = estimate(sums(100), [Calculator()], sample=40, **settings)
    assert few.unsettled == ("Calculator",)
    assert few.told().splitlines()[-1].startswith("Too few calls of Calculator to find a threshold")
    assert estimate(sums(100), [Calculator()], sample=80, **settings).unsettled == ()
    assert estimate(sums(40), [Calculator()], sample=40, **settings).unsettled == ()  # nor will the run find any
    assert estimate(sums(100), [Calculator()], sample=40, **{**settings, "method": AS_PAPER}).unsettled == ()


def test_what_is_told() -> None:
    one = Estimate(12_960, 200, 1.2e6, 2.5e7, 6e15, 12_960, 1.2e8, 1020, (860.4, 1200))
    assert one.told().splitlines() == [
        "200 of 12,960 documents were annotated. The whole corpus takes about",
        "  tokens  1,200,000 of text, 25,000,000 forwarded",
        "  time    3 h 36 min here, by one worker",
        "  disk    0.120 GB",
        "  calls   1,020 kept, 860 to 1,200 with 95% confidence",
    ]
    assert one.told(4e13).splitlines()[3] == "          2 min 30 s at 4e+13 FLOP/s"


def test_what_cannot_be_estimated() -> None:
    with pytest.raises(ConfigError, match="from 1 documents: take 2 at least"):
        estimate(mixed(9), [Calculator()], sample=1, model=Adds(), **SETTINGS)
    with pytest.raises(ConfigError, match="limit=-1: it must be 1 at least"):
        estimate(mixed(9), [Calculator()], limit=-1, model=Adds(), **SETTINGS)
    with pytest.raises(DataError, match="the corpus holds no document"):
        estimate([], [Calculator()], model=Adds(), **SETTINGS)


def test_the_command_writes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    corpus, out = tmp_path / "corpus.txt", tmp_path / "out"
    corpus.write_text("Ann had 3 cups and bought 8 more, so now she has 11 cups.")
    given = ("annotate", str(corpus), "--tools", "calculator", "--out", str(out))
    assert status(*given, "--estimate", "9", "--flops", "4e14") == 0
    said = capsys.readouterr().out
    assert said.startswith("1 of 1 documents were annotated.")
    assert " at 4e+14 FLOP/s\n" in said
    assert not out.exists()
    assert status(*given, "--flops", "4e14") == 2
    assert "--flops is for --estimate" in capsys.readouterr().err
    assert status(*given, "--estimate", "9", "--flops", "0") == 2
    assert "more than 0 operations" in capsys.readouterr().err
