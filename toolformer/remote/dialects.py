"""How servers are asked to go on with tokens, and tell the likeliest ones at each place: vLLM's words and llama.cpp's.

Both take a prompt as ids, write the likeliest tokens behind it, and tell, before each, the log-probabilities of the
likeliest; both read again only what is new of a prompt that begins as an earlier one did.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from toolformer.errors import ConfigError
from toolformer.lm import Ids
from toolformer.remote.asking import Asker, Question, base_of

KNOWN = 20
"""How many of the likeliest tokens are asked for: vLLM tells no more unless it is started with `--max-logprobs`."""
_OFF = 1e-3
"""By how much probabilities may add up to more than 1, for want of precision."""
_LOWEST = -1e39
"""Below what any server says of an impossible token."""


@dataclass(frozen=True)
class Place:
    """One place in a text: the likeliest tokens there, and the one that the server wrote."""

    tokens: tuple[int, ...]
    log_probabilities: tuple[float, ...]
    """Of these tokens, falling."""
    written: int


class Dialect(ABC):
    """A server that speaks one of them."""

    def __init__(self, base: str, model: str, context: int) -> None:
        self._base, self._model = base, model
        self.context = context
        """Tokens that fit, what is written among them."""

    @abstractmethod
    def go_on(self, ids: Ids, count: int, size: int) -> Question[list[Place]]:
        """Write so many tokens, or fewer where the text ends; ids are below `size`."""

    @abstractmethod
    def spell(self, ids: Ids) -> Question[str]:
        """Say what text the ids are."""


class VLLM(Dialect):
    """vLLM, by OpenAI's completions with parameters of its own."""

    def go_on(self, ids: Ids, count: int, size: int) -> Question[list[Place]]:
        """See Dialect."""
        body = {
            "model": self._model,
            "prompt": list(ids),
            "max_tokens": count,
            "temperature": 0,
            "logprobs": KNOWN,
            "return_tokens_as_token_ids": True,
        }

        def read(reply: Any) -> list[Place]:
            told = reply["choices"][0]["logprobs"]
            tops = [{_vllm_id(key): value for key, value in top.items()} for top in told["top_logprobs"]]
            return _places(map(_vllm_id, told["tokens"]), tops, count, size)

        return Question(f"{self._base}/completions", body, read, "completion with log-probabilities")

    def spell(self, ids: Ids) -> Question[str]:
        """See Dialect."""
        body = {"model": self._model, "tokens": list(ids)}
        return Question(f"{root_of(self._base)}/detokenize", body, lambda reply: _text(reply["prompt"]), "text")


class LlamaCpp(Dialect):
    """llama.cpp's own server, by its own completions."""

    def go_on(self, ids: Ids, count: int, size: int) -> Question[list[Place]]:
        """See Dialect."""
        body = {"prompt": list(ids), "n_predict": count, "temperature": 0, "n_probs": KNOWN, "cache_prompt": True}

        def read(reply: Any) -> list[Place]:
            told = reply["completion_probabilities"]
            tops = [{top["id"]: top["logprob"] for top in one["top_logprobs"]} for one in told]
            return _places((one["id"] for one in told), tops, count, size)

        return Question(f"{root_of(self._base)}/completion", body, read, "completion with log-probabilities")

    def spell(self, ids: Ids) -> Question[str]:
        """See Dialect."""
        url = f"{root_of(self._base)}/detokenize"
        return Question(url, {"tokens": list(ids)}, lambda reply: _text(reply["content"]), "text")


def dialect_of(asker: Asker) -> Dialect:
    """The dialect that a server says it speaks."""
    base, card = base_of(asker.url), card_of(asker)
    model, owner = str(card["id"]), card.get("owned_by")
    if owner == "vllm":
        return VLLM(base, model, context_in(card.get("max_model_len")))
    if owner == "llamacpp":
        props = Question(f"{root_of(base)}/props", None, _slot, "settings with its context")
        return LlamaCpp(base, model, context_in(asker.need(props)))
    raise ConfigError(
        f"{asker.url} is neither vLLM's nor llama.cpp's server (its model is owned by {str(owner)[:60]!r}): others do "
        "not tell the ids of the likeliest tokens"
    )


def card_of(asker: Asker) -> Mapping[str, Any]:
    """What a server says of its model."""
    return asker.need(Question(f"{base_of(asker.url)}/models", None, _card, "list of models"))


def _card(reply: Any) -> Mapping[str, Any]:
    card = reply["data"][0]
    if not (isinstance(card, dict) and isinstance(card["id"], str)):
        raise TypeError(type(card))
    return card


def _slot(reply: Any) -> object:
    """The context of one text, of which a server may hold several."""
    return reply["default_generation_settings"]["n_ctx"]


def context_in(value: object) -> int:
    """The tokens of a context, as a server says it."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 2:
        raise ConfigError(
            f"the server says that its context has {str(value)[:60]!r} tokens: start it with a longer one"
        )
    return value


def root_of(base: str) -> str:
    """The address without the version."""
    return base.removesuffix("/v1")


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(type(value))
    return value


def _vllm_id(word: str) -> int:
    """The id in `token_id:17`."""
    return int(word.removeprefix("token_id:"))


def _places(written: Iterable[object], tops: Sequence[Mapping[Any, Any]], count: int, size: int) -> list[Place]:
    """The places of a reply, of which there is one at least, and no more than were asked for."""
    if not 0 < len(tops) <= count:
        raise ValueError(f"{len(tops)} places")
    return [_place(token, top, size) for token, top in zip(written, tops, strict=True)]


def _place(written: object, told: Mapping[Any, Any], size: int) -> Place:
    """Checked: ids that there are, numbers that log-probabilities can be, and as many as were asked for."""
    likeliest = sorted(told.items(), key=lambda pair: pair[1], reverse=True)[:KNOWN]
    tokens, values = zip(*likeliest, strict=True)
    if len(tokens) < min(KNOWN, size):
        raise ValueError(f"{len(tokens)} tokens")
    for token in (written, *tokens):
        if isinstance(token, bool) or not isinstance(token, int) or not 0 <= token < size:
            raise ValueError(f"token {token}")
    if not all(isinstance(value, int | float) and _LOWEST <= value <= _OFF for value in values):
        raise ValueError("no log-probabilities")
    if not math.fsum(map(math.exp, values)) <= 1 + _OFF:
        raise ValueError("probabilities above 1")
    return Place(tokens, tuple(map(float, values)), written)  # type: ignore[arg-type]
