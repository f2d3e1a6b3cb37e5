"""The other products, each as its own documentation recommends for speed."""

import json
import os
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from harness import processes
from harness.environments import environment, versions
from harness.models import Trained
from harness.servers import THREADS, Endpoint, Place, Running

APPS = Path(__file__).resolve().parent / "apps"
START_SECONDS = 120.0
QUIET = {
    "BENTOML_DO_NOT_TRACK": "True",
    "DO_NOT_TRACK": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "RAY_USAGE_STATS_ENABLED": "0",
}
"""Nothing here reports home."""


@dataclass(frozen=True, slots=True)
class Launch:
    """What a peer's command is made from. `port` and `second` are free; `folder` is its own."""

    bin: Path
    model: Trained
    folder: Path
    port: int
    second: int
    processes: int


@dataclass(frozen=True, slots=True)
class Command:
    """How a peer is started, and where it then listens."""

    argv: list[str]
    endpoints: Mapping[str, Endpoint]
    environment: Mapping[str, str] = field(default_factory=dict)
    folder: Path = APPS


@dataclass(frozen=True)
class Peer:
    """A product in one configuration. `pack` makes once what its `command` starts."""

    name: str
    lock: str
    packages: tuple[str, ...]
    says_more: str
    command: Callable[[Launch], Command]
    pack: Callable[[Path, Trained], None] | None = None

    @property
    def says(self) -> str:
        """Versions and configuration."""
        return f"{versions(self.lock, self.packages)}; {self.says_more}"

    def python(self, model: Trained) -> Path:
        """The interpreter that its model runs in."""
        return environment(self.lock)

    def prepare(self, model: Trained) -> None:
        """Its environment and its package of the model. Raises any error."""
        python = environment(self.lock)
        if self.pack is not None:
            self.pack(python, model)

    def start(self, model: Trained, place: Place) -> Running:
        """Start it; returns once it listens. Raises `NotStarted`."""
        folder = place.folder / f"{self.name}-{model.name}"
        folder.mkdir(parents=True, exist_ok=True)
        ports = processes.free_port(), processes.free_port()
        python = environment(self.lock)
        command = self.command(Launch(python.parent, model, folder, *ports, place.processes))
        own = {
            "BENCH_MODEL": str(model.joblib),
            "BENCH_PORT": str(ports[0]),
            "BENCH_PROCESSES": str(place.processes),
            "PATH": f"{python.parent}:{os.environ['PATH']}",
        }
        started = processes.start(
            command.argv,
            command.folder,
            place.folder / f"{self.name}.log",
            {**THREADS, **QUIET, **own, **command.environment},
            place.cores,
        )
        try:
            started.wait_listening(ports[0], START_SECONDS)
        except BaseException:
            started.stop()
            raise
        return Running(started, command.endpoints)


def _uvicorn(app: str) -> Callable[[Launch], Command]:
    """An app of `apps` under uvicorn with uvloop and httptools, without an access log."""

    def command(launch: Launch) -> Command:
        argv = [str(launch.bin / "python"), "-m", "uvicorn", f"{app}:app", "--host", "127.0.0.1"]
        argv += ["--port", str(launch.port), "--workers", str(launch.processes)]
        argv += ["--loop", "uvloop", "--http", "httptools", "--no-access-log"]
        argv += ["--log-level", "warning"]
        return Command(argv, {"json": Endpoint("rows", "/predict", launch.port)})

    return command


def _mlserver(batching: Mapping[str, float]) -> Callable[[Launch], Command]:
    """Its scikit-learn runtime; with one process the model runs in the server's own."""

    def command(launch: Launch) -> Command:
        settings = {
            "host": "127.0.0.1",
            "http_port": launch.port,
            "grpc_port": launch.second,
            "metrics_endpoint": None,
            "debug": False,
            "parallel_workers": launch.processes if launch.processes > 1 else 0,
        }
        model = {
            "name": launch.model.name,
            "implementation": "mlserver_sklearn.SKLearnModel",
            "parameters": {"uri": str(launch.model.joblib)},
            **batching,
        }
        _write(launch.folder / "settings.json", settings)
        _write(launch.folder / "model-settings.json", model)
        path = f"/v2/models/{launch.model.name}/infer"
        endpoints = {
            "json": Endpoint("v2-proba", path, launch.port),
            "grpc": Endpoint("grpc-proba", launch.model.name, launch.second),
        }
        argv = [str(launch.bin / "mlserver"), "start", str(launch.folder)]
        return Command(argv, endpoints, folder=launch.folder)

    return command


def _bentoml(batching: bool) -> Callable[[Launch], Command]:
    def command(launch: Launch) -> Command:
        argv = [str(launch.bin / "bentoml"), "serve", "bento_service:Classifier", "--quiet"]
        argv += ["--host", "127.0.0.1", "--port", str(launch.port)]
        own = {"BENTOML_HOME": str(launch.folder), "BENCH_BATCHING": str(int(batching))}
        return Command(argv, {"json": Endpoint("rows", "/predict", launch.port)}, own)

    return command


def _litserve(launch: Launch) -> Command:
    argv = [str(launch.bin / "python"), str(APPS / "litserve_app.py")]
    return Command(argv, {"json": Endpoint("rows", "/predict", launch.port)}, folder=launch.folder)


def _ray(launch: Launch) -> Command:
    argv = [str(launch.bin / "python"), str(APPS / "ray_app.py")]
    own = {"RAY_SERVE_THROUGHPUT_OPTIMIZED": "1"}
    endpoints = {"json": Endpoint("rows", "/predict", launch.port)}
    return Command(argv, endpoints, own, launch.folder)


def _mlflow(launch: Launch) -> Command:
    packed = launch.model.folder / f"{launch.model.name}-mlflow"
    argv = [str(launch.bin / "mlflow"), "models", "serve", "--model-uri", str(packed)]
    argv += ["--env-manager", "local", "--host", "127.0.0.1", "--port", str(launch.port)]
    argv += ["--workers", str(launch.processes)]
    endpoints = {"json": Endpoint("mlflow", "/invocations", launch.port)}
    return Command(argv, endpoints, folder=launch.folder)


def _pack_mlflow(python: Path, model: Trained) -> None:
    packed = model.folder / f"{model.name}-mlflow"
    if packed.exists():
        return
    argv = [str(python), str(APPS / "mlflow_pack.py"), str(model.joblib), str(packed)]
    done = subprocess.run(
        argv,
        check=False,
        cwd=model.folder,
        env={**os.environ, **QUIET},
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise RuntimeError(f"not packed: {done.stderr.strip()[-500:]}")


def _write(path: Path, values: Mapping[str, object]) -> None:
    path.write_text(json.dumps(values), encoding="utf-8")


BATCHING = {"max_batch_size": 64, "max_batch_time": 0.001}
_ASGI = "uvloop, httptools, no access log"
_MLSERVER = ("mlserver", "mlserver-sklearn")

PEERS = {
    peer.name: peer
    for peer in (
        Peer("fastapi", "peers-asgi", ("fastapi", "uvicorn"), _ASGI, _uvicorn("fastapi_app")),
        Peer(
            "starlette",
            "peers-asgi",
            ("starlette", "orjson", "uvicorn"),
            f"{_ASGI}, orjson both ways, frozen collector",
            _uvicorn("starlette_app"),
        ),
        Peer("mlserver", "peers-mlserver", _MLSERVER, "no batching, no debug log", _mlserver({})),
        Peer(
            "mlserver-batching",
            "peers-mlserver",
            _MLSERVER,
            "batches of up to 64 within 1 ms, no debug log",
            _mlserver(BATCHING),
        ),
        Peer(
            "bentoml",
            "peers-bentoml",
            ("bentoml",),
            "no batching, uvloop, no access log",
            _bentoml(batching=False),
        ),
        Peer(
            "bentoml-batching",
            "peers-bentoml",
            ("bentoml",),
            "adaptive batching, uvloop, no access log",
            _bentoml(batching=True),
        ),
        Peer(
            "litserve",
            "peers-litserve",
            ("litserve",),
            "batches of up to 64 within 1 ms",
            _litserve,
        ),
        Peer(
            "ray-serve",
            "peers-ray",
            ("ray",),
            "batches of up to 64 within 1 ms, RAY_SERVE_THROUGHPUT_OPTIMIZED; its HAProxy ingress "
            "is off, because it binds every interface",
            _ray,
        ),
        Peer("mlflow", "peers-mlflow", ("mlflow",), "mlflow models serve", _mlflow, _pack_mlflow),
    )
}
