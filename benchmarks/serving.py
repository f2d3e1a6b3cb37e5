"""trimtab beside other servers: same machine, same model, same client, one run.

usage: scripts/bench serving [--quick] [--only CASE,CASE] [--peers NAME,NAME] [--rounds N]
           [--seconds S] [--warmup S] [--gateways N] [--workers N] [--json] [--write]

`--list` names cases and servers. `--write` puts the tables into docs/benchmarks/serving.md,
`--json` prints them. What fails is told and listed; a run that is interrupted keeps what it has.
"""

import argparse
import json
import os
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from harness import report
from harness.cases import CASES, Case
from harness.models import train
from harness.ours import Trimtab
from harness.peers import PEERS
from harness.rounds import Effort, Rounds
from harness.servers import Server

PAGE = Path(__file__).resolve().parents[1] / "docs" / "benchmarks" / "serving.md"
QUICK = Effort(seconds=1.0, warmup=0.5, rounds=1)


def chosen(options: argparse.Namespace) -> tuple[list[Case], dict[str, Server]]:
    """The cases and servers that were asked for."""
    ours = [
        Trimtab("trimtab", engine=options.engine, gateways=options.gateways),
        Trimtab("trimtab-compiled", engine="auto", gateways=options.gateways),
    ]
    servers: dict[str, Server] = {**{server.name: server for server in ours}, **PEERS}
    names = [case.name for case in CASES]
    wanted = _named(options.only, names, "case") or names
    peers = _named(options.peers, list(servers), "server")
    cases = [case for case in CASES if case.name in wanted]
    used = {name for case in cases for name in case.servers}
    return cases, {
        name: server
        for name, server in servers.items()
        if name in used and (not peers or name in peers or name in (o.name for o in ours))
    }


def _named(text: str | None, known: Sequence[str], what: str) -> list[str]:
    names = text.split(",") if text else []
    for name in names:
        if name not in known:
            raise SystemExit(f"no {what} {name!r}; there are {', '.join(known)}")
    return names


def effort(options: argparse.Namespace) -> Effort:
    """How much is measured."""
    usual = QUICK if options.quick else Effort()
    return Effort(
        seconds=options.seconds or usual.seconds,
        warmup=usual.warmup if options.warmup is None else options.warmup,
        rounds=options.rounds or usual.rounds,
        workers=options.workers,
    )


def arguments() -> argparse.Namespace:
    """What was typed."""
    parser = argparse.ArgumentParser(description="Serving, side by side.")
    parser.add_argument("--quick", action="store_true", help="a smoke run: one short round")
    parser.add_argument("--only", metavar="CASE,CASE")
    parser.add_argument("--peers", metavar="NAME,NAME", help="beside trimtab")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--seconds", type=float)
    parser.add_argument("--warmup", type=float)
    parser.add_argument(
        "--engine", default="native", help="of `trimtab build` for the server `trimtab`"
    )
    parser.add_argument("--gateways", type=int, default=1, help="trimtab's gateway processes")
    parser.add_argument("--workers", type=int, default=1, help="trimtab's, where peers get two")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--write", action="store_true")
    return parser.parse_args()


def main() -> None:
    """Measure, tell, and write the page when asked to."""
    options = arguments()
    cases, servers = chosen(options)
    if options.list:
        for case in cases:
            print(f"{case.name:12} {case.title} [{', '.join(case.servers)}]")
        return
    if len(os.sched_getaffinity(0)) < 2:
        raise SystemExit("two cores are needed: one for the server, one for the client")
    signal.signal(signal.SIGTERM, _interrupted)
    much = effort(options)
    with tempfile.TemporaryDirectory(prefix="trimtab-serving-") as folder:
        rounds = Rounds(cases, servers, train(Path(folder)), much, _tell)
        try:
            rounds.run()
        except KeyboardInterrupt:
            _tell("interrupted: what follows is what was measured before")
    page = report.page(rounds, cases, servers, much)
    if options.write:
        PAGE.write_text(page, encoding="utf-8")
    if options.json:
        print(json.dumps(report.as_json(rounds, cases, servers), indent=1))
    elif not options.write:
        print(page)


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _interrupted(*_: Any) -> NoReturn:
    raise KeyboardInterrupt


if __name__ == "__main__":
    main()
