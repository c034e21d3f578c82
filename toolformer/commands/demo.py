"""`toolformer demo`: the whole method on the built-in model, in minutes."""

import time
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path


@dataclass(frozen=True)
class Demo:
    """The whole method on the built-in model: annotate, train, compare."""

    out: Path = Path("demo")
    """The folder to write. The same command again goes on where it was stopped."""

    def run(self) -> None:
        """Do the three steps, showing how each goes; what it prints at the end was measured just then."""
        from toolformer.builtin.compare import TOOLS, compared, examples, sameness
        from toolformer.catalog import ToolSettings, make_tools
        from toolformer.data_gen.report import write_report
        from toolformer.model import Toolformer

        begun = time.monotonic()
        tools = make_tools(ToolSettings(), TOOLS)
        corpus = Path(str(files("toolformer.builtin") / "corpus.jsonl"))
        print(f"1. annotate {corpus.name}: which calls make its texts more predictable?", flush=True)
        self._annotate(corpus)
        page = write_report(self.out / "annotated", self.out / "report.html")
        print("2. finetune: the model learns to make those calls", flush=True)
        self._train(corpus)
        print("3. compare on texts, facts and numbers that neither has seen", flush=True)
        with (
            Toolformer.from_pretrained("builtin", tools=[]) as base,
            Toolformer.from_pretrained(str(self.out / "model"), tools=tools) as user,
        ):
            for line in compared(base, user):
                print(line, flush=True)
            for example in examples(base, user, 5):
                print(f"\n{example}", flush=True)
        print(f"\n{sameness(self.out / 'model')}")
        print(f"{time.monotonic() - begun:.0f} s. The calls in their texts: {page}")
        print(f"Talk to the model: toolformer chat --model {self.out / 'model'}")

    def _annotate(self, corpus: Path) -> None:
        from toolformer.builtin.compare import TOOLS
        from toolformer.catalog import ToolSettings, make_tools
        from toolformer.data_gen import annotate
        from toolformer.data_gen.method import PAPER
        from toolformer.data_gen.progress import Display

        tools = make_tools(ToolSettings(), TOOLS)
        with Display(len(corpus.read_bytes().splitlines())) as display:
            annotate(corpus, tools, self.out / "annotated", method=PAPER, on_progress=display.show)

    def _train(self, corpus: Path) -> None:
        from toolformer.builtin.corpus import PLAIN_FILE
        from toolformer.data_gen.annotated_folder import AnnotatedFolder
        from toolformer.data_gen.corpus import read_corpus
        from toolformer.finetune import TrainConfig, train
        from toolformer.finetune.progress import Display

        with Display() as display:
            train(
                AnnotatedFolder(self.out / "annotated").kept(),
                self.out / "model",
                config=TrainConfig(anchor=True, learning_rate=2e-3, batch_size=16),
                plain=(document.text for document in read_corpus(corpus.with_name(PLAIN_FILE))),
                on_progress=display.show,
            )
