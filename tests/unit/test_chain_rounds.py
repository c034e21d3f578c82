"""Rounds over a text: in the second, the calls of the first stand in it, and a call can use their results."""

import datetime
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.fakes import ScriptedLM
from tests.unit.test_annotator import PAPER, TextLM
from toolformer import Call, CallSyntax, ConfigError, DocumentFacts, Toolbox
from toolformer.data_gen.annotated_folder import AnnotatedFolder
from toolformer.data_gen.annotating import annotate
from toolformer.data_gen.annotators import make_annotators
from toolformer.data_gen.chain import latest, with_calls, with_results
from toolformer.data_gen.kept_rows import kept_row, rejected_row
from toolformer.data_gen.lessons import Lesson
from toolformer.data_gen.lessons.proposals import Proposed
from toolformer.data_gen.merge import merge
from toolformer.data_gen.method import Method
from toolformer.data_gen.pipeline import CALL_TOKENS, Annotator
from toolformer.data_gen.records import Annotated, Candidate, Document, EncodedText, Losses, Place, Rejected
from toolformer.data_gen.samplers.prompts import Prompts
from toolformer.data_gen.samplers.rules import RuleSampler
from toolformer.data_gen.samplers.server import Server
from toolformer.data_gen.samplers.server_client import Client
from toolformer.errors import DataError
from toolformer.lm import Encoded
from toolformer.loading import Loading
from toolformer.tools.calculator import Calculator
from toolformer.tools.dates import Calendar, Dates

TEXT = "Of 7 boxes, 3 are red, a share of about 0.43, and of 100 boxes 42.86 would be."
"""42.86 is a hundred times the share as the tool gives it; as the text rounds it, it is not."""
SHARE, ALL = TEXT.index(" 0.43"), TEXT.index(" 42.86")
SUMS = replace(PAPER, when="any", where="number", propose="calculations")
CHAINED = Method(filtering_threshold="lesson", chain=2)


class Exact(Calculator):
    """One that gives a share of four digits, which the text rounds to two."""

    def __call__(self, text: str, /) -> str:
        return "0.4286" if text == "3 / 7" else super().__call__(text)


def loss(prefix: str, text: str, position: int) -> float:
    """Low where the right call stands with its result before the text, and its number comes next."""
    called = text[position:]
    share = "(3 / 7) -> " in prefix and called.startswith(" 0.43")
    return 0.5 if share or ("(100 * 0.4286) -> " in prefix and called.startswith(" 42.86")) else 2.0


def annotated(
    method: Method = CHAINED, model: ScriptedLM | None = None, text: str = TEXT
) -> tuple[list[Annotated], list[Rejected]]:
    model = model or TextLM(loss=loss)
    with Toolbox([Exact()]) as box:
        annotator = Annotator(model, box, [SUMS], method, sampler=RuleSampler(model))
        return annotator.annotate(annotator.read([Document("d", text)]))


def inputs(found: Sequence[Annotated]) -> list[str]:
    return [one.call.input for text in found for one in text.calls]


def records(found: Annotated) -> list[dict[str, Any]]:
    """The calls of a text as they are written."""
    row: dict[str, Any] = json.loads(json.dumps(kept_row(found, CallSyntax.TEXT)))
    return list(row["calls"])


def test_a_second_call_uses_a_result_that_the_text_does_not_say() -> None:
    assert inputs(annotated(replace(CHAINED, chain=1))[0]) == ["3 / 7"]
    (found,), _ = annotated()
    assert [(one.call, one.place.start) for one in found.calls] == [
        (Call("Calculator", "3 / 7", "0.4286"), SHARE),
        (Call("Calculator", "100 * 0.4286", "42.86"), ALL),
    ]
    first, second = records(found)
    assert (second["chain"], second["uses"]) == (2, [0])
    assert not {"chain", "uses"} & {*first}


def test_the_second_call_is_judged_with_the_first_and_its_result_before_the_place() -> None:
    read: list[tuple[str, str, str]] = []

    def noted(prefix: str, text: str, position: int) -> float:
        read.append((prefix, text[:position], text[position:]))
        return loss(prefix, text, position)

    annotated(model=TextLM(loss=noted))
    judged = [(before, after) for prefix, before, after in read if "(100 * 0.4286) -> 42.86" in prefix]
    before = f"{TEXT[:SHARE]} [Calculator(3 / 7) -> 0.4286]{TEXT[SHARE:ALL]}"
    assert judged == [(before, TEXT[ALL:])] * len(judged)
    assert judged


def test_it_is_ranked_there_too() -> None:
    behind: list[str] = []

    def writes(prompt: str, call: str) -> float:
        if "0.4286" in call:
            behind.append(prompt)
        return -1.0

    annotated(model=TextLM(loss=loss, writes=writes))
    assert behind
    assert all(one.endswith(f"[Calculator(3 / 7) -> 0.4286]{TEXT[SHARE:ALL]}") for one in behind)


def test_what_the_first_call_gives_away_needs_no_second() -> None:
    def known(prefix: str, text: str, position: int) -> float:
        there = "[Calculator(3 / 7)" in text[:position]
        return 0.6 if there and text[position:].startswith(" 42.86") else loss(prefix, text, position)

    assert inputs(annotated(model=TextLM(loss=known))[0]) == ["3 / 7"]


def test_every_call_ends_in_one_record_its_last() -> None:
    found, rejected = annotated()
    ended: list[Candidate | Rejected] = [*rejected, *found[0].calls]
    calls = [(one.place.start, one.call.input) for one in ended if one.call]
    assert len(calls) == len(set(calls))
    assert {rejected_row(one).get("chain", 1) for one in rejected} <= {1, 2}
    place = found[0].calls[0].place
    dropped = [
        Rejected(place, stage, "why", Call("Calculator", asked)) for stage, asked in (("rank", "1"), ("rank", "2"))
    ]
    again = [Rejected(place, "filter", "why", Call("Calculator", "2"))]
    assert latest([*dropped, Rejected(place, "sample", "malformed")], again, ()) == [
        dropped[0],
        Rejected(place, "sample", "malformed"),
        *again,
    ]


def test_rounds_end_where_no_text_gains_a_call() -> None:
    read: list[int] = []

    class Counting(TextLM):
        def log_probabilities(self, texts: Sequence[tuple[int, ...]]) -> list[list[float]]:
            read.append(len(texts))
            return super().log_probabilities(texts)

    model = Counting(loss=loss)
    assert inputs(annotated(replace(CHAINED, chain=9), model)[0]) == ["3 / 7", "100 * 0.4286"]
    assert len(read) <= 3  # one round for each call, and one that finds nothing


def test_a_text_without_room_for_another_call_is_not_read_again() -> None:
    model = TextLM(loss=loss)
    shown = sum(len(part.text) for part in SUMS.shown(CallSyntax.TEXT)) + len("Output:")
    room = len(TEXT) + max(CALL_TOKENS, shown + SUMS.max_tokens)
    assert inputs(annotated(model=replace(model, context=room + len(" [Calculator(3 / 7) -> 0.4286]")))[0]) == [
        "3 / 7",
        "100 * 0.4286",
    ]
    assert inputs(annotated(model=replace(model, context=room))[0]) == ["3 / 7"]


def test_the_model_itself_writes_a_second_call_behind_the_first() -> None:
    def says(behind: str, seed: int) -> str:
        return "100 * 0.4286)]" if "-> 0.4286]" in behind.rpartition("Output:")[2] else "3 / 7)]"

    model = TextLM(
        opens=lambda prompt, text, position: 0.5 if text[position:].startswith((" 0.43", " 42.86")) else 0.0,
        says=says,
        loss=loss,
    )
    with Toolbox([Exact()]) as box:
        annotator = Annotator(model, box, [PAPER], CHAINED)
        found, _ = annotator.annotate(annotator.read([Document("d", TEXT)]))
    assert [(one.call.input, one.place.start) for one in found[0].calls] == [("3 / 7", SHARE), ("100 * 0.4286", ALL)]


def with_call(text: str, *starts: int, result: str = "9", model: ScriptedLM | None = None) -> EncodedText:
    """A text of single characters in which calls stand."""
    model = model or TextLM()
    plain = EncodedText(Document("d", text), model.encode(text), None)
    calls = tuple(Candidate(Place(plain, "Calculator", at, None), Call("Calculator", "1", result)) for at in starts)
    encoded = with_calls(plain.encoded, calls, lambda call: model.encode(f"[{call.result}]").ids)
    return replace(plain, encoded=encoded, calls=calls)


def test_calls_stand_among_the_ids_before_their_token() -> None:
    model = TextLM()
    text = with_call("a b c", 1, 3, model=model)
    assert model.decode(text.encoded.ids) == "a[9] b[9] c"
    assert text.encoded.starts == (0, 1, 1, 1, 1, 2, 3, 3, 3, 3, 4)
    assert model.decode(text.encoded.ids[text.encoded.token_at(1) :]) == " b[9] c"  # behind the call
    cut = Encoded((1, 2, 3, 4), (0, 1, 1, 3))  # a character of two tokens is not parted, nor one token
    (one,) = with_call("abcd", 2).calls
    assert with_calls(cut, [one], lambda call: (9,)).ids == (1, 9, 2, 3, 4)
    assert with_calls(cut, [], lambda call: (9,)) == cut


@pytest.mark.parametrize(
    ("at", "takes"),
    [
        (0, False),  # before every call
        (2, False),  # where one stands
        (3, False),  # the same place: only a space lies between
        (4, True),
        (14, True),  # the window ends before the next call
        (16, False),  # the window would hold it
        (20, False),
        (22, True),  # behind the last
    ],
)
def test_where_a_text_takes_another_call(at: int, takes: bool) -> None:
    text = with_call("ab cd efgh ijkl mno pqr stu", 2, 19)
    assert text.takes_call(text.encoded.token_at(at)) is takes
    assert replace(text, calls=()).takes_call(0)


def test_rules_read_results_and_propose_nothing_inside_them() -> None:
    text = with_call("It was 5 of 20.", 6, result="5 (or so)")
    document, stands = with_results(text)
    assert document.text == "It was (5 (or so))  5 of 20."
    assert [text.document.text[at] for at in stands if at is not None] == list(text.document.text)
    assert {document.text[n] for n, at in enumerate(stands) if at is None} == set(" (5 (or so)) ")
    assert with_results(replace(text, calls=()))[0] is text.document
    read: list[str] = []

    def propose(document: Document) -> list[Proposed]:
        read.append(document.text)
        return [Proposed(document.text.index(word), "1") for word in ("5", "It", "20")]

    found = RuleSampler(TextLM()).calls([replace(SUMS, propose=propose)], [text], [])
    assert [one.place.following for one in found] == [" 20."]
    assert read == [document.text]


def test_calendar_then_dates() -> None:
    text = "It is Friday today, and the fair opens three days from now, on November 23 in town."
    (first, second) = text.index(" Friday"), text.index(" November")

    def told(prefix: str, said: str, position: int) -> float:
        known = " Friday" if "Friday, Nov" in prefix else " November" if "20, 2026) -> Nov" in prefix else None
        return 0.5 if known and said[position:].startswith(known) else 2.0

    calendar = Lesson("Calendar", "Ask.", ("It is {} Monday.",), where="date", propose="today", when="any")
    dates = Lesson("Dates", "Ask.", ("On {1 day after May 1, 2020} May 2",), where="date", propose="dates", when="any")
    model = TextLM(loss=told)
    with Toolbox([Calendar(), Dates()]) as box:
        sampler = RuleSampler(model)
        annotator = Annotator(model, box, [calendar, dates], CHAINED, sampler=sampler)
        facts = DocumentFacts(date=datetime.date(2026, 11, 20))
        (found,), _ = annotator.annotate(annotator.read([Document("d", text, facts)]))
    assert [(one.call.tool, one.place.start) for one in found.calls] == [("Calendar", first), ("Dates", second)]
    assert found.calls[1].call.input == "three days after November 20, 2026"
    assert records(found)[1]["uses"] == [0]


def test_a_call_that_stands_there_already_adds_nothing() -> None:
    text = with_call("a bc de fg hi jk", 1)
    place = Place(text, "Calculator", text.encoded.token_at(10), None)
    again = Candidate(place, Call("Calculator", " 1", "9"), Losses(5.0, 5.0, 0.1))
    rejected: list[Rejected] = []
    assert merge([again], [text], rejected) == []
    assert [one.reason for one in rejected] == ["the same call stands in the text already"]
    other = replace(again, call=Call("Calculator", "2", "9"))
    (found,) = merge([other], [text], [])
    assert found.calls == (*text.calls, other)


def test_a_run_with_chains_is_the_same_when_it_was_stopped(tmp_path: Path) -> None:
    model = TextLM(loss=loss)
    documents = [Document(str(n), TEXT) for n in range(5)]

    def run(out: Path, some: Sequence[Document], limit: int | None = None) -> dict[str, bytes]:
        annotate(
            some,
            [Exact()],
            out,
            model=model,
            sampler="rules",
            lessons=[SUMS],
            method=CHAINED,
            shard_size=2,
            limit=limit,
        )
        return {str(file.relative_to(out)): file.read_bytes() for file in sorted(out.rglob("*")) if file.is_file()}

    whole = run(tmp_path / "whole", documents)
    run(tmp_path / "stopped", documents, limit=3)
    assert run(tmp_path / "stopped", documents) == whole
    rows = [json.loads(line) for line in whole["kept/00000.jsonl"].splitlines()]
    assert [one.get("uses") for one in rows[0]["calls"]] == [None, [0]]
    kept = list(AnnotatedFolder(tmp_path / "whole").kept())
    assert [(one.chain, one.uses) for one in kept[0].calls] == [(1, ()), (2, (0,))]
    (tmp_path / "whole/kept/00000.jsonl").write_bytes(whole["kept/00000.jsonl"].replace(b"[0]", b"[1]"))
    with pytest.raises(DataError, match="'uses' should be a list of whole numbers below 1"):
        list(AnnotatedFolder(tmp_path / "whole").kept())


def test_rounds_are_one_at_least_and_not_for_chats() -> None:
    with pytest.raises(ConfigError, match="chain=0"), Toolbox([Calculator()]) as box:
        Annotator(TextLM(), box, [PAPER], Method(chain=0))
    server = Server("http://localhost:1/v1", "m", by="chat")
    with Client(server) as client, Toolbox([]) as box, pytest.raises(ConfigError, match="chain=2 is not for servers"):
        list(make_annotators(TextLM(), Loading(), client, box, [PAPER], CHAINED, 1))


def test_a_prompt_shows_the_calls_where_the_model_goes_on_and_nowhere_else() -> None:
    model = TextLM()
    text = with_call("a b c", 1, model=model)
    live = Prompts(model, PAPER).asking("a b c", text.calls)
    assert model.decode(live.prompted.tail).count("[Calculator(1)") == 0
    assert model.decode(live.prompted.text) == " a [Calculator(1) -> 9] b c"
