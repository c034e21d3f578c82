"""One self-contained HTML page of an annotated corpus: its funnel, its gains, its texts with their calls in place, and
what was rejected and why. It loads nothing, and a content security policy keeps it so.

Python counts everything and chooses what is shown; the page (page/report.html, .css, .js) draws it. What comes from the
corpus travels as JSON and reaches the page only as text nodes. Files of any size give a page of bounded size: past the
limit, texts are chosen by a hash of their ids, and the middle of a long stretch without calls is left out.
"""

import hashlib
import heapq
import itertools
import json
import math
import re
from collections import Counter
from collections.abc import Callable, Mapping
from functools import partial
from importlib.resources import files
from pathlib import Path
from string import Template

from toolformer.data_gen.annotated_folder import AnnotatedFolder, KeptText, Numbers, RejectedCall
from toolformer.data_gen.calibrate import Calibration
from toolformer.data_gen.run_folder import THRESHOLDS
from toolformer.data_gen.threshold import LOWEST, WIDTH
from toolformer.errors import FAULTS, ConfigError, DataError, ToolNothing
from toolformer.page import policy_hash
from toolformer.whole_file import whole_file

EXAMPLES = 100
"""Rejected calls shown at most of one tool and kind of reason."""
GROUPS = 300
"""Pairs of tool and kind of reason that are told apart; tools may word their errors as they like."""
BESIDE = 800
"""Characters shown on either side of a call, where the next one is further away."""
VALUE = 400
"""Characters shown of an input, a result or a reason."""
BIN = 0.1
"""Gains are counted in steps of this many nats; the page may draw several as one bar."""

Json = dict[str, object]


def write_report(folder: Path, out: Path | None = None, *, limit: int = 2000) -> Path:
    """Write the report of an annotated folder, by default into it as report.html, and say where it is.

    At most `limit` texts and `limit` rejected calls are shown, the same ones every time; the counts are of all.
    """
    if limit < 1:
        raise ConfigError(f"a report shows at least one text: limit is {limit}")
    page = _page(_content(AnnotatedFolder(folder), limit))
    out = folder / "report.html" if out is None else out
    with whole_file(out) as file:
        file.write(page.encode())
    return out


def _page(content: Json) -> str:
    """The page with its style, script and content in it. Only this very style and script may run."""
    parts = {name: (_PAGE / f"report.{name}").read_text("utf-8") for name in ("html", "css", "js")}
    # No character of the content can end its element or be taken for markup: all of it is ASCII, without <, > and &.
    embedded = json.dumps(content, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    for character in "<>&":
        embedded = embedded.replace(character, f"\\u{ord(character):04x}")
    return Template(parts["html"]).substitute(
        style=parts["css"],
        script=parts["js"],
        style_hash=policy_hash(parts["css"]),
        script_hash=policy_hash(parts["js"]),
        content=embedded,
    )


_PAGE = files("toolformer.data_gen") / "page"


def _content(source: AnnotatedFolder, limit: int) -> Json:
    gains, shown, calls = Gains(), Sample(limit), Counter[str]()
    for text in source.kept():
        shown.offer(text.id, partial(_text, text))
        for call in text.calls:
            calls[call.call.tool] += 1
            gains.add(call.call.tool, True, call.numbers.gain)
    rejections = Rejections(limit)
    for rejected in source.rejected():
        rejections.add(rejected)
        gains.add(rejected.tool, False, rejected.numbers.gain)
    funnel = source.funnel()
    return {
        "name": source.path.resolve().name,
        "documents": source.documents(),
        "config": _short(json.dumps(source.config(), indent=1), 20_000),
        "tools": sorted(funnel.keys() | calls.keys() | rejections.tools()),
        "funnel": funnel,
        "gains": gains.histogram(),
        "thresholds": _thresholds(source.config()),
        "texts": {"total": shown.seen, "calls": calls, "shown": shown.chosen()},
        "rejected": {"total": rejections.total, "groups": rejections.groups(), "shown": rejections.chosen()},
    }


class Sample:
    """At most so many of a stream, chosen by a hash of their names: always the same ones, and never the first ones."""

    def __init__(self, size: int) -> None:
        self.seen = 0
        self._size = size
        self._heap: list[tuple[int, int, Json]] = []

    def offer(self, name: str, make: Callable[[], Json]) -> None:
        """Take it or leave it; what is not taken is not made."""
        rank = -int.from_bytes(hashlib.blake2b(name.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big")
        self.seen += 1
        if len(self._heap) < self._size:
            heapq.heappush(self._heap, (rank, self.seen, make()))
        elif rank > self._heap[0][0]:
            heapq.heapreplace(self._heap, (rank, self.seen, make()))

    def chosen(self) -> list[Json]:
        """What was taken, in the order of the stream."""
        return [item for _, _, item in sorted(self._heap, key=lambda entry: entry[1])]


class Rejections:
    """Rejected calls by tool, stage and kind of reason: all counted, some of each kept to be shown."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._samples: dict[tuple[str, str, str], Sample] = {}

    def add(self, rejected: RejectedCall) -> None:
        """Count it, and perhaps keep it."""
        kind = _group(rejected)
        key = (rejected.tool, rejected.stage, kind)
        if key not in self._samples and len(self._samples) >= GROUPS:
            kind = "other reasons"
            key = (rejected.tool, rejected.stage, kind)
        sample = self._samples.setdefault(key, Sample(min(EXAMPLES, self._limit)))
        name = "\0".join([rejected.id, str(rejected.start), rejected.input or "", rejected.reason])
        sample.offer(name, partial(_rejected, rejected, kind))

    @property
    def total(self) -> int:
        """All that were added."""
        return sum(sample.seen for sample in self._samples.values())

    def tools(self) -> set[str]:
        """The tools whose calls they are."""
        return {tool for tool, _, _ in self._samples}

    def groups(self) -> list[Json]:
        """How many there are of each group, the largest first."""
        order = sorted(self._samples.items(), key=lambda item: (-item[1].seen, item[0]))
        return [{"tool": tool, "stage": stage, "kind": kind, "count": one.seen} for (tool, stage, kind), one in order]

    def chosen(self) -> list[Json]:
        """What is shown: one of each group, then a second of each, until the limit is reached."""
        rounds = itertools.zip_longest(*(self._samples[key].chosen() for key in sorted(self._samples)))
        return list(itertools.islice((one for each in rounds for one in each if one is not None), self._limit))


_QUOTED = re.compile(r"""(?<!\w)(?:'[^']*'|"[^"]*")(?!\w)""")
_NUMBER = re.compile(r"(?<![\d.])\d[\d,]*\d(?!\.?\d)")
"""A whole number beyond nine: a count of tokens or characters. Thresholds stay."""


def _group(rejected: RejectedCall) -> str:
    """The kind of failure of a tool that found nothing or has a fault; of everything else, the reason's kind."""
    if rejected.kind is not None and rejected.kind in FAULTS | {ToolNothing.kind}:
        return rejected.kind
    return kind_of(rejected.reason.removeprefix(f"{rejected.tool}: "))


def kind_of(reason: str) -> str:
    """The reason without what is special to one call: what it quotes, its larger numbers, what follows a colon."""
    return _short(_NUMBER.sub("#", _QUOTED.sub("…", reason[:1000]).partition(": ")[0]), 100)


class Gains:
    """How many calls of each tool gained how much."""

    LOWEST, HIGHEST = -5.0, 20.0
    BARS = 40

    def __init__(self) -> None:
        self._counts: dict[tuple[str, bool], Counter[int]] = {}

    def add(self, tool: str, kept: bool, gain: float | None) -> None:
        """Count a call if its gain is known. What lies beyond the ends is counted at them."""
        if gain is not None:
            clipped = min(max(gain, self.LOWEST), self.HIGHEST)
            # Rounded first: 0.3 / 0.1 is less than 3.
            self._counts.setdefault((tool, kept), Counter())[math.floor(round(clipped / BIN, 6))] += 1

    def histogram(self) -> Json:
        """The counts in bars of one width for all tools, from the lowest gain to the highest."""
        bins = set(itertools.chain.from_iterable(self._counts.values())) or {0}
        step = next((n for n in (1, 2, 5) if (max(bins) - min(bins)) // n < self.BARS), 10)
        first, last = min(bins) // step, max(bins) // step
        tools: dict[str, dict[str, list[int]]] = {}
        for (tool, kept), counts in sorted(self._counts.items()):
            bars = [0] * (last - first + 1)
            for number, count in counts.items():
                bars[number // step - first] += count
            tools.setdefault(tool, {})["kept" if kept else "rejected"] = bars
        return {"first": round(first * step * BIN, 6), "width": round(step * BIN, 6), "tools": tools}


def _thresholds(config: Mapping[str, object]) -> Json:
    """The thresholds that were found, with what they were found from; none where the folder has none."""
    said = config.get(THRESHOLDS)
    if not isinstance(said, Mapping):
        return {}
    try:
        found = Calibration.read(said).thresholds
    except (TypeError, KeyError, AttributeError) as error:
        raise DataError("config.json has thresholds that this program did not write: restore it to go on") from error
    return {tool: {"first": LOWEST, "width": WIDTH, **one.settings()} for tool, one in found.items()}


def _text(text: KeptText) -> Json:
    calls = [
        {
            "tool": call.call.tool,
            "input": _short(call.call.input),
            "result": _short(call.call.result or ""),
            **_numbers(call.numbers),
        }
        for call in text.calls
    ]
    about = [_short(fact) for fact in (text.date, text.url) if fact]
    return {"id": _short(text.id), "about": about, "pieces": [_piece(piece) for piece in text.pieces()], "calls": calls}


def _piece(piece: str) -> str | tuple[str, int, str]:
    """A stretch of text, or its two ends with how much is left out between them."""
    left_out = len(piece) - 2 * BESIDE
    return piece if left_out <= 0 else (piece[:BESIDE], left_out, piece[-BESIDE:])


def _rejected(one: RejectedCall, kind: str) -> Json:
    before, after = one.near[: one.at], one.near[one.at :]
    return {
        "id": _short(one.id),
        "tool": one.tool,
        "stage": one.stage,
        "kind": kind,
        "reason": _short(one.reason),
        "near": [before[-VALUE:], after[:VALUE]],
        "input": None if one.input is None else _short(one.input),
        "result": None if one.result is None else _short(one.result),
        **_numbers(one.numbers),
    }


def _numbers(numbers: Numbers) -> dict[str, float]:
    """Those that are known."""
    return {name: value for name, value in vars(numbers).items() if value is not None}


def _short(text: str, most: int = VALUE) -> str:
    return text if len(text) <= most else f"{text[:most]}… ({len(text) - most:,} more characters)"
