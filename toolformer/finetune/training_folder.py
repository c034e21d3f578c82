"""The folder of a training run.

    RUN/training.json       settings, model, hashes of the data; in the end the results and the log
    RUN/checkpoints/        while it runs: the last and the best; `complete` is written last
    RUN/                    in the end: the adapter or the model, its tokenizer, README.md

A kill at any moment leaves each checkpoint complete or to be thrown away. A second run on the folder is refused while
the first is alive, and so is one with other settings.
"""

import contextlib
import json
import re
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from toolformer.errors import DataError, first_line
from toolformer.lock import LOCK, sole_writer
from toolformer.own_json import fits, read_own
from toolformer.same_settings import changes, refuse_changes
from toolformer.whole_file import remove_unfinished, sync, whole_file

Json = dict[str, Any]
RECORD = "training.json"
"""What a run says of itself."""
_COMPLETE = "complete"
_OF_TORCH = re.compile("PytorchStreamWriter|inline_container|iostream")
"""What torch says, without saying why, when a file cannot be written."""
_OF_TRAINING = ("optimizer.", "scheduler.", "scaler.", "rng_state", "trainer_state.", "pytorch_model_fsdp", _COMPLETE)
"""How the names of those files of a checkpoint begin that are for going on only; the rest is the model."""


class TrainingFolder:
    """The output folder of one run. Use it in a `with` statement: it is locked from then on."""

    def __init__(self, path: Path, config: Mapping[str, object], *, main: bool = True) -> None:
        """Of several processes, `main` is the one that writes."""
        self.path, self._main = path, main
        self._config: Json = json.loads(json.dumps(config))
        self.checkpoints = path / "checkpoints"

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as stack:
            if self._main:
                stack.enter_context(sole_writer(self.path))
                self._clear()
                self._check_config()
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def _check_config(self) -> None:
        """Write the settings into a new folder; in an old one, find the same."""
        file = self.path / RECORD
        if not file.exists():
            if foreign := sorted({path.name for path in self.path.iterdir()} - {"checkpoints", LOCK}):
                raise DataError(f"{self.path} holds something else ({foreign[0]}): choose another folder")
            self._write(RECORD, json.dumps(self._config, indent=1, ensure_ascii=False) + "\n")
            return
        refuse_changes(self.path, changes(self.read(), self._config))

    def _clear(self) -> None:
        """Remove what a killed run was writing."""
        for path in self.checkpoints.glob("checkpoint-*"):
            if not (path / _COMPLETE).exists():
                shutil.rmtree(path)
        remove_unfinished(self.path)

    def read(self) -> Json:
        """What training.json says."""
        file = self.path / RECORD
        try:
            return read_own(file, finite=False)  # a loss may have been no number
        except (OSError, ValueError) as error:
            raise DataError(f"{file} cannot be read ({error}): choose another folder") from error

    @property
    def results(self) -> Json | None:
        """What came out, if the run is finished."""
        return self.read().get("results") if (self.path / RECORD).exists() else None

    def last(self) -> Path | None:
        """The last complete checkpoint."""
        done = [path for path in self.checkpoints.glob("checkpoint-[0-9]*") if (path / _COMPLETE).exists()]
        last = max(done, key=step_of, default=None)
        if last is not None:
            _check_state(last)
        return last

    def complete(self, checkpoint: Path, best: int | None) -> None:
        """Say that a checkpoint is whole, and remove all others but the best."""
        for file in checkpoint.rglob("*"):
            if file.is_file():
                sync(file)
        (checkpoint / _COMPLETE).touch()
        sync(checkpoint)
        for other in self.checkpoints.glob("checkpoint-*"):
            if other != checkpoint and step_of(other) != best:
                shutil.rmtree(other)

    def finish(self, step: int, card: str, results: Json, log: list[Json]) -> None:
        """Make the folder what was asked for: the model of that step, its card, the results. They are written last."""
        chosen = self.checkpoints / f"checkpoint-{step}"
        with writing(self.path):
            for file in chosen.iterdir():
                if file.is_file() and not file.name.startswith(_OF_TRAINING):
                    with file.open("rb") as source, whole_file(self.path / file.name) as copy:
                        shutil.copyfileobj(source, copy, 1 << 20)
            self._write("README.md", card)
            lines = ",\n".join(f"  {json.dumps(line)}" for line in log)
            whole = json.dumps({**self._config, "results": results}, indent=1, ensure_ascii=False)
            self._write(RECORD, f'{whole[:-2]},\n "log": [\n{lines}\n ]\n}}\n')
        shutil.rmtree(self.checkpoints)

    def _write(self, name: str, text: str) -> None:
        """Put a file there whole or not at all."""
        with whole_file(self.path / name) as file:
            file.write(text.encode())


def _check_state(checkpoint: Path) -> None:
    """Refuse a checkpoint whose state is not one that transformers could have written."""
    from transformers import TrainerState

    known = {"global_step": int, "max_steps": int, "best_global_step": int | None, "log_history": list[dict[str, Any]]}
    try:
        state = read_own(checkpoint / "trainer_state.json", finite=False)
        odd = [name for name, kind in known.items() if name in state and not fits(kind, state[name])]
        odd += sorted(state.keys() - TrainerState.__dataclass_fields__.keys())
        if odd or state.get("global_step") != step_of(checkpoint):
            raise ValueError(f"{(odd or ['global_step'])[0]!r} is not what it was")
    except (OSError, ValueError) as error:
        raise DataError(
            f"the checkpoint {checkpoint} is damaged ({error}): remove its folder to go on from the one before it, or "
            "choose another folder"
        ) from error


def step_of(checkpoint: Path) -> int:
    """The step that a checkpoint is of."""
    return int(checkpoint.name.rpartition("-")[2])


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Say in one line what went wrong with the disk. Libraries that write say it in their own ways."""
    from safetensors import SafetensorError

    try:
        yield
    except (OSError, SafetensorError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and not _OF_TORCH.search(str(error)):
            raise
        raise DataError(
            f"cannot write to {path}: {getattr(error, 'strerror', None) or first_line(error)}. What was written before "
            "is safe: make room or rights and run the same again, or choose another folder"
        ) from error
