"""Models whose inputs have a shape per row, as their users build, deploy and call them: digits as
vectors for a scikit-learn network, and an ONNX encoder of images that answers with embeddings."""

import json
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tritonclient.grpc as triton
from numpy.typing import NDArray
from sklearn.datasets import load_digits
from sklearn.neural_network import MLPClassifier
from tests.support.system import System, finished, sharing, until

import trimtab
from trimtab.backends.environments import UvEnvironments
from trimtab.backends.requestlog import FolderRequestLog

pytestmark = pytest.mark.e2e

DIGITS = load_digits()
VECTORS = DIGITS.data.astype(np.uint8)
IMAGES = (DIGITS.images / 16).astype(np.float32)
GAIN = np.linspace(0.5, 2.0, len(IMAGES)).astype(np.float32)
TRUSTED = "sklearn.neural_network._stochastic_optimizers.AdamOptimizer"
CONFIG = """
[deployment.digits]
[deployment.encoder]
"""

ENCODER = """
import sys
import numpy as np, onnx
from onnx import TensorProto, helper, numpy_helper

weights = np.random.default_rng(0).normal(size=(64, 16)).astype(np.float32)
flat = numpy_helper.from_array(np.array([-1, 64]), "flat")
nodes = [
    helper.make_node("Reshape", ["image", "flat"], ["row"]),
    helper.make_node("MatMul", ["row", "weights"], ["plain"]),
    helper.make_node("Mul", ["plain", "gain"], ["embedding"]),
    helper.make_node("ReduceL2", ["embedding"], ["norm"], axes=[1], keepdims=0),
]
value = helper.make_tensor_value_info
graph = helper.make_graph(
    nodes,
    "encoder",
    [value("image", TensorProto.FLOAT, ["n", 8, 8]), value("gain", TensorProto.FLOAT, ["n", 1])],
    [
        value("embedding", TensorProto.FLOAT, ["n", 16]),
        value("norm", TensorProto.FLOAT, ["n"]),
    ],
    [numpy_helper.from_array(weights, "weights"), flat],
)
opset = [helper.make_opsetid("", 17)]
made = helper.make_model(graph, opset_imports=opset, ir_version=8)
onnx.save(made, sys.argv[1] + "/encoder.onnx")
np.save(sys.argv[1] + "/weights.npy", weights)
"""


@pytest.fixture(scope="module")
def folder(environments: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with its models; the ONNX file is made where the onnx package is."""
    made = sharing(tmp_path_factory.mktemp("tensors") / "project", environments)
    (made / "trimtab.toml").write_text(CONFIG, encoding="utf-8")
    (made / "requirements.txt").write_text("numpy>=2,<3\nonnxruntime\n", encoding="utf-8")
    backend = UvEnvironments(made / ".trimtab")
    python = backend.materialise(backend.lock(["numpy>=2,<3", "onnx"]))
    subprocess.run([python, "-c", ENCODER, str(made)], check=True, capture_output=True)
    return made


@pytest.fixture(scope="module")
def network() -> MLPClassifier:
    return MLPClassifier((32,), max_iter=60, tol=1e-2, random_state=0).fit(VECTORS, DIGITS.target)


@pytest.fixture(scope="module")
def system(folder: Path, network: MLPClassifier) -> Iterator[System]:
    """Both models, deployed."""
    reference = {"image": VECTORS, "digit": DIGITS.target}
    digits = trimtab.build(
        *("digits", network),
        reference=reference,
        target="digit",
        folder=folder,
        config={"skops_trusted": TRUSTED},
    )
    (image,) = digits.signature.inputs
    assert (image.datatype, image.shape, digits.signature.task) == ("UINT8", (64,), "multiclass")
    np.savez(folder / "images.npz", image=IMAGES, gain=GAIN)
    made = System(folder)
    built = made.json(
        *("build", "encoder", "--model", "encoder.onnx", "--reference", "images.npz"),
        *("--requirements", "requirements.txt"),
    )
    inputs = {each["name"]: each.get("shape", []) for each in built["signature"]["inputs"]}
    assert inputs == {"image": [8, 8], "gain": []}
    with finished(made):
        made.start()
        for name in ("digits", "encoder"):
            said = made.verb("deploy", name, "--release", f"{name}@1", "--wait")
            assert said.code == 0, said
        yield made


@pytest.fixture(scope="module")
def embeddings(folder: Path, system: System) -> NDArray[np.float32]:
    """What the encoder answers to all images, by numpy."""
    weights = np.load(folder / "weights.npy")
    made: NDArray[np.float32] = IMAGES.reshape(-1, 64) @ weights * GAIN[:, None]
    return made


def tensor(name: str, values: NDArray[Any], data: Any = None) -> dict[str, Any]:
    kinds = {"uint8": "UINT8", "float32": "FP32", "int64": "INT64"}
    flat = values.ravel().tolist() if data is None else data
    kind = kinds[values.dtype.name]
    return {"name": name, "shape": list(values.shape), "datatype": kind, "data": flat}


def listed(table: pa.Table, column: str) -> NDArray[Any]:
    return np.array(table[column].to_pylist())


def predicted(answer: Any) -> dict[str, NDArray[Any]]:
    assert answer.status == 200, answer
    return {
        each["name"]: np.reshape(each["data"], each["shape"]) for each in answer.json["outputs"]
    }


def test_the_metadata_tell_the_shape_of_a_row(system: System) -> None:
    told = system.ask("/v2/models/encoder").json
    assert [each["shape"] for each in told["inputs"]] == [[-1, 8, 8], [-1]]
    assert [each["shape"] for each in told["outputs"]] == [[-1, 16], [-1]]
    shown = system.verb("show", "encoder@1")
    assert "FP32[8, 8]" in shown.out
    assert "FP32[16]" in shown.out


def test_flat_and_nested_json_give_the_probabilities_of_the_model(
    system: System, network: MLPClassifier
) -> None:
    rows = VECTORS[:7]
    wanted = network.predict_proba(rows)
    for data in (None, rows.tolist()):
        got = predicted(
            system.ask("/v2/models/digits/infer", {"inputs": [tensor("image", rows, data)]})
        )
        assert np.allclose(got["scores"], wanted, atol=1e-9)
        assert got["label"].tolist() == [str(label) for label in network.predict(rows)]


def test_several_inputs_nested_and_flat_give_embeddings_and_a_number(
    system: System, embeddings: NDArray[np.float32]
) -> None:
    image, gain = IMAGES[:5], GAIN[:5]
    body = {"inputs": [tensor("image", image, image.tolist()), tensor("gain", gain)]}
    got = predicted(system.ask("/v2/models/encoder/infer", body))
    assert np.allclose(got["embedding"], embeddings[:5], atol=1e-4)
    assert np.allclose(got["norm"], np.linalg.norm(embeddings[:5], axis=1), atol=1e-4)


def test_binary_tensors_over_rest_and_a_body_without_json(
    system: System, network: MLPClassifier
) -> None:
    rows = VECTORS[:4]
    described = tensor("image", rows, []) | {"parameters": {"binary_data_size": rows.nbytes}}
    del described["data"]
    head = json.dumps({"inputs": [described]}).encode()
    size = {"Inference-Header-Content-Length": str(len(head))}
    path = "/v2/models/digits/infer"
    binary = {"Content-Type": "application/octet-stream"}
    got = predicted(system.call("POST", path, head + rows.tobytes(), binary | size))
    assert np.allclose(got["scores"], network.predict_proba(rows), atol=1e-9)
    bare = binary | {"Inference-Header-Content-Length": "0"}
    answer = system.call("POST", path, rows.tobytes(), bare)
    assert answer.status == 200, answer
    told = json.loads(answer.body[: int(answer.headers["inference-header-content-length"])])
    assert told["outputs"][0]["shape"] == [4, 10]


def test_grpc_raw_and_typed(system: System, embeddings: NDArray[np.float32]) -> None:
    with triton.InferenceServerClient(system.grpc) as client:
        told = client.get_model_metadata("encoder")
        assert [list(each.shape) for each in told.inputs] == [[-1, 8, 8], [-1]]
        assert list(client.get_model_config("encoder").config.input[0].dims) == [-1, 8, 8]
        inputs = []
        for name, values in (("image", IMAGES[:3]), ("gain", GAIN[:3])):
            inputs.append(triton.InferInput(name, list(values.shape), "FP32"))
            inputs[-1].set_data_from_numpy(values)
        got = client.infer("encoder", inputs)
        assert np.allclose(got.as_numpy("embedding"), embeddings[:3], atol=1e-4)


def test_the_python_client_takes_arrays(
    system: System, network: MLPClassifier, embeddings: NDArray[np.float32]
) -> None:
    with system.client() as client:
        got = client.predict("digits", {"image": VECTORS[:3]})
        assert np.allclose(got.outputs["scores"], network.predict_proba(VECTORS[:3]), atol=1e-9)
        rows = [{"image": IMAGES[i], "gain": GAIN[i]} for i in range(3)]
        assert np.allclose(
            client.predict("encoder", rows).outputs["embedding"], embeddings[:3], atol=1e-4
        )


def test_mlflows_shapes_hold_tensors_too(system: System, network: MLPClassifier) -> None:
    wanted = [int(label) for label in network.predict(VECTORS[:3])]
    images = VECTORS[:3].tolist()
    for body in (
        {"instances": images},
        {"inputs": images},
        {"inputs": {"image": images}},
        {"dataframe_split": {"columns": ["image"], "data": [[image] for image in images]}},
        {"dataframe_records": [{"image": image} for image in images]},
    ):
        answer = system.ask("/invocations/digits", body)
        assert answer.status == 200, answer
        assert answer.json["predictions"] == wanted
    csv = system.ask("/invocations/digits", b"image\n1\n", **{"Content-Type": "text/csv"})
    assert csv.status == 400
    assert "CSV cannot hold" in csv.json["error"]


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        (tensor("image", VECTORS[:1].reshape(1, 8, 8)), "it takes [rows, 64]"),
        (tensor("image", VECTORS[:1], [1] * 63), "63 values, 1 rows of shape [64] need 64"),
        (tensor("image", VECTORS[:1], [[1] * 63]), "row 0 is not of shape [64]"),
        (tensor("image", VECTORS[:2], [0] * 127 + [256]), "row 1: 256 is not a value of UINT8"),
        (tensor("image", VECTORS[:2], [0] * 127 + [None]), "row 1: null"),
        (tensor("image", VECTORS[:2], [0] * 127 + ["x"]), "row 1: 'x'"),
        (tensor("pixels", VECTORS[:1]), "unknown input 'pixels'"),
    ],
)
def test_a_wrong_tensor_is_refused_by_name_and_row(
    system: System, sent: dict[str, Any], said: str
) -> None:
    answer = system.ask("/v2/models/digits/infer", {"inputs": [sent]})
    assert (answer.status, said in answer.json["error"]) == (400, True), answer


def test_many_callers_at_once_each_get_their_own_rows(
    system: System, embeddings: NDArray[np.float32]
) -> None:
    def ask(row: int) -> NDArray[Any]:
        image, gain = IMAGES[row : row + 1], GAIN[row : row + 1]
        body = {"inputs": [tensor("image", image), tensor("gain", gain)]}
        return predicted(system.ask("/v2/models/encoder/infer", body))["embedding"]

    with ThreadPoolExecutor(16) as pool:
        got = np.concatenate(list(pool.map(ask, range(100))))
    assert np.allclose(got, embeddings[:100], atol=1e-4)


def test_the_log_keeps_small_tensors_whole_and_a_summary_of_each(system: System) -> None:
    answer = system.ask(
        "/v2/models/encoder/infer",
        {"id": "logged", "inputs": [tensor("image", IMAGES[:2]), tensor("gain", GAIN[:2])]},
    )
    assert answer.status == 200
    log = FolderRequestLog(system.home)

    def rows() -> pa.Table:
        return log.query("encoder", "SELECT * FROM rows WHERE request_id = 'logged' ORDER BY row")

    until(lambda: len(rows()) == 2)
    table = rows()
    assert np.allclose(listed(table, "in.image"), IMAGES[:2].reshape(2, 64))
    assert np.allclose(table["in.image.mean"], IMAGES[:2].mean(axis=(1, 2)))
    assert np.allclose(table["in.image.std"], IMAGES[:2].std(axis=(1, 2)))
    assert len(table["out.embedding"][0].as_py()) == 16


def test_the_monitors_watch_the_summary(system: System) -> None:
    release = system.json("show", "digits@1")
    assert release["signature"]["inputs"][0]["shape"] == [64]
    until(lambda: system.deployment("digits")["requests"]["total"] > 0)
    assert system.deployment("digits")["state"] in ("healthy", "progressing")


def test_a_table_of_lists_is_scored(
    system: System, folder: Path, embeddings: NDArray[np.float32]
) -> None:
    table = pa.table({"image": IMAGES[:50].tolist(), "gain": GAIN[:50].tolist()})
    pq.write_table(table, folder / "rows.parquet")
    said = system.verb("score", "encoder", "rows.parquet", "scored.parquet")
    assert said.code == 0, said
    got = pq.read_table(folder / "scored.parquet")
    assert np.allclose(listed(got, "embedding"), embeddings[:50], atol=1e-4)
    pq.write_table(pa.table({"image": [1.0], "gain": [1.0]}), folder / "wrong.parquet")
    refused = system.verb("score", "encoder", "wrong.parquet", "no.parquet")
    assert refused.code == 2
    assert "lists of FP32 are wanted" in refused.err


def test_the_golden_set_of_tensors_is_reproduced(system: System) -> None:
    for name in ("digits@1", "encoder@1"):
        told = system.json("reproduce", name)
        assert told["integrity"] == "ok"
        assert told["behaviour"] in ("bit_identical", "within_tolerance")
