"""`toolformer demo`: the whole method on the built-in model, or on a real one, in minutes."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Literal

from toolformer.data_gen.method import PAPER, Method
from toolformer.finetune.config import TrainConfig


@dataclass(frozen=True)
class Walk:
    """How it goes for one model."""

    method: Method
    sampler: str
    config: TrainConfig
    texts: int | None = None
    """So many are annotated; by default, all."""
    plain: int | None = None
    held: int | None = None
    """Of each kind, so many texts are compared on."""


WALKS: Mapping[str, Walk] = {
    "builtin": Walk(PAPER, "self", TrainConfig(anchor=True, learning_rate=2e-3, batch_size=16)),
    "smollm2": Walk(Method(), "rules", TrainConfig(batch_size=8, without_calls=0.5), texts=60, plain=30, held=20),
}


@dataclass(frozen=True)
class Demo:
    """Run the whole method in minutes: annotate, train, compare."""

    out: Path = Path("demo")
    """The folder to write. Run the same command again to resume."""
    model: Literal["builtin", "smollm2"] = "builtin"
    """builtin comes with the package. smollm2 is a real model of 135 M parameters: the demo downloads it first, and
    annotates 60 of the texts with it."""

    def run(self) -> None:
        """Do the three steps, showing how each goes; what it prints at the end was measured just then."""
        from toolformer.builtin.compare import compared, examples, sameness
        from toolformer.catalog import TAUGHT, ToolSettings, make_tools
        from toolformer.data_gen.corpus_report import write_report
        from toolformer.model import Toolformer

        begun, walk = time.monotonic(), WALKS[self.model]
        tools = make_tools(ToolSettings(), TAUGHT)
        corpus = Path(str(files("toolformer.builtin") / "corpus.jsonl"))
        print(f"1. annotate {corpus.name}: which calls make its texts more predictable?", flush=True)
        self._annotate(corpus, walk)
        page = write_report(self.out / "annotated", self.out / "report.html")
        print("2. finetune: the model learns to make those calls", flush=True)
        self._train(corpus, walk)
        print("3. compare on texts, facts and numbers that neither has seen", flush=True)
        with (
            Toolformer.from_pretrained(self.model, tools=[]) as base,
            Toolformer.from_pretrained(str(self.out / "model"), tools=tools) as user,
        ):
            for line in compared(base, user, walk.held):
                print(line, flush=True)
            for example in examples(base, user, 5):
                print(f"\n{example}", flush=True)
        if self.model == "builtin":
            print(f"\n{sameness(self.out / 'model')}")
        print(f"{time.monotonic() - begun:.0f} s. The calls in their texts: {page}")
        print(f"Talk to the model: toolformer chat --model {self.out / 'model'}")

    def _annotate(self, corpus: Path, walk: Walk) -> None:
        from toolformer.catalog import TAUGHT, ToolSettings, make_tools
        from toolformer.data_gen import annotate
        from toolformer.data_gen.annotate_display import Display

        tools = make_tools(ToolSettings(), TAUGHT)
        with Display(walk.texts or len(corpus.read_bytes().splitlines())) as display:
            annotate(
                corpus,
                tools,
                self.out / "annotated",
                model=self.model,
                sampler=walk.sampler,
                method=walk.method,
                limit=walk.texts,
                on_progress=display.show,
            )

    def _train(self, corpus: Path, walk: Walk) -> None:
        from toolformer.builtin.corpus import PLAIN_FILE
        from toolformer.data_gen.annotated_folder import AnnotatedFolder
        from toolformer.data_gen.documents import read_corpus
        from toolformer.finetune import train
        from toolformer.finetune.train_display import Display

        plain = read_corpus(corpus.with_name(PLAIN_FILE), limit=walk.plain)
        with Display() as display:
            train(
                AnnotatedFolder(self.out / "annotated").kept(),
                self.out / "model",
                model=self.model,
                config=walk.config,
                plain=(document.text for document in plain),
                on_progress=display.show,
            )
