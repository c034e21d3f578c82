"""A model behind a server, for the decoder: its tokenizer is here, its weights are elsewhere."""

from collections.abc import Sequence

from toolformer.calls import CallSyntax, Part
from toolformer.errors import ConfigError
from toolformer.hf.encode import Spells
from toolformer.hf.load import Words
from toolformer.lm import Ids, syntax_of
from toolformer.remote.asking import Asker
from toolformer.remote.dialects import KNOWN, dialect_of
from toolformer.remote.remote_rows import RemoteRows

_PROBE = "There are 8 boxes (é, 76 in each), so that is"
"""What the server must spell as the tokenizer does."""


class RemoteModel(Spells):
    """`lm.DecodingModel` for a server that tells the likeliest tokens. Not for several threads at once."""

    def __init__(self, asker: Asker, words: Words) -> None:
        """The asker is open, and stays so for as long as the model is used."""
        self._asker, self._words, self._codec = asker, words, words.codec
        self._dialect = dialect_of(asker)
        self.name = asker.url
        self.context = self._dialect.context - 1 - (self._codec.start is not None)
        self.ends = words.ends
        self.reads_apart = False
        self.known: int | None = min(KNOWN, words.size)
        self._check_words()

    def _check_words(self) -> None:
        """Refuse a tokenizer that is not the server's: everything said with it would be gibberish."""
        markers = [Part(token, control=True) for token in CallSyntax.TOKENS.control_tokens]
        ids = (*self.encode(_PROBE).ids, *(self.encode_parts(markers) if syntax_of(self).control else ()))
        said, meant = self._asker.need(self._dialect.spell(ids)), self.decode(ids)
        if said.split() != meant.split():
            raise ConfigError(
                f"the tokenizer is not that of {self.name}, which reads {meant[:60]!r} as {said[:60]!r}: name the "
                "model that the server was started with, or one made of it"
            )

    def rows(self, prompts: Sequence[Ids]) -> RemoteRows:
        """See `lm.DecodingModel`."""
        return RemoteRows(self._asker, self._dialect, self._words, prompts)
