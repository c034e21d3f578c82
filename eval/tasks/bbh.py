"""BIG-Bench Hard, three-shot: with the answer alone (direct), or with its chain of thought before it.

The three examples and their chains are the publisher's; lm-eval carries a copy for those who read the hub's data.
"""

import re
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

from toolformer.errors import DataError
from toolformer.eval.examples import NO_ANSWER, Example, LeftOut, Splits, golds, splits
from toolformer.eval.sources import JsonRow, array, field, hub, published
from toolformer.text_file import whole

_PUBLISHED = 6_511
"""Questions, of 27 tasks together."""
_SHOTS = 3
_THINK = "A: Let's think step by step.\n"
_THINKS = re.compile(r"^A: Let's think step by step\.\s+", re.MULTILINE)
_ANSWERS = re.compile(r"^A:", re.MULTILINE)
_SHOT = re.compile(rf"{re.escape(_THINK)}.*?the answer is (.*?)\.?(?=\n\s*\nQ: |\s*\Z)", re.DOTALL | re.IGNORECASE)
_YES_NO = {"true", "false", "yes", "no", "valid", "invalid"}
_OPTION = re.compile(r"^\([A-Z]\)", re.MULTILINE)


def direct(data: str | None = None, **_: object) -> Splits:
    """The answer at once."""
    return splits(_all(data, think=False), "BBH", _PUBLISHED)


def chain_of_thought(data: str | None = None, **_: object) -> Splits:
    """The answer behind the model's own reasons."""
    return splits(_all(data, think=True), "BBH", _PUBLISHED)


def _all(data: str | None, think: bool) -> Iterator[Example | LeftOut]:
    for name, rows, given in _published(data) if data is not None else _from_hub():
        shots = three(given, name)
        before = shots if think else answers_only(shots, name)
        right = [golds(field(row, "target", where)) for where, row in rows]
        targets = {target for answers in right for target in answers}
        for number, ((where, row), answers) in enumerate(zip(rows, right, strict=True)):
            asked = f"{before}\n\nQ: {field(row, 'input', where)}\n"
            if not answers:
                yield NO_ANSWER
                continue
            yield Example(
                id=f"{name}-{number}",
                prompt=asked + (_THINK if think else "A:"),
                answers=answers,
                rule="exact",
                group=name,
                chance=_chance(row["input"], targets),
            )


def three(shots: str, name: str) -> str:
    """The examples to show, all laid out alike: in sports_understanding a chain goes on in the line that begins it."""
    shots, thinks = _THINKS.subn(_THINK, shots)
    answers = len(_ANSWERS.findall(shots))
    if (answers, thinks) != (_SHOTS, _SHOTS):
        raise DataError(
            f"BBH: {name} shows {answers} answers, {thinks} of them behind a chain of thought, instead of {_SHOTS} and "
            f"{_SHOTS}: take the publisher's own file of prompts"
        )
    return shots


def answers_only(shots: str, name: str) -> str:
    """The examples without their chains of thought."""
    plain, count = _SHOT.subn(lambda match: f"A: {match[1]}", shots)
    if count != shots.count(_THINK):
        raise DataError(f"{name}: {shots.count(_THINK) - count} of the examples shown do not say what the answer is")
    return plain


def _chance(question: str, targets: set[str]) -> float:
    """How often a guess is right: among the options, or yes and no; nothing else can be guessed. One is no choice."""
    if (options := len(_OPTION.findall(question))) > 1:
        return 1 / options
    return 0.5 if {target.casefold() for target in targets} <= _YES_NO else 0.0


Subtask = tuple[str, list[tuple[str, JsonRow]], str]
"""Its name, its rows with where they stand, and what is shown before a question."""


def _published(data: str) -> Iterator[Subtask]:
    """`bbh/bbh/*.json` and `bbh/cot-prompts/*.txt`, as in the publisher's repository."""
    for path in sorted(published(data, "bbh/bbh").glob("*.json")):
        shots = whole(published(data, f"bbh/cot-prompts/{path.stem}.txt"))
        # The first line says that none of it should be trained on.
        yield path.stem, list(array(path, "examples")), shots.partition("-----\n")[2].strip() or shots.strip()


def _from_hub() -> Iterator[Subtask]:
    import yaml

    folder = Path(str(files("lm_eval"))) / "tasks" / "bbh" / "cot_fewshot"
    for path in sorted(folder.glob("[a-z]*.yaml")):
        config = yaml.safe_load(path.read_text("utf-8"))
        name = config["dataset_name"]
        shown = [f"Q: {shot['input']}\n{_THINK}{shot['target']}" for shot in config["fewshot_config"]["samples"]]
        shots = "\n\n".join([config["description"].strip(), *shown])
        yield name, list(hub("SaylorTwift/bbh", name, "test")), shots
