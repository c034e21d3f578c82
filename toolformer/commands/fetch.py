"""`toolformer fetch`: a model onto this machine, ahead of the time when there is no network."""

import json
from dataclasses import dataclass

import tyro


@dataclass(frozen=True)
class Fetch:
    """Fetch a model ahead of time.

    `smollm2`, a small real one, or any other by its name. Commands fetch what they need themselves, too.
    """

    model: tyro.conf.Positional[str]
    """Its name: `smollm2`, or one of the Hugging Face hub; an adapter brings its base model."""
    revision: str | None = None
    """On the hub: a branch, a tag or a commit."""
    json: bool = False
    """Print a line of JSON: model, fingerprint."""

    def run(self) -> None:
        """Fetch it, and say what it is."""
        from toolformer.hf import fetch
        from toolformer.loading import Loading

        name, fingerprint = fetch(self.model, Loading(revision=self.revision))
        told = {"model": name, "fingerprint": fingerprint}
        print(json.dumps(told) if self.json else f"{self.model} is here: {name}, fingerprint {fingerprint}")
