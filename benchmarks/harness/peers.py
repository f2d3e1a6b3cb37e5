"""The other products, each as its own documentation recommends for speed."""

from dataclasses import dataclass
from pathlib import Path

from harness import processes
from harness.environments import environment, versions
from harness.models import Trained
from harness.servers import THREADS, Endpoint, Place, Running

APPS = Path(__file__).resolve().parent / "apps"
START_SECONDS = 120.0


@dataclass(frozen=True)
class Uvicorn:
    """An ASGI app of `apps` under uvicorn with uvloop and httptools, without an access log."""

    name: str
    app: str
    packages: tuple[str, ...]
    processes: int | None = None

    @property
    def says(self) -> str:
        """Versions and configuration."""
        workers = f", {self.processes} workers" if self.processes else ""
        return versions("peers-asgi", (*self.packages, "uvicorn")) + workers

    def prepare(self, model: Trained) -> None:
        """Its environment."""
        environment("peers-asgi")

    def start(self, model: Trained, place: Place) -> Running:
        """One process, or uvicorn's own supervisor with several."""
        port = processes.free_port()
        python = environment("peers-asgi")
        argv = [str(python), "-m", "uvicorn", f"{self.app}:app", "--host", "127.0.0.1"]
        argv += ["--port", str(port), "--loop", "uvloop", "--http", "httptools"]
        argv += ["--no-access-log", "--log-level", "warning"]
        argv += ["--workers", str(self.processes or place.processes)]
        own = {"BENCH_MODEL": str(model.joblib), **THREADS}
        started = processes.start(argv, APPS, place.folder / f"{self.name}.log", own, place.cores)
        started.wait_listening(port, START_SECONDS)
        return Running(started, {"json": Endpoint("rows", "/predict", port)})


PEERS = {
    peer.name: peer
    for peer in (
        Uvicorn("fastapi", "fastapi_app", ("fastapi", "pydantic")),
        Uvicorn("starlette", "starlette_app", ("starlette", "orjson")),
    )
}
