"""Servers that write the calls: asked to go on with a text, or, where they only chat, to write it again with calls.

A server cannot be asked how likely it finds a call, so for completions the places are those where the filter's model
would open one; in a chat the reply itself puts calls into the text, and the places are where it did. Prompts are in the
text spelling: the server's own tokenizer reads them.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from toolformer.calls import CallSyntax
from toolformer.data_gen.lessons import Lesson
from toolformer.data_gen.merge import annotate_text
from toolformer.data_gen.method import Method
from toolformer.data_gen.prune import HOPELESS, hopeless
from toolformer.data_gen.records import Candidate, EncodedText, Place, Rejected
from toolformer.data_gen.samplers.align import ChangedTextError, new_calls
from toolformer.data_gen.samplers.by_model import ModelSampler
from toolformer.data_gen.samplers.propose import propose
from toolformer.data_gen.samplers.sample import checked, distinct, draw_seed, read_call
from toolformer.data_gen.samplers.server_client import Client, Reply
from toolformer.lm import LanguageModel, Sample

ROOM = 10_000
"""Characters by which a reply in a chat may be longer than twice its text."""


class CompletionSampler(ModelSampler):
    """A server that goes on with a prompt; the model in this process says where."""

    def __init__(self, model: LanguageModel, method: Method, client: Client) -> None:
        super().__init__(model, method)
        self._client = client

    @property
    def identity(self) -> Mapping[str, object]:
        """See Sampler."""
        return _identity(self._client)

    def calls(
        self, lessons: Sequence[Lesson], texts: Sequence[EncodedText], rejected: list[Rejected]
    ) -> Iterator[Candidate]:
        """See Sampler."""
        for proposal in propose(self.model, lessons, texts, self._method, rejected):
            lesson = proposal.lesson
            drawn = [(place, number) for _, _, place in proposal.places for number in range(lesson.samples)]
            replies = self._client.ask([self._question(lesson, place, number) for place, number in drawn])
            read = (_read(place, reply, lesson) for (place, _), reply in zip(drawn, replies, strict=True))
            yield from distinct(read, rejected)

    def _question(self, lesson: Lesson, place: Place, number: int) -> dict[str, object]:
        """The lesson's prompt, the text up to the place, and the call up to its input, as a local model sees it."""
        syntax, text, document = CallSyntax.TEXT, place.text.document.text, place.text.document
        behind = [one for one in place.text.calls if one.place.start < place.start]
        said = annotate_text(replace(document, text=text[: place.start]), behind, syntax)
        before = f" {said}" if said else ""
        begun = "".join(part.text for part in syntax.begun(lesson.tool))
        prompt = f"{lesson.prompt(text, syntax)}{before}{begun}"
        seed = draw_seed(self._method.seed, place, number)
        return {"prompt": prompt, "stop": list(syntax.stops), **_settings(lesson, seed, lesson.max_tokens)}


class ChatSampler:
    """A server that is shown the lesson's demonstrations as a chat and writes each text again, with calls."""

    def __init__(self, model: LanguageModel, method: Method, client: Client) -> None:
        self.model = model
        self.ranked = False
        self.prunes = True
        self._method = method
        self._client = client

    @property
    def identity(self) -> Mapping[str, object]:
        """See Sampler."""
        return _identity(self._client)

    def room(self, lesson: Lesson) -> int:  # noqa: ARG002 - what the server holds is not known here
        """See Sampler."""
        return self.model.context

    def calls(
        self, lessons: Sequence[Lesson], texts: Sequence[EncodedText], rejected: list[Rejected]
    ) -> Iterator[Candidate]:
        """See Sampler."""
        for lesson in lessons:
            yield from self._written(lesson, texts, rejected)

    def _written(self, lesson: Lesson, texts: Sequence[EncodedText], rejected: list[Rejected]) -> Iterator[Candidate]:
        """One lesson's. Of more places than it allows, those stay in which most of the replies put a call."""
        wanted = [text for text in texts if lesson.wants(text.document)]
        drawn = [(text, number) for text in wanted for number in range(lesson.samples)]
        replies = self._client.ask([self._question(lesson, text, number) for text, number in drawn])
        for at, text in enumerate(wanted):
            of_text = replies[at * lesson.samples : (at + 1) * lesson.samples]
            found = [record for reply in of_text for record in _calls_of(reply, text, lesson.tool)]
            most = self._most_wanted(lesson, found)
            yield from distinct((_allowed(record, most, lesson) for record in found), rejected)

    def _most_wanted(self, lesson: Lesson, found: Sequence[Candidate | Rejected]) -> set[int]:
        """The places that count, at most k; of equal ones those that come first."""
        places = [record.place for record in found if isinstance(record, Candidate)]
        if self._method.prune == "before":
            places = [place for place in places if not hopeless(place, lesson)]
        counts = Counter(place.position for place in places)
        return set(sorted(counts, key=lambda position: (-counts[position], position))[: lesson.positions])

    def _question(self, lesson: Lesson, text: EncodedText, number: int) -> dict[str, object]:
        said = lesson.chat(text.document.text)
        messages = [{"role": ("user", "assistant")[at % 2], "content": piece} for at, piece in enumerate(said)]
        most = 2 * len(text.encoded.ids) + lesson.positions * lesson.max_tokens
        seed = draw_seed(self._method.seed, Place(text, lesson.tool, 0, None), number)
        return {"messages": messages, **_settings(lesson, seed, most)}


def _identity(client: Client) -> Mapping[str, object]:
    server = client.server
    return {"server": server.url, "model": server.model, "by": server.by}


def _settings(lesson: Lesson, seed: int, max_tokens: int) -> dict[str, object]:
    """What every request says. Of the seed 31 bits: some servers take no more."""
    return {
        "max_tokens": max_tokens,
        "temperature": lesson.temperature,
        "top_p": lesson.top_p,
        "seed": seed & 0x7FFFFFFF,
    }


def _read(place: Place, reply: Reply, lesson: Lesson) -> Candidate | Rejected:
    if reply.refusal is not None:
        return Rejected(place, "sample", f"the server refuses: {reply.refusal}")
    syntax = CallSyntax.TEXT
    ends = [reply.text.index(stop) + len(stop) for stop in syntax.stops if stop in reply.text]
    if ends:
        one = Sample(reply.text[: min(ends)], stopped=True, tokens=0)
    elif reply.cut:
        one = Sample(reply.text, stopped=False, tokens=lesson.max_tokens)
    else:
        # Most servers cut off the stop they ended at; one that ended by itself cannot be told from that.
        one = Sample(reply.text + syntax.stops[-1], stopped=True, tokens=0)
    return read_call(place, one, syntax)


def _calls_of(reply: Reply, text: EncodedText, tool: str) -> Iterator[Candidate | Rejected]:
    """The calls that a reply puts into the text, or why it cannot be used."""
    nowhere = Place(text, tool, 0, None)
    if reply.refusal is not None or reply.cut:
        reason = f"the server refuses: {reply.refusal}" if reply.refusal else "the reply is cut off at its limit"
        yield Rejected(nowhere, "sample", reason)
        return
    if len(reply.text) > 2 * len(text.document.text) + ROOM:
        yield Rejected(nowhere, "sample", f"the reply has {len(reply.text):,} characters, far more than the text")
        return
    try:
        calls = new_calls(reply.text, text.document.text)
    except ChangedTextError as error:
        yield Rejected(nowhere, "sample", str(error))
        return
    for call, offset in calls:
        if not text.document.text[offset:].strip():
            yield Rejected(nowhere, "sample", "it stands behind the text, where there is nothing to help with", call)
        else:
            yield checked(Place(text, tool, text.encoded.token_at(offset), None), call, CallSyntax.TEXT)


def _allowed(record: Candidate | Rejected, places: set[int], lesson: Lesson) -> Candidate | Rejected:
    """The record, unless nothing can help at its place or others are wanted more."""
    if isinstance(record, Rejected):
        return record
    if hopeless(record.place, lesson):
        return Rejected(record.place, "propose", HOPELESS, record.call)
    if record.place.position not in places:
        return Rejected(record.place, "sample", f"more than {lesson.positions} places in this text", record.call)
    return record
