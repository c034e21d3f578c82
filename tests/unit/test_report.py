import json
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.annotated_sample import call, kept, rejected, write_folder
from toolformer.calls import Call, CallSyntax
from toolformer.data_gen.corpus_report import BESIDE, EXAMPLES, Gains, Sample, kind_of, write_report
from toolformer.data_gen.kept_rows import kept_row, rejected_row
from toolformer.data_gen.records import Annotated, Candidate, Document, EncodedText, Losses, Place, Rejected
from toolformer.errors import ConfigError, DataError
from toolformer.lm import Encoded
from toolformer.tool import DocumentFacts

TEXT = "Out of 1400 participants, 400 (or 29%) passed the test."
CALL = call(TEXT, "29%", "Calculator", "400 / 1400", "0.29")


def content(page: Path) -> dict[str, object]:
    """What the page draws."""
    found = re.search(
        r'<script id="content" type="application/json">(.*?)</script>', page.read_text("utf-8"), re.DOTALL
    )
    assert found
    value = json.loads(found[1])
    assert isinstance(value, dict)
    return value


def shown(page: Path, what: str) -> list[dict[str, object]]:
    part = content(page)[what]
    assert isinstance(part, dict)
    records = part["shown"]
    assert isinstance(records, list)
    return records


def report(folder: Path, *arguments: object, limit: int = 2000) -> Path:
    write_folder(folder, *arguments)  # type: ignore[arg-type]
    return write_report(folder, limit=limit)


def test_a_text_is_cut_at_its_calls(tmp_path: Path) -> None:
    page = report(tmp_path / "run", [kept("a", TEXT, CALL, date="2021-03-09")])
    assert page == tmp_path / "run" / "report.html"
    (text,) = shown(page, "texts")
    assert text["pieces"] == ["Out of 1400 participants, 400 (or ", "29%) passed the test."]
    assert text["about"] == ["2021-03-09"]
    assert text["calls"] == [
        {
            "tool": "Calculator", "input": "400 / 1400", "result": "0.29", "p_open": 0.31,
            "loss_plain": 4.1, "loss_call": 3.8, "loss_result": 1.2, "gain": 2.6,
        }
    ]  # fmt: skip


def test_a_loss_that_was_not_asked_for_is_left_out(tmp_path: Path) -> None:
    one = rejected("a", "400 (or 29%)", 8, "Calculator", "filter", "gains less than 1", loss_plain=0.5, loss_result=0.1)
    (seen,) = shown(report(tmp_path / "run", [kept("a", TEXT, CALL)], [one]), "rejected")
    assert seen["near"] == ["400 (or ", "29%)"]
    assert {"loss_call", "gain"}.isdisjoint(seen)


NASTY = [
    "</script><script>document.title='owned'</script>",
    "<!-- <script>",
    "]]> &lt; & \" ' ` ${1} $content",
    "nul \0 and \x1b[31m",
    "\u202eright to left\u2066 \u200b",
    "👩‍🚀 lone \ud800 surrogate",
    "\u2028\u2029",
]


@pytest.mark.parametrize("nasty", NASTY, ids=ascii)
def test_no_text_can_leave_its_place(tmp_path: Path, nasty: str) -> None:
    text = f"{nasty} 29% {nasty}"
    one = call(text, "29%", "Calculator", nasty, nasty)
    page = report(
        tmp_path / "run",
        [kept(nasty, text, one, date=nasty, url=nasty)],
        [rejected(nasty, nasty, 0, "Calculator", "execute", nasty, input=nasty)],
    )
    source = page.read_bytes()
    assert source.count(b"<script") == source.count(b"</script") == 2
    (seen,) = shown(page, "texts")
    assert seen["pieces"] == [f"{nasty} ", f"29% {nasty}"]
    assert seen["id"] == nasty


@settings(deadline=None)
@given(st.text(st.characters()))
def test_any_text_comes_back(text: str) -> None:
    from toolformer.data_gen.corpus_report import _page

    page = _page({"text": text})
    (embedded,) = re.findall(r'application/json">(.*?)</script>', page)
    assert json.loads(embedded) == {"text": text}
    assert embedded.isascii()
    assert not set(embedded) & set("<>&")


def test_the_page_may_run_its_own_script_and_load_nothing(tmp_path: Path) -> None:
    source = report(tmp_path / "run", [kept("a", TEXT, CALL)]).read_text("utf-8")
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', source)
    assert policy
    assert re.sub(r"sha256-\S{44}'", "HASH'", policy[1]) == (
        "default-src 'none'; style-src 'HASH'; script-src 'HASH'; base-uri 'none'; form-action 'none'"
    )
    assert re.findall(r"(?:src|href)\s*=|@import|url\(", source) == []


def test_a_long_stretch_is_shown_by_its_ends(tmp_path: Path) -> None:
    text = "x" * 1_000_000 + "29% of it"
    page = report(tmp_path / "run", [kept("a", text, call(text, "29%", "Calculator", "1", "29%"))])
    (seen,) = shown(page, "texts")
    assert seen["pieces"] == [["x" * BESIDE, 1_000_000 - 2 * BESIDE, "x" * BESIDE], "29% of it"]
    assert page.stat().st_size < 60_000


def test_a_limit_shows_some_and_counts_all(tmp_path: Path) -> None:
    texts = [kept(f"text {n}", TEXT, CALL) for n in range(50)]
    others = [rejected(f"text {n}", "near", 2, "QA", "execute", f"no page fits '{n}'") for n in range(50)]
    first = report(tmp_path / "a", texts, others, limit=10)
    ids = [text["id"] for text in shown(first, "texts")]
    assert len(ids) == 10
    assert ids == sorted(ids, key=lambda name: int(str(name).split()[1])) != [f"text {n}" for n in range(10)]
    everything = content(first)
    assert everything["texts"]["total"] == 50  # type: ignore[index]
    assert everything["rejected"]["total"] == 50  # type: ignore[index]
    assert len(shown(first, "rejected")) == 10
    again = report(tmp_path / "b", texts[::-1], others, limit=10)
    assert {text["id"] for text in shown(again, "texts")} == set(ids)


def test_a_rare_reason_is_shown_beside_a_common_one(tmp_path: Path) -> None:
    common = [rejected(f"text {n}", "near", 2, "QA", "sample", "malformed: x") for n in range(300)]
    rare = rejected("text", "near", 2, "QA", "execute", "division by zero")
    page = report(tmp_path / "run", [kept("a", TEXT, CALL)], [*common, rare], limit=150)
    kinds = [one["kind"] for one in shown(page, "rejected")]
    assert (kinds.count("malformed"), kinds.count("division by zero")) == (EXAMPLES, 1)
    assert content(page)["rejected"]["groups"] == [  # type: ignore[index]
        {"tool": "QA", "stage": "sample", "kind": "malformed", "count": 300},
        {"tool": "QA", "stage": "execute", "kind": "division by zero", "count": 1},
    ]


def test_failures_of_tools_are_grouped_by_their_kind_or_by_what_the_tool_says(tmp_path: Path) -> None:
    others = [
        rejected("a", "near", 2, "Wiki", "execute", "Wiki: nothing found for 'cho'", kind="nothing found"),
        rejected("a", "near", 2, "Wiki", "execute", "Wiki: nothing found about 'cha'", kind="nothing found"),
        rejected("a", "near", 2, "Wiki", "execute", "Wiki: a.example answers 503", kind="unavailable"),
        rejected("a", "near", 2, "Wiki", "execute", "Wiki: the query is empty", kind="refused"),
        rejected("a", "near", 2, "Wiki", "execute", "Wiki: the query has 999 characters"),  # of an earlier program
    ]
    groups = content(report(tmp_path / "run", [kept("a", TEXT, CALL)], others))["rejected"]["groups"]  # type: ignore[index]
    assert {(one["kind"], one["count"]) for one in groups} == {
        ("nothing found", 2),
        ("unavailable", 1),
        ("the query is empty", 1),
        ("the query has # characters", 1),
    }


def test_reasons_that_are_all_different_do_not_fill_the_memory(tmp_path: Path) -> None:
    letters = [f"{chr(97 + n % 26)}{chr(97 + n // 26)}" for n in range(400)]
    others = [rejected("a", "near", 2, "QA", "execute", f"cannot {word}") for word in letters]
    groups = content(report(tmp_path / "run", [kept("a", TEXT, CALL)], others))["rejected"]["groups"]  # type: ignore[index]
    assert groups[0] == {"tool": "QA", "stage": "execute", "kind": "other reasons", "count": 100}
    assert len(groups) == 301


@pytest.mark.parametrize(
    ("reason", "kind"),
    [
        ("not closed within 64 tokens: 12 + 3 is", "not closed within # tokens"),
        ("'x: y' is no number: write digits", "… is no number"),
        ("gains less than 0.5 after a cost of 1", "gains less than 0.5 after a cost of 1"),
        ("gains less than 12.5", "gains less than 12.5"),
        ("the tool's answer isn't text", "the tool's answer isn't text"),
        ("call and text do not fit 1,024 tokens", "call and text do not fit # tokens"),
    ],
)
def test_kinds_of_reason(reason: str, kind: str) -> None:
    assert kind_of(reason) == kind


def test_gains_are_counted_on_the_right_side_of_a_threshold() -> None:
    gains = Gains()
    for gain in (0.3, 0.29999, 0.7, 1.1):
        gains.add("QA", True, gain)
    gains.add("QA", False, -0.05)
    gains.add("QA", False, None)
    bars = gains.histogram()
    assert (bars["first"], bars["width"]) == (-0.1, 0.1)
    # From -0.1:          -.1  0 .1 .2 .3 .4 .5 .6 .7 .8 .9  1 1.1
    assert bars["tools"] == {"QA": {"kept": [0, 0, 0, 1, 1, 0, 0, 0, 1, 0, 0, 0, 1], "rejected": [1] + [0] * 12}}


def test_gains_far_out_are_counted_at_the_ends_and_bars_stay_few() -> None:
    gains = Gains()
    for gain in (-1e308, 0.0, 1e308):
        gains.add("QA", True, gain)
    bars = gains.histogram()
    assert (bars["first"], bars["width"]) == (-5.0, 1.0)
    assert bars["tools"] == {"QA": {"kept": [1, *[0] * 4, 1, *[0] * 19, 1]}}


@settings(deadline=None)
@given(st.lists(st.floats(-6, 22), min_size=1))
def test_every_gain_is_in_one_bar(gains: list[float]) -> None:
    counted = Gains()
    for gain in gains:
        counted.add("QA", True, gain)
    bars = counted.histogram()["tools"]
    assert isinstance(bars, dict)
    assert sum(bars["QA"]["kept"]) == len(gains)
    assert len(bars["QA"]["kept"]) <= Gains.BARS + 1


def test_a_sample_does_not_make_what_it_does_not_take() -> None:
    made: list[str] = []

    def make(name: str) -> dict[str, object]:
        made.append(name)
        return {"name": name}

    sample = Sample(3)
    for n in range(1000):
        sample.offer(str(n), lambda n=n: make(str(n)))  # type: ignore[misc]
    assert len(sample.chosen()) == 3
    assert len(made) < 100


def test_an_empty_corpus_has_a_report(tmp_path: Path) -> None:
    page = report(tmp_path / "run", [])
    assert content(page)["tools"] == []


def test_a_damaged_folder_is_said_with_its_line(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "run", [kept("a", TEXT, CALL)])
    file = folder / "kept" / "00000.jsonl"
    file.write_text(file.read_text() + '{"id": "b", "text": ', "utf-8")
    with pytest.raises(DataError, match=r"00000.jsonl, line 2 is damaged"):
        write_report(folder)
    assert list(folder.glob("*report*")) == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"text": 3}, "'text' should be text, not '3'"),
        ({"calls": None}, "'calls' should be a list"),
        ({"calls": [{**CALL, "start": 1000}]}, "'start' should be a whole number up to 55"),
        ({"calls": [{**CALL, "gain": float("nan")}]}, "'gain' should be a number, not 'nan'"),
        ({"calls": [{**CALL, "start": True}]}, "'start' should be a whole number"),
        ({"calls": [3]}, "holds no JSON object"),
    ],
)
def test_a_field_of_the_wrong_kind_is_said(tmp_path: Path, change: dict[str, object], message: str) -> None:
    folder = write_folder(tmp_path / "run", [])
    (folder / "kept" / "00000.jsonl").write_text(json.dumps({**kept("a", TEXT, CALL), **change}) + "\n", "utf-8")
    with pytest.raises(DataError, match=re.escape(message)):
        write_report(folder)


def test_what_is_no_annotated_corpus_is_said(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"is no annotated corpus: it has no folder kept/\. `toolformer annotate"):
        write_report(tmp_path)
    with pytest.raises(DataError, match="it is no folder"):
        write_report(tmp_path / "nowhere")


def test_a_shard_that_is_not_finished_is_not_read(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "run", [kept("a", TEXT, CALL)])
    (folder / "kept" / "00001.jsonl").write_text("torn", "utf-8")
    assert [text["id"] for text in shown(write_report(folder), "texts")] == ["a"]


def test_a_copy_without_its_shards_is_read(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "run", [kept("a", TEXT, CALL)])
    (folder / "shards" / "00000.json").unlink()
    page = write_report(folder, tmp_path / "elsewhere.html")
    assert content(page)["documents"] is None
    assert content(page)["funnel"]["Calculator"]["kept"] == 1  # type: ignore[index]


def test_a_report_of_nothing_and_a_report_nowhere_are_refused(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "run", [kept("a", TEXT, CALL)])
    with pytest.raises(ConfigError, match="limit is 0"):
        write_report(folder, limit=0)
    with pytest.raises(ConfigError, match="is a folder: name a file"):
        write_report(folder, tmp_path)
    with pytest.raises(ConfigError, match="there is no folder"):
        write_report(folder, tmp_path / "no" / "page.html")
    with pytest.raises(DataError, match=r"cannot write .*File name too long"):
        write_report(folder, tmp_path / ("x" * 255))


def test_the_rows_that_a_run_writes_are_read(tmp_path: Path) -> None:
    document = Document("a", TEXT, DocumentFacts(url="https://example.org/"))
    text = EncodedText(document, Encoded((1, 2), (0, TEXT.index("29%"))), (-1.0, -2.0))
    place, ran = Place(text, "Calculator", 1, None), Call("Calculator", "400 / 1400", "0.29")
    annotated = Annotated(document, (Candidate(place, ran, Losses(3.0, 2.5, 1.75)),))
    others = [
        Rejected(place, "sample", "malformed: x"),
        Rejected(place, "filter", "gains less than 1", ran, Losses(3.0, None, 2.5)),
    ]
    texts = [dict(kept_row(annotated, CallSyntax.TEXT))]
    page = report(tmp_path / "run", texts, [dict(rejected_row(one)) for one in others])
    (seen,) = shown(page, "texts")
    assert seen["pieces"] == ["Out of 1400 participants, 400 (or ", "29%) passed the test."]
    assert seen["calls"] == [
        {
            "tool": "Calculator", "input": "400 / 1400", "result": "0.29",
            "loss_plain": 3.0, "loss_call": 2.5, "loss_result": 1.75, "gain": 0.75,
        }
    ]  # fmt: skip
    unscored, scored = sorted(shown(page, "rejected"), key=lambda one: str(one["stage"]), reverse=True)
    assert unscored["near"] == scored["near"] == ["Out of 1400 participants, 400 (or ", "29%) passed the test."]
    assert unscored["input"] is None
    assert (scored["result"], scored["gain"]) == ("0.29", 0.5)
