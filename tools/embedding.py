"""Embedding models of sentence-transformers: texts to unit vectors, and how we know the model again.

Weights come as safetensors only: nothing is unpickled, and no code from a model's repository is run.
"""

import hashlib
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING

from toolformer.errors import ConfigError, first_line

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from sentence_transformers import SentenceTransformer

    Vectors = NDArray[np.float32]


class Embedder:
    """One model, by its name on the hub or its folder. Safe to use from several threads; they take turns."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._model = _load(name)
        self._lock = threading.Lock()
        self.dimension: int = self.query("x").shape[1]
        self.fingerprint = _fingerprint(self._model)

    def passages(self, texts: Sequence[str]) -> "Vectors":
        """A row of length one for each text."""
        with self._lock:
            return self._model.encode_document(
                list(texts), batch_size=32, normalize_embeddings=True, show_progress_bar=False, convert_to_numpy=True
            )

    def query(self, text: str) -> "Vectors":
        """One such row: a model may treat a question otherwise than a passage."""
        with self._lock:
            return self._model.encode_query(
                [text], normalize_embeddings=True, show_progress_bar=False, convert_to_numpy=True
            )


def _load(name: str) -> "SentenceTransformer":
    import torch
    from sentence_transformers import SentenceTransformer

    from toolformer.reach import out_of_reach

    weights = {"use_safetensors": True, "dtype": torch.float32}
    try:
        return SentenceTransformer(name, model_kwargs=weights, local_files_only=out_of_reach(name))
    except (OSError, ValueError) as error:  # what transformers and the hub raise for a name, a file or a network
        raise ConfigError(
            f"the embedding model {name!r} cannot be loaded: {first_line(error)}. Give the name of a model of "
            "sentence-transformers on the hub, such as sentence-transformers/all-MiniLM-L6-v2, or a folder with one"
        ) from error


def _fingerprint(model: "SentenceTransformer") -> str:
    """A hash of all weights, so that a model is known under whatever name or path it is loaded."""
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(f"{name} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
