"""A server on a port of this machine that speaks as vLLM, SGLang or llama.cpp does, one of our models behind it."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from toolformer.hf.scoring import Question, answers_of
from toolformer.hf.transformers_model import CausalModel

Json = dict[str, Any]
OWNERS = {"vllm": "vllm", "llama.cpp": "llamacpp"}


@dataclass
class LanguageServer:
    """What it answers. `changed` may make something else of what it would say of a text."""

    model: CausalModel
    dialect: str
    context: int = 512
    changed: Callable[[Json], Json] = lambda reply: reply
    asked: list[Json] = field(default_factory=list)
    """The bodies of what was asked to go on with a text, or to read one."""
    url: str = ""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def answer(self, path: str, body: Json) -> Json | None:
        if path == "/v1/models":
            card = {"id": "m", "object": "model", "owned_by": OWNERS.get(self.dialect, self.dialect)}
            return {"data": [card | ({"max_model_len": self.context} if self.dialect != "llama.cpp" else {})]}
        if path == "/detokenize":
            return {"prompt" if self.dialect == "vllm" else "content": self.model.decode(body["tokens"])}
        if self.dialect == "vllm" and path == "/v1/completions" and "prompt_logprobs" in body:
            return self.changed(self._read_as_vllm(body))
        if self.dialect == "sglang" and path == "/generate":
            return self.changed(self._read_as_sglang(body))
        if self.dialect == "vllm" and path == "/v1/completions":
            return self.changed(self._as_vllm(body))
        if self.dialect == "llama.cpp" and path == "/props":
            return {"default_generation_settings": {"n_ctx": self.context}}
        if self.dialect == "llama.cpp" and path == "/completion":
            return self.changed(self._as_llama_cpp(body))
        return None

    def _as_vllm(self, body: Json) -> Json:
        assert body["model"] == "m"
        assert body["return_tokens_as_token_ids"]
        places = self._places(body["prompt"], body["max_tokens"], body["logprobs"])
        tokens = [f"token_id:{written}" for written, _ in places]
        tops = [{f"token_id:{token}": value for token, value in top.items()} for _, top in places]
        return {"choices": [{"text": "…", "logprobs": {"tokens": tokens, "top_logprobs": tops}}]}

    def _read_as_vllm(self, body: Json) -> Json:
        assert (body["model"], body["prompt_logprobs"]) == ("m", 0)
        values = self._read(body["prompt"], body["max_tokens"])
        tokens = map(str, body["prompt"][1:])
        told = [{token: {"logprob": value, "rank": 1}} for token, value in zip(tokens, values, strict=True)]
        return {"choices": [{"text": "…", "prompt_logprobs": [None, *told]}]}

    def _read_as_sglang(self, body: Json) -> Json:
        ids, start = body["input_ids"], body["logprob_start_len"]
        assert body["return_logprob"]
        values = [None, *self._read(ids, body["sampling_params"]["max_new_tokens"])[start:]]
        told = [[value, token, None] for value, token in zip(values, ids[start:], strict=True)]
        return {"text": "…", "meta_info": {"input_token_logprobs": told}}

    def _read(self, ids: list[int], count: int) -> list[float]:
        """How likely each token is but the first."""
        assert len(ids) + count <= self.context
        with self._lock:
            self.asked.append({"ids": ids, "count": count})
            return answers_of(self.model._network, [Question((), tuple(ids), range(1, len(ids)))])[0]

    def _as_llama_cpp(self, body: Json) -> Json:
        places = self._places(body["prompt"], body["n_predict"], body["n_probs"])
        tops = [[{"id": token, "token": "…", "logprob": value} for token, value in top.items()] for _, top in places]
        told = [{"id": place[0], "top_logprobs": top} for place, top in zip(places, tops, strict=True)]
        return {"content": "…", "completion_probabilities": told}

    def _places(self, ids: list[int], count: int, most: int) -> list[tuple[int, dict[int, float]]]:
        """The tokens written behind the ids, each with the likeliest in its place."""
        assert len(ids) + count <= self.context
        with self._lock:
            self.asked.append({"ids": ids, "count": count})
            rows = self.model.rows([ids])
            places: list[tuple[int, dict[int, float]]] = []
            while len(places) < count and not (places and places[-1][0] in self.model.ends):
                values, tokens = rows.logits[0].log_softmax(dim=-1).topk(most)
                places.append((int(tokens[0]), dict(zip(tokens.tolist(), values.tolist(), strict=True))))
                rows.extend([[int(tokens[0])]])
            return places


@contextmanager
def speaking(model: CausalModel, dialect: str, **more: Any) -> Iterator[LanguageServer]:
    """The server while it runs."""
    made = LanguageServer(model, dialect, **more)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer(made.answer(self.path, {}))

        def do_POST(self) -> None:
            self._answer(made.answer(self.path, json.loads(self.rfile.read(int(self.headers["content-length"])))))

        def _answer(self, reply: Json | None) -> None:
            content = json.dumps(reply).encode()
            self.send_response(404 if reply is None else 200)
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        made.url = f"http://127.0.0.1:{server.server_port}"
        yield made
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
