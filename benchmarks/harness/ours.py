"""trimtab itself, built, deployed and started the way a user does it."""

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from harness import processes
from harness.models import Trained
from harness.processes import NotStarted, Started
from harness.servers import THREADS, Endpoint, Place, Running, first_answer
from trimtab import __version__
from trimtab.domain import layout

TRIMTAB = (sys.executable, "-P", "-m", "trimtab.cli")
START_SECONDS = 60.0
TRUSTED = "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor"
REQUIREMENTS = "numpy==2.4.*\nscikit-learn==1.9.1\nskops==0.16.*\n"


class _Facts(msgspec.Struct):
    pid: int
    inference: str
    admin: str
    grpc: str = ""


@dataclass(frozen=True)
class Trimtab:
    """One deployment of one release, everything on. `engine` is that of `trimtab build`, by default
    the one that a user gets."""

    name: str
    engine: str = "auto"
    gateways: int = 1

    @property
    def says(self) -> str:
        """Version and configuration."""
        return f"trimtab {__version__}, engine {self.engine}, all of it on"

    def python(self, model: Trained) -> Path:
        """The interpreter of the release's own environment."""
        found = sorted(self.home(model.folder, model).glob(f"{layout.ENVIRONMENTS}/*/bin/python"))
        if not found:
            raise NotStarted("the release has no environment")
        return found[0]

    def home(self, folder: Path, model: Trained) -> Path:
        """The state folder of the deployment of `model`."""
        return self.project(folder, model) / ".trimtab"

    def project(self, folder: Path, model: Trained) -> Path:
        """The project folder."""
        return folder / f"{self.name}-{model.name}"

    def prepare(self, model: Trained) -> None:
        """Build the release and deploy it, once."""
        project = self.project(model.folder, model)
        if (project / "deployed").exists():
            return
        project.mkdir(exist_ok=True)
        self._configure(project, model, 1)
        (project / "requirements.txt").write_text(REQUIREMENTS, encoding="utf-8")
        options = ["--model", str(model.skops), "--reference", str(model.reference)]
        options += ["--target", "y", "--positive", "1", "--requirements", "requirements.txt"]
        options += ["--set", f"skops_trusted={TRUSTED}"] if model.name == "hgb" else []
        options += ["--engine", self.engine]
        call(project, "build", model.name, *options)
        running = self._up(model, Place(model.folder))
        try:
            call(project, "deploy", model.name)
        finally:
            running.stop()
        shutil.copyfile(self.home(model.folder, model) / layout.DATABASE, project / "deployed")

    def start(self, model: Trained, place: Place) -> Running:
        """`trimtab up`, the release just deployed: nothing that was logged before is known."""
        project, home = self.project(model.folder, model), self.home(model.folder, model)
        for folder in (layout.LOG, layout.SPOOL):
            shutil.rmtree(home / folder, ignore_errors=True)
        for rest in home.glob(f"{layout.DATABASE}-*"):
            rest.unlink()
        shutil.copyfile(project / "deployed", home / layout.DATABASE)
        self._configure(project, model, place.processes)
        return self._up(model, place)

    def _up(self, model: Trained, place: Place) -> Running:
        project = self.project(model.folder, model)
        facts = self.home(model.folder, model) / layout.AGENT_FACTS
        facts.unlink(missing_ok=True)
        own = {
            "TRIMTAB_SERVER_GATEWAYS": str(self.gateways),
            "TRIMTAB_SERVER_INFERENCE": "127.0.0.1:0",
            "TRIMTAB_SERVER_ADMIN": "127.0.0.1:0",
            "TRIMTAB_SERVER_GRPC": "127.0.0.1:0",
            **THREADS,
        }
        log = place.folder / f"{self.name}.log"
        started = processes.start([*TRIMTAB, "up"], project, log, own, place.cores)
        found = _listening(started, facts)
        port = urlsplit(found.inference).port or 0
        path = f"/v2/models/{model.name}/infer"
        endpoints = {
            "json": Endpoint("v2", path, port),
            "binary": Endpoint("v2-binary", path, port),
        }
        if found.grpc:
            grpc = urlsplit(found.grpc if "//" in found.grpc else f"//{found.grpc}").port or 0
            endpoints["grpc"] = Endpoint("grpc", model.name, grpc)
        return Running(started, endpoints)

    def _configure(self, project: Path, model: Trained, workers: int) -> None:
        (project / "trimtab.toml").write_text(
            f"[deployment.{model.name}]\nscale = {{ min = {workers}, max = {workers} }}\n",
            encoding="utf-8",
        )


@contextlib.contextmanager
def unrecorded(trimtab: Trimtab, model: Trained, running: Running) -> Iterator[Running]:
    """A second gateway in front of the same workers, one that records nothing.

    Its tree is watched with that of the system, since the workers belong to it."""
    home = trimtab.home(model.folder, model)
    app = Path(__file__).resolve().parent / "apps" / "unrecorded_gateway.py"
    with socket.create_server(("127.0.0.1", 0), backlog=1024) as listener:
        descriptor = listener.fileno()
        process = subprocess.Popen(
            [sys.executable, str(app), str(home), str(descriptor)],
            pass_fds=[descriptor],
            stdin=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            path = running.endpoints["json"].path
            endpoint = Endpoint("v2", path, listener.getsockname()[1])
            found = Running(running.started, {"json": endpoint})
            first_answer(found, model)
            yield found
        finally:
            process.terminate()
            process.wait(processes.STOP_SECONDS)


def call(project: Path, *arguments: str) -> str:
    """What a verb prints. Raises `RuntimeError` with what it said."""
    done = subprocess.run(
        [*TRIMTAB, *arguments],
        check=False,
        cwd=project,
        env={**os.environ, "NO_COLOR": "1"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise RuntimeError(f"trimtab {arguments[0]}: {done.stderr.strip()[-800:]}")
    return done.stdout


def _listening(started: Started, facts: Path) -> _Facts:
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end:
        if started.process.poll() is not None:
            raise NotStarted(started.said())
        with contextlib.suppress(OSError, msgspec.DecodeError):
            return msgspec.json.decode(facts.read_bytes(), type=_Facts)
        time.sleep(0.01)
    raise NotStarted(f"not up after {START_SECONDS:g} s: {started.said()}")
