"""Text to ids and back, such that text can never become a control token.

A tokenizer cuts its added tokens out of any text before it does anything else, so a document that spells `<API>` would
open a call. Here plain text goes through a copy of the tokenizer which has no added tokens and cannot reach their ids
in another way; control tokens are looked up by name, and only `encode_parts` ever does that.

For the same reason a chat template is not rendered with the turns' own text, in which its control tokens and those that
a user merely spells could not be told apart: it is rendered around marks which no text holds, and cut there.
"""

import json
from collections.abc import Sequence
from functools import lru_cache
from itertools import accumulate
from typing import Any

from jinja2 import TemplateError
from tokenizers import Tokenizer
from transformers import PreTrainedTokenizerBase

from toolformer.calls import Part
from toolformer.errors import ConfigError
from toolformer.lm import Encoded, Ids
from toolformer.text_file import storable

REMEMBERED = 512
"""Texts whose ids are remembered: more than a shard has."""
_MARK = "\ue000turn {}\ue001"
"""What stands in a template for the text of a turn."""


class Codec:
    """What a model's tokenizer can be asked for."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase, name: str) -> None:
        self.tokenizer = tokenizer
        self._name = name
        backend = getattr(tokenizer, "backend_tokenizer", None)
        if backend is None:
            raise ConfigError(
                f"the tokenizer of {name} has no fast version ({type(tokenizer).__name__}): "
                "save one with the tokenizers library and load the model from that folder"
            )
        self._backend: Tokenizer = backend
        self.recipe: str = backend.to_str()
        recipe = json.loads(self.recipe)
        added: dict[str, int] = {token["content"]: token["id"] for token in recipe["added_tokens"]}
        # Runs of spaces are added tokens in some vocabularies, and plain text all the same.
        self._control = {content: id_ for content, id_ in added.items() if content.strip()}
        # The unknown token is needed to say some things at all: it is an answer, not a control.
        unreachable = {content: id_ for content, id_ in self._control.items() if content != tokenizer.unk_token}
        plain = _without(recipe, unreachable)
        self._plain = Tokenizer.from_str(json.dumps(plain))
        self._inner = Tokenizer.from_str(json.dumps(_continuing(plain)))
        self._forbidden = set(unreachable.values())
        # The stages and the lessons ask for the same texts again and again.
        self._from_start = lru_cache(REMEMBERED)(self._encoded)
        self._behind = lru_cache(REMEMBERED)(self._encoded_behind)

    def check(self) -> None:
        """Refuse a tokenizer that does not keep words apart: what was written with it cannot be read back."""
        words = "a b a"
        if (back := self.decode(self.encode(words).ids).strip()) != words:
            raise ConfigError(
                f"the tokenizer of {self._name} does not keep the spaces between words ({words!r} comes back as "
                f"{back!r}): calls written with it could not be read. Take the tokenizer that belongs to the model"
            )

    @property
    def start(self) -> int | None:
        """What stands before every text: the tokenizer's own mark of a beginning, or else that of an end."""
        first: int | None = self.tokenizer.bos_token_id
        return first if first is not None else self.tokenizer.eos_token_id

    def begins(self, ids: Ids) -> bool:
        """Whether the ids begin with a control token: with the start itself, or with one that a template writes."""
        return bool(ids) and (ids[0] == self.start or ids[0] in self._forbidden)

    def started(self, prompt: Ids) -> list[int]:
        """The prompt behind the start token, unless it has a beginning of its own, as a chat template writes it."""
        return [*(() if self.start is None or self.begins(prompt) else (self.start,)), *prompt]

    def frame(self) -> tuple[list[int], list[int]]:
        """What the tokenizer itself puts before and behind a whole text: an encoder expects it."""
        whole, inner = self.tokenizer("a").input_ids, self.tokenizer("a", add_special_tokens=False).input_ids
        before = next(i for i in range(len(whole)) if whole[i : i + len(inner)] == inner)
        return whole[:before], whole[before + len(inner) :]

    def encode(self, text: str) -> Encoded:
        """The text as ids. Lone surrogates, which are not text, count as U+FFFD; nothing else is replaced by this.

        What the tokenizer itself normalises or has no token for is its own matter.
        """
        return self._from_start(text)

    def encode_behind(self, text: str) -> Encoded:
        """The text as it goes on behind other words: a space before it, which counts to its first character."""
        return self._behind(text)

    def _encoded(self, text: str) -> Encoded:
        return self._encode(self._plain, storable(text))

    def _encoded_behind(self, text: str) -> Encoded:
        encoded = self._encode(self._inner, " " + storable(text))
        return Encoded(encoded.ids, tuple(max(0, start - 1) for start in encoded.starts))

    def _encode(self, tokenizer: Tokenizer, text: str) -> Encoded:
        encoding = tokenizer.encode(text, add_special_tokens=False)
        if self._forbidden.isdisjoint(encoding.ids):
            starts = (start for start, _ in encoding.offsets)
            return Encoded(tuple(encoding.ids), tuple(accumulate(starts, max)))
        # A vocabulary in which whole words are tokens: say it letter by letter, and leave out what it cannot say.
        letters = [(i, self._inner.encode(letter, add_special_tokens=False).ids) for i, letter in enumerate(text)]
        pairs = [(id_, i) for i, ids in letters for id_ in ids if id_ not in self._forbidden]
        return Encoded(tuple(id_ for id_, _ in pairs), tuple(i for _, i in pairs))

    def encode_parts(self, parts: Sequence[Part]) -> tuple[int, ...]:
        """Control parts as their own tokens; plain parts as text that goes on: no space is put before them."""
        ids: list[int] = []
        for part in parts:
            if part.control:
                ids.append(self._control_id(part.text))
            else:
                ids.extend(self._encode(self._inner, storable(part.text)).ids)
        return tuple(ids)

    def _control_id(self, text: str) -> int:
        if text not in self._control:
            raise ConfigError(
                f"{self._name} has no token {text!r}: calls are written with tokens only for models that were "
                "finetuned for them (toolformer train); others use the text spelling"
            )
        return self._control[text]

    def frame_turns(self, roles: Sequence[str]) -> list[tuple[int, ...]] | None:
        """What the chat template writes before, between and behind turns of these roles; the model's turn follows. None
        if the tokenizer has no template."""
        if not self.tokenizer.chat_template:
            return None
        turns = [{"role": role, "content": _MARK.format(number)} for number, role in enumerate(roles)]
        try:
            text = self.tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
        except TemplateError as error:
            shown = ", ".join(roles)
            raise ConfigError(f"the chat template of {self._name} refuses the roles {shown}: {error}") from error
        pieces, rest = [], str(text)
        for turn in turns:
            before, mark, rest = rest.partition(turn["content"])
            if not mark:
                raise ConfigError(f"the chat template of {self._name} does not write every turn once and in order")
            pieces.append(before)
        return [tuple(self.tokenizer(piece, add_special_tokens=False).input_ids) for piece in [*pieces, rest]]

    def decode(self, ids: Ids) -> str:
        """The ids as text, control tokens included."""
        text: str = self._backend.decode(list(ids), skip_special_tokens=False)
        return text

    def behind(self, before: Ids, ids: Ids) -> str:
        """What the ids add to the text behind others: a decoder may swallow a space at the front of a whole text."""
        return self.decode([*before, *ids])[len(self.decode(before)) :]


class Spells:
    """Of `lm.DecodingModel`, what a tokenizer answers by itself."""

    _codec: Codec

    def encode(self, text: str) -> Encoded:
        """See `lm.DecodingModel`. Lone surrogates are encoded as U+FFFD, which is what a decoder makes of them."""
        return self._codec.encode(text)

    def encode_parts(self, parts: Sequence[Part]) -> tuple[int, ...]:
        """See `lm.DecodingModel`."""
        return self._codec.encode_parts(parts)

    def frame_turns(self, roles: Sequence[str]) -> list[tuple[int, ...]] | None:
        """See `lm.DecodingModel`."""
        return self._codec.frame_turns(roles)

    def decode(self, ids: Ids) -> str:
        """See `lm.DecodingModel`."""
        return self._codec.decode(ids)


def _without(recipe: dict[str, Any], control: dict[str, int]) -> dict[str, Any]:
    """The tokenizer without these tokens, neither added nor in reach as ordinary pieces."""
    model = dict(recipe["model"])
    if isinstance(model["vocab"], list):
        model["vocab"] = [[_renamed(piece, control), score] for piece, score in model["vocab"]]
    else:
        model["vocab"] = {_renamed(piece, control): id_ for piece, id_ in model["vocab"].items()}
    if "merges" in model:
        pairs = [merge.split(" ") if isinstance(merge, str) else merge for merge in model["merges"]]
        model["merges"] = [[a, b] for a, b in pairs if control.keys().isdisjoint({a, b, a + b})]
        model["dropout"] = None
    return recipe | {
        "model": model,
        "added_tokens": _kept(recipe["added_tokens"], model["vocab"], control),
        "truncation": None,
        "padding": None,
        # It adds tokens that nobody asked for, and moves a token's start behind its space.
        "post_processor": None,
    }


def _renamed(piece: str, control: dict[str, int]) -> str:
    """An ordinary piece as it is; one that spells a control token as something that no text can hold or come near."""
    return f"\U0010ffff{control[piece]}" if piece in control else piece


def _kept(added: list[dict[str, Any]], vocabulary: Sequence[object], control: dict[str, int]) -> list[dict[str, Any]]:
    """The added tokens that stay, as far as their ids do: a tokenizer numbers them anew, behind its vocabulary."""
    kept: list[dict[str, Any]] = []
    for token in added:
        if token["content"] not in control and token["id"] <= len(vocabulary) + len(kept):
            kept.append(token)
    return kept


def _continuing(recipe: dict[str, Any]) -> dict[str, Any]:
    """The tokenizer for text that goes on: without the space that some put before a text's first word."""
    return recipe | {key: _no_prefix(recipe[key]) for key in ("normalizer", "pre_tokenizer")}


def _no_prefix(step: dict[str, Any] | None) -> dict[str, Any] | None:
    if step is None or step["type"] == "Prepend":
        return None
    for nested in ("normalizers", "pretokenizers"):
        if nested in step:
            steps = [kept for inner in step[nested] if (kept := _no_prefix(inner))]
            return step | {nested: steps}
    if step["type"] == "Metaspace":
        return step | {"prepend_scheme": "never"}
    return step | {"add_prefix_space": False} if "add_prefix_space" in step else step
