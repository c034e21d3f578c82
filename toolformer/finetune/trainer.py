"""`transformers.Trainer` with our own loss, data order and measurements; accelerate does the rest.

The loss of a step is the mean over all its tokens, on however many devices, in however many groups. The vocabulary head
runs only where something is to be said.
"""

import math
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, kl_div
from torch.utils.data import DataLoader
from transformers import PreTrainedModel, Trainer, TrainingArguments
from transformers.trainer_callback import PrinterCallback

from toolformer.errors import DataError
from toolformer.finetune.batches import IGNORED, Groups, Inputs
from toolformer.finetune.training_folder import writing
from toolformer.hf.network import before_head

_OURS = {"labels", "quiet", "own", "count"}
"""Inputs that the model does not know."""
_NEVER = -1e4
"""The logit of what cannot be said. Finite, so that it may be asked for with probability zero."""
_MARGIN = 1.0
"""How many nats below the k likeliest tokens an opening is pushed, so that it stays out in other texts, too."""


class LogitsAtLabels:
    """The logits of all tokens of a batch that are to be said. It stands between a model's layers and its vocabulary
    head."""

    def __init__(self, network: PreTrainedModel) -> None:
        """The network is inside of what is asked."""
        self._labels: Tensor | None = None
        before_head(network, self._gather)

    def _gather(self, hidden: Tensor) -> Tensor:
        if self._labels is None:
            return hidden
        # A learned prompt stands before the text.
        return hidden[:, -self._labels.shape[1] :][self._labels != IGNORED].unsqueeze(0)

    def __call__(self, model: torch.nn.Module, inputs: Inputs) -> Tensor:
        """One row for each."""
        self._labels = inputs["labels"]
        try:
            rest = {name: value for name, value in inputs.items() if name not in _OURS}
            return model(**rest, use_cache=False).logits[0].float()  # type: ignore[no-any-return]
        finally:
            self._labels = None


class Teacher(Protocol):
    """Another model with the same vocabulary, whose distribution is learnt."""

    temperature: float

    def __call__(self, inputs: Inputs) -> Tensor:
        """Its logits of all tokens to be said."""


class LossAtLabels:
    """The loss of a batch."""

    def __init__(
        self,
        network: PreTrainedModel,
        opening: int,
        control: Sequence[int],
        as_it_was: Callable[[], AbstractContextManager[None]] | None = None,
        keep_out: int = 0,
        teacher: Teacher | None = None,
    ) -> None:
        """`opening` is the token that opens a call; `control` are those that are no text at all. `as_it_was` makes the
        model what it was before training: with it, what that would say is learnt instead of the texts' words. Where a
        text has no call yet, the opening is pushed out of the `keep_out` likeliest tokens. With a teacher, what that
        would say is learnt everywhere."""
        self._as_it_was = as_it_was
        self._keep_out = keep_out
        self._teacher = teacher
        self._opening, self._control = opening, [*control]
        self._logits = LogitsAtLabels(network)

    def __call__(self, model: torch.nn.Module, inputs: Inputs, *, calls_disabled: bool = False) -> Tensor:
        """The sum of the losses of all tokens to be said; with calls disabled, as if no control token existed."""
        there = inputs["labels"] != IGNORED
        said = inputs["labels"][there]
        logits = self._logits(model, inputs)
        # Where the text itself says what opens a call (in the plain spelling), it is asked for as ever.
        quiet = inputs["quiet"][there] & (said != self._opening)
        if calls_disabled:
            logits[:, self._control] = _NEVER
        else:
            logits[quiet, self._opening] = _NEVER
        if not model.training:
            return cross_entropy(logits, said, reduction="sum")
        if self._teacher is not None:
            return self._taught(self._teacher, inputs, logits, quiet)
        return self._words(model, inputs, logits, said) + self._intrusion(logits[inputs["own"][there]])

    def _words(self, model: torch.nn.Module, inputs: Inputs, logits: Tensor, said: Tensor) -> Tensor:
        """The loss of the words: of the text, or of what the model would have said, where a text is its own."""
        there = inputs["labels"] != IGNORED
        own = inputs["own"][there]
        learnt = cross_entropy(logits[~own], said[~own], reduction="sum")
        if self._as_it_was is None:
            return learnt + cross_entropy(logits[own], said[own], reduction="sum")
        with torch.no_grad(), self._as_it_was():
            before = self._logits(model, inputs)
        before[:, self._control] = _NEVER
        # Where the first call opens, what would be said without it is anchored, too: with calls disabled, the model
        # would write there what the opening's vector was made of, a bracket, and a call in plain text behind it.
        ends = inputs["own"].roll(1, dims=1) & ~inputs["own"]
        opens = (said == self._opening) & ends[there]
        without = logits[opens].index_fill(1, torch.tensor(self._control, device=logits.device), _NEVER)
        asked = torch.cat((logits[own], without))
        return learnt + cross_entropy(asked, torch.cat((before[own], before[opens])).softmax(-1), reduction="sum")

    def _taught(self, teacher: Teacher, inputs: Inputs, logits: Tensor, quiet: Tensor) -> Tensor:
        """The divergence from what the teacher would say, at its temperature. Its gradient would shrink with the square
        of the temperature, hence the factor."""
        theirs = teacher(inputs).to(logits.device)
        theirs[quiet, self._opening] = _NEVER
        # Rows behind the last token only fill up a table, and there may be more of them in one of the two.
        size, heat = min(logits.shape[-1], theirs.shape[-1]), teacher.temperature
        own, wanted = ((one[:, :size] / heat).log_softmax(dim=-1) for one in (logits, theirs))
        return kl_div(own, wanted, reduction="sum", log_target=True) * heat**2

    def _intrusion(self, logits: Tensor) -> Tensor:
        """How far the opening stands above the place where it is safely out of the likeliest tokens, summed up.

        Its probability is so low there that the loss of the words hardly moves it.
        """
        if not self._keep_out:
            return logits.new_zeros(())
        with torch.no_grad():
            last = logits.topk(min(self._keep_out + 1, logits.shape[-1])).values[:, -1]
        return (logits[:, self._opening] - last + _MARGIN).relu().sum()


class IntoFolder(Trainer):
    """A trainer that saves as the folder of a run wants it, and ends before it saves what has gone wrong."""

    def __init__(
        self,
        *,
        model: torch.nn.Module,
        args: TrainingArguments,
        save: Callable[[torch.nn.Module, str, Any], None],
        complete: Callable[[Path, int | None], None],
        **more: Any,
    ) -> None:
        """`save` writes the model and its tokenizer into a folder, `complete` is told of a whole checkpoint, and which
        step is the best so far."""
        # Several GPUs without a launcher would be threads of one process, slow and with one loss hook for all.
        args._n_gpu = min(1, args.n_gpu)
        super().__init__(model=model, args=args, **more)
        self.remove_callback(PrinterCallback)
        self._write, self._complete = save, complete

    @property
    def history(self) -> list[dict[str, float]]:
        """What was logged of the steps and the measurements."""
        return [line for line in self.state.log_history if "train_runtime" not in line]

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """As ever; but a loss that is no number ends the run, before anything is saved."""
        for name, value in logs.items():
            if name.endswith("loss") and not math.isfinite(value):
                raise DataError(
                    f"the {name} of step {self.state.global_step} is not a number: use a lower learning rate, or fp32. "
                    "Checkpoints from before are sound: the same command goes on from the last"
                )
        super().log(logs, start_time)

    def _save_checkpoint(self, model: torch.nn.Module, trial: Any) -> None:
        folder = Path(str(self.args.output_dir))
        with writing(folder):
            super()._save_checkpoint(model, trial)
            self.accelerator.wait_for_everyone()
            if self.args.should_save:
                self._complete(folder / f"checkpoint-{self.state.global_step}", self.state.best_global_step)

    def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
        if self.args.should_save and output_dir is not None:
            self._write(self.accelerator.unwrap_model(self.model), output_dir, state_dict)


class CallTrainer(IntoFolder):
    """Trains on groups of rows that were planned beforehand."""

    # The loss is that of the whole step already: nobody is to divide it again.
    loss_is_scaled_for_ga = True

    def __init__(
        self,
        model: torch.nn.Module,
        args: TrainingArguments,
        loss: LossAtLabels,
        groups: Groups,
        held_out: dict[str, Groups],
        save: Callable[[torch.nn.Module, str, Any], None],
        complete: Callable[[Path, int | None], None],
        **more: Any,
    ) -> None:
        """`held_out` is what is measured, by name."""
        super().__init__(model=model, args=args, eval_dataset=held_out or None, save=save, complete=complete, **more)
        self._loss, self._groups, self._held_out = loss, groups, held_out

    def get_train_dataloader(self) -> DataLoader[Inputs]:
        """This device's groups, in their order."""
        return _loader(self._groups)

    # Its other arguments are for models that compute a loss themselves.
    def compute_loss(self, model: torch.nn.Module, inputs: Inputs, **_: Any) -> Any:  # type: ignore[override]
        """This group's part of the step's loss. Devices average their gradients, hence the factor."""
        return self._loss(model, inputs) * (self.accelerator.num_processes / inputs["count"])

    def evaluate(self, *_: Any, **__: Any) -> dict[str, float]:
        """The perplexities of what was held out, and the loss of all of it."""
        self.model_wrapped.eval()
        metrics, total, number = {}, 0.0, 0.0
        for name, groups in self._held_out.items():
            loss, count = self._measure(groups, calls_disabled=name == "plain")
            metrics[f"eval_perplexity_{name}"] = math.exp(min(loss / count, 700.0))
            total, number = total + loss, number + count
        metrics["eval_loss"] = total / max(number, 1.0)
        self.log(dict(metrics))
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        return metrics

    def _measure(self, groups: Groups, *, calls_disabled: bool) -> tuple[float, float]:
        """The sum of the losses over all devices, and of how many tokens."""
        sums = torch.zeros(2, dtype=torch.float64)
        for inputs in _loader(groups):
            ready = self._prepare_inputs(inputs)
            with torch.no_grad(), self.compute_loss_context_manager():
                loss = self._loss(self.model_wrapped, ready, calls_disabled=calls_disabled)
            sums += torch.tensor([float(loss), float((ready["labels"] != IGNORED).sum())])
        total = self.accelerator.reduce(sums.to(self.args.device, torch.float64), "sum")
        return float(total[0]), float(total[1])


def _loader(groups: Groups) -> DataLoader[Inputs]:
    return DataLoader(groups, batch_size=1, collate_fn=_only)


def _only(groups: list[Inputs]) -> Inputs:
    return groups[0]
