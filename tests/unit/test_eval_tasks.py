"""The tasks read what their publishers wrote, and ask as the paper asks."""

import datetime
import json
import os
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from toolformer import load
from toolformer.errors import ConfigError, DataError
from toolformer.eval.answers import LAMA_WORDS, QA_WORDS, judge
from toolformer.eval.evaluating import FOLDER
from toolformer.eval.examples import Splits
from toolformer.eval.overlap import bleu, rouge
from toolformer.eval.tasks import (
    bbh,
    dateset,
    lama,
    mmlu,
    more_problems,
    popqa,
    questions,
    temporal,
    texts,
    word_problems,
)
from toolformer.reach import HTTPError
from toolformer.toolbox import Toolbox
from toolformer.tools.dates import Dates

Docs = list[dict[str, Any]]


def written(folder: Path, name: str, content: object) -> str:
    """A file under the data folder; the folder's path."""
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, str):
        file.write_text(content, "utf-8")
    elif name.endswith(".jsonl"):
        assert isinstance(content, list)
        file.write_text("".join(json.dumps(row) + "\n" for row in content), "utf-8")
    else:
        file.write_text(json.dumps(content), "utf-8")
    return str(folder)


def docs(made: dict[str, Any]) -> Docs:
    return list(made["test"])


def test_lama_asks_only_where_the_mask_ends_the_statement(tmp_path: Path) -> None:
    rows = [
        {"masked_sentences": ["The theory of relativity was developed by [MASK]."], "obj_label": "Einstein", "id": "a"},
        {"masked_sentences": ["Von Miller plays in [MASK] position."], "obj_label": "linebacker", "id": "b"},
        {"masked_sentences": ["[MASK]."], "obj_label": "x", "id": "c"},
    ]
    (one,) = docs(lama.squad(written(tmp_path, "lama/Squad/test.jsonl", rows)))
    assert one["prompt"] == (
        "Please complete the following text so that it is factually correct: The theory of relativity was developed by"
    )
    assert (one["answers"], one["rule"], one["without"]) == (["Einstein"], "lama", ["WikiSearch"])


def test_google_re_may_hide_the_mask_in_the_second_sentence_and_knows_aliases(tmp_path: Path) -> None:
    row = {"masked_sentences": ["He retired.", "He died in [MASK] ."], "obj_label": "Florida", "obj_aliases": ["FL"]}
    (one,) = docs(lama.google_re(written(tmp_path, "lama/Google_RE/place_of_death_test.jsonl", [row | {"uuid": "u"}])))
    assert one["prompt"].endswith("correct: He retired. He died in")
    assert one["answers"] == ["Florida", "FL"]


def test_trex_asks_a_subject_once_with_all_its_objects(tmp_path: Path) -> None:
    relations = [
        {"relation": "P19", "template": "[X] was born in [Y] ."},
        {"relation": "P413", "template": "[X] plays in [Y] position ."},
    ]
    facts = [{"sub_uri": "Q1", "sub_label": "Ada", "obj_label": label} for label in ("London", "England", "London")]
    written(tmp_path, "lama/relations.jsonl", relations)
    written(tmp_path, "lama/TREx/P413.jsonl", facts)
    (one,) = docs(lama.trex(written(tmp_path, "lama/TREx/P19.jsonl", facts)))
    assert one["prompt"].endswith("correct: Ada was born in")
    assert one["answers"] == ["London", "England"]
    written(tmp_path, "lama/TREx/P1.jsonl", facts)
    with pytest.raises(DataError, match=r"P1\.jsonl is of a relation that relations\.jsonl does not know"):
        lama.trex(str(tmp_path))


def test_math_problems_end_in_the_papers_words(tmp_path: Path) -> None:
    xml = (
        "<?xml version='1.0'?><r><ProblemSet><Problem ID='n1'><Body>Two  plums.</Body><Question>How many?</Question>"
        "<Answer>2 (plums)</Answer></Problem></ProblemSet></r>"
    )
    (one,) = docs(word_problems.asdiv(written(tmp_path, "asdiv/ASDiv.xml", xml)))
    assert (one["prompt"], one["answers"]) == ("Two plums. How many? The answer is", ["2 (plums)"])
    svamp = [{"ID": "c", "Body": "If he had 3 cookies", "Question": "how many?", "Answer": 3.0}]
    (one,) = docs(word_problems.svamp(written(tmp_path, "svamp/SVAMP.json", svamp)))
    assert one["prompt"] == "If he had 3 cookies, how many? The answer is"
    mawps = [{"id": 1, "original_text": "Joan 's cat ( 2 years ) costs $ 3 . Why ?", "ans": 1.5}]
    (one,) = docs(word_problems.mawps(written(tmp_path, "mawps/testset.json", mawps)))
    assert (one["prompt"], one["answers"]) == ("Joan's cat (2 years) costs $3. Why? The answer is", ["1.5"])
    gsm8k = [{"question": "How many?", "answer": "<<1000+234=1234>>\n#### 1,234"}]
    (one,) = docs(word_problems.gsm8k(written(tmp_path, "gsm8k/test.jsonl", gsm8k)))
    assert one["answers"] == ["1234"]


def test_mawps_is_its_test_set_and_mawps_all_the_whole(tmp_path: Path) -> None:
    for number, name in enumerate(("trainset", "validset", "testset")):
        row = {"id": number, "original_text": f"Joan has {number} cats . Why ?", "ans": 1}
        written(tmp_path, f"mawps/{name}.json", [row])
    (one,) = docs(word_problems.mawps(str(tmp_path)))
    assert one["prompt"] == "Joan has 2 cats. Why? The answer is"
    assert str(word_problems.mawps(str(tmp_path)).size) == "1 of 238 published problems of the test set"
    made = word_problems.mawps_all(str(tmp_path))
    assert sorted(one["id"] for one in docs(made)) == ["0", "1", "2"]
    assert str(made.size) == "3 of 2,373 published problems"
    with pytest.raises(DataError, match="name their folder as data, or ask for mawps_all, which the hub has"):
        word_problems.mawps(None)
    (tmp_path / "empty" / "mawps").mkdir(parents=True)
    with pytest.raises(DataError, match="MAWPS: the data holds no example"):
        word_problems.mawps_all(str(tmp_path / "empty"))


def test_an_xml_bomb_is_not_read(tmp_path: Path) -> None:
    bomb = "<?xml version='1.0'?><!DOCTYPE r [<!ENTITY a 'aaaa'>]><r>&a;</r>"
    with pytest.raises(DataError, match="declares entities"):
        word_problems.asdiv(written(tmp_path, "asdiv/ASDiv.xml", bomb))


def test_questions_get_a_mark_and_triviaqa_is_read_as_data(tmp_path: Path) -> None:
    lines = (
        'Which sport?\t"[\'Boxing\', ""Gentleman\'s sport"", \'拳闘\']"\n'
        '"""Which soap asked """"Who shot JR?"""""""\t[\'Dallas\']\n'
    )
    first, second = docs(questions.triviaqa(written(tmp_path, "triviaqa/x.dev.txt", lines)))
    assert first["answers"] == ["Boxing", "Gentleman's sport", "拳闘"]
    assert second["prompt"] == 'Answer the following question: Which soap asked "Who shot JR?"?'
    nq = [{"question": "who sang it", "answer": ["A", "B"]}]
    (one,) = docs(questions.natural_questions(written(tmp_path, "nq_open/NQ-open.dev.jsonl", nq)))
    assert (one["prompt"], one["without"]) == ("Answer the following question: who sang it?", ["QA"])
    web = [{"qId": "w", "qText": "what?", "answers": ["Lawyer"]}]
    (one,) = docs(questions.webquestions(written(tmp_path, "webquestions/test.json", web)))
    assert one["rule"] == "qa"


@pytest.mark.parametrize("answers", ["__import__('os').system('touch x')", "[1, 2]", "(" * 5000, "['a'"])
def test_answers_that_are_no_list_of_strings_are_refused(tmp_path: Path, answers: str) -> None:
    with pytest.raises(DataError, match="row 1: the answers are no list of strings"):
        questions.triviaqa(written(tmp_path, "triviaqa/x.dev.txt", f"Why?\t{answers}\n"))


ROSSI: dict[str, Any] = {
    # A line of TempLAMA's test.json, in the fields and forms of its publisher.
    "query": "Valentino Rossi plays for _X_.",
    "answer": [{"wikidata_id": "Q1085474", "name": "Yamaha Motor Racing"}],
    "date": "2010",
    "id": "Q169814_P54_2010",
    "most_frequent_answer": {"wikidata_id": "Q1085474", "name": "Yamaha Motor Racing"},
    "most_recent_answer": {"wikidata_id": "Q1085474", "name": "Yamaha Motor Racing"},
    "relation": "P54",
}


def templama(folder: Path, *rows: dict[str, Any]) -> str:
    return written(folder, "templama/test.json", "".join(json.dumps(row) + "\n" for row in rows))


def test_templama_is_asked_in_its_year(tmp_path: Path) -> None:
    aliases = [{"wikidata_id": "Q1", "name": ["Fiat", "FIAT Yamaha"], "original_name": ["Fiat"]}]
    coach = ROSSI | {"query": "_X_ is the head coach of FC Barcelona.", "id": "Q7156_P286_2010", "relation": "P286"}
    data = templama(tmp_path, ROSSI, coach, ROSSI | {"answer": ROSSI["answer"] + aliases, "id": "b", "date": "2020"})
    made = temporal.templama(data)
    first, last = docs(made)
    assert first["prompt"] == lama.PROMPT + "Valentino Rossi plays for"
    assert (first["id"], first["group"], first["date"]) == ("Q169814_P54_2010", "P54", "2010-07-01")
    assert (last["date"], last["answers"]) == ("2020-07-01", ["Yamaha Motor Racing", "Fiat", "FIAT Yamaha"])
    assert judge("lama", " Yamaha Motor Racing.", first["answers"]).right
    assert str(made.size) == "3 of 34,963 published queries"
    assert made.size.left_out == {"its mask is not at its end": 1}


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        ({"date": "June 2010"}, "the date should be a year, such as 2010, not 'June 2010'"),
        ({"date": "20100"}, "the date should be a year"),
        ({"date": "٢٠١٠"}, "the date should be a year"),
        ({"date": "0000"}, "the date should be a year"),
        ({"answer": "Yamaha"}, "'answer' should be a list of objects with a name, not 'Yamaha'"),
        ({"answer": [{"wikidata_id": "Q1"}]}, "'answer' should be a list of objects with a name"),
        ({"query": "_X_ is the chair of it.", "date": None}, "the date should be a year"),
    ],
)
def test_a_damaged_line_of_templama_is_named(tmp_path: Path, damage: dict[str, Any], said: str) -> None:
    with pytest.raises(DataError, match=rf"templama/test\.json, line 2: {said}"):
        temporal.templama(templama(tmp_path, ROSSI, ROSSI | damage))


def test_a_line_of_templama_without_a_field_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"line 1 has no 'date'; it has answer, id"):
        temporal.templama(templama(tmp_path, {name: value for name, value in ROSSI.items() if name != "date"}))


def test_dateset_has_the_papers_sizes_and_is_the_same_every_time() -> None:
    made = docs(dateset.dateset())
    sizes = [400, 800, 800, 400, 4000, 1800, 1200]
    assert Counter(one["group"] for one in made) == {f"template {n}": size for n, size in enumerate(sizes, 1)}
    assert len({one["date"] for one in made}) <= dateset.DAYS
    assert made == docs(dateset.dateset())
    assert made[0]["prompt"] == "Answer the following question: How many days ago was February 9, 2014?"


def test_dateset_is_right_where_the_dates_tool_can_say_so() -> None:
    asked = [one for one in docs(dateset.dateset()) if one["group"] == "template 4"][::40]
    for one in asked:
        day = one["prompt"].rpartition(" on ")[2].removesuffix("?")
        with Toolbox([Dates()]) as box:
            assert one["answers"][0] in box.run("Dates", f"weekday of {day}")


@pytest.mark.parametrize(
    ("name", "day"),
    [
        ("Thanksgiving", "2020-11-26"),
        ("Memorial Day", "2021-05-31"),
        ("Labor Day", "2022-09-05"),
        ("Juneteenth", "2021-06-19"),
    ],
)
def test_holidays(name: str, day: str) -> None:
    assert dateset.holiday(name, int(day[:4])).isoformat() == day


def test_spans_of_dates() -> None:
    day = datetime.date
    assert dateset.between(day(2020, 1, 31), day(2020, 2, 29), "months") == 0
    assert dateset.between(day(2019, 3, 1), day(2020, 2, 29), "years") == 0
    assert dateset.between(day(2020, 3, 1), day(2020, 3, 16), "weeks") == 2
    assert dateset.back(day(2020, 3, 31), 1, "months") == day(2020, 2, 29)
    assert dateset.back(day(2020, 2, 29), 1, "years") == day(2019, 2, 28)
    assert dateset.back(day(2020, 1, 15), 13, "months") == day(2018, 12, 15)


THINK = "A: Let's think step by step.\n"
SHOTS = (
    f"CANARY\n-----\nSay it.\n\nQ: a\n{THINK}Because.\n\nSo the answer is (B).\n\n"
    f"Q: b\n{THINK}So the answer is ] }}.\n\nQ: c\n{THINK}It is so. So the answer is yes."
)


def test_bbh_shows_three_examples_with_or_without_their_chains(tmp_path: Path) -> None:
    rows = {"examples": [{"input": "Which?\nOptions:\n(A) x\n(B) y", "target": "(A)"}]}
    written(tmp_path, "bbh/bbh/t.json", rows)
    data = written(tmp_path, "bbh/cot-prompts/t.txt", SHOTS)
    (one,) = docs(bbh.direct(data))
    assert one["prompt"] == (
        "Say it.\n\nQ: a\nA: (B)\n\nQ: b\nA: ] }\n\nQ: c\nA: yes\n\nQ: Which?\nOptions:\n(A) x\n(B) y\nA:"
    )
    assert one["chance"] == 0.5
    assert str(bbh.direct(data).size) == "1 of 6,511 published questions"
    (one,) = docs(bbh.chain_of_thought(data))
    assert one["prompt"].startswith("Say it.\n\nQ: a\nA: Let's think step by step.\nBecause.")
    assert one["prompt"].endswith("(B) y\nA: Let's think step by step.\n")


def test_bbh_knows_a_chain_that_goes_on_in_its_first_line(tmp_path: Path) -> None:
    written(tmp_path, "bbh/bbh/t.json", {"examples": [{"input": "Which?", "target": "yes"}]})
    data = written(tmp_path, "bbh/cot-prompts/t.txt", SHOTS.replace("step.\n", "step. "))
    (one,) = docs(bbh.direct(data))
    assert "step by step" not in one["prompt"]
    assert one["prompt"].startswith("Say it.\n\nQ: a\nA: (B)\n\nQ: b\nA: ] }\n\nQ: c\nA: yes\n\n")
    (one,) = docs(bbh.chain_of_thought(data))
    assert one["prompt"].count(THINK) == 4  # as it is asked, so it is shown


@pytest.mark.parametrize(
    ("shots", "said"),
    [
        (
            SHOTS.rpartition("\n\n")[0],
            "2 answers, 2 of them behind a chain of thought, instead of 3 and 3: take the publisher",
        ),
        (SHOTS + f"\n\nQ: d\n{THINK}So the answer is no.", "4 answers, 4 of them"),
        (SHOTS.replace("A: Let's think step by step.\nIt", "A: It"), "3 answers, 2 of them"),
    ],
)
def test_bbh_refuses_another_number_of_examples_to_show(tmp_path: Path, shots: str, said: str) -> None:
    written(tmp_path, "bbh/bbh/t.json", {"examples": [{"input": "Which?", "target": "yes"}]})
    data = written(tmp_path, "bbh/cot-prompts/t.txt", shots)
    for reader in (bbh.direct, bbh.chain_of_thought):
        with pytest.raises(DataError, match=f"^BBH: t shows {said}"):
            reader(data)


@pytest.mark.parametrize(
    ("question", "targets", "chance"),
    [
        ("Which?\nOptions:\n(A) x\n(B) y\n(C) z", {"(A)"}, 1 / 3),
        ("Which?\nOptions:\n(A) the only one", {"(A)"}, 0.0),  # nothing to guess between, and nothing to divide by
        ("(A) is read aloud. Is it so?", {"Yes", "no"}, 0.5),
        ("Sort: b a", {"a b"}, 0.0),
    ],
)
def test_how_often_a_guess_is_right(tmp_path: Path, question: str, targets: set[str], chance: float) -> None:
    rows = {"examples": [{"input": question, "target": target} for target in sorted(targets)]}
    written(tmp_path, "bbh/bbh/t.json", rows)
    made = docs(bbh.direct(written(tmp_path, "bbh/cot-prompts/t.txt", SHOTS)))
    assert [one["chance"] for one in made] == [chance] * len(targets)


@pytest.mark.parametrize("head", ["question,choice0,choice1,choice2,choice3,answer\n", ""])
def test_mmlu_in_both_forms(tmp_path: Path, head: str) -> None:
    right = "2" if head else "C"
    row = f'"Why, then?",argon,neon,"ozone, thin",radon,{right}\n'
    written(tmp_path, "mmlu/dev/a_b_dev.csv", head + row * 7)
    (one,) = docs(mmlu.mmlu(written(tmp_path, "mmlu/test/a_b_test.csv", head + row)))
    shot = "Why, then?\nA. argon\nB. neon\nC. ozone, thin\nD. radon\nAnswer:"
    before = "The following are multiple choice questions (with answers) about a b.\n\n"
    assert one["prompt"] == before + f"{shot} C\n\n" * 5 + shot
    assert (one["answers"], one["chance"], one["group"]) == (["C"], 0.25, "a_b")


def test_wikitext_is_cut_into_articles_and_put_in_order(tmp_path: Path) -> None:
    text = " \n = One = \n \n Some text , with 1 @,@ 000 words . \n = = Part = = \n More . \n \n = Two = \n \n End . \n"
    first, second = docs(texts.wikitext(written(tmp_path, "wikitext2/test.txt", text)))
    assert "Some text, with 1,000 words." in first["prompt"]
    assert "Two" in second["prompt"]
    assert first["words"] > second["words"] > 0


def test_own_texts_and_pairs(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("One text.", "utf-8")
    assert docs(texts.plain_text(text=str(tmp_path / "a.txt")))[0]["prompt"] == "One text."
    (tmp_path / "a.jsonl").write_text('{"text": "x"}\n{"text": "y"}\n', "utf-8")
    assert len(docs(texts.plain_text(text=str(tmp_path / "a.jsonl")))) == 2
    (tmp_path / "p.jsonl").write_text('{"prompt": "Say hi:", "references": ["hi there", "hello"]}\n', "utf-8")
    (one,) = docs(texts.text_to_text(pairs=str(tmp_path / "p.jsonl")))
    assert rouge("hello", one["answers"])["rougeL"] == 1.0
    assert bleu(["the cat sat on the mat"], [["a dog", "the cat sat on the mat"]]) == pytest.approx(100)
    with pytest.raises(ConfigError, match="name one as text"):
        texts.plain_text()


def test_what_is_missing_or_damaged_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"SVAMP\.json is not there: put the publisher's files"):
        word_problems.svamp(str(tmp_path))
    with pytest.raises(DataError, match=r"test\.jsonl:1: no JSON"):
        word_problems.gsm8k(written(tmp_path, "gsm8k/test.jsonl", "{oops\n"))
    with pytest.raises(DataError, match=r"SVAMP\.json, item 1 has no 'ID'; it has Body"):
        word_problems.svamp(written(tmp_path, "svamp/SVAMP.json", [{"Body": "x"}]))
    with pytest.raises(DataError, match="name their folder as data"):
        lama.squad()
    with pytest.raises(DataError, match=r"a_dev\.csv, row 1: not a question"):
        mmlu.mmlu(written(tmp_path, "mmlu/dev/a_dev.csv", "only,three,columns\n"))


@pytest.mark.parametrize(
    ("name", "row"),
    [
        ("masked_sentences", {"masked_sentences": 3, "obj_label": "x"}),
        ("masked_sentences", {"masked_sentences": "It is [MASK].", "obj_label": "x"}),  # no list of letters
        ("obj_aliases", {"masked_sentences": ["It is [MASK]."], "obj_label": "x", "obj_aliases": 7}),
        ("obj_aliases", {"masked_sentences": ["It is [MASK]."], "obj_label": "x", "obj_aliases": "FL"}),
    ],
)
def test_rows_of_another_shape_are_refused(tmp_path: Path, name: str, row: dict[str, Any]) -> None:
    with pytest.raises(DataError, match=rf"test\.jsonl, line 1: '{name}' should be a list of texts, not "):
        lama.squad(written(tmp_path, "lama/Squad/test.jsonl", [row]))


def test_a_row_that_cannot_be_kept_is_refused(tmp_path: Path) -> None:
    row = {"masked_sentences": ["It is \ud800 [MASK]."], "obj_label": "x"}
    with pytest.raises(DataError, match="LAMA SQuAD: row 2 is not as its publisher writes it"):
        lama.squad(written(tmp_path, "lama/Squad/test.jsonl", [row]))


def test_an_answer_that_is_no_list_is_not_taken_for_its_letters(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="line 1: 'answer' should be a list of texts, not 'Paris'"):
        questions.natural_questions(
            written(tmp_path, "nq_open/NQ-open.dev.jsonl", [{"question": "which city", "answer": "Paris"}])
        )


def test_what_is_not_asked_is_counted_with_its_reason(tmp_path: Path) -> None:
    statements = [
        {"masked_sentences": ["It was made by [MASK]."], "obj_label": "x"},
        {"masked_sentences": ["In [MASK] it was made."], "obj_label": "x"},
        {"masked_sentences": ["Nothing is hidden."], "obj_label": "x"},
    ]
    made = lama.squad(written(tmp_path, "lama/Squad/test.jsonl", statements))
    assert made.size.left_out == {"it has no mask": 1, "its mask is not at its end": 1}
    assert str(made.size) == "3 of 305 published statements"
    written(tmp_path, "lama/relations.jsonl", [{"relation": "P1", "template": "[X] is in [Y] ."}])
    facts = [{"sub_uri": "Q1", "sub_label": "Ada", "obj_label": label} for label in ("London", "England")]
    made = lama.trex(written(tmp_path, "lama/TREx/P1.jsonl", facts))
    assert (made.size.read, made.size.left_out) == (2, {"asked with another object of its subject": 1})
    nq = [{"question": "who", "answer": ["A"]}, {"question": "whom", "answer": []}]
    made = questions.natural_questions(written(tmp_path, "nq_open/NQ-open.dev.jsonl", nq))
    assert (len(docs(made)), made.size.left_out) == (1, {"it has no answer": 1})


NOTHING = ["NaN", "null", '""', '" "']
"""Answers that are none, as JSON writes them."""


@pytest.mark.parametrize("nothing", NOTHING)
@pytest.mark.parametrize(
    ("reader", "name", "row"),
    [
        (lama.squad, "lama/Squad/test.jsonl", '{"masked_sentences": ["It is [MASK]."], "obj_label": %s}'),
        (
            lama.google_re,
            "lama/Google_RE/a_test.jsonl",
            '{"masked_sentences": ["In [MASK]."], "obj_aliases": ["FL"], "obj_label": %s}',
        ),
        (lama.trex, "lama/TREx/P1.jsonl", '{"sub_uri": "Q%%d", "sub_label": "Ada", "obj_label": %s}'),
        (word_problems.svamp, "svamp/SVAMP.json", '{"ID": "c", "Body": "Two.", "Question": "What?", "Answer": %s}'),
        (word_problems.mawps, "mawps/testset.json", '{"id": 1, "original_text": "Why ?", "ans": %s}'),
        (word_problems.gsm8k, "gsm8k/test.jsonl", '{"question": "What?", "answer": "#### %s"}'),
        (bbh.direct, "bbh/bbh/t.json", '{"input": "Which?", "target": %s}'),
        (texts.text_to_text, "p.jsonl", '{"prompt": "Say it:", "references": %s}'),
    ],
)
def test_a_row_whose_answer_is_nothing_is_not_asked(
    tmp_path: Path, reader: Any, name: str, row: str, nothing: str
) -> None:
    inside = nothing.strip('"') if "####" in row else nothing
    good = '"x"' if "####" not in row else "7"
    rows = [row % good, row % inside]
    rows = [one.replace("%d", str(number)) for number, one in enumerate(rows)]
    text = "\n".join(rows) if name.endswith("l") else f"[{','.join(rows)}]"
    written(tmp_path, name, f'{{"examples": {text}}}' if name.startswith("bbh") else text)
    written(tmp_path, "lama/relations.jsonl", [{"relation": "P1", "template": "[X] is in [Y] ."}])
    data = written(tmp_path, "bbh/cot-prompts/t.txt", SHOTS)
    if name == "p.jsonl" and nothing in ("NaN", "null"):
        with pytest.raises(DataError, match=r"line 2: 'references' should be a list of texts, not "):
            reader(pairs=str(tmp_path / name))
        return
    made = reader(pairs=str(tmp_path / name)) if name == "p.jsonl" else reader(data)
    assert (len(docs(made)), made.size.left_out) == (1, {"it has no answer": 1})


def test_blank_answers_among_others_are_none(tmp_path: Path) -> None:
    nq = [{"question": "who", "answer": ["", "A", " "]}, {"question": "whom", "answer": [""]}]
    made = questions.natural_questions(written(tmp_path, "nq_open/NQ-open.dev.jsonl", nq))
    assert [one["answers"] for one in docs(made)] == [["A"]]
    assert made.size.left_out == {"it has no answer": 1}
    made = temporal.templama(templama(tmp_path, ROSSI, ROSSI | {"answer": [{"name": ""}]}))
    assert (len(docs(made)), made.size.left_out) == (1, {"it has no answer": 1})
    made = questions.triviaqa(written(tmp_path, "triviaqa/x.dev.txt", "Who?\t['']\nWhom?\t['a', '']\n"))
    assert ([one["answers"] for one in docs(made)], made.size.left_out) == ([["a"]], {"it has no answer": 1})
    (tmp_path / "a.jsonl").write_text('{"text": null}\n{"text": "x"}\n{"text": NaN}\n', "utf-8")
    assert texts.plain_text(text=str(tmp_path / "a.jsonl")).size.left_out == {"it is empty": 2}


def test_an_answer_that_is_no_text_and_no_number_is_refused(tmp_path: Path) -> None:
    rows = [{"ID": "c", "Body": "Two.", "Question": "What?", "Answer": []}]
    with pytest.raises(DataError, match="SVAMP: row 1 is not as its publisher writes it"):
        word_problems.svamp(written(tmp_path, "svamp/SVAMP.json", rows))


def test_a_whole_set_says_so_and_one_row_less_is_odd(tmp_path: Path) -> None:
    rows = [
        {"ID": f"c{n}", "Body": "Two plums.", "Question": "How many?", "Answer": 2.0, "Equation": "2", "Type": "x"}
        for n in range(1000)
    ]
    made = word_problems.svamp(written(tmp_path, "svamp/SVAMP.json", rows))
    assert (str(made.size), made.size.odd) == ("all 1,000 published problems", False)
    made = word_problems.svamp(written(tmp_path, "svamp/SVAMP.json", rows[1:]))
    assert (str(made.size), made.size.odd) == ("999 of 1,000 published problems", True)
    text = "\n = One = \n" + "word " * 245_563 + "\n"  # "=", "One", "=" and three ends of lines are tokens, too
    made = texts.wikitext(written(tmp_path, "wikitext2/test.txt", text))
    assert str(made.size) == "all 245,569 published tokens"
    assert str(dateset.dateset().size) == "all 9,400 published questions"
    (tmp_path / "a.txt").write_text("One text.", "utf-8")
    assert str(texts.plain_text(text=str(tmp_path / "a.txt")).size) == "1 texts"


def test_a_quote_that_nobody_closes_does_not_swallow_the_rows_behind_it(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"x\.dev\.txt is not what its publisher's file should be"):
        questions.triviaqa(written(tmp_path, "triviaqa/x.dev.txt", "\"Who\t['a']\nWho\" is it\t['b']\n"))
    lost = '"Why,a,b,c,d,A\nHow" is it,a,b,c,d,B\n'
    written(tmp_path, "mmlu/dev/a_dev.csv", "Why?,a,b,c,d,A\n" * 5)
    with pytest.raises(DataError, match=r"a_test\.csv is not what its publisher's file should be"):
        mmlu.mmlu(written(tmp_path, "mmlu/test/a_test.csv", lost))


def test_five_shots_are_five(tmp_path: Path) -> None:
    written(tmp_path, "mmlu/dev/a_dev.csv", "Why?,a,b,c,d,A\n" * 4)
    with pytest.raises(DataError, match="MMLU: a has 4 examples to show instead of 5"):
        mmlu.mmlu(written(tmp_path, "mmlu/test/a_test.csv", "Why?,a,b,c,d,A\n"))


def test_problems_without_a_part_are_named(tmp_path: Path) -> None:
    one = "<Problem ID='n1'><Body>Two plums.</Body><Question>How many?</Question><Answer>{}</Answer></Problem>"
    xml = f"<r>{one.format('2 (plums)')}{one.format('')}</r>"
    made = word_problems.asdiv(written(tmp_path, "asdiv/ASDiv.xml", xml))
    assert (len(docs(made)), made.size.left_out) == (1, {"it has no answer": 1})
    with pytest.raises(DataError, match=r"ASDiv\.xml, problem 1 has no 'Question'; it has Answer, Body"):
        word_problems.asdiv(
            written(tmp_path, "asdiv/ASDiv.xml", "<r><Problem><Body>x</Body><Answer>2</Answer></Problem></r>")
        )
    with pytest.raises(DataError, match=r"test\.jsonl, line 1: its answer does not follow ####"):
        word_problems.gsm8k(written(tmp_path, "gsm8k/test.jsonl", [{"question": "How many?", "answer": "It is 5"}]))


def test_files_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    (tmp_path / "svamp").mkdir()
    (tmp_path / "svamp" / "SVAMP.json").write_bytes(b"\xff\xfe[")
    with pytest.raises(DataError, match=r"SVAMP\.json:1: byte 0xff is not UTF-8"):
        word_problems.svamp(str(tmp_path))
    with pytest.raises(DataError, match=r"p\.jsonl cannot be read"):
        texts.text_to_text(pairs=str(tmp_path / "p.jsonl"))
    with pytest.raises(DataError, match="is a folder, a pipe or a device: name a file"):
        texts.plain_text(text=str(tmp_path))


def test_a_pipe_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    (tmp_path / "svamp").mkdir()
    pipes = [tmp_path / name for name in ("p.jsonl", "p.txt", "svamp/SVAMP.json")]
    for pipe in pipes:
        os.mkfifo(pipe)
    ask: list[Callable[[], object]] = [
        lambda: texts.text_to_text(pairs=str(pipes[0])),
        lambda: texts.plain_text(text=str(pipes[1])),
        lambda: word_problems.svamp(str(tmp_path)),
    ]
    for pipe, asked in zip(pipes, ask, strict=True):
        with pytest.raises(DataError, match=f"{pipe} is a folder, a pipe or a device: name a file"):
            asked()


def test_ids_that_come_twice_are_told_apart(tmp_path: Path) -> None:
    row = {"masked_sentences": ["It is [MASK]."], "obj_label": "x", "id": "a"}
    made = docs(lama.squad(written(tmp_path, "lama/Squad/test.jsonl", [row, row])))
    assert [one["id"] for one in made] == ["a", "a#2"]


HUB: dict[str, dict[str, Any]] = {
    # Rows in the columns of the hub's copies.
    "EleutherAI/asdiv": {"body": "Two plums.", "question": "How many?", "answer": "2 (plums)"},
    "ChilleD/SVAMP": {"ID": "c", "Body": "Two plums.", "Question": "How many?", "Answer": "2.0"},
    "mwpt5/MAWPS": {"Question": "N_00 plums , N_01 eggs . How many ?", "Numbers": "2.0 1.5", "Answer": 3.5},
    "openai/gsm8k": {"question": "How many?", "answer": "#### 2"},
    "stanfordnlp/web_questions": {"question": "who?", "answers": ["A"]},
    "google-research-datasets/nq_open": {"question": "who", "answer": ["A"]},
    "mandarjoshi/trivia_qa": {"question_id": "q", "question": "Who?", "answer": {"value": "A", "aliases": ["B"]}},
    "SaylorTwift/bbh": {"input": "Which?", "target": "(A)"},
    "cais/mmlu": {"subject": "a_b", "question": "Why?", "choices": ["1", "2", "3", "4"], "answer": 3},
    "EleutherAI/wikitext_document_level": {"page": " = One = \n Text , more . \n"},
}


def test_the_hubs_copies_are_read_in_their_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def load_dataset(name: str, config: str | None, split: str) -> list[dict[str, Any]]:
        asked.append(name)
        return [HUB[name]] * (mmlu.SHOTS if split == "dev" else 1)

    monkeypatch.setattr("datasets.load_dataset", load_dataset)
    files_only = ("mawps", "triviaqa", "lama_squad", "lama_google_re", "lama_trex")
    hub = {name: reader for name, reader in READERS.items() if name not in files_only}
    made = {name: docs(reader(None)) for name, reader in hub.items()}
    assert set(asked) == set(HUB)
    assert made["mawps_all"][0]["prompt"] == "2 plums, 1.5 eggs. How many? The answer is"
    assert len(made["mawps_all"]) == 1  # it has one split only
    assert str(word_problems.mawps_all(None).size) == "1 of 2,373 published problems"
    assert len(made["svamp"]) == 2  # train and test together are the whole set
    assert made["triviaqa_rc"][0]["answers"] == ["A", "B"]
    assert len({one["group"] for one in made["bbh_direct"]}) == 27
    assert made["mmlu"][0]["answers"] == ["D"]
    assert all(one["prompt"].count("A: Let's think step by step.\n") == 4 for one in made["bbh_cot"])
    assert not any("step by step" in one["prompt"] for one in made["bbh_direct"])


def test_one_task_is_one_set_of_questions() -> None:
    with pytest.raises(DataError, match="name its folder as data, or ask for triviaqa_rc, which the hub has"):
        questions.triviaqa()


@pytest.mark.parametrize("answer", [None, float("nan"), -1, 4, "D"])
def test_a_choice_of_the_hub_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch, answer: object) -> None:
    rows = [HUB["cais/mmlu"]] * mmlu.SHOTS
    tests = [HUB["cais/mmlu"] | {"answer": answer}]
    monkeypatch.setattr("datasets.load_dataset", lambda name, config, split: rows if split == "dev" else tests)
    with pytest.raises(
        DataError, match=r"cais/mmlu, test, row 1: the right choice should be a number from 0 to 3, not"
    ):
        mmlu.mmlu(None)


def test_the_hubs_questions_without_an_answer_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = HUB["mandarjoshi/trivia_qa"]
    rows = [
        whole,
        whole | {"answer": {"value": None, "aliases": ["B"]}},
        whole | {"answer": {"value": "", "aliases": []}},
    ]
    monkeypatch.setattr("datasets.load_dataset", lambda name, config, split: rows)
    made = questions.triviaqa_rc()
    assert (len(docs(made)), made.size.left_out) == (1, {"it has no answer": 2})


@pytest.mark.parametrize("error", [ConnectionError("no route"), ValueError("no such split"), HTTPError("reset")])
def test_a_hub_that_gives_nothing_is_told_with_what_else_there_is(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def load_dataset(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr("datasets.load_dataset", load_dataset)
    with pytest.raises(DataError, match=rf"cannot be had from the hub \({error}\): download .* as data"):
        docs(word_problems.svamp(None))


READERS: dict[str, Callable[[str | None], Splits]] = {
    "lama_squad": lama.squad,
    "lama_google_re": lama.google_re,
    "lama_trex": lama.trex,
    "asdiv": word_problems.asdiv,
    "svamp": word_problems.svamp,
    "mawps": word_problems.mawps,
    "mawps_all": word_problems.mawps_all,
    "gsm8k": word_problems.gsm8k,
    "webquestions": questions.webquestions,
    "natural_questions": questions.natural_questions,
    "triviaqa": questions.triviaqa,
    "triviaqa_rc": lambda data: questions.triviaqa_rc(data=data),
    "bbh_direct": bbh.direct,
    "bbh_cot": bbh.chain_of_thought,
    "mmlu": mmlu.mmlu,
    "wikitext": texts.wikitext,
}


FILES_ONLY: dict[str, Any] = {
    "svamp_xl": partial(more_problems.listed, "SVAMP-XL", "xl/svamp-xl/test.json", 270),
    "mawps_xl": partial(more_problems.listed, "MAWPS-XL", "xl/mawps-xl/test.json", 416),
    "popqa": popqa.popqa,
}
"""Sets that the hub has no copy of."""


@pytest.mark.needs("data")
@pytest.mark.parametrize("name", [name for name in [*READERS, *FILES_ONLY] if name != "triviaqa_rc"])  # only the hub's
def test_the_publishers_files(name: str) -> None:
    made = docs({**READERS, **FILES_ONLY}[name](data=os.environ["TOOLFORMER_DATA"]))
    assert len({one["id"] for one in made}) == len(made) > 10
    for one in made:
        assert one["prompt"].strip()
        assert "[MASK]" not in one["prompt"]
        # Whoever gives the publisher's own answer is right, unless it has more words than are read.
        most = {"lama": LAMA_WORDS, "qa": QA_WORDS}.get(one["rule"], 1000)
        if one["answers"] and len(one["answers"][0].split()) <= most:
            assert judge(one["rule"], f" {one['answers'][0]}.", one["answers"], one["choices"]).right, one


@pytest.mark.needs("data")
def test_the_publishers_chains_are_shown_in_none_of_the_direct_prompts() -> None:
    made = docs(bbh.direct(os.environ["TOOLFORMER_DATA"]))
    assert not any("step by step" in one["prompt"] or "answer is" in one["prompt"] for one in made)


@pytest.mark.needs("data")
def test_there_is_room_for_the_longest_answer_of_bbh() -> None:
    import yaml

    config = yaml.load((FOLDER / "bbh_direct.yaml").read_text("utf-8").replace("!function ", ""), yaml.SafeLoader)
    encode = load("builtin").encode  # of a small vocabulary: others need fewer tokens
    longest = max(len(encode(f" {one['answers'][0]}").ids) for one in docs(bbh.direct(os.environ["TOOLFORMER_DATA"])))
    assert 1.5 * longest < config["generation_kwargs"]["max_gen_toks"]
