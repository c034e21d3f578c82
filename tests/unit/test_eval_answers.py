"""What counts as an answer, on lines as the publishers wrote them and on what models make of them."""

import time

import pytest

from toolformer.errors import ConfigError
from toolformer.eval.answers import RULES, judge, numbers


def right(rule: str, text: str, *answers: str, choices: tuple[str, ...] = ()) -> bool:
    return judge(rule, text, answers, choices).right


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        (" Paris, the capital", "Paris"),
        ("the city of Paris.", "Paris"),
        (" one two three four Paris", "Paris"),
        ("PARIS", "Paris"),
        (" France's", "France"),
        (" U.S. citizen", "US"),
        ("Real Madrid C.F. in Spain", "Real Madrid CF"),
        (" 14th of May", "14th"),
        ("an eagle", "the eagle"),
        ("Notre-Dame", "Notre Dame"),
        ("München", "Mu\u0308nchen"),
        (" The The", "The The"),
        ("it is C++ mostly", "C++"),
        (" A.", "A"),
        ("lack of vitamin A", "Vitamin A"),
        ("King of the Hill", "the King of the Hill"),
        ("¿? is it", "¿?"),
        ("Answer:Paris", "Paris"),
        ("Answer…Paris", "Paris"),
        ("**Answer:**Paris", "Paris"),
        ("London,Paris", "Paris"),
        ('it is"Paris"', "Paris"),
        ("St.Louis", "St. Louis"),
        ("It is so.Paris", "Paris"),
        ("Simon&Garfunkel", "Simon & Garfunkel"),
        ("U.S.A. citizen", "USA"),
        ("a Ph.D. in physics", "PhD"),
        ("J.R.R.Tolkien", "J.R.R. Tolkien"),
        ("O’Brien", "O'Brien"),
        ("1,234 people", "1234"),
        ("4.2 million", "4.2"),
        ("1,2,3", "2"),
    ],
)
def test_lama_finds_the_answer_in_the_first_five_words(text: str, answer: str) -> None:
    assert right("lama", text, answer)


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        (" one two three four five Paris", "Paris"),
        (" Parisian", "Paris"),
        (" Comparison", "Paris"),
        (" New York", "New York City"),
        ("", "Paris"),
        ("Madrid Real", "Real Madrid"),
        ("something", ""),
        ("hepatitis B", "Hepatitis A"),
        ("vitamin deficiency", "Vitamin A"),
        ("it is a dog", "A"),
        ("a:b:c:d:e:Paris", "Paris"),  # its sixth word
        ("42", "4.2"),
        ("4.2", "42"),
    ],
)
def test_lama_does_not_find_it_elsewhere(text: str, answer: str) -> None:
    assert not right("lama", text, answer)


def test_qa_reads_twenty_words_and_knows_aliases() -> None:
    words = " ".join(f"w{i}" for i in range(19))
    assert right("qa", f"{words} Chicago and more", "Chi-Town", "Chicago")
    assert not right("qa", f"{words} x Chicago", "Chicago")
    assert right("qa", "It was a gentleman's sport.", "Boxing", "Gentleman's sport")


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        (" 9 apples.", "9 (apples)"),
        (" 9.", "9 (apples)"),
        (" nine: 9", "9 (apples)"),
        ("7 + 2 = 9 apples", "9 (apples)"),
        (" $1,234.50 in all", "1234.5"),
        (" 1,234", "1234.0"),
        ("-5", "-5.0"),
        ("−5", "-5"),
        (".5", "0.5"),
        (" 12%", "12"),
        (" 1/2", "0.5"),
        (" 1.83 inches", "1.8333333333333333"),
        ("0.67", "2/3 (cup)"),
        ("1.5", "1 1/2 (cup)"),
        ("1 1/2 cups", "1 1/2 (cup)"),
        (" 1.5 cups", "1 1/2 (cup)"),
        ("–5", "-5"),
        ("5kg", "5 (kg)"),
        ("30 degrees.", "30"),
        ("x = ... which is 8", "8"),
        ("-(1/3)", "-(1/3)"),
        ("-1/3", "-(1/3)"),
        ("-0.33", "-(1/3)"),
        ("(4)", "(4)"),
        ("1/3", "0.333333"),
        ("0.33", "0.333333"),
        ("1/3", "1/3"),
        ("0.33", "1/3"),
        ("1 5/6 inches", "1.8333333333333335"),
        ("1.8333333333333333", "1.8333333333333335"),  # a float's last decimals are noise
        ("0.63", "0.625"),
        ("1.00", "0.999"),
        ("-0.63", "-0.625"),
        ("0.13", "1/8"),
        ("\n- 5 apples", "5"),
        ("Answer - 5", "5"),
        ("– 5", "5"),
        ("Answer: -5", "-5"),
        ("-$5", "-5"),
        ("Rs.9", "9"),
        ("Rs.9.50", "9.5"),
        ("Rs 9", "9"),
        ("rs9", "9"),
        ("...9", "9"),
        ("...-9", "-9"),
        ("USD9", "9"),
        ("US$9", "9"),
        ("It is so.9 are left", "9"),
    ],
)
def test_math_takes_the_first_number_or_the_first_behind_the_equals_sign(text: str, answer: str) -> None:
    assert right("number", text, answer)


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        (" 7 or 9", "9 (apples)"),
        ("9", "-9"),
        ("1.8", "1.8333333333333333"),
        ("2", "1.8333333333333333"),
        ("1.830", "1.8333333333333333"),
        (" 90", "9 (apples)"),
        ("no idea", "9 (apples)"),
        ("", "0"),
        ("= 5 (or 9)", "9"),
        ("1 and 200", "1200"),
        ("1 1/2 cups", "1"),
        ("10/2/2020", "5"),  # a date
        ("1/3", "-(1/3)"),
        ("0.33", "-(1/3)"),
        ("-0.33", "1/3"),
        ("1/3", "0.34"),
        ("1/3", "0.3"),
        ("0.62", "0.625"),
        ("0.12", "1/8"),
        ("-5", "5"),
        ("- 5", "-5"),
        ("CO2", "2"),
        ("v1.5", "5"),
        ("version 1.2.9", "9"),
        ("AUSD9", "9"),
    ],
)
def test_math_takes_no_other(text: str, answer: str) -> None:
    assert not right("number", text, answer)


@pytest.mark.parametrize(
    ("text", "answer", "expected"),
    [
        # lines of ASDiv
        ("They are 11, 12 and 13.", "11; 12; 13", True),
        ("13, 12, 11", "11; 12; 13", True),
        ("11", "11; 12; 13", False),
        ("22 and 20 years old", "20 (years old); 22 (years old)", True),
        ("The ratio is 3:4.", "3:4", True),
        ("at 3:45 pm", "3:45", True),
        ("3 to 4", "3:4", True),
        ("3:46", "3:45", False),
        ("The ratio is 4:3.", "3:4", False),
        ("45:3", "3:45", False),
        ("4 (ft) and 2 (ft)", "2 (ft); 4 (ft)", True),
        ("2 and 2", "2 (ft); 4 (ft)", False),
        ("4:10 and 3:45", "3:45; 4:10", True),
        ("3:10 and 4:45", "3:45; 4:10", False),
        ("3:45 and 10:4", "3:45; 4:10", False),
        ("3 : 4", "3 (boys):4 (girls)", True),
        ("1/3 and 0.5", "0.5; 0.333333", True),
        ("3", "3:45", False),
        ("The 6th of May", "6th", True),
        ("6", "6th", True),
        ("Mrs. Hilt has more.", "Mrs. Hilt", True),
        ("No, he has not.", "No", True),
        ("Richard's recipe", "Richard's recipe", True),
        ("Alexander", "Alex", False),
    ],
)
def test_odd_answers_of_asdiv(text: str, answer: str, expected: bool) -> None:
    assert right("number", text, answer) is expected


def test_of_several_answers_to_a_calculation_any_number_is_right_and_words_do_not_count() -> None:
    assert right("number", "9", "8", "9")
    assert not right("number", "7", "8", "9")
    # "nine" has no digit: it neither makes every number right nor lets the 9 stand anywhere.
    assert right("number", "9 apples", "9", "nine")
    assert not right("number", "7 or 9", "9", "nine")


@pytest.mark.parametrize(
    ("text", "answer", "expected"),
    [
        (" We have two. So the answer is (B).\n\nQ:", "(B)", True),
        ("the answer is B", "(B)", True),
        (" (B)", "(B)", True),
        (" (A) or (B)", "(B)", False),
        ("So the answer is ] } ].", "] } ]", True),
        ("So the answer is True.", "True", True),
        (" valid\nQ: more", "valid", True),
        ("invalid", "valid", False),
        ("The answer is 24. Then the answer is 25.", "25", False),
        ("the answer is \n(B)", "(B)", False),
        ("", "", False),
    ],
)
def test_bbh_is_exact_about_what_follows_the_answer_is(text: str, answer: str, expected: bool) -> None:
    assert right("exact", text, answer) is expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (" C", "C"),
        ("C.", "C"),
        ("(C) ozone", "C"),
        ("The answer is (C).", "C"),
        ("ozone", "C"),
        ("Argon is", ""),
        ("A noble gas: ozone", "A"),
        ("A's", ""),
        ("E", ""),
        ("", ""),
    ],
)
def test_letters(text: str, expected: str) -> None:
    assert judge("letter", text, ["C"], ["argon", "neon", "ozone", "radon"]).answer == expected


@pytest.mark.parametrize(
    ("text", "expected"), [("A large dog", "B"), (" A large dog.", "B"), ("A large cat", "A"), ("A", "A"), ("B", "B")]
)
def test_a_choice_that_begins_like_a_letter(text: str, expected: str) -> None:
    assert judge("letter", text, ["B"], ["a cat", "A large dog", "A", "no dog"]).answer == expected


@pytest.mark.parametrize(
    ("text", "choices", "expected"),
    [
        ("4.2", ("42", "4.2"), "B"),
        (" 42.", ("4.2", "42"), "B"),
        ("-5", ("5", "-5"), "B"),
        ("5", ("-5", "5"), "B"),
        ("−5", ("5", "-5"), "B"),
        ("-5 Apples", ("5 apples", "-5 apples"), "B"),
        ("-5", ("5", "6"), ""),
        (".5", ("5", "0.5"), "B"),
        ("-x", ("x", "-x"), "B"),
        ("(0, 1)", ("[0, 1]", "(0, 1)"), "B"),
        ("aa", ("AA", "aa"), "B"),
        ("ab", ("AB", "Ab"), ""),  # either
        ("yes", ("Yes", "Yes"), "A"),
        ("Notre Dame", ("Paris", "Notre-Dame."), "B"),
    ],
)
def test_choices_that_differ_by_a_sign_are_told_apart(text: str, choices: tuple[str, ...], expected: str) -> None:
    assert judge("letter", text, ["B"], choices).answer == expected


def test_equal_answers_are_equal_for_a_vote() -> None:
    assert judge("number", "It is 9.0 apples", ["9"]).answer == judge("number", "9", ["9"]).answer
    assert judge("lama", "the Paris!", ["x"]).answer == judge("lama", "paris", ["x"]).answer


def test_an_unknown_rule_is_named_with_what_is_near() -> None:
    with pytest.raises(ConfigError, match="did you mean number"):
        judge("numbr", "9", ["9"])


HOSTILE = [
    '__import__("os").system("touch /tmp/hacked")',
    "9**9**9",
    "1" * 1_000_000,
    "(" * 10_000,
    "-" * 10_000 + "1",
    "1e400 nan inf 1/0 0/0",
    "\0\ud800 ١٢٣ 1234",
    "=" * 10_000,
    "the answer is " * 10_000,
    "1," * 100_000,
    "{{7*7}} {% raw %}",
]


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_is_an_answer_like_any_other(rule: str, text: str) -> None:
    began = time.process_time()
    judge(rule, text, ["1"], ["1", "2"])
    assert time.process_time() - began < 2


def test_a_number_that_nobody_can_mean_is_none() -> None:
    assert numbers("1" * 60) == []
    assert numbers("1/0") == []


def test_numbers_behind_commas_and_signs_are_numbers() -> None:
    assert [float(n.value) for n in numbers("1,2,3 and 5-3, CO2, (-4), 1.5.2")] == [1, 2, 3, 5, 3, -4, 1.5]
    assert [float(n.value) for n in numbers("9 - 5, 1...4, .5 (.5) $.5 -.5, v2.0.1")] == [
        9,
        5,
        1,
        4,
        0.5,
        0.5,
        0.5,
        -0.5,
    ]
    assert [float(n.value) for n in numbers("$ 5, -$ 5, -(2), 5-(2), U.S.7, a/7")] == [5, -5, -2, 5, 2, 7]


def test_many_equal_numbers_are_compared_in_no_time() -> None:
    began = time.process_time()
    assert not right("number", " ".join(["7"] * 29), "; ".join(["7"] * 30))
    assert right("number", " ".join(map(str, range(30))), "; ".join(map(str, reversed(range(30)))))
    assert time.process_time() - began < 2


def test_a_letter_and_an_exact_answer_are_right_if_one_of_the_answers_is_said() -> None:
    assert right("letter", "C", "C", choices=("argon", "neon", "ozone"))
    assert not right("letter", "A", "C", choices=("argon", "neon", "ozone"))
    assert right("exact", "True", "False", "True")
    assert not right("exact", "maybe", "False", "True")
