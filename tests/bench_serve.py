"""`toolformer serve` as clients have it: `python -m tests.bench_serve [--model builtin-tools] [--requests 2000]`.

How fast it writes with 1, 8 and 32 clients, whole answers and streamed ones, against `generate` on the same prompts in
one batch; and whether its memory stays flat over many requests. So that all say as much, nothing ends a text but its
length. The server is a process of its own, of which the processor's time is taken, so that neither clients nor other
programs count. Every answer must be the text of `generate`. How long a client waits for the first piece of a streamed
answer is time by the clock.
"""

import argparse
import asyncio
import json
import math
import os
import re
import statistics
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path

import httpx
import uvicorn

from toolformer import Generation, Toolformer
from toolformer.commands.listening import listen
from toolformer.serve.app import application
from toolformer.serve.limits import Limits

TOKENS = 64
"""Of a text."""
CLIENTS = (1, 8, 32)
BAR = 0.85
"""What the ratio should be at least with as many clients as a batch has rows."""
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Server:
    """One that runs."""

    url: str
    process: int

    @property
    def cpu(self) -> float:
        """Seconds of the processor that it has used."""
        behind = Path(f"/proc/{self.process}/stat").read_text("utf-8").rpartition(")")[2].split()
        return (int(behind[11]) + int(behind[12])) / _TICKS

    @property
    def memory(self) -> float:
        """Megabytes that it holds."""
        (kilobytes,) = re.findall(r"VmRSS:\s+(\d+)", Path(f"/proc/{self.process}/status").read_text("utf-8"))
        return int(kilobytes) / 1024


def endless(model: str) -> Toolformer:
    """A model whose texts have no end."""
    tf = Toolformer.from_pretrained(model)
    tf.model.ends = frozenset()
    return tf


def serve(model: str, said: Connection) -> None:
    """What the server's process does: as `toolformer serve` does, on a port that it says."""
    listening = listen("127.0.0.1", 0, "--port")
    app = application(endless(model), "m", limits=Limits(queue=2000))
    said.send(f"http://127.0.0.1:{listening.getsockname()[1]}")
    uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="on")).run(sockets=[listening])


@contextmanager
def serving(model: str) -> Iterator[Server]:
    """The server while it runs."""
    fresh = get_context("spawn")
    here, there = fresh.Pipe()
    process = fresh.Process(target=serve, args=(model, there))
    process.start()
    try:
        assert process.pid
        yield Server(here.recv(), process.pid)
    finally:
        process.terminate()
        process.join()


async def ask(
    client: httpx.AsyncClient, prompt: str, waited: list[float], *, stream: bool, tokens: int = TOKENS
) -> str:
    """The text behind a prompt; of a streamed one, `waited` gets the seconds until its first piece."""
    body = {"model": "m", "prompt": prompt, "max_tokens": tokens, "stream": stream}
    if not stream:
        return str((await client.post("/v1/completions", json=body)).json()["choices"][0]["text"])
    text, begun = "", time.perf_counter()
    async with client.stream("POST", "/v1/completions", json=body) as reply:
        async for line in reply.aiter_lines():
            if line.startswith("data: {"):
                piece = json.loads(line[6:])["choices"][0]["text"]
                if piece and not text:
                    waited.append(time.perf_counter() - begun)
                text += piece
    return text


async def at_once(server: Server, prompts: Sequence[str], waited: list[float], *, stream: bool) -> list[str]:
    """A client for each prompt."""
    limits = httpx.Limits(max_connections=len(prompts))
    async with httpx.AsyncClient(base_url=server.url, timeout=600, limits=limits) as client:
        return await asyncio.gather(*(ask(client, prompt, waited, stream=stream) for prompt in prompts))


def speed(server: Server, tf: Toolformer, prompts: Sequence[str], *, rounds: int) -> str:
    """Tokens a second of `generate`, the server's share of it, and what 95% of the clients wait at most for the first
    first piece. Both take turns, and the first turn warms up."""
    own, served, waited = list[float](), {False: list[float](), True: list[float]()}, list[float]()
    made: list[Generation] = []
    for turn in range(rounds + 1):
        waited = waited if turn > 1 else []
        begun = time.process_time()
        made = tf.generate(prompts, max_new_tokens=TOKENS)
        spent = time.process_time() - begun
        for stream, times in served.items():
            begun = server.cpu
            texts = asyncio.run(at_once(server, prompts, waited, stream=stream))
            assert texts == [one.text for one in made]
            if turn:
                times.append((server.cpu - begun) / spent)
        own.append(spent)
    tokens = sum(len(one.ids) for one in made)
    whole, streamed = (1 / statistics.median(served[stream]) for stream in (False, True))
    missed = "  MISSED" if len(prompts) == max(CLIENTS) and min(whole, streamed) < BAR else ""
    late = sorted(waited)[math.ceil(0.95 * len(waited)) - 1] * 1000
    speeds = f"{tokens / statistics.median(own[1:]):16,.0f}{whole:16.2f}{streamed:10.2f}"
    return f"{len(prompts):>7}{speeds}{late:17,.0f} ms{missed}"


async def many(server: Server, prompts: Sequence[str], count: int) -> str:
    """Ask so many short requests, 32 at a time, every other one streamed: its memory after a tenth and at the end."""
    async with httpx.AsyncClient(base_url=server.url, timeout=600) as client:
        free, early = asyncio.Semaphore(32), 0.0

        async def one(number: int) -> None:
            nonlocal early
            async with free:
                await ask(client, prompts[number % len(prompts)], [], stream=number % 2 == 0, tokens=8)
            if number == count // 10:
                early = server.memory

        await asyncio.gather(*map(one, range(count)))
    return f"memory after {count // 10:,} requests {early:,.1f} MB, after {count:,} {server.memory:,.1f} MB"


def main() -> None:
    """Measure, and print it line by line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--model", default="builtin-tools")
    parser.add_argument("--requests", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    prompts = [f"There are {8 + n} boxes with {76 - n} oranges in each, and Tom" for n in range(max(CLIENTS))]
    with serving(given.model) as server, endless(given.model) as tf:
        print(
            f"{'clients':>7}{'generate, tok/s':>16}{'whole answers':>16}{'streamed':>10}{'first piece, p95':>20}",
            flush=True,
        )
        for clients in CLIENTS:
            print(speed(server, tf, prompts[:clients], rounds=given.rounds), flush=True)
        print(asyncio.run(many(server, prompts, given.requests)))


if __name__ == "__main__":
    main()
