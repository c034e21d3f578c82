"""Searching, reading and searching again, with a model whose every word is scripted."""

from collections.abc import Mapping

import pytest

from recipes.researched import told
from tests.fakes import ScriptedLM
from toolformer import CallSyntax, Toolformer, Traits
from toolformer.errors import ConfigError, ToolError, ToolNothing
from toolformer.eval.examples import Example
from toolformer.research import Note, Research

OPEN, ARROW, CLOSE = CallSyntax.TOKENS.control_tokens
PAGES = {"Dune": "Dune: A novel by Frank Herbert.", "Frank Herbert": "Frank Herbert: Born in Tacoma.", "sea": "wet"}


class Search:
    """Pages by their titles, and what was asked for."""

    name = "WikiSearch"
    description = "It searches."
    traits = Traits(in_process=True)

    def __init__(self) -> None:
        self.asked: list[str] = []

    def __call__(self, text: str, /) -> str:
        self.asked.append(text)
        if text not in PAGES:
            raise ToolNothing(f"nothing found for {text!r}")
        return PAGES[text]


def follows(*queries: str, answer: str = "Tacoma") -> "ScriptedLM":
    """A model that writes these queries, one for each number of notes, and then the answer."""

    def following(said: str) -> Mapping[str, float]:
        read = sum(page in said for page in PAGES.values())
        _, call, written = said.rpartition(f"{OPEN} WikiSearch(")
        if call:
            rest = f"{queries[min(read, len(queries) - 1)]}) "[len(written) :]
            return {rest[0] if rest else ARROW: 1.0}
        _, asked, written = said.rpartition("Answer:")
        rest = f" {answer}\n"[len(written) :]
        return {rest[0]: 0.9} if asked and rest else {"z": 0.5}

    return ScriptedLM(follows=following)


def ask(model: ScriptedLM, rounds: int = 4, tokens: int = 8_000) -> tuple[Research, Search]:
    search = Search()
    with Toolformer(model, [search]) as tf:
        return tf.research("Where was the author of\n Dune born?", rounds, tokens=tokens), search


def test_a_search_reads_what_the_one_before_it_found() -> None:
    found, search = ask(follows("Dune", "Frank Herbert", "sea"), rounds=2)
    assert search.asked == ["Dune", "Frank Herbert"]
    assert found.notes == (Note("Dune", PAGES["Dune"]), Note("Frank Herbert", PAGES["Frank Herbert"]))
    assert (found.answer, found.sources, found.end) == ("Tacoma", ("Dune", "Frank Herbert"), "rounds")
    assert str(found).splitlines() == [
        "Where was the author of Dune born?",
        "1. searched for: Dune",
        "   found: Dune: A novel by Frank Herbert.",
        "2. searched for: Frank Herbert",
        "   found: Frank Herbert: Born in Tacoma.",
        "Tacoma [Dune, Frank Herbert]",
    ]


def test_it_ends_where_nothing_new_is_found() -> None:
    found, search = ask(follows("Dune"))
    # The samples are the same query, which runs once.
    assert search.asked == ["Dune"] * 2
    assert (len(found.notes), found.end, found.answer) == (1, "nothing new", "Tacoma")
    found, search = ask(follows("nonsense"))
    assert (found.notes, found.end, found.answer) == ((), "nothing found", "Tacoma")
    assert str(found).endswith("\nTacoma")


def test_no_more_tokens_are_read_and_written_than_were_allowed() -> None:
    whole, _ = ask(follows("Dune", "Frank Herbert", "sea"), rounds=3)
    assert whole.end == "rounds"
    for most in (1_200, 2_000, 4_000):
        found, _ = ask(follows("Dune", "Frank Herbert", "sea"), rounds=3, tokens=most)
        assert found.tokens <= most
        assert found.end == ("tokens" if len(found.notes) < 3 else "rounds")
    model = follows("Dune", "Frank Herbert")
    model.context = 300
    found, _ = ask(model)
    assert found.end == "tokens"


def test_what_cannot_be_asked_is_refused() -> None:
    with Toolformer(follows("Dune"), [Search()]) as tf:
        with pytest.raises(ConfigError, match="the question is empty"):
            tf.research(" \n")
        with pytest.raises(ConfigError, match="tokens=40: the question and its answer alone may take"):
            tf.research("What?", tokens=40)
        with pytest.raises(ToolError, match="no tool"):
            tf.research("What?", tool="Nothing")


def test_the_recipe_counts_right_answers_and_those_that_were_read() -> None:
    asked = [Example(f"{n}", "?", ("Tacoma",), rule="qa") for n in range(4)]
    note = Note("Frank Herbert", PAGES["Frank Herbert"])
    answers = [("Tacoma", (note,)), ("Seattle", (note, note)), ("in Tacoma", ()), ("Rome", ())]
    found = [Research("?", notes, answer, "rounds", 50) for answer, notes in answers]
    first, second = told(2, asked, found)
    assert first.startswith("up to 2 searches: 50.0% (")
    assert "; the answer was read in 50.0% (" in first
    assert second == "  0.8 results and 50 tokens a question"


def test_where_the_likeliest_query_finds_nothing_new_a_sample_stands_in_for_it() -> None:
    """Half of the queries go on with what was found; the likelier half ask for it once more."""

    def following(said: str) -> Mapping[str, float]:
        _, call, written = said.rpartition(f"{OPEN} WikiSearch(")
        if not call:
            return {"\n": 1.0}
        if not written:
            return {"D": 1.0} if PAGES["Dune"] not in said else {"D": 0.55, "F": 0.45}
        rest = f"{'Dune' if written[0] == 'D' else 'Frank Herbert'}) "[len(written) :]
        return {rest[0] if rest else ARROW: 1.0}

    found, _ = ask(ScriptedLM(follows=following), rounds=2)
    assert [note.query for note in found.notes] == ["Dune", "Frank Herbert"]
