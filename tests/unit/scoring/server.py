"""A deployment for tests: a small real server that doubles `x`, refuses and fails as told."""

import contextlib
import copy
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

METADATA: dict[str, list[dict[str, Any]]] = {
    "inputs": [
        {"name": "x", "datatype": "FP64", "shape": [-1]},
        {"name": "carrier", "datatype": "BYTES", "shape": [-1]},
    ],
    "outputs": [
        {"name": "score", "datatype": "FP64", "shape": [-1]},
        {"name": "label", "datatype": "BYTES", "shape": [-1]},
        {"name": "pair", "datatype": "FP32", "shape": [-1, 2]},
    ],
}


class Deployed:
    """What the server does: every `refuse_every`-th request gets 429, after `dies_after` 400 with
    `words`. Those whose names end like one of `late` get 504, and after `hangs_after` none is
    answered as long as the server lives."""

    def __init__(self) -> None:
        self.refuse_every = 0
        self.late: tuple[str, ...] = ()
        self.dies_after: int | None = None
        self.hangs_after: int | None = None
        self.over = threading.Event()
        self.words = "no more"
        self.asked: list[dict[str, Any]] = []
        self.requests = 0
        self.lock = threading.Lock()
        self.url = ""
        self.metadata = copy.deepcopy(METADATA)

    def answer(self, body: dict[str, Any]) -> tuple[int, Any]:
        """Status and body of an inference request."""
        with self.lock:
            self.requests += 1
            hangs = self.hangs_after is not None and self.requests > self.hangs_after
        if hangs:
            self.over.wait()
        with self.lock:
            if self.refuse_every and self.requests % self.refuse_every == 0:
                return 429, {"error": "full"}
            if body["id"].endswith(self.late):
                return 504, {"error": "late"}
            if self.dies_after is not None and self.requests > self.dies_after:
                return 400, {"error": self.words}
            self.asked.append(body)
        inputs = {each["name"]: each["data"] for each in body["inputs"]}
        scores = [None if x is None else 2 * x for x in inputs["x"]]
        rows = len(scores)
        pairs = [value for x in scores for value in (x or 0.0, 1.0)]
        told = [
            {"name": "score", "datatype": "FP64", "shape": [rows], "data": scores},
            {"name": "label", "datatype": "BYTES", "shape": [rows], "data": inputs["carrier"]},
            {"name": "pair", "datatype": "FP32", "shape": [rows, 2], "data": pairs},
        ]
        outputs = told[: len(self.metadata["outputs"])]
        return 200, {"id": body["id"], "outputs": outputs}


@contextlib.contextmanager
def deployed() -> Iterator[Deployed]:
    """A server on a free port of loopback."""
    it = Deployed()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            config = self.path.endswith("/config")
            self.reply(200, {"key": "flight_id", "release": "m@1"} if config else it.metadata)

        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            with contextlib.suppress(ConnectionError):
                self.reply(*it.answer(asked))

        def reply(self, status: int, told: Any) -> None:
            body = json.dumps(told).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("X-Trimtab-Release", "m@3")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            """Tests are quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    it.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield it
    finally:
        it.over.set()
        server.shutdown()
        server.server_close()
        thread.join()
