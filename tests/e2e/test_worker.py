"""A worker as a process of its own: what it answers, when it refuses, how it ends.

The development environment, which has scikit-learn, skops and pandas, stands in for a release's.
"""

import contextlib
import hashlib
import json
import os
import signal
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import skops.io
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder

from trimtab.backends import shim
from trimtab.worker import frames, golden, tensors
from trimtab.worker.frames import Decoder, Frame, Kind, Tensor

pytestmark = pytest.mark.e2e

PYTHON = Path(sys.executable)
PATIENCE = 60.0
FEATURES = """
def features(frame):
    if (frame["x"] > 100).any():
        raise ValueError("x is out of range")
    if (frame["x"] < -100).any():
        return frame.iloc[:-1]
    print("features were asked for")
    return frame
"""
LIGHT_MODEL = """
class Model:
    def predict(self, columns):
        return {"twice": columns["x"] * 2}
"""
COLUMNS = [
    {"name": "x", "datatype": "FP64", "nullable": True},
    {"name": "carrier", "datatype": "BYTES"},
]
SIGNATURE = {
    "inputs": COLUMNS,
    "outputs": [
        {"name": "score", "datatype": "FP64", "shape": []},
        {"name": "label", "datatype": "BYTES", "shape": []},
    ],
    "task": "binary",
    "classes": ["in time", "late"],
    "threshold": 0.5,
}


def fitted() -> Pipeline:
    rng = np.random.default_rng(5)
    frame = pd.DataFrame({"x": rng.normal(size=300), "carrier": rng.choice(["AA", "UA"], 300)})
    late = np.where(frame["x"] + (frame["carrier"] == "UA") > 0.5, "late", "in time")
    encoder = make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore"), ["carrier"]), remainder="passthrough"
    )
    return make_pipeline(encoder, LogisticRegression()).fit(frame, late)


WARNING_MODEL = """
import warnings

class Model:
    predict = lambda self, data: data
    def __init__(self):
        [warnings.warn("written by version 9") for _ in range(2)]
"""

HANGING_MODEL = """
import signal, sys, time
sys.set_int_max_str_digits(0)

class Model:
    def predict(self, data):
        if data["x"][0] < 0:
            {hanging}
        signal.signal(signal.SIGALRM, lambda *_: None)  # left behind for the next request
        return {{"twice": data["x"] * 2}}
"""


@dataclass(frozen=True)
class Checkout:
    """A release's files as the agent lays them out."""

    folder: Path
    shim: Path

    @property
    def config(self) -> Path:
        return self.folder / "worker.json"

    def write(self, **changes: Any) -> None:
        described = [
            {"path": path.name, "digest": digest(path), "size": path.stat().st_size}
            for path in (self.folder / "model.skops", self.folder / "features.py")
        ]
        told = {
            "release": "sha256:" + "7" * 64,
            "name": "flight-delay@1",
            "format": "skops",
            "model_path": "model.skops",
            "features": "features:features",
            "frame": "pandas",
            "signature": SIGNATURE,
            "config": {},
            "golden": {"path": "golden.bin", "tolerance": 1e-12},
            "tree": described,
        }
        self.config.write_text(json.dumps(told | changes))

    def write_light(self, **changes: Any) -> None:
        """A release of numpy alone, which starts in a moment."""
        (self.folder / "light.py").write_text(LIGHT_MODEL)
        outputs = [{"name": "twice", "datatype": "FP64", "shape": []}]
        light = {
            "format": "python",
            "model_path": "light:Model",
            "features": None,
            "frame": "columns",
            "signature": {"inputs": COLUMNS, "outputs": outputs, "task": "other"},
            "golden": None,
        }
        self.write(**light | changes)

    def run(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """Run a mode of the worker to its end."""
        return subprocess.run(
            shim.worker_argv(PYTHON, self.shim, arguments),
            env=shim.worker_environment(shim.EXECUTION_SERVING),
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )

    def refusal(self, *arguments: str) -> tuple[int, dict[str, Any]]:
        """Exit code and last line of a worker that refuses."""
        done = self.run(*(arguments or ("--config", str(self.config), "--socket", "unused.sock")))
        return done.returncode, json.loads(done.stderr.splitlines()[-1])


@pytest.fixture(scope="module")
def model() -> Pipeline:
    return fitted()


@pytest.fixture(scope="module")
def checkout(model: Pipeline, tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    folder = tmp_path_factory.mktemp("release")
    made = Checkout(folder, shim.install(tmp_path_factory.mktemp("home")))
    skops.io.dump(model, folder / "model.skops")
    (folder / "features.py").write_text(FEATURES)
    made.write(golden=None)
    inputs = columns([0.1, -2.0, 3.0], ["AA", "UA", None])
    golden.write(folder / "inputs.bin", golden.GoldenSet(3, inputs, []))
    probed = made.run(
        *("probe", "--config", str(made.config), "--inputs", str(folder / "inputs.bin")),
        *("--batch", "0", "--outputs", str(folder / "golden.bin")),
        *("--batch", "1", "--outputs", str(folder / "single.bin")),
    )
    assert probed.returncode == 0, probed.stderr
    assert json.loads(probed.stdout)["rows"] == 3
    made.write()
    return made


def digest(path: Path) -> str:
    return f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"


def columns(x: Sequence[float], carrier: Sequence[str | None]) -> list[Tensor]:
    return [
        Tensor("x", "FP64", (len(x),), struct.pack(f"<{len(x)}d", *x)),
        Tensor("carrier", "BYTES", (len(carrier),), frames.encode_texts(carrier)),
    ]


@dataclass
class Client:
    """A gateway's end of one connection."""

    sock: socket.socket
    decoder: Decoder = field(default_factory=Decoder)
    read: list[Frame] = field(default_factory=list)

    def send(self, kind: Kind, header: dict[str, Any], inputs: Sequence[Tensor] = ()) -> None:
        lists = {"inputs": inputs} if kind is Kind.PREDICT else {}
        self.sock.sendall(b"".join(frames.encode_tensors(kind, header, lists)))

    def predict(self, id_: int, x: Sequence[float], carrier: Sequence[str | None]) -> None:
        self.send(Kind.PREDICT, {"id": id_, "rows": len(x)}, columns(x, carrier))

    def frame(self) -> Frame:
        while not self.read:
            data = self.sock.recv(1 << 16)
            assert data, "the worker closed the connection"
            self.read += self.decoder.feed(data)
        return self.read.pop(0)

    def closed(self) -> bool:
        """Whether the worker ends the connection without another word."""
        return not self.read and self.sock.recv(1) == b""


@dataclass
class Worker:
    """A worker that serves, and the pipe whose closing ends it."""

    process: "subprocess.Popen[str]"
    socket: Path
    parent: int
    clients: list[Client] = field(default_factory=list)

    def connect(self) -> Client:
        sock = socket.socket(socket.AF_UNIX)
        self.clients.append(Client(sock))
        sock.settimeout(PATIENCE)
        with contextlib.chdir(self.socket.parent):
            sock.connect(self.socket.name)
        return self.clients[-1]

    def greeted(self) -> Client:
        client = self.connect()
        assert client.frame().kind is Kind.HELLO
        return client


@contextlib.contextmanager
def started(
    checkout: Checkout, folder: Path, *more: str, code: int = 0, replay: float = 0.0
) -> Iterator[Worker]:
    path = folder / "77-0.sock"
    path.write_text("left over from a worker that was killed")
    reading, writing = os.pipe()
    arguments = ("--config", str(checkout.config), "--socket", str(path), "--replay", str(replay))
    with (folder / "stderr").open("w") as errors:
        process = subprocess.Popen(
            shim.worker_argv(
                PYTHON, checkout.shim, [*arguments, *more, "--parent-fd", str(reading)]
            ),
            env=shim.worker_environment(shim.EXECUTION_SERVING),
            pass_fds=[reading],
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
    os.close(reading)
    running = Worker(process, path, writing)
    try:
        _await_socket(running)
        yield running
    finally:
        for client in running.clients:
            client.sock.close()
        with contextlib.suppress(OSError):
            os.close(writing)
        printed, _ = process.communicate(timeout=PATIENCE)
    assert (process.returncode, printed) == (code, "")


@pytest.fixture(scope="module")
def serving(checkout: Checkout, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worker]:
    """A worker of the scikit-learn release, shared by tests that leave it as it was."""
    checkout.write()
    with started(checkout, tmp_path_factory.mktemp("run")) as running:
        yield running


@pytest.fixture
def worker(checkout: Checkout, tmp_path: Path) -> Iterator[Worker]:
    """A worker of the light release, for one test."""
    checkout.write_light()
    with started(checkout, tmp_path) as running:
        yield running


def _await_socket(running: Worker) -> None:
    """Until the socket is there; its end would come sooner if the worker refused."""
    while not running.socket.is_socket():
        with contextlib.suppress(subprocess.TimeoutExpired):
            code = running.process.wait(0.02)
            raise AssertionError(f"the worker ended with {code}")


def answer(frame: Frame) -> dict[str, Any]:
    assert frame.kind is Kind.RESULT, frame.header
    (outputs,) = frames.tensors_of(frame, "outputs")
    return {each.name: tensors.array_of(each).tolist() for each in outputs}


def test_a_worker_introduces_itself_and_predicts_what_the_model_predicts(
    serving: Worker, model: Pipeline
) -> None:
    client = serving.connect()
    hello = client.frame()
    assert hello.kind is Kind.HELLO
    assert hello.header["release"] == "sha256:" + "7" * 64
    assert hello.header["worker"] == "77-0"
    assert hello.header["pid"] == serving.process.pid
    assert hello.header["golden_difference"] == 0.0
    x, carrier = [0.2, -1.0, 1.7], ["UA", "AA", "ZZ"]
    client.predict(5, x, carrier)
    got = client.frame()
    assert (got.header["id"], got.header["rows"]) == (5, 3)
    assert got.header["model_seconds"] > 0
    frame = pd.DataFrame({"x": x, "carrier": carrier})
    expected = model.predict_proba(frame)[:, 1]
    assert answer(got)["score"] == pytest.approx(expected, abs=1e-12)
    assert answer(got)["label"] == model.predict(frame).tolist()


def test_requests_are_answered_in_order_and_to_those_who_asked(worker: Worker) -> None:
    one, other = worker.greeted(), worker.greeted()
    for i in range(20):
        one.predict(i, [i / 10], ["UA"])
        other.predict(100 + i, [-i / 10], ["UA"])
    assert [one.frame().header["id"] for _ in range(20)] == list(range(20))
    assert [other.frame().header["id"] for _ in range(20)] == list(range(100, 120))


@pytest.mark.parametrize(
    ("x", "stage", "words"),
    [(1000.0, "features", "x is out of range"), (-1000.0, "features", "0 rows for 1")],
)
def test_a_request_that_fails_says_where_and_harms_no_other(
    serving: Worker, x: float, stage: str, words: str
) -> None:
    client = serving.greeted()
    client.predict(1, [x], ["UA"])
    client.predict(2, [0.0], ["UA"])
    failure = client.frame()
    assert (failure.kind, failure.header["id"]) == (Kind.FAILURE, 1)
    assert failure.header["stage"] == stage
    assert words in failure.header["message"]
    assert "Traceback" not in failure.header["message"]
    assert client.frame().kind is Kind.RESULT


def test_a_model_that_cannot_take_a_missing_number_fails_at_the_model(serving: Worker) -> None:
    client = serving.greeted()
    client.predict(1, [float("nan")], ["UA"])
    failure = client.frame()
    assert (failure.kind, failure.header["stage"]) == (Kind.FAILURE, "model")
    assert "NaN" in failure.header["message"]


def test_inputs_that_do_not_fit_the_signature_fail_at_the_input(worker: Worker) -> None:
    client = worker.greeted()
    client.send(Kind.PREDICT, {"id": 1, "rows": 1}, columns([1.0], ["UA"])[:1])
    failure = client.frame()
    assert (failure.kind, failure.header["stage"]) == (Kind.FAILURE, "input")
    assert "'carrier' is missing" in failure.header["message"]


def test_a_request_whose_deadline_passed_in_the_queue_is_not_worked_on(worker: Worker) -> None:
    client = worker.greeted()
    client.send(Kind.PREDICT, {"id": 1, "rows": 1, "seconds_left": -1.0}, columns([0.0], ["UA"]))
    failure = client.frame()
    assert (failure.kind, failure.header["stage"]) == (Kind.FAILURE, "model")
    assert "deadline" in failure.header["message"]


@pytest.mark.parametrize(
    "hanging", ["time.sleep(60)", "int('7' * 60_000_000)"], ids=["waits", "holds the interpreter"]
)
def test_a_model_that_hangs_ends_its_worker_and_says_where(
    checkout: Checkout, tmp_path: Path, hanging: str
) -> None:
    """Even where the interpreter's lock is held, for the kernel counts the time."""
    module = checkout.folder / f"hang_{hanging[:3]}.py"
    module.write_text(HANGING_MODEL.format(hanging=hanging))
    checkout.write_light(model_path=f"{module.stem}:Model")
    with started(checkout, tmp_path, code=-signal.SIGALRM) as running:
        client = running.greeted()
        for number, x, seconds in ((1, 1.0, PATIENCE), (2, -1.0, 0.3)):
            header = {"id": number, "rows": 1, "patience": seconds}
            client.send(Kind.PREDICT, header, columns([x], ["UA"]))
        assert answer(client.frame()) == {"twice": [2.0]}
        assert client.closed()
        running.process.wait(PATIENCE)
    assert "in predict" in (tmp_path / "stderr").read_text()


def test_a_worker_sees_the_gpu_that_it_is_given_and_no_other(
    checkout: Checkout, tmp_path: Path
) -> None:
    checkout.write_light()
    (checkout.folder / "light.py").write_text(
        "import os\n" + LIGHT_MODEL.replace("* 2", "* int(os.environ['CUDA_VISIBLE_DEVICES'])")
    )
    with started(checkout, tmp_path, "--gpu", "3") as running:
        client = running.greeted()
        client.predict(1, [2.0], ["UA"])
        assert answer(client.frame())["twice"] == [6.0]


def test_a_client_that_breaks_the_protocol_is_dropped_and_stalls_nobody(worker: Worker) -> None:
    good = worker.greeted()
    breaches = [
        struct.pack("<I", 1 << 31),
        b"".join(frames.encode(Kind.RESULT, {})),
        b"".join(frames.encode(Kind.PREDICT, {"rows": 1})),
    ]
    for data in breaches:
        bad = worker.greeted()
        bad.sock.sendall(data)
        assert bad.closed()
    half = worker.greeted()
    half.sock.sendall(b"\x09")
    gone = worker.greeted()
    gone.predict(1, [0.0], ["UA"])
    gone.sock.close()
    good.send(Kind.PING, {"id": 3})
    assert good.frame().kind is Kind.PONG


def test_a_client_that_never_reads_stalls_nobody(worker: Worker) -> None:
    """Its answers are kept, and past a bound its requests are no longer read."""
    deaf, good = worker.greeted(), worker.greeted()
    deaf.sock.setblocking(False)
    ping = b"".join(frames.encode(Kind.PING, {"id": 1})) * 2000
    with contextlib.suppress(BlockingIOError):
        for _ in range(100):
            deaf.sock.send(ping)
    good.predict(1, [0.0], ["UA"])
    assert good.frame().kind is Kind.RESULT


def test_a_worker_told_to_stop_says_bye_answers_what_it_has_and_ends_well(worker: Worker) -> None:
    client = worker.greeted()
    for i in range(50):
        client.predict(i, [0.0], ["UA"])
    worker.process.send_signal(signal.SIGTERM)
    got = [client.frame() for _ in range(51)]
    assert sorted(f.kind for f in got) == [Kind.RESULT] * 50 + [Kind.BYE]
    assert client.closed()
    assert worker.process.wait(PATIENCE) == 0
    assert not worker.socket.exists()


def test_a_request_that_crosses_the_bye_on_its_way_is_still_answered(worker: Worker) -> None:
    client = worker.greeted()
    worker.process.send_signal(signal.SIGTERM)
    assert client.frame().kind is Kind.BYE
    client.predict(1, [0.0], ["UA"])
    assert client.frame().kind is Kind.RESULT


def test_a_worker_that_stops_leaves_the_socket_of_its_successor_alone(worker: Worker) -> None:
    successor = frames_listener(worker.socket)
    worker.process.send_signal(signal.SIGTERM)
    assert worker.process.wait(PATIENCE) == 0
    assert worker.socket.is_socket()
    successor.close()


def frames_listener(path: Path) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX)
    with contextlib.chdir(path.parent):
        listener.bind("next")
        Path("next").replace(path.name)
    return listener


def test_a_worker_ends_when_its_parent_is_gone(worker: Worker) -> None:
    client = worker.greeted()
    os.close(worker.parent)
    worker.parent = os.open(os.devnull, os.O_RDONLY)
    assert client.frame().kind is Kind.BYE
    assert worker.process.wait(PATIENCE) == 0


def test_a_worker_ends_with_its_parent_even_while_it_loads(checkout: Checkout) -> None:
    checkout.write()
    reading, writing = os.pipe()
    process = subprocess.Popen(
        shim.worker_argv(
            PYTHON,
            checkout.shim,
            ["--config", str(checkout.config), "--socket", "x", "--parent-fd", str(reading)],
        ),
        pass_fds=[reading],
        stderr=subprocess.PIPE,
        env=shim.worker_environment(shim.EXECUTION_SERVING),
    )
    os.close(reading)
    os.close(writing)
    _, errors = process.communicate(timeout=PATIENCE)
    assert (process.returncode, errors) == (0, b"")


def test_a_model_that_changed_its_answers_is_not_served(checkout: Checkout) -> None:
    stored = golden.read(checkout.folder / "golden.bin")
    scores = tensors.array_of(stored.outputs[0])
    scores[1] += 0.25
    moved = [tensors.tensor_of("score", scores), stored.outputs[1]]
    golden.write(checkout.folder / "moved.bin", golden.GoldenSet(3, stored.inputs, moved))
    checkout.write(golden={"path": "moved.bin", "tolerance": 1e-6})
    code, line = checkout.refusal()
    assert (code, line["code"]) == (10, "TT-402")
    assert line["golden_difference"] == pytest.approx(0.25)
    done = checkout.run("verify", "--config", str(checkout.config))
    verdict = json.loads(done.stdout)
    assert (done.returncode, verdict["within_tolerance"]) == (0, False)
    assert verdict["difference"] == pytest.approx(0.25)


def test_verify_tells_that_the_golden_set_is_reproduced(checkout: Checkout) -> None:
    checkout.write()
    done = checkout.run("verify", "--config", str(checkout.config))
    assert json.loads(done.stdout) == {
        "difference": 0.0,
        "tolerance": 1e-12,
        "within_tolerance": True,
        "problems": [],
    }


def test_describe_tells_what_a_build_must_know(checkout: Checkout) -> None:
    checkout.write(golden=None)
    facts = json.loads(checkout.run("describe", "--config", str(checkout.config)).stdout)
    assert facts == {
        "task": "binary",
        "classes": ["in time", "late"],
        "features": 2,
        "feature_names": ["x", "carrier"],
        "probabilities": True,
        "inputs": [],
        "warnings": [],
    }


def test_describe_tells_what_loading_the_model_warned_of(checkout: Checkout) -> None:
    """As scikit-learn does of a model that another version of it wrote."""
    (checkout.folder / "warns.py").write_text(WARNING_MODEL)
    checkout.write(golden=None, format="python", model_path="warns:Model", features=None)
    facts = json.loads(checkout.run("describe", "--config", str(checkout.config)).stdout)
    assert facts["warnings"] == ["UserWarning: written by version 9"]


def test_a_file_of_another_format_is_named_and_not_loaded(checkout: Checkout) -> None:
    checkout.write(format="onnx")
    code, line = checkout.refusal()
    assert (code, line["code"]) == (11, "TT-203")
    assert "declared as onnx but looks like a zip archive" in line["error"]


def test_feature_code_that_cannot_be_imported_refuses_the_release(checkout: Checkout) -> None:
    checkout.write(features="features:missing")
    code, line = checkout.refusal()
    assert (code, line["code"]) == (11, "TT-206")
    assert "missing" in line["error"]


def test_a_file_that_is_not_the_released_one_refuses_the_release(checkout: Checkout) -> None:
    checkout.write(tree=[{"path": "features.py", "digest": "sha256:00", "size": len(FEATURES)}])
    code, line = checkout.refusal()
    assert (code, line["code"]) == (12, "TT-208")
    assert "features.py" in line["error"]


def test_a_release_sees_neither_trimtab_nor_secrets_of_its_parent(
    checkout: Checkout, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("API_TOKEN", "secret")
    argv = shim.worker_argv(PYTHON, checkout.shim, [])
    argv[4] = argv[4].replace(
        "main(sys.argv[1:])", "import os; print(sorted(os.environ), sys.path)"
    )
    done = subprocess.run(
        argv,
        env=shim.worker_environment(shim.EXECUTION_STRICT),
        capture_output=True,
        text=True,
        check=True,
    )
    assert "API_TOKEN" not in done.stdout
    assert "PYTHONHASHSEED" in done.stdout
    assert str(checkout.shim) in done.stdout
    assert str(Path.cwd()) + "'" not in done.stdout
