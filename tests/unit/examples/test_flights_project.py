"""The project of the flights example, run as a user would: from its own folder."""

import importlib
import json
import sys
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import pytest
import skops.io

EXAMPLE = Path(str(resources.files("trimtab.examples.flights")))
PARAMS = {"holdout_days": "10", "trees": "5", "seed": "0"}
TRUSTED = ["sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor"]


def loaded(monkeypatch: pytest.MonkeyPatch, folder: str, name: str) -> ModuleType:
    """A module of the example's `folder`, imported by its bare name."""
    monkeypatch.syspath_prepend(EXAMPLE / folder)
    for known in ("features", "pipeline"):
        monkeypatch.delitem(sys.modules, known, raising=False)
    return importlib.import_module(name)


@pytest.fixture(autouse=True)
def _forgotten() -> Iterator[None]:
    """No module of the project outlives its test under a name as common as `features`."""
    yield
    for name in ("features", "pipeline"):
        sys.modules.pop(name, None)


def history(rows: int = 3000) -> pd.DataFrame:
    """Thirty days of made-up flights: those of carrier AA are mostly late."""
    generator = np.random.default_rng(7)
    carrier = generator.choice(["AA", "UA", "B6"], rows)
    frame = pd.DataFrame(
        {
            "flight_id": [f"f{number:05}" for number in range(rows)],
            "sched_at": pd.date_range("2013-01-01", "2013-01-31", rows, tz="UTC"),
            "carrier": carrier,
            "origin": generator.choice(["EWR", "JFK"], rows),
            "dest": generator.choice(["MIA", "BOS"], rows),
            "late": (generator.random(rows) < np.where(carrier == "AA", 0.7, 0.1)).astype(float),
        }
    )
    whole = ["distance", "hour", "minute", "weekday"]
    frame[whole] = generator.integers(1, 8, (rows, len(whole)))
    real = ["temp", "dewp", "humid", "wind_dir", "wind_speed", "precip", "pressure", "visib"]
    frame[[*real, "aircraft_age"]] = generator.normal(20, 5, (rows, len(real) + 1))
    frame.loc[::7, ["wind_dir", "aircraft_age"]] = np.nan
    frame.loc[::50, "late"] = np.nan
    return frame


def live(frame: pd.DataFrame) -> pd.DataFrame:
    """Rows as the request log joined with labels gives them: times in seconds, labels as text."""
    seconds = frame["sched_at"].map(lambda moment: moment.timestamp())
    labels = frame["late"].map("{:.0f}".format, na_action="ignore")
    known = frame.assign(event_time=seconds, label=labels)
    return known.drop(columns=["late", "sched_at"])


def run(pipeline: ModuleType, folder: Path, past: pd.DataFrame, served: pd.DataFrame) -> Path:
    """Both steps; the folder of the last one."""
    past.to_parquet(folder / "history.parquet")
    live(served).to_parquet(folder / "labelled.parquet")
    for step in ("dataset", "model"):
        (folder / step).mkdir()
    pipeline.dataset(
        folder / "history.parquet", folder / "labelled.parquet", PARAMS, folder / "dataset"
    )
    pipeline.model(folder / "dataset", PARAMS, folder / "model")
    return folder / "model"


def test_reference_is_later_than_everything_that_was_learned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The newest days are held out, and quality is measured there."""
    pipeline = loaded(monkeypatch, "project", "pipeline")
    past = history()
    out = run(pipeline, tmp_path, past, past.head(0))
    train = pd.read_parquet(tmp_path / "dataset" / "train.parquet")
    reference = pd.read_parquet(out / "reference.parquet")
    assert train["sched_at"].max() < reference["sched_at"].min()
    assert len(train) + len(reference) == past["late"].notna().sum()
    assert set(pipeline.INPUTS) | {"late"} <= set(reference.columns)
    assert json.loads((out / "metrics.json").read_text())["roc_auc"] > 0.7


def test_labels_of_served_flights_join_the_history_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A flight that both sources know counts once, with the label that came with serving."""
    pipeline = loaded(monkeypatch, "project", "pipeline")
    rows = history()
    served = rows.tail(1000).assign(late=lambda frame: 1 - frame["late"])
    run(pipeline, tmp_path, rows.head(2500), served)
    parts = [tmp_path / "dataset" / f"{name}.parquet" for name in ("train", "holdout")]
    joined = pd.concat([pd.read_parquet(part) for part in parts])
    assert joined["flight_id"].is_unique
    assert joined["flight_id"].is_monotonic_increasing
    expected = served.dropna(subset=["late"])["late"].to_numpy()
    assert np.array_equal(joined["late"].to_numpy()[-len(expected) :], expected)


def test_model_loads_with_one_type_of_scikit_learn_trusted_and_repeats_bit_by_bit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second run gives the same model; nothing but its trees needs trust."""
    pipeline = loaded(monkeypatch, "project", "pipeline")
    features = pipeline.features
    past = history()
    scores = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        file = run(pipeline, tmp_path / name, past, past.head(0)) / "model.skops"
        assert skops.io.get_untrusted_types(file=file) == TRUSTED
        scores.append(skops.io.load(file, trusted=TRUSTED).predict_proba(features(past)))
    assert np.array_equal(*scores)


@pytest.mark.parametrize("folder", ["project", "bad"])
def test_features_of_a_row_do_not_depend_on_its_neighbours(
    folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One by one, in another order or all at once: the same features."""
    features = loaded(monkeypatch, folder, "features").features
    rows = history(40).assign(carrier="AA", origin="LGA", dest="MIA")
    together = features(rows)
    single = pd.concat([features(rows.iloc[[number]]) for number in range(len(rows))])
    pd.testing.assert_frame_equal(together, single)
    pd.testing.assert_frame_equal(together[::-1], features(rows[::-1]))


@pytest.mark.parametrize("folder", ["project", "bad"])
def test_features_take_missing_values_and_values_never_seen(
    folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A row of nulls, as one request may hold, gives missing numbers and no error."""
    features = loaded(monkeypatch, folder, "features").features
    row = history(1).astype(object)
    row[["temp", "wind_dir", "aircraft_age", "carrier"]] = None
    row["dest"] = "ZZZ"
    made = features(row)
    assert made[["temp", "dew_spread", "wind_north", "aircraft_age"]].isna().all(axis=None)
    assert made["departure"].dtype == np.float64


def test_bad_features_know_what_a_check_of_single_columns_tries_and_fail_on_a_new_route(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An unseen carrier or airport passes; known ones that were never seen together do not."""
    features = loaded(monkeypatch, "bad", "features").features
    row = history(1).assign(carrier="AA", origin="LGA", dest="MIA")
    assert features(row)["route_late"].between(0, 100).all()
    for column in ("carrier", "origin", "dest"):
        assert features(row.assign(**{column: "??"}))["route_late"].notna().all()
    with pytest.raises(KeyError, match="IAH"):
        features(row.assign(origin="EWR", dest="IAH"))
