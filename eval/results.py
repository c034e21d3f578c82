"""`results.json`: all numbers of a run, counted from its files of outcomes, and where they come from."""

import json
import math
import os
import platform
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from toolformer.errors import DataError
from toolformer.eval.call_statistics import against_oracle, calibration, cases, mended, statistics
from toolformer.eval.held import Held, read_held
from toolformer.eval.need import need
from toolformer.eval.outcomes import EXAMPLES, FORCED, Header, Outcome, check_header, path_forced, read_outcomes
from toolformer.eval.overlap import KINDS, bleu, rouge
from toolformer.own_json import MOST, made_of, parse_own
from toolformer.whole_file import whole_file

Json = dict[str, Any]
SHARED = ("model", "fingerprint", "precision", "about", "tools", "vote", "calls", "seed", "versions")
"""What all files of one folder have in common."""

_LONGEST = 1e12
"""Seconds that no run takes."""
_TOLD = ("task", "k", "data", "examples", "size", "settings")
"""What each of them says besides."""
_SAME = (*SHARED, "data", "examples")
"""What the outcomes of one task with a forced call and without share."""


def write_results(out: Path) -> Json:
    """Count, and write `results.json`. The same outcomes give the same file on the same machine."""
    counted = results(out)
    with whole_file(out / "results.json") as file:
        file.write(json.dumps(counted, indent=1, allow_nan=False).encode() + b"\n")
    return counted


def results(out: Path) -> Json:
    """The numbers of all tasks and k in a folder."""
    headers, found = read_run(out)
    if not found:
        raise DataError(f"{out} holds no outcomes: `toolformer eval` makes them")
    first = next(iter(headers.values()))
    forced_headers, forced = read_run(out, FORCED)
    for name, header in forced_headers.items():
        check_header(path_forced(out, name, 0), header, headers.get(name, {}), _SAME)
    looked_for, seed = read_held(out), int(first["seed"])
    tasks: Json = {}
    for name, by_k in sorted(found.items()):
        tasks[name] = _task(headers[name], by_k, seed, looked_for.get(name))
        if name in forced:
            if 0 not in by_k:
                raise DataError(f"{out} is not finished: {name} with calls disabled is missing. Run it again")
            tasks[name]["need"] = need(by_k, next(iter(forced[name].values())))
    return {**{name: first[name] for name in SHARED}, "hardware": hardware(), "tasks": tasks}


def read_run(out: Path, folder: str = EXAMPLES) -> tuple[dict[str, Header], dict[str, dict[int, list[Outcome]]]]:
    """The outcomes in a folder of one run, whole, with what their files say of each task."""
    headers: dict[str, Header] = {}
    found: dict[str, dict[int, list[Outcome]]] = defaultdict(dict)
    for path in sorted((out / folder).glob("*.jsonl")):
        header, outcomes = read_outcomes(path)
        if missing := [name for name in (*SHARED, *_TOLD) if name not in header]:
            raise DataError(f"{path} does not say its {missing[0]}: another version made it. Choose another folder")
        check_header(path, header, next(iter(headers.values()), header), SHARED)
        headers[header["task"]] = header
        found[header["task"]].setdefault(int(header["k"]), []).extend(outcomes)
    for name, by_k in found.items():
        for k, outcomes in by_k.items():
            if len(outcomes) != headers[name]["examples"]:
                raise DataError(
                    f"{out} is not finished: {len(outcomes):,} of {headers[name]['examples']:,} examples of {name} at "
                    f"k = {k} are there. Run the same `toolformer eval` again"
                )
    return headers, found


@dataclass(frozen=True)
class Cost:
    """What asking took. It is no result: the same run takes longer on another day."""

    asked: int
    """Examples; the others a larger k had answered."""
    seconds: float
    waited: float
    """Of them, for tools; calls that were out together are added up."""
    tokens: int
    """That went through the model."""


def add_cost(out: Path, task: str, k: int, cost: Cost) -> None:
    """One more line of `cost.jsonl`."""
    try:
        with (out / "cost.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps({"task": task, "k": k, **asdict(cost)}) + "\n")
    except OSError as error:
        raise DataError(f"cannot write to {out / 'cost.jsonl'}: {error.strerror}. What was asked is kept") from error


def costs(out: Path) -> dict[tuple[str, int], Cost]:
    """What each task took at each k, as far as it is known."""
    found: dict[tuple[str, int], Cost] = {}
    path = out / "cost.jsonl"
    for line in path.read_bytes().splitlines() if path.is_file() and path.stat().st_size <= MOST else ():
        try:
            row = parse_own(line)
            key = str(row.pop("task")), int(str(row.pop("k")))
            new, old = made_of(Cost, row), found.get(key, Cost(0, 0, 0, 0))
            if not 0 <= new.seconds + new.waited < _LONGEST:
                raise ValueError("no time that anything takes")
        except (ValueError, KeyError):
            continue  # a torn line: only its cost is lost
        found[key] = Cost(
            old.asked + new.asked, old.seconds + new.seconds, old.waited + new.waited, old.tokens + new.tokens
        )
    return found


def hardware() -> dict[str, str]:
    """What it was counted on."""
    import torch

    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "none"
    return {"machine": platform.machine(), "cores": str(os.cpu_count()), "accelerator": device}


def _task(header: Header, by_k: Mapping[int, Sequence[Outcome]], seed: int, held: Held | None) -> Json:
    made: Json = {name: header[name] for name in _TOLD if name not in ("task", "k")}
    one = next(iter(by_k.values()))
    if any(outcome.size for outcome in one):
        return made | {"perplexity": perplexity(one)}
    made["k"] = {str(k): statistics(outcomes, seed) for k, outcomes in sorted(by_k.items())}
    if held is not None and held.data == header["data"]:
        ids = set(held.ids)
        for k, outcomes in by_k.items():
            made["k"][str(k)]["held"] = statistics([one for one in outcomes if one.id in ids], seed)
    if header["task"] == "pairs":
        made["overlap"] = {str(k): overlap(outcomes) for k, outcomes in sorted(by_k.items())}
    if any(outcome.rank >= 0 for outcomes in by_k.values() for outcome in outcomes):
        made["decisions"] = decisions(by_k)
    return made


def perplexity(outcomes: Sequence[Outcome]) -> dict[str, float]:
    """By tokens, by words and in bits per byte."""
    nats = -sum(one.score for one in outcomes)
    tokens, words, size = (sum(getattr(one, name) for one in outcomes) for name in ("tokens", "words", "size"))
    return {
        "tokens": tokens,
        "perplexity": _exp(nats / max(tokens, 1)),
        "word_perplexity": _exp(nats / max(words, 1)),
        "bits_per_byte": round(nats / max(size, 1) / math.log(2), 6),
    }


def _exp(nats: float) -> float:
    return float(f"{math.exp(min(nats, 700.0)):.6g}")


def overlap(outcomes: Sequence[Outcome]) -> dict[str, float]:
    """ROUGE and BLEU of all texts."""
    scores = [rouge(one.text, one.answers) for one in outcomes]
    means = {kind: round(sum(score[kind] for score in scores) / len(scores), 6) for kind in KINDS}
    return means | {"bleu": round(bleu([one.text for one in outcomes], [one.answers for one in outcomes]), 6)}


def decisions(by_k: Mapping[int, Sequence[Outcome]]) -> Json:
    """The cases at every k and, where calls were disabled at one k and came most easily at another, the oracle."""
    most = max(by_k)
    mends = mended(by_k[0], by_k[most]) if 0 in by_k and most > 0 else None
    made: Json = {}
    for k, outcomes in sorted(by_k.items()):
        row: Json = {"cases": cases(outcomes)}
        if mends is not None:
            row["oracle"] = against_oracle(outcomes, mends)
        made[str(k)] = row
    # At k = 1 the model itself decides; where a call was made anyway, its numbers are those of the opening.
    asked = 1 if 1 in by_k else most
    if mends is not None:
        made["calibration"] = {"k": asked, **calibration(by_k[asked], mends)}
    return made
