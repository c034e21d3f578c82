"""A model that uses its tools: `generate` and `stream` from a text, `chat` over turns.

tf = Toolformer.from_pretrained("builtin-tools")
print(tf.generate("There are 8 boxes with 76 oranges in each, so there are").text)
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from types import MappingProxyType, TracebackType
from typing import Self, Unpack, overload

from toolformer.catalog import default_tools
from toolformer.chat import Chat
from toolformer.decode.decoder import STRIDE, Decoder
from toolformer.decode.events import Event
from toolformer.decode.options import OptionChanges, Options
from toolformer.decode.trigger import Thresholds, read_thresholds
from toolformer.expert import beside, with_model
from toolformer.generation import Gathered, Generation
from toolformer.hf import load
from toolformer.hf.load import words_of
from toolformer.hf.source import folder_of
from toolformer.lm import DecodingModel, LanguageModel
from toolformer.loading import Loading, Quantize
from toolformer.reflect import ROUNDS, Reflector
from toolformer.reflection import Reflection, Step
from toolformer.remote.asking import Asker
from toolformer.remote.remote_model import RemoteModel
from toolformer.research import Research, Researcher
from toolformer.tool import Tool
from toolformer.toolbox import ResultMemory, Toolbox

_AT_ONCE = 32
"""Requests to a server at a time: one for each row of a batch."""


class Toolformer:
    """A language model with its tools. Not for several threads at once."""

    def __init__(
        self,
        model: DecodingModel,
        tools: Iterable[Tool] | None = None,
        *,
        memory: ResultMemory | None = None,
        workers: int = 4,
        calibrated: Thresholds | None = None,
    ) -> None:
        """Without `tools`, those of the package that need neither a network nor a model.

        `memory` is what tools answered before, and where new answers are kept. Up to `workers` calls of one tool run at
        a time, in processes that are started when they are needed. `calibrated` are the thresholds by which the model
        calls, if they were found.
        """
        self.model = model
        chosen = with_model(default_tools() if tools is None else tools, model)
        self.toolbox = Toolbox(chosen, memory=memory, workers=workers)
        self.decoder = Decoder(model, self.toolbox, calibrated=calibrated)
        self._open = ExitStack()
        """What `close` closes."""
        self._open.callback(self.toolbox.close)

    @classmethod
    def from_pretrained(
        cls,
        name_or_path: str,
        tools: Iterable[Tool] | None = None,
        *,
        experts: Mapping[str, str] = MappingProxyType({}),
        memory: ResultMemory | None = None,
        dtype: str = "auto",
        device: str = "auto",
        revision: str | None = None,
        quantize: Quantize | None = None,
        adapter: str | None = None,
        offline: bool = False,
    ) -> Self:
        """Load a model by name or path: `builtin-tools`, `smollm2-tools`, a folder of `toolformer train`, or any other.

        `experts` are adapters of the same base model by the names under which they are called: docs/experts.md. What is
        behind `memory` goes to `toolformer.load`.
        """
        loading = Loading(
            device=device, dtype=dtype, revision=revision, quantize=quantize, adapter=adapter, offline=offline
        )
        model = load(name_or_path, **vars(loading))
        tools = beside(default_tools() if tools is None else tools, experts)
        return cls(model, tools, memory=memory, calibrated=find_thresholds(name_or_path, loading, model))

    @classmethod
    def remote(
        cls,
        url: str,
        tokenizer: str,
        tools: Iterable[Tool] | None = None,
        *,
        memory: ResultMemory | None = None,
        seconds: float = 300.0,
    ) -> Self:
        """A model that vLLM or llama.cpp serves at this URL: it writes there, and its tools run here.

        `tokenizer` is the model's name or path, such as a folder of `toolformer export-model`; of it no weights are
        read. The thresholds in its folder, if it has been calibrated, are used as they are: which weights the server
        has cannot be seen from here. A request may take so many `seconds`. The server tells the 20 likeliest tokens, so
        that k may be 20 at most, and samples need a top_k. A key, if it wants one, is in $OPENAI_API_KEY.
        """
        words = words_of(tokenizer)
        folder = folder_of(tokenizer, Loading())
        calibrated = None if folder is None else read_thresholds(folder, None)
        with ExitStack() as opened:
            asker = opened.enter_context(Asker(url, parallel=_AT_ONCE, seconds=seconds))
            made = cls(RemoteModel(asker, words), tools, memory=memory, calibrated=calibrated)
            made._open.push(opened.pop_all())
        return made

    @overload  # a str is a Sequence[str] as well, and taken here
    def generate(  # type: ignore[overload-overlap]
        self, prompt: str, options: Options = ..., **changes: Unpack[OptionChanges]
    ) -> Generation: ...

    @overload
    def generate(
        self, prompt: Sequence[str], options: Options = ..., **changes: Unpack[OptionChanges]
    ) -> list[Generation]: ...

    def generate(
        self, prompt: str | Sequence[str], options: Options | None = None, **changes: Unpack[OptionChanges]
    ) -> Generation | list[Generation]:
        """Go on from a text, or from each of several. `changes` are fields of Options, such as `max_new_tokens=20`."""
        chosen = (options or Options()).changed(**changes)
        prompts = [prompt] if isinstance(prompt, str) else list(prompt)
        rows = [Gathered(self.decoder.syntax) for _ in prompts]
        for event in self.decoder.run([self.model.encode(one).ids for one in prompts], chosen, stride=STRIDE):
            rows[event.row].add(event)
        made = [row.generation() for row in rows]
        return made[0] if isinstance(prompt, str) else made

    def stream(self, prompt: str, options: Options | None = None, **changes: Unpack[OptionChanges]) -> Iterator[Event]:
        """Go on from a text, and tell what happens as it does: text, calls, results, the end."""
        return self.decoder.run([self.model.encode(prompt).ids], (options or Options()).changed(**changes))

    def chat(self, system: str | None = None, options: Options | None = None, **changes: Unpack[OptionChanges]) -> Chat:
        """A conversation. `system` is a first turn that says how to answer, where the model knows such."""
        return Chat(self.decoder, system, (options or Options()).changed(**changes))

    def research(
        self,
        question: str,
        rounds: int = 4,
        *,
        tool: str = "WikiSearch",
        tokens: int = 8_000,
        **changes: Unpack[OptionChanges],
    ) -> Research:
        """Answer a question from what a tool finds: search, read, and search again with what was read.

        At most so many searches, and so many tokens read and written in all. `changes` are fields of Options, and say
        how the answer is written. docs/decode.md says how well a small model does it.
        """
        options = Options(max_new_tokens=32).changed(**changes)
        return Researcher(self.decoder, question, tool, options, tokens).run(rounds)

    @overload  # as above
    def reflect(  # type: ignore[overload-overlap]
        self, prompt: str, rounds: int = ..., options: Options | None = ..., **changes: Unpack[OptionChanges]
    ) -> Reflection: ...

    @overload
    def reflect(
        self, prompt: Sequence[str], rounds: int = ..., options: Options | None = ..., **changes: Unpack[OptionChanges]
    ) -> list[Reflection]: ...

    def reflect(
        self,
        prompt: str | Sequence[str],
        rounds: int = ROUNDS,
        options: Options | None = None,
        **changes: Unpack[OptionChanges],
    ) -> Reflection | list[Reflection]:
        """Write a draft behind a text, or each of several, without calls; review it and revise it, so often at most.

        In a review the model sees what stands before and behind each place of the draft: it calls where a call is among
        the k likeliest tokens there, and writes on anew where the result changes the text and the model is surer of
        the new words than of the old ones. `changes` are fields of Options. docs/decode.md says what comes of it.
        """
        reflector = Reflector(self.decoder, (options or Options()).changed(**changes))
        prompts = [prompt] if isinstance(prompt, str) else list(prompt)
        made = reflector.run([self.model.encode(one).ids for one in prompts], rounds)
        return made[0] if isinstance(prompt, str) else made

    def stream_reflection(
        self, prompt: str, rounds: int = ROUNDS, options: Options | None = None, **changes: Unpack[OptionChanges]
    ) -> Iterator[Step]:
        """The same behind one text, step by step: drafts and reviews as they come, and what came of it."""
        reflector = Reflector(self.decoder, (options or Options()).changed(**changes))
        return reflector.steps([self.model.encode(prompt).ids], rounds)

    def close(self) -> None:
        """Stop the tools' processes, and hang up on a server."""
        self._open.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def find_thresholds(name_or_path: str, loading: Loading, model: LanguageModel) -> Thresholds | None:
    """The thresholds that `toolformer calibrate` wrote into the folder of a model, if it did."""
    folder = folder_of(name_or_path, loading)
    return None if folder is None else read_thresholds(folder, model.fingerprint)
