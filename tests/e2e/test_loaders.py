"""Models of the other libraries, fitted and served in a locked environment of their own."""

import json
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from trimtab.backends import shim
from trimtab.backends.environments import UvEnvironments
from trimtab.worker import golden, tensors

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

REQUIREMENTS = ["lightgbm", "numpy>=2", "onnx", "onnxruntime", "xgboost-cpu"]
ROWS = np.random.default_rng(1).normal(size=(7, 3))
FIT = """
import sys
from pathlib import Path
import numpy as np, lightgbm, onnx, xgboost
from onnx import TensorProto, helper, numpy_helper

out = Path(sys.argv[1])
rows = np.random.default_rng(0).normal(size=(400, 3))
late = (rows[:, 0] + rows[:, 1] > 0).astype(int)
three = late + (rows[:, 2] > 0)
asked = np.load(out / "rows.npy")

def xgb(name, labels, **params):
    made = xgboost.train(params, xgboost.DMatrix(rows, labels), 5)
    made.save_model(out / name)
    np.save(out / f"{name}.npy", made.predict(xgboost.DMatrix(asked)))

xgb("binary.json", late, objective="binary:logistic")
xgb("three.ubj", three, objective="multi:softprob", num_class=3)
xgb("value.ubj", rows[:, 2], objective="reg:squarederror")
xgb("count.ubj", late, objective="count:poisson")

def lgb(name, labels, **params):
    made = lightgbm.train({**params, "verbose": -1}, lightgbm.Dataset(rows, labels), 5)
    made.save_model(out / name)
    np.save(out / f"{name}.npy", made.predict(asked))

lgb("binary.txt", late, objective="binary")
lgb("three.txt", three, objective="multiclass", num_class=3)
lgb("value.txt", rows[:, 2], objective="regression")

weights = np.array([[1.0], [2.0], [-1.0]], dtype=np.float32)
one = helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, 3])
each = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [None, 1]) for name in "abc"]
result = helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, 1])
product = helper.make_node("MatMul", ["x", "w"], ["z"])
squash = helper.make_node("Sigmoid", ["z"], ["y"])
beside = helper.make_node("Concat", list("abc"), ["x"], axis=1)
for name, inputs, nodes in (
    ("matrix.onnx", [one], [product, squash]), ("columns.onnx", each, [beside, product, squash])
):
    graph = helper.make_graph(nodes, "g", inputs, [result], [numpy_helper.from_array(weights, "w")])
    opset = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=8), out / name)
    np.save(out / f"{name}.npy", 1 / (1 + np.exp(-(asked @ weights)[:, 0])))
"""


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    environments = UvEnvironments(tmp_path_factory.mktemp("home"))
    return environments.materialise(environments.lock(REQUIREMENTS))


@pytest.fixture(scope="module")
def models(python: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    np.save(folder / "rows.npy", ROWS)
    subprocess.run([python, "-c", FIT, str(folder)], check=True, capture_output=True)
    inputs = [tensors.tensor_of(name, ROWS[:, i]) for i, name in enumerate("abc")]
    golden.write(folder / "inputs.bin", golden.GoldenSet(len(ROWS), inputs, []))
    return folder


def worker(python: Path, models: Path, mode: str, *arguments: str) -> dict[str, Any]:
    """What a mode of the worker prints in the environment."""
    argv = shim.worker_argv(
        python,
        shim.install(models),
        [mode, "--config", str(models / "worker.json"), *arguments],
    )
    environment = shim.worker_environment(shim.EXECUTION_SERVING)
    done = subprocess.run(argv, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    printed: dict[str, Any] = json.loads(done.stdout)
    return printed


@pytest.mark.parametrize(
    ("format_", "path", "frame", "task"),
    [
        ("xgboost", "binary.json", "matrix", "binary"),
        ("xgboost", "three.ubj", "matrix", "multiclass"),
        ("xgboost", "value.ubj", "matrix", "regression"),
        ("xgboost", "count.ubj", "matrix", "regression"),
        ("lightgbm", "binary.txt", "matrix", "binary"),
        ("lightgbm", "three.txt", "matrix", "multiclass"),
        ("lightgbm", "value.txt", "matrix", "regression"),
        ("onnx", "matrix.onnx", "matrix", "binary"),
        ("onnx", "matrix.onnx", "columns", "regression"),
        ("onnx", "columns.onnx", "columns", "binary"),
    ],
)
def test_the_worker_predicts_what_the_library_predicts(
    python: Path, models: Path, format_: str, path: str, frame: str, task: str
) -> None:
    """In one batch and in several, and it says what the model is."""
    classes = {"binary": ["no", "yes"], "multiclass": ["a", "b", "c"]}.get(task, [])
    inputs = [{"name": name, "datatype": "FP64"} for name in "abc"]
    told = {
        "release": "sha256:0",
        "name": "m@1",
        "format": format_,
        "model_path": path,
        "frame": frame,
        "signature": {"inputs": inputs, "task": task, "classes": classes},
        "config": {"task": task} if format_ == "onnx" else {},
    }
    (models / "worker.json").write_text(json.dumps(told))
    facts = worker(python, models, "describe")
    assert (facts["task"], facts["features"]) == (task, 3)
    results = [models / "whole.bin", models / "pieces.bin"]
    worker(
        *(python, models, "probe", "--inputs", str(models / "inputs.bin")),
        *("--batch", "0", "--outputs", str(results[0])),
        *("--batch", "3", "--outputs", str(results[1])),
    )
    expected = np.load(models / f"{path}.npy")
    for result in results:
        got = tensors.array_of(golden.read(result).outputs[0])
        np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("format_", "path", "task"),
    [
        ("xgboost", "binary.json", "binary"),
        ("xgboost", "three.ubj", "multiclass"),
        ("xgboost", "value.ubj", "regression"),
        ("lightgbm", "binary.txt", "binary"),
        ("lightgbm", "three.txt", "multiclass"),
        ("lightgbm", "value.txt", "regression"),
    ],
)
def test_the_graph_of_a_booster_predicts_what_the_booster_does(
    python: Path, models: Path, format_: str, path: str, task: str
) -> None:
    """LightGBM in float64, XGBoost in the float32 that it computes in."""
    precision, allowed = {"xgboost": ("float32", 1e-6), "lightgbm": ("float64", 1e-12)}[format_]
    classes = {"binary": ["no", "yes"], "multiclass": ["a", "b", "c"]}.get(task, [])
    inputs = [{"name": name, "datatype": "FP64", "nullable": True} for name in "abc"]
    told = {
        "release": "sha256:0",
        "name": "m@1",
        "format": format_,
        "model_path": path,
        "frame": "matrix",
        "signature": {"inputs": inputs, "task": task, "classes": classes},
    }
    (models / "worker.json").write_text(json.dumps(told))
    sample = ("--inputs", str(models / "inputs.bin"))
    conversion = worker(python, models, "convert", *sample, "--out", str(models / "graph.onnx"))
    assert (conversion["reason"], conversion["precision"]) == ("", precision)
    assert conversion["difference"] <= allowed
    (models / "worker.json").write_text(json.dumps(told | {"engine": "graph.onnx"}))
    result = models / "compiled.bin"
    worker(python, models, "probe", *sample, "--batch", "0", "--outputs", str(result))
    got = tensors.array_of(golden.read(result).outputs[0])
    np.testing.assert_allclose(got, np.load(models / f"{path}.npy"), rtol=allowed, atol=allowed)
    sizes = worker(python, models, "measure", *sample)["sizes"]
    assert [each["rows"] for each in sizes] == [1, 64]
    assert sizes[0]["engine"] < sizes[0]["native"]
