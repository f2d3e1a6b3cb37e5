"""Use a trimtab server by `tritonclient.http`, as its users do: `triton_http.py URL`."""

import sys
from typing import Any

import numpy as np
import pytest
import tritonclient.http as triton
from tests.clients.people import DATATYPES, DEPLOYMENT, PEOPLE, column, expected
from tritonclient.utils import InferenceServerException

NUMPY: dict[str, Any] = {
    "FP64": np.float64,
    "INT64": np.int64,
    "BOOL": np.bool_,
    "BYTES": np.object_,
}


def inputs(*, binary: bool) -> list[triton.InferInput]:
    """Every column as an input; missing numbers are NaN, which only bytes can say."""
    made = []
    for name, datatype in DATATYPES.items():
        values = np.array(column(name), dtype=NUMPY[datatype])
        tensor = triton.InferInput(name, [len(PEOPLE)], datatype)
        missing = datatype == "FP64" and bool(np.isnan(values).any())
        tensor.set_data_from_numpy(values, binary_data=binary or missing)
        made.append(tensor)
    return made


def main(url: str) -> None:
    """Fails by an exception."""
    wanted = expected(url)
    with triton.InferenceServerClient(url.removeprefix("http://"), concurrency=4) as client:
        describe(client)
        for binary in (True, False):
            check(client.infer(DEPLOYMENT, inputs(binary=binary)), wanted)
            for compression in ("gzip", "deflate"):
                answer = client.infer(
                    DEPLOYMENT,
                    inputs(binary=binary),
                    request_compression_algorithm=compression,
                    response_compression_algorithm=compression,
                )
                check(answer, wanted)
        choose(client, wanted)
        pending = [client.async_infer(DEPLOYMENT, inputs(binary=True)) for _ in range(20)]
        for each in pending:
            check(each.get_result(timeout=30), wanted)
        refused(client)


def describe(client: triton.InferenceServerClient) -> None:
    """What a client looks at before it asks."""
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready(DEPLOYMENT)
    assert client.is_model_ready(DEPLOYMENT, "1")
    assert not client.is_model_ready("nobody")
    assert "binary_tensor_data" in client.get_server_metadata()["extensions"]
    metadata = client.get_model_metadata(DEPLOYMENT)
    assert {each["name"]: each["datatype"] for each in metadata["inputs"]} == DATATYPES
    assert metadata["versions"] == ["1"]
    assert client.get_model_config(DEPLOYMENT)["name"] == DEPLOYMENT
    assert client.get_inference_statistics(DEPLOYMENT)["model_stats"][0]["name"] == DEPLOYMENT


def check(answer: triton.InferResult, wanted: dict[str, list[object]]) -> None:
    """Every output is what plain JSON said."""
    said = answer.get_response()
    assert said["model_name"] == DEPLOYMENT
    assert said["model_version"] == "1"
    assert [each["name"] for each in said["outputs"]] == list(wanted)
    assert answer.as_numpy("score").tolist() == wanted["score"]
    labels = [
        each.decode() if isinstance(each, bytes) else each
        for each in answer.as_numpy("label").tolist()
    ]
    assert labels == wanted["label"]


def choose(client: triton.InferenceServerClient, wanted: dict[str, list[object]]) -> None:
    """Outputs one by one, id, lane, deadline and parameters."""
    outputs = [
        triton.InferRequestedOutput("label", binary_data=False),
        triton.InferRequestedOutput("score", binary_data=True),
    ]
    answer = client.infer(
        DEPLOYMENT,
        inputs(binary=True),
        model_version="1",
        outputs=outputs,
        request_id="from-triton",
        priority=2,
        timeout=5_000_000,
        parameters={"unit": "somebody"},
    )
    assert answer.get_response()["id"] == "from-triton"
    assert [each["name"] for each in answer.get_response()["outputs"]] == ["label", "score"]
    assert answer.as_numpy("label").tolist() == wanted["label"]
    assert answer.as_numpy("score").tolist() == wanted["score"]


def refused(client: triton.InferenceServerClient) -> None:
    """The reason of a refusal reaches the caller."""
    wrong = triton.InferInput("ages", [1], "FP64")
    wrong.set_data_from_numpy(np.array([1.0]))
    with pytest.raises(InferenceServerException, match="did you mean 'age'"):
        client.infer(DEPLOYMENT, [wrong])
    with pytest.raises(InferenceServerException, match="no deployment 'nobody'"):
        client.infer("nobody", inputs(binary=True))


if __name__ == "__main__":
    main(sys.argv[1])
