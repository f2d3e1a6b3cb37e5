"""The node agent with real processes: what it keeps alive, how it ends, that it orphans nothing."""

import asyncio
import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import textwrap
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest

from trimtab import errors
from trimtab.backends.node_client import NodeClient
from trimtab.domain.names import Digest
from trimtab.domain.processes import (
    NodeStatus,
    WantedWorkers,
    WorkerLimits,
    WorkerSlot,
    WorkerStatus,
)

pytestmark = [pytest.mark.e2e, pytest.mark.anyio]


@pytest.fixture
def anyio_backend() -> str:
    """Asynchronous tests run on asyncio."""
    return "asyncio"


WORKER = """
import json, os, signal, socket, struct, sys, threading, time
options = dict(zip(sys.argv[1::2], sys.argv[2::2]))
told = json.load(open(options["--config"]))
mode = told["mode"]
if mode == "refuses":
    print("reading", file=sys.stderr)
    line = {"error": "differs by 0.5", "code": "TT-402", "golden_difference": 0.5}
    print(json.dumps(line), file=sys.stderr)
    sys.exit(10)
if mode == "crashes":
    sys.exit("no such module")
def watch():
    os.read(int(options["--parent-fd"]), 1)
    os._exit(0)
if mode == "stubborn":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if os.fork() == 0:
        time.sleep(600)
else:
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    threading.Thread(target=watch, daemon=True).start()
path = options["--socket"]
server = socket.socket(socket.AF_UNIX)
server.bind(path + ".new")
server.listen()
name = os.path.basename(path).removesuffix(".sock")
hello = {"protocol": 1, "release": told["release"], "name": "m@1", "worker": name,
         "pid": os.getpid(), "golden_difference": 0.0}
os.rename(path + ".new", path)
kept = []
while True:
    connection, _ = server.accept()
    worn = os.path.exists("worn-%d" % os.getpid()) or os.path.exists("worn-all")
    hello["golden_failure"] = "differs by 0.5" if worn else ""
    header = json.dumps(hello).encode()
    connection.sendall(struct.pack("<IBI", 5 + len(header), 1, len(header)) + header)
    kept.append(connection)
"""

NEIGHBOUR = """
import os, signal, socket, sys, threading, time
options = dict(zip(sys.argv[1::2], sys.argv[2::2]))
if os.path.exists("cannot-start"):
    print("the database is newer", file=sys.stderr)
    sys.exit(3)
def watch():
    os.read(int(options["--parent-fd"]), 1)
    os._exit(0)
threading.Thread(target=watch, daemon=True).start()
signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
listener = socket.socket(fileno=int(options["--fd"]))
listener.setblocking(True)
while True:
    connection, _ = listener.accept()
    connection.recv(65536)
    connection.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\n\\r\\nok")
    connection.close()
"""

AGENT = """
import asyncio, json, sys
from pathlib import Path
from trimtab import errors
from trimtab.agent.hands import PreparedRelease
from trimtab.agent.options import AgentOptions, Patience, Programs
from trimtab.agent.supervisor import serve

home, gateways, inference, admin = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4]

class Hands:
    def prepare(self, release):
        config = home / "releases" / release / "worker.json"
        if not config.exists():
            raise errors.Integrity(errors.TAMPERED, "check out", release, "a blob was changed")
        argv = lambda arguments: [sys.executable, str(home / "worker.py"), *arguments]
        return PreparedRelease(config, argv, {"PATH": "/usr/bin:/bin"})

neighbour = (sys.executable, str(home / "neighbour.py"))
options = AgentOptions(
    home, home, inference, admin, gateways,
    programs=Programs(neighbour, neighbour),
    patience=Patience(drain=2.0, refused=(0.05, 0.05, 0.2), replay=0.4, stopped=0.1),
)
def tell(event):
    print(event.kind, event.name, event.text, flush=True)
try:
    asyncio.run(serve(options, Hands(), tell))
except errors.TrimtabError as error:
    print(error.code, error.message, flush=True)
    sys.exit(3)
"""


@dataclass
class Home:
    """A state folder with stand-in programs, and the agents started on it."""

    path: Path
    agents: list["subprocess.Popen[str]"] = field(default_factory=list)

    def start(
        self, gateways: int = 1, inference: str = "127.0.0.1:0", admin: str = "127.0.0.1:0"
    ) -> "subprocess.Popen[str]":
        """An agent in its own process."""
        argv = [sys.executable, "-c", AGENT, str(self.path), str(gateways), inference, admin]
        agent = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)
        self.agents.append(agent)
        return agent

    def release(self, name: str, mode: str = "serves") -> Digest:
        """A release whose stand-in worker behaves as `mode`."""
        folder = self.path / "releases" / name
        folder.mkdir(parents=True)
        told = json.dumps({"release": name, "mode": mode})
        (folder / "worker.json").write_text(told, encoding="utf-8")
        return Digest(name)

    @property
    def facts(self) -> dict[str, Any]:
        """`run/agent.json`."""
        found: dict[str, Any] = json.loads((self.path / "run/agent.json").read_bytes())
        return found

    def processes(self) -> set[int]:
        """Processes started for this folder that are alive, agents left out."""
        found = set()
        for folder in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                command = (folder / "cmdline").read_bytes().decode(errors="replace")
                state = (folder / "stat").read_text().rpartition(")")[2].split()[0]
                if str(self.path) in command and "-c" not in command.split("\0") and state != "Z":
                    found.add(int(folder.name))
        return found


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    (tmp_path / "worker.py").write_text(textwrap.dedent(WORKER), encoding="utf-8")
    (tmp_path / "neighbour.py").write_text(textwrap.dedent(NEIGHBOUR), encoding="utf-8")
    made = Home(tmp_path)
    yield made
    for agent in made.agents:
        agent.kill()
        agent.communicate()


async def until(what: Callable[[], Awaitable[bool]], seconds: float = 20.0) -> None:
    """Look again until `what` holds."""
    async with asyncio.timeout(seconds):
        while True:
            if await what():
                return
            await asyncio.sleep(0.01)


async def up(home: Home) -> NodeClient:
    """A client of an agent that has come up."""

    async def listening() -> bool:
        return (home.path / "run/agent.json").exists()

    await until(listening)
    return NodeClient(home.path)


@contextlib.asynccontextmanager
async def running(home: Home, gateways: int = 1) -> AsyncIterator[NodeClient]:
    """An agent, and its client."""
    agent = home.start(gateways)
    client = await up(home)
    try:
        yield client
    finally:
        await client.close()
        agent.terminate()
        await asyncio.to_thread(agent.wait, 20)


async def workers(
    client: NodeClient, hold: Callable[[tuple[WorkerStatus, ...]], bool]
) -> tuple[WorkerStatus, ...]:
    """The workers' status once `hold` is true of it."""
    found: list[NodeStatus] = []

    async def seen() -> bool:
        found.append(await client.status())
        return hold(found[-1].workers)

    await until(seen)
    return found[-1].workers


async def gone(pids: tuple[int, ...]) -> bool:
    """Whether none of these processes exists."""
    return not any(Path(f"/proc/{pid}").exists() for pid in pids)


def all_ready(count: int) -> Callable[[tuple[WorkerStatus, ...]], bool]:
    return lambda found: len(found) == count and all(w.state == "ready" for w in found)


def slots(release: Digest, count: int) -> tuple[WorkerSlot, ...]:
    return tuple(WorkerSlot(release, index) for index in range(count))


def ask(url: str) -> bytes:
    """One request over a fresh connection."""
    host, _, port = url.removeprefix("http://").rpartition(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\n\r\n")
        return connection.recv(1000)


async def test_wanted_workers_are_started_made_ready_and_stopped(home: Home) -> None:
    release = home.release("aaaaaaaaaaaa")
    async with running(home) as client:
        await client.apply(WantedWorkers(1, slots(release, 2)))
        found = await workers(client, all_ready(2))
        assert all(w.pid and w.rss_bytes > 0 and w.golden_difference == 0.0 for w in found)
        assert len(list((home.path / "run/w").iterdir())) == 2
        await client.apply(WantedWorkers(1, slots(release, 1)))
        (left,) = await workers(client, lambda found: len(found) == 1)
        assert (left.slot.index, left.pid, left.restarts) == (0, found[0].pid, 0)


async def test_a_killed_worker_is_back_at_once(home: Home) -> None:
    release = home.release("aaaaaaaaaaaa")
    async with running(home) as client:
        await client.apply(WantedWorkers(1, slots(release, 1)))
        (first,) = await workers(client, all_ready(1))
        assert first.pid is not None
        os.kill(first.pid, signal.SIGKILL)
        started = asyncio.get_running_loop().time()
        (second,) = await workers(
            client, lambda found: all_ready(1)(found) and found[0].pid != first.pid
        )
        assert second.restarts == 1
        assert asyncio.get_running_loop().time() - started < 3.0


async def test_a_worker_and_a_gateway_that_are_stopped_for_good_are_replaced(home: Home) -> None:
    release = home.release("aaaaaaaaaaaa")
    async with running(home) as client:
        await client.apply(WantedWorkers(1, slots(release, 1)))
        (first,) = await workers(client, all_ready(1))
        (gateway,) = (await client.status()).gateways
        assert first.pid is not None
        for pid in (first.pid, gateway):
            os.kill(pid, signal.SIGSTOP)
        await workers(client, lambda found: all_ready(1)(found) and found[0].pid != first.pid)
        await until(partial(gone, (first.pid, gateway)))
        assert b"200 OK" in await asyncio.to_thread(ask, home.facts["inference"])


async def test_a_worker_that_does_not_fit_into_its_limits_never_serves_and_says_so(
    home: Home,
) -> None:
    release = home.release("aaaaaaaaaaaa")
    async with running(home) as client:
        small = {release: WorkerLimits(memory_bytes=2**20)}
        await client.apply(WantedWorkers(1, slots(release, 1), small))
        (found,) = await workers(client, lambda found: [w.state for w in found] == ["failed"])
        assert found.code == errors.WORKER_FAILED
        assert re.match(r"it uses \d+ MiB of its 1 MiB and 1 of its 64 processes", found.error)


async def test_a_worker_whose_place_changes_is_relieved_by_one_that_is_there(home: Home) -> None:
    release = home.release("aaaaaaaaaaaa")
    here = slots(release, 1)
    async with running(home) as client:
        await client.apply(WantedWorkers(1, here))
        (first,) = await workers(client, all_ready(1))
        gone_gpu = {release: WorkerLimits(gpus=("9999",))}
        await client.apply(WantedWorkers(1, here, gone_gpu))
        (kept,) = await workers(client, all_ready(1))
        assert kept.pid == first.pid, "it serves on while nothing can take its place"
    async with running(home) as client:
        await client.apply(WantedWorkers(1, here))
        (first,) = await workers(client, all_ready(1))
        narrow = {release: WorkerLimits(cpus=1.0)}
        await client.apply(WantedWorkers(1, here, narrow))
        if len(os.sched_getaffinity(0)) > 1:
            (after,) = await workers(
                client, lambda found: all_ready(1)(found) and found[0].pid != first.pid
            )
            assert after.restarts == first.restarts


async def test_a_worker_is_relieved_when_asked_and_when_it_fails_its_golden_set(
    home: Home,
) -> None:
    release = home.release("aaaaaaaaaaaa")

    async def successor(before: WorkerStatus) -> WorkerStatus:
        """The next worker of the slot; the slot is ready all the time."""
        held = lambda found: all_ready(1)(found) and found[0].pid != before.pid  # noqa: E731
        (after,) = await workers(client, held)
        assert (after.restarts, after.code) == (0, "")
        return after

    async with running(home) as client:
        await client.apply(WantedWorkers(1, slots(release, 1)))
        (first,) = await workers(client, all_ready(1))
        await client.relieve("another-0")
        await client.relieve(first.slot.id)
        second = await successor(first)
        (home.path / f"worn-{second.pid}").touch()
        third = await successor(second)
        assert third.golden_difference == 0.0


async def test_a_worker_whose_successors_fail_too_serves_on_and_its_status_says_so(
    home: Home,
) -> None:
    release = home.release("aaaaaaaaaaaa")
    async with running(home) as client:
        await client.apply(WantedWorkers(1, slots(release, 1)))
        (first,) = await workers(client, all_ready(1))
        told = json.dumps({"release": release, "mode": "refuses"})
        (home.path / "releases" / release / "worker.json").write_text(told, encoding="utf-8")
        (home.path / "worn-all").touch()
        (found,) = await workers(client, lambda found: found[0].code == errors.GOLDEN_FAILED)
        assert (found.pid, found.state, found.error) == (first.pid, "ready", "differs by 0.5")


async def test_a_worker_that_refuses_says_why_and_is_tried_again(home: Home) -> None:
    bad = home.release("bbbbbbbbbbbb", "refuses")
    crashing = home.release("cccccccccccc", "crashes")
    tampered = Digest("dddddddddddd")
    async with running(home) as client:
        wanted = tuple(WorkerSlot(each, 0) for each in (bad, crashing, tampered))
        await client.apply(WantedWorkers(1, wanted))
        found = await workers(
            client, lambda found: len(found) == 3 and all(w.state == "failed" for w in found)
        )
        assert [w.code for w in found] == ["TT-402", "TT-401", "TT-208"]
        assert (found[0].error, found[0].golden_difference) == ("differs by 0.5", 0.5)
        assert "no such module" in found[1].error
        assert "a blob was changed" in found[2].error
        tries = found[0].restarts
        await workers(client, lambda found: found[0].restarts > tries)
        (home.path / "releases" / bad / "worker.json").write_text(
            json.dumps({"release": bad, "mode": "serves"}), encoding="utf-8"
        )
        (ready, *_) = await workers(client, lambda found: found[0].state == "ready")
        assert ready.error == ""


async def test_a_gateway_killed_while_connections_wait_costs_no_connection(home: Home) -> None:
    async with running(home, gateways=2) as client:

        async def two() -> bool:
            return len((await client.status()).gateways) == 2

        await until(two)
        url = home.facts["inference"]
        for _ in range(3):
            pids = (await client.status()).gateways
            for pid in pids:
                os.kill(pid, signal.SIGKILL)
            # The kernel may still hand a connection to a process that is about to die.
            await until(partial(gone, pids))
            assert b"200 OK" in await asyncio.to_thread(ask, url)
        await until(two)
        assert b"200 OK" in await asyncio.to_thread(ask, home.facts["admin"])


async def test_jobs_run_once_per_id(home: Home) -> None:
    code = "import os, sys; open(sys.argv[1], 'a').write(os.environ['WORD']); sys.exit(4)"
    argv = (sys.executable, "-c", code, str(home.path / "out"))
    async with running(home) as client:
        for _ in range(2):
            await client.start_job("m-run-1", argv, {"WORD": "once "})

        async def ended() -> bool:
            return (await client.status()).jobs[0].exit_code is not None

        await until(ended)
        await client.start_job("m-run-1", argv, {"WORD": "twice "})
        with pytest.raises(errors.Permanent):
            await client.start_job("../evil", argv, {})
        (job,) = (await client.status()).jobs
        assert (job.id, job.exit_code, job.pid) == ("m-run-1", 4, None)
    assert (home.path / "out").read_text() == "once "
    stored = json.loads((home.path / "runs/m-run-1/job.json").read_bytes())
    assert stored["exit_code"] == 4


async def test_what_was_last_wanted_is_started_before_a_controller_says_so(home: Home) -> None:
    old, new = home.release("aaaaaaaaaaaa"), home.release("bbbbbbbbbbbb")
    async with running(home) as client:
        await client.apply(WantedWorkers(9, slots(old, 2)))
        await workers(client, all_ready(2))
    async with running(home) as client:
        found = await workers(client, all_ready(2))
        assert {worker.slot for worker in found} == set(slots(old, 2))
        await client.apply(WantedWorkers(1, slots(new, 1)))
        (left,) = await workers(
            client, lambda found: all_ready(1)(found) and found[0].slot.release == new
        )
        assert left.slot.index == 0
    (home.path / "run/wanted.json").write_bytes(b"[torn")
    async with running(home) as client:
        assert (await client.status()).workers == ()


async def test_a_controller_of_an_older_epoch_is_refused(home: Home) -> None:
    async with running(home) as client:
        await client.apply(WantedWorkers(7, ()))
        with pytest.raises(errors.Conflict) as caught:
            await client.apply(WantedWorkers(6, ()))
        assert caught.value.code == errors.STALE_EPOCH


async def test_a_killed_agent_leaves_no_process_behind_and_the_next_one_serves(
    home: Home,
) -> None:
    release, stubborn = home.release("aaaaaaaaaaaa"), home.release("bbbbbbbbbbbb", "stubborn")
    agent = home.start()
    client = await up(home)
    wanted = (WorkerSlot(release, 0), WorkerSlot(stubborn, 0))
    await client.apply(WantedWorkers(1, wanted))
    await workers(client, all_ready(2))
    sleep = (sys.executable, "-c", "import time; time.sleep(600)")
    await client.start_job("job-1", sleep, {})
    (job,) = (await client.status()).jobs
    before = home.processes()
    assert len(before) >= 5
    url = home.facts["inference"]
    agent.kill()
    agent.wait()
    with pytest.raises(errors.Unavailable) as caught:
        await client.status()
    assert caught.value.code == errors.AGENT_GONE
    home.start(inference=url.removeprefix("http://"))

    async def taken_over() -> bool:
        return int(home.facts["pid"]) != agent.pid

    await until(taken_over)
    assert b"200 OK" in await asyncio.to_thread(ask, url)
    assert (await client.status()).jobs == (), "whoever ordered it orders it again"
    again = await workers(client, all_ready(2))
    assert {worker.slot for worker in again} == set(wanted), "no controller had to say so"

    assert job.pid is not None
    await until(partial(gone, (*before, job.pid)))
    await client.close()
    home.agents[-1].terminate()
    assert await asyncio.to_thread(home.agents[-1].wait, 20) == 0


async def test_sigterm_drains_and_leaves_nothing(home: Home) -> None:
    stubborn = home.release("bbbbbbbbbbbb", "stubborn")
    agent = home.start(gateways=2)
    client = await up(home)
    await client.apply(WantedWorkers(1, slots(stubborn, 1)))
    await workers(client, all_ready(1))
    agent.terminate()
    told, _ = await asyncio.to_thread(agent.communicate, None, 20)
    assert agent.returncode == 0
    assert home.processes() == set()
    assert not (home.path / "run/agent.json").exists()
    assert not (home.path / "run/agent.sock").exists()
    assert told.splitlines()[-1].startswith("stopped agent")
    await client.close()


def test_a_neighbour_that_cannot_start_stops_everything_and_says_why(home: Home) -> None:
    (home.path / "cannot-start").touch()
    agent = home.start()
    told, _ = agent.communicate(timeout=20)
    assert agent.returncode == 3
    assert told.splitlines()[-1] == "TT-701 the database is newer"
    assert home.processes() == set()


def test_where_it_cannot_be_written_how_it_is_reached_everything_is_stopped_in_order(
    home: Home, capfd: pytest.CaptureFixture[str]
) -> None:
    """As on a disk that has become full."""
    (home.path / "run/agent.tmp").mkdir(parents=True)
    wanted = WantedWorkers(1, slots(home.release("aaaaaaaaaaaa"), 2))
    (home.path / "run/wanted.json").write_bytes(msgspec.json.encode(wanted))
    agent = home.start()
    told, _ = agent.communicate(timeout=20)
    assert (agent.returncode, told.splitlines()[-1].split()[0]) == (3, "TT-105")
    assert capfd.readouterr().err == ""
    assert home.processes() == set()


async def test_a_second_agent_and_a_taken_port_are_refused(home: Home, tmp_path: Path) -> None:
    async with running(home):
        second = home.start()
        told, _ = await asyncio.to_thread(second.communicate, None, 20)
        assert (second.returncode, told.split()[0]) == (3, "TT-107")
        other = Home(tmp_path / "other", home.agents)
        other.path.mkdir()
        third = other.start(inference=home.facts["inference"].removeprefix("http://"))
        told, _ = await asyncio.to_thread(third.communicate, None, 20)
        assert (third.returncode, told.split()[0]) == (3, "TT-108")


async def test_a_state_folder_with_a_long_path_works(home: Home) -> None:
    deep = home.path / ("d" * 60) / ("e" * 60)
    deep.mkdir(parents=True)
    for name in ("worker.py", "neighbour.py"):
        (home.path / name).rename(deep / name)
    far = Home(deep, home.agents)
    release = far.release("aaaaaaaaaaaa")
    with contextlib.chdir(deep):
        async with running(far) as client:
            await client.apply(WantedWorkers(1, slots(release, 1)))
            await workers(client, all_ready(1))
