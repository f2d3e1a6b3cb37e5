"""The whole system as a user starts it: a project, `trimtab up` in a process of its own, its verbs.

Everything listens on free ports of the loopback; a system that is started again keeps its ports.
"""

import contextlib
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from click.testing import CliRunner

from trimtab.cli.group import trimtab
from trimtab.client import Client
from trimtab.domain import layout

CLI = (sys.executable, "-P", "-m", "trimtab.cli")
START_SECONDS = 60.0
STOP_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Said:
    """How a verb ended and what it said."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Standard output, decoded."""
        return json.loads(self.out)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a listener answered."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def json(self) -> Any:
        """The body, decoded."""
        return json.loads(self.body)


class System:
    """A project in `folder`, with its state below it unless it is in `home`.

    `group` is the control group that `trimtab up` begins in, if that is not the one of the tests.
    """

    def __init__(self, folder: Path, home: Path | None = None, group: Path | None = None) -> None:
        self.folder = folder
        self.home = home or folder / ".trimtab"
        self._group = group
        self._addresses = dict.fromkeys(("INFERENCE", "GRPC", "ADMIN"), "127.0.0.1:0")
        self._server: subprocess.Popen[bytes] | None = None

    def environment(self) -> dict[str, str]:
        """The environment of every process, without settings of the person who runs the tests."""
        kept = {name: text for name, text in os.environ.items() if not name.startswith("TRIMTAB_")}
        return kept | self._settings()

    def _settings(self) -> dict[str, str]:
        return {f"TRIMTAB_SERVER_{name}": text for name, text in self._addresses.items()}

    def verb(self, *arguments: str, text: str | None = None, **environment: str) -> Said:
        """A verb typed in the project's folder, with `text` on its standard input."""
        done = subprocess.run(
            [*CLI, *arguments],
            cwd=self.folder,
            env={**self.environment(), **environment},
            input=text or "",
            capture_output=True,
            text=True,
            timeout=180,
            check=False,
        )
        return Said(done.returncode, done.stdout, done.stderr)

    def typed(self, *arguments: str, text: str | None = None, **environment: str) -> Said:
        """As `verb`, in this process: that saves the time of importing everything again."""
        mine = [name for name in os.environ if name.startswith("TRIMTAB_")]
        dropped: dict[str, str | None] = dict.fromkeys(mine)
        given = {**dropped, **self._settings(), **environment}
        with contextlib.chdir(self.folder):
            done = CliRunner().invoke(trimtab, arguments, input=text or "", env=given)
        if not isinstance(done.exception, SystemExit | None):
            raise done.exception
        return Said(done.exit_code, done.stdout, done.stderr)

    def json(self, *arguments: str, text: str | None = None) -> Any:
        """What a verb that must succeed says with `--json`."""
        said = self.verb(*arguments, "--json", text=text)
        assert said.code == 0, said
        return said.json

    def start(self) -> None:
        """`trimtab up`, until both listeners answer."""
        log = self.folder / "up.log"
        with log.open("ab") as out:
            server = self._server = subprocess.Popen(
                [*_entering(self._group), *CLI, "up"],
                cwd=self.folder,
                env=self.environment(),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )

        def answers() -> bool:
            assert server.poll() is None, log.read_text(encoding="utf-8")
            return self._facts().get("pid") == server.pid and self._answers()

        until(answers, START_SECONDS)
        found = self._facts()
        for name in self._addresses:
            self._addresses[name] = found[name.lower()].rpartition("/")[2]

    def _answers(self) -> bool:
        facts = self._facts()
        with suppress(OSError, http.client.HTTPException):
            live = call(facts["inference"], "GET", "/v2/health/live")
            return live.status == call(facts["admin"], "GET", "/api/status").status == 200
        return False

    def _facts(self) -> dict[str, Any]:
        with suppress(OSError, ValueError):
            found: dict[str, Any] = json.loads((self.home / layout.AGENT_FACTS).read_bytes())
            return found
        return {}

    def stop(self) -> None:
        """SIGTERM, and whatever it takes after that."""
        if self._server is not None:
            self._server.terminate()
            try:
                self._server.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self.kill()
        self._server = None

    def kill(self) -> None:
        """SIGKILL to the agent."""
        if self._server is not None:
            self._server.kill()
            self._server.wait()
        self._server = None

    @property
    def inference(self) -> str:
        """URL of the inference listener."""
        return f"http://{self._addresses['INFERENCE']}"

    @property
    def grpc(self) -> str:
        """Host and port of the gRPC listener."""
        return self._addresses["GRPC"]

    @property
    def admin(self) -> str:
        """URL of the admin listener."""
        return f"http://{self._addresses['ADMIN']}"

    def call(self, method: str, path: str, body: bytes | None, headers: dict[str, str]) -> Answer:
        """A request to the inference listener, with nothing added."""
        return call(self.inference, method, path, body, headers)

    def client(self, deadline: float = 30.0) -> Client:
        """A client of the inference listener."""
        return Client(self.inference, deadline)

    def ask(self, path: str, body: Any = None, **headers: str) -> Answer:
        """A raw request to the inference listener; `body` is bytes or something to encode."""
        sent = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        given = {"Content-Type": "application/json", **headers} if sent is not None else headers
        return call(self.inference, "GET" if sent is None else "POST", path, sent, given)

    def api(self, path: str) -> Any:
        """A view of the admin API."""
        answer = call(self.admin, "GET", f"/api/{path}")
        assert answer.status == 200, answer
        return answer.json

    def order(self, path: str, body: bytes, **headers: str) -> Answer:
        """An order to the admin API, with nothing added that makes it one of ours."""
        given = {"Content-Type": "application/json", **headers}
        return call(self.admin, "POST", f"/api/{path}", body, given)

    def deployment(self, name: str) -> Any:
        """The status of one deployment."""
        return self.api(f"status/{name}")["deployments"][0]

    def node(self) -> Any:
        """What the agent says of its children."""
        with socket.socket(socket.AF_UNIX) as line:
            line.settimeout(10)
            with reached(self.home) as near:
                line.connect(str(near / layout.AGENT_SOCKET))
            line.sendall(b'{"do":"status"}\n')
            return json.loads(line.makefile("rb").readline())["status"]

    def workers(self) -> dict[str, int]:
        """Process ids of the ready workers, by release and slot."""
        found = self.node()["workers"]
        ready = [worker for worker in found if worker["state"] == "ready"]
        return {f"{w['slot']['release']}-{w['slot']['index']}": w["pid"] for w in ready}

    @property
    def controller(self) -> int | None:
        """The process of the controller, if one runs."""
        return next(iter(self.pids("trimtab.web")), None)

    def pids(self, words: str) -> list[int]:
        """Processes of this system whose command line holds `words`."""
        return [pid for pid, line in self.processes().items() if words in line]

    def named(self, name: str) -> list[int]:
        """Processes of this system that call themselves `name`; forked ones have the command line
        of who forked them."""
        return [pid for pid in self.processes() if _name(pid) == name]

    def processes(self) -> dict[int, str]:
        """All processes that work on this state folder, with their command lines."""
        found = {}
        for folder in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                here = (folder / "cwd").resolve(strict=True)
                line = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                if here.is_relative_to(self.home.resolve()) and line:
                    found[int(folder.name)] = line
        return found


def _entering(group: Path | None) -> tuple[str, ...]:
    """What goes before a command line so that it is run in a control group."""
    if group is None:
        return ()
    return ("/bin/sh", "-c", 'echo $$ > "$0" && exec "$@"', str(group / "cgroup.procs"))


def _name(pid: int) -> str:
    with suppress(OSError):
        return Path(f"/proc/{pid}/comm").read_text().strip()
    return ""


@contextmanager
def reached(home: Path) -> Iterator[Path]:
    """`home` under a name that is short enough for the address of a socket."""
    handle = os.open(home, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield Path(f"/proc/self/fd/{handle}")
    finally:
        os.close(handle)


@contextmanager
def running(folder: Path, group: Path | None = None) -> Iterator[System]:
    """The project in `folder`, up; afterwards nothing of it runs any more."""
    system = System(folder, group=group)
    with finished(system):
        system.start()
        yield system


@contextmanager
def finished(system: System) -> Iterator[None]:
    """Whatever happens to the system inside, afterwards nothing of it runs any more."""
    try:
        yield
    finally:
        system.stop()
        for pid in system.processes():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def call(
    url: str,
    method: str,
    path: str,
    body: bytes | None = None,
    headers: dict[str, str] | None = None,
) -> Answer:
    """One request over a connection of its own."""
    parts = urlsplit(url)
    line = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=30)
    try:
        line.request(method, path, body, headers or {})
        return _answer(line.getresponse())
    finally:
        line.close()


def sent(url: str, data: bytes) -> Answer:
    """What comes back for `data` as it is, over a connection of its own."""
    parts = urlsplit(url)
    with socket.create_connection((parts.hostname or "", parts.port or 80), timeout=30) as line:
        with suppress(ConnectionError):  # a listener may have heard enough before the end
            line.sendall(data)
        response = http.client.HTTPResponse(line)
        response.begin()
        return _answer(response)


def _answer(response: http.client.HTTPResponse) -> Answer:
    headers = {name.lower(): text for name, text in response.getheaders()}
    return Answer(response.status, response.read(), headers)


def killed(pid: int) -> None:
    """SIGKILL, and wait until it is gone."""
    os.kill(pid, signal.SIGKILL)
    until(lambda: not alive(pid))


def yields(pid: int) -> set[int]:
    """The niceness of a process, and that of its session where the system shares processors out by
    session."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    group = Path(f"/proc/{pid}/autogroup")
    session = [int(group.read_text().split()[-1])] if group.exists() else []
    return {int(fields[16]), *session}


def alive(pid: int) -> bool:
    """Whether a process runs; one that only waits to be reaped does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def until(what: Callable[[], object], seconds: float = 30.0) -> None:
    """Look again until `what` holds; fails after `seconds`."""
    end = time.monotonic() + seconds
    pause = threading.Event()
    while not what():
        assert time.monotonic() < end, f"still not so after {seconds:g} s"
        pause.wait(0.02)


def sharing(folder: Path, environments: Path) -> Path:
    """The folder of a project that finds and leaves its environments in `environments`: to install
    scikit-learn and the converters takes longer than the tests that need them."""
    home = folder / ".trimtab"
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    (home / layout.ENVIRONMENTS).symlink_to(environments, target_is_directory=True)
    return folder


def copied(project: Path, folder: Path) -> Path:
    """A project and what it has built, without what a server left behind.

    Environments are hard-linked: nothing may write to them, and they are large."""
    shutil.copytree(project, folder, ignore=shutil.ignore_patterns(".trimtab"))
    source, target = project / ".trimtab", folder / ".trimtab"
    target.mkdir(mode=0o700)
    for name in (layout.VERSION, layout.DATABASE):
        shutil.copy2(source / name, target / name)
    shutil.copytree(source / layout.BLOBS, target / layout.BLOBS)
    environments = source / layout.ENVIRONMENTS
    shutil.copytree(
        environments, target / layout.ENVIRONMENTS, symlinks=True, copy_function=os.link
    )
    return folder


def refused(said: Said, exit_code: int, error: str) -> None:
    """The verb failed as it should: its exit code, one error with a hint, nothing on stdout."""
    assert (said.code, said.out) == (exit_code, ""), said
    assert f"({error})" in said.err, said
    assert "Traceback" not in said.err
    assert "hint: " in said.err, said
