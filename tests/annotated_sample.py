"""A small annotated folder, as `toolformer annotate` writes one, made by hand."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

Record = dict[str, object]
STEPS = ("positions", "sampled", "parsed", "executed", "scored", "kept")


def call(
    text: str, before: str, tool: str, asked: str, result: str, losses: Sequence[float] = (4.1, 3.8, 1.2)
) -> Record:
    """A kept call that stands before the words `before`."""
    plain, empty, full = losses
    return {
        "tool": tool, "input": asked, "result": result, "start": text.index(before), "p_open": 0.31,
        "loss_plain": plain, "loss_call": empty, "loss_result": full, "gain": round(min(plain, empty) - full, 5),
    }  # fmt: skip


def kept(name: str, text: str, *calls: Record, **more: str) -> Record:
    """A text with its calls, written in as ` [Tool(input) -> result]`."""
    annotated, end = "", 0
    for one in calls:
        start = int(str(one["start"]))
        annotated += f"{text[end:start]} [{one['tool']}({one['input']}) -> {one['result']}]"
        end = start
    return {"id": name, "text": text, "annotated": annotated + text[end:], "calls": list(calls), **more}


def rejected(name: str, near: str, at: int, tool: str, stage: str, reason: str, **more: object) -> Record:
    """A call that went no further."""
    return {
        "id": name, "tool": tool, "start": 100, "stage": stage, "reason": reason, "near": near, "at": at,
        "input": None, "result": None, "p_open": 0.08, **more,
    }  # fmt: skip


def write_folder(
    folder: Path, kept: Iterable[Record], rejected: Iterable[Record] = (), documents: int | None = None
) -> Path:
    """The folder of a finished run of one shard."""
    texts, others = list(kept), list(rejected)
    for name, records in (("kept", texts), ("rejected", others)):
        (folder / name).mkdir(parents=True)
        lines = "".join(json.dumps(record) + "\n" for record in records)
        (folder / name / "00000.jsonl").write_text(lines, "utf-8")
    funnel: dict[str, dict[str, int]] = {}
    for one in [*(one for text in texts for one in calls_of(text)), *others]:
        counts = funnel.setdefault(str(one["tool"]), dict.fromkeys(STEPS, 0))
        for step in STEPS[
            : {"propose": 1, "sample": 2, "execute": 3, "score": 4, "filter": 5}.get(str(one.get("stage")), 6)
        ]:
            counts[step] += 1
    shard = {"documents": documents or len(texts), "annotated": len(texts), "tokens": 1, "digest": "", "funnel": funnel}
    (folder / "shards").mkdir()
    (folder / "shards" / "00000.json").write_text(json.dumps(shard), "utf-8")
    (folder / "funnel.json").write_text(json.dumps(funnel), "utf-8")
    (folder / "config.json").write_text(json.dumps({"model": "tiny", "method": {"seed": 0}}), "utf-8")
    return folder


def calls_of(text: Record) -> list[Record]:
    calls = text["calls"]
    assert isinstance(calls, list)
    return calls
