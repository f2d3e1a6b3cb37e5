"""What a journal of a year costs: the start of a controller, its pages, and what is asked of it.

usage: scripts/bench history [--entries 1000000] [--rounds 9] [--home FOLDER]

Writes a journal as three busy deployments would in a year: workers scaled every few minutes,
incidents, retraining and rollouts each day. Then starts a controller on it, without agent and
gateways, and asks its admin listener. With `--home` the journal is kept there and used again.
"""

import argparse
import asyncio
import hashlib
import http.client
import json
import resource
import socket
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import cycle, islice
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import insert

from trimtab.app.control import ControlRoom, control_room
from trimtab.backends.database import journal, open_database, outbox, releases, writing
from trimtab.backends.home import open_home
from trimtab.backends.journal import SqlJournal
from trimtab.domain import chain, layout
from trimtab.domain import events as e
from trimtab.domain.deployment import DeploymentSpec
from trimtab.domain.events import kind_of, subject_of
from trimtab.domain.names import Digest
from trimtab.domain.release import EnvironmentLock, Golden, LockedPackage, Manifest
from trimtab.domain.rollout import Standing
from trimtab.domain.signature import Column, Datatype, Output, Signature
from trimtab.domain.verdicts import Cause, Incident, RankedCause, RuledOut, Verdict
from trimtab.web.server import create_app, serve
from trimtab.web.source import RoomSource

DEPLOYMENTS = ("churn", "flights", "prices")
RELEASES = 365
DAYS = 365
BATCH = 1000
ONCE_A_DAY = 22
"""Entries of a day of one deployment that are not about its workers."""
MARK = 123_456_789_123
"""Stands for the number of an entry until it has one."""
PAGES = {
    "overview": "/",
    "page of a deployment": "/deployments/flights",
    "trimtab status": "/api/status",
    "trimtab history": "/api/history?limit=50",
    "history of a deployment, from its middle": "/api/history?deployment=flights&before={middle}",
    "trimtab why": "/api/why",
    "trimtab why INCIDENT": "/api/why/flights-i7",
    "trimtab runs": "/api/runs",
    "traffic": "/api/traffic/flights",
}


def standing(model: str, number: int) -> Standing:
    """A release."""
    digest = hashlib.sha256(f"{model}{number}".encode()).hexdigest()
    return Standing(Digest(f"sha256:{digest}"), f"{model}@{number}", number)


def manifest(model: str) -> Manifest:
    """A manifest with an environment of ordinary size."""
    packages = tuple(LockedPackage(f"package-{n}", "1.0", ("ab" * 32,)) for n in range(40))
    columns = tuple(Column(f"column_{n}", Datatype.FP64) for n in range(30))
    return Manifest(
        model=model,
        format="skops",
        model_path="model.skops",
        features=None,
        frame="pandas",
        tree=Digest("sha256:" + "0" * 64),
        environment=EnvironmentLock("3.11.7", "linux_x86_64", packages),
        data=None,
        signature=Signature(columns, (Output("score", Datatype.FP64),), "binary", ("0", "1")),
        execution={},
        profile=None,
        golden=Golden(Digest("sha256:" + "1" * 64), 64, 0.0, True),
    )


def incident(name: str, day: int, at: float) -> Incident:
    """An incident with as much evidence as they usually have."""
    reason = "error is 19.1% [18.4%, 19.9%] of 4,120 labels, 17.2% tolerated"
    verdict = Verdict(signal="quality", tier="page", verdict="bad", reason=reason, release="r")
    return Incident(
        id=f"{name}-i{day}",
        deployment=name,
        release=standing(name, day + 1).digest,
        tier="page",
        opened_at=at,
        first_evidence_at=at - 3600.0,
        signals=("quality", "input:column_1"),
        severity=reason,
        causes=(RankedCause(Cause.DATA_DRIFT, 1, ("column_1 moved",) * 5),),
        ruled_out=(RuledOut(Cause.BAD_RELEASE, "it began long after the release"),) * 5,
        action="retrain",
        undo="",
        verdicts=(verdict,) * 5,
    )


def day(name: str, number: int, at: float) -> Iterator[e.AnyEvent]:
    """What happens to a deployment in a day, but for changes of its worker counts."""
    new, rollout, run = standing(name, number + 1), f"{name}-r{number}", f"{name}-run{number}"
    trouble = incident(name, number, at)
    yield e.IncidentOpened(trouble)
    yield from [e.IncidentUpdated(trouble)] * 10
    yield e.RunRequested(run, name, "quality", at, trouble.id)
    yield e.RunSucceeded(run, new, 60.0)
    yield e.RolloutStarted(rollout, new, "canary", at, automatic=True)
    for step, weight in enumerate((100, 500, 2500, 5000)):
        yield e.RolloutAdvanced(rollout, "canary", step, weight, at + step)
    yield e.RolloutAdvanced(rollout, "bake", 4, 10_000, at + 5.0)
    yield e.RolloutEnded(rollout, new, "promoted", at + 6.0)
    yield e.Proven(new, at + 6.0)
    yield e.IncidentClosed(trouble.id, at + 7.0)


def hour(name: str, number: int, at: float) -> Iterator[e.AnyEvent]:
    """How its workers follow the demand."""
    for turn in range(4):
        yield e.Scaled(standing(name, number + 1), turn + 1, (turn + 3) % 4 + 1, at + turn)


def year(entries: int) -> Iterator[e.NewEntry]:
    """The journal of a year, `entries` long at least; entries that are alike are one object."""
    began = 1_700_000_000.0
    each = max(-(-entries // (DAYS * len(DEPLOYMENTS))) - ONCE_A_DAY, 1)
    for name in DEPLOYMENTS:
        spec = DeploymentSpec(name=name, model=name)
        yield e.NewEntry(at=began, actor="ann", event=e.SpecApplied(spec), deployment=name)
        for number in range(1, RELEASES + 2):
            made = e.ReleaseRegistered(standing(name, number))
            yield e.NewEntry(at=began, actor="ann", event=made)
    for number in range(DAYS):
        at = began + number * 86_400.0
        for name in DEPLOYMENTS:
            yield from (told(name, number, at, event) for event in day(name, number, at))
            scaled = [told(name, number, at, event) for event in hour(name, number, at)]
            yield from islice(cycle(scaled), each)


def told(name: str, number: int, at: float, event: e.AnyEvent) -> e.NewEntry:
    """An entry with as many words and numbers as they usually have."""
    return e.NewEntry(
        at=at,
        actor="controller",
        event=event,
        deployment=name,
        release=f"{name}@{number + 1}",
        reason="820/s × 1.9 ms = 1.6 busy, p99 queue 4 ms",
        evidence={"rate_per_second": 820.0, "busy": 1.6, "queue_seconds": 0.004},
    )


def rows(entries: Iterable[e.NewEntry], epoch: int) -> Iterator[dict[str, Any]]:
    """Rows of the journal. Sealing is most of the work, so what is alike is sealed once."""
    stencils: dict[int, tuple[e.NewEntry, bytes]] = {}
    previous = chain.GENESIS
    for seq, new in enumerate(entries, 1):
        if id(new) not in stencils:
            stencils[id(new)] = new, chain.content(new, MARK, epoch)
        stored = stencils[id(new)][1].replace(b'"seq":%d' % MARK, b'"seq":%d' % seq)
        hashed = chain.link(previous, stored)
        yield {
            "seq": seq,
            "at": new.at,
            "kind": kind_of(new.event),
            "deployment": new.deployment,
            "content": stored.decode(),
            "previous": previous,
            "hash": hashed,
            "subject": subject_of(new.event),
        }
        previous = hashed


def write(home: Path, entries: int) -> None:
    """Write the journal, its outbox and the catalog into a state folder."""
    engine = open_database(home / layout.DATABASE)
    epoch = SqlJournal(engine).lead("benchmark", 0.0)
    with writing(engine, "write") as db:
        left = rows(islice(year(entries), entries), epoch)
        while part := list(islice(left, BATCH)):
            db.execute(insert(journal), part)
        db.execute(insert(outbox), list(messages()))
        db.execute(insert(releases), list(registered()))
    engine.dispose()


def messages() -> Iterator[dict[str, Any]]:
    """The outbox: a message about each incident, all of them sent."""
    for name in DEPLOYMENTS:
        for number in range(DAYS):
            trouble = incident(name, number, 0.0)
            effect = e.Effect(f"notify:{trouble.id}", e.Notify(trouble))
            content = msgspec.json.encode(effect).decode()
            yield {"id": effect.id, "content": content, "done": 1}


def registered() -> Iterator[dict[str, Any]]:
    """The catalog."""
    for name in DEPLOYMENTS:
        content = msgspec.json.encode(manifest(name)).decode()
        for number in range(1, RELEASES + 2):
            yield {
                "digest": standing(name, number).digest,
                "model": name,
                "number": number,
                "created_at": float(number),
                "manifest": content,
            }


def project(folder: Path) -> Path:
    """A project with the deployments."""
    tables = [f'[deployment.{name}]\nmodel = "{name}"\n' for name in DEPLOYMENTS]
    (folder / "trimtab.toml").write_text("\n".join(tables))
    return folder


def begun(home: Path, folder: Path) -> ControlRoom:
    """A controller that leads."""
    room = control_room(home, folder)
    room.controller.lead("benchmark")
    return room


@contextmanager
def listening(room: ControlRoom) -> Iterator[int]:
    """The admin listener of a controller, by its port."""
    opened = socket.create_server(("127.0.0.1", 0))
    port, loop = opened.getsockname()[1], asyncio.new_event_loop()
    task = loop.create_task(serve(create_app(room.control, RoomSource(room)), opened.detach()))
    thread = threading.Thread(target=lambda: loop.run_until_complete(asyncio.wait([task])))
    thread.start()
    try:
        yield port
    finally:
        loop.call_soon_threadsafe(task.cancel)
        thread.join()
        loop.close()


def asked(port: int, path: str) -> int:
    """Ask for a page; returns its bytes."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=600.0)
    connection.request("GET", path)
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    if answer.status != 200:
        raise SystemExit(f"{path}: {answer.status} {body[:200]!r}")
    return len(body)


class Took(NamedTuple):
    """Seconds of the first time, and the medians of the others by the clock and of processors."""

    first: float
    then: float
    processor: float


def timed(rounds: int, act: Callable[[], object]) -> Took:
    """Do something several times."""
    clock, processor = [], []
    for _ in range(rounds):
        began, used = time.perf_counter(), time.process_time()
        act()
        clock.append(time.perf_counter() - began)
        processor.append(time.process_time() - used)
    later = slice(min(1, rounds - 1), None)
    return Took(clock[0], statistics.median(clock[later]), statistics.median(processor[later]))


def measure(home: Path, folder: Path, entries: int, rounds: int) -> dict[str, Took]:
    """What each question takes."""
    found = {"first start, all replayed": timed(1, lambda: begun(home, folder))}
    found["start"] = timed(rounds, lambda: begun(home, folder))
    room = begun(home, folder)
    found["a tick's look at the outbox"] = timed(rounds, room.controller.store.journal.pending)
    with listening(room) as port:
        for name, path in PAGES.items():
            page = path.format(middle=entries // 2)
            found[name] = timed(rounds, partial(asked, port, page))
    return found


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--entries", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--home", type=Path, help="where the journal is kept and used again")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = project(Path(temporary))
        home = open_home(given.home or folder / ".trimtab")
        if not (home / layout.DATABASE).exists():
            write(home, given.entries)
        found = measure(home, folder, given.entries, given.rounds)
        size = (home / layout.DATABASE).stat().st_size / 2**20
    if given.json:
        print(json.dumps(found))
        return
    print(f"{given.entries:,} entries, {size:,.0f} MiB; medians of {given.rounds} rounds\n")
    print("| What | first, ms | then, ms | of processors, ms |\n| --- | --: | --: | --: |")
    for name, took in found.items():
        print(f"| {name} | {' | '.join(f'{each * 1e3:,.1f}' for each in took)} |")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"\nat most {peak:,.0f} MiB resident, the writing of the journal included")


if __name__ == "__main__":
    main()
