"""Standard input, output and error, which may be closed, full, without a reader, or of an encoding that lacks a letter.

`settle_streams` makes them such that each does one thing then: what is read from or written to a closed one is a
ConfigError in words, a letter that the output does not have is written as its number, and what cannot be shown on
standard error is left out, since no work depends on it.
"""

import codecs
import contextlib
import io
import os
import re
import sys
from typing import Any, NoReturn

from toolformer.errors import ConfigError, DataError

_BY_NUMBER = "toolformer.by_number"
_NO_TEXT = {chr(code) for code in range(0xDC80, 0xDD00)}
"""What Python reads bytes as that are no text."""
_HOSTILE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]")


def settle_streams() -> None:
    """For a process of its own, before anything is opened: a file would otherwise take the place of a closed stream."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.dup2(os.open(os.devnull, os.O_RDWR), number)
    codecs.register_error(_BY_NUMBER, _by_number)
    if sys.stdin is None:
        sys.stdin = _text(_Closed("standard input", "give it a file: toolformer ... < FILE"), "utf-8")
    elif isinstance(sys.stdin, io.TextIOWrapper):
        sys.stdin.reconfigure(errors="surrogateescape")
    if sys.stdout is None:
        sys.stdout = _text(_Closed("standard output", "toolformer ... > /dev/null if nobody wants it"), "utf-8")
    elif isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors in ("strict", "surrogateescape"):
        sys.stdout.reconfigure(errors=_BY_NUMBER)
    sys.stderr = _text(io.BufferedWriter(_Unheeded()), sys.stderr.encoding if sys.stderr else "utf-8")


def check_stdin() -> None:
    """A ConfigError if standard input is closed: for commands that read it only after much work."""
    if isinstance(closed := getattr(sys.stdin, "buffer", None), _Closed):
        closed.readinto(b"")


def check_text(line: str) -> str:
    """A line of standard input, if it is text; a DataError if not."""
    if not line.isascii() and not _NO_TEXT.isdisjoint(line):
        raise DataError(
            f"it holds bytes that are no text in {sys.stdin.encoding}; if it is Latin-1, convert it first: "
            "iconv -f LATIN1 -t UTF-8"
        )
    return line


def printable(text: str) -> str:
    """The text without what could steer a terminal or turn its lines around: a model may say anything."""
    return _HOSTILE.sub("\ufffd", text)


def _text(stream: Any, encoding: str) -> io.TextIOWrapper:
    return io.TextIOWrapper(stream, encoding, errors="backslashreplace", line_buffering=True, write_through=True)


class _Closed(io.RawIOBase):
    """In the place of a stream that is not there."""

    def __init__(self, name: str, instead: str) -> None:
        super().__init__()
        self._message = f"{name} is closed, but needed: {instead}"

    def readable(self) -> bool:
        return True

    def writable(self) -> bool:
        return True

    def readinto(self, _: object) -> NoReturn:
        raise ConfigError(self._message)

    def write(self, _: object) -> NoReturn:
        raise ConfigError(self._message)


class _Unheeded(io.RawIOBase):
    """Standard error, of which is left out what cannot be written."""

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return 2

    def isatty(self) -> bool:
        return os.isatty(2)

    def write(self, content: Any) -> int:
        with contextlib.suppress(OSError):
            return os.write(2, content)
        return len(content)


_told: set[str] = set()


def _by_number(error: UnicodeError) -> tuple[str | bytes, int]:
    """What becomes of letters that the output does not have. The first time, it is said."""
    if isinstance(error, UnicodeEncodeError) and not _told:
        _told.add(error.encoding)
        letter = error.object[error.start]
        print(
            f"toolformer: the output is to be {error.encoding}, which has no {letter!r}: such letters are written by "
            "their numbers; set PYTHONIOENCODING=utf-8 to have them as they are",
            file=sys.stderr,
        )
    return codecs.backslashreplace_errors(error)
