"""`python -m trimtab.app run`: the process of a pipeline run, a job of the agent."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from trimtab import errors
from trimtab.agent.niceness import JOB
from trimtab.app.projects import project_at
from trimtab.app.runs import RunOrder, carry_out
from trimtab.worker.niceness import yield_by


def _log(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


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
    try:
        carry_out(project_at(given.project, given.home), order, _log)
    except errors.TrimtabError as problem:
        _log(str(problem))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
