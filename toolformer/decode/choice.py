"""Which token comes next, in a text or inside a call: the likeliest, or one sampled under transformers' own options."""

import hashlib
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor
from transformers.generation import logits_process as by_transformers

from toolformer.decode.options import Options
from toolformer.decode.row import Row
from toolformer.errors import ConfigError
from toolformer.hf.sampling import choose, uniform
from toolformer.lm import DecodingModel, Ids

Process = by_transformers.LogitsProcessor


class Chooser:
    """Chooses tokens of texts: never one of `control`, nor one that completes `opening`, if there is one."""

    def __init__(self, options: Options, model: DecodingModel, control: Ids, opening: Ids) -> None:
        self._options = options
        self._never = frozenset([*control, *(opening if len(opening) == 1 else ())])
        self._opening = list(opening)
        self._ends = sorted(model.ends)
        self._reads_apart = model.reads_apart
        self._penalties = _penalties(options)
        self._warpers = _warpers(options, options.temperature) if options.do_sample else []
        self._greedy = not (options.do_sample or self._penalties or options.min_new_tokens)

    def choose(self, rows: Sequence[Row], logits: Tensor, best: Sequence[int]) -> list[int]:
        """A token for each row of logits; `best` are the likeliest. -1 where the scores are no numbers."""
        completing = [place for place, row in enumerate(rows) if self._completes(row)]
        if self._greedy and not completing and self._never.isdisjoint(best):
            return list(best)
        never = torch.tensor(sorted(self._never), dtype=torch.long, device=logits.device)
        scores = logits.index_fill(1, never, -torch.inf)
        scores[completing, self._opening[-1:]] = -torch.inf
        for place, row in enumerate([] if self._greedy else rows):
            scores[place : place + 1] = self._penalised(row, scores[place : place + 1])
        if not self._options.do_sample:
            return [int(token) for token in scores.argmax(dim=-1)]
        for warp in self._warpers:
            # None of these looks at what was said.
            scores = warp(never.new_zeros(len(rows), 0), scores)
        numbers = [[uniform(row.seed, len(row.said))] for row in rows]
        return [tokens[0] for tokens in choose(scores, numbers, 1.0, 1.0)]

    def _completes(self, row: Row) -> bool:
        """Whether the text ends with all but the last token of an opening of several tokens."""
        front = self._opening[:-1]
        return bool(front) and row.said[-len(front) :] == front

    def _penalised(self, row: Row, scores: Tensor) -> Tensor:
        before = [] if self._reads_apart else list(row.asked.prompt)
        ids = torch.tensor([before + row.said], dtype=torch.long, device=scores.device)
        for process in self._penalties:
            scores = process(ids, scores)
        if self._ends and (least := self._options.min_new_tokens) and len(row.said) < least:
            scores = scores.index_fill(1, torch.tensor(self._ends, device=scores.device), -torch.inf)
        return scores


class CallChooser:
    """Chooses tokens inside calls, where no penalty counts: an input may repeat what the text says."""

    def __init__(self, options: Options) -> None:
        temperature = options.temperature_in_calls
        self._first_is_likeliest = options.calls_sampled > 1
        self._warpers = _warpers(options, temperature) if temperature else []
        self._greedy = not temperature

    def choose(self, logits: Tensor, best: int, seed: int, sample: int, step: int) -> int:
        """A token for a row of logits, whose likeliest is `best`. Of several samples, the first takes that."""
        if self._greedy or (self._first_is_likeliest and sample == 0):
            return best
        scores = logits[None]
        for warp in self._warpers:
            scores = warp(torch.zeros(1, 0, dtype=torch.long, device=logits.device), scores)
        chosen = choose(scores, [[uniform(seed, step)]], 1.0, 1.0)[0][0]
        return best if chosen < 0 else chosen  # from scores that are no numbers, nothing can be sampled


def _penalties(options: Options) -> list[Process]:
    """What depends on the text so far."""
    by_option = {
        "repetition_penalty": by_transformers.RepetitionPenaltyLogitsProcessor,
        "no_repeat_ngram_size": by_transformers.NoRepeatNGramLogitsProcessor,
    }
    return _processes(by_option, {name: getattr(options, name) for name in by_option})


def _warpers(options: Options, temperature: float | None) -> list[Process]:
    """What shapes the distribution to sample from, in transformers' order."""
    by_option = {
        "temperature": by_transformers.TemperatureLogitsWarper,
        "top_h": by_transformers.TopHLogitsWarper,
        "top_k": by_transformers.TopKLogitsWarper,
        "top_p": by_transformers.TopPLogitsWarper,
        "min_p": by_transformers.MinPLogitsWarper,
        "typical_p": by_transformers.TypicalLogitsWarper,
        "epsilon_cutoff": by_transformers.EpsilonLogitsWarper,
        "eta_cutoff": by_transformers.EtaLogitsWarper,
    }
    return _processes(by_option, {name: getattr(options, name) for name in by_option} | {"temperature": temperature})


def _processes(by_option: Mapping[str, Callable[..., Process]], given: Mapping[str, object]) -> list[Process]:
    """Those that have a value."""
    try:
        return [by_option[name](value) for name, value in given.items() if value is not None]
    except (ValueError, TypeError) as error:
        raise ConfigError(f"transformers refuses this option: {error}") from error


def row_seed(seed: int, prompt: Ids, before: int) -> int:
    """The seed of one row: the prompt's own, whatever else is asked; the same prompt again gets another."""
    return _hashed(f"{seed}:{before}:{','.join(map(str, prompt))}")


def call_seed(seed: int, said: int, sample: int) -> int:
    """The seed of a call that opens behind so many tokens of a row's text, or of one of several samples of it."""
    return _hashed(f"{seed}:call:{said}:{sample}")


def _hashed(key: str) -> int:
    return int.from_bytes(hashlib.blake2b(key.encode(), digest_size=8).digest(), "big")
