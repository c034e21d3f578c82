"""Which examples can an index answer? A call cannot help where it holds nothing. The model has no say in it.

The index holds an example if

- one of its passages has the example's subject as its title, where the example names one: LAMA's T-REx and Google-RE,
  PopQA;
- one of the NEAREST best passages of a plain search for the question holds a right answer, where the example is an open
  question: PopQA, WebQuestions, Natural Questions, TriviaQA.

What was found is kept beside the results: a run that goes on does not search again.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from toolformer.errors import DataError
from toolformer.eval.examples import Example
from toolformer.eval.words import holds
from toolformer.own_json import made_of, read_own
from toolformer.tool import Tool
from toolformer.tools.folding import folded
from toolformer.tools.qa import QA
from toolformer.tools.search_index import SearchIndex
from toolformer.tools.wiki_search import WikiSearch
from toolformer.whole_file import whole_file

FILE = "held.json"
NEAREST = 100


@dataclass(frozen=True)
class Held:
    """Of one task: which examples were looked for, and the ids of those that the index holds."""

    data: str
    """The digest of the examples, as the files of outcomes have it."""
    index: str
    ids: Sequence[str]


@dataclass(frozen=True)
class _File:
    tasks: Mapping[str, Held]


def find_held(out: Path, tools: Sequence[Tool], tasks: Mapping[str, tuple[str, Sequence[Example]]]) -> None:
    """Look for the examples of tasks, each with their digest, where a tool that they may use searches an index."""
    found = read_held(out)
    for name, (data, examples) in tasks.items():
        index = searched(tools, examples[0].without)
        if index is None or not any(one.subject or one.question for one in examples):
            continue
        if name not in found or (found[name].data, found[name].index) != (data, index.identity):
            found[name] = Held(data, index.identity, [one.id for one in held(index, examples)])
            with whole_file(out / FILE) as file:
                file.write(json.dumps(asdict(_File(found)), indent=1).encode() + b"\n")


def read_held(out: Path) -> dict[str, Held]:
    """What was found, by task; nothing where nobody looked."""
    if not (out / FILE).exists():
        return {}
    try:
        return dict(made_of(_File, read_own(out / FILE)).tasks)
    except (OSError, ValueError) as error:
        raise DataError(f"{out / FILE} is damaged ({error}): delete it and run again") from error


def searched(tools: Sequence[Tool], without: Sequence[str]) -> SearchIndex | None:
    """The index that one of the tools searches, of those that may be used."""
    for tool in tools:
        source = tool.source if isinstance(tool, WikiSearch) else tool.retriever if isinstance(tool, QA) else None
        if isinstance(source, SearchIndex) and tool.name not in without:
            return source
    return None


def held(index: SearchIndex, examples: Sequence[Example]) -> Iterator[Example]:
    """The examples that the index holds."""
    wanted = {_title(one.subject) for one in examples if one.subject}
    titles = wanted & set(map(_title, index.titles())) if wanted else set()
    for one in examples:
        if one.subject and _title(one.subject) not in titles:
            continue
        if one.question and not _answered(index, one):
            continue
        if one.subject or one.question:
            yield one


def _title(text: str) -> str:
    """As it is compared: without case, accents and doubled spaces."""
    return " ".join(folded(text).split())


def _answered(index: SearchIndex, one: Example) -> bool:
    found = index.search(one.question, NEAREST)
    return any(holds(f"{passage.title}\n{passage.text}", one.answers) for passage in found)
