"""How fast is the port against a plain rendering of the same questions? `python tests/bench_lm.py [--texts N]`

One thread. A random Llama of 6 million parameters; texts of about 130 tokens, behind a prompt of 250 and themselves.
The plain rendering knows no sharing: it prefills the prompt for every position, repeats it for every draw, forwards
whole texts to score them, asks the vocabulary head for every position, and batches by 16 as they come.
"""

import argparse
import random
import time
from collections.abc import Callable

import torch
from tokenizers import Tokenizer, decoders, models
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from toolformer.hf.encode import Codec
from toolformer.hf.transformers_model import CausalModel
from toolformer.lm import Draw, Prompted, Window

VOCABULARY = 8000
OPENING = 4711
CONTEXT = 1024


def network(device: str) -> LlamaForCausalLM:
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=256,
        intermediate_size=688,
        num_hidden_layers=6,
        num_attention_heads=8,
        max_position_embeddings=CONTEXT,
        tie_word_embeddings=True,
        eos_token_id=None,
        bos_token_id=1,
    )
    made = LlamaForCausalLM(config)
    torch.nn.Module.to(made, device)
    made.eval()  # type: ignore[no-untyped-call]
    return made


def codec() -> Codec:
    """Every twelfth word ends a call, so that samples have lengths like real ones."""
    words = {f"w{i}{')]' if i % 12 == 0 else ''}": i for i in range(VOCABULARY)}
    made = Tokenizer(models.WordLevel(words, unk_token="w0)]"))
    made.decoder = decoders.Fuse()
    wrapped = PreTrainedTokenizerFast(tokenizer_object=made, bos_token="w1")  # type: ignore[no-untyped-call]
    return Codec(wrapped, "bench")


def timed(what: Callable[[], object]) -> float:
    """Seconds of the processor, so that what else runs on the machine does not count; of the clock, on a GPU."""
    clock = time.perf_counter if torch.cuda.is_available() else time.process_time
    start = clock()
    what()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return clock() - start


@torch.no_grad()
def plain_batches(model: LlamaForCausalLM, rows: list[list[int]], steps: int = 0) -> int:
    """Forward rows by 16, then continue each for `steps` tokens with a cache; the tokens forwarded."""
    tokens = 0
    for start in range(0, len(rows), 16):
        batch = rows[start : start + 16]
        width = max(map(len, batch))
        ids = torch.tensor([[0] * (width - len(row)) + row for row in batch], device=model.device)
        mask = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in batch], device=model.device)
        tokens += ids.numel()
        if steps:
            generate: Callable[..., object] = model.generate  # type: ignore[misc]
            generate(ids, attention_mask=mask, max_new_tokens=steps, do_sample=True, pad_token_id=0)
            tokens += steps * len(batch)
        else:
            model(ids, attention_mask=mask).logits.float().log_softmax(-1)
    return tokens


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--texts", type=int, default=32)
    parser.add_argument("--positions", type=int, default=5)
    parser.add_argument("--samples", type=int, default=5)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--plain-texts", type=int, default=2, help="texts given to the plain rendering: it is slow")
    options = parser.parse_args()
    torch.set_num_threads(1)
    model = network(options.device)
    plain = network(options.device)
    lm = CausalModel(model, codec(), "bench", "bench")
    rng = random.Random(0)

    def ids(n: int) -> tuple[int, ...]:
        return tuple(rng.randrange(2, VOCABULARY) for _ in range(n))

    head = ids(250)
    texts = [ids(rng.randrange(90, 170)) for _ in range(options.texts)]
    prompted = [Prompted(head, text + ids(4), text) for text in texts]
    draws = [
        Draw(row, position, 1000 * row + 10 * position + n)
        for row, text in enumerate(texts)
        for position in rng.sample(range(len(text)), options.positions)
        for n in range(options.samples)
    ]
    calls = [
        Window(ids(14), text, rng.randrange(len(text)))
        for text in texts
        for _ in range(options.positions * options.samples // 2)
    ]

    def report(what: str, seconds: float, tokens: int, texts: int) -> float:
        print(
            f"{what:32}{texts / seconds:9.2f} texts/s{tokens / texts:9.0f} tokens/text{tokens / seconds:9.0f} tokens/s"
        )
        return texts / seconds

    def ours(what: str, work: Callable[[], object]) -> float:
        lm.counter.__init__()  # type: ignore[misc]
        seconds = timed(work)
        rate = report(what, seconds, lm.counter.tokens, len(texts))
        print(f"{'':32}padding {lm.counter.padding / lm.counter.tokens:.1%}, head rows {lm.counter.head_rows}")
        return rate

    with lm.open(prompted[:1], (OPENING,)):  # the head is computed once for a whole corpus
        pass
    passes = []
    rates = [ours("open", lambda: passes.append(lm.open(prompted, (OPENING,))))]
    said: list[object] = []
    rates.append(ours("sample", lambda: said.extend(passes[0].sample(draws, stops=[")]"], max_tokens=24))))
    rates.append(ours("window_losses", lambda: lm.window_losses(calls)))
    mean = sum(sample.tokens for sample in said) / len(said)  # type: ignore[attr-defined]
    print(f"{len(draws)} draws of {mean:.1f} tokens on average, {len(calls)} windows")

    few = options.plain_texts
    rows = [[*one.head, *one.tail, *one.text] for one in prompted[:few]]
    tokens = [0, 0, 0]

    def go(which: int, rows: list[list[int]], steps: int = 0) -> Callable[[], object]:
        def work() -> None:
            tokens[which] = plain_batches(plain, rows, steps)

        return work

    seconds = timed(go(0, rows))
    plain_rates = [report("plain open (full pass)", seconds, tokens[0], few)]
    starts = [
        [*prompted[d.row].head, *prompted[d.row].tail, *prompted[d.row].text[: d.position], OPENING]
        for d in draws
        if d.row < few
    ]
    seconds = timed(go(1, starts, 24))
    plain_rates.append(report("plain sample", seconds, tokens[1], few))
    full = [[*prefix, *c.text] for c in calls[: len(calls) // len(texts) * few] for prefix in ((), c.prefix, c.prefix)]
    seconds = timed(go(2, full))
    plain_rates.append(report("plain scores (three full passes)", seconds, tokens[2], few))
    for what, mine, theirs in zip(("open", "sample", "window_losses"), rates, plain_rates, strict=True):
        print(f"{what:16}{mine / theirs:6.1f} times")
    print(f"all three       {sum(1 / r for r in plain_rates) / sum(1 / r for r in rates):6.1f} times")


if __name__ == "__main__":
    main()
