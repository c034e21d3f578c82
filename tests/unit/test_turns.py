"""Texts that ask and answer, learnt as turns of a chat: a row reads what `chat` sends, and says the answer."""

from dataclasses import replace
from pathlib import Path

import pytest

from tests import tiny_models
from tests.fakes import ScriptedLM
from tests.finetune_texts import SMALL, text, texts
from tests.unit.test_model import TEMPLATE
from toolformer.calls import CallSyntax
from toolformer.chat import Chat, Turn, conversation
from toolformer.decode.decoder import Decoder
from toolformer.decode.options import Options
from toolformer.errors import ConfigError
from toolformer.finetune import train
from toolformer.finetune.mixture import PlainText, choose, make_rows
from toolformer.finetune.training_rows import RowMaker
from toolformer.finetune.turns import answer_at
from toolformer.hf.encode import Codec
from toolformer.toolbox import Toolbox

TOKENS = CallSyntax.TOKENS
ASKED = "Ann had 4 cups and bought 3. How many are there?"
ONE = text(f"{ASKED} The answer is 7.", (" 7.", "4 + 3", "7"))


def codec() -> Codec:
    tokenizer = tiny_models.own_tokenizer()
    tokenizer.add_tokens([*TOKENS.control_tokens], special_tokens=True)
    tokenizer.chat_template = TEMPLATE
    return Codec(tokenizer, "tiny")


def maker(most: int = 128, **more: object) -> RowMaker:
    return RowMaker(codec(), TOKENS, most, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("said", "first", "answer"),
    [
        ("How many? Seven.", None, "Seven."),
        ("Who? Ann. How many?  Seven.", None, "Seven."),
        ("How many? 7 or 8? It is 8.", 9, " 7 or 8? It is 8."),
        ("How many? 7.", 9, " 7."),  # the call stands before the space of its word
        ("Write a line.\nHere it is.", None, "Here it is."),
        ("Really?\nYes.\nNo.", None, "Yes.\nNo."),
        ("One line.\nTwo.\nThree.", None, None),
        ("Is the url a?b=c of it.", None, None),
        ("Nothing is asked.", None, None),
        ("And who is it?", None, None),
        ("And who is it? ", None, None),
        ("\nOne line.", None, None),
        ("", None, None),
    ],
)
def test_where_an_answer_begins(said: str, first: int | None, answer: str | None) -> None:
    at = answer_at(said, len(said) if first is None else first)
    assert (said[at:] if at else None) == answer


def test_a_row_reads_what_a_chat_sends_and_says_the_answer_up_to_the_end_of_its_turn() -> None:
    model, own = ScriptedLM(), codec()
    for name in ("encode", "encode_parts", "frame_turns", "decode"):
        setattr(model, name, getattr(own, name))
    chat = Chat(Decoder(model, Toolbox(), TOKENS), None, Options())
    sent = conversation(chat._decoder, [Turn("user", ASKED)], chat.options)
    row = maker().with_calls(ONE, turns=True)
    assert tuple(row.ids[: len(sent)]) == sent
    assert own.decode(row.ids[len(sent) :]) == "The answer is<API> Calculator(4 + 3)→ 7</API> 7.</s>"
    assert row.ignored == frozenset(range(1, len(sent)))
    assert row.own == len(sent)  # the way to the call is learnt, too


def test_without_calls_and_where_nothing_was_decided_places_are_those_of_the_answer() -> None:
    undecided = {ONE.text: {ONE.text.index(" cups"), ONE.text.index(" answer")}}
    made = maker(undecided=undecided)
    with_call, without = made.with_calls(ONE, turns=True), made.without_calls(ONE, turns=True)
    said = [[codec().decode(row.ids[at:]).strip() for at in sorted(row.quiet)] for row in (with_call, without)]
    assert said == [["answer is<API> Calculator(4 + 3)→ 7</API> 7.</s>"], ["answer is 7.</s>", "7.</s>"]]


def test_what_asks_nothing_or_asks_too_long_is_learnt_as_a_text() -> None:
    made, other = maker(), text("There are 7.", (" 7.", "4 + 3", "7"))
    assert made.with_calls(other, turns=True) == made.with_calls(other)
    short = maker(24)
    assert short.with_calls(ONE, turns=True) == short.with_calls(ONE)


def test_a_share_of_the_texts_is_learnt_as_turns() -> None:
    asked = [
        text(f"How many are {n} + 1? They are {n + 1}.", (f" {n + 1}.", f"{n} + 1", f"{n + 1}")) for n in range(200)
    ]
    chosen = choose(asked, ["Who are you? I am a text.", "And this is one."], replace(SMALL, held_out=0.0))
    for share, least, most in ((0.0, 0, 0), (0.25, 35, 65), (1.0, 201, 201)):
        config = replace(SMALL, turns=share, without_calls=0.0)
        turned = [row for row in make_rows(chosen, maker(), config).rows if row.ignored]
        assert least <= len(turned) <= most
    control = make_rows(chosen, maker(), replace(SMALL, turns=1.0, control=True))
    assert sum(bool(row.ignored) for row in control.rows) == 201


def test_a_model_without_a_chat_template_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"builtin has no chat template: it chats in plain text"):
        train(texts(), tmp_path / "run", config=replace(SMALL, turns=0.5))
    with pytest.raises(ConfigError, match=r"turns=2: it has to be from 0 to 1"):
        replace(SMALL, turns=2).check()


def test_a_plain_text_that_asks_teaches_to_answer_without_a_call() -> None:
    row = maker().without_calls(PlainText("Who are you? I am a text."), turns=True)
    assert codec().decode(row.ids) == "<s>user: Who are you?</s><s>assistant:I am a text.</s>"
    assert row.own == len(row.ids)
