"""What it costs to watch: time of the processor a row, and the peak of memory, on the same rows.

Each is a program of its own, run over few rows and over many: the difference is what rows cost,
without the interpreter, its imports and the reference.
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from harness.environments import environment

from judgement import peers
from judgement.case import Case
from judgement.chunks import Asked
from judgement.fifty import Streams
from judgement.peers import HERE, Job
from judgement.streams import Stream

SIZES = (10_000, 100_000)
"""Few rows and many."""

ALONE = ("ADWIN", "PageHinkley", "HDDM_W", "DDM", "KSWIN")
TOGETHER = ("ADWIN", "PageHinkley")
PRODUCTS = {"trimtab": 1, "evidently": 24, "nannyml": 24, "frouros": 24}
"""Programs that read tables, and the hours that they judge at once."""


@dataclass(frozen=True)
class Cost:
    """Of a detector or product over so many streams or columns."""

    name: str
    streams: int
    micros: float
    few_bytes: int
    many_bytes: int


@dataclass(frozen=True)
class Spent:
    """What one run took."""

    seconds: float
    peak_bytes: int


def costs(case: Case, sizes: tuple[int, int] = SIZES) -> Iterator[Cost]:
    """All of them, on a null of the case."""
    null = case.null(1, sizes[1])
    for name, hours in PRODUCTS.items():
        python = sys.executable if name == "trimtab" else str(environment(f"peers-{name}"))
        lay = partial(table, null, hours * case.block)
        yield measured(name, len(null.inputs) + 1, (python, f"{name}_alerts.py"), lay, sizes)
    python = str(environment("peers-river"))
    every = list(Streams(null).of(null.live))
    pairs = [(name, ["error"]) for name in ALONE] + [(name, every) for name in TOGETHER]
    for name, watched in pairs:
        lay = partial(jobs, null, name, watched)
        yield measured(f"river {name}", len(watched), (python, "river_side.py"), lay, sizes)


def table(null: Stream, size: int, rows: int, folder: Path) -> None:
    """The first rows for a program that reads tables."""
    Asked(null, null.live.iloc[:rows], size).lay(folder / "0")


def jobs(null: Stream, detector: str, names: list[str], rows: int, folder: Path) -> None:
    """The first rows of streams for river, by its defaults."""
    values = Streams(null).of(null.live.iloc[:rows])
    asked = [vars(Job(detector, name)) for name in names]
    peers.laid(asked, {name: values[name] for name in names}, folder)


def measured(
    name: str,
    streams: int,
    program: tuple[str, str],
    lay: Callable[[int, Path], None],
    sizes: tuple[int, int],
) -> Cost:
    """The difference between few rows and many."""
    few, many = (spent(program, partial(lay, rows)) for rows in sizes)
    micros = 1e6 * (many.seconds - few.seconds) / (sizes[1] - sizes[0])
    return Cost(name, streams, micros, few.peak_bytes, many.peak_bytes)


def spent(program: tuple[str, str], lay: Callable[[Path], None]) -> Spent:
    """What a run of the program took."""
    python, file = program
    with tempfile.TemporaryDirectory(prefix="judgement-") as made:
        lay(Path(made))
        command = [sys.executable, str(HERE / "spent.py"), python, str(HERE / file), made]
        done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{file} failed: {done.stderr.strip()[-2000:]}")
    return Spent(**json.loads(done.stdout))
