"""Whatever is shared, cached, batched or left out: the port answers what the model itself answers."""

import math
import random
from collections.abc import Sequence

import pytest
import torch

from tests.plain_lm import KINDS, Plain, port
from tests.tiny_models import CONTEXT, SEQ2SEQ, VOCABULARY
from toolformer.lm import Continuation, Draw, Ids, Prompted, Sample, Window, ranks

OPENING = (17, 33)


def ids(rng: random.Random, length: int) -> tuple[int, ...]:
    return tuple(rng.randrange(3, VOCABULARY) for _ in range(length))


def prompted(rng: random.Random, context: int) -> list[Prompted]:
    """Two heads, no head, no tail, an empty text, a text of one token, and one that fills the context."""
    head, other = ids(rng, 9), ids(rng, 5)
    return [
        Prompted(head, ids(rng, 3), ids(rng, 20)),
        Prompted(head, ids(rng, 1), ids(rng, 1)),
        Prompted(head, (), ids(rng, 11)),
        Prompted(head, ids(rng, 2), ()),
        Prompted(other, ids(rng, 2), ids(rng, context - 7)),
        Prompted((), (), ids(rng, 4)),
    ]


@pytest.mark.parametrize("kind", KINDS)
def test_openings_and_samples(kind: str) -> None:
    rng, model, plain = random.Random(1), port(kind), Plain(kind)
    texts = prompted(rng, CONTEXT - 1)
    with model.open(texts, OPENING) as openings:
        for one, probabilities in zip(texts, openings.probabilities, strict=True):
            # Logarithms, because most of the probabilities are tiny.
            got = torch.tensor(list(probabilities)).log()
            assert torch.allclose(got, torch.tensor(plain.openings(one, OPENING[0])), atol=1e-4)
        draws = [Draw(row, i, 1000 * row + 10 * i + n) for row in (0, 2, 4) for i in (0, 3, 10) for n in range(2)]
        draws += [Draw(1, 0, 5), Draw(5, 0, 6), Draw(5, 3, 7), *(Draw(4, CONTEXT - 1 - d, d) for d in (8, 9, 15))]
        rng.shuffle(draws)
        samples = openings.sample(draws, stops=(")", "e"), max_tokens=8)
    expected = [plain.sample(texts[draw.row], draw, OPENING, (")", "e"), 8, 1.0, 1.0) for draw in draws]
    assert samples == expected
    assert {sample.stopped for sample in samples} == {True, False}


@pytest.mark.parametrize("kind", KINDS)
def test_the_rank_of_an_opening_is_what_the_decoder_sees(kind: str) -> None:
    rng, model = random.Random(12), port(kind)
    text = ids(rng, 9)
    with model.open([Prompted((), (), text), Prompted((), (), text[:3])], OPENING) as openings:
        near = [list(some) for some in openings.ranks]
    rows = model.rows([()])
    seen = []
    for id_ in text:
        seen += ranks(rows.logits, OPENING[0])
        rows.extend([(id_,)])
    assert near == [seen, seen[:3]]


@pytest.mark.parametrize(("temperature", "top_p"), [(0.0, 1.0), (0.7, 0.6)])
def test_sampling_options(temperature: float, top_p: float) -> None:
    rng, model, plain = random.Random(2), port("llama"), Plain("llama")
    text = prompted(rng, 50)[0]
    draws = [Draw(0, 4, n) for n in range(5)]
    with model.open([text], OPENING) as openings:
        samples = openings.sample(draws, stops=("%",), max_tokens=6, temperature=temperature, top_p=top_p)
    assert samples == [plain.sample(text, draw, OPENING, ("%",), 6, temperature, top_p) for draw in draws]


@pytest.mark.parametrize("kind", ["llama", "t5"])
def test_where_the_opening_does_not_fit_nothing_is_said(kind: str) -> None:
    rng, model = random.Random(12), port(kind)
    text = ids(rng, model.context)
    with model.open([Prompted((), (), text)], (*OPENING, 40)) as openings:
        samples = openings.sample([Draw(0, len(text) - 1, 1)], stops=(")",), max_tokens=4)
    assert samples == [Sample("", stopped=False, tokens=0)]


def test_a_draw_does_not_depend_on_its_company() -> None:
    rng, model = random.Random(3), port("gemma2")
    texts = prompted(rng, 50)
    draws = [Draw(row, i, 7 * row + i) for row in (0, 2, 4) for i in range(0, 10, 2)] * 2
    with model.open(texts, OPENING) as openings:
        together = openings.sample(draws, stops=(")",), max_tokens=40)
    assert together[: len(draws) // 2] == together[len(draws) // 2 :]
    for draw, sample in list(zip(draws, together, strict=True))[:15:4]:
        with model.open([texts[draw.row]], OPENING) as openings:
            alone = openings.sample([Draw(0, draw.position, draw.seed)], stops=(")",), max_tokens=40)
        assert alone == [sample]


@pytest.mark.parametrize("kind", KINDS)
def test_continuations(kind: str) -> None:
    """Alone and with others that begin alike, at the front, at the last token, twice, of one token, of every length."""
    rng, model, plain = random.Random(8), port(kind), Plain(kind)
    texts = prompted(rng, CONTEXT - 1)
    places = [[0, 3, 10, 19], [0], [0, 3, 4, 10], [], [0, 3, 10], [0, 1, 3]]
    asked: list[Continuation] = []
    for row, some in enumerate(places):
        for position in some:
            whole = (OPENING[0], *ids(rng, 6))
            # The same beginning, other ends; the same again; the opening alone; and one that shares but its opening.
            said = [whole, (*whole[:4], *ids(rng, 4)), whole[:5], (*whole[:6], 9), whole, whole[:1], whole[:3]]
            said.append((OPENING[0], *ids(rng, 2)))
            asked += [Continuation(row, position, one) for one in said]
    rng.shuffle(asked)
    for given in (None, places):
        with model.open(texts, OPENING, given) as openings:
            got = openings.log_probabilities(asked)
            alone = [openings.log_probabilities([one])[0] for one in asked[::9]]
        expected = [plain.continuation(texts[one.row], one.position, one.ids) for one in asked]
        assert got == pytest.approx(expected, abs=1e-4)
        assert alone == pytest.approx(got[::9], abs=1e-5)


@pytest.mark.parametrize("kind", ["llama", "gemma2", "t5"])
def test_a_continuation_that_does_not_fit_is_impossible_and_costs_nothing(kind: str) -> None:
    rng, model, plain = random.Random(9), port(kind), Plain(kind)
    text = Prompted((), (), ids(rng, model.context - 8))
    last = model.context - 9
    fitting = Continuation(0, last, (OPENING[0], *ids(rng, 8)))
    longer = Continuation(0, last, (*fitting.ids, 5))
    with model.open([text], OPENING, [[last]]) as openings:
        assert openings.log_probabilities([fitting, longer]) == pytest.approx(
            [plain.continuation(text, last, fitting.ids), -math.inf], abs=1e-4
        )
        before = model.counter.tokens
        assert openings.log_probabilities([longer]) == [-math.inf]
        assert model.counter.tokens == before
        assert openings.log_probabilities([]) == []


@pytest.mark.parametrize("kind", KINDS)
def test_samples_and_continuations_of_one_pass_do_not_disturb_each_other(kind: str) -> None:
    rng, model = random.Random(10), port(kind)
    texts = prompted(rng, 50)
    draws = [Draw(row, 0, row) for row in (0, 2, 4)] + [Draw(0, 5, 7)]
    asked = [Continuation(row, 3, (OPENING[0], *ids(rng, 5))) for row in (0, 2, 4, 0)]
    with model.open(texts, OPENING) as openings:
        samples = openings.sample(draws, stops=(")",), max_tokens=5)
        said = openings.log_probabilities(asked)
        assert openings.sample(draws, stops=(")",), max_tokens=5) == samples
        assert openings.log_probabilities(asked) == pytest.approx(said, abs=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_at_the_places_that_were_named_the_probabilities_are_the_same(kind: str) -> None:
    rng, model = random.Random(11), port(kind)
    texts = prompted(rng, 50)
    places = [[2, 19], [0], [], [], [1], [0, 3]]
    with model.open(texts, OPENING) as openings:
        all_ = [list(some) for some in openings.probabilities]
    with model.open(texts, OPENING, places) as openings:
        for some, named, at in zip(all_, openings.probabilities, places, strict=True):
            assert [named[i] for i in at] == pytest.approx([some[i] for i in at], abs=1e-6)
            if kind not in SEQ2SEQ:
                assert all(named[i] == 0 for i in range(len(some)) if i not in at)


@pytest.mark.parametrize("kind", KINDS)
def test_scores(kind: str) -> None:
    rng, model, plain = random.Random(4), port(kind), Plain(kind)
    texts = [ids(rng, length) for length in (20, 1, model.context, 0, 7)]
    for text, got in zip(texts, model.log_probabilities(texts), strict=True):
        assert got == pytest.approx(plain.log_probabilities(text), abs=1e-4)
    windows = [Window(prefix, texts[0], i) for prefix in ((), ids(rng, 8), ids(rng, 3)) for i in (0, 3, 10, 18, 19)]
    windows += [Window((), texts[1], 0), Window(ids(rng, model.context - 7), texts[4], 2), windows[3], windows[8]]
    expected = [plain.window_loss(window) for window in windows]
    assert model.window_losses(windows) == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_rows_grow_are_undone_fork_leave_and_join(kind: str) -> None:
    rng, model, plain = random.Random(5), port(kind), Plain(kind)
    known: list[tuple[Ids, list[int]]] = [(ids(rng, n), []) for n in (9, 3, 20, 1)]
    rows = model.rows([prompt for prompt, _ in known])
    front = [rows.lengths[row] for row in range(4)]
    past = [{0: logits} for logits in rows.logits]
    for _ in range(40):
        action = rng.choices(("extend", "truncate", "keep", "add"), (6, 2, 1, 1))[0]
        if action == "extend":
            new = [ids(rng, rng.choice((0, 1, 1, 1, 2, 5, 12))) for _ in known]
            new = [some if len(some) <= room else () for some, room in zip(new, rows.room, strict=True)]
            rows.extend(new)
            known = [(prompt, [*said, *some]) for (prompt, said), some in zip(known, new, strict=True)]
        elif action == "truncate":
            row = rng.randrange(len(known))
            length = rng.choice([length for length in past[row] if length <= len(known[row][1])])
            rows.truncate(row, front[row] + length, past[row][length])
            del known[row][1][length:]
        elif action == "keep":
            chosen = [rng.randrange(len(known)) for _ in range(rng.randrange(1, 5))]
            rows.keep(chosen)
            known = [(known[row][0], [*known[row][1]]) for row in chosen]
            front, past = [front[row] for row in chosen], [{**past[row]} for row in chosen]
        else:
            prompts = [ids(rng, rng.randrange(1, 30)) for _ in range(2)]
            rows.add(prompts)
            known += [(prompt, []) for prompt in prompts]
            front += rows.lengths[-2:]
            past += [{}, {}]
        assert list(rows.lengths) == [start + len(said) for start, (_, said) in zip(front, known, strict=True)]
        _same_logits(rows.logits, plain, known)
        for row, (_, said) in enumerate(known):
            past[row][len(said)] = rows.logits[row]


def _same_logits(logits: torch.Tensor, plain: Plain, known: Sequence[tuple[Ids, list[int]]]) -> None:
    expected = torch.stack([plain.after(prompt, said)[-1] for prompt, said in known])
    assert torch.allclose(logits.log_softmax(-1), expected, atol=1e-4)


@pytest.mark.parametrize("kind", ["llama", "t5"])
def test_a_row_only_becomes_shorter(kind: str) -> None:
    rows = port(kind).rows([(5, 6)])
    with pytest.raises(ValueError, match=r"cannot be cut to 9"):
        rows.truncate(0, 9, rows.logits[0])


def test_no_rows_at_all() -> None:
    for kind in ("llama", "t5"):
        rows = port(kind).rows([])
        rows.add([(5, 6)])
        rows.keep([])
        assert list(rows.lengths) == []
        rows.add([(7, 8, 9)])
        _same_logits(rows.logits, Plain(kind), [((7, 8, 9), [])])
