"""The figures of the README and the guides, measured again by the commands that stand beside them.

    python recipes/figures.py [--list] [--only NAME ...]

A row `| label | figure | command |` of a page is found by its label and its command; the figure is written anew from
what the command said. A command that names files in capitals runs where the environment says which: `make figures
TEXTS=gsm8k.jsonl`. OUT is a folder for the time of the run. Seconds are those of the processor, so that other work on
the machine is not in them. Sentences around a table are for people to mend.
"""

import argparse
import json
import os
import re
import resource
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from recipes.builtin.judge import judged
from toolformer.builtin import corpus
from toolformer.data_gen.annotated_folder import AnnotatedFolder

ROOT = Path(__file__).parents[1]
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
"""Not the log, whose figures are those of its day."""


@dataclass(frozen=True)
class Ran:
    """What came of a command."""

    said: str
    """What it wrote to standard output."""
    seconds: float
    """Of the processor."""
    out: Path
    """What OUT was."""


@dataclass(frozen=True)
class Measurement:
    """A command, the labels of the rows that it stands in, and how their figures are read, in the same order."""

    command: str
    labels: tuple[str, ...]
    read: Callable[[Ran], tuple[str, ...]]

    @property
    def needs(self) -> list[str]:
        """The names in capitals for which somebody has to say which files are meant."""
        return [name for name in re.findall(r"\b[A-Z]{2,}\b", self.command) if name != "OUT"]


def _compared(ran: Ran) -> tuple[str, ...]:
    """Of `python -m toolformer.builtin.compare`."""
    rows = [_found(rf"^\d+ {name} .*$", ran.said) for name in ("sums", "unseen facts", "dates")]
    shares = [[float(share) for share in re.findall(r"([\d.]+)% \(", row)] for row in rows]
    floors = [_found(r"at least (\d+)%", row) for row in rows]
    called, calls_at_most = _shares("plain texts: a call at k = 1", ran.said)
    more, more_at_most = _shares("their perplexity without calls, against the base", ran.said)
    return (
        " / ".join(f"{base:.0f}" for base, *_ in shares) + "%",
        " / ".join(f"{share:.0f}" for *_, share in shares) + f"%; aimed at {' / '.join(floors)}",
        f"{float(called):.0f}% of plain texts; {more}%; aimed at {calls_at_most}, {more_at_most}",
    )


def _shares(label: str, said: str) -> tuple[str, str]:
    """What was measured, and what it should be at most, in percent."""
    row = _found(rf"{label} .*$", said)
    return _found(r"^ *([+-]?[\d.]+)%", row.removeprefix(label)), _found(r"at most ([+-]?\d+)%", row)


def _annotated_builtin(ran: Ran) -> tuple[str, ...]:
    verdicts = judged(ran.out, corpus.load("train")).values()
    kept = sum(one.kept for one in verdicts)
    right = sum(one.right for one in verdicts) / kept
    return f"{_time(ran.seconds)} of one core; {kept} calls kept, {right:.1%} of them right", _core(ran)[0]


def _core(ran: Ran) -> tuple[str, ...]:
    return (f"{_time(ran.seconds)} of one core",)


def _core_and_calls(ran: Ran) -> tuple[str, ...]:
    kept = sum(len(text.calls) for text in AnnotatedFolder(ran.out).kept())
    return (f"{_time(ran.seconds)} of one core; {kept} calls kept",)


def _first_round(ran: Ran) -> tuple[str, ...]:
    one = json.loads((ran.out / "rounds.json").read_text("utf-8"))["rounds"][0]
    kept = sum(one["calls"].values())
    return (f"{kept} calls kept, {one['share_right']:.0%} of them the call that the authors wrote down",)


def _annotator(ran: Ran) -> tuple[str, ...]:
    """Of `toolformer bench annotate`."""
    times = _found(r"^([\d.]+) times as fast", ran.said)
    different = int(_found(r"(\d+) kept by only one of the two", ran.said))
    return (f"{times} times the texts a second, {f'{different} calls differ' if different else 'the same calls'}",)


def _decoder(ran: Ran) -> tuple[str, ...]:
    """Of `toolformer bench decode`: tokens a second of both sides, and their ratio."""
    rows = ("no calls, batch 8", r"\d+ texts of \d+ to \d+")
    batch, uneven = (_found(rf"^{row} +[\d,]+ +[\d,]+ +([\d.]+)", ran.said) for row in rows)
    return (f"{float(batch):.2f} and {float(uneven):.1f} times as fast",)


_SOLUTIONS = "300 of GSM8K's training solutions"

MEASUREMENTS = {
    "compare": Measurement(
        "python -m toolformer.builtin.compare",
        (
            "held-out sums / facts / dates right, base model",
            "the same, finetuned on the calls it kept itself (k = 10)",
            "a needless call at k = 1; perplexity without calls",
        ),
        _compared,
    ),
    "annotate": Measurement(
        "toolformer annotate toolformer/builtin/corpus.jsonl --filtering-threshold lesson --everywhere --out OUT",
        ("960 texts, four tools", "960 short texts, four tools"),
        _annotated_builtin,
    ),
    "passages": Measurement(
        "toolformer annotate CORPUS --tools calculator,dates --out OUT",
        ("12,960 passages of the web and of Wikipedia, Calculator and Dates",),
        _core_and_calls,
    ),
    "passages-all-tools": Measurement("toolformer annotate CORPUS --out OUT", ("150 passages, all four tools",), _core),
    "smollm2": Measurement(
        "toolformer bootstrap TEXTS --model smollm2 --tools calculator --rounds 1 --out OUT",
        (f"SmolLM2-135M, a real model: rules propose calls, it ranks and judges them; {_SOLUTIONS}",),
        _first_round,
    ),
    "bench-annotate": Measurement(
        "toolformer bench annotate --plain-texts 6",
        ("the annotator against the method rendered plainly",),
        _annotator,
    ),
    "bench-decode": Measurement(
        "toolformer bench decode",
        ("the decoder against `generate` of transformers: batch 8, no calls; 128 texts of all lengths",),
        _decoder,
    ),
}


def rows(text: str) -> Iterator[tuple[str, str]]:
    """The label and the command of each row of a page's tables that say how a figure is made again."""
    in_table = False
    for line in text.splitlines():
        cells = _cells(line)
        if in_table and len(cells) == 3 and not set(cells[0]) <= {"-"}:
            yield cells[0], cells[2].strip("`")
        in_table = bool(cells) and (in_table or cells[-1] == "again with")


def rewritten(text: str, measured: Measurement, figures: Sequence[str]) -> str:
    """The page with these figures in the measurement's rows."""
    by_label = dict(zip(measured.labels, figures, strict=True))
    lines = text.splitlines(keepends=True)
    for number, line in enumerate(lines):
        label, *_, command = _cells(line) or ["", ""]
        if label in by_label and command == f"`{measured.command}`":
            lines[number] = f"| {label} | {by_label[label]} | {command} |\n"
    return "".join(lines)


def measure(measured: Measurement) -> tuple[str, ...]:
    """Run the command, and read its figures."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out"
        places = {"OUT": str(out), **{name: os.environ[name] for name in measured.needs}}
        words = [places.get(word, word) for word in shlex.split(measured.command)]
        start = {"toolformer": [sys.executable, "-m", "toolformer.cli"], "python": [sys.executable]}[words[0]]
        before = _processor()
        done = subprocess.run([*start, *words[1:]], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
        return measured.read(Ran(done.stdout, _processor() - before, out))


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="recipes/figures.py", description="Measures the pages' figures again.")
    parser.add_argument("--list", action="store_true", help="say what there is, and run nothing")
    parser.add_argument("--only", nargs="+", choices=list(MEASUREMENTS), metavar="NAME", help="run these")
    chosen = parser.parse_args(arguments)
    for name in chosen.only or MEASUREMENTS:
        measured = MEASUREMENTS[name]
        missing = [need for need in measured.needs if need not in os.environ]
        if chosen.list or missing:
            print(f"{name:<20}{measured.command}" + "".join(f"   (give {need}=FILE)" for need in missing))
            continue
        figures = measure(measured)
        for page in PAGES:
            before = page.read_text("utf-8")
            page.write_text(rewritten(before, measured, figures), "utf-8")
        for label, figure in zip(measured.labels, figures, strict=True):
            print(f"{label}: {figure}", flush=True)


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip()[1:-1].split("|")] if line.startswith("|") else []


def _found(pattern: str, text: str) -> str:
    """What a pattern finds: its group, or all of it if it has none."""
    if (found := re.search(pattern, text, re.MULTILINE)) is None:
        raise SystemExit(f"nothing there is like {pattern!r}:\n{text}")
    return found[found.re.groups]


def _time(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def _processor() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main()
