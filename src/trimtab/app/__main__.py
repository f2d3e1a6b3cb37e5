"""`python -m trimtab.app run`: the process of a pipeline run, a job of the agent."""

import argparse
import contextlib
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path

from trimtab import errors
from trimtab.agent.niceness import JOB
from trimtab.app.projects import project_at
from trimtab.app.runs import RunOrder, carry_out
from trimtab.build.run import RunStatus, write_status
from trimtab.domain import layout
from trimtab.loop.runs import Place, Runs
from trimtab.worker.niceness import yield_by


def _log(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _leave_result(place: Place, run: str, error: str) -> None:
    """Say why it failed where nothing else did: the loop would know an exit code and no more."""
    told = Runs(place).status(run)
    if told is not None and told.state != "running":
        return
    folder = place.home / layout.RUNS / run
    with contextlib.suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_status(folder, RunStatus(state="failed", error=error))


def main(arguments: Sequence[str] | None = None) -> int:
    """The process of a pipeline run: `run --home … --project … --run … --model …`."""
    parser = argparse.ArgumentParser(prog="python -m trimtab.app")
    parser.add_argument("role", choices=["run"])
    for option in ("--home", "--project"):
        parser.add_argument(option, type=Path, required=True)
    for option in ("--run", "--model", "--deployment"):
        parser.add_argument(option, required=True)
    parser.add_argument("--until", type=float, default=None)
    given = parser.parse_args(arguments)
    yield_by(JOB)
    order = RunOrder(given.run, given.model, given.deployment, given.until)
    place = Place(given.home, given.project)
    try:
        carry_out(project_at(given.project, given.home), order, _log)
    except errors.TrimtabError as problem:
        _log(str(problem))
        _leave_result(place, given.run, str(problem))
        return 1
    except Exception as problem:
        traceback.print_exc()
        _leave_result(place, given.run, f"{type(problem).__name__}: {problem}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
