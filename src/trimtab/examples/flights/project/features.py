"""What the model sees of a flight. Training and serving both call `features`."""

import numpy as np
import pandas as pd

CATEGORIES = ["carrier", "origin", "dest"]
MEASURES = [
    "distance",
    "weekday",
    "temp",
    "dewp",
    "humid",
    "wind_speed",
    "precip",
    "pressure",
    "visib",
    "aircraft_age",
]


def features(frame: pd.DataFrame) -> pd.DataFrame:
    """One row of features for each row of `frame`, whatever the other rows are."""
    made = {name: frame[name].to_numpy(dtype=object) for name in CATEGORIES}
    made |= {name: _numbers(frame, name) for name in MEASURES}
    direction = np.deg2rad(_numbers(frame, "wind_dir"))
    made["departure"] = _numbers(frame, "hour") * 60 + _numbers(frame, "minute")
    made["dew_spread"] = made["temp"] - made["dewp"]
    made["wind_north"] = made["wind_speed"] * np.cos(direction)
    made["wind_east"] = made["wind_speed"] * np.sin(direction)
    return pd.DataFrame(made, index=frame.index)


def _numbers(frame: pd.DataFrame, name: str) -> np.ndarray:
    return frame[name].to_numpy(dtype=np.float64, na_value=np.nan)
