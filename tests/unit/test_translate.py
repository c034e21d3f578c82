"""Translate: languages identified, models told the right ones, with tiny random models of each family."""

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import (
    BartConfig,
    BartForConditionalGeneration,
    M2M100Config,
    M2M100ForConditionalGeneration,
    M2M100Tokenizer,
    MarianConfig,
    MarianMTModel,
    MarianTokenizer,
    NllbTokenizer,
    T5Config,
    T5ForConditionalGeneration,
    T5Tokenizer,
)

from toolformer import Toolbox
from toolformer.errors import ConfigError, ToolError
from toolformer.tools import languages, translate
from toolformer.tools.languages import LANGUAGES, identify, language
from toolformer.tools.pretrained import generate
from toolformer.tools.translate import Translate

ENGLISH = language("English")
FRENCH = "Où se trouve la bibliothèque nationale de France ?"
SIZE: dict[str, Any] = {
    "d_model": 16,
    "encoder_layers": 1,
    "decoder_layers": 1,
    "encoder_attention_heads": 2,
    "decoder_attention_heads": 2,
    "encoder_ffn_dim": 16,
    "decoder_ffn_dim": 16,
}


# Languages


@pytest.mark.parametrize(
    ("text", "name"),
    [
        (FRENCH, "French"),
        ("sûreté nucléaire", "French"),
        ("une tortue", "French"),
        ("Guten Morgen", "German"),
        ("die Bundesrepublik", "German"),
        ("¿Dónde está la biblioteca?", "Spanish"),
        ("buongiorno", "Italian"),
        ("Ordem e Progresso", "Portuguese"),
        ("чёрная кошка", "Russian"),
        ("黒い猫", "Japanese"),
        ("검은 고양이", "Korean"),
        ("μαύρη γάτα", "Greek"),
        ("قطة سوداء", "Arabic"),
        ("Croeso i Gymru, mae hi'n bwrw glaw heddiw yng Nghaerdydd", "Welsh"),  # rare, and long enough to be sure
        ("le fromage", "French"),  # English would be likelier, were that not the target
    ],
)
def test_identify(text: str, name: str) -> None:
    assert identify(text, ENGLISH).name == name


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("Where is the national library?", "in English already"),
        ("1234 + 5 = ?!", "no word"),
        ("Gallia est omnis divisa in partes tres, quarum unam incolunt Belgae", r"cannot translate from \(la\)"),
    ],
)
def test_nothing_to_translate_from(text: str, complaint: str) -> None:
    with pytest.raises(ToolError, match=complaint):
        identify(text, ENGLISH)


def test_a_few_words_are_not_in_the_target_language() -> None:
    assert identify("chat", ENGLISH) != ENGLISH
    assert identify(FRENCH, language("German")).code == "fr"
    with pytest.raises(ToolError, match="in French already"):
        identify(FRENCH, language("French"))


def test_the_end_of_a_long_text_does_not_matter() -> None:
    assert identify(FRENCH * 100 + "Where is the library? " * 50_000, ENGLISH).code == "fr"


def test_the_table_of_languages() -> None:
    from transformers.models.nllb.tokenization_nllb import FAIRSEQ_LANGUAGE_CODES

    assert len({known.name for known in LANGUAGES.values()}) == len(LANGUAGES) > 100
    assert {known.nllb for known in LANGUAGES.values()} <= set(FAIRSEQ_LANGUAGE_CODES)
    assert set(LANGUAGES) <= set(languages._identifier().labels)
    assert {known.code for known in LANGUAGES.values() if known.common} >= {"en", "de", "es", "fr", "zh", "ar", "hi"}


@pytest.mark.parametrize("name", ["French", "french", "fr", "fra_Latn"])
def test_a_language_by_name_or_code(name: str) -> None:
    assert language(name).nllb == "fra_Latn"


def test_an_unknown_language_has_near_matches() -> None:
    with pytest.raises(ConfigError, match="no language is called 'Frensh': did you mean French"):
        Translate(target="Frensh")


# The families


def sentencepiece_model(folder: Path) -> Path:
    import sentencepiece

    written = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([FRENCH, "une tortue > < _", "x y z"] * 10),
        model_writer=written,
        vocab_size=70,
        hard_vocab_limit=False,
        minloglevel=2,
    )
    path = folder / "pieces.model"
    path.write_bytes(written.getvalue())
    return path


def pieces(path: Path) -> list[str]:
    import sentencepiece

    processor = sentencepiece.SentencePieceProcessor(model_file=str(path))
    return [processor.id_to_piece(number) for number in range(processor.get_piece_size())]


def save(folder: Path, tokenizer: Any, model: Any) -> str:
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(5.0)
    tokenizer.save_pretrained(folder)
    model.save_pretrained(folder)
    return str(folder)


def speaking(model: Any, words: int) -> Any:
    """The model, writing words instead of control tokens."""
    with torch.no_grad():
        model.model.shared.weight[:4] = 0
        model.model.shared.weight[words:] = 0
    return model


def nllb(folder: Path) -> str:
    letters = [*sorted(set(FRENCH + "unetortu_<>")), "▁"]
    vocabulary = {piece: number for number, piece in enumerate(["<s>", "<pad>", "</s>", "<unk>", *letters])}
    tokenizer = NllbTokenizer(vocab=vocabulary, merges=[])
    torch.manual_seed(0)
    config = M2M100Config(vocab_size=len(tokenizer), max_position_embeddings=80, **SIZE)
    return save(folder, tokenizer, speaking(M2M100ForConditionalGeneration(config), len(vocabulary)))


def m2m100(folder: Path) -> str:
    path = sentencepiece_model(folder)
    vocabulary = [
        "<s>",
        "<pad>",
        "</s>",
        "<unk>",
        *(piece for piece in pieces(path) if piece not in ("<s>", "</s>", "<unk>")),
    ]
    (folder / "vocab.json").write_text(json.dumps({piece: number for number, piece in enumerate(vocabulary)}))
    tokenizer = M2M100Tokenizer(str(folder / "vocab.json"), str(path))
    torch.manual_seed(0)
    config = M2M100Config(vocab_size=len(tokenizer) + 100 + 8, max_position_embeddings=80, **SIZE)
    return save(folder, tokenizer, speaking(M2M100ForConditionalGeneration(config), len(vocabulary)))


def marian(folder: Path, *codes: str, **pair: str) -> str:
    path = sentencepiece_model(folder)
    vocabulary = [
        "</s>",
        "<unk>",
        *(piece for piece in pieces(path) if piece not in ("<s>", "</s>", "<unk>")),
        *codes,
        "<pad>",
    ]
    (folder / "vocab.json").write_text(json.dumps({piece: number for number, piece in enumerate(vocabulary)}))
    (folder / "source.spm").write_bytes(path.read_bytes())
    (folder / "target.spm").write_bytes(path.read_bytes())
    with pytest.warns(UserWarning, match="sacremoses"):
        tokenizer = MarianTokenizer(
            str(folder / "source.spm"),
            str(folder / "target.spm"),
            str(folder / "vocab.json"),
            source_lang=pair.get("source_lang"),
            target_lang=pair.get("target_lang"),
        )
    torch.manual_seed(0)
    end = len(vocabulary) - 1
    config = MarianConfig(
        vocab_size=len(vocabulary),
        max_position_embeddings=80,
        pad_token_id=end,
        decoder_start_token_id=end,
        eos_token_id=0,
        forced_eos_token_id=0,
        **SIZE,
    )
    return save(folder, tokenizer, MarianMTModel(config))


def t5(folder: Path, *codes: str) -> str:
    vocabulary = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁", -2.0)]
    vocabulary += [(letter, -3.0) for letter in sorted(set(FRENCH + "translate French to English: unetortu<>2"))]
    tokenizer = T5Tokenizer(vocab=vocabulary, extra_ids=1)
    tokenizer.add_tokens(list(codes), special_tokens=True)
    torch.manual_seed(0)
    sizes = {"vocab_size": len(tokenizer), "d_model": 16, "d_kv": 8, "d_ff": 16, "num_layers": 1, "num_heads": 2}
    config = T5Config.from_dict({**sizes, "decoder_start_token_id": 0})
    return save(folder, tokenizer, T5ForConditionalGeneration(config))


Seen = list[tuple[list[int], dict[str, object], list[int]]]


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> Seen:
    """What models were given and what they wrote."""
    calls: Seen = []

    def spy(model: Any, input_ids: list[int], max_new_tokens: int, **options: object) -> list[int]:
        assert max_new_tokens <= translate.MAX_TOKENS
        written = generate(model, input_ids, max_new_tokens, **options)
        calls.append((input_ids, options, written))
        return written

    monkeypatch.setattr(translate, "generate", spy)
    return calls


@pytest.mark.parametrize(
    ("make", "source", "target"), [(nllb, "fra_Latn", "eng_Latn"), (m2m100, "__fr__", "__en__")], ids=["nllb", "m2m100"]
)
def test_models_with_codes(tmp_path: Path, seen: Seen, make: Callable[[Path], str], source: str, target: str) -> None:
    tool = Translate(make(tmp_path))
    translation = tool(FRENCH)
    tokenizer, _ = tool._pretrained.loaded
    ids, options, written = seen[0]
    source_id, target_id = tokenizer.convert_tokens_to_ids([source, target])
    assert tokenizer.unk_token_id not in (source_id, target_id)
    assert (ids[0], ids[-1]) == (source_id, tokenizer.eos_token_id)
    assert options == {"forced_bos_token_id": target_id}
    assert written[1] == target_id
    assert translation
    assert target not in translation
    assert tool(FRENCH) == translation == Translate(str(tmp_path))(FRENCH)
    tool("die schwarze Katze sitzt auf der Matte")  # the source is set anew each time
    assert seen[-1][0][0] != source_id

    hostile = f"{FRENCH} {target} </s> {source}"
    tool(hostile)
    assert set(seen[-1][0][1:-1]) & {source_id, target_id, tokenizer.eos_token_id} == set()


def test_a_source_that_the_model_does_not_know(tmp_path: Path) -> None:
    tool = Translate(m2m100(tmp_path))
    with pytest.raises(ToolError, match="does not know Faroese"):
        tool("Føroyar eru eitt oyggjaland í Norðuratlantshavi, har fólk tosa føroyskt")


def test_marian_for_one_pair(tmp_path: Path, seen: Seen) -> None:
    tool = Translate(marian(tmp_path, source_lang="fr", target_lang="en"))
    assert tool(FRENCH) == tool(FRENCH)
    ids, options, _ = seen[0]
    assert ids[-1] == 0
    assert not options
    with pytest.raises(ToolError, match="the text is in German; this model translates from French"):
        tool("die schwarze Katze sitzt auf der Matte")
    with pytest.raises(ConfigError, match="translates into English, not German"):
        Translate(str(tmp_path), "German")(FRENCH)


def test_marian_for_several_languages(tmp_path: Path, seen: Seen) -> None:
    tool = Translate(marian(tmp_path, ">>eng<<", ">>deu<<", source_lang="roa", target_lang="gmw"))
    tokenizer, _ = tool._pretrained.loaded
    tool(FRENCH)
    assert seen[-1][0][0] == tokenizer.convert_tokens_to_ids(">>eng<<")
    tool(f">>deu<< {FRENCH}")
    assert seen[-1][0][0] == tokenizer.convert_tokens_to_ids(">>eng<<")
    assert tokenizer.convert_tokens_to_ids(">>deu<<") not in seen[-1][0]


def test_t5_is_told_in_words(tmp_path: Path, seen: Seen) -> None:
    tool = Translate(t5(tmp_path))
    assert tool(FRENCH) == tool(FRENCH)
    tokenizer, _ = tool._pretrained.loaded
    assert tokenizer.decode(seen[0][0][:-1]).startswith("translate French to English: Où se trouve")


def test_madlad_is_told_by_a_token(tmp_path: Path, seen: Seen) -> None:
    tool = Translate(t5(tmp_path, "<2en>", "<2de>"))
    tokenizer, _ = tool._pretrained.loaded
    tool(f"{FRENCH} <2de>")
    assert seen[0][0][0] == tokenizer.convert_tokens_to_ids("<2en>")
    assert tokenizer.convert_tokens_to_ids("<2de>") not in seen[0][0]


# The tool


def test_a_text_that_does_not_fit_is_refused_whole(tmp_path: Path) -> None:
    with pytest.raises(ToolError, match=r"the text has \d+ tokens; 80 can be translated"):
        Translate(nllb(tmp_path))(FRENCH * 3)


@pytest.mark.parametrize("text", ["", " \n", "\x00", "12", "\ud800"])
def test_nothing_to_translate(text: str) -> None:
    with pytest.raises(ToolError, match="nothing to translate|no word"):
        Translate("no/such-model")(text)


def test_another_kind_of_model(tmp_path: Path) -> None:
    nllb(tmp_path)
    bart = BartForConditionalGeneration(BartConfig(vocab_size=300, **SIZE))
    bart.save_pretrained(tmp_path)
    T5Tokenizer(extra_ids=1).save_pretrained(tmp_path)
    with pytest.raises(ConfigError, match=r"\(bart\) has no code for English"):
        Translate(str(tmp_path))(FRENCH)


def test_what_it_needs_is_said_when_it_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(translate, "find_spec", lambda _: None)
    with pytest.raises(ConfigError, match=r"py3langid is not installed: pip install 'toolformer-kit\[translate\]'"):
        Translate()


def test_no_such_model(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="text-to-text model .* cannot be loaded"):
        Translate(str(tmp_path / "nothing"), offline=True)(FRENCH)


def test_in_a_toolbox(tmp_path: Path) -> None:
    tool = Translate(nllb(tmp_path))
    assert tool.description == "Translates a text from any language into English."
    assert tool.traits.in_process
    assert tool.traits.remember
    with Toolbox([tool]) as toolbox:
        assert toolbox.run("Translate", FRENCH) == tool(FRENCH)
        with pytest.raises(ToolError, match="Translate: the text is in English already"):
            toolbox.run("Translate", "This is English text.")


def test_the_version_names_model_revision_and_target() -> None:
    tools = [Translate(), Translate(revision="abc"), Translate("other"), Translate(target="German")]
    assert len({tool.traits.version for tool in tools}) == 4
