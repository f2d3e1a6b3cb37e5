"""Zygotes with real processes: who forks whom, what is shared, and what a death of one costs."""

import asyncio
import contextlib
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import textwrap
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.support.ledger import Traffic
from tests.support.system import System, copied, running, until, yields

from trimtab.backends import shim
from trimtab.backends.node_client import NodeClient
from trimtab.domain.names import Digest
from trimtab.domain.processes import NodeStatus, WantedWorkers, WorkerSlot, WorkerStatus
from trimtab.worker import frames, tensors
from trimtab.worker.frames import Decoder, Frame, Kind, Tensor

pytestmark = [pytest.mark.e2e, pytest.mark.anyio]

SETTLED = 30.0

LIBRARY = """
import os
IMPORTED_BY = os.getpid()
"""
THREADED = """
import threading
threading.Thread(target=threading.Event().wait, daemon=True).start()
"""
MODEL = """
import ctypes, os, sys, time
import numpy as np
import library


class Facts:
    def predict(self, columns):
        rows = len(columns["x"])
        facts = [os.getpid(), os.getppid(), library.IMPORTED_BY, np.random.randint(2**31)]
        return {"facts": np.tile(np.array(facts, dtype="float64"), (rows, 1))}


class Hostile(Facts):
    def predict(self, columns):
        what = int(columns["x"][0])
        if what == 1:
            os._exit(7)
        if what == 2:
            ctypes.string_at(0)
        if what == 3 and os.fork() == 0:
            time.sleep(600)
        if what == 4 and os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                time.sleep(600)
            os._exit(0)
        return super().predict(columns)
"""

AGENT = """
import asyncio, json, sys
from functools import partial
from pathlib import Path
from trimtab.agent.hands import PreparedRelease
from trimtab.agent.options import AgentOptions, Patience, Programs
from trimtab.agent.supervisor import serve
from trimtab.backends import shim

home = Path(sys.argv[1])
copy = shim.install(home)

class Hands:
    def prepare(self, release):
        folder = home / "releases" / release
        told = json.loads((folder / "hands.json").read_bytes())
        variables = {**shim.worker_environment(shim.EXECUTION_SERVING), "PYTHONPATH": str(home)}
        return PreparedRelease(
            config=folder / "worker.json",
            argv=partial(shim.worker_argv, Path(sys.executable), copy),
            environment=variables,
            zygote=told["zygote"],
            imports=tuple(told["imports"]),
        )

idle = (sys.executable, "-c", "import sys, time; time.sleep(600)")
options = AgentOptions(
    home, home, "127.0.0.1:0", "127.0.0.1:0", 1, programs=Programs(idle, idle),
    patience=Patience(drain=2.0, refused=(0.05, 0.05, 0.2), unused=0.2),
)
asyncio.run(serve(options, Hands(), lambda e: print(e.kind, e.name, e.text, flush=True)))
"""


@pytest.fixture
def anyio_backend() -> str:
    """Asynchronous tests run on asyncio."""
    return "asyncio"


@dataclass(frozen=True)
class Process:
    """A process as the kernel tells of it."""

    pid: int
    name: str
    state: str
    parent: int
    session: int


def process(pid: int) -> Process | None:
    """The process, dead ones that nobody has reaped included; None when there is none."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    name, _, rest = text.partition(" (")[2].rpartition(") ")
    words = rest.split()
    return Process(pid, name, words[0], int(words[1]), int(words[3]))


def children(parent: int) -> list[Process]:
    """The children of a process."""
    found = [process(int(folder.name)) for folder in Path("/proc").glob("[0-9]*")]
    return [each for each in found if each is not None and each.parent == parent]


def alive(pid: int) -> bool:
    found = process(pid)
    return found is not None and found.state != "Z"


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)


@dataclass
class Agent:
    """An agent with real workers; this interpreter stands in for every environment."""

    home: Path
    process: "subprocess.Popen[bytes]"
    client: NodeClient
    epoch: int = 1
    wanted: set[WorkerSlot] = field(default_factory=set)

    def release(
        self, name: str, zygote: str | None = "a", imports: tuple[str, ...] = ("library",)
    ) -> Digest:
        """A release named by its own digest; its model is the class of `MODEL` in its name."""
        folder = self.home / "releases" / name
        folder.mkdir(parents=True)
        (folder / "model.py").write_text(textwrap.dedent(MODEL), encoding="utf-8")
        told = {
            "release": name,
            "name": name,
            "format": "python",
            "model_path": f"model:{'Hostile' if 'hostile' in name else 'Facts'}",
            "frame": "columns",
            "signature": {
                "inputs": [{"name": "x", "datatype": "FP64"}],
                "outputs": [{"name": "facts", "datatype": "FP64", "shape": [4]}],
            },
        }
        (folder / "worker.json").write_text(json.dumps(told), encoding="utf-8")
        hands = {"zygote": zygote, "imports": ["numpy.random", *imports]}
        (folder / "hands.json").write_text(json.dumps(hands), encoding="utf-8")
        return Digest(name)

    async def want(self, *slots: WorkerSlot) -> dict[WorkerSlot, WorkerStatus]:
        """Order exactly these and wait until they are ready."""
        self.wanted = set(slots)
        await self.client.apply(WantedWorkers(self.epoch, tuple(slots)))
        return await self.ready()

    async def ready(self, *but: int) -> dict[WorkerSlot, WorkerStatus]:
        """All workers that are wanted, once they are ready and none of the processes `but`."""

        def hold(status: NodeStatus) -> bool:
            ready = {w.slot for w in status.workers if w.state == "ready" and w.pid not in but}
            return ready == self.wanted == {w.slot for w in status.workers}

        found = await self.until(hold)
        return {worker.slot: worker for worker in found.workers}

    async def until(self, hold: Callable[[NodeStatus], bool]) -> NodeStatus:
        found: list[NodeStatus] = []

        async def seen() -> bool:
            found.append(await self.client.status())
            return hold(found[-1])

        await eventually(seen)
        return found[-1]

    async def zygote(self) -> Process:
        """The only zygote of the agent that has come up."""
        found: list[Process] = []

        async def one() -> bool:
            found[:] = self.zygotes()
            return len(found) == 1

        await eventually(one)
        return found[0]

    def told(self) -> str:
        """The events that the agent has told."""
        return (self.home / "told").read_text(encoding="utf-8")

    def zygotes(self) -> list[Process]:
        """The zygotes that live."""
        return [
            each
            for each in children(self.process.pid)
            if each.name == "trimtab-zygote" and each.state != "Z"
        ]

    def ask(self, slot: WorkerSlot, x: float = 0.0) -> list[int] | None:
        """The model's facts: its process, the parent, who imported the library, a random number.
        None when the worker ended instead."""
        with contextlib.chdir(self.home), socket.socket(socket.AF_UNIX) as line:
            line.settimeout(SETTLED)
            line.connect(f"run/w/{slot.id}.sock")
            given = [Tensor("x", "FP64", (1,), struct.pack("<d", x))]
            header = {"id": 1, "rows": 1}
            sent = frames.encode_tensors(Kind.PREDICT, header, {"inputs": given})
            line.sendall(b"".join(sent))
            result = answered(line)
        if result is None:
            return None
        assert result.kind is Kind.RESULT, result.header
        (outputs,) = frames.tensors_of(result, "outputs")
        return [int(fact) for fact in tensors.array_of(outputs[0])[0]]


def answered(line: socket.socket) -> Frame | None:
    """What comes after the greeting."""
    decoder = Decoder()
    read: list[Frame] = []
    while len(read) < 2:
        data = line.recv(65536)
        if not data:
            return None
        read += decoder.feed(data)
    return read[1]


async def eventually(what: Callable[[], Awaitable[bool]]) -> None:
    """Look again until `what` holds."""
    async with asyncio.timeout(SETTLED):
        while True:
            if await what():
                return
            await asyncio.sleep(0.01)


async def gone(*pids: int) -> None:
    """Until none of these processes runs."""

    async def all_gone() -> bool:
        return not any(alive(pid) for pid in pids)

    await eventually(all_gone)


@pytest.fixture
def started(tmp_path: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """The process of an agent on an empty state folder."""
    (tmp_path / "library.py").write_text(LIBRARY, encoding="utf-8")
    (tmp_path / "threaded.py").write_text(THREADED, encoding="utf-8")
    (tmp_path / "deadly.py").write_text("import os; os._exit(5)", encoding="utf-8")
    argv = [sys.executable, "-c", AGENT, str(tmp_path)]
    with (tmp_path / "told").open("wb") as out, subprocess.Popen(argv, stdout=out) as process:
        yield process
        process.kill()


@pytest.fixture
async def agent(tmp_path: Path, started: "subprocess.Popen[bytes]") -> AsyncIterator[Agent]:
    """An agent that listens."""

    async def listening() -> bool:
        return (tmp_path / "run/agent.json").exists()

    await eventually(listening)
    made = Agent(tmp_path, started, NodeClient(tmp_path))
    yield made
    await made.client.close()


def pid(worker: WorkerStatus) -> int:
    assert worker.pid is not None
    return worker.pid


async def test_workers_of_one_environment_are_forked_from_one_zygote_that_imported_once(
    agent: Agent,
) -> None:
    first, second = WorkerSlot(agent.release("r1"), 0), WorkerSlot(agent.release("r2"), 0)
    workers = await agent.want(first, second)
    zygote = await agent.zygote()
    facts = {slot: agent.ask(slot) for slot in workers}
    for slot, worker in workers.items():
        found = facts[slot]
        assert found is not None
        assert found[:3] == [pid(worker), zygote.pid, zygote.pid]
        own = process(pid(worker))
        assert own is not None
        assert (own.name, own.session) == ("trimtab-worker", own.pid)
        assert (agent.home / f"logs/worker-{slot.id}.log").exists()
    draws = {found[3] for found in facts.values() if found is not None}
    assert len(draws) == 2, "twins draw the same random numbers"


@pytest.mark.parametrize("environment", ["a", None])
async def test_a_worker_of_the_batch_lane_yields_to_the_others_however_it_was_started(
    agent: Agent, environment: str | None
) -> None:
    release = agent.release("r1", environment)
    slots = (WorkerSlot(release, 0), WorkerSlot(release, 0, "batch"))
    workers = await agent.want(*slots)
    assert [yields(pid(workers[slot])) for slot in slots] == [{0}, {10}]
    for slot in slots:
        facts = agent.ask(slot)
        assert facts is not None
        assert facts[0] == pid(workers[slot])


async def test_a_zygote_never_sees_code_of_a_release(agent: Agent) -> None:
    await agent.want(WorkerSlot(agent.release("r1"), 0))
    zygote = await agent.zygote()
    maps = Path(f"/proc/{zygote.pid}/environ").read_bytes().decode()
    opened = [str(each.readlink()) for each in Path(f"/proc/{zygote.pid}/fd").iterdir()]
    assert str(agent.home / "releases") not in maps + "".join(opened)
    # `model` is imported in the child alone: the zygote can still fork a release with another one.
    second = agent.release("hostile-2")
    await agent.want(WorkerSlot(second, 0))
    assert agent.ask(WorkerSlot(second, 0)) is not None


async def test_an_environment_never_forks_a_worker_for_another(agent: Agent) -> None:
    a, b = WorkerSlot(agent.release("r1", "a"), 0), WorkerSlot(agent.release("r2", "b"), 0)
    workers = await agent.want(a, b)
    parents = {slot: process(pid(worker)) for slot, worker in workers.items()}
    assert len(agent.zygotes()) == 2
    words = {
        slot: Path(f"/proc/{found.parent}/cmdline").read_bytes().split(b"\0")
        for slot, found in parents.items()
        if found is not None
    }
    assert words[a][-2] == b"a"
    assert words[b][-2] == b"b"


def test_a_zygote_refuses_an_order_for_another_environment(tmp_path: Path) -> None:
    with zygote_of("a", tmp_path) as line:
        assert "not of b" in told(line, environment="b")["problem"]
        assert told(line, environment="a") == {"id": 1}


async def test_a_killed_zygote_takes_no_worker_along_and_is_started_again(agent: Agent) -> None:
    slot = WorkerSlot(agent.release("r1"), 0)
    (worker,) = (await agent.want(slot)).values()
    zygote = await agent.zygote()
    kill(zygote.pid)
    await gone(zygote.pid)
    other = await agent.zygote()
    assert other.pid != zygote.pid
    found = agent.ask(slot)
    assert found is not None
    assert found[:2] == [worker.pid, agent.process.pid], "an orphan is the agent's own"
    kill(pid(worker))
    (again,) = (await agent.ready(pid(worker))).values()
    assert again.restarts == 1
    found = agent.ask(slot)
    assert found is not None
    assert found[:3] == [again.pid, other.pid, other.pid]
    assert process(pid(worker)) is None, "the orphan was reaped"


async def test_a_killed_worker_comes_back_forked(agent: Agent) -> None:
    slot = WorkerSlot(agent.release("r1"), 0)
    (worker,) = (await agent.want(slot)).values()
    zygote = await agent.zygote()
    kill(pid(worker))
    (again,) = (await agent.ready(pid(worker))).values()
    found = agent.ask(slot)
    assert found is not None
    assert found[:3] == [again.pid, zygote.pid, zygote.pid]


@pytest.mark.parametrize(("what", "code"), [(1, 7), (2, -signal.SIGSEGV)])
async def test_a_model_that_ends_its_process_harms_nobody_else(
    agent: Agent, what: int, code: int
) -> None:
    good, bad = WorkerSlot(agent.release("r1"), 0), WorkerSlot(agent.release("hostile"), 0)
    workers = await agent.want(good, bad)
    zygote = await agent.zygote()
    assert agent.ask(bad, what) is None
    again = await agent.ready(pid(workers[bad]))
    assert again[bad].restarts == 1
    same = msgspec.structs.replace(again[good], rss_bytes=workers[good].rss_bytes)
    assert same == workers[good]
    assert (await agent.zygote()).pid == zygote.pid
    assert agent.ask(bad) is not None
    assert f"ended {bad.id} ended with {code} " in agent.told()


@pytest.mark.parametrize("what", [3, 4])
async def test_what_a_model_forked_ends_with_its_worker(agent: Agent, what: int) -> None:
    """Even when it took a session of its own and lost its parent."""
    slot = WorkerSlot(agent.release("hostile"), 0)
    (worker,) = (await agent.want(slot)).values()
    assert agent.ask(slot, what) is not None
    known = {worker.pid, agent.process.pid, (await agent.zygote()).pid}

    def left() -> list[Process]:
        groups = [*children(pid(worker)), *children(agent.process.pid)]
        return [each for each in groups if each.pid not in known and "worker" in each.name]

    async def forked() -> bool:
        return bool(left())

    await eventually(forked)
    started = [each.pid for each in left()]
    kill(pid(worker))
    await agent.ready(pid(worker))
    await gone(*started)
    assert left() == []


async def test_a_library_that_starts_a_thread_is_not_forked_and_that_is_said_once(
    agent: Agent,
) -> None:
    slots = [WorkerSlot(agent.release(f"r{i}", "a", ("library", "threaded")), 0) for i in (1, 2)]
    workers = await agent.want(*slots)
    for slot, worker in workers.items():
        found = agent.ask(slot)
        assert found is not None
        assert found[:3] == [worker.pid, agent.process.pid, worker.pid]
    assert agent.zygotes() == []
    said = [line for line in agent.told().splitlines() if "cold" in line]
    assert len(said) == 1
    assert "2 threads run after the import of" in said[0]


async def test_a_library_that_cannot_be_imported_leaves_the_worker_to_say_so(agent: Agent) -> None:
    slot = WorkerSlot(agent.release("r1", "a", ("not_installed",)), 0)
    await agent.want(slot)
    assert agent.zygotes() == []
    found = agent.ask(slot)
    assert found is not None
    assert found[1] == agent.process.pid


async def test_a_zygote_that_always_dies_young_is_given_up(agent: Agent) -> None:
    """Each death costs the orders on their way nothing but a cold start."""
    slot = WorkerSlot(agent.release("r1", "a", ("deadly",)), 0)
    await agent.want(slot)
    found = agent.ask(slot)
    assert found is not None
    assert found[1] == agent.process.pid

    async def given_up() -> bool:
        return "ended with 5 again and again" in agent.told()

    await eventually(given_up)
    assert agent.zygotes() == []


async def test_a_zygote_ends_a_while_after_the_last_worker_of_its_environment(
    agent: Agent,
) -> None:
    slot = WorkerSlot(agent.release("r1"), 0)
    (worker,) = (await agent.want(slot)).values()
    zygote = await agent.zygote()
    await agent.want()
    await gone(pid(worker), zygote.pid)


async def test_a_killed_agent_takes_zygotes_and_their_workers_along(agent: Agent) -> None:
    release = agent.release("r1")
    workers = await agent.want(WorkerSlot(release, 0), WorkerSlot(release, 1))
    zygote = await agent.zygote()
    kill(agent.process.pid)
    await gone(zygote.pid, *(pid(worker) for worker in workers.values()))


@contextlib.contextmanager
def zygote_of(environment: str, home: Path) -> Iterator[socket.socket]:
    """A zygote without an agent, and the line to it."""
    mine, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    words = ("zygote", "--line-fd", str(its.fileno()), "--environment", environment)
    argv = shim.worker_argv(Path(sys.executable), shim.install(home), words)
    variables = shim.worker_environment(shim.EXECUTION_SERVING)
    with subprocess.Popen(argv, env=variables, pass_fds=[its.fileno()]) as started:
        its.close()
        with mine:
            mine.settimeout(SETTLED)
            yield mine
        assert started.wait(SETTLED) == 0, "it ends when the agent's end is closed"


def told(line: socket.socket, **fields: Any) -> dict[str, Any]:
    """What it answers to an order to import nothing."""
    order = {"id": 1, "environment": "a", "imports": [], "arguments": None, **fields}
    line.send(json.dumps(order).encode())
    answer: dict[str, Any] = json.loads(line.recv(65536))
    return answer


def test_the_system_forks_all_workers_of_one_lock_and_loses_no_request_with_the_zygote(
    built: Path, tmp_path: Path
) -> None:
    folder = copied(built, tmp_path / "project")
    with running(folder) as system:
        system.json("deploy", "risk", "--release", "risk@1", "--wait")
        until(lambda: len(system.workers()) == 2)
        (zygote,) = zygotes(system)
        workers = set(system.workers().values())
        assert {each.pid for each in children(zygote.pid)} == workers
        with Traffic(system, "risk") as traffic:
            traffic.more(20)
            kill(zygote.pid)
            traffic.more(20)
            until(lambda: [each.pid for each in zygotes(system)] not in ([], [zygote.pid]))
            assert set(system.workers().values()) == workers
            system.json("deploy", "risk", "--release", "risk@2", "--wait")
            traffic.more(20)
        assert not traffic.book.problems
        check_libraries(system)
        (other,) = zygotes(system)
        newer = set(system.workers().values()) - workers
        assert newer == {each.pid for each in children(other.pid)}
        assert len(newer) >= 2


def check_libraries(system: System) -> None:
    """Each process has loaded what it needs, also after it has worked."""
    heavy = {"libarrow", "duckdb", "pandas", "sqlalchemy"}
    allowed: dict[str, set[str]] = {
        "trimtab.cli up": set(),
        "trimtab.gateway": set(),
        "trimtab.web": {"libarrow", "sqlalchemy"},
    }
    for words, may in allowed.items():
        (pid,) = system.pids(words)
        maps = Path(f"/proc/{pid}/maps").read_text()
        assert {name for name in heavy - may if name in maps} == set(), words


def zygotes(system: System) -> list[Process]:
    """The zygotes of a whole system that live."""
    found = [process(pid) for pid in system.processes()]
    return [each for each in found if each and each.name == "trimtab-zygote" and each.state != "Z"]
