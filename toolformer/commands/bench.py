"""`toolformer bench`: how fast, against something plain, and with the same answers."""

from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Literal

import tyro

from toolformer.catalog import ToolSettings, make_tools
from toolformer.commands.tools import Settings


@dataclass(frozen=True)
class Bench:
    """Time the annotator against a plain rendering of the method, and check that both keep the same calls."""

    what: tyro.conf.Positional[Literal["annotate"]]
    """What to measure."""
    corpus: Path | None = None
    """Texts to annotate; by default, those that come with the built-in model."""
    tools: str = "calculator,dates,qa"
    """Their names, with commas."""
    model: str = "builtin"
    """A causal model by name or path."""
    texts: int = 64
    """How many, of about 100 words each."""
    plain_texts: int = 8
    """How many of them the plain rendering, which is slow, gets."""
    positions: int = 5
    """k, for every lesson."""
    samples: int = 5
    """m, for every lesson."""
    settings: Settings = field(default_factory=ToolSettings)

    def run(self) -> None:
        """Run both and print what came out."""
        from toolformer.data_gen.bench import bench_annotate

        print(
            bench_annotate(
                self.corpus or Path(str(files("toolformer.builtin") / "corpus.jsonl")),
                make_tools(self.settings, self.tools.split(",")),
                self.model,
                texts=self.texts,
                plain_texts=self.plain_texts,
                positions=self.positions,
                samples=self.samples,
            )
        )
