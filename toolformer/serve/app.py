"""The application: which path does what, and what is said when it cannot."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from functools import partial

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.types import Receive, Scope, Send

from toolformer.chat import Turn, conversation
from toolformer.decode.options import Options
from toolformer.errors import ConfigError, ToolformerError
from toolformer.lm import Ids
from toolformer.model import Toolformer
from toolformer.serve.completions import Completion, Json, failure
from toolformer.serve.engine import Busy, Engine, Stopped, Ticket
from toolformer.serve.guard import Guard
from toolformer.serve.limits import Limits
from toolformer.serve.metrics import Metrics
from toolformer.serve.pages import PAGES, page
from toolformer.serve.requests import ChatRequest, CompletionRequest, ResponseRequest
from toolformer.serve.responses import Answer, ToolItems

_Does = Callable[..., Awaitable[Response]]
_CHARACTERS = 32
"""Tokens have fewer, as a rule: a text of so many for each token that is allowed is refused before it is encoded."""


def application(
    toolformer: Toolformer,
    name: str,
    options: Options | None = None,
    limits: Limits | None = None,
    *,
    key: str | None = None,
    origins: Sequence[str] = (),
    hosts: Collection[str] = (),
    tool_items: ToolItems = "mcp",
) -> FastAPI:
    """A model under this name, as an ASGI application.

    `options` is what a request does not say. With a `key`, requests need it. Pages of these `origins` may ask, too.
    With `hosts`, requests must ask for one of these names. `tool_items` is what a response tells a call as.
    """
    return Serving(toolformer, name, options or Options(), limits or Limits(), key, origins, hosts, tool_items).app


class NoModel(ToolformerError):
    """Another model was asked for."""


class Serving:
    """What the paths have in common."""

    def __init__(
        self,
        toolformer: Toolformer,
        name: str,
        options: Options,
        limits: Limits,
        key: str | None,
        origins: Sequence[str],
        hosts: Collection[str],
        tool_items: ToolItems,
    ) -> None:
        toolformer.decoder.check(options)  # what is wrong with them is said now, and not to a request
        self._toolformer, self._name, self._options, self._limits = toolformer, name, options, limits
        self._tool_items = tool_items
        self._created = int(time.time())
        self._metrics = Metrics()
        self._engine = Engine(toolformer.decoder, options.batch, limits, self._metrics)
        # No pages about the interface: theirs come from other servers.
        self.app = FastAPI(title="toolformer", lifespan=self._life, docs_url=None, redoc_url=None, openapi_url=None)
        paths = self._routes()

        def answered(path: str, status: int) -> None:
            self._metrics.answered(path if path in paths else "other", status)

        self.app.add_middleware(Guard, limits=limits, key=key, hosts=hosts, answered=answered)
        if origins:
            self.app.add_middleware(CORSMiddleware, allow_origins=origins, allow_methods=["*"], allow_headers=["*"])
        for kind in (RequestValidationError, HTTPException, ToolformerError):
            self.app.add_exception_handler(kind, _said)

    @asynccontextmanager
    async def _life(self, _: FastAPI) -> AsyncIterator[None]:
        self._engine.start()
        try:
            yield
        finally:
            await asyncio.to_thread(self._engine.stop)
            self._toolformer.close()

    def _routes(self) -> set[str]:
        """The paths, each with what it does."""
        gets: dict[str, _Does] = {
            "/health": self._health,
            "/metrics": self._told,
            "/v1/models": self._models,
            "/v1/tools": self._tools,
        }
        posts: dict[str, _Does] = {
            "/v1/completions": self._complete,
            "/v1/chat/completions": self._chat,
            "/v1/responses": self._respond,
        }
        for path, get in gets.items():
            self.app.add_api_route(path, get, methods=["GET"])
        self.app.add_api_route("/v1/models/{name:path}", self._one_model, methods=["GET"])
        for path in PAGES:
            self.app.add_api_route(path, partial(page, path), methods=["GET"])
        for path, post in posts.items():
            self.app.add_api_route(path, post, methods=["POST"], response_model=None)
        return {*gets, *PAGES, *posts}

    async def _health(self) -> Response:
        alive = self._engine.alive
        return JSONResponse({"status": "ok" if alive else "stopped"}, status_code=200 if alive else 503)

    async def _told(self) -> Response:
        running, waiting = self._engine.running, self._engine.waiting
        return PlainTextResponse(
            self._metrics.text(running=running, waiting=waiting), media_type="text/plain; version=0.0.4"
        )

    def _card(self) -> Json:
        return {"id": self._name, "object": "model", "created": self._created, "owned_by": "toolformer"}

    async def _models(self) -> Response:
        return JSONResponse({"object": "list", "data": [self._card()]})

    async def _one_model(self, name: str) -> Response:
        self._check_model(name)
        return JSONResponse(self._card())

    async def _tools(self) -> Response:
        """What the page shows: the tools, and what is done unless a request says otherwise."""
        tools = [{"name": tool.name, "description": tool.description} for tool in self._toolformer.toolbox]
        return JSONResponse({"model": self._name, "k": self._options.ranks, "tools": tools})

    async def _complete(self, asked: CompletionRequest, request: Request) -> Response:
        self._check_model(asked.model)
        texts = [asked.prompt] if isinstance(asked.prompt, str) else asked.prompt
        if not 0 < len(texts) * asked.n <= self._options.batch:
            raise ConfigError(f"prompt: between 1 and {self._options.batch} texts, times n")
        options = self._how(asked.options(self._options, asked.max_tokens, stop=asked.stops(), seed=_seed(asked)))
        prompts = await asyncio.to_thread(self._encode, texts)
        return await self._completed(asked, request, [one for one in prompts for _ in range(asked.n)], options)

    async def _chat(self, asked: ChatRequest, request: Request) -> Response:
        self._check_model(asked.model)
        options = self._how(asked.options(self._options, asked.most, stop=asked.stops(), seed=_seed(asked)))
        prompt = await asyncio.to_thread(self._frame, asked.turns(), options)
        return await self._completed(asked, request, [prompt] * asked.n, options)

    async def _completed(
        self, asked: CompletionRequest | ChatRequest, request: Request, prompts: Sequence[Ids], options: Options
    ) -> Response:
        ticket = self._ask(prompts, options, watched=asked.stream)
        chat, syntax = isinstance(asked, ChatRequest), self._toolformer.decoder.syntax
        answer = Completion(self._name, prompts, syntax, chat=chat, calls=asked.toolformer)
        if asked.stream:
            return Watched(ticket, answer.chunks(ticket, usage=asked.stream_options.include_usage), self._metrics)
        return await _unless_gone(request, ticket, answer.whole(ticket))

    async def _respond(self, asked: ResponseRequest, request: Request) -> Response:
        self._check_model(asked.model)
        options = self._how(asked.options(self._options, asked.max_output_tokens, seed=_random_seed()))
        prompt = await asyncio.to_thread(self._frame, asked.turns(), options)
        ticket = self._ask([prompt], options, watched=asked.stream)
        answer = Answer(self._name, asked, options, len(prompt), self._tool_items)
        if asked.stream:
            return Watched(ticket, answer.events(ticket), self._metrics)
        return await _unless_gone(request, ticket, answer.whole(ticket))

    def _check_model(self, name: str) -> None:
        if name != self._name:
            raise NoModel(f"the model {name[:100]!r} is not here: this server has {self._name!r}")

    def _how(self, options: Options) -> Options:
        if options.max_new_tokens > self._limits.answer_tokens:
            raise ConfigError(f"an answer may have {self._limits.answer_tokens:,} tokens: ask for fewer")
        self._toolformer.decoder.check(options)
        return options

    def _ask(self, prompts: Sequence[Ids], options: Options, *, watched: bool) -> Ticket:
        ticket = self._engine.ask(prompts, options, watched=watched)
        self._metrics.asked(sum(map(len, prompts)))
        return ticket

    def _encode(self, texts: Sequence[str]) -> list[Ids]:
        for text in texts:
            self._check_length(len(text) // _CHARACTERS)
        prompts: list[Ids] = [self._toolformer.model.encode(text).ids for text in texts]
        for prompt in prompts:
            self._check_length(len(prompt))
        return prompts

    def _frame(self, turns: Sequence[Turn], options: Options) -> Ids:
        self._check_length(len(turns[-1].text) // _CHARACTERS)
        for call in (call for turn in turns for call in turn.calls):
            if call.tool not in self._toolformer.toolbox:
                raise ConfigError(f"messages: there is no tool {call.tool[:100]!r}")
        prompt = conversation(self._toolformer.decoder, turns, options)
        self._check_length(len(prompt))
        return prompt

    def _check_length(self, tokens: int) -> None:
        model = self._toolformer.model
        most = min(self._limits.prompt_tokens, model.context)
        if tokens > most:
            raise ConfigError(f"a prompt may have {most:,} tokens: shorten it")


class Watched(StreamingResponse):
    """An answer that is sent as it is written. When it ends, or its reader goes, the ticket is given up."""

    def __init__(self, ticket: Ticket, chunks: AsyncIterator[str], metrics: Metrics) -> None:
        super().__init__(chunks, media_type="text/event-stream", headers={"cache-control": "no-cache"})
        self._ticket, self._metrics, self._since = ticket, metrics, time.monotonic()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
        with self._ticket:
            await super().__call__(scope, receive, send)
        if self._ticket.first_text is not None:
            self._metrics.began(self._ticket.first_text - self._since)


async def _unless_gone(request: Request, ticket: Ticket, answer: Awaitable[Json]) -> Response:
    """The whole answer; if nobody waits for it any more, its texts are given up."""
    with ticket:
        work, gone = asyncio.ensure_future(answer), asyncio.ensure_future(_gone(request))
        try:
            await asyncio.wait([work, gone], return_when=asyncio.FIRST_COMPLETED)
            return JSONResponse(work.result()) if work.done() else Response(status_code=499)
        finally:
            work.cancel()
            gone.cancel()


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def _said(_: Request, error: Exception) -> Response:
    """What is wrong, as OpenAI's error object."""
    status, param, code, headers = 400, None, None, {}
    if isinstance(error, RequestValidationError):
        param, message = _wrong(error)
    elif isinstance(error, HTTPException):
        status, message = error.status_code, str(error.detail)
    else:
        message = str(error)
        if isinstance(error, Busy):
            status, code, headers = 429, "rate_limit_exceeded", {"retry-after": "1"}
        elif isinstance(error, Stopped):
            status = 503
        elif isinstance(error, NoModel):
            status, code = 404, "model_not_found"
    kind = "server_error" if status >= 500 else "rate_limit_error" if status == 429 else "invalid_request_error"
    message = message.encode("utf-8", "replace").decode()
    return JSONResponse({"error": failure(message, kind, param, code)}, status_code=status, headers=headers)


def _wrong(error: RequestValidationError) -> tuple[str | None, str]:
    """Which parameter is wrong, and what is wrong with it."""
    # Of a value that may be of several kinds, the error that goes deepest is that of the kind that was meant.
    said = max(error.errors(), key=lambda one: len(one["loc"]))
    if len(said["loc"]) == 1 or said["type"] == "json_invalid":
        return None, "the body should be a JSON object, sent with content-type: application/json"
    # Between the names stand the kinds that were tried, such as `str` and `list[str]`.
    parts = [str(part)[:100] for part in said["loc"][1:] if part != "str" and "[" not in str(part)]
    param = ".".join(parts) or None
    if said["type"] == "extra_forbidden":
        return param, f"{param or 'a parameter'} is not supported with this value: leave it out"
    return param, f"{param}: {said['msg']}"


def _seed(asked: CompletionRequest | ChatRequest) -> int:
    return _random_seed() if asked.seed is None else asked.seed


def _random_seed() -> int:
    return time.time_ns()
