"""Traffic to capture: an encoder behind the API of a large model answers tweets, through `edgedistill capture serve`.

Usage: python examples/tweets.py && python examples/captured_intent_traffic.py      fills examples/tweets/captured

It starts a teacher on this machine (MiniLM-L6 with the head of tweets.py, answering chat completions with log
probabilities), the capturing server in front of it, and then sends each tweet as an application would, with
`"store": true`. Every third request says in its metadata what people made of the tweet.
"""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from edgedistill.data.preprocessing import TextPreprocessing
from edgedistill.data.tokenizers import tokenizer_of
from edgedistill.models.hugging_face import teacher_from_folder

if TYPE_CHECKING:
    from typing import TextIO

FOLDER = Path(__file__).with_name("tweets")
CLASSES = ("negative", "positive")
INSTRUCTION = "Say whether the tweet is positive or negative. Answer with one word."


class Teacher:
    """Answers chat completions: the last message's class, and how likely the other one was."""

    def __init__(self) -> None:
        settings = TextPreprocessing(tokenizer="teacher/tokenizer.json", max_length=64)
        self._tokenizer = tokenizer_of(settings, FOLDER, texts=())
        self._model = teacher_from_folder(FOLDER / "teacher", padding=0, head=FOLDER / "head.safetensors")
        self._lock = threading.Lock()

    def answer(self, request: dict[str, object]) -> dict[str, object]:
        """Return the body of the answer to a request."""
        text = request["messages"][-1]["content"]
        with self._lock, torch.inference_mode():
            logprobs = torch.log_softmax(self._model(torch.from_numpy(self._tokenizer.ids([text])))[0], 0).tolist()
        ranked = sorted(zip(logprobs, CLASSES, strict=True), reverse=True)
        others = [{"token": name, "logprob": value, "bytes": None} for value, name in ranked]
        content = [{**others[0], "top_logprobs": others}] if request.get("logprobs") else None
        choice = {
            "index": 0,
            "finish_reason": "stop",
            "message": {"role": "assistant", "content": ranked[0][1]},
            "logprobs": {"content": content} if content else None,
        }
        head = {"id": f"chatcmpl-{time.time_ns():x}", "object": "chat.completion", "created": int(time.time())}
        return {**head, "model": request["model"], "choices": [choice]}


def serve_teacher() -> ThreadingHTTPServer:
    """Start the teacher on a free port of this machine, in a thread."""
    teacher = Teacher()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            request = json.loads(self.rfile.read(int(self.headers["content-length"])))
            body = json.dumps(teacher.answer(request)).encode()
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def main() -> None:
    """Serve, ask, and end both servers."""
    torch.set_num_threads(1)
    teacher = serve_teacher()
    address = f"http://127.0.0.1:{teacher.server_port}/v1"
    command = [sys.executable, "-m", "edgedistill", "capture", "serve", address, "--port", "0", "--json"]
    command += ["--store", str(FOLDER / "captured")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:  # noqa: S603 - our own program
        try:
            ask_everything(address_of(server.stdout))
        finally:
            server.terminate()
    teacher.shutdown()


def address_of(output: TextIO) -> str:
    """Return where the capturing server listens, from the JSON document that it prints when it does."""
    text = ""
    for line in output:
        text += line
        if line.rstrip() == "}":
            break
    return json.loads(text)["address"]


def ask_everything(address: str) -> None:
    """Send every tweet, one after the other, as an application does in the course of weeks."""
    host = address.removeprefix("http://").partition("/")[0]
    connection = http.client.HTTPConnection(host, timeout=60)
    rows = [json.loads(line) for line in (FOLDER / "tweets.jsonl").read_text("utf-8").splitlines()]
    for number, row in enumerate(rows):
        gold = {"gold": row["label"]} if number % 3 == 0 else {}
        request = {
            "model": "minilm-sentiment",
            "messages": [{"role": "system", "content": INSTRUCTION}, {"role": "user", "content": row["text"]}],
            "store": True,
            "metadata": {"task": "sentiment", **gold},
            "logprobs": True,
            "top_logprobs": 2,
        }
        connection.request("POST", "/v1/chat/completions", json.dumps(request), {"content-type": "application/json"})
        answer = connection.getresponse()
        body = answer.read()
        if answer.status != http.client.OK:
            raise SystemExit(f"tweet {number}: status {answer.status}: {body[:200]!r}")
    print(f"{len(rows):,} answers captured")  # noqa: T201 - what it is for


if __name__ == "__main__":
    main()
