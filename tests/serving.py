"""A server of ours on a port of this machine, in this process, and models for it that say what a test wrote down."""

import asyncio
import socket
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import uvicorn
from fastapi import FastAPI
from openai import OpenAI

from tests.fakes import ScriptedLM, script
from toolformer.calls import CallSyntax
from toolformer.model import Toolformer
from toolformer.serve.app import application
from toolformer.tool import Tool, Traits

OPEN, ARROW, CLOSE = CallSyntax.TOKENS.control_tokens


@dataclass
class Told:
    """A tool that answers by a function."""

    answer: Callable[[str], str]
    name: str = "Sum"
    description: str = "It answers."
    traits: Traits = Traits(in_process=True)

    def __call__(self, text: str, /) -> str:
        return self.answer(text)


def adds(text: str) -> str:
    return str(sum(int(number) for number in text.split("+")))


def says(*texts: str, tools: Sequence[Tool] = (Told(adds),), context: int = 4096) -> Toolformer:
    """A model that says these texts, each with its prompt in front."""
    return Toolformer(ScriptedLM(follows=script(*texts), context=context), tools)


SUM = f"2 + 2 is {OPEN} Sum(2 + 2){ARROW} 4{CLOSE}4, so it is."


_CLIENTS: list[OpenAI] = []
"""Those that are not closed yet: one that nobody closes warns when it is collected, in whatever test that is."""


@contextmanager
def served(toolformer: Toolformer, **settings: Any) -> Iterator[str]:
    """Its address."""
    listening = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(application(toolformer, "m", **settings), log_level="error", lifespan="on"))
    thread = threading.Thread(target=server.run, args=([listening],))
    thread.start()
    while not server.started and thread.is_alive():
        time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        while _CLIENTS:
            _CLIENTS.pop().close()
        server.should_exit = True
        thread.join()
        listening.close()


def client(url: str, key: str = "none") -> Any:
    """OpenAI's own; its types do not know our fields."""
    made = OpenAI(base_url=f"{url}/v1", api_key=key, max_retries=0)
    _CLIENTS.append(made)
    return made


@asynccontextmanager
async def inside(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    """A client that asks the application without a network."""
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with app.router.lifespan_context(app), httpx.AsyncClient(transport=transport, base_url="http://here") as one:
        yield one


def until(true: Callable[[], bool], seconds: float = 10) -> None:
    """Wait for something that comes soon."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.01)


def post(app: FastAPI, path: str, *bodies: object, headers: dict[str, str] | None = None) -> list[httpx.Response]:
    """What is answered to each of the bodies in turn."""

    async def ask() -> list[httpx.Response]:
        async with inside(app) as one:
            return [await one.post(path, json=body, headers=headers) for body in bodies]

    return asyncio.run(ask())
