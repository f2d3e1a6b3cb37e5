"""Clients that nobody here wrote, against the whole system, in an environment of their own."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.support.project import request
from tests.support.system import System, copied, running, until

pytestmark = [pytest.mark.e2e, pytest.mark.clients]

ROOT = Path(__file__).resolve().parents[2]
BIN = ROOT / ".venv-clients" / "bin"


@pytest.fixture(scope="module")
def system(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """A system that serves risk@1 and nothing else."""
    folder = copied(built, tmp_path_factory.mktemp("clients") / "project")
    config = folder / "trimtab.toml"
    config.write_text(config.read_text("utf-8").partition("[deployment.other]")[0], "utf-8")
    with running(folder) as made:
        made.json("deploy", "risk", "--release", "risk@1", "--wait")
        until(lambda: len(made.workers()) == 2)
        yield made


@pytest.mark.parametrize("script", ["triton_http", "triton_aio", "mlflow_scoring"])
def test_a_foreign_client_works_unchanged(system: System, script: str) -> None:
    done = subprocess.run(
        [BIN / "python", "-m", f"tests.clients.{script}", system.inference],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl here")
def test_curl_works_with_what_its_manual_says(system: System) -> None:
    body = json.dumps(request(2))
    kind = "Content-Type: application/json"
    url = f"{system.inference}/v2/models/risk/infer"
    plain = ["curl", "--silent", "--show-error", "--fail-with-body", url, "--data", "@-"]
    for more in ([], ["--compressed"], ["--header", "Transfer-Encoding: chunked"]):
        done = subprocess.run(
            [*plain, "--header", kind, *more],
            input=body,
            capture_output=True,
            text=True,
            timeout=30,
            check=True,
        )
        assert json.loads(done.stdout)["model_name"] == "risk"
    refused = subprocess.run(
        plain, input=body, capture_output=True, text=True, timeout=30, check=False
    )
    assert "application/json" in json.loads(refused.stdout)["error"]


SCHEMATHESIS = """
[generation]
# Nobody refuses a header that he does not know.
allow-extra-parameters = false

[checks]
# A deadline that a request asks for itself may be too short, and is documented so.
not_a_server_error.expected-statuses = ["2xx", "4xx", "503", "504"]
positive_data_acceptance.expected-statuses = ["2xx", "404", "503", "504"]

# What a tensor holds has to agree with its shape, and what a release takes is said where it has a
# path of its own: no schema says more of these.
[[operations]]
include-path = [
    "/invocations",
    "/invocations/{model}",
    "/v2/models/{model}/infer",
    "/v2/models/{model}/versions/{version}/infer",
]
checks.positive_data_acceptance.enabled = false
"""


def test_schemathesis_finds_nothing_and_what_the_schema_allows_is_accepted(
    system: System, tmp_path: Path
) -> None:
    (tmp_path / "schemathesis.toml").write_text(SCHEMATHESIS, "utf-8")
    done = subprocess.run(
        [
            *(BIN / "schemathesis", "run", f"{system.inference}/openapi.json"),
            *("--max-examples", "30", "--seed", "1", "--no-color"),
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-5000:]
    assert system.ask("/v2/health/ready").status == 200


VALUES: dict[str, st.SearchStrategy[Any]] = {
    "BYTES": st.text(),
    "BOOL": st.booleans(),
    "INT64": st.integers(-(2**63), 2**63 - 1),
    "FP64": st.floats(allow_nan=False, allow_infinity=False),
}


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data(), st.integers(1, 5))
def test_every_request_that_the_metadata_allow_is_accepted(
    system: System, data: st.DataObject, rows: int
) -> None:
    inputs = []
    for each in system.ask("/v2/models/risk").json["inputs"]:
        value = VALUES[each["datatype"]]
        cell = value | st.none() if each["parameters"]["nullable"] else value
        cells = data.draw(st.lists(cell, min_size=rows, max_size=rows))
        shape = data.draw(st.sampled_from([[rows], [rows, 1]]))
        described = {"name": each["name"], "datatype": each["datatype"], "shape": shape}
        inputs.append(described | {"data": cells})
    answer = system.ask("/v2/models/risk/infer", {"inputs": data.draw(st.permutations(inputs))})
    assert answer.status == 200, answer
    assert all(output["shape"][0] == rows for output in answer.json["outputs"])
