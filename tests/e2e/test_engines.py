"""Models become graphs that answer what they answer, bit for bit or nearly, or say why not."""

import json
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from trimtab.backends import shim
from trimtab.backends.environments import UvEnvironments

pytestmark = pytest.mark.e2e

CASES = Path(__file__).with_name("conversions.py")
REQUIREMENTS = [
    f"scikit-learn=={metadata.version('scikit-learn')}",
    *("joblib", "numpy>=2", "onnx", "onnxruntime", "pandas", "skl2onnx"),
]


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """What was seen of every case, in one process."""
    home = tmp_path_factory.mktemp("home")
    environments = UvEnvironments(home)
    python = environments.materialise(environments.lock(REQUIREMENTS))
    variables = shim.worker_environment(shim.EXECUTION_SERVING)
    done = subprocess.run(
        [python, CASES, home],
        env={**variables, "PYTHONPATH": str(shim.install(home))},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, dict[str, Any]] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize(
    "case",
    [
        "logistic",
        "logistic, named classes",
        "ridge",
        "histogram boosting",
        "histogram boosting, classes",
        "histogram boosting, counts",
        "random forest",
        "random forest, classes",
        "extra trees",
        "gradient boosting",
        "gradient boosting, classes",
        "binarized",
        "normalized",
        "normalized by sums",
        "tree",
        "one-hot",
        "imputed texts",
        "refusing encoder",
        "ordinal",
        "mixed",
    ],
)
def test_a_graph_answers_what_its_model_answers(seen: dict[str, dict[str, Any]], case: str) -> None:
    """In float64, with missing numbers and texts, on rows of no sample and on rows made up."""
    found = seen[case]
    assert found["reason"] == ""
    assert found["precision"] == "float64"
    assert found["problems"] == []
    assert found["apart"] < 1e-10
    assert found["tried"] >= 24
    assert found["difference"] < 1e-12


def test_a_text_that_the_model_refuses_is_refused_by_its_graph(
    seen: dict[str, dict[str, Any]],
) -> None:
    assert seen["refusing encoder"]["strangers"] == ["model", "model"]
    assert seen["one-hot"]["strangers"] == [None, None]


@pytest.mark.parametrize(
    ("case", "words"),
    [
        ("a function", "FunctionTransformer"),
        ("by category", "by category"),
        ("neighbours", "KNeighborsClassifier has no exact converter: neighbours at the same"),
        ("neighbours of numbers", "KNeighborsRegressor has no exact converter"),
        ("words", "CountVectorizer has no exact converter"),
    ],
)
def test_what_has_no_exact_graph_says_why(
    seen: dict[str, dict[str, Any]], case: str, words: str
) -> None:
    assert words in seen[case]["reason"]
