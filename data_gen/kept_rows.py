"""Records as the rows that are written to disk, the counts of the funnel, and the dataset's card."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from toolformer.calls import CallSyntax
from toolformer.data_gen.chain import uses_of
from toolformer.data_gen.merge import annotate_text
from toolformer.data_gen.records import Annotated, Document, Losses, Place, Rejected
from toolformer.data_gen.shard_records import FUNNEL, Funnel, Json

NEAR = 40
"""Characters shown on either side of a rejected place."""

_PASSED = {
    "propose": 0,
    "sample": 1,
    "execute": 2,
    "match": 3,
    "prune": 3,
    "rank": 3,
    "score": 3,
    "filter": 4,
    "merge": 4,
}
"""How many of the counts behind `positions` a record that ended at a stage has gone through."""


def kept_row(annotated: Annotated, syntax: CallSyntax) -> Json:
    """A text that kept calls; `start` is a character offset in `text`, `uses` numbers among the earlier calls."""
    calls = [
        {
            "tool": one.call.tool,
            "input": one.call.input,
            "result": one.call.result,
            "start": one.place.start,
            "p_open": _rounded(one.place.p_open),
            **(_losses(one.losses) if one.losses else {}),
            **_chain(one.place),
            **({"uses": list(uses)} if uses else {}),
        }
        for one, uses in zip(annotated.calls, uses_of(annotated), strict=True)
    ]
    document = annotated.document
    return {
        **_identity(document),
        "text": document.text,
        "annotated": annotate_text(document, annotated.calls, syntax),
        "calls": calls,
    }


def rejected_row(rejected: Rejected) -> Json:
    """A place or a call that went no further, with the words around it."""
    place, call = rejected.place, rejected.call
    text, begin = place.text.document.text, max(0, place.start - NEAR)
    return {
        "id": place.text.document.id,
        "tool": place.tool,
        "start": place.start,
        "stage": rejected.stage,
        "reason": rejected.reason,
        **({"kind": rejected.kind} if rejected.kind else {}),
        "input": call.input if call else None,
        "result": call.result if call else None,
        "p_open": _rounded(place.p_open),
        "near": text[begin : place.start + NEAR],
        "at": place.start - begin,
        **(_losses(rejected.losses) if rejected.losses else {}),
        **_chain(place),
    }


def funnel(kept: Sequence[Annotated], rejected: Sequence[Rejected], tools: Iterable[str]) -> Funnel:
    """Per tool: places, samples, those that were calls, that ran, that were scored, that were kept."""
    counts = {tool: dict.fromkeys(FUNNEL, 0) for tool in tools}
    places: set[tuple[str, str, int]] = set()

    def count(place: Place, passed: int) -> None:
        places.add((place.tool, place.text.document.id, place.start))
        for stage in FUNNEL[1 : 1 + passed]:
            counts[place.tool][stage] += 1

    for one in rejected:
        count(one.place, _PASSED[one.stage])
    for annotated in kept:
        for call in annotated.calls:
            count(call.place, len(FUNNEL) - 1)
    for tool, _, _ in places:
        counts[tool]["positions"] += 1
    return counts


def failures(rejected: Iterable[Rejected]) -> dict[str, int]:
    """How many calls have no result, by the kind of the failure."""
    return dict(sorted(Counter(one.kind for one in rejected if one.kind).items()))


def dataset_card(config: Mapping[str, object], documents: int, counts: Funnel) -> str:
    """The folder's README: what `datasets.load_dataset` reads, and what people do."""
    table = "\n".join(f"| {tool} | {' | '.join(str(at[stage]) for stage in FUNNEL)} |" for tool, at in counts.items())
    return f"""---
configs:
- config_name: default
  data_files: kept/*.jsonl
tags:
- toolformer
- tool-use
---
# A corpus with tool calls

Made by toolformer {config["toolformer"]} from {documents:,} texts with the model {config["model"]}. Calls that did not
lower that model's loss on the words behind them were dropped, and so were texts without any other call.

| tool | {" | ".join(FUNNEL)} |
|---|{"---|" * len(FUNNEL)}
{table}

`kept/` holds the texts: `text` as it was, `annotated` with its calls, and `calls` with the place of each as a character
offset in `text` and its losses in nats. `rejected/` holds everything else that was tried, and why it was dropped.

```json
{json.dumps(config, indent=1, ensure_ascii=False)}
```
"""


def _identity(document: Document) -> dict[str, object]:
    row: dict[str, object] = {"id": document.id}
    if document.facts.date is not None:
        row["date"] = document.facts.date.isoformat()
    if document.facts.url is not None:
        row["url"] = document.facts.url
    return row


def _losses(losses: Losses) -> dict[str, object]:
    return {
        "loss_plain": _rounded(losses.plain),
        "loss_call": _rounded(losses.call),
        "loss_result": _rounded(losses.result),
        "gain": _rounded(losses.gain),
    }


def _chain(place: Place) -> dict[str, object]:
    """The round of annotating, from the second on."""
    return {"chain": place.text.chain} if place.text.calls else {}


def _rounded(value: float | None) -> float | None:
    """Five digits: beyond that, a number depends on how a batch was padded."""
    return None if value is None else round(value, 5)
