"""The client against a small real server: what it sends, when it tries again, what it says."""

import json
import re
import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from trimtab import Client, Label, errors
from trimtab.client import LabelWarning

METADATA: dict[str, Any] = {
    "name": "m",
    "inputs": [
        {"name": "carrier", "datatype": "BYTES", "shape": [-1]},
        {"name": "distance", "datatype": "FP64", "shape": [-1]},
    ],
    "outputs": [],
}
Answer = tuple[int, Any] | None
"""Status and body; None closes the connection without a word."""


@dataclass
class Script:
    """Answers in order, the last one for ever; what was asked is kept."""

    answers: list[Answer] = field(default_factory=list)
    asked: list[tuple[str, str, Any]] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=lambda: {"X-Trimtab-Release": "m@3"})
    metadata: dict[str, Any] = field(default_factory=lambda: METADATA)

    def next(self) -> Answer:
        """The next answer."""
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


def handler(script: Script) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.answer(200, script.metadata)

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            script.asked.append((self.command, self.path, body))
            told = script.next()
            if told is None:
                self.close_connection = True
                self.connection.shutdown(socket.SHUT_RDWR)
                return
            self.answer(*told)

        def answer(self, status: int, told: Any) -> None:
            body = told if isinstance(told, bytes) else json.dumps(told).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            for name, value in script.headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            """Tests are quiet."""

    return Handler


@pytest.fixture
def script() -> Script:
    return Script()


@pytest.fixture
def client(script: Script) -> Iterator[Client]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler(script))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    with Client(f"http://127.0.0.1:{server.server_port}", deadline=5.0) as made:
        yield made
    server.shutdown()
    thread.join()
    server.server_close()


def answered(rows: int = 2) -> Answer:
    return 200, {
        "model_name": "d",
        "model_version": "3",
        "id": "r1",
        "outputs": [
            {"name": "score", "datatype": "FP64", "shape": [rows], "data": [0.1] * rows},
            {"name": "scores", "datatype": "FP64", "shape": [rows, 2], "data": [0.1, 0.9] * rows},
        ],
    }


ROWS: list[Any] = [{"carrier": "AA", "distance": 1.0}, {"carrier": None, "distance": float("nan")}]


@pytest.mark.parametrize(
    "rows",
    [
        ROWS,
        {"carrier": ["AA", None], "distance": [1.0, float("nan")]},
        {"carrier": ("AA", pd.NaT), "distance": [Decimal("1.0"), Decimal("nan")]},
        {"carrier": pa.array(["AA", None]), "distance": np.array([1.0, np.nan])},
        pd.DataFrame(ROWS).astype({"carrier": object}),
        pd.DataFrame(ROWS).convert_dtypes(),
        pd.DataFrame(ROWS).convert_dtypes(dtype_backend="pyarrow"),
        pl.DataFrame({"carrier": ["AA", None], "distance": [1.0, None]}),
        pa.table({"carrier": ["AA", None], "distance": [1.0, None]}),
    ],
    ids=[
        *("rows", "columns", "decimals", "arrays"),
        *("frame", "nullable", "arrow types", "polars", "arrow"),
    ],
)
def test_rows_columns_and_frames_are_sent_alike(client: Client, script: Script, rows: Any) -> None:
    script.answers = [answered()]
    told = client.predict("m", rows, event_time=datetime(2013, 4, 1, tzinfo=UTC), id="r1")
    assert (told.release, len(told), told.id) == ("m@3", 2, "r1")
    assert told.outputs["scores"] == [[0.1, 0.9], [0.1, 0.9]]
    (method, path, body) = script.asked[0]
    assert (method, path) == ("POST", "/v2/models/m/infer")
    assert body["inputs"] == [
        {"name": "carrier", "datatype": "BYTES", "shape": [2], "data": ["AA", None]},
        {"name": "distance", "datatype": "FP64", "shape": [2], "data": [1.0, None]},
    ]
    assert body["parameters"] == {
        "timeout": 5_000_000,
        "priority": 1,
        "event_time": "2013-04-01T00:00:00+00:00",
    }


@pytest.mark.parametrize("trouble", [(503, {"error": "full"}), (429, {"error": "slow"}), None])
def test_what_may_pass_is_tried_again_as_the_same_request(
    client: Client, script: Script, trouble: Answer
) -> None:
    script.answers = [trouble, trouble, answered()]
    client.predict("m", ROWS)
    ids = [body["id"] for _, _, body in script.asked]
    assert len(ids) == 3
    assert len(set(ids)) == 1


def test_a_server_that_says_when_is_waited_for(client: Client, script: Script) -> None:
    script.answers = [(503, {"error": "full"}), answered()]
    script.headers |= {"Retry-After": "0"}
    assert client.predict("m", ROWS).release == "m@3"


@pytest.mark.parametrize(
    ("status", "family", "code"),
    [
        (400, errors.Usage, errors.REQUEST_FAILED),
        (404, errors.NotFound, errors.NO_SUCH_DEPLOYMENT),
        (500, errors.Permanent, errors.REQUEST_FAILED),
        (504, errors.TimedOut, errors.REQUEST_FAILED),
    ],
)
def test_a_refusal_is_not_repeated_and_keeps_the_servers_words(
    client: Client, script: Script, status: int, family: type[errors.TrimtabError], code: str
) -> None:
    script.answers = [(status, {"error": "unknown column 'x'"})]
    with pytest.raises(family, match="unknown column 'x'") as caught:
        client.predict("m", ROWS)
    assert caught.value.code == code
    assert len(script.asked) == 1


def test_the_hint_of_a_wrong_request_shows_what_the_deployment_takes(
    client: Client, script: Script
) -> None:
    script.answers = [(400, {"error": "unknown column 'x'"})]
    with pytest.raises(errors.Usage) as caught:
        client.predict("m", ROWS)
    assert re.fullmatch(r"curl -s http://127\.0\.0\.1:\d+/v2/models/m", caught.value.hint)


def test_words_that_are_not_json_are_kept_too(client: Client, script: Script) -> None:
    script.answers = [(400, b"<html>no</html>")]
    with pytest.raises(errors.Usage, match="<html>no</html>"):
        client.predict("m", ROWS)


def test_the_deadline_ends_the_tries(client: Client, script: Script) -> None:
    script.answers = [(503, {"error": "full"})]
    with pytest.raises(errors.TimedOut, match=r"still status 503 after 0\.2 s: full"):
        client.predict("m", ROWS, deadline=0.2)
    assert len(script.asked) > 1


def test_a_server_that_never_answers_is_unavailable() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    with Client(f"http://127.0.0.1:{port}", deadline=0.1) as made:
        with pytest.raises(
            errors.Unavailable, match=rf"no answer from http://127\.0\.0\.1:{port} in 0\.1 s"
        ) as caught:
            made.predict("m", ROWS)
        assert caught.value.hint == "trimtab up"
        assert list(caught.value.causes())


def test_labels_are_named_by_request_and_row_or_by_key(client: Client, script: Script) -> None:
    script.answers = [(200, {"accepted": 2})]
    at = datetime(2013, 4, 1)  # noqa: DTZ001 - a time without a zone counts as UTC
    assert client.label("m", [Label(1, id="r1", row=3, at=at), Label("late", key="f7")]) == 2
    (_, path, body) = script.asked[0]
    assert path == "/v2/models/m/feedback"
    assert body["labels"] == [
        {"id": "r1", "row": 3, "label": 1, "at": "2013-04-01T00:00:00+00:00"},
        {"key": "f7", "label": "late"},
    ]


def test_labels_may_be_scalars_of_a_frame(client: Client, script: Script) -> None:
    script.answers = [(200, {"accepted": 2})]
    row, key = int(np.int64(3)), np.int64(17)
    client.label("m", [Label(np.float64(1), id="r1", row=row), Label(np.True_, key=key)])  # type: ignore[arg-type]
    (_, _, body) = script.asked[0]
    assert body["labels"] == [{"id": "r1", "row": 3, "label": 1.0}, {"key": 17, "label": True}]


@pytest.mark.parametrize(
    ("label", "problem"),
    [
        (float("nan"), "label 1 is nan, which says nothing"),
        (pd.NaT, "label 1 is NaT, which says nothing"),
        (float("inf"), "'label' row 1 is inf, which is no number in JSON"),
        (date(2013, 4, 1), "'label' row 1 is a date"),
    ],
)
def test_a_label_that_says_nothing_is_not_sent(
    client: Client, script: Script, label: Any, problem: str
) -> None:
    with pytest.raises(errors.Usage, match=problem) as caught:
        client.label("m", [Label(1, id="r1"), Label(label, id="r2")])
    assert caught.value.unchanged == "nothing was sent"
    assert script.asked == []


def test_a_name_of_any_characters_is_asked_for(client: Client, script: Script) -> None:
    script.answers = [(200, {"accepted": 1})]
    for name in ("my project", "é/?", "\udcff"):
        client.label(name, [Label(1, id="r1")])
    paths = [path.split("/")[3] for _, path, _ in script.asked]
    assert paths == ["my%20project", "%C3%A9%2F%3F", "%FF"]


def test_labels_say_who_sends_them_where_that_is_given(client: Client, script: Script) -> None:
    script.answers = [(200, {"accepted": 1}), (200, {"accepted": 1})]
    client.label("m", [Label(1, id="r1")], source="crm")
    client.label("m", [Label(1, id="r1")])
    assert [body.get("source") for _, _, body in script.asked] == ["crm", None]


def test_labels_that_judge_nothing_are_a_warning_and_counted(
    client: Client, script: Script
) -> None:
    told = {"accepted": 2, "unusable": 1, "warning": "1 of the labels is no class"}
    script.answers = [(200, told), (200, told)]
    for _ in range(2):
        with pytest.warns(LabelWarning, match="1 of the labels is no class") as warned:
            assert client.label("m", [Label(1, id="r1"), Label(7, id="r2")]) == 2
        assert warned[0].filename == __file__
    assert client.unusable == 2


def test_metadata_is_asked_for_once(client: Client, script: Script) -> None:
    script.answers = [answered()]
    client.predict("m", ROWS)
    client.predict("m", ROWS)
    assert client.metadata("m")["inputs"] == METADATA["inputs"]


def test_a_release_that_takes_other_columns_is_asked_as_it_wants(
    client: Client, script: Script
) -> None:
    script.answers = [answered()]
    client.predict("m", ROWS)
    script.answers = [(400, {"error": "FP64 is not INT64"}), answered()]
    distance = {"name": "distance", "datatype": "INT64", "shape": [-1]}
    script.metadata = {**METADATA, "inputs": [METADATA["inputs"][0], distance]}
    client.predict("m", ROWS, id="r2")
    before, after = (body for _, _, body in script.asked[1:])
    assert [body["inputs"][1]["datatype"] for body in (before, after)] == ["FP64", "INT64"]
    assert before["id"] == after["id"] == "r2"


@pytest.mark.parametrize(
    "url", ["ftp://x", "127.0.0.1:8080", "http://", "https://", "http://h:b", "http://h:99999"]
)
def test_an_address_that_is_not_http_is_refused(url: str) -> None:
    with pytest.raises(errors.Usage, match="not an http:// or https:// address"):
        Client(url)


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A key and a certificate of `localhost` that nobody vouches for, in one file."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl makes the certificate: apt-get install openssl")
    made = tmp_path / "certificate.pem"
    asked = f"req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -keyout {made} -out -"
    names = ["-addext", "subjectAltName=DNS:localhost"]
    done = subprocess.run([openssl, *asked.split(), *names], capture_output=True, check=True)
    made.write_bytes(made.read_bytes() + done.stdout)
    return made


@pytest.fixture
def behind_tls(script: Script, certificate: Path) -> Iterator[str]:
    """The server as it is behind a proxy that speaks TLS; its address."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler(script))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.handle_error = lambda *_: None  # type: ignore[method-assign]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"https://localhost:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_server_behind_a_proxy_with_tls_is_asked_if_its_certificate_is_trusted(
    script: Script, behind_tls: str, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script.answers = [answered()]
    with Client(behind_tls) as stranger, pytest.raises(errors.Permanent) as caught:
        stranger.predict("m", ROWS)
    assert f"the certificate of {behind_tls} is not trusted: self-signed" in str(caught.value)
    assert script.asked == []
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with Client(behind_tls) as client:
        assert len(client.predict("m", ROWS)) == 2


def test_an_empty_table_is_sent_as_no_columns(client: Client, script: Script) -> None:
    script.answers = [answered(0)]
    empty: list[Any] = []
    call: Callable[..., Any] = client.predict
    assert len(call("m", empty)) == 0
    assert script.asked[0][2]["inputs"] == []


@pytest.mark.parametrize(
    ("rows", "problem"),
    [
        ([{"distance": 1.0}, {"distance": float("inf")}], "'distance' row 1 is inf"),
        ([{"distance": 1.0}, {"carrier": "AA"}], "row 1 has other columns than row 0: 'carrier'"),
        ({"distance": [Decimal(2), Decimal("inf")]}, "'distance' row 1 is inf"),
        ({"distance": [1.0, date(2013, 4, 1)]}, "'distance' row 1 is a date, and no number"),
        ({"carrier": "AA"}, "'carrier' is one value, and a column has a list"),
        ({"distance": 1.0}, "'distance' is one value, and a column has a list"),
        (np.ones((2, 2)), "a ndarray does not name its columns"),
        (pd.Series([1.0]), "a Series does not name its columns"),
        (pl.Series([1.0]), "a Series does not name its columns"),
        ([[1.0, 2.0]], "row 0 is of type list and does not name its columns"),
        ([ROWS[0], pd.Series([1.0])], "row 1 is of type Series and does not name its columns"),
        ((row for row in ROWS), "a generator does not name its columns"),
        (pd.DataFrame([[1, 2]], columns=["a", "a"]), "there are two columns 'a'"),
        (pa.table([pa.array([1])] * 2, names=["a", "a"]), "there are two columns 'a'"),
    ],
)
def test_rows_that_no_request_can_hold_are_not_sent(
    client: Client, script: Script, rows: Any, problem: str
) -> None:
    with pytest.raises(errors.Usage, match=problem) as caught:
        client.predict("m", rows)
    assert caught.value.hint
    assert script.asked == []
