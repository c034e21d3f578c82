"""One thread decodes for all requests: they join its batch between two tokens, and leave it when they are done.

Requests are asked for, listened to and given up in the event loop; only the thread touches the model.
"""

import asyncio
import threading
import time
from collections import deque
from collections.abc import AsyncGenerator, Sequence
from types import TracebackType
from typing import Self

from toolformer.decode.decoder import Decoder
from toolformer.decode.events import Ended, Event, Text
from toolformer.decode.options import Options
from toolformer.decode.row import Asked, all_asked
from toolformer.decode.running import Running
from toolformer.errors import ToolformerError
from toolformer.lm import Ids
from toolformer.serve.limits import Limits
from toolformer.serve.metrics import Metrics

_PATIENCE = 0.01
"""Seconds after which the thread looks for new requests while all texts wait for their tools."""
_LOOK = 16
"""Tokens between two looks at a text that nobody sees grow."""


class Busy(ToolformerError):
    """No more texts may wait."""


class Stopped(ToolformerError):
    """Nothing is decoded any more."""


class Ticket:
    """The texts of one request, numbered from `first` on, until it is given up."""

    def __init__(self, engine: "Engine", asked: Sequence[Asked], seconds: float) -> None:
        self._engine, self._asked = engine, asked
        self._alarm = asyncio.get_running_loop().call_later(seconds, self._end)
        self._open = {one.index for one in asked}
        self._coming: asyncio.Queue[Event | None] = asyncio.Queue()
        self.first = asked[0].index
        self.first_text: float | None = None
        """When the first text came, by the monotonic clock."""

    def tell(self, event: Event | None) -> None:
        """One more event; None when there can be no more."""
        self._coming.put_nowait(event)

    def _end(self) -> None:
        """The time is up."""
        for index in sorted(self._open):
            self.tell(Ended(index, "length", ()))

    async def events(self) -> AsyncGenerator[Event, None]:
        """What happens until all texts have ended. When the time is up, those that have not end where they are."""
        while self._open:
            event = await self._coming.get()
            if event is None:
                raise Stopped("decoding has stopped: start the server again")
            if event.row not in self._open:
                continue
            if isinstance(event, Ended):
                self._open.discard(event.row)
            elif isinstance(event, Text) and self.first_text is None:
                self.first_text = time.monotonic()
            yield event

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Whatever is still written is given up."""
        self._alarm.cancel()
        self._engine.give_up([one.index for one in self._asked])


class Engine:
    """The thread, and what goes to it and comes from it."""

    def __init__(self, decoder: Decoder, batch: int, limits: Limits, metrics: Metrics) -> None:
        self._decoder, self._batch, self._limits, self._metrics = decoder, batch, limits, metrics
        self._changed = threading.Condition()
        self._waiting: deque[Asked] = deque()
        self._dropped: list[int] = []
        self._stopping = False
        self._tickets: dict[int, Ticket] = {}
        self._next = 0
        self._thread = threading.Thread(target=self._decode, name="decoder", daemon=True)
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def alive(self) -> bool:
        """Whether it decodes."""
        return self._thread.is_alive() and not self._stopping

    @property
    def waiting(self) -> int:
        """Texts that have no place yet."""
        return len(self._waiting)

    @property
    def running(self) -> int:
        """Texts that are being written."""
        return max(0, len(self._tickets) - len(self._waiting))

    def start(self) -> None:
        """Begin to decode; events go to the running event loop."""
        self._loop = asyncio.get_running_loop()
        self._thread.start()

    def stop(self) -> None:
        """Decode no more. Texts that are not finished have no end."""
        with self._changed:
            self._stopping = True
            self._changed.notify()
        self._thread.join()

    def ask(self, prompts: Sequence[Ids], options: Options, *, watched: bool) -> Ticket:
        """Have these continued; `watched`: somebody sees the text grow, token by token."""
        if not self.alive:
            raise Stopped("decoding has stopped: start the server again")
        if len(self._tickets) + len(prompts) > self._batch + self._limits.queue:
            raise Busy("too many texts are waiting: try again in a moment")
        asked = all_asked(prompts, options, first=self._next, every=1 if watched else _LOOK)
        self._next += len(asked)
        ticket = Ticket(self, asked, self._limits.seconds)
        self._tickets |= {one.index: ticket for one in asked}
        with self._changed:
            self._waiting += asked
            self._changed.notify()
        return ticket

    def give_up(self, indexes: Sequence[int]) -> None:
        """Nobody waits for these texts any more."""
        left = {index for index in indexes if self._tickets.pop(index, None)}
        if left:
            with self._changed:
                self._waiting = deque(one for one in self._waiting if one.index not in left)
                self._dropped += left
                self._changed.notify()

    def _decode(self) -> None:
        """What the thread does."""
        running = self._decoder.begin()
        try:
            while self._take(running):
                events = running.choose(_PATIENCE)
                self._tell(events)
                running.feed()
        finally:
            # At once: a thread that an error ends is alive until the error has been reported.
            self._stopping = True
            running.close()
            self._tell([None])

    def _take(self, running: Running) -> bool:
        """What came and what was given up since the last token; without any text, wait for one. False to stop."""
        with self._changed:
            self._changed.wait_for(lambda: self._stopping or self._waiting or self._dropped or running.texts)
            dropped, self._dropped = self._dropped, []
            free = max(0, self._batch - running.texts)
            new = [self._waiting.popleft() for _ in range(min(free, len(self._waiting)))]
        for index in dropped:
            running.drop(index)
        running.add(new)
        return not self._stopping

    def _tell(self, events: Sequence[Event | None]) -> None:
        if events and self._loop is not None:
            self._loop.call_soon_threadsafe(self._deliver, events)

    def _deliver(self, events: Sequence[Event | None]) -> None:
        for event in events:
            if event is None:
                for ticket in {*self._tickets.values()}:
                    ticket.tell(None)
                continue
            self._metrics.saw(event)
            if ticket_of := self._tickets.get(event.row):
                ticket_of.tell(event)
            if isinstance(event, Ended):
                self._tickets.pop(event.row, None)
