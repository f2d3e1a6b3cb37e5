"""What a LightGBM booster is given, told with a stand-in for it."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from trimtab.worker.loaders.lightgbm import LightGBM


class Booster:
    """It keeps what it is asked for."""

    def __init__(self, categories: list[list[str]] | None) -> None:
        self.pandas_categorical = categories
        self.given: Any = None

    def predict(self, given: Any, num_threads: int) -> Any:
        self.given = given
        return np.zeros(len(given))


@pytest.mark.parametrize("kind", ["str", "object"])
def test_texts_are_categories_where_the_booster_was_fitted_on_such(kind: str) -> None:
    booster = Booster([["a", "b"]])
    frame = pd.DataFrame({"age": [1.0, None], "plan": pd.Series(["b", None], dtype=kind)})
    LightGBM(booster, "regression").values(frame)
    assert [str(each) for each in booster.given.dtypes] == ["float64", "category"]
    assert booster.given["plan"].isna().tolist() == [False, True]


@pytest.mark.parametrize(
    "given", [pd.DataFrame({"plan": ["a"]}), np.ones((1, 2))], ids=["frame", "matrix"]
)
def test_other_boosters_are_given_what_came(given: Any) -> None:
    booster = Booster(None)
    LightGBM(booster, "regression").values(given)
    assert booster.given is given
