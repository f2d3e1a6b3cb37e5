"""What the model sees. Training and serving both call `features`."""

import numpy as np
import pandas as pd

MEASURES = ["radius", "texture", "perimeter", "area", "smoothness", "concavity", "symmetry"]


def features(frame: pd.DataFrame) -> pd.DataFrame:
    """One row of features for each row of `frame`, whatever the other rows are."""
    made = frame[MEASURES].astype("float64")
    made["roundness"] = made["perimeter"] ** 2 / (4 * np.pi * made["area"])
    return made
