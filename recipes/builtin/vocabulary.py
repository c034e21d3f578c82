"""The built-in model's tokenizer: byte-level BPE in which each number up to 999 is one token, with a space and without.

So the window of five tokens that the filter looks at sees a whole result, and a number is copied in one step. A word is
cut the same way with a space before it and without: only its first token differs. Every mark of punctuation is a token
of its own, at most with the space before it, and every text round-trips by its bytes.
"""

import json
import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from recipes.builtin.mixture import example

SIZE = 5120
BEGIN, END, PAD = SPECIAL = ("<|begin|>", "<|end|>", "<|pad|>")
SPACE = "Ġ"
"""How byte-level BPE writes the space."""
_NUMBERS = [str(number) for number in range(1000)] + [f"0{digit}" for digit in range(10)]
_WORD = (
    r"'(?:s|t|re|ve|ll|d|m)\b|{0}\p{{N}}{{1,3}}|{0}[\p{{L}}\p{{M}}]+|{0}->|{0}[^\s\p{{L}}\p{{M}}\p{{N}}]|\s+(?!\S)|\s+"
)


def build(texts: Sequence[str], out: Path, seed: int = 0, examples: int = 20_000) -> None:
    """Train the tokenizer on generated and given text and write it as a transformers tokenizer folder."""
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

    def splitter(*steps: Any) -> Any:
        return pre_tokenizers.Sequence([*steps, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])

    tokenizer = Tokenizer(models.BPE())
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(
        vocab_size=(SIZE - 2 * len(_NUMBERS)) // 2, special_tokens=list(SPECIAL), initial_alphabet=alphabet,
        show_progress=False,
    )  # fmt: skip
    spaces = pre_tokenizers.Split(Regex(r"\s+"), "removed")
    tokenizer.pre_tokenizer = splitter(spaces, pre_tokenizers.Split(Regex(_WORD.format("")), "isolated"))
    tokenizer.train_from_iterator(_sentences(texts, seed, examples), trainer)
    tokenizer.pre_tokenizer = splitter(pre_tokenizers.Split(Regex(_WORD.format(" ?")), "isolated"))
    tokenizer.decoder = decoders.ByteLevel()
    description = json.loads(tokenizer.to_str())
    _add_numbers_and_spaces(description["model"])
    out.mkdir(parents=True, exist_ok=True)
    (out / "tokenizer.json").write_text(json.dumps(description, ensure_ascii=False) + "\n", encoding="utf-8")
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast", "bos_token": BEGIN, "eos_token": END, "pad_token": PAD,
        "model_max_length": 1024, "clean_up_tokenization_spaces": False, "split_special_tokens": True,
    }  # fmt: skip
    (out / "tokenizer_config.json").write_text(json.dumps(config, indent=1) + "\n", encoding="utf-8")


def _add_numbers_and_spaces(model: dict[str, Any]) -> None:
    """A token for each number, and for each token one with a space before it, whose merge comes last.

    A piece of text that is in the vocabulary is taken whole, whatever the merges say: that is how numbers are found.
    """
    vocabulary: dict[str, int] = model["vocab"]
    printable = [token for token in vocabulary if token not in SPECIAL and (len(token) > 1 or token.isascii())]
    for number in _NUMBERS:
        vocabulary.setdefault(number, len(vocabulary))
    for token in [*_NUMBERS, *printable]:
        if SPACE + token not in vocabulary:
            vocabulary[SPACE + token] = len(vocabulary)
            if not token.isdigit():
                model["merges"].append([SPACE, token])
    model["ignore_merges"] = True


def _sentences(texts: Sequence[str], seed: int, examples: int) -> Iterator[str]:
    """What merges are learnt from: generated texts, without numbers and with no word exchanged; and given ones."""
    for number in range(examples):
        rng = random.Random(f"vocabulary {seed} {number}")
        text = "".join(piece for piece, _ in example(rng, 0.3, ()))
        yield "".join(character for character in text if not character.isdigit())
    yield from texts[: examples // 10]
