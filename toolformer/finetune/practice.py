"""A model practises with its tools, for TRL's GRPOTrainer: our decoder writes, and what tools answer is not learnt.

TRL's own environments call tools through a chat template. Here the model calls as it does at run time: where the token
that opens a call is among the k likeliest.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from toolformer.calls import Call, CallSyntax
from toolformer.decode.decoder import STRIDE, Decoder
from toolformer.decode.options import Options
from toolformer.errors import ConfigError
from toolformer.finetune.config import TrainConfig
from toolformer.finetune.prepare import prepare, save, show_bias
from toolformer.generation import Gathered, with_calls
from toolformer.hf.transformers_model import CausalModel
from toolformer.lm import DecodingModel, Ids
from toolformer.loading import Loading
from toolformer.tool import Tool
from toolformer.toolbox import Toolbox

Reward = Callable[..., list[float | None]]
Right = Callable[[str, Any], float]
"""How right a text is, from 0 to 1, with what its row says is right."""

_SAMPLED = Options(max_new_tokens=64, do_sample=True)


@dataclass(frozen=True)
class Written:
    """What the model wrote behind a prompt."""

    ids: tuple[int, ...]
    """Its tokens, with calls and results."""
    own: tuple[int, ...]
    """For each token 1, or 0 where it is of a result: the tool wrote it."""
    text: str
    """Without calls and results."""
    calls: int


class Practice:
    """A model with its tools, in the parts that GRPOTrainer asks for. Causal models alone."""

    def __init__(
        self,
        name_or_path: str,
        tools: Iterable[Tool],
        *,
        k: Sequence[int] = (0, 10),
        options: Options = _SAMPLED,
        loading: Loading = Loading(dtype="float32"),
    ) -> None:
        """`name_or_path` is a model that calls, such as a folder of `train`; LoRA goes on from it.

        The answers to one prompt take turns over `k`, so that each group holds some with calls and some without:
        otherwise nothing would be learnt of whether to call. `options` say how the rest is written.
        """
        if not k:
            raise ConfigError("k names no rank: (0, 10) compares answers without calls to answers with them")
        if not options.do_sample:
            raise ConfigError("without do_sample all answers to a prompt are one and the same")
        self._prepared = prepare(name_or_path, TrainConfig(), loading, taught=True)
        if self._prepared.network.config.is_encoder_decoder:
            raise ConfigError(f"{name_or_path} is an encoder-decoder: practice is for causal models")
        self._k, self._options, self._times = tuple(k), options, 0
        show_bias(self._prepared.network.get_output_embeddings())  # type: ignore[no-untyped-call]
        learnt = [parameter for parameter in self.model.parameters() if parameter.requires_grad]
        model = CausalModel(self._prepared.network, self._prepared.codec, name_or_path, "changes as it learns")
        self._decoder = Decoder(model, Toolbox(tools))
        for parameter in learnt:  # what is only asked needs no gradients, so they were switched off
            parameter.requires_grad_(True)

    @property
    def model(self) -> Any:
        """The model to train: `GRPOTrainer(model=...)`."""
        return self._prepared.model

    @property
    def tokenizer(self) -> Any:
        """Its tokenizer: `processing_class=...`."""
        return self._prepared.tokenizer

    def rollout(self, prompts: Sequence[str], trainer: Any) -> dict[str, Any]:  # noqa: ARG002 - TRL passes itself
        """Go on from each prompt with the model as it is now: `rollout_func=...`."""
        if odd := next((prompt for prompt in prompts if not isinstance(prompt, str)), None):
            raise ConfigError(f"a prompt is a text here, not a {type(odd).__name__}: write the turns of a chat as text")
        ids = [self._decoder.model.encode(prompt).ids for prompt in prompts]
        written = self._write(ids)
        return {
            "prompt_ids": [self._prepared.codec.started(one) for one in ids],
            "completion_ids": [[*one.ids] for one in written],
            "logprobs": None,
            "env_mask": [[*one.own] for one in written],
            "text": [one.text for one in written],
            "calls": [one.calls for one in written],
        }

    def reward(self, right: Right, column: str = "answer", patience: float = 4.0) -> Reward:
        """How right an answer is, less for each call: `reward_funcs=...`. See `thrifty`.

        `right` is asked with the text that was written, without its calls, and the row's `column`.
        """

        def reward(text: Sequence[str], calls: Sequence[int], **columns: Any) -> list[float | None]:
            return [
                thrifty(float(right(said, known)), count, patience)
                for said, known, count in zip(text, columns[column], calls, strict=True)
            ]

        return reward

    def save(self, folder: Path) -> None:
        """Write the adapter and its tokenizer; `load` and every command take the folder."""
        save(self._prepared, self.model, str(folder), None)

    def close(self) -> None:
        """Stop the tools' processes."""
        self._decoder.toolbox.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _write(self, prompts: Sequence[Ids]) -> list[Written]:
        """One answer to each prompt; the answers to one prompt take turns over the ranks."""
        came: dict[tuple[int, ...], int] = {}
        turns: dict[int, list[int]] = {k: [] for k in self._k}
        for number, prompt in enumerate(prompts):
            came[tuple(prompt)] = came.get(tuple(prompt), -1) + 1
            turns[self._k[came[tuple(prompt)] % len(self._k)]].append(number)
        self._times += 1
        written: dict[int, Written] = {}
        training = self.model.training
        self.model.eval()
        for k, numbers in turns.items():
            options = self._options.changed(k=k, seed=self._options.seed + self._times)
            rows = {number: Gathered(self._decoder.syntax) for number in numbers}
            for event in self._decoder.run([prompts[number] for number in numbers], options, stride=STRIDE):
                rows[numbers[event.row]].add(event)
            written |= {number: _written(row, self._decoder.model, self._end) for number, row in rows.items()}
        self.model.train(training)
        return [written[number] for number in range(len(prompts))]

    @property
    def _end(self) -> tuple[int, ...]:
        return (int(self.tokenizer.eos_token_id),)


def _written(gathered: Gathered, model: DecodingModel, end: Ids) -> Written:
    """A row's tokens with its calls, and which of them are its own. `end` stands behind a text that it has ended."""
    ended, calls = gathered.ended, gathered.placed
    assert ended is not None
    last = end if ended.reason == "end" or not (ended.ids or calls) else ()

    def wrote(call: Call) -> Ids:
        """A call's tokens up to the arrow, which ends what the model writes of it."""
        return model.encode_parts(CallSyntax.TOKENS.parts(call)[:3])

    def result(call: Call) -> Ids:
        return model.encode_parts(CallSyntax.TOKENS.parts(call)[3:])

    ids = with_calls(ended.ids, calls, lambda call: [*wrote(call), *result(call)])
    own = with_calls([1] * len(ended.ids), calls, lambda call: [1] * len(wrote(call)) + [0] * len(result(call)))
    return Written((*ids, *last), (*own, *[1] * len(last)), gathered.text, len(calls))


def thrifty(right: float, calls: int, patience: float = 4.0) -> float:
    """How right, times the cosine of mπ / (2m + c) for m calls (OTC, Wang et al. 2025).

    The higher the `patience` c, the less a call costs: at 4, one call leaves 87% and three leave 59%.
    """
    return right * math.cos(calls * math.pi / (2 * calls + patience))
