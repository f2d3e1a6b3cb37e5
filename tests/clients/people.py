"""What the foreign clients ask, and what trimtab answers to the same question in plain JSON."""

import json
import urllib.request
from typing import Any

DEPLOYMENT = "risk"
PEOPLE: list[dict[str, Any]] = [
    {"plan": "basic", "city": "Riga", "age": 50.5, "spend": 10.0, "visits": 3, "vip": True},
    {"plan": "plus", "city": "", "age": 20.0, "spend": None, "visits": 0, "vip": False},
    {"plan": "pró", "city": "Lima", "age": 80.0, "spend": 99.5, "visits": 9, "vip": False},
]
DATATYPES = {
    "plan": "BYTES",
    "city": "BYTES",
    "age": "FP64",
    "spend": "FP64",
    "visits": "INT64",
    "vip": "BOOL",
}


def column(name: str) -> list[Any]:
    """One column of `PEOPLE`."""
    return [person[name] for person in PEOPLE]


def expected(url: str) -> dict[str, list[Any]]:
    """The outputs by name, asked for with nothing but the standard library."""
    inputs = [
        {"name": name, "datatype": datatype, "shape": [len(PEOPLE)], "data": column(name)}
        for name, datatype in DATATYPES.items()
    ]
    request = urllib.request.Request(
        f"{url}/v2/models/{DEPLOYMENT}/infer",
        json.dumps({"inputs": inputs}).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        said = json.load(answer)
    return {output["name"]: output["data"] for output in said["outputs"]}
