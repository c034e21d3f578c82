"""`toolformer fetch`: a model onto this machine, ahead of the time when there is no network."""

import json
from dataclasses import dataclass

import tyro


@dataclass(frozen=True)
class Fetch:
    """Download a model ahead of time.

    Commands also download the models that they need by themselves.
    """

    model: tyro.conf.Positional[str]
    """`smollm2`, a small real model, or a name on the Hugging Face hub. An adapter comes with its base model."""
    revision: str | None = None
    """A branch, a tag or a commit on the hub."""
    json: bool = False
    """Print one line of JSON: model, fingerprint."""

    def run(self) -> None:
        """Fetch it, and say what it is."""
        from toolformer.hf import fetch
        from toolformer.loading import Loading

        name, fingerprint = fetch(self.model, Loading(revision=self.revision))
        told = {"model": name, "fingerprint": fingerprint}
        print(json.dumps(told) if self.json else f"{self.model} is here: {name}, fingerprint {fingerprint}")
