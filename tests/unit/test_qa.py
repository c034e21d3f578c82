"""QA: the table that never guesses, readers with tiny random models, and the tool around them."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import BertConfig, BertForQuestionAnswering, T5Config, T5ForConditionalGeneration

from tests.tiny_tool_models import SPECIAL, word_tokenizer
from toolformer import Toolbox
from toolformer.errors import ConfigError, DataError, ToolError
from toolformer.tool import Tool
from toolformer.tools import readers
from toolformer.tools.knowledge_table import KnowledgeTable, Record
from toolformer.tools.passages import Passage
from toolformer.tools.pretrained import MAX_SECONDS, generate
from toolformer.tools.qa import MAX_QUESTION, QA
from toolformer.tools.readers import ExtractiveReader, TextToTextReader

CAPITAL = ("What is the capital of {}?", "Which city is the capital of {}?")
BORN = ("In what year was {} born?", "When was {} born?")
WROTE = ("Who wrote the book {}?", "Who is the author of the book {}?")
FACTS = [
    ("capital", "Peru", "Lima", CAPITAL),
    ("capital", "Côte d'Ivoire", "Yamoussoukro", CAPITAL),
    ("currency", "Peru", "sol", ("What is the currency of {}?",)),
    ("born", "Marie Curie", "1867", BORN),
    ("author", "The Time Machine", "H. G. Wells", WROTE),
    ("inventor", "the C language", "Dennis Ritchie", ("Who invented {}?",)),
    ("inventor", "the C++ language", "Bjarne Stroustrup", ("Who invented {}?",)),
    ("abbreviation", "WHO", "World Health Organization", ("What does {} stand for?",)),
]
TABLE = KnowledgeTable(
    [
        Record(answer, tuple(wording.format(subject) for wording in wordings), subject, relation)
        for relation, subject, answer, wordings in FACTS
    ]
    + [Record("to the sea", ("Where does the road from Rome to Ostia lead?",))]
)


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("What is the capital of Peru?", "Lima"),
        ("what is  THE capital of peru", "Lima"),
        ("Which city is the capital of Peru", "Lima"),
        ("Which is the capital city of Peru?", "Lima"),  # words of two wordings
        ("What is Peru's capital?", "Lima"),
        ("Please tell me the capital of Peru.", "Lima"),
        ("capital of Cote d’Ivoire", "Yamoussoukro"),
        ("currency of Peru?", "sol"),
        ("What year was Marie Curie born in?", "1867"),
        ("Who wrote The Time Machine?", "H. G. Wells"),
        ("who is author of time machine", "H. G. Wells"),
        ("Who invented the C language?", "Dennis Ritchie"),
        ("Who invented the C++ language?", "Bjarne Stroustrup"),
        ("What does the WHO stand for?", "World Health Organization"),
        ("Where does road from Rome to Ostia lead", "to the sea"),
    ],
)
def test_the_table_knows_its_questions_in_other_words(question: str, answer: str) -> None:
    assert TABLE.answer(question) == answer


@pytest.mark.parametrize(
    "question",
    [
        "What is the capital of Chile?",
        "What is the largest city of Peru?",
        "What is not the capital of Peru?",
        "Who is the capital of Peru?",
        "What city is Peru?",
        "When was the husband of Marie Curie born?",
        "Where was Marie Curie born?",
        "When did Marie Curie die?",
        "When was Curie born?",
        "Who directed The Time Machine?",
        "Who wrote The Time Machine Did It?",
        "Who invented the C# language?",
        "Where does the road from Ostia to Rome lead?",  # without a subject, the order counts
        "Where does the road to Ostia lead?",
        "Peru",
        "the",
        "?",
        "\x00\ud800",
    ],
)
def test_the_table_does_not_guess(question: str) -> None:
    with pytest.raises(ToolError, match="no answer is known"):
        TABLE.answer(question)


def test_the_table_says_what_it_knows_instead() -> None:
    with pytest.raises(ToolError, match=r"no answer is known to .*; what is known: What is the capital of Peru\?"):
        TABLE.answer("Who governs Peru?")


def test_two_answers_are_none() -> None:
    table = KnowledgeTable([Record("Tbilisi", ("Capital of Georgia?",)), Record("Atlanta", ("capital of Georgia",))])
    with pytest.raises(ToolError, match="several answers here: Atlanta, Tbilisi"):
        table.answer("Capital of Georgia")


def test_a_long_question_is_no_work() -> None:
    with pytest.raises(ToolError):
        TABLE.answer("peru capital " * 5_000)


def test_a_table_is_a_file(tmp_path: Path) -> None:
    path = tmp_path / "table.jsonl"
    path.write_text(
        '{"question": "How many legs has a spider?", "answer": "eight"}\n\n{"questions": ["Ho?"], "answer": "ho"}\n'
    )
    table = KnowledgeTable.load(path)
    assert table.answer("how many legs has a spider") == "eight"
    assert table.answer("ho!") == "ho"
    before = table.version
    assert KnowledgeTable.load(path).version == before
    path.write_text('{"question": "How many legs has a spider?", "answer": "8"}\n')
    assert KnowledgeTable.load(path).version != before


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("", "no record"),
        ('{"question": "Q?", "answer": "A"}\n{"question": "Q?"}', "jsonl:2: .*answer"),
        ('{"answer": "A"}', "jsonl:1: .*question"),
        ('{"questions": [], "answer": "A"}', "question"),
        ('{"question": "Q?", "answer": "A", "subject": 3}', "subject"),
        ("[1]", "jsonl:1: a list where an object belongs"),
        ("{", "jsonl:1: no JSON"),
    ],
)
def test_a_bad_table(tmp_path: Path, content: str, complaint: str) -> None:
    (tmp_path / "table.jsonl").write_text(content)
    with pytest.raises(DataError, match=complaint):
        KnowledgeTable.load(tmp_path / "table.jsonl")


def test_no_table(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no table"):
        KnowledgeTable.load(tmp_path / "table.jsonl")


# The tool


class Shelf:
    """A source with these passages, whatever is asked."""

    identity = "shelf"

    def __init__(self, *passages: Passage) -> None:
        self.passages = passages
        self.asked: list[tuple[str, int]] = []

    def search(self, query: str, limit: int) -> list[Passage]:
        self.asked.append((query, limit))
        return list(self.passages[:limit])


class LastWord:
    """A reader that answers with the last word of each passage."""

    version = "last word"
    needs_passages = True

    def answer(self, question: str, passages: Sequence[Passage]) -> str:
        return question + " " + " ".join(passage.text.split()[-1] for passage in passages)


def test_the_reader_gets_what_the_retriever_finds() -> None:
    shelf = Shelf(*(Passage("", f"text {number}") for number in range(9)))
    qa = QA(shelf, LastWord(), passages=3)
    assert isinstance(qa, Tool)
    assert qa("  What\n comes? ") == "What comes? 0 1 2"
    assert shelf.asked == [("What comes?", 3)]


@pytest.mark.parametrize(
    ("question", "complaint"),
    [(" \n", "empty"), ("x" * (MAX_QUESTION + 1), "1,001 characters"), ("x", "nothing found")],
)
def test_no_question_and_no_passage(question: str, complaint: str) -> None:
    with pytest.raises(ToolError, match=complaint):
        QA(Shelf(), LastWord())(question)


def test_qa_in_a_toolbox_with_a_table() -> None:
    with Toolbox([QA(None, TABLE)]) as toolbox:
        assert toolbox.run("QA", "What is the capital of Peru?") == "Lima"
        with pytest.raises(ToolError, match="QA: no answer is known"):
            toolbox.run("QA", "What is the capital of Atlantis?")


def test_a_reader_of_passages_needs_a_retriever() -> None:
    with pytest.raises(ConfigError, match="ExtractiveReader answers from passages"):
        QA(None, ExtractiveReader("some/model"))


def test_the_version_names_what_the_answers_depend_on() -> None:
    versions = {
        QA(None, TABLE).traits.version,
        QA(Shelf(), TABLE).traits.version,
        QA(Shelf(), LastWord()).traits.version,
        QA(Shelf(), LastWord(), passages=2).traits.version,
        QA(Shelf(), ExtractiveReader("some/model")).traits.version,
        QA(Shelf(), ExtractiveReader("some/model", revision="abc")).traits.version,
        QA(Shelf(), TextToTextReader("some/model")).traits.version,
    }
    assert len(versions) == 7


# Readers with a model

LETTERS = [f"w{number}" for number in range(40)]


@pytest.fixture(scope="module")
def marker(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A BERT whose weights are set by hand: it marks the passage's w7 as the answer, and "none" a little less.

    Every token's state is its embedding: dimension 0 says "w7", dimension 1 "[CLS]"; the layers add nothing.
    """
    folder = tmp_path_factory.mktemp("marker")
    word_tokenizer(LETTERS, "[CLS] $A [SEP]", "[CLS] $A [SEP] $B:1 [SEP]:1").save_pretrained(folder)
    config = BertConfig(
        vocab_size=len(SPECIAL + LETTERS),
        hidden_size=8,
        num_hidden_layers=1,
        num_attention_heads=1,
        intermediate_size=8,
        max_position_embeddings=66,
    )
    model = BertForQuestionAnswering(config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
        for name, parameter in model.named_parameters():
            if "LayerNorm.weight" in name:
                parameter.fill_(1.0)
        words = model.bert.embeddings.word_embeddings.weight
        words[SPECIAL.index("[CLS]"), 1] = 1.0
        words[len(SPECIAL) + LETTERS.index("w7"), 0] = 1.0
        # At the first place "none" counts a little less: a [CLS] that a text could forge would win.
        model.bert.embeddings.position_embeddings.weight[0, 2] = 0.3
        model.qa_outputs.weight[:, 0] = 1.0
        model.qa_outputs.weight[:, 1] = 0.9
    model.save_pretrained(folder)
    return str(folder)


def passages(*texts: str) -> list[Passage]:
    return [Passage("", text) for text in texts]


def test_the_extractive_reader_marks_the_answer(marker: str) -> None:
    reader = ExtractiveReader(marker)
    assert reader.answer("w1 ?", passages("w2 w3 w4", "w5, w7 w6")) == "w7"
    assert reader.answer("w1 ?", [Passage("w7", "w2")]) == "w7"  # a title is read, too


@pytest.mark.parametrize(
    ("question", "texts"),
    [
        ("w1 ?", ["w2 w3", "w4"]),  # nothing beats "no answer"
        ("w7 ?", ["w2 w3"]),  # an answer does not come from the question
        ("w1 ?", ["[CLS] w2"]),  # text that poses as a control token is text
        ("w1 ?", [" "]),
        ("\ud800", ["\ud800 \x00"]),
    ],
)
def test_no_span_beats_no_answer(marker: str, question: str, texts: list[str]) -> None:
    with pytest.raises(ToolError, match="no answer to"):
        ExtractiveReader(marker).answer(question, passages(*texts))


def test_the_extractive_reader_reads_long_passages_in_windows(marker: str) -> None:
    reader = ExtractiveReader(marker)
    assert reader.answer("w1 " * 300, passages("w2 " * 500 + "w7 w3")) == "w7"
    too_far = "w2 " * 64 * (readers.MAX_WINDOWS + 1) + "w7"
    with pytest.raises(ToolError, match="no answer to"):  # the work is bounded
        reader.answer("w1", passages(too_far))


def test_an_answer_is_short_and_does_not_end_before_it_begins() -> None:
    text = " ".join(f"w{number:02}" for number in range(40))
    start, end = np.zeros(41, dtype=np.float32), np.zeros(41, dtype=np.float32)
    start[5], end[3], end[38], end[9] = 5.0, 5.0, 5.0, 2.0  # before, too late, right
    start[2] = end[2] = 9.0  # the question's
    offsets = [[0, 0], *([4 * number, 4 * number + 3] for number in range(40))]
    window = readers._Window(start, end, null=0, readable=[False] * 3 + [True] * 38, offsets=offsets, text=text)
    assert readers._best_span(window) == (7.0, "w04 w05 w06 w07 w08")


@pytest.fixture(scope="module")
def writer(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("writer")
    word_tokenizer(LETTERS, "$A [SEP]", "$A [SEP] $B [SEP]").save_pretrained(folder)
    torch.manual_seed(3)
    sizes = {
        "vocab_size": len(SPECIAL + LETTERS),
        "d_model": 16,
        "d_kv": 8,
        "d_ff": 16,
        "num_layers": 1,
        "num_heads": 2,
    }
    config = T5Config.from_dict(
        {**sizes, "decoder_start_token_id": 0, "pad_token_id": 0, "eos_token_id": 3, "n_positions": 48}
    )
    model = T5ForConditionalGeneration(config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(3.0)
    model.save_pretrained(folder)
    return str(folder)


def test_the_text_to_text_reader_writes_what_the_model_says(writer: str, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[list[int]] = []

    def spy(model: Any, input_ids: list[int], max_new_tokens: int, **options: object) -> list[int]:
        seen.append(input_ids)
        return generate(model, input_ids, max_new_tokens, **options)

    monkeypatch.setattr(readers, "generate", spy)
    reader = TextToTextReader(writer)
    answer = reader.answer("w1 w2", passages("w3 [SEP] w4"))
    assert answer
    assert answer == TextToTextReader(writer).answer("w1 w2", passages("w3 [SEP] w4"))
    assert len(answer.split()) <= readers.MAX_ANSWER
    assert seen[0].count(SPECIAL.index("[SEP]")) == 1  # the one at the end is the tokenizer's
    reader.answer("w1", passages(*["w3 " * 100] * 20))
    assert len(seen[-1]) == 48  # what the model can read


@pytest.mark.parametrize("written", ["unknown", " Unknown. ", "", "no answer"])
def test_what_the_model_does_not_know_is_no_answer(writer: str, written: str, monkeypatch: pytest.MonkeyPatch) -> None:
    reader = TextToTextReader(writer)
    tokenizer, _ = reader._pretrained.loaded
    monkeypatch.setattr(tokenizer, "decode", lambda *_args, **_options: written)
    with pytest.raises(ToolError, match="no answer to"):
        reader.answer("w1", passages("w2"))


def test_another_model_in_the_same_folder_is_another_version(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"one")
    before = TextToTextReader(str(tmp_path)).version
    assert TextToTextReader(str(tmp_path)).version == before
    (tmp_path / "model.safetensors").write_bytes(b"another")
    assert TextToTextReader(str(tmp_path)).version != before


def test_generating_is_bounded(writer: str) -> None:
    _, model = TextToTextReader(writer)._pretrained.loaded
    assert MAX_SECONDS <= 60
    assert len(generate(model, [5, 6, 3], 4)) <= 5


@pytest.mark.parametrize("reader", [ExtractiveReader, TextToTextReader])
def test_a_model_that_is_not_there(tmp_path: Path, reader: type[ExtractiveReader | TextToTextReader]) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "bert"}))
    for name in (str(tmp_path / "nothing"), str(tmp_path)):
        with pytest.raises(ConfigError, match=f"model '{name}' cannot be loaded"):
            reader(name, offline=True).answer("Who?", passages("text"))
