"""How servers are asked how likely a text is, token by token: vLLM's words and SGLang's.

Both take the text as ids and read it. llama.cpp's server does not tell the probabilities of what it reads.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

from toolformer.errors import ConfigError
from toolformer.lm import Ids
from toolformer.remote.asking import Asker, Question, base_of
from toolformer.remote.dialects import card_of, context_in, root_of


class Reader(ABC):
    """A server that speaks one of them."""

    name: str

    def __init__(self, base: str, model: str, context: int) -> None:
        self._base, self._model = base, model
        self.context = context - 1
        """Tokens of a text that fit: a place is left for the one that the server writes."""

    @abstractmethod
    def read(self, ids: Ids, start: int) -> Question[list[float]]:
        """The log-probabilities of the tokens from `start` on, which is 1 at least."""


class VLLM(Reader):
    """vLLM, by OpenAI's completions with a parameter of its own. It tells them of the whole text."""

    name = "vLLM"

    def read(self, ids: Ids, start: int) -> Question[list[float]]:
        """See Reader."""
        body = {
            "model": self._model,
            "prompt": list(ids),
            "max_tokens": 1,
            "temperature": 0,
            "prompt_logprobs": 0,
        }

        def answer(reply: Any) -> list[float]:
            told = reply["choices"][0]["prompt_logprobs"]
            if len(told) != len(ids):
                raise ValueError(f"{len(told)} tokens")
            return [_number(told[at][str(ids[at])]["logprob"]) for at in range(start, len(ids))]

        return Question(f"{self._base}/completions", body, answer, "completion with the prompt's log-probabilities")


class SGLang(Reader):
    """SGLang, by its own way to generate. It tells them from a place on."""

    name = "SGLang"

    def read(self, ids: Ids, start: int) -> Question[list[float]]:
        """See Reader."""
        body = {
            "input_ids": list(ids),
            "sampling_params": {"max_new_tokens": 1, "temperature": 0},
            "return_logprob": True,
            # Of the first token that it tells of, it does not say how likely that was.
            "logprob_start_len": start - 1,
        }

        def answer(reply: Any) -> list[float]:
            told = reply["meta_info"]["input_token_logprobs"][start - len(ids) :] if start < len(ids) else []
            if [one[1] for one in told] != list(ids[start:]):
                raise ValueError("other tokens")
            return [_number(one[0]) for one in told]

        return Question(f"{root_of(self._base)}/generate", body, answer, "reply with the input's log-probabilities")


READERS: Sequence[type[Reader]] = (VLLM, SGLang)


def reader_of(asker: Asker) -> Reader:
    """The dialect that a server says it speaks."""
    card = card_of(asker)
    owner = str(card.get("owned_by"))[:60]
    for kind in READERS:
        if owner == kind.name.casefold():
            return kind(base_of(asker.url), str(card["id"]), context_in(card.get("max_model_len")))
    raise ConfigError(
        f"{asker.url} is neither vLLM's nor SGLang's server (its model is owned by {owner!r}): others do not tell how "
        "likely the tokens of a prompt are"
    )


def _number(value: object) -> float:
    """A log-probability. Of an impossible token a server may say some very low number."""
    if isinstance(value, bool) or not isinstance(value, int | float) or math.isnan(value) or value > 1e-3:
        raise ValueError("no log-probability")
    return min(0.0, float(value))
