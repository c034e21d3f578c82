"""How a tool is taught: the package's own lessons against the real tools, and a lesson of one's own."""

import datetime
import json
import re
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolformer import Call, CallSyntax, ConfigError, DocumentFacts, Tool
from toolformer.calls import Part
from toolformer.catalog import CATALOG
from toolformer.data_gen.lessons import Lesson, builtin_lessons, load_lesson
from toolformer.data_gen.lessons.proposals import Proposed
from toolformer.data_gen.records import Document
from toolformer.tools.calculator import Calculator
from toolformer.tools.dates import MONTHS, WEEKDAYS, Calendar, Dates
from toolformer.tools.solver import Solver

LESSONS = builtin_lessons()
BORN = Lesson("QA", 'Write "{question}".', ("Joe Biden was born in {Where was Joe Biden born?} Scranton.",))
DATED = DocumentFacts(datetime.date(2019, 3, 3))


def text_of(parts: list[Part]) -> str:
    return "".join(part.text for part in parts)


def demonstrated(lesson: Lesson) -> list[tuple[str, str, str]]:
    """Of every call in the demonstrations: its input, the text before and the text behind it, without calls."""
    found = []
    for demonstration in lesson.demonstrations:
        for slot in re.finditer(r" ?\{([^{}]*)\}", demonstration):
            before, after = demonstration[: slot.start()], demonstration[slot.end() :]
            found.append((slot[1], before, re.sub(r" ?\{[^{}]*\}", "", after)))
    return found


def test_every_tool_of_the_package_has_a_lesson() -> None:
    assert LESSONS.keys() == CATALOG.keys()


@pytest.mark.parametrize("name", LESSONS)
def test_a_lesson_shows_calls_in_texts_that_are_worth_it(name: str) -> None:
    lesson = LESSONS[name]
    assert 4 <= len(lesson.demonstrations) <= 6
    assert len(demonstrated(lesson)) >= 4
    for demonstration in lesson.demonstrations:
        text = re.sub(r" ?\{[^{}]*\}", "", demonstration)
        assert lesson.wants(Document("d", text, DATED)), text


@pytest.mark.parametrize("name", LESSONS)
def test_a_head_reads_as_the_paper_has_it_and_is_short(name: str) -> None:
    lesson = LESSONS[name]
    head = text_of(lesson.head(CallSyntax.TEXT))
    assert head.startswith(f"Your task is to add calls to a {name} API to a piece of text.")
    assert not set("{}") & set(head)
    assert len(head) < 1_450
    assert head.endswith("\n\n")
    calls = [found.call for found in CallSyntax.TEXT.find(head)]
    assert {call.tool for call in calls} == {name}
    assert [call.input for call in calls[1:]] == [asked for asked, _, _ in demonstrated(lesson)]


@pytest.mark.parametrize(("name", "tool"), [("Calculator", Calculator()), ("Dates", Dates()), ("Solver", Solver())])
def test_the_tool_gives_what_stands_behind_the_call(name: str, tool: Tool) -> None:
    for asked, _, after in demonstrated(LESSONS[name]):
        result = tool(asked)
        assert after.startswith(f" {result}"), (asked, result)
        assert not after[len(result) + 1 : len(result) + 2].isalnum()


def test_questions_of_the_qa_lesson_are_answered_right_behind_the_call() -> None:
    lines = (files("toolformer.builtin") / "knowledge.jsonl").read_text("utf-8").splitlines()
    answers = {question: fact["answer"] for fact in map(json.loads, lines) for question in fact["questions"]}
    for asked, _, after in demonstrated(LESSONS["QA"]):
        assert after.startswith(f" {answers[asked]}"), asked


def test_a_calendar_call_has_no_input_and_its_texts_name_days_that_were() -> None:
    calls = demonstrated(LESSONS["Calendar"])
    assert [asked for asked, _, _ in calls] == [""] * len(calls)
    today = Calendar(lambda: datetime.date(2019, 3, 3))("")
    assert f"Today is{calls[0][2]}".startswith(today.removesuffix("."))
    for text in LESSONS["Calendar"].demonstrations + LESSONS["Dates"].demonstrations:
        for weekday, month, day, year in re.findall(rf"({'|'.join(WEEKDAYS)}), (\w+) (\d+), (\d+)", text):
            assert WEEKDAYS[datetime.date(int(year), MONTHS.index(month) + 1, int(day)).weekday()] == weekday


def test_a_phrase_to_translate_stands_before_its_call() -> None:
    for phrase, before, _ in demonstrated(LESSONS["Translate"]):
        assert before.rstrip(",:").removesuffix(", which means").removesuffix(", or").endswith(phrase), before


def test_thresholds_are_those_of_the_method() -> None:
    for name, lesson in LESSONS.items():
        generous = name in ("Calculator", "Translate")
        numbers = (lesson.positions, lesson.samples, lesson.sampling_threshold, lesson.filtering_threshold)
        assert numbers == ((20, 10, 0.0, 0.5) if generous else (5, 5, 0.05, 1.0)), name


def test_a_head_in_both_spellings() -> None:
    assert text_of(BORN.head(CallSyntax.TEXT)) == (
        'Write " [QA(question)]".\n\n'
        "Input: Joe Biden was born in Scranton.\n"
        "Output: Joe Biden was born in [QA(Where was Joe Biden born?)] Scranton.\n\n"
    )
    assert BORN.head(CallSyntax.TOKENS) == [
        Part('Write "'),
        Part("<API>", control=True),
        Part(" QA(question)"),
        Part("</API>", control=True),
        Part('".'),
        Part("\n\n"),
        Part("Input:"),
        Part(" Joe Biden was born in Scranton."),
        Part("\nOutput:"),
        Part(" Joe Biden was born in"),
        Part("<API>", control=True),
        Part(" QA(Where was Joe Biden born?)"),
        Part("</API>", control=True),
        Part(" Scranton."),
        Part("\n\n"),
    ]
    assert BORN.prompt("A text.", CallSyntax.TEXT).endswith(" Scranton.\n\nInput: A text.\nOutput:")


def test_the_demonstrations_alone_and_all_but_one() -> None:
    lesson = replace(BORN, demonstrations=("A {a} b.", " {c} D {d}\n"))
    assert text_of(lesson.shown(CallSyntax.TEXT)) == "Output: A [QA(a)] b.\n\nOutput: [QA(c)] D [QA(d)]\n\n"
    assert text_of(lesson.shown(CallSyntax.TEXT, without=0)) == "Output: [QA(c)] D [QA(d)]\n\n"
    assert lesson.shown(CallSyntax.TEXT, without=1)[:2] == [Part("Output:"), Part(" A [QA(a)] b.")]


def test_the_calls_of_the_demonstrations_with_their_places() -> None:
    lesson = replace(BORN, demonstrations=("A {a} {{b}} is {c} 1.", "{d} E"))
    assert lesson.examples() == [
        (0, "A {b} is 1.", 1, Call("QA", "a")),
        (0, "A {b} is 1.", 8, Call("QA", "c")),
        (1, "E", 0, Call("QA", "d")),
    ]


@pytest.mark.parametrize("name", LESSONS)
def test_the_rules_of_a_lesson_allow_the_places_of_its_demonstrations(name: str) -> None:
    off = [text[at:] for _, text, at, _ in LESSONS[name].examples() if not LESSONS[name].could_stand(text, at)]
    assert off == ([" the Analytical Engine, a machine that was never built."] if name == "WikiSearch" else [])


def test_rules_propose_what_the_demonstrations_show() -> None:
    for tool in (Calculator(), Dates()):
        lesson = LESSONS[tool.name]
        for demonstration, text, at, call in lesson.examples():
            proposed = lesson.proposed(Document(str(demonstration), text, DATED))
            assert tool(call.input) in {tool(one.input) for one in proposed if one.word == at + 1}, text


def test_doubled_braces_stand_for_themselves() -> None:
    lesson = Lesson("Calculator", "Sets are {{1, 2}}.", ("The set {{1, 2}} sums to {1 + 2} 3.\n",))
    head = text_of(lesson.head(CallSyntax.TEXT))
    assert head == (
        "Sets are {1, 2}.\n\nInput: The set {1, 2} sums to 3.\n"
        "Output: The set {1, 2} sums to [Calculator(1 + 2)] 3.\n\n"
    )


@given(st.text(st.characters(exclude_characters="{}", exclude_categories=["Cs"])), st.text("ab {}"))
def test_braces_are_calls_or_escaped_or_refused(asked: str, around: str) -> None:
    escaped = around.replace("{", "{{").replace("}", "}}")
    head = text_of(Lesson("T", "x", (f"{escaped}- {{{asked}}} -{escaped}",)).head(CallSyntax.TEXT))
    output = head.partition("\nOutput: ")[2]
    assert head.startswith(f"x\n\nInput: {(around + '- -' + around).strip()}\n")
    assert f"- [T({asked})] -" in output
    assert output.count("{") == 2 * around.count("{")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"tool": "no name"}, "'no name': that is no tool name"),
        ({"when": "number"}, "no rule for texts is called 'number': did you mean numbers"),
        ({"where": "numbers"}, "no rule for places is called 'numbers': did you mean number"),
        ({"propose": "date"}, "no rule that proposes calls is called 'date': did you mean dates"),
        ({"demonstrations": ()}, "must be at least one"),
        ({"demonstrations": ("no call",)}, "'no call' holds no call; write the input of one in braces"),
        ({"demonstrations": ("{a} b }",)}, r"a \} without its partner in"),
        ({"demonstrations": ("{a {b} c",)}, r"a \{ without its partner in"),
        ({"instruction": "write {question"}, r"a \{ without its partner in"),
        ({"positions": 0}, "must be at least one"),
        ({"samples": 0}, "must be at least one"),
        ({"max_tokens": 0}, "must be at least one"),
        ({"sampling_threshold": 1.5}, "sampling_threshold is from 0"),
        ({"temperature": 0.0}, "temperature above 0"),
        ({"top_p": 0.0}, "top_p above 0"),
        ({"filtering_threshold": float("nan")}, "must be finite"),
    ],
)
def test_a_lesson_that_cannot_be_taught_is_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        replace(BORN, **change)  # type: ignore[arg-type]


def test_a_fingerprint_changes_with_anything_in_the_lesson() -> None:
    def own_rule(document: Document) -> bool:
        return "x" in document.text

    def own_place(text: str, at: int) -> bool:
        return text[at] == "x"

    def own_calls(document: Document) -> list[Proposed]:
        return [Proposed(document.text.index("x"), "why x?")]

    changes: list[dict[str, Any]] = [
        {"cost": 0.1}, {"instruction": "x"}, {"when": own_rule}, {"where": own_place}, {"propose": own_calls},
        {"where": "name"}, {"propose": "queries"},
    ]  # fmt: skip
    lessons = [BORN, *(replace(BORN, **changed) for changed in changes)]
    assert len({lesson.fingerprint for lesson in lessons}) == 8
    assert replace(BORN).fingerprint == BORN.fingerprint
    assert lessons[3].wants(Document("d", "x"))
    assert not lessons[3].wants(Document("d", "y"))
    assert [lessons[4].could_stand("x y", at) for at in range(3)] == [True, False, False]
    assert list(lessons[5].proposed(Document("d", "y x"))) == [Proposed(2, "why x?")]
    assert list(BORN.proposed(Document("d", "Where was Joe Biden born?"))) == []


OWN = 'tool = "Weather"\ninstruction = "Ask {city}."\ndemonstrations = ["In Oslo it is {Oslo} cold."]\n'


def test_a_lesson_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "weather.toml"
    path.write_text(OWN + "positions = 3\ncost = 1\n", "utf-8")
    assert load_lesson(path) == Lesson("Weather", "Ask {city}.", ("In Oslo it is {Oslo} cold.",), positions=3, cost=1)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("tool = ", "own.toml is no TOML"),
        (OWN + "position = 3", "no field is called 'position': did you mean positions"),
        ('tool = "Weather"', "own.toml lacks demonstrations"),
        (OWN + 'positions = "3"', "positions cannot be '3'"),
        (OWN + "samples = true", "samples cannot be True"),
        (OWN + "when = 3", "when cannot be 3"),
        (OWN.replace("[", "").replace("]", ""), "demonstrations cannot be 'In Oslo"),
        (OWN + 'when = "never"', "no rule for texts is called 'never'"),
    ],
)
def test_a_file_that_is_no_lesson_is_refused(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "own.toml").write_text(content, "utf-8")
    with pytest.raises(ConfigError, match=message):
        load_lesson(tmp_path / "own.toml")


def test_a_lesson_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "latin.toml").write_bytes(OWN.replace("Oslo", "Troms\xf8").encode("latin-1"))
    for name in ("latin.toml", "missing.toml"):
        with pytest.raises(ConfigError, match=f"{name} cannot be read"):
            load_lesson(tmp_path / name)


@pytest.mark.parametrize(
    "said",
    [
        "samples = 100_000_000",
        "positions = 100_000_000",
        "max_tokens = 100_000_000",
        f"samples = {'9' * 5000}",
        f"filtering_threshold = {10**400}",
        "filtering_threshold = 1e999",
        "temperature = nan",
        "samples = 2021-01-01",
        f"cost = {'[' * 3000}{']' * 3000}",
        "samples = 2021-99-01",
    ],
)
def test_a_lesson_without_bounds(tmp_path: Path, said: str) -> None:
    path = tmp_path / "lesson.toml"
    path.write_text(f'tool = "QA"\ninstruction = "Ask {{x}}."\ndemonstrations = ["A {{b}} c."]\n{said}\n')
    with pytest.raises(ConfigError, match="lesson") as caught:
        load_lesson(path)
    assert len(str(caught.value)) < 500


def test_a_lesson_that_is_no_file(tmp_path: Path) -> None:
    (tmp_path / "link.toml").symlink_to("/dev/zero")
    (tmp_path / "folder.toml").mkdir()
    for name in ("link.toml", "folder.toml"):
        with pytest.raises(ConfigError, match="is no file"):
            load_lesson(tmp_path / name)
