"""The warm process of an environment: it has imported the libraries, and forks workers.

It never imports code of a release, and it has one thread, or it does not fork: a lock that another
thread holds at that moment would be held in the worker for ever.
"""

import argparse
import fcntl
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
from .mappings import give_back
from .rehearsal import rehearse

NAME = "trimtab-zygote"
LONGEST_MESSAGE = 65_536
MOST_HANDLES = 16


class Unfit(Exception):
    """Nothing can be forked from this process; the message says why."""


@dataclass(frozen=True, slots=True)
class Order:
    """What the agent asks for: modules to import, and unless `arguments` is None a worker.

    With it come the writing end of the worker's log, and files that shall have `numbers` in it."""

    id: int
    environment: str
    imports: tuple[str, ...]
    arguments: tuple[str, ...] | None
    numbers: tuple[int, ...]


def born(words: Sequence[str]) -> list[str]:
    """Do what the agent orders until it closes the line, then end this process.

    Returns in each forked worker, with the arguments that it was ordered with.
    """
    parser = argparse.ArgumentParser(prog="trimtab-worker zygote", allow_abbrev=False)
    parser.add_argument("--line-fd", type=int, required=True)
    parser.add_argument("--environment", required=True)
    given = parser.parse_args(words)
    rename(NAME)
    return Zygote(socket.socket(fileno=given.line_fd), given.environment).run()


class Zygote:
    """One line to the agent, and the workers that were forked and live."""

    def __init__(self, line: socket.socket, environment: str) -> None:
        line.set_inheritable(False)
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
        message, handles, _, _ = socket.recv_fds(self._line, LONGEST_MESSAGE, MOST_HANDLES)
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
            elif self._forked(order, handles):
                return list(order.arguments)
        for handle in handles:
            os.close(handle)
        return None

    def _check(self, order: Order) -> None:
        if order.environment != self._environment:
            raise Unfit(f"this is the zygote of {self._environment}, not of {order.environment}")

    def _forked(self, order: Order, handles: Sequence[int]) -> bool:
        """Whether this process is the worker."""
        pid = os.fork()
        if pid == 0:
            self._become_worker(order.numbers, handles)
            return True
        self._workers[os.pidfd_open(pid)] = pid
        self._tell(id=order.id, pid=pid)
        return False

    def _become_worker(self, numbers: Sequence[int], handles: Sequence[int]) -> None:
        """A session of its own, its own log, and nothing that belongs to the zygote."""
        os.setsid()
        self._line.close()
        for handle in self._workers:
            os.close(handle)
        log, *others = handles
        for stream in (1, 2):
            os.dup2(log, stream)
        os.close(log)
        renumber(others, numbers)
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
        give_back()


def renumber(handles: Sequence[int], numbers: Sequence[int]) -> None:
    """Give open files the numbers that they have elsewhere; nothing else may be open under them."""
    above = max((*numbers, *handles), default=0) + 1
    kept = [fcntl.fcntl(handle, fcntl.F_DUPFD_CLOEXEC, above) for handle in handles]
    for handle in handles:
        os.close(handle)
    for handle, number in zip(kept, numbers, strict=True):
        os.dup2(handle, number, inheritable=False)
        os.close(handle)


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
        numbers=tuple(fields.get("numbers", ())),
    )
