"""`trimtab.build(...)` makes the release that `trimtab build` would make."""

import os
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import skops.io
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.naive_bayes import GaussianNB
from tests.support.documents import blocks
from tests.support.system import sharing

import trimtab
from trimtab import errors
from trimtab.app.monitoring import reference_of
from trimtab.app.projects import project_or_folder
from trimtab.app.releases import find_release, reproduce_release
from trimtab.build import acceptance
from trimtab.judge.tolerances import stated

pytestmark = pytest.mark.e2e


SUMS = """
class Sums:
    classes_ = [0, 1]

    def predict(self, frame):
        return [0] * len(frame["a"])

    def predict_proba(self, frame):
        import numpy as np

        high = 1 / (1 + np.exp(-np.asarray(frame["a"])))
        return np.column_stack([1 - high, high])
"""


def table() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    rows = pd.DataFrame(rng.normal(size=(200, 2)), columns=["a", "b"])
    rows["y"] = (rows["a"] + rng.normal(size=200) > 0).astype(int)
    return rows


@pytest.fixture(scope="module")
def folder(environments: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One state folder, so that its environments are made once."""
    return sharing(tmp_path_factory.mktemp("project"), environments)


def fitted(rows: pd.DataFrame, **options: float) -> LogisticRegression:
    return LogisticRegression(**options).fit(rows[["a", "b"]], rows["y"])


def test_a_fitted_model_and_a_data_frame_become_a_release_with_a_proven_engine(
    folder: Path,
) -> None:
    rows = table()
    told: list[str] = []
    made = trimtab.build(
        "toy", fitted(rows), reference=rows, target="y", folder=folder, narrate=told.append
    )
    assert made.release == "toy@1"
    assert made.signature.task == "binary"
    assert [column.name for column in made.signature.inputs] == ["a", "b"]
    assert any("golden set" in line for line in told)
    assert (made.engine, any(line.startswith("engine: onnx") for line in told)) == ("onnx", True)
    assert made.compiled is not None
    assert made.compiled.difference <= 1e-12 < made.compiled.tolerance
    assert made.compiled.rows > len(rows)
    assert made.compiled.speeds[0].times_ratio > 1.2


def test_a_regression_of_several_values_is_served_with_all_of_them(folder: Path) -> None:
    rows = table()[["a", "b"]]
    both = np.column_stack([rows["a"] + rows["b"], 2 * rows["a"]])
    model = LinearRegression().fit(rows, both)
    told: list[str] = []
    made = trimtab.build(
        "both",
        model,
        reference=rows.assign(y=list(both)),
        target="y",
        engine="native",
        folder=folder,
        narrate=told.append,
    )
    (output,) = made.signature.outputs
    assert (made.signature.task, output.name, output.shape) == ("other", "prediction", (2,))
    assert "outputs: prediction [2]" in told
    assert "labels: several values each, so there is no quality to watch" in told


def test_a_class_with_a_vector_and_a_number_is_built_as_its_page_says(folder: Path) -> None:
    (code,) = blocks("docs/models.md", "A class of your own", "python")
    (folder / "offer.py").write_text(code, encoding="utf-8")
    rng = np.random.default_rng(0)
    customer, price = rng.normal(size=(300, 16)), rng.gamma(2, 5, 300)
    liked = customer[:, :4].sum(axis=1) - price / 10
    rows = pd.DataFrame({"customer": list(customer), "price": price})
    rows["bought"] = np.where(liked + rng.logistic(size=300) > 0, "yes", "no")
    made = trimtab.build(
        "offers",
        "offer:Offer",
        trust="code",
        reference=rows,
        target="bought",
        positive="yes",
        folder=folder,
    )
    told = [(each.name, each.shape) for each in made.signature.inputs]
    assert told == [("customer", (16,)), ("price", ())]
    assert (made.signature.task, made.signature.classes) == ("binary", ("no", "yes"))


MISSED = 'where(label == "1", 4, 1) * abs(number(label) - score)'


def test_a_release_knows_what_it_lost_by_a_loss_of_the_users_own(folder: Path) -> None:
    rows = table()
    made = trimtab.build(
        "priced",
        fitted(rows),
        reference=rows,
        target="y",
        folder=folder,
        loss=MISSED,
        loss_bound=4.0,
    )
    known = reference_of(project_or_folder(folder, os.environ), made.release).profile
    tolerances = {each.signal: each for each in stated(known)}
    truth, score = rows["y"], fitted(rows).predict_proba(rows[["a", "b"]])[:, 1]
    lost = np.where(truth == 1, 4.0, 1.0) * np.abs(truth - score)
    assert tolerances["quality (loss)"].reference == pytest.approx(lost.mean(), abs=4e-6)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"target": "y", "loss": "abs(c - score)"}, "there is no column 'c'"),
        ({"target": "y", "loss": "abs(label - score)"}, "number(…) reads it as one"),
        ({"loss": "abs(a)"}, "there are no labels"),
    ],
)
def test_a_loss_that_the_reference_cannot_tell_makes_no_release(
    folder: Path, options: dict[str, Any], words: str
) -> None:
    rows = table()
    given: dict[str, Any] = {"reference": rows[["a", "b", "y"][: 2 + ("target" in options)]]}
    with pytest.raises(errors.Usage, match=re.escape(words)):
        trimtab.build("unpriced", fitted(rows), folder=folder, **given, **options)


def test_the_same_model_is_the_same_release_and_both_of_its_engines_are_reproduced(
    folder: Path,
) -> None:
    """Times that were measured are no reason for another digest."""
    rows, file = table(), folder / "model.skops"
    skops.io.dump(fitted(rows, C=2.0), file)
    first, second = (
        trimtab.build("toy", file, reference=rows, target="y", folder=folder) for _ in range(2)
    )
    assert (first.release, first.engine) == (second.release, "onnx")
    assert first.compiled == second.compiled
    project = project_or_folder(folder, os.environ)
    packages = find_release(project, first.release).manifest.environment.packages
    assert "onnxruntime" in {package.name for package in packages}
    assert "skl2onnx" not in {package.name for package in packages}
    found = reproduce_release(project, first.release, lambda line: None)
    assert found.ok, found.problems
    assert [(each.engine, each.behaviour) for each in found.engines] == [
        ("onnx", "within_tolerance"),
        ("native", "bit_identical"),
    ]


def test_an_engine_that_is_off_by_more_than_the_tolerance_is_not_taken(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Here by nothing at all, which rounding exceeds."""
    monkeypatch.setattr(acceptance, "tolerance", lambda *_: 0.0)
    rows, told = table(), list[str]()
    model = GaussianNB().fit(rows[["a", "b"]], rows["y"])
    made = trimtab.build(
        "toy", model, reference=rows, target="y", folder=folder, narrate=told.append
    )
    assert (made.engine, made.compiled) == ("native", None)
    assert "not taken: the largest difference" in told[-1]


def test_a_model_is_left_as_it_is_where_that_is_asked(folder: Path) -> None:
    rows, told = table(), list[str]()
    made = trimtab.build(
        "toy",
        fitted(rows, C=0.25),
        reference=rows,
        target="y",
        folder=folder,
        engine="native",
        narrate=told.append,
    )
    assert made.engine == "native"
    assert not any(line.startswith("engine") for line in told)


def test_code_is_served_by_itself_with_the_reason(folder: Path) -> None:
    (folder / "sums.py").write_text(SUMS)
    told: list[str] = []
    made = trimtab.build(
        "sums",
        "sums:Sums",
        reference=table(),
        target="y",
        trust="code",
        folder=folder,
        narrate=told.append,
    )
    assert made.engine == "native"
    assert (
        told[-1] == "engine: native; a model in the format python is code, which no converter reads"
    )


def test_code_that_is_not_trusted_is_not_opened(tmp_path: Path) -> None:
    rows = table()
    model = fitted(rows)
    with pytest.raises(errors.Usage) as caught:
        trimtab.build("toy", model, format="joblib", reference=rows, folder=tmp_path)
    assert caught.value.code == errors.UNTRUSTED_FORMAT
    assert not (tmp_path / ".trimtab" / "control.db").exists()


def test_an_object_is_stored_as_skops_or_joblib_only(tmp_path: Path) -> None:
    with pytest.raises(errors.Usage, match="cannot be stored as onnx"):
        trimtab.build("toy", object(), format="onnx", folder=tmp_path)


def test_an_option_that_there_is_not_is_no_option_that_is_overheard(tmp_path: Path) -> None:
    with pytest.raises(errors.Usage, match="there is no such option") as caught:
        trimtab.build("toy", object(), folder=tmp_path, segmets=["city"])  # type: ignore[call-arg]
    assert caught.value.hint == "did you mean segments?"


def test_labels_that_are_none_of_the_models_classes_make_no_release(folder: Path) -> None:
    rows = table()
    named = rows.assign(y=rows["y"].map({0: "no", 1: "yes"}))
    with pytest.raises(errors.Usage, match="'no', 'yes', is one of the model's classes '0', '1'"):
        trimtab.build("coded", fitted(rows), reference=named, target="y", folder=folder)
