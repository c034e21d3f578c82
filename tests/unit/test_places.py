"""At which places a result could stand, place by place; and who asks."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from tests.fakes import ScriptedLM
from tests.unit.test_annotator import PAPER, TextLM
from toolformer.data_gen.lessons import Lesson
from toolformer.data_gen.lessons.places import PLACES, word_start
from toolformer.data_gen.method import PAPER as AS_PAPER
from toolformer.data_gen.method import Method
from toolformer.data_gen.records import Document, EncodedText, Rejected
from toolformer.data_gen.samplers.propose import is_place, propose


def allowed(rule: str, text: str) -> list[str]:
    """The words before which the rule says yes, at the space in front of them; and what lies inside of them."""
    places = [at for at in range(len(text)) if PLACES[rule](text, at)]
    spaces = [at for at in places if text[at].isspace() or at == 0]
    # Behind its space a word may have a call as well; inside of a word none may.
    assert set(places) - set(spaces) <= {at for at in range(1, len(text)) if text[at - 1].isspace()}
    return [text[at:].split()[0] for at in spaces]


TEXT = "On May 6 the 400 of Lima (or 29%) paid $5, -3 .5 x4 Friday's the Élan"


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ("number", ["6", "400", "29%)", "$5,", "-3", ".5"]),
        ("date", ["May", "6", "400", "29%)", "$5,", "-3", "Friday's"]),
        ("name", ["On", "May", "6", "400", "Lima", "29%)", "$5,", "-3", "Friday's", "Élan"]),
        ("word", ["May", "6", "400", "Lima", "29%)", "paid", "$5,", "-3", "x4", "Friday's", "Élan"]),
    ],
)
def test_a_rule_looks_at_the_word_behind_the_place(rule: str, words: list[str]) -> None:
    # The bracket of "(or" is no number, but what the place before "29%)" has behind it is.
    if rule == "word":
        words = [word for word in words if word != "May"]  # which is a function word as well
    assert allowed(rule, TEXT) == words


def test_anywhere_is_everywhere() -> None:
    assert all(PLACES["any"]("a1", at) for at in range(3))


@pytest.mark.parametrize(
    ("text", "at", "start"),
    [
        ("400", 0, 0),  # a text's start is a place
        (" 400", 0, 1),
        ("a 400", 1, 2),  # before the space
        ("a 400", 2, 2),  # behind it
        ("a 400", 3, None),  # inside of the number
        ("a 400", 0, 0),
        ("ab 400", 1, None),
        ("a $400", 1, 3),
        ("a ($400", 1, 4),
        ("a “400", 1, 3),
        ('a ("$400', 1, 4),  # two marks at most
        ("a -400", 1, 3),
        ("a\n\n400", 1, 3),
        ("a(400", 1, None),  # no space: inside of a word
        ("a$400", 2, None),
        ("a ", 1, 2),
        ("a", 1, None),
        ("", 0, 0),
    ],
)
def test_where_the_word_behind_a_place_begins(text: str, at: int, start: int | None) -> None:
    assert word_start(text, at) == start


def test_a_month_is_a_whole_word() -> None:
    assert PLACES["date"]("in Mayor", 2) is False
    assert PLACES["date"]("in May or", 2) is True


def test_a_long_run_of_spaces_or_brackets_is_looked_at_once() -> None:
    text = "a" + " " * 100_000 + "(" * 100_000
    assert [PLACES[rule](text, 1) for rule in ("number", "date", "name", "word")] == [False] * 4


def test_a_rule_of_ones_own() -> None:
    lesson = replace(PAPER, where=lambda text, at: text[at:].startswith(" passed"))
    assert [at for at in range(9) if lesson.could_stand("a passed", at)] == [1]


def test_a_space_that_is_a_token_stays_with_its_word() -> None:
    lesson = replace(PAPER, where="number")
    text = "in 40 of"  # i n | | 4 0 | | of: spaces by themselves, as some tokenizers cut numbers
    starts = [0, 2, 3, 4, 5, 6]

    def places(*, everywhere: bool) -> list[int]:
        return [starts[i] for i in range(len(starts)) if is_place(lesson, text, starts, i, everywhere=everywhere)]

    assert places(everywhere=False) == [2]  # before " 4", not between the space and the 4
    assert places(everywhere=True) == starts
    assert is_place(lesson, "4 0", [0, 1, 2], 0, everywhere=False)
    # No rule of the lesson lets a call stand between a space and its word, also not "any".
    assert [i for i in range(6) if is_place(PAPER, text, starts, i, everywhere=False)] == [0, 1, 3, 4]


def test_inside_of_a_character_is_never_a_place() -> None:
    assert [is_place(PAPER, "é!", [0, 0, 1], i, everywhere=True) for i in range(3)] == [True, False, True]


def proposed(model: ScriptedLM, lesson: Lesson, text: str, method: Method) -> tuple[list[int], list[Rejected]]:
    rejected: list[Rejected] = []
    encoded = model.encode(text)
    (plain,) = model.log_probabilities([encoded.ids])
    texts: Sequence[EncodedText] = [EncodedText(Document("d", text), encoded, tuple(plain))]
    (proposal,) = propose(model, [lesson], texts, method, rejected)
    return [place.start for _, _, place in proposal.places], rejected


def test_the_rule_is_asked_before_the_cut_to_the_likeliest() -> None:
    """The two likeliest places are before words; of the others, those before numbers move up."""
    text = "an ox or 7 hens ate 12 figs"
    likely = {" ox": 0.9, " or": 0.8, " 7": 0.7, " hens": 0.6, " 12": 0.5}
    model = TextLM(
        opens=lambda prompt, live, i: next((p for word, p in likely.items() if live[i:].startswith(word)), 0.01)
    )
    lesson = replace(PAPER, where="number", positions=2)
    assert proposed(model, lesson, text, Method()) == ([text.index(" 7"), text.index(" 12")], [])
    assert proposed(model, lesson, text, AS_PAPER)[0] == [text.index(" ox"), text.index(" or")]


def test_a_place_that_the_rule_refuses_is_not_even_rejected() -> None:
    model = TextLM(opens=lambda prompt, live, i: 0.9, loss=lambda prefix, text, position: 0.1)
    places, rejected = proposed(model, replace(PAPER, where="number"), "an ox or 7", Method())
    assert (places, [one.place.start for one in rejected]) == ([], [8])


def test_a_finetuned_model_reads_a_text_once_for_all_lessons() -> None:
    """It has no prompt, so that every lesson asks the same pass. Other models read a text behind each prompt."""
    lessons = [replace(PAPER, tool=tool, where=where) for tool, where in (("A", "number"), ("B", "name"))]
    text = "an ox or 7 Hens"

    def asked(model: ScriptedLM) -> tuple[list[tuple[str, list[int], str]], int]:
        texts = [EncodedText(Document("d", text), model.encode(text), (-9.0,) * len(text))]
        proposals = propose(model, lessons, texts, Method(), [])
        found = [
            (one.lesson.tool, sorted(p.start for _, _, p in one.places), model.decode(one.given)) for one in proposals
        ]
        return found, model.counter.tokens

    found, tokens = asked(ScriptedLM(opens=lambda prompt, live, i: 0.9))
    assert found == [("A", [8], " A("), ("B", [8, 10], " B(")]
    assert tokens == len(text)
    assert asked(TextLM())[1] > 2 * len(text)


def test_a_text_without_places_is_not_read() -> None:
    model = ScriptedLM()
    texts = [EncodedText(Document("d", "no place"), model.encode("no place"), (-9.0,) * 8)]
    assert list(propose(model, [replace(PAPER, where="number")], texts, Method(), [])) == []
    assert model.counter.tokens == 0
