"""A project of an invented user: a risk written by hand, whose releases need nothing but numpy."""

import csv
import random
from pathlib import Path
from typing import Any

MODEL = '''
"""A risk between 0 and 1. A risk without an age is nobody's guess."""

import numpy as np


class Risk:
    classes_ = ["no", "yes"]
    base = 0.0

    def predict_proba(self, frame):
        spend = np.nan_to_num(frame["spend"], nan=50.0)
        cheap = np.array([plan == "basic" for plan in frame["plan"]])
        at = self.base + 0.03 * (frame["age"] - 50) + 0.8 * cheap - 0.01 * spend
        at = at + 0.1 * frame["visits"] - 0.3 * frame["vip"]
        score = 1 / (1 + np.exp(-at))
        return np.column_stack([1 - score, score])

    def predict(self, frame):
        return np.array(self.classes_)[(self.predict_proba(frame)[:, 1] > 0.5).astype(int)]


class Newer(Risk):
    base = 0.01
'''

CONFIG = """
[deployment.risk]
rollout = { shadow = "0s", shadow_rows = 10, steps = ["50%"], step = "1s", bake = "1s" }
scale   = { min = 2, max = 2 }
monitor = { key = "person" }

[deployment.other]
model = "risk"
"""

COLUMNS = ("person", "plan", "city", "age", "spend", "visits", "vip", "left")
BUILD = (
    *("build", "risk", "--format", "python", "--trust", "code"),
    *("--reference", "reference.csv", "--target", "left", "--positive", "yes"),
    *("--key", "person", "--segments", "plan", "--requirements", "requirements.txt"),
)


def people(count: int, seed: int = 0) -> list[dict[str, Any]]:
    """People as the reference has them; `city` and `spend` may be missing."""
    chance = random.Random(seed)
    return [
        {
            "person": f"p{seed}-{number}",
            "plan": chance.choice(["basic", "plus", "pro"]),
            "city": chance.choice(["Riga", "Oslo", "Lima", None]),
            "age": chance.randint(18, 80) + 0.5,
            "spend": None if chance.random() < 0.1 else round(chance.uniform(1, 100), 2),
            "visits": chance.randint(0, 9),
            "vip": chance.random() < 0.2,
            "left": chance.choice(["yes", "no"]),
        }
        for number in range(count)
    ]


def write_csv(path: Path, rows: list[dict[str, Any]]) -> None:
    """A CSV file with empty fields where a value is missing."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)


def write_project(folder: Path) -> None:
    """The user's files."""
    folder.mkdir(parents=True)
    (folder / "trimtab.toml").write_text(CONFIG, encoding="utf-8")
    (folder / "model.py").write_text(MODEL, encoding="utf-8")
    (folder / "requirements.txt").write_text("numpy>=2,<3\n", encoding="utf-8")
    write_csv(folder / "reference.csv", people(300))


def request(rows: int = 2, **changed: list[Any] | None) -> dict[str, Any]:
    """A request that is answered, but for the columns that are `changed`; None leaves one out."""
    types = {"plan": "BYTES", "city": "BYTES", "visits": "INT64", "vip": "BOOL"}
    given: dict[str, list[Any] | None] = {
        name: [person[name] for person in people(rows, 1)]
        for name in ("plan", "city", "age", "spend", "visits", "vip")
    }
    inputs = [
        {"name": name, "shape": [len(data)], "datatype": types.get(name, "FP64"), "data": data}
        for name, data in (given | changed).items()
        if data is not None
    ]
    return {"inputs": inputs}
