"""The folder of the rounds.

    DIR/rounds.json          the settings, every round, the best one, and why there are no more
    DIR/round-N/annotated    what annotate wrote: see data_gen/run_folder.py
    DIR/round-N/model        what train wrote: see finetune/training_folder.py

A round is written down twice: when its texts are annotated, and when its model is trained.
"""

import json
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from toolformer.bootstrap.rounds import Round, best
from toolformer.errors import DataError
from toolformer.lock import LOCK, sole_writer
from toolformer.own_json import read_own
from toolformer.same_settings import changes, refuse_changes
from toolformer.whole_file import remove_unfinished, whole_file

NAME = "rounds.json"


@dataclass
class RoundsFolder:
    """Use it in a `with` statement: it is locked from then on, and has the rounds that are there."""

    path: Path
    settings: Mapping[str, object]
    rounds: list[Round] = field(default_factory=list)

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            stack.enter_context(sole_writer(self.path))
            remove_unfinished(self.path)
            self._check()
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def annotated(self, number: int) -> Path:
        """Where the texts of a round are."""
        return self.path / f"round-{number}" / "annotated"

    def model(self, number: int) -> Path:
        """Where the model of a round is."""
        return self.path / f"round-{number}" / "model"

    @property
    def trained(self) -> list[Round]:
        """The rounds that are done."""
        return [one for one in self.rounds if one.model is not None]

    def note(self, one: Round) -> None:
        """Write down a round, in the place of what was known of it."""
        self.rounds = [*self.rounds[: one.number - 1], one]
        self.write()

    def write(self, ended: str | None = None) -> None:
        """Write down all that is known."""
        chosen = best(self.trained) if self.trained else None
        content = {
            "settings": self.settings,
            "rounds": [one.settings() for one in self.rounds],
            "best": chosen and {"round": chosen.number, "model": chosen.model},
            "ended": ended,
        }
        with whole_file(self.path / NAME) as file:
            file.write((json.dumps(content, indent=1, ensure_ascii=False) + "\n").encode())

    def _check(self) -> None:
        """Write the settings into a new folder; in one with anything of a round, find the same."""
        file = self.path / NAME
        if not file.exists():
            if foreign := sorted({path.name for path in self.path.iterdir()} - {LOCK}):
                raise DataError(f"{self.path} holds something else ({foreign[0]}): choose another folder")
            self.write()
            return
        try:
            content = read_own(file, finite=False)  # a perplexity may have been none
            before, rounds = content.get("settings"), content.get("rounds")
            if not isinstance(before, dict) or not isinstance(rounds, list):
                raise ValueError("it has no settings, or no rounds")
            self.rounds = [Round.read(one) for one in rounds]
            if [one.number for one in self.rounds] != [*range(1, len(rounds) + 1)]:
                raise ValueError("its rounds are not numbered from 1 on")
        except (OSError, ValueError) as error:
            raise DataError(f"{file} cannot be read ({error}): choose another folder") from error
        if not (self.annotated(1) / "config.json").exists():
            self.write()
            return
        refuse_changes(self.path, changes(before, json.loads(json.dumps(self.settings))))
