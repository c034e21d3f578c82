"""The seam between a prompt and its text: the live text has the ids that it would have as a demonstration."""

import functools
import hashlib
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoTokenizer

import toolformer.builtin
from tests.fakes import ScriptedLM
from tests.unit.test_lm_encode import TOKENIZERS
from toolformer.calls import CallSyntax, Part
from toolformer.data_gen.lessons import Lesson, builtin_lessons
from toolformer.data_gen.samplers.prompts import Prompts
from toolformer.hf.encode import Codec
from toolformer.lm import Encoded

BUILTIN = Path(toolformer.builtin.__file__).parent / "model"
KINDS = [*TOKENIZERS, "builtin"]
TEXTS = [
    "The quick fox, 400 / 1400 and so on.",
    "400 boxes",
    "8",
    " two spaces",
    '(in brackets) and "quoted"',
    "$5 at 7%\nnext line",
    "a",
]


@functools.cache
def codec(kind: str) -> Codec:
    return Codec(AutoTokenizer.from_pretrained(BUILTIN) if kind == "builtin" else TOKENIZERS[kind](), kind)


class Reader(ScriptedLM):
    """A model of which only the tokenizer is asked."""

    def __init__(self, kind: str, *, lone_space: bool = False) -> None:
        super().__init__(lone_space=lone_space)
        self.codec = codec(kind)

    def encode(self, text: str) -> Encoded:
        return self.codec.encode(text)

    def encode_behind(self, text: str) -> Encoded:
        return self.codec.encode_behind(text)

    def encode_parts(self, parts: Sequence[Part]) -> tuple[int, ...]:
        return self.codec.encode_parts(parts)


def shown(text: str) -> Lesson:
    """A lesson whose one demonstration is this text, with a call in front of its last word."""
    before, space, last = text.rpartition(" ")
    escaped = [piece.replace("{", "{{").replace("}", "}}") for piece in (before, last)]
    return Lesson("Calculator", "Work it out.", (f"{escaped[0]} {{1 + 1}}{space}{escaped[1]}",))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("text", TEXTS)
def test_the_live_text_has_the_ids_of_the_same_demonstration(kind: str, text: str) -> None:
    model, lesson, text = Reader(kind), shown(text), text.strip()
    live = Prompts(model, lesson).asking(text)
    head, tail, ids = live.prompted.head, live.prompted.tail, live.prompted.text
    assert head == model.encode_parts(lesson.head(CallSyntax.TEXT))
    instruction = model.encode_parts(lesson.head(CallSyntax.TEXT)[:2])
    frame = [model.encode_parts([Part(piece)]) for piece in ("Input:", "\nOutput:")]
    # Right behind the instruction stands the demonstration, as the tail has the live text: framed, and the same ids.
    assert head[: len(instruction)] == instruction
    assert head[len(instruction) :][: len(tail)] == tail == (*frame[0], *ids, *frame[1])
    written = head[len(instruction) + len(tail) :]
    # And behind it the text is written once more: up to the call, the live text goes on as the demonstration does.
    same = live.encoded.token_at(text.rfind(" ")) if " " in text else 0
    assert written[:same] == ids[:same]
    assert ids == model.encode_parts([Part(f" {text}")])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("text", TEXTS)
def test_what_ranks_a_call_reads_the_text_as_a_demonstration_too(kind: str, text: str) -> None:
    model, lesson, text = Reader(kind), shown(text), text.strip()
    prompts = Prompts(model, lesson)
    live = prompts.showing(text)
    output = model.encode_parts([Part("Output:")])
    assert (live.prompted.tail, live.prompted.text) == ((), prompts.asking(text).prompted.text)
    assert live.prompted.head[-len(output) :] == output
    assert live.prompted.head == model.encode_parts([*lesson.shown(CallSyntax.TEXT), Part("Output:")])
    assert prompts.showing(text, without=0).prompted.head == output


def test_no_space_stands_alone_where_words_have_their_own() -> None:
    for kind, lone in (("builtin", False), ("builtin", True)):
        model = Reader(kind, lone_space=lone)
        live = Prompts(model, shown("There are 8 boxes")).asking("There are 8 boxes").prompted
        said = [model.codec.decode([id_]) for id_ in (live.tail[-1], live.text[0])]
        assert said == ([" ", "There"] if lone else [":", " There"])


@pytest.mark.parametrize("kind", KINDS)
def test_a_call_begins_with_the_token_that_was_asked_for(kind: str) -> None:
    model, syntax = Reader(kind), CallSyntax.TEXT
    for tool, lesson in builtin_lessons().items():
        first = model.encode_parts([syntax.opening])[0]
        opened = model.encode_parts([Part(syntax.opening.text + syntax.front(tool))])
        assert opened[0] == first
        for _, _, _, call in lesson.examples():
            written = model.encode_parts(syntax.parts(call))
            # Of a call without an input some tokenizers cut "()]" otherwise; of one with an input, none.
            assert written[: len(opened)] == opened or (not call.input and written[0] == first)


@pytest.mark.parametrize("kind", ["bytes", "builtin"])
@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=40))
def test_offsets_point_at_the_characters(kind: str, text: str) -> None:
    made = codec(kind)
    live = made.encode_behind(text)
    whole = " " + text
    assert made.decode(live.ids) == whole
    for index, start in enumerate(live.starts):
        if index and start > live.starts[index - 1]:
            assert made.decode(live.ids[:index]) == whole[: start + 1]
            assert made.decode(live.ids[index:]) == whole[start + 1 :]


@pytest.mark.parametrize("kind", ["sentences", "letters"])
@given(st.lists(st.sampled_from(["The", "quick", "fox", "400", "/", "1400", "so", "and"]), min_size=1).map(" ".join))
def test_offsets_of_words_point_at_the_space_before_them(kind: str, text: str) -> None:
    made = codec(kind)
    live = made.encode_behind(text)
    assert made.behind((), live.ids).strip() == text
    for index, start in enumerate(live.starts):
        if index and start > live.starts[index - 1]:
            assert made.decode(live.ids[:index]).strip() == text[:start].strip()
            assert made.decode(live.ids[index:]).strip() == text[start:].strip()


def test_a_space_counts_to_the_first_character() -> None:
    for kind in KINDS:
        assert codec(kind).encode_behind("fox jumps").starts[0] == 0
    assert codec("builtin").encode_behind("8 boxes").starts == (0, 1)
    assert codec("bytes").encode_behind("é!").starts == (0, 0, 0, 1)


def test_a_finetuned_model_reads_the_text_alone() -> None:
    class Finetuned(Reader):
        def encode_parts(self, parts: Sequence[Part]) -> tuple[int, ...]:
            return ScriptedLM.encode_parts(self, parts)

    prompts = Prompts(Finetuned("builtin"), shown("There are 8 boxes"))
    for live in (prompts.asking("8 boxes"), prompts.showing("8 boxes"), prompts.showing("8 boxes", without=0)):
        assert (live.prompted.head, live.prompted.tail) == ((), ())
        assert live.prompted.text == live.encoded.ids == codec("builtin").encode("8 boxes").ids


@pytest.mark.parametrize("lone_space", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_a_text_of_as_many_tokens_as_there_is_room_for_fits(kind: str, lone_space: bool) -> None:
    model = Reader(kind, lone_space=lone_space)
    prompts = Prompts(model, shown("The quick fox and so on."))
    model.context = len(prompts.asking("").prompted.head) + 300
    room = prompts.room()
    text = ""
    while len(model.encode(longer := f"{text} fox 400 and").ids) <= room:
        text = longer
    live = prompts.asking(text).prompted
    free = model.context - len(live.head) - len(live.tail) - len(live.text) - 64
    assert 0 <= free <= 40


LESSON = Lesson("Calculator", 'Write "{sum}".', ("There are 18 and 24 boxes, {18 + 24} 42 in all.",))
PINNED = "65004e7b628e29d1"


def test_the_built_in_model_reads_the_prompts_that_it_was_trained_on() -> None:
    """Its prompts ended in a space by itself: head, "Input: ", the text, "\\nOutput: ", and the text from its start."""
    model = Reader("builtin", lone_space=True)
    for lesson in (LESSON, *builtin_lessons().values()):
        for text in TEXTS:
            live = Prompts(model, lesson).asking(text)
            head = "".join(part.text for part in lesson.head(CallSyntax.TEXT))
            assert live.prompted.head == model.encode_parts([Part(head)])
            assert live.prompted.tail == model.encode_parts([Part(f"Input: {text}\nOutput: ")])
            assert live.encoded == model.encode(text)
            assert live.prompted.text == live.encoded.ids
    ids = Prompts(model, LESSON).asking("There are 5 and 7 boxes.").prompted
    # Of the ids that its own code made, when the seam was not yet a choice.
    said = hashlib.sha256(repr((ids.head, ids.tail, ids.text)).encode()).hexdigest()
    assert said[:16] == PINNED


def test_the_built_in_model_says_so_itself() -> None:
    from toolformer import load

    assert load("builtin").lone_space
