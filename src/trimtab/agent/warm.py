"""The warm process of trimtab's own programs, from which gateways and the controller are forked.

They share the memory of what they import with it and with the agent, and start without importing
it. Its first life is forked off the agent; a later one is started cold, and shares with them alone.
"""

import argparse
import os
import runpy
import signal
import socket
import sys
import traceback
from collections.abc import Sequence
from dataclasses import replace
from typing import NoReturn

from trimtab.agent.options import Patience, Report
from trimtab.agent.process import Child, Forked, Launch, Nursery
from trimtab.agent.title import entitle
from trimtab.agent.zygote import Breed, Zygote
from trimtab.worker import zygote as other_side

ENVIRONMENT = "trimtab"
NAME = "trimtab-warm"
PROGRAM = (sys.executable, "-P", "-m")
"""How programs are started that can as well be forked: the name of a module and its arguments."""


class Warm:
    """Starts programs: forked where that is possible, cold where it is not."""

    def __init__(
        self,
        nursery: Nursery,
        patience: Patience,
        report: Report,
        shared: Sequence[str],
        forked: Forked | None,
    ) -> None:
        self._nursery = nursery
        self._shared = shared
        self._zygote: Zygote | None = None
        if forked is not None and nursery.adopts:
            breed = Breed(ENVIRONMENT, _launch, forked)
            quick = replace(patience, start=patience.warm)
            self._zygote = Zygote(breed, nursery, quick, report)
            self._zygote.warm_up(shared)

    async def start(self, launch: Launch) -> Child:
        """A running program. Raises `Permanent` TT-701 when no process can be made."""
        if self._zygote is not None and tuple(launch.argv[:3]) == PROGRAM:
            handles = (self._nursery.lifeline, *launch.fds)
            child = await self._zygote.fork(launch.name, launch.argv[3:], self._shared, handles)
            if child is not None:
                return child
        return self._nursery.spawn(launch)

    @property
    def processes(self) -> dict[str, int]:
        """The process id of the warm process by its name, while there is one."""
        zygote = self._zygote
        return {} if zygote is None or zygote.pid is None else {zygote.name: zygote.pid}

    async def stop(self) -> None:
        """End the warm process; what was forked from it goes on."""
        if self._zygote is not None:
            await self._zygote.stop()


def _launch(line: int) -> Launch:
    argv = (*PROGRAM, "trimtab.agent.warm", "--line-fd", str(line))
    return Launch(f"zygote-{ENVIRONMENT}", argv, os.environ, (line,))


def serve(line: socket.socket) -> NoReturn:
    """Fork what the agent orders until it closes the line; in a forked process, be the program."""
    entitle(NAME, "trimtab.agent.warm")
    # numpy's BLAS would start a thread for each further core, and no program here needs them.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    # Arrow's allocator gives memory back at once and takes it anew as huge pages, which the kernel
    # clears each time: a quarter of a second later, when the next segments are made.
    os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")
    module, *arguments = other_side.Zygote(line, ENVIRONMENT).run()
    entitle(f"trimtab-{module.rpartition('.')[2]}", " ".join((module, *arguments)))
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os._exit(_run(module, arguments))


def _run(module: str, arguments: Sequence[str]) -> int:
    """The exit code of `python -m module arguments`, run in this process."""
    sys.argv = [module, *arguments]
    code: int | str | None = 0
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except SystemExit as end:
        code = end.code
    except BaseException:
        traceback.print_exc()
        code = 1
    if isinstance(code, str):
        print(code, file=sys.stderr)
    sys.stdout.flush()
    sys.stderr.flush()
    return code if isinstance(code, int) else 0 if code is None else 1


def main(words: Sequence[str] | None = None) -> NoReturn:
    """A later life: `python -m trimtab.agent.warm --line-fd N`."""
    parser = argparse.ArgumentParser(prog="python -m trimtab.agent.warm")
    parser.add_argument("--line-fd", type=int, required=True)
    serve(socket.socket(fileno=parser.parse_args(words).line_fd))


if __name__ == "__main__":
    main()
