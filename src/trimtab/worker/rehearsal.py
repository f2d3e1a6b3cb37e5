"""Using libraries once before a worker is forked: much of them is imported at first use only."""

import contextlib
import sys
from typing import Any


def rehearse() -> None:
    """A frame, and a scaler fitted to it, of the libraries that are imported.

    It is nothing but a head start, so that a library which cannot do it is left alone.
    """
    if "pandas" not in sys.modules:
        return
    with contextlib.suppress(Exception):
        frame = _frame(sys.modules["pandas"])
        if "sklearn.pipeline" in sys.modules:
            _scaled(frame)


def _frame(pandas: Any) -> Any:
    frame = pandas.DataFrame({"number": [0.0, 1.0], "text": ["a", None]})
    frame["text"].isna()
    return frame


def _scaled(frame: Any) -> None:
    from sklearn.compose import make_column_transformer
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    columns = make_column_transformer((StandardScaler(), ["number"]), (OneHotEncoder(), ["text"]))
    columns.fit(frame).transform(frame)
