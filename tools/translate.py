"""Translate: a text in any language in, the same in one language out, by a translation model of transformers.

    Translate()("sûreté nucléaire")                          NLLB, 200 languages, to English
    Translate("Helsinki-NLP/opus-mt-fr-en")("une tortue")    a model for one pair of languages

Knows how these families are told which languages: NLLB and M2M100 (codes), MADLAD and Marian for several languages (a
token before the text), Marian for one pair (not at all), T5 (in words). The text itself is data: what looks like such a
code in it is spelled out.
"""

from importlib.util import find_spec
from typing import Any

from toolformer.errors import ConfigError, ToolError
from toolformer.text_file import storable
from toolformer.tool import Traits
from toolformer.tools.languages import LANGUAGES, Language, identify, language
from toolformer.tools.pretrained import Pretrained, generate
from toolformer.version import DISTRIBUTION

MAX_TOKENS = 512
"""In a text to translate: a longer one is refused, for half a translation looks like a whole one."""


class Translate:
    """The tool. The model is loaded at the first call."""

    description = "Translates a text from any language into English, or into another one."

    def __init__(
        self,
        model: str = "facebook/nllb-200-distilled-600M",
        target: str = "English",
        *,
        revision: str | None = None,
        offline: bool = False,
        name: str = "Translate",
    ) -> None:
        if find_spec("py3langid") is None:
            raise ConfigError(f"py3langid is not installed: pip install '{DISTRIBUTION}[translate]'")
        self.target = language(target)
        self.name = name
        self.description = f"Translates a text from any language into {self.target.name}."
        self._pretrained = Pretrained(model, "text-to-text", revision, offline)
        version = f"1 {self._pretrained.version} {self.target.code}"
        self.traits = Traits(version=version, in_process=True, remember=True)

    def __call__(self, text: str, /) -> str:
        """The translation. Text that is in the target language already is a ToolError: there is nothing to gain."""
        text = storable(" ".join(text.split()))
        if not text:
            raise ToolError("there is nothing to translate")
        source = identify(text, self.target)
        with self._pretrained.lock:
            tokenizer, model = self._pretrained.loaded
            ids, options = self._encode(tokenizer, model, text, source)
            limit = min(
                MAX_TOKENS, tokenizer.model_max_length, getattr(model.config, "max_position_embeddings", MAX_TOKENS)
            )
            if len(ids) > limit:
                raise ToolError(f"the text has {len(ids):,} tokens; {limit:,} can be translated at once")
            written = generate(model, ids, min(2 * len(ids) + 10, limit), **options)
            # M2M100's tokenizer does not take its codes for special tokens: the forced one goes by its id.
            words = [token for token in written if token != options.get("forced_bos_token_id")]
            translation = " ".join(tokenizer.decode(words, skip_special_tokens=True).split())
        if not translation:
            raise ToolError(f"the model has no translation from {source.name}")
        return translation

    def _encode(self, tokenizer: Any, model: Any, text: str, source: Language) -> tuple[list[int], dict[str, int]]:
        """The text as ids, told in the model's way what is to be translated into what, and options for generating."""
        target = self.target
        for spelling in ("{0.nllb}", "__{0.code}__"):
            if (forced := _known(tokenizer, spelling.format(target))) is not None:
                if _known(tokenizer, spelling.format(source)) is None:
                    raise ToolError(f"{self._pretrained.name} does not know {source.name}")
                tokenizer.src_lang = spelling.format(source).strip("_")
                return _ids(tokenizer, text), {"forced_bos_token_id": forced}
        for prefix in (f">>{target.nllb[:3]}<<", f"<2{target.code}>"):
            if (before := _known(tokenizer, prefix)) is not None:
                return [before, *_ids(tokenizer, text)], {}
        if model.config.model_type == "marian":
            self._check_pair(tokenizer, source)
            return _ids(tokenizer, text), {}
        if model.config.model_type == "t5":
            return _ids(tokenizer, f"translate {source.name} to {target.name}: {text}"), {}
        raise ConfigError(
            f"{self._pretrained.name} ({model.config.model_type}) has no code for {target.name}: use a model of "
            "the NLLB, M2M100, MADLAD, Marian or T5 kind that translates into it"
        )

    def _check_pair(self, tokenizer: Any, source: Language) -> None:
        """Refuse what a model for one pair of languages, as far as it says which, is not made for."""
        reads, writes = (_marian_code(getattr(tokenizer, f"{side}_lang", None)) for side in ("source", "target"))
        if writes not in (None, self.target.code):
            raise ConfigError(
                f"{self._pretrained.name} translates into {LANGUAGES[writes].name}, not {self.target.name}"
            )
        if reads not in (None, source.code):
            raise ToolError(f"the text is in {source.name}; this model translates from {LANGUAGES[reads].name}")


def _ids(tokenizer: Any, text: str) -> list[int]:
    # Marian's tokenizer takes ">>xyz<<" at the beginning for an order to translate into another language.
    ids: list[int] = tokenizer(text.replace(">>", "> >"), split_special_tokens=True)["input_ids"]
    return ids


def _known(tokenizer: Any, token: str) -> int | None:
    """The id of a token; None if the vocabulary has no such token."""
    number = tokenizer.convert_tokens_to_ids(token)
    return None if number is None or number == tokenizer.unk_token_id else int(number)


def _marian_code(name: str | None) -> str | None:
    """Our code for a language as Marian's tokenizers call it ("fr", "fra"); None for groups of languages."""
    found = (known.code for known in LANGUAGES.values() if name in (known.code, known.nllb[:3]))
    return next(found, None)
