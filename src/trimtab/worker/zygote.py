"""The warm process of an environment: it has imported the libraries, and forks workers.

It never imports code of a release, and it has one thread, or it does not fork: a lock that another
thread holds at that moment would be held in the worker for ever.
"""

import argparse
import gc
import importlib
import json
import os
import select
import socket
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from .failures import told
from .rehearsal import rehearse

NAME = "trimtab-zygote"
LONGEST_MESSAGE = 65_536


class Unfit(Exception):
    """Nothing can be forked from this process; the message says why."""


@dataclass(frozen=True, slots=True)
class Order:
    """What the agent asks for: modules to import, and unless `arguments` is None a worker."""

    id: int
    environment: str
    imports: tuple[str, ...]
    arguments: tuple[str, ...] | None


def born(words: Sequence[str]) -> list[str]:
    """Do what the agent orders until it closes the line, then end this process.

    Returns in each forked worker, with the arguments that it was ordered with.
    """
    parser = argparse.ArgumentParser(prog="trimtab-worker zygote", allow_abbrev=False)
    parser.add_argument("--line-fd", type=int, required=True)
    parser.add_argument("--environment", required=True)
    given = parser.parse_args(words)
    rename(NAME)
    line = socket.socket(fileno=given.line_fd)
    line.set_inheritable(False)
    return Zygote(line, given.environment).run()


class Zygote:
    """One line to the agent, and the workers that were forked and live."""

    def __init__(self, line: socket.socket, environment: str) -> None:
        self._line = line
        self._environment = environment
        self._workers: dict[int, int] = {}
        """Process ids by pidfd."""

    def run(self) -> list[str]:
        """See `born`."""
        while True:
            ready, _, _ = select.select([self._line.fileno(), *self._workers], [], [])
            for handle in ready:
                if handle in self._workers:
                    self._bury(handle)
                elif (arguments := self._next_order()) is not None:
                    return arguments

    def _next_order(self) -> list[str] | None:
        """Carry out one order; the arguments of the worker in a process that became one."""
        message, handles, _, _ = socket.recv_fds(self._line, LONGEST_MESSAGE, 1)
        if not message:
            os._exit(0)
        order = _order(message)
        try:
            self._check(order)
            warm_up(order.imports)
        except Unfit as problem:
            self._tell(id=order.id, problem=str(problem))
        else:
            if order.arguments is None:
                self._tell(id=order.id)
            elif self._forked(order.id, handles[0]):
                return list(order.arguments)
        for handle in handles:
            os.close(handle)
        return None

    def _check(self, order: Order) -> None:
        if order.environment != self._environment:
            raise Unfit(f"this is the zygote of {self._environment}, not of {order.environment}")

    def _forked(self, number: int, log: int) -> bool:
        """Whether this process is the worker."""
        pid = os.fork()
        if pid == 0:
            self._become_worker(log)
            return True
        self._workers[os.pidfd_open(pid)] = pid
        self._tell(id=number, pid=pid)
        return False

    def _become_worker(self, log: int) -> None:
        """A session of its own, its own log, and nothing that belongs to the zygote."""
        os.setsid()
        for stream in (1, 2):
            os.dup2(log, stream)
        os.close(log)
        self._line.close()
        for handle in self._workers:
            os.close(handle)
        # Forked twins would otherwise draw the same numbers; `random` sees to itself.
        if "numpy.random" in sys.modules:
            sys.modules["numpy.random"].seed()

    def _bury(self, handle: int) -> None:
        os.close(handle)
        pid = self._workers.pop(handle)
        _, status = os.waitpid(pid, 0)
        self._tell(ended=pid, code=os.waitstatus_to_exitcode(status))

    def _tell(self, **fields: int | str) -> None:
        try:
            self._line.send(json.dumps(fields).encode())
        except OSError:
            os._exit(0)


def warm_up(modules: Sequence[str]) -> None:
    """Import what is not imported. Raises `Unfit` when that fails or has started a thread."""
    missing = [name for name in modules if name not in sys.modules]
    for name in missing:
        try:
            importlib.import_module(name)
        except (Exception, SystemExit) as error:
            raise Unfit(f"{name} cannot be imported: {told(error)}") from error
    if missing:
        rehearse()
    if (count := threads()) > 1:
        raise Unfit(f"{count} threads run after the import of {', '.join(modules) or 'nothing'}")
    if missing:
        # What is there now is shared with the workers, and stays so while no collector marks it.
        gc.collect()
        gc.freeze()


def threads() -> int:
    """Threads of this process, whoever started them."""
    return len(list(Path("/proc/self/task").iterdir()))


def rename(name: str) -> None:
    """What `ps -o comm` shows; forked processes all have the command line of the zygote."""
    try:
        Path("/proc/self/comm").write_text(name, encoding="ascii")
    except OSError:
        return


def _order(message: bytes) -> Order:
    fields = json.loads(message)
    arguments = fields["arguments"]
    return Order(
        id=fields["id"],
        environment=fields["environment"],
        imports=tuple(fields["imports"]),
        arguments=None if arguments is None else tuple(arguments),
    )
