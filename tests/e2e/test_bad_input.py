"""Whatever a client or a user gets wrong has a clear answer, changes nothing and stops nothing.

One system serves risk@1 from the first test to the last; after each of them it must still answer.
"""

import gzip
import http.client
import json
import os
import signal
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.support.project import BUILD, request
from tests.support.system import System, copied, refused, running, sent, until

from trimtab import errors
from trimtab.app.projects import open_project
from trimtab.app.releases import SCRATCH, find_release
from trimtab.backends.blobs import ObjectBlobs
from trimtab.backends.environments import FINGERPRINT
from trimtab.backends.requestlog import FolderRequestLog
from trimtab.client import Label
from trimtab.domain import layout
from trimtab.domain.names import Digest

pytestmark = pytest.mark.e2e

MODEL_PATH = "/v2/models/risk"
INFER = f"{MODEL_PATH}/infer"
FEEDBACK = f"{MODEL_PATH}/feedback"
JSON = {"Content-Type": "application/json"}

FRAGILE = """
from pathlib import Path

import model


class Fragile(model.Risk):
    def __init__(self):
        self.base = float(Path({weights!r}).read_text())
"""


@pytest.fixture(scope="module")
def system(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """A system that serves risk@1 by two workers; risk@2 was never deployed."""
    folder = copied(built, tmp_path_factory.mktemp("bad") / "project")
    with running(folder) as made:
        made.json("deploy", "risk", "--release", "risk@1", "--wait")
        until(lambda: len(made.workers()) == 2)
        yield made
        assert made.deployment("risk")["requests"]["failed"] == 0


@pytest.fixture(autouse=True)
def unharmed(system: System) -> Iterator[None]:
    """Whatever a test does, what is deployed stays as it was and answers."""
    before = decided(system)
    yield
    assert decided(system) == before
    answer = system.ask(INFER, request())
    assert (answer.status, answer.headers["x-trimtab-release"]) == (200, "risk@1"), answer


def decided(system: System) -> dict[str, Any]:
    """What serves, and whether anything is about to change it."""
    found = system.api("status")["deployments"]
    return {
        each["name"]: (each["stable"] and each["stable"]["release"], each["rollout"])
        for each in found
    }


def column(name: str, data: list[Any], datatype: str = "FP64", **other: Any) -> dict[str, Any]:
    """One tensor of a request."""
    return {"name": name, "datatype": datatype, "shape": [len(data)], "data": data, **other}


def replaced(name: str, **entries: Any) -> dict[str, Any]:
    """A good request with some entries of one tensor changed."""
    body = request()
    for tensor in body["inputs"]:
        if tensor["name"] == name:
            tensor.update(entries)
    return body


def text(body: dict[str, Any], old: str, new: str) -> bytes:
    """A request with something put in that no encoder of JSON would write."""
    encoded = json.dumps(body)
    assert old in encoded
    return encoded.replace(old, new).encode()


NUMBER = request(age=[123.25, 40.5])
REQUESTS: dict[str, tuple[Any, str]] = {
    "an unknown column": (request(agee=[1.0, 2.0]), "unknown input 'agee'; did you mean 'age'?"),
    "a missing column": (request(age=None), "missing input 'age'"),
    "a column given twice": (
        {"inputs": [*request()["inputs"], column("age", [1.0, 2.0])]},
        "input 'age' is given twice",
    ),
    "text for a number": (request(age=["old", 40.5]), "input 'age' row 0"),
    "a number for text": (request(plan=["pro", 7]), "input 'plan' row 1"),
    "a fraction for a whole number": (request(visits=[1, 1.5]), "input 'visits' row 1"),
    "text for a truth value": (request(vip=["yes", True]), "input 'vip' row 0"),
    "a whole number that does not fit": (request(visits=[2**63, 1]), "input 'visits' row 0"),
    "another datatype": (replaced("age", datatype="BYTES"), "has datatype BYTES"),
    "no datatype of the protocol": (replaced("age", datatype="FLOAT"), "unknown datatype"),
    "a missing value where none may be": (request(plan=["pro", None]), "not nullable"),
    "NaN": (text(NUMBER, "123.25", "NaN"), "NaN and Infinity are not JSON; send null"),
    "infinity": (text(NUMBER, "123.25", "-Infinity"), "NaN and Infinity are not JSON"),
    "a number beyond every float": (text(NUMBER, "123.25", "1e999"), "input 'age'"),
    "no inputs": ({"inputs": []}, "inputs is empty"),
    "an empty batch": (request(0), "at least one is needed"),
    "fewer values than the shape says": (
        replaced("age", data=[1.0]),
        "has 1 elements, its shape [2] needs 2",
    ),
    "columns of different lengths": (request(age=[1.0]), "rows"),
    "a column with a width": (replaced("age", shape=[1, 2]), "a column has [rows]"),
    "a negative shape": (replaced("age", shape=[-1]), "at least one is needed"),
    "a matrix where there is text": (
        {"inputs": [column("x", [1.0] * 6, shape=[1, 6])]},
        "a matrix needs every input to be numeric",
    ),
    "an unknown output": ({**request(), "outputs": [{"name": "scoer"}]}, "did you mean 'score'?"),
    "an id that is too long": ({**request(), "id": "x" * 257}, "longer than 256 characters"),
    "an id that is a number": ({**request(), "id": 7}, "not an inference request"),
    "a time that is none": (
        {**request(), "parameters": {"event_time": "yesterday"}},
        "parameters.event_time is 'yesterday'",
    ),
    "a negative timeout": ({**request(), "parameters": {"timeout": -1}}, "parameters.timeout"),
    "a list": ([1, 2], "not an inference request"),
    "half of a body": (json.dumps(request()).encode()[:-9], "the body is not JSON"),
    "words": (b"predict please", "the body is not JSON"),
    "nothing": (b"", "the body is not JSON"),
    "bytes that are no text": (b'{"inputs": [{"name": "\xff\xfe"}]}', "the body is not JSON"),
    "a nesting without end": (b'{"inputs":' + b"[" * 100_000, "not an inference request"),
}


@pytest.mark.parametrize("case", REQUESTS)
def test_a_request_that_is_wrong_is_told_why(system: System, case: str) -> None:
    body, reason = REQUESTS[case]
    answer = system.ask(INFER, body)
    assert answer.status == 400, answer
    assert list(answer.json) == ["error"]
    assert reason in answer.json["error"]


def test_a_category_that_was_never_seen_is_answered_and_left_to_the_monitors(
    system: System,
) -> None:
    answer = system.ask(INFER, request(plan=["platinum", ""], city=["Atlantis", None]))
    assert answer.status == 200
    assert len(answer.json["outputs"][0]["data"]) == 2


def test_missing_values_are_answered_where_the_reference_had_them(system: System) -> None:
    answer = system.ask(INFER, request(spend=[None, None], city=[None, None]))
    assert answer.status == 200


PATHS: dict[str, tuple[str, str, bytes | None, dict[str, str], int, str]] = {
    "an unknown deployment": ("POST", "/v2/models/rsik/infer", b"{}", JSON, 404, "'rsik'"),
    "a deployment without a release": (
        *("POST", "/v2/models/other/infer", json.dumps(request()).encode(), JSON),
        *(503, "no release"),
    ),
    "a version that is not resident": (
        *("POST", f"{MODEL_PATH}/versions/2/infer", b"{}", JSON),
        *(404, "no resident release '2'"),
    ),
    "a version that is no number": (
        *("POST", f"{MODEL_PATH}/versions/latest/infer", b"{}", JSON),
        *(404, "'latest'"),
    ),
    "an unknown path": ("GET", "/predict", None, {}, 404, "/openapi.json"),
    "an unknown verb of a model": ("POST", f"{MODEL_PATH}/infre", b"{}", JSON, 404, "no such path"),
    "another method": ("GET", INFER, None, {}, 405, "POST"),
    "another method for a model": ("DELETE", MODEL_PATH, None, {}, 405, "GET"),
    "another content type": (
        *("POST", INFER, b"age=41", {"Content-Type": "application/x-www-form-urlencoded"}),
        *(415, "application/json"),
    ),
    "binary tensors that are not there": (
        *("POST", INFER, b"{}", {**JSON, "Inference-Header-Content-Length": "3"}),
        *(400, "the body has 2 bytes"),
    ),
    "an unknown encoding": (
        *("POST", INFER, b"{}", {**JSON, "Content-Encoding": "br"}),
        *(415, "gzip"),
    ),
    "a broken gzip": (
        *("POST", INFER, b"not gzip", {**JSON, "Content-Encoding": "gzip"}),
        *(400, "decompressed"),
    ),
    "a bomb": (
        *("POST", INFER, gzip.compress(b" " * (65 << 20), 1)),
        *({**JSON, "Content-Encoding": "gzip"}, 413, "less than 1/200"),
    ),
}


@pytest.mark.parametrize("case", PATHS)
def test_a_request_to_the_wrong_place_is_told_so(system: System, case: str) -> None:
    method, path, body, headers, status, reason = PATHS[case]
    answer = system.call(method, path, body, headers)
    assert answer.status == status, answer
    assert list(answer.json) == ["error"]
    assert reason in answer.json["error"]
    assert ("allow" in answer.headers) == (status == 405)


def post(*lines: str, body: bytes = b"") -> bytes:
    """A request to `INFER` with these header lines."""
    head = (f"POST {INFER} HTTP/1.1", "Host: x", "Content-Type: application/json", *lines)
    return "\r\n".join((*head, "", "")).encode() + body


RAW: dict[str, tuple[bytes, int]] = {
    "no HTTP at all": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 hello over TLS\r\n\r\n", 400),
    "a body that is announced as too large": (post(f"Content-Length: {65 << 20}"), 413),
    "a length that is none": (post("Content-Length: many"), 400),
    "two lengths": (post("Content-Length: 2", "Content-Length: 3", body=b"{}x"), 400),
    "a length and chunks": (
        post("Content-Length: 5", "Transfer-Encoding: chunked", body=b"0\r\n\r\n"),
        400,
    ),
    "chunks that are none": (post("Transfer-Encoding: chunked", body=b"zz\r\n{}\r\n"), 400),
    "a flood of headers": (post(*(f"X-{n}: {'y' * 80}" for n in range(2_000))), 431),
    "one endless header": (post(f"X-Long: {'y' * 200_000}"), 431),
    "an endless path": (f"GET /{'y' * 200_000} HTTP/1.1\r\nHost: x\r\n\r\n".encode(), 431),
    "an expectation": (post("Content-Length: 2", "Expect: a miracle"), 417),
}


@pytest.mark.parametrize("case", RAW)
def test_what_is_not_a_request_is_refused_before_it_arrives(system: System, case: str) -> None:
    data, status = RAW[case]
    answer = sent(system.inference, data)
    assert answer.status == status, answer
    assert list(answer.json) == ["error"]
    assert answer.headers["connection"] == "close"


def test_a_chunked_body_is_a_body(system: System) -> None:
    body = json.dumps(request()).encode()
    parts = [body[at : at + 100] for at in range(0, len(body), 100)]
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts)
    answer = sent(system.inference, post("Transfer-Encoding: chunked", body=chunks + b"0\r\n\r\n"))
    assert answer.status == 200


def test_a_bad_request_on_a_kept_connection_does_not_spoil_the_next(system: System) -> None:
    line = http.client.HTTPConnection(system.inference.removeprefix("http://"), timeout=30)
    with closing(line):
        for body, status in ((request(age=None), 400), (request(), 200)):
            line.request("POST", INFER, json.dumps(body), JSON)
            answer = line.getresponse()
            assert (answer.status, answer.will_close) == (status, False), answer.read()
            answer.read()


GOOD = {"id": "labelled", "label": "yes"}
LABELS: dict[str, tuple[Any, str]] = {
    "neither id nor key": ([GOOD, {"label": "yes"}], "labels[1] needs either id or key"),
    "both id and key": ([{"id": "a", "key": "b", "label": 1}], "either id or key"),
    "an empty id": ([GOOD, {"id": "", "label": "yes"}], "1 to 256 characters"),
    "an endless id": ([{"id": "x" * 257, "label": "yes"}], "1 to 256 characters"),
    "no label": ([GOOD, {"id": "a"}], "labels[1] has no label"),
    "a label that is a list": ([GOOD, {"id": "a", "label": [1]}], "labels cannot be read"),
    "a negative row": ([GOOD, {"id": "a", "row": -1, "label": 1}], "labels[1].row is -1"),
    "a time without a zone": (
        [GOOD, {"id": "a", "label": 1, "at": "2026-01-01T00:00:00"}],
        "labels[1].at is",
    ),
    "no list": ({"id": "a", "label": 1}, "labels cannot be read"),
    "too many": ([{"id": "a", "label": 1}] * 10_001, "at most 10000"),
}


@pytest.mark.parametrize("case", LABELS)
def test_labels_are_taken_as_a_whole_or_not_at_all(system: System, case: str) -> None:
    labels, reason = LABELS[case]
    answer = system.ask(FEEDBACK, {"labels": labels})
    assert answer.status == 400, answer
    assert list(answer.json) == ["error"]
    assert reason in answer.json["error"]


def test_no_label_of_a_refused_request_is_in_the_log(system: System) -> None:
    """Runs after the refusals; labels are logged in order, so theirs would be there by now."""
    last = {"labels": [{"id": "nobody-asked-this", "label": "yes"}]}
    assert system.ask(FEEDBACK, last).json == {"accepted": 1}
    log = FolderRequestLog(system.home)
    ids = "select distinct request_id from labels"
    until(lambda: "nobody-asked-this" in logged(log, ids))
    assert logged(log, ids) == {"nobody-asked-this"}


def logged(log: FolderRequestLog, query: str) -> set[Any]:
    """The only column of what the log holds."""
    return set(log.query("risk", query).column(0).to_pylist())


def test_labels_for_an_unknown_deployment_are_refused(system: System) -> None:
    answer = system.ask("/v2/models/nothing/feedback", {"labels": [GOOD]})
    assert (answer.status, list(answer.json)) == (404, ["error"])


def test_the_python_client_says_what_the_server_said(system: System) -> None:
    good = {"plan": "pro", "city": None, "age": 40.5, "spend": 1.0, "visits": 1, "vip": True}
    with system.client() as client:
        with pytest.raises(errors.Usage, match="did you mean 'age'") as caught:
            client.predict("risk", [{**good, "agee": 1.0}])
        assert caught.value.hint
        with pytest.raises(errors.Usage, match="'age' row 0 is inf"):
            client.predict("risk", [{**good, "age": float("inf")}])
        with pytest.raises(errors.Usage, match="row 1 has other columns than row 0: 'vip'"):
            client.predict("risk", [good, {n: v for n, v in good.items() if n != "vip"}])
        with pytest.raises(errors.NotFound):
            client.predict("rsik", [good])
        with pytest.raises(errors.Usage, match="1 to 256 characters"):
            client.label("risk", [Label("yes", id="")])
        answer = client.predict("risk", [{**good, "spend": float("nan")}])
        assert answer.release == "risk@1"


UNBUILT = b'{"digest": "sha256:' + b"0" * 64 + b'"}'
ORDERS: dict[str, tuple[str, bytes, int, str]] = {
    "not JSON": ("deployments/risk/deploy", b"deploy it", 400, "TT-113"),
    "an unknown field": ("deployments/risk/pause", b'{"reson": "x"}', 400, "TT-113"),
    "nothing to deploy": ("deployments/risk/deploy", b"{}", 400, "TT-113"),
    "no digest": ("releases", b'{"digest": "sha256:00"}', 400, "TT-102"),
    "a release that is not built": ("releases", UNBUILT, 422, "TT-209"),
    "an unknown deployment": ("deployments/nothing/pause", b"{}", 404, "TT-601"),
}


@pytest.mark.parametrize("case", ORDERS)
def test_an_order_that_is_wrong_is_refused_in_the_shape_of_errors(
    system: System, case: str
) -> None:
    path, body, status, code = ORDERS[case]
    answer = system.order(path, body, **{"X-Trimtab-Action": "1"})
    assert (answer.status, answer.json["error"]["code"]) == (status, code), answer
    assert answer.json["error"]["hint"]


def test_an_order_that_a_foreign_page_could_send_is_refused(system: System) -> None:
    answer = system.order("deployments/risk/rollback", b"{}")
    assert (answer.status, answer.json["error"]["code"]) == (403, "TT-112")


VERBS: dict[str, tuple[tuple[str, ...], int, str]] = {
    "an unknown release": (("deploy", "risk", "--release", "risk@77"), 1, "TT-201"),
    "a release by no name": (("deploy", "risk", "--release", "!"), 2, "TT-201"),
    "an unknown deployment": (("deploy", "rsik", "--release", "risk@1"), 1, "TT-601"),
    "the status of nothing": (("status", "rsik"), 1, "TT-601"),
    "no rollout to promote": (("promote", "risk"), 1, "TT-603"),
    "nowhere to go back to": (("rollback", "risk", "--yes"), 1, "TT-604"),
    "no pipeline to retrain by": (("retrain", "risk"), 1, "TT-606"),
    "no such release to show": (("show", "risk@77"), 1, "TT-201"),
    "no such release to reproduce": (("reproduce", "risk@77"), 1, "TT-201"),
    "no such incident": (("why", "risk-99"), 1, "TT-612"),
    "no such incident in the log": (("samples", "risk-99"), 1, "TT-612"),
}


@pytest.mark.parametrize("case", VERBS)
def test_a_verb_that_cannot_be_done_says_why_and_what_to_do(system: System, case: str) -> None:
    arguments, exit_code, error = VERBS[case]
    refused(system.typed(*arguments), exit_code, error)


def test_a_second_server_on_the_same_state_does_not_start(system: System) -> None:
    refused(system.verb("up"), 3, "TT-107")


def test_an_error_as_json_has_every_part(system: System) -> None:
    said = system.typed("deploy", "risk", "--release", "risk@77", "--json")
    error = said.json["error"]
    assert (said.code, error["code"], error["retryable"]) == (1, "TT-201", False)
    assert error["unchanged"]
    assert error["hint"]


@pytest.mark.parametrize(
    ("labels", "problem"),
    [
        ("id,lable\na,1\n", ":1: the header is 'id,lable', without label: 'lable' is not one of"),
        ("id,labeled,label\na,1,1\n", ":2: 'labeled' is not one of id, row, key, label, at"),
        ("id,label\n,1\n", ":2: it needs a label, and either an id or a key"),
        ('{"id": "a", "label": 1}\n{"id": \n', ":2: it is not JSON"),
        ("id,label,at\na,1,yesterday\n", ":2: Invalid isoformat"),
    ],
)
def test_a_file_of_labels_is_wrong_in_a_line(system: System, labels: str, problem: str) -> None:
    said = system.typed("label", "risk", "-", text=labels)
    refused(said, 2, "TT-801")
    assert problem in said.err


def option(name: str, *values: str) -> tuple[str, ...]:
    """The arguments of a good build with one option given otherwise, or left out."""
    at = BUILD.index(name)
    rest = BUILD[:at] + BUILD[at + 2 :]
    return (*rest, name, *values) if values else rest


RISK = ("--model", "model:Risk")
BUILDS: dict[str, tuple[tuple[str, ...], int, str]] = {
    "a model of another format": ((*option("--format", "skops"), "--model", "m.txt"), 2, "TT-203"),
    "another file that is no model": (
        (*option("--format", "pickle"), "--model", "m.txt"),
        *(2, "TT-203"),
    ),
    "code without trust": ((*option("--trust"), *RISK), 2, "TT-204"),
    "no such model": ((*option("--format", "skops"), "--model", "gone.skops"), 2, "TT-210"),
    "an ending that says nothing": ((*option("--format"), "--model", "m.txt"), 2, "TT-102"),
    "no such task": ((*BUILD, *RISK, "--set", "task=clasification"), 2, "TT-102"),
    "no such class": ((*BUILD, "--model", "model:Rsik"), 1, "TT-207"),
    "no such module": ((*BUILD, "--model", "modle:Risk"), 2, "TT-210"),
    "no such reference": ((*option("--reference", "gone.csv"), *RISK), 2, "TT-210"),
    "a reference that is no table": ((*option("--reference", "m.txt"), *RISK), 2, "TT-205"),
    "a reference without rows": ((*option("--reference", "empty.csv"), *RISK), 2, "TT-205"),
    "no such target": ((*option("--target", "gone"), *RISK), 2, "TT-205"),
    "no such class of labels": ((*option("--positive", "maybe"), *RISK), 2, "TT-205"),
    "no such key": ((*option("--key", "gone"), *RISK), 2, "TT-205"),
    "requirements that exclude each other": (
        (*option("--requirements", "impossible.txt"), *RISK),
        *(2, "TT-301"),
    ),
    "a name that is none": (("build", "Risk!", *BUILD[2:], *RISK), 2, "TT-104"),
}


@pytest.mark.parametrize("case", BUILDS)
def test_a_build_that_fails_leaves_nothing_behind(system: System, case: str) -> None:
    arguments, exit_code, error = BUILDS[case]
    (system.folder / "m.txt").write_text("not a model\n")
    (system.folder / "empty.csv").write_text("person,plan,left\n")
    (system.folder / "impossible.txt").write_text("numpy>=2\nnumpy<2\n")
    before = kept(system)
    refused(system.typed(*arguments), exit_code, error)
    assert kept(system) == before


def kept(system: System) -> set[str]:
    """Every file that a build could leave, and every release it could register."""
    folders = [system.home / name for name in (layout.BLOBS, SCRATCH)]
    files = {str(path) for folder in folders for path in folder.rglob("*") if path.is_file()}
    places = {str(path) for path in (system.home / layout.ENVIRONMENTS).glob("*")}
    return files | places | {each["release"] for each in system.api("releases")["releases"]}


def test_a_release_whose_model_does_not_load_is_never_served(system: System) -> None:
    """It was built where a file was that its author forgot to bring along."""
    weights = system.folder / "weights.txt"
    weights.write_text("0.5")
    fragile = FRAGILE.format(weights=str(weights))
    (system.folder / "fragile.py").write_text(fragile, encoding="utf-8")
    made = system.json(*BUILD, "--model", "fragile:Fragile")["release"]
    weights.unlink()
    said = system.typed("deploy", "risk", "--release", made, "--wait", "--timeout", "60")
    assert said.code == 5, said
    assert f"{made} was rolled back: TT-207" in said.err
    assert "weights.txt" in said.err
    assert made not in asked_of(system)


def test_a_release_with_a_changed_byte_is_never_served(system: System) -> None:
    blobs = ObjectBlobs.local(system.home / layout.BLOBS)
    project = open_project(system.folder, {})
    tree = blobs.tree(find_release(project, "risk@2").manifest.tree)
    (code,) = (entry.digest for entry in tree.entries if entry.path == "model.py")
    with changed(blob(system, code), b"\nraise SystemExit('tampered')\n"):
        said = system.typed("deploy", "risk", "--release", "risk@2", "--wait", "--timeout", "60")
        assert said.code == 5, said
        assert "risk@2 was rolled back: TT-208" in said.err
        told = system.typed("reproduce", "risk@2", "--json")
        assert (told.code, told.json["integrity"]) == (1, "tampered")
    assert "risk@2" not in asked_of(system)


def blob(system: System, digest: Digest) -> Path:
    """The file of a blob."""
    name = digest.removeprefix("sha256:")
    return system.home / layout.BLOBS / "sha256" / name[:2] / name


@contextmanager
def changed(path: Path, more: bytes) -> Iterator[None]:
    """A file with something appended, in a copy of its own: others may be linked to it."""
    aside = path.with_name(f"{path.name}.aside")
    path.rename(aside)
    try:
        path.write_bytes(aside.read_bytes() + more)
        yield
    finally:
        path.unlink(missing_ok=True)
        aside.rename(path)


def asked_of(system: System) -> set[Any]:
    """The releases that the log has requests for, whether they answered or not."""
    digests = {each["digest"]: each["release"] for each in system.api("releases")["releases"]}
    found = logged(FolderRequestLog(system.home), "select distinct release from rows")
    return {digests.get(digest, digest) for digest in found}


def test_a_worker_does_not_start_from_files_that_were_changed(system: System) -> None:
    """The checkout is made again from the blobs before the next worker reads it."""
    checkout = system.home / layout.checkout(system.deployment("risk")["stable"]["digest"])
    checkout = checkout / "model.py"
    honest = checkout.read_bytes()
    checkout.chmod(0o600)
    checkout.write_bytes(honest + b"\nRisk.base = 99.0\n")
    restarted(system)
    assert checkout.read_bytes() == honest


def restarted(system: System) -> None:
    """Kill one worker and wait for another in its place."""
    slot, pid = min(system.workers().items())
    os.kill(pid, signal.SIGKILL)
    until(lambda: system.workers().get(slot) not in (None, pid))


def test_a_worker_does_not_start_in_an_environment_that_is_not_its_lock(system: System) -> None:
    """The other worker answers meanwhile; once the environment is what it was, both do."""
    (environment,) = (system.home / layout.ENVIRONMENTS).glob("[!.]*")
    (record,) = environment.glob("lib/python*/site-packages/numpy-*.dist-info/RECORD")
    slot, pid = min(system.workers().items())
    with changed(record, b"numpy/planted.py,,\n"):
        os.kill(pid, signal.SIGKILL)
        until(lambda: "numpy" in failure(system, slot))
        assert system.ask(INFER, request()).status == 200
        said = system.typed(*BUILD, *RISK)
        refused(said, 1, "TT-302")
        assert "changed since it was installed" in said.err
    assert (environment / FINGERPRINT).is_file()
    until(lambda: len(system.workers()) == 2, 60)


def failure(system: System, slot: str) -> str:
    """Why a worker is not ready; empty when it is, or nothing is known."""
    for worker in system.node()["workers"]:
        if f"{worker['slot']['release']}-{worker['slot']['index']}" == slot:
            return str(worker.get("error") or "")
    return ""
