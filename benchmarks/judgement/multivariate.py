"""Columns that come apart while each keeps its distribution: rows to an alarm, and false ones.

usage: python benchmarks/judgement/multivariate.py [--write]

Real data (US Census employment, flights of 2013), as they are and with the relations between
columns broken. Beside the marginals, three other ways to watch columns together.
"""

import argparse
import importlib
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from trimtab.domain.deployment import DeploymentSpec, MonitorPlan
from trimtab.domain.profile import Coarse, ReferenceProfile
from trimtab.domain.records import Rows
from trimtab.judge.budget import log10_threshold
from trimtab.judge.estimate import coarse_bins
from trimtab.judge.signals.family import Breaks, Target
from trimtab.judge.signals.inputs import Inputs
from trimtab.judge.signals.multivariate import Multivariate

BENCHMARKS = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(BENCHMARKS))
streams = importlib.import_module("judgement.streams")
label_free = importlib.import_module("judgement.label_free")
alternatives = importlib.import_module("judgement.alternatives")

PAGE = BENCHMARKS.parent / "docs" / "benchmarks" / "multivariate.md"
DAY = 86_400.0
SIZE = 1_000
SHOWN = 20
"""Blocks, at most, that live through a break with the alternatives beside."""

Rng = np.random.Generator
Break = Callable[[pd.DataFrame, Rng], pd.DataFrame]


@dataclass(frozen=True)
class Alarm:
    """Rows until the first alarm of a family, and the column that it named; None for never."""

    rows: int | None
    named: str = ""


def wrong_rows(column: str, share: float = 1.0) -> Break:
    """A column joined to the wrong rows, in a share of them."""

    def broken(rows: pd.DataFrame, rng: Rng) -> pd.DataFrame:
        values, chosen = rows[column].to_numpy().copy(), rng.random(len(rows)) < share
        values[chosen] = rng.permutation(values[chosen])
        return rows.assign(**{column: values})

    return broken


def turned(column: str) -> Break:
    """A number whose sign was turned around: the largest become the smallest."""

    def broken(rows: pd.DataFrame, rng: Rng) -> pd.DataFrame:
        values = rows[column].to_numpy()
        order = np.lexsort((rng.random(len(rows)), values))
        made = np.empty_like(values)
        made[order] = np.sort(values)[::-1]
        return rows.assign(**{column: made})

    return broken


def swapped(first: str, second: str) -> Break:
    """Two columns under each other's name."""

    def broken(rows: pd.DataFrame, rng: Rng) -> pd.DataFrame:
        return rows.assign(**{first: rows[second], second: rows[first]})

    return broken


def joined(first: str, second: str) -> Break:
    """Half of the rows sorted so that a column begins to go with one it had no relation to."""

    def broken(rows: pd.DataFrame, rng: Rng) -> pd.DataFrame:
        chosen = np.flatnonzero(rng.random(len(rows)) < 0.5)
        order = np.lexsort((rng.random(chosen.size), rows[second].to_numpy()[chosen]))
        values = rows[first].to_numpy().copy()
        values[chosen[order]] = np.sort(values[chosen])
        return rows.assign(**{first: values})

    return broken


def census_breaks() -> Iterator[tuple[str, Break]]:
    """Breaks of the census rows."""
    for column in ("AGEP", "SCHL", "MAR", "RELP", "DIS", "SEX", "RAC1P", "CIT", "MIL", "ESP"):
        yield f"{column} of other rows", wrong_rows(column)
    for column in ("AGEP", "MAR", "RELP"):
        yield f"{column} of other rows, in 30 %", wrong_rows(column, 0.3)
    yield "AGEP turned around", turned("AGEP")
    yield "DEYE and DREM swapped", swapped("DEYE", "DREM")
    yield "DEAR and DEYE swapped", swapped("DEAR", "DEYE")
    yield "SEX begins to go with AGEP", joined("SEX", "AGEP")


def flight_breaks() -> Iterator[tuple[str, Break]]:
    """Breaks of the flights' rows."""
    for column in ("carrier", "dest", "distance", "temp", "dewp", "wind_speed", "visib"):
        yield f"{column} of other rows", wrong_rows(column)
    yield "distance of other rows, in 30 %", wrong_rows("distance", 0.3)
    yield "temp turned around", turned("temp")
    yield "distance turned around", turned("distance")


class Beside:
    """The alternatives on one stream, as detectors by name."""

    def __init__(self, stream: Any, profile: ReferenceProfile) -> None:
        self._columns = [
            Coarse(name=each.name, cuts=each.cuts, categories=each.categories[:10])
            for each in profile.inputs
        ]
        self._reference = self.codes(label_free.inputs_of(stream, stream.reference))
        ordered = [not each.categories for each in self._columns]
        self._scaled = alternatives.Scaled.of(self._reference, ordered)
        self._limit = log10_threshold("multivariate", 1, 12.0, DAY)

    def codes(self, values: Mapping[str, NDArray[Any]]) -> NDArray[np.int64]:
        """The bins of rows."""
        return np.column_stack([coarse_bins(each, values[each.name]) for each in self._columns])

    def begun(self) -> dict[str, Any]:
        """A detector of each kind, at its beginning."""
        given = (self._reference, self._scaled, self._limit)
        return {
            "RFF 16": alternatives.fourier(*given, 16, 99),
            "RFF 32": alternatives.fourier(*given, 32, 99),
            "RFF 32 of 3": alternatives.fourier(*given, 32, 3),
            "PCA": alternatives.reconstruction(*given, 0.9),
            "classifier": alternatives.classifier(self._reference, self._limit),
        }


NAMES = ("RFF 16", "RFF 32", "RFF 32 of 3", "PCA", "classifier")


def families(stream: Any, profile: ReferenceProfile) -> dict[str, Any]:
    """Marginals and relations as a deployment in daily blocks has them."""
    spec = DeploymentSpec(
        name="d", model="m", clock="event", monitor=MonitorPlan(block_seconds=DAY)
    )
    target = Target(spec, stream.signature, profile, "r", 0.0)
    made = {"inputs": Inputs.of(target), "multivariate": Multivariate.of(target)}
    return {name: family for name, family in made.items() if family is not None}


def blocks(stream: Any, broken: Break, seed: int) -> Iterator[Rows]:
    """The live rows, block by block under a break."""
    rng = np.random.default_rng(seed)
    for number, rows in stream.live.groupby("chunk"):
        given = broken(rows.reset_index(drop=True), rng)
        n = len(given)
        times: NDArray[Any] = (int(number) + 1) * DAY + np.arange(n) / n * DAY
        if "timestamp" in given:
            times = (given["timestamp"] - pd.Timestamp(0)).dt.total_seconds().to_numpy()
        fixed = {
            "request_id": np.array([f"{number}-{i}" for i in range(n)], dtype=object),
            "row": np.zeros(n, dtype=np.int64),
            "event_time": times,
        }
        yield Rows(fixed, label_free.inputs_of(stream, given), {})


@dataclass
class Lived:
    """What became of a stream: first alarms by family, alarms in all, and what rows cost."""

    first: dict[str, Alarm]
    alarms: dict[str, int]
    streams: dict[str, int]
    rows: int
    blocks: int
    microseconds: float


def lived(stream: Any, profile: ReferenceProfile, broken: Break, beside: Beside | None) -> Lived:
    """Live through a stream; with alternatives, until all have told or for `SHOWN` blocks."""
    mine, theirs = families(stream, profile), beside.begun() if beside else {}
    found = Lived({}, dict.fromkeys(mine, 0), {}, 0, 0, 0.0)
    spent, now = 0.0, {name: set[str]() for name in mine}
    for number, rows in enumerate(blocks(stream, broken, 11)):
        found.rows += len(rows)
        found.blocks += 1
        for name, family in mine.items():
            begun = time.perf_counter()
            counted = family.count(rows)
            spent += (time.perf_counter() - begun) * (name == "multivariate")
            family.take(counted)
            day = float(rows.fixed["event_time"].max() // DAY)
            family.close((day + 1.0) * DAY + 2 * 3600.0, Breaks())
            bad = {k: w for k, w in family.state.watches.items() if w.frozen is not None}
            found.alarms[name] += len(bad.keys() - now[name])
            if bad and name not in found.first:
                loudest = max(bad, key=lambda k: bad[k].log10_evidence)
                found.first[name] = Alarm(found.rows, loudest)
            now[name] = set(bad)
        codes = None if beside is None else beside.codes(rows.inputs)
        for name, detector in theirs.items():
            if name not in found.first and detector.block(codes, number):
                found.first[name] = Alarm(found.rows)
        if beside and (found.blocks >= SHOWN or len(found.first) == len(mine) + len(theirs)):
            break
    found.streams = {name: len(family.state.watches) for name, family in mine.items()}
    found.microseconds = spent / found.rows * 1e6
    return found


def unbroken(rows: pd.DataFrame, rng: Rng) -> pd.DataFrame:
    """The rows as they are."""
    return rows


def told(alarm: Alarm | None) -> str:
    """A cell of the table."""
    if alarm is None or alarm.rows is None:
        return "–"
    return f"{alarm.rows:,}" + (f" ({alarm.named})" if alarm.named else "")


HEAD = (
    "| Break | marginals | trimtab's relations | "
    + " | ".join(NAMES)
    + " |\n|---|--:|--:|"
    + "--:|" * len(NAMES)
)
NULL = (
    "| Stream as it is | Blocks | Rows | Alarms of marginals (streams) "
    "| Alarms of relations (streams) | First of the others |\n|---|--:|--:|--:|--:|---|"
)


def break_row(name: str, found: Lived) -> str:
    """One line of a table of breaks."""
    cells = [told(found.first.get(key)) for key in ("inputs", "multivariate", *NAMES)]
    return f"| {name} | " + " | ".join(cells) + " |"


def null_row(stream: Any, found: Lived, others: Lived) -> str:
    """One line of the table of streams without a break of ours."""
    counts = [
        f"{found.alarms.get(name, 0)} ({found.streams.get(name, 0)})"
        for name in ("inputs", "multivariate")
    ]
    first = [f"{name} {told(others.first[name])}" for name in NAMES if name in others.first]
    return (
        f"| {stream.name} | {found.blocks} | {found.rows:,} | {counts[0]} | {counts[1]} "
        f"| {'; '.join(first) or '–'} |"
    )


def thirdly(reference: pd.DataFrame, seed: int) -> pd.DataFrame:
    """A number that goes with two others only together: neither alone tells of it."""
    rng = np.random.default_rng(seed)
    first, second = rng.normal(size=(2, len(reference)))
    third = np.sign(first * second) * np.abs(rng.normal(size=len(reference)))
    return pd.DataFrame({"first": first, "second": second, "third": third})


def interaction() -> Any:
    """An invented stream in which no pair of columns goes together, and three do."""
    rows = pd.DataFrame(index=range(SIZE * SHOWN))
    names = ("first", "second", "third")
    live = thirdly(rows, 2).assign(chunk=np.arange(len(rows)) // SIZE)
    reference = thirdly(pd.DataFrame(index=range(50_000)), 1).assign(y_true=0, score=0.5)
    return streams.Stream(
        name="invented",
        about="the sign of `third` is that of `first` times `second`; no two columns go together",
        task="binary",
        inputs=names,
        reference=reference,
        live=live,
        rows=SIZE,
    )


INTRO = """\
# Columns together

<!-- Written by `scripts/bench judgement/multivariate --write`. -->

How many rows it takes to see that columns have come apart while each keeps its own distribution,
and what is said of streams in which nothing was broken.

    scripts/bench judgement/multivariate --write

*Marginals* are the streams `input:…`, *trimtab's relations* the streams `multivariate:…`, both as a
deployment has them by default, each with its own thresholds; in brackets the column named first.
The reference has at most 50,000 rows. The census comes in blocks of 1,000 rows, each of which
stands for a day of the budget; flights in days, of which the reference knows how they differ. A
dash is no alarm, in {shown} blocks where alternatives stand beside.

The alternatives see the same columns in bins, with the same tolerance of .05, one detector each
with the budget of the whole group: random Fourier features (16 or 32 of all columns; 32 of three
columns each), the reconstruction error of principal components (90 % of the variance kept), and an
online classifier (30 trees fitted to tell the last 5,000 live rows from 5,000 of the reference,
betting on the next block). They count rows as observations, on flights too, where rows of a day
share their day: their alarms there are of the first day, broken or not. Breaks are made within a
block, so weather of other rows is weather of other hours of the same day, which goes with the rest
nearly as well. The marginals' alarm on flights is the season's.

"""


def parts(note: Callable[[str], None]) -> Iterator[str]:
    """The tables, line by line."""
    kinds = [
        (next(iter(streams.census_years(SIZE, 1))), list(census_breaks())),
        (streams.flight_days("D"), list(flight_breaks())),
        (interaction(), [("third of other rows", wrong_rows("third"))]),
    ]
    nulls, tables = [], []
    for stream, breaks in kinds:
        profile = label_free.profiled(stream)
        beside = Beside(stream, profile)
        whole = lived(stream, profile, unbroken, None)
        nulls.append(null_row(stream, whole, lived(stream, profile, unbroken, beside)))
        note(f"{nulls[-1]} {whole.microseconds:.1f} us a row")
        lines = []
        for name, broken in breaks:
            lines.append(break_row(name, lived(stream, profile, broken, beside)))
            note(lines[-1])
        tables.append("\n".join([f"\n## {stream.name}\n", f"{stream.about}.\n", HEAD, *lines]))
    yield "\n".join([NULL, *nulls])
    yield from tables


def main(arguments: list[str] | None = None) -> None:
    """Print the tables, and with `--write` the page."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--write", action="store_true")
    given = parser.parse_args(arguments)
    made = list(parts(lambda line: print(line, flush=True)))
    if given.write:
        PAGE.write_text(INTRO.format(shown=SHOWN) + "\n".join(made) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
