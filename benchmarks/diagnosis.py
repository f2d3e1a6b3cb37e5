"""The fault catalogue through the real control loop on virtual time: who is blamed, and when.

usage: scripts/bench diagnosis [--quick] [--only FAULT,..] [--data NAME,..] [--seeds N] [--write]
           [--keep FOLDER]

`--quick` is one seed on the census. A run takes a process some seconds; all cores are used.
With `--keep` what came of each run is kept in a folder, so that the whole catalogue, which takes
hours, goes on where it was interrupted; of other code nothing is taken.
"""

import os

# Trees answer some hundred rows at once: threads would cost more than they give.
os.environ["OMP_NUM_THREADS"] = "1"

import argparse
import hashlib
import pickle
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache, partial
from multiprocessing import get_context
from pathlib import Path

from catalogue.faults import BY_NAME, CATALOGUE, Fault
from catalogue.life import Stage, lived, staged
from catalogue.page import actions, by_fault, confusion, line, nulls, page, summary
from catalogue.scores import Outcome, judged
from catalogue.sources import SOURCES

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "benchmarks" / "diagnosis.md"
SEEDS = 4


@dataclass(frozen=True)
class Order:
    """One run."""

    data: str
    fault: Fault
    seed: int


@cache
def stage(name: str) -> Stage:
    """A data set with its releases; workers inherit those that are made before they are forked."""
    return staged(SOURCES[name]())


def carried_out(order: Order, kept: Path | None = None) -> Outcome:
    """Live and judge, unless that was done before."""
    place = kept and kept / f"{order.data} {order.fault.name} {order.seed}.pickle"
    if place and place.exists():
        found: Outcome = pickle.loads(place.read_bytes())  # noqa: S301 - it was written here
        return found
    outcome = judged(lived(stage(order.data), order.fault, order.seed))
    if place:
        whole = place.with_suffix(".new")
        whole.write_bytes(pickle.dumps(outcome))
        whole.rename(place)
    return outcome


def kept_in(folder: Path) -> Path:
    """Where outcomes of the code as it is are kept."""
    code = hashlib.sha256()
    for each in sorted([*ROOT.glob("src/**/*.py"), *ROOT.glob("benchmarks/catalogue/*.py")]):
        code.update(each.read_bytes())
    place = folder / code.hexdigest()[:16]
    place.mkdir(parents=True, exist_ok=True)
    return place


def everything(orders: Sequence[Order], kept: Path | None) -> Iterator[Outcome]:
    """The outcomes in the order of the runs."""
    for name in dict.fromkeys(order.data for order in orders):
        stage(name)
    with get_context("fork").Pool(os.cpu_count()) as pool:
        for outcome in pool.imap(partial(carried_out, kept=kept), orders):
            print(line(outcome), file=sys.stderr, flush=True)
            yield outcome


def main(arguments: list[str] | None = None) -> None:
    """Print the tables, and with `--write` the page."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="one seed on the census")
    parser.add_argument("--only", help=f"faults: {', '.join(BY_NAME)}")
    parser.add_argument("--data", help=f"data sets: {', '.join(SOURCES)}")
    parser.add_argument("--seeds", type=int, help=f"runs of each fault on each ({SEEDS})")
    parser.add_argument("--write", action="store_true", help=f"write {PAGE.name}")
    parser.add_argument("--keep", type=Path, help="a folder for what came of each run")
    given = parser.parse_args(arguments)
    names = (given.data or ("census" if given.quick else ",".join(SOURCES))).split(",")
    wanted = [BY_NAME[name] for name in given.only.split(",")] if given.only else CATALOGUE
    seeds = given.seeds or (1 if given.quick else SEEDS)
    runs = [Order(n, f, seed) for n in names for f in wanted for seed in range(seeds)]
    outcomes = list(everything(runs, given.keep and kept_in(given.keep)))
    for table in (summary, confusion, actions, nulls, by_fault):
        print(table(outcomes))
    if given.write:
        asked = [*(arguments or sys.argv[1:])]
        if given.keep:
            place = asked.index("--keep")
            del asked[place : place + 2]
        command = " ".join(["scripts/bench diagnosis", *asked])
        text = page(outcomes, [stage(name).data for name in names], seeds, command)
        PAGE.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
