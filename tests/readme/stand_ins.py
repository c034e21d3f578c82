"""What stands in for the names in capitals that pages write where a reader puts files of their own.

Each is made, small, in the folder of the page, under the very name that the page has.
"""

import itertools
import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.annotated_sample import call, kept, write_folder

BUILTIN = Path(__file__).parents[2] / "toolformer" / "builtin"


def make_stand_ins(words: Sequence[str], folder: Path) -> None:
    """Make what a command reads and nothing before it has written."""
    for before, word in itertools.pairwise(words):
        for name in re.findall(r"\b[A-Z]+\b", word):
            if name in STAND_INS and before != "--out" and not (folder / name).exists():
                STAND_INS[name](folder / name)


def _corpus(place: Path) -> None:
    lines = (BUILTIN / "corpus.jsonl").read_text("utf-8").splitlines(keepends=True)
    _write(place / "corpus.jsonl", "".join(lines[:12]))


def _annotated(place: Path) -> None:
    texts = []
    for n in range(12, 20):
        text = f"Ann had {n} cups and bought {n + 5} more, so now she has {2 * n + 5}."
        one = call(text, f"{2 * n + 5}.", "Calculator", f"{n} + {n + 5}", str(2 * n + 5))
        texts.append(kept(str(n), text, one))
    write_folder(place, texts)


def _passages(place: Path) -> None:
    rows = [{"title": "Tetris", "text": "Tetris is a puzzle game."}, {"title": "Chess", "text": "Chess has two sides."}]
    _write(place, _lines(*rows))


def _pairs(place: Path) -> None:
    _write(place, _lines(*({"input": f"{n} and {n}", "output": str(2 * n)} for n in range(8))))


def _plain_model(place: Path) -> None:
    place.symlink_to(BUILTIN / "model")


def _taught_model(place: Path) -> None:
    place.symlink_to(BUILTIN / "tools_adapter")


def _benchmarks(place: Path) -> None:
    for name, content in PUBLISHED.items():
        _write(place / name, content if isinstance(content, str) else json.dumps(content))


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")


def _lines(*rows: object) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


STAND_INS: dict[str, Callable[[Path], None]] = {
    "CORPUS": _corpus,
    "OUT": _annotated,
    "ANNOTATED": _annotated,
    "PASSAGES": _passages,
    "PAIRS": _pairs,
    "DATA": _benchmarks,
    "M": _plain_model,
    "MODEL": _plain_model,
    "CONTROL": _plain_model,
    "RUN": _taught_model,
}
"""How each is made, by its name."""

_SQUAD = {"masked_sentences": ["The capital of Peru is [MASK]."], "obj_label": "Lima", "id": "a"}
_GOOGLE_RE = {"masked_sentences": ["He died in [MASK] ."], "obj_label": "Florida", "uuid": "u"}
_TREX = {"sub_uri": "Q1", "sub_label": "Ada", "obj_label": "London"}
_ASDIV = (
    "<r><ProblemSet><Problem ID='n1'><Body>Two plums.</Body><Question>How many?</Question>"
    "<Answer>2 (plums)</Answer></Problem></ProblemSet></r>"
)
_SVAMP = {"ID": "c", "Body": "Ann had 3 cookies", "Question": "how many?", "Answer": 3.0}
_MAWPS = {"id": 1, "original_text": "Joan has 3 cats . How many ?", "ans": 3}
_POPQA = {
    "id": 1,
    "subj": "Peru",
    "s_pop": 9,
    "question": "What is the capital of Peru?",
    "possible_answers": '["Lima"]',
    "paragraphs": [{"title": "Peru", "text": "The capital of Peru is Lima.", "is_supporting": True}],
}
_SHOTS = "X\n-----\nSay." + "\n\nQ: a\nA: Let's think step by step.\nSo the answer is (B)." * 3

PUBLISHED: dict[str, object] = {
    "lama/Squad/test.jsonl": _lines(_SQUAD),
    "lama/Google_RE/place_of_death_test.jsonl": _lines(_GOOGLE_RE),
    "lama/TREx/P19.jsonl": _lines(_TREX),
    "lama/relations.jsonl": _lines({"relation": "P19", "template": "[X] was born in [Y] ."}),
    "asdiv/ASDiv.xml": _ASDIV,
    "svamp/SVAMP.json": [_SVAMP],
    "xl/svamp-xl/test.json": [{"question": "Ann had 30122 cookies. How many?", "answer": "30122", "func": "30122"}],
    "mawps/testset.json": [_MAWPS],
    "gsm8k/test.jsonl": _lines({"question": "How many are 2 and 2?", "answer": "<<2+2=4>>\n#### 4"}),
    "webquestions/test.json": [{"qId": "w", "qText": "what is Peru's capital?", "answers": ["Lima"]}],
    "nq_open/NQ-open.dev.jsonl": _lines({"question": "what is the capital of Peru", "answer": ["Lima"]}),
    "triviaqa/x.dev.txt": "What is Peru's capital?\t['Lima']\n",
    "popqa/popqa.json": [_POPQA],
    "bbh/bbh/t.json": {"examples": [{"input": "Which?\nOptions:\n(A) x\n(B) y", "target": "(A)"}]},
    "bbh/cot-prompts/t.txt": _SHOTS,
    "mmlu/dev/a_dev.csv": "What?,1,2,3,4,D\n" * 5,
    "mmlu/test/a_test.csv": "What now?,1,2,3,4,C\n",
    "wikitext2/test.txt": " = Tetris = \n \n Tetris is a puzzle game . \n",
}
"""One example of each set that `toolformer eval` asks, as its publisher writes it."""
