"""What goes through the model, counted by hand; and what happens when memory or context do not suffice."""

import logging
from collections.abc import Callable

import pytest
import torch

from tests.plain_lm import port
from toolformer.errors import ConfigError
from toolformer.hf.network import batches
from toolformer.lm import Continuation, Counter, Draw, Prompted, Rows, Window

HEAD, TAIL = (10, 11, 12, 13), (20, 21)


def counted(model: object, work: Callable[[], object]) -> Counter:
    counter = model.counter  # type: ignore[attr-defined]
    before = (counter.tokens, counter.padding, counter.head_rows)
    work()
    after = (counter.tokens, counter.padding, counter.head_rows)
    return Counter(*(new - old for new, old in zip(after, before, strict=True)))


def test_nothing_is_counted_before_the_first_question() -> None:
    assert port("llama").counter == Counter()


@pytest.mark.parametrize("name", ["llama", "gpt2"])
def test_operations_are_two_for_each_weight_that_is_met(name: str) -> None:
    """Each token meets the weights of every layer, and each question those of the head."""
    model = port(name)
    network = model._network.model
    layer = sum(weight.numel() for path, weight in network.named_parameters() if ".1." in path)
    layers = network.config.num_hidden_layers
    head = network.get_output_embeddings().weight.numel()  # type: ignore[no-untyped-call]
    model.log_probabilities([(5, 6, 7)])
    tokens, asked = model.counter.tokens, model.counter.head_rows
    assert model.counter.operations == pytest.approx(2 * (layers * layer * tokens + head * asked), rel=0.02)


def test_a_head_is_forwarded_once_and_a_pass_asks_only_inside_the_texts() -> None:
    model = port("llama")
    texts = [Prompted(HEAD, TAIL, (30, 31, 32)), Prompted(HEAD, TAIL, (40,))]
    # The start token and the head: 5, asked once. Two rows of 5, of which the second has 2 to fill; 3 + 1 positions.
    assert counted(model, lambda: model.open(texts, (9,))) == Counter(5 + 10, 2, 1 + 4)
    assert counted(model, lambda: model.open(texts, (9,))) == Counter(10, 2, 4)
    longer = [Prompted((*HEAD, 14), (), (30, 31))]
    # Without a tail the first position is the head's own; the last token of a text is forwarded for the samples.
    assert counted(model, lambda: model.open(longer, (9,))) == Counter(6 + 2, 0, 1 + 1)


def test_samples_need_no_prefill_and_agreeing_draws_one_token() -> None:
    model = port("llama")
    with model.open([Prompted(HEAD, TAIL, (30, 31, 32))], (9, 8)) as openings:
        draws = [Draw(0, 1, 5)] * 4
        cost = counted(model, lambda: openings.sample(draws, stops=("\0\0",), max_tokens=3, temperature=0.0))
        # Two tokens of the opening, then two of the three that are said: nothing is asked behind the last.
        assert cost == Counter(4, 0, 4)
        draws = [Draw(0, 1, 5), Draw(0, 2, 5)]
        cost = counted(model, lambda: openings.sample(draws, stops=("\0\0",), max_tokens=1))
        assert cost == Counter(4, 0, 4)


def test_continuations_cost_their_different_beginnings_and_nothing_again() -> None:
    model = port("llama")
    texts = [Prompted(HEAD, TAIL, (30, 31, 32)), Prompted(HEAD, TAIL, (40, 41))]
    asked = [
        Continuation(0, 1, (9, 8, 7, 6)),
        Continuation(0, 1, (9, 8, 7, 5)),
        Continuation(0, 1, (9, 8, 4)),
        Continuation(0, 2, (9, 8)),  # at another place it is another beginning
        Continuation(1, 1, (9, 8, 7)),
        Continuation(1, 1, (9,)),  # known from the pass
    ]
    # The texts: the start and the head once, then rows of 5 and 4. Asked: two places of one, one of the other.
    assert counted(model, lambda: model.open(texts, (9,), [[1, 2], [1]])) == Counter(5 + 10, 1, 1 + 3)
    with model.open(texts, (9,), [[1, 2], [1]]) as openings:
        cost = counted(model, lambda: openings.log_probabilities(asked))
        # Row 0: 9, 98, 987 at one place and 9 at the other; row 1: 9, 98, and two to fill. The last token of each is
        # asked for, not forwarded: behind 9, 98 and 987, behind 9; behind 9 and 98.
        assert cost == Counter(8, 2, 4 + 2)
        assert counted(model, lambda: openings.log_probabilities(asked[5:])) == Counter()


def test_an_encoder_decoder_writes_continuations_behind_its_own_pass() -> None:
    model = port("t5")
    texts = [Prompted(HEAD, TAIL, (30, 31, 32))]
    with model.open(texts, (9,)) as openings:
        cost = counted(model, lambda: openings.log_probabilities([Continuation(0, 1, (9, 8, 7))] * 2))
        assert cost.head_rows == 4
        assert cost.tokens <= 6


def test_windows_end_where_they_end_and_are_asked_once() -> None:
    model = port("llama")
    text = tuple(range(30, 50))
    window = Window((5, 6), text, 4)
    # Start, prefix, and the text up to the one before the window's last: 1 + 2 + 8, and five rows for the head.
    assert counted(model, lambda: model.window_losses([window])) == Counter(11, 0, 5)
    assert counted(model, lambda: model.window_losses([window, window, Window((5, 6), text, 2)])) == Counter(11, 0, 7)
    assert counted(model, lambda: model.window_losses([Window((), text, 18)])) == Counter(1 + 19, 0, 2)
    assert counted(model, lambda: model.log_probabilities([text, (), text[:15]])) == Counter(20 + 20, 5, 20 + 15)


def test_rows_forward_every_token_once() -> None:
    model = port("llama")
    rows = model.rows([(5, 6, 7), (8,)])
    assert model.counter == Counter(8, 2, 2)
    logits = rows.logits
    assert counted(model, lambda: rows.extend([[1], [1]])) == Counter(2, 0, 2)
    assert counted(model, lambda: rows.extend([[1, 2, 3], []])) == Counter(3, 0, 1)
    assert counted(model, lambda: rows.truncate(0, 5, logits[0])) == Counter()
    assert counted(model, lambda: rows.keep([1, 1, 0])) == Counter()
    assert counted(model, lambda: rows.extend([[], [], []])) == Counter()
    assert counted(model, lambda: rows.add([(3, 4)])) == Counter(3, 0, 1)


def test_a_long_block_does_not_fill_up_the_other_rows() -> None:
    model = port("llama")
    rows = model.rows([(5,)] * 8)
    # One row waits: the pass of the others is not worth breaking up for it.
    assert counted(model, lambda: rows.extend([[*range(3, 23)], [], *[[1]] * 6])) == Counter(20 + 8, 2, 7)
    assert counted(model, lambda: rows.extend([[3, 4], *[[1]] * 7])) == Counter(16, 7, 8)
    # Most of them wait: the others go on without them.
    assert counted(model, lambda: rows.extend([[1], *[[]] * 6, [1]])) == Counter(2, 0, 2)


@pytest.mark.parametrize("kind", ["llama", "t5"])
def test_what_does_not_fit_is_refused_before_anything_is_forwarded(kind: str) -> None:
    model = port(kind)
    text = (7,) * (model.context + 1)
    rows = model.rows([(5, 6)])
    before = model.counter.tokens
    for ask in (
        lambda: model.open([Prompted((), (), text)], (9,)),
        lambda: model.log_probabilities([(5, 6), (*text, 7)]),
        lambda: model.window_losses([Window((*text, 7), (5, 6), 0)]),
        lambda: model.rows([(5, 6), text]) if kind == "llama" else model.rows([(*text, 7)]),
        lambda: rows.extend([text]),
    ):
        with pytest.raises(ConfigError, match=rf"do not fit into the context of {kind} \(64\)"):
            ask()
    assert model.counter.tokens == before


class Memory:
    """A machine on which a forward pass of more than so many rows runs out of memory."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, model: object, rows: int, error: Exception) -> None:
        network = model._network.model  # type: ignore[attr-defined]
        forward = network.forward
        self.passes: list[int] = []

        def limited(**arguments: torch.Tensor) -> object:
            result = forward(**arguments)  # a pass that fails has changed its cache before
            ids = arguments["decoder_input_ids" if "decoder_input_ids" in arguments else "input_ids"]
            self.passes.append(len(ids))
            if len(ids) > rows:
                raise error
            return result

        monkeypatch.setattr(network, "forward", limited)


@pytest.mark.parametrize(
    ("lengths", "asked", "most", "expected"),
    [
        ([3, 3, 3, 3], None, 0, [[0, 1, 2], [3]]),  # 3 rows of 3 are within 10
        ([3, 3, 3, 3], [5, 5, 5, 5], 10, [[0, 1], [2, 3]]),
        ([3, 3, 3, 3], [5, 5, 5, 5], 9, [[0], [1], [2], [3]]),
        ([3, 3, 3, 3], [5, 5, 0, 0], 9, [[0], [1, 2, 3]]),
        ([3, 3, 3, 3], [50, 5, 4, 1], 9, [[0], [1, 2], [3]]),  # a single row may ask for more
        ([3, 3, 3, 3], [50, 5, 4, 1], 0, [[0, 1, 2], [3]]),  # no limit
        ([1, 9, 2], [1, 1, 1], 9, [[1], [2, 0]]),  # the longest first
        ([0, 0], [0, 0], 5, [[0, 1]]),
        ([], [], 5, []),
    ],
)
def test_a_batch_stays_within_its_tokens_and_its_logits(
    lengths: list[int], asked: list[int] | None, most: int, expected: list[list[int]]
) -> None:
    assert list(batches(lengths, 10, asked, most)) == expected


def test_a_pass_asks_for_no_more_logits_at_a_time_than_there_is_room_for(monkeypatch: pytest.MonkeyPatch) -> None:
    model = port("llama")
    texts = [Prompted((), (5,), tuple(range(30, 40))) for _ in range(6)]
    asked = [Continuation(row, 2, (9, 8, 7, 6)) for row in range(6)]
    with model.open(texts, (9,)) as openings:
        expected = openings.log_probabilities(asked)
    model._network.head_rows = 21
    seen: list[int] = []
    ask = model._network.ask

    def noted(ids: torch.Tensor, real: int, wanted: torch.Tensor, **arguments: object) -> torch.Tensor:
        seen.append(len(wanted))
        return ask(ids, real, wanted, **arguments)

    monkeypatch.setattr(model._network, "ask", noted)
    with model.open(texts, (9,)) as openings:
        assert openings.log_probabilities(asked) == pytest.approx(expected, abs=1e-5)
    # Two texts of ten places at a time; the continuations ask for three each.
    assert seen == [20, 20, 20, 18]


ERRORS = [
    torch.OutOfMemoryError("CUDA out of memory"),
    RuntimeError("[enforce fail at alloc_cpu.cpp:1] . DefaultCPUAllocator: can't allocate memory"),
]


@pytest.mark.parametrize("error", ERRORS)
def test_out_of_memory_halves_the_batch(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, error: Exception
) -> None:
    model, texts = port("llama"), [(5, 6, token) for token in range(30, 38)]
    expected = model.log_probabilities(texts)
    memory = Memory(monkeypatch, model, 3, error)
    with caplog.at_level(logging.WARNING, logger="toolformer"):
        got = model.log_probabilities(texts)
    assert torch.allclose(torch.tensor(got), torch.tensor(expected), atol=1e-5)
    assert memory.passes == [8, 4, 2, 2, 4, 2, 2]
    assert caplog.messages[0] == "out of memory on a batch of 8 rows: going on with 4 at a time"


@pytest.mark.parametrize("kind", ["llama", "t5"])
def test_out_of_memory_while_weighing_continuations(monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    model = port(kind)
    texts = [Prompted(HEAD, (), (30, 31, token)) for token in range(32, 38)]
    asked = [Continuation(row, at, (9, 8, row + 5, 6)) for row in range(6) for at in (0, 2)]
    with model.open(texts, (9,)) as openings:
        expected = openings.log_probabilities(asked)
        Memory(monkeypatch, model, 2, ERRORS[0])
        assert openings.log_probabilities(asked) == pytest.approx(expected, abs=1e-4)


def test_out_of_memory_while_sampling_and_decoding(monkeypatch: pytest.MonkeyPatch) -> None:
    model = port("llama")
    texts = [Prompted(HEAD, (), (30, 31, token)) for token in range(32, 38)]
    draws = [Draw(row, 1, row) for row in range(6)]
    with model.open(texts, (9,)) as openings:
        expected = openings.sample(draws, stops=(")",), max_tokens=6)
        logits = model.rows([one.text for one in texts]).logits
        Memory(monkeypatch, model, 2, ERRORS[0])
        assert openings.sample(draws, stops=(")",), max_tokens=6) == expected
        assert torch.allclose(model.rows([one.text for one in texts]).logits, logits, atol=1e-5)


@pytest.mark.parametrize("kind", ["llama", "gemma3", "t5"])
@pytest.mark.parametrize(
    "blocks", [[(5,)] * 6, [(5, 6, 7), (8,), (9, 5, 6), (), (6, 7, 8), (7,)]], ids=["step", "results"]
)
def test_out_of_memory_while_texts_grow(
    monkeypatch: pytest.MonkeyPatch, kind: str, blocks: list[tuple[int, ...]]
) -> None:
    model = port(kind)
    prompts = [(30, 31, token)[: 1 + token % 3] for token in range(32, 38)]

    def grown(rows: Rows) -> torch.Tensor:
        for ids in (blocks, [(9,)] * 6):
            rows.extend(ids)
        return rows.logits

    expected = grown(model.rows(prompts))
    rows = model.rows(prompts)
    Memory(monkeypatch, model, 2, ERRORS[0])
    assert torch.allclose(grown(rows), expected, atol=1e-4)


def test_out_of_memory_at_one_row_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    model = port("llama")
    Memory(monkeypatch, model, 0, ERRORS[0])
    with pytest.raises(ConfigError, match="not enough memory for a single row: use a smaller dtype"):
        model.log_probabilities([(5, 6), (7, 8)])


def test_other_errors_pass_through(monkeypatch: pytest.MonkeyPatch) -> None:
    model = port("llama")
    Memory(monkeypatch, model, 0, RuntimeError("shapes do not match"))
    with pytest.raises(RuntimeError, match="shapes do not match"):
        model.log_probabilities([(5, 6)])
