"""The kept texts in the forms that other programs train on. One text is one row; nothing is held but a row at a time.

    text       {"text": the annotated text}: for plain language-model training, calls and results included
    messages   {"messages": [...], "tools": [...]}: OpenAI's form, as TRL and chat templates read it
    sharegpt   {"conversations": [...], "tools": "..."}: human, function_call, observation, gpt, as in LLaMA-Factory
    parquet    all fields of the records, as a table
    preference {"prompt", "chosen", "rejected"}: as TRL's DPOTrainer reads it, and LLaMA-Factory with ranking: true
    kto        {"prompt", "completion", "label"}: the same, one by one, as TRL's KTOTrainer reads it

A plain text has no user. In the chat forms the user gives its beginning and asks for the rest; the assistant writes it
and calls tools where the annotation has them. What user and assistant say is the text, character for character.

- In `messages` the beginning is the whole sentences before the first call, so that the assistant's turn starts ahead of
  it: a model learns where a call belongs, not to begin every turn with one.
- `sharegpt` wants a turn of the user's before every call, and has no place for words between the two. There the user
  gives the whole text up to the first call, and asks to go on before each other one.

A lone surrogate, which is no character and which no other program would read, becomes U+FFFD.
"""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain, islice
from pathlib import Path
from typing import BinaryIO, Literal, get_args

from toolformer.calls import Call
from toolformer.data_gen.annotated_folder import AnnotatedFolder, KeptText, Numbers
from toolformer.data_gen.preference import preferences
from toolformer.errors import ConfigError, DataError, unknown_name
from toolformer.text_file import storable
from toolformer.whole_file import whole_file

Format = Literal["text", "messages", "sharegpt", "parquet", "preference", "kto"]
Arguments = Literal["object", "string"]
Json = dict[str, object]

CONTINUE = "Continue this text:\n\n"
BEGIN = "Write a text."
"""What the user says where no whole sentence stands before the first call."""
GO_ON = "Go on."

_SENTENCE_END = re.compile(r"[.!?…][\"'”’»)\]]*\s+|[。！？]+|\n+")
_GROUP = 1_000
"""Rows of one Parquet group: what is held in memory."""


def export(
    folder: Path,
    format: Format,  # noqa: A002 - the name of the flag
    out: Path,
    *,
    descriptions: Mapping[str, str] | None = None,
    arguments: Arguments = "object",
) -> int:
    """Write the kept texts of an annotated folder to one file, in full or not at all, and say how many rows there are.

    `descriptions` says of each tool what it does, for the chat forms. The `arguments` of a call in `messages` are an
    object, which chat templates need; with "string" they are the JSON text that OpenAI's own API takes.
    """
    source = AnnotatedFolder(folder)
    for what, name, known in (("format", format, Format), ("form of arguments", arguments, Arguments)):
        if name not in get_args(known):
            raise ConfigError(unknown_name(what, name, get_args(known)))
    texts = _some(source)
    with whole_file(out) as file:
        if format in ("preference", "kto"):
            return _write_lines(_compared(source, format), file)
        if format == "parquet":
            return _write_parquet(texts, file)
        return _write_lines(map(_row_maker(source, format, descriptions or {}, arguments), texts), file)


def _some(source: AnnotatedFolder) -> Iterator[KeptText]:
    """The kept texts, of which there must be one."""
    texts = source.kept()
    first = next(texts, None)
    if first is None:
        raise DataError(f"{source.path} holds no kept text: there is nothing to export. `toolformer report` says why")
    return chain([first], texts)


def _compared(source: AnnotatedFolder, format_: Format) -> Iterator[Json]:
    """The rows of the forms that compare two ways to go on; of these there must be one."""
    pairs = (pair for text, dropped in source.kept_with_rejected() for pair in preferences(text, dropped))
    if (first := next(pairs, None)) is None:
        raise DataError(
            f"{source.path} has no place where one way to go on was better than another: that takes rejected calls "
            "beside the kept ones. `toolformer report` shows both"
        )
    for pair in chain([first], pairs):
        if format_ == "preference":
            yield dict(vars(pair))
        else:
            yield {"prompt": pair.prompt, "completion": pair.chosen, "label": True}
            yield {"prompt": pair.prompt, "completion": pair.rejected, "label": False}


def _row_maker(
    source: AnnotatedFolder, format_: Format, descriptions: Mapping[str, str], arguments: Arguments
) -> Callable[[KeptText], Json]:
    names = source.funnel() or {call.call.tool for text in source.kept() for call in text.calls}
    tools = [_tool(name, descriptions.get(name, f"{name} answers a text with a text.")) for name in sorted(names)]
    if format_ == "messages":
        return lambda text: {
            "messages": messages(text, arguments),
            "tools": [{"type": "function", "function": tool} for tool in tools],
        }
    if format_ == "sharegpt":
        return lambda text: {"conversations": conversation(text), "tools": json.dumps(tools, ensure_ascii=False)}
    return lambda text: {"text": text.annotated}


def _tool(name: str, description: str) -> Json:
    """A tool as JSON schema. All take one text, so that all rows have one schema."""
    properties = {"input": {"type": "string", "description": "What to ask the tool."}}
    parameters = {"type": "object", "properties": properties, "required": ["input"]}
    return {"name": name, "description": description, "parameters": parameters}


def messages(text: KeptText, arguments: Arguments = "object") -> list[Json]:
    """The text as a chat in OpenAI's form: a user's message, then the assistant's, a tool's after each call."""
    first, *rest = text.pieces()
    begin = _last_sentence_end(first)
    said: list[Json] = [{"role": "user", "content": CONTINUE + first[:begin] if begin else BEGIN}]
    content = first[begin:]
    for number, (kept, piece) in enumerate(zip(text.calls, rest, strict=True), 1):
        call, asked = kept.call, {"input": kept.call.input}
        # Nine letters and digits: what the strictest chat templates (Mistral's) take.
        name = f"call{number:05d}"
        function = {"name": call.tool, "arguments": asked if arguments == "object" else _json(asked)}
        tool_calls = [{"id": name, "type": "function", "function": function}]
        said.append({"role": "assistant", "content": content, "tool_calls": tool_calls})
        said.append({"role": "tool", "tool_call_id": name, "name": call.tool, "content": call.result or ""})
        content = piece
    return [*said, {"role": "assistant", "content": content}]


def conversation(text: KeptText) -> list[Json]:
    """The text as turns that alternate: human, function_call, observation, gpt, human, and so on."""
    first, *rest = text.pieces()
    turns = [_turn("human", CONTINUE + first if first else BEGIN)]
    for number, (kept, piece) in enumerate(zip(text.calls, rest, strict=True)):
        if number:
            turns.append(_turn("human", GO_ON))
        turns.append(_turn("function_call", _call_json(kept.call)))
        turns.append(_turn("observation", kept.call.result or ""))
        turns.append(_turn("gpt", piece))
    return turns


def _turn(speaker: str, value: str) -> Json:
    return {"from": speaker, "value": value}


def _call_json(call: Call) -> str:
    return _json({"name": call.tool, "arguments": {"input": call.input}})


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def _last_sentence_end(text: str) -> int:
    """Where the last whole sentence and the space after it end; 0 if there is none."""
    return max((match.end() for match in _SENTENCE_END.finditer(text)), default=0)


def _write_lines(rows: Iterable[Json], file: BinaryIO) -> int:
    count = 0
    for row in rows:
        file.write(f"{storable(_json(row))}\n".encode())
        count += 1
    return count


def _write_parquet(texts: Iterator[KeptText], file: BinaryIO) -> int:
    import pyarrow
    import pyarrow.parquet

    number, string = pyarrow.float64(), pyarrow.string()
    call = {"tool": string, "input": string, "result": string, "start": pyarrow.int64()}
    call |= {"chain": pyarrow.int64(), "uses": pyarrow.list_(pyarrow.int64())}
    calls = pyarrow.list_(pyarrow.struct(call | dict.fromkeys(Numbers.__dataclass_fields__, number)))
    columns = dict.fromkeys(("id", "date", "url", "text", "annotated"), string) | {"calls": calls}
    schema = pyarrow.schema(columns)
    count = 0
    with pyarrow.parquet.ParquetWriter(file, schema, compression="zstd") as writer:
        while rows := [json.loads(storable(_json(_record(text)))) for text in islice(texts, _GROUP)]:
            writer.write_table(pyarrow.Table.from_pylist(rows, schema))
            count += len(rows)
    return count


def _record(text: KeptText) -> Json:
    """All that is known of a text, in plain values."""
    calls = [
        {**vars(one.call), "start": one.start, "chain": one.chain, "uses": list(one.uses), **vars(one.numbers)}
        for one in text.calls
    ]
    return {**vars(text), "calls": calls}
