"""Makes the built-in model again.

    python -m recipes.builtin.train --text passages.jsonl.gz [--out DIR]

The data is generated as training goes (see mixture.py); files named with --text are read besides. The same settings
give the same model on the same machine, also through --resume, which goes on from the last checkpoint of DIR.
"""

import argparse
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch.nn.functional import cross_entropy

from recipes.builtin import together
from recipes.builtin.batches import BATCHES, CONTEXT, TOKENS, Batch, steps
from recipes.builtin.card import write_card
from recipes.builtin.mixture import read_texts
from recipes.builtin.optim import Muon
from recipes.builtin.twins import Twins
from recipes.builtin.vocabulary import SPACE, build

CHECKPOINT = "checkpoint.pt"


@dataclass(frozen=True)
class Recipe:
    """Everything that decides what the model becomes, but the texts."""

    tokens: int = 100_000_000
    seed: int = 0
    hidden: int = 192
    layers: int = 6
    heads: int = 3
    inner: int = 512
    matrix_lr: float = 0.02
    vector_lr: float = 0.004
    warmup: int = 60
    """Steps of rising learning rate."""
    decay: float = 0.5
    """The share of all steps at the end in which the learning rate falls to nothing."""

    @property
    def steps(self) -> int:
        """How many steps that many tokens are, padding included."""
        return self.tokens // (TOKENS * BATCHES)

    def rate(self, step: int) -> float:
        """The learning rate's factor: up, level, down. Until it falls it does not depend on the number of steps."""
        left = (self.steps - step) / max(1.0, self.decay * self.steps)
        return min(1.0, (step + 1) / self.warmup, left)


def new_model(tokenizer: Any, recipe: Recipe) -> Any:
    """A Llama with random weights, in which a token with a space before it starts out much like the one without."""
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(recipe.seed)
    config = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=recipe.hidden, intermediate_size=recipe.inner,
        num_hidden_layers=recipe.layers, num_attention_heads=recipe.heads, num_key_value_heads=recipe.heads,
        max_position_embeddings=CONTEXT, tie_word_embeddings=True, bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id, rms_norm_eps=1e-5,
    )  # fmt: skip
    model: Any = LlamaForCausalLM(config)
    model.config.lone_space = True
    vocabulary = tokenizer.get_vocab()
    with torch.no_grad():
        table = model.get_input_embeddings().weight
        table.normal_(0, 0.02)
        with_space = torch.randn(recipe.hidden) * 0.02
        for token, number in vocabulary.items():
            if token.startswith(SPACE) and token[1:] in vocabulary:
                table[number] = 0.9 * table[vocabulary[token[1:]]] + with_space
    return model


def optimizers(model: Any, twins: Twins, recipe: Recipe, half: bool) -> list[torch.optim.Optimizer]:
    """Muon for the matrices inside, AdamW for embeddings and norms."""
    inside = [p for name, p in model.model.named_parameters() if p.ndim == 2 and "embed" not in name]
    ids = {id(p) for p in inside}
    rest = [*(p for p in model.parameters() if id(p) not in ids), twins.offset]
    return [
        Muon(inside, lr=recipe.matrix_lr, dtype=torch.bfloat16 if half else torch.float32),
        torch.optim.AdamW(rest, lr=recipe.vector_lr, betas=(0.9, 0.95), eps=1e-10, weight_decay=0.0),
    ]


def head_loss(hidden: torch.Tensor, head: torch.Tensor, targets: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """The weighted sum of the losses of some tokens."""
    losses = cross_entropy((hidden @ head.T).float(), targets, reduction="none")
    return (losses * weights).sum()


def loss_of(body: Any, last: Any, head: torch.Tensor, batch: Batch) -> torch.Tensor:
    """The loss of a batch by `last`, which is `head_loss`; the vocabulary is asked only where there is a weight."""
    hidden = body(batch.ids[:, :-1], use_cache=False).last_hidden_state
    weights = batch.weights[:, 1:]
    counted = weights > 0
    loss: torch.Tensor = last(hidden[counted], head, batch.ids[:, 1:][counted], weights[counted])
    return loss


@dataclass(frozen=True)
class Run:
    """Where a run writes and what it runs on: nothing that decides what the model becomes."""

    out: Path
    device: str = "cpu"
    resume: bool = False
    save_every: int = 200
    compiled: bool = True
    """Compiling takes a minute and gives half as much speed again."""


def train(recipe: Recipe, texts: list[str], run: Run) -> Iterator[str]:
    """Train, writing a checkpoint and the model now and then and at the end. Yields lines of progress."""
    tokenizer = _tokenizer(texts, recipe, run)
    model = new_model(tokenizer, recipe).to(run.device)
    half = run.device == "cuda" or (run.device == "cpu" and _cpu_has_bf16())
    if half and run.device == "cpu":
        model.set_attn_implementation("eager")  # torch's flash kernel takes three times as long here, in bf16
    twins = Twins(model.get_input_embeddings().weight, tokenizer.get_vocab())
    optims = optimizers(model, twins, recipe, half)
    twins.join()
    done = _restore(run.out / CHECKPOINT, model, twins, optims, recipe) if run.resume else 0
    parts = (model.model, head_loss)
    body, last = (torch.compile(part, dynamic=True) for part in parts) if run.compiled else parts
    began, losses = time.monotonic(), []
    for step, batches in enumerate(steps(tokenizer, texts, recipe.seed, done, recipe.steps), done):
        with torch.autocast(run.device, torch.bfloat16, enabled=half):
            losses.append(_gradients(body, last, model, batches, run.device))
        twins.gather()
        for optim, lr in zip(optims, (recipe.matrix_lr, recipe.vector_lr), strict=True):
            optim.param_groups[0]["lr"] = lr * recipe.rate(step)
            optim.step()
            optim.zero_grad(set_to_none=True)
        twins.spread()
        if (step + 1) % 20 == 0:
            speed = (step + 1 - done) * TOKENS * BATCHES / (time.monotonic() - began)
            left = (recipe.steps - step - 1) * TOKENS * BATCHES / speed / 60
            mean = sum(losses[-20:]) / len(losses[-20:])
            yield f"step {step + 1}/{recipe.steps}  loss {mean:.3f}  {speed:,.0f} tokens/s  {left:.0f} min left"
        saves = (step + 1) % run.save_every == 0 or step + 1 == recipe.steps
        if saves and together.place()[0] == 0:
            _save(run.out, model, twins, optims, step + 1, recipe)


def _gradients(body: Any, last: Any, model: Any, batches: list[Batch], device: str) -> float:
    """Leave the gradients of a step's batches in the parameters; return the mean loss of a token of weight one."""
    rank, workers = together.place()
    total = sum(float(batch.weights[:, 1:].sum()) for batch in batches)
    mean = 0.0
    for batch in batches[rank::workers]:
        there = Batch(batch.ids.to(device), batch.weights.to(device))
        loss = loss_of(body, last, model.lm_head.weight, there) / total
        loss.backward()  # type: ignore[no-untyped-call]
        mean += loss.item()
    return together.add_up(list(model.parameters()), mean)


def _tokenizer(texts: list[str], recipe: Recipe, run: Run) -> Any:
    from transformers import PreTrainedTokenizerFast

    if together.place()[0] == 0 and not (run.resume and (run.out / "tokenizer.json").exists()):
        build(texts, run.out, recipe.seed)
    together.wait()
    return PreTrainedTokenizerFast.from_pretrained(run.out)


def _save(out: Path, model: Any, twins: Twins, optims: list[torch.optim.Optimizer], step: int, recipe: Recipe) -> None:
    """The model in bf16, ready to be loaded, and what is needed to go on from here."""
    from safetensors.torch import save_file

    state = {"step": step, "model": model.state_dict(), "optims": [optim.state_dict() for optim in optims]}
    torch.save(state | {"offset": twins.offset.data, "recipe": asdict(recipe)}, out / "checkpoint.tmp")
    (out / "checkpoint.tmp").replace(out / CHECKPOINT)
    weights = {name: tensor.to("cpu", torch.bfloat16) for name, tensor in model.state_dict().items()}
    del weights["lm_head.weight"]  # the embeddings, once more
    save_file(weights, out / "model.safetensors", {"format": "pt"})
    model.config.dtype = torch.bfloat16
    model.config.architectures = [type(model).__name__]
    model.config.save_pretrained(out)


def _restore(path: Path, model: Any, twins: Twins, optims: list[torch.optim.Optimizer], recipe: Recipe) -> int:
    """Load the checkpoint and return how many steps it has seen."""
    if not path.exists():
        return 0
    state = torch.load(path, weights_only=True)
    then = Recipe(**state["recipe"])
    if asdict(then) | {"tokens": 0} != asdict(recipe) | {"tokens": 0}:
        sys.exit(f"{path} was made with {then}; the same settings are needed to go on, or another --out")
    model.load_state_dict(state["model"])
    twins.offset.data.copy_(state["offset"])
    for optim, saved in zip(optims, state["optims"], strict=True):
        optim.load_state_dict(saved)
    return int(state["step"])


def _cpu_has_bf16() -> bool:
    """Whether this CPU multiplies in bf16; where it cannot, autocast is many times slower than fp32."""
    info = Path("/proc/cpuinfo")
    return info.exists() and bool({"avx512_bf16", "amx_bf16"} & set(info.read_text().split()))


def _tell(recipe: Recipe, texts: list[str], run: Run) -> None:
    """Train; one of the workers prints how it goes."""
    for line in train(recipe, texts, run):
        if together.place()[0] == 0:
            print(line, flush=True)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m recipes.builtin.train", description="Makes the built-in model.")
    parser.add_argument(
        "--out", type=Path, default=Path("runs/builtin/model"), help="the folder to write (default: %(default)s)"
    )
    parser.add_argument(
        "--text", type=Path, action="append", default=[], help="real text besides: .txt, .jsonl, .jsonl.gz"
    )
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--tokens", type=int, default=Recipe.tokens, help="tokens to train on (default: %(default)s)")
    parser.add_argument("--save-every", type=int, default=200, help="steps from checkpoint to checkpoint")
    parser.add_argument("--resume", action="store_true", help="go on from the checkpoint in --out")
    parser.add_argument("--workers", type=int, help="processes on a CPU (default: one for each core)")
    chosen = parser.parse_args()
    workers = chosen.workers or (os.cpu_count() or 1 if chosen.device == "cpu" else 1)
    recipe, texts = Recipe(tokens=chosen.tokens), read_texts(chosen.text)
    run = Run(chosen.out, chosen.device, chosen.resume, chosen.save_every)
    together.start(min(workers, BATCHES), partial(_tell, recipe, texts, run))
    write_card(chosen.out, asdict(recipe), [(path.name, len(texts) // len(chosen.text)) for path in chosen.text])


if __name__ == "__main__":
    main()
