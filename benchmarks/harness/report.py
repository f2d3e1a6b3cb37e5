"""A run told: as a page of docs/benchmarks, and as JSON."""

import math
import platform
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

from harness.cases import ONE_CORE, Case, Table
from harness.measures import Figures
from harness.processes import machine
from harness.rounds import Effort, Found, Rounds
from harness.servers import Server

HEADS = {
    "rate": "answers/s",
    "p50": "p50 ms",
    "p99": "p99 ms",
    "p999": "p99.9 ms",
    "errors": "errors",
    "server_cpu": "server CPU µs/answer",
    "client_busy": "client busy %",
    "added": "added ms",
    "bare": "model alone ms",
    "seconds": "seconds",
    "memory": "MiB",
    "private_memory": "private MiB",
    "rate_without": "answers/s without",
    "p99_without": "p99 ms without",
    "rate_lost": "rate lost %",
    "p99_added": "p99 added %",
}
_FACTORS = {
    **dict.fromkeys(("p50", "p99", "p999", "added", "bare", "p99_without"), 1e3),
    **dict.fromkeys(("memory", "private_memory"), 2.0**-20),
    **dict.fromkeys(("rate_lost", "p99_added", "client_busy"), 100.0),
    "server_cpu": 1e6,
}
_DIGITS = {
    "rate": 0,
    "rate_without": 0,
    "errors": 0,
    "server_cpu": 0,
    "memory": 0,
    "client_busy": 0,
}

METHOD = """\
Each server runs alone, in an environment of its own made from `requirements/peers-*.txt`, and
serves the same fitted model (`benchmarks/harness/models.py`): a scaled logistic regression and
scikit-learn's histogram gradient boosting, 30 numeric features. trimtab is built, deployed and
started as a user does it, with everything on: request log, monitors, routing, validation,
deadlines. In each round every server is started, warmed and measured in turn; figures are medians
over the rounds, errors their sum.

The load generator (`benchmarks/harness/client.py`) is a process around epoll. *On one core* means
that all processes of the server share core 1 and the generator has core 0; *both cores* means that
nobody is pinned and the generator shares the machine. In a closed loop every connection asks again
once it is answered. In an open loop arrivals are a Poisson process and wait for a free connection;
latency counts from the arrival, so a server that stalls is charged for all who waited. The status
and the number of outputs of every answer are checked, and the values of one in 97. Processor time
is that of the server's whole process tree.

BLAS and OpenMP have one thread in every server, and no server writes an access log.
trimtab unmaps pages of libraries that only its start needed (decision 0053); the page cache keeps
them: some 50 MiB that the others show as resident.
"""


def targets(case: Case, table: Table) -> list[dict[str, Any]]:
    """The targets of a case: `text`, `measured`, `reached` (None where a figure is missing)."""
    told = []
    for target in case.targets:
        try:
            measured, reached = target.reached(table)
        except KeyError:
            measured, reached = "not measured", None
        told.append({"text": target.text, "measured": measured, "reached": reached})
    return told


def as_json(rounds: Rounds, cases: Sequence[Case], servers: Mapping[str, Server]) -> dict[str, Any]:
    """Everything, runs included."""
    return {
        "machine": machine(),
        "python": platform.python_version(),
        "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "command": command(),
        "servers": {name: server.says for name, server in servers.items()},
        "cases": [
            {
                "case": case.name,
                "title": case.title,
                "cores": case.cores,
                "results": rounds.table(case),
                "runs": {name: found.runs for name, found in rounds.found[case.name].items()},
                "problems": problems(rounds.found[case.name]),
                "targets": targets(case, rounds.table(case)),
            }
            for case in cases
        ],
    }


def problems(found: Mapping[str, Found]) -> dict[str, list[str]]:
    """What failed, by server."""
    return {name: each.problems for name, each in found.items() if each.problems}


def command() -> str:
    """How this run is repeated."""
    return f"scripts/bench {' '.join(['serving', *sys.argv[1:]])}"


def page(
    rounds: Rounds, cases: Sequence[Case], servers: Mapping[str, Server], effort: Effort
) -> str:
    """The page, whatever was measured of it."""
    made = f"Made by `{command()}` on {time.strftime('%Y-%m-%d')}: {machine()}."
    much = f"{_counted(rounds)} of {effort.seconds:g} s after {effort.warmup:g} s of warm-up."
    parts = [
        "# Serving, side by side",
        f"{made} {much}",
        "## Targets",
        _targets(rounds, cases),
        "## Measured",
        *[_case(rounds, case) for case in cases],
        "## Servers",
        _lines("server", "versions and configuration", {n: s.says for n, s in servers.items()}),
        *_failures(rounds, cases),
        "## How it is measured",
        METHOD,
    ]
    return "\n\n".join(part.rstrip() for part in parts) + "\n"


def _counted(rounds: Rounds) -> str:
    """How many rounds there were: a run that was interrupted has fewer of the later cases."""
    runs = [len(found.runs) for each in rounds.found.values() for found in each.values()]
    held = sorted({count for count in runs if count})
    return f"{' to '.join(map(str, held[:1] + held[1:][-1:]))} rounds" if held else "No round"


def _targets(rounds: Rounds, cases: Sequence[Case]) -> str:
    lines = ["| case | target | measured | |", "|---|---|---|---|"]
    for case in cases:
        for target in targets(case, rounds.table(case)):
            sign = {True: "✓", False: "✗", None: "–"}[target["reached"]]
            lines.append(f"| {case.title} | {target['text']} | {target['measured']} | {sign} |")
    return "\n".join(lines)


def _case(rounds: Rounds, case: Case) -> str:
    table = rounds.table(case)
    columns = [name for name in HEADS if any(name in figures for figures in table.values())]
    where = "server on one core" if case.cores == ONE_CORE else "both cores"
    lines = [f"### {case.title[0].upper()}{case.title[1:]} ({where})", ""]
    if not table:
        return "\n".join([*lines, "Nothing was measured."])
    lines.append(f"| server | {' | '.join(HEADS[name] for name in columns)} |")
    lines.append(f"|---{'|---:' * len(columns)}|")
    for name, figures in table.items():
        cells = " | ".join(_cell(figures, column) for column in columns)
        lines.append(f"| {name} | {cells} |")
    return "\n".join(lines)


def _cell(figures: Figures, column: str) -> str:
    value = figures.get(column, math.nan)
    if math.isnan(value):
        return "–"
    return f"{value * _FACTORS.get(column, 1.0):,.{_DIGITS.get(column, 2)}f}"


def _lines(first: str, second: str, rows: Mapping[str, str]) -> str:
    body = "\n".join(f"| {name} | {text} |" for name, text in rows.items())
    return f"| {first} | {second} |\n|---|---|\n{body}"


def _failures(rounds: Rounds, cases: Sequence[Case]) -> list[str]:
    """Reasons by server, with the cases that they kept from being measured."""
    grouped: dict[tuple[str, str], list[str]] = {}
    for case in cases:
        for name, reasons in problems(rounds.found[case.name]).items():
            text = " ".join("; ".join(dict.fromkeys(reasons)).split())[:400].replace("|", "\\|")
            grouped.setdefault((name, text), []).append(case.name)
    if not grouped:
        return []
    rows = {f"{name} ({', '.join(of)})": text for (name, text), of in grouped.items()}
    return ["## What failed", _lines("server (cases)", "why", rows)]
