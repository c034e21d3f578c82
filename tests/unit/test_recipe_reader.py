"""The recipe of the reader: what its templates find, what is drawn, and what the rule beside it says."""

import random

from recipes.reader.pairs import asked, facts, unanswered
from recipes.reader.score import rule
from recipes.reader.templates import NEW, TEMPLATES
from toolformer.tools.passages import Passage

ANN = Passage("Ann Lee (poet)", "Ann Lee (May 4, 1901 - June 3, 1970) was an American poet. She lived in Rome.")
FILM = Passage("Blue", "Blue is a 1990 film directed by Max Roe, starring Eva Poe and Tom Fox.")


def found(page: Passage) -> dict[str, str]:
    matches = ((one.name, one.pattern.search(page.text)) for one in (*TEMPLATES, *NEW))
    return {name: match["a"] for name, match in matches if match}


def test_templates_find_answers_in_first_sentences() -> None:
    assert found(ANN) == {
        "birth year": "1901",
        "birth date": "May 4, 1901",
        "death year": "1970",
        "work": "poet",
        "nationality": "American",
    }
    assert found(FILM) == {"director": "Max Roe", "player": "Eva Poe"}


def test_a_pair_asks_what_its_passage_says() -> None:
    (pair,) = asked(random.Random(1), [FILM], TEMPLATES, 5)
    passage, _, question = pair["input"].rpartition("\nQuestion: ")
    assert passage == f"Blue: {FILM.text}"
    assert question in ("Who directed Blue?", "Who was the director of Blue?")
    assert pair["output"] == "Max Roe"


def test_titles_are_said_without_what_tells_them_apart() -> None:
    (pair,) = asked(random.Random(1), [ANN], TEMPLATES, 5)
    assert "Ann Lee (poet): " in pair["input"]
    assert "(poet)" not in pair["input"].rpartition("Question: ")[2]


def test_what_is_not_answered_is_asked_of_the_page_or_of_another() -> None:
    pages = [FILM, ANN, Passage("Red", "Red is a 1999 film directed by Jim Low.")]
    pairs = unanswered(random.Random(2), pages, 9)
    assert pairs
    assert {pair["output"] for pair in pairs} == {"unknown"}
    assert not any("directed" in pair["input"].rpartition("Question: ")[2] for pair in pairs[:1])


def test_the_same_seed_draws_the_same_facts() -> None:
    assert [*facts(random.Random(3), 4)] == [*facts(random.Random(3), 4)]


def test_the_rule_takes_what_is_asked_for_from_the_nearest_sentence() -> None:
    assert rule(f"Ann Lee: {ANN.text}\nQuestion: In what year did Ann Lee die?") == "1970"
    assert rule(f"Ann Lee: {ANN.text}\nQuestion: When was Ann Lee born?") == "May 4, 1901"
    assert rule("Red: It is a small town.\nQuestion: What is the population of Red?") == "unknown"
    assert rule(f"Blue: {FILM.text}\nQuestion: Who directed Blue?") == "Max Roe"
