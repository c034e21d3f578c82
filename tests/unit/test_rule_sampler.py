"""Rules as samplers: where their calls stand, what several samplers make of equal calls, and what a run calls them."""

import functools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from tests.fakes import ScriptedLM
from tests.unit.test_annotator import PAPER, PLACE, TEXT, TextLM, paper_model
from tests.unit.test_prompts import Reader
from toolformer import Call, ConfigError, Toolbox
from toolformer.calls import CallSyntax
from toolformer.data_gen import Document, Lesson, Method, annotate
from toolformer.data_gen.annotators import _sampler
from toolformer.data_gen.lessons.proposals import Proposed
from toolformer.data_gen.pipeline import Annotator
from toolformer.data_gen.prune import HOPELESS, prune
from toolformer.data_gen.records import Candidate, EncodedText, Place, Rejected
from toolformer.data_gen.samplers import Several
from toolformer.data_gen.samplers.by_model import ModelSampler
from toolformer.data_gen.samplers.rules import RuleSampler
from toolformer.lm import Encoded
from toolformer.loading import Loading
from toolformer.tools.calculator import Calculator

SUMS = replace(PAPER, propose="calculations", where="number", when="numbers")


@dataclass
class Cut(TextLM):
    """Tokens that the test cuts by hand: the text in pieces."""

    pieces: tuple[str, ...] = ()

    def encode(self, text: str) -> Encoded:
        if text != "".join(self.pieces):
            return super().encode(text)
        starts = [sum(map(len, self.pieces[:n])) for n in range(len(self.pieces))]
        return Encoded(tuple(range(len(starts))), tuple(starts))


def text_of(model: ScriptedLM, text: str) -> EncodedText:
    encoded = model.encode(text)
    return EncodedText(Document("d", text), encoded, (-2.0,) * len(encoded.ids))


def places(pieces: Sequence[str], word: str) -> list[str]:
    """What stands behind the place that a proposal before this word gets, if it gets one."""
    model, whole = Cut(pieces=tuple(pieces)), "".join(pieces)
    lesson = replace(PAPER, when="any", propose=lambda document: [Proposed(whole.index(word), "1 + 1")])
    found = RuleSampler(model).calls([lesson], [text_of(model, whole)], [])
    return [one.place.following for one in found]


@pytest.mark.parametrize(
    ("pieces", "behind"),
    [
        (["or", " 29", "%"], " 29%"),  # the space is in the token
        (["or", " ", "29", "%"], " 29%"),  # the space is a token: the call stands before it
        (["or", " ", "2", "9"], " 29"),  # digits one by one
        (["or", " $", "29"], " $29"),  # the sign belongs to the number, and the space to both
        (["or", " ", "$", "29"], " $29"),
        (["or", " (", "29)"], " (29)"),
        (["or", " ", "(", "$", "29)"], " ($29)"),
        (["or", " -", "29"], " -29"),
        (["29", " or"], "29 or"),  # a text's start
        (["$", "29", " or"], "$29 or"),
        (["or", "\n", " 29"], "\n 29"),
    ],
)
def test_a_rules_call_stands_before_its_word_and_what_belongs_to_it(pieces: list[str], behind: str) -> None:
    assert places(pieces, "2") == [behind]


@pytest.mark.parametrize("pieces", [["x29"], ["or x29"], ["or 29"], ["some words before 29"], ["a(", "29"]])
def test_where_a_token_lies_across_there_is_no_place(pieces: list[str]) -> None:
    assert places(pieces, "2") == []


@pytest.mark.parametrize("kind", ["bytes", "sentences", "letters", "builtin"])
def test_any_tokenizer_has_the_places_of_the_rules(kind: str) -> None:
    model = Reader(kind)
    text = "400 / 1400 and 1000 so on, 1400 quick fox"
    lesson = replace(PAPER, when="any", propose=lambda document: [Proposed(text.index(w), "1") for w in ("and", "400")])
    found = list(RuleSampler(model).calls([lesson], [text_of(model, text)], []))
    assert [one.place.following[:5].lstrip() for one in found] == [text[text.index("and") :][:4], text[:5]] or [
        one.place.following.lstrip()[:3] for one in found
    ] == ["and", "400"]


def test_texts_that_are_not_worth_the_lesson_are_not_read() -> None:
    model, rejected = paper_model(), list[Rejected]()
    wanted, unwanted = (text_of(model, text) for text in ("Of 1400, 400 passed, 0.29 of all", "no sums here, 18"))
    assert {one.place.text for one in RuleSampler(model).calls([SUMS], [unwanted, wanted], rejected)} == {wanted}
    assert rejected == []


@dataclass
class Reads(TextLM):
    """Notes what it is given to read, and finds every token as surprising as the test says."""

    surprise: float = 2.0

    def log_probabilities(self, texts: Sequence[tuple[int, ...]]) -> list[list[float]]:
        self.read = [self.decode(ids) for ids in texts]
        return [[-self.surprise] * len(ids) for ids in texts]


def unread(model: ScriptedLM, text: str, *words: str, id_: str = "d") -> list[Candidate]:
    one = EncodedText(Document(id_, text), model.encode(text), None)
    places = [Place(one, "Calculator", text.index(word), None) for word in words]
    return [Candidate(place, Call("Calculator", "1", "2")) for place in places]


def test_texts_are_read_where_a_call_is_to_be_judged_up_to_its_window_and_no_further() -> None:
    model = Reads()
    some = [*unread(model, "of 7 and 9 or 12345678", " 9", " 7"), *unread(model, "at 5", " 5", id_="e")]
    hopeful = prune(some, model, {"Calculator": PAPER}, [])
    assert model.read == ["of 7 and 9 or", "at 5"]  # five tokens from the last place on
    assert [(one.place.start, one.call) for one in hopeful] == [(one.place.start, one.call) for one in some]
    assert [len(one.place.text.log_probabilities or ()) for one in hopeful] == [13, 13, 4]
    model.read = []
    assert prune(hopeful, model, {"Calculator": PAPER}, []) == hopeful
    assert model.read == []  # what was read is not read again


def test_where_no_result_could_help_a_call_goes_no_further() -> None:
    model, rejected = Reads(surprise=0.49), list[Rejected]()
    some = unread(model, "of 7 and 9", " 7")
    assert prune(some, model, {"Calculator": PAPER}, rejected) == []
    assert [(one.stage, one.reason, one.call) for one in rejected] == [("prune", HOPELESS, some[0].call)]
    assert prune(some, model, {"Calculator": replace(PAPER, filtering_threshold=0.48)}, [])


def test_room_for_a_rule_is_the_context_without_the_demonstrations_and_a_call() -> None:
    model = replace(paper_model(), context=500)
    shown = sum(len(part.text) for part in PAPER.shown(CallSyntax.TEXT)) + len("Output:")
    assert RuleSampler(model).room(PAPER) == 500 - shown - PAPER.max_tokens
    assert Several([RuleSampler(model), ModelSampler(model, Method())]).room(PAPER) == ModelSampler(
        model, Method()
    ).room(PAPER)


@dataclass
class Writes:
    """A sampler that writes these inputs before 29%."""

    inputs: Sequence[str]
    model: ScriptedLM
    ranked: bool = False
    prunes: bool = False

    @property
    def identity(self) -> Mapping[str, object]:
        return {"writes": list(self.inputs)}

    def room(self, lesson: Lesson) -> int:
        return 7

    def calls(
        self, lessons: Sequence[Lesson], texts: Sequence[EncodedText], rejected: list[Rejected]
    ) -> Iterator[Candidate]:
        for one in self.inputs:
            yield Candidate(Place(texts[0], lessons[0].tool, PLACE, None), Call(lessons[0].tool, one))


def test_of_equal_calls_by_several_samplers_the_first_counts() -> None:
    model = paper_model()
    both = Several([Writes(["1 + 1", "2"], model), Writes(["1+1", "3"], TextLM(), ranked=True)])
    rejected: list[Rejected] = []
    found = list(both.calls([PAPER], [text_of(model, TEXT)], rejected))
    assert [one.call.input for one in found] == ["1 + 1", "2", "3"]
    assert [(one.reason, one.call and one.call.input) for one in rejected] == [
        ("the same call was proposed before", "1+1")
    ]
    assert (both.ranked, both.model) == (True, model)
    assert both.identity == {"several": [{"writes": ["1 + 1", "2"]}, {"writes": ["1+1", "3"]}]}


def made(name: str | None, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """Kind and model of the samplers that a name stands for."""
    judge = TextLM(name="judge")
    monkeypatch.setattr("toolformer.data_gen.annotators._loaded", lambda name, loading: TextLM(name=name))
    sampler = _sampler(name, judge, Method(), Loading())
    some = sampler.samplers if isinstance(sampler, Several) else [sampler]
    return [(type(one).__name__, one.model.name) for one in some]


@pytest.mark.parametrize(
    ("name", "samplers"),
    [
        (None, [("ModelSampler", "judge")]),
        ("self", [("ModelSampler", "judge")]),
        ("rules", [("RuleSampler", "judge")]),
        ("rules,self", [("RuleSampler", "judge"), ("ModelSampler", "judge")]),
        ("self, rules", [("RuleSampler", "judge"), ("ModelSampler", "judge")]),
        ("other/model", [("ModelSampler", "other/model")]),
        ("odd,name", [("ModelSampler", "odd,name")]),
        ("rules,other/model", [("RuleSampler", "other/model"), ("ModelSampler", "other/model")]),
    ],
)
def test_what_a_sampler_is_called(
    name: str | None, samplers: list[tuple[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert made(name, monkeypatch) == samplers


@pytest.mark.parametrize(
    "name", ["self,other", "rules,a,b", "rules,self,a", "rules,", ",self", "rules,,self", "rule", "slef,rules", "Rules"]
)
def test_samplers_that_do_not_go_together_are_refused(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="sampler"):
        made(name, monkeypatch)


def test_a_run_with_rules_alone(tmp_path: Path) -> None:
    text = "Of 1400 who came, 400 passed, which is 0.29 of them all."

    def loss(prefix: str, said: str, position: int) -> float:
        return 0.5 if "0.29" in prefix and said[position:].startswith(" 0.29") else 2.0

    def writes(behind: str, call: str) -> float:
        return -1.0 if "400 / 1400" in call or "18 + 12" in call else -5.0

    model = replace(paper_model(says=None), loss=loss, writes=writes)  # type: ignore[arg-type]
    run = functools.partial(annotate, [Document("d", text)], [Calculator()], lessons=[SUMS], model=model)
    run(tmp_path / "rules", sampler="rules")
    kept = (tmp_path / "rules" / "kept" / "00000.jsonl").read_text()
    assert "which is [Calculator(400 / 1400) -> 0.29] 0.29 of them all." in kept
    with Toolbox([Calculator()]) as box:
        annotator = Annotator(model, box, [SUMS], sampler=RuleSampler(model))
        (annotated,), rejected = annotator.annotate(annotator.read([Document("d", text)]))
    assert [one.call.input for one in annotated.calls] == ["400 / 1400"]
    assert {one.stage for one in rejected} <= {"match", "prune", "rank", "filter"}


def test_a_likely_call_of_the_models_own_takes_no_place_if_its_result_is_wrong(tmp_path: Path) -> None:
    text = "Of 1400 who came, 400 passed, which is 0.29 of them all."

    def loss(prefix: str, said: str, position: int) -> float:
        return 0.5 if "0.29" in prefix and said[position:].startswith(" 0.29") else 2.0

    model = replace(
        paper_model(says=lambda behind, seed: "1400 - 400)]"),
        opens=lambda prompt, text, position: 0.9,
        loss=loss,
        writes=lambda behind, call: -0.5 if "1400 - 400" in call else -1.0,
    )
    with Toolbox([Calculator()]) as box:
        sampler = Several([RuleSampler(model), ModelSampler(model, Method())])
        annotator = Annotator(model, box, [SUMS], sampler=sampler)
        (annotated,), rejected = annotator.annotate(annotator.read([Document("d", text)]))
    assert [one.call.input for one in annotated.calls] == ["400 / 1400"]
    assert {one.call.input for one in rejected if one.stage == "match" and one.call} == {"1400 - 400"}
