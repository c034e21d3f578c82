"""`toolformer bench`: how fast, against something plain, and with the same answers."""

import json
from dataclasses import asdict, dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Literal

import tyro

from toolformer.catalog import TAUGHT, ToolSettings, make_tools
from toolformer.commands.flags import LoadingFlags
from toolformer.commands.tools import Settings
from toolformer.errors import ConfigError
from toolformer.loading import Loading


@dataclass(frozen=True)
class BenchAnnotate:
    """Time the annotator against a plain version of the method, and check that both keep the same calls."""

    corpus: Path | None = None
    """Texts to annotate; by default, those of the built-in model."""
    tools: str = ",".join(name for name in TAUGHT if name != "wiki")
    """Names of the tools, with commas, as `toolformer tools` lists them."""
    model: str = "builtin"
    """A causal model by name or path."""
    texts: int = 64
    """Number of texts, of about 100 words each."""
    plain_texts: int = 8
    """Number of these texts for the plain version, which is slow."""
    positions: int = 5
    """k, the number of places in a text, for every lesson."""
    samples: int = 5
    """m, the number of samples at a place, for every lesson."""
    sampler: Literal["self", "rules"] = "self"
    """What proposes the calls: the model itself, or rules, whose calls the model ranks."""
    json: bool = False
    """Print one line of JSON with the figures."""
    loading: LoadingFlags = field(default_factory=Loading)
    settings: Settings = field(default_factory=ToolSettings)

    def run(self) -> None:
        """Run both and print what came out."""
        _at_least_one(texts=self.texts, plain_texts=self.plain_texts, positions=self.positions, samples=self.samples)
        from toolformer.data_gen.annotate_bench import bench_annotate

        result = bench_annotate(
            self.corpus or Path(str(files("toolformer.builtin") / "corpus.jsonl")),
            make_tools(self.settings, self.tools.split(",")),
            self.model,
            texts=self.texts,
            plain_texts=self.plain_texts,
            positions=self.positions,
            samples=self.samples,
            rules=self.sampler == "rules",
            loading=self.loading,
        )
        print(json.dumps(asdict(result)) if self.json else result)


@dataclass(frozen=True)
class BenchDecode:
    """Time the decoder against `generate` of transformers, on the same tokens."""

    corpus: Path | None = None
    """Texts whose beginnings are the prompts; by default, those of the built-in model."""
    model: str = "builtin"
    """A causal model by name or path."""
    rounds: int = 5
    """Number of runs of each side, taken in turns. The medians are compared."""
    json: bool = False
    """Print a line of JSON for each comparison."""
    loading: LoadingFlags = field(default_factory=Loading)

    def run(self) -> None:
        """Print a line for each comparison."""
        _at_least_one(rounds=self.rounds)
        from itertools import islice

        from toolformer.data_gen.documents import read_corpus
        from toolformer.decode.decode_bench import HEADER, bench_decode

        corpus = read_corpus(str(self.corpus or files("toolformer.builtin") / "corpus.jsonl"))
        texts = [document.text for document in islice(corpus, 128)]
        # Two in one, so that enough of them are long enough.
        pairs = [f"{one} {other}" for one, other in zip(texts[::2], texts[1::2], strict=False)]
        if not self.json:
            print(HEADER)
        for line in bench_decode(self.model, pairs, rounds=self.rounds, loading=self.loading):
            print(json.dumps(asdict(line)) if self.json else line, flush=True)


def _at_least_one(**numbers: int) -> None:
    for name, number in numbers.items():
        if number < 1:
            raise ConfigError(f"--{name.replace('_', '-')} {number}: it must be 1 at least")


@dataclass(frozen=True)
class Bench:
    """Time the annotator or the decoder against a plain version."""

    command: (
        Annotated[BenchAnnotate, tyro.conf.subcommand("annotate")]
        | Annotated[BenchDecode, tyro.conf.subcommand("decode")]
    )

    def run(self) -> None:
        """Run the command under this one."""
        self.command.run()
