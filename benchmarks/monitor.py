"""Judging a log of 50 columns, from file to result: trimtab beside other products.

Run: scripts/bench monitor [--rows 1000000] [--large] [--only NAME] [--rounds 3] [--write]
The page is written by `scripts/bench monitor --large --write`, on a machine that does nothing else.

Every run is a process of its own, each product in its own environment (`requirements/peers-*.txt`,
trimtab in that of `requirements/run.txt`), all with both cores. Seconds count from the first file
opened to the result; the start of the interpreter and the import are told apart. `--large` adds ten
million rows for trimtab, NannyML and DuckDB; each run of the others would take ten minutes or more.
`--write` puts the table into docs/benchmarks/monitor.md.
"""

import argparse
import json
import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from harness.environments import ROOT, NotInstalled, environment, versions
from harness.processes import machine

from trimtab.domain.deployment import DeploymentSpec, MonitorPlan
from trimtab.domain.profile import ColumnProfile, ReferenceProfile
from trimtab.domain.signature import Signature
from trimtab.judge.monitors import Monitors
from trimtab.judge.reports import Surroundings
from trimtab.judge.signals.breaks import Cell, Seen
from trimtab.judge.signals.counts import Bins
from trimtab.judge.signals.inputs import Columns
from trimtab.judge.signals.upstream import Feeds

APPS = Path(__file__).resolve().parent / "harness" / "drift"
PAGE = ROOT / "docs" / "benchmarks" / "monitor.md"
REFERENCE_ROWS, CHUNK, DAYS = 50_000, 100_000, 30
FLOATS, WHOLES, TEXTS = 24, 13, 13
PATIENCE = 1800.0
MEMORY = 12 * 2**30
STREAMS = 10_000


@dataclass(frozen=True)
class Product:
    """A program, its environment, and what it reads."""

    name: str
    app: str
    lock: str
    packages: tuple[str, ...]
    source: str = "parquet"
    large: bool = True


PRODUCTS = (
    Product("trimtab, Parquet", "ours", "run", ("numpy", "pyarrow")),
    Product("trimtab, its own Arrow segments", "ours", "run", ("numpy", "pyarrow"), "arrow"),
    Product("Evidently", "evidently_app", "peers-evidently", ("evidently",), large=False),
    Product("NannyML", "nannyml_app", "peers-nannyml", ("nannyml",)),
    Product("whylogs (profiles only)", "whylogs_app", "peers-whylogs", ("whylogs",), large=False),
    Product(
        "Frouros (KS and chi-square)", "frouros_app", "peers-frouros", ("frouros",), large=False
    ),
    Product("DuckDB (counting only)", "duckdb_app", "run", ("duckdb",)),
)


def chunk(rows: int, first: int, total: int, day: int, seed: int) -> pa.Table:
    """Rows `first` to `first + rows` of `total`, spread over `DAYS` days from `day` on."""
    rng = np.random.default_rng([seed, first])
    micros = (np.arange(first, first + rows) * (DAYS * 86_400e6 / total)).astype("timedelta64[us]")
    columns: dict[str, Any] = {"when": np.datetime64("2026-01-01", "us") + micros}
    columns["when"] = columns["when"] + np.timedelta64(day, "D")
    for i in range(FLOATS):
        columns[f"f{i}"] = rng.normal(i, 1.0 + i / 10.0, rows)
    for i in range(WHOLES):
        columns[f"w{i}"] = rng.integers(0, (24, 100, 1000, 100_000)[i % 4], rows)
    for i in range(TEXTS):
        names = np.array([f"value {k}" for k in range((3, 8, 20, 60)[i % 4])], dtype=object)
        columns[f"t{i}"] = pa.array(names[rng.integers(0, len(names), rows)].tolist(), pa.string())
    score = rng.beta(2.0, 5.0, rows)
    columns |= {"score": score, "label": (rng.random(rows) < score).astype(np.int64)}
    return pa.table({name: pa.array(values) for name, values in columns.items()})


def write(folder: Path, rows: int) -> dict[str, tuple[Path, list[Path]]]:
    """Reference and live files, by what holds them."""
    reference = folder / "reference.parquet"
    if not reference.exists():
        pq.write_table(chunk(REFERENCE_ROWS, 0, REFERENCE_ROWS, 0, 1), reference)
    live, segments = folder / f"live-{rows}.parquet", []
    size = min(CHUNK, rows)
    schema = chunk(1, 0, rows, DAYS, 2).schema
    with pq.ParquetWriter(live, schema) as out:
        for first in range(0, rows, size):
            part = chunk(min(size, rows - first), first, rows, DAYS, 2)
            out.write_table(part)
            segments.append(folder / f"segment-{rows}-{first:09d}.arrow")
            with pa.ipc.new_file(str(segments[-1]), schema) as sink:
                sink.write_table(part, max_chunksize=10_000)
    # Or whoever is measured first waits for the disk.
    os.sync()
    return {"parquet": (reference, [live]), "arrow": (reference, segments)}


def python(product: Product) -> Path:
    """The interpreter of a product; ours gets the wheel of this checkout."""
    made = environment(product.lock)
    if product.app == "ours":
        (wheel,) = (ROOT / ".venv-test" / "wheel").glob("*.whl")
        command = ["-m", "uv", "pip", "install", "--quiet", "--no-deps", "--reinstall"]
        subprocess.run([made, *command, "--python", str(made), str(wheel)], check=True)
    return made


def once(interpreter: Path, product: Product, files: tuple[Path, list[Path]]) -> dict[str, Any]:
    """One run, or what went wrong with it."""
    reference, live = files
    limit = f'ulimit -v {MEMORY * 2 // 1024}; exec "$@"'
    argv = ["bash", "-c", limit, "bash", str(interpreter), str(APPS / f"{product.app}.py")]
    # What is imported was compiled before, as after any installation.
    around = {k: text for k, text in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    try:
        done = subprocess.run(
            [*argv, str(reference), *map(str, live)],
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
            env=around,
        )
    except subprocess.TimeoutExpired:
        return {"problem": f"not done after {PATIENCE:g} s"}
    if done.returncode:
        return {"problem": (done.stderr.strip().splitlines() or ["killed"])[-1][:200]}
    found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def measured(folder: Path, rows: int, given: argparse.Namespace) -> Iterator[str]:
    """Lines of the table for a number of rows."""
    files = write(folder, rows)
    for product in PRODUCTS:
        wanted = given.only is None or given.only.lower() in product.name.lower()
        if not wanted or (rows > 1_000_000 and not product.large):
            continue
        try:
            interpreter = python(product)
        except NotInstalled as problem:
            yield f"| {product.name} | {rows:,} | not installed: {str(problem)[:120]} | | | | |"
            continue
        runs = [once(interpreter, product, files[product.source]) for _ in range(given.rounds)]
        yield line(product, rows, runs)


def line(product: Product, rows: int, runs: Sequence[dict[str, Any]]) -> str:
    """Medians of what came of the rounds."""
    name = f"{product.name} ({versions(product.lock, product.packages)})"
    good = [run for run in runs if "seconds" in run]
    if not good:
        return f"| {name} | {rows:,} | {runs[-1]['problem']} | | | | |"

    def median(key: str) -> float:
        return statistics.median(run[key] for run in good)

    return (
        f"| {name} | {rows:,} | {rows / median('seconds'):,.0f} "
        f"| {rows / median('processor_seconds'):,.0f} | {median('peak_bytes') / 2**20:,.0f} "
        f"({median('anonymous_bytes') / 2**20:,.0f}) | {median('import_seconds'):.2f} "
        f"| {good[-1]['said']} |"
    )


def tick() -> str:
    """Judging a block of counts for ten thousand streams, and a tick in which no block closes."""
    monitors, names = many()
    closing, idle = [], []
    for number in range(5):
        bins = Columns({name: Bins([30, 30], 0, 0, 60) for name in names})
        feeds = Feeds(
            {name: Seen(0.1, 0.9) for name in names}, {f"{name}\n": Cell(60) for name in names}
        )
        monitors.take({"inputs": {number: bins}, "upstream": {number: feeds}})
        clock = 60.0 * (number + 1) + 6.0
        closing.append(assessed(monitors, clock))
        idle.append(assessed(monitors, clock + 1.0))
    return (
        f"{STREAMS:,} streams of {len(names):,} columns judged in a tick: "
        f"{statistics.median(closing[1:]):,.0f} ms of a processor when a block of all closes, "
        f"{statistics.median(idle[1:]):,.0f} ms when none does"
    )


def assessed(monitors: Monitors, clock: float) -> float:
    """Milliseconds of a processor that a tick takes."""
    began = time.process_time()
    monitors.assess(clock, (), Surroundings())
    return 1000.0 * (time.process_time() - began)


def many() -> tuple[Monitors, list[str]]:
    """Monitors of ten thousand streams, and the names of their columns."""
    profile = ColumnProfile(
        name="", kind="continuous", n=10_000, missing=0.0, cuts=(0.5,), masses=(0.5, 0.5),
        minimum=0.0, maximum=1.0,
    )  # fmt: skip
    # Three streams each: the distribution, missing values, strange values.
    names = [f"c{i}" for i in range(STREAMS // 3)]
    inputs = tuple(
        ColumnProfile(**{**{f: getattr(profile, f) for f in profile.__struct_fields__}, "name": n})
        for n in names
    )
    plan = MonitorPlan(block_seconds=60.0)
    spec = DeploymentSpec(name="many", model="many", monitor=plan)
    known = ReferenceProfile(rows=10_000, inputs=inputs)
    return Monitors.start(spec, Signature((), ()), known, "release", 0.0), names


INTRO = """# Monitoring a table: speed and memory

<!-- Written by `scripts/bench monitor --write`. -->

Judging rows of {columns} columns ({floats} floats, {wholes} whole numbers, {texts} texts, a time, a
score and a label) against {reference:,} rows of reference, from file to result; medians of {rounds}
runs, each in a process of its own, on {machine}. Peak memory is resident size; in brackets without
the pages of mapped files. The products do different work: what each computes is in
`benchmarks/harness/drift`.

| product | rows | rows/s | rows per second of processor | peak MiB | start s | said |
|---|--:|--:|--:|--:|--:|---|
"""


def main() -> None:
    """Print the table, and with `--write` put it into the page."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--large", action="store_true", help="ten million rows too")
    parser.add_argument("--only", help="products whose name holds this")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--write", action="store_true")
    given = parser.parse_args()
    lines = []
    with tempfile.TemporaryDirectory(prefix="monitor-") as folder:
        for rows in (given.rows, *((10_000_000,) if given.large else ())):
            for told in measured(Path(folder), rows, given):
                print(told, flush=True)
                lines.append(told)
    judged = tick()
    print(judged)
    if given.write:
        intro = INTRO.format(
            columns=FLOATS + WHOLES + TEXTS + 3,
            floats=FLOATS,
            wholes=WHOLES,
            texts=TEXTS,
            reference=REFERENCE_ROWS,
            rounds=given.rounds,
            machine=machine(),
        )
        PAGE.write_text(intro + "\n".join(lines) + f"\n\n{judged}.\n", encoding="utf-8")


if __name__ == "__main__":
    main()
