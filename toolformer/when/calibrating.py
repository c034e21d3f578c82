"""Find when a finetuned model should call, and write it beside its weights: `calibrate`."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from toolformer.data_gen.annotated_folder import AnnotatedFolder
from toolformer.data_gen.records import Document
from toolformer.decode.trigger import FILE, Thresholds, write_thresholds
from toolformer.errors import ConfigError, DataError, unknown_name
from toolformer.eval.measures import calibration_error, f1
from toolformer.hf import load
from toolformer.loading import Loading
from toolformer.when.fit import calls_at, calls_by, fit, probability
from toolformer.when.needed import judged
from toolformer.when.places import Place, read_places
from toolformer.whole_file import whole_file

RANKS = (1, 3, 10)
"""The k whose calls are counted beside those of the thresholds."""
_HEADING = "## When it calls"
_CARD = """{heading}

By the thresholds in `{file}`, found on {texts:,} held-out texts by `toolformer calibrate`. If `k` is given, it calls
by rank.

```text
{table}
```
"""


@dataclass(frozen=True)
class Calls:
    """What the calls of one trigger are worth on texts where need is known."""

    made: int
    right: int
    """Those that were needed: a call of the same tool was kept at this place."""
    needed: int
    texts: int
    """Texts with a call."""

    @property
    def precision(self) -> float | None:
        """The share of the calls that were needed."""
        return self.right / self.made if self.made else None

    @property
    def recall(self) -> float | None:
        """The share of the needed calls that were made."""
        return self.right / self.needed if self.needed else None

    @property
    def f1(self) -> float | None:
        """Of both, the harmonic mean."""
        return f1(self.precision, self.recall)


@dataclass(frozen=True)
class Measured:
    """Some thresholds on texts where need is known, beside calls by rank."""

    thresholds: Thresholds
    texts: int
    by_rank: Mapping[int, Calls]
    by_threshold: Calls
    by_tool: Mapping[str, Calls]
    error_before: float
    """Expected calibration error of the opening's probability, against whether a call is needed."""
    error_after: float
    """The same with the temperature."""

    def table(self) -> Iterator[str]:
        """What a terminal shows."""
        found = self.thresholds
        yield f"{'':<24}{'threshold':>10}{'calls':>8}{'precision':>11}{'recall':>8}{'F1':>7}{'texts with a call':>19}"
        for k, calls in self.by_rank.items():
            yield self._row(f"k = {k}", "", calls)
        yield self._row("thresholds", "", self.by_threshold)
        for tool, calls in self.by_tool.items():
            yield self._row(f"  {tool}", f"{found.tools.get(tool, found.other).threshold:.3g}", calls)
        yield (
            f"expected calibration error {self.error_before:.4f}, with the temperature {found.temperature:g} "
            f"{self.error_after:.4f}"
        )

    def _row(self, what: str, threshold: str, calls: Calls) -> str:
        worth = f"{_share(calls.precision):>11}{_share(calls.recall):>8}{_share(calls.f1):>7}"
        return f"{what:<24}{threshold:>10}{calls.made:>8}{worth}{_share(calls.texts / self.texts):>19}"


def calibrate(
    run: Path,
    annotated: Path,
    plain: Iterable[Document] = (),
    *,
    calls_at_most: float | None = None,
    costs: Mapping[str, float] | None = None,
    loading: Loading = Loading(),
) -> Measured:
    """Find the temperature and the thresholds of the model in `run`, and write them there.

    `annotated` is a folder of held-out texts with calls; of the `plain` ones, those that kept no call count as well: no
    call is needed in them. With `calls_at_most`, at most this share of the texts will have a call. `costs` are those of
    the tools at decoding, in nats; what annotating counted as a cost is in the thresholds already.
    """
    if not run.is_dir():
        raise ConfigError(f"{run} is no folder of a model: `toolformer train` makes one")
    if calls_at_most is not None and not 0 <= calls_at_most <= 1:
        raise ConfigError(f"the share of texts with a call is between 0 and 1, not {calls_at_most}")
    folder = AnnotatedFolder(annotated)
    tools = sorted(folder.funnel())
    for name in costs or {}:
        if name not in tools:
            raise ConfigError(unknown_name("tool", name, tools))
    texts = list(judged(folder, plain))
    if not any(one.needed for one in texts):
        raise DataError(f"{annotated} kept no call, so nobody knows where one is needed: annotate more texts")
    model = load(str(run), **vars(loading))
    if model.reads_apart:
        raise ConfigError(f"{model.name} is an encoder-decoder: only models that go on from a text can be calibrated")
    places = read_places(model, tools, texts)
    found = fit(places, calls_at_most)
    bars = {name: replace(found.tools.get(name, found.other), cost=cost) for name, cost in (costs or {}).items()}
    measured = measure(places, replace(found, tools={**found.tools, **bars}), tools)
    write_thresholds(run, model.fingerprint, measured.thresholds)
    _write_card(run / "README.md", measured)
    return measured


def measure(places: Sequence[Place], thresholds: Thresholds, tools: Sequence[str]) -> Measured:
    """What the thresholds are worth at these places."""
    texts = len({one.text for one in places})
    needed = [bool(one.needed) for one in places]
    before, after = (
        calibration_error([probability(one, found) for one in places], needed) or 0.0
        for found in (1.0, thresholds.temperature)
    )
    return Measured(
        thresholds,
        texts,
        {k: _counted(calls_at(places, k), sum(needed)) for k in RANKS},
        _counted(calls_by(places, thresholds), sum(needed)),
        {
            tool: _counted(calls_by(places, thresholds, tool), sum(one.needed == tool for one in places))
            for tool in tools
        },
        before,
        after,
    )


def _counted(calls: Sequence[Place], needed: int) -> Calls:
    return Calls(len(calls), sum(one.right for one in calls), needed, len({one.text for one in calls}))


def _write_card(path: Path, measured: Measured) -> None:
    """Say in the card of the model when it calls, in the place of what an earlier calibration said."""
    if not path.is_file():
        return
    before, _, _ = path.read_text("utf-8").partition(_HEADING)
    said = _CARD.format(heading=_HEADING, file=FILE, texts=measured.texts, table="\n".join(measured.table()))
    with whole_file(path) as file:
        file.write(f"{before.rstrip()}\n\n{said}".encode())


def _share(value: float | None) -> str:
    return "" if value is None else f"{value:.0%}"
