"""Programs that are forked from the warm process: what they are, and what a death of each costs."""

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import textwrap
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest
from tests.support.ledger import Traffic
from tests.support.system import System, alive, copied, killed, running, until

from trimtab.backends.node_client import NodeClient

pytestmark = [pytest.mark.e2e, pytest.mark.anyio]

PROGRAM = """
import json, os, signal, socket, sys, threading
options = dict(zip(sys.argv[1::2], sys.argv[2::2]))
if os.path.exists("cannot-start"):
    sys.exit(3)
if os.path.exists("ends-with-words") and "--project" in options:
    sys.exit("it is not to be")
def watch():
    os.read(int(options["--parent-fd"]), 1)
    os._exit(0)
threading.Thread(target=watch, daemon=True).start()
signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
listener = socket.socket(fileno=int(options["--fd"]))
listener.setblocking(True)
import library
facts = [os.getpid(), os.getppid(), os.getsid(0), library.IMPORTED_BY, os.getcwd(), __name__]
while True:
    connection, _ = listener.accept()
    connection.sendall(json.dumps(facts).encode())
    connection.close()
"""
LIBRARY = "import os\nIMPORTED_BY = os.getpid()\n"
AGENT = """
import asyncio, sys, threading
from pathlib import Path
from trimtab import errors
from trimtab.agent.offspring import fork_off
from trimtab.agent.options import AgentOptions, Patience, Programs
from trimtab.agent.supervisor import serve
from trimtab.agent.warm import serve as run

home = Path(sys.argv[1])
if "threaded" in sys.argv:
    threading.Thread(target=threading.Event().wait, daemon=True).start()
warm = fork_off(home, run)
print("forked", warm is not None, flush=True)
program = (sys.executable, "-P", "-m", "program")
options = AgentOptions(
    home, home, "127.0.0.1:0", "127.0.0.1:0", 2,
    programs=Programs(program, program, ("hanging" if "hanging" in sys.argv else "library",)),
    patience=Patience(drain=2.0, warm=0.5 if "hanging" in sys.argv else 30.0), warm=warm,
)
try:
    asyncio.run(serve(options, None, lambda e: print(e.kind, e.name, e.text, flush=True)))
except errors.TrimtabError as error:
    print(error.code, error.message, flush=True)
    sys.exit(3)
"""


@pytest.fixture
def anyio_backend() -> str:
    """Asynchronous tests run on asyncio."""
    return "asyncio"


@dataclass(frozen=True)
class Agent:
    """An agent with two stand-ins for gateways and one for the controller."""

    home: Path
    process: "subprocess.Popen[bytes]"
    client: NodeClient

    def told(self) -> str:
        """The events that the agent has told."""
        return (self.home / "told").read_text(encoding="utf-8")

    def warm(self) -> list[int]:
        """The warm processes that live."""
        return [pid for pid in children(self.process.pid) if named(pid) == "trimtab-warm"]

    def ask(self, listener: str = "inference") -> dict[str, str]:
        """What the program behind a listener says of itself; it shows that it works, too."""
        facts = json.loads((self.home / "run/agent.json").read_bytes())
        host, _, port = facts[listener].removeprefix("http://").rpartition(":")
        with socket.create_connection((host, int(port)), 20) as line:
            said = json.loads(line.makefile("rb").read())
        names = ("pid", "parent", "session", "imported_by", "cwd", "name")
        return dict(zip(names, map(str, said), strict=True))


@pytest.fixture
def begin(tmp_path: Path) -> Iterator[Callable[..., "subprocess.Popen[bytes]"]]:
    """Starts an agent on an empty state folder."""
    (tmp_path / "program.py").write_text(textwrap.dedent(PROGRAM), encoding="utf-8")
    (tmp_path / "library.py").write_text(LIBRARY, encoding="utf-8")
    (tmp_path / "hanging.py").write_text("import time; time.sleep(600)", encoding="utf-8")
    begun: list[subprocess.Popen[bytes]] = []

    def start(*words: str) -> "subprocess.Popen[bytes]":
        path = os.pathsep.join(filter(None, (str(tmp_path), os.environ.get("PYTHONPATH"))))
        with (tmp_path / "told").open("ab") as out:
            begun.append(
                subprocess.Popen(
                    [sys.executable, "-c", AGENT, str(tmp_path), *words],
                    stdout=out,
                    env={**os.environ, "PYTHONPATH": path},
                )
            )
        return begun[-1]

    yield start
    for process in begun:
        process.kill()
        process.wait()


@contextlib.asynccontextmanager
async def up(home: Path, process: "subprocess.Popen[bytes]") -> AsyncIterator[Agent]:
    """The agent, once both gateways run."""
    agent = Agent(home, process, NodeClient(home))
    until((home / "run/agent.json").exists)
    await gateways(agent)
    try:
        yield agent
    finally:
        await agent.client.close()


async def gateways(agent: Agent, *but: int) -> tuple[int, ...]:
    """Both gateways, once they run and are none of `but`."""
    async with asyncio.timeout(30):
        while True:
            found = (await agent.client.status()).gateways
            if len(found) == 2 and not set(found) & set(but):
                return found
            await asyncio.sleep(0.01)


def children(parent: int) -> list[int]:
    """The living children of a process."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            stat = (folder / "stat").read_text().rpartition(")")[2].split()
            if int(stat[1]) == parent and stat[0] != "Z":
                found.append(int(folder.name))
    return found


def whole(system: System) -> bool:
    """Whether the warm process and all programs are there."""
    found = (system.named("trimtab-warm"), system.named("trimtab-web"))
    return all(map(len, (*found, system.named("trimtab-gateway"))))


def named(pid: int) -> str:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/comm").read_text().strip()
    return ""


async def test_programs_are_forked_with_their_own_sockets_session_and_title(
    begin: Callable[..., "subprocess.Popen[bytes]"], tmp_path: Path
) -> None:
    async with up(tmp_path, begin()) as agent:
        (warm,) = agent.warm()
        for listener in ("inference", "admin"):
            said = agent.ask(listener)
            assert said["parent"] == said["imported_by"] == str(warm)
            assert said["pid"] == said["session"] != str(warm)
            assert (said["cwd"], said["name"]) == (str(tmp_path), "__main__")
            words = Path(f"/proc/{said['pid']}/cmdline").read_bytes().decode()
            assert words.startswith("program --"), "ps tells it from who forked it"
            assert named(int(said["pid"])) == "trimtab-program"
        handles = {path.readlink().name for path in Path(f"/proc/{warm}/fd").iterdir()}
        assert "lock" not in handles, "it is the agent's"


async def test_a_killed_program_comes_back_forked(
    begin: Callable[..., "subprocess.Popen[bytes]"], tmp_path: Path
) -> None:
    async with up(tmp_path, begin()) as agent:
        (warm,) = agent.warm()
        first = await gateways(agent)
        os.kill(first[0], signal.SIGKILL)
        (other,) = set(await gateways(agent, first[0])) - set(first)
        assert other in children(warm)
        assert "gateway-0 ended with -9" in agent.told()


async def test_a_killed_warm_process_takes_no_program_along_and_is_started_again(
    begin: Callable[..., "subprocess.Popen[bytes]"], tmp_path: Path
) -> None:
    async with up(tmp_path, begin()) as agent:
        (warm,) = agent.warm()
        first = await gateways(agent)
        os.kill(warm, signal.SIGKILL)
        until(lambda: agent.warm() not in ([], [warm]))
        assert await gateways(agent) == first
        assert set(first) <= set(children(agent.process.pid))
        (other,) = agent.warm()
        os.kill(first[1], signal.SIGKILL)
        (newer,) = set(await gateways(agent, first[1])) - set(first)
        assert newer in children(other)
        assert "gateway-1 ended with -9" in agent.told(), "though its parent had died"


async def test_a_stopped_warm_process_does_not_keep_a_killed_program_down(
    begin: Callable[..., "subprocess.Popen[bytes]"], tmp_path: Path
) -> None:
    """It is the parent of the programs, and nobody else learns that one has ended."""
    async with up(tmp_path, begin()) as agent:
        (warm,) = agent.warm()
        first = await gateways(agent)
        os.kill(warm, signal.SIGSTOP)
        os.kill(first[0], signal.SIGKILL)
        await gateways(agent, first[0])
        assert "zygote-trimtab a signal has stopped it, and it is ended" in agent.told()


async def test_programs_start_cold_when_the_warm_process_hangs(
    begin: Callable[..., "subprocess.Popen[bytes]"], tmp_path: Path
) -> None:
    async with up(tmp_path, begin("hanging")) as agent:
        assert "are started cold: it did not answer for 0.5 s" in agent.told()
        assert agent.ask()["parent"] == agent.ask("admin")["parent"] == str(agent.process.pid)
        assert agent.warm() == []


async def test_programs_start_cold_where_a_thread_would_be_lost(
    begin: Callable[..., "subprocess.Popen[bytes]"], tmp_path: Path
) -> None:
    async with up(tmp_path, begin("threaded")) as agent:
        assert agent.told().startswith("forked False")
        assert set(await gateways(agent)) <= set(children(agent.process.pid))
        assert agent.ask()["parent"] == str(agent.process.pid)


async def test_a_killed_agent_takes_forked_programs_along_and_frees_its_folder(
    begin: Callable[..., "subprocess.Popen[bytes]"], tmp_path: Path
) -> None:
    async with up(tmp_path, begin()) as agent:
        pids = [*agent.warm(), *await gateways(agent), int(agent.ask("admin")["pid"])]
        killed(agent.process.pid)
        until(lambda: not any(map(alive, pids)))
    (tmp_path / "run/agent.json").unlink()
    async with up(tmp_path, begin()) as agent:
        assert agent.ask()["parent"] == str(agent.warm()[0])


def test_a_forked_program_that_cannot_start_stops_everything_and_says_why(
    begin: Callable[..., "subprocess.Popen[bytes]"], tmp_path: Path
) -> None:
    (tmp_path / "cannot-start").touch()
    agent = begin()
    assert agent.wait(30) == 3
    said = (tmp_path / "told").read_text(encoding="utf-8")
    assert "TT-701" in said
    until(lambda: not [pid for pid in children(1) if named(pid) == "trimtab-program"])


async def test_a_forked_program_ends_with_the_code_and_the_words_that_it_would_have_alone(
    begin: Callable[..., "subprocess.Popen[bytes]"], tmp_path: Path
) -> None:
    (tmp_path / "ends-with-words").touch()
    async with up(tmp_path, begin()) as agent:
        until(lambda: "controller ended with 1 and is started again" in agent.told())
        assert "it is not to be\n" in (tmp_path / "logs/controller.log").read_text()


def test_the_system_forks_its_programs_and_serves_over_the_death_of_each(
    built: Path, tmp_path: Path
) -> None:
    with running(copied(built, tmp_path / "project")) as system:
        system.json("deploy", "risk", "--release", "risk@1", "--wait")
        (warm,) = system.named("trimtab-warm")
        (gateway,) = system.pids("trimtab.gateway")
        controller = system.controller
        assert controller is not None
        assert {gateway, controller} <= set(children(warm))
        with Traffic(system, "risk") as traffic:
            traffic.more(20)
            for pid in (warm, controller, gateway):
                killed(pid)
                traffic.more(20)
                until(partial(whole, system))
        assert not traffic.book.problems
        (other,) = system.named("trimtab-warm")
        (newer,) = system.pids("trimtab.gateway")
        assert newer in children(other)
        until(lambda: system.deployment("risk")["state"] == "healthy")
