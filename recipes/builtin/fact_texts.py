"""Facts as texts: true ones from knowledge.jsonl, and made-up ones in the same wordings.

    The capital of Fiji is Suva.        QA(What is the capital of Fiji?) -> Suva
                                        WikiSearch(Fiji) -> Officials of Fiji work in its capital city, Suva.

Made-up facts keep the model from trusting its memory more than a note: it must copy what it cannot know.
"""

import random
from collections.abc import Sequence
from functools import cache

from recipes.builtin.words import ShortText, disguised
from toolformer.builtin import knowledge
from toolformer.builtin.corpus import Split, TrueCall
from toolformer.builtin.knowledge import Fact


@cache
def facts(split: Split) -> Sequence[Fact]:
    """The true facts of one half."""
    return tuple(fact for fact in knowledge.load() if fact.split == split)


@cache
def _answers(relation: str) -> Sequence[str]:
    return tuple(fact.answer for fact in facts("train") if fact.relation == relation)


def fact_text(rng: random.Random, split: Split, made_up: float = 0.0) -> ShortText:
    """A sentence with a fact and the calls that give it; with this probability one that is not true."""
    fact = rng.choice(facts(split))
    if rng.random() < made_up:
        fact = invented_fact(rng, fact)
    return told(fact, *rng.sample(range(len(fact.sentences)), 2))


def told(fact: Fact, telling: int, snippet: int) -> ShortText:
    """The fact in one of its tellings; what a search finds is another telling of it."""
    text = fact.sentences[telling]
    start = text.rindex(fact.answer)
    asked = TrueCall("QA", fact.question, fact.answer, start, fact.questions)
    searched = TrueCall("WikiSearch", fact.subject, fact.sentences[snippet], start, answer=fact.answer)
    return ShortText(text, (asked, searched))


def invented_fact(rng: random.Random, fact: Fact) -> Fact:
    """A fact that is not true: another answer of the same relation, or names that nobody has."""
    subject = fact.subject if rng.random() < 0.4 else disguised(fact.subject, rng)
    answer = rng.choice(_answers(fact.relation)) if rng.random() < 0.4 else disguised(fact.answer, rng)
    order = list(range(len(fact.sentences)))
    tellings = [_swap(text, fact, subject, answer) for text in fact.sentences]
    if any(answer not in text or subject not in text for text in tellings):
        return fact
    questions = tuple(question.replace(fact.subject, subject) for question in fact.questions)
    return Fact(
        f"{fact.relation}/{subject}", fact.relation, subject, answer, questions[0], questions,
        tuple(tellings[i] for i in order), fact.split,
    )  # fmt: skip


def _swap(text: str, fact: Fact, subject: str, answer: str) -> str:
    start = text.rindex(fact.answer)
    return text[:start].replace(fact.subject, subject) + answer + text[start + len(fact.answer) :]
