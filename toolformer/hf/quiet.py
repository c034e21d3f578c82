"""What libraries show and say, cut down to what somebody needs."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from transformers.utils.logging import set_tqdm_hook

# bitsandbytes says when peft first imports it that a kernel which nobody here uses is not installed, and at every
# multiplication in int8 that it casts its input.
logging.getLogger("bitsandbytes.backends.cpu.ops").setLevel(logging.ERROR)
logging.getLogger("bitsandbytes.autograd._functions").setLevel(logging.ERROR)


@contextmanager
def no_bar() -> Iterator[None]:
    """Without the bar for the moments in which weights are read or written; that of a download, which takes minutes,
    is another and stays."""
    before = set_tqdm_hook(lambda bar, arguments, options: bar(*arguments, **options | {"disable": True}))
    try:
        yield
    finally:
        set_tqdm_hook(before)


@contextmanager
def no_report() -> Iterator[None]:
    """Without the table of what was missing in a checkpoint: whoever loads one says it in a line."""
    log = logging.getLogger("transformers.modeling_utils")
    log.addFilter(_no_gaps)
    try:
        yield
    finally:
        log.removeFilter(_no_gaps)


def _no_gaps(record: logging.LogRecord) -> bool:
    return not any(word in record.getMessage() for word in ("MISSING", "MISMATCH"))
