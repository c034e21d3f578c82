import json
import re
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.annotated_sample import call, kept, write_folder
from toolformer.calls import Call
from toolformer.data_gen.annotated_folder import KeptCall, KeptText, Numbers
from toolformer.data_gen.export import BEGIN, CONTINUE, GO_ON, Arguments, Format, conversation, export, messages
from toolformer.errors import ConfigError, DataError

BORN = "It rained. Joe was born in Scranton, Pennsylvania, and is 78 now, twice 39."
TEST = "400 of 1400 (or 29%) passed."
RECORDS = [
    kept(
        "born",
        BORN,
        call(BORN, " Pennsylvania", "QA", "In which state is Scranton?", "Pennsylvania"),
        call(BORN, " 39", "Calculator", "78 / 2", "39", (1.5, 1.6, 0.9)),
        date="2021-03-09",
        url="https://example.org/",
    ),
    kept("test", TEST, call(TEST, "29%", "Calculator", "400 / 1400", "0.29")),
]
DESCRIPTIONS = {"QA": "Answers questions.", "Calculator": "Does sums."}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_folder(tmp_path / "run", RECORDS)


def rows(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text("utf-8").splitlines()]


def loaded(kind: str, file: Path, cache: Path) -> list[dict[str, Any]]:
    """The rows as a trainer gets them."""
    import datasets

    return list(datasets.load_dataset(kind, data_files=str(file), split="train", cache_dir=str(cache)))


def test_text_is_the_annotated_text(folder: Path, tmp_path: Path) -> None:
    assert export(folder, "text", tmp_path / "out.jsonl") == 2
    assert rows(tmp_path / "out.jsonl") == [{"text": record["annotated"]} for record in RECORDS]


def test_messages_by_example(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    export(folder, "messages", out, descriptions=DESCRIPTIONS)
    born, test = rows(out)

    def asks(name: str, tool: str, text: str) -> list[dict[str, object]]:
        return [{"id": name, "type": "function", "function": {"name": tool, "arguments": {"input": text}}}]

    assert born["messages"] == [
        {"role": "user", "content": "Continue this text:\n\nIt rained. "},
        {
            "role": "assistant",
            "content": "Joe was born in Scranton,",
            "tool_calls": asks("call00001", "QA", "In which state is Scranton?"),
        },
        {"role": "tool", "tool_call_id": "call00001", "name": "QA", "content": "Pennsylvania"},
        {
            "role": "assistant",
            "content": " Pennsylvania, and is 78 now, twice",
            "tool_calls": asks("call00002", "Calculator", "78 / 2"),
        },
        {"role": "tool", "tool_call_id": "call00002", "name": "Calculator", "content": "39"},
        {"role": "assistant", "content": " 39."},
    ]
    assert test["messages"][0] == {"role": "user", "content": "Write a text."}
    assert born["tools"] == test["tools"]
    assert born["tools"][0] == {
        "type": "function",
        "function": {
            "name": "Calculator",
            "description": "Does sums.",
            "parameters": {
                "type": "object",
                "properties": {"input": {"type": "string", "description": "What to ask the tool."}},
                "required": ["input"],
            },
        },
    }
    assert [tool["function"]["name"] for tool in born["tools"]] == ["Calculator", "QA"]


def test_arguments_as_openai_takes_them(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    export(folder, "messages", out, arguments="string")
    asked = rows(out)[0]["messages"][1]["tool_calls"][0]["function"]["arguments"]
    assert asked == '{"input": "In which state is Scranton?"}'


def test_sharegpt_by_example(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    export(folder, "sharegpt", out, descriptions=DESCRIPTIONS)
    born = rows(out)[0]
    assert [(turn["from"], turn["value"]) for turn in born["conversations"]] == [
        ("human", "Continue this text:\n\nIt rained. Joe was born in Scranton,"),
        ("function_call", '{"name": "QA", "arguments": {"input": "In which state is Scranton?"}}'),
        ("observation", "Pennsylvania"),
        ("gpt", " Pennsylvania, and is 78 now, twice"),
        ("human", "Go on."),
        ("function_call", '{"name": "Calculator", "arguments": {"input": "78 / 2"}}'),
        ("observation", "39"),
        ("gpt", " 39."),
    ]
    assert [tool["description"] for tool in json.loads(born["tools"])] == ["Does sums.", "Answers questions."]


TEXTS = st.text(st.characters() | st.sampled_from(" .!?\n。"), max_size=60)


@st.composite
def kept_texts(draw: st.DrawFn) -> KeptText:
    text = draw(TEXTS)
    starts = sorted(draw(st.sets(st.integers(0, len(text)), min_size=1, max_size=4)))
    numbers = Numbers(0.5, 2.0, None, 1.0, 1.0)
    calls = tuple(KeptCall(Call("QA", draw(TEXTS), draw(TEXTS)), start, numbers) for start in starts)
    return KeptText("id", text, text, None, None, calls)


@settings(deadline=None)
@given(kept_texts())
def test_messages_hold_the_text_and_every_call(text: KeptText) -> None:
    first, *rest = messages(text)
    opening = str(first["content"])
    assert opening == BEGIN or opening.startswith(CONTINUE)
    said = [str(one["content"]) for one in rest if one["role"] == "assistant"]
    assert opening.removeprefix(BEGIN).removeprefix(CONTINUE) + "".join(said) == text.text
    assert [one["role"] for one in rest] == ["assistant", "tool"] * len(text.calls) + ["assistant"]
    answers = [one for one in rest if one["role"] == "tool"]
    assert [one["content"] for one in answers] == [one.call.result for one in text.calls]
    asked = [one["tool_calls"] for one in rest if "tool_calls" in one]
    assert [one[0]["id"] for one in asked] == [one["tool_call_id"] for one in answers]  # type: ignore[index]
    assert [one[0]["function"]["arguments"]["input"] for one in asked] == [  # type: ignore[index]
        one.call.input for one in text.calls
    ]
    assert all(re.fullmatch("[a-z0-9]{9}", str(one["tool_call_id"])) for one in answers)


@settings(deadline=None)
@given(kept_texts())
def test_a_conversation_alternates_and_holds_the_text(text: KeptText) -> None:
    turns = conversation(text)
    speakers = [turn["from"] for turn in turns]
    assert speakers == ["human", "function_call", "observation", "gpt"] * len(text.calls)
    opening = str(turns[0]["value"]).removeprefix(BEGIN).removeprefix(CONTINUE)
    assert opening + "".join(str(turn["value"]) for turn in turns if turn["from"] == "gpt") == text.text
    assert all(turn["value"] == GO_ON for turn in turns[4:] if turn["from"] == "human")
    asked = [json.loads(str(turn["value"])) for turn in turns if turn["from"] == "function_call"]
    assert [one["arguments"]["input"] for one in asked] == [one.call.input for one in text.calls]


@pytest.mark.parametrize(
    ("before", "user"),
    [
        ("One. Two three", "One. "),
        ("He said “No.” Then 3.5 m", "He said “No.” "),
        ("Line\nnext", "Line\n"),
        ("雨だ。次は", "雨だ。"),
        ("All of it. ", "All of it. "),
    ],
)
def test_the_user_gives_the_whole_sentences_before_the_first_call(before: str, user: str) -> None:
    one = KeptCall(Call("QA", "q", "a"), len(before), Numbers(None, None, None, None, None))
    said = messages(KeptText("id", before + " end", "", None, None, (one,)))
    assert said[0]["content"] == CONTINUE + user
    assert said[1]["content"] == before.removeprefix(user)


# What many templates do: tools and arguments as JSON, a call's words before it, results under a role of their own.
TEMPLATE = """
{%- for tool in tools %}T:{{ tool | tojson }}
{% endfor -%}
{%- for message in messages -%}
[{{ message.role }}]{{ message.content }}
{%- for call in message.tool_calls or [] -%}
<call>{"name": "{{ call.function.name }}", "arguments": {{ call.function.arguments | tojson }}}</call>
{%- endfor -%}
{%- endfor -%}
"""


def test_messages_load_and_a_chat_template_renders_them(folder: Path, tmp_path: Path) -> None:
    import tokenizers
    import transformers

    out = tmp_path / "out.jsonl"
    export(folder, "messages", out)
    row = loaded("json", out, tmp_path / "cache")[0]
    words = tokenizers.Tokenizer(tokenizers.models.WordLevel({"x": 0}, unk_token="x"))
    tokenizer: Any = transformers.PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=words, chat_template=TEMPLATE
    )
    written = tokenizer.apply_chat_template(row["messages"], tools=row["tools"], tokenize=False)
    assert written.count("T:{") == 2
    assert written.endswith(
        "[user]Continue this text:\n\nIt rained. "
        "[assistant]Joe was born in Scranton,"
        '<call>{"name": "QA", "arguments": {"input": "In which state is Scranton?"}}</call>[tool]Pennsylvania'
        "[assistant] Pennsylvania, and is 78 now, twice"
        '<call>{"name": "Calculator", "arguments": {"input": "78 / 2"}}</call>[tool]39[assistant] 39.'
    )


def test_sharegpt_and_text_load(folder: Path, tmp_path: Path) -> None:
    for name in ("sharegpt", "text"):
        out = tmp_path / f"{name}.jsonl"
        export(folder, name, out)
        assert loaded("json", out, tmp_path / "cache") == rows(out)


def test_parquet_loads_with_all_fields(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.parquet"
    assert export(folder, "parquet", out) == 2
    born, test = loaded("parquet", out, tmp_path / "cache")
    for record in (born, test):
        assert [(call.pop("chain"), call.pop("uses")) for call in record["calls"]] == [(1, [])] * len(record["calls"])
    assert born == RECORDS[0]
    assert test == {**RECORDS[1], "date": None, "url": None}


def test_a_large_corpus_is_written_group_by_group(tmp_path: Path) -> None:
    import pyarrow.parquet

    folder = write_folder(tmp_path / "run", [{**RECORDS[1], "id": str(n)} for n in range(2500)])
    assert export(folder, "parquet", tmp_path / "out.parquet") == 2500
    written = pyarrow.parquet.ParquetFile(tmp_path / "out.parquet")
    assert [written.metadata.row_group(n).num_rows for n in range(3)] == [1000, 1000, 500]
    assert [row["id"] for row in written.read(["id"]).to_pylist()] == [str(n) for n in range(2500)]


NASTY = 'line\u2028end\r\n\0 </s><|im_end|> <API> "quoted" \\ 👩‍🚀 lone \ud800 29%'


@pytest.mark.parametrize("name", [name for name in get_args(Format) if name not in ("preference", "kto")])
def test_nasty_text_comes_through(tmp_path: Path, name: Format) -> None:
    one = call(NASTY, "29%", "Calculator", NASTY, NASTY)
    folder = write_folder(tmp_path / "run", [kept(NASTY, NASTY, one)])
    out = tmp_path / "out"
    export(folder, name, out)
    (row,) = loaded("parquet" if name == "parquet" else "json", out, tmp_path / "cache")
    said = {
        "text": lambda: row["text"],
        "messages": lambda: row["messages"][1]["tool_calls"][0]["function"]["arguments"]["input"],
        "sharegpt": lambda: json.loads(row["conversations"][1]["value"])["arguments"]["input"],
        "parquet": lambda: row["calls"][0]["result"],
    }[name]()
    expected = kept("", NASTY, one)["annotated"] if name == "text" else NASTY
    assert said == str(expected).replace("\ud800", "\ufffd")


def test_an_unknown_format_is_said(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"called 'mesages': did you mean messages\?.* parquet, preference, share"):
        export(folder, "mesages", tmp_path / "out")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="no form of arguments is called 'json'"):
        export(folder, "messages", tmp_path / "out", arguments="json")  # type: ignore[arg-type]
    assert get_args(Arguments) == ("object", "string")
    assert not (tmp_path / "out").exists()


def test_nothing_to_export_is_said(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "run", [])
    with pytest.raises(DataError, match="holds no kept text"):
        export(folder, "text", tmp_path / "out")
    with pytest.raises(DataError, match="is no annotated corpus"):
        export(tmp_path / "elsewhere", "text", tmp_path / "out")


@pytest.mark.parametrize("name", get_args(Format))
def test_a_damaged_corpus_leaves_the_earlier_file(folder: Path, tmp_path: Path, name: Format) -> None:
    out = tmp_path / "out"
    out.write_text("earlier")
    with (folder / "kept" / "00000.jsonl").open("a") as file:
        file.write("torn")
    with pytest.raises(DataError, match="line 3 is damaged"):
        export(folder, name, out)
    assert out.read_text() == "earlier"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "run"]


def test_tools_are_known_without_a_funnel(folder: Path, tmp_path: Path) -> None:
    (folder / "shards" / "00000.json").unlink()
    (folder / "funnel.json").unlink()
    export(folder, "messages", tmp_path / "out")
    tools = rows(tmp_path / "out")[0]["tools"]
    assert [tool["function"]["description"] for tool in tools] == [
        "Calculator answers a text with a text.",
        "QA answers a text with a text.",
    ]
