"""This checkout and another one, both up at once, under the same loads in turn: what a change did.

usage: scripts/bench alternate OTHER [--load LOAD ...] [--pairs N] [--engine native|auto] [--both]

OTHER is the folder of a checkout of another version, such as `git worktree add` makes. A LOAD is
CONNECTIONS-ROWS-KIND, as `64-1-json`, or CONNECTIONS-ROWS-KIND-RATE for an open loop of so many
requests a second. The model is the logistic regression of `serving`. Servers share core 1 and the
client has core 0, unless `--both` gives all of them both. On a machine whose speed swings, only the
medians of the ratios within pairs mean something: this checkout over the other one. The one that
was started first is the slower by up to a twentieth, whichever it is, so each is it for one half.
"""

import argparse
import contextlib
import os
import statistics
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from harness.generator import generate
from harness.load import Result
from harness.models import Trained, train
from harness.ours import Trimtab
from harness.servers import Place, Running, first_answer, load

HERE = Path(__file__).resolve().parents[1]
SECONDS, WARMUP = 1.2, 0.3
FIGURES = ("rate", "p50", "p99", "server_cpu")


class Version(NamedTuple):
    """A version that runs, and the model that it serves."""

    running: Running
    model: Trained


class Built(NamedTuple):
    """A checkout's own code, with the model built and deployed in a folder of its own."""

    checkout: Path
    folder: Path
    server: Trimtab
    model: Trained

    @classmethod
    def of(cls, checkout: Path, folder: Path, engine: str) -> "Built":
        """Builds it."""
        folder.mkdir()
        model = train(folder)["logreg"]
        made = cls(checkout, folder, Trimtab("trimtab", engine=engine), model)
        made.use()
        made.server.prepare(model)
        return made

    def use(self) -> None:
        """What is started from now on is of this checkout."""
        os.environ["PYTHONPATH"] = str(self.checkout / "src")

    @contextlib.contextmanager
    def up(self, cores: tuple[int, ...] | None) -> Iterator[Version]:
        """The model served."""
        self.use()
        running = self.server.start(self.model, Place(self.folder, cores))
        try:
            first_answer(running, self.model)
            yield Version(running, self.model)
        finally:
            running.stop()


def measured(version: Version, asked: str, seed: int, cores: list[int] | None) -> Result:
    """One load on one version."""
    connections, rows, kind, *rate = asked.split("-")
    more: dict[str, object] = {"rate": float(rate[0])} if rate else {}
    (result,) = generate(
        load(
            *version,
            kind,
            int(rows),
            connections=int(connections),
            seconds=SECONDS,
            warmup=WARMUP,
            seed=seed,
            cores=cores,
            **more,
        )
    )
    return result


def told(asked: str, pairs: Sequence[tuple[Result, Result]]) -> None:
    """Print the medians of both versions, and of the ratios within pairs."""
    for name, side in (("this", 0), ("other", 1)):
        each = {f: statistics.median(getattr(pair[side], f) for pair in pairs) for f in FIGURES}
        print(
            f"{asked} {name:>5}: {each['rate']:,.0f}/s, p50 {each['p50'] * 1e3:.2f} ms, "
            f"p99 {each['p99'] * 1e3:.2f} ms, {each['server_cpu'] * 1e6:.0f} µs of a processor"
        )
    ratios = (
        f"{f} {statistics.median(getattr(one, f) / getattr(other, f) for one, other in pairs):.2f}"
        for f in FIGURES
    )
    print(f"{asked} this / other, {len(pairs)} pairs: {', '.join(ratios)}", flush=True)


def halves(
    this: Built, other: Built, cores: tuple[int, ...] | None
) -> Iterator[tuple[Version, Version]]:
    """Both versions up: first this one was started before the other, then the other before this."""
    with this.up(cores) as ours, other.up(cores) as theirs:
        yield ours, theirs
    with other.up(cores) as theirs, this.up(cores) as ours:
        yield ours, theirs


def main() -> None:
    """Measure and tell."""
    parser = argparse.ArgumentParser(description="Two versions of trimtab under loads in turn.")
    parser.add_argument("other", type=Path)
    parser.add_argument("--load", nargs="*", default=["64-1-json", "16-1-json", "16-100-json"])
    parser.add_argument("--pairs", type=int, default=12)
    parser.add_argument("--engine", choices=("native", "auto"), default="native")
    parser.add_argument("--both", action="store_true", help="both cores for servers and client")
    given = parser.parse_args()
    servers, client = (None, None) if given.both else ((1,), [0])
    found: dict[str, list[tuple[Result, Result]]] = {asked: [] for asked in given.load}
    with tempfile.TemporaryDirectory(prefix="trimtab-alternate-") as scratch:
        this = Built.of(HERE, Path(scratch) / "this", given.engine)
        other = Built.of(given.other.resolve(), Path(scratch) / "other", given.engine)
        for ours, theirs in halves(this, other, servers):
            for asked, pairs in found.items():
                for number in range((given.pairs + 1) // 2):
                    order = (ours, theirs) if number % 2 else (theirs, ours)
                    first, second = (measured(each, asked, number, client) for each in order)
                    pairs.append((first, second) if number % 2 else (second, first))
    for asked, pairs in found.items():
        told(asked, pairs)


if __name__ == "__main__":
    main()
