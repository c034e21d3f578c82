"""The facts of the built-in model: enough of them, well formed, and the held-out half never told in training."""

import re
from collections import Counter
from itertools import groupby

import pytest

from recipes.builtin import PACKAGE, knowledge
from recipes.builtin.knowledge import tells
from toolformer.builtin.knowledge import FILE, Fact, load

FACTS = load()


def words(text: str) -> str:
    """Lower-case words with one space around each, so that `in` finds whole words only."""
    return " " + " ".join(re.findall(r"[\w+'&.-]*\w\+*", text.lower())) + " "


def test_enough_facts_of_enough_kinds() -> None:
    relations = Counter(fact.relation for fact in FACTS)
    assert len(FACTS) >= 1_500
    assert len(relations) >= 25
    assert max(relations.values()) <= 200


def test_ids_are_unique() -> None:
    assert max(Counter(fact.id for fact in FACTS).values()) == 1


def test_half_is_held_out_within_each_relation() -> None:
    held = sum(fact.split == "held" for fact in FACTS)
    assert abs(held / len(FACTS) - 0.5) <= 0.02
    for _, group in groupby(FACTS, key=lambda fact: fact.relation):
        sides = Counter(fact.split for fact in group)
        assert 0 <= sides["train"] - sides["held"] <= 1


def test_a_new_row_moves_at_most_one_other_fact_to_the_other_half() -> None:
    subjects = [f"subject {i}" for i in range(21)]
    for new in subjects:
        others = [subject for subject in subjects if subject != new]
        before = knowledge.held_half("relation", others)
        after = knowledge.held_half("relation", subjects) - {new}
        assert len(before ^ after) <= 1


def test_the_file_is_made_again_byte_for_byte() -> None:
    assert knowledge.to_jsonl(knowledge.build()).encode() == (PACKAGE / FILE).read_bytes()
    assert knowledge.build() == FACTS


@pytest.mark.parametrize(
    ("sentence", "told"),
    [
        ("The capital of France is Paris.", True),
        ("Paris is the capital of France.", False),  # the answer comes before the subject
        ("The capital of France, Paris, is Paris.", False),  # the answer comes twice
        ("The capital of France is Lyon.", False),
        ("The capital is Paris.", False),
    ],
)
def test_a_telling_leads_from_the_subject_to_the_answer(sentence: str, told: bool) -> None:
    assert tells(sentence, "France", "Paris") is told


def test_every_fact_is_told_in_three_whole_sentences() -> None:
    for fact in FACTS:
        assert len(set(fact.sentences)) == 3, fact
        for sentence in fact.sentences:
            assert tells(sentence, fact.subject, fact.answer), sentence
            assert sentence[0].isupper(), sentence
            assert sentence.endswith(fact.answer.rstrip(".") + "."), sentence
            assert "  " not in sentence, sentence
            assert ".." not in sentence, sentence
            assert "{" not in sentence, sentence


def test_answers_are_short() -> None:
    for fact in FACTS:
        assert fact.answer.isascii(), fact
        assert fact.answer == fact.answer.strip()
        assert fact.subject == fact.subject.strip()
        assert 1 <= len(fact.answer.split()) <= 4, fact


def test_questions_name_the_subject_and_not_the_answer() -> None:
    for fact in FACTS:
        assert fact.question in fact.questions
        assert len(fact.questions) == len(set(fact.questions)) >= 2
        for question in fact.questions:
            assert question.endswith("?")
            assert question[0].isupper()
            assert fact.subject in question
            assert words(fact.answer) not in words(question), question


def test_a_question_has_one_answer() -> None:
    answers: dict[str, Fact] = {}
    for fact in FACTS:
        for question in fact.questions:
            assert answers.setdefault(question, fact) is fact, question


def test_no_training_sentence_tells_a_held_fact() -> None:
    held = [(words(fact.subject), words(fact.answer), fact.id) for fact in FACTS if fact.split == "held"]
    told = [words(sentence) for fact in FACTS if fact.split == "train" for sentence in fact.sentences]
    leaks = [(id_, text) for subject, answer, id_ in held for text in told if answer in text and subject in text]
    assert leaks == []
