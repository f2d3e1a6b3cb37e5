"""Use a trimtab server by MLflow's scoring client: `mlflow_scoring.py URL`.

The client's path is always `/invocations`: it cannot name a deployment, and there has to be one.
"""

import sys
from urllib.parse import urlsplit

import pandas as pd
import pytest
from mlflow.pyfunc.scoring_server.client import (
    ScoringServerClient,
)
from tests.clients.people import PEOPLE, expected


def main(url: str) -> None:
    """Fails by an exception."""
    wanted = expected(url)
    address = urlsplit(url)
    client = ScoringServerClient(address.hostname, address.port)
    client.wait_server_ready(timeout=30)
    assert client.get_version()
    frame = pd.DataFrame(PEOPLE)
    answer = client.invoke(frame)
    assert answer["predictions"] == wanted["label"]
    assert answer.get_predictions()[0].tolist() == wanted["label"]
    scores = client.invoke(frame, params={"outputs": ["score"]})
    assert scores.get_predictions("ndarray").tolist() == wanted["score"]
    both = client.invoke(frame, params={"outputs": ["score", "label"]})
    assert list(both.get_predictions().columns) == ["score", "label"]
    assert client.invoke(PEOPLE)["predictions"] == wanted["label"]
    with pytest.raises(Exception, match="missing column 'age'"):
        client.invoke(frame.drop(columns=["age"]))


if __name__ == "__main__":
    main(sys.argv[1])
